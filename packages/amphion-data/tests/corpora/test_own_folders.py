"""Kaldi's segments, manifests of lhotse, an overlay of LJSpeech, singing folders, names of corpora."""

import gzip
import json

import numpy as np
import pytest

from amphion_core import audio
from amphion_core.data import ShardSet
from amphion_data.corpus import find_corpus, known_corpora
from amphion_data.export_hf import HubLayout
from amphion_data.exporting import export


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
    spoken += [{"id": "u2", "recording_id": "b", "start": 0.0, "duration": 2.0, "text": "two", "language": "English"}]
    spoken += [{"id": "u3", "recording_id": "c", "start": 0.0, "duration": 2.0, "text": "x"}]
    for name, table in (("recordings", lines(recording("a"), recording("b"))), ("supervisions", lines(*spoken))):
        path = f"x_{name}_train.jsonl" + (".gz" if packed else "")
        text(path, gzip.compress(table.encode()) if packed else table)
    done = run("folder")
    assert (done.rows["u1"].extra["start"], done.rows["u1"].duration, done.rows["u1"].speaker) == (0.5, 1.0, "anna")
    assert "start" not in done.rows["u2"].extra and done.rows["u2"].language == "en"
    assert done.rows["u1"].extra["split"] == "train"
    assert len(done.drops) == 1 and done.drops[0][1] == "bad_row"


def stereo(name, channels=(0, 1)):
    sources = [{"type": "file", "channels": list(channels), "source": f"{name}.wav"}]
    return {"id": name, "sources": sources, "duration": 2.0}


def peak(done, key):
    rows = {row.key: row for row in ShardSet.open(done.out / "train")}
    wav, _ = audio.load(rows[key].fields["flac"], mono=False)
    return len(wav), round(float(abs(wav).max()), 2)


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-9], lambda data: b"\n" + data, lambda data: data[:12] + b"\xff" * 9]
)
def test_a_packed_manifest_that_is_damaged_is_named(sound, text, run, damage):
    sound("a.wav")
    packed = gzip.compress(lines({"id": "c", "recording": recording("a"), "start": 0, "duration": 0.4}).encode())
    text("cuts.jsonl.gz", damage(packed))
    with pytest.raises(ValueError, match=r"cuts\.jsonl\.gz can't be unpacked: .*; fetch or write it again"):
        run("folder")


def test_channels_of_lhotse_are_told_apart(sound, text, run):
    sound("a.wav", seconds=2.0, channels=2)  # peaks of 0.03 and 0.33
    sound("m.wav", seconds=2.0)
    said = {"recording_id": "a", "start": 0.0, "duration": 2.0, "text": "x"}
    wanted = {"u0": 0, "u1": 1, "u2": [1], "all": [0, 1], "none": None, "u7": 7, "some": [0, 7]}
    spoken = [said | {"id": name} | ({} if number is None else {"channel": number}) for name, number in wanted.items()]
    spoken += [said | {"id": "cut1", "channel": 1, "start": 0.5, "duration": 1.0}]
    spoken += [said | {"id": "less", "recording_id": "m", "channel": 1}, said | {"id": "m", "recording_id": "n"}]
    text(
        "x_recordings.jsonl",
        lines(stereo("a"), stereo("m"), stereo("n", [0]) | {"sources": stereo("m", [0])["sources"]}),
    )
    text("x_supervisions.jsonl", lines(*spoken))
    done = run("folder", valid=0, test=0)
    sounds = {name: peak(done, name) for name in done.rows}
    one, other = (1, 0.03), (1, 0.33)
    assert sounds.pop("m") == (1, 0.3)
    assert sounds == {"u0": one, "u1": other, "u2": other, "cut1": other, "all": (2, 0.33), "none": (2, 0.33)}
    assert done.rows["u1"].extra["channel"] == 1 and "channel" not in done.rows["all"].extra
    assert done.drops == [("less", "bad_row"), ("some", "bad_row"), ("u7", "bad_row")]
    details = {drop["id"]: drop["detail"] for drop in drops_of(done)}
    assert details["less"] == "it is in channel 1, counted from 0; the audio has 1"
    assert details["u7"].endswith("channel 7 of a recording with [0, 1]; one of them or all can be taken")


def test_a_column_called_channel_may_name_one_or_be_anything(sound, text, run):
    for name in ("a", "b", "c"):
        sound(f"{name}.wav", channels=2)
    text("m.csv", "audio,text,channel\na.wav,x,1\nb.wav,x,news of today\nc.wav,x,-1\n")
    done = run("folder", valid=0, test=0)
    assert (peak(done, "a"), peak(done, "b")) == ((1, 0.33), (2, 0.33))
    assert done.rows["b"].extra["channel"] == "news of today" and done.drops == [("c", "bad_row")]


@pytest.mark.parametrize(("mono", "column"), [(True, ""), (False, "1")])
def test_bytes_of_an_mp3_are_not_kept_where_channels_change(sound, text, root, run, mono, column):
    wav, rate = audio.load(sound("a.wav", channels=2), mono=False)
    (root / "a.wav").unlink()
    (root / "a.mp3").write_bytes(audio.encode(wav, rate, "mp3"))
    text("m.csv", f"audio,text,channel\na.mp3,x,{column}\n")
    done = run("folder", valid=0, test=0, format="mp3", mono=mono)
    assert audio.info(ShardSet.open(done.out / "train")[0].fields["mp3"]).channels == 1


def test_gender_and_own_fields_of_lhotse_are_kept(sound, text, run):
    sound("a.wav", seconds=2.0)
    said = {"id": "s", "recording_id": "a", "start": 0.0, "duration": 2.0, "text": "one", "gender": "F"}
    said["custom"] = {"snr": 7, "start": 0.5, "id": "other", "end": 1.0}
    cut = {"id": "c", "start": 0.0, "duration": 2.0, "recording": recording("a"), "custom": {"room": "hall", "snr": 5}}
    text("cuts.jsonl", lines({**cut, "supervisions": [said]}))
    row = run("folder").rows["c"]
    own = {"gender": "F", "snr": 7, "room": "hall", "custom_start": 0.5, "custom_end": 1.0, "custom_id": "other"}
    assert own.items() <= row.extra.items() and row.duration == 2.0


def test_faulty_lines_of_lhotse_keep_their_id_and_end_no_run(sound, text, run):
    sound("a.wav", seconds=2.0)
    said = {"recording_id": "a", "start": 0.0, "duration": 2.0, "text": "x"}
    good, odd = said | {"id": "good"}, said | {"id": "odd", "custom": [1], "recording_id": ["a"]}
    broken = '{"id": "broken", "recording_id": "a", "text": "x\n{"id": "nan", "recording_id": "a", "start": NaN}\n'
    text("x_recordings.jsonl", lines(recording("a")))
    text("x_supervisions.jsonl", lines(good, odd, said | {"id": "gone", "recording_id": "z"}) + broken)
    done = run("folder")
    assert list(done.rows) == ["good"]
    assert done.drops == [(name, "bad_row") for name in ("broken", "gone", "nan", "odd")]


def test_offsets_of_nemo_cut_recordings(sound, text, run):
    time = np.arange(10 * 8000) / 8000
    sound("a.wav", rate=8000, wav=0.1 * np.floor(1 + time / 2.5) * np.sin(2 * np.pi * 200 * time))
    rows = [{"audio_filepath": "a.wav", "text": "x", "offset": start, "duration": 2.5} for start in (0, 2.5, 5.0, 7.5)]
    rows += [{**rows[0], "offset": 0.5, "duration": 9.5}, {**rows[0], "offset": 9.0, "duration": 3.0}]
    rows += [{**rows[0], "id": "named", "offset": 1.0}, {**rows[0], "offset": 1.0, "duration": None}]
    rows += [{**rows[0], "id": "back", "offset": -1.0}, {**rows[0], "id": "soon", "offset": "soon"}]
    rows += [{**rows[0], "id": "whole", "offset": None, "duration": 10.0}, {**rows[0], "id": "all", "duration": None}]
    text("manifest.json", lines(*rows))
    done = run("folder", valid=0, test=0)
    assert {name: (row.extra.get("start"), row.duration) for name, row in done.rows.items()} == {
        "a_0_2500": (0.0, 2.5),
        "a_2500_5000": (2.5, 2.5),
        "a_5000_7500": (5.0, 2.5),
        "a_7500_10000": (7.5, 2.5),
        "a_500_10000": (0.5, 9.5),
        "named": (1.0, 2.5),
        "whole": (None, 10.0),
        "all": (None, 10.0),
    }
    assert [peak(done, name)[1] for name in list(done.rows)[:4]] == [0.1, 0.2, 0.3, 0.4]
    assert "offset" not in done.rows["named"].extra
    faults = [("a_9000_12000", "duration_mismatch"), ("a", "bad_row"), ("back", "bad_row"), ("soon", "bad_row")]
    assert done.drops == sorted(faults)


def test_start_and_end_of_a_table_cut_recordings(sound, text, run):
    sound("a.wav", seconds=2.0)
    text("m.csv", "audio,text,Start,END\na.wav,x,0,0.5\na.wav,y,0.5,2\na.wav,z,1,0.5\na.wav,z,1,\na.wav,all,,\n")
    done = run("folder")
    assert {name: row.duration for name, row in done.rows.items()} == {"a_0_500": 0.5, "a_500_2000": 1.5, "a": 2.0}
    assert done.drops == [("a", "bad_row")] * 2


def test_a_table_can_not_read_outside_the_folder_by_our_own_names(sound, text, run, tmp_path):
    sound("a.wav")
    text("../secret.wav", b"not to be read")
    row = {"audio": "a.wav", "text": "x", "tar": "../secret.wav", "_member": [0, 8], "_channels": 5}
    text("m.jsonl", lines(row))
    assert run("folder").rows["a"].duration == 0.4


@pytest.mark.parametrize("stated", [5, "odd: very"])
def test_a_column_called_warnings_is_not_taken_for_ours(sound, text, run, stated):
    sound("a.wav")
    text("m.jsonl", lines({"audio": "a.wav", "text": "x", "warnings": stated}))
    done = run("folder")
    assert (done.rows["a"].extra["custom_warnings"], done.report.warnings) == (stated, {})


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


def test_what_was_exported_for_the_hub_is_read_again(sound, text, run, tmp_path):
    for number in range(3):
        sound(f"{number}.wav")
    text("m.csv", "audio,text,speaker,split\n0.wav,one,ann,train\n1.wav,two,bob,valid\n2.wav,three,bob,test\n")
    first = run("folder")
    export(tmp_path / "out", tmp_path / "hub", HubLayout(), workers=1)
    again = run("folder", source=tmp_path / "hub", out="again")
    facts = [
        {id: (row.text, row.speaker, row.duration, row.extra["split"]) for id, row in done.rows.items()}
        for done in (first, again)
    ]
    assert facts[0] == facts[1] and len(facts[0]) == 3


@pytest.mark.parametrize("stated", [{"path": "a.wav"}, ["a.wav"], True])
def test_audio_that_is_no_path_is_a_bad_row_that_says_so(sound, text, run, stated):
    for name in "ab":
        sound(f"{name}.wav")
    text("m.jsonl", lines({"audio": stated, "text": "x", "id": "a"}, {"audio": "b.wav", "text": "y"}))
    done = run("folder")
    assert list(done.rows) == ["b"]
    (drop,) = [drop for drop in drops_of(done) if drop["id"] == "a" and drop["reason"] == "bad_row"]
    assert drop["detail"] == f"m.jsonl:1: audio is {stated!r}, the path of a file was expected"


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
