import json
import os
import subprocess
import sys

import numpy as np
import pytest

from amphion_core import audio
from amphion_core.data import Record, write_shards
from amphion_eval import score
from amphion_eval.metric import Metric
from amphion_eval.pairing import Clip, Pair, find_pairs
from amphion_eval.values import Undefined

RATE = 16000
QUICK = ("f0_rmse_cents", "vuv_f1", "energy_rmse_db", "mcd", "mstft", "si_sdr", "duration_ratio")


def save(path, wav, rate=RATE):
    path.write_bytes(audio.encode(np.asarray(wav, np.float32), rate, "wav", subtype="FLOAT"))
    return path


def one(ref, est, metrics=QUICK, **options):
    (item,) = score([(ref, est)], metrics, f0="dio", **options).items
    return item


def test_semitone_is_found_in_every_item(folders):
    report = score(find_pairs(*folders)[0], ["f0_median_offset"], f0="dio")
    assert [item.id for item in report.items] == ["a", "b", "c"]
    assert report.summary["f0_median_offset"].mean == pytest.approx(100, abs=5)  # pitch moves within a frame


@pytest.mark.slow
def test_result_does_not_depend_on_workers(folders):
    pairs = find_pairs(*folders)[0]
    alone, together = (score(pairs, QUICK, f0="dio", workers=workers) for workers in (1, 2))
    assert alone.to_json() == together.to_json()


@pytest.mark.slow
def test_result_does_not_depend_on_the_threads_of_blas(folders):
    # A library takes the number when it is loaded, so each has a process of its own.
    script = (
        "import sys; from amphion_eval import score; from amphion_eval.pairing import find_pairs\n"
        "metrics = ['f0_pearson_hz', 'energy_pearson_db', 'mcd', 'mstft', 'si_sdr', 'ltas_distance']\n"
        "print(score(find_pairs(*sys.argv[1:])[0], metrics, f0='dio', align='cut', workers=1).to_json())"
    )
    found = []
    for threads in "12":
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        command = [sys.executable, "-c", script, *map(str, folders)]
        found.append(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
    assert found[0] == found[1]


@pytest.mark.slow
def test_result_of_an_item_does_not_depend_on_the_others(folders):
    pairs = find_pairs(*folders)[0]
    both_ways = [score(order, QUICK, f0="dio") for order in (pairs, pairs[::-1], pairs[1:2])]
    values = [{item.id: item.metrics for item in report.items} for report in both_ways]
    assert values[0] == values[1] and values[0]["b"] == values[2]["b"]


def test_higher_rate_comes_down_and_is_noted(tmp_path, tone):
    ref = save(tmp_path / "r.wav", tone(150.0, rate=24000), 24000)
    item = one(ref, save(tmp_path / "e.wav", tone(150.0)))
    assert item.sample_rate == 16000 and item.notes == ("reference: resampled from 24000 to 16000 Hz",)
    assert item.reference.sample_rate == 24000 and item.metrics["f0_rmse_cents"] < 5  # the same tone, made twice


def test_stereo_is_mixed_and_noted(tmp_path, voice):
    ref = save(tmp_path / "r.wav", np.stack([voice, voice]))
    item = one(ref, save(tmp_path / "e.wav", voice))
    assert item.notes == ("reference: 2 channels mixed to one by their mean",) and item.metrics["mcd"] == 0


def test_recordings_in_shards_are_scored_like_those_in_files(folders, tmp_path):
    ref, est = folders
    write_shards(["a", "b", "c"], ShardRow(ref), tmp_path / "shards")
    from_shards, from_files = (
        score(find_pairs(place, est)[0], QUICK, f0="dio") for place in (tmp_path / "shards", ref)
    )
    assert [item.metrics for item in from_shards.items] == [item.metrics for item in from_files.items]
    assert from_shards.items[0].reference.key == "a" and json.loads(from_shards.to_json())
    assert from_shards.to_html(audio="none").count("<img") == 6


class ShardRow:
    """Makes the record of a clip in a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, name):
        return Record(
            name, {"wav": (self.folder / f"{name}.wav").read_bytes(), "json": b'{"id": "%s"}' % name.encode()}
        )


def test_clip_against_itself_is_perfect_and_its_ratio_infinite(tmp_path, voice):
    path = save(tmp_path / "r.wav", voice)
    item = one(path, path)
    assert item.metrics["mcd"] == item.metrics["mstft"] == 0 and item.metrics["si_sdr"] == np.inf


def test_silent_estimate_is_undefined_with_reasons_and_never_perfect(tmp_path, voice):
    item = one(save(tmp_path / "r.wav", voice), save(tmp_path / "e.wav", 0 * voice))
    for name in ("f0_rmse_cents", "mcd", "si_sdr"):
        assert item.metrics[name] is None and item.undefined[name]
    assert item.metrics["vuv_f1"] == 0 and item.metrics["energy_rmse_db"] > 20


@pytest.mark.parametrize(("samples", "reason"), [([], "no sample"), ([0.1, np.nan, 0.1], "NaN")])
def test_empty_and_not_finite_audio_is_undefined_with_its_reason(tmp_path, voice, samples, reason):
    item = one(save(tmp_path / "r.wav", voice), soundfile_save(tmp_path / "e.wav", samples))
    assert all(value is None for value in item.metrics.values())
    assert all(f"estimate has {reason}" in text or reason in text for text in item.undefined.values())


def soundfile_save(path, samples):
    import soundfile

    soundfile.write(path, np.array(samples, np.float32), RATE, subtype="FLOAT")
    return path


def test_ten_milliseconds_have_what_can_be_said_of_them(tmp_path, tone):
    path = save(tmp_path / "r.wav", 0.1 * np.sin(np.arange(160)))
    item = one(path, path)
    assert item.metrics["energy_rmse_db"] == 0 and item.metrics["duration_ratio"] == 1
    assert "shorter" in item.undefined["mcd"] and "too few" in item.undefined["mstft"]


def test_file_that_is_no_audio_is_an_error_that_names_it(tmp_path, voice):
    (tmp_path / "e.wav").write_bytes(b"RIFFgarbage" * 20)
    with pytest.raises(ValueError, match=r"e: .*e\.wav"):
        one(save(tmp_path / "r.wav", voice), tmp_path / "e.wav")


def test_file_that_is_not_there_is_an_error_that_names_it(tmp_path, voice):
    with pytest.raises(ValueError, match=r"gone\.wav"):
        one(save(tmp_path / "r.wav", voice), tmp_path / "gone.wav")


def test_file_that_cannot_be_read_is_undefined_where_that_is_asked_for(tmp_path, voice):
    (tmp_path / "e.wav").write_bytes(b"garbage")
    item = one(save(tmp_path / "r.wav", voice), tmp_path / "e.wav", on_error="record")
    assert all("estimate can't be read" in reason for reason in item.undefined.values())
    assert set(item.metrics.values()) == {None}


def test_error_rates_need_no_audio():
    pair = Pair("x", Clip("nowhere.wav"), Clip("neither.wav"), text="two words", transcript="to words", language="en")
    report = score([pair], ["wer", "cer"])
    assert report.items[0].metrics["wer"] == 0.5 and report.items[0].counts["wer"] == (1, 2)


def test_sound_of_a_pair_of_texts_is_undefined_and_says_so():
    report = score([Pair("x", Clip(""), Clip(""), text="a", transcript="a")], ["wer", "mstft"])
    assert report.items[0].metrics == {"wer": 0.0, "mstft": None}
    assert report.items[0].undefined["mstft"] == "the reference has no audio, only text"
    assert "No audio" in report.to_html()


def test_corpus_rate_is_pooled():
    texts = [("a b c d", "a b c d"), ("e", "f")]
    pairs = [Pair(str(n), Clip("-"), Clip("-"), text=a, transcript=b) for n, (a, b) in enumerate(texts)]
    summary = score(pairs, ["wer"]).summary["wer"]
    assert (summary.pooled, summary.mean) == (0.2, 0.5)


def test_undefined_items_leave_the_mean_and_are_counted(tmp_path, voice):
    ref = save(tmp_path / "r.wav", voice)
    report = score([(ref, save(tmp_path / "e.wav", voice)), (ref, save(tmp_path / "s.wav", 0 * voice))], ["mcd"])
    assert (report.summary["mcd"].n, report.summary["mcd"].n_undefined, report.summary["mcd"].mean) == (1, 1, 0.0)


def test_provenance_says_what_is_needed_to_repeat(folders):
    report = score(find_pairs(*folders)[0], ["f0_rmse_cents", "mcd"], f0="dio", align="dtw", seed=5)
    said = report.provenance
    assert said["metrics"]["f0_rmse_cents"]["label"] == "f0_rmse_cents (dio, dtw)"
    assert said["metrics"]["mcd"]["parameters"] == {
        "align": "dtw",
        "mcd_order": 24,
        "mcd_f0": "harvest",
        "mcd_mask": None,
    }
    assert said["alignment"] == "dtw" and said["sample_rates"] == {"16000": 3} and said["bootstrap"]["seed"] == 5
    assert {"amphion-eval", "amphion-core", "numpy", "pyworld", "python"} <= set(said["versions"])


def test_ids_must_be_unique(folders):
    pair = find_pairs(*folders)[0][0]
    with pytest.raises(ValueError, match="twice or more: a"):
        score([pair, pair])


def test_no_pair_is_refused():
    with pytest.raises(ValueError, match="no pair"):
        score([])


def failing(reference, estimate):
    raise ValueError("no such luck")


def reasoned(reference, estimate):
    return Undefined("it is Sunday")


def test_metric_that_fails_is_named_with_the_item(folders):
    with pytest.raises(ValueError, match="a: the metric luck failed: no such luck"):
        score(find_pairs(*folders)[0], [Metric("luck", failing)])


def test_reason_of_a_strangers_metric_is_reported(folders):
    report = score(find_pairs(*folders)[0], [Metric("day", reasoned)])
    assert report.items[0].undefined == {"day": "it is Sunday"}


def nothing(reference, estimate):
    return None


def third(reference, estimate):
    return np.array(3, np.int64)


def words(reference, estimate):
    return "good"


def test_strangers_metric_that_gives_nothing_is_undefined_and_one_that_gives_words_is_named(folders):
    pairs = find_pairs(*folders)[0]
    item = score(pairs, [Metric("empty", nothing), Metric("third", third)]).items[0]
    assert item.metrics == {"empty": None, "third": 3.0} and item.undefined == {"empty": "the metric gave no number"}
    with pytest.raises(ValueError, match="a: the metric verdict failed: it returned str, not a number"):
        score(pairs, [Metric("verdict", words)])


@pytest.mark.parametrize("faults", [{"f0": "guess"}, {"align": "stretch"}, {"mcd_ordr": 3}])
def test_settings_that_make_no_sense_are_refused(folders, faults):
    with pytest.raises(ValueError, match=next(iter(faults))):
        score(find_pairs(*folders)[0], ["mcd"], **faults)
