import os

import numpy as np
import pytest

from amphion_core import audio
from amphion_eval.cache import Store
from amphion_eval.pairing import Clip
from amphion_eval.reading import Reader
from amphion_eval.settings import Settings


def save(path, wav, rate=16000):
    path.write_bytes(audio.encode(np.asarray(wav, np.float32), rate, "wav", subtype="FLOAT"))
    return Clip(str(path))


def read(clip, on_error="fail"):
    return Reader(Settings(), on_error=on_error).sound(clip)


def test_clip_that_pairs_share_is_analysed_once(tmp_path, voice):
    reader, clip = Reader(Settings()), save(tmp_path / "a.wav", voice)
    assert reader.analysis(clip, 16000) is reader.analysis(clip, 16000)


def test_only_the_last_clips_are_kept_in_memory(tmp_path, voice):
    reader = Reader(Settings(), memory=2)
    clips = [save(tmp_path / f"{name}.wav", voice) for name in "abc"]
    first, *_ = [reader.analysis(clip, 16000) for clip in clips]
    assert reader.analysis(clips[2], 16000) is reader.analysis(clips[2], 16000)
    assert reader.analysis(clips[0], 16000) is not first


def test_analysis_at_another_rate_is_one_of_its_own(tmp_path, voice):
    reader, clip = Reader(Settings()), save(tmp_path / "a.wav", voice)
    assert len(reader.analysis(clip, 8000).wav) == len(reader.analysis(clip, 16000).wav) // 2


def test_analyses_are_taken_from_the_store_without_decoding_again(tmp_path, voice, monkeypatch):
    clip, store = save(tmp_path / "a.wav", voice), Store(tmp_path / "store")
    made = Reader(Settings(f0="dio"), store=store).analysis(clip, 16000)
    values = made.f0, made.energy, made.cepstra
    monkeypatch.setattr(Clip, "load", None)
    found = Reader(Settings(f0="dio"), store=store).analysis(clip, 16000)
    assert all(np.array_equal(*both) for both in zip(values, (found.f0, found.energy, found.cepstra), strict=True))


def test_store_tells_settings_and_content_apart(tmp_path, voice):
    clip, store = save(tmp_path / "a.wav", voice), Store(tmp_path / "store")
    by_dio = Reader(Settings(f0="dio"), store=store).analysis(clip, 16000).f0
    by_pyin = Reader(Settings(), store=store).analysis(clip, 16000).f0
    assert len(by_dio) != len(by_pyin)
    save(tmp_path / "a.wav", 0 * voice)
    assert not Reader(Settings(f0="dio"), store=store).analysis(clip, 16000).f0.any()


def test_reason_of_an_analysis_that_there_is_none_of_is_kept_too(tmp_path, voice):
    clip, store = save(tmp_path / "a.wav", 0 * voice), Store(tmp_path / "store")
    for _ in range(2):
        assert "silent" in Reader(Settings(), store=store).analysis(clip, 16000).cepstra.reason


def test_file_that_was_written_anew_is_read_anew(tmp_path, voice):
    clip = save(tmp_path / "a.wav", voice)
    reader = Reader(Settings())
    before = reader.sound(clip).wav
    save(tmp_path / "a.wav", -voice)
    os.utime(tmp_path / "a.wav", ns=(1, 1))  # the clock of a file system may be coarser than this test is quick
    assert np.allclose(reader.sound(clip).wav, -before)


def test_channels_become_their_mean(tmp_path):
    sound = read(save(tmp_path / "a.wav", [[0.2, 0.4], [0.0, 0.2]]))
    assert np.allclose(sound.wav, [0.1, 0.3]) and sound.record.channels == 2 and "2 channels" in sound.notes[0]


def test_file_that_cannot_be_read_ends_the_run_or_is_a_fault(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"garbage")
    clip = Clip(str(tmp_path / "a.wav"))
    with pytest.raises(ValueError, match=r"a\.wav"):
        read(clip)
    assert "can't be read" in read(clip, "record").fault


def test_clip_without_a_place_has_only_text():
    assert read(Clip("")).fault == "has no audio, only text"
