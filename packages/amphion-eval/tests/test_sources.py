import numpy as np
import pytest

from amphion_core import audio
from amphion_eval.metric import Metric, find
from amphion_eval.pairing import PairingError
from amphion_eval.sources import find_items

ALONE = Metric("alone", lambda wav, rate: 0.0, needs="clip")
OF_SETS = Metric("spread", lambda refs, ests: 0.0, needs="sets", models=lambda settings: ())
WITH_REFERENCE = find("mstft")


@pytest.fixture
def places(tmp_path):
    for folder, names in (("ref", "ab"), ("est", "bcd")):
        (tmp_path / folder).mkdir()
        for name in names:
            audio.save(tmp_path / folder / f"{name}.wav", np.full(400, 0.1, np.float32), 16000)
    return tmp_path / "ref", tmp_path / "est"


def test_one_place_serves_metrics_that_need_no_recording(places):
    items = find_items(None, places[1], [ALONE])
    assert [pair.id for pair in items.pairs] == ["b", "c", "d"] and items.pairing == "outputs alone"


def test_metrics_that_need_recordings_are_named_where_there_are_none(places):
    with pytest.raises(PairingError, match=r"mstft need recordings: give REFERENCE and ESTIMATE; without .*there are"):
        find_items(None, places[1], [ALONE, WITH_REFERENCE])


def test_metrics_of_sets_need_no_partners(places):
    items = find_items(*places, [OF_SETS, ALONE])
    assert len(items.pairs) == 3 and len(items.references) == 2 and items.pairing == "two sets, not paired"


def test_metrics_of_pairs_beside_metrics_of_sets_need_partners(places):
    with pytest.raises(PairingError, match="no reference for c"):
        find_items(*places, [OF_SETS, WITH_REFERENCE])


def test_partners_that_are_left_out_are_listed(places):
    items = find_items(*places, [WITH_REFERENCE], ignore_missing=True)
    assert [pair.id for pair in items.pairs] == ["b"] and len(items.left_out) == 3


def test_texts_of_a_table_join_clips_of_folders(places, tmp_path):
    (tmp_path / "t.csv").write_text("id,text,language\nb,said,de\nc,,\nd,,\n")
    items = find_items(None, places[1], [ALONE], texts=tmp_path / "t.csv")
    assert (items.pairs[0].text, items.pairs[0].language) == ("said", "de")


def test_nothing_to_score_is_refused():
    with pytest.raises(PairingError, match="neither outputs nor a table"):
        find_items(None, None, [ALONE])
