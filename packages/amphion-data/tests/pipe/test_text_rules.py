"""Rules on transcripts."""

import pytest

from amphion_data.pipe import PipeSettings
from amphion_data.pipe.filtering import judge_score, judge_text
from amphion_data.pipe.stages import Clip, Transcript
from amphion_data.pipe.text_rules import characters, foreign_letters, is_loop, is_made_up, rate_bounds

SETTINGS = PipeSettings()


def judged(text, seconds=4.0, **facts):
    transcript = Transcript(text, **{"language": "en", "language_probability": 0.99, **facts})
    return judge_text(transcript, Clip(None, "a.wav", 0.0, seconds), SETTINGS)


GOOD = " The train leaves at half past nine, so we have breakfast."


def test_a_good_transcript_passes():
    assert judged(GOOD, logprob=-0.2, no_speech=0.01) is None


@pytest.mark.parametrize(
    ("text", "facts", "reason", "detail"),
    [
        ("  ", {}, "missing_text", "nothing"),
        (GOOD, {"language": "pt"}, "wrong_language", "pt is none of zh, en"),
        (GOOD, {"language_probability": 0.7}, "wrong_language", "language_probability 0.700"),
        (GOOD, {"logprob": -1.2}, "filtered", "avg_logprob -1.200"),
        (GOOD, {"no_speech": 0.7}, "filtered", "no_speech 0.700"),
        ("no no no no no no no no", {}, "filtered", "loop"),
        ("das ist über " + "слово" + " so gut wie immer hier", {"language": "de"}, "filtered", "script"),
        ("Thanks for watching!", {}, "filtered", "made up"),
        ("?!, a", {}, "filtered", "characters 1"),
        ("oh well", {}, "filtered", "rate 0.667"),
    ],
)
def test_each_rule_gives_its_reason_and_value(text, facts, reason, detail):
    verdict = judged(text, **facts)
    assert verdict.reason == reason and detail in verdict.detail


def test_score_below_the_bound_is_dropped_and_none_is_not():
    assert judge_score({"ovrl": 2.99}, SETTINGS).detail == "dnsmos 2.990, least 3"
    assert judge_score({"ovrl": 3.0}, SETTINGS) is None and judge_score({}, SETTINGS) is None


@pytest.mark.parametrize("bound", ["min_score", "min_logprob"])
def test_a_bound_that_is_no_number_is_refused_since_all_would_pass_it(bound):
    with pytest.raises(ValueError, match=rf"{bound}: .*must be a number, or -inf for no bound, got nan"):
        PipeSettings().updated(filter={bound: float("nan")})
    assert getattr(PipeSettings().updated(filter={bound: float("-inf")}).filter, bound) == float("-inf")


@pytest.mark.parametrize("level", ["level", "peak"])
def test_a_level_of_minus_infinity_is_refused_since_nothing_would_be_heard(level):
    with pytest.raises(ValueError, match=f"{level}: .*finite"):
        PipeSettings().updated(**{level: float("-inf")})


def test_characters_are_letters_marks_and_digits():
    assert characters("a, é！3 你。") == 4


def test_loops_are_found_and_ordinary_words_are_not():
    assert is_loop("哈" * 6) and is_loop("thank you. " * 6) and not is_loop("哈哈哈, that is very funny")
    assert not is_loop("Mississippi banana committee")


def test_letters_of_other_scripts_are_foreign_and_unknown_languages_have_none():
    assert foreign_letters("hello мир", "en") == "мир" and foreign_letters("мир", "xx") == ""
    assert foreign_letters("今日はいい天気 OK", "ja") == ""


def test_made_up_closings_are_told_without_case_and_punctuation():
    assert is_made_up("thanks for watching", "en") and not is_made_up("thanks for watching the dog", "en")


def test_own_bounds_of_the_rate_come_first():
    assert rate_bounds("en", {"en": (0.1, 0.2)}) == (0.1, 0.2) and rate_bounds("zh", {}) == (0.09, 0.45)
    assert rate_bounds("eo", {}) is None
