"""The repository itself: packages, arrows and what every package has to have."""

import importlib.util
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = sorted(path.name.removeprefix("amphion-") for path in (ROOT / "packages").glob("amphion-*"))


@pytest.fixture(scope="module")
def house():
    spec = importlib.util.spec_from_file_location("noxfile", ROOT / "noxfile.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_eight_packages_stand_on_each_other_as_designed(house):
    assert {name: set(house.closure(name)) - {name} for name in PACKAGES} == {
        "core": set(),
        "eval": {"core"},
        "data": {"core"},
        "vocoders": {"core"},
        "codecs": {"core"},
        "tts": {"core", "codecs", "vocoders"},
        "svc": {"core", "codecs", "vocoders"},
        "tta": {"core", "vocoders"},
    }


def test_a_circle_is_refused(house, monkeypatch):
    table = {**house.PACKAGES["core"], "dependencies": ["amphion-tta>=0.1"]}
    monkeypatch.setitem(house.PACKAGES, "core", table)
    with pytest.raises(ValueError, match="circle: core -> tta -> core"):
        house.closure("core")


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_imports_only_what_it_declares(house, name):
    declared = {
        f"amphion_{other}" for other in house.closure(name, tuple(house.PACKAGES[name]["optional-dependencies"]))
    }
    for file in (ROOT / f"packages/amphion-{name}/src").rglob("*.py"):
        found = set(re.findall(r"^\s*(?:from|import) (amphion_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE))
        assert found <= declared, f"{file} imports {found - declared}"


@pytest.mark.parametrize("name", PACKAGES)
def test_every_package_has_its_files(name):
    folder = ROOT / f"packages/amphion-{name}"
    source = folder / f"src/amphion_{name}"
    for file in ("README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml"):
        assert (folder / file).stat().st_size > 0
    assert (source / "py.typed").exists()
    assert re.fullmatch(r'__version__ = "\d+\.\d+\.\d+"\n', (source / "__about__.py").read_text())
    assert (source / "__init__.py").read_text().count("\n") <= 8
    assert "__version__" in (source / "__init__.pyi").read_text()
    assert "## Unreleased" in (folder / "CHANGELOG.md").read_text() or "## 0." in (folder / "CHANGELOG.md").read_text()


def test_no_source_reads_pickles_or_runs_a_shell():
    unsafe = (
        r"\bimport pickle\b",
        "weights_only=False",
        "allow_pickle=True",
        "shell=True",
        r"os\.system",
        r"yaml\.load\(",
    )
    pattern = re.compile("|".join(unsafe) + r"|[^.\w](?:eval|exec)\(")
    for file in ROOT.glob("packages/*/src/**/*.py"):
        found = pattern.search(file.read_text(encoding="utf-8"))
        assert found is None, f"{file}: {found[0]}"


def test_no_source_prints_but_the_command_lines():
    for file in ROOT.glob("packages/*/src/**/*.py"):
        if file.name != "cli.py" and not file.name.startswith("cli_"):
            assert not re.search(r"^\s*print\(", file.read_text(encoding="utf-8"), re.MULTILINE), file


def test_no_tracked_file_is_large():
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    sizes = {name: (ROOT / name).stat().st_size for name in names if name and (ROOT / name).is_file()}
    assert {name: size for name, size in sizes.items() if size > 4_000_000} == {}


def test_torchaudio_and_pyworld_are_each_imported_in_one_module_of_core():
    for library in ("torchaudio", "pyworld"):
        pattern = re.compile(
            rf"^\s*(?:import|from) {library}\b|import_module\(\"{library}\"\)|__import__\(\"{library}\"", re.MULTILINE
        )
        places = [f for f in ROOT.glob("packages/*/src/**/*.py") if pattern.search(f.read_text(encoding="utf-8"))]
        assert len(places) <= 1 and all("amphion_core" in str(place) for place in places), places
