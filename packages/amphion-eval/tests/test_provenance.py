from amphion_core.weights import Weights
from amphion_eval.metric import Metric, resolve
from amphion_eval.model import Model
from amphion_eval.provenance import definition, provenance
from amphion_eval.report import ClipRecord, Item
from amphion_eval.settings import Settings


def said_of(names, models=None, **settings):
    item = Item(
        "a", {}, {}, {}, ClipRecord("r"), ClipRecord("e"), 16000, ("reference: resampled from 24000 to 16000 Hz",)
    )
    return provenance(resolve(names), Settings(**settings), [item], models or {}, pairing="by name")


def test_result_says_rates_versions_and_what_was_resampled():
    said = said_of(["mcd", "energy_rmse_db"])
    assert said["sample_rates"] == {"16000": 1} and said["resampled"] == 1 and said["pairing"] == "by name"
    assert {"amphion-eval", "amphion-core", "numpy", "pyworld", "python"} <= said["versions"].keys()


def test_tracker_that_ran_stands_among_the_versions_only_then():
    assert "praat-parselmouth" not in said_of(["f0_rmse_hz"])["versions"]
    assert "praat-parselmouth" in said_of(["f0_rmse_hz"], f0="praat")["versions"]


def test_label_says_what_a_number_means_nothing_without():
    (mcd,) = resolve(["mcd"])
    assert definition(mcd, Settings())["label"] == "mcd (order 24)"
    other = definition(mcd, Settings(mcd_f0="dio", mcd_mask=20, align="dtw"))["label"]
    assert other == "mcd (order 24, envelope by dio, frames within 20.0 dB, dtw)"
    near = Metric("near", lambda a, b: 0.0, needs="model", parameters=("speaker_model",))
    assert definition(near, Settings(speaker_model="rawnet3"))["label"] == "near (rawnet3)"


def test_weights_stand_there_with_their_hash(tmp_path, monkeypatch):
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "w.bin").write_bytes(b"weights")
    monkeypatch.setenv("AMPHION_WEIGHTS", str(tmp_path))
    model = Model("small", None, weights=(Weights("small", file="w.bin", url="https://example.org"),), licence="MIT")
    said = said_of(["mcd"], {"mcd": (model,)})
    (weights,) = said["models"]["small"]["weights"]
    assert said["metrics"]["mcd"]["models"] == ["small"] and len(weights["sha256"]) >= 16
    assert weights["url"] == "https://example.org" and said["models"]["small"]["licence"] == "MIT"
