"""Recordings of every kind that a pipeline meets in the wild: what is kept of each, what is not, and why."""

import json
import os
import struct
import unicodedata
from importlib.util import find_spec

import numpy as np
import pytest
import soundfile

from amphion_core import audio
from amphion_core.data import ShardSet
from amphion_data.pipe import run_pipe
from amphion_data.pipe.segments import cut_segments
from amphion_data.pipe.settings import SegmentSettings
from amphion_data.pipe.spans import RATE, Diarisation, Span
from amphion_data.pipe.units import plan_units

needs_voices = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("espeakng_loader", "silero_vad", "onnxruntime")),
    reason="espeakng-loader or the extra amphion-data[vad] is not installed",
)
TALK = [(1.0, 5.0), (7.0, 11.0)]
SPOKEN = 24_000  # Hz of the conversations


@pytest.fixture
def run(tmp_path, cheap):
    """A run over recordings by name as (samples, rate), further files as text; gives the report, its rows and drops."""

    def go(files, **settings):
        folder, out = tmp_path / "in", tmp_path / "out"
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, str):
                (folder / name).write_text(content, encoding="utf-8")
            elif content is not None:
                soundfile.write(folder / name, *content)
        report = run_pipe(folder, out, cheap(**settings), overwrite=True)
        shards = [] if not report.kept else ShardSet.open(out / "shards")
        rows = [shards.utterance(number) for number in range(len(shards))]
        drops = [json.loads(line) for line in (out / "drops.jsonl").read_text(encoding="utf-8").splitlines()]
        assert report.kept == len(rows) and len(drops) == sum(report.drops.values())
        return report, rows, drops

    return go


def places(rows):
    """Starts and ends of rows, s."""
    return [(row.extra["start"], row.extra["end"]) for row in rows]


def texts(spans, words, languages):
    """Given texts as JSON."""
    rows = [{"start": a, "end": b, "text": words[k], "language": languages[k]} for k, (a, b) in enumerate(spans)]
    return json.dumps(rows, ensure_ascii=False)


WORDS = {
    "en": "the train leaves at half past nine so we had breakfast before that",
    "de": "der Zug fährt um halb zehn, also haben wir vorher gefrühstückt und gelesen",
    "zh": "火车九点半开所以我们先吃了早饭然后出门去车站等车",
    "pt": "o comboio parte às nove e meia, por isso tomamos o café antes disso",
}


def test_a_language_outside_the_list_is_dropped_as_that_and_nothing_else_is(run, speechlike):
    files = {"pt.wav": (speechlike(TALK, 13.0), RATE), "en.wav": (speechlike(TALK, 13.0), RATE)}
    for language in ("pt", "en"):
        files[f"{language}.json"] = texts(TALK, [WORDS[language]] * 2, [language] * 2)
    report, rows, drops = run(files, transcribe="given")
    assert {row.extra["source"] for row in rows} == {"en.wav"} and report.languages.keys() == {"en"}
    assert [(d["audio"], d["reason"]) for d in drops] == [("pt.wav", "wrong_language")] * 2
    assert "pt is none of zh, en, fr, ja, ko, de" in drops[0]["detail"]


def test_several_languages_in_one_talk_keep_their_own(run, speechlike):
    spans = [(1.0 + 6 * k, 5.0 + 6 * k) for k in range(4)]
    languages = ["en", "zh", "pt", "de"]
    files = {"talk.wav": (speechlike(spans, 26.0), RATE)}
    files["talk.json"] = texts(spans, [WORDS[language] for language in languages], languages)
    report, rows, drops = run(files, transcribe="given")
    assert [(row.language, row.id[:3], row.text) for row in rows] == [
        (language, f"{language.upper()}_", WORDS[language]) for language in ("en", "zh", "de")
    ]
    assert [d["reason"] for d in drops] == ["wrong_language"] and drops[0]["id"].startswith("PT_")
    assert (
        sum(report.languages.values()) == pytest.approx(report.hours["kept"], abs=1e-7) and len(report.languages) == 3
    )


def test_two_files_with_one_stem_stay_apart(run, speechlike):
    files = {"a.wav": (speechlike(TALK, 13.0, seed=1), RATE), "a.flac": (speechlike(TALK, 13.0, seed=2), RATE)}
    files |= {"b/a.wav": (speechlike(TALK, 13.0, seed=3), RATE)}
    files["a.flac.json"] = texts(TALK, [WORDS["en"]] * 2, ["en"] * 2)
    files["a.json"] = texts(TALK, [WORDS["de"]] * 2, ["de"] * 2)
    _, rows, drops = run(files, transcribe="given")
    assert {(row.extra["source"], row.language) for row in rows} == {("a.flac", "en"), ("a.wav", "de")}
    assert len({row.id for row in rows}) == len({row.id.split("_")[1] for row in rows}) * 2 == 4
    assert {d["audio"] for d in drops} == {"b/a.wav"} and {d["reason"] for d in drops} == {"missing_text"}


@pytest.mark.parametrize("offset", [0.3, -0.5])
def test_a_constant_offset_changes_neither_what_is_found_nor_the_gain(run, speechlike, offset):
    wav = speechlike(TALK, 13.0)
    _, rows, _ = run({"with.wav": (wav + offset, RATE, "FLOAT"), "without.wav": (wav, RATE, "FLOAT")})
    found = {name: [row for row in rows if row.extra["source"] == name] for name in ("with.wav", "without.wav")}
    assert len(found["with.wav"]) == 2
    # The resampler to 24 kHz and back rings at the ends of the recording, not in the speech.
    assert np.allclose(places(found["with.wav"]), places(found["without.wav"]), atol=0.04)
    gains = [found[name][0].extra["gain_db"] for name in ("with.wav", "without.wav")]
    assert gains[0] == pytest.approx(gains[1], abs=0.1) or gains[0] < gains[1]  # no sample over -1 dBFS


def test_dropouts_are_pauses_and_what_is_around_them_is_kept(run, speechlike):
    wav = speechlike([(1.0, 9.0)], 11.0)
    short, long = wav.copy(), wav.copy()
    for at in np.arange(1.5, 9.0, 0.5):
        short[round(at * RATE) : round(at * RATE) + 160] = 0  # 10 ms every half second, as of a bad link
    long[4 * RATE : 6 * RATE] = 0
    _, rows, drops = run({"short.wav": (short, RATE), "long.wav": (long, RATE)})
    found = {name: places([row for row in rows if row.extra["source"] == name]) for name in ("short.wav", "long.wav")}
    assert np.allclose(found["short.wav"], [(0.9, 9.1)], atol=0.15)
    # 2 s of nothing are longer than a pause within a segment; both sides are just long enough
    assert np.allclose(found["long.wav"], [(0.9, 4.1), (5.9, 9.1)], atol=0.15) and not drops


def test_clipping_is_kept_and_brought_under_the_peak(run, speechlike):
    wav = np.clip(20 * speechlike(TALK, 13.0), -1, 1)
    _, rows, _ = run({"clipped.wav": (wav, RATE)})
    assert len(rows) == 2 and {row.extra["gain_db"] for row in rows} == {-3.0}  # towards -20 dBFS as far as it may


@pytest.mark.parametrize("channel", range(6))
def test_a_voice_in_any_of_six_channels_is_heard(run, speechlike, channel):
    wav = np.random.default_rng(0).normal(0, 1e-4, (13 * RATE, 6)).astype(np.float32)
    wav[:, channel] += speechlike(TALK, 13.0)
    _, rows, _ = run({"six.wav": (wav, RATE)})
    assert np.allclose(places(rows), [(0.9, 5.1), (6.9, 11.1)], atol=0.15)
    assert {row.extra["source_channels"] for row in rows} == {6}


@pytest.mark.parametrize("rate", [8000, 11_025, 44_100, 96_000])
def test_times_and_rows_are_the_same_at_any_rate(run, speechlike, rate):
    _, rows, _ = run({"talk.wav": (speechlike(TALK, 13.0, rate=rate), rate)})
    assert np.allclose(places(rows), [(0.9, 5.1), (6.9, 11.1)], atol=0.15)
    assert {row.extra["source_rate"] for row in rows} == {rate}


NAMES = [
    "a.b.c.wav",
    "two  blanks .wav",
    " leading and trailing .wav",
    "-rf.wav",
    "$(touch x);'\"&*?.wav",
    "имя/会话/한국어 대화.wav",
    "שלום عليكم.wav",
    "🎙️ podcast.WAV",
    "new\nline.wav",
    "UPPER.Wav",
    "/".join(["d" * 100] * 3) + "/" + "n" * 200 + ".wav",
    "ß" * 120 + ".wav",
]


if os.name == "nt":  # has no such names
    NAMES = [name for name in NAMES if len(name) < 150 and not set(name) & set('<>:"|?*\n')]


def test_names_of_all_kinds_come_through_and_come_back(run, speechlike):
    wav = speechlike([(1.0, 5.0)], 7.0, rate=8000)
    _, rows, drops = run({name: (wav, 8000) for name in NAMES})
    assert sorted(row.extra["source"] for row in rows) == sorted(NAMES) and not drops
    assert len({row.id for row in rows}) == len(NAMES)


def test_of_two_names_that_are_one_in_unicode_the_first_stays_and_the_other_is_listed(run, tmp_path, speechlike):
    names = sorted(unicodedata.normalize(form, "é.wav") for form in ("NFC", "NFD"))
    report, rows, drops = run({name: (speechlike([(1.0, 5.0)], 7.0), RATE) for name in names})
    if len(list((tmp_path / "in").iterdir())) == 1:
        pytest.skip("this disk takes them for one")
    assert [row.extra["source"] for row in rows] == names[:1] and report.sources == 2
    assert [(d["audio"], d["reason"], d["stage"]) for d in drops] == [(names[1], "duplicate_id", "plan")]
    assert r"'\xe9.wav' and 'e\u0301.wav'; rename one" in drops[0]["detail"]


def test_overlap_all_the_time_leaves_nothing_and_counts_it_as_that():
    cut = cut_segments(
        [Span(0, 60 * RATE)],
        Diarisation([], [Span(0, 60 * RATE)]),
        60 * RATE,
        SegmentSettings(),
        lambda span: np.zeros(span.end - span.start, np.float32),
    )
    assert cut.segments == cut.short == [] and cut.overlap == cut.speech == 60 * RATE and cut.nobody == 0


@needs_voices
@pytest.mark.slow
def test_two_people_at_once_all_the_time_are_survived_and_counted(run):
    """The offline diariser takes two who are never heard alone for one voice; DNSMOS refuses what it cuts of them."""
    pytest.importorskip("speechmos")
    from conversation import TEXTS, VOICES, espeak

    talks = [np.concatenate([espeak()(text, *VOICES[k]) for text in TEXTS[4 * k : 4 * k + 4]]) for k in (0, 1)]
    length = min(map(len, talks))
    wav = talks[0][:length] + talks[1][:length]
    wav = np.concatenate([wav, np.zeros(SPOKEN)]) + np.random.default_rng(0).normal(0, 1e-3, length + SPOKEN)
    defaults = {"vad": "silero", "diarise": "offline", "score": "dnsmos"}
    report, rows, drops = run({"both.wav": (wav, SPOKEN)}, **defaults)
    assert rows == [] and report.segments == len(drops) > 0 and report.drops.keys() <= {"filtered", "too_short"}
    assert report.hours["segments"] == pytest.approx(sum(report.dropped_hours.values()), rel=1e-6)


TEN = (("m1", 20), ("m3", 35), ("m7", 50), ("f1", 60), ("f2", 75), ("f4", 90), ("klatt2", 40), ("belinda", 65))
TEN += (("croak", 30), ("whisper", 45))


@needs_voices
@pytest.mark.slow
def test_ten_speakers_are_survived_and_several_are_told_apart(run):
    """Of ten espeak voices `spectral` tells about five groups: more people than it can tell share a label."""
    from conversation import TEXTS, espeak

    pieces = []
    for number in range(20):
        name, pitch = TEN[number % 10]
        wav = espeak()(TEXTS[number % 10], f"en-us+{name}", pitch, 150)
        pieces += [wav, np.zeros(round(0.8 * SPOKEN), np.float32)]
    wav = np.concatenate(pieces)
    wav = wav + np.random.default_rng(0).normal(0, 1e-3, len(wav))
    report, rows, _ = run({"ten.wav": (wav, SPOKEN)}, vad="silero", diarise="offline")
    assert 4 <= len({row.speaker for row in rows}) <= 10 and report.kept >= 10
    assert report.segments == report.kept + sum(report.drops.values())
    assert all(a[1] <= b[0] for a, b in zip(places(rows), places(rows)[1:], strict=False))


@needs_voices
@pytest.mark.slow
def test_of_music_only_silero_keeps_nothing_and_energy_what_is_loud(run):
    """Without separation the energy detector can't tell music from speech: that is what Silero and DNSMOS are for."""
    from conversation import music

    wav = np.random.default_rng(0).normal(0, 1e-4, 40 * SPOKEN)
    wav[2 * SPOKEN : 12 * SPOKEN] += music(10.0)
    wav[15 * SPOKEN : 35 * SPOKEN] += music(20.0)
    report, rows, drops = run({"music.wav": (wav, SPOKEN)})
    assert len(rows) == 2 and report.hours["kept"] == pytest.approx(30 / 3600, rel=0.05)
    _, rows, drops = run({"music.wav": (wav, SPOKEN)}, vad="silero")
    assert rows == [] and [d["reason"] for d in drops] == ["filtered"]


def rf64(path, tail, rate, channels, size):
    """A sparse RF64 file of float32: zeros but for its last frames."""
    data = tail.astype("<f4").tobytes()
    size -= size % (4 * channels)
    form = struct.pack("<HHIIHH", 3, channels, rate, rate * channels * 4, channels * 4, 32)
    head = struct.pack("<QQQI", size + 72, size, size // (4 * channels), 0)
    with path.open("wb") as file:
        file.write(b"RF64" + struct.pack("<I", 0xFFFFFFFF) + b"WAVE")
        file.write(b"ds64" + struct.pack("<I", len(head)) + head + b"fmt " + struct.pack("<I", len(form)) + form)
        file.write(b"data" + struct.pack("<I", 0xFFFFFFFF))
        file.seek(size - len(data), os.SEEK_CUR)
        file.write(data)
    return size // (4 * channels)


def w64(path, tail, rate, channels, size):
    """The same as Sony's Wave64, whose chunks are named by 16 bytes and count their heads."""
    data = tail.astype("<f4").tobytes()
    size -= size % (8 * channels)
    form = struct.pack("<HHIIHH", 3, channels, rate, rate * channels * 4, channels * 4, 32)
    rest = bytes.fromhex("2e91cf11a5d628db04c10000"), bytes.fromhex("f3acd3118cd100c04f8edb8a")
    with path.open("wb") as file:
        file.write(b"riff" + rest[0] + struct.pack("<Q", size + 40 + 24 + 16 + 24) + b"wave" + rest[1])
        file.write(b"fmt " + rest[1] + struct.pack("<Q", 24 + len(form)) + form)
        file.write(b"data" + rest[1] + struct.pack("<Q", 24 + size))
        file.seek(size - len(data), os.SEEK_CUR)
        file.write(data)
    return size // (4 * channels)


@pytest.fixture
def sparse(tmp_path):
    """Skips where the disk would really hold 4 GB of zeros."""
    place = tmp_path / "hole"
    with place.open("wb") as file:
        file.seek(1 << 24)
        file.write(b"x")
    if not hasattr(os, "statvfs") or place.stat().st_blocks * 512 > 1 << 22:
        pytest.skip("the disk has no sparse files")
    place.unlink()


FOUR_GB = (1 << 32) + (1 << 27)


@pytest.mark.parametrize(("write", "name"), [(rf64, "long.wav"), (rf64, "long.rf64"), (w64, "long.w64")])
def test_files_over_four_gb_are_planned_by_their_length_and_read_at_their_end(sparse, tmp_path, cheap, write, name):
    tail = np.linspace(-0.5, 0.5, 2 * 48_000 * 2).reshape(-1, 2)
    (tmp_path / "in").mkdir()
    frames = write(tmp_path / "in" / name, tail, 48_000, 2, FOUR_GB)
    assert (tmp_path / "in" / name).stat().st_size > 1 << 32
    plan = plan_units(tmp_path / "in", cheap())
    assert plan.seconds == pytest.approx(frames / 48_000, abs=1e-3) and plan.seconds > 11_000
    wav, rate = audio.load(tmp_path / "in" / name, mono=False, start=frames / 48_000 - 1.5)
    assert rate == 48_000 and wav.shape == (2, 72_000) and np.allclose(wav.T, tail[-72_000:], atol=1e-6)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_file_over_four_gb_goes_through_the_pipe(sparse, tmp_path, speechlike, cheap):
    """192 kHz in 8 channels, so that it is 12 minutes only; the speech is at its end, behind the 4 GB."""
    (tmp_path / "in").mkdir()
    tail = np.repeat(speechlike([(1.0, 5.0)], 7.0, rate=192_000)[:, None], 8, axis=1)
    frames = rf64(tmp_path / "in" / "long.wav", tail, 192_000, 8, FOUR_GB)
    report = run_pipe(tmp_path / "in", tmp_path / "out", cheap())
    begin = frames / 192_000 - 7.0
    row = ShardSet.open(tmp_path / "out" / "shards").utterance(0)
    assert report.kept == 1 and report.hours["decoded"] == pytest.approx(frames / 192_000 / 3600, rel=1e-6)
    assert (row.extra["start"], row.extra["end"]) == pytest.approx((begin + 0.9, begin + 5.1), abs=0.15)


def test_texts_that_cannot_be_read_cost_only_their_recording(run, speechlike):
    talk, good = speechlike(TALK, 13.0), texts([(1, 5)], ["Nobody is there, I think."], ["en"])
    files = {f"{name}.wav": (talk, 16_000) for name in "abcd"}
    files |= {
        "a.jsonl": '{"start": 1,\n',
        "b.json": good,
        "c.srt": "1\nno times\n",
        "d.json": good.replace('"en"', "5"),
    }
    report, rows, drops = run(files, transcribe="given", language="en", filter={"rates": "none"})
    assert [row.extra["source"] for row in rows] == ["b.wav"] and report.sources_used == 4
    bad = [drop for drop in drops if drop["reason"] == "bad_row"]
    assert [drop["audio"] for drop in bad] == ["a.wav"] * 2 + ["c.wav"] * 2 + ["d.wav"] * 2
    assert all(drop["stage"] == "transcribe" and f"{drop['audio'][0]}." in drop["detail"] for drop in bad)
    assert [drop["detail"].split(";")[0] for drop in drops if drop not in bad] == ["no text is given for it"]


def test_a_change_of_the_text_that_counts_is_noticed_where_two_lie_beside(run, speechlike):
    files = {"a.wav": (speechlike(TALK[:1], 8.0), 16_000), "a.srt": "1\n00:00:01,000 --> 00:00:05,000\nNot this.\n"}
    for words in ("This is the first.", "This is another one."):
        files["a.json"] = texts([(1, 5)], [words], ["en"])
        _, rows, _ = run(files, transcribe="given", filter={"rates": "none"})
        assert [row.text for row in rows] == [words]
