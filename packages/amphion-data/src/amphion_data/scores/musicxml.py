"""MusicXML scores: notes, syllables and words of the first part that is sung.

Score time is not performance time: durations of what was sung come from the labels of the audio.

Source: W3C Music Notation Community Group, "MusicXML 4.0", 2021.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree
from xml.parsers import expat

from amphion_data.scores.melody import Melody, Note
from amphion_data.scores.pitches import REST

__all__ = ["read_musicxml"]

LARGEST = 64 * 2**20
"""Bytes of a score; more is no score but an attack."""
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_DEFAULT_TEMPO = 120.0
_JUMPS = ("dacapo", "dalsegno", "tocoda", "fine")


@dataclass
class _Sung:
    """A note in quarters."""

    pitch: int
    start: Fraction
    end: Fraction
    lyric: str | None = None
    syllabic: str = "single"
    tied: bool = False


@dataclass
class _Reading:
    """What has been read so far, in quarters from the beginning."""

    position: Fraction = Fraction(0)
    divisions: int = 1
    notes: list[_Sung] = field(default_factory=list)
    tempos: list[tuple[Fraction, float]] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)

    def skip(self, kind: str) -> None:
        self.skipped[kind] = self.skipped.get(kind, 0) + 1


def read_musicxml(source: str | Path | bytes, *, repeats: Literal["unfold", "refuse"] = "unfold") -> Melody:
    """The melody of the first part with lyrics (the first one where none has), voice 1.

    Args:
        source: path of a .musicxml, .xml or compressed .mxl file, or its content.
        repeats: play them, with their endings; or refuse a score that has some.

    Returns:
        Notes and rests in seconds; syllables as lyrics, joined in `words`. A note without syllable after one continues
        it (slur).

    Raises:
        ValueError: no MusicXML, a timewise score, one with entities, larger than 64 MB, or with repeats that are
            refused.
        FileNotFoundError: there is no such file.
    """
    data = source if isinstance(source, bytes) else Path(source).read_bytes()
    root = _parse(_unpacked(data) if data[:2] == b"PK" else data)
    if root.tag == "score-timewise":
        raise ValueError("a timewise score; save it as score-partwise")
    if root.tag != "score-partwise":
        raise ValueError(f"no MusicXML score: the root is {root.tag!r}, not 'score-partwise'")
    parts = root.findall("part")
    if not parts:
        raise ValueError("the score has no part")
    part = next((p for p in parts if p.find("./measure/note/lyric") is not None), parts[0])
    measures = part.findall("measure")
    reading = _Reading()
    for number in _order(measures, repeats):
        _read_measure(measures[number], reading)
    return _melody(reading, part)


def _melody(reading: _Reading, part: ElementTree.Element) -> Melody:
    tempos = sorted(reading.tempos, key=lambda change: change[0])
    warnings = [f"{count} {kind} skipped" for kind, count in sorted(reading.skipped.items())]
    if not tempos or tempos[0][0] > 0:
        warnings.append(f"no tempo at the beginning; {_DEFAULT_TEMPO:g} is taken")
        tempos.insert(0, (Fraction(0), _DEFAULT_TEMPO))
    jumps = sorted({name for sound in part.iter("sound") for name in _JUMPS if sound.get(name)})
    if jumps:
        warnings.append(f"jumps are not followed: {', '.join(jumps)}")
    notes: list[Note] = []
    singing = False
    for sung in sorted(reading.notes, key=lambda note: note.start):
        start, end = (_seconds(time, tempos) for time in (sung.start, sung.end))
        if notes and start < notes[-1].end - 1e-9:
            warnings.append(f"note {notes[-1].pitch} is cut at {start:.3f} s, where note {sung.pitch} begins")
            notes[-1] = replace(notes[-1], end=start)
        slur = sung.pitch != REST and sung.lyric is None and singing
        notes.append(Note(sung.pitch, start, end, sung.lyric, slur))
        singing = sung.pitch != REST and (singing or sung.lyric is not None)
    changes = tuple((_seconds(time, tempos), tempo) for time, tempo in tempos[1:])
    return Melody(tuple(notes), tempos[0][1], _words(reading.notes), tuple(warnings), changes)


def _words(notes: Iterable[_Sung]) -> tuple[tuple[int, int, str], ...]:
    words: list[tuple[int, int, str]] = []
    joined = False
    for number, note in enumerate(sorted(notes, key=lambda note: note.start)):
        if note.lyric is None:
            if words and note.pitch != REST and words[-1][1] == number - 1:
                words[-1] = (words[-1][0], number, words[-1][2])
            continue
        if joined and note.syllabic in ("middle", "end") and words:
            words[-1] = (words[-1][0], number, words[-1][2] + note.lyric)
        else:
            words.append((number, number, note.lyric))
        joined = note.syllabic in ("begin", "middle")
    return tuple(words)


def _seconds(time: Fraction, tempos: list[tuple[Fraction, float]]) -> float:
    total, position, tempo = 0.0, Fraction(0), tempos[0][1]
    for start, value in tempos:
        if start >= time:
            break
        total += float(start - position) * 60.0 / tempo
        position, tempo = start, value
    return total + float(time - position) * 60.0 / tempo


def _read_measure(measure: ElementTree.Element, reading: _Reading) -> None:
    begin = furthest = reading.position
    for element in measure:
        if element.tag == "attributes":
            divisions = element.findtext("divisions")
            if divisions is not None:
                reading.divisions = _positive(divisions, "divisions", measure)
        elif element.tag in ("backup", "forward"):
            step = _duration(element, reading, measure)
            reading.position = max(begin, reading.position + (step if element.tag == "forward" else -step))
        elif element.tag in ("sound", "direction"):
            for sound in element.iter("sound"):
                if sound.get("tempo"):
                    reading.tempos.append((reading.position, _tempo(sound.get("tempo", ""), measure)))
        elif element.tag == "note":
            _read_note(element, reading, measure)
        furthest = max(furthest, reading.position)
    reading.position = furthest


def _read_note(element: ElementTree.Element, reading: _Reading, measure: ElementTree.Element) -> None:
    if element.find("grace") is not None:
        reading.skip("grace notes")
        return
    if element.find("chord") is not None:
        reading.skip("chord notes")
        return
    start = reading.position
    reading.position = end = start + _duration(element, reading, measure)
    if element.findtext("voice", "1").strip() != "1":
        reading.skip("notes of further voices")
        return
    pitch = _pitch(element, measure)
    ties = {tie.get("type") for tie in element.findall("tie")}
    last = reading.notes[-1] if reading.notes else None
    if "stop" in ties and last is not None and last.tied and last.pitch == pitch and last.end == start:
        last.end, last.tied = end, "start" in ties
        return
    lyric = next(iter(element.findall("lyric")), None)
    text = "" if lyric is None else "".join(part.text or "" for part in lyric.findall("text")).strip()
    syllabic = "single" if lyric is None else lyric.findtext("syllabic", "single")
    reading.notes.append(_Sung(pitch, start, end, text or None, syllabic, "start" in ties))


def _pitch(element: ElementTree.Element, measure: ElementTree.Element) -> int:
    pitch = element.find("pitch")
    if pitch is None:
        return REST
    step = pitch.findtext("step", "").strip()
    try:
        octave, alter = int(pitch.findtext("octave", "")), float(pitch.findtext("alter", "0"))
        return round(12 * (octave + 1) + _STEPS[step] + alter)
    except (ValueError, KeyError):
        raise ValueError(f"{_where(measure)}: a pitch with step {step!r} and no whole octave") from None


def _duration(element: ElementTree.Element, reading: _Reading, measure: ElementTree.Element) -> Fraction:
    text = element.findtext("duration", "").strip()
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{_where(measure)}: a {element.tag} with the duration {text[:20]!r}")
    return Fraction(text) / reading.divisions


def _tempo(text: str, measure: ElementTree.Element) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ValueError(f"{_where(measure)}: the tempo {text!r}; quarters a minute are needed")
    return value


def _positive(text: str, name: str, measure: ElementTree.Element) -> int:
    if not _NUMBER.fullmatch(text.strip()) or "." in text or int(text) < 1:
        raise ValueError(f"{_where(measure)}: {name} is {text[:20]!r}; it must be a whole number above 0")
    return int(text)


def _where(measure: ElementTree.Element) -> str:
    return f"measure {measure.get('number', '?')}"


def _order(measures: list[ElementTree.Element], repeats: str) -> list[int]:
    """Numbers of the measures as they are played, every repeat once more."""
    marks = [_marks(measure) for measure in measures]
    if repeats == "refuse" and any(forward or backward for forward, backward, _ in marks):
        raise ValueError("the score has repeats; read it with repeats='unfold'")
    endings = _endings(marks)
    order: list[int] = []
    start, turn, number = 0, 1, 0
    while number < len(measures):
        forward, backward, _ = marks[number]
        if forward and number != start:
            start, turn = number, 1
        if endings[number] and turn not in endings[number]:
            number += 1
            continue
        order.append(number)
        if backward and turn == 1:
            turn, number = 2, start
            continue
        left_the_endings = bool(endings[number]) and endings[number] != (endings[number + 1 :] or [set()])[0]
        if backward or left_the_endings:
            start, turn = number + 1, 1
        number += 1
    return order


def _marks(measure: ElementTree.Element) -> tuple[bool, bool, list[tuple[str, set[int]]]]:
    """Whether a repeat begins and ends here, and the endings that begin and end."""
    directions = {repeat.get("direction") for repeat in measure.iterfind("./barline/repeat")}
    endings = []
    for ending in measure.iterfind("./barline/ending"):
        numbers = {int(part) for part in ending.get("number", "").replace(" ", ",").split(",") if part.isdecimal()}
        endings.append((ending.get("type", ""), numbers))
    return "forward" in directions, "backward" in directions, endings


def _endings(marks: list[tuple[bool, bool, list[tuple[str, set[int]]]]]) -> list[set[int]]:
    """The passes in which each measure is played; empty for all."""
    current: set[int] = set()
    found = []
    for _, _, endings in marks:
        for kind, numbers in endings:
            current = numbers if kind == "start" else current
        found.append(current)
        if any(kind in ("stop", "discontinue") for kind, _ in endings):
            current = set()
    return found


def _unpacked(data: bytes) -> bytes:
    """The score of a compressed file, as its container names it."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            container = _parse(_member(archive, "META-INF/container.xml"))
            for rootfile in container.iter():
                if rootfile.tag.rpartition("}")[2] == "rootfile" and rootfile.get("full-path"):
                    return _member(archive, rootfile.get("full-path", ""))
    except zipfile.BadZipFile as error:
        raise ValueError(f"not a compressed MusicXML: {error}") from None
    raise ValueError("META-INF/container.xml names no score")


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        with archive.open(name) as file:
            data = file.read(LARGEST + 1)
    except KeyError:
        raise ValueError(f"the compressed MusicXML has no {name}") from None
    if len(data) > LARGEST:
        raise ValueError(f"{name} unpacks to more than {LARGEST >> 20} MB")
    return data


def _parse(data: bytes) -> ElementTree.Element:
    """An XML document without entities of its own; nothing outside it is read."""
    if len(data) > LARGEST:
        raise ValueError(f"a score of more than {LARGEST >> 20} MB")
    builder = ElementTree.TreeBuilder()
    parser = expat.ParserCreate()
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.EntityDeclHandler = _refuse_entity
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise ValueError(f"no XML: {error}") from None
    root: ElementTree.Element = builder.close()
    return root


def _refuse_entity(name: str, *_: object) -> None:
    raise ValueError(f"the document declares the entity {name!r}; such scores are not read")
