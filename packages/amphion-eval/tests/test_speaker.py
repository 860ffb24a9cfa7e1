"""Similarities of voices from embeddings."""

import numpy as np
import pytest

from amphion_eval import sim_o, sim_r, speaker_similarity, speaker_similarity_all_pairs
from amphion_eval.values import Undefined


@pytest.mark.parametrize("metric", [speaker_similarity, sim_o, sim_r])
def test_similarity_is_the_cosine_of_the_angle(metric):
    angle = 0.7
    assert metric([1.0, 0.0], [2 * np.cos(angle), 2 * np.sin(angle)]) == pytest.approx(np.cos(angle))


def test_same_direction_is_one_and_never_more():
    vector = np.random.default_rng(0).standard_normal(192)
    assert speaker_similarity(vector, 3 * vector) <= 1.0 == pytest.approx(speaker_similarity(vector, 3 * vector))


def test_zero_embedding_is_undefined():
    assert speaker_similarity([0.0, 0.0], [1.0, 0.0]).reason == "the embedding of the reference is zero or not finite"


def test_embeddings_of_two_networks_are_refused():
    with pytest.raises(ValueError, match=r"\(2,\) and \(3,\)"):
        speaker_similarity([1.0, 0.0], [1.0, 0.0, 0.0])


def test_all_pairs_is_the_mean_over_the_product_of_both_sets():
    generator = np.random.default_rng(0)
    left, right = list(generator.standard_normal((3, 8))), list(generator.standard_normal((5, 8)))
    expected = np.mean([speaker_similarity(a, b) for a in left for b in right])
    figure = speaker_similarity_all_pairs(left, right)
    assert figure == pytest.approx(expected) and figure.n == 5


def test_clips_without_embedding_are_left_out_and_noted():
    figure = speaker_similarity_all_pairs([np.ones(2), Undefined("too short")], [np.ones(2)])
    assert figure == pytest.approx(1.0) and figure.notes == ("1 of 2 clips of the reference have no embedding",)
    assert isinstance(speaker_similarity_all_pairs([Undefined("too short")], [np.ones(2)]), Undefined)
