import numpy as np
import pytest

from amphion_core import audio
from amphion_eval import measuring
from amphion_eval.analysis import Analysis
from amphion_eval.cache import Store
from amphion_eval.measuring import Job, measure, measure_all, sound_metrics
from amphion_eval.metric import Metric, resolve
from amphion_eval.pairing import Clip, Pair
from amphion_eval.reading import Reader
from amphion_eval.settings import Settings

SETTINGS = Settings(f0="dio")


def clips(folder, tone, *pitches):
    for f0 in pitches:
        audio.save(folder / f"{f0}.wav", tone(float(f0), 0.2).astype(np.float32), 16000)
    return [Clip(str(folder / f"{f0}.wav")) for f0 in pitches]


@pytest.fixture
def tracked(monkeypatch):
    """Counts the contours that are computed."""
    count = []
    compute = Analysis._tracked
    monkeypatch.setattr(Analysis, "_tracked", lambda self: count.append(1) or compute(self))
    return count


def job(*names, **options):
    return Job(sound_metrics(resolve(names)), SETTINGS, **options)


def test_clip_of_many_pairs_is_analysed_once_in_any_order(tmp_path, tone, tracked):
    refs, ests = clips(tmp_path, tone, 100, 110), clips(tmp_path, tone, 120, 130, 140)
    pairs = [Pair(f"{e.path}{r.path}", r, e) for e in ests for r in refs]
    for _ in measure_all(pairs, job("f0_rmse_hz", "vuv_f1", store=tmp_path / "store")):
        pass
    assert len(tracked) == 5


def test_values_of_a_former_run_are_taken_without_analysing(tmp_path, tone, tracked):
    pair = Pair("x", *clips(tmp_path, tone, 100, 110))
    work = job("f0_rmse_hz", "vuv_f1", store=tmp_path / "store", lasting=True)
    first, second = (dict(measure_all([pair], work))[0] for _ in range(2))
    assert first == second and second.values["vuv_f1"].total > 0 and len(tracked) == 2
    (tmp_path / "110.wav").write_bytes((tmp_path / "100.wav").read_bytes())
    assert dict(measure_all([pair], work))[0].values["f0_rmse_hz"] == 0


@pytest.mark.parametrize("change", [{"f_max": 900.0}, {"align": "dtw"}])
def test_values_under_other_settings_are_others(tmp_path, tone, change):
    pair = Pair("x", *clips(tmp_path, tone, 100, 110))
    reader = Reader(SETTINGS, store=Store(tmp_path / "store"))
    metrics = sound_metrics(resolve(["energy_rmse_db", "f0_rmse_hz"]))
    keys = {
        measuring._key(Job(metrics, settings), measuring._Sounds(*map(reader.sound, (pair.reference, pair.estimate))))
        for settings in (SETTINGS, SETTINGS.updated(**change))
    }
    assert len(keys) == 2


def test_value_of_a_function_without_a_place_is_never_kept(tmp_path, voice):
    clip = Clip.of(voice, 16000)
    reader = Reader(SETTINGS, store=Store(tmp_path / "store"))
    for number in (1.0, 2.0):
        work = Job((Metric("m", lambda a, b, n=number: n),), SETTINGS, lasting=True)
        assert measure(Pair("x", clip, clip), work, reader).values["m"] == number


def test_clip_in_memory_is_scored_like_a_file(tmp_path, voice):
    audio.save(tmp_path / "a.wav", voice.astype(np.float32), 16000)
    wav = audio.load(tmp_path / "a.wav")[0]
    made = [
        measure(Pair("x", clip, clip), job("mcd", "energy_rmse_db"), Reader(SETTINGS)).values
        for clip in (Clip.of(wav, 16000), Clip(str(tmp_path / "a.wav")))
    ]
    assert made[0] == made[1]


def own_rate(wav, sample_rate):
    return float(sample_rate + len(wav) / sample_rate)


def test_metric_of_the_output_alone_has_it_at_its_own_rate_and_needs_no_recording(voice):
    alone = Metric("alone", own_rate, needs="clip")
    for reference in (Clip(""), Clip.of(voice, 16000), Clip.of([np.nan], 16000)):
        pair = Pair("x", reference, Clip.of(np.tile(voice, 3), 48000))
        assert measure(pair, Job((alone,), SETTINGS), Reader(SETTINGS)).values["alone"] == 48000.5


def test_pairs_wait_for_those_that_analyse_what_they_share():
    a, b, c, d = (Clip(name) for name in "abcd")
    pairs = [Pair("0", a, b), Pair("1", a, c), Pair("2", d, c), Pair("3", Clip(""), Clip("e"))]
    assert measuring._waits([[0], [1], [2], [3]], pairs) == [set(), {0}, {1}, set()]
