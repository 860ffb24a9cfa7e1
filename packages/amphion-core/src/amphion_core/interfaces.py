"""The contracts between packages. `amphion_core.testing.conformance` holds a plug-in against them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from .features import MelConfig

__all__ = ["Codec", "Vocoder", "VocoderConfig", "check_mel_match", "load_codec", "load_vocoder"]


class VocoderConfig(Protocol):
    """What the config of any vocoder states."""

    @property
    def mel(self) -> MelConfig:
        """The mel spectrogram that the vocoder takes."""
        ...


@runtime_checkable
class Vocoder(Protocol):
    """Mel spectrogram to waveform."""

    @property
    def config(self) -> VocoderConfig:
        """Its configuration; `config.mel` is the spectrogram it takes."""
        ...

    def synthesize(
        self,
        mel: Tensor,
        f0: Tensor | None = None,
        lengths: Tensor | None = None,
        generator: Generator | None = None,
    ) -> Tensor:
        """Waveforms of a batch of mels; each item equals the item alone, whatever stands beside it.

        Args:
            mel: (B, n_mels, F), as `config.mel` computes it.
            f0: (B, F) Hz, 0 = unvoiced; only for vocoders that take it.
            lengths: (B,) valid frames of each item; None where all are full.
            generator: source of noise, for vocoders that draw any.

        Returns:
            (B, F * hop_length) in about [-1, 1]; zeros beyond `lengths * hop_length`.

        Raises:
            ValueError: wrong number of bands, not finite, or lengths that don't fit.
        """
        ...

    def stream(self, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        """Waveform chunk by chunk.

        Args:
            chunks: mels (n_mels, F_i), one after the other, F_i of any size; pairs of a mel and its F0 (F_i,) in Hz
                for vocoders whose attribute `needs_f0` is true.

        Yields:
            (T_i,) samples; joined they are what `synthesize` gives for the joined mel.
        """
        ...


@runtime_checkable
class Codec(Protocol):
    """Waveform to discrete codes and back."""

    @property
    def sample_rate(self) -> int:
        """Hz of the waveforms it takes and gives."""
        ...

    @property
    def frame_rate(self) -> float:
        """Frames of codes per second."""
        ...

    @property
    def codebook_sizes(self) -> tuple[int, ...]:
        """Entries of each of the Q codebooks."""
        ...

    def encode(self, wav: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Codes (B, Q, F), int64, of waveforms (B, T) with `lengths` (B,) valid samples."""
        ...

    def decode(self, codes: Tensor) -> Tensor:
        """Waveforms (B, T) of codes (B, Q, F)."""
        ...

    def decode_latent(self, latent: Tensor) -> Tensor:
        """Waveforms (B, T) of continuous latents (B, D, F) before quantisation."""
        ...


def check_mel_match(acoustic: MelConfig, vocoder: MelConfig) -> None:
    """Refuse to join an acoustic model to a vocoder that takes another mel.

    Raises:
        ValueError: names each differing field with both values.
    """
    differing = acoustic.differences(vocoder)
    if differing:
        rows = "; ".join(
            f"{name}: the model makes {a!r}, the vocoder takes {b!r}" for name, (a, b) in differing.items()
        )
        raise ValueError(
            f"the mel of the model is not the mel of the vocoder: {rows}. Take a vocoder trained on this mel"
        )


def load_vocoder(source: str | Path, mel: MelConfig | None = None) -> Any:
    """A vocoder by folder, hub id or name.

    Args:
        source: a checkpoint or run folder, a hub id, the name of a known checkpoint (`amphion-vocoders list`), a
            checkpoint of another code base with its configuration beside it, or the name of a vocoder without weights,
            such as `griffin-lim`.
        mel: the spectrogram to invert, for vocoders without weights; checked against trained ones.

    Raises:
        LookupError: nothing is found under that name.
        ValueError: the mel of the trained vocoder is another one.
    """
    from . import registry
    from .hub import load_pretrained

    name = str(source)
    if not Path(name).exists() and name in registry.names("vocoders"):
        cls = registry.find("vocoders", name)
        if getattr(cls, "needs_weights", True):
            raise LookupError(f"the vocoder {name!r} needs weights; give its folder or hub id instead of the name")
        return cls(cls.config_class() if mel is None else cls.config_class(mel=mel))
    known = registry.entries("checkpoints").get("vocoders")
    vocoder = known.load()(source) if known is not None else None
    if vocoder is None:
        vocoder = load_pretrained(source, group="vocoders")
    if mel is not None:
        check_mel_match(mel, vocoder.config.mel)
    return vocoder


def load_codec(source: str | Path) -> Any:
    """A codec by checkpoint or run folder or hub id."""
    from .hub import load_pretrained

    return load_pretrained(source, group="codecs")
