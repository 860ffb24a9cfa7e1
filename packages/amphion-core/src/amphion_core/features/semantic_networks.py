"""From samples to the input of an encoder of transformers, with masks, for each kind of network."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from amphion_core.extras import require

__all__ = ["ConvFrontEnd", "EncoderInputs", "FilterbankFrontEnd", "FrontEnd", "WhisperFrontEnd", "make_front_end"]

_EXTRA = "amphion-core[semantic]"
_RATE = 16000


class EncoderInputs(NamedTuple):
    """Arguments of the encoder, and the frames that it gives for each clip, (B,) int64."""

    arguments: dict[str, Tensor]
    lengths: Tensor


class FrontEnd(Protocol):
    """Part before the layers of a network."""

    kind: str
    hop_length: int

    def __call__(self, network: Any, wav: Tensor, lengths: Tensor) -> EncoderInputs:
        """Inputs of the encoder for (B, T) samples at 16 kHz, zero beyond `lengths`."""
        ...

    def encoder(self, network: Any) -> Any:
        """The part of the network that holds `layers`."""
        ...


def make_front_end(config: Any, preprocessor: dict[str, Any] | None = None, epsilon: float = 1e-7) -> FrontEnd:
    """Front end for a configuration of transformers.

    Args:
        config: that of the network.
        preprocessor: content of preprocessor_config.json; None or empty takes what the kind of network usually has.
        epsilon: added to the variance of the waveform where it is normalised.

    Raises:
        ValueError: a kind of network that is not known here.
    """
    settings = preprocessor or {}
    match config.model_type:
        case "hubert" | "wavlm":
            by_layer = config.feat_extract_norm == "layer"
            return ConvFrontEnd(config, normalize=bool(settings.get("do_normalize", by_layer)), epsilon=epsilon)
        case "wav2vec2-bert":
            return FilterbankFrontEnd(config, settings)
        case "whisper":
            return WhisperFrontEnd(config, settings)
    raise ValueError(f"no front end for model_type {config.model_type!r}; take hubert, wavlm, wav2vec2-bert or whisper")


class ConvFrontEnd:
    """Convolutions over the waveform: HuBERT, ContentVec, WavLM."""

    kind = "convolution"

    def __init__(self, config: Any, *, normalize: bool, epsilon: float) -> None:
        """Read strides and kernels from the network's configuration."""
        self.kernels, self.strides = list(config.conv_kernel), list(config.conv_stride)
        self.normalize, self.epsilon = normalize, epsilon
        self.normalizes_over_time = config.feat_extract_norm == "group"
        self.hop_length = 1
        for stride in self.strides:
            self.hop_length *= stride

    def __call__(self, network: Any, wav: Tensor, lengths: Tensor) -> EncoderInputs:
        """Convolve and project; a norm over time must not see the padding, so such networks convolve clip by clip."""
        frames = self.frames(lengths)
        _check_long_enough(frames, lengths)
        valid = torch.arange(wav.shape[1], device=wav.device) < lengths[:, None]
        if self.normalize:
            wav = self._normalized(wav, valid, lengths)
        dtype = next(network.parameters()).dtype
        wav = wav.to(dtype)
        if self.normalizes_over_time:
            clips = [
                network.feature_extractor(clip[None, :n])[0].T for clip, n in zip(wav, lengths.tolist(), strict=True)
            ]
            features = pad_sequence(clips, batch_first=True)  # (B, F, C)
        else:
            features = network.feature_extractor(wav).transpose(1, 2)[:, : int(frames.max())]
        projected = network.feature_projection(features)
        hidden = projected[0] if isinstance(projected, tuple) else projected
        mask = torch.arange(hidden.shape[1], device=wav.device) < frames[:, None]
        return EncoderInputs({"hidden_states": hidden, "attention_mask": mask}, frames)

    def frames(self, lengths: Tensor) -> Tensor:
        """Frames of clips of that many samples."""
        for kernel, stride in zip(self.kernels, self.strides, strict=True):
            lengths = torch.div(lengths - kernel, stride, rounding_mode="floor") + 1
        return lengths

    def encoder(self, network: Any) -> Any:
        """The transformer after the convolutions."""
        return network.encoder

    def _normalized(self, wav: Tensor, valid: Tensor, lengths: Tensor) -> Tensor:
        mean = wav.sum(1) / lengths
        centred = (wav - mean[:, None]) * valid
        variance = centred.square().sum(1) / lengths
        return centred / (variance[:, None] + self.epsilon).sqrt()


class FilterbankFrontEnd:
    """Normalised log filter bank of Kaldi, two frames stacked: w2v-BERT 2.0."""

    kind = "filterbank"
    hop_length = 320

    def __init__(self, config: Any, settings: dict[str, Any]) -> None:
        """Make the feature extractor of transformers."""
        extractor = require("transformers", _EXTRA).SeamlessM4TFeatureExtractor
        known = {k: settings[k] for k in ("feature_size", "num_mel_bins", "padding_value", "stride") if k in settings}
        stride = known.get("stride", 2)
        self.extractor = extractor(**{"num_mel_bins": config.feature_projection_input_dim // stride, **known})

    def __call__(self, network: Any, wav: Tensor, lengths: Tensor) -> EncoderInputs:
        """Filter bank on the CPU, projection by the network."""
        # 400 samples make the first frame, 160 every other; a stack takes two
        frames = torch.div(torch.div(lengths - 400, 160, rounding_mode="floor") + 1, 2, rounding_mode="floor")
        _check_long_enough(frames, lengths)
        clips = [clip[:n].cpu().numpy() for clip, n in zip(wav, lengths.tolist(), strict=True)]
        batch = self.extractor(clips, sampling_rate=_RATE, return_tensors="pt", padding=True)
        dtype = next(network.parameters()).dtype
        mask = batch["attention_mask"].to(wav.device)
        hidden, _ = network.feature_projection(batch["input_features"].to(wav.device, dtype))
        return EncoderInputs({"hidden_states": hidden, "attention_mask": mask}, mask.sum(1))

    def encoder(self, network: Any) -> Any:
        """The conformer."""
        return network.encoder


class WhisperFrontEnd:
    """Log-mel of a fixed span, 30 s: the encoder of Whisper, which was never trained with masks."""

    kind = "whisper"
    hop_length = 320

    def __init__(self, config: Any, settings: dict[str, Any]) -> None:
        """Make the feature extractor of transformers."""
        extractor = require("transformers", _EXTRA).WhisperFeatureExtractor
        self.samples = int(config.max_source_positions) * self.hop_length
        known = {k: settings[k] for k in ("n_fft", "hop_length", "dither") if k in settings}
        self.extractor = extractor(
            feature_size=int(config.num_mel_bins), chunk_length=self.samples // _RATE, sampling_rate=_RATE, **known
        )

    def __call__(self, network: Any, wav: Tensor, lengths: Tensor) -> EncoderInputs:
        """Log-mel on the CPU; every clip is extended by silence to the span of the network."""
        if int(lengths.max()) > self.samples:
            longest, limit = int(lengths.max()) / _RATE, self.samples / _RATE
            raise ValueError(f"a clip has {longest:.1f} s, this network takes {limit:g} s; cut it first")
        frames = torch.div(lengths, self.hop_length, rounding_mode="floor")
        _check_long_enough(frames, lengths)
        clips = [clip[:n].cpu().numpy() for clip, n in zip(wav, lengths.tolist(), strict=True)]
        features = self.extractor(clips, sampling_rate=_RATE, return_tensors="pt")["input_features"]
        dtype = next(network.parameters()).dtype
        return EncoderInputs({"input_features": features.to(wav.device, dtype)}, frames)

    def encoder(self, network: Any) -> Any:
        """The network is the encoder already."""
        return network


def _check_long_enough(frames: Tensor, lengths: Tensor) -> None:
    if int(frames.min()) < 1:
        shortest = int(lengths.min())
        raise ValueError(f"a clip has {shortest} samples at 16 kHz, too few for one frame; leave it out or pad it")
