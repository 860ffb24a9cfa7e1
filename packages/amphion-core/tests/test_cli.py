"""The command `amphion`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

AMPHION = Path(sys.executable).with_name("amphion" + (".exe" if os.name == "nt" else ""))


def call(*arguments, **named):
    return subprocess.run([AMPHION, *arguments], capture_output=True, text=True, timeout=60, **named)


@pytest.mark.parametrize("arguments", [[], ["train"], ["recipes"], ["components"], ["convert"], ["card"], ["push"]])
def test_help_loads_nothing_heavy(arguments):
    run = subprocess.run(
        [sys.executable, "-X", "importtime", AMPHION, *arguments, "--help"], capture_output=True, text=True, check=True
    )
    loaded = {line.rpartition("|")[2].strip() for line in run.stderr.splitlines()}
    assert "Usage:" in run.stdout and loaded.isdisjoint({"torch", "numpy", "scipy", "soundfile", "transformers"})


def test_a_failure_is_one_line_and_status_1_and_debug_shows_the_traceback():
    run = call("train", "no-such-recipe")
    assert (
        run.returncode == 1 and run.stderr.startswith("error: no recipe file or name") and "Traceback" not in run.stderr
    )
    run = call("train", "no-such-recipe", "--debug")
    assert run.returncode == 1 and "Traceback" in run.stderr


def test_wrong_usage_is_status_2():
    run = call("no-such-command")
    assert run.returncode == 2 and "no-such-command" in run.stderr
    assert call("train").returncode == 2


def test_components_say_what_is_missing_and_what_would_bring_it():
    run = call("components")
    assert run.returncode == 0 and "vocoders" in run.stdout
    assert "pip install amphion-tta  (text to audio" in run.stdout or "amphion-tta" in run.stdout


def test_versions_are_printed():
    run = call("--version")
    assert run.returncode == 0 and run.stdout.startswith("amphion-core 0.")


def test_completion_can_be_shown():
    run = call("--show-completion", "bash", env={**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"})
    assert "_AMPHION_COMPLETE" in run.stdout
