import numpy as np
import pytest

from amphion_core.config import ConfigError
from amphion_core.data.reader import ShardSet
from amphion_core.testing.sounds import glide
from amphion_vocoders import segments
from amphion_vocoders.segments import ClipReader, F0Config, SegmentReader, collate_clips, collate_segments

RATE, HOP = 8000, 32
F0 = F0Config(f_min=60, f_max=600)


def readers(shards, samples=2048, f0=F0, short="wrap"):
    sets = [ShardSet.open(shards / "train")]
    return SegmentReader(sets, RATE, samples, short, f0, HOP), ClipReader(sets, RATE, 128, f0, HOP)


def test_f0_of_a_segment_is_that_of_the_clip_at_its_place(shards):
    segments, clips = readers(shards)
    whole = clips(0, 2, np.random.default_rng(0))  # 0.8 s
    for seed in range(5):
        segment = segments(0, 2, np.random.default_rng(seed))
        place = int(np.argmax(np.correlate(whole.wav, segment.wav, "valid")))
        np.testing.assert_allclose(whole.wav[place : place + 2048], segment.wav, atol=1e-3)
        assert segment.f0.shape == (2048 // HOP,)
        times = place + HOP * np.arange(2048 // HOP)
        expected = np.interp(times, HOP * np.arange(whole.f0.shape[0]), whole.f0)
        both = (segment.f0 > 0) & (expected > 60)
        assert both.mean() > 0.8
        np.testing.assert_allclose(segment.f0[both], expected[both], rtol=0.02)


@pytest.mark.parametrize("short", ["wrap", "pad"])
def test_short_clips_have_f0_of_what_becomes_of_them(shards, short):
    segment = readers(shards, short=short)[0](0, 0, np.random.default_rng(0))  # 0.1 s, 800 samples
    assert segment.wav.shape == (2048,)
    assert segment.f0.shape == (2048 // HOP,)
    assert (segment.f0[1000 // HOP :] > 0).any() == (short == "wrap")


def test_without_a_wish_for_f0_there_is_none(shards):
    segments, clips = readers(shards, f0=None)
    random = np.random.default_rng(0)
    assert collate_segments([segments(0, 1, random)]).f0 is None
    assert collate_clips([clips(0, 1, random)]).f0 is None


def test_segments_are_the_same_with_and_without_f0(shards):
    with_f0, without = (readers(shards, f0=f0)[0](0, 5, np.random.default_rng(3)) for f0 in (F0, None))
    np.testing.assert_array_equal(with_f0.wav, without.wav)


def test_contours_of_clips_are_padded_with_unvoiced_frames(shards):
    _, clips = readers(shards)
    batch = collate_clips([clips(0, index, np.random.default_rng(0)) for index in (0, 2)])
    assert batch.f0.shape == (2, 6400 // HOP)
    assert not batch.f0[0, 800 // HOP :].any()


def test_limits_in_the_wrong_order_are_refused():
    with pytest.raises(ConfigError, match="f_min 600"):
        F0Config.parse({"f_min": 600, "f_max": 60})


def test_f0_of_long_recordings_in_pieces_is_that_of_the_whole(monkeypatch):
    wav = np.concatenate([glide(100, 300, RATE, 3.0), np.zeros(2000), glide(250, 120, RATE, 4.0)]).astype(np.float32)
    whole = F0.contour(wav, RATE, HOP, wav.shape[0] // HOP)
    monkeypatch.setattr(segments, "F0_PIECE", 1.0)
    monkeypatch.setattr(segments, "F0_OVERLAP", 0.5)
    pieces = F0.contour(wav, RATE, HOP, wav.shape[0] // HOP)
    assert pieces.shape == whole.shape
    assert np.mean((pieces > 0) == (whole > 0)) > 0.98
    both = (pieces > 0) & (whole > 0)
    np.testing.assert_allclose(pieces[both], whole[both], rtol=0.01)
