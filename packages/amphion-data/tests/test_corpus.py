import pytest

from amphion_core import registry
from amphion_core.data import Drop
from amphion_core.schema import Utterance
from amphion_data.corpus import Corpus, find_corpus, known_corpora, scan
from amphion_data.parts import iter_rows
from amphion_data.preparing import prepare
from amphion_data.settings import PrepareSettings


def iter_birds(root, **_):
    for path in sorted(root.glob("*.wav")):
        if path.stem == "cat":
            yield Drop(path.stem, path.name, "no_bird", "it purrs", "scan")
        else:
            yield Utterance(id=path.stem, audio=path.name, text="tweet", extra={"song": path.stem[:1]})


BIRDS = Corpus(
    name="birds",
    title="Birds",
    licence="CC0",
    source="the garden",
    rows=iter_birds,
    units={"song": lambda row: row.extra["song"]},
)


def test_a_corpus_of_ones_own_is_prepared_like_ours(tmp_path, write):
    for name in ("a1", "a2", "b1", "cat"):
        write(tmp_path / "in" / f"{name}.wav")
    report = prepare(BIRDS, tmp_path / "in", tmp_path / "out", PrepareSettings(valid=0, test=1), workers=1)
    assert report.dropped == {"no_bird": 1}
    places = {(row.extra["song"], row.extra["split"]) for row in iter_rows(tmp_path / "out")}
    assert len(places) == 2


def test_a_second_row_of_one_id_is_dropped(tmp_path, write):
    write(tmp_path / "a.wav")

    def twice(root, **_):
        yield Utterance(id="a", audio="a.wav", text="first")
        yield Utterance(id="a", audio="a.wav", text="second")

    corpus = Corpus(name="x", title="x", licence="x", source="x", rows=twice, units={"id": lambda row: row.id})
    found = scan(corpus, tmp_path)
    assert ([row.text for row in found.rows], [drop.reason for drop in found.drops]) == (["first"], ["duplicate_id"])


def test_every_known_corpus_states_licence_source_and_layout():
    for corpus in known_corpora():
        assert corpus.licence and corpus.source and corpus.layout and corpus.units
        assert corpus.title in corpus.to_text()


def test_an_entry_point_that_is_no_corpus_is_refused(monkeypatch):
    monkeypatch.setattr(registry, "find", lambda group, name: object())
    with pytest.raises(ValueError, match="it has to name a Corpus"):
        find_corpus("broken")


def test_speakers_are_the_unit_only_where_there_are_ten(tmp_path):
    folder = find_corpus("folder")
    rows = [Utterance(id=f"r{i}", speaker=f"s{i}") for i in range(10)]
    assert (folder.unit(rows), folder.unit(rows[:9])) == ("speaker", "id")
    assert folder.unit(rows[:2], "speaker") == "speaker"


def test_no_folder_is_an_error_that_names_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        scan(BIRDS, tmp_path / "nowhere")


def test_numbers_that_json_has_no_word_for_are_left_out_and_noted(tmp_path, write):
    write(tmp_path / "in" / "a.wav")
    strange = {"snr": float("nan"), "score": {"tempo": 120.0, "notes": [60, float("inf")]}, "song": "x", "depth": 1.5}

    def measured(root, **_):
        yield Utterance(id="a", audio="a.wav", text="x", extra={**strange, "warnings": ["odd: before"]})

    corpus = Corpus(name="x", title="x", licence="x", source="x", rows=measured, units={"id": lambda row: row.id})
    report = prepare(corpus, tmp_path / "in", tmp_path / "out", PrepareSettings(valid=0, test=0), workers=1)
    (row,) = iter_rows(tmp_path / "out")
    assert report.warnings == {"no_number": 2, "odd": 1}
    assert row.extra["warnings"][:2] == ["odd: before", "no_number: snr is nan; it is left out"]
    assert (row.extra["song"], row.extra["depth"], {"snr", "score"} & row.extra.keys()) == ("x", 1.5, set())
