"""F0 trackers: our pYIN beside librosa's, and the others for comparison; CPU time of one thread and accuracy.

python benchmarks/pitch.py
"""

from __future__ import annotations

import time
from collections.abc import Callable

import librosa
import numpy as np

from amphion_core.features.pitch import cents, f0
from amphion_core.features.pyin import pyin

RATE, HOP, SECONDS = 24000, 240, 10.0


def main() -> None:
    """Print a table."""
    wav, truth = voice()
    short = wav[: RATE // 2]
    librosa.pyin(short, fmin=50, fmax=1100, sr=RATE, hop_length=HOP)  # its compilation is not counted
    runs: dict[str, Callable[[], np.ndarray]] = {
        "librosa pyin": lambda: np.nan_to_num(librosa.pyin(wav, fmin=50, fmax=1100, sr=RATE, hop_length=HOP)[0]),
        "pyin": lambda: pyin(wav, RATE, hop_length=HOP).f0,
        "dio": lambda: f0(wav, RATE, hop_length=HOP, method="dio"),
        "harvest": lambda: f0(wav, RATE, hop_length=HOP, method="harvest"),
    }
    contours, times = {}, {}
    for name, run in runs.items():
        times[name], contours[name] = best_time(run)
    same = np.array_equal(contours["pyin"], contours["librosa pyin"]) or np.allclose(
        contours["pyin"], contours["librosa pyin"], rtol=1e-9
    )
    print(f"{SECONDS:g} s, {RATE} Hz, hop {HOP}; x = seconds of audio per CPU second")
    print(f"{'method':>13} {'x':>6} {'CPU time / librosa pyin':>24} {'median cents':>13} {'wrong voicing':>14}")
    for name, contour in contours.items():
        both = (contour > 0) & (truth > 0)
        error = np.median(np.abs(cents(contour[both]) - cents(truth[both])))
        voicing = np.mean((contour > 0) != (truth > 0))
        share = times[name] / times["librosa pyin"]
        print(f"{name:>13} {SECONDS / times[name]:6.0f} {share:24.3f} {error:13.2f} {voicing:14.1%}")
    print(f"contour of pyin equals that of librosa: {same}")


def voice() -> tuple[np.ndarray, np.ndarray]:
    """Glide with vibrato and pauses, and its true contour on the frames."""
    clock = np.arange(int(SECONDS * RATE)) / RATE
    pitch = 150 * 2 ** (clock / SECONDS + 0.05 * np.sin(2 * np.pi * 5.5 * clock))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    sounding = (clock % 2.0) < 1.6
    wav = sounding * 0.2 * np.sum([np.sin(k * phase) / k for k in range(1, 11)], axis=0)
    wav += 1e-4 * np.random.default_rng(0).standard_normal(len(wav))
    frames = np.arange(len(wav) // HOP + 1) * HOP
    inside = np.minimum(frames, len(wav) - 1)
    return wav, np.where(sounding[inside], pitch[inside], 0.0)


def best_time(run: Callable[[], np.ndarray], repeats: int = 3) -> tuple[float, np.ndarray]:
    """Shortest CPU seconds, and the result."""
    best, result = float("inf"), np.zeros(0)
    for _ in range(repeats):
        start = time.process_time()
        result = run()
        best = min(best, time.process_time() - start)
    return best, result


if __name__ == "__main__":
    main()
