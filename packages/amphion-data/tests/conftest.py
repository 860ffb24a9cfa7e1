"""Sounds and corpora that the tests make."""

import numpy as np
import pytest
import soundfile


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
