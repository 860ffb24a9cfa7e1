import pytest

CHAPTER = "train-clean-100/19/198/19_198"


@pytest.fixture
def tree(sound, text):
    for sentence in range(6):
        sound(f"{CHAPTER}_000003_00000{sentence}.wav")
    rows = [
        "19_198_000003_000000\tIt was 4 p.m.\tIt was four p m.",
        '19_198_000003_000001\t"Quoted\tOnce a "quote',
        "19_198_000003_000009\tgone\tgone",
        "19_198_000003_000005\tonly two",
    ]
    text(f"{CHAPTER}.trans.tsv", "\n".join(rows) + "\n")
    text(f"{CHAPTER}.book.tsv", "19_198_000003_000000\ta\tb\t0\t1.0\t25.5\n19_198_000003_000008\ta\tb\t0\t2\n")
    text(f"{CHAPTER}_000003_000002.normalized.txt", "  From  the file ")
    text(f"{CHAPTER}_000003_000002.original.txt", "From the File!")
    text(f"{CHAPTER}_000003_000003.normalized.txt", " \n")
    text(f"{CHAPTER}_000003_000003.original.txt", "Only original 1")
    text(f"{CHAPTER}_000003_000004.original.txt", " ")
    text("train-clean-100/19/198/._19_198_000003_000000.wav", "junk")
    text("SPEAKERS.txt", ";ID |SEX| SUBSET | MINUTES | NAME\n19   | F | train-clean-100 | 25.19 | Somebody\n")
    sound("dev-clean/84/1/84_1_000000_000000.wav")
    text("dev-clean/84/1/84_1_000000_000000.normalized.txt", "held out")


def test_texts_come_from_the_table_then_the_files_then_the_original(tree, run):
    done = run("libritts")
    texts = {id: (row.text, row.extra.get("text_raw")) for id, row in done.rows.items()}
    assert texts["19_198_000003_000000"] == ("It was four p m.", "It was 4 p.m.")
    assert texts["19_198_000003_000001"] == ('Once a "quote', '"Quoted')
    assert texts["19_198_000003_000002"] == ("From the file", "From the File!")
    assert texts["19_198_000003_000003"] == ("Only original 1", "Only original 1")
    assert done.rows["19_198_000003_000003"].extra["warnings"] == ["text_from_original"]


def test_every_fault_is_a_drop_with_its_reason(tree, run):
    assert run("libritts").drops == [
        ("19_198_000003_000004", "empty_text"),
        ("19_198_000003_000005", "bad_row"),
        ("19_198_000003_000008", "missing_audio"),
        ("19_198_000003_000009", "missing_audio"),
        ("train-clean-100/19/198/._19_198_000003_000000", "hidden_file"),
    ]


def test_rows_say_what_the_corpus_knows(tree, run):
    row = run("libritts").rows["19_198_000003_000001"]
    assert (row.speaker, row.language, row.sample_rate) == ("19", "en", 24_000)
    known = {"subset": "train-clean-100", "chapter": "198", "gender": "F", "previous": "19_198_000003_000000"}
    assert known.items() <= row.extra.items()
    assert run("libritts", out="again").rows["19_198_000003_000000"].extra["snr"] == 25.5


def test_subsets_are_the_split(tree, run):
    done = run("libritts")
    assert done.report.kept == {"train": 4, "valid": 1, "test": 0}
    assert done.rows["84_1_000000_000000"].extra["split"] == "valid"


def test_a_list_of_failed_restorations_leaves_clips_out(tree, run, tmp_path):
    (tmp_path / "failed.txt").write_text("19_198_000003_000000\n")
    done = run("libritts-r", options={"exclude": str(tmp_path / "failed.txt")})
    assert ("19_198_000003_000000", "filtered") in done.drops


def test_a_folder_without_subsets_says_what_is_there(run, root, text):
    text("readme.txt", "x")
    with pytest.raises(FileNotFoundError, match=r"needs one of train-clean-100.*holds readme\.txt"):
        run("libritts")


def test_the_first_of_two_rows_of_an_id_stays_and_the_other_is_a_drop(sound, text, run):
    ids = [f"19_198_000003_00000{sentence}" for sentence in range(3)]
    for id in ids:
        sound(f"train-clean-100/19/198/{id}.wav")
    lines = [f"{ids[0]}\tFirst\tfirst", f"{ids[0]}\tSecond\tsecond", f"{ids[1]}\tFirst\tfirst", f"{ids[1]}\ttwo"]
    lines += [f"{ids[2]}\ttwo", f"{ids[2]}\tGood\tgood"]
    text(f"{CHAPTER}.trans.tsv", "\n".join(lines))
    done = run("libritts")
    assert [row.text for row in done.rows.values()] == ["first", "first", "good"]
    assert done.drops == [(ids[0], "duplicate_id"), (ids[1], "bad_row"), (ids[2], "bad_row")]
    detail = "19_198.trans.tsv:2: a second row of this id, with 'second'; the first stays, with 'first'"
    assert detail in (done.out / "drops.jsonl").read_text()


def test_texts_without_audio_are_drops_once_each(tree, text, run):
    for kind in ("normalized", "original"):
        text(f"{CHAPTER}_000009_000000.{kind}.txt", "gone")
        text(f"{CHAPTER}_000003_000009.{kind}.txt", "in the table too")
    text("dev-clean/84/1/notes.txt", "of nothing")
    missing = [id for id, reason in run("libritts").drops if reason == "missing_audio"]
    assert missing == ["19_198_000003_000008", "19_198_000003_000009", "19_198_000009_000000"]


def test_without_a_table_of_speakers_the_log_says_what_is_lost(tree, root, run, caplog):
    (root / "SPEAKERS.txt").unlink()
    assert "gender" not in run("libritts").rows["19_198_000003_000001"].extra
    assert f"no SPEAKERS.txt or speakers.tsv in {root}: rows are without gender" in caplog.text


def test_a_line_of_the_table_of_speakers_that_is_not_utf_8_is_named_and_left_out(tree, text, run, caplog):
    text("SPEAKERS.txt", b"19   | F | train-clean-100 | 25.19 | Ren\xe9\n84 | M | dev-clean | 8.0 | Bob\n")
    rows = run("libritts").rows
    assert "SPEAKERS.txt:1: not UTF-8 at byte" in caplog.text
    assert "gender" not in rows["19_198_000003_000001"].extra
    assert rows["84_1_000000_000000"].extra["gender"] == "M"


def test_audio_beside_the_subsets_is_a_drop(tree, sound, run):
    sound("generated/19/198/19_198_000003_000000.wav")
    assert ("generated/19/198/19_198_000003_000000", "unlisted_audio") in run("libritts").drops


@pytest.mark.parametrize("stated", ["nan", "inf"])
def test_an_snr_that_is_no_number_costs_no_row(tree, text, run, stated):
    text(f"{CHAPTER}.book.tsv", f"19_198_000003_000000\ta\tb\t0\t1.0\t{stated}\n")
    row = run("libritts").rows["19_198_000003_000000"]
    assert "snr" not in row.extra and row.extra["warnings"] == [f"no_number: snr is {stated}; it is left out"]


def test_clips_in_the_folder_of_another_chapter_are_none_of_its_rows(tree, sound, text, run):
    for name in ("20_198_000003_000000", "19_198_x", "19_1980_000003_000000"):
        sound(f"train-clean-100/19/198/{name}.wav")
        text(f"train-clean-100/19/198/{name}.normalized.txt", "of another chapter")
    done = run("libritts")
    assert {row.speaker for id, row in done.rows.items() if id.startswith("19_198")} == {"19"}
    strangers = [id for id, reason in done.drops if reason == "unlisted_audio"]
    assert strangers == ["19_1980_000003_000000", "19_198_x", "20_198_000003_000000"]


def test_a_row_names_the_one_before_it_only_where_that_is_a_row(tree, run, tmp_path):
    (tmp_path / "failed.txt").write_text("19_198_000003_000000\n")
    done = run("libritts", options={"exclude": str(tmp_path / "failed.txt")})
    before = {id: row.extra.get("previous") for id, row in done.rows.items()}
    assert (before["19_198_000003_000001"], before["19_198_000003_000002"]) == (None, "19_198_000003_000001")
