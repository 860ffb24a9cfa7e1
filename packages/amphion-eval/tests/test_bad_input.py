"""Bad input through the command: each kind has its error, or is undefined with a reason; nothing is dropped."""

import json

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from amphion_eval.cli import app

RATE = 16000
METRICS = "f0_rmse_cents,vuv_f1,energy_rmse_db,mcd,mstft,si_sdr,duration_error"


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def scored(folder, *arguments, metrics=METRICS):
    output = folder / "r.json"
    common = ("--metrics", metrics, "--f0", "dio", "--workers", 1, "--json", output)
    result = call("score", folder / "ref", folder / "est", *common, *arguments)
    return result, json.loads(output.read_text(encoding="utf-8")) if output.exists() else None


@pytest.fixture
def fill(tmp_path, voice):
    """Writes one pair; the sides are a function of the good clip."""

    def filled(name="a", rate=RATE, ref=lambda wav: wav, est=lambda wav: wav):
        for side, make in (("ref", ref), ("est", est)):
            (tmp_path / side).mkdir(exist_ok=True)
            own = rate if side == "est" else RATE
            soundfile.write(tmp_path / side / f"{name}.wav", make(voice).astype(np.float32), own, subtype="FLOAT")
        return tmp_path

    return filled


def test_other_rate_is_brought_down_and_noted(fill, tone):
    result, values = scored(fill(rate=24000, est=lambda wav: tone(150.0, 0.5, 24000)))
    (item,) = values["items"]
    assert result.exit_code == 0 and item["sample_rate"] == RATE and not item["undefined"]
    assert item["notes"] == ["estimate: resampled from 24000 to 16000 Hz"]
    assert values["provenance"]["resampled"] == 1 and item["metrics"]["f0_rmse_cents"] < 5


def test_stereo_is_mixed_and_noted(fill):
    _, values = scored(fill(est=lambda wav: np.stack([wav, wav], axis=1)))
    assert values["items"][0]["notes"] == ["estimate: 2 channels mixed to one by their mean"]
    assert values["items"][0]["metrics"]["mcd"] == 0


@pytest.mark.parametrize(
    ("est", "reason"),
    [
        (lambda wav: wav[:0], "the estimate has no sample"),
        (lambda wav: np.where(np.arange(len(wav)) == 9, np.nan, wav), "the estimate has samples that are NaN"),
    ],
)
def test_empty_and_not_finite_clips_are_undefined_in_every_metric(fill, est, reason):
    result, values = scored(fill(est=est))
    assert result.exit_code == 0 and set(values["items"][0]["metrics"].values()) == {None}
    assert all(text.startswith(reason) for text in values["items"][0]["undefined"].values())
    assert values["summary"]["mcd"] | {"n": 0, "n_undefined": 1, "mean": None} == values["summary"]["mcd"]


def test_silence_is_never_a_perfect_score(fill):
    _, values = scored(fill(est=lambda wav: 0 * wav))
    metrics, undefined = values["items"][0]["metrics"], values["items"][0]["undefined"]
    assert {"f0_rmse_cents", "mcd", "si_sdr"} <= undefined.keys() and metrics["vuv_f1"] == 0
    assert metrics["energy_rmse_db"] > 20 and metrics["mstft"] > 1


def test_ten_milliseconds_have_what_can_be_said_of_them(fill):
    result, values = scored(fill(ref=lambda wav: wav[2000:2160], est=lambda wav: wav[2000:2160]))
    metrics, undefined = values["items"][0]["metrics"], values["items"][0]["undefined"]
    assert result.exit_code == 0 and metrics["energy_rmse_db"] == 0 and metrics["duration_error"] == 0
    assert "shorter" in undefined["mcd"] and "too few" in undefined["mstft"]


def test_clips_without_partner_are_all_named(fill):
    folder = fill("a")
    for name in ("b", "c"):
        (folder / "ref" / f"{name}.wav").write_bytes((folder / "ref/a.wav").read_bytes())
    result, _ = scored(folder)
    assert result.exit_code != 0 and "no estimate for b" in str(result.exception)
    assert "no estimate for c" in str(result.exception)


def test_names_in_any_script_are_kept(fill):
    name = "über 你好 <b> 'x' 🎤"
    result, values = scored(fill(name), metrics="si_sdr")
    assert result.exit_code == 0 and values["items"][0]["id"] == name


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_one_bad_file_in_fifty_is_recorded_and_costs_nothing_else(fill, workers):
    for number in range(50):
        folder = fill(f"{number:02}", est=lambda wav, n=number: wav[: len(wav) - n])
    (folder / "est/17.wav").write_bytes(b"RIFFgarbage")
    refused, _ = scored(folder, metrics="si_sdr")
    assert refused.exit_code != 0 and "17" in str(refused.exception)
    result, values = scored(folder, "--on-error", "record", "--workers", workers, metrics="si_sdr,duration_error")
    assert result.exit_code == 0 and len(values["items"]) == 50
    bad = values["items"][17]
    assert set(bad["metrics"].values()) == {None} and "can't be read" in bad["undefined"]["si_sdr"]
    assert values["summary"]["si_sdr"]["n"] == 49 and values["summary"]["si_sdr"]["n_undefined"] == 1


def test_folder_of_a_run_fills_and_is_complete(fill, tmp_path):
    folder = fill()
    result, values = scored(folder, "--out", tmp_path / "out", metrics="si_sdr")
    assert result.exit_code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "items.jsonl", "result.csv", "result.json", "result.md",
    ]  # fmt: skip
    assert [json.loads(line) for line in (tmp_path / "out/items.jsonl").read_text().splitlines()] == values["items"]


def test_options_that_exclude_each_other_are_wrong_usage(fill):
    folder = fill()
    for options in (("--cache", "c", "--no-cache"), ("--no-cache", "--resume"), ("--on-error", "maybe")):
        assert call("score", folder / "ref", folder / "est", *options).exit_code == 2


def test_cache_that_cannot_be_made_costs_a_warning_and_not_the_run(fill, monkeypatch, caplog):
    folder = fill()
    (folder / "file").write_text("no folder")
    monkeypatch.setenv("AMPHION_CACHE", str(folder / "file" / "below"))
    result, values = scored(folder, metrics="si_sdr")
    assert result.exit_code == 0 and values["items"] and "nothing is kept for later runs" in caplog.text
