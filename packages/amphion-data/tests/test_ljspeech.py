import pytest

from amphion_core.data import Drop
from amphion_data.corpus import find_corpus, scan
from amphion_data.ljspeech import LJSPEECH, iter_ljspeech


def reasons(found):
    return {drop.id: drop.reason for drop in found.drops}


def test_rows_have_both_texts_and_the_voice(tmp_path, make_ljspeech):
    row = next(iter_ljspeech(make_ljspeech(tmp_path)))
    assert (row.id, row.audio, row.speaker, row.language) == ("LJ001-0001", "wavs/LJ001-0001.wav", "LJ", "en")
    assert row.text == "mister 1 said “so”."
    assert row.extra["text_raw"] == "Mr. 1 said “so”."


def test_quotes_never_swallow_a_row(tmp_path, make_ljspeech):
    root = make_ljspeech(tmp_path, chapters=1, sentences=3)
    (root / "metadata.csv").write_text('LJ001-0001|a|"He said\nLJ001-0002|b|"\nLJ001-0003|c|say ""\n', encoding="utf-8")
    assert [row.text for row in scan(LJSPEECH, root).rows] == ['"He said', '"', 'say ""']


def test_every_fault_is_a_drop_with_its_reason(tmp_path, make_ljspeech, write):
    root = make_ljspeech(tmp_path, chapters=1, sentences=6)
    write(root / "wavs" / "LJ001-0099.wav")
    write(root / "wavs" / "._LJ001-0001.wav")
    write(root / "wavs" / "LJ001-0001.flac")
    lines = [
        b"LJ001-0001|a|a",
        b"LJ001-0002|two columns",
        b"LJ001-0003||",
        b"LJ001-0004|\xff|b",
        b"LJ001-0005|raw 5|",
        b"LJ001-0006|a|a",
        b"LJ001-0006|again|again",
        b"LJ001-0007|a|a",
        b"../secret|a|a",
    ]
    (root / "metadata.csv").write_bytes(b"\xef\xbb\xbf" + b"\r\n".join(lines))
    found = scan(LJSPEECH, root)
    assert [(row.id, row.text) for row in found.rows] == [
        ("LJ001-0001", "a"),
        ("LJ001-0005", "raw 5"),
        ("LJ001-0006", "a"),
    ]
    assert sorted((drop.id, drop.reason) for drop in found.drops) == [
        ("../secret", "unsafe_path"),
        ("._LJ001-0001", "hidden_file"),
        ("LJ001-0001", "duplicate_id"),
        ("LJ001-0002", "bad_row"),
        ("LJ001-0003", "empty_text"),
        ("LJ001-0004", "bad_row"),
        ("LJ001-0006", "duplicate_id"),
        ("LJ001-0007", "missing_audio"),
        ("LJ001-0099", "unlisted_audio"),
    ]


def test_audio_alone_is_enough_where_no_text_is_asked_for(tmp_path, make_ljspeech):
    root = make_ljspeech(tmp_path, chapters=1, sentences=3)
    (root / "metadata.csv").write_text("LJ001-0001|a|a\nLJ001-0002||\nLJ001-0003| |\n", encoding="utf-8")
    found = scan(LJSPEECH, root, require_text=False)
    assert [(row.id, row.text) for row in found.rows] == [
        ("LJ001-0001", "a"),
        ("LJ001-0002", None),
        ("LJ001-0003", None),
    ]
    assert not found.drops and all("warnings" not in row.extra for row in found.rows)
    assert reasons(scan(LJSPEECH, root)) == {"LJ001-0002": "empty_text", "LJ001-0003": "empty_text"}


def test_audio_outside_wavs_is_a_drop(tmp_path, make_ljspeech, write):
    root = make_ljspeech(tmp_path, chapters=1, sentences=1)
    write(root / "mine" / "LJ001-0001.wav")
    assert [(drop.audio, drop.reason) for drop in scan(LJSPEECH, root).drops] == [
        ("mine/LJ001-0001.wav", "unlisted_audio")
    ]


def test_faulty_lines_are_named_by_number(tmp_path, make_ljspeech):
    root = make_ljspeech(tmp_path, chapters=1, sentences=2)
    (root / "metadata.csv").write_text("LJ001-0001|a|a\nLJ001-0002|b\n", encoding="utf-8")
    drop = next(item for item in iter_ljspeech(root) if isinstance(item, Drop))
    assert drop.detail.startswith("metadata.csv:2: expected id|text|normalised, got 2 columns")


def test_a_folder_of_another_kind_says_what_was_found(tmp_path, make_ljspeech):
    make_ljspeech(tmp_path / "LJSpeech-1.1", chapters=1, sentences=1)
    with pytest.raises(FileNotFoundError, match=r"needs metadata\.csv and wavs/.*holds LJSpeech-1\.1/; it seems"):
        scan(LJSPEECH, tmp_path)


def test_it_is_found_by_name_and_split_by_chapter_only(tmp_path, make_ljspeech):
    corpus = find_corpus("ljspeech")
    rows = scan(corpus, make_ljspeech(tmp_path)).rows
    assert corpus.unit(rows) == "chapter"
    with pytest.raises(ValueError, match="split by chapter, not by 'id'"):
        corpus.unit(rows, "id")
