import io
import zipfile

import pytest

from amphion_data.scores import read_musicxml


def note(step="C", duration=4, lyric=None, syllabic=None, octave=4, alter=None, extra="", voice="1"):
    pitch = (
        "<rest/>"
        if step is None
        else (
            f"<pitch><step>{step}</step>"
            + (f"<alter>{alter}</alter>" if alter else "")
            + f"<octave>{octave}</octave></pitch>"
        )
    )
    part = f"<syllabic>{syllabic}</syllabic>" if syllabic else ""
    words = f"<lyric number='1'>{part}<text>{lyric}</text></lyric>" if lyric else ""
    return f"<note>{extra}{pitch}<duration>{duration}</duration><voice>{voice}</voice>{words}</note>"


HEAD = (
    "<?xml version='1.0' encoding='UTF-8'?><!DOCTYPE score-partwise PUBLIC "
    "'-//Recordare//DTD MusicXML 4.0 Partwise//EN' 'http://www.musicxml.org/dtds/partwise.dtd'>"
)


def score(*measures, tempo="<sound tempo='60'/>"):
    first = "<attributes><divisions>4</divisions></attributes>" + tempo
    bodies = "".join(
        f"<measure number='{i}'>{first if i == 1 else ''}{body}</measure>" for i, body in enumerate(measures, 1)
    )
    return f"{HEAD}<score-partwise version='4.0'><part id='P1'>{bodies}</part></score-partwise>".encode()


def times(melody):
    return [(n.pitch, n.start, n.end, n.lyric, n.slur) for n in melody.notes]


def test_notes_last_quarters_of_the_tempo():
    melody = read_musicxml(score(note(lyric="la"), note("F", 2, alter=1) + note(None, 6)))
    assert times(melody) == [(60, 0, 1, "la", False), (66, 1, 1.5, None, True), (0, 1.5, 3, None, False)]
    assert melody.tempo == 60 and not melody.warnings


def test_ties_join_durations():
    tied = note(lyric="a", extra="<tie type='start'/>") + note(extra="<tie type='stop'/>")
    assert times(read_musicxml(score(tied))) == [(60, 0, 2, "a", False)]


def test_syllables_are_joined_to_words():
    body = note(lyric="sing", syllabic="begin") + note("D") + note("E", lyric="ing", syllabic="end")
    assert read_musicxml(score(body, note(lyric="on"))).words == ((0, 2, "singing"), (3, 3, "on"))


def test_a_note_after_a_rest_continues_nothing():
    melody = read_musicxml(score(note(lyric="a") + note(None) + note("D")))
    assert [n.slur for n in melody.notes] == [False, False, False]


def test_chords_grace_notes_and_further_voices_are_skipped_and_counted():
    body = (
        note(lyric="a")
        + note("E", extra="<chord/>")
        + "<note><grace/><pitch><step>D</step><octave>4</octave></pitch></note>"
    )
    body += "<backup><duration>4</duration></backup>" + note("G", octave=3, voice="2")
    melody = read_musicxml(score(body, note("D", lyric="b")))
    assert times(melody) == [(60, 0, 1, "a", False), (62, 1, 2, "b", False)]
    assert melody.warnings == ("1 chord notes skipped", "1 grace notes skipped", "1 notes of further voices skipped")


def test_forward_leaves_a_gap():
    body = "<forward><duration>8</duration></forward>" + note(lyric="a")
    assert times(read_musicxml(score(body)))[0][1:3] == (2, 3)


def test_tempo_changes_in_the_middle_and_a_missing_one_is_said():
    melody = read_musicxml(score(note(lyric="a"), "<direction><sound tempo='120'/></direction>" + note("D")))
    assert [(n.start, n.end) for n in melody.notes] == [(0, 1), (1, 1.5)]
    silent = read_musicxml(score(note(lyric="a"), tempo=""))
    assert silent.tempo == 120 and "no tempo at the beginning; 120 is taken" in silent.warnings


def test_first_part_with_lyrics_is_taken():
    data = score(note(lyric="a")).decode()
    piano = (
        "<part id='P0'><measure number='1'><attributes><divisions>1</divisions></attributes>"
        + note("G")
        + "</measure></part>"
    )
    assert read_musicxml(data.replace("<part id='P1'>", piano + "<part id='P1'>").encode()).notes[0].pitch == 60


def bar(kind, number=None):
    ending = f"<ending number='{number}' type='{'start' if kind == 'start' else 'stop'}'/>" if number else ""
    repeat = f"<repeat direction='{kind}'/>" if kind in ("forward", "backward") else ""
    return f"<barline>{ending}{repeat}</barline>"


def lyrics(data, **options):
    return "".join(n.lyric or "" for n in read_musicxml(data, **options).notes)


def test_repeats_are_played_once_more():
    data = score(note(lyric="a"), bar("forward") + note(lyric="b"), note(lyric="c") + bar("backward"), note(lyric="d"))
    assert lyrics(data) == "abcbcd"
    assert lyrics(score(note(lyric="a") + bar("backward"), note(lyric="b") + bar("backward"))) == "aabb"


def test_endings_are_played_in_their_turn():
    first = (
        bar("start", 1)
        + note(lyric="b")
        + "<barline><ending number='1' type='stop'/><repeat direction='backward'/></barline>"
    )
    second = bar("start", 2) + note(lyric="c") + bar("stop", 2)
    assert lyrics(score(note(lyric="a"), first, second, note(lyric="d"))) == "abacd"
    assert lyrics(score(note(lyric="a"), first, second, note(lyric="d") + bar("backward"))) == "abacdd"


def test_repeats_can_be_refused():
    with pytest.raises(ValueError, match="has repeats"):
        read_musicxml(score(note(lyric="a") + bar("backward")), repeats="refuse")


def test_jumps_are_told():
    assert "jumps are not followed: dacapo" in read_musicxml(score(note(lyric="a") + "<sound dacapo='yes'/>")).warnings


def packed(content, name="song.xml"):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "META-INF/container.xml", f"<container><rootfiles><rootfile full-path='{name}'/></rootfiles></container>"
        )
        archive.writestr("song.xml", content)
    return data.getvalue()


def test_compressed_scores_are_read():
    assert read_musicxml(packed(score(note(lyric="a")))).notes[0].lyric == "a"


BOMB = b"<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;'>]><score-partwise>&b;</score-partwise>"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"<score-timewise/>", "timewise"),
        (b"<html/>", "root is 'html'"),
        (b"<score-partwise/>", "no part"),
        (b"not xml", "no XML"),
        (BOMB, "declares the entity 'a'"),
        (b"<!DOCTYPE x [<!ENTITY f SYSTEM 'file:///etc/passwd'>]><score-partwise>&f;</score-partwise>", "entity 'f'"),
        (packed(score(note())[:50]), "no XML"),
        (packed(score(note()), name="gone.xml"), "has no gone.xml"),
        (packed(b"\0" * (65 << 20)), "more than 64 MB"),
        (b"PK\x03\x04broken", "not a compressed"),
        (score(note(duration="1e99999999")), "measure 1: a note with the duration"),
        (score(note(step="H")), "measure 1: a pitch"),
        (score(note(), tempo="<sound tempo='-3'/>"), "measure 1: the tempo '-3'"),
    ],
)
def test_what_is_no_score_or_an_attack_is_refused(data, words):
    with pytest.raises(ValueError, match=words):
        read_musicxml(data)
