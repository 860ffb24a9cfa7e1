"""OpenSinger, PopCS, PopBuTFy, M4Singer, Opencpop, Opera: audio that is missing or elsewhere, labels that are wrong."""

import json
from itertools import pairwise

import numpy as np
import pytest

from amphion_data.corpora.cutting import slice_by_level


@pytest.fixture
def details(root):
    """Details of the drops of a preparation, by id; no path of this machine stands in them."""

    def read(done):
        lines = (done.out / "drops.jsonl").read_text(encoding="utf-8")
        assert str(root) not in lines
        return {drop["id"]: drop["detail"] for drop in map(json.loads, lines.splitlines())}

    return read


def test_opensinger_names_texts_and_labels_without_audio_once(sound, text, run, details):
    sound("ManRaw/3_歌/3_歌_0.wav")
    text("ManRaw/3_歌/3_歌_0.TXT", "你好")
    text("ManRaw/3_歌/3_歌_4.txt", "你好")
    text("ManRaw/3_歌/3_歌_4.lab", "n i h ao")
    text("WomanRaw/3_歌/3_歌_5.LAB", "n i")
    text("WomanRaw/notes.txt", "no clip")
    text("LICENSE.txt", "no clip")
    done = run("opensinger")
    assert done.rows["Man_3_歌_0"].text == "你好"
    assert done.drops == [("Man_3_歌_4", "missing_audio"), ("Woman_3_歌_5", "missing_audio")]
    assert details(done)["Man_3_歌_4"] == "no audio file: ManRaw/3_歌/3_歌_4.wav; ManRaw/3_歌/3_歌_4.lab is there"


def test_opensinger_audio_in_other_folders_is_dropped_by_name(sound, text, run):
    sound("ManRaw/3_x/3_x_0.wav")
    text("ManRaw/3_x/3_x_0.txt", "你")
    sound("Other/3_x/3_x_0.wav")
    sound("lost.wav")
    sound("ManRaw/lost.wav")
    assert run("opensinger").drops == [
        ("Other/3_x/3_x_0", "unlisted_audio"),
        ("lost", "unlisted_audio"),
        ("lost", "unlisted_audio"),
    ]


def test_opensinger_labels_with_times_are_read_as_such(sound, text, run, details):
    timed = ("0 2000000 n\n2000000 4000000 i\n", "0.0 0.2 n\n0.2 0.4 i")
    wrong = ("0 2000000 n\n2000000", "0 2000000 n\n2000000 6000000 i\n")
    labs = dict(enumerate((*timed, "nan nan n\ni", *wrong)))
    for number, lab in labs.items():
        sound(f"ManRaw/3_x/3_x_{number}.wav")
        text(f"ManRaw/3_x/3_x_{number}.txt", "你")
        text(f"ManRaw/3_x/3_x_{number}.lab", lab)
    done = run("opensinger")
    for number in (0, 1):
        extra = done.rows[f"Man_3_x_{number}"].extra
        assert (extra["phones"], extra["phone_starts"], extra["phone_durations"]) == (
            ["n", "i"],
            [0.0, 0.2],
            [0.2, 0.2],
        )
    assert done.rows["Man_3_x_2"].extra["phones"] == ["nan", "nan", "n", "i"]  # 南 is no number
    assert done.drops == [("Man_3_x_3", "bad_row"), ("Man_3_x_4", "bad_row")]
    assert details(done)["Man_3_x_4"].startswith("3_x_4.lab: the labels go on to 0.600 s, the audio ends at 0.400 s")
    assert details(done)["Man_3_x_3"].startswith("3_x_3.lab: line 2: expected 'start end label'")


def grid(*intervals):
    """A TextGrid of one tier of phones."""
    end = intervals[-1][1]
    lines = ['"ooTextFile"', '"TextGrid"', "0", end, "<exists>", 1, '"IntervalTier"', '"phone"', 0, end, len(intervals)]
    lines += [part for start, stop, phone in intervals for part in (start, stop, f'"{phone}"')]
    return "\n".join(map(str, lines))


def test_popcs_labels_must_last_as_long_as_the_audio(sound, text, run, details):
    grids = {
        "0001": grid((0, 0.1, "n"), (0.1, 0.4, "i")),
        "0002": grid((0, 0.1, "n"), (0.1, 0.2, "i")),
        "0003": grid((0, 0.1, "n"), (0.1, 0.6, "i")),
        "0004": grid((0, 0.1, "n"), (0.08, 0.4, "i")),
        "0005": grid((0, 0.2, "n"), (0.2, 0.1, "i"), (0.1, 0.4, "i")),
    }
    for number, content in grids.items():
        sound(f"popcs-歌/{number}_wf0.wav")
        text(f"popcs-歌/{number}.txt", "你")
        text(f"popcs-歌/{number}.TextGrid", content)
    done = run("popcs")
    assert sorted(done.rows) == ["歌_0001", "歌_0004"]
    assert done.rows["歌_0004"].extra["warnings"][0].startswith("textgrid: tier 'phone': overlap of 0.0200 s")
    assert done.drops == [("歌_0002", "bad_row"), ("歌_0003", "bad_row"), ("歌_0005", "bad_row")]
    assert details(done)["歌_0002"].startswith("0002.TextGrid: the labels last 0.200 s, the audio 0.400 s")


def test_popcs_names_texts_and_labels_without_audio_once(sound, text, run, details):
    sound("popcs-歌/0000_wf0.wav")
    text("popcs-歌/0000.TXT", "你")
    sound("popcs-歌/0001.wav")
    text("popcs-歌/0001.txt", "你")
    text("popcs-歌/0001_ph.txt", "n i")
    for ending in (".txt", "_ph.txt", ".TextGrid"):
        text(f"popcs-歌/0009{ending}", "你")
    sound("别的/0001_wf0.wav")
    text("popcs-歌.txt", "no clip")
    text("popcs-歌/readme.txt", "no clip")
    done = run("popcs")
    assert sorted(done.rows) == ["歌_0000", "歌_0001"] and done.rows["歌_0000"].text == "你"
    assert done.drops == [("别的/0001_wf0", "unlisted_audio"), ("歌_0009", "missing_audio")]
    assert details(done)["歌_0009"] == "no audio file: popcs-歌/0009_wf0.wav; popcs-歌/0009.TextGrid is there"


PHRASE = "Female1#singing#My Song_{}_{}"


def phrase(quality, clip):
    """Path of a clip of PopBuTFy without its ending."""
    return f"data/Female1#singing#My Song_{quality}/{PHRASE.format(quality, clip)}"


def test_popbutfy_texts_are_found_in_the_archive_of_labels(sound, text, run):
    for quality in ("Amateur", "Professional"):
        sound(f"{phrase(quality, 0)}.mp3", seconds=0.6)
    text(f"text_labels/{PHRASE.format('Amateur', 0)}.txt", "all the  things\n")
    text(f"text_labels/{PHRASE.format('Professional', 0)}.TXT", "all of it")
    text(f"text_labels/sub/{PHRASE.format('Professional', 7)}.txt", "nobody sang it")
    text("text_labels/readme.txt", "no clip")
    sound("text_labels/x.wav")
    done = run("popbutfy")
    row = done.rows[PHRASE.format("Amateur", 0)]
    assert (row.text, row.extra["text_raw"]) == ("all the things", "all the  things\n")
    assert done.rows[PHRASE.format("Professional", 0)].text == "all of it"
    assert done.drops == [
        (PHRASE.format("Professional", 7), "missing_audio"),
        ("text_labels/x", "unlisted_audio"),
    ]


def test_popbutfy_never_pairs_with_what_is_no_row(sound, text, run):
    for clip in range(3):
        for quality in ("Amateur", "Professional"):
            sound(f"{phrase(quality, clip)}.mp3", seconds=0.6)
    text(f"{phrase('Professional', 1)}.mp3", b"no audio")
    text(f"text_labels/{PHRASE.format('Professional', 2)}.txt", b"\xff\xfe\xfa")
    done = run("popbutfy")
    assert done.drops == [
        (PHRASE.format("Professional", 1), "corrupt_audio"),
        (PHRASE.format("Professional", 2), "bad_row"),
    ]
    pairs = {row.extra.get("pair") for row in done.rows.values()}
    assert pairs == {PHRASE.format("Amateur", 0), PHRASE.format("Professional", 0), None}


def m4_item(name, **changes):
    """An item of `meta.json` with the times of a clip of 0.4 s."""
    values = {"item_name": name, "txt": "装的", "phs": ["zh", "uang", "d", "e"], "is_slur": [0] * 4}
    values |= {"ph_dur": [0.1] * 4, "notes": [62, 62, 64, 64], "notes_dur": [0.2] * 4}
    return values | changes


def test_m4singer_warns_of_the_vowel_that_it_is_known_to_have_wrong(sound, text, run):
    spellings = {"0": ["zh", "van", "d", "e"], "1": ["x", "van", "d", "e"], "2": ["zh", "uang", "d", "e"]}
    for number in spellings:
        sound(f"Alto-1#歌/{number}.wav", rate=48_000)
    text("meta.json", json.dumps([m4_item(f"Alto-1#歌#{number}", phs=phones) for number, phones in spellings.items()]))
    rows = run("m4singer").rows
    warning = "wrong_label: zh van; known to stand for uang, left as it is"
    assert [row.extra.get("warnings") for row in rows.values()] == [[warning], None, None]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"notes": [62, 62, 64.5, 64]}, "notes has 64.5 in place 2, where a MIDI number is needed"),
        ({"notes": [62, 62, None, 64]}, "notes has None in place 2, where a MIDI number is needed"),
        ({"ph_dur": [0.1, "x", 0.1, 0.1]}, "ph_dur has 'x' in place 1, where a number of seconds is needed"),
    ],
)
def test_m4singer_says_which_number_of_an_item_is_none(sound, text, run, details, fault, words):
    for number in "12":
        sound(f"Alto-1#歌/{number}.wav", rate=48_000)
    text("meta.json", json.dumps([m4_item("Alto-1#歌#1", notes=[62.0, "62", 64, 64]), m4_item("Alto-1#歌#2", **fault)]))
    done = run("m4singer")
    assert done.rows["Alto-1#歌#1"].extra["score"]["notes"] == [62, 64]
    assert details(done)["Alto-1#歌#2"] == f"meta.json, item 2: {words}"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[{},", r"meta\.json:1: no JSON at column 5: .*; it has to be a list"),
        (b"[\xff]", r"meta\.json is no UTF-8 at byte 1; it has to be a list"),
        (b"{}", r"meta\.json holds a JSON dict; it has to be a list"),
    ],
)
def test_m4singer_says_what_is_wrong_with_its_table(text, run, content, words):
    text("meta.json", content)
    with pytest.raises(ValueError, match=words):
        run("m4singer")


OPENCPOP = "{}|快|k uai|C4 C4|0.4 0.4|0.1 0.3|0 0\n"


@pytest.fixture
def opencpop(sound, text):
    """Writes a table of Opencpop and the audio of its lines."""

    def make(table, *ids, line=OPENCPOP):
        for id in ids:
            sound(f"segments/wavs/{id}.wav", rate=44_100)
        text(f"segments/{table}.txt", "".join(line.format(id) for id in ids))

    return make


def test_opencpop_audio_elsewhere_is_dropped_by_name_except_whole_songs(opencpop, sound, text, run):
    opencpop("train", "2001000001")
    sound("wavs/2001.wav")
    sound("segments/2001000002.wav")
    sound("midis/2001.wav")
    assert run("opencpop").drops == [("midis/2001", "unlisted_audio"), ("segments/2001000002", "unlisted_audio")]


def test_opencpop_ids_that_lead_elsewhere_are_refused(opencpop, sound, text, run, root):
    opencpop("train", "2001000001")
    sound("outside.wav")
    with (root / "segments/train.txt").open("a", encoding="utf-8") as table:
        table.write(OPENCPOP.format("../../outside"))
    assert run("opencpop").drops == [("../../outside", "unsafe_path"), ("outside", "unlisted_audio")]


def test_opencpop_songs_stay_in_the_split_that_is_published_where_both_tables_have_them(opencpop, run, details):
    opencpop("train", "2001000001", "2044000002", "2044000001")
    opencpop("test", "2044000001", "2001000002", "2001000001")
    done = run("opencpop")
    assert {id: row.extra["split"] for id, row in done.rows.items()} == {"2001000001": "train", "2044000001": "test"}
    assert done.drops == [
        ("2001000001", "duplicate_id"),
        ("2001000002", "bad_row"),
        ("2044000001", "bad_row"),
        ("2044000002", "bad_row"),
    ]
    assert details(done)["2044000002"] == (
        "train.txt:2: song 2044 stands in train.txt and in test.txt, but belongs to test as published; "
        "keep each song in one of them"
    )


def test_opencpop_warns_of_a_midi_that_gives_no_tempo(opencpop, text, run):
    opencpop("train", "2001000001", "2002000001")
    text("midis/2001.midi", b"MThd")
    midi = b"MThd\0\0\0\6\0\0\0\1\0\x18MTrk\0\0\0\x0b\0\xff\x51\3\x0f\x42\x40\0\xff\x2f\0"
    text("midis/2002.MIDI", midi)
    rows = run("opencpop").rows
    broken, whole = rows["2001000001"].extra, rows["2002000001"].extra
    assert (broken["score"]["tempo"], whole["score"]["tempo"]) == (None, 60.0)
    assert broken["warnings"][0].startswith("midi: no tempo from midis/2001.midi: ") and "warnings" not in whole


def test_opencpop_warns_of_the_syllable_that_it_is_known_to_have_wrong(opencpop, run):
    opencpop("train", "2041001526", "2041001527", line=OPENCPOP.replace("k uai", "y ing"))
    rows = run("opencpop").rows
    assert rows["2041001526"].extra["warnings"] == ["wrong_label: y ing; known to stand for g ou, left as it is"]
    assert "warnings" not in rows["2041001527"].extra


def stretches(*seconds, rate=1000):
    """Tones of these lengths; negative ones are silence."""
    parts = [np.sin(np.arange(round(abs(length) * rate))) * (length > 0) for length in seconds]
    return np.concatenate(parts).astype(np.float32), rate


@pytest.mark.parametrize(
    "seconds",
    [
        (21,),
        (41,),
        (60.5,),
        (19, -1, 2),
        (2, -1, 19),
        (2, -0.6, 19, -0.6, 2),
        (20, -1, 1, -1, 20),
        (1, -1, 1, -1, 17, -1, 1, -1, 30, -2, 4),
    ],
)
def test_slices_by_level_last_5_to_20_seconds_and_lose_no_sound(seconds):
    wav, rate = stretches(*seconds)
    slices = slice_by_level(wav, rate)
    lengths = [end - start for start, end in slices]
    assert min(lengths) >= 5 - 1e-9 and max(lengths) <= 20 + 1e-9
    assert all(left[1] <= right[0] + 1e-9 for left, right in pairwise(slices))
    outside = np.ones(len(wav), bool)
    for start, end in slices:
        outside[round(start * rate) : round(end * rate)] = False
    assert not wav[outside].any()


def test_slices_by_level_stay_short_where_nothing_is_near():
    assert slice_by_level(*stretches(2)) == [(0.0, 2.0)]
    assert [end - start for start, end in slice_by_level(*stretches(19, -9, 2))] == pytest.approx([19, 2])


def test_slices_by_level_join_what_fits_before_they_share_sound():
    slices = slice_by_level(*stretches(19, -1, 2, -1, 6))
    assert np.array(slices) == pytest.approx(np.array([(0, 19), (20, 29)]))


def test_opera_clips_last_at_most_20_seconds_with_their_margins(sound, text, run, details):
    wav, rate = stretches(-1, 20, -1, rate=8000)
    sound("monophonic/western/fem_01/pos_1.wav", rate=rate, wav=0.3 * wav)
    text("monophonic/western/fem_01/pos_2.wav", b"no audio")
    done = run("opera")
    assert [row.duration <= 20 for row in done.rows.values()] == [True, True]
    assert details(done)["western_fem_01_pos_2"].startswith("monophonic/western/fem_01/pos_2.wav is no audio")
