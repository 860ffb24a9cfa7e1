"""Folders as they are found: links, pipes and names that no program should have made cost only themselves."""

import json
import os
import sys

import pytest
import soundfile

from amphion_data.pipe import run_pipe
from amphion_data.pipe.spans import RATE

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse to make these names and files")


@pytest.fixture
def folder(tmp_path, speechlike):
    """One good recording."""
    place = tmp_path / "in"
    place.mkdir()
    soundfile.write(place / "good.wav", speechlike([(1.0, 5.0)], 7.0), RATE)
    return place


def drops(folder, out, settings):
    """What a run over the folder has left out; the good recording must be in."""
    assert run_pipe(folder, out, settings).kept == 1
    lines = (out / "drops.jsonl").read_text(encoding="utf-8").splitlines()
    return {row["audio"]: (row["reason"], row["detail"], row["stage"]) for row in map(json.loads, lines)}


def test_a_link_that_leads_nowhere_is_missing_audio(folder, tmp_path, cheap):
    (folder / "dead.wav").symlink_to("nowhere.wav")
    (folder / "self.wav").symlink_to("self.wav")
    assert drops(folder, tmp_path / "out", cheap()) == {
        "dead.wav": ("missing_audio", "FileNotFoundError: No such file or directory", "plan"),
        "self.wav": ("missing_audio", "OSError: Too many levels of symbolic links", "plan"),
    }


def test_a_pipe_is_missing_audio_and_nobody_waits_for_it(folder, tmp_path, cheap):
    os.mkfifo(folder / "pipe.wav")
    expected = ("missing_audio", "FileNotFoundError: it is a pipe or a device, no file", "plan")
    assert drops(folder, tmp_path / "out", cheap()) == {"pipe.wav": expected}


def test_a_name_that_is_no_utf8_is_a_bad_row(folder, tmp_path, cheap):
    for name in (b"bad\xff.wav", b".bad\xff.wav"):
        with open(os.fsencode(folder) + b"/" + name, "wb") as file:
            file.write((folder / "good.wav").read_bytes())
    assert drops(folder, tmp_path / "out", cheap()) == {
        r"bad\udcff.wav": ("bad_row", "the name of the file is not UTF-8; rename it", "plan"),
        r".bad\udcff.wav": ("hidden_file", "left by a system or an archiver", "plan"),
    }


def test_links_in_a_circle_are_walked_once_and_nothing_is_doubled(folder, tmp_path, cheap):
    (folder / "circle").symlink_to(".", target_is_directory=True)
    (folder / "sub").mkdir()
    (folder / "sub" / "up").symlink_to("..", target_is_directory=True)
    assert drops(folder, tmp_path / "out", cheap()) == {}


def test_a_text_that_is_a_dead_link_is_as_good_as_none(folder, tmp_path, cheap):
    (folder / "good.srt").symlink_to("nowhere.srt")
    report = run_pipe(folder, tmp_path / "out", cheap(transcribe="given"))
    assert report.drops == {"missing_text": 1}
