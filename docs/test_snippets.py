"""The snippets of the documentation and of the READMEs run as they stand, page by page, in an empty folder.

`python` blocks of a page run in order in one namespace, `bash` blocks by `bash -e` in the same folder. A block of any
language that begins with `# file: NAME` is written to that file instead; a pyproject.toml is installed as
`pip install -e` would, but into the folder of the test. A recording `speech.wav` lies in the folder. All other blocks
are for reading.
"""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

from amphion_core import audio, registry
from amphion_core.testing.sounds import glide

ROOT = Path(__file__).parents[1]
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("packages/*/README.md")), ROOT / "README.md"]
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```\s*$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# file: (\S+)\n")


class Block(NamedTuple):
    """A fenced block: its language, its text, the line where the text begins."""

    language: str
    text: str
    line: int


def blocks(page):
    text = page.read_text(encoding="utf-8")
    return [Block(m[1], m[2], text[: m.start(2)].count("\n") + 1) for m in FENCE.finditer(text)]


def name(page):
    return page.relative_to(ROOT).as_posix()


def runs(page):
    return any(block.language in ("python", "bash") for block in blocks(page))


def install(project, site, monkeypatch):
    """Declare a project's entry points and sources below a folder that is on the path."""
    table = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
    info = site / f"{table['name'].replace('-', '_')}-{table['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {table['name']}\nVersion: {table['version']}\n")
    groups = table.get("entry-points", {}).items()
    lines = [line for group, points in groups for line in (f"[{group}]", *(f"{k} = {v}" for k, v in points.items()))]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    source = project.parent / "src"
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(source), os.environ["PYTHONPATH"])))
    monkeypatch.syspath_prepend(str(source))
    registry.entries.cache_clear()


@pytest.fixture(autouse=True)
def forget_installed_projects():
    """Entry points of one page are not those of the next."""
    yield
    registry.entries.cache_clear()


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if runs(page)], ids=name)
def test_every_snippet_of_the_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"])
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    audio.save("speech.wav", glide(120, 180, 22_050, 1.5).astype("float32"), 22_050)
    namespace = {"__name__": "__main__"}
    for block in blocks(page):
        where = f"{name(page)}:{block.line}"
        given = FILE.match(block.text)
        if given:
            target = tmp_path / given[1]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text, encoding="utf-8")
            if target.name == "pyproject.toml":
                install(target, tmp_path, monkeypatch)
        elif block.language == "python":
            code = compile("\n" * (block.line - 1) + block.text, str(page), "exec")
            exec(code, namespace)
        elif block.language == "bash":
            done = subprocess.run(
                ["bash", "-e", "-c", block.text],
                capture_output=True,
                text=True,
                encoding="utf-8",
                check=False,
                timeout=300,
            )
            assert done.returncode == 0, f"{where}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"


def test_every_page_is_in_the_navigation():
    site = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = re.findall(r": (\S+\.md)$", site, re.MULTILINE)
    assert sorted(listed) == sorted(
        page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")
    )


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_block_says_its_language(page):
    known = {"python", "bash", "console", "text", "yaml", "toml", "json"}
    unknown = [(block.line, block.language) for block in blocks(page) if block.language not in known]
    assert not unknown


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_to_files_lead_to_files(page):
    text = re.sub(FENCE, "", page.read_text(encoding="utf-8"))
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert [link for link in links if link and not (page.parent / link).exists()] == []
