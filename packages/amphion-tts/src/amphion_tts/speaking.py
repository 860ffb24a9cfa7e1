"""What `amphion-tts speak` does: texts from everywhere into sound files."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from amphion_core import audio
from amphion_core.schema import read_manifest

__all__ = ["Line", "gather", "speak_files"]

log = logging.getLogger(__name__)


class Line(NamedTuple):
    """One text and the name of its file.

    Attributes:
        name: without extension.
        text: what is said.
    """

    name: str
    text: str


def gather(
    text: str | None = None,
    *,
    text_file: Path | None = None,
    manifest: Path | None = None,
    each_line: bool = False,
    stdin: TextIO | None = None,
) -> list[Line]:
    """Texts to speak, from exactly one source.

    Args:
        text: the text itself; `-` reads standard input.
        text_file: a text file.
        manifest: JSON lines with `id` and `text`; files are named by the ids.
        each_line: every line of text, file or input is an utterance of its own, named by its number.
        stdin: standard input, for tests.

    Raises:
        ValueError: none or several sources, or nothing in them.
        FileNotFoundError: a file is not there.
    """
    given = [source for source in (text, text_file, manifest) if source is not None]
    if len(given) != 1:
        raise ValueError(f"give a text, --text-file or --manifest; got {len(given)} of these")
    if manifest is not None:
        lines = [Line(file_name(row.id), row.text or "") for row in read_manifest(manifest)]
        _check_names(lines)
        empty = [line.name for line in lines if not line.text.strip()]
        if empty:
            raise ValueError(f"{len(empty)} rows of {manifest} have no text: {', '.join(empty[:5])}")
        if not lines:
            raise ValueError(f"{manifest} has no rows")
        return lines
    if text_file is not None:
        if not text_file.is_file():
            raise FileNotFoundError(f"no text file at {text_file}")
        content = text_file.read_text(encoding="utf-8-sig")
    else:
        content = (stdin or sys.stdin).read() if text == "-" else str(text)
    if not each_line:
        return [Line("speech", content)]
    numbered = [line for line in content.splitlines() if line.strip()]
    if not numbered:
        raise ValueError("the text is empty; give at least one line")
    width = max(4, len(str(len(numbered))))
    return [Line(f"{number:0{width}d}", line) for number, line in enumerate(numbered, 1)]


def file_name(identifier: str) -> str:
    """An id as the name of a file: nothing in it leads out of the folder."""
    return re.sub(r"[^\w.-]", "_", identifier).lstrip(".")[:200] or "_"


def speak_files(
    lines: Sequence[Line],
    out: Path,
    tts: Any,
    *,
    progress: bool = True,
    at_once: int = 32,
    **controls: Any,
) -> list[Path]:
    """Speak each text into a file.

    Args:
        lines: texts and names.
        out: a file where there is one text and it has an extension, else a folder.
        tts: a `TextToSpeech`.
        progress: show a bar for more than one text.
        at_once: texts that are prepared together.
        controls: see `TextToSpeech.speak`.

    Returns:
        The files written.
    """
    from tqdm import tqdm

    single = len(lines) == 1 and out.suffix.lower() in (".wav", ".flac", ".mp3", ".ogg", ".opus")
    if not single and out.is_file():
        raise ValueError(f"{out} is a file; for {len(lines)} texts give a folder")
    written: list[Path] = []
    seconds = 0.0
    groups: Iterable[int] = range(0, len(lines), at_once)
    for start in tqdm(groups, disable=None if progress and len(lines) > at_once else True, unit="batch"):
        group = lines[start : start + at_once]
        for line, wav in zip(group, tts.speak([line.text for line in group], **controls), strict=True):
            path = out if single else out / f"{line.name}.wav"
            audio.save(path, wav, tts.sample_rate)
            seconds += len(wav) / tts.sample_rate
            written.append(path)
    log.info("%d files, %.1f s of speech", len(written), seconds)
    return written


def _check_names(lines: Sequence[Line]) -> None:
    seen: set[str] = set()
    for line in lines:
        if line.name in seen:
            raise ValueError(f"two rows would be written to {line.name}.wav; make their ids differ")
        seen.add(line.name)
