"""Corpora whose files are longer than a clip: Libri-Light, PJS, CSD, KiSing, NUS-48E, Opera."""

import json
import struct

import numpy as np
import pytest

from amphion_core import audio
from amphion_core.data.reader import ShardSet
from amphion_data.corpora.librilight import stitch


def clip(done, id):
    """Samples of a row in the shards."""
    for split in ("train", "valid", "test"):
        if (done.out / split).is_dir():
            shards = ShardSet.open(done.out / split)
            if id in list(shards.keys):
                return shards.audio(list(shards.keys).index(id))[0]
    raise LookupError(id)


def test_regions_are_joined_across_short_gaps_and_cut_in_their_middle():
    assert stitch([(0.5, 4.0), (4.5, 8.0), (10.0, 12.0)], 30.0) == [(0.4, 8.1), (9.9, 12.0)]
    assert stitch([(0.0, 8.0), (8.5, 12.0), (12.2, 19.0)], 15.0) == [(0.0, 12.1), (12.1, 19.0)]
    assert stitch([], 30.0) == []
    ends = [stitch([(1.0, 2.0)], 30.0, length)[-1][1] for length in (2.5, 2.05, 2.0)]
    assert ends == [2.1, 2.05, 2.0]  # a margin behind the last region too, as far as the recording goes


def test_a_chapter_of_librilight_with_the_name_of_another_is_no_part_of_it(sound, text, run):
    for part, count in (("medium", 1), ("small", 2)):
        sound(f"{part}/1/b/x.flac", seconds=6, rate=16_000)
        text(f"{part}/1/b/x.json", json.dumps({"voice_activity": [[0.5, 1.5], [3.0, 5.0]][:count]}))
    done = run("librilight")
    assert [(id, row.extra["part"]) for id, row in done.rows.items()] == [("1_b_x_0000", "medium")]
    assert done.drops == [("1_b_x", "duplicate_id")]


def test_librilight_rows_are_stretches_of_chapters(root, sound, text, run):
    name = "small/100/sea_tales_0812/01_author"
    sound(f"{name}.flac", seconds=8, rate=16_000)
    about = {"id": "812", "title": "Sea Tales", "language": "English"}
    regions = [[0.5, 2.0], [2.5, 4.0], [6.0, 7.0]]
    text(f"{name}.json", json.dumps({"speaker": "100", "book_meta": about, "snr": 7.1, "voice_activity": regions}))
    sound("small/100/b/02_x.flac", rate=16_000)
    done = run("librilight")
    assert sorted(done.rows) == ["100_sea_tales_0812_01_author_0000", "100_sea_tales_0812_01_author_0001"]
    row = done.rows["100_sea_tales_0812_01_author_0000"]
    assert (row.extra["source"], row.extra["start"], row.extra["end"]) == (f"{name}.flac", 0.4, 4.1)
    assert (row.duration, row.speaker, row.text, row.extra["snr"]) == (pytest.approx(3.7), "100", None, 7.1)
    assert done.drops == [("100_b_02_x", "bad_row")]
    whole, rate = audio.load(root / f"{name}.flac")
    np.testing.assert_array_equal(clip(done, row.id), whole[int(0.4 * rate) : int(4.1 * rate)])
    assert sorted(p.name for p in root.rglob("*")) == sorted(
        ["small", "100", "sea_tales_0812", "01_author.flac", "01_author.json", "b", "02_x.flac"]
    )


def test_regions_of_librilight_that_overlap_are_one(sound, text, run):
    sound("small/1/b/c.flac", seconds=39, rate=16_000)
    text("small/1/b/c.json", json.dumps({"voice_activity": [[21, 25], [0, 20], [25.5, 39], [5, 10], [24, 25.2]]}))
    rows = run("librilight").rows.values()
    assert [(row.extra["start"], row.extra["end"]) for row in rows] == [(0.0, 20.1), (20.9, 39.0)]


def test_librilight_says_what_lies_behind_the_end_of_a_chapter(sound, text, run, root):
    for stem, regions in (
        ("clipped", [[0.5, 3.0]]),
        ("behind", [[0.5, 1.0], [3.0, 4.0], [5.0, 6.0]]),
        ("whole", [[0, 2.01]]),
    ):
        sound(f"small/1/b/{stem}.flac", seconds=2, rate=16_000)
        text(f"small/1/b/{stem}.json", json.dumps({"voice_activity": regions}))
    done = run("librilight")
    warnings = {id: row.extra.get("warnings") for id, row in done.rows.items()}
    said = ["region_clipped: its JSON says 3.0 s, the audio ends at 2.000 s"]
    assert warnings == {"1_b_clipped_0000": said, "1_b_behind_0000": None, "1_b_whole_0000": None}
    (drop,) = map(json.loads, (done.out / "drops.jsonl").read_text().splitlines())
    assert (drop["id"], drop["audio"], drop["reason"]) == ("1_b_behind", "small/1/b/behind.flac", "duration_mismatch")
    assert "2 regions of speech in its JSON, the first from 3.0 to 4.0 s" in drop["detail"]


def test_librilight_names_chapters_without_audio_and_no_path_of_the_machine(sound, text, run, root):
    sound("small/1/b/01.flac", rate=16_000)
    text("small/1/b/01.json", json.dumps({"voice_activity": [[0, 0.4]]}))
    text("small/1/b/08_noaudio.json", json.dumps({"voice_activity": [[0, 0.4]]}))
    text("small/1/b/09.flac", b"no sound")
    text("about.json", "{}")
    done = run("librilight")
    assert done.drops == [("1_b_08_noaudio", "missing_audio"), ("1_b_09", "corrupt_audio")]
    assert str(root) not in (done.out / "drops.jsonl").read_text()


def test_a_long_region_is_cut_where_it_is_quiet(sound, text, run):
    wav = 0.3 * np.sin(np.arange(16_000 * 8) / 10)
    wav[16_000 * 4 : 16_000 * 4 + 1600] *= 0.01
    sound("small/1/b/c.flac", rate=16_000, wav=wav)
    text("small/1/b/c.json", json.dumps({"voice_activity": [[0.0, 8.0]]}))
    rows = run("librilight", options={"target": "5"}).rows
    assert rows["1_b_c_0000"].extra["end"] == pytest.approx(4.05, abs=0.05)
    assert rows["1_b_c_0001"].extra["start"] == rows["1_b_c_0000"].extra["end"]


LAB = "0 2000000 pau\n2000000 4000000 k\n4000000 9000000 a\n9000000 10000000 pau\n"


def test_pjs_has_the_song_and_the_speech_of_each_sentence(sound, text, run):
    sound("pjs001/pjs001_song.wav", rate=48_000, seconds=1.0)
    sound("pjs001/pjs001_speech.wav", rate=48_000)
    sound("background_noise/noise.wav")
    text("pjs001/pjs001.lab", LAB)
    text("pjs001/pjs001.txt", "朝の\n歌\n")
    done = run("pjs")
    song, speech = done.rows["pjs001_song"], done.rows["pjs001_speech"]
    assert (song.text, song.extra["style"], song.language) == ("朝の 歌", "singing", "ja")
    assert song.extra["phones"] == ["pau", "k", "a", "pau"] and song.extra["phone_durations"] == [0.2, 0.2, 0.5, 0.1]
    assert speech.extra["style"] == "speech" and "phones" not in speech.extra
    assert done.drops == [("noise", "unlisted_audio")]


def test_a_long_song_of_pjs_is_cut_at_its_pauses_only(sound, text, run):
    sound("pjs002/pjs002_song.wav", rate=8000, seconds=31.0)
    lab = "0 10.0 a\n10.0 10.2 pau\n10.2 20.0 i\n20.0 21.0 pau\n21.0 31.0 u\n"
    text("pjs002/pjs002.lab", lab)
    text("pjs002/pjs002.txt", "歌")
    rows = run("pjs").rows
    assert [(row.extra["start"], row.extra["end"], row.text) for row in rows.values()] == [
        (0.0, 20.1, None),
        (20.9, 31.0, None),
    ]
    assert rows["pjs002_song_0"].extra["phones"] == ["a", "pau", "i"]


CSV = "start,end,pitch,syllable\n0.05,0.3,64,t_w_i_ng\n0.3,0.5,65,k_l\n0.5,0.7,66,k_l\n1.2,1.5,60,s_t_aa\n"


def test_csd_is_cut_at_its_phrases(sound, text, run):
    sound("english/wav/en001a.wav", rate=44_100, seconds=1.55)
    text("english/csv/en001a.csv", CSV)
    text("english/txt/en001a.txt", "t_w_i_ng k_l\n\ns_t_aa\n")
    text("english/lyric/en001a.txt", "Twinkle\nstar\n")
    rows = run("csd").rows
    one, two = rows["en001a_00"], rows["en001a_01"]
    assert (one.extra["start"], one.extra["end"], two.extra["start"], two.extra["end"]) == (0.0, 0.8, 1.1, 1.55)
    assert (one.text, two.text, one.language, one.speaker) == ("Twinkle", "star", "en", "csd")
    assert [note["slur"] for note in one.extra["notes"]] == [0, 0, 1]
    assert one.extra["phones"] == ["t", "w", "i", "ng", "k", "l"] and one.extra["key"] == "a"
    assert two.extra["notes"] == [{"pitch": 60, "start": 0.1, "end": 0.4, "syllable": "s_t_aa", "slur": 0}]


def test_csd_whose_syllables_disagree_is_a_bad_row_with_both(sound, text, run, tmp_path):
    for song in ("en001a", "en002a"):
        sound(f"english/wav/{song}.wav", rate=44_100, seconds=1.55)
        text(f"english/csv/{song}.csv", CSV)
    text("english/txt/en001a.txt", "t_w_i_ng k_l\ns_t_aa\n")
    text("english/txt/en002a.txt", "t_w_i_ng\ns_t_aa\n")
    done = run("csd")
    assert done.drops == [("en002a", "bad_row")]
    assert "en002a.txt:2: 's_t_aa' stands in the txt, 'k_l' in en002a.csv:3" in (done.out / "drops.jsonl").read_text()


def test_keys_of_one_song_of_csd_are_in_one_split(sound, text, run):
    for song in ("en001a", "en001b"):
        sound(f"english/wav/{song}.wav", rate=44_100, seconds=1.55)
        text(f"english/csv/{song}.csv", CSV)
        text(f"english/txt/{song}.txt", "t_w_i_ng k_l\ns_t_aa\n")
    done = run("csd")
    assert len(done.rows) == 4 and len({row.extra["split"] for row in done.rows.values()}) == 1
    assert done.rows["en001a_00"].text is None  # no lyric file


def midi(events):
    data, last = b"", 0
    for tick, event in events:
        data += bytes([tick - last]) + event
        last = tick
    data += b"\x00\xff\x2f\x00"
    return b"MThd" + struct.pack(">IHHH", 6, 0, 1, 24) + b"MTrk" + struct.pack(">I", len(data)) + data


def test_kising_2_is_cut_at_rests_and_takes_the_right_channel(sound, text, run):
    sound("421/421-original.wav", rate=44_100, seconds=2.0, channels=2)
    sound("421/421-barber.wav", rate=44_100, seconds=2.0)
    sound("421-unseg/421-original.wav")
    events = [(0, b"\xff\x05\x02ni"), (0, b"\x90\x3c\x50"), (24, b"\x80\x3c\x00"), (24, b"\xff\x05\x01-")]
    events += [(24, b"\x90\x3e\x50"), (48, b"\x80\x3e\x00"), (72, b"\xff\x05\x03hao"), (72, b"\x90\x40\x50")]
    events += [(90, b"\x80\x40\x00")]
    text("421/421.mid", midi(events))
    done = run("kising")
    assert sorted(done.rows) == ["421-barber_00", "421-barber_01", "421_00", "421_01"]
    one, two = done.rows["421_00"], done.rows["421_01"]
    assert (one.text, two.text, one.speaker) == ("ni", "hao", "kising")
    assert (one.extra["start"], one.extra["end"], two.extra["start"]) == (0.0, 1.1, 1.4)
    assert [note["slur"] for note in one.extra["notes"]] == [0, 1]
    wav = clip(done, "421_00")
    assert wav.ndim == 1 and np.abs(wav).max() == pytest.approx(0.33, abs=0.01)  # the left one is at 0.03
    assert done.rows["421-barber_00"].speaker == "kising-barber"
    assert done.drops == [("421-original", "unlisted_audio")]


def test_kising_1_has_a_file_a_phrase(sound, run):
    sound("clean/421/x/0001.wav", rate=44_100)
    sound("clean/notes.wav")
    done = run("kising")
    assert done.rows["421_0001"].extra["song"] == "421" and done.drops == [("notes", "unlisted_audio")]


def test_nus48e_is_cut_at_long_pauses_of_the_labels(sound, text, run):
    sound("ADIZ/sing/01.wav", rate=44_100, seconds=2.0)
    sound("ADIZ/read/01.wav", rate=44_100, seconds=1.0)
    text("README.txt", "not a voice")
    text("ADIZ/sing/01.txt", "0.0 0.4 sil\n0.4 0.8 ah\n0.8 0.9 sp\n0.9 1.2 b\n1.2 1.6 sil\n1.6 1.9 k\n1.9 2.0 sil\n")
    done = run("nus48e")
    one, two = done.rows["ADIZ_sing_01_00"], done.rows["ADIZ_sing_01_01"]
    assert (one.extra["start"], one.extra["end"], one.extra["phones"]) == (0.3, 1.3, ["ah", "sp", "b"])
    assert one.extra["phone_starts"] == [0.1, 0.5, 0.6] and one.text is None and one.speaker == "ADIZ"
    assert (two.extra["start"], two.extra["end"]) == (1.5, 2.0)
    assert done.drops == [("ADIZ_read_01", "bad_row")]


def test_opera_is_sliced_by_level_and_its_singers_have_unique_names(sound, run):
    rate = 8000
    loud, quiet = 0.3 * np.sin(np.arange(rate * 6) / 3), np.zeros(rate)
    sound("monophonic/chinese/fem_01/neg_1.wav", rate=rate, wav=np.concatenate([loud, quiet, loud, quiet]))
    sound("monophonic/western/fem_01/pos_2.wav", rate=rate, wav=loud)
    sound("polyphonic/western/fem_01/pos_2.wav", rate=rate, wav=loud)
    done = run("opera")
    assert sorted(done.rows) == ["chinese_fem_01_neg_1_00", "chinese_fem_01_neg_1_01", "western_fem_01_pos_2_00"]
    row = done.rows["chinese_fem_01_neg_1_01"]
    assert (row.extra["start"], row.extra["end"]) == (pytest.approx(6.9, abs=0.06), pytest.approx(13.1, abs=0.06))
    assert (row.speaker, row.extra["gender"], row.extra["emotion"]) == ("chinese_fem_01", "F", "neg")
    assert done.drops == [("western_fem_01_pos_2_polyphonic", "filtered")]
    both = run("opera", out="both", options={"polyphonic": "true"})
    assert len(both.rows) == 4


def test_a_broken_recording_costs_only_itself(sound, text, run):
    sound("A/sing/01.wav", rate=44_100, seconds=1.0)
    text("A/sing/01.txt", "0.0 1.0 ah\n")
    text("A/sing/02.wav", b"RIFF....WAVEjunk")
    text("A/sing/02.txt", "0.0 1.0 ah\n")
    text("A/sing/03.wav", b"")
    done = run("nus48e")
    assert list(done.rows) == ["A_sing_01_00"]
    assert {id: reason for id, reason in done.drops} == {"A_sing_02": "corrupt_audio", "A_sing_03": "empty_audio"}
