"""The GE2E encoder as embedder of the pipeline, with the weights that a package carries."""

from itertools import combinations

import numpy as np
import pytest
import soundfile

from amphion_core.audio import resample
from amphion_data.pipe.diarisation import OfflineDiariser, OfflineOptions
from amphion_data.pipe.embedding import make_ge2e
from amphion_data.pipe.separation import NoSeparator
from amphion_data.pipe.sound import standardise
from amphion_data.pipe.spans import RATE
from amphion_data.pipe.vad import make_energy

pytestmark = [pytest.mark.extra("speaker"), pytest.mark.slow]


@pytest.fixture(scope="module")
def embedder():
    return make_ge2e({}, "cpu")


@pytest.fixture(scope="module")
def turns(conversation):
    """Clip and speaker of each turn, at the rate of the encoder."""
    from conversation import RATE as GIVEN

    return [
        (resample(conversation.wav[round(start * GIVEN) : round(end * GIVEN)], GIVEN, RATE), speaker)
        for start, end, speaker in conversation.turns
    ]


def test_turns_of_one_voice_lie_nearer_than_the_threshold_of_a_group(embedder, turns):
    vectors = embedder.embed([clip for clip, _ in turns])
    assert vectors.shape == (len(turns), 256) and np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    pairs = list(combinations(range(len(turns)), 2))
    near, far = (
        [1 - vectors[a] @ vectors[b] for a, b in pairs if (turns[a][1] == turns[b][1]) is alike]
        for alike in (True, False)
    )
    assert max(near) < embedder.threshold < np.mean(far) and max(near) < min(far)


def test_a_clip_has_the_same_vector_alone_and_among_others(embedder, turns):
    clips = [clip for clip, _ in turns[:4]]
    together = embedder.embed([clips[0], np.zeros(0, np.float32), *clips[1:]])
    assert not together[1].any()
    alone = np.concatenate([embedder.embed([clip]) for clip in clips])
    assert np.abs(together[[0, 2, 3, 4]] - alone).max() < 1e-5  # float32 sums of other batches


def test_a_quiet_clip_is_heard_as_one_of_the_least_level(embedder, turns):
    clip = turns[0][0]
    quiet, quieter = embedder.embed([clip * np.float32(1e-2), clip * np.float32(1e-4)])
    assert np.abs(quiet - quieter).max() < 1e-3  # float32


def test_the_offline_diariser_tells_two_voices_apart(embedder, tmp_path):
    from conversation import RATE as GIVEN
    from conversation import converse

    talk = converse(2, 8, seed=3, overlaps=0, music_seconds=0.0)
    soundfile.write(tmp_path / "talk.wav", talk.wav, GIVEN)
    sound = standardise(tmp_path / "talk.wav", tmp_path, "x", GIVEN, NoSeparator())
    speech = make_energy({}, "cpu").speech(sound.blocks(30.0))
    truth, heard = talk.frames(), np.zeros((2, 2))
    for turn in OfflineDiariser(OfflineOptions(), embedder).diarise(sound, speech).turns:
        heard[turn.speaker] += truth[round(turn.start * 100 / RATE) : round(turn.end * 100 / RATE)].sum(axis=0)
    assert sorted(heard.argmax(axis=1).tolist()) == [0, 1]
    assert heard.max(axis=1).sum() > 0.95 * heard.sum()
