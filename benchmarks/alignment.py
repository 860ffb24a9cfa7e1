"""Monotonic alignment: ours (numpy, no compiler) beside numba and beside C, where they are there.

The job is the search of one training step: 16 utterances of 120 tokens and 800 frames. All find the same durations;
CPU time of one thread, best of the runs. The C reference works cell by cell on a copy of the scores, as the usual
compiled extensions do.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amphion_core.modules.alignment import search_monotonic

RUNS = 40
SOURCE = """
void search(float *value, long long *durations, int frames, int tokens, int stride) {
    for (int t = 0; t < frames; t++) {
        int low = tokens + t - frames > 0 ? tokens + t - frames : 0, high = t + 1 < tokens ? t + 1 : tokens;
        for (int n = low; n < high; n++) {
            float stay = n == t ? -1e9f : value[(t - 1) * stride + n];
            float move = n == 0 ? (t == 0 ? 0.0f : -1e9f) : value[(t - 1) * stride + n - 1];
            value[t * stride + n] += stay > move ? stay : move;
        }
    }
    for (int t = frames - 1, n = tokens - 1; t >= 0; t--) {
        durations[n] += 1;
        if (n && (n == t || value[(t - 1) * stride + n] < value[(t - 1) * stride + n - 1])) n--;
    }
}
"""

Search = Callable[[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]], NDArray[np.int64]]


def main() -> None:
    """Print milliseconds and ratios."""
    generator = np.random.default_rng(0)
    items, tokens, frames = 16, 120, 800
    scores = generator.standard_normal((items, frames, tokens), np.float32)
    text, total = np.full(items, tokens), np.full(items, frames)
    peers: dict[str, Search | None] = {
        "C -O2": in_c("-O2"),  # as most distributions build extensions
        "C -O3": in_c("-O3"),
        "C -O3 native": in_c("-O3", "-march=native"),
        "numba": in_numba(),
    }
    expected = search_monotonic(scores, text, total)
    searches: dict[str, Search] = {"ours (numpy)": search_monotonic}
    for name, peer in peers.items():
        if peer is None:
            print(f"{name:18} not installed here")
        elif not np.array_equal(peer(scores, text, total), expected):
            raise SystemExit(f"{name} finds other durations")
        else:
            searches[name] = peer
    best = dict.fromkeys(searches, float("inf"))
    for _ in range(RUNS):  # in turns, so that other work on the machine meets all alike
        for name, search in searches.items():
            start = time.process_time()
            search(scores, text, total)
            best[name] = min(best[name], 1e3 * (time.process_time() - start))
    print(f"{items} x {tokens} tokens x {frames} frames, CPU ms, one thread, best of {RUNS}")
    ours = best["ours (numpy)"]
    for name, value in best.items():
        print(f"{name:18} {value:7.2f}   ours / this: {ours / value:.2f}")


def in_c(*flags: str) -> Search | None:
    """The search in C, or None without a compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        return None
    folder = Path(tempfile.mkdtemp())
    (folder / "search.c").write_text(SOURCE, encoding="utf-8")
    command = [compiler, *flags, "-shared", "-fPIC", "search.c", "-o", "search.so"]
    if subprocess.run(command, cwd=folder, check=False).returncode != 0:
        return None
    library = ctypes.CDLL(str(folder / "search.so"))
    pointer = ctypes.c_void_p

    def search(scores: NDArray[np.float32], text: NDArray[np.int64], total: NDArray[np.int64]) -> NDArray[np.int64]:
        table = scores.copy()  # it works in place
        durations = np.zeros((len(table), table.shape[2]), np.int64)
        for item in range(len(table)):
            value, out = pointer(table[item].ctypes.data), pointer(durations[item].ctypes.data)
            library.search(value, out, int(total[item]), int(text[item]), table.shape[2])
        return durations

    return search


def in_numba() -> Search | None:
    """The same loops by numba, compiled before the clock starts, or None where it is not installed."""
    try:
        import numba
    except ImportError:
        return None

    @numba.njit  # type: ignore[untyped-decorator]
    def fill(
        table: NDArray[np.float32],
        text: NDArray[np.int64],
        total: NDArray[np.int64],
        durations: NDArray[np.int64],
    ) -> None:
        low = np.float32(-1e9)
        for item in range(len(table)):
            value, tokens, frames = table[item], text[item], total[item]
            for t in range(frames):
                for n in range(max(0, tokens + t - frames), min(tokens, t + 1)):
                    stay = low if n == t else value[t - 1, n]
                    move = (np.float32(0) if t == 0 else low) if n == 0 else value[t - 1, n - 1]
                    value[t, n] += max(stay, move)
            n = tokens - 1
            for t in range(frames - 1, -1, -1):
                durations[item, n] += 1
                if n != 0 and (n == t or value[t - 1, n] < value[t - 1, n - 1]):
                    n -= 1

    def search(scores: NDArray[np.float32], text: NDArray[np.int64], total: NDArray[np.int64]) -> NDArray[np.int64]:
        table = scores.copy()
        durations = np.zeros((len(table), table.shape[2]), np.int64)
        fill(table, text, total, durations)
        return durations

    search(np.zeros((1, 2, 2), np.float32), np.array([2]), np.array([2]))
    return search


if __name__ == "__main__":
    main()
