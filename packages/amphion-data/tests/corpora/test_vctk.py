import pytest

INFO_OLD = "ID  AGE  GENDER  ACCENTS  REGION \n225  23  F    English    Southern  England\n226  22  M  English\n"
INFO_NEW = (
    "ID  AGE  GENDER  ACCENTS  REGION COMMENTS\n"
    "p225  23  F  English  Southern  England\ns5  30  M  British  (mic2 files unavailable)\n"
)


@pytest.fixture
def old(sound, text):
    for name in ("p225_001", "p225_030", "p315_001", "p226_002"):
        sound(f"wav48/{name[:4]}/{name}.wav", rate=48_000)
    text("txt/p225/p225_001.txt", " Please call Stella.\n")
    text("txt/p225/p225_030.txt", "A rainbow.")
    text("txt/p226/p226_002.txt", b"caf\xe9")
    text("txt/p226/p226_003.txt", "no audio")
    text("speaker-info.txt", INFO_OLD)


@pytest.fixture
def new(sound, text):
    for name in ("p225_001_mic1", "p225_001_mic2", "s5_100_mic1", "p315_001_mic1"):
        sound(f"wav48_silence_trimmed/{name.split('_')[0]}/{name}.flac", rate=48_000)
    text("txt/p225/p225_001.txt", "Please call Stella.")
    text("txt/s5/s5_100.txt", "One hundred.")
    text("speaker-info.txt", INFO_NEW)
    text("wav48_silence_trimmed/log.txt", "x")


def test_old_layout_has_its_texts_speakers_and_faults(old, run):
    done = run("vctk")
    row = done.rows["p225_001"]
    assert (row.text, row.speaker, row.language, row.sample_rate) == ("Please call Stella.", "p225", "en", 48_000)
    assert row.extra["text_raw"] == " Please call Stella.\n"
    about = {"age": 23, "gender": "F", "accent": "English", "region": "Southern England", "parallel": True}
    assert about.items() <= row.extra.items()
    assert "parallel" not in done.rows["p225_030"].extra
    assert done.drops == [("p226_002", "bad_row"), ("p226_003", "missing_audio"), ("p315_001", "missing_text")]


def test_one_microphone_is_taken_unless_both_are_asked_for(new, run):
    one = run("vctk")
    assert sorted(one.rows) == ["p225_001", "s5_100"] and one.rows["p225_001"].extra["mic"] == "mic1"
    assert ("p225_001_mic2", "filtered") in one.drops
    assert "region" not in one.rows["s5_100"].extra and one.rows["s5_100"].extra["accent"] == "British"
    both = run("vctk", out="both", options={"mic": "both"})
    assert sorted(both.rows) == ["p225_001_mic1", "p225_001_mic2", "s5_100_mic1"]


def test_both_microphones_of_a_sentence_are_in_one_split(new, run):
    rows = run("vctk", options={"mic": "both"}).rows
    assert rows["p225_001_mic1"].extra["split"] == rows["p225_001_mic2"].extra["split"]


def test_an_unknown_microphone_and_an_unknown_option_are_refused(new, run):
    with pytest.raises(ValueError, match="choose mic1, mic2, both"):
        run("vctk", options={"mic": "mic3"})
    with pytest.raises(ValueError, match="vctk has no option speed; it has mic"):
        run("vctk", options={"speed": "1"})


def test_without_the_table_of_speakers_the_log_says_what_is_lost(old, root, run, caplog):
    (root / "speaker-info.txt").unlink()
    assert "age" not in run("vctk").rows["p225_001"].extra
    assert f"no speaker-info.txt in {root}: rows are without age, gender, accent and region" in caplog.text


def test_a_line_of_the_table_of_speakers_that_is_not_utf_8_is_named_and_left_out(old, text, run, caplog):
    lines = ["ID  AGE  GENDER  ACCENTS  REGION", "225  23  F    English    C\u00e9line", "226  22  M  English"]
    text("speaker-info.txt", "\n".join(lines).encode("latin-1"))
    text("txt/p226/p226_002.txt", "hello")
    rows = run("vctk").rows
    assert "speaker-info.txt:2: not UTF-8 at byte" in caplog.text
    assert "age" not in rows["p225_001"].extra and rows["p226_002"].extra["age"] == 22


def test_audio_of_the_other_version_is_named_as_what_it_is(old, new, run):
    done = run("vctk")
    assert [row.extra["mic"] for row in done.rows.values()] == ["mic1"] * len(done.rows)
    assert done.drops.count(("p225_001", "filtered")) == 1 and ("p315_001", "filtered") in done.drops
    assert not {reason for _, reason in done.drops} & {"unlisted_audio", "duplicate_id"}


def test_audio_outside_the_folders_of_the_corpus_is_a_drop(old, sound, run):
    sound("mine/p225_001.wav")
    assert ("mine/p225_001", "unlisted_audio") in run("vctk").drops


def test_texts_are_found_whatever_the_case_of_their_ending(old, root, run):
    path = root / "txt" / "p225" / "p225_001.txt"
    path.rename(path.with_suffix(".TXT"))
    assert run("vctk").rows["p225_001"].text == "Please call Stella."
