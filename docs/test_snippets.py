"""The snippets of the documentation and of the READMEs run as they stand, page by page, in an empty folder.

`python` blocks of a page run in order in one namespace, `bash` blocks by `bash -e` in the same folder. `console`,
`text`, `yaml` and `toml` blocks are for reading; a `yaml` or `toml` block that begins with `# file: NAME` is written
to that file first. A page whose blocks all are for reading is not a test.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), *sorted(ROOT.glob("packages/*/README.md")), ROOT / "README.md"]
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


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if runs(page)], ids=name)
def test_every_snippet_of_the_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"])
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    namespace = {"__name__": "__main__"}
    for block in blocks(page):
        where = f"{name(page)}:{block.line}"
        given = FILE.match(block.text)
        if given:
            target = tmp_path / given[1]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text, encoding="utf-8")
        if block.language == "python":
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
