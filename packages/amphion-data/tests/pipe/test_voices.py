"""The second look at speakers: labels that were given to the wrong voice."""

import json
from importlib.util import find_spec

import numpy as np
import pytest
import soundfile

from amphion_core.data import ShardSet
from amphion_data.pipe import run_pipe
from amphion_data.pipe.embedding import make_spectral
from amphion_data.pipe.segments import Segment
from amphion_data.pipe.separation import NoSeparator
from amphion_data.pipe.sound import standardise
from amphion_data.pipe.voices import strangers

needs_espeak = pytest.mark.skipif(find_spec("espeakng_loader") is None, reason="espeakng-loader is not installed")


@pytest.fixture(scope="module")
def two_voices(tmp_path_factory):
    """Twelve turns of two people, their sound, and a segment for each turn with its true speaker."""
    from conversation import RATE, converse

    found = converse(2, 12, seed=3, overlaps=0, music_seconds=0.0, gap=(1.2, 1.6))
    folder = tmp_path_factory.mktemp("two")
    soundfile.write(folder / "two.wav", found.wav, RATE)
    sound = standardise(folder / "two.wav", folder, "x", 24_000, NoSeparator())
    segments = [Segment(round(a * 16_000), round(b * 16_000), s, round((b - a) * 16_000)) for a, b, s in found.turns]
    return sound, segments


@needs_espeak
@pytest.mark.slow
def test_two_segments_that_were_swapped_are_found_and_no_other(two_voices):
    sound, segments = two_voices
    embedder = make_spectral({}, "cpu")
    assert strangers(sound, segments, embedder, 1.0) == {}
    wrong = [next(k for k, s in enumerate(segments) if s.speaker == 0), [s.speaker for s in segments].index(1, 5)]
    mixed = list(segments)
    for k in wrong:
        a = segments[k]
        mixed[k] = Segment(a.start, a.end, 1 - a.speaker, a.speech)
    found = strangers(sound, mixed, embedder, 1.0)
    assert found.keys() == {mixed[k] for k in wrong}
    assert all("from that of its speaker, 1.400 allowed" in words for words in found.values())


class Numbers:
    """Voices that are told by the mean of their samples."""

    identity, metric, threshold = "numbers", "euclidean", 0.1

    def embed(self, clips):
        return np.stack([np.full(3, clip.mean(), np.float32) for clip in clips])


class Flat:
    """A recording whose samples are its level in each second."""

    def __init__(self, *levels):
        self.wav = np.repeat(np.asarray(levels, np.float32), 16_000)

    def read_low(self, span):
        return self.wav[span.start : span.end]


def seconds(*speakers):
    return [Segment(16_000 * k, 16_000 * (k + 1), speaker, 16_000) for k, speaker in enumerate(speakers)]


def test_of_two_segments_nobody_can_say_which_is_wrong():
    assert strangers(Flat(0, 1), seconds(0, 0), Numbers(), 1.0) == {}
    assert list(strangers(Flat(0, 1, 0), seconds(0, 0, 0), Numbers(), 1.0)) == [seconds(0, 0, 0)[1]]


def test_the_bound_counts_in_thresholds_of_the_embedder():
    levels, speakers = (0, 0.03, 0, 0.3, 0.3, 0.3), (0, 0, 0, 1, 1, 1)
    apart = 0.03 * 3**0.5 / 0.1  # of the second one, in thresholds
    assert strangers(Flat(*levels), seconds(*speakers), Numbers(), 1.01 * apart) == {}
    assert len(strangers(Flat(*levels), seconds(*speakers), Numbers(), 0.99 * apart)) == 1


@needs_espeak
@pytest.mark.slow
def test_a_strange_voice_is_dropped_with_its_reason_and_distance(tmp_path, cheap):
    """One label for all; two of nine turns are another person's."""
    from conversation import RATE, TEXTS, VOICES, espeak

    speak, pieces, truth, at = espeak(), [], [], 0.0
    for number in range(9):
        voice = 1 if number in (3, 6) else 0
        wav = speak(TEXTS[number], *VOICES[voice])
        truth.append((at, at + len(wav) / RATE, voice))
        pieces += [wav, np.zeros(2 * RATE, np.float32)]
        at += len(wav) / RATE + 2.0
    (tmp_path / "in").mkdir()
    wav = np.concatenate(pieces) + np.random.default_rng(0).normal(0, 1e-3, sum(map(len, pieces)))
    soundfile.write(tmp_path / "in" / "talk.wav", wav, RATE)
    off = run_pipe(tmp_path / "in", tmp_path / "off", cheap())
    report = run_pipe(tmp_path / "in", tmp_path / "out", cheap(filter={"max_voice_distance": 1.0}))
    assert report.drops["wrong_speaker"] == 2 and report.kept == off.kept - 2 == 7
    assert report.hours["kept"] + report.dropped_hours["wrong_speaker"] == pytest.approx(off.hours["kept"], abs=1e-8)
    drops = [json.loads(line) for line in (tmp_path / "out" / "drops.jsonl").read_text().splitlines()]
    wrong = [drop for drop in drops if drop["reason"] == "wrong_speaker"]
    assert all(d["stage"] == "voices" and "from that of its speaker, 1.400 allowed" in d["detail"] for d in wrong)
    shards = ShardSet.open(tmp_path / "out" / "shards")
    for number in range(len(shards)):
        row = shards.utterance(number)
        middle = (row.extra["start"] + row.extra["end"]) / 2
        assert [voice for a, b, voice in truth if a <= middle < b] == [0]
        assert row.extra["models"]["embed"] == "spectral 1"


def test_plan_and_report_name_the_embedder_that_auto_stands_for(tmp_path, speechlike, cheap):
    from amphion_data.pipe.embedding import choose_embedder
    from amphion_data.pipe.estimate import estimate

    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in" / "a.wav", speechlike([(1, 5)], 7.0), 16_000)
    chosen, settings = choose_embedder("auto"), cheap(embed="auto", diarise="offline")
    assert chosen in ("ge2e", "spectral")
    assert estimate(tmp_path / "in", tmp_path / "out", settings).models["embed"] == chosen
    report = run_pipe(tmp_path / "in", tmp_path / "out", settings)
    assert f"({chosen}" in report.models["diarise"] and report.models["diarise"] in report.to_text()
