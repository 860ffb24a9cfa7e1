import os

import numpy as np
import pytest

from amphion_core import audio
from amphion_eval.pairing import Clip
from amphion_eval.reading import analyse, read
from amphion_eval.settings import Settings


def save(path, wav, rate=16000):
    path.write_bytes(audio.encode(np.asarray(wav, np.float32), rate, "wav", subtype="FLOAT"))
    return Clip(str(path))


def test_clip_that_pairs_share_is_analysed_once(tmp_path, voice):
    clip = save(tmp_path / "a.wav", voice)
    assert analyse(clip, 16000, Settings()) is analyse(clip, 16000, Settings())


def test_other_settings_and_rates_are_analyses_of_their_own(tmp_path, voice):
    clip = save(tmp_path / "a.wav", voice)
    first = analyse(clip, 16000, Settings())
    assert analyse(clip, 16000, Settings(f0="dio")) is not first
    assert len(analyse(clip, 8000, Settings()).wav) == len(first.wav) // 2


def test_file_that_was_written_anew_is_read_anew(tmp_path, voice):
    clip = save(tmp_path / "a.wav", voice)
    before = read(clip).wav
    save(tmp_path / "a.wav", -voice)
    os.utime(tmp_path / "a.wav", ns=(1, 1))  # the clock of a file system may be coarser than this test is quick
    assert np.allclose(read(clip).wav, -before)


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
