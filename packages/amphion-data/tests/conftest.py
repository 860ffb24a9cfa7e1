"""Options of the tests, and sounds and corpora that they make."""

import contextlib
import os
import random
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

from amphion_core.testing.extra_marks import ExtraMarks

EXTRAS = ExtraMarks(
    Path(__file__).parent,
    {
        "ray": ("ray",),
        "vad": ("onnxruntime", "silero_vad"),
        "mos": ("onnxruntime", "speechmos"),
        "speaker": ("torch", "safetensors"),
        "asr": ("faster_whisper",),
        "transformers": ("torch", "transformers"),
        "diarize": ("pyannote",),
        "separate": ("onnxruntime",),
        "demucs": ("demucs",),
        "pipe": ("onnxruntime", "silero_vad", "speechmos"),
        "hf": ("pyarrow",),
    },
    beside={"ray": ("test_ledger.py",)},
)
pytest_addoption = EXTRAS.pytest_addoption
pytest_configure = EXTRAS.pytest_configure
pytest_collection_modifyitems = EXTRAS.pytest_collection_modifyitems


def running(title):
    """Processes below this one whose command line begins so; ids. Linux only."""
    parents, found = {}, []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            parents[int(place.name)] = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            if (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").startswith(title):
                found.append(int(place.name))

    def below(pid):
        while pid in parents:
            pid = parents[pid]
            if pid == os.getpid():
                return True
        return False

    return sorted(filter(below, found))


@pytest.fixture(name="running")
def running_fixture():
    """The function that finds them, by the beginning of their command lines."""
    return running


@pytest.fixture
def hunting():
    """Kills processes at random while a block runs; gives the list of those that it killed.

    A function of the function that names who may be killed, how many are to be, and the shortest and longest pause.
    """

    @contextlib.contextmanager
    def hunt(victims, kills, pause, seed=0):
        stop, generator, killed = threading.Event(), random.Random(seed), []

        def kill():
            # The first as soon as there is one: on a quick machine the whole run is over in two seconds.
            while len(killed) < kills and not stop.wait(generator.uniform(*pause) if killed else 0.02):
                alive = victims()
                if alive:
                    victim = generator.choice(alive)
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(victim, signal.SIGKILL)
                        killed.append(victim)

        hunter = threading.Thread(target=kill)
        hunter.start()
        try:
            yield killed
        finally:
            stop.set()
            hunter.join()

    return hunt


@pytest.fixture
def tone():
    """A tone of some seconds between two silences, as a function."""

    def make(seconds=0.5, sample_rate=16_000, silence=0.0, frequency=220.0, amplitude=0.3):
        time = np.arange(round(seconds * sample_rate)) / sample_rate
        sound = amplitude * np.sin(2 * np.pi * frequency * time)
        edge = np.zeros(round(silence * sample_rate))
        return np.concatenate([edge, sound, edge]).astype(np.float32)

    return make


@pytest.fixture
def write(tone):
    """Writes a tone to a file, making its folder, as a function."""

    def make(path, wav=None, sample_rate=16_000, format=None, subtype=None, **options):
        path.parent.mkdir(parents=True, exist_ok=True)
        wav = tone(sample_rate=sample_rate, **options) if wav is None else wav
        soundfile.write(path, wav, sample_rate, format=format, subtype=subtype)
        return path

    return make


@pytest.fixture
def make_ljspeech(write):
    """A corpus in the layout of LJSpeech, as a function of its folder and size."""

    def make(root, chapters=6, sentences=4, **options):
        lines = []
        for chapter in range(1, chapters + 1):
            for sentence in range(1, sentences + 1):
                name = f"LJ{chapter:03d}-{sentence:04d}"
                seconds = 0.2 + 0.02 * sentence
                write(
                    root / "wavs" / f"{name}.wav", seconds=seconds, frequency=100 + 10 * sentence + chapter, **options
                )
                lines.append(f"{name}|Mr. {sentence} said “so”.|mister {sentence} said  “so”.\n")
        (root / "metadata.csv").write_text("".join(lines), encoding="utf-8")
        return root

    return make
