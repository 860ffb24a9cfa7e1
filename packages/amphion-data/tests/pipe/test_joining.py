"""Long recordings in windows: labels of a foreign library, which are its own in each window, become the same people."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest

from amphion_data.pipe.joining import windows_of
from amphion_data.pipe.pyannote import Pyannote, PyannoteOptions
from amphion_data.pipe.spans import RATE, Span, total


class Piece(NamedTuple):
    """A segment of the library."""

    start: float
    end: float


class Annotation:
    """What the library calls an annotation: segments with labels, labels sorted by name."""

    def __init__(self, turns):
        self.turns = turns

    def itertracks(self, yield_label=False):
        assert yield_label
        return iter([(Piece(start, end), k, label) for k, (start, end, label) in enumerate(self.turns)])

    def labels(self):
        return sorted({label for *_, label in self.turns})


@dataclass
class Output:
    """What the library returns."""

    speaker_diarization: Annotation
    speaker_embeddings: np.ndarray | None


class Sound:
    """A recording whose samples say where they are, s."""

    def __init__(self, seconds):
        self.length = seconds * RATE

    def read_low(self, span):
        return np.array([span.start / RATE, (span.end - span.start) / RATE], np.float32)


VOICES = np.eye(4)[:, :3] + 0.05
"""Four people; the last one's voice is like nobody's, all the same small number."""


def library(truth, vectors_too=True, voices=VOICES, seed=0):
    """A stand-in for pyannote.audio: it hears the truth, gives its labels in an order of its own in each window, and
    lets turns end after the audio."""
    generator = np.random.default_rng(seed)

    def hear(wav):
        begin, length = float(wav[0]), float(wav[1])
        inside = [(a - begin, b - begin, who) for a, b, who in truth if b > begin and a < begin + length]
        people = sorted({who for *_, who in inside})
        order = generator.permutation(len(people))
        names = {who: f"SPEAKER_{order[k]:02d}" for k, who in enumerate(people)}
        found = Annotation([(max(0.0, a), b, names[who]) for a, b, who in inside])
        held = {names[who]: who for who in people}
        vectors = np.array([voices[held[label]] + generator.normal(0, 0.02, 3) for label in found.labels()])
        return Output(found, vectors) if vectors_too else found

    return hear


def talk(seconds, people, turn=7.0, start=0.0):
    """People in turn, as (start, end, who), s."""
    count = int((seconds - start) / turn)
    return [(start + turn * k, start + turn * (k + 1) - 1.0, people[k % len(people)]) for k in range(count)]


def found(truth, seconds, **options):
    stage = Pyannote(PyannoteOptions(window=120, overlap=30, **options), library(truth), "test")
    return stage.diarise(Sound(seconds), [])


def who(diarisation, truth):
    """The true people of each speaker that was found, by the middle of its turns."""
    people = {}
    for turn in diarisation.turns:
        middle = (turn.start + turn.end) / 2 / RATE
        people.setdefault(turn.speaker, set()).update(p for a, b, p in truth if a <= middle < b)
    return people


def test_windows_share_what_was_asked_and_are_of_one_size():
    assert windows_of(50, 100, 10) == [(0, 50)] and windows_of(100, 100, 10) == [(0, 100)]
    assert windows_of(101, 100, 10) == [(0, 100), (1, 101)]
    assert windows_of(250, 100, 10) == [(0, 100), (90, 190), (150, 250)]


@pytest.mark.parametrize("vectors_too", [True, False])
def test_two_windows_with_permuted_labels_come_out_as_the_same_speakers(vectors_too):
    """With vectors, and without any by what is said in the stretch that windows share."""
    truth = talk(200, [0, 1, 2])
    for seed in range(5):
        stage = Pyannote(PyannoteOptions(window=120, overlap=30), library(truth, vectors_too, seed=seed), "test")
        people = who(stage.diarise(Sound(200), []), truth)
        assert sorted(people.values(), key=min) == [{0}, {1}, {2}]


def test_who_comes_later_is_somebody_new_and_who_returns_is_known():
    truth = [*talk(150, [0, 1]), *talk(320, [2], start=160.0), *talk(500, [1, 0], start=330.0)]
    people = who(found(truth, 500), truth)
    assert sorted(people.values(), key=min) == [{0}, {1}, {2}]


def test_a_voice_far_from_all_is_not_forced_onto_anybody():
    truth = [*talk(110, [0, 1]), *talk(300, [2, 1], start=126.0)]  # one goes, another comes
    assert sorted(who(found(truth, 300), truth).values(), key=min) == [{0}, {1}, {2}]


def test_turns_are_whole_at_the_borders_of_windows_and_cropped_at_the_end():
    truth = [(0.0, 60.0, 0), (61.0, 140.0, 1), (141.0, 205.0, 0)]
    turns, overlaps = found(truth, 200)
    assert not overlaps and [turn.speaker for turn in turns] == [0, 1, 0]
    assert [(turn.start / RATE, turn.end / RATE) for turn in turns] == [(0, 60), (61, 140), (141, 200)]


def test_people_who_speak_at_once_are_overlap_in_every_window():
    truth = [(0.0, 100.0, 0), (90.0, 190.0, 1)]
    turns, overlaps = found(truth, 190)
    assert overlaps == [Span(90 * RATE, 100 * RATE)]
    assert total(turns) == 180 * RATE


def test_speakers_without_a_vector_are_told_by_what_they_say_at_the_same_time():
    lost = VOICES.copy()
    lost[1] = np.nan  # as the library gives for who says too little
    truth = talk(200, [0, 1, 2])
    stage = Pyannote(PyannoteOptions(window=120, overlap=30), library(truth, voices=lost), "test")
    assert sorted(who(stage.diarise(Sound(200), []), truth).values(), key=min) == [{0}, {1}, {2}]


def test_a_recording_without_turns_has_none():
    assert found([], 300) == ([], [])


def test_windows_that_share_more_than_half_are_refused():
    with pytest.raises(ValueError, match="more than half of the window"):
        PyannoteOptions(window=100, overlap=60)
