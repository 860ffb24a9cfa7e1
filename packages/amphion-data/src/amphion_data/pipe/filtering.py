"""Which segments are kept: rules on the text and on the ratings, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from amphion_data.pipe.settings import PipeSettings
from amphion_data.pipe.stages import Clip, Transcript
from amphion_data.pipe.text_rules import (
    characters,
    compression,
    foreign_letters,
    is_loop,
    is_made_up,
    rate_bounds,
    seconds_per_character,
)

__all__ = ["Verdict", "judge_score", "judge_text"]


class Verdict(NamedTuple):
    """Why a segment is dropped.

    Attributes:
        reason: word of the list of reasons.
        detail: the rule with the value and the bound.
        stage: that dropped it.
    """

    reason: str
    detail: str
    stage: str


def judge_text(text: Transcript | None, clip: Clip, settings: PipeSettings) -> Verdict | None:
    """Why a transcript is not good enough; None where it is."""
    rules = settings.filter
    if text is not None and text.damaged:
        return Verdict("bad_row", text.damaged, "transcribe")
    if text is None or not text.text.strip():
        why = "no text is given for it" if settings.transcribe == "given" else "the recogniser heard nothing"
        return Verdict("missing_text", why, "transcribe")
    language = text.language or settings.language
    if text.language and rules.languages and text.language not in rules.languages:
        return Verdict("wrong_language", f"{text.language} is none of {', '.join(rules.languages)}", "transcribe")
    bounds = (
        ("language_probability", text.language_probability, rules.min_language_probability, True),
        ("avg_logprob", text.logprob, rules.min_logprob, True),
        ("no_speech", text.no_speech, rules.max_no_speech, False),
        ("compression", compression(text.text), rules.max_compression, False),
    )
    for name, value, bound, least in bounds:
        if value is not None and (value < bound if least else value > bound):
            reason = "wrong_language" if name == "language_probability" else "filtered"
            return Verdict(
                reason, f"{name} {value:.3f}, {'least' if least else 'most'} allowed {bound:g}", "transcribe"
            )
    return _judge_words(text.text, language, clip, settings)


def _judge_words(text: str, language: str | None, clip: Clip, settings: PipeSettings) -> Verdict | None:
    rules = settings.filter
    if is_loop(text):
        return Verdict("filtered", f"loop: {text[:60]!r}", "transcribe")
    if language and (foreign := foreign_letters(text, language)):
        return Verdict("filtered", f"script: {foreign[:20]!r} does not belong to {language}", "transcribe")
    if language and is_made_up(text, language):
        return Verdict("filtered", f"made up: {text[:60]!r}", "transcribe")
    if characters(text) < rules.min_characters:
        return Verdict("filtered", f"characters {characters(text)}, least {rules.min_characters}", "filter")
    if rules.rates == "table" and language and (allowed := rate_bounds(language, rules.rate_bounds)):
        rate = seconds_per_character(text, clip.end - clip.start)
        if not allowed[0] <= rate <= allowed[1]:
            return Verdict("filtered", f"rate {rate:.3f} s a character, {allowed[0]:g} to {allowed[1]:g}", "filter")
    return None


def judge_score(scores: Mapping[str, float], settings: PipeSettings) -> Verdict | None:
    """Why the sound is not good enough; None where it is, or was not rated."""
    value = scores.get("ovrl")
    if value is None or value >= settings.filter.min_score:
        return None
    return Verdict("filtered", f"dnsmos {value:.3f}, least {settings.filter.min_score:g}", "filter")
