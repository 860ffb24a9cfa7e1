"""LJSpeech 1.1: 13,100 clips of one female reader, 23 h 55 min, 22,050 Hz mono 16 bit, English, public domain.

The folder is `LJSpeech-1.1/{metadata.csv, wavs/LJ001-0001.wav ...}`; `metadata.csv` has no header and no quoting, and
three columns at `|`: id, text, normalised text. Any corpus in this layout is read, whatever its size.

Source: Ito and Johnson, "The LJ Speech Dataset", 2017.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from amphion_core.data import Drop
from amphion_core.schema import Utterance
from amphion_data.corpus import Corpus
from amphion_data.figures import Figures
from amphion_data.files import clean_text, first_entries, hidden_drop, is_audio, is_hidden, walk

__all__ = ["LJSPEECH", "iter_ljspeech"]


def iter_ljspeech(
    root: Path,
    *,
    speaker: str = "LJ",
    language: str = "en",
    require_text: bool = True,
    overlay: str | None = None,
    **_: Any,
) -> Iterator[Utterance | Drop]:
    """Rows in the order of `metadata.csv`, then the audio that it does not list.

    Args:
        root: the folder that holds `metadata.csv`.
        speaker: label of the voice, for other corpora in this layout.
        language: two letters, the same.
        require_text: whether a row with two empty texts is dropped.
        overlay: file of `ID<tab>TEXT` lines, whose texts replace those of the table.

    Raises:
        FileNotFoundError: there is no `metadata.csv` or no `wavs` in the folder, or no such overlay.
        ValueError: the overlay has a line without a text, or an id that the table has not.
    """
    texts = _overlay(overlay)
    table, folder = root / "metadata.csv", root / "wavs"
    if not table.is_file() or not folder.is_dir():
        inner = [p for p in sorted(root.glob("*/metadata.csv")) if (p.parent / "wavs").is_dir()]
        hint = f"; it seems that you mean {inner[0].parent}" if inner else ""
        raise FileNotFoundError(f"LJSpeech needs metadata.csv and wavs/ in {root}; {first_entries(root)}{hint}")
    files: dict[str, str] = {}
    for path in walk(root):
        if not is_audio(path):
            continue
        stem = PurePosixPath(path).with_suffix("").as_posix().removeprefix("wavs/")
        if is_hidden(path):
            yield hidden_drop(stem, path)
        elif not path.startswith("wavs/"):
            yield Drop(stem, path, "unlisted_audio", "it lies outside wavs/, where this corpus has its audio", "scan")
        elif stem in files:
            yield Drop(stem, path, "duplicate_id", f"differs from {files[stem]} only in its ending", "scan")
        else:
            files[stem] = path
    listed: set[str] = set()
    for number, line in enumerate(table.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if line.strip():
            row = _row(line, f"metadata.csv:{number}", files, speaker, language, require_text)
            listed.add(row.id)
            if isinstance(row, Utterance) and row.id in texts:
                row = replace(row, text=texts[row.id], extra={**row.extra, "warnings": ["text_from_overlay"]})
            yield row
    strange = sorted(texts.keys() - listed)
    if strange:
        raise ValueError(f"{overlay} has texts for ids that metadata.csv has not: {', '.join(strange[:5])}")
    for stem, path in files.items():
        if stem not in listed:
            yield Drop(stem, path, "unlisted_audio", "metadata.csv has no row for it", "scan")


def _row(
    line: bytes, where: str, files: dict[str, str], speaker: str, language: str, require_text: bool
) -> Utterance | Drop:
    name = line.split(b"|")[0].strip().decode("utf-8", "backslashreplace")
    try:
        columns = line.removesuffix(b"\r").decode("utf-8").split("|")
    except UnicodeDecodeError as error:
        return Drop(name, files.get(name, ""), "bad_row", f"{where}: not UTF-8 at byte {error.start}", "scan")
    if len(columns) != 3 or not name:
        detail = f"{where}: expected id|text|normalised, got {len(columns)} columns, id {name!r}"
        return Drop(name, files.get(name, ""), "bad_row", detail, "scan")
    if ".." in PurePosixPath(name).parts or name.startswith("/"):
        return Drop(name, "", "unsafe_path", f"{where}: the id leads outside wavs/", "scan")
    if name not in files:
        return Drop(name, f"wavs/{name}.wav", "missing_audio", f"{where}: no such file in wavs/", "scan")
    raw, normalised = columns[1], columns[2]
    extra: dict[str, Any] = {"text_raw": raw, "chapter": name[:5]}
    text = clean_text(normalised)
    if not text and (text := clean_text(raw)):
        extra["warnings"] = ["text_from_raw"]
    if not text and require_text:
        return Drop(name, files[name], "empty_text", f"{where}: both texts are empty", "scan")
    return Utterance(id=name, audio=files[name], text=text or None, speaker=speaker, language=language, extra=extra)


def _overlay(path: str | None) -> dict[str, str]:
    if path is None:
        return {}
    if not Path(path).is_file():
        raise FileNotFoundError(f"no overlay of texts at {path}")
    found = {}
    for number, line in enumerate(Path(path).read_text(encoding="utf-8-sig").splitlines(), 1):
        name, tab, text = line.partition("\t")
        if line.strip() and not (tab and clean_text(text)):
            raise ValueError(f"{path}:{number}: expected an id, a tab and a text, got {line!r}")
        if line.strip():
            found[name.strip()] = clean_text(text)
    return found


LJSPEECH = Corpus(
    name="ljspeech",
    title="LJSpeech 1.1",
    licence="public domain",
    source="https://keithito.com/LJ-Speech-Dataset/",
    rows=iter_ljspeech,
    units={"chapter": lambda row: row.id[:5]},
    languages=("en",),
    hours=23.92,
    clips=13_100,
    speakers=1,
    sample_rate=22_050,
    layout="metadata.csv (id|text|normalised), wavs/ID.wav",
    figures=(Figures(rows=13_100, groups=50, speakers=1, hours=23.92),),
    options={"overlay": "file of ID<tab>TEXT lines with corrected texts"},
)
