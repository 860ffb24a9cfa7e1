import csv
import json

import pytest

from amphion_data.tables import read_table


def table(tmp_path, name, text):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(read_table(path))


def test_csv_quotes_hold_commas_quotes_and_line_ends(tmp_path):
    rows = table(tmp_path, "m.csv", 'file_name,transcript\na.wav,"He said, ""no"",\ntwice"\nb.wav,plain\n')
    assert [dict(row.values) for row in rows] == [
        {"audio": "a.wav", "text": 'He said, "no",\ntwice'},
        {"audio": "b.wav", "text": "plain"},
    ]
    assert [row.where for row in rows] == ["m.csv:2", "m.csv:4"]


@pytest.mark.parametrize("quote", ["", '"'])
def test_a_long_column_of_csv_is_one_like_others(tmp_path, quote):
    long, limit = "x" * 200_000, csv.field_size_limit()
    rows = table(tmp_path, "m.csv", f"audio,text\na.wav,{quote}{long}{quote}\nb.wav,y\n")
    assert [row.values["text"] for row in rows] == [long, "y"] and not any(row.fault for row in rows)
    assert csv.field_size_limit() == limit  # it is the whole process's


def test_tsv_quotes_are_letters(tmp_path):
    rows = table(tmp_path, "m.tsv", 'path\tsentence\na.wav\t"Yes, he said\nb.wav\tb"\n')
    assert [row.values["text"] for row in rows] == ['"Yes, he said', 'b"']


def test_pipe_table_without_header_is_in_the_form_of_ljspeech(tmp_path):
    rows = table(tmp_path, "metadata.csv", 'a|He said, "No. 4|he said, "number four\n')
    assert dict(rows[0].values) == {"id": "a", "text_raw": 'He said, "No. 4', "text": 'he said, "number four'}


def test_pipe_table_with_header_is_read_by_its_names(tmp_path):
    rows = table(tmp_path, "m.csv", "audio_file|speaker_name|text\na.wav|ann|hello\n")
    assert dict(rows[0].values) == {"audio": "a.wav", "speaker": "ann", "text": "hello"}


def test_json_lines_keep_unknown_columns(tmp_path):
    rows = table(tmp_path, "m.jsonl", '{"audio_filepath": "a.wav", "text": "x", "age": 40}\n')
    assert dict(rows[0].values) == {"audio": "a.wav", "text": "x", "age": 40}


@pytest.mark.parametrize("indent", [None, 2])
def test_a_list_of_objects_is_read_like_lines(tmp_path, indent):
    rows = table(tmp_path, "m.json", json.dumps([{"audio": "a.wav", "text": "x"}, 7], indent=indent))
    assert (dict(rows[0].values), rows[1].fault) == (
        {"audio": "a.wav", "text": "x"},
        "expected a JSON object, found int",
    )


def test_one_json_object_over_many_lines_is_no_table(tmp_path):
    with pytest.raises(ValueError, match=r"m\.json is one JSON dict; expected one object a line"):
        table(tmp_path, "m.json", '{\n"clips": []\n}')


def test_byte_order_mark_and_windows_line_ends_are_no_part_of_a_column(tmp_path):
    rows = table(tmp_path, "m.csv", b"\xef\xbb\xbfaudio,text\r\na.wav,hello\r\n")
    assert dict(rows[0].values) == {"audio": "a.wav", "text": "hello"}


def test_names_of_columns_are_matched_without_regard_to_case(tmp_path):
    assert dict(table(tmp_path, "m.csv", "Path,Text\na.wav,hello\n")[0].values) == {"audio": "a.wav", "text": "hello"}


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("m.csv", "audio,text\na.wav\n", "expected 2 columns"),
        ("m.tsv", "audio\ttext\na.wav\tb\tc\n", "got 3"),
        ("m.jsonl", "{no\n", "no JSON"),
        ("m.jsonl", "[1]\n", "expected a JSON object, found list"),
        ("m.jsonl", '{"audio": "a", "duration": NaN}\n', "NaN is no JSON number"),
        ("m.csv", b"audio,text\na.wav,\xff\xfeabc\n", "not UTF-8"),
    ],
)
def test_a_faulty_row_is_kept_apart_with_its_fault(tmp_path, name, text, fault):
    row = table(tmp_path, name, text)[-1]
    assert fault in row.fault


@pytest.mark.parametrize("name", ["m.csv", "m.tsv", "m.psv"])
def test_names_of_columns_that_are_not_utf_8_are_an_error(tmp_path, name):
    separator = {"m.csv": b",", "m.tsv": b"\t", "m.psv": b"|"}[name]
    with pytest.raises(ValueError, match=rf"{name}:1: bytes that are not UTF-8 in the names of the columns"):
        table(tmp_path, name, separator.join([b"audio", b"caf\xe9"]) + b"\n" + separator.join([b"a.wav", b"x"]))


@pytest.mark.parametrize("text", ['"audio" x,text\n', '"audio,text\na.wav,x\n'])
def test_a_faulty_quote_in_the_names_of_the_columns_is_an_error(tmp_path, text):
    with pytest.raises(ValueError, match=r"m\.csv:1: .*; a quote inside a quoted column has to be doubled"):
        table(tmp_path, "m.csv", text)


def test_a_quote_that_never_closes_names_the_line_where_it_opens(tmp_path):
    with pytest.raises(ValueError, match=r"m\.csv:3: "):
        table(tmp_path, "m.csv", 'audio,text\na.wav,fine\nb.wav,"open\nc.wav,lost\n')


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "is empty"), ("words,only\na,b\n", "no column for the audio"), ("a,b".encode("utf-16"), "is UTF-16")],
)
def test_what_is_no_table_is_an_error(tmp_path, text, words):
    with pytest.raises(ValueError, match=words):
        table(tmp_path, "m.csv", text)
