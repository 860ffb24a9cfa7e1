"""Numbers of the original implementations: `pytest test_golden.py --golden DIR` runs every case folder below DIR."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import Tensor

from amphion_core.features.energy import energy_from_mel, energy_from_wav, energy_tacotron
from amphion_core.features.mel import (
    denormalize_mel,
    linear_spectrogram,
    mel_filterbank,
    mel_spectrogram,
    normalize_mel,
)
from amphion_core.features.pitch import cents, coarse_f0, f0, interpolate_f0, unvoiced_flags, voiced
from amphion_core.features.pyin import pyin
from amphion_core.features.stft import amplitude_phase, hann_window
from amphion_core.features.trackers import praat_f0
from amphion_core.testing.golden import Case
from amphion_core.testing.mel_cases import mel_config, run_mel


def test_outputs_equal_those_of_the_original(golden_case: Case) -> None:
    adapter = ADAPTERS.get(golden_case.model)
    if adapter is None and golden_case.model.startswith("mel_"):
        adapter = run_mel
    if adapter is None:
        pytest.fail(f"{golden_case.folder}: no adapter for the model {golden_case.model!r}")
    results = adapter(golden_case)
    assert set(results) == set(golden_case.outputs)
    for name, value in results.items():
        golden_case.check(name, value)


def run_melspec(case: Case) -> dict[str, Tensor]:
    config = mel_config(case.config)
    wav = case.inputs["wav"]
    torch.testing.assert_close(case.weights["mel_basis"], mel_filterbank(config), atol=1e-7, rtol=1e-5)
    torch.testing.assert_close(case.weights["hann_window"], hann_window(config.win_length, config.win_length, wav))
    return {"mel": mel_spectrogram(wav, config)}


ADAPTERS: dict[str, Callable[[Case], dict[str, Tensor]]] = {"melspec": run_melspec}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that takes `clip` and `recipe` once for each recipe of each CLIP.json below the golden folder."""
    if "recipe" not in metafunc.fixturenames:
        return
    own = Path(__file__).parent / "golden"
    chosen = metafunc.config.getoption("--golden")
    pairs = feature_recipes(Path(chosen) if chosen else own) or feature_recipes(own)
    metafunc.parametrize(("clip", "recipe"), pairs, ids=[f"{clip.stem}-{recipe}" for clip, recipe in pairs])


def feature_recipes(root: Path) -> list[tuple[Path, str]]:
    """Files of golden features below a folder, with the names of their recipes."""
    files = [p for p in sorted(root.rglob("*.safetensors")) if p.with_suffix(".json").is_file()]
    specs = [(p, json.loads(p.with_suffix(".json").read_text(encoding="utf-8"))) for p in files]
    return [(path, recipe) for path, spec in specs for recipe in spec.get("recipes", {})]


def test_features_equal_those_of_the_original(clip: Path, recipe: str) -> None:
    expected, settings = load_recipe(clip, recipe)
    wav = expected.pop("audio")
    config = mel_config(settings)
    frames = expected["mel"].shape[1]
    rate, hop = config.sample_rate, config.hop_length
    spans = {"f_min": float(settings.get("f0_min", 50)), "f_max": float(settings.get("f0_max", 1100))}
    tensor = torch.from_numpy(wav)
    parts = amplitude_phase(tensor[:6000], config)
    tacotron = config.model_copy(update={"padding": "center", "root_epsilon": 0.0, "clip": True})
    compute: dict[str, Callable[[], Any]] = {
        "mel": lambda: mel_spectrogram(tensor, config),
        "mel_tacotron": lambda: mel_spectrogram(tensor.double(), tacotron),
        "linear_spec": lambda: linear_spectrogram(tensor, config),
        "log_amplitude_first_6000_samples": lambda: parts.log_amplitude,
        "stft_real_first_6000_samples": lambda: parts.real,
        "stft_imag_first_6000_samples": lambda: parts.imaginary,
        "energy_from_mel": lambda: energy_from_mel(expected["mel"]),
        "energy_from_waveform": lambda: energy_from_wav(
            wav, n_fft=config.n_fft, hop_length=hop, win_length=config.win_length
        ),
        "energy_tacotron": lambda: energy_tacotron(wav, n_fft=config.n_fft, hop_length=hop),
        "f0_dio": lambda: f0(wav, rate, hop_length=hop, method="dio", **spans),
        "f0_harvest": lambda: f0(wav, rate, hop_length=hop, method="harvest", frames=frames, **spans),
        "f0_pyin": lambda: pyin(expected["pyin_audio"], rate, hop_length=hop, frame_length=2048, **spans).f0,
        "f0_parselmouth": lambda: praat_f0(wav, rate, hop_length=hop, compat=True, **spans),
        "uv_voiced": lambda: voiced(tracked(expected)),
        "f0_interpolated": lambda: interpolate_f0(tracked(expected)),
        "uv_after_interpolation": lambda: unvoiced_flags(tracked(expected)),
        "f0_coarse": lambda: coarse_f0(expected["f0_interpolated"], rounding="even"),
        "cents_voiced_minus_median": lambda: cents_above_median(tracked(expected)),
    }
    for name in compute.keys() & expected.keys():
        if name == "f0_parselmouth" and importlib.util.find_spec("parselmouth") is None:
            continue  # an extra; its test stands in test_trackers.py
        check_feature(name, np.asarray(compute[name]()), expected[name])
    left = (
        expected.keys()
        - compute.keys()
        - {"pyin_audio", "mu_law_label_8bit_first_2000", "linear_label_8bit_first_2000"}
    )
    assert not left, "features without a test"


def test_normalised_mel_equals_that_of_the_original(clip: Path, recipe: str) -> None:
    if recipe != "svc_24k":
        return
    statistics, _ = load_recipe(clip, "norm")
    mel = torch.from_numpy(load_recipe(clip, recipe)[0]["mel"])
    low, high = torch.from_numpy(statistics["mel_min"]), torch.from_numpy(statistics["mel_max"])
    normalized = normalize_mel(mel, low, high)
    np.testing.assert_allclose(normalized, statistics["mel_normalised_minus1_1"], atol=1e-5)
    torch.testing.assert_close(denormalize_mel(normalized, low, high), mel, atol=1e-5, rtol=0)


def load_recipe(clip: Path, recipe: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arrays of a recipe without its name before them, and its settings."""
    spec = json.loads(clip.with_suffix(".json").read_text(encoding="utf-8"))
    arrays = {name.split(".", 1)[1]: a for name, a in load_file(clip).items() if name.startswith(f"{recipe}.")}
    return arrays, spec["recipes"].get(recipe, {})


def tracked(expected: dict[str, Any]) -> Any:
    """The contour that the derived features of a recipe come from."""
    return expected["f0_parselmouth"] if "f0_parselmouth" in expected else expected["f0_dio"]


def cents_above_median(contour: Any) -> Any:
    values = cents(contour)[voiced(contour)]
    return values - np.median(values)


def check_feature(name: str, actual: Any, expected: Any) -> None:
    """Compare within the tolerance that acoustic-features gives for the kind of feature."""
    assert actual.shape == expected.shape, name
    if name in ("f0_dio", "f0_harvest", "f0_pyin", "f0_parselmouth"):
        both = (actual > 0) & (expected > 0)
        assert np.mean((actual > 0) != (expected > 0)) <= 0.01, name
        np.testing.assert_allclose(actual[both], expected[both], rtol=1e-3, err_msg=name)
    elif name.startswith(("uv_", "f0_coarse")):
        np.testing.assert_array_equal(actual, expected, err_msg=name)
    elif name.startswith("energy"):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, err_msg=name)
    else:
        np.testing.assert_allclose(actual, expected, atol=2e-4, rtol=1e-4, err_msg=name)
