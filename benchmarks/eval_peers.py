"""Each metric from the library that papers use, in a process of its own, as scripts around evaluations do it.

python benchmarks/eval_peers.py FAMILY FOLDER OUT     FAMILY of `PEERS`, or the name of one metric
"""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import numpy as np

RATE = 16000
FAMILIES = {
    "f0": (
        "f0_median_offset",
        "f0_pearson_cents",
        "f0_pearson_hz",
        "f0_rmse_cents",
        "f0_rmse_cents_median_removed",
        "f0_rmse_hz",
        "vuv_error",
        "vuv_f1",
        "gpe",
        "ffe",
    ),
    "energy": ("energy_rmse_db", "energy_rmse_db_mean_removed", "energy_pearson_db"),
    "mcd": ("mcd",),
    "mstft": ("mstft", "mstft_spectral_convergence", "mstft_log_magnitude"),
    "pesq": ("pesq_wb",),
    "stoi": ("stoi", "estoi"),
}
MODULES = {"f0": ("librosa",), "energy": ("librosa",), "mcd": ("pyworld", "pysptk"), "mstft": ("torch",)} | {
    "pesq": ("pesq",),
    "stoi": ("pystoi",),
}


def main() -> None:
    """Score every pair of a folder and write the values."""
    wanted, folder, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    family = next(name for name, metrics in FAMILIES.items() if wanted == name or wanted in metrics)
    values = {}
    for ref_path in sorted((folder / "ref").glob("*.wav")):
        ref, est = (read(path) for path in (ref_path, folder / "est" / ref_path.name))
        frames = min(len(ref), len(est))
        found = PEERS[family](ref, est) if family != "mstft" else PEERS[family](ref[:frames], est[:frames])
        values[ref_path.stem] = {name: found[name] for name in found if wanted in (family, name)}
    out.write_text(json.dumps(values))


def read(path: Path) -> np.ndarray:
    """Samples in float64."""
    import soundfile

    return soundfile.read(path)[0]


def pitch(ref: np.ndarray, est: np.ndarray) -> dict[str, float]:
    """All figures of F0 from librosa's pYIN."""
    import librosa

    a, b = (
        np.nan_to_num(librosa.pyin(wav, fmin=50, fmax=1100, sr=RATE, frame_length=1024, hop_length=160)[0])
        for wav in (ref, est)
    )
    frames = min(len(a), len(b))
    a, b = a[:frames], b[:frames]
    both = (a > 0) & (b > 0)
    wrong = (a > 0) != (b > 0)
    x, y = a[both], b[both]
    cents = 1200 * np.log2(y / x)
    melodies = [1200 * np.log2(z) for z in (x, y)]
    shape = (melodies[1] - np.median(melodies[1])) - (melodies[0] - np.median(melodies[0]))
    gross = np.abs(y / x - 1) > 0.2
    return {
        "f0_median_offset": float(np.median(cents)),
        "f0_pearson_cents": float(np.corrcoef(np.log2(x), np.log2(y))[0, 1]),
        "f0_pearson_hz": float(np.corrcoef(x, y)[0, 1]),
        "f0_rmse_cents": float(np.sqrt(np.mean(cents**2))),
        "f0_rmse_cents_median_removed": float(np.sqrt(np.mean(shape**2))),
        "f0_rmse_hz": float(np.sqrt(np.mean((y - x) ** 2))),
        "vuv_error": float(wrong.mean()),
        "vuv_f1": float(2 * both.sum() / (2 * both.sum() + wrong.sum())),
        "gpe": float(gross.mean()),
        "ffe": float((wrong.sum() + gross.sum()) / frames),
    }


def energy(ref: np.ndarray, est: np.ndarray) -> dict[str, float]:
    """Figures of energy from librosa's STFT."""
    import librosa

    a, b = (
        20 * np.log10(np.maximum(np.linalg.norm(librosa.stft(w, n_fft=1024, hop_length=256), axis=0), 1e-5))
        for w in (ref, est)
    )
    frames = min(len(a), len(b))
    a, b = a[:frames], b[:frames]
    return {
        "energy_rmse_db": float(np.sqrt(np.mean((a - b) ** 2))),
        "energy_rmse_db_mean_removed": float(np.sqrt(np.mean((a - a.mean() - b + b.mean()) ** 2))),
        "energy_pearson_db": float(np.corrcoef(a, b)[0, 1]),
    }


def cepstral(ref: np.ndarray, est: np.ndarray) -> dict[str, float]:
    """Mel-cepstral distortion from pyworld's envelopes and pysptk's mel-cepstra."""
    stand_in_for_pkg_resources()
    import pysptk
    import pyworld

    sides = []
    for wav in (ref, est):
        f0, times = pyworld.harvest(wav, RATE, 71.0, 800.0, 5.0)
        sides.append(pysptk.sp2mc(pyworld.cheaptrick(wav, f0, times, RATE), order=24, alpha=0.42))
    frames = min(map(len, sides))
    a, b = (side[:frames, 1:] for side in sides)
    return {"mcd": float(10 / np.log(10) * np.mean(np.sqrt(2 * ((a - b) ** 2).sum(axis=1))))}


def spectral(ref: np.ndarray, est: np.ndarray) -> dict[str, float]:
    """The STFT loss of Parallel WaveGAN, plainly in torch."""
    import torch

    torch.set_num_threads(1)
    convergence = magnitude = 0.0
    for n_fft, hop_length, win_length in ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240)):
        window = torch.hann_window(win_length, dtype=torch.float64)
        x, y = (
            torch.stft(torch.from_numpy(w), n_fft, hop_length, win_length, window, return_complex=True).abs().square()
            for w in (ref, est)
        )
        x, y = (power.clamp(min=1e-7).sqrt() for power in (x, y))
        convergence += float((x - y).norm() / x.norm()) / 3
        magnitude += float((x.log() - y.log()).abs().mean()) / 3
    return {
        "mstft": convergence + magnitude,
        "mstft_spectral_convergence": convergence,
        "mstft_log_magnitude": magnitude,
    }


def quality(ref: np.ndarray, est: np.ndarray) -> dict[str, float]:
    """PESQ from the package pesq."""
    from pesq import NoUtterancesError, pesq

    frames = min(len(ref), len(est))
    try:
        return {"pesq_wb": float(pesq(RATE, ref[:frames], est[:frames], "wb"))}
    except NoUtterancesError:  # nothing that it takes for speech: undefined, as ours says too
        return {"pesq_wb": float("nan")}


def intelligibility(ref: np.ndarray, est: np.ndarray) -> dict[str, float]:
    """STOI and ESTOI from the package pystoi."""
    from pystoi import stoi

    frames = min(len(ref), len(est))
    ref, est = ref[:frames], est[:frames]
    return {"stoi": float(stoi(ref, est, RATE)), "estoi": float(stoi(ref, est, RATE, extended=True))}


PEERS: dict[str, Callable[[np.ndarray, np.ndarray], dict[str, float]]] = {
    "f0": pitch,
    "energy": energy,
    "mcd": cepstral,
    "mstft": spectral,
    "pesq": quality,
    "stoi": intelligibility,
}


def stand_in_for_pkg_resources() -> None:
    """Both packages ask it for their own version, and setuptools no longer holds it."""
    if "pkg_resources" not in sys.modules:
        module = types.ModuleType("pkg_resources")
        module.get_distribution = lambda name: types.SimpleNamespace(version=metadata.version(name))  # type: ignore[attr-defined]
        module.resource_filename = lambda package, name: name  # type: ignore[attr-defined]
        sys.modules["pkg_resources"] = module


if __name__ == "__main__":
    main()
