"""One description of a log-mel spectrogram, for every variant that released checkpoints were trained with.

It needs no torch, so that recipes and evaluation can read it; `amphion_core.features.mel` computes it.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from ..config import Config

__all__ = ["MelConfig"]


class MelConfig(Config):
    """Settings of a mel spectrogram; the defaults are the 22.05 kHz HiFi-GAN front end.

    Attributes:
        sample_rate: Hz.
        n_fft: samples of one transform.
        win_length: samples of the periodic Hann window, centred in `n_fft`.
        hop_length: samples between frames.
        n_mels: bands.
        f_min: lower edge of the filters, Hz.
        f_max: upper edge, Hz; None is half the sampling rate.
        mel_scale: `slaney` (librosa's default) or `htk`.
        mel_norm: `slaney` divides each filter by its width; `none` leaves peaks of one.
        padding: `same`: reflect (n_fft - hop_length) // 2 samples, not centred: T // hop_length frames;
            `center`: reflect n_fft // 2 samples: T // hop_length + 1 frames;
            `center_zero`: the same with zeros; `none`: no padding.
        power: 1 for magnitudes, 2 for powers.
        root_epsilon: what keeps the root of the power away from zero; its value is part of what a checkpoint learnt.
        root_mode: `add` it to the power or `clamp` the power from below.
        log: `ln`, `log10` or `none`.
        log_floor: lower bound of the mel before the log.
        clip: clip the input to [-1, 1] first.
        mean: subtracted from the log-mel.
        std: the difference is divided by it.
    """

    sample_rate: int = 22050
    n_fft: int = 1024
    win_length: int = 1024
    hop_length: int = 256
    n_mels: int = 80
    f_min: float = 0.0
    f_max: float | None = 8000.0
    mel_scale: Literal["slaney", "htk"] = "slaney"
    mel_norm: Literal["slaney", "none"] = "slaney"
    padding: Literal["same", "center", "center_zero", "none"] = "same"
    power: Literal[1, 2] = 1
    root_epsilon: float = 1e-9
    root_mode: Literal["add", "clamp"] = "add"
    log: Literal["ln", "log10", "none"] = "ln"
    log_floor: float = 1e-5
    clip: bool = False
    mean: float = 0.0
    std: float = 1.0

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        faults = []
        for name in ("sample_rate", "n_fft", "win_length", "hop_length", "n_mels", "std", "log_floor"):
            if not getattr(self, name) > 0:
                faults.append(f"{name} must be above 0, got {getattr(self, name)}")
        if self.win_length > self.n_fft:
            faults.append(f"win_length {self.win_length} is longer than n_fft {self.n_fft}")
        if not 0 <= self.f_min < self.upper_edge:
            faults.append(f"f_min {self.f_min} Hz is not below f_max {self.upper_edge} Hz")
        if self.upper_edge > self.sample_rate / 2:
            faults.append(f"f_max {self.f_max} Hz is above half the sampling rate, {self.sample_rate / 2} Hz")
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @property
    def upper_edge(self) -> float:
        """Upper edge of the filters in Hz, `f_max` or half the sampling rate."""
        return self.sample_rate / 2 if self.f_max is None else self.f_max

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.sample_rate / self.hop_length

    def frames(self, samples: int) -> int:
        """Number of frames of a clip of that many samples, 0 where it is too short for one."""
        pad = {
            "same": 2 * ((self.n_fft - self.hop_length) // 2),
            "center": 2 * (self.n_fft // 2),
            "center_zero": 2 * (self.n_fft // 2),
            "none": 0,
        }[self.padding]
        return max(0, (samples + pad - self.n_fft) // self.hop_length + 1)

    def differences(self, other: MelConfig) -> dict[str, tuple[object, object]]:
        """Names of the fields in which two configs differ in effect, with both values."""
        mine, theirs = self._effective(), other._effective()
        return {name: (mine[name], theirs[name]) for name in mine if mine[name] != theirs[name]}

    def _effective(self) -> dict[str, object]:
        return {**self.model_dump(), "f_max": self.upper_edge}
