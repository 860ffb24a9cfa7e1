"""What of songs and labels is cut, dropped or warned of: CSD, PJS, KiSing, NUS-48E, one's own, and what they share."""

import json
import struct

import pytest

from amphion_data.corpora.cutting import times_fault
from amphion_data.scores.timeline import Interval


def details(done):
    """What the drops say, by id."""
    drops = map(json.loads, (done.out / "drops.jsonl").read_text(encoding="utf-8").splitlines())
    return {drop["id"]: drop["detail"] for drop in drops}


@pytest.mark.parametrize(
    ("times", "length", "words"),
    [
        ([(0.0, 1.0), (0.7, 2.0)], 2.0, "overlap of 0.3000 s between 'a' and 'b' at 1.0000 s"),
        ([(1.0, 2.0), (0.0, 1.0)], 2.0, "overlap"),
        ([(0.0, 1.0), (1.0, 6.0)], 4.0, "go on to 6.000 s, the audio ends at 4.000 s"),
        ([(0.0, 1.0), (1.0, 2.05)], 1.96, None),
        ([(0.0, 0.5), (1.5, 2.0)], 4.0, None),
    ],
)
def test_labels_beyond_the_audio_or_over_one_another_are_told(times, length, words):
    fault = times_fault([Interval(*time, label) for time, label in zip(times, "ab", strict=True)], length)
    assert (fault is None) if words is None else (words in fault)


@pytest.mark.parametrize(
    ("length", "words"),
    [(2.1, None), (2.09, None), (1.91, None), (1.9, None), (2.3, "last 2.000 s, the audio 2.300 s"), (1.8, "go on to")],
)
def test_labels_of_a_whole_clip_last_as_long_as_it_within_a_tenth(length, words):
    fault = times_fault([Interval(0.0, 1.0, "a"), Interval(1.0, 2.0, "b")], length, whole=True)
    assert (fault is None) if words is None else (words in fault)


def test_unreadable_recordings_are_named_by_their_path_below_the_corpus(root, sound, text, run):
    sound("A/sing/01.wav", rate=44_100, seconds=1.0)
    text("A/sing/01.txt", "0.0 1.0 ah\n")
    text("A/sing/02.wav", b"")
    text("A/sing/02.txt", "0.0 1.0 ah\n")
    said = details(run("nus48e"))["A_sing_02"]
    assert str(root.parent) not in said and said.startswith("A/sing/02.wav is empty")


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ("0.0 2.0 ah\n2.0 6.0 b\n", "go on to 6.000 s, the audio ends at 4.000 s"),
        ("0.0 2.0 ah\n1.0 3.0 b\n", "overlap of 1.0000 s between 'ah' and 'b'"),
        ("0.0 2.0 ah\n2.0 4.02 sil\n4.02 4.08 b\n", "phrase 2 begins at 4.020 s, the audio ends at 4.000 s"),
        ("0.0 4.0 sil\n", "01.txt: it has no phone"),
        ("0.0 4.0 ah\n4.0 sil\n", "01.txt: line 2: expected 'start end label', found '4.0 sil'"),
    ],
)
def test_nus48e_recordings_whose_labels_are_of_something_else_are_dropped(labels, words, sound, text, run):
    for voice in "AB":
        sound(f"{voice}/sing/01.wav", rate=8000, seconds=4.0)
        text(f"{voice}/sing/01.txt", "0.0 4.0 ah\n" if voice == "B" else labels)
    done = run("nus48e")
    assert list(done.rows) == ["B_sing_01_00"] and done.drops == [("A_sing_01", "bad_row")]
    assert words in details(done)["A_sing_01"]


def test_nus48e_labels_are_in_seconds_also_where_all_are_whole(sound, text, run):
    sound("KENN/sing/01.wav", rate=44_100, seconds=3.0)
    text("KENN/sing/01.txt", "0 1 sil\n1 3 ah\n")
    extra = run("nus48e").rows["KENN_sing_01_00"].extra
    assert (extra["start"], extra["end"], extra["phone_durations"]) == (0.9, 3.0, [2.0])


def test_nus48e_labels_without_their_recording_are_missing_audio(sound, text, run):
    sound("KENN/sing/01.wav", rate=8000, seconds=1.0)
    text("KENN/sing/01.TXT", "0.0 1.0 ah\n")
    text("KENN/sing/05.txt", "0.0 1.0 ah\n")
    text("KENN/notes.txt", "no labels")
    text("README.txt", "no labels")
    done = run("nus48e")
    assert list(done.rows) == ["KENN_sing_01_00"] and done.drops == [("KENN_sing_05", "missing_audio")]
    assert details(done)["KENN_sing_05"] == "no audio file: KENN/sing/05.wav; KENN/sing/05.txt is there"


@pytest.fixture
def csd(sound, text, run):
    """Prepares a good song `en001a` of two phrases beside `en002a` with a table and phrases of one's own."""

    def make(notes, lines):
        for song, table, phrases in (
            ("en001a", "0.1,0.5,60,a\n0.6,1.0,62,b\n", "a\n\nb\n"),
            ("en002a", notes, lines),
        ):
            sound(f"english/wav/{song}.wav", rate=8000, seconds=2.0)
            text(f"english/csv/{song}.CSV", f"start,end,pitch,syllable\n{table}")
            if phrases is not None:
                text(f"english/txt/{song}.Txt", phrases)
        return run("csd")

    return make


@pytest.mark.parametrize(
    ("notes", "lines", "words"),
    [
        (
            "0.1,0.5,60,a\n2.5,3,62,b\n",
            "a\nb\n",
            "en002a.csv:3: the labels go on to 3.000 s, the audio ends at 2.000",
        ),
        ("0.1,0.5,60,a\n2.01,2.05,62,b\n", "a\nb\n", "phrase 2 begins at 2.010 s, the audio ends at 2.000 s"),
        ("0.1,0.5,60,a\n0.6,1.0,200,b\n", "a\nb\n", "en002a.csv:3: pitches outside 21 to 108: 200"),
        ("0.1,0.5,60,a\n0.6,1.0,1e999,b\n", "a\nb\n", "en002a.csv:3: no note"),
        ("0.1,0.5,60,a\n0.6,1.0,6\r2,b\n", "a\nb\n", "en002a.csv:3: new-line character seen in unquoted field"),
        ("0.1,0.5,60,a\n0.6,1.0,62.5,b\n", "a\nb\n", "en002a.csv:3: no note: ['0.6', '1.0', '62.5', 'b']"),
        ("0.1,0.5,60,a\n0.6,0.5,62,b\n", "a\nb\n", "en002a.csv:3: from 0.6 to 0.5 s is no stretch of time"),
        ("0.6,0.7,60,a\n0.5,0.6,62,b\n", "a\nb\n", "en002a.csv:3: a note at 0.5 s out of order, after one at 0.6 s"),
        ("0.1,0.5,60,a\n0.6,1.0,62,c\n", "a\n\nb\n", "en002a.txt:3: 'b' stands in the txt, 'c' in en002a.csv:3"),
        ("0.1,0.5,60,a\n", "a\n\nb\n", "en002a.txt:3: 'b' stands in the txt, but en002a.csv has ended"),
        ("0.1,0.5,60,a\n", "\n", "no phrases in en002a.txt"),
        ("0.1,0.5,60,a\n", None, "no txt/en002a.txt"),
    ],
)
def test_a_faulty_song_of_csd_costs_only_itself_and_says_where(notes, lines, words, csd):
    done = csd(notes, lines)
    assert list(done.rows) == ["en001a_00", "en001a_01"] and done.drops == [("en002a", "bad_row")]
    assert words in details(done)["en002a"]


def test_a_note_of_csd_may_last_no_time(csd):
    row = csd("0.1,0.1,60,a\n0.6,1.0,62,b\n", "a b\n").rows["en002a_00"]
    assert [(note["start"], note["end"]) for note in row.extra["notes"]] == [(0.1, 0.1), (0.6, 1.0)]


def test_notes_of_csd_that_overlap_are_cut_at_the_next_with_a_warning(csd):
    rows = csd("0.0,0.6,60,a\n0.5,1.1,62,b\n1.0,1.5,64,c\n", "a b\nc\n").rows
    first, second = (rows[f"en002a_0{number}"] for number in (0, 1))
    assert [(note["start"], note["end"]) for note in first.extra["notes"]] == [(0.0, 0.5), (0.5, 1.0)]
    assert first.extra["warnings"] == [
        "score: 'a' of 0.000 to 0.600 s overlaps 'b'; cut at 0.500 s",
        "score: 'b' of 0.500 to 1.100 s overlaps 'c'; cut at 1.000 s",
    ]
    assert "warnings" not in second.extra


def test_what_csd_has_of_songs_without_audio_and_audio_elsewhere_is_listed(csd, sound, text):
    text("english/csv/en004a.csv", "start,end,pitch,syllable\n")
    text("english/lyric/en004a.txt", "Twinkle\n")
    text("korean/lyric/kr005b.txt", "Twinkle\n")
    text("english/metadata.json", "{}")
    sound("english/demo/x.wav")
    sound("other/y.wav")
    done = csd("0.1,0.5,60,a\n", "a\n")
    assert sorted(done.rows) == ["en001a_00", "en001a_01", "en002a_00"]
    assert done.drops == [
        ("en004a", "missing_audio"),
        ("kr005b", "missing_audio"),
        ("other/y", "unlisted_audio"),
        ("x", "unlisted_audio"),
    ]


@pytest.fixture
def pjs(sound, text, run):
    """Prepares a good song `pjs001` beside `pjs002` with labels of one's own and of so many seconds."""

    def make(labels, seconds, **files):
        for song, lab, length in (("pjs001", "0 10000000 a\n", 1.0), ("pjs002", labels, seconds)):
            sound(f"{song}/{song}_song.wav", rate=8000, seconds=length)
            sound(f"{song}/{song}_speech.wav", rate=8000)
            text(f"{song}/{song}.LAB", lab)
            text(f"{song}/{song}.TXT", "歌")
        for ending, content in files.items():
            text(f"pjs002/pjs002.{ending}", content)
        return run("pjs")

    return make


@pytest.mark.parametrize(
    ("labels", "seconds", "words"),
    [
        ("0 400000000 pau\n", 40.0, "pjs002.LAB: it has no phone"),
        ("0 10000000 pau\n", 1.0, "pjs002.LAB: it has no phone"),
        ("0 20000000 a\n", 1.0, "go on to 2.000 s, the audio ends at 1.000 s"),
        ("0.0 30.0 a\n30.0 31.0 pau\n35.0 36.0 o\n", 31.0, "go on to 36.000 s, the audio ends at 31.000 s"),
        ("0.0 30.0 a\n30.0 31.0 pau\n31.03 31.05 o\n", 31.0, "phrase 2 begins at 31.030 s"),
        ("0.0 1.0 a\n0.5 2.0 b\n", 2.0, "overlap of 0.5000 s"),
        ("0.0 0.5 a\n1.0 2.0 b\n", 2.0, "the labels last 1.500 s, the audio 2.000 s"),
        ("0.0 x a\n", 2.0, "pjs002.LAB: line 1: '0.0' and 'x' are no times"),
    ],
)
def test_a_song_of_pjs_whose_labels_are_of_something_else_is_dropped_once(labels, seconds, words, pjs):
    done = pjs(labels, seconds)
    assert list(done.rows) == ["pjs001_song", "pjs001_speech", "pjs002_speech"]
    assert done.drops == [("pjs002_song", "bad_row")] and words in details(done)["pjs002_song"]


def test_a_song_of_pjs_that_goes_on_beside_its_labels_is_cut_to_them(pjs):
    done = pjs("5000000 10000000 a\n10000000 25000000 o\n", 3.0)
    row = done.rows["pjs002_song"]
    assert (row.extra["start"], row.extra["end"], row.text) == (0.5, 2.5, "歌") and row.duration == pytest.approx(2.0)
    assert (row.extra["phone_starts"], row.extra["phone_durations"]) == ([0.0, 0.5], [0.5, 1.5])
    assert "start" not in done.rows["pjs001_song"].extra


def test_a_score_of_pjs_with_notes_of_no_voice_is_not_used(pjs):
    pitches = (f"<pitch><step>C</step><octave>{octave}</octave></pitch>" for octave in (4, 0))
    notes = "".join(f"<note>{p}<duration>1</duration><lyric><text>a</text></lyric></note>" for p in pitches)
    score = (
        '<score-partwise><part-list><score-part id="P1"/></part-list><part id="P1"><measure>'
        f"<attributes><divisions>1</divisions></attributes>{notes}</measure></part></score-partwise>"
    )
    row = pjs("0 10000000 a\n", 1.0, musicxml=score).rows["pjs002_song"]
    assert "score_notes" not in row.extra and row.extra["warnings"] == ["score: pitches outside 21 to 108: 12"]


def test_recordings_that_pjs_lacks_are_missing_audio(pjs, text, root):
    text("pjs004/pjs004.musicxml", "<score-partwise/>")
    text("pjs005/pjs005.txt", "歌")
    text("pjs005/notes.txt", "about the recording")
    text("README.txt", "about the corpus")
    done = pjs("0 10000000 a\n", 1.0)
    assert done.drops == [(id, "missing_audio") for id in ("pjs004_song", "pjs005_song", "pjs005_speech")]


def score(*events):
    """A MIDI file of 480 ticks a quarter: (tick, end, pitch, lyric) are notes, (tick, microseconds) tempos."""
    timed = []
    for tick, *values in events:
        if len(values) == 1:
            timed.append((tick, b"\xff\x51\x03" + values[0].to_bytes(3, "big")))
            continue
        end, pitch, lyric = values
        timed += [(tick, bytes([0xFF, 5, len(lyric)]) + lyric.encode()), (tick, bytes([0x90, pitch, 80]))]
        timed.append((end, bytes([0x80, pitch, 0])))
    data, last = b"", 0
    for tick, event in sorted(timed, key=lambda event: (event[0], event[1][0])):
        data += bytes([0x80 | (tick - last) >> 7, (tick - last) & 0x7F]) + event
        last = tick
    data += b"\x00\xff\x2f\x00"
    return b"MThd" + struct.pack(">IHHH", 6, 0, 1, 480) + b"MTrk" + struct.pack(">I", len(data)) + data


@pytest.fixture
def kising(sound, text, run):
    """Prepares one song `424` of so many seconds with a score."""

    def make(seconds, *events):
        sound("424/424-original.wav", rate=8000, seconds=seconds)
        text("424/424.mid", score(*events))
        return run("kising")

    return make


def test_phrases_of_kising_beyond_the_audio_are_dropped_by_name(kising):
    done = kising(2.0, (480, 960, 60, "ni"), (4800, 5000, 62, "hao"))
    assert list(done.rows) == ["424_00"] and done.drops == [("424_01", "bad_row")]
    assert details(done)["424_01"] == "score: a note begins at 5.000 s, the audio ends at 2.000 s"


def test_a_phrase_of_kising_that_ends_in_the_middle_of_its_notes_is_dropped(kising):
    done = kising(2.0, (0, 480, 60, "ni"), (1440, 1900, 62, "hao"), (1900, 2200, 62, "ma"), (2200, 2300, 62, "ma"))
    assert list(done.rows) == ["424_00"] and done.drops == [("424_01", "bad_row")]


def test_a_last_note_of_kising_beyond_the_audio_is_cut_with_a_warning(kising):
    row = kising(2.0, (960, 2400, 60, "ni")).rows["424_00"]
    assert row.extra["end"] == 2.0 and row.extra["notes"][0]["end"] == pytest.approx(row.duration)
    assert row.extra["warnings"] == ["score: the last note goes on to 2.500 s, the audio ends at 2.000 s; cut there"]


@pytest.mark.parametrize(("rest", "tempos"), [(359, [120]), (360, [120, 60])])
def test_rests_of_kising_are_measured_in_the_tempo_of_their_place(rest, tempos, kising):
    events = [(0, 500_000), (0, 480, 60, "ni"), (960, 1_000_000), (480, 1440, 62, "hao")]
    begin = 1440 + rest
    rows = kising(5.0, *events, (begin, begin + 480, 64, "ma")).rows
    assert [row.extra["tempo"] for row in rows.values()] == tempos


def test_a_phrase_of_kising_with_a_pitch_of_no_voice_is_dropped(kising):
    done = kising(4.0, (0, 480, 60, "ni"), (1440, 1900, 10, "hao"))
    assert list(done.rows) == ["424_00"] and details(done) == {"424_01": "score: pitches outside 21 to 108: 10"}


def test_a_slur_of_kising_before_any_syllable_is_none(kising):
    rows = kising(4.0, (0, 240, 60, "ni"), (240, 480, 62, "-"), (1440, 1900, 60, "-"), (1900, 2400, 62, "hao")).rows
    assert [[note["slur"] for note in row.extra["notes"]] for row in rows.values()] == [[0, 1], [0, 0]]
    said = "score: the note at 1.500 s has a slur, but no syllable is before it; taken for none"
    assert rows["424_01"].extra["warnings"] == [said] and "warnings" not in rows["424_00"].extra


def test_scores_of_kising_without_any_voice_are_missing_audio(kising, sound, text):
    sound("425/425-barber.wav", rate=8000, seconds=2.0)
    for song in ("425", "446", "447-unseg"):
        text(f"{song}/{song}.mid", score((0, 480, 60, "ni")))
    done = kising(2.0, (0, 480, 60, "ni"))
    assert sorted(done.rows) == ["424_00", "425-barber_00"] and done.drops == [("446", "missing_audio")]


def test_audio_beside_the_phrases_of_kising_1_is_listed(sound, run):
    sound("clean/421/0001.wav", rate=8000)
    sound("songs/421.wav", rate=8000)
    done = run("kising")
    assert list(done.rows) == ["421_0001"] and done.drops == [("songs/421", "unlisted_audio")]


GRID = '"ooTextFile" "TextGrid" 0 {0} <exists> 1 "IntervalTier" "phone" 0 {0} 2 0 0.1 "a" 0.1 {0} ""'
"""A TextGrid of a phone and silence, by where it ends."""


def test_labels_and_scores_of_a_folder_of_singers_have_to_be_of_their_audio(sound, text, run):
    for name in ("good", "long", "short", "none", "late", "beyond", "shrill", "broken"):
        sound(f"anna/song/{name}.wav", seconds=1.0)
    for name, end in (("good", 1.05), ("long", 1.3), ("short", 0.5)):
        text(f"anna/song/{name}.TextGrid", GRID.format(end))
    text("anna/song/none.TextGrid", "nothing")
    for name, notes in (
        ("late", [(0, 480, 60), (960, 1200, 62)]),
        ("beyond", [(0, 480, 60), (480, 1440, 62)]),
        ("shrill", [(0, 480, 120)]),
    ):
        text(f"anna/song/{name}.mid", score(*((start, end, pitch, "la") for start, end, pitch in notes)))
    text("anna/song/broken.mid", "nothing")
    done = run("singing-folder")
    assert (done.rows["anna/song/good"].extra["phones"], sorted(done.rows)[0]) == (["a", "SP"], "anna/song/beyond")
    beyond = done.rows["anna/song/beyond"].extra
    assert [(note["start"], note["end"]) for note in beyond["notes"]] == [(0.0, 0.5), (0.5, 1.0)]
    assert beyond["warnings"] == ["score: the last note goes on to 1.500 s, the audio ends at 1.000 s; cut there"]
    said = {id.rpartition("/")[2]: detail for id, detail in details(done).items()}
    assert said["long"].startswith("long.TextGrid: the labels go on to 1.300 s, the audio ends at 1.000 s")
    assert said["short"].startswith("short.TextGrid: the labels last 0.500 s, the audio 1.000 s")
    assert said["none"] == "none.TextGrid: the TextGrid ends before the file type"
    assert said["late"] == "late.mid: a note begins at 1.000 s, the audio ends at 1.000 s"
    assert said["shrill"] == "shrill.mid: pitches outside 21 to 108: 120"
    assert said["broken"].startswith("broken.mid: no MIDI file")


def test_texts_labels_and_scores_of_singers_without_audio_are_missing_audio_once(sound, text, run):
    sound("anna/song/a.wav")
    for path in ("song/b.txt", "song/b.mid", "c.TextGrid", "about.txt"):
        text(f"anna/{path}", "x")
    text("README.txt", "x")
    assert run("singing-folder").drops == [("anna/c", "missing_audio"), ("anna/song/b", "missing_audio")]
