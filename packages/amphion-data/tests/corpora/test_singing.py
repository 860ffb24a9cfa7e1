"""M4Singer, Opencpop, OpenSinger, SVCC 2023, PopBuTFy, PopCS."""

import json

import pytest

from amphion_data.scores import Score


def m4_item(name, **changes):
    values = {"item_name": name, "txt": "好的", "phs": ["<AP>", "h", "ao", "d", "e"], "is_slur": [0, 0, 0, 0, 0]}
    values |= {
        "ph_dur": [0.05, 0.1, 0.1, 0.1, 0.05],
        "notes": [0, 62, 62, 64, 64],
        "notes_dur": [0.05, 0.2, 0.2, 0.15, 0.15],
    }
    return values | changes


@pytest.fixture
def m4(sound, text):
    for name in (
        "Alto-9#新歌/0003",
        "Alto-9#新歌/0004",
        "Bass-1#A-Song/0001",
        "Bass-1##U65b0/0001",
        "Alto-9#新歌/0009",
    ):
        sound(f"{name}.wav", rate=48_000)
    items = [
        m4_item("Alto-9#新歌#0003"),
        m4_item("Alto-9#新歌#0004", ph_dur=[0.5] * 5),
        m4_item("Bass-1#A Song#0001", is_slur=[False] * 5),
        m4_item("Bass-1#新#0001", notes=[0, 62]),
        m4_item("Bass-1#gone#0001"),
        m4_item("Bass-1-gone-0001"),
    ]
    text("meta.json", json.dumps(items, ensure_ascii=False))


def test_m4singer_rows_have_lyrics_and_scores(m4, run):
    done = run("m4singer")
    assert sorted(done.rows) == ["Alto-9#新歌#0003", "Bass-1#A Song#0001"]
    row = done.rows["Alto-9#新歌#0003"]
    assert (row.text, row.speaker, row.language) == ("好的", "Alto-9", "zh")
    score = Score.from_dict(row.extra["score"])
    assert score.notes == (0, 62, 64) and score.note_of_phone == (0, 1, 1, 2, 2) and score.phones[0] == "AP"
    assert row.extra["warnings"] == ["special_phone: 1 breaths and pauses renamed to AP and SP"]
    assert done.drops == [
        ("Alto-9#新歌#0004", "bad_row"),
        ("Alto-9#新歌/0009", "unlisted_audio"),
        ("Bass-1#gone#0001", "missing_audio"),
        ("Bass-1#新#0001", "bad_row"),
        ("Bass-1-gone-0001", "bad_row"),
    ]


def test_a_phrase_of_m4singer_whose_name_is_none_is_one_drop(sound, text, run):
    for name in ("Bass-1#a/0001", "Bass-1#a#b/0001"):
        sound(f"{name}.wav", rate=48_000)
    text("meta.json", json.dumps([m4_item("Bass-1#a#0001"), m4_item("Bass-1#a#b#0001")]))
    assert run("m4singer").drops == [("Bass-1#a#b#0001", "bad_row")]


def test_m4singer_songs_are_not_torn_apart(m4, run):
    from amphion_data.corpus import find_corpus

    assert list(find_corpus("m4singer").units) == ["song"]


LINE = "|快跑|k uai p ao SP|D#4/Eb4 D#4/Eb4 E4 E4 rest|0.1 0.1 0.15 0.15 0.1|0.05 0.05 0.1 0.05 0.1|0 0 0 0 0"


@pytest.fixture
def opencpop(sound, text):
    for name in ("2001000001", "2001000002", "2044000001", "2001000009"):
        sound(f"segments/wavs/{name}.wav", rate=44_100, seconds=0.35)
    text("segments/train.txt", f"2001000001{LINE}\n2001000002|快|k uai|C4|0.1|0.1|0\n2001000003{LINE}\n")
    text("segments/test.txt", f"2044000001{LINE.replace('快跑', '快 跑 了')}\n")
    text("wavs/2001.wav", "whole songs are not read")


def test_opencpop_rows_have_scores_and_the_official_split(opencpop, run):
    done = run("opencpop")
    row = done.rows["2001000001"]
    assert (row.text, row.speaker, row.extra["song"], row.extra["split"]) == ("快跑", "opencpop", "2001", "train")
    assert Score.from_dict(row.extra["score"]).notes == (63, 64, 0)
    assert done.rows["2044000001"].extra["split"] == "test"
    assert done.rows["2044000001"].extra["warnings"] == ["syllable_count: 2 syllables for 3 characters of the lyrics"]
    assert done.drops == [
        ("2001000002", "bad_row"),
        ("2001000003", "missing_audio"),
        ("segments/wavs/2001000009", "unlisted_audio"),
    ]


def test_opencpop_without_lists_takes_the_official_songs_for_the_test(opencpop, run, root):
    table = (root / "segments/train.txt").read_text() + (root / "segments/test.txt").read_text()
    (root / "segments/transcriptions.txt").write_text(table)
    for name in ("train", "test"):
        (root / f"segments/{name}.txt").unlink()
    assert run("opencpop").rows["2044000001"].extra["split"] == "test"


def test_opensinger_tells_the_two_folders_apart_and_keeps_underscores(sound, text, run):
    for name in ("ManRaw/3_so_ng/3_so_ng_0", "WomanRaw/3_so_ng/3_so_ng_0", "ManRaw/3_x/4_x_1", "ManRaw/3_x/3_x_2"):
        sound(f"{name}.wav", rate=44_100)
    text("ManRaw/3_so_ng/3_so_ng_0.txt", "你 好\n")
    text("ManRaw/3_so_ng/3_so_ng_0.lab", "n i h ao\n")
    text("WomanRaw/3_so_ng/3_so_ng_0.txt", "你好")
    done = run("opensinger")
    assert sorted(done.rows) == ["Man_3_so_ng_0", "Woman_3_so_ng_0"]
    row = done.rows["Man_3_so_ng_0"]
    assert (row.speaker, row.text, row.extra["song"]) == ("Man_3", "你 好", "so_ng")
    assert row.extra["phones"] == ["n", "i", "h", "ao"] and row.extra["gender"] == "M"
    assert done.drops == [("Man_3_x_2", "missing_text"), ("Man_4_x_1", "wrong_speaker")]


@pytest.mark.parametrize("prefix", ["", "Data/"])
def test_svcc_accepts_both_layouts_and_needs_no_text(sound, text, run, prefix):
    for name in ("IDF1/10001", "CDM1/10001"):
        sound(f"{prefix}{name}.wav")
    if not prefix:
        text("IDF1/10001.txt", "some words")
        sound("evaluation/SF1/30001.wav")
        sound("ground_truth/IDF1/30001.wav")
        sound("elsewhere/x.wav")
    done = run("svcc2023")
    row = done.rows["IDF1_10001"]
    assert (row.speaker, row.text) == ("svcc_IDF1", None if prefix else "some words")
    assert (row.extra["style"], row.extra["role"]) == ("singing", "target")
    assert done.rows["CDM1_10001"].extra["style"] == "speech"
    if not prefix:
        assert done.rows["SF1_30001"].extra["role"] == "source"
        assert done.rows["IDF1_30001"].extra["role"] == "ground_truth"
        assert done.drops == [("x", "unlisted_audio")]


def test_popbutfy_ids_keep_the_number_and_name_their_pair(sound, run):
    stem = "data/Female1#singing#My Song_{0}/Female1#singing#My Song_{0}_{1}"
    for quality, clip in (("Amateur", 0), ("Amateur", 1), ("Professional", 0)):
        sound(stem.format(quality, clip) + ".mp3", seconds=0.6)
    rows = run("popbutfy").rows
    row = rows["Female1#singing#My Song_Amateur_0"]
    assert row.speaker == "Female1" and row.extra["song"] == "My Song" and row.extra["quality"] == "amateur"
    assert row.extra["pair"] == "Female1#singing#My Song_Professional_0"
    assert "pair" not in rows["Female1#singing#My Song_Amateur_1"].extra
    assert len({row.extra["split"] for row in rows.values()}) == 1


GRID = """File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n0.4\n<exists>\n1\n"IntervalTier"\n"phone"\n0\n0.4\n3
0\n0.1\n"<AP>"\n0.1\n0.2\n"n"\n0.2\n0.4\n"i"\n"""


def test_popcs_rows_have_lyrics_and_timed_phones(sound, text, run):
    sound("popcs-歌/0001_wf0.wav")
    sound("popcs-歌/0002_wf0.wav")
    text("popcs-歌/0001.txt", "你")
    text("popcs-歌/0001_ph.txt", "<AP> n i")
    text("popcs-歌/0001.TextGrid", GRID)
    text("popcs-歌/0002.txt", "好")
    text("popcs-歌/0002_ph.txt", "h ao <SP>")
    rows = run("popcs").rows
    one, two = rows["歌_0001"], rows["歌_0002"]
    assert one.extra["phones"] == ["AP", "n", "i"] and one.extra["phone_durations"] == [0.1, 0.1, 0.2]
    assert "warnings" not in one.extra and one.speaker == "popcs" and one.text == "你"
    assert two.extra["phones"] == ["h", "ao", "SP"] and "phone_durations" not in two.extra
