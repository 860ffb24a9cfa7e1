"""Quality of transmitted speech in five ratings, without a reference: NISQA 2.0.

Source: Mittag et al., "NISQA: A Deep CNN-Self-Attention Model for Multidimensional Speech Quality Prediction with
Crowdsourced Datasets", 2021, arXiv:2104.09494; weights: nisqa.tar of gabrielmittag/NISQA, whose `args` state every
size. Deviation: the release computes its spectrogram at the rate of each file, here every clip is brought to 48 kHz.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.config import Config
from amphion_core.features.filterbank import filterbank
from amphion_core.features.mel_config import MelConfig
from amphion_core.hub import load_weights
from amphion_core.released import read_checkpoint, read_content
from amphion_eval.model import Batch
from amphion_eval.models.clips import in_groups, usable
from amphion_eval.spectral import Resolution, magnitude_stft
from amphion_eval.values import Undefined

__all__ = ["RATE", "RATINGS", "Nisqa", "NisqaConfig", "batched", "levels", "load", "segments"]

RATE = 48000
RATINGS = ("mos", "noisiness", "discontinuity", "coloration", "loudness")
"""In the order of the network's heads."""

_AMPLITUDE_FLOOR, _LEVEL_RANGE = 1e-4, 80.0
_FIXED = {"model": "NISQA_DIM", "cnn_model": "adapt", "td": "self_att", "td_2": "skip", "pool": "att"}
"""What the release's training code could vary and this network has in one form."""


class NisqaConfig(Config):
    """Sizes, under the names that the release gives them in `args`; the defaults are those of its training recipe.

    Attributes:
        ms_fmax: upper edge of the mel bands, Hz.
        ms_n_fft: samples of one transform.
        ms_hop_length: seconds between frames.
        ms_win_length: seconds of the window.
        ms_n_mels: bands.
        ms_seg_length: frames of a segment.
        ms_seg_hop_length: frames from one segment to the next.
        ms_max_segments: how many the release takes of one clip.
        cnn_c_out_1: channels of the first convolution.
        cnn_c_out_2: channels of the second.
        cnn_c_out_3: channels of the last four.
        cnn_kernel_size: bands and frames that a convolution sees.
        cnn_pool_1: bands and frames after the first convolution.
        cnn_pool_2: those after the second.
        cnn_pool_3: those after the fourth.
        td_sa_d_model: width of the self-attention.
        td_sa_nhead: its heads.
        td_sa_num_layers: its layers.
        td_sa_h: width inside its feed-forward part.
        pool_att_h: width inside a head.
    """

    ms_fmax: float = 20000.0
    ms_n_fft: int = 4096
    ms_hop_length: float = 0.01
    ms_win_length: float = 0.02
    ms_n_mels: int = 48
    ms_seg_length: int = 15
    ms_seg_hop_length: int = 4
    ms_max_segments: int = 1300
    cnn_c_out_1: int = 16
    cnn_c_out_2: int = 32
    cnn_c_out_3: int = 64
    cnn_kernel_size: tuple[int, int] = (3, 3)
    cnn_pool_1: tuple[int, int] = (24, 7)
    cnn_pool_2: tuple[int, int] = (12, 5)
    cnn_pool_3: tuple[int, int] = (6, 3)
    td_sa_d_model: int = 64
    td_sa_nhead: int = 1
    td_sa_num_layers: int = 2
    td_sa_h: int = 64
    pool_att_h: int = 128

    @classmethod
    def of_release(cls, args: Mapping[str, Any]) -> NisqaConfig:
        """The sizes that a checkpoint states.

        Args:
            args: of the checkpoint; what only training needs is left aside.

        Raises:
            ValueError: a size is missing, or they describe a network of another form.
        """
        given = {name: args.get(name) or value for name, value in _FIXED.items()}
        other = [f"{name} {given[name]!r} is not {value!r}" for name, value in _FIXED.items() if given[name] != value]
        other += [f"{name} is set" for name in ("cnn_fc_out_h", "td_sa_pos_enc") if args.get(name)]
        if args.get("ms_sr") not in (None, RATE):
            other.append(f"ms_sr {args['ms_sr']} is not {RATE}")
        other += [f"{name} is missing" for name in cls.model_fields if name not in args]
        if other:
            raise ValueError(f"no checkpoint of NISQA 2.0 with five ratings: {'; '.join(other)}")
        sizes = {name: args[name] for name in cls.model_fields}
        kernel = sizes["cnn_kernel_size"]
        return cls.parse(sizes | {"cnn_kernel_size": (kernel, kernel) if isinstance(kernel, int) else kernel}, "args")

    @property
    def hop_length(self) -> int:
        """Samples between frames."""
        return int(RATE * self.ms_hop_length)

    @property
    def mel(self) -> MelConfig:
        """The spectrogram before the logarithm."""
        return MelConfig(
            sample_rate=RATE,
            n_fft=self.ms_n_fft,
            win_length=int(RATE * self.ms_win_length),
            hop_length=self.hop_length,
            n_mels=self.ms_n_mels,
            f_max=self.ms_fmax,
            padding="center",
            log="none",
        )

    @property
    def shortest(self) -> float:
        """Seconds that fill one segment."""
        return (self.ms_seg_length - 1) * self.hop_length / RATE

    def count(self, samples: int) -> int:
        """Segments of a clip of that many samples."""
        return max(0, -(-(samples // self.hop_length + 2 - self.ms_seg_length) // self.ms_seg_hop_length))


class Nisqa(nn.Module):
    """Segments of a mel spectrogram to five ratings: convolutions, self-attention, a head each."""

    def __init__(self, config: NisqaConfig) -> None:
        super().__init__()
        self.config = config
        inputs = config.cnn_c_out_3 * config.cnn_pool_3[0]
        self.cnn = nn.ModuleDict({"model": Convolutions(config)})
        self.time_dependency = nn.ModuleDict({"model": SelfAttention(config, inputs)})
        self.pool_layers = nn.ModuleList(
            nn.ModuleDict({"model": Head(config.td_sa_d_model, config.pool_att_h)}) for _ in RATINGS
        )

    def forward(self, parts: Tensor) -> Tensor:
        """Rate clips of one length.

        Args:
            parts: (B, N, bands, frames) segments, dB.

        Returns:
            (B, 5) in the order of `RATINGS`, about 1 to 5.
        """
        x = self.cnn["model"](parts.flatten(0, 1)[:, None]).unflatten(0, parts.shape[:2])  # (B, N, C)
        x = self.time_dependency["model"](x)  # (B, N, D)
        return torch.cat([head["model"](x) for head in self.pool_layers], dim=1)  # type: ignore[index, operator]


class Convolutions(nn.Module):
    """Six convolutions of a segment; what lies between them is pooled to fixed numbers of bands and frames."""

    def __init__(self, config: NisqaConfig) -> None:
        super().__init__()
        self.config = config
        height, width = config.cnn_kernel_size
        padding = (int(height > 1), int(width > 1))
        first, second, third = config.cnn_c_out_1, config.cnn_c_out_2, config.cnn_c_out_3
        self.conv1 = nn.Conv2d(1, first, (height, width), padding=padding)
        self.conv2 = nn.Conv2d(first, second, (height, width), padding=padding)
        self.conv3 = nn.Conv2d(second, third, (height, width), padding=padding)
        self.conv4 = nn.Conv2d(third, third, (height, width), padding=padding)
        self.conv5 = nn.Conv2d(third, third, (height, width), padding=padding)
        self.conv6 = nn.Conv2d(third, third, (height, config.cnn_pool_3[1]), padding=(padding[0], 0))
        self.bn1 = nn.BatchNorm2d(first)
        self.bn2 = nn.BatchNorm2d(second)
        self.bn3 = nn.BatchNorm2d(third)
        self.bn4 = nn.BatchNorm2d(third)
        self.bn5 = nn.BatchNorm2d(third)
        self.bn6 = nn.BatchNorm2d(third)

    def forward(self, x: Tensor) -> Tensor:
        """(S, 1, bands, frames) to (S, C)."""
        x = F.adaptive_max_pool2d(F.relu(self.bn1(self.conv1(x))), self.config.cnn_pool_1)
        x = F.adaptive_max_pool2d(F.relu(self.bn2(self.conv2(x))), self.config.cnn_pool_2)
        x = F.relu(self.bn3(self.conv3(x)))
        x = F.adaptive_max_pool2d(F.relu(self.bn4(self.conv4(x))), self.config.cnn_pool_3)
        x = F.relu(self.bn5(self.conv5(x)))
        return F.relu(self.bn6(self.conv6(x))).flatten(1)  # one frame is left


class SelfAttention(nn.Module):
    """Encoder layers over the segments of a clip."""

    def __init__(self, config: NisqaConfig, inputs: int) -> None:
        super().__init__()
        dim = config.td_sa_d_model
        self.norm1 = nn.LayerNorm(dim)
        self.linear = nn.Linear(inputs, dim)
        self.layers = nn.ModuleList(
            EncoderLayer(dim, config.td_sa_nhead, config.td_sa_h) for _ in range(config.td_sa_num_layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C) to (B, N, D)."""
        x = self.norm1(self.linear(x))
        for layer in self.layers:
            x = layer(x)
        return x


class EncoderLayer(nn.Module):
    """Attention and a feed-forward part, each normalised after its sum."""

    def __init__(self, dim: int, heads: int, inner: int) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.linear1 = nn.Linear(dim, inner)
        self.linear2 = nn.Linear(inner, dim)
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, D) to the same shape."""
        x = self.norm1(x + self.self_attn(x, x, x, need_weights=False)[0])
        normed: Tensor = self.norm2(x + self.linear2(F.relu(self.linear1(x))))
        return normed


class Head(nn.Module):
    """Segments weighted by attention, to one rating."""

    def __init__(self, dim: int, inner: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(dim, inner)
        self.linear2 = nn.Linear(inner, 1)
        self.linear3 = nn.Linear(dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, D) to (B, 1)."""
        weights = torch.softmax(self.linear2(F.relu(self.linear1(x))), dim=1)  # (B, N, 1)
        rating: Tensor = self.linear3((weights * x).sum(dim=1))
        return rating


def levels(wav: NDArray[np.float32], config: NisqaConfig) -> NDArray[np.float32]:
    """Mel spectrogram in dB of full scale, none more than 80 dB below the loudest.

    Args:
        wav: (T,) at 48 kHz.
        config: sizes.

    Returns:
        (F, bands) with F = T // hop + 1.
    """
    mel = config.mel
    resolution = Resolution(mel.n_fft, mel.hop_length, mel.win_length)
    bands = magnitude_stft(wav, resolution) @ filterbank(mel).T
    level = 20 * np.log10(np.maximum(bands, _AMPLITUDE_FLOOR))
    return np.asarray(np.maximum(level, level.max() - _LEVEL_RANGE), np.float32)


def segments(level: NDArray[np.float32], config: NisqaConfig) -> NDArray[np.float32]:
    """Overlapping pieces of a spectrogram; frames behind the last whole one are left out.

    Args:
        level: (F, bands).
        config: sizes.

    Returns:
        (N, bands, frames) with N = ceil((F - frames + 1) / hop).
    """
    windows = np.lib.stride_tricks.sliding_window_view(level, config.ms_seg_length, axis=0)  # (F - frames + 1, ...)
    return np.ascontiguousarray(windows[:: config.ms_seg_hop_length])


def load(weights: Path, device: str) -> Batch:
    """Clips at 48 kHz to the five ratings.

    Args:
        weights: `nisqa.tar`.
        device: where it runs.

    Raises:
        ValueError: the file holds another network, such as `nisqa_tts.tar` or `nisqa_mos_only.tar`.
    """
    content = read_content(weights)
    args = content.get("args") if isinstance(content, Mapping) else None
    if not isinstance(args, Mapping):
        raise ValueError(f"{weights} is no checkpoint of NISQA: it has no args; take nisqa.tar of gabrielmittag/NISQA")
    try:
        model = Nisqa(NisqaConfig.of_release(args))
    except ValueError as error:
        raise ValueError(f"{weights}: {error}") from error
    load_weights(model, read_checkpoint(weights, "model_state_dict"), str(weights))
    return batched(model, device)


def batched(model: Nisqa, device: str) -> Batch:
    """A network as a function of clips."""
    config = model.config
    model.to(device).eval()

    @torch.inference_mode()
    def infer(clips: NDArray[np.float32]) -> Sequence[Any]:
        count = config.count(clips.shape[1])
        if count > config.ms_max_segments:
            longest = config.ms_max_segments * config.ms_seg_hop_length * config.ms_hop_length
            reason = f"{clips.shape[1] / RATE:.1f} s are {count} segments, the network takes {config.ms_max_segments}"
            return [Undefined(f"{reason}, about {longest:g} s; cut the clip")] * len(clips)
        parts = np.stack([segments(levels(clip, config), config) for clip in clips])
        rows = model(torch.from_numpy(parts).to(device)).cpu().tolist()
        return [dict(zip(RATINGS, row, strict=True)) for row in rows]

    return usable(lambda clips: in_groups(infer, clips), RATE, config.shortest)
