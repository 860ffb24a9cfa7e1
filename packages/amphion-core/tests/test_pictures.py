import struct
import zlib

import numpy as np
import pytest

from amphion_core.pictures import colour_map, colours, png


def decode(data):
    """Pixels of a PNG as this module writes it, by the rules of the format."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    position, chunks = 8, {}
    while position < len(data):
        (size,) = struct.unpack(">I", data[position : position + 4])
        kind, body = data[position + 4 : position + 8], data[position + 8 : position + 8 + size]
        (check,) = struct.unpack(">I", data[position + 8 + size : position + 12 + size])
        assert check == zlib.crc32(kind + body)
        chunks[kind], position = body, position + 12 + size
    width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, 1 + 3 * width)
    assert not rows[:, 0].any()
    return rows[:, 1:].reshape(height, width, 3)


def lightness(rgb):
    linear = np.where(rgb / 255 <= 0.04045, rgb / 255 / 12.92, ((rgb / 255 + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    return 116 * np.cbrt(luminance) - 16


def test_a_picture_holds_the_pixels_that_were_drawn():
    values = np.random.default_rng(0).normal(size=(5, 7))
    assert np.array_equal(decode(png(values)), colours(values))


def test_the_first_row_is_at_the_bottom():
    image = colours([[0.0, 0.0], [1.0, 1.0]])
    assert image[1].sum() < image[0].sum()


def test_lightness_rises_in_even_steps():
    steps = np.diff(lightness(colour_map().astype(float))[::15])
    assert steps.min() > 0.6 * steps.mean()
    assert steps.max() < 1.4 * steps.mean()


def test_values_that_are_not_finite_are_grey():
    image = colours([[0.0, np.nan, np.inf, 1.0]])
    assert image[0, 1].tolist() == image[0, 2].tolist() == [128, 128, 128]


@pytest.mark.parametrize("values", [np.zeros((3, 3)), np.full((1, 1), np.nan)])
def test_a_constant_or_empty_range_is_drawn(values):
    assert decode(png(values)).shape == (*values.shape, 3)


def test_a_scaled_picture_repeats_its_pixels():
    assert decode(png([[0.0, 1.0]], scale=3)).shape == (3, 6, 3)


@pytest.mark.parametrize("values", [np.zeros(4), np.zeros((0, 4)), np.zeros((2, 2, 2))])
def test_values_of_another_shape_are_refused(values):
    with pytest.raises(ValueError, match="two axes"):
        png(values)


def test_the_same_values_give_the_same_bytes():
    values = np.arange(12.0).reshape(3, 4)
    assert png(values) == png(values.copy())
