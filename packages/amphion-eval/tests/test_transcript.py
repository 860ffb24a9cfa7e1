import random

import pytest

from amphion_eval.transcript import cer, edit_counts, edit_distance, wer


def test_rate_counts_words():
    rate = wer("Seven small boats left.", "seven boats left it", language="en")
    assert (rate.count, rate.total) == (2, 4)


def test_rate_may_exceed_one():
    assert wer("one word", "many more words than that") > 1


def test_characters_keep_the_space_between_words():
    assert cer("ab cd", "abcd") == pytest.approx(1 / 5)


@pytest.mark.parametrize("language", ["zh", "ja", "th", "zh-CN", "yue"])
def test_languages_without_spaces_compare_letters(language):
    assert wer("今天 好", "今天好", language=language) == 0
    assert cer("今天 好", "今天坏", language=language) == pytest.approx(1 / 3)


def test_thai_marks_stay_on_their_letter():
    assert wer("ก้า", "กา", language="th", normalizer="none").total == 2


@pytest.mark.parametrize("text", ["", "...", "(laughs)", "😀"])
@pytest.mark.parametrize("metric", [wer, cer])
def test_reference_without_words_is_undefined(metric, text):
    assert "no " in metric(text, "something").reason


def test_empty_transcript_is_all_deletions():
    assert wer("stop now", "") == 1
    assert edit_counts(["stop", "now"], []) == (0, 2, 0)


def test_distance_is_symmetric_and_obeys_the_triangle():
    generator = random.Random(0)
    texts = [[generator.choice("abc") for _ in range(generator.randrange(12))] for _ in range(12)]
    for a in texts:
        for b in texts:
            assert edit_distance(a, b) == edit_distance(b, a) == sum(edit_counts(a, b))
            assert all(edit_distance(a, b) <= edit_distance(a, c) + edit_distance(c, b) for c in texts)


def test_unknown_normaliser_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="english"):
        wer("a", "a", normalizer="french")


@pytest.mark.slow
def test_twenty_thousand_characters_are_compared_in_the_memory_of_a_row():
    assert cer("ab" * 5000 + "x", "ab" * 5000, normalizer="none") == pytest.approx(1 / 10001)
