"""The metrics of a corpus together, beside the libraries that papers use; and the exact alignment of mel-cepstra.

python benchmarks/eval.py [--pairs 50] [--each]

Ours is one command on two processes. The peer is one process after the other: one for each family (F0 with its ten
figures, energy, MCD, STFT, PESQ, STOI), or with --each one for each metric, as evaluation scripts are written. CPU
seconds are those of the processes and their children, imports included.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from eval_peers import FAMILIES, MODULES

from amphion_core import audio

RATE = 16000
WORKERS = 2


def main() -> None:
    """Print both times, their ratio, and the largest difference of each metric."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=50)
    parser.add_argument("--each", action="store_true", help="a process for each metric instead of each family")
    options = parser.parse_args()
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1", NUMBA_NUM_THREADS="1")
    print_path()
    families = [name for name in FAMILIES if all(find_spec(module) for module in MODULES[name])]
    absent = sorted(set(FAMILIES) - set(families))
    print(f"left out, for their libraries are not installed: {', '.join(absent)}" if absent else "all peers are there")
    metrics = [name for family in families for name in FAMILIES[family]]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        seconds = make_pairs(folder, options.pairs)
        print(f"{options.pairs} pairs, {seconds:.0f} s of recordings at {RATE} Hz, {len(metrics)} metrics\n")
        command = [
            sys.executable,
            "-c",
            "from amphion_eval.cli import main; main()",
            "score",
            folder / "ref",
            folder / "est",
        ]
        command += ["--metrics", ",".join(metrics), "--no-cache", "--workers", WORKERS, "--json", folder / "ours.json"]
        ours = run(command)
        peers = {}
        for name in metrics if options.each else families:
            command = [sys.executable, Path(__file__).with_name("eval_peers.py"), name, folder, folder / f"{name}.peer"]
            peers[name] = run(command)
        print(f"{'process':>30} {'CPU s':>8} {'wall s':>8}")
        for name, (cpu, wall) in {"amphion-eval, all metrics": ours, **peers}.items():
            print(f"{name:>30} {cpu:8.1f} {wall:8.1f}")
        cpu, wall = (sum(times[part] for times in peers.values()) for part in (0, 1))
        print(f"{'peers together':>30} {cpu:8.1f} {wall:8.1f}")
        print(f"\npeer / ours: {cpu / ours[0]:.1f} times the CPU time, {wall / ours[1]:.1f} times the wall time")
        print_differences(folder, metrics)


def make_pairs(folder: Path, count: int) -> float:
    """Pairs of 3 to 10 s that sound like a voice: the second a little higher, noisier and later; returns seconds."""
    generator = np.random.default_rng(0)
    total = 0.0
    for side in ("ref", "est"):
        (folder / side).mkdir()
    for number in range(count):
        seconds = 3 + 7 * number / max(1, count - 1)
        total += seconds
        pitch, tract = generator.uniform(90, 240), generator.uniform(0.9, 1.1)
        pauses, speed = generator.uniform(0, 1, 64), generator.uniform(2.5, 5)
        for side, factor, noise in (("ref", 1.0, 0.001), ("est", 1.03, 0.004)):
            wav = voice(seconds, pitch * factor, tract, pauses, speed, generator, noise)
            audio.save(folder / side / f"{number:03}.wav", wav.astype(np.float32), RATE)
    return total


def voice(
    seconds: float,
    pitch: float,
    tract: float,
    pauses: np.ndarray,
    speed: float,
    generator: np.random.Generator,
    noise: float,
) -> np.ndarray:
    """Harmonics under moving formants, in syllables, some of them noise or silence."""
    clock = np.arange(int(seconds * RATE)) / RATE
    f0 = pitch * 2 ** (0.15 * np.sin(2 * np.pi * 0.4 * clock) + 0.05 * np.sin(2 * np.pi * 1.3 * clock))
    phase = 2 * np.pi * np.cumsum(f0) / RATE
    formants = [
        tract * (centre + depth * np.sin(2 * np.pi * rate * clock + rate))
        for centre, depth, rate in ((550, 200, 1.7), (1500, 500, 2.3), (2600, 200, 1.1))
    ]
    wav = np.zeros_like(clock)
    for harmonic in range(1, 40):
        frequency = harmonic * f0
        level = sum(np.exp(-(((frequency - f) / 180) ** 2)) / (1 + n) for n, f in enumerate(formants))
        wav += np.where(frequency < RATE / 2, level + 0.01, 0) * np.sin(harmonic * phase)
    syllable = (clock * speed).astype(int)
    kind = pauses[syllable % len(pauses)]
    edge = np.sin(np.pi * (clock * speed % 1)) ** 0.5
    breath = np.convolve(generator.standard_normal(len(clock)), [1, -0.95], mode="same")
    wav = np.where(kind < 0.15, 0, np.where(kind < 0.3, 0.5 * breath, wav)) * edge
    return 0.3 * wav / np.abs(wav).max() + noise * generator.standard_normal(len(clock))


def run(command: Sequence[object]) -> tuple[float, float]:
    """CPU and wall seconds of a process."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f"{command} failed:\n{done.stderr[-3000:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def print_differences(folder: Path, metrics: list[str]) -> None:
    """The largest difference of a metric over the pairs, and its size."""
    ours = {item["id"]: item["metrics"] for item in json.loads((folder / "ours.json").read_text())["items"]}
    theirs: dict[str, dict[str, float]] = {}
    for path in folder.glob("*.peer"):
        for name, values in json.loads(path.read_text()).items():
            theirs.setdefault(name, {}).update(values)
    print(f"\n{'metric':>30} {'mean':>10} {'largest difference':>20}")
    for metric in metrics:
        pairs = [(ours[name][metric], theirs[name][metric]) for name in theirs]
        worst = max(
            math.inf if (a is None) != (b is None or math.isnan(b)) else 0.0 if a is None else abs(a - b)
            for a, b in pairs
        )
        defined = [a for a, _ in pairs if a is not None]
        print(f"{metric:>30} {np.mean(defined):10.4f} {worst:20.2e}")


def print_path() -> None:
    """Time of the exact alignment of two files of 10 s, every 5 ms, beside librosa's compiled one if it is there."""
    from amphion_eval import dtw_path

    generator = np.random.default_rng(0)
    frames = 2000
    ref = np.cumsum(generator.normal(size=(frames, 24)), axis=0) * 0.05
    est = ref[np.sort(generator.integers(0, frames, frames))] + 0.1 * generator.normal(size=(frames, 24))
    runs = {"ours": lambda: dtw_path(ref, est)}
    if find_spec("librosa"):
        import librosa

        librosa.sequence.dtw(ref[:10].T, est[:10].T)  # its compilation is not counted
        runs["librosa"] = lambda: librosa.sequence.dtw(ref.T, est.T)[1][::-1]
    best: dict[str, float] = dict.fromkeys(runs, math.inf)
    paths = {}
    for _ in range(7):
        for name, work in runs.items():
            start = time.process_time()
            paths[name] = work()
            best[name] = min(best[name], time.process_time() - start)
    said = ", ".join(f"{name} {1000 * seconds:.1f} ms" for name, seconds in best.items())
    same = all(np.array_equal(path, paths["ours"]) for path in paths.values())
    print(f"exact alignment of {frames} x {frames} frames: {said}; same path: {same}")


if __name__ == "__main__":
    main()
