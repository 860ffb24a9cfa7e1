"""Small corpora in the layouts of the field, and what `prepare` makes of them."""

import json

import numpy as np
import pytest
import soundfile

from amphion_data.corpus import find_corpus
from amphion_data.parts import iter_rows
from amphion_data.preparing import prepare
from amphion_data.settings import PrepareSettings

_WITHOUT_FIGURES = {"version 2", "ground_truth"}  # parts of KiSing and SVCC 2023


class Prepared:
    """Rows and drops of a preparation, by id."""

    def __init__(self, out, report):
        self.out, self.report = out, report
        self.rows = {row.id: row for row in iter_rows(out)}
        lines = (out / "drops.jsonl").read_text(encoding="utf-8").splitlines()
        self.drops = sorted((drop["id"], drop["reason"]) for drop in map(json.loads, lines))


@pytest.fixture
def run(tmp_path):
    """Prepares a corpus below `tmp_path / 'corpus'` and checks that nothing was lost."""

    def make(name, source=None, out="out", **settings):
        report = prepare(
            name,
            source or tmp_path / "corpus",
            tmp_path / out,
            PrepareSettings.parse(settings),
            workers=1,
            progress=False,
        )
        done = Prepared(tmp_path / out, report)
        assert report.rows_in == len(done.rows) + len(done.drops)
        corpus = find_corpus(name)
        known = {figures.part for figures in corpus.figures if figures.part} | _WITHOUT_FIGURES
        assert not any(figures.part for figures in corpus.figures) or {*map(corpus.part, done.rows.values())} <= known
        return done

    return make


@pytest.fixture
def root(tmp_path):
    """Folder of the corpus."""
    (tmp_path / "corpus").mkdir()
    return tmp_path / "corpus"


@pytest.fixture
def sound(root):
    """Writes a tone below the corpus; `path` with its ending."""

    def make(path, seconds=0.4, rate=24_000, frequency=200.0, channels=1, wav=None):
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        time = np.arange(round(seconds * rate)) / rate
        samples = 0.3 * np.sin(2 * np.pi * frequency * time) if wav is None else wav
        if channels > 1:
            samples = np.stack([samples * (0.1 + number) for number in range(channels)], axis=1)
        soundfile.write(place, samples, rate)
        return place

    return make


@pytest.fixture
def text(root):
    """Writes a text, or bytes, below the corpus."""

    def make(path, text):
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text if isinstance(text, bytes) else text.encode())
        return place

    return make
