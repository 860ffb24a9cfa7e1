import json
import os
import sys

import numpy as np
import pytest

from amphion_core.data import Drop
from amphion_data import PrepareSettings, prepare
from amphion_data.corpus import scan
from amphion_data.folder import FOLDER


def rows(root, **options):
    return {row.id: row for row in scan(FOLDER, root, **options).rows}


def reasons(root, **options):
    return {drop.id: drop.reason for drop in scan(FOLDER, root, **options).drops}


def test_text_is_in_a_file_beside_the_audio(tmp_path, write):
    write(tmp_path / "ann" / "one.wav")
    (tmp_path / "ann" / "one.txt").write_text("\ufeffHello\n  there ", encoding="utf-8")
    write(tmp_path / "bob" / "TWO.FLAC")
    (tmp_path / "bob" / "TWO.lab").write_text("hi", encoding="utf-8")
    found = rows(tmp_path, language="en")
    assert {name: (row.text, row.speaker, row.language) for name, row in found.items()} == {
        "ann/one": ("Hello there", "ann", "en"),
        "bob/TWO": ("hi", "bob", "en"),
    }
    assert found["ann/one"].extra["text_raw"] == "Hello\n  there "


def test_endings_of_texts_may_be_in_any_case(tmp_path, write):
    for name, text in (("a", "a.Txt"), ("b", "b.LAB"), ("c", "c.Normalized.txt")):
        write(tmp_path / f"{name}.wav")
        (tmp_path / text).write_text(name, encoding="utf-8")
    (tmp_path / "c.txt").write_text("not this", encoding="utf-8")
    assert {name: row.text for name, row in rows(tmp_path).items()} == {"a": "a", "b": "b", "c": "c"}


def test_a_name_as_long_as_a_file_system_allows_is_a_row_like_others(tmp_path, write):
    write(tmp_path / "ok.wav")
    (tmp_path / "ok.txt").write_text("hi", encoding="utf-8")
    write(tmp_path / f"{'x' * 250}.wav")  # with .normalized.txt in place of .wav no file could be called so
    assert list(rows(tmp_path)) == ["ok"] and reasons(tmp_path) == {"x" * 250: "missing_text"}
    assert set(rows(tmp_path, require_text=False)) == {"ok", "x" * 250}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_name_that_is_not_utf8_is_a_drop_and_does_not_end_the_run(tmp_path, write):
    write(tmp_path / "ok.wav")
    write(tmp_path / "x.wav").rename(tmp_path / os.fsdecode(b"caf\xe9.wav"))
    found = scan(FOLDER, tmp_path, require_text=False)
    assert [row.id for row in found.rows] == ["ok"]
    assert [(drop.id, drop.audio, drop.reason) for drop in found.drops] == [("caf\\udce9", "caf\\udce9.wav", "bad_row")]


def test_a_text_without_audio_is_a_drop_but_a_readme_is_none(tmp_path, write):
    write(tmp_path / "ann" / "a.wav")
    write(tmp_path / "ann" / "license.wav")
    for name in (
        "a.txt",
        "b.txt",
        "b.lab",
        "c.normalized.txt",
        "license.txt",
        "README-en.txt",
        "._d.txt",
        "readmes.txt",
    ):
        (tmp_path / "ann" / name).write_text("hi", encoding="utf-8")
    for name in ("LICENSE.txt", "list.txt"):
        (tmp_path / name).write_text("hi", encoding="utf-8")
    found = scan(FOLDER, tmp_path)
    assert [row.id for row in found.rows] == ["ann/a", "ann/license"]
    assert [(drop.id, drop.audio, drop.reason) for drop in found.drops] == [
        ("ann/b", "", "missing_audio"),
        ("ann/c", "", "missing_audio"),
        ("ann/readmes", "", "missing_audio"),
    ]


def test_texts_of_the_folder_itself_are_rows_where_audio_lies_there(tmp_path, write):
    write(tmp_path / "a.wav")
    for name in ("a.txt", "b.txt", "Notice.txt", "READ_ME.txt", "COPYING.txt"):
        (tmp_path / name).write_text("hi", encoding="utf-8")
    assert list(rows(tmp_path)) == ["a"] and reasons(tmp_path) == {"b": "missing_audio"}


def test_labels_with_times_are_no_text(tmp_path, write):
    write(tmp_path / "a.wav")
    (tmp_path / "a.lab").write_text("0 3374 pau\n3374 9000 a\n", encoding="utf-8")
    assert reasons(tmp_path) == {"a": "missing_text"}
    assert rows(tmp_path, require_text=False)["a"].extra["labels"] == "a.lab"


def test_files_without_text_hidden_ones_and_bad_bytes_are_drops(tmp_path, write):
    for name in ("none", "empty", "bytes", "._mac", "__MACOSX/x"):
        write(tmp_path / f"{name}.wav")
    (tmp_path / "empty.txt").write_text(" \n", encoding="utf-8")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfeab")
    assert reasons(tmp_path) == {
        "none": "missing_text",
        "empty": "empty_text",
        "bytes": "bad_row",
        "._mac": "hidden_file",
        "__MACOSX/x": "hidden_file",
    }


def test_audio_alone_is_enough_where_no_text_is_asked_for(tmp_path, write):
    write(tmp_path / "wavs" / "a.wav")
    row = rows(tmp_path, require_text=False, speaker="ann")["wavs/a"]
    assert (row.text, row.speaker) == (None, "ann")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("metadata.csv", 'file_name,sentence,speaker_id\nclips/a.wav,"Hi, you",7\n'),
        ("list.tsv", "path\ttranscript\tspeaker\na.wav\tHi, you\t7\n"),
        ("manifest.jsonl", '{"audio_filepath": "clips/a.wav", "text": "Hi, you", "speaker": 7}\n'),
        ("manifest.json", '{"audio_filepath": "./clips/a.wav", "text": "Hi, you", "speaker": 7}\n'),
        ("metadata.csv", "id|speaker|text\na|7|Hi, you\n"),
    ],
)
def test_tables_of_many_forms_name_the_same_row(tmp_path, write, name, text):
    write(tmp_path / "clips" / "a.wav")
    (tmp_path / name).write_text(text, encoding="utf-8")
    (row,) = rows(tmp_path).values()
    assert (row.audio, row.text, row.speaker) == ("clips/a.wav", "Hi, you", "7")


def test_table_in_the_form_of_ljspeech_finds_wavs(tmp_path, write):
    write(tmp_path / "wavs" / "x-1.wav")
    (tmp_path / "metadata.csv").write_text("x-1|No. 1|number one\n", encoding="utf-8")
    row = rows(tmp_path)["x-1"]
    assert (row.audio, row.text, row.extra["text_raw"]) == ("wavs/x-1.wav", "number one", "No. 1")


def test_columns_that_mean_nothing_to_us_are_kept(tmp_path, write):
    write(tmp_path / "a.wav")
    (tmp_path / "m.jsonl").write_text('{"audio": "a.wav", "text": "x", "age": 4, "lang": "en-US"}', encoding="utf-8")
    row = rows(tmp_path)["a"]
    assert (row.extra["age"], row.language) == (4, "en")


@pytest.mark.parametrize(("name", "value"), [("start", "slowly"), ("start", "1.5"), ("end", "abruptly")])
def test_a_start_without_an_end_is_a_column_like_others(tmp_path, write, name, value):
    write(tmp_path / "a.wav")
    (tmp_path / "m.csv").write_text(f"audio,text,{name}\na.wav,x,{value}\n", encoding="utf-8")
    (row,) = scan(FOLDER, tmp_path).rows
    assert (row.id, row.extra[name], "source" in row.extra) == ("a", value, False)


def test_a_start_that_is_none_stays_beside_that_of_an_offset(tmp_path, write):
    write(tmp_path / "a.wav")
    (tmp_path / "m.csv").write_text("audio,text,start,offset,duration\na.wav,x,slowly,1,2\n", encoding="utf-8")
    row = rows(tmp_path)["a_1000_3000"]
    assert [row.extra[name] for name in ("start", "end", "custom_start")] == [1.0, 3.0, "slowly"]


@pytest.mark.parametrize("value", [True, ["q"], {"n": 1}])
@pytest.mark.parametrize("name", ["id", "speaker", "language", "split", "text_raw"])
def test_a_value_that_is_no_word_is_a_bad_row(tmp_path, write, name, value):
    write(tmp_path / "a.wav")
    line = json.dumps({"audio": "a.wav", "text": "x", name: value})
    (tmp_path / "m.jsonl").write_text(line, encoding="utf-8")
    (drop,) = scan(FOLDER, tmp_path).drops
    assert (drop.id, drop.audio, drop.reason) == ("a", "a.wav", "bad_row")
    assert drop.detail == f"m.jsonl:1: {name} is {value!r}, a text or a number was expected"


def test_numbers_are_taken_for_words(tmp_path, write):
    write(tmp_path / "a.wav")
    (tmp_path / "m.jsonl").write_text('{"audio": "a.wav", "text": "x", "id": 7, "speaker": 1.5}', encoding="utf-8")
    assert rows(tmp_path)["7"].speaker == "1.5"


def test_a_column_called_subset_is_no_split(tmp_path, write):
    write(tmp_path / "a.wav")
    (tmp_path / "m.csv").write_text("audio,text,subset,\na.wav,x,train-clean-100,0\n", encoding="utf-8")
    row = rows(tmp_path)["a"]
    assert (row.extra["subset"], "split" in row.extra, "" in row.extra) == ("train-clean-100", False, False)


def test_faults_of_a_table_are_drops_with_lines(tmp_path, write):
    write(tmp_path / "a.wav")
    write(tmp_path / "loose.wav")
    lines = [
        '{"id": "a", "audio": "a.wav", "text": "x"}',
        '{"id": "a", "audio": "a.wav", "text": "again"}',
        '{"id": "gone", "audio": "gone.wav", "text": "x"}',
        '{"id": "out", "audio": "../a.wav", "text": "x"}',
        '{"id": "abs", "audio": "/etc/passwd", "text": "x"}',
        '{"id": "mute", "audio": "a.wav"}',
        '{"id": "empty", "audio": "a.wav", "text": "  "}',
        '{"id": "long", "audio": "a.wav", "text": "x", "duration": "soon"}',
        '{"id": "where", "audio": "a.wav", "text": "x", "split": "attic"}',
        '{"text": "x"}',
    ]
    (tmp_path / "m.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert reasons(tmp_path) == {
        "a": "duplicate_id",
        "gone": "missing_audio",
        "out": "unsafe_path",
        "abs": "unsafe_path",
        "mute": "missing_text",
        "empty": "empty_text",
        "long": "bad_row",
        "where": "bad_row",
        "": "bad_row",
        "loose": "unlisted_audio",
    }
    assert next(d for d in scan(FOLDER, tmp_path).drops if d.id == "gone").detail.startswith("m.jsonl:3: ")


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b'{"id": "u", "audio": "a.wav", "text": "x', "no JSON"),
        (b'{"id": "u", "audio": "a.wav", "text": "caf\xe9"}', "bytes that are not UTF-8"),
        (b'{"id": "u", "audio": "a.wav", "text": "x", "snr": NaN}', "NaN is no JSON number"),
        (b'{"id": "u", "audio": "a.wav", "text": "x", "snr": 1e999}', "1e999 is too large"),
        (b'{"id": "u", "audio": "a.wav", "text": "\\ud800"}', "half of a character, '\\ud800'"),
    ],
)
def test_an_unreadable_line_keeps_the_id_and_the_audio_that_can_be_read(tmp_path, write, line, fault):
    write(tmp_path / "a.wav")
    (tmp_path / "m.jsonl").write_bytes(line + b"\n")
    (drop,) = scan(FOLDER, tmp_path).drops
    assert (drop.id, drop.audio, drop.reason) == ("u", "a.wav", "bad_row") and fault in drop.detail


def test_drops_do_not_say_where_the_folder_lies(tmp_path, write):
    write(tmp_path / "a.wav")
    (tmp_path / "m.csv").write_text(f"audio,text\n{tmp_path}/gone.wav,x\n/etc/passwd,x\n", encoding="utf-8")
    drops = scan(FOLDER, tmp_path).drops
    assert [(drop.audio, drop.reason) for drop in drops[:2]] == [("gone.wav", "missing_audio"), ("", "unsafe_path")]
    assert not any(str(tmp_path) in drop.audio + drop.detail for drop in drops)


def test_an_absolute_path_below_the_folder_is_taken(tmp_path, write):
    path = write(tmp_path / "a.wav")
    (tmp_path / "m.csv").write_text(f"audio,text\n{path},x\n", encoding="utf-8")
    assert [(row.id, row.audio) for row in rows(tmp_path).values()] == [("a", "a.wav")]


def test_splits_come_from_a_column_from_tables_and_from_folders(tmp_path, write):
    for name in ("column", "tables", "folders"):
        write(tmp_path / name / "train" / "a.wav")
        write(tmp_path / name / "dev" / "b.wav")
    (tmp_path / "column" / "m.csv").write_text("audio,text,split\na.wav,x,train\nb.wav,x,validation\n")
    (tmp_path / "tables" / "train.csv").write_text("audio,text\na.wav,x\n")
    (tmp_path / "tables" / "dev.csv").write_text("audio,text\nb.wav,x\n")
    for part, name in (("train", "a"), ("dev", "b")):
        (tmp_path / "folders" / part / "metadata.csv").write_text(f"file_name,text\n{name}.wav,x\n")
    for name in ("column", "tables", "folders"):
        found = rows(tmp_path / name).values()
        assert {row.audio: row.extra["split"] for row in found} == {"train/a.wav": "train", "dev/b.wav": "valid"}


@pytest.mark.parametrize("above", [".", "data"])
def test_a_split_without_a_table_costs_only_its_own_audio(tmp_path, write, above):
    for name in ("train/a", "train/loose", "dev/b"):
        write(tmp_path / above / f"{name}.wav")
    (tmp_path / above / "test").mkdir()
    (tmp_path / above / "train" / "metadata.csv").write_text("file_name,text\na.wav,x\n", encoding="utf-8")
    below = "" if above == "." else f"{above}/"
    found = scan(FOLDER, tmp_path)
    assert [(row.audio, row.text, row.extra["split"]) for row in found.rows] == [(f"{below}train/a.wav", "x", "train")]
    assert [(drop.audio, drop.reason, drop.detail) for drop in found.drops] == [
        (f"{below}dev/b.wav", "unlisted_audio", f"{below}train/metadata.csv has no row for it"),
        (f"{below}train/loose.wav", "unlisted_audio", f"{below}train/metadata.csv has no row for it"),
    ]


@pytest.mark.parametrize("other", ["dev", "ann"])
def test_the_table_of_one_part_does_not_count_where_texts_lie_beside_other_audio(tmp_path, write, caplog, other):
    for name in (f"{other}/a", "test/b"):
        write(tmp_path / f"{name}.wav")
        (tmp_path / f"{name}.txt").write_text("hi", encoding="utf-8")
    (tmp_path / "train").mkdir()
    (tmp_path / "test" / "metadata.csv").write_text("microphone,room\nU87,2\n", encoding="utf-8")
    assert list(rows(tmp_path)) == [f"{other}/a", "test/b"]
    assert f"{other}/a.wav has its text beside it, so texts are read and test/metadata.csv not" in caplog.text


def test_several_tables_of_one_split_are_an_error_that_names_them(tmp_path, write):
    write(tmp_path / "train" / "a.wav")
    for name in ("metadata.csv", "metadata.tsv"):
        (tmp_path / "train" / name).write_text("file_name,text\na.wav,x\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"train has several tables, metadata\.csv, metadata\.tsv"):
        rows(tmp_path)


def test_a_folder_in_the_form_of_kaldi_is_read(tmp_path, write):
    write(tmp_path / "wavs" / "a.wav")
    path = write(tmp_path / "wavs" / "b.wav")
    (tmp_path / "wav.scp").write_text(f"a wavs/a.wav\nb {path}\nc sox x.wav -t wav - |\n", encoding="utf-8")
    (tmp_path / "text").write_text("a hello  there\nb you\nc no\n", encoding="utf-8")
    (tmp_path / "utt2spk").write_text("a ann\nb bob\n", encoding="utf-8")
    assert {name: (row.text, row.speaker) for name, row in rows(tmp_path).items()} == {
        "a": ("hello there", "ann"),
        "b": ("you", "bob"),
    }
    assert reasons(tmp_path) == {"c": "bad_row"}


def test_tabs_divide_the_columns_of_kaldi_too(tmp_path, write):
    write(tmp_path / "a b.wav")
    (tmp_path / "wav.scp").write_text("a\t a b.wav\r\n", encoding="utf-8")
    (tmp_path / "text").write_text("a\thello\tthere\n", encoding="utf-8")
    (tmp_path / "utt2spk").write_text("a \tann\n", encoding="utf-8")
    row = rows(tmp_path)["a"]
    assert (row.audio, row.text, row.speaker) == ("a b.wav", "hello there", "ann")


def test_kaldi_knows_languages_and_genders(tmp_path, write):
    write(tmp_path / "a.wav")
    write(tmp_path / "b.wav")
    for name, content in {
        "wav.scp": "a a.wav\nb b.wav\n",
        "text": "a x\nb y\n",
        "utt2spk": "a ann\nb bob\n",
        "utt2lang": "a de\n",
        "spk2gender": "ann f\n",
    }.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    found = rows(tmp_path)
    assert {name: (row.language, row.extra.get("gender")) for name, row in found.items()} == {
        "a": ("de", "F"),
        "b": (None, None),
    }


def test_texts_of_kaldi_without_audio_are_drops(tmp_path, write):
    write(tmp_path / "a.wav")
    write(tmp_path / "b.wav")
    (tmp_path / "wav.scp").write_text("a a.wav\nc\n", encoding="utf-8")
    (tmp_path / "text").write_text("a x\nb y\na again\nc z\n", encoding="utf-8")
    assert rows(tmp_path)["a"].text == "x"
    found = {(drop.id, drop.audio, drop.reason): drop.detail for drop in scan(FOLDER, tmp_path).drops}
    assert found == {
        ("c", "", "bad_row"): "wav.scp:2: no path of an audio file",
        ("b", "", "missing_audio"): "text:2: wav.scp has no row for this text",
        ("a", "", "duplicate_id"): "text:3: line 1 has a text of this id",
        ("b", "b.wav", "unlisted_audio"): "wav.scp has no row for it",
    }


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("m.csv", b"audio,text,speaker\na.wav,x\n"),
        ("m.csv", b"text,audio\nHi, you,a.wav\n"),
        ("m.tsv", b"audio\ttext\na.wav\tx\ty\n"),
        ("m.tsv", b"audio\ttext\na.wav\tcaf\xe9\n"),
        ("m.csv", b"a|x|y\na|x|y|z\n"),
        ("wav.scp", b"a a.wav\n"),
    ],
)
def test_the_audio_of_a_bad_row_is_not_unlisted_as_well(tmp_path, write, name, table):
    write(tmp_path / "a.wav")
    (tmp_path / name).write_bytes(table)
    (tmp_path / "text").write_bytes(b"a caf\xe9\n")
    found = [(drop.id, drop.audio, drop.reason) for drop in scan(FOLDER, tmp_path).drops]
    assert found[-1][1:] == ("a.wav", "bad_row") and "unlisted_audio" not in {reason for _, _, reason in found}


def test_several_tables_are_an_error_that_names_them(tmp_path, write):
    write(tmp_path / "a.wav")
    for name in ("one.csv", "two.csv"):
        (tmp_path / name).write_text("audio,text\na.wav,x\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"several tables, one\.csv, two\.csv"):
        rows(tmp_path)
    assert list(rows(tmp_path / "two.csv")) == ["a"]


def test_a_folder_without_audio_says_what_it_holds(tmp_path):
    (tmp_path / "notes.md").write_text("x", encoding="utf-8")
    with pytest.raises(FileNotFoundError, match=r"no audio .*holds notes\.md"):
        rows(tmp_path)


def test_ids_that_differ_only_in_their_unicode_form_are_an_error(tmp_path, write):
    write(tmp_path / "caf\u00e9.wav")
    write(tmp_path / "cafe\u0301.wav")
    if len(list(tmp_path.iterdir())) == 1:
        pytest.skip("this file system folds the names itself")
    with pytest.raises(ValueError, match="one in unicode NFC"):
        rows(tmp_path, require_text=False)


def test_rows_come_in_the_order_of_their_names(tmp_path, write):
    names = [f"n{i}" for i in np.random.default_rng(0).permutation(12)]
    for name in names:
        write(tmp_path / f"{name}.wav")
    assert list(rows(tmp_path, require_text=False)) == sorted(names)


def test_a_file_that_differs_only_in_its_ending_is_a_duplicate(tmp_path, write):
    write(tmp_path / "a.flac")
    write(tmp_path / "a.wav")
    found = scan(FOLDER, tmp_path, require_text=False)
    assert [row.audio for row in found.rows] == ["a.flac"]
    assert [(drop.audio, drop.reason) for drop in found.drops if isinstance(drop, Drop)] == [("a.wav", "duplicate_id")]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no pipes among their files, or hide them")
def test_a_pipe_is_missing_audio_and_nobody_waits_for_it(tmp_path, write):
    write(tmp_path / "in" / "good.wav")
    os.mkfifo(tmp_path / "in" / "pipe.wav")
    for name in ("good", "pipe"):
        (tmp_path / "in" / f"{name}.txt").write_text("said", encoding="utf-8")
    settings = PrepareSettings(valid=0, test=0)
    prepare("folder", tmp_path / "in", tmp_path / "out", settings, workers=1, progress=False)
    (line,) = (tmp_path / "out" / "drops.jsonl").read_text(encoding="utf-8").splitlines()
    assert '"missing_audio"' in line and "it is a pipe, no file" in line
