"""A folder in Kaldi's form as a table: `wav.scp`, `text`, `utt2spk`, each line an id, a blank and a value.

Source: Povey et al., "The Kaldi Speech Recognition Toolkit", 2011.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from amphion_data.tables import TableRow

__all__ = ["KALDI_TABLE", "read_kaldi"]

KALDI_TABLE = "wav.scp"


def read_kaldi(path: Path) -> Iterator[TableRow]:
    """Rows of `wav.scp`, with the text and the speaker of the files beside it.

    Raises:
        ValueError: the folder cuts recordings by `segments`.
    """
    if (path.parent / "segments").exists():
        raise ValueError(f"{path.parent} has a file 'segments'; cut the recordings into files first")
    texts = {name: value for _, name, value in _lines(path.parent / "text")}
    speakers = {name: value for _, name, value in _lines(path.parent / "utt2spk")}
    for number, name, value in _lines(path):
        fault = "a command, which is not run; write its output to a file" if value.endswith("|") else ""
        values = {"id": name, "audio": value, "text": texts.get(name), "speaker": speakers.get(name)}
        if any("\udc80" <= letter <= "\udcff" for part in (name, value, texts.get(name, "")) for letter in part):
            fault = "bytes that are not UTF-8"
        yield TableRow(f"{path.name}:{number}", values, fault)


def _lines(path: Path) -> Iterator[tuple[int, str, str]]:
    if not path.is_file():
        return
    text = path.read_bytes().removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            name, _, value = line.strip().partition(" ")
            yield number, name, value.strip()
