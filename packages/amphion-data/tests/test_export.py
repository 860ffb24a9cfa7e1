import gzip
import json
import os
import tarfile

import numpy as np
import pytest

from amphion_core import audio
from amphion_core.atomic import TEMPORARY
from amphion_core.data import Record, ShardSet, read_drops, write_shards
from amphion_core.testing.files import digests
from amphion_core.testing.kill import run_killed_at
from amphion_data.export_emilia import EmiliaLayout
from amphion_data.export_hf import HubLayout
from amphion_data.export_lhotse import LhotseLayout
from amphion_data.exporting import export

LAYOUTS = {
    "emilia": EmiliaLayout(),
    "lhotse": LhotseLayout(),
    "audiofolder": HubLayout("audiofolder"),
    "parquet": HubLayout("parquet"),
}


@pytest.fixture
def make_set(tmp_path, tone):
    """A folder of shards of five rows in two languages; the last has no text."""

    def make(name="set", sample_rate=24_000, language=("en", "de", "en", "en", "de"), ids="abcde"):
        def encode(row):
            number = row["number"]
            wav = tone(0.5 + 0.1 * number, frequency=200 + 50 * number, sample_rate=sample_rate)
            values = {
                "id": row["id"],
                "duration": len(wav) / sample_rate,
                "sample_rate": sample_rate,
                "text": f"Nr. {number} “é”" if number < 4 else None,
                "speaker": f"s{number % 2}",
                "language": language[number],
                "extra": {"dnsmos": 3 + number / 10},
            }
            data = audio.encode(wav, sample_rate, "flac")
            return Record(row["id"], {"flac": data, "json": json.dumps(values).encode()})

        rows = [{"id": ident, "number": number} for number, ident in enumerate(ids)]
        write_shards(rows, encode, tmp_path / name, per_shard=3, progress=False)
        return tmp_path / name

    return make


def test_emilia_tars_are_read_as_those_that_were_published(make_set, tmp_path):
    report = export(make_set(ids=["a", "b.1", "c", "ü", "e"]), tmp_path / "out", EmiliaLayout(), workers=1)
    assert (report.rows_in, report.kept, report.dropped) == (5, 4, {"missing_text": 1})
    assert [drop.id for drop in read_drops(tmp_path / "out" / "export" / "drops.jsonl")] == ["e"]
    assert sorted(p.name for p in (tmp_path / "out").rglob("*.tar")) == ["DE-B000000.tar", "EN-B000000.tar"]
    english = ShardSet.open(tmp_path / "out" / "EN")
    row = english.utterance(0)
    assert (row.id, row.text, row.speaker, row.language) == ("a", "Nr. 0 “é”", "emilia:s0", "en")
    assert (row.sample_rate, row.extra["dnsmos"], row.extra["release"]) == (24_000, 3.0, "emilia")
    assert english.durations == pytest.approx([0.5, 0.7, 0.8], abs=0.1)  # MP3 pads
    with tarfile.open(tmp_path / "out" / "EN" / "EN-B000000.tar") as tar:
        assert tar.getnames()[:2] == ["a.json", "a.mp3"]
        fields = json.load(tar.extractfile("a.json"))
    assert list(fields) == ["id", "wav", "text", "duration", "speaker", "language", "dnsmos"]
    assert fields["text"] == " Nr. 0 “é”"


def test_emilia_that_was_read_is_written_with_the_same_sounds_and_fields(make_set, tmp_path):
    export(make_set(), tmp_path / "first", EmiliaLayout(), workers=1)
    for language in ("EN", "DE"):
        once = ShardSet.open(tmp_path / "first" / language)
        export(tmp_path / "first" / language, tmp_path / "again" / language, EmiliaLayout(), workers=1)
        twice = ShardSet.open(tmp_path / "again" / language / language)
        for row in range(len(once)):
            assert twice[row].fields["mp3"] == once[row].fields["mp3"]
            before, after = (json.loads(shards[row].fields["json"]) for shards in (once, twice))
            assert after["speaker"] == before["speaker"] and after["text"] == before["text"]


def test_rows_without_a_language_get_the_one_that_was_given_or_are_dropped(make_set, tmp_path):
    source = make_set(language=("en", None, "en", "en", None))
    assert export(source, tmp_path / "a", EmiliaLayout(), workers=1).dropped == {"wrong_language": 2}
    export(source, tmp_path / "b", EmiliaLayout("fr"), workers=1)
    assert list(ShardSet.open(tmp_path / "b" / "FR").languages) == ["fr"]


def test_other_rates_are_brought_to_that_of_emilia(make_set, tmp_path):
    export(make_set(sample_rate=48_000), tmp_path / "out", EmiliaLayout(), workers=1)
    wav, rate = ShardSet.open(tmp_path / "out" / "DE").audio(0)
    assert rate == 24_000
    assert abs(len(wav) / rate - 0.6) < 0.1


def test_lhotse_reads_the_cuts_with_their_sounds_and_texts(make_set, tmp_path):
    import lhotse

    source = make_set(ids=["a", "b.1", "c/2", "ü", "e"])
    assert export(source, tmp_path / "out", LhotseLayout(), per_file=2, workers=1).kept == 5
    cuts = list(lhotse.CutSet.from_shar(in_dir=tmp_path / "out" / "shar"))
    shards = ShardSet.open(source)
    assert [cut.id for cut in cuts] == ["a", "b%2E1", "c%2F2", "ü", "e"]
    for number, cut in enumerate(cuts):
        wav, rate = shards.audio(number)
        assert cut.sampling_rate == rate
        np.testing.assert_array_equal(cut.load_audio()[0], wav)
        (said,) = cut.supervisions
        assert (said.text, said.speaker, said.language) == (
            shards.utterance(number).text,
            shards.speakers[number],
            shards.languages[number],
        )
        assert said.custom["dnsmos"] == 3 + number / 10


def test_shar_manifests_carry_no_time_of_writing(make_set, tmp_path):
    export(make_set(), tmp_path / "out", LhotseLayout(), workers=1)
    data = (tmp_path / "out" / "shar" / "cuts.000000.jsonl.gz").read_bytes()
    assert data[4:8] == b"\0\0\0\0"
    assert len(gzip.decompress(data).splitlines()) == 5


def test_audio_folders_have_a_table_whose_files_are_there(make_set, tmp_path):
    export(
        make_set(ids=["a", "x" * 300, "c/2", "ü", "e"]), tmp_path / "out", LAYOUTS["audiofolder"], per_file=2, workers=1
    )
    table = tmp_path / "out" / "data" / "train" / "metadata.jsonl"
    rows = [json.loads(line) for line in table.read_text(encoding="utf-8").splitlines()]
    assert [row["id"] for row in rows] == ["a", "x" * 300, "c/2", "ü", "e"]
    assert len({tuple(row) for row in rows}) == 1
    for row in rows:
        wav, rate = audio.load(table.parent / row["file_name"])
        assert (rate, len(wav) / rate) == (row["sample_rate"], row["duration"])
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "path: data/train/**" in card and "Licence of the data: not stated" in card


@pytest.mark.extra("hf")
def test_parquet_holds_the_files_and_says_what_its_columns_are(make_set, tmp_path):
    import pyarrow.parquet as parquet

    source = make_set()
    export(source, tmp_path / "out", LAYOUTS["parquet"], per_file=3, workers=1)
    files = sorted((tmp_path / "out" / "data").iterdir())
    assert [path.name for path in files] == ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"]
    table = parquet.read_table(files[1])
    shards = ShardSet.open(source)
    assert table.column("id").to_pylist() == ["d", "e"]
    assert table.column("audio")[0]["bytes"].as_py() == shards[3].fields["flac"]
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert features["audio"] == {"_type": "Audio"} and set(features) == set(table.column_names)
    assert features["dnsmos"] == {"dtype": "float64", "_type": "Value"}


def test_splits_keep_their_rows(tmp_path, make_set):
    for name in ("train", "valid", "test"):
        make_set(f"set/{name}", ids=[f"{name}{k}" for k in range(5)])
    export(tmp_path / "set", tmp_path / "hub", LAYOUTS["audiofolder"], workers=1)
    assert sorted(p.name for p in (tmp_path / "hub" / "data").iterdir()) == ["test", "train", "validation"]
    export(tmp_path / "set", tmp_path / "emilia", LAYOUTS["emilia"], workers=1)
    assert (tmp_path / "emilia" / "valid" / "DE" / "DE-B000000.tar").is_file()


def test_an_export_with_nothing_in_it_is_an_error_that_says_why(make_set, tmp_path):
    source = make_set(language=(None,) * 5)
    with pytest.raises(ValueError, match="no row of 5 could be exported: a: no language is stated"):
        export(source, tmp_path / "out", EmiliaLayout(), workers=1)


def test_a_folder_with_another_export_is_refused_and_replaced_on_request(make_set, tmp_path):
    source, out = make_set(), tmp_path / "out"
    export(source, out, LAYOUTS["lhotse"], workers=1)
    with pytest.raises(ValueError, match="holds export, shar already"):
        export(source, out, LAYOUTS["audiofolder"], workers=1)
    export(source, out, LAYOUTS["audiofolder"], workers=1, overwrite=True)
    assert not list(out.rglob("cuts*"))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_second_run_changes_nothing_and_a_lost_file_is_made_again(make_set, tmp_path, layout):
    source, out = make_set(), tmp_path / "out"
    export(source, out, LAYOUTS[layout], per_file=2, workers=1)
    whole = digests(out)
    export(source, out, LAYOUTS[layout], per_file=2, workers=1)
    assert digests(out) == whole
    victim = next(path for path in sorted(out.rglob("*")) if path.suffix in (".tar", ".flac", ".parquet"))
    victim.unlink()
    export(source, out, LAYOUTS[layout], per_file=2, workers=1)
    assert digests(out) == whole


@pytest.mark.slow
def test_any_number_of_workers_writes_the_same_files(make_set, tmp_path):
    source = make_set()
    export(source, tmp_path / "one", LAYOUTS["lhotse"], per_file=1, workers=1)
    export(source, tmp_path / "two", LAYOUTS["lhotse"], per_file=1, workers=2)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


def test_a_run_that_was_killed_before_its_first_mark_is_begun_again(make_set, tmp_path):
    source, out = make_set(), tmp_path / "out"
    run_export(source, tmp_path / "whole", "lhotse")
    (out / "export").mkdir(parents=True)
    (out / "export" / f"{TEMPORARY}report.json-1").write_bytes(b"{")
    run_export(source, out, "lhotse")
    assert digests(out) == digests(tmp_path / "whole")


def run_export(source, out, layout):
    export(source, out, LAYOUTS[layout], per_file=2, workers=1)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.parametrize(("layout", "first"), [("emilia", 2), ("lhotse", 7), ("audiofolder", 12)])
def test_killed_at_any_file_operation_and_run_again_it_writes_the_same_files(make_set, tmp_path, layout, first):
    source = make_set()
    run_export(source, tmp_path / "whole", layout)
    whole = digests(tmp_path / "whole")
    kills = 0
    for event in range(first, 300, 15):
        out = tmp_path / f"killed-{event}"
        killed = run_killed_at(event, out, f"{__file__}:run_export", source, out, layout)
        run_export(source, out, layout)
        assert digests(out) == whole
        kills += killed
        if not killed:
            break
    assert not killed and kills >= 3
