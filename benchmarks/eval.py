"""Metrics beside the libraries that papers use: the exact alignment of mel-cepstra, and the STFT distance.

python benchmarks/eval.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import librosa
import numpy as np
import torch

from amphion_eval import dtw_path, mstft
from amphion_eval.spectral import RESOLUTIONS

FRAMES, ORDER = 2000, 24  # two files of 10 s, every 5 ms
RATE, SECONDS = 24000, 10


def main() -> None:
    """Print a table; CPU seconds of one thread, the best of five."""
    torch.set_num_threads(1)
    generator = np.random.default_rng(0)
    ref = np.cumsum(generator.normal(size=(FRAMES, ORDER)), axis=0) * 0.05
    est = ref[np.sort(generator.integers(0, FRAMES, FRAMES))] + 0.1 * generator.normal(size=(FRAMES, ORDER))
    wav = generator.normal(size=RATE * SECONDS)
    noisy = wav + 0.1 * generator.normal(size=RATE * SECONDS)
    librosa.sequence.dtw(ref[:10].T, est[:10].T)  # its compilation is not counted
    rows = [
        (
            "dtw",
            f"{FRAMES} x {FRAMES}",
            lambda: dtw_path(ref, est),
            "librosa",
            lambda: peer_path(ref, est),
            np.array_equal,
        ),
        ("mstft", f"{SECONDS} s", lambda: mstft(wav, noisy), "torch", lambda: peer_stft(wav, noisy), np.isclose),
    ]
    print(f"{'job':>6} {'size':>12} {'ours ms':>8} {'peer':>8} {'peer ms':>8} {'ours / peer':>12} {'same':>5}")
    for name, size, ours, peer, theirs, same in rows:
        (our_time, our_value), (peer_time, peer_value) = best_time(ours), best_time(theirs)
        ratio = our_time / peer_time
        equal = bool(same(our_value, peer_value))
        print(f"{name:>6} {size:>12} {1e3 * our_time:8.1f} {peer:>8} {1e3 * peer_time:8.1f} {ratio:12.2f} {equal!s:>5}")


def peer_path(ref: np.ndarray, est: np.ndarray) -> np.ndarray:
    """The same path by librosa's compiled loop."""
    return librosa.sequence.dtw(ref.T, est.T)[1][::-1]


def peer_stft(ref: np.ndarray, est: np.ndarray) -> float:
    """The same distance by torch in float64."""
    total = 0.0
    for n_fft, hop_length, win_length in RESOLUTIONS:
        window = torch.hann_window(win_length, dtype=torch.float64)
        x, y = (
            torch.stft(torch.from_numpy(w), n_fft, hop_length, win_length, window, return_complex=True).abs().square()
            for w in (ref, est)
        )
        x, y = (power.clamp(min=1e-7).sqrt() for power in (x, y))
        total += float((x - y).norm() / x.norm() + (x / y).log().abs().mean()) / 3
    return total


def best_time(run: Callable[[], Any], repeats: int = 5) -> tuple[float, Any]:
    """Shortest CPU seconds, and the result."""
    best, result = float("inf"), None
    for _ in range(repeats):
        start = time.process_time()
        result = run()
        best = min(best, time.process_time() - start)
    return best, result


if __name__ == "__main__":
    main()
