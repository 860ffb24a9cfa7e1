"""IPA by espeak-ng, through its wheel: no system package is needed. Extra `amphion-tts[espeak]`."""

from __future__ import annotations

import logging
import re
from functools import cache
from typing import Any

from amphion_core.extras import require

__all__ = ["espeak_tokens"]

_EXTRA = "amphion-tts[espeak]"
_QUOTES = str.maketrans({"“": '"', "”": '"', "„": '"', "«": '"', "»": '"'})


def espeak_tokens(text: str, language: str = "en-us") -> list[str]:
    """Phones, punctuation and `_` between words, as the released models take them.

    Args:
        text: one utterance.
        language: as espeak-ng names it: `en-us`, `de`, `fr-fr` ...

    Returns:
        One token a phone; no `_` at the end.

    Raises:
        MissingExtraError: phonemizer or espeakng-loader is not installed.
        LookupError: espeak-ng has no such language.
    """
    backend, separator = _backend(language)
    lines = backend.phonemize([text.translate(_QUOTES).strip()], separator=separator, strip=True)
    tokens: list[str] = []
    for number, word in enumerate(lines[0].split(separator.word)):
        pieces = [
            piece for part in word.split(separator.phone) for piece in re.findall(r"\w+|[^\w\s]", part, re.UNICODE)
        ]
        if pieces:
            tokens += ["_", *pieces] if number and tokens else pieces
    return tokens


@cache
def _backend(language: str) -> tuple[Any, Any]:
    """The espeak backend of one language; the library is found where its wheel put it."""
    loader = require("espeakng_loader", _EXTRA)
    espeak = require("phonemizer.backend", _EXTRA)
    wrapper = require("phonemizer.backend.espeak.wrapper", _EXTRA).EspeakWrapper
    separator = require("phonemizer.separator", _EXTRA).Separator(phone="|", word="_", syllable="-")
    wrapper.set_library(loader.get_library_path())
    if hasattr(wrapper, "set_data_path"):
        wrapper.set_data_path(loader.get_data_path())
    logger = logging.getLogger("amphion_tts.espeak")
    logger.setLevel(logging.ERROR)
    if not espeak.EspeakBackend.is_supported_language(language):
        known = ", ".join(sorted(espeak.EspeakBackend.supported_languages())[:40])
        raise LookupError(f"espeak-ng has no language {language!r}; among others it has: {known}")
    backend = espeak.EspeakBackend(
        language,
        preserve_punctuation=True,
        with_stress=False,
        tie=False,
        language_switch="keep-flags",
        words_mismatch="ignore",
        logger=logger,
    )
    return backend, separator
