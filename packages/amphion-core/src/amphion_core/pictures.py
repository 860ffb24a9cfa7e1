"""Pictures of spectrograms and alignments as PNG, by numpy and zlib alone.

The colour map runs through OKLab in equal steps of lightness and colour, so that equal differences of the values look
equal, also in grey and to colour-blind eyes.
Source: Ottosson, "A perceptual color space for image processing", 2020 (OKLab); PNG as in RFC 2083.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["colour_map", "colours", "png"]


def png(values: ArrayLike, *, low: float | None = None, high: float | None = None, scale: int = 1) -> bytes:
    """Draw values as a PNG picture.

    Args:
        values: (H, W); row 0 is drawn at the bottom, as low frequencies are.
        low: value of the darkest colour; None takes the smallest finite one.
        high: value of the brightest colour; None takes the largest finite one.
        scale: pixels for each value, both ways.

    Returns:
        The bytes of the file, the same for the same input.

    Raises:
        ValueError: no values, not two axes, or `low` above `high`.
    """
    image = colours(values, low=low, high=high)
    if scale > 1:
        image = image.repeat(scale, axis=0).repeat(scale, axis=1)
    height, width, _ = image.shape
    rows = np.zeros((height, 1 + width * 3), np.uint8)  # each row begins with its filter, 0 = none
    rows[:, 1:] = image.reshape(height, -1)
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (_chunk(b"IHDR", head), _chunk(b"IDAT", zlib.compress(rows.tobytes(), 6)), _chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def colours(values: ArrayLike, *, low: float | None = None, high: float | None = None) -> NDArray[np.uint8]:
    """The pixels of `png`, before scaling.

    Returns:
        (H, W, 3) red, green, blue; the top row first; values that are not finite are grey.

    Raises:
        ValueError: no values, not two axes, or `low` above `high`.
    """
    array = np.asarray(values, np.float64)
    if array.ndim != 2 or array.size == 0:
        raise ValueError(f"a picture needs values of two axes (height, width), none empty; got the shape {array.shape}")
    finite = np.isfinite(array)
    known = array[finite] if finite.any() else np.zeros(1)
    bottom = float(known.min()) if low is None else low
    top = float(known.max()) if high is None else high
    if bottom > top:
        raise ValueError(f"low {bottom} is above high {top}")
    share = np.where(finite, array - bottom, 0.0) / (top - bottom or 1.0)
    steps = np.clip(np.rint(share * 255), 0, 255).astype(np.intp)
    image = colour_map()[steps]
    image[~finite] = 128
    return image[::-1]


def colour_map() -> NDArray[np.uint8]:
    """The 256 colours (256, 3) from dark violet over blue-green to light yellow."""
    t = np.linspace(0.0, 1.0, 256)
    lightness = 0.18 + 0.78 * t
    hue = np.radians(305.0 - 200.0 * t)  # violet, blue, green, yellow
    chroma = 0.105 * np.sin(np.pi * (0.15 + 0.7 * t))
    lab = np.stack([lightness, chroma * np.cos(hue), chroma * np.sin(hue)], axis=-1)
    return np.rint(_srgb(lab) * 255).astype(np.uint8)


def _srgb(lab: NDArray[np.float64]) -> NDArray[np.float64]:
    roots = (
        lab
        @ np.array(
            [
                [1.0, 0.3963377774, 0.2158037573],
                [1.0, -0.1055613458, -0.0638541728],
                [1.0, -0.0894841775, -1.2914855480],
            ]
        ).T
    )
    linear = (
        roots**3
        @ np.array(
            [
                [4.0767416621, -3.3077115913, 0.2309699292],
                [-1.2684380046, 2.6097574011, -0.3413193965],
                [-0.0041960863, -0.7034186147, 1.7076147010],
            ]
        ).T
    )
    linear = np.clip(linear, 0.0, 1.0)
    bright: NDArray[np.float64] = 1.055 * linear ** (1 / 2.4) - 0.055
    return np.where(linear <= 0.0031308, 12.92 * linear, bright)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
