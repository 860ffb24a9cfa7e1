"""The two special phones of singing corpora, and the syllables of Mandarin."""

from __future__ import annotations

__all__ = ["BREATH", "FINALS", "INITIALS", "SILENCE", "SPECIAL", "is_special", "special_phone"]

BREATH, SILENCE = "AP", "SP"
SPECIAL = frozenset({BREATH, SILENCE})
_SPELLINGS = {"<AP>": BREATH, "AP": BREATH, "br": BREATH} | dict.fromkeys(("<SP>", "SP", "pau", "sil", "sp"), SILENCE)

_INITIALS = "b p m f d t n l g k h j q x zh ch sh r z c s y w"
_FINALS = (
    "a ai an ang ao e ei en eng er i ia ian iang iao ie in ing io iong iou iu o ong ou u ua uai uan uang uei uen ueng "
    "ui un uo v van ve vn i0 ir ih iii ii E En Er eh ng n m"
)
INITIALS = frozenset(_INITIALS.split())
FINALS = frozenset(_FINALS.split())
"""Finals as the corpora write them, with their short and long spellings; `v` stands for ü."""


def special_phone(label: str) -> str | None:
    """`AP` or `SP` where the label is one of their spellings, else None."""
    return _SPELLINGS.get(label)


def is_special(phone: str) -> bool:
    """Whether a phone is a breath or a pause."""
    return phone in SPECIAL
