"""A conversation whose speakers, overlaps and music are known: what is found, what is kept, what is dropped and why."""

import json
from importlib.util import find_spec
from itertools import pairwise

import numpy as np
import pytest

from amphion_core.data import ShardSet
from amphion_data.pipe import PipeSettings, run_pipe
from amphion_data.pipe.diarisation import OfflineDiariser, OfflineOptions, cluster, smoothed
from amphion_data.pipe.embedding import make_spectral
from amphion_data.pipe.separation import NoSeparator
from amphion_data.pipe.sound import standardise
from amphion_data.pipe.spans import RATE

pytestmark = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("silero_vad", "onnxruntime", "speechmos")),
    reason="the extra amphion-data[pipe] is not installed",
)
STEP = RATE // 100


@pytest.fixture(scope="module")
def found(talk, tmp_path_factory):
    """Speech and turns of the conversation."""
    from amphion_data.pipe.vad import make_silero

    sound = standardise(talk / "talk.wav", tmp_path_factory.mktemp("work"), "x", 24_000, NoSeparator())
    speech = make_silero({}, "cpu").speech(sound.blocks(30.0))
    return sound, speech, OfflineDiariser(OfflineOptions(), make_spectral({}, "cpu")).diarise(sound, speech)


def frames(spans, count):
    held = np.zeros(count, bool)
    for span in spans:
        held[round(span.start / STEP) : round(span.end / STEP)] = True
    return held


@pytest.mark.slow
def test_speech_is_found_and_little_else(found, conversation):
    truth = conversation.frames().any(axis=1)
    held = frames(found[1], len(truth))
    assert (held & truth).sum() / truth.sum() > 0.95 and (held & truth).sum() / held.sum() > 0.95


@pytest.mark.slow
def test_speakers_are_told_apart(found, conversation):
    from scipy.optimize import linear_sum_assignment

    truth = conversation.frames()
    turns = found[2].turns
    count = 1 + max(turn.speaker for turn in turns)
    held = np.stack([frames([t for t in turns if t.speaker == k], len(truth)) for k in range(count)], axis=1)
    common = (truth[:, :, None] & held[:, None, :]).sum(axis=0)
    rows, columns = linear_sum_assignment(-common)
    spoken, said = truth.sum(axis=1), held.sum(axis=1)
    missed, false = np.maximum(spoken - said, 0).sum(), np.maximum(said - spoken, 0).sum()
    confused = np.minimum(spoken, said).sum() - common[rows, columns].sum()
    error = (missed + false + confused) / truth.sum()
    assert count == 3 and confused / truth.sum() < 0.05
    assert error < 0.2  # no collar, two people at once counted; most of it is the overlap that is cut out


@pytest.mark.slow
def test_turns_are_exclusive_and_hold_no_overlap(found):
    _, _, (turns, overlaps) = found
    ordered = sorted([*turns, *overlaps], key=lambda span: span[0])
    assert all(a[1] <= b[0] for a, b in pairwise(ordered)) and overlaps


@pytest.mark.slow
def test_the_whole_pipe_keeps_clean_segments_of_one_speaker(talk, conversation, tmp_path):
    """Offline end to end; the bound on the score is that of the voices, which no person would take for people."""
    settings = PipeSettings(
        embed="spectral", transcribe="given", filter={"min_score": 2.2, "rates": "none"}, format="flac"
    )
    report = run_pipe(talk, tmp_path / "out", settings)
    shards = ShardSet.open(tmp_path / "out" / "shards")
    truth, speakers, pure = conversation.frames(), {}, []
    for number in range(len(shards)):
        row = shards.utterance(number)
        own = truth[round(row.extra["start"] * 100) : round(row.extra["end"] * 100)]
        assert 3.0 <= row.duration <= 30.0 and row.extra["dnsmos"] >= 2.2 and row.text
        assert own.any(axis=1).mean() > 0.7
        pure.append(own.sum(axis=0).max() / own.sum())
        speakers.setdefault(row.speaker, set()).add(int(own.sum(axis=0).argmax()))
    assert sum(share > 0.95 for share in pure) >= len(pure) - 1  # one of the two overlaps is not noticed
    assert len(shards) >= 4 and all(len(voices) == 1 for voices in speakers.values())
    hours = report.hours
    assert hours["kept"] <= hours["transcribed"] <= hours["segments"] <= hours["decoded"]
    assert report.segments == report.kept + sum(report.drops.values())
    lines = (tmp_path / "out" / "drops.jsonl").read_text().splitlines()
    assert len(lines) == sum(report.drops.values()) and all(json.loads(line)["detail"] for line in lines)


def test_groups_are_those_that_lie_apart():
    generator = np.random.default_rng(0)
    centres = np.array([[0, 0], [10, 0], [0, 10]])
    points = np.concatenate([centre + generator.normal(0, 0.3, (20, 2)) for centre in centres]).astype(np.float32)
    assert [len(group) for group in cluster(points, "euclidean", 3.0)] == [20, 20, 20]
    assert len(cluster(points, "euclidean", 30.0)) == 1 and len(cluster(points[:1], "cosine", 0.1)) == 1


def test_a_single_strange_window_does_not_change_the_speaker():
    distances = np.array([[0.1, 1], [0.1, 1], [0.6, 0.5], [0.1, 1], [1, 0.1], [1, 0.1], [1, 0.1]], np.float32)
    assert smoothed(distances, 0.5) == [0, 0, 0, 0, 1, 1, 1]
    assert smoothed(distances, 0.0) == [0, 0, 1, 0, 1, 1, 1]
