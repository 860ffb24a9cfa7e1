"""Separation in tiles: the spectrum and its inverse, streaming against the published tiling, memory."""

import numpy as np
import pytest

from amphion_data.pipe import uvr
from amphion_data.pipe.foreign import exclusive, faded
from amphion_data.pipe.stages import find_stage
from amphion_data.pipe.uvr import UvrOptions, UvrSeparator, spectrum, waveform


@pytest.fixture
def small(monkeypatch):
    """The same tiling, sixteen times as small."""
    sizes = {"RATE": 2756, "N_FFT": 384, "HOP": 64, "BINS": 192, "FRAMES": 256}
    sizes |= {"WINDOW": 64 * 255, "TRIM": 192, "STEP": 64 * 255 - 384, "TILE": 15 * 2756, "MARGIN": 2756}
    for name, value in sizes.items():
        monkeypatch.setattr(uvr, name, value)


def noise(length, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, (2, length)).astype(np.float32)


def low_pass(values):
    """A network that takes the lower half of the bins for accompaniment, a little less loud where it is loud."""
    found = values.copy()
    found[:, :, values.shape[2] // 2 :] = 0
    return np.tanh(found)


def published(wav, network):
    """The tiling of the published pipeline, the whole recording at once."""
    total = wav.shape[1]
    found = np.zeros_like(wav)
    for first in range(0, total, uvr.TILE):
        begin, end = max(0, first - uvr.MARGIN), min(total, first + uvr.TILE + uvr.MARGIN)
        chunk = wav[:, begin:end]
        pad = uvr.STEP - chunk.shape[1] % uvr.STEP
        padded = np.concatenate([np.zeros((2, uvr.TRIM)), chunk, np.zeros((2, pad)), np.zeros((2, uvr.TRIM))], axis=1)
        parts = []
        for at in range(0, chunk.shape[1] + pad, uvr.STEP):
            window = padded[:, at : at + uvr.WINDOW].astype(np.float32)
            given = spectrum(window[None])
            parts.append(waveform(0.5 * network(given) - 0.5 * network(-given))[0][:, uvr.TRIM : -uvr.TRIM])
        music = np.concatenate(parts, axis=1)[:, : chunk.shape[1]]
        own = slice(first - begin, first - begin + min(uvr.TILE, total - first))
        found[:, first : first + uvr.TILE] = chunk[:, own] - music[:, own]
    return found


def blocks(wav, size):
    return (wav[:, k : k + size] for k in range(0, wav.shape[1], size))


@pytest.mark.slow
def test_spectrum_has_the_shape_of_the_network_and_comes_back():
    wav = noise(uvr.WINDOW)[None]
    given = spectrum(wav)
    assert given.shape == (1, 4, 3072, 256) and given.dtype == np.float32
    back = waveform(given)
    smooth = np.cumsum(wav, axis=-1) * 0.01  # hardly anything in the bin that is left out
    assert np.abs(waveform(spectrum(smooth)) - smooth).max() < 1e-3
    assert np.abs(back - wav).max() < 0.05


@pytest.mark.parametrize("seconds", [0.5, 14.0, 15.0, 15.5, 29.9, 47.0])
@pytest.mark.parametrize("size", [5000, 10**7])
def test_streaming_is_the_published_tiling(small, seconds, size):
    wav = noise(round(seconds * 2756))
    stage = UvrSeparator(UvrOptions(path="x", batch=2), low_pass, "test")
    found = np.concatenate(list(stage.stream(blocks(wav, size))), axis=1)
    assert found.shape == wav.shape
    assert np.abs(found - published(wav, low_pass)).max() < 1e-4


def test_a_network_that_hears_no_music_leaves_the_recording(small):
    wav = noise(60_000)
    stage = UvrSeparator(UvrOptions(path="x"), np.zeros_like, "test")
    assert np.array_equal(np.concatenate(list(stage.stream([wav])), axis=1), wav)


def test_mono_is_doubled_and_six_channels_are_averaged(small):
    stage = UvrSeparator(UvrOptions(path="x"), np.zeros_like, "test")
    wav = noise(9000)[:1]
    assert np.array_equal(next(stage.stream([wav])), np.repeat(wav, 2, axis=0))
    assert next(stage.stream([np.repeat(wav, 6, axis=0)])) == pytest.approx(np.repeat(wav, 2, axis=0), abs=1e-7)


def test_weights_that_are_absent_are_named():
    with pytest.raises(FileNotFoundError, match=r"Inst_HQ_3\.onnx.*uvr\.path=FILE; or take --separate none"):
        find_stage("separate", "uvr", {})
    with pytest.raises(FileNotFoundError, match="no weights of uvr at nowhere"):
        find_stage("separate", "uvr", {"path": "nowhere"})


@pytest.mark.parametrize("length", [10, 99, 1000, 1234])
def test_pieces_fade_into_one_another_without_a_trace(length):
    wav = noise(length)
    found = np.concatenate(list(faded(blocks(wav, 70), lambda piece: piece, 200, 50)), axis=1)
    assert found.shape == wav.shape and found == pytest.approx(wav, abs=1e-6)


def test_turns_that_overlap_become_exclusive():
    turns, overlaps = exclusive([(0, 100, "B"), (80, 200, "A"), (150, 160, "B"), (300, 310, "A")])
    assert overlaps == [(80, 100), (150, 160)]
    assert turns == [(0, 80, 0), (100, 150, 1), (160, 200, 1), (300, 310, 1)]


@pytest.mark.parametrize(
    ("kind", "name", "extra"),
    [("diarise", "pyannote", "diarize"), ("separate", "demucs", "demucs")],
)
def test_packages_that_are_absent_are_named(kind, name, extra):
    from importlib.util import find_spec

    if find_spec({"pyannote": "pyannote", "demucs": "demucs"}[name]) is not None:
        pytest.skip(f"{name} is installed")
    with pytest.raises(ImportError, match=rf"amphion-data\[{extra}\]"):
        find_stage(kind, name, {})
