"""Symbol tables: the position of a symbol is its id, the first one is padding."""

from __future__ import annotations

import string

__all__ = ["ARPABET", "ENGLISH_SYMBOLS", "LEXICON_TABLE", "PAD", "PAUSES", "SILENCE", "VOWELS"]

PAD = "_"
SILENCE = "sil"
PAUSES = (",", ".", "?", "!", ";", ":")

VOWELS = ("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW")
_CONSONANTS = (
    "B", "CH", "D", "DH", "F", "G", "HH", "JH", "K", "L", "M", "N", "NG",
    "P", "R", "S", "SH", "T", "TH", "V", "W", "Y", "Z", "ZH",
)  # fmt: skip

ARPABET = tuple(sorted([*_CONSONANTS, *VOWELS, *(v + stress for v in VOWELS for stress in "012")]))
"""The 84 phones: consonants, vowels without and with stress digit."""

ENGLISH_SYMBOLS = (PAD, SILENCE, *PAUSES, *(p for p in ARPABET if p not in VOWELS))
"""Table of the `english` front end."""

LEXICON_TABLE = (
    *("_", "-", *"!'(),.:;? "),
    *string.ascii_uppercase,
    *string.ascii_lowercase,
    *(f"@{phone}" for phone in ARPABET),
    *("@sp", "@spn", "@sil"),
)
"""The 151 symbols of the released checkpoints."""
