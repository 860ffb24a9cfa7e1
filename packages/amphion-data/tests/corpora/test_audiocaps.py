import json

import pytest

HEAD = "audiocap_id,youtube_id,start_time,caption\n"


@pytest.fixture
def tree(sound, text):
    text(
        "dataset/train.csv",
        HEAD
        + '11,-A1b_2c3D4e,30,"A dog barks, then a man says ""hi"""\n'
        + "12,secondvideo,0,Rain\n13,_x-y_z,20,Wind\n14,byplain1234,5,Bird\n15,gone,10,Nothing\nx,bad,1,Bad\n",
    )
    text("dataset/val.csv", HEAD + "31,valvideo,40,Third\n22,valvideo,40,Second\n29,valvideo,40,Also\n")
    text("dataset/test.csv", HEAD + "91,longone,0,Long\n92,html,0,Page\n")
    sound("train/-A1b_2c3D4e_30000_40000.wav", seconds=10, rate=8000)
    sound("audio/secondvideo_0.wav", seconds=9.5, rate=8000)
    sound("Y_x-y_z.flac", seconds=10, rate=8000)
    sound("wav/byplain1234.wav", seconds=10, rate=8000)
    sound("val/22.wav", seconds=10, rate=8000)
    sound("test/longone.wav", seconds=12, rate=8000)
    text("test/html.wav", "<html>gone</html>")
    sound("test/stranger.wav")


def test_sounds_are_found_under_all_names_in_use(tree, run):
    rows = run("audiocaps").rows
    found = {id: row.extra["found_by"] for id, row in rows.items()}
    assert found == {
        "-A1b_2c3D4e_30": "YTID_START_END in ms",
        "secondvideo_0": "YTID_START",
        "_x-y_z_20": "YYTID",
        "byplain1234_5": "YTID",
        "valvideo_40": "AUDIOCAPID",
    }
    assert rows["-A1b_2c3D4e_30"].text == 'A dog barks, then a man says "hi"'
    assert rows["secondvideo_0"].duration == 9.5


def test_a_clip_is_one_row_with_its_captions_by_their_numbers(tree, run):
    row = run("audiocaps").rows["valvideo_40"]
    assert row.text == "Second" and row.extra["captions"] == ["Second", "Also", "Third"]
    assert row.extra["split"] == "valid" and row.speaker is None


def test_missing_long_and_false_sounds_are_drops(tree, run):
    assert run("audiocaps").drops == [
        ("bad_1", "bad_row"),
        ("gone_10", "missing_audio"),
        ("html_0", "corrupt_audio"),
        ("longone_0", "duration_mismatch"),
        ("test/stranger", "unlisted_audio"),
    ]


def test_long_sounds_are_cut_where_that_is_asked_for(tree, run):
    assert run("audiocaps", options={"cut": "true"}).rows["longone_0"].duration == 10.0


def test_share_of_missing_sounds_is_said(tree, run, caplog):
    run("audiocaps")
    assert "train.csv: 1 of 5 sounds (20.0 %) are not there" in caplog.text


def test_other_columns_are_refused(text, run):
    text("dataset/train.csv", "a,b\n1,2\n")
    with pytest.raises(ValueError, match="expected the columns audiocap_id"):
        run("audiocaps")


def details(done):
    lines = (done.out / "drops.jsonl").read_text(encoding="utf-8").splitlines()
    return {drop["id"]: (drop["audio"], drop["detail"]) for drop in map(json.loads, lines)}


def test_a_caption_that_is_not_utf_8_costs_only_its_row(sound, text, run):
    table = HEAD.encode() + b"1,one,0,A caf\xe9\n2,two,0,Rain\n3,three,0,Caf\xe9\n4,three,0,Wind\n5,f\xe9ur,0,Hail\n"
    text("dataset/train.csv", table)
    for name in ("one", "two", "three"):
        sound(f"{name}_0.wav", rate=8000)
    done = run("audiocaps")
    assert {id: row.text for id, row in done.rows.items()} == {"two_0": "Rain", "three_0": "Wind"}
    assert done.drops == [("f\\xe9ur", "bad_row"), ("one_0", "bad_row"), ("three_0", "bad_row")]
    audio, detail = details(done)["one_0"]
    assert audio == "one_0.wav" and detail == r"train.csv:2: not UTF-8: ['1', 'one', '0', 'A caf\\xe9']"


def test_a_sound_named_by_its_video_alone_is_of_no_clip_where_the_video_has_two(sound, text, run):
    text("dataset/train.csv", HEAD + "1,shared,0,Rain\n2,shared,50,Wind\n3,named,0,Dog\n4,named,50,Cat\n5,own,0,Bird\n")
    for name in ("shared", "named", "named_0", "Yown"):
        sound(f"{name}.wav", rate=8000)
    done = run("audiocaps")
    assert sorted(done.rows) == ["named_0", "own_0"]
    assert done.drops == [(id, "missing_audio") for id in ("named_50", "shared_0", "shared_50")]
    said = "clips of this video at 0 s, 50 s; shared.wav does not say of which it is; name it shared_50.wav"
    assert said in details(done)["shared_50"][1]


def test_a_row_that_is_none_says_why_and_costs_its_sound_once(sound, text, run):
    faulty = ["x,number,0,Rain", "7,comma,0,Rain, wind", "8,short,0", "9,start,soon,Rain", "10,,0,Rain"]
    text("dataset/train.csv", HEAD + "\n".join(["1,good,0,Rain", *faulty]) + "\n")
    for name in ("good", "number", "comma", "short"):
        sound(f"{name}_0.wav", rate=8000)
    done = run("audiocaps")
    assert list(done.rows) == ["good_0"] and {reason for _, reason in done.drops} == {"bad_row"}
    said = details(done)
    assert said["number_0"] == ("number_0.wav", "train.csv:3: audiocap_id is 'x', a whole number was expected")
    words = "expected 4 columns, got 5: ['7', 'comma', '0', 'Rain', ' wind']; a caption with commas has to be quoted"
    assert said["comma_0"] == ("comma_0.wav", f"train.csv:4: {words}")
    assert said["short_0"][1].startswith("train.csv:5: expected 4 columns, got 3: ['8', 'short', '0']")
    expected = "the id of a video and seconds from 0 on were expected"
    assert said["start"][1] == f"train.csv:6: youtube_id 'start' and start_time 'soon'; {expected}"
    assert said["train.csv:7"][1] == f"train.csv:7: youtube_id '' and start_time '0'; {expected}"


def test_a_quote_that_is_left_open_in_a_long_table_names_its_file(text, run):
    text("dataset/train.csv", HEAD + '1,a,0,"open\n' + "2,b,0,Rain on a roof\n" * 9000)
    with pytest.raises(ValueError, match=r"train\.csv:\d+: field larger than field limit .*; is a quote left open"):
        run("audiocaps")


def test_a_quote_that_is_left_open_is_told_with_the_rows_that_it_takes(sound, text, run):
    text("dataset/train.csv", HEAD + '1,good,0,"Rain,\nwind"\n2,open,0,"Dog\n3,taken,10,Cat\n4,lost,0,Bird\n')
    for name in ("good_0", "open_0", "taken_10", "lost_0"):
        sound(f"{name}.wav", rate=8000)
    done = run("audiocaps")
    assert list(done.rows) == ["good_0"]
    said = "train.csv:6: a quote is left open: its caption holds 2 further rows, the first '3,taken,10'"
    assert details(done)["open_0"] == ("open_0.wav", said)
