import json
import logging

import numpy as np
import pytest
import soundfile

from amphion_core.data import ShardSet
from amphion_core.testing.files import digests
from amphion_data.parts import iter_rows
from amphion_data.preparing import prepare
from amphion_data.settings import PrepareSettings
from amphion_data.splits import split_fraction


def settings(**changes):
    return PrepareSettings(**{"valid": 4, "test": 4, "per_shard": 5, **changes})


def run(corpus, source, out, workers=1, overwrite=False, **changes):
    return prepare(corpus, source, out, settings(**changes), workers=workers, overwrite=overwrite, progress=False)


def dropped(out):
    rows = [json.loads(line) for line in (out / "drops.jsonl").read_text(encoding="utf-8").splitlines()]
    return {row["id"]: row["reason"] for row in rows}


@pytest.fixture
def corpus(tmp_path, make_ljspeech):
    return make_ljspeech(tmp_path / "corpus")


def test_the_folder_holds_shards_of_each_split_and_what_is_known_of_them(tmp_path, corpus):
    report = run("ljspeech", corpus, tmp_path / "out")
    assert (report.kept, report.dropped) == ({"train": 16, "valid": 4, "test": 4}, {})
    names = set(digests(tmp_path / "out"))
    assert {"README.md", "drops.jsonl", "prepare.json", "stats.json", "train/shard-000003.tar"} <= names
    assert {path.partition("/")[0] for path in names if "/" in path} == {"train", "valid", "test"}


def test_rows_come_back_as_the_corpus_has_them(tmp_path, corpus):
    run("ljspeech", corpus, tmp_path / "out")
    rows = {row.id: row for row in iter_rows(tmp_path / "out")}
    row = rows["LJ003-0002"]
    assert (row.audio, row.text, row.speaker) == ("wavs/LJ003-0002.wav", "mister 2 said “so”.", "LJ")
    assert (row.sample_rate, row.duration) == (16_000, pytest.approx(0.24))
    assert len(rows) == 24


def test_flac_keeps_the_samples_to_the_bit(tmp_path, corpus):
    run("ljspeech", corpus, tmp_path / "out")
    shards = ShardSet.open(tmp_path / "out" / "train")
    for i in range(len(shards)):
        stored, rate = shards.audio(i)
        original, original_rate = soundfile.read(corpus / "wavs" / f"{shards.keys[i]}.wav", dtype="float32")
        assert rate == original_rate
        np.testing.assert_array_equal(stored, original)


def test_no_chapter_is_in_two_splits(tmp_path, corpus):
    run("ljspeech", corpus, tmp_path / "out")
    places = {(row.extra["chapter"], row.extra["split"]) for row in iter_rows(tmp_path / "out")}
    assert len(places) == 6


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2, 3])
def test_any_number_of_workers_writes_the_same_bytes(tmp_path, corpus, workers):
    (corpus / "wavs" / "LJ002-0002.wav").write_bytes(b"")
    run("ljspeech", corpus, tmp_path / "one", workers=1)
    run("ljspeech", corpus, tmp_path / "many", workers=workers)
    assert digests(tmp_path / "one") == digests(tmp_path / "many")


def test_a_second_run_changes_no_byte_and_encodes_nothing(tmp_path, corpus):
    (corpus / "wavs" / "LJ002-0002.wav").write_bytes(b"")
    out = tmp_path / "out"
    run("ljspeech", corpus, out)
    before, times = digests(out), {path: path.stat().st_mtime_ns for path in out.rglob("*.tar")}
    report = run("ljspeech", corpus, out)
    assert digests(out) == before
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.tar")} == times
    assert report.dropped == {"empty_audio": 1}


def test_other_settings_are_refused_by_name(tmp_path, corpus):
    run("ljspeech", corpus, tmp_path / "out")
    before = digests(tmp_path / "out")
    with pytest.raises(ValueError, match="was made with other sample_rate, trim; choose another folder"):
        run("ljspeech", corpus, tmp_path / "out", sample_rate=8000, trim=True)
    assert digests(tmp_path / "out") == before


def test_overwriting_gives_what_a_fresh_run_gives(tmp_path, corpus):
    run("ljspeech", corpus, tmp_path / "out", per_shard=3)
    run("ljspeech", corpus, tmp_path / "out", sample_rate=8000, test=0, overwrite=True)
    run("ljspeech", corpus, tmp_path / "fresh", sample_rate=8000, test=0)
    assert digests(tmp_path / "out") == digests(tmp_path / "fresh")


def test_a_file_changed_in_place_is_read_again(tmp_path, corpus, write):
    out = tmp_path / "out"
    run("ljspeech", corpus, out)
    path = corpus / "wavs" / "LJ003-0002.wav"
    size = path.stat().st_size
    write(path, seconds=0.24, frequency=999)
    assert path.stat().st_size == size
    run("ljspeech", corpus, out)
    run("ljspeech", corpus, tmp_path / "fresh")
    assert digests(out) == digests(tmp_path / "fresh")


@pytest.mark.parametrize("way", ["fewer", "more"])
def test_a_run_that_is_refused_for_its_rows_leaves_the_folder_as_it_is(tmp_path, write, way):
    root, out = tmp_path / "in", tmp_path / "out"
    for name in "bcdefg":
        write(root / f"{name}.wav")
    options = {"valid": 0, "test": 0, "require_text": False, "per_shard": 2}
    run("folder", root, out, **options)
    before = digests(out)
    if way == "fewer":
        (root / "c.wav").unlink()
    else:
        write(root / "a.wav")
    with pytest.raises(ValueError, match=r"made from other rows; .* \(overwrite=True; --overwrite of a command\)"):
        run("folder", root, out, **options)
    assert digests(out) == before
    run("folder", root, out, overwrite=True, **options)
    run("folder", root, tmp_path / "fresh", **options)
    assert digests(out) == digests(tmp_path / "fresh")


def test_two_copies_of_a_corpus_give_the_same_bytes(tmp_path, make_ljspeech):
    for name in ("one", "two"):
        run("ljspeech", make_ljspeech(tmp_path / name / "corpus"), tmp_path / name / "out")
    assert digests(tmp_path / "one" / "out") == digests(tmp_path / "two" / "out")


def test_a_file_replaced_by_an_older_one_is_read_again(tmp_path, corpus, write):
    out = tmp_path / "out"
    other = write(tmp_path / "other.wav", seconds=0.24, frequency=999)
    run("ljspeech", corpus, out)
    other.replace(corpus / "wavs" / "LJ003-0002.wav")
    run("ljspeech", corpus, out)
    run("ljspeech", corpus, tmp_path / "fresh")
    assert digests(out) == digests(tmp_path / "fresh")


def broken_corpus(root, tone, write):
    """One file of each fault, and one that is well; the reason expected for each."""
    good = write(root / "good.wav").read_bytes()
    (root / "empty.wav").write_bytes(b"")
    (root / "words.wav").write_text("<html>not found</html>", encoding="utf-8")
    (root / "cut.wav").write_bytes(good[: len(good) // 2])
    flac = write(root / "whole.flac", seconds=2.0).read_bytes()
    (root / "half.flac").write_bytes(flac[: len(flac) // 2])
    write(root / "zeros.wav", wav=np.zeros(1600, np.float32))
    write(root / "none.wav", wav=np.zeros(0, np.float32))
    sound = tone()
    sound[7] = np.nan
    write(root / "nan.wav", wav=sound, subtype="FLOAT")
    write(root / "short.wav", seconds=0.01)
    write(root / "long.wav", seconds=3.0)
    (root / "folder.wav").mkdir()
    for path in list(root.glob("*.*")):
        path.with_suffix(".txt").write_text("text", encoding="utf-8")
    return {
        "empty": "empty_audio",
        "words": "corrupt_audio",
        "cut": "truncated_audio",
        "zeros": "silent_audio",
        "none": "empty_audio",
        "nan": "not_finite",
        "short": "too_short",
        "long": "too_long",
        "folder": "missing_audio",
    }


def test_every_kind_of_broken_file_is_a_drop_with_its_reason(tmp_path, tone, write):
    expected = broken_corpus(tmp_path / "in", tone, write)
    report = run("folder", tmp_path / "in", tmp_path / "out", min_duration=0.1, max_duration=2.5, valid=0, test=0)
    found = dropped(tmp_path / "out")
    assert found.pop("half") in ("corrupt_audio", "truncated_audio")
    assert found == expected
    assert report.rows_in == sum(report.kept.values()) + sum(report.dropped.values()) == 12


def test_on_error_fail_ends_at_the_first_faulty_row(tmp_path, corpus):
    (corpus / "wavs" / "LJ002-0002.wav").write_bytes(b"")
    with pytest.raises(ValueError, match=r"LJ002-0002.*empty_audio"):
        run("ljspeech", corpus, tmp_path / "out", on_error="fail")
    assert not (tmp_path / "out" / "prepare.json").exists()


STATED = (("right", 1.0), ("near", 1.07), ("tenth", 1.1), ("far", 1.2))  # s, of sounds of 1 s


def test_duration_that_the_table_states_wrongly_is_noted_or_dropped(tmp_path, write):
    root = tmp_path / "in"
    for name in ("right", "near", "tenth", "far"):
        write(root / f"{name}.wav", seconds=1.0)
    lines = [{"audio": f"{n}.wav", "text": n, "duration": s} for n, s in STATED]
    (root / "m.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    report = run("folder", root, tmp_path / "out", valid=0, test=0)
    assert (report.dropped, report.warnings) == ({"duration_mismatch": 1}, {"duration_differs": 2})


def test_audio_is_opened_by_content_and_a_wrong_ending_is_noted(tmp_path, write):
    root = tmp_path / "in"
    write(root / "really-flac.wav", format="FLAC")
    (root / "really-flac.txt").write_text("text", encoding="utf-8")
    report = run("folder", root, tmp_path / "out", valid=0, test=0)
    assert (report.kept["train"], report.warnings) == (1, {"container": 1})


def test_trimming_leaves_the_margin_and_says_where_it_cut(tmp_path, write):
    write(tmp_path / "in" / "a.wav", seconds=1.0, silence=0.5)
    run("folder", tmp_path / "in", tmp_path / "out", valid=0, test=0, require_text=False, trim=True, trim_margin=0.1)
    (row,) = iter_rows(tmp_path / "out")
    # Frames of 20 ms every 10 ms decide where the sound begins.
    assert row.duration == pytest.approx(1.2, abs=0.03)
    assert (row.extra["start"], row.extra["end"]) == (pytest.approx(0.4, abs=0.02), pytest.approx(1.6, abs=0.02))


def test_a_clip_with_times_stays_whole_and_is_noted(tmp_path, write):
    notes = [{"pitch": 60, "start": 0.5, "end": 1.5, "syllable": "la", "slur": 0}]
    lines = [{"audio": "a.wav", "text": "la", "notes": notes}, {"audio": "b.wav", "text": "la", "notes": "a good take"}]
    for line in lines:
        write(tmp_path / "in" / line["audio"], seconds=1.0, silence=0.5)
    (tmp_path / "in" / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    report = run("folder", tmp_path / "in", tmp_path / "out", valid=0, test=0, trim=True)
    timed, plain = sorted(iter_rows(tmp_path / "out"), key=lambda row: row.id)
    assert (timed.duration, timed.extra["notes"]) == (pytest.approx(2.0), notes)
    assert plain.duration < 1.2
    assert report.warnings == {"not_trimmed": 1}


def test_resampling_keeps_the_duration_and_the_tone(tmp_path, write):
    write(tmp_path / "in" / "a.wav", sample_rate=44_100, seconds=1.0, frequency=440)
    run("folder", tmp_path / "in", tmp_path / "out", valid=0, test=0, require_text=False, sample_rate=16_000)
    wav, rate = ShardSet.open(tmp_path / "out" / "train").audio(0)
    assert (rate, len(wav)) == (16_000, 16_000)
    assert np.abs(np.fft.rfft(wav)).argmax() == 440


def test_channels_are_kept_or_mixed_as_asked(tmp_path, tone, write):
    left = tone()
    write(tmp_path / "in" / "a.wav", wav=np.stack([left, np.zeros_like(left)], axis=1))
    options = {"valid": 0, "test": 0, "require_text": False}
    for mono, channels in ((False, 2), (True, 1)):
        out = tmp_path / f"mono-{mono}"
        run("folder", tmp_path / "in", out, mono=mono, **options)
        stored = ShardSet.open(out / "train")[0].fields["flac"]
        (tmp_path / "x.flac").write_bytes(stored)
        found, _ = soundfile.read(tmp_path / "x.flac", always_2d=True)
        assert found.shape[1] == channels
    assert np.abs(found[:, 0]).max() == pytest.approx(0.15, abs=1e-3)


def test_loudness_is_reached_where_the_peak_allows_it(tmp_path, tone, write):
    write(tmp_path / "in" / "quiet.wav", seconds=1.0, amplitude=0.01)
    peaky = tone(seconds=1.0, amplitude=0.001)
    peaky[5000] = 0.8
    write(tmp_path / "in" / "peaky.wav", wav=peaky)
    report = run("folder", tmp_path / "in", tmp_path / "out", valid=0, test=0, require_text=False, loudness=-20)
    shards = ShardSet.open(tmp_path / "out" / "train")
    from amphion_core.audio import loudness

    quiet = list(shards.keys).index("quiet")
    assert loudness(*shards.audio(quiet)) == pytest.approx(-20, abs=0.1)
    assert report.warnings == {"loudness": 1}
    assert np.abs(shards.audio(1 - quiet)[0]).max() <= 10 ** (-1 / 20) + 1e-4


@pytest.mark.parametrize("format", ["wav", "mp3", "opus"])
def test_other_formats_decode_to_the_same_length(tmp_path, write, format):
    write(tmp_path / "in" / "a.wav", seconds=1.0)
    run("folder", tmp_path / "in", tmp_path / "out", valid=0, test=0, require_text=False, format=format)
    shards = ShardSet.open(tmp_path / "out" / "train")
    assert shards.durations[0] == pytest.approx(1.0, abs=0.06)  # encoders of blocks pad the ends


@pytest.mark.parametrize("name", ["v1.2.x", "a b", "..hidden", "新歌 é", "n" * 200, "-rf", "100%"])
def test_names_of_all_kinds_come_back_as_ids(tmp_path, write, name):
    write(tmp_path / "in" / f"x{name}.wav")
    run("folder", tmp_path / "in", tmp_path / "out", valid=0, test=0, require_text=False)
    assert [row.id for row in iter_rows(tmp_path / "out")] == [f"x{name}"]


def test_nothing_usable_is_an_error_that_says_what_was_there(tmp_path, write):
    write(tmp_path / "in" / "a.wav")
    with pytest.raises(ValueError, match=r"no usable row in .* as folder .*: 1 missing_text; .*holds a\.wav"):
        run("folder", tmp_path / "in", tmp_path / "out")


def test_only_broken_audio_is_an_error_too(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.wav").write_bytes(b"")
    with pytest.raises(ValueError, match=r"no usable row: 1 empty_audio; the last: a"):
        run("folder", tmp_path / "in", tmp_path / "out", require_text=False, valid=0, test=0)
    assert "empty_audio" in (tmp_path / "out" / "drops.jsonl").read_text()


def test_an_empty_split_is_said(tmp_path, corpus, caplog):
    with caplog.at_level(logging.WARNING):
        run("ljspeech", corpus, tmp_path / "out", valid=0.001, test=0)
    assert "the valid split is empty: no unit fell into a share of 0.001" in caplog.text


@pytest.mark.parametrize(
    ("table", "cause"),
    [
        ("", "all of its 2 rows were dropped; drops.jsonl says why"),
        ("a|train", "Split as in the list list.tsv, and no row is valid there, so --valid 2 has no effect"),
        (
            "audio,text,split\na.wav,x,train\nb.wav,x,test\n",
            "Split as the corpus states, train where it does not, and no",
        ),
    ],
)
def test_an_empty_split_is_said_with_its_cause(tmp_path, write, caplog, table, cause):
    sound = [write(tmp_path / "in" / f"{name}.wav") for name in "abcd"]
    listed = tmp_path / "list.tsv" if "|" in table else None
    (tmp_path / "list.tsv").write_text(table)
    if not table:  # of these four the hash takes two
        order = sorted(sound, key=lambda path: split_fraction("folder", path.stem))
        order[0].write_bytes(b"")
        order[1].write_bytes(b"")
    elif listed is None:
        (tmp_path / "in" / "m.csv").write_text(table)
    asked = settings(valid=2, test=0, require_text=False)
    prepare("folder", tmp_path / "in", tmp_path / "out", asked, split_list=listed, workers=1, progress=False)
    said = next(record.getMessage() for record in caplog.records if "split is empty" in record.getMessage())
    assert said.startswith(f"the valid split is empty: {cause}") and "ask for a number" not in said


def test_a_list_decides_the_split_and_drops_the_rest(tmp_path, corpus):
    listed = tmp_path / "list.tsv"
    listed.write_text("LJ001-0001\ttrain\nLJ001-0002\ttest\n", encoding="utf-8")
    report = prepare("ljspeech", corpus, tmp_path / "out", settings(), split_list=listed, workers=1, progress=False)
    assert (report.kept, report.dropped) == ({"train": 1, "valid": 0, "test": 1}, {"filtered": 22})


@pytest.mark.parametrize(("given", "code"), [("English", "en"), ("EN-us", "en"), ("yue", "yue")])
def test_a_language_is_given_by_its_letters_or_its_name(given, code):
    assert PrepareSettings.parse({"language": given}).language == code


@pytest.mark.parametrize("given", ["klingonese", "x1", ""])
def test_a_language_that_is_none_is_refused(given):
    with pytest.raises(ValueError, match="a language has two letters, such as en, got"):
        PrepareSettings.parse({"language": given})


def test_a_unit_that_decides_nothing_is_said_and_an_unknown_one_refused(tmp_path, write, caplog):
    for name in "ab":
        write(tmp_path / "in" / f"{name}.wav")
    (tmp_path / "in" / "m.csv").write_text("audio,text,split\na.wav,x,train\nb.wav,y,test\n")
    run("folder", tmp_path / "in", tmp_path / "out", split_by="id")
    assert "--split-by id has no effect: the corpus says what is in which split" in caplog.text
    with pytest.raises(ValueError, match="folder is split by speaker or id or folder, not by 'song'"):
        run("folder", tmp_path / "in", tmp_path / "other", split_by="song")


def test_an_output_inside_the_corpus_is_refused(corpus):
    with pytest.raises(ValueError, match="is inside the corpus"):
        run("ljspeech", corpus, corpus / "out")


def test_the_card_and_the_record_state_licence_counts_and_settings(tmp_path, corpus):
    (corpus / "wavs" / "LJ002-0002.wav").write_bytes(b"")
    run("ljspeech", corpus, tmp_path / "out", sample_rate=8000)
    record = json.loads((tmp_path / "out" / "prepare.json").read_text(encoding="utf-8"))
    assert (record["rows_in"], sum(record["kept"].values()), record["dropped"]) == (24, 23, {"empty_audio": 1})
    assert (record["about"]["licence"], record["settings"]["sample_rate"]) == ("public domain", 8000)
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "Licence of the data: public domain." in card
    assert "24 in = 23 kept + 1 dropped." in card


@pytest.mark.parametrize("sample_rate", [8000, 11_025, 96_000, 192_000])
def test_any_rate_comes_in_and_the_asked_one_comes_out(tmp_path, write, sample_rate):
    write(tmp_path / "in" / "a.wav", sample_rate=sample_rate, seconds=0.5)
    run("folder", tmp_path / "in", tmp_path / "out", valid=0, test=0, require_text=False, sample_rate=24_000)
    shards = ShardSet.open(tmp_path / "out" / "train")
    assert (shards.sample_rates[0], shards.durations[0]) == (24_000, pytest.approx(0.5, abs=1e-4))


def test_clipping_dc_and_eight_channels_are_kept_as_they_are(tmp_path, tone, write):
    root = tmp_path / "in"
    write(root / "clipped.wav", wav=np.clip(4 * tone(), -1, 0.9999))
    write(root / "offset.wav", wav=tone() + 0.5)
    write(root / "eight.wav", wav=np.stack([tone(frequency=100 * k) for k in range(1, 9)], axis=1))
    report = run("folder", root, tmp_path / "out", valid=0, test=0, require_text=False)
    assert report.kept["train"] == 3
    (tmp_path / "eight.flac").write_bytes(ShardSet.open(tmp_path / "out" / "train")[1].fields["flac"])
    assert soundfile.info(tmp_path / "eight.flac").channels == 8


def test_deep_recordings_keep_24_bits(tmp_path, tone, write):
    wav = tone() * 1e-3
    write(tmp_path / "in" / "a.wav", wav=wav, subtype="PCM_24")
    run("folder", tmp_path / "in", tmp_path / "out", valid=0, test=0, require_text=False)
    stored, _ = ShardSet.open(tmp_path / "out" / "train").audio(0)
    np.testing.assert_allclose(stored, wav, atol=2**-23)


@pytest.mark.slow
def test_more_workers_than_rows_are_no_trouble(tmp_path, write):
    write(tmp_path / "in" / "a.wav")
    report = run(
        "folder", tmp_path / "in", tmp_path / "out", workers=8, valid=0, test=0, require_text=False, per_shard=1
    )
    assert report.kept["train"] == 1


def test_wild_ids_of_a_table_stay_inside_the_output(tmp_path, write):
    from amphion_data.extracting import extract

    root = tmp_path / "in"
    names = ["../evil", "/abs", "x" * 300, "-rf", "a.b/c", "CON", "é" * 100, "C:drive", "\\\\host", "json"]
    for number, _ in enumerate(names):
        write(root / f"{number}.wav")
    lines = [json.dumps({"id": name, "audio": f"{number}.wav", "text": "x"}) for number, name in enumerate(names)]
    (root / "m.jsonl").write_text("\n".join(lines), encoding="utf-8")
    run("folder", root, tmp_path / "out", valid=0, test=0)
    assert sorted(row.id for row in iter_rows(tmp_path / "out")) == sorted(names)
    before = {path for path in tmp_path.rglob("*") if not path.is_relative_to(tmp_path / "files")}
    paths = list(extract(tmp_path / "out", tmp_path / "files"))
    assert {path for path in (tmp_path / "files").iterdir()} == set(paths)
    assert len(paths) == len(names)
    assert {path for path in tmp_path.rglob("*") if not path.is_relative_to(tmp_path / "files")} == before
    for index in (tmp_path / "out" / "train").glob("*.idx"):  # readers that make one anew find the same rows
        index.unlink()
    assert sorted(row.id for row in iter_rows(tmp_path / "out")) == sorted(names)


def test_what_a_format_can_not_hold_is_dropped_with_the_same_words_in_every_run(tmp_path, tone, write):
    write(tmp_path / "in" / "a.wav", wav=np.stack([tone()] * 6, axis=1))
    write(tmp_path / "in" / "b.wav")
    for name in ("one", "two"):
        run("folder", tmp_path / "in", tmp_path / name, valid=0, test=0, require_text=False, format="mp3")
    one, two = ((tmp_path / name / "drops.jsonl").read_text() for name in ("one", "two"))
    assert one == two and "mp3 can't hold 6 channels, 2 are the most" in one
