import json

import pytest


def line(stem, **changes):
    values = {"audio_filepath": f"audio/92_clean/9991/{stem}.flac", "text": "it was late", "duration": 0.4}
    values |= {"text_no_preprocessing": "It was late!", "text_normalized": "It was  late!"}
    return json.dumps(values | changes)


@pytest.fixture
def tree(sound, text):
    sound("audio/92_clean/9991/book_02_0001.flac", rate=44_100)
    sound("audio/92_clean/9991/book_02_0002.flac", rate=44_100)
    sound("audio/92_clean/9991/book_02_0003.flac", rate=44_100)
    sound("audio/92_other/7/book_02_0001.flac", rate=44_100)
    lines = [line("book_02_0001"), "not json", line("book_02_0009"), line("book_02_0002", duration=2.0)]
    lines += [line("x", audio_filepath="../../secret.flac"), line("book_02_0001")]
    text("92_manifest_clean_train.json", "\n".join(lines))
    text("92_manifest_other_dev.json", line("x", audio_filepath="audio/92_other/7/book_02_0001.flac") + "\n")


def test_manifests_are_json_lines_and_give_ids_texts_and_splits(tree, run):
    done = run("hifitts")
    assert sorted(done.rows) == ["92_clean_9991_book_02_0001", "92_other_7_book_02_0001"]
    row = done.rows["92_clean_9991_book_02_0001"]
    assert (row.text, row.extra["text_raw"], row.speaker) == ("It was late!", "It was late!", "92")
    assert (row.extra["split"], row.extra["quality"], row.extra["book"]) == ("train", "clean", "9991")
    assert done.rows["92_other_7_book_02_0001"].extra["split"] == "valid"


def test_a_bad_row_costs_its_audio_once(sound, text, run):
    bad = {"duration": -1, "nan": float("nan"), "text": 5, "bytes": None, "good": None}
    for name in bad:
        sound(f"audio/92_clean/9991/{name}.flac", rate=44_100)
    lines = [line(name, duration=bad[name]) for name in ("duration", "nan")]
    lines += [line("text", text_normalized=5), line("bytes", text="MARK"), line("good")]
    table = "\n".join(lines).encode().replace(b"MARK", b"caf\xe9")
    text("92_manifest_clean_train.json", table)
    done = run("hifitts")
    names = ("bytes", "duration", "nan", "text")
    assert done.drops == [(f"92_clean_9991_{name}", "bad_row") for name in names]
    details = {drop["id"]: drop for drop in map(json.loads, (done.out / "drops.jsonl").read_text().splitlines())}
    bytes = details["92_clean_9991_bytes"]
    assert bytes["audio"] == "audio/92_clean/9991/bytes.flac"
    assert bytes["detail"].startswith("92_manifest_clean_train.json:4: not UTF-8 at byte")


def test_a_path_elsewhere_is_refused_without_a_word_on_where_the_corpus_lies(tree, root, run, text):
    text("92_manifest_clean_test.json", line("x", audio_filepath="/etc/secret.flac"))
    done = run("hifitts")
    assert ("92_clean_etc_secret", "unsafe_path") in done.drops
    assert str(root) not in (done.out / "drops.jsonl").read_text()


def test_the_plain_text_in_place_of_the_normalised_one_is_counted(sound, text, run):
    sound("audio/92_clean/9991/a.flac", rate=44_100)
    text("92_manifest_clean_train.json", line("a", text_normalized=None))
    done = run("hifitts")
    assert done.rows["92_clean_9991_a"].text == "it was late"
    assert done.report.warnings == {"text_from_plain": 1}


def test_faults_are_drops(tree, run):
    assert run("hifitts").drops == [
        ("92_clean_.._secret", "unsafe_path"),
        ("92_clean_9991_book_02_0001", "duplicate_id"),
        ("92_clean_9991_book_02_0002", "duration_mismatch"),
        ("92_clean_9991_book_02_0009", "missing_audio"),
        ("92_manifest_clean_train.json:2", "bad_row"),
        ("audio/92_clean/9991/book_02_0003", "unlisted_audio"),
    ]


def test_a_path_of_another_system_gives_the_same_row(sound, text, run):
    sound("audio/92_clean/9991/book_02_0001.flac", rate=44_100)
    text("92_manifest_clean_train.json", line("x", audio_filepath="audio\\92_clean\\9991\\book_02_0001.flac"))
    assert run("hifitts").rows["92_clean_9991_book_02_0001"].extra["book"] == "9991"
