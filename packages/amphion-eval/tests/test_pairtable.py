import numpy as np
import pytest

from amphion_core import audio
from amphion_eval.pairing import Clip, Pair, PairingError
from amphion_eval.pairtable import add_columns, read_pairs

WAV = np.full(1600, 0.1, np.float32)


def fill(folder, *names):
    for name in names:
        (folder / name).write_bytes(audio.encode(WAV, 16000, "wav"))
    return folder


TABLES = {
    "pairs.csv": "id,reference,estimate,text,transcript\n1,x.wav,y.wav,hello,hallo\n",
    "pairs.tsv": "id\treference\testimate\ttext\ttranscript\n1\tx.wav\ty.wav\thello\thallo\n",
    "pairs.jsonl": '{"id": "1", "reference": "x.wav", "estimate": "y.wav", "text": "hello", "transcript": "hallo"}\n\n',
}


@pytest.mark.parametrize("name", TABLES)
def test_table_gives_pairs_below_its_folder(tmp_path, name):
    fill(tmp_path, "x.wav", "y.wav")
    (tmp_path / name).write_text(TABLES[name])
    (pair,) = read_pairs(tmp_path / name)
    assert (pair.id, pair.text, pair.transcript) == ("1", "hello", "hallo")
    assert pair.reference.path == (tmp_path / "x.wav").as_posix()


def test_row_without_id_takes_the_name_of_its_estimate(tmp_path):
    fill(tmp_path, "x.wav", "y.wav")
    (tmp_path / "t.csv").write_text("reference,estimate\nx.wav,y.wav\n")
    assert read_pairs(tmp_path / "t.csv")[0].id == "y"


def test_all_faults_of_a_table_are_named_at_once(tmp_path):
    fill(tmp_path, "x.wav")
    (tmp_path / "t.csv").write_text("id,reference,estimate\n1,x.wav,gone.wav\n2,,x.wav\n3,x.wav,x.wav\n3,x.wav,x.wav\n")
    with pytest.raises(PairingError, match=r"(?s)3 faults.*row 2.*gone\.wav.*row 3.*reference.*row 5.*3 stands twice"):
        read_pairs(tmp_path / "t.csv")


@pytest.mark.parametrize(("text", "message"), [("{]", "row 1: not JSON"), ("[1]", "JSON object"), ("", "no row")])
def test_table_that_is_none_is_refused(tmp_path, text, message):
    (tmp_path / "t.jsonl").write_text(text)
    with pytest.raises(PairingError, match=message):
        read_pairs(tmp_path / "t.jsonl")


def test_all_faults_of_lines_are_named_at_once(tmp_path):
    lines = ["{]", '{"id": "a", "reference": "x.wav", "estimate": "gone.wav"}', "[1]"]
    (fill(tmp_path, "x.wav") / "t.jsonl").write_text("\n".join(lines))
    with pytest.raises(PairingError, match=r"(?s)3 faults.*row 1: not JSON.*row 2.*gone\.wav.*row 3: .*JSON object"):
        read_pairs(tmp_path / "t.jsonl")


@pytest.mark.parametrize("read", [read_pairs, lambda table: add_columns([], table, ignore_missing=True)])
def test_row_with_more_cells_than_the_header_is_refused(read, tmp_path):
    (fill(tmp_path, "x.wav") / "t.csv").write_text("id,reference,estimate,text\n1,x.wav,x.wav,Hello, my friend\n")
    with pytest.raises(PairingError, match="row 2: 5 cells, the header has 4; quote texts that hold commas"):
        read(tmp_path / "t.csv")


def test_table_of_another_encoding_is_refused_by_name(tmp_path):
    (tmp_path / "t.csv").write_bytes("id,reference,estimate\né,x.wav,x.wav\n".encode("latin-1"))
    with pytest.raises(PairingError, match=r"t\.csv: not UTF-8 at byte 22; save"):
        read_pairs(tmp_path / "t.csv")


def test_ids_that_differ_only_in_the_form_of_unicode_are_one(tmp_path):
    text = "id,reference,estimate\n\u00e9,x.wav,x.wav\ne\u0301,x.wav,x.wav\n"
    (fill(tmp_path, "x.wav") / "t.csv").write_text(text, encoding="utf-8")
    with pytest.raises(PairingError, match="stands twice"):
        read_pairs(tmp_path / "t.csv")


def test_table_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"t\.csv"):
        read_pairs(tmp_path / "t.csv")


def test_row_of_texts_needs_no_audio_and_may_call_the_transcript_hypothesis(tmp_path):
    (tmp_path / "t.csv").write_text("id,text,hypothesis\n1,hello,\n")
    (pair,) = read_pairs(tmp_path / "t.csv")
    assert (pair.text, pair.transcript, pair.reference.path) == ("hello", "", "")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", "id,text,transcript\n1,,heard\n2,said,\n"),
        ("t.jsonl", '{"id": "1", "text": "", "transcript": "heard"}\n{"id": "2", "text": "said", "transcript": ""}\n'),
    ],
)
def test_row_of_texts_may_lack_what_was_said_or_what_was_heard(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    first, second = read_pairs(tmp_path / name)
    assert (first.text, first.transcript, second.text, second.transcript) == (None, "heard", "said", "")


def test_row_of_nothing_in_a_table_of_clips_is_no_row_of_texts(tmp_path):
    (tmp_path / "t.csv").write_text("id,reference,estimate,text,transcript\n1,,,,\n")
    with pytest.raises(PairingError, match="row 2: no value for reference and estimate"):
        read_pairs(tmp_path / "t.csv")


def test_two_columns_of_one_name_are_refused(tmp_path):
    (tmp_path / "t.csv").write_text("id,text,transcript,text\n1,said,heard,other\n")
    with pytest.raises(PairingError, match="two columns have the name 'text'"):
        read_pairs(tmp_path / "t.csv")


def test_output_may_be_called_test(tmp_path):
    fill(tmp_path, "x.wav", "y.wav")
    (tmp_path / "t.csv").write_text("id,reference,test\n1,x.wav,y.wav\n")
    assert read_pairs(tmp_path / "t.csv")[0].estimate.path == (tmp_path / "y.wav").as_posix()


def test_table_brings_prompts_and_their_reconstructions(tmp_path):
    fill(tmp_path, "x.wav", "y.wav", "p.wav")
    (tmp_path / "t.csv").write_text("id,reference,estimate,prompt,reconstruction\n1,x.wav,y.wav,p.wav,\n")
    (pair,) = read_pairs(tmp_path / "t.csv")
    assert pair.prompt == Clip((tmp_path / "p.wav").as_posix()) and pair.reconstruction is None


def test_recording_may_be_absent_where_no_metric_needs_it(tmp_path):
    fill(tmp_path, "y.wav")
    (tmp_path / "t.csv").write_text("id,estimate\n1,y.wav\n")
    assert read_pairs(tmp_path / "t.csv", need_reference=False)[0].reference.path == ""
    with pytest.raises(PairingError, match="row 2: no value for reference"):
        read_pairs(tmp_path / "t.csv")


def test_table_of_texts_adds_to_pairs_found_by_name(tmp_path):
    (tmp_path / "t.csv").write_text("id,text,transcript\na,said,\nb,,\n")
    first, second = add_columns([Pair(n, Clip(n), Clip(n), text="old") for n in "ab"], tmp_path / "t.csv")
    assert (first.text, first.transcript, second.text) == ("said", "", "old")


def test_table_of_texts_and_items_must_cover_each_other(tmp_path):
    (tmp_path / "t.csv").write_text("id,text\na,said\nc,said\nc,again\n")
    pairs = [Pair(n, Clip(n), Clip(n)) for n in "ab"]
    with pytest.raises(PairingError, match=r"(?s)3 faults.*row 4: the id c stands twice.*item b.*row c"):
        add_columns(pairs, tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text("id,text\na,said\nc,said\n")
    assert add_columns(pairs, tmp_path / "t.csv", ignore_missing=True)[0].text == "said"
