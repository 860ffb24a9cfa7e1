"""Decoding in blocks: times, channels, rates, damage."""

import numpy as np
import pytest
import soundfile

from amphion_core.audio import AudioError
from amphion_data.pipe.separation import NoSeparator
from amphion_data.pipe.sound import blocks_of, resampled, standardise
from amphion_data.pipe.spans import RATE, Span


def opened(path, tmp_path, rate=24_000):
    work = tmp_path / "work"
    work.mkdir(exist_ok=True)
    return standardise(path, work, "x", rate, NoSeparator())


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (24_000, 2), (44_100, 6), (96_000, 1)])
def test_a_click_is_where_it_was_at_any_rate(rate, channels, tmp_path):
    wav = np.zeros((round(45 * rate), channels), np.float32)
    for second in (0.5, 20.0, 31.7, 44.25):
        wav[round(second * rate)] = 0.9
    soundfile.write(tmp_path / "a.flac", wav, rate)
    sound = opened(tmp_path / "a.flac", tmp_path)
    assert sound.length == pytest.approx(45 * RATE, abs=2) and sound.duration == pytest.approx(45.0)
    for second in (0.5, 20.0, 31.7, 44.25):
        low = sound.read_low(Span(round((second - 0.2) * RATE), round((second + 0.2) * RATE)))
        high = sound.read(second - 0.2, second + 0.2)
        assert np.abs(low).argmax() / RATE == pytest.approx(0.2, abs=0.001)
        assert np.abs(high).argmax() / 24_000 == pytest.approx(0.2, abs=0.001)


def test_blocks_resample_like_the_whole(tmp_path):
    generator = np.random.default_rng(0)
    wav = generator.normal(0, 0.1, (2, 100_000)).astype(np.float32)
    import soxr

    parts = [wav[:, k : k + 7777] for k in range(0, wav.shape[1], 7777)]
    found = np.concatenate(list(resampled(iter(parts), 44_100, 16_000)), axis=1)
    whole = soxr.resample(wav.T, 44_100, 16_000, quality="HQ").T
    assert found.shape == whole.shape and np.abs(found - whole).max() < 1e-5


def test_channels_are_averaged(tmp_path):
    wav = np.stack([np.full(24_000, 0.2), np.full(24_000, 0.6)], axis=1)
    soundfile.write(tmp_path / "a.wav", wav, 24_000, subtype="FLOAT")
    assert opened(tmp_path / "a.wav", tmp_path).read(0.2, 0.3) == pytest.approx(0.4, abs=1e-6)


def test_damage_is_named(tmp_path):
    (tmp_path / "empty.wav").touch()
    soundfile.write(tmp_path / "whole.wav", np.zeros(48_000), 24_000)
    (tmp_path / "cut.wav").write_bytes((tmp_path / "whole.wav").read_bytes()[:50_000])
    wav = np.zeros(24_000, np.float32)
    wav[7] = np.nan
    soundfile.write(tmp_path / "nan.wav", wav, 24_000, subtype="FLOAT")
    for name, reason in (("empty", "empty_audio"), ("cut", "truncated_audio"), ("nan", "not_finite")):
        with pytest.raises(AudioError) as error:
            opened(tmp_path / f"{name}.wav", tmp_path)
        assert error.value.reason == reason


def test_a_video_container_names_what_reads_it(tmp_path):
    from importlib.util import find_spec

    if find_spec("torchcodec") is not None:
        pytest.skip("torchcodec is installed")
    (tmp_path / "a.mp4").write_bytes(b"\0\0\0\x20ftypisom" + bytes(200))
    with pytest.raises(AudioError, match="torchcodec") as error:
        opened(tmp_path / "a.mp4", tmp_path)
    assert error.value.reason == "unsupported_audio"


def test_no_block_is_longer_than_some_seconds(tmp_path):
    soundfile.write(tmp_path / "a.flac", np.zeros(8000 * 90), 8000)
    assert [block.shape[1] / 8000 for block in blocks_of(tmp_path / "a.flac")] == [20, 20, 20, 20, 10]
