import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from amphion_eval.cli import app

BLOCK = """
import sys
class Refuse:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in ("torch", "librosa", "torchaudio", "transformers"):
            raise ImportError(f"{name} is not part of the base install")
sys.meta_path.insert(0, Refuse())
"""


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_score_prints_the_table_and_writes_every_form(folders, tmp_path):
    outputs = {form: tmp_path / f"r.{form}" for form in ("json", "csv", "markdown", "html")}
    options = [part for form, path in outputs.items() for part in (f"--{form}", path)]
    result = call("score", *folders, "--metrics", "f0_rmse,vuv", "--f0", "dio", "--workers", 1, *options)
    assert result.exit_code == 0, result.output
    assert "f0_rmse_cents (dio)" in result.stdout and "vuv_f1 (dio)" in result.stdout
    assert all(path.stat().st_size for path in outputs.values())
    values = json.loads(outputs["json"].read_text(encoding="utf-8"))
    assert [item["id"] for item in values["items"]] == ["a", "b", "c"] and values["name"] == "est"


@pytest.mark.parametrize("wrong", [("--bootstrap", -1), ("--workers", 0)])
def test_numbers_that_mean_nothing_are_wrong_usage(folders, wrong):
    result = call("score", *folders, "--metrics", "duration_ratio", *wrong)
    assert result.exit_code == 2 and wrong[0] in result.output


def test_score_takes_a_table_of_pairs(tmp_path):
    (tmp_path / "x.wav").write_bytes(b"not read, for the texts are all that is compared")
    table = tmp_path / "t.csv"
    table.write_text("id,reference,estimate,text,transcript\n1,x.wav,x.wav,nineteen cats,19 cats\n")
    output = tmp_path / "r.json"
    result = call("score", "--pairs", table, "--metrics", "wer,cer", "--language", "en", "--json", output)
    assert result.exit_code == 0, result.output
    assert json.loads(output.read_text())["items"][0]["metrics"] == {"wer": 0.0, "cer": 0.0}


def test_report_sets_systems_side_by_side(folders, tmp_path):
    ref, est = folders
    for folder, name in ((est, "shifted"), (ref, "same")):
        options = ["--metrics", "energy_rmse_db", "--name", name, "--json", tmp_path / f"{name}.json", "--workers", 1]
        assert call("score", ref, folder, *options).exit_code == 0
    page, table = tmp_path / "c.html", tmp_path / "c.md"
    result = call("report", tmp_path / "shifted.json", tmp_path / "same.json", "--html", page, "--markdown", table)
    assert result.exit_code == 0, result.output
    assert "| same | **0.000" in result.stdout and table.read_text(encoding="utf-8") == result.stdout
    assert "shifted" in page.read_text(encoding="utf-8")


def test_metrics_lists_unit_range_and_direction():
    result = call("metrics")
    line = next(line for line in result.stdout.splitlines() if line.startswith("f0_rmse_cents "))
    assert line.split()[1:] == ["↓", "cents", "0", "to", "inf"]


def test_doctor_says_what_works():
    lines = call("doctor").stdout.splitlines()
    assert any(line.split() == ["metric", "mcd", "works"] for line in lines)


def test_neither_folders_nor_table_is_wrong_usage(folders):
    assert call("score").exit_code == 2 and call("score", *folders, "--pairs", "t.csv").exit_code == 2


def run(code, *arguments, **environment):
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **environment},
        check=False,
    )


@pytest.mark.slow
def test_everything_of_the_base_install_works_without_torch(folders, tmp_path):
    code = BLOCK + "import sys; from amphion_eval.cli import main; main()"
    result = run(code, "score", *folders, "--f0", "dio", "--json", tmp_path / "r.json", "--html", tmp_path / "r.html")
    assert result.returncode == 0, result.stderr
    assert "mcd" in result.stdout


@pytest.mark.slow
def test_every_public_name_imports_without_torch():
    result = run(BLOCK + "import amphion_eval as e; [getattr(e, name) for name in e.__all__]; print(len(e.__all__))")
    assert result.returncode == 0 and int(result.stdout) > 50, result.stderr


@pytest.mark.slow
def test_import_and_help_load_nothing_heavy():
    # What they take is printed by tests/check_wheel.py; a busy machine doubles a time, but never adds a module.
    code = """
import sys
import amphion_eval
heavy = {"numpy", "scipy", "soundfile", "soxr", "torch", "transformers"}
print(sorted(heavy & set(sys.modules)))
from amphion_eval.cli import main
sys.argv = ["amphion-eval", "score", "--help"]
try:
    main()
except SystemExit:
    print(sorted(heavy & set(sys.modules)))
"""
    lines = run(code).stdout.splitlines()
    assert (lines[0], lines[-1]) == ("[]", "[]")


@pytest.mark.slow
def test_fault_of_the_input_ends_with_one_message_and_code_1(folders, tmp_path):
    (folders[1] / "a.wav").unlink()
    result = run("from amphion_eval.cli import main; main()", "score", *folders)
    assert result.returncode == 1 and "no estimate for a" in result.stderr and "Traceback" not in result.stderr
