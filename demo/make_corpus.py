"""A small corpus in the LJSpeech layout: our own sentences, spoken by espeak-ng from its wheel.

The recordings are made on the spot and are nobody's voice; the sentences beside this file are ours (MIT).
"""

from __future__ import annotations

import ctypes
from pathlib import Path

import espeakng_loader
import numpy as np

from amphion_core import audio

__all__ = ["make_corpus"]

SENTENCES = Path(__file__).with_name("sentences.txt")
PER_CHAPTER = 10
_SYNCHRONOUS, _UTF8, _RATE, _PITCH = 2, 1, 1, 3


class _Event(ctypes.Structure):
    """Start of espeak_EVENT; the callback only needs its size for the call."""


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


def make_corpus(root: Path, voice: str = "en-us", sample_rate: int = 22050) -> int:
    """Speak every sentence; returns their number.

    Args:
        root: folder of the corpus, filled with metadata.csv and wavs/.
        voice: voice of espeak-ng.
        sample_rate: Hz of the files.
    """
    sentences = [line.strip() for line in SENTENCES.read_text(encoding="utf-8").splitlines() if line.strip()]
    (root / "wavs").mkdir(parents=True, exist_ok=True)
    speak = _speaker(voice)
    rows = []
    for number, sentence in enumerate(sentences):
        name = f"DM{number // PER_CHAPTER + 1:03d}-{number % PER_CHAPTER + 1:04d}"
        wav, rate = speak(sentence)
        wav = audio.resample(wav, rate, sample_rate)
        audio.save(root / "wavs" / f"{name}.wav", wav, sample_rate)
        rows.append(f"{name}|{sentence}|{sentence}\n")
    (root / "metadata.csv").write_text("".join(rows), encoding="utf-8")
    return len(rows)


def _speaker(voice: str):  # type: ignore[no-untyped-def]
    """A function from text to samples; the library keeps its state in the process, so it is set up once."""
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    chunks: list[np.ndarray] = []

    @_CALLBACK
    def receive(samples, count, _events):  # type: ignore[no-untyped-def]
        if samples and count > 0:
            chunks.append(np.ctypeslib.as_array(samples, shape=(count,)).astype(np.float32) / 32768)
        return 0

    rate = library.espeak_Initialize(_SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), 0)
    if rate <= 0:
        raise RuntimeError(f"espeak-ng could not start: code {rate}")
    library.espeak_SetSynthCallback(receive)
    if library.espeak_SetVoiceByName(voice.encode()) != 0:
        raise ValueError(f"espeak-ng has no voice {voice!r}")
    library.espeak_SetParameter(_RATE, 165, 0)
    library.espeak_SetParameter(_PITCH, 45, 0)

    def speak(text: str) -> tuple[np.ndarray, int]:
        chunks.clear()
        data = text.encode() + b"\0"
        library.espeak_Synth(data, len(data), 0, 0, 0, _UTF8, None, None)
        library.espeak_Synchronize()
        if not chunks:
            raise RuntimeError(f"espeak-ng gave no sound for {text!r}")
        return np.concatenate(chunks) * 0.9, rate

    speak.keep = receive  # type: ignore[attr-defined]  # the library calls it as long as speak lives
    return speak
