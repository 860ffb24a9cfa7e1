import contextlib
import random
import struct

import pytest

from amphion_data.scores import read_midi


def number(value):
    parts = [value & 0x7F]
    while value := value >> 7:
        parts.insert(0, (value & 0x7F) | 0x80)
    return bytes(parts)


def track(events):
    """A track of (tick, bytes) events."""
    data, last = b"", 0
    for tick, event in sorted(events, key=lambda event: event[0]):
        data += number(tick - last) + event
        last = tick
    data += b"\x00\xff\x2f\x00"
    return b"MTrk" + struct.pack(">I", len(data)) + data


def midi(*tracks, form=1, division=480):
    return b"MThd" + struct.pack(">IHHH", 6, form, len(tracks), division) + b"".join(tracks)


def on(pitch, velocity=80, channel=0):
    return bytes([0x90 | channel, pitch, velocity])


def off(pitch, channel=0):
    return bytes([0x80 | channel, pitch, 0])


def meta(kind, data):
    return bytes([0xFF, kind]) + number(len(data)) + data


def tempo(microseconds):
    return meta(0x51, microseconds.to_bytes(3, "big"))


def times(melody):
    return [(note.pitch, round(note.start, 6), round(note.end, 6)) for note in melody.notes]


def test_notes_last_what_the_default_tempo_says():
    melody = read_midi(midi(track([(0, on(60)), (480, off(60)), (960, on(62)), (1200, off(62))])))
    assert times(melody) == [(60, 0, 0.5), (62, 1.0, 1.25)]
    assert melody.tempo == 120 and not melody.warnings


def test_tempo_map_of_one_track_rules_the_notes_of_another():
    first = track([(0, tempo(1_000_000)), (480, tempo(250_000))])
    melody = read_midi(midi(first, track([(240, on(60)), (960, off(60))])))
    assert times(melody) == [(60, 0.5, 1.25)]
    assert melody.tempo == 60 and melody.changes == ((1.0, 240.0),)
    assert (melody.tempo_at(0.99), melody.tempo_at(1.0)) == (60, 240)
    assert melody.quarters(0.5, 1.5) == pytest.approx(0.5 + 2.0)


def test_running_status_and_velocity_zero_end_a_note():
    events = [(0, on(60)), (480, bytes([60, 0])), (480, bytes([64, 70])), (720, bytes([64, 0]))]
    assert times(read_midi(midi(track(events), form=0))) == [(60, 0, 0.5), (64, 0.5, 0.75)]


def test_lyrics_belong_to_the_notes_of_their_tick_and_dashes_are_slurs():
    events = [(0, on(60)), (480, off(60)), (480, on(62)), (960, off(62))]
    words = [(0, meta(5, "hǎo".encode())), (480, meta(5, b"-"))]
    first, second = read_midi(midi(track(words + events))).notes
    assert (first.lyric, first.slur, second.lyric, second.slur) == ("hǎo", False, None, True)


@pytest.mark.parametrize(("kind", "encoding"), [(5, "shift_jis"), (1, "utf-8")])
def test_lyrics_in_other_encodings_and_as_texts_are_read(kind, encoding):
    events = [(0, meta(kind, "あめ".encode(encoding))), (0, on(60)), (480, off(60))]
    assert read_midi(midi(track(events))).notes[0].lyric == "あめ"


def test_lyrics_that_are_neither_utf8_nor_shift_jis_are_latin_1():
    events = [(0, meta(5, "größe".encode("latin-1"))), (0, on(60)), (480, off(60))]
    assert read_midi(midi(track(events))).notes[0].lyric == "größe"


def test_a_lyric_at_no_note_is_told():
    melody = read_midi(midi(track([(5, meta(5, b"la")), (10, on(60)), (480, off(60))])))
    assert melody.notes[0].lyric is None and "1 lyrics at no note: 'la' at 0.005 s" in melody.warnings[0]


def test_overlapping_notes_are_cut_with_a_warning():
    melody = read_midi(midi(track([(0, on(60)), (480, on(62)), (600, off(60)), (960, off(62))])))
    assert times(melody) == [(60, 0, 0.5), (62, 0.5, 1.0)]
    assert "overlaps note 62; cut at 0.500 s" in melody.warnings[0]


def test_a_note_without_an_end_lasts_to_the_end_of_its_track():
    melody = read_midi(midi(track([(0, on(60)), (960, meta(6, b"end"))])))
    assert times(melody) == [(60, 0, 1.0)] and "no end" in melody.warnings[0]


def test_random_melodies_come_back():
    generator = random.Random(0)
    for _ in range(30):
        tick, events, expected = 0, [], []
        for _ in range(generator.randrange(1, 40)):
            start = tick + generator.randrange(0, 1000)
            tick = start + generator.randrange(1, 2000)
            pitch = generator.randrange(21, 109)
            channel = generator.randrange(16)
            events += [(start, on(pitch, channel=channel)), (tick, off(pitch, channel))]
            expected.append((pitch, round(start / 960, 6), round(tick / 960, 6)))
        assert times(read_midi(midi(track(events)))) == expected


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"RIFF....", "begins with b'RIFF'"),
        (midi(track([]), form=2), "format 2"),
        (midi(track([]), division=0xE250), "SMPTE"),
        (midi(track([(0, on(60))]))[:-3], "is cut"),
        (midi(b"MTrk" + struct.pack(">I", 2) + b"\x00\x45"), "before any status"),
        (midi(b"MTrk" + struct.pack(">I", 5) + b"\xff\xff\xff\xff\xff"), "more than four bytes"),
        (midi(b"MTrk" + struct.pack(">I", 3) + b"\x00\x90\x3c"), "cut in the middle"),
    ],
)
def test_what_is_no_such_file_is_refused(data, words):
    with pytest.raises(ValueError, match=words):
        read_midi(data)


def test_random_bytes_never_hang_nor_fail_otherwise():
    generator = random.Random(1)
    for _ in range(300):
        data = bytearray(midi(track([(0, tempo(500_000)), (0, on(60)), (480, off(60)), (480, meta(5, b"la"))])))
        for _ in range(3):
            data[generator.randrange(len(data))] = generator.randrange(256)
        with contextlib.suppress(ValueError):
            read_midi(bytes(data))
