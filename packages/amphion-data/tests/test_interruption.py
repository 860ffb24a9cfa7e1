"""A preparation that is killed anywhere and started again ends as if nothing had happened."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from amphion_core.locking import LockedError, file_lock
from amphion_core.testing.files import digests
from amphion_data.preparing import prepare
from amphion_data.settings import PrepareSettings

KILLS = 24
SETTINGS = PrepareSettings(valid=4, test=4, per_shard=3, sample_rate=8000, trim=True)
CHILD = """
import sys, pathlib, amphion_core.audio, soundfile, soxr
from amphion_data.preparing import prepare
from amphion_data.settings import PrepareSettings
print("ready", flush=True)
source, out, settings, workers = sys.argv[1:]
settings = PrepareSettings.model_validate_json(settings)
prepare("ljspeech", source, out, settings, workers=int(workers), progress=False)
"""


def start(source, out, workers):
    """A process of its own group that has imported everything and begins to work."""
    command = [sys.executable, "-c", CHILD, str(source), str(out), SETTINGS.model_dump_json(), str(workers)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    with process.stdout as stdout:
        assert stdout.readline() == b"ready\n"
    return process


@pytest.fixture
def corpus(tmp_path, make_ljspeech):
    root = make_ljspeech(tmp_path / "corpus", chapters=12, sentences=4)
    (root / "wavs" / "LJ002-0002.wav").write_bytes(b"")
    (root / "wavs" / "LJ003-0003.wav").write_bytes(b"no audio")
    return root


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_killed_anywhere_and_run_again_it_writes_the_same_bytes(tmp_path, corpus):
    begin = time.monotonic()
    assert start(corpus, tmp_path / "whole", 2).wait(60) == 0
    length = time.monotonic() - begin
    whole = digests(tmp_path / "whole")
    rng = random.Random(0)
    unfinished = 0
    longest = 0.5 * length  # about half of the whole is the start of the process
    for trial in range(KILLS):
        out = tmp_path / f"killed-{trial}"
        process = start(corpus, out, 1 + trial % 2)
        time.sleep(rng.uniform(0, longest))
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        if (out / "prepare.json").exists():
            longest *= 0.8  # the first run was slower than these: kill earlier
        else:
            unfinished += 1
        report = prepare("ljspeech", corpus, out, SETTINGS, workers=1, progress=False)
        assert report.dropped == {"corrupt_audio": 1, "empty_audio": 1}
        assert digests(out) == whole
    assert unfinished >= KILLS // 2


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_killed_again_and_again_in_one_folder_it_still_ends_whole(tmp_path, corpus):
    rng = random.Random(1)
    out = tmp_path / "out"
    for _ in range(5):
        process = start(corpus, out, 2)
        time.sleep(rng.uniform(0, 0.1))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(60)
    prepare("ljspeech", corpus, out, SETTINGS, workers=1, progress=False)
    prepare("ljspeech", corpus, tmp_path / "whole", SETTINGS, workers=1, progress=False)
    assert digests(out) == digests(tmp_path / "whole")


def test_two_processes_in_one_folder_are_refused(tmp_path, corpus):
    out = tmp_path / "out"
    out.mkdir()
    # A lock belongs to a process, so the other holder has to be one.
    code = (
        "import sys; from amphion_core.locking import file_lock\n"
        "with file_lock(sys.argv[1]): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(out / ".preparing.lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE) as holder:
        assert holder.stdout.readline().strip() == b"held"
        with pytest.raises(LockedError, match="in use by another process"):
            prepare("ljspeech", corpus, out, SETTINGS, workers=1, progress=False)
        holder.stdin.close()
        holder.wait(30)
    with file_lock(out / ".preparing.lock"):
        pass


def test_a_folder_that_cannot_be_written_is_an_error_that_names_it(tmp_path, corpus):
    blocked = tmp_path / "file"
    blocked.write_text("in the way", encoding="utf-8")
    with pytest.raises(OSError, match="file"):
        prepare("ljspeech", corpus, blocked / "out", SETTINGS, workers=1, progress=False)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on file sizes")
def test_a_disk_that_fills_up_ends_the_run_with_a_word_and_the_next_one_is_whole(tmp_path, corpus):
    out = tmp_path / "out"
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))\n"
    arguments = [str(corpus), str(out), SETTINGS.model_dump_json(), "2"]
    done = subprocess.run(
        [sys.executable, "-c", limit + CHILD, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "File too large" in done.stderr
    assert not (out / "prepare.json").exists()
    prepare("ljspeech", corpus, out, SETTINGS, workers=1, progress=False)
    prepare("ljspeech", corpus, tmp_path / "whole", SETTINGS, workers=1, progress=False)
    assert digests(out) == digests(tmp_path / "whole")
