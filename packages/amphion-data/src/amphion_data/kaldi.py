"""A folder in Kaldi's form as a table: `wav.scp`, `segments`, `text`, `utt2spk`, each line an id and values.

Source: Povey et al., "The Kaldi Speech Recognition Toolkit", 2011.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from amphion_data.tables import TableRow

__all__ = ["KALDI_TABLE", "read_kaldi"]

KALDI_TABLE = "wav.scp"


def read_kaldi(path: Path) -> Iterator[TableRow]:
    """Rows of `wav.scp`, or of `segments` where recordings are cut by it, with text and speaker of the files beside."""
    texts = {name: value for _, name, value in _lines(path.parent / "text")}
    speakers = {name: value for _, name, value in _lines(path.parent / "utt2spk")}

    def row(where: str, name: str, audio: str, fault: str, **cut: float) -> TableRow:
        values = {"id": name, "audio": audio, "text": texts.get(name), "speaker": speakers.get(name), **cut}
        if any("\udc80" <= letter <= "\udcff" for part in (name, audio, texts.get(name, "")) for letter in part):
            fault = "bytes that are not UTF-8"
        return TableRow(where, values, fault)

    segments = path.parent / "segments"
    if not segments.exists():
        for number, name, value in _lines(path):
            yield row(f"{path.name}:{number}", name, value, _command(value))
        return
    recordings = {name: value for _, name, value in _lines(path)}
    for number, name, value in _lines(segments):
        where, parts = f"segments:{number}", value.split()
        if len(parts) != 3:
            yield TableRow(where, {"id": name}, f"expected an id, a recording, start and end; got {name} {value}")
            continue
        recording, *times = parts
        audio = recordings.get(recording)
        if audio is None:
            yield TableRow(where, {"id": name}, f"wav.scp has no recording {recording!r}")
            continue
        try:
            start, end = map(float, times)
        except ValueError:
            yield TableRow(where, {"id": name}, f"{times} are no times")
            continue
        if not 0 <= start < end < float("inf"):
            yield TableRow(where, {"id": name}, f"from {start} to {end} s is no stretch of time")
        else:
            yield row(where, name, audio, _command(audio), start=start, end=end)


def _command(value: str) -> str:
    return "a command, which is not run; write its output to a file" if value.endswith("|") else ""


def _lines(path: Path) -> Iterator[tuple[int, str, str]]:
    if not path.is_file():
        return
    text = path.read_bytes().removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            name, _, value = line.strip().partition(" ")
            yield number, name, value.strip()
