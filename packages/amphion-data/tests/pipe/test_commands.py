"""The commands emilia and status."""

import json
import re

import pytest
import soundfile
from typer.testing import CliRunner

from amphion_data.cli import app


@pytest.fixture
def run():
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def folder(tmp_path, speechlike):
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in" / "a.wav", speechlike([(1, 5), (7, 12)], 14.0), 16_000)
    return tmp_path / "in"


CHEAP = ("--vad", "energy", "--diarise", "none", "--score", "none", "--embed", "spectral")


def test_plan_says_what_a_run_takes_and_writes_nothing(run, folder, tmp_path):
    found = json.loads(run("emilia", folder, tmp_path / "out", *CHEAP, "--plan", "--json", "--workers", 2).stdout)
    assert found["sources"] == found["units"] == 1 and found["hours"] == pytest.approx(14 / 3600, abs=1e-6)
    assert not found["measured"] and found["work_hours"] > 0 and not (tmp_path / "out").exists()


def test_a_run_prints_its_report_and_status_and_plan_read_its_marks(run, folder, tmp_path):
    out = tmp_path / "out"
    more = ("--set", "segment.min_duration=2.5", "--option", "energy.above=10")
    done = run("emilia", folder, out, *CHEAP, *more)
    assert done.exit_code == 0 and "1 recordings, 1 with speech; 2 segments, 2 kept" in done.stdout
    assert "1 of 1 units done" in run("status", out).stdout
    assert json.loads(run("status", out, "--json").stdout)["report"]["kept"] == 2
    plan = run(
        "emilia", folder, out, *CHEAP, "--set", "segment.min_duration=2.5", "--option", "energy.above=10", "--plan"
    )
    assert "1 done" in plan.stdout and "measured in this output" in plan.stdout


def test_settings_come_from_a_file_and_faults_are_all_named(run, folder, tmp_path):
    (tmp_path / "pipe.yaml").write_text("vad: energy\ndiarise: none\nscore: none\nsegment: {max_duration: 20}\n")
    assert run("emilia", folder, tmp_path / "out", "--config", tmp_path / "pipe.yaml").exit_code == 0
    (tmp_path / "bad.yaml").write_text("vdd: energy\nformat: wma\n")
    error = run("emilia", folder, tmp_path / "out", "--config", tmp_path / "bad.yaml").exception
    assert "vdd" in str(error) and "format" in str(error)
    error = run("emilia", folder, tmp_path / "out", "--option", "path=x").exception
    assert "STAGE.KEY=VALUE" in str(error)


@pytest.mark.parametrize("option", [("--workers", 0), ("--price", -1), ("--time-limit", -1), ("--gpu-price", -1)])
def test_numbers_below_what_makes_sense_are_refused(run, folder, tmp_path, option):
    done = run("emilia", folder, tmp_path / "out", *CHEAP, *option)
    assert done.exit_code == 2 and option[0] in done.output and not (tmp_path / "out").exists()


def test_a_plan_counts_actors_and_what_each_step_takes(run, folder, tmp_path):
    options = ("--engine", "ray", "--device", "cuda:0", "--plan", "--json", "--transcribe", "faster-whisper")
    few = run("emilia", folder, tmp_path / "out", *CHEAP, *options, "--gpus-per-actor", "0.5")
    assert "ask for 1 GPUs together, the cluster has 0" in str(few.exception)
    more = ("--gpus-per-actor", "listen=0.25", "--gpus-per-actor", "recognise=0.5", "--cluster-gpus", 3)
    price = ("--workers", 8, "--price", 0.1, "--gpu-price", 2)
    found = json.loads(run("emilia", folder, tmp_path / "out", *CHEAP, *options, *more, *price).stdout)
    assert found["actors"] == 4 and found["store_gb"] == pytest.approx(2 * 14 * 4 * 40_000 / 1e9)
    assert list(found["steps"]) == ["standardise", "listen", "recognise", "write"]
    assert sum(found["steps"].values()) == pytest.approx(found["work_hours"], abs=1e-5)
    assert found["cost"] == pytest.approx(found["wall_hours"] * (8 * 0.1 + 3 * 2), rel=0.1)


def test_a_run_in_two_parts_by_the_command_and_its_plan(run, folder, tmp_path):
    out = tmp_path / "out"
    first = run("emilia", folder, out, *CHEAP, "--stages", ":segment")
    assert first.exit_code == 0 and "2 segments, 0 kept" in first.stdout
    assert "segments of 1 kept" in run("status", out).stdout
    plan = json.loads(run("emilia", folder, out, *CHEAP, "--stages", "transcribe:", "--plan", "--json").stdout)
    assert plan["units_segmented"] == 1 and "listen" not in plan["steps"]
    assert json.loads(run("emilia", folder, out, *CHEAP, "--plan", "--json").stdout)["steps"]["listen"] == 0
    second = run("emilia", folder, out, *CHEAP, "--stages", "transcribe:")
    assert second.exit_code == 0 and "2 segments, 2 kept" in second.stdout
    assert "':segment' (stop after it)" in str(run("emilia", folder, out, *CHEAP, "--stages", "3:").exception)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--device", "cuda:0", "--gpus-per-actor", "0.5"), "is for the actors of --engine ray"),
        (("--engine", "ray", "--device", "cuda:0"), "add --gpus-per-actor"),
        (("--engine", "ray", "--gpus-per-actor", "0.5"), "needs --device cuda:0, got cpu"),
        (("--engine", "ray", "--device", "cuda:0", "--gpus-per-actor", "half"), "got 'half'"),
        (("--engine", "ray", "--device", "cuda:0", "--gpus-per-actor", "1.5"), "a share is up to 1, or a whole number"),
        (("--engine", "ray", "--device", "cuda:0", "--gpus-per-actor", "write=1"), "the step 'write' takes no GPU"),
        (
            ("--engine", "ray", "--device", "cuda:0", "--gpus-per-actor", "standardise=1"),
            r"those that do are listen, recognise \(and standardise",
        ),
    ],
)
def test_shares_of_gpus_that_can_t_be_given_are_refused_with_words(run, folder, tmp_path, options, words):
    error = run("emilia", folder, tmp_path / "out", *CHEAP, *options).exception
    assert isinstance(error, ValueError) and re.search(words, str(error)) and not (tmp_path / "out").exists()
