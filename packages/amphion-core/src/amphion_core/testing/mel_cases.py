"""Golden cases of mel front ends, which lie in the folders of several families."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from amphion_core.features.mel import linear_spectrogram, mel_filterbank, mel_spectrogram
from amphion_core.features.mel_config import MelConfig
from amphion_core.features.stft import amplitude_phase
from amphion_core.testing.golden import Case

__all__ = ["mel_config", "run_mel"]


def mel_config(values: dict[str, Any]) -> MelConfig:
    """MelConfig of a foreign configuration, under either set of names."""
    return MelConfig(
        sample_rate=values.get("sample_rate", values.get("sampling_rate")),
        n_fft=values["n_fft"],
        win_length=values["win_size"],
        hop_length=values["hop_size"],
        n_mels=values.get("n_mel", values.get("num_mels")),
        f_min=values["fmin"],
        f_max=values["fmax"],
    )


def run_mel(case: Case) -> dict[str, Tensor]:
    """Results of our features under the names of the expected outputs."""
    config = mel_config(case.config)
    wav = case.inputs["audio"]
    parts = amplitude_phase(wav[:1], config)
    filters = mel_filterbank(config)
    results = {
        "mel": mel_spectrogram(wav, config),
        "mel_eps1e-6": mel_spectrogram(wav, config.model_copy(update={"root_epsilon": 1e-6})),
        "linear_first8frames": linear_spectrogram(wav[0], config)[:, :8],
        "log_amplitude_first8frames": parts.log_amplitude[0, :, :8],
        "real_first8frames": parts.real[0, :, :8],
        "imaginary_first8frames": parts.imaginary[0, :, :8],
        "filterbank_row_sums": filters.sum(1),
        "filterbank_row_3": filters[3],
    }
    if "mel_mean" in case.config:
        scale = {"mean": case.config["mel_mean"], "std": case.config["mel_var"] ** 0.5}
        results["mel_normalised"] = mel_spectrogram(wav, config.model_copy(update=scale))
    expected = case.outputs
    # The original drops the batch axis of a single clip
    return {
        name: r.reshape(expected[name].shape) if r.numel() == expected[name].numel() else r
        for name, r in results.items()
        if name in expected
    }
