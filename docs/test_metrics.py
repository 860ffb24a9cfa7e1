"""The pages of the metrics say of each metric what the installed metric says of itself, and what the sounds show."""

import json
import math
import re
import sys
from pathlib import Path

import pytest

from amphion_eval.metric import available, find

HERE = Path(__file__).parent / "metrics"
sys.path.insert(0, str(HERE))
HEADINGS = ["What it says", "When it lies", "Range and direction", "How it is computed here", "Source", "Example"]
BEST = {"lower": "lower is better", "higher": "higher is better", "zero": "0 is best", "one": "1 is best"}
BEST |= {"none": "it describes, neither end is best"}
OWN = [name for name in available() if find(name).function.__module__.startswith("amphion_eval")]


def text(name):
    return (HERE / f"{name}.md").read_text(encoding="utf-8")


def end(value):
    return ("-∞" if value < 0 else "∞") if math.isinf(value) else f"{value:g}"


def parts(name):
    """Heading to what stands below it."""
    pieces = re.split(r"^## (.+)$", text(name), flags=re.MULTILINE)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


@pytest.mark.parametrize("name", OWN)
def test_page_has_every_part_and_none_is_empty(name):
    found = parts(name)
    assert text(name).startswith(f"# `{name}`\n") and list(found) == HEADINGS
    first = text(name).split("## ")[0].partition("\n")[2].strip()
    assert all(len(part.strip()) > 15 for part in (first, *found.values()))


@pytest.mark.parametrize("name", OWN)
def test_page_states_unit_range_and_direction_of_the_metric(name):
    metric = find(name)
    line = f"**{metric.unit or 'no unit'} · {end(metric.low)} to {end(metric.high)} · {BEST[metric.best]}**"
    assert parts(name)["Range and direction"].strip().splitlines()[0] == line


@pytest.mark.parametrize("name", OWN)
def test_page_has_something_to_hear_to_see_and_to_run(name):
    example = parts(name)["Example"]
    sounds = re.findall(r'<audio [^>]*src="([^"]+)"', example)
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", example)
    assert sounds and all((HERE / sound).is_file() for sound in sounds)
    assert pictures and all((HERE / picture).is_file() for picture in pictures)
    assert "```" in example


def test_list_has_every_metric_and_its_page():
    listed = re.findall(r"\[`(\w+)`\]\((\w+)\.md\)", text("index"))
    assert sorted(listed) == [(name, name) for name in OWN]
    assert sorted(path.stem for path in HERE.glob("*.md")) == sorted([*OWN, "index"])


def test_sounds_are_small():
    assert sum(path.stat().st_size for path in HERE.rglob("*.*")) < 3_000_000


@pytest.mark.slow
def test_values_of_the_pictures_are_those_of_the_sounds():
    # Those of the base install; rounding of the libraries shows in the last digits only.
    from examples import VALUES, values

    printed = json.loads(VALUES.read_text(encoding="utf-8"))
    names = [name for name in printed if not find(name).requires and find(name).models is None]
    assert len(names) > 25
    for name, found in values(names).items():
        kept = {change: math.nan if value is None else value for change, value in printed[name].items()}
        own = {change: math.nan if value is None else value for change, value in found.items()}
        assert own == pytest.approx(kept, rel=1e-3, abs=1e-3, nan_ok=True), name


@pytest.mark.slow
def test_sounds_are_what_they_are_called():
    from examples import SOUNDS, sounds

    from amphion_core import audio

    for name, wav in sounds().items():
        kept, rate = audio.load(SOUNDS / f"{name}.flac")
        assert rate == 16000 and kept == pytest.approx(wav, abs=2e-3), name  # 16 bits, and WORLD on another machine
