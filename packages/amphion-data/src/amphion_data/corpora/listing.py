"""What readers of corpora share: the audio of a folder by name, texts beside it, rows or why there is none."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from amphion_core.data import Drop
from amphion_core.schema import Utterance
from amphion_data.files import clean_text, first_entries, hidden_drop, is_audio, is_hidden, walk

__all__ = ["Listing", "about_lines", "decode", "find_root", "make_row", "read_utf8", "seconds_of", "stem"]

log = logging.getLogger(__name__)


class Listing:
    """The files below a corpus folder.

    Attributes:
        root: the folder.
        files: all files that are not hidden, sorted.
        audio: path without ending, in unicode NFC, to the path; the first of several that differ only in the ending.
    """

    def __init__(
        self,
        root: Path,
        within: Callable[[str], bool] = lambda path: True,
        beside: Callable[[str], bool] = lambda path: False,
    ) -> None:
        """Walk the folder once.

        Args:
            root: the folder.
            within: which paths below it hold the audio of the rows; audio elsewhere is dropped.
            beside: which of the others hold audio that belongs to the corpus and is no row, such as whole songs.
        """
        self.root = root
        self.files: list[str] = []
        self.audio: dict[str, str] = {}
        self._drops: list[Drop] = []
        for path in walk(root):
            inside = within(path)
            if inside and not is_hidden(path):
                self.files.append(path)
            if not is_audio(path):
                continue
            name = nfc(stem(path))
            if is_hidden(path):
                self._drops.append(hidden_drop(name, path))
            elif not inside and beside(path):
                continue
            elif not inside:
                detail = "it lies outside the folders of this corpus"
                self._drops.append(Drop(name, path, "unlisted_audio", detail, "scan"))
            elif name in self.audio:
                detail = f"differs from {self.audio[name]} only in its ending"
                self._drops.append(Drop(name, path, "duplicate_id", detail, "scan"))
            else:
                self.audio[name] = path
        self._names = {_spelt(path): path for path in reversed(self.files)}
        self._names |= {nfc(path): path for path in self.files}  # one that is spelt as it is asked for comes first
        self._taken: set[str] = set()

    def faults(self) -> Iterator[Drop]:
        """Audio that is hidden, that lies elsewhere, or that differs from other audio only in its ending."""
        yield from self._drops

    def orphans(
        self, *endings: str, audio_of: Callable[[str], str | None] = lambda name: name
    ) -> Iterator[tuple[str, str]]:
        """Names of audio that is not there, though a text, label or score of it is; each once.

        Args:
            endings: of such files, with the dot, in small letters.
            audio_of: the name of the audio (path without ending) of such a file by its own; None where it needs none.

        Yields:
            The name of the audio and the path of what belongs to it.
        """
        seen: set[str] = set()
        for path in self.files:
            suffix = PurePosixPath(path).suffix
            if suffix.lower() not in endings:
                continue
            name = audio_of(nfc(path[: -len(suffix)]))
            if name is not None and name not in self.audio and name not in seen:
                seen.add(name)
                yield name, path

    def find(self, name: str) -> str | None:
        """Path of the audio file of this name without ending; it counts as listed from now on."""
        path = self.audio.get(nfc(name))
        if path is not None:
            self._taken.add(path)
        return path

    def file(self, path: str) -> Path | None:
        """A file by its path below the root, however accents and ending are spelt; None where there is none."""
        found = self._names.get(nfc(path)) or self._names.get(_spelt(path))
        return None if found is None else self.root / found

    def text(self, path: str) -> str | None:
        """Content of a text file below the root; None where there is none.

        Raises:
            ValueError: it is not UTF-8.
        """
        found = self.file(path)
        return None if found is None else read_utf8(found)

    def rest(self, detail: str, within: Callable[[str], bool] = lambda path: True) -> Iterator[Drop]:
        """Audio that no row took, as drops."""
        for name, path in self.audio.items():
            if path not in self._taken and within(path):
                yield Drop(name, path, "unlisted_audio", detail, "scan")


def make_row(
    id: str,
    audio: str | None,
    *,
    raw: str | None = None,
    text: str | None = None,
    require_text: bool = False,
    extra: Mapping[str, Any] | None = None,
    looked_for: str = "",
    **fields: Any,
) -> Utterance | Drop:
    """An utterance, or why it is none.

    Args:
        id: of the row.
        audio: path below the root; None where there is no file.
        raw: text as the corpus has it, kept as `extra.text_raw`.
        text: to be used in place of `raw`, where it differs.
        require_text: whether a row without text is dropped.
        extra: further fields; those that are None are left out.
        looked_for: what was looked for, for the details of drops.
        fields: of the utterance.
    """
    if audio is None:
        return Drop(id, "", "missing_audio", f"no audio file: {looked_for or id}", "scan")
    chosen = raw if text is None else text
    if chosen is None and require_text:
        return Drop(id, audio, "missing_text", f"no text: {looked_for or id}", "scan")
    cleaned = None if chosen is None else clean_text(chosen)
    if cleaned == "" and require_text:
        return Drop(id, audio, "empty_text", f"the text is {chosen!r}", "scan")
    known = {} if raw is None else {"text_raw": raw}
    known |= {name: value for name, value in (extra or {}).items() if value is not None}
    return Utterance(id=id, audio=audio, text=cleaned or None, extra=known, **fields)


def find_root(root: Path, needs: Callable[[Path], bool], what: str) -> Path:
    """The folder itself, if it has what the corpus needs.

    Raises:
        FileNotFoundError: it has not; says what was looked for, what is there, and which folder in it may be meant.
    """
    if root.is_dir() and needs(root):
        return root
    inner = [path for path in sorted(root.iterdir()) if path.is_dir() and needs(path)] if root.is_dir() else []
    hint = f"; it seems that you mean {inner[0]}" if inner else ""
    raise FileNotFoundError(f"{what} in {root}; {first_entries(root)}{hint}")


def about_lines(root: Path, names: Sequence[str], what: str) -> Iterator[tuple[str, str]]:
    """Lines of the tables that rows can do without; what is not there or not UTF-8 is left out, and the log says so.

    Args:
        root: the folder of the corpus.
        names: of the tables in it; each that is there is read.
        what: rows lack without them, in words.

    Yields:
        The name of the table and a line of it, without its end.
    """
    found = [name for name in names if (root / name).is_file()]
    if not found:
        log.warning("no %s in %s: rows are without %s", " or ".join(names), root, what)
    for name in found:
        for number, line in enumerate((root / name).read_bytes().split(b"\n"), 1):
            try:
                yield name, decode(line.removesuffix(b"\r"), f"{name}:{number}")
            except ValueError as error:
                log.warning("%s; the line is left out: rows of its speaker are without %s", error, what)


def read_utf8(path: Path) -> str:
    """Text of a file, without byte order mark, line ends as they are.

    Raises:
        ValueError: it is not UTF-8.
    """
    return decode(path.read_bytes(), path.name)


def decode(data: bytes, name: str) -> str:
    """Text of bytes, without byte order mark.

    Raises:
        ValueError: they are not UTF-8; names the file and the byte.
    """
    try:
        return data.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{name}: not UTF-8 at byte {error.start}") from None


def seconds_of(path: Path) -> float | None:
    """Decoded seconds of an audio file; None where it can't be read, which its rows will say."""
    from amphion_core.audio import AudioError, info

    try:
        return info(path).duration
    except (AudioError, OSError):
        return None


def stem(path: str) -> str:
    """A path without the ending of an audio file."""
    return path[: -len(PurePosixPath(path).suffix)] if is_audio(path) else path


def _spelt(path: str) -> str:
    """One spelling of a path: in NFC, its ending in small letters."""
    suffix = PurePosixPath(path).suffix
    return nfc(path[: len(path) - len(suffix)]) + suffix.lower()


def nfc(text: str) -> str:
    """Unicode NFC; file systems differ in how they spell accents."""
    return unicodedata.normalize("NFC", text)
