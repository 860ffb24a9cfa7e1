import io
import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from amphion_core import audio
from amphion_core.data import ShardSet, write_shards
from amphion_core.data.index import index_path


def sound(seconds=0.5, format="mp3", seed=0, rate=24000):
    wav = (0.1 * np.random.default_rng(seed).standard_normal(round(rate * seconds))).astype(np.float32)
    return audio.encode(wav, rate, format)


def emilia(k, **changes):
    name = f"EN_B00000_S00000_W{k:06d}"
    row = {
        "id": name,
        "wav": f"EN_B00000/EN_B00000_S00000/mp3/{name}.mp3",
        "text": " That was yesterday.",
        "duration": 0.5,
        "speaker": "EN_B00000_S00000",
        "language": "en",
        "dnsmos": 3.21,
    }
    return name, json.dumps({**row, **changes}).encode()


def pack(path, entries):
    with tarfile.open(path, "w") as tar:
        for name, data in entries:
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(data), 1_700_000_000
            tar.addfile(member, io.BytesIO(data))
    return path


def pairs(*numbers):
    return [
        entry for k in numbers for entry in ((f"{emilia(k)[0]}.json", emilia(k)[1]), (f"{emilia(k)[0]}.mp3", sound()))
    ]


def reasons(shards):
    return [drop.reason for drop in shards.drops]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AMPHION_CACHE", str(tmp_path / "cache"))


def test_an_emilia_tar_is_read_as_published(tmp_path):
    shards = ShardSet.open(pack(tmp_path / "EN-B000000.tar", pairs(0, 1)))
    row = shards.utterance(1)
    assert (row.id, row.text, row.speaker, row.language) == (
        "EN_B00000_S00000_W000001",
        "That was yesterday.",
        "emilia:EN_B00000_S00000",
        "en",
    )
    assert row.duration == 0.5 and row.sample_rate == 24000
    assert row.extra["dnsmos"] == 3.21 and row.extra["tar"] == "EN-B000000.tar" and row.extra["release"] == "emilia"
    np.testing.assert_array_equal(shards.column("dnsmos"), [3.21, 3.21])
    assert shards.audio(0)[0].shape == (12000,)


def test_a_yodas_row_has_its_video_from_the_speaker(tmp_path):
    row = {"_id": "EN_aB-9_xYz012_W000002", "text": " Hi.", "duration": 0.5, "speaker": "EN_aB-9_xYz012_SPEAKER_01"}
    row |= {"language": "EN", "dnsmos": None, "phone_count": 31}
    tar = pack(
        tmp_path / "a.tar",
        [(row["_id"] + ".mp3", sound()), (row["_id"] + ".json", b"\xef\xbb\xbf" + json.dumps(row).encode())],
    )
    found = ShardSet.open(tar).utterance(0)
    assert found.speaker == "yodas:EN_aB-9_xYz012_SPEAKER_01" and found.language == "en"
    assert found.extra == {"phone_count": 31, "video": "aB-9_xYz012", "tar": "a.tar", "release": "yodas"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"id": "EN_B00000_S00000_W000009"}, "bad_row"),
        ({"duration": -1}, "duration_mismatch"),
        ({"duration": "long"}, "duration_mismatch"),
        ({"duration": 2.0}, "duration_mismatch"),
        ({"text": ["a"]}, "bad_row"),
    ],
)
def test_a_faulty_row_of_emilia_is_left_out_with_its_reason(tmp_path, changes, reason):
    name, row = emilia(7, **changes)
    tar = pack(tmp_path / "a.tar", [*pairs(0), (name + ".json", row), (name + ".mp3", sound())])
    shards = ShardSet.open(tar)
    assert len(shards) == 1 and [(d.id, d.reason) for d in shards.drops] == [(name, reason)]
    assert reasons(ShardSet.open(tar)) == [reason]  # from the index, the second time
    with pytest.raises(ValueError, match=reason):
        ShardSet.open(tar, on_error="fail")


@pytest.mark.parametrize("changes", [{"speaker": None}, {"dnsmos": None}, {"language": "EN"}])
def test_absent_values_of_emilia_are_none_and_the_row_stays(tmp_path, changes):
    name, row = emilia(0, **changes)
    shards = ShardSet.open(pack(tmp_path / "a.tar", [(name + ".json", row), (name + ".mp3", sound())]))
    assert len(shards) == 1 and shards.utterance(0).language == "en"


def test_pairs_may_stand_apart_and_in_any_order(tmp_path):
    entries = pairs(0, 1, 2)
    shards = ShardSet.open(pack(tmp_path / "a.tar", [entries[k] for k in (1, 3, 0, 5, 4, 2)]))
    assert list(shards.keys) == [emilia(k)[0] for k in (0, 1, 2)] and reasons(shards) == []


def test_a_member_twice_keeps_the_first(tmp_path):
    name, row = emilia(0)
    tar = pack(tmp_path / "a.tar", [(name + ".json", row), (name + ".mp3", sound()), (name + ".mp3", sound(0.1))])
    shards = ShardSet.open(tar)
    assert shards.durations.tolist() == [0.5] and reasons(shards) == ["duplicate_id"]


def test_keys_with_dots_are_told_apart_by_the_last_dot(tmp_path, caplog):
    entries = []
    for name in ("v1.2_x", "v1.3_x"):
        entries += [(f"{name}.flac", sound(format="flac")), (f"{name}.json", b'{"text": "%s"}' % name.encode())]
        entries += [(f"{name}.mel.npy", b"x")]
    shards = ShardSet.open(pack(tmp_path / "a.tar", entries))
    assert list(shards.keys) == ["v1.2_x", "v1.3_x"] and shards.utterance(1).text == "v1.3_x"
    assert sorted(shards[0].fields) == ["flac", "json", "mel.npy"]
    assert "dots in their keys" in caplog.text


@pytest.mark.slow
def test_a_plain_webdataset_tar_is_read_without_an_index(tmp_path):
    import webdataset

    path = str(tmp_path / "a.tar")
    with webdataset.TarWriter(path) as sink:
        for k in range(5):
            sink.write(
                {"__key__": f"dir/k{k}", "flac": sound(0.1 * (k + 1), "flac"), "json": {"text": f"t{k}", "speaker": k}}
            )
    shards = ShardSet.open(path)
    assert list(shards.keys) == [f"dir/k{k}" for k in range(5)]
    np.testing.assert_allclose(shards.durations, 0.1 * np.arange(1, 6))
    assert list(shards.speakers) == ["0", "1", "2", "3", "4"] and shards.utterance(4).text == "t4"
    for mine, theirs in zip(shards, webdataset.WebDataset(path, shardshuffle=False), strict=True):
        assert mine.fields["flac"] == theirs["flac"] and mine.key == theirs["__key__"]


def test_text_members_are_the_text(tmp_path):
    shards = ShardSet.open(pack(tmp_path / "a.tar", [("a.wav", sound(format="wav")), ("a.txt", b" hello\n")]))
    assert shards.utterance(0).text == "hello" and shards.utterance(0).id == "a"


def test_extensions_in_capitals_and_wrong_ones_are_read_by_content(tmp_path):
    shards = ShardSet.open(pack(tmp_path / "a.tar", [("a.FLAC", sound(format="flac")), ("b.wav", sound(format="mp3"))]))
    assert len(shards) == 2 and sorted(shards[0].fields) == ["flac"]


def test_unknown_extensions_are_kept_as_bytes(tmp_path):
    shards = ShardSet.open(pack(tmp_path / "a.tar", [("a.wav", sound(format="wav")), ("a.xyz", b"?")]))
    assert shards[0].fields["xyz"] == b"?"


@pytest.mark.parametrize("rate", [8000, 192000])
def test_rates_of_the_audio_are_those_of_the_index(tmp_path, rate):
    shards = ShardSet.open(pack(tmp_path / "a.tar", [("a.flac", sound(0.01, "flac", rate=rate))]))
    assert shards.sample_rates.tolist() == [rate] and shards.durations[0] == pytest.approx(0.01)


def bad_sounds():
    def wav(samples, **options):
        buffer = io.BytesIO()
        soundfile.write(buffer, samples, 24000, format="WAV", **options)
        return buffer.getvalue()

    long_header = bytearray(sound(format="wav"))
    long_header[40:44] = struct.pack("<I", 10**6)
    nan = np.full(100, np.nan)
    return {
        "empty": (b"", "empty_audio"),
        "no samples": (wav(np.zeros(0)), "empty_audio"),
        "text": (b"hello" * 100, "corrupt_audio"),
        "long header": (bytes(long_header), "truncated_audio"),
        "half flac": (sound(format="flac")[:4000], "corrupt_audio"),
        "half mp3": (sound()[:2000], "truncated_audio"),
        "half opus": (sound(format="opus")[:2000], "truncated_audio"),
        "nan": (wav(nan, subtype="FLOAT"), None),  # seen when it is read: finding it here would decode every WAV
    }


@pytest.mark.parametrize("kind", list(bad_sounds()))
def test_bad_audio_is_left_out_with_its_reason(tmp_path, kind):
    data, reason = bad_sounds()[kind]
    tar = pack(tmp_path / "a.tar", [("good.wav", sound(format="wav")), ("bad.wav", data)])
    shards = ShardSet.open(tar)
    if reason is None:
        with pytest.raises(audio.AudioError, match=r"row 1 \(bad\).*NaN"):
            shards.audio(1)
    else:
        assert list(shards.keys) == ["good"] and reasons(shards) == [reason]


@pytest.mark.parametrize("samples", [np.zeros(2400), np.ones(2400), np.full(2400, 0.3)])
def test_silence_clipping_and_offset_are_for_the_preparation_to_judge(tmp_path, samples):
    tar = pack(tmp_path / "a.tar", [("a.flac", audio.encode(samples.astype(np.float32), 24000, "flac"))])
    assert len(ShardSet.open(tar)) == 1


@pytest.mark.parametrize("channels", [2, 8])
def test_several_channels_are_read_as_their_mean(tmp_path, channels):
    wav = np.random.default_rng(0).uniform(-0.5, 0.5, (channels, 2400)).astype(np.float32)
    shards = ShardSet.open(pack(tmp_path / "a.tar", [("a.flac", audio.encode(wav, 24000, "flac"))]))
    np.testing.assert_allclose(shards.audio(0)[0], wav.mean(axis=0), atol=4e-5)  # a step of 16 bits


@pytest.mark.parametrize("name", ["../a.wav", "/a.wav", "x/../../a.wav", "c:a.wav", "x\\..\\a.wav"])
def test_names_that_lead_out_are_refused(tmp_path, name):
    shards = ShardSet.open(pack(tmp_path / "a.tar", [(name, sound(format="wav")), ("good.wav", sound(format="wav"))]))
    assert list(shards.keys) == ["good"] and reasons(shards) == ["unsafe_path"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path, kind):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        link = tarfile.TarInfo("secret.wav")
        link.type, link.linkname = kind, "/etc/passwd"
        tar.addfile(link)
        good = tarfile.TarInfo("good.wav")
        good.size = len(sound(format="wav"))
        tar.addfile(good, io.BytesIO(sound(format="wav")))
    shards = ShardSet.open(path)
    assert list(shards.keys) == ["good"] and reasons(shards) == ["unsafe_path"]


def test_hidden_files_are_no_audio(tmp_path):
    names = ["._a.wav", "__MACOSX/a.wav", "a.wav"]
    shards = ShardSet.open(pack(tmp_path / "a.tar", [(name, sound(format="wav")) for name in names]))
    assert list(shards.keys) == ["a"] and reasons(shards) == ["hidden_file", "hidden_file"]


@pytest.mark.parametrize("extension", ["pickle", "pkl", "pyd", "pth", "PT"])
def test_pickles_are_never_executed(tmp_path, extension):
    mark = tmp_path / "mark"

    class Planted:
        def __reduce__(self):
            return (open, (str(mark), "w"))

    data = pickle.dumps(Planted())
    shards = ShardSet.open(
        pack(tmp_path / "a.tar", [("a.wav", sound(format="wav")), (f"a.{extension}", data), ("a.x.npy", data)])
    )
    assert sorted(shards[0].fields) == ["wav", "x.npy"] and reasons(shards) == ["unsafe_path"]
    with pytest.raises(ValueError):
        shards.array(0, "x")
    assert not mark.exists()


def test_strange_names_are_keys_like_others(tmp_path):
    names = ["ü日本", "-rf", "a b", "n" * 300]
    shards = ShardSet.open(pack(tmp_path / "a.tar", [(name + ".wav", sound(format="wav")) for name in names]))
    assert list(shards.keys) == names


# Damaged tars.


def whole_tar(path):
    return pack(path, pairs(0, 1, 2, 3)).read_bytes()


def test_an_empty_tar_file_is_an_error(tmp_path):
    (tmp_path / "a.tar").write_bytes(b"")
    with pytest.raises(ValueError, match="is empty: 0 bytes"):
        ShardSet.open(tmp_path / "a.tar")


def test_garbage_is_an_error(tmp_path):
    (tmp_path / "a.tar").write_bytes(np.random.default_rng(0).bytes(5000))
    with pytest.raises(ValueError, match="is no tar, or its beginning is destroyed"):
        ShardSet.open(tmp_path / "a.tar")


def test_a_compressed_tar_says_what_to_do(tmp_path):
    import gzip

    (tmp_path / "a.tar").write_bytes(gzip.compress(whole_tar(tmp_path / "b.tar")))
    with pytest.raises(ValueError, match=r"compressed by gzip.*unpack"):
        ShardSet.open(tmp_path / "a.tar")


@pytest.mark.parametrize("where", ["header", "member"])
def test_a_cut_tar_keeps_the_rows_before_and_tells_of_the_rest(tmp_path, where):
    data = whole_tar(tmp_path / "a.tar")
    third = data.rindex(b"EN_B00000_S00000_W000002.mp3")
    (tmp_path / "a.tar").write_bytes(data[: third + (100 if where == "header" else 700)])
    shards = ShardSet.open(tmp_path / "a.tar")
    assert list(shards.keys) == [emilia(0)[0], emilia(1)[0]]
    assert reasons(shards) == ["truncated_audio", "missing_audio"]  # the tar, and the row whose audio is gone
    with pytest.raises(ValueError, match="truncated_audio"):
        ShardSet.open(tmp_path / "a.tar", on_error="fail")


def test_a_destroyed_header_keeps_the_rows_before_and_tells_of_the_rest(tmp_path):
    data = bytearray(whole_tar(tmp_path / "a.tar"))
    third = data.index(b"EN_B00000_S00000_W000002.json")
    data[third : third + 512] = bytes(512)
    (tmp_path / "a.tar").write_bytes(data)
    shards = ShardSet.open(tmp_path / "a.tar")
    assert len(shards) == 2 and reasons(shards) == ["corrupt_audio"]


def test_a_tar_without_its_end_marker_is_read_with_a_warning(tmp_path, caplog):
    data = whole_tar(tmp_path / "a.tar")
    (tmp_path / "a.tar").write_bytes(data.rstrip(b"\0") + bytes(-len(data.rstrip(b"\0")) % 512))
    assert len(ShardSet.open(tmp_path / "a.tar")) == 4
    assert "has no end marker" in caplog.text


def test_a_bad_tar_among_good_ones_is_left_out_and_listed(tmp_path):
    pack(tmp_path / "a.tar", pairs(0, 1))
    (tmp_path / "b.tar").write_bytes(b"")
    shards = ShardSet.open(tmp_path)
    assert len(shards) == 2 and [(d.id, d.reason) for d in shards.drops] == [("b.tar", "corrupt_audio")]
    with pytest.raises(ValueError, match="is empty"):
        ShardSet.open(tmp_path, on_error="fail")
    listed = ShardSet.open([tmp_path / "a.tar", tmp_path / "gone.tar"])
    assert [(d.id, d.reason) for d in listed.drops] == [("gone.tar", "missing_audio")]


# Where the index goes.


@pytest.mark.slow
def test_the_index_does_not_depend_on_the_number_of_workers(tmp_path):
    entries = [(f"k{k:04d}.wav", sound(0.01, "wav", k)) for k in range(600)]
    tar = pack(tmp_path / "a.tar", entries)
    ShardSet.open(tar, workers=1)
    one = index_path(tar).read_bytes()
    index_path(tar).unlink()
    ShardSet.open(tar, workers=2)
    assert index_path(tar).read_bytes() == one


@pytest.fixture
def readonly(tmp_path_factory):
    """A tar in a folder that may not be written, as a user whom that binds."""
    outer = Path(tempfile.mkdtemp())
    outer.chmod(0o755)
    folder = outer / "readonly"
    folder.mkdir()
    (outer / "cache").mkdir()
    (outer / "cache").chmod(0o777)
    pack(folder / "data.tar", pairs(0))
    len(ShardSet.open(pack(tmp_path_factory.mktemp("warm") / "x.tar", pairs(0))))  # imports, while they are readable
    folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield folder / "data.tar"
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o755)
        shutil.rmtree(outer)


@pytest.mark.skipif(os.name == "nt", reason="permissions of this kind are those of POSIX")
def test_an_index_goes_to_the_cache_where_the_folder_is_read_only(readonly, monkeypatch):
    cache = readonly.parent.parent / "cache"
    monkeypatch.setenv("AMPHION_CACHE", str(cache))
    assert len(ShardSet.open(readonly)) == 1
    assert not index_path(readonly).exists() and len(list(cache.glob("indices/data.tar-*.idx"))) == 1
    assert len(ShardSet.open(readonly)) == 1


@pytest.mark.skipif(os.name == "nt", reason="permissions of this kind are those of POSIX")
def test_an_index_stays_in_memory_where_nothing_can_be_written(readonly, monkeypatch, caplog):
    monkeypatch.setenv("AMPHION_CACHE", str(readonly.parent / "cache"))
    shards = ShardSet.open(readonly)
    assert "kept in memory" in caplog.text
    again = pickle.loads(pickle.dumps(shards))
    assert again[0].key == emilia(0)[0]


@pytest.mark.slow
def test_two_processes_that_index_one_tar_both_get_it_whole(tmp_path):
    tar = pack(tmp_path / "a.tar", [(f"k{k:04d}.flac", sound(0.05, "flac", k)) for k in range(200)])
    code = f"from amphion_core.data import ShardSet; print(len(ShardSet.open({str(tar)!r})))"
    running = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate()[0] for process in running] == ["200\n"] * 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar", "a.tar.idx", "cache"]


def test_our_shard_whose_index_was_lost_is_read_the_same(tmp_path):
    from amphion_core.data import Record
    from amphion_core.schema import Utterance

    def encode(row):
        return Record(row.id, {"flac": sound(0.2, "flac"), "json": row.to_json().encode()})

    rows = [Utterance(id=name, speaker="s", extra={"snr": 3}) for name in ("a.b/c", "x y", "plain")]
    write_shards(rows, encode, tmp_path / "s", progress=False)
    before = ShardSet.open(tmp_path / "s")
    expected = [before.utterance(k) for k in range(3)]
    index_path(before.tars[0]).unlink()
    after = ShardSet.open(before.tars[0])
    assert list(after.keys) == ["a.b/c", "x y", "plain"] and [after.utterance(k) for k in range(3)] == expected
