import subprocess
import sys

import pytest

CONFTEST = """
from pathlib import Path

from amphion_core.testing.extra_marks import ExtraMarks

EXTRAS = ExtraMarks(
    Path(__file__).parent, {"here": ("json",), "absent": ("no_such_module",)}, beside={"here": ("test_beside.py",)}
)
pytest_addoption = EXTRAS.pytest_addoption
pytest_configure = EXTRAS.pytest_configure
pytest_collection_modifyitems = EXTRAS.pytest_collection_modifyitems
"""
TESTS = """
import pytest

def test_plain(): pass

@pytest.mark.extra("here")
def test_here(): pass

@pytest.mark.extra("absent")
def test_absent(): import no_such_module
"""


@pytest.fixture
def run(tmp_path):
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_marked.py").write_text(TESTS)
    (tmp_path / "test_beside.py").write_text("def test_beside(): pass")

    def run(*options):
        command = [sys.executable, "-m", "pytest", "-v", "-rs", "-p", "no:cacheprovider", *options, str(tmp_path)]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)

    return run


def test_what_needs_an_absent_extra_is_skipped_and_says_so(run):
    said = run().stdout
    assert "3 passed, 1 skipped" in said and "the extra absent is absent: no_such_module" in said


def test_one_extra_runs_alone_with_what_it_stands_on(run):
    said = run("--extra", "here").stdout
    assert "2 passed, 2 deselected" in said and "test_beside PASSED" in said and "test_here PASSED" in said


def test_tests_of_the_chosen_extra_are_never_skipped(run):
    assert "1 failed, 3 deselected" in run("--extra", "absent").stdout


def test_another_name_is_refused_with_those_there_are(run):
    said = run("--extra", "nope")
    assert said.returncode == 4 and "no extra named 'nope'; there are here, absent" in said.stderr
