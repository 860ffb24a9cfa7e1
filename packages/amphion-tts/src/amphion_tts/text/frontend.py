"""From text to symbols, by the front end that a model was trained with."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from amphion_tts.text.config import FrontEndConfig
from amphion_tts.text.espeak import espeak_tokens
from amphion_tts.text.lexicon import Pronouncer
from amphion_tts.text.normalize import normalize_english
from amphion_tts.text.symbols import ENGLISH_SYMBOLS, LEXICON_TABLE, PAD, PAUSES, SILENCE

__all__ = ["FrontEnd", "encode", "make_frontend", "symbol_table"]

log = logging.getLogger(__name__)


class FrontEnd(Protocol):
    """Text to symbols."""

    @property
    def symbols(self) -> tuple[str, ...] | None:
        """The fixed table, or None where the training texts decide (see `symbol_table`)."""
        ...

    def __call__(self, text: str) -> list[str]:
        """Symbols of a text.

        Raises:
            ValueError: nothing in the text can be spoken.
        """
        ...


def make_frontend(config: FrontEndConfig) -> FrontEnd:
    """The front end of a configuration.

    Raises:
        FileNotFoundError: its lexicon is not there.
    """
    makers: dict[str, Callable[[FrontEndConfig], FrontEnd]] = {
        "english": EnglishFrontEnd,
        "lexicon": LexiconFrontEnd,
        "characters": CharacterFrontEnd,
        "espeak": EspeakFrontEnd,
    }
    return makers[config.kind](config)


def encode(symbols: Sequence[str], table: Sequence[str], *, strict: bool = True) -> list[int]:
    """Ids of symbols.

    Args:
        symbols: of one utterance.
        table: id = position.
        strict: an unknown symbol is an error; else it is left out, with a warning.

    Raises:
        ValueError: an unknown symbol, or none is left.
    """
    places = {symbol: number for number, symbol in enumerate(table)}
    unknown = sorted({symbol for symbol in symbols if symbol not in places})
    if unknown:
        words = f"no symbol of the model: {', '.join(map(repr, unknown[:10]))}; it was trained on {len(table)} others"
        if strict:
            raise ValueError(f"{words}. Was it trained with another front end or language?")
        log.warning("left out, %s", words)
    ids = [places[symbol] for symbol in symbols if symbol in places]
    if not ids:
        raise ValueError("nothing to say: no symbol of the text is known to the model")
    return ids


def symbol_table(texts: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """The table of a front end without a fixed one: padding, silence, pauses and what occurs, sorted.

    Args:
        texts: symbols of each training text.
    """
    fixed = (PAD, SILENCE, *PAUSES)
    return (*fixed, *sorted({symbol for text in texts for symbol in text} - set(fixed)))


class EnglishFrontEnd:
    """ARPAbet with stress, silence at both ends, punctuation as pauses."""

    symbols = ENGLISH_SYMBOLS

    def __init__(self, config: FrontEndConfig) -> None:
        self._pronounce = Pronouncer(config.lexicon, config.entries)

    def __call__(self, text: str) -> list[str]:
        tokens: list[str] = []
        for piece in re.findall(r"[A-Za-z']+|[,.?!;:]", normalize_english(text)):
            tokens += [piece] if piece in PAUSES else self._pronounce(piece)
        return _framed(tokens, text)


class LexiconFrontEnd:
    """ARPAbet as the released checkpoints take it: `sp` for whatever is no word, nothing at the ends."""

    symbols = LEXICON_TABLE

    def __init__(self, config: FrontEndConfig) -> None:
        self._pronounce = Pronouncer(config.lexicon, config.entries)

    def __call__(self, text: str) -> list[str]:
        words = normalize_english(text).rstrip(",.?!;: ")
        tokens: list[str] = []
        for piece in re.findall(r"[A-Za-z']+|[,.?!;:]", words):
            tokens += ["@sp"] if piece in PAUSES else [f"@{phone}" for phone in self._pronounce(piece)]
        if not tokens:
            raise ValueError(f"nothing to say in {text[:60]!r}: it holds no letter or number that can be read")
        return tokens


class CharacterFrontEnd:
    """Letters of any script in lower case, silence at both ends, punctuation as pauses."""

    symbols = None

    def __init__(self, config: FrontEndConfig) -> None:
        self._entries = {word.lower(): spelling.lower() for word, spelling in config.entries.items()}

    def __call__(self, text: str) -> list[str]:
        lower = text.lower()
        for word, spelling in self._entries.items():
            lower = re.sub(rf"\b{re.escape(word)}\b", spelling.replace("\\", r"\\"), lower)
        tokens: list[str] = []
        for character in lower.replace("’", "'"):
            if character.isalpha() or character == "'" or character.isdigit():
                tokens.append(character)
            elif character in PAUSES or character in _FULL_WIDTH:
                tokens.append(_FULL_WIDTH.get(character, character))
            elif character.isspace() and tokens and tokens[-1] != " ":
                tokens.append(" ")
        return _framed(_without_stray_blanks(tokens), text)


_FULL_WIDTH = {"，": ",", "。": ".", "？": "?", "！": "!", "；": ";", "：": ":", "、": ",", "…": "."}


class EspeakFrontEnd:
    """IPA of espeak-ng in the language of the config, silence at both ends; needs `amphion-tts[espeak]`."""

    symbols = None

    def __init__(self, config: FrontEndConfig) -> None:
        self._language = config.language

    def __call__(self, text: str) -> list[str]:
        if not re.search(r"\w", text):
            return _framed([], text)
        tokens = espeak_tokens(text, self._language)
        return _framed([token for token in tokens if token not in ("_", "-")], text)


def _framed(tokens: list[str], text: str) -> list[str]:
    """Silence before and after; a pause at the end is the silence."""
    while tokens and tokens[0] in PAUSES:
        tokens = tokens[1:]
    if not any(token not in PAUSES for token in tokens):
        raise ValueError(f"nothing to say in {text[:60]!r}: it holds no letter or number that can be read")
    return [SILENCE, *tokens, SILENCE]


def _without_stray_blanks(tokens: list[str]) -> list[str]:
    """No blank beside a pause or at the ends."""
    return [
        token
        for i, token in enumerate(tokens)
        if token != " " or (0 < i < len(tokens) - 1 and tokens[i + 1] not in PAUSES and tokens[i - 1] not in PAUSES)
    ]
