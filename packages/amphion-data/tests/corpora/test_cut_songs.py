"""What of songs and labels is cut, dropped or warned of: CSD, PJS, KiSing, NUS-48E, and what they share."""

import json

import pytest

from amphion_data.corpora.cutting import times_fault
from amphion_data.scores.timeline import Interval


def details(done):
    """What the drops say, by id."""
    drops = map(json.loads, (done.out / "drops.jsonl").read_text(encoding="utf-8").splitlines())
    return {drop["id"]: drop["detail"] for drop in drops}


@pytest.mark.parametrize(
    ("times", "length", "words"),
    [
        ([(0.0, 1.0), (0.7, 2.0)], 2.0, "overlap of 0.3000 s between 'a' and 'b' at 1.0000 s"),
        ([(1.0, 2.0), (0.0, 1.0)], 2.0, "overlap"),
        ([(0.0, 1.0), (1.0, 6.0)], 4.0, "go on to 6.000 s, the audio ends at 4.000 s"),
        ([(0.0, 1.0), (1.0, 2.05)], 1.96, None),
        ([(0.0, 0.5), (1.5, 2.0)], 4.0, None),
    ],
)
def test_labels_beyond_the_audio_or_over_one_another_are_told(times, length, words):
    fault = times_fault([Interval(*time, label) for time, label in zip(times, "ab", strict=True)], length)
    assert (fault is None) if words is None else (words in fault)


@pytest.mark.parametrize(
    ("length", "words"), [(2.09, None), (1.91, None), (2.3, "last 2.000 s, the audio 2.300 s"), (1.8, "go on to")]
)
def test_labels_of_a_whole_clip_last_as_long_as_it_within_a_tenth(length, words):
    fault = times_fault([Interval(0.0, 1.0, "a"), Interval(1.0, 2.0, "b")], length, whole=True)
    assert (fault is None) if words is None else (words in fault)


def test_unreadable_recordings_are_named_by_their_path_below_the_corpus(root, sound, text, run):
    sound("A/sing/01.wav", rate=44_100, seconds=1.0)
    text("A/sing/01.txt", "0.0 1.0 ah\n")
    text("A/sing/02.wav", b"")
    text("A/sing/02.txt", "0.0 1.0 ah\n")
    said = details(run("nus48e"))["A_sing_02"]
    assert str(root.parent) not in said and said.startswith("A/sing/02.wav is empty")
