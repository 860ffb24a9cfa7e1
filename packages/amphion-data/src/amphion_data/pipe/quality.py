"""Ratings of the sound by DNSMOS P.835, windows of many segments in one call.

Source: Reddy et al., "DNSMOS P.835", 2022, arXiv:2110.01763.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from amphion_core.config import Config
from amphion_core.extras import require
from amphion_core.speech.releases import DNSMOS_P835
from amphion_data.pipe.stages import Clip

__all__ = ["Dnsmos", "DnsmosOptions", "NoScore", "make_dnsmos", "make_none"]

_EXTRA = "amphion-data[mos]"


class DnsmosOptions(Config):
    """`batch`: windows in one call."""

    batch: int = Field(8, ge=1)


class Dnsmos:
    """Signal, background and overall rating."""

    def __init__(self, options: DnsmosOptions, device: str) -> None:
        """Load the network.

        Raises:
            MissingExtraError: onnxruntime is not installed.
            FileNotFoundError: the package speechmos is not installed.
        """
        require("onnxruntime", _EXTRA)
        from amphion_core.speech.dnsmos import P835

        self._rate = P835(DNSMOS_P835.locate(), device, batch=options.batch, extra=_EXTRA)
        self.identity = f"dnsmos p835 {DNSMOS_P835.hash()}"

    def score(self, clips: Sequence[Clip]) -> list[Mapping[str, float]]:
        """See `Scorer.score`."""
        names = ("sig", "bak", "ovrl")
        ratings = self._rate([clip.wav for clip in clips])
        return [dict(zip(names, map(float, row), strict=True)) for row in ratings]


class NoScore:
    """No rating; nothing is dropped for it."""

    identity = "none"

    def score(self, clips: Sequence[Clip]) -> list[Mapping[str, float]]:
        """See `Scorer.score`."""
        return [{} for _ in clips]


def make_dnsmos(options: Mapping[str, Any], device: str) -> Dnsmos:
    """The stage `score-dnsmos`."""
    return Dnsmos(DnsmosOptions.parse(options, where="options of dnsmos"), device)


def make_none(options: Mapping[str, Any], device: str) -> NoScore:
    """The stage `score-none`."""
    return NoScore()
