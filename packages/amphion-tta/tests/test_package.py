"""The package is importable, light and honest about what it holds."""

import os
import subprocess
import sys
from importlib.metadata import entry_points, version
from pathlib import Path

import amphion_tta


def test_the_version_is_that_of_the_distribution():
    assert amphion_tta.__version__ == version("amphion-tta")


def test_every_public_name_can_be_imported():
    subprocess.run([sys.executable, "-c", "import amphion_tta"], check=True, env={"EAGER_IMPORT": "1"})


def test_the_command_is_a_plug_in_of_amphion():
    (point,) = entry_points(group="amphion.commands", name="tta")
    assert point.load() is not None


def test_help_and_list_answer_without_torch():
    script = Path(sys.executable).with_name("amphion-tta" + (".exe" if os.name == "nt" else ""))
    for arguments in (["--help"], ["list"], ["list", "--help"]):
        run = subprocess.run(
            [sys.executable, "-X", "importtime", script, *arguments], capture_output=True, text=True, check=True
        )
        assert "| torch\n" not in run.stderr
