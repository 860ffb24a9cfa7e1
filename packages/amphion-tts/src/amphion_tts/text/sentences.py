"""Long text in pieces that a model can speak at once."""

from __future__ import annotations

import re

__all__ = ["split_sentences"]

_END = re.compile(r"(?<=[.!?。！？])[\"'”’)\]]*\s+|(?<=[。！？])")
_NO_END = re.compile(
    r"(?:^|\s)(?:Mr|Mrs|Ms|Dr|Prof|St|Sr|Jr|vs|No|Gen|Col|Capt|Lt|Sgt|Rev|Hon|Gov|Sen|Rep|e\.g|i\.e|etc|[A-Z])\.$"
)


def split_sentences(text: str, limit: int = 250) -> list[str]:
    """Sentences, and longer ones cut at commas or blanks.

    Args:
        text: any; what is between blank lines is never joined.
        limit: most characters of a piece.

    Returns:
        Pieces without blanks at their ends; none is empty. Joined they are the text but for blanks.
    """
    pieces: list[str] = []
    for paragraph in re.split(r"\n[ \t]*\n", text):
        held = ""
        parts = [part.strip() for part in _END.split(paragraph)]
        for part, following in zip(parts, [*parts[1:], ""], strict=True):
            held = f"{held} {part}".strip()
            if held and not _NO_END.search(held) and not (held.endswith(".") and following[:1].islower()):
                pieces += _cut(held, limit)
                held = ""
        if held:
            pieces += _cut(held, limit)
    return pieces


def _cut(sentence: str, limit: int) -> list[str]:
    pieces = []
    while len(sentence) > limit:
        window = sentence[: limit + 1]
        place = max(window.rfind(mark) for mark in (", ", "; ", ": ", "、", "，")) + 1
        if place < limit // 4:
            place = window.rfind(" ")
        if place <= 0:
            place = limit
        pieces.append(sentence[:place].strip())
        sentence = sentence[place:].strip()
    return [*pieces, sentence] if sentence else pieces
