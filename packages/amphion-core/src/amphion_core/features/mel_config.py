"""One description of a log-mel spectrogram, for every variant that released checkpoints were trained with.

It needs no torch, so that recipes and evaluation can read it; `amphion_core.features.mel` computes it.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from amphion_core.config import Config

__all__ = ["MEL_PRESETS", "MelConfig"]


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
        power: 1 for magnitudes, 2 for powers (`root_epsilon` has no effect then).
        root_epsilon: what keeps the root of the power away from zero; its value is part of what a checkpoint learnt.
        root_mode: `add` it to the power or `clamp` the power from below.
        log: `ln`, `log10` or `none`.
        log_floor: lower bound of the mel before the log.
        floor_mode: `clamp` the mel from below by `log_floor` or `add` it.
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
    floor_mode: Literal["clamp", "add"] = "clamp"
    clip: bool = False
    mean: float = 0.0
    std: float = 1.0

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        faults = []
        for name in ("sample_rate", "n_fft", "win_length", "hop_length", "n_mels", "std", "log_floor"):
            if not getattr(self, name) > 0:
                faults.append(f"{name} must be above 0, got {getattr(self, name)}")
        if self.root_epsilon < 0:
            faults.append(f"root_epsilon must not be negative, got {self.root_epsilon}")
        if self.padding == "same" and self.hop_length > self.n_fft:
            faults.append(
                f"hop_length {self.hop_length} is longer than n_fft {self.n_fft}, which padding 'same' can't serve"
            )
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


_WIDE = MelConfig(sample_rate=24000, n_mels=100, f_max=12000.0)
_SPEECH = MelConfig()
_HALF_RATE = MelConfig(sample_rate=24000, n_fft=1920, win_length=1920, hop_length=480, n_mels=128, f_max=12000.0)

MEL_PRESETS: dict[str, MelConfig] = {
    # HiFi-GAN convention: "same" padding, 1e-9 under the root, natural log
    "mel_22k": _SPEECH,
    "mel_24k": _WIDE,
    "mel_44k": MelConfig(sample_rate=44100, n_fft=2048, win_length=2048, hop_length=512, n_mels=128, f_max=None),
    "mel_24k_default": MelConfig(sample_rate=24000, win_length=480, hop_length=120, f_max=12000.0),
    "mel_24k_codec": _HALF_RATE,
    "mel_24k_vocos": _HALF_RATE.model_copy(update={"mean": -4.92, "std": 8.14**0.5}),
    "tta_16k": MelConfig(sample_rate=16000),
    # the same with 1e-6 under the root
    "vits_22k": MelConfig(f_max=None, root_epsilon=1e-6),
    "svc_24k": _WIDE.model_copy(update={"root_epsilon": 1e-6}),
    # others
    "tacotron_22k": MelConfig(padding="center", root_epsilon=0.0, clip=True),
    "jets_loss_22k": MelConfig(
        padding="center", f_max=None, root_epsilon=1e-10, root_mode="clamp", log="log10", log_floor=1e-10
    ),
    "facodec_v2_16k": MelConfig(sample_rate=16000, win_length=800, hop_length=200),
    "facodec_24k": MelConfig(
        sample_rate=24000,
        n_fft=2048,
        win_length=1200,
        hop_length=300,
        f_max=None,
        mel_scale="htk",
        mel_norm="none",
        padding="center",
        power=2,
        floor_mode="add",
        mean=-4.0,
        std=4.0,
    ),
}
"""Front ends of the released checkpoints by name."""
