import json

import numpy as np
import pytest

from amphion_core import audio
from amphion_core.data import Record, write_shards
from amphion_eval.pairing import PairingError, find_estimates, find_pairs, mispair

WAV = np.full(1600, 0.1, np.float32)


def fill(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(audio.encode(WAV, 16000, path.suffix[1:].lower()))
    return folder


def test_clips_are_paired_by_name_sorted_whatever_the_extension(tmp_path):
    ref = fill(tmp_path / "ref", "b.wav", "a.flac", "c.d.WAV")
    est = fill(tmp_path / "est", "a.wav", "c.d.flac", "b.wav")
    pairs, left_out = find_pairs(ref, est)
    assert [p.id for p in pairs] == ["a", "b", "c.d"] and left_out == []


def test_folders_inside_are_part_of_the_name(tmp_path):
    ref, est = (fill(tmp_path / name, "x/a.wav", "y/a.wav") for name in ("ref", "est"))
    assert [p.id for p in find_pairs(ref, est)[0]] == ["x/a", "y/a"]


def test_all_clips_without_partner_are_named_at_once(tmp_path):
    ref, est = fill(tmp_path / "ref", "a.wav", "b.wav"), fill(tmp_path / "est", "b.wav", "c.wav")
    with pytest.raises(PairingError, match=r"(?s)no estimate for a.*no reference for c.*--ignore-missing"):
        find_pairs(ref, est)


def test_clips_without_partner_are_left_out_on_request_and_listed(tmp_path):
    ref, est = fill(tmp_path / "ref", "a.wav", "b.wav"), fill(tmp_path / "est", "b.wav", "c.wav")
    pairs, left_out = find_pairs(ref, est, ignore_missing=True)
    assert [p.id for p in pairs] == ["b"] and left_out == ["no estimate for a", "no reference for c"]


def test_no_common_name_is_refused_even_when_missing_is_ignored(tmp_path):
    ref, est = fill(tmp_path / "ref", "a.wav"), fill(tmp_path / "est", "b.wav")
    with pytest.raises(PairingError, match="no name is in both"):
        find_pairs(ref, est, ignore_missing=True)


def test_two_files_of_one_name_are_refused(tmp_path):
    ref, est = fill(tmp_path / "ref", "a.wav", "a.flac"), fill(tmp_path / "est", "a.wav")
    with pytest.raises(PairingError, match="stands for"):
        find_pairs(ref, est)


def test_all_faults_of_both_folders_are_said_at_once(tmp_path):
    ref, est = fill(tmp_path / "ref", "a.wav", "a.flac", "b.wav"), fill(tmp_path / "est", "c.wav", "c.flac")
    words = r"(?s)the name a stands.*the name c stands.*no estimate for a.*no estimate for b.*no reference for c"
    with pytest.raises(PairingError, match=words):
        find_pairs(ref, est)


def test_audio_of_other_formats_is_not_left_out_in_silence(tmp_path, caplog):
    ref, est = (fill(tmp_path / name, "a.wav") for name in ("ref", "est"))
    for folder in (ref, est):
        (folder / "lost.m4a").write_bytes(b"x")
    with pytest.raises(PairingError, match=r"(?s)ref/lost\.m4a is of no format that is read.*est/lost\.m4a"):
        find_pairs(ref, est)
    pairs, left_out = find_pairs(ref, est, ignore_missing=True)
    assert len(pairs) == 1 and len(left_out) == 2 and "lost.m4a" in left_out[0]
    assert len(find_estimates(est)) == 1 and "lost.m4a" in caplog.text


def test_names_spelled_with_combining_accents_meet_those_without(tmp_path):
    ref, est = fill(tmp_path / "ref", "u\u0308ber 你好 <b>.wav"), fill(tmp_path / "est", "über 你好 <b>.wav")
    assert [p.id for p in find_pairs(ref, est)[0]] == ["über 你好 <b>"]


def test_hidden_and_other_files_are_not_clips(tmp_path):
    ref, est = (fill(tmp_path / name, "a.wav", ".b.wav") for name in ("ref", "est"))
    (ref / "notes.md").write_text("x")
    assert len(find_pairs(ref, est)[0]) == 1


def test_texts_stand_beside_the_clips(tmp_path):
    ref, est = (fill(tmp_path / name, "a.wav") for name in ("ref", "est"))
    (ref / "a.txt").write_text("hello\n", encoding="utf-8")
    (est / "a.txt").write_text("hallo", encoding="utf-8")
    pair = find_pairs(ref, est)[0][0]
    assert (pair.text, pair.transcript) == ("hello", "hallo")


def test_two_files_make_one_pair(tmp_path):
    ref, est = fill(tmp_path, "x.wav") / "x.wav", fill(tmp_path, "y.wav") / "y.wav"
    assert [p.id for p in find_pairs(ref, est)[0]] == ["y"]


def test_folder_without_audio_and_place_that_is_not_there_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(PairingError, match="no audio file"):
        find_pairs(tmp_path / "empty", fill(tmp_path / "est", "a.wav"))
    with pytest.raises(FileNotFoundError, match="nowhere"):
        find_pairs(tmp_path / "nowhere", tmp_path / "est")


def encode_row(name):
    about = {"id": name, "text": f"text of {name}", "language": "en", "speaker": "s"}
    return Record(name, {"wav": audio.encode(WAV, 16000, "wav"), "json": json.dumps(about).encode()})


def test_shards_are_paired_by_id_and_bring_text_and_speaker(tmp_path):
    write_shards(["a", "b", "c"], encode_row, tmp_path / "shards")
    pairs, left_out = find_pairs(tmp_path / "shards", fill(tmp_path / "est", "a.wav", "c.wav"), ignore_missing=True)
    assert [(p.id, p.text, p.language, p.speaker) for p in pairs] == [
        ("a", "text of a", "en", "s"),
        ("c", "text of c", "en", "s"),
    ]
    assert left_out == ["no estimate for b"]
    wav, rate = pairs[1].reference.load()
    assert rate == 16000 and np.allclose(wav, WAV, atol=1e-4)  # 16 bits


def test_wrong_partner_is_the_next_item_and_brings_its_text(tmp_path):
    ref, est = (fill(tmp_path / name, "a.wav", "b.wav") for name in ("ref", "est"))
    (ref / "b.txt").write_text("of b")
    first, last = mispair(find_pairs(ref, est)[0])
    assert (first.id, first.reference.path, first.text) == ("a", (ref / "b.wav").as_posix(), "of b")
    assert last.reference.path == (ref / "a.wav").as_posix()


def test_single_item_has_no_wrong_partner(tmp_path):
    with pytest.raises(ValueError, match="another item"):
        mispair(find_pairs(*(fill(tmp_path / name, "a.wav") for name in ("ref", "est")))[0])


def test_one_folder_gives_items_without_a_recording_and_the_text_beside(tmp_path):
    fill(tmp_path, "a.wav", "b.wav")
    (tmp_path / "a.txt").write_text("what is said")
    first, second = find_estimates(tmp_path)
    assert (first.id, first.reference.path, first.text, first.transcript) == ("a", "", "what is said", None)
    assert second.text is None


def test_place_of_outputs_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        find_estimates(tmp_path / "nowhere")
