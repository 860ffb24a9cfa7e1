"""A folder in Kaldi's form as a table: `wav.scp`, `segments`, `text`, `utt2spk`, each line an id and values.

Source: Povey et al., "The Kaldi Speech Recognition Toolkit", 2011.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from amphion_data.tables import TableRow, bytes_fault

__all__ = ["KALDI_TABLE", "read_kaldi"]

KALDI_TABLE = "wav.scp"

_BLANK = " \t\r\f\v"
_GENDERS = {"m": "M", "f": "F"}  # as the readers of corpora have them


def read_kaldi(path: Path) -> Iterator[TableRow]:
    """Rows of `wav.scp`, or of `segments` where recordings are cut by it; then the texts that belong to none of them.

    Text, speaker, language and gender come from `text`, `utt2spk`, `utt2lang` and `spk2gender` beside it.
    """
    folder = _Folder(path)
    named = set[str]()
    for row in folder.rows():
        named.add(row.values["id"])
        yield row
    yield from folder.texts_without_row(named)


class _Folder:
    """The files of a folder, each by id; of several lines of an id the first is taken."""

    def __init__(self, path: Path) -> None:
        self.table, self.segments, self.text = path, path.with_name("segments"), path.with_name("text")
        self.recordings = _first(path)
        self.texts, self.speakers = _first(self.text), _first(path.with_name("utt2spk"))
        self.languages, self.genders = _first(path.with_name("utt2lang")), _first(path.with_name("spk2gender"))

    def rows(self) -> Iterator[TableRow]:
        if not self.segments.exists():
            for number, name, value in _lines(self.table):
                yield self._row(f"{self.table.name}:{number}", name, value, _fault_of(value))
            return
        for number, name, value in _lines(self.segments):
            yield self._segment(f"segments:{number}", name, value)

    def texts_without_row(self, named: set[str]) -> Iterator[TableRow]:
        """Texts whose ids are not among those of rows, and second texts of an id."""
        table = self.segments.name if self.segments.exists() else self.table.name
        first = dict[str, int]()
        for number, name, _ in _lines(self.text):
            where = f"text:{number}"
            if first.setdefault(name, number) != number:
                yield TableRow(where, {"id": name}, f"line {first[name]} has a text of this id", "duplicate_id")
            elif name not in named and name in self.recordings:
                yield self._row(where, name, self.recordings[name], f"{table} has no row for this recording")
            elif name not in named:
                yield TableRow(where, {"id": name}, f"{table} has no row for this text", "missing_audio")

    def _segment(self, where: str, name: str, value: str) -> TableRow:
        recording, *times = value.split() or [""]
        audio = self.recordings.get(recording)
        if len(times) != 2:
            fault = f"expected an id, a recording, start and end; got {name} {value}"
        elif audio is None:
            fault = f"{self.table.name} has no recording {recording!r}"
        else:
            try:
                start, end = map(float, times)
            except ValueError:
                fault = f"{times} are no times"
            else:
                if 0 <= start < end < float("inf"):
                    return self._row(where, name, audio, _fault_of(audio), start=start, end=end)
                fault = f"from {start} to {end} s is no stretch of time"
        return self._row(where, name, audio, fault)

    def _row(self, where: str, name: str, audio: str | None, fault: str, **cut: float) -> TableRow:
        speaker, text = self.speakers.get(name), self.texts.get(name)
        gender = self.genders.get(speaker or "")
        values = {
            "id": name,
            "audio": audio,
            "text": text,
            "speaker": speaker,
            "language": self.languages.get(name),
            "gender": _GENDERS.get((gender or "").lower(), gender),
        }
        broken = bytes_fault([value for value in values.values() if value])
        return TableRow(where, {**values, **cut}, broken or fault)


def _fault_of(audio: str) -> str:
    if not audio:
        return "no path of an audio file"
    return "a command, which is not run; write its output to a file" if audio.endswith("|") else ""


def _first(path: Path) -> dict[str, str]:
    found = dict[str, str]()
    for _, name, value in _lines(path):
        found.setdefault(name, value)
    return found


def _lines(path: Path) -> Iterator[tuple[int, str, str]]:
    """Number, id and value of each line; blanks and tabs divide them, other white space of unicode belongs to them."""
    if not path.is_file():
        return
    text = path.read_bytes().removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    for number, line in enumerate(text.split("\n"), 1):
        name, *value = re.split(f"[{_BLANK}]+", line.strip(_BLANK), maxsplit=1)
        if name:
            yield number, name, value[0] if value else ""
