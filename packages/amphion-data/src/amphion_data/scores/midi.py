"""Standard MIDI files, formats 0 and 1: the one melody of a singing corpus, with its lyrics.

Source: The MIDI Manufacturers Association, "Standard MIDI Files 1.0", 1996 (RP-001), and lyrics, RP-017.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from amphion_data.scores.melody import Melody, Note, monophonic

__all__ = ["read_midi"]

_DEFAULT_TEMPO = 500_000
"""Microseconds of a quarter where the file says none: 120 a minute."""
_TEXT, _LYRIC, _END, _SET_TEMPO = 0x01, 0x05, 0x2F, 0x51
_ENCODINGS = ("utf-8", "shift_jis", "latin-1")
_SLURS = ("-", "?")


@dataclass
class _Events:
    """What the tracks hold, in ticks."""

    notes: list[tuple[int, int, int]] = field(default_factory=list)  # start, end, pitch
    lyrics: dict[int, list[tuple[int, str]]] = field(default_factory=dict)  # kind: (tick, text)
    tempos: list[tuple[int, int]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def read_midi(source: str | Path | bytes) -> Melody:
    """The melody of a file, all its tracks together.

    Overlapping notes are cut where the next begins. A lyric belongs to the note that begins at its tick; `-` and `?`
    are slurs. Where there are no lyric events, texts that stand at notes are taken for them.

    Args:
        source: path, or the content of the file.

    Returns:
        Notes in seconds by the tempo map, without rests.

    Raises:
        ValueError: no MIDI file, one of format 2 or with SMPTE times, or one that ends too early.
        FileNotFoundError: there is no such file.
    """
    data = source if isinstance(source, bytes) else Path(source).read_bytes()
    if data[:4] != b"MThd":
        raise ValueError(f"no MIDI file: it begins with {data[:4]!r}, not with b'MThd'")
    chunks = _chunks(data)
    _, header = next(chunks, (b"", b""))
    if len(header) < 6:
        raise ValueError(f"the header of the MIDI file has {len(header)} bytes; 6 are needed")
    form, count, division = (int.from_bytes(header[i : i + 2], "big") for i in (0, 2, 4))
    if form > 1:
        raise ValueError(f"MIDI format {form}; formats 0 and 1 are read (2 holds several songs)")
    if division & 0x8000 or not division:
        raise ValueError(f"division 0x{division:04x} is not in ticks of a quarter; SMPTE times are not read")
    events = _Events()
    tracks = 0
    for kind, content in chunks:
        if kind == b"MTrk":
            _read_track(content, events, tracks)
            tracks += 1
    if tracks != count:
        events.warnings.append(f"the header says {count} tracks, the file has {tracks}")
    return _melody(events, division)


def _melody(events: _Events, division: int) -> Melody:
    seconds = _Clock(events.tempos, division)
    texts, words = _words(events)
    notes = []
    for start, end, pitch in events.notes:
        text = texts.pop(start, None)
        slur = text in _SLURS
        notes.append(Note(pitch, seconds(start), seconds(end), None if slur else text, slur))
    kept, cut = monophonic(notes)
    left = [f"{text!r} at {seconds(tick):.3f} s" for tick, text in sorted(texts.items())]
    lost = [f"{len(left)} {words} at no note: {', '.join(left[:5])}"] if left and words == "lyrics" else []
    first, *changes = ((time, 60e6 / tempo) for time, tempo in zip(seconds.seconds, seconds.tempos, strict=True))
    return Melody(tuple(kept), first[1], warnings=(*events.warnings, *cut, *lost), changes=tuple(changes))


def _words(events: _Events) -> tuple[dict[int, str], str]:
    """Syllables by tick: the lyric events, or where there are none the texts."""
    for kind, name in ((_LYRIC, "lyrics"), (_TEXT, "texts")):
        found = {tick: text.strip() for tick, text in events.lyrics.get(kind, []) if text.strip()}
        if found:
            return found, name
    return {}, "lyrics"


class _Clock:
    """Ticks to seconds by the tempo map."""

    def __init__(self, tempos: list[tuple[int, int]], division: int) -> None:
        changes = dict(sorted(tempos, key=lambda change: change[0]))  # the last of one tick holds
        changes.setdefault(0, changes.get(0, _DEFAULT_TEMPO))
        self.division = division
        self.ticks = sorted(changes)
        self.tempos = [changes[tick] for tick in self.ticks]
        self.seconds = [0.0]
        for i in range(1, len(self.ticks)):
            passed = (self.ticks[i] - self.ticks[i - 1]) * self.tempos[i - 1] / division / 1e6
            self.seconds.append(self.seconds[-1] + passed)

    def __call__(self, tick: int) -> float:
        i = bisect_right(self.ticks, tick) - 1
        return self.seconds[i] + (tick - self.ticks[i]) * self.tempos[i] / self.division / 1e6


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 0
    while place + 8 <= len(data):
        kind, size = data[place : place + 4], int.from_bytes(data[place + 4 : place + 8], "big")
        if place + 8 + size > len(data):
            raise ValueError(f"the MIDI file is cut: a chunk of {size} bytes at {place}, {len(data)} bytes in all")
        yield kind, data[place + 8 : place + 8 + size]
        place += 8 + size


class _Bytes:
    """The bytes of a track, read in order."""

    def __init__(self, data: bytes, track: int) -> None:
        self.data, self.track, self.place = data, track, 0

    def take(self, count: int) -> bytes:
        part = self.data[self.place : self.place + count]
        if len(part) < count:
            raise ValueError(f"track {self.track} is cut in the middle of an event")
        self.place += count
        return part

    def byte(self) -> int:
        return self.take(1)[0]

    def number(self) -> int:
        """A number of up to four bytes with seven bits each."""
        value = 0
        for _ in range(4):
            byte = self.byte()
            value = (value << 7) | (byte & 0x7F)
            if not byte & 0x80:
                return value
        raise ValueError(f"track {self.track} has a number of more than four bytes")

    def __bool__(self) -> bool:
        return self.place < len(self.data)


def _read_track(data: bytes, events: _Events, number: int) -> None:
    track = _Bytes(data, number)
    tick = status = 0
    sounding: dict[tuple[int, int], int] = {}
    while track:
        tick += track.number()
        byte = track.byte()
        if byte < 0x80:  # running status: this is the first byte of the data
            if status < 0x80:
                raise ValueError(f"track {number} has data 0x{byte:02x} before any status")
            track.place -= 1
        elif byte < 0xF0:
            status = byte
        if byte == 0xFF:
            status = 0
            if _read_meta(track, tick, events):
                break
        elif byte in (0xF0, 0xF7):
            status = 0
            track.take(track.number())
        elif byte > 0xF0:
            raise ValueError(f"track {number} has the system message 0x{byte:02x}, which no file may hold")
        else:
            _read_channel(track, status, tick, sounding, events)
    for (_, pitch), start in sorted(sounding.items()):
        events.warnings.append(f"note {pitch} of track {number} has no end; ended with the track")
        events.notes.append((start, max(tick, start + 1), pitch))


def _read_channel(track: _Bytes, status: int, tick: int, sounding: dict[tuple[int, int], int], events: _Events) -> None:
    kind, channel = status & 0xF0, status & 0x0F
    values = track.take(1 if kind in (0xC0, 0xD0) else 2)
    if kind not in (0x80, 0x90):
        return
    voice = (channel, values[0])
    start = sounding.pop(voice, None)
    if start is not None and tick > start:
        events.notes.append((start, tick, values[0]))
    if kind == 0x90 and values[1]:  # velocity 0 is an end
        sounding[voice] = tick


def _read_meta(track: _Bytes, tick: int, events: _Events) -> bool:
    """Read a meta event; True at the end of the track."""
    kind = track.byte()
    data = track.take(track.number())
    if kind == _SET_TEMPO and len(data) == 3:
        tempo = int.from_bytes(data, "big")
        if tempo:
            events.tempos.append((tick, tempo))
    elif kind in (_TEXT, _LYRIC):
        events.lyrics.setdefault(kind, []).append((tick, _text(data)))
    return kind == _END


def _text(data: bytes) -> str:
    for encoding in _ENCODINGS:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise AssertionError("every byte is a character of Latin-1")
