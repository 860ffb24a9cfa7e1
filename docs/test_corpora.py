"""The table of corpora on the page about data says what the installed corpora say of themselves."""

import re
from pathlib import Path

from amphion_data import known_corpora

PAGE = Path(__file__).with_name("data.md")
OWN = "amphion_data"


def row(corpus):
    size = (
        f"{corpus.hours:,.0f} h" if corpus.hours and corpus.hours >= 10 else f"{corpus.hours} h" if corpus.hours else ""
    )
    rate = f"{corpus.sample_rate / 1000:g}" if corpus.sample_rate else ""
    voices = f"{corpus.speakers:,}" if corpus.speakers else ""
    unit = next(iter(corpus.units))
    licence = corpus.licence.replace("|", "/")
    cells = (f"`{corpus.name}`", corpus.title, size, voices, rate, " ".join(corpus.languages), unit, licence)
    return "| " + " | ".join(cells) + " |"


def test_the_table_of_corpora_has_a_line_for_each_and_its_facts():
    ours = [corpus for corpus in known_corpora() if corpus.rows.__module__.startswith(OWN)]
    found = re.findall(
        r"^\| `[a-z0-9-]+` \|.*\|$", PAGE.read_text(encoding="utf-8").split("## Corpora")[1], re.MULTILINE
    )
    assert found[: len(ours)] == [row(corpus) for corpus in ours]


def test_every_option_of_a_corpus_stands_on_the_page():
    text = PAGE.read_text(encoding="utf-8")
    for corpus in known_corpora():
        for option in corpus.options:
            assert f"`{option}`" in text, f"--option {option} of {corpus.name}"
