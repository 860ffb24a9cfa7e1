"""Mel spectrogram beside torchaudio and librosa: CPU time of one thread, best of several runs, and the ratio.

python benchmarks/mel.py
"""

from __future__ import annotations

import time
from collections.abc import Callable

import librosa
import numpy as np
import torch
import torchaudio

from amphion_core.features.mel import MelSpectrogram
from amphion_core.features.mel_config import MelConfig

RATE = 24000
SETTINGS = {"n_fft": 1024, "hop_length": 256, "n_mels": 80}
CASES = [(1, 1.0), (1, 10.0), (16, 10.0)]


def main() -> None:
    """Print a table."""
    torch.set_num_threads(1)
    config = MelConfig(sample_rate=RATE, f_max=12000.0, padding="center_zero", root_epsilon=0.0, **SETTINGS)
    ours = MelSpectrogram(config)
    theirs = torchaudio.transforms.MelSpectrogram(
        RATE, power=1.0, norm="slaney", mel_scale="slaney", pad_mode="constant", **SETTINGS
    )
    rng = np.random.default_rng(0)
    print("seconds of audio per CPU second; ratio = CPU time of ours / of the peer (below 1 is faster)")
    print(f"{'batch':>12} {'ours':>8} {'torchaudio':>11} {'ratio':>6} {'librosa':>8} {'ratio':>6} {'difference':>11}")
    for batch, seconds in CASES:
        array = (0.1 * rng.standard_normal((batch, int(seconds * RATE)))).astype(np.float32)
        wav = torch.from_numpy(array)
        runs: list[Callable[[], object]] = [
            lambda wav=wav: ours(wav),
            lambda wav=wav: theirs(wav).clamp(min=1e-5).log(),
            lambda array=array: np.log(np.maximum(by_librosa(array), 1e-5)),
        ]
        mine, audio, rosa = best_times(runs)
        difference = np.abs(ours(wav).numpy() - np.log(np.maximum(by_librosa(array), 1e-5))).max()
        total = batch * seconds
        print(
            f"{f'{batch} x {seconds:g} s':>12} {total / mine:8.0f} {total / audio:11.0f} {mine / audio:6.2f} "
            f"{total / rosa:8.0f} {mine / rosa:6.2f} {difference:11.1e}"
        )


def by_librosa(array: np.ndarray) -> np.ndarray:
    """Magnitude mel of librosa, (B, 80, F)."""
    return librosa.feature.melspectrogram(y=array, sr=RATE, power=1.0, **SETTINGS)


def best_times(runs: list[Callable[[], object]], repeats: int = 15) -> list[float]:
    """Shortest CPU seconds of each, run in turn so that other load strikes all alike."""
    best = [float("inf")] * len(runs)
    for _ in range(repeats):
        for index, run in enumerate(runs):
            start = time.process_time()
            run()
            best[index] = min(best[index], time.process_time() - start)
    return best


if __name__ == "__main__":
    main()
