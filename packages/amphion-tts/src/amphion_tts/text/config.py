"""Which front end a model was trained with, and its settings."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from amphion_core.config import Config

__all__ = ["FrontEndConfig"]


class FrontEndConfig(Config):
    """From text to symbols.

    Attributes:
        kind: `english` (ARPAbet by lexicon and rules, pauses for punctuation, offline), `characters` (letters of
            any script), `espeak` (IPA in any of its languages; extra `amphion-tts[espeak]`) or `lexicon` (the
            ARPAbet of the released checkpoints).
        language: for `espeak`, as it names them: `en-us`, `de`, `cmn` ...
        lexicon: a file of words and phones in the CMUdict or LibriSpeech form, looked up before our own lexicon;
            for `english` and `lexicon`.
        entries: words and their phones, before everything else, such as `{"Amphion": "AE0 M F AY1 AH0 N"}`; for
            `characters` words and their spelling; `espeak` takes none.
    """

    kind: Literal["english", "characters", "espeak", "lexicon"] = "english"
    language: str = "en-us"
    lexicon: str | None = None
    entries: dict[str, str] = {}

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        faults = []
        if self.lexicon is not None and self.kind not in ("english", "lexicon"):
            faults.append(f"a lexicon holds ARPAbet, which the front end {self.kind!r} does not take")
        if self.entries and self.kind == "espeak":
            faults.append("espeak has its own lexicon and takes no entries; write the word as it is spoken")
        if faults:
            raise ValueError("; ".join(faults))
        return self
