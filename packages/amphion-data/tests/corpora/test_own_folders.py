"""Kaldi's segments, manifests of lhotse, an overlay of LJSpeech, singing folders, names of corpora."""

import gzip
import json

import pytest

from amphion_data.corpus import find_corpus, known_corpora


def drops_of(done):
    """All that a preparation dropped, as in the file."""
    return list(map(json.loads, (done.out / "drops.jsonl").read_text(encoding="utf-8").splitlines()))


def test_segments_of_kaldi_cut_recordings(sound, text, run):
    sound("a.wav", seconds=2.0)
    text("wav.scp", "rec1 a.wav\nrec2 gone.wav\n")
    text("segments", "u1 rec1 0.25 1.0\nu2 rec1 1.0 5.0\nu3 rec2 0 1\nu4 rec9 0 1\nu5 rec1 1.5 1.0\n")
    text("text", "u1 hello\nu2 there\nu3 x\nu4 x\nu5 x\n")
    text("utt2spk", "u1 anna\n")
    done = run("folder")
    row = done.rows["u1"]
    assert (row.text, row.speaker, row.extra["start"], row.extra["end"]) == ("hello", "anna", 0.25, 1.0)
    assert row.duration == 0.75 and row.extra["source"] == "a.wav"
    assert done.drops == [("u2", "duration_mismatch"), ("u3", "missing_audio"), ("u4", "bad_row"), ("u5", "bad_row")]


def test_recordings_and_texts_that_no_segment_of_kaldi_names_are_drops(sound, text, run):
    for name in ("a", "b", "c", "d"):
        sound(f"{name}.wav")
    text("wav.scp", "".join(f"{name} {name}.wav\n" for name in "abcd"))
    text("segments", "u1 a 0.0 0.4\nu2 b 0.3 0.1\nu3 b 0.1\n")
    text("text", "u1 x\nu2 x\nc y\nu9 z\n")
    done = run("folder")
    assert list(done.rows) == ["u1"]
    drops = {(drop["id"], drop["audio"], drop["reason"]): drop["detail"] for drop in drops_of(done)}
    assert drops == {
        ("u2", "b.wav", "bad_row"): "segments:2: from 0.3 to 0.1 s is no stretch of time",
        ("u3", "b.wav", "bad_row"): "segments:3: expected an id, a recording, start and end; got u3 b 0.1",
        ("c", "c.wav", "bad_row"): "text:3: segments has no row for this recording",
        ("u9", "", "missing_audio"): "text:4: segments has no row for this text",
        ("d", "d.wav", "unlisted_audio"): "segments has no row for it",
    }


def recording(name, seconds=2.0):
    return {"id": name, "sources": [{"type": "file", "channels": [0], "source": f"{name}.wav"}], "duration": seconds}


def lines(*items):
    return "\n".join(map(json.dumps, items)) + "\n"


@pytest.mark.parametrize("packed", [False, True])
def test_recordings_and_supervisions_of_lhotse_are_rows(sound, text, run, packed):
    sound("a.wav", seconds=2.0)
    sound("b.wav", seconds=2.0)
    spoken = [{"id": "u1", "recording_id": "a", "start": 0.5, "duration": 1.0, "text": "one", "speaker": "anna"}]
    spoken += [{"id": "u2", "recording_id": "b", "start": 0.0, "duration": 2.0, "text": "two", "language": "en"}]
    spoken += [{"id": "u3", "recording_id": "c", "start": 0.0, "duration": 2.0, "text": "x"}]
    for name, table in (("recordings", lines(recording("a"), recording("b"))), ("supervisions", lines(*spoken))):
        path = f"x_{name}_train.jsonl" + (".gz" if packed else "")
        text(path, gzip.compress(table.encode()) if packed else table)
    done = run("folder")
    assert (done.rows["u1"].extra["start"], done.rows["u1"].duration, done.rows["u1"].speaker) == (0.5, 1.0, "anna")
    assert "start" not in done.rows["u2"].extra and done.rows["u2"].language == "en"
    assert done.rows["u1"].extra["split"] == "train"
    assert len(done.drops) == 1 and done.drops[0][1] == "bad_row"


def test_cuts_of_lhotse_are_rows(sound, text, run):
    sound("a.wav", seconds=2.0)
    cut = {"id": "c1", "start": 0.5, "duration": 1.0, "recording": recording("a"), "type": "MonoCut"}
    cut["supervisions"] = [{"id": "s", "recording_id": "a", "start": 0.0, "duration": 1.0, "text": "one"}]
    text("cuts.jsonl", lines(cut, {"id": "mix", "type": "MixedCut"}))
    done = run("folder")
    assert done.rows["c1"].duration == 1.0 and done.rows["c1"].text == "one"
    assert done.drops == [("mix", "bad_row")]


def test_hf_audiofolder_with_splits_is_read(sound, text, run):
    for split in ("train", "test"):
        sound(f"{split}/x_{split}.wav")
        text(f"{split}/metadata.csv", f"file_name,transcription\nx_{split}.wav,said in {split}\n")
    rows = run("folder").rows
    assert {row.text: row.extra["split"] for row in rows.values()} == {"said in train": "train", "said in test": "test"}


def test_overlay_replaces_texts_of_ljspeech(make_ljspeech, run, root, tmp_path):
    make_ljspeech(root, chapters=2, sentences=2)
    (tmp_path / "overlay.tsv").write_text("LJ001-0001\tbetter  text\n")
    row = run("ljspeech", options={"overlay": str(tmp_path / "overlay.tsv")}).rows["LJ001-0001"]
    assert row.text == "better text" and row.extra["warnings"] == ["text_from_overlay"]
    (tmp_path / "overlay.tsv").write_text("LJ999-0001\tx\n")
    with pytest.raises(ValueError, match=r"ids that metadata\.csv has not: LJ999-0001"):
        run("ljspeech", out="b", options={"overlay": str(tmp_path / "overlay.tsv")})


def test_songs_of_a_folder_of_singers_stay_whole(sound, text, run):
    for song in range(6):
        for part in range(2):
            sound(f"anna/song{song}/{part}.wav")
    text("anna/song0/0.txt", "la la")
    rows = run("singing-folder").rows
    assert rows["anna/song0/0"].speaker == "anna" and rows["anna/song0/0"].text == "la la"
    assert rows["anna/song0/1"].text is None
    for song in range(6):
        assert len({rows[f"anna/song{song}/{part}"].extra["split"] for part in range(2)}) == 1


def test_a_flat_folder_of_singers_is_split_by_file(sound, run):
    sound("anna/a.wav")
    sound("b.wav")
    done = run("singing-folder")
    assert done.rows["anna/a"].extra["unit"] == "anna/a" and done.drops == [("b", "unlisted_audio")]


@pytest.mark.parametrize("name", ["hi-fi-tts", "Libri-Light", "SVCC", "NUS-48E", "LibriTTS", "VCTK", "libritts_r"])
def test_usual_names_of_corpora_are_known(name):
    assert find_corpus(name).title


@pytest.mark.parametrize("corpus", known_corpora(), ids=lambda corpus: corpus.name)
def test_every_corpus_states_its_facts(corpus):
    assert corpus.title and corpus.licence and corpus.source and corpus.layout and corpus.units
    assert corpus.rows.__doc__ and corpus.facts()["name"] == corpus.name


@pytest.mark.parametrize("corpus", known_corpora(), ids=lambda corpus: corpus.name)
def test_every_corpus_says_what_an_empty_folder_lacks(corpus, tmp_path):
    with pytest.raises((FileNotFoundError, ValueError), match="is empty"):
        list(corpus.rows(tmp_path))
