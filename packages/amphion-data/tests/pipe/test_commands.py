"""The commands emilia and status."""

import json

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
