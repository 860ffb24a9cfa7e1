import json
import pickle
import threading

import numpy as np
import pytest

from amphion_core import audio
from amphion_core.data import Record, ShardSet, SourceConfig, open_source, write_shards
from amphion_core.data.index import Entry, Index, IndexBuilder, IndexFileError, Place, index_path
from amphion_core.schema import Utterance


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")

    def encode(k):
        wav = (0.1 * np.random.default_rng(k).standard_normal(2400 + 240 * k)).astype(np.float32)
        row = Utterance(
            id=f"r{k:03d}",
            speaker=f"s{k % 4}" if k % 5 else None,
            language=["en", "de"][k % 2],
            text="t" * k,
            extra={"snr": k},
        )
        buffer = np.lib.format.magic(1, 0)
        del buffer
        return Record(
            row.id,
            {"wav": audio.encode(wav, 24000), "json": row.to_json().encode(), "mel.npy": npy(np.full((3, k + 1), k))},
        )

    write_shards(list(range(40)), encode, folder, per_shard=9, progress=False)
    return folder


def npy(array, **options):
    import io

    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


@pytest.fixture
def shards(folder):
    return ShardSet.open(folder)


def test_columns_are_those_of_the_rows(shards):
    assert len(shards) == 40
    assert list(shards.keys) == [f"r{k:03d}" for k in range(40)]
    np.testing.assert_array_equal(shards.durations, (2400 + 240 * np.arange(40)) / 24000)
    assert set(shards.sample_rates.tolist()) == {24000}
    assert list(shards.speakers) == [f"s{k % 4}" if k % 5 else None for k in range(40)]
    assert list(shards.languages) == ["en", "de"] * 20
    np.testing.assert_array_equal(shards.column("snr"), np.arange(40))
    np.testing.assert_array_equal(shards.column("characters"), np.arange(40))
    assert shards.column("text")[3] == "ttt"
    assert shards.extras == ["snr"]


def test_audio_and_arrays_of_a_row(shards):
    wav, rate = shards.audio(7)
    assert rate == 24000 and wav.shape == (2400 + 240 * 7,)
    np.testing.assert_array_equal(shards.array(7, "mel"), np.full((3, 8), 7))
    part, _ = shards.audio(7, start=0.05, duration=0.01)
    np.testing.assert_array_equal(part, wav[1200:1440])
    assert shards.audio(7, sample_rate=16000)[0].shape == (2720,)


def test_rows_count_from_the_end_too_and_beyond_is_an_error(shards):
    assert shards[-1].key == "r039"
    for row in (40, -41):
        with pytest.raises(IndexError, match="of a set of 40"):
            shards[row]


def test_an_absent_array_names_those_that_are_there(shards):
    with pytest.raises(LookupError, match=r"no array 'f0'; its fields: json, mel\.npy, wav"):
        shards.array(0, "f0")


def test_selection_is_what_a_loop_would_take(shards):
    taken = shards.select(min_duration=0.15, max_duration=0.3, speakers=["s1", "s2"], languages=["de"])
    expected = [
        k for k in range(40) if 0.15 <= (2400 + 240 * k) / 24000 <= 0.3 and k % 5 and k % 4 in (1, 2) and k % 2 == 1
    ]
    assert [record.key for record in taken] == [f"r{k:03d}" for k in expected]
    assert list(taken.keys) == [f"r{k:03d}" for k in expected]


def test_a_selection_of_a_selection(shards):
    taken = shards.take([30, 20, 10]).take([2, 0])
    assert [record.key for record in taken] == ["r010", "r030"]
    mask = np.array([False, True])
    assert taken.select(mask=mask).keys[0] == "r030"
    with pytest.raises(ValueError, match="2 booleans"):
        taken.select(mask=np.ones(3, bool))


def test_a_pickled_set_is_small_and_the_same(shards):
    taken = shards.select(languages=["en"])
    data = pickle.dumps(taken)
    assert len(data) < 4000  # names of files and numbers of rows, no index
    again = pickle.loads(data)
    assert [r.key for r in again] == [r.key for r in taken]


def test_threads_read_what_one_would(shards):
    expected = [record.fields["wav"] for record in shards]
    wrong = []

    def read(seed):
        for k in np.random.default_rng(seed).integers(0, 40, 200):
            if shards[int(k)].fields["wav"] != expected[k]:
                wrong.append(k)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.slow
def test_more_shards_than_open_files(tmp_path):
    write_shards(
        list(range(100)), lambda k: Record(f"k{k}", {"npy": bytes([k])}), tmp_path, per_shard=1, progress=False
    )
    shards = ShardSet.open(tmp_path)
    for _ in range(2):
        assert [record.fields["npy"] for record in shards] == [bytes([k]) for k in range(100)]


def test_verify_finds_a_changed_byte(tmp_path):
    write_shards([1, 2], lambda k: Record(f"k{k}", {"npy": bytes(5000)}), tmp_path, progress=False)
    shards = ShardSet.open(tmp_path)
    shards.verify()
    path = shards.tars[0]
    data = bytearray(path.read_bytes())
    data[700] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"1 fields are not what was written: shard-000000\.tar: k1\.npy"):
        ShardSet.open(tmp_path).verify()


def test_a_tar_that_is_replaced_by_another_is_indexed_again(tmp_path, caplog):
    for name, value in (("a", 1), ("b", 2)):
        write_shards([value], lambda k: Record(f"k{k}", {"npy": bytes([k])}), tmp_path / name, progress=False)
    tar = tmp_path / "a" / "shard-000000.tar"
    assert ShardSet.open(tar).keys[0] == "k1"
    tar.write_bytes((tmp_path / "b" / "shard-000000.tar").read_bytes())
    assert ShardSet.open(tar).keys[0] == "k2"
    assert "belongs to other content" in caplog.text


def test_objects_in_an_array_are_never_loaded(tmp_path):
    mark = tmp_path / "mark"

    class Planted:
        def __reduce__(self):
            return (open, (str(mark), "w"))

    planted = npy(np.array([Planted()], object), allow_pickle=True)
    mark.unlink(missing_ok=True)
    write_shards([1], lambda k: Record("a", {"x.npy": planted}), tmp_path / "s", progress=False)
    with pytest.raises(ValueError, match="allow_pickle"):
        ShardSet.open(tmp_path / "s").array(0, "x")
    assert not mark.exists()


def test_a_row_without_audio_says_so(tmp_path):
    write_shards([1], lambda k: Record("a", {"x.npy": npy(np.ones(2))}), tmp_path, progress=False)
    with pytest.raises(LookupError, match=r"row 0 \(a\).*has no audio"):
        ShardSet.open(tmp_path).audio(0)


def test_a_source_takes_the_filters_of_the_recipe(folder):
    taken = open_source(SourceConfig(path=str(folder), min_duration=0.2, languages=("de",)))
    assert 0 < len(taken) < 20 and taken.durations.min() >= 0.2


def test_an_empty_source_names_each_filter_and_what_passes_it(folder):
    with pytest.raises(ValueError, match=r"is left of 40: min_duration=99\.0 s: 0 pass; languages=en: 20 pass"):
        open_source(SourceConfig(path=str(folder), min_duration=99.0, languages=("en",)))


def test_a_missing_shard_is_an_error(tmp_path):
    write_shards(list(range(4)), lambda k: Record(f"k{k}", {"npy": bytes([k])}), tmp_path, per_shard=2, progress=False)
    (tmp_path / "shard-000001.tar").unlink()
    with pytest.raises(FileNotFoundError, match=r"shard-000001\.tar of .* is missing; 2 were written"):
        ShardSet.open(tmp_path)


def test_an_unfinished_folder_is_an_error(tmp_path):
    write_shards([1], lambda k: Record("a", {"npy": b"x"}), tmp_path, progress=False)
    manifest = json.loads((tmp_path / "shards.json").read_text())
    (tmp_path / "shards.json").write_text(json.dumps({**manifest, "complete": False, "planned": 3}))
    with pytest.raises(ValueError, match="1 of 3 shards are there"):
        ShardSet.open(tmp_path)


def test_a_manifest_that_leads_out_of_its_folder_is_refused(tmp_path):
    write_shards([1], lambda k: Record("a", {"npy": b"x"}), tmp_path / "s", progress=False)
    path = tmp_path / "s" / "shards.json"
    path.write_text(path.read_text().replace("shard-000000.tar", "../shard-000000.tar"))
    with pytest.raises(ValueError, match="outside its folder"):
        ShardSet.open(tmp_path / "s")


@pytest.mark.parametrize("damage", [("{", "["), ('"bytes"', '"bytez"'), ("1", "]"), ('"shards"', '"sharts"')])
def test_a_damaged_manifest_is_named(tmp_path, damage):
    write_shards([1], lambda k: Record("a", {"npy": b"x"}), tmp_path / "s", progress=False)
    path = tmp_path / "s" / "shards.json"
    path.write_text(path.read_text().replace(*damage))
    with pytest.raises(ValueError, match=r"shards\.json is damaged"):
        ShardSet.open(tmp_path / "s")


def test_a_folder_of_several_sets_names_them(tmp_path):
    for name in ("train", "valid"):
        write_shards([1], lambda k: Record("a", {"npy": b"x"}), tmp_path / name, progress=False)
    with pytest.raises(ValueError, match=r"several sets of shards .*train, valid"):
        ShardSet.open(tmp_path)


def test_lists_ranges_and_sequences_stand_for_tars(tmp_path):
    write_shards(list(range(6)), lambda k: Record(f"k{k}", {"npy": bytes([k])}), tmp_path, per_shard=2, progress=False)
    (tmp_path / "some.txt").write_text("# two\nshard-000002.tar\nshard-000000.tar\n")
    assert list(ShardSet.open(tmp_path / "some.txt").keys) == ["k4", "k5", "k0", "k1"]
    assert list(ShardSet.open(str(tmp_path / "shard-{000001..000002}.tar")).keys) == ["k2", "k3", "k4", "k5"]
    assert len(ShardSet.open([tmp_path, tmp_path / "shard-000000.tar"])) == 8


@pytest.mark.parametrize("source", ["pipe:touch x", "cat x.tar |"])
def test_pipes_are_refused(source):
    with pytest.raises(ValueError, match="pipes run programs"):
        ShardSet.open(source)


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="no shard at"):
        ShardSet.open(tmp_path / "none")
    (tmp_path / "notes.md").write_text("x")
    with pytest.raises(FileNotFoundError, match=r"no tar in .*notes\.md"):
        ShardSet.open(tmp_path)
    with pytest.raises(ValueError, match="scheme 'ftp'"):
        ShardSet.open("ftp://host/a.tar")


# The index file.


def entries(count):
    return [
        Entry(
            f"key{k}é",
            [Place("flac", 512 + k, 100, k), Place("json", 2048 + k, 20, k)],
            k / 4,
            24000,
            f"s{k}",
            None,
            k,
            {"x": k},
        )
        for k in range(count)
    ]


def build(count):
    builder = IndexBuilder()
    for entry in entries(count):
        builder.add(entry)
    return builder


def test_an_index_comes_back_and_is_the_same_twice(tmp_path):
    index = build(5).write(tmp_path / "a.idx", "0-0", note="x")
    again = Index.load(tmp_path / "a.idx")
    for found in (index, again):
        assert list(found.keys) == [f"key{k}é" for k in range(5)] and found.head["note"] == "x"
        assert found.places(3) == entries(5)[3].places and found.audio_place(3).field == "flac"
        assert list(found.speakers) == [f"s{k}" for k in range(5)] and list(found.languages) == [None] * 5
    assert build(5).to_bytes("0-0", note="x") == (tmp_path / "a.idx").read_bytes()


def test_an_empty_index_is_one(tmp_path):
    index = build(0).write(tmp_path / "a.idx", "0-0")
    assert index.count == 0 and list(index.keys) == [] and index.drops == []


def test_any_damage_of_an_index_is_noticed(tmp_path):
    good = build(50).to_bytes("0-0")
    rng = np.random.default_rng(0)
    for place in [*rng.integers(0, len(good), 40).tolist(), 0, 8, 12, len(good) - 1]:
        data = bytearray(good)
        data[place] ^= 0xFF
        (tmp_path / "a.idx").write_bytes(data)
        with pytest.raises(IndexFileError):
            Index.load(tmp_path / "a.idx")
    for size in (0, 5, 100, len(good) - 1):
        (tmp_path / "a.idx").write_bytes(good[:size])
        with pytest.raises(IndexFileError):
            Index.load(tmp_path / "a.idx")


def test_a_damaged_index_is_made_anew_with_a_word(tmp_path, caplog):
    write_shards([1], lambda k: Record("a", {"npy": b"x"}), tmp_path, progress=False)
    tar = tmp_path / "shard-000000.tar"
    index_path(tar).write_bytes(b"garbage")
    assert ShardSet.open(tar).keys[0] == "a"
    assert "no index of a shard" in caplog.text


@pytest.mark.slow
@pytest.mark.timeout(120)  # takes about one second; row by row it would be minutes
def test_a_million_rows_open_and_filter(tmp_path):
    # One index stands for 100 shards of 10,000 rows: what opening costs per row is the same.
    builder = build(10_000)
    tars = []
    for k in range(100):
        tar = tmp_path / f"s{k:03d}.tar"
        tar.write_bytes(bytes(1024))
        tars.append(tar)
    from amphion_core.data.index import probe

    data = builder.to_bytes(probe(tars[0]), made_by="write")
    for tar in tars:
        index_path(tar).write_bytes(data)
    shards = ShardSet.open(tars)
    taken = shards.select(min_duration=100.0, max_duration=200.0, speakers=["s500", "s600"])
    assert len(shards) == 1_000_000 and len(taken) == 200
