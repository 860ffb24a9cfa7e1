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


@pytest.mark.parametrize(("text", "message"), [("{]", "1: not JSON"), ("[1]", "JSON object"), ("", "no row")])
def test_table_that_is_none_is_refused(tmp_path, text, message):
    (tmp_path / "t.jsonl").write_text(text)
    with pytest.raises(PairingError, match=message):
        read_pairs(tmp_path / "t.jsonl")


def test_table_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"t\.csv"):
        read_pairs(tmp_path / "t.csv")


def test_row_of_texts_needs_no_audio_and_may_call_the_transcript_hypothesis(tmp_path):
    (tmp_path / "t.csv").write_text("id,text,hypothesis\n1,hello,\n")
    (pair,) = read_pairs(tmp_path / "t.csv")
    assert (pair.text, pair.transcript, pair.reference.path) == ("hello", "", "")


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
