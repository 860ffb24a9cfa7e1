import io
import shutil
import struct
import tarfile
import zlib
from functools import partial

import numpy as np
import pytest
import soundfile

from amphion_core.audio import encode
from amphion_core.data import Record, write_shards
from amphion_core.data.index import Index, index_path, probe
from amphion_data.checking import check_folder
from amphion_data.extracting import extract
from amphion_data.preparing import prepare
from amphion_data.settings import PrepareSettings


@pytest.fixture
def shards(tmp_path, make_ljspeech):
    corpus = make_ljspeech(tmp_path / "corpus", chapters=3, sentences=3)
    settings = PrepareSettings(valid=3, test=0, per_shard=4)
    prepare("ljspeech", corpus, tmp_path / "out", settings, workers=1, progress=False)
    return tmp_path / "out"


def test_whole_shards_have_no_faults(shards):
    found = check_folder(shards, workers=1)
    assert (found.rows, found.shards, found.faults) == (9, 3, ())


@pytest.mark.slow
def test_any_number_of_workers_finds_the_same(shards):
    tar = shards / "train" / "shard-000001.tar"
    content = bytearray(tar.read_bytes())
    content[len(content) // 2] ^= 255
    tar.write_bytes(content)
    assert check_folder(shards, workers=1) == check_folder(shards, workers=2)
    assert check_folder(shards, workers=1).faults


@pytest.mark.parametrize("damage", ["byte", "cut"])
def test_a_damaged_shard_is_a_fault_that_names_it(shards, damage):
    tar = shards / "train" / "shard-000000.tar"
    content = bytearray(tar.read_bytes())
    if damage == "byte":
        content[1500] ^= 255
    else:
        del content[len(content) // 2 :]
    tar.write_bytes(content)
    faults = check_folder(shards, workers=1).faults
    assert faults
    assert all("shard-000000.tar" in fault for fault in faults)


@pytest.mark.parametrize("place", [0.02, 0.3, 0.6, 0.9])
def test_a_changed_sample_is_found_even_where_no_decoder_notices(tmp_path, make_ljspeech, place):
    corpus = make_ljspeech(tmp_path / "corpus", chapters=2, sentences=2)
    settings = PrepareSettings(valid=0, test=0, format="wav")
    prepare("ljspeech", corpus, tmp_path / "out", settings, workers=1, progress=False)
    tar = tmp_path / "out" / "train" / "shard-000000.tar"
    content = bytearray(tar.read_bytes())
    content[int(place * len(content))] ^= 1
    tar.write_bytes(content)
    assert check_folder(tar.parent, workers=1).faults


def test_a_shard_that_is_gone_is_a_fault(shards):
    (shards / "train" / "shard-000001.tar").unlink()
    assert any("shard-000001" in fault for fault in check_folder(shards, workers=1).faults)


def test_extracted_files_are_the_recordings(shards, tmp_path):
    paths = list(extract(shards, tmp_path / "files", text=True))
    assert len(paths) == 9
    for path in paths:
        original, rate = soundfile.read(tmp_path / "corpus" / "wavs" / path.name, dtype="float32")
        wav, found_rate = soundfile.read(path, dtype="float32")
        assert rate == found_rate
        np.testing.assert_array_equal(wav, original)
        assert path.with_suffix(".txt").read_text(encoding="utf-8").startswith("mister")


def test_extracting_the_stored_format_copies_its_bytes(shards, tmp_path):
    (path,) = extract(shards / "train", tmp_path / "files", limit=1, format="flac")
    assert path.read_bytes() in (shards / "train" / "shard-000000.tar").read_bytes()


def test_an_unknown_format_is_refused_before_anything_is_written(shards, tmp_path):
    with pytest.raises(ValueError, match="no audio format named 'tape'"):
        list(extract(shards, tmp_path / "files", format="tape"))
    assert not (tmp_path / "files").exists()


def test_a_fault_names_the_split_since_all_have_shards_of_one_name(shards):
    tar = shards / "valid" / "shard-000000.tar"
    tar.write_bytes(tar.read_bytes()[:2000])
    faults = check_folder(shards, workers=1).faults
    assert faults
    assert all(fault.startswith("valid/shard-000000.tar: ") for fault in faults)


def test_what_was_planted_is_named_whether_the_index_is_there_or_not(shards):
    tar = shards / "train" / "shard-000000.tar"
    with tarfile.open(tar, "a") as members:
        members.addfile(tarfile.TarInfo("../x.pkl"))
    with_index = check_folder(shards, workers=1).faults
    index_path(tar).unlink()
    for faults in (with_index, check_folder(shards, workers=1).faults):
        assert len(faults) == 2
        assert "../x.pkl" in faults[1]


@pytest.mark.parametrize("place", ["name", "size"])
def test_a_destroyed_header_is_a_fault_though_the_index_reads_past_it(shards, place):
    tar = shards / "train" / "shard-000000.tar"
    content = bytearray(tar.read_bytes())
    with tarfile.open(tar) as members:
        header = members.getmembers()[3].offset
    content[header + (3 if place == "name" else 130)] ^= 65
    tar.write_bytes(content)
    _index_anew(tar)
    faults = check_folder(shards, workers=1).faults
    assert faults
    assert all(fault.startswith("train/shard-000000.tar: ") and "header" in fault for fault in faults)


def _index_anew(tar):
    """Agree with the tar as it is now, as where the damage lies outside of what the index samples."""
    index = index_path(tar)
    data = index.read_bytes()
    noted = Index.load(index).head["probe"]
    changed = data[16:].replace(noted.encode(), probe(tar).encode())
    index.write_bytes(
        data[:12] + struct.pack("<I", zlib.crc32(changed, struct.unpack_from("<I", data, 8)[0])) + changed
    )


def test_an_index_that_is_gone_is_a_fault_and_is_not_made_anew(shards):
    index_path(shards / "train" / "shard-000001.tar").unlink()
    for _ in range(2):
        (fault,) = check_folder(shards, workers=1).faults
        assert fault.startswith("train/shard-000001.tar: its index")


def test_a_shard_that_nobody_wrote_is_a_fault(shards):
    shutil.copy(shards / "train" / "shard-000000.tar", shards / "train" / "shard-000009.tar")
    (fault,) = check_folder(shards, workers=1).faults
    assert fault.startswith("train/shard-000009.tar: it is none of the 2 shards that were written")


def test_a_split_that_is_gone_is_a_fault(shards):
    shutil.rmtree(shards / "valid")
    (fault,) = check_folder(shards, workers=1).faults
    assert "valid: 3 rows were written, 0 are there" in fault


@pytest.mark.parametrize("content", ["", "{", "[]", "\xff"])
def test_a_damaged_record_of_a_run_is_a_fault_and_a_word_to_the_next_run(shards, content):
    mark = shards / "prepare.json"
    mark.write_text(content, encoding="latin-1")
    (fault,) = check_folder(shards, workers=1).faults
    assert fault.startswith(f"{mark}: it is damaged")
    again = partial(
        prepare, "ljspeech", shards.parent / "corpus", shards, PrepareSettings(valid=3, test=0, per_shard=4)
    )
    with pytest.raises(ValueError, match=r"prepare\.json is damaged .*; remove it and run again"):
        again(workers=1, progress=False)
    again(workers=1, progress=False, overwrite=True)
    assert check_folder(shards, workers=1).faults == ()


def test_an_array_that_holds_objects_is_a_fault_and_is_not_run(tmp_path, tone):
    planted = tmp_path / "planted"

    class Planted:
        def __reduce__(self):
            return (planted.touch, ())

    buffer = io.BytesIO()
    np.save(buffer, np.array([Planted()], dtype=object), allow_pickle=True)
    fields = {"wav": encode(tone(0.5), 16_000, "wav"), "f0.npy": buffer.getvalue()}
    write_shards([{"id": "a"}], partial(_record, fields), tmp_path / "out", progress=False)
    (fault,) = check_folder(tmp_path / "out", workers=1).faults
    assert fault.startswith("shard-000000.tar: a: ")
    assert not planted.exists()


def _record(fields, row):
    return Record(row["id"], fields)


def test_a_row_that_cannot_be_extracted_is_named(shards, tmp_path):
    tar = shards / "train" / "shard-000000.tar"
    content = bytearray(tar.read_bytes())
    with tarfile.open(tar) as members:
        second = members.getmembers()[2]
    content[second.offset_data + second.size // 2] ^= 255
    tar.write_bytes(content)
    _index_anew(tar)
    with pytest.raises(ValueError, match=f"row 1 .{second.name.removesuffix('.flac')}"):
        list(extract(shards / "train", tmp_path / "files"))


def test_a_limit_that_asks_for_nothing_is_refused(shards, tmp_path):
    with pytest.raises(ValueError, match="limit must be at least 1, got 0"):
        list(extract(shards, tmp_path / "files", limit=0))
    assert not (tmp_path / "files").exists()
