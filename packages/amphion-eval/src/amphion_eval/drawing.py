"""Small pictures for the page, as SVG and PNG text: curves of F0, distributions, spectrograms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import ArrayLike, NDArray

from amphion_eval.spectral import Resolution, magnitude_stft
from amphion_eval.statistics import Summary
from amphion_eval.tables import number

__all__ = ["Interval", "differences", "distribution", "melody", "spectrogram"]

_BANDS = 128
_COLUMNS = 640  # widest picture, in frames


def spectrogram(wav: ArrayLike, sample_rate: int, duration: float) -> bytes:
    """Spectrogram on a mel axis as PNG, 80 dB deep.

    Args:
        wav: (T,) samples.
        sample_rate: Hz.
        duration: seconds that the picture spans; the rest stays dark.

    Returns:
        The bytes of the picture, low frequencies at the bottom.
    """
    from amphion_core.pictures import png

    samples = np.asarray(wav, np.float64)
    total = max(1, int(duration * sample_rate))
    padded = np.zeros(max(total, samples.size))
    padded[: samples.size] = samples
    hop_length = max(1, sample_rate // 200, math.ceil(len(padded) / _COLUMNS))
    n_fft = 1 << (int(0.03 * sample_rate)).bit_length()
    magnitude = magnitude_stft(padded, Resolution(n_fft, hop_length, n_fft), padding="constant")
    bands = magnitude @ _bands(n_fft, sample_rate)  # (F, bands)
    level = 20 * np.log10(np.maximum(bands, 1e-10))
    top = float(level.max()) if samples.any() else 0.0
    return png(np.maximum(level, top - 80).T, low=top - 80, high=top)


def melody(contours: Sequence[tuple[NDArray[np.float64], float]], duration: float, colours: Sequence[str]) -> str:
    """F0 curves over time, one colour each, gaps where unvoiced.

    Args:
        contours: (F,) Hz, 0 = unvoiced, and the seconds between frames.
        duration: seconds that the picture spans.
        colours: CSS colours.
    """
    width, height, left, bottom, top = 900, 190, 46, 22, 8
    voiced = np.concatenate([f0[f0 > 0] for f0, _ in contours]) if contours else np.zeros(0)
    if not voiced.size:
        return '<p class="soft">No frame is voiced, so there is no F0 curve.</p>'
    low, high = math.log2(voiced.min() * 0.94), math.log2(voiced.max() * 1.06)

    def x(seconds: float) -> float:
        return left + (width - left - 6) * seconds / max(duration, 1e-3)

    def y(octave: float) -> float:
        return top + (height - top - bottom) * (high - octave) / (high - low)

    parts = [f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="F0 over time">']
    for hertz in _ticks(2**low, 2**high):
        place = y(math.log2(hertz))
        parts.append(f'<line class="axis" x1="{left}" x2="{width - 6}" y1="{place:.1f}" y2="{place:.1f}"/>')
        parts.append(f'<text x="{left - 6}" y="{place + 4:.1f}" text-anchor="end">{hertz:g} Hz</text>')
    step = next(s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 1e9) if duration / s <= 9)
    for tick in np.arange(0.0, duration + 1e-9, step):
        anchor = "end" if x(float(tick)) > width - 30 else "middle"
        parts.append(f'<text x="{x(float(tick)):.1f}" y="{height - 5}" text-anchor="{anchor}">{tick:g} s</text>')
    for (f0, period), colour in zip(contours, colours, strict=True):
        steps = []
        down = False
        for frame, hertz in enumerate(f0):
            if hertz > 0:
                steps.append(f"{'L' if down else 'M'}{x(frame * period):.1f} {y(math.log2(hertz)):.1f}")
            down = bool(hertz > 0)
        parts.append(f'<path class="curve" style="stroke:{colour}" d="{"".join(steps)}"/>')
    return "".join([*parts, "</svg>"])


def distribution(
    systems: Sequence[tuple[str, Sequence[float], Summary | None]], colours: Sequence[str], unit: str
) -> str:
    """Every item as a dot, a line for each system, its figure and interval above.

    Args:
        systems: name, values of the items, and figures.
        colours: CSS colours.
        unit: of the values.
    """
    values = [v for _, vs, _ in systems for v in vs if math.isfinite(v)]
    if not values:
        return '<p class="soft">No item has a finite value.</p>'
    low, high = min(values), max(values)
    margin = (high - low) * 0.05 or abs(high) * 0.1 or 1.0
    low, high = low - margin, high + margin
    width, line, bottom = 320, 40, 20
    height = line * len(systems) + bottom

    def x(value: float) -> float:
        return 8 + (width - 16) * (value - low) / (high - low)

    parts = [f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="values of the items">']
    floor = height - bottom
    parts.append(f'<line class="axis" x1="8" x2="{width - 8}" y1="{floor}" y2="{floor}"/>')
    suffix = f" {escape(unit)}" if unit else ""
    for tick, anchor in ((low + margin, "start"), (high - margin, "end")):
        edge = 8 if anchor == "start" else width - 8
        parts.append(f'<text x="{edge}" y="{height - 5}" text-anchor="{anchor}">{number(tick)}{suffix}</text>')
    for row, ((name, items, summary), colour) in enumerate(zip(systems, colours, strict=True)):
        middle = row * line + 26
        parts.append(f'<text x="8" y="{middle - 14}">{escape(_short(name))}</text>')
        for count, value in enumerate(items):
            if math.isfinite(value):
                lift = ((count * 7919) % 11 - 5) * 0.9  # spread a little, the same in every run
                spot = f'cx="{x(value):.1f}" cy="{middle + lift:.1f}" r="2.6"'
                parts.append(f'<circle {spot} style="fill:{colour}" opacity="0.45"/>')
        if summary is not None and summary.figure is not None and math.isfinite(summary.figure):
            if summary.interval:
                left, right = (min(max(v, low), high) for v in summary.interval)
                parts.append(
                    f'<line x1="{x(left):.1f}" x2="{x(right):.1f}" y1="{middle}" y2="{middle}" '
                    f'style="stroke:{colour}" stroke-width="3"/>'
                )
            place = x(min(max(summary.figure, low), high))
            parts.append(
                f'<line x1="{place:.1f}" x2="{place:.1f}" y1="{middle - 8}" y2="{middle + 8}" '
                f'style="stroke:{colour}" stroke-width="3"/>'
            )
    return "".join([*parts, "</svg>"])


@dataclass(frozen=True)
class Interval:
    """A figure with its interval, and whether it stands out.

    Attributes:
        name: of the line.
        value: the figure.
        low: lower end.
        high: upper end.
        strong: drawn in full colour.
    """

    name: str
    value: float
    low: float
    high: float
    strong: bool


def differences(lines: Sequence[Interval], unit: str, *, zero: bool = True) -> str:
    """Figures with their intervals, one below the other on one axis.

    Args:
        lines: at least one.
        unit: of the values.
        zero: whether 0 is on the axis, with a line.
    """
    ends = [end for line in lines for end in (line.low, line.high, line.value)] + ([0.0] if zero else [])
    low, high = min(ends), max(ends)
    margin = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    low, high = low - margin, high + margin
    width, line_height, bottom = 320, 38, 20
    height = line_height * len(lines) + bottom

    def x(value: float) -> float:
        return 8 + (width - 16) * (value - low) / (high - low)

    floor = height - bottom
    parts = [f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="figures with intervals">']
    parts.append(f'<line class="axis" x1="8" x2="{width - 8}" y1="{floor}" y2="{floor}"/>')
    if zero:
        parts.append(f'<line class="axis" x1="{x(0):.1f}" x2="{x(0):.1f}" y1="4" y2="{floor}"/>')
        if 40 < x(0) < width - 40:
            parts.append(f'<text x="{x(0):.1f}" y="{height - 5}" text-anchor="middle">0</text>')
    suffix = f" {escape(unit)}" if unit else ""
    for end, anchor, edge in ((low + margin, "start", 8), (high - margin, "end", width - 8)):
        parts.append(f'<text x="{edge}" y="{height - 5}" text-anchor="{anchor}">{number(end)}{suffix}</text>')
    for row, line in enumerate(lines):
        middle = row * line_height + 26
        colour, opacity = ("var(--s1)", 1) if line.strong else ("var(--s0)", 0.8)
        parts.append(f'<text x="8" y="{middle - 12}">{escape(_short(line.name))}</text>')
        parts.append(
            f'<line x1="{x(line.low):.1f}" x2="{x(line.high):.1f}" y1="{middle}" y2="{middle}" '
            f'style="stroke:{colour}" stroke-width="3" opacity="{opacity}"/>'
        )
        spot = f'cx="{x(line.value):.1f}" cy="{middle}" r="4.5"'
        parts.append(f'<circle {spot} style="fill:{colour}" opacity="{opacity}"/>')
    return "".join([*parts, "</svg>"])


def _ticks(low: float, high: float) -> list[float]:
    candidates = [50, 75, 100, 150, 200, 300, 400, 600, 800, 1100]
    inside = [float(hertz) for hertz in candidates if low <= hertz <= high]
    return inside or [round((low * high) ** 0.5)]


def _bands(n_fft: int, sample_rate: int) -> NDArray[np.float64]:
    def mel(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(1127.0 * np.log1p(hertz / 700.0))

    frequencies = mel(np.arange(n_fft // 2 + 1) * sample_rate / n_fft)
    edges = np.linspace(0.0, frequencies[-1], _BANDS + 2)
    spacing = edges[1]
    # Triangles at least as wide as a bin, so that no low band is empty.
    widths = np.maximum(spacing, np.interp(edges[1:-1], frequencies[1:], np.diff(frequencies)))
    weights = np.maximum(0.0, 1.0 - np.abs(frequencies[:, None] - edges[1:-1]) / widths)
    bands: NDArray[np.float64] = weights / np.maximum(weights.sum(axis=0), 1e-9)
    return bands


def _short(name: str) -> str:
    return name if len(name) <= 40 else f"{name[:39]}…"
