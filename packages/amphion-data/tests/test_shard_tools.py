import numpy as np
import pytest
import soundfile

from amphion_data.checking import check_folder
from amphion_data.extracting import extract
from amphion_data.prepare import prepare
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
