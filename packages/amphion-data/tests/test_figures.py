"""Folders beside the published figures of their corpora."""

import json
import logging

import pytest

from amphion_core.schema import Utterance
from amphion_data.corpus import Corpus, find_corpus, known_corpora
from amphion_data.figures import Difference, Figures, Tally, compare_counts, compare_sound
from amphion_data.preparing import prepare
from amphion_data.settings import PrepareSettings


def iter_birds(root, subset=None, **_):
    for path in sorted(root.glob("*/*.wav")):
        if subset in (None, path.parent.name):
            yield Utterance(
                id=path.stem, audio=f"{path.parent.name}/{path.name}", speaker=path.stem[:1], text="tweet",
                extra={"place": path.parent.name},
            )  # fmt: skip


def birds(*figures, **changes):
    facts = {"name": "birds", "title": "Birds", "licence": "CC0", "source": "the garden", "rows": iter_birds}
    facts |= {"units": {"bird": lambda row: row.speaker}, "options": {"subset": "garden or forest"}}
    return Corpus(**{**facts, "figures": figures, "part": lambda row: row.extra["place"], **changes})


def rows(place, count, speakers=1):
    return [
        Utterance(id=f"{place}{k}", audio=f"{k}", speaker=f"s{k % speakers}", extra={"place": place})
        for k in range(count)
    ]


def texts(corpus, *found):
    return [
        difference.to_text()
        for difference in compare_counts(corpus, [row for part in found for row in part]).differences
    ]


@pytest.mark.parametrize("count", [99, 100, 101])
def test_up_to_one_percent_is_no_difference(count):
    assert texts(birds(Figures(part="garden", rows=100)), rows("garden", count)) == []


def test_more_is_one_with_both_values():
    corpus = birds(Figures(part="garden", rows=1000, speakers=4, groups=4))
    assert texts(corpus, rows("garden", 500, speakers=2)) == [
        "garden: 1,000 rows stated, 500 found (-50.0 %)",
        "garden: 4 groups stated, 2 found (-50.0 %)",
        "garden: 4 speakers stated, 2 found (-50.0 %)",
    ]


def test_a_part_is_compared_with_its_own_figures_and_the_whole_only_where_all_parts_are_there():
    corpus = birds(Figures(part="garden", rows=10), Figures(part="forest", rows=20), Figures(rows=30))
    alone = compare_counts(corpus, rows("garden", 10))
    assert (alone.differences, alone.absent_parts) == ([], ["forest"])
    assert texts(corpus, rows("garden", 10), rows("forest", 25)) == [
        "forest: 20 rows stated, 25 found (+25.0 %)",
        "30 rows stated, 35 found (+16.7 %)",
    ]


def test_of_several_releases_the_nearest_counts():
    corpus = birds(Figures(part="garden", release="1", rows=100), Figures(part="garden", release="2", rows=200))
    assert texts(corpus, rows("garden", 200)) == []
    assert texts(corpus, rows("garden", 120)) == ["garden: 100 rows stated, 120 found (+20.0 %)"]


def test_stretches_of_one_recording_count_once():
    row = Utterance(id="a", audio="long.wav", speaker="s", extra={"place": "garden"})
    corpus = birds(Figures(part="garden", recordings=1, hours_uncut=5.0))
    assert texts(corpus, [row, Utterance(**{**row.to_dict(), "id": "b"})]) == []


def test_hours_and_rates_are_compared_with_what_was_written():
    corpus, tally = birds(Figures(part="garden", hours=2.0), sample_rate=24_000), Tally()
    for k, rate in enumerate([24_000, 24_000, 16_000]):
        row = Utterance(id=f"{k}", audio="", duration=1800.0, sample_rate=rate)
        tally.add("garden", row)
    tally.add("garden", Utterance(id="x", audio="", sample_rate=24_000, extra={"source_rate": 48_000}))
    assert [difference.to_text() for difference in compare_sound(corpus, tally)] == [
        "garden: 2 hours stated, 1.500 found (-25.0 %)",
        "24,000 Hz stated, clips of 16,000 Hz found",
        "24,000 Hz stated, clips of 48,000 Hz found",
    ]
    assert len(compare_sound(corpus, tally, whole=False)) == 2


def test_a_run_says_what_differs_in_log_report_record_and_card_and_names_missing_files(tmp_path, make_ljspeech, caplog):
    root = make_ljspeech(tmp_path / "corpus")
    for k in range(1, 5):
        (root / "wavs" / f"LJ002-{k:04d}.wav").unlink()
    with caplog.at_level(logging.WARNING):
        report = prepare(
            "ljspeech", root, tmp_path / "out", PrepareSettings(valid=0, test=0), workers=1, progress=False
        )
    record = json.loads((tmp_path / "out" / "prepare.json").read_text(encoding="utf-8"))["compared"]
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert record["differences"][0] == {"part": "", "what": "rows", "stated": 13_100, "found": 20}
    assert {difference["what"] for difference in record["differences"]} == {"rows", "groups", "hours", "sample_rate"}
    assert record["missing_files"] == {"count": 4, "first": [f"wavs/LJ002-{k:04d}.wav" for k in range(1, 5)]}
    for text in (report.to_text(), caplog.text, card):
        assert "13,100 rows stated, 20 found (-99.8 %)" in text
        assert "23.92 hours stated, 0.001 found" in text
        assert "wavs/LJ002-0001.wav, wavs/LJ002-0002.wav" in text


def test_a_part_chosen_by_an_option_is_compared_with_its_part(tmp_path, write):
    for k in range(3):
        write(tmp_path / "in" / "garden" / f"a{k}.wav", seconds=0.3)
        write(tmp_path / "in" / "forest" / f"b{k}.wav", seconds=0.3)
    corpus = birds(Figures(part="garden", rows=3), Figures(part="forest", rows=900), Figures(rows=903))
    settings = PrepareSettings(valid=0, test=0, options={"subset": "garden"})
    report = prepare(corpus, tmp_path / "in", tmp_path / "out", settings, workers=1, progress=False)
    assert report.comparison.to_lines() == ["not here: forest"]


def test_only_the_first_ten_missing_files_are_named(tmp_path, make_ljspeech):
    root = make_ljspeech(tmp_path / "corpus")
    for path in sorted((root / "wavs").iterdir())[:14]:
        path.unlink()
    report = prepare("ljspeech", root, tmp_path / "out", PrepareSettings(valid=0, test=0), workers=1, progress=False)
    (line,) = [line for line in report.comparison.to_lines() if line.startswith("missing")]
    assert line.startswith("missing: 14 files: wavs/LJ001-0001.wav,") and line.endswith("LJ003-0002.wav and 4 more")


def test_published_figures_of_parts_add_up_to_those_of_the_whole():
    libritts = find_corpus("libritts")
    assert sum(each.rows for each in libritts.figures) == libritts.clips == 375_086
    assert sum(each.speakers for each in libritts.figures) == pytest.approx(libritts.speakers, abs=1)
    assert sum(each.hours for each in libritts.figures) == pytest.approx(libritts.hours, abs=0.2)
    for name in ("hifitts", "opencpop"):
        *parts, whole = find_corpus(name).figures
        assert sum(each.rows for each in parts) == whole.rows == find_corpus(name).clips
    emilia = find_corpus("emilia")
    assert sum(each.hours for each in emilia.figures) == pytest.approx(emilia.hours, rel=1e-3)


def test_every_corpus_of_the_field_has_figures_and_prints_them():
    without = {"folder", "singing-folder", "opera"}  # the last has none published
    for corpus in known_corpora():
        if corpus.rows.__module__.startswith("amphion_data"):
            assert bool(corpus.figures) == (corpus.name not in without), corpus.name
            for each in corpus.figures:
                assert each.to_text(next(iter(corpus.units))) in corpus.to_text()
            assert corpus.facts()["figures"] == [each.to_dict() for each in corpus.figures]


def test_a_corpus_that_states_only_totals_is_compared_with_them():
    assert texts(birds(clips=5), rows("garden", 2)) == ["5 rows stated, 2 found (-60.0 %)"]
    assert Difference("", "hours", 44.0, 1.0).to_text() == "44 hours stated, 1.000 found (-97.7 %)"
