"""Components are found by entry points, ours and a stranger's alike."""

import subprocess
import sys
import textwrap

import pytest

from amphion_core import registry


@pytest.fixture
def plugins(tmp_path, monkeypatch):
    """A function that installs a stranger's package: a module and its entry points."""

    def install(name, group, points):
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = "".join(f"{key} = {value}\n" for key, value in points.items())
        (info / "entry_points.txt").write_text(f"[amphion.{group}]\n{lines}")
        (tmp_path / f"{name}.py").write_text("class Thing:\n    pass\nclass Other:\n    pass\n")
        registry.entries.cache_clear()

    monkeypatch.syspath_prepend(str(tmp_path))
    yield install
    registry.entries.cache_clear()


def test_a_strangers_component_is_found_by_name(plugins):
    plugins("stranger", "vocoders", {"mine": "stranger:Thing"})
    assert registry.find("vocoders", "mine").__name__ == "Thing"
    assert "mine" in registry.names("vocoders")


def test_an_unknown_name_lists_what_is_installed(plugins):
    plugins("stranger", "vocoders", {"zebra": "stranger:Thing", "mine": "stranger:Thing"})
    with pytest.raises(LookupError, match=r"no vocoders named 'bigvgn'; installed: .*mine.*zebra"):
        registry.find("vocoders", "bigvgn")
    with pytest.raises(LookupError, match="did you mean 'zebra'"):
        registry.find("vocoders", "zebar")


def test_an_unknown_kind_lists_the_kinds():
    with pytest.raises(LookupError, match="there are: models, vocoders"):
        registry.find("vocoder", "x")


def test_two_packages_with_one_name_are_an_error_that_names_both(plugins):
    plugins("one", "metrics", {"same": "one:Thing"})
    plugins("two", "metrics", {"same": "two:Other"})
    with pytest.raises(LookupError, match=r"two packages declare .*one.*two"):
        registry.names("metrics")


def test_looking_a_name_up_imports_only_that_component(plugins, tmp_path):
    plugins("good", "codecs", {"good": "good:Thing"})
    plugins("broken", "codecs", {"broken": "broken:Thing"})
    (tmp_path / "broken.py").write_text("raise RuntimeError('imported')")
    assert registry.find("codecs", "good").__name__ == "Thing"
    with pytest.raises(RuntimeError, match="imported"):
        registry.find("codecs", "broken")


def test_importing_the_package_is_light():
    code = """
    import sys
    import amphion_core
    heavy = {"torch", "numpy", "librosa", "pydantic", "scipy"} & set(sys.modules)
    assert not heavy, heavy
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


def test_every_public_name_can_be_imported():
    subprocess.run([sys.executable, "-c", "import amphion_core"], check=True, env={"EAGER_IMPORT": "1"})
