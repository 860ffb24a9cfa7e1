"""Cutting: joins over short pauses, cuts at deep ones, nothing lost, nothing twice."""

from itertools import pairwise

import numpy as np
import pytest

from amphion_data.pipe.segments import cut_segments
from amphion_data.pipe.settings import SegmentSettings
from amphion_data.pipe.spans import RATE, Diarisation, Span, Turn


def seconds(*times):
    return [Span(round(a * RATE), round(b * RATE)) for a, b in times]


def cut(speech, turns=None, overlaps=(), length=200.0, read=None, **settings):
    spans = seconds(*speech)
    turns = [(a, b, 0) for a, b in speech] if turns is None else turns
    held = [Turn(round(a * RATE), round(b * RATE), k) for a, b, k in turns]
    silence = read or (lambda span: np.zeros(span.end - span.start, np.float32))
    rules = SegmentSettings.parse({"pad": 0.0, "overlap_margin": 0.0, **settings})
    return cut_segments(spans, Diarisation(held, seconds(*overlaps)), round(length * RATE), rules, silence)


def times(found):
    return [(round(s.start / RATE, 3), round(s.end / RATE, 3), s.speaker) for s in found]


def test_regions_of_a_speaker_are_joined_over_short_pauses_only():
    found = cut([(0, 4), (4.9, 9), (10.5, 14)])
    assert times(found.segments) == [(0, 9, 0), (10.5, 14, 0)]


def test_a_segment_grows_no_longer_than_allowed():
    found = cut([(0, 16), (16.5, 31), (31.5, 40)])
    assert times(found.segments) == [(0, 16, 0), (16.5, 40, 0)]


def test_a_short_piece_goes_to_its_speaker_over_a_longer_pause_backward_or_forward():
    assert times(cut([(0, 5), (6.8, 8)]).segments) == [(0, 8, 0)]
    assert times(cut([(0, 1), (2.8, 8)]).segments) == [(0, 8, 0)]


def test_nothing_is_joined_over_another_speaker_or_an_overlap():
    other = cut([(0, 4), (4.2, 4.6), (4.8, 9)], [(0, 4, 0), (4.2, 4.6, 1), (4.8, 9, 0)])
    assert times(other.segments) == [(0, 4, 0), (4.8, 9, 0)] and times(other.short) == [(4.2, 4.6, 1)]
    crossed = cut([(0, 9)], [(0, 4, 0), (4.5, 9, 0)], [(4, 4.5)])
    assert times(crossed.segments) == [(0, 4, 0), (4.5, 9, 0)]
    assert crossed.overlap == round(0.5 * RATE)


def test_overlaps_are_cut_out_with_their_margins():
    found = cut([(0, 20)], [(0, 9, 0), (11, 20, 1)], [(9, 11)], overlap_margin=0.1)
    assert times(found.segments) == [(0, 8.9, 0), (11.1, 20, 1)]


def test_a_long_region_is_cut_at_its_deepest_pause():
    def read(span):
        wav = np.ones(span.end - span.start, np.float32)
        at = round(17.3 * RATE) - span.start
        wav[at : at + RATE // 5] = 0.01
        return wav

    found = cut([(0, 40)], read=read)
    first, second = found.segments
    assert 17.3 <= first.end / RATE <= 17.5 and second.start == first.end and second.end == 40 * RATE


def test_parts_of_a_very_long_region_are_all_allowed_and_miss_nothing():
    found = cut([(0, 181)], read=lambda span: np.random.default_rng(0).normal(0, 1, span.end - span.start))
    assert not found.short and all(3 <= s.seconds <= 30 for s in found.segments)
    assert sum(s.speech for s in found.segments) == 181 * RATE


def test_short_segments_are_set_aside():
    assert times(cut([(0, 2.9), (10, 13.1)]).short) == [(0, 2.9, 0)]


def test_padding_stops_at_the_next_speaker():
    found = cut([(1, 5), (5.1, 10)], [(1, 5, 0), (5.1, 10, 1)], pad=0.1)
    assert times(found.segments) == [(0.9, 5.05, 0), (5.05, 10.1, 1)]


@pytest.mark.parametrize("seed", range(10))
def test_speech_in_is_speech_kept_and_dropped_to_the_sample(seed):
    generator = np.random.default_rng(seed)
    edges = np.sort(generator.uniform(0, 300, 80)).reshape(-1, 2)
    speech = [(a, b) for a, b in edges if b - a > 0.1]
    marks = np.sort(generator.uniform(0, 300, 21))
    turns = [(a, b, int(generator.integers(0, 3))) for a, b in pairwise(marks)]
    overlaps = [(a - 0.3, a + 0.2) for a in marks[1:-1:3]]
    turns = [(a + 0.2, b - 0.3, k) for a, b, k in turns if b - a > 0.6]
    found = cut(speech, turns, overlaps, 300.0, pad=0.1, overlap_margin=0.1)
    parts = [*found.segments, *found.short]
    assert sum(s.speech for s in parts) + found.overlap + found.nobody == found.speech
    assert all(s.seconds <= 30 for s in parts)
    ordered = sorted(parts, key=lambda s: s.start)
    assert all(a.end <= b.start for a, b in pairwise(ordered))


def test_settings_that_leave_no_room_are_refused():
    with pytest.raises(ValueError, match="first_cut"):
        SegmentSettings.parse({"first_cut": 40.0})
    with pytest.raises(ValueError, match="leave room"):
        SegmentSettings.parse({"first_cut": 29.0})
