"""Judges mels by their values: which are surely of another kind than a vocoder takes, and which only look so."""

from __future__ import annotations

import math

from torch import Tensor

from amphion_core.features import MelConfig

__all__ = ["DoubtfulMelWarning", "check_values", "doubt"]

DOUBTED_FRAMES = 50
"""Frames from which on a clip is expected to hold something quiet."""


class DoubtfulMelWarning(UserWarning):
    """The values of a mel are possible, but look like those of another kind."""


def check_values(mel: Tensor, config: MelConfig) -> None:
    """Refuse what is surely another kind: decibels, another base, no logarithm, a missing normalisation.

    Args:
        mel: finite values in any order.
        config: what the vocoder takes.

    Raises:
        ValueError: both ranges, and what to do.
    """
    if mel.numel() == 0:
        return
    least, most = (value * config.std + config.mean for value in (float(mel.min()), float(mel.max())))
    if config.log == "none":
        if least < -1:  # models undershoot a little
            raise ValueError(
                f"the least mel value is {least:.2f}; this vocoder takes magnitudes without a logarithm, so take the "
                "exponential first"
            )
        return
    if most > 1 and _close_above_zero(mel, config):
        raise ValueError(
            f"the mel values lie between {least:.2g} and {most:.2g}, none below 0: a mel without its logarithm; this "
            f"vocoder takes {config.log}, so take the logarithm of values not below {config.log_floor:g} first"
        )
    logarithm = math.log if config.log == "ln" else math.log10
    # A Hann window of n_fft ones sums to n_fft / 2; models overshoot a little, so a factor of e^3 is left.
    high = logarithm((config.n_fft / 2) ** config.power * math.exp(3))
    low = logarithm(config.log_floor) - logarithm(math.exp(3))
    if least < low or most > high:
        low, high, least, most = ((value - config.mean) / config.std for value in (low, high, least, most))
        raise ValueError(
            f"mel values from {least:.1f} to {most:.1f} can't come from this vocoder's mel, which has {config.log} "
            f"and lies between {low:.1f} and {high:.1f}; is it in decibels, of another base or not normalised?"
        )
    if config.log == "ln" and config.mean == 0 and config.std == 1:
        other = math.log10(config.log_floor)
        # Silence clamped before a decimal logarithm gives this very value again and again, below all others.
        if other - 1e-5 < least < most - 1 and int((mel < other + 1e-5).sum()) > 1:
            raise ValueError(
                f"the least mel value is {least:.3f}, many times: the floor of a mel with log10, but this vocoder "
                f"takes the natural logarithm; multiply by {math.log(10):.4f}"
            )


def doubt(mel: Tensor, config: MelConfig) -> str | None:
    """What a mel looks like that may be right; None where there is no doubt.

    A loud clip without a pause may lie wholly where a decimal logarithm would, so this is no error; nor are quiet
    magnitudes, since what tests and benchmarks draw from 0..1 looks like them.

    Args:
        mel: (..., F) values that `check_values` lets pass.
        config: what the vocoder takes.
    """
    if config.log == "none" or mel.numel() == 0:
        return None
    least, most = (value * config.std + config.mean for value in (float(mel.min()), float(mel.max())))
    if most > least and _close_above_zero(mel, config):
        return (
            f"all mel values lie between {least:.2g} and {most:.2g}, as magnitudes without a logarithm or values "
            f"scaled to 0..1 do; this vocoder takes {config.log}. If they are magnitudes, take the logarithm of values "
            f"not below {config.log_floor:g}"
        )
    decimal = math.log10(config.log_floor)
    if config.log != "ln" or mel.shape[-1] < DOUBTED_FRAMES:
        return None
    if not (decimal - 1e-3 <= least < decimal / 2 and most < 2):
        return None
    return (
        f"all mel values lie between {decimal:.0f} and 2, as those of a mel with log10 do; this vocoder takes the "
        f"natural logarithm. If they are log10, multiply them by {math.log(10):.4f}"
    )


def _close_above_zero(mel: Tensor, config: MelConfig) -> bool:
    """Whether no value is negative and many are close to 0: a logarithm passes zero, magnitudes stay above it."""
    values = mel * config.std + config.mean
    return bool((values >= 0).all()) and float((values < 0.1).float().mean()) > 0.02
