"""Folders for what is on disk meanwhile."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from amphion_data.pipe.scratch import Scratch

HOLD = """
import sys, time
from amphion_data.pipe.scratch import Scratch
held = Scratch(sys.argv[1])
(held.path / "samples").write_bytes(bytes(1000))
print(held.path, flush=True)
time.sleep(60)
"""


def names(folder):
    return sorted(path.name for path in folder.glob("amphion-emilia-*"))


def test_a_folder_goes_with_its_block(tmp_path):
    with Scratch(str(tmp_path)) as place:
        (place / "file").write_text("x")
        assert names(tmp_path) == [place.name]
    assert names(tmp_path) == []


def test_a_folder_goes_with_its_holder(tmp_path):
    held = Scratch(str(tmp_path))
    assert names(tmp_path) == [held.path.name]
    del held
    assert names(tmp_path) == []


def test_one_process_may_hold_several(tmp_path):
    first, second = Scratch(str(tmp_path)), Scratch(str(tmp_path))
    with Scratch(str(tmp_path)):
        assert first.path.is_dir() and second.path.is_dir()
    assert names(tmp_path) == sorted([first.path.name, second.path.name])


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL, and no sweep")
def test_what_a_killed_process_left_behind_goes_with_the_next_one_and_what_a_living_one_holds_stays(tmp_path):
    killed, living = (
        subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    )
    try:
        left, held = (process.stdout.readline().strip() for process in (killed, living))
        killed.send_signal(signal.SIGKILL)
        killed.wait(60)
        with Scratch(str(tmp_path)) as own:
            assert not Path(left).exists() and (Path(held) / "samples").exists()
            assert len(names(tmp_path)) == 2 and own.is_dir()
    finally:
        for process in (killed, living):
            process.kill()
            process.wait(60)
            process.stdout.close()


def test_folders_of_other_machines_stay(tmp_path):
    other = tmp_path / "amphion-emilia-abc"
    other.mkdir()
    (other / "held-by-another-machine").touch()
    with Scratch(str(tmp_path)):
        assert other.is_dir()
