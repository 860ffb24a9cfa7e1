import numpy as np
import pytest

from amphion_data.parts import open_parts
from amphion_data.preparing import prepare
from amphion_data.settings import PrepareSettings
from amphion_data.statistics import Histogram, count_folder, report_text


@pytest.fixture
def shards(tmp_path, write):
    for voice, seconds in (("ann", 1.0), ("ann", 2.0), ("bob", 0.5)):
        write(tmp_path / "in" / voice / f"{seconds}.wav", seconds=seconds, amplitude=0.5)
        (tmp_path / "in" / voice / f"{seconds}.txt").write_text("ten letters"[:10], encoding="utf-8")
    settings = PrepareSettings(valid=0, test=0, language="en")
    prepare("folder", tmp_path / "in", tmp_path / "out", settings, workers=1, progress=False)
    return tmp_path / "out"


def test_seconds_add_up_by_speaker_and_language(shards):
    found = count_folder(shards)["train"]
    assert (found.rows, found.seconds) == (3, pytest.approx(3.5))
    assert found.speakers == {"ann": pytest.approx(3.0), "bob": pytest.approx(0.5)}
    assert found.languages == {"en": pytest.approx(3.5)}
    assert found.sample_rates == {16_000: 3}


def test_the_card_of_one_set_speaks_of_no_split(shards):
    card = (shards / "README.md").read_text(encoding="utf-8")
    assert "All rows are in one set" in card
    assert "hash" not in card


def test_hours_are_stated_to_the_millisecond(shards):
    stated = count_folder(shards)["train"].to_dict()
    assert stated["hours"] * 3600 == pytest.approx(3.5, abs=0.0005)
    assert stated["speakers"]["ann"] * 3600 == pytest.approx(3.0, abs=0.0005)


def test_speaking_rate_is_characters_by_seconds(shards):
    assert count_folder(shards)["train"].rates.to_dict()["mean"] == pytest.approx((10 + 5 + 20) / 3, rel=1e-3)


def test_levels_are_those_of_the_sound(shards):
    # A sine of amplitude 0.5 has a root mean square of 0.5 / sqrt(2), -9.03 dB.
    assert count_folder(shards)["train"].levels.to_dict()["mean"] == pytest.approx(-9.03, abs=0.02)


def test_parts_are_the_splits_or_the_folder_itself(shards):
    assert list(open_parts(shards)) == ["train"]
    assert list(open_parts(shards / "train")) == ["train"]
    with pytest.raises(FileNotFoundError, match="no shards"):
        open_parts(shards.parent / "in")


def test_values_outside_go_to_the_outermost_bins():
    histogram = Histogram("x", 0, 1, 3)
    histogram.add(np.array([-5, 0, 1.5, 99]))
    assert histogram.to_dict()["bins"] == [[0, 1, 2], [1, 2, 1], [2, 3, 1]]
    assert (histogram.to_dict()["min"], histogram.to_dict()["max"]) == (-5, 99)


def test_the_fullest_bin_has_the_longest_bar():
    histogram = Histogram("x", 0, 1, 3)
    histogram.add(np.array([0, 0, 0, 0, 2.0]))
    bars = [line.count("█") for line in histogram.to_text(width=8).splitlines()[1:]]
    assert bars == [8, 0, 2]


def test_report_has_a_line_for_each_set_and_bars(shards):
    text = report_text(count_folder(shards))
    assert "train             3     0.001         2  en            16000" in text
    assert "duration, s: 0.50 to 2.00" in text
