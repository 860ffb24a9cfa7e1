import csv
import io
import json
import math

import pytest

from amphion_eval.report import load_report


def test_json_has_items_summary_and_provenance(report):
    values = json.loads(report(1.0, None, 3.0).to_json())
    assert values["items"][0]["metrics"] == {"m": 1.0} and values["items"][1]["metrics"] == {"m": None}
    assert values["items"][1]["undefined"] == {"m": "silence"}
    summary = values["summary"]["m"]
    assert (summary["mean"], summary["n"], summary["n_undefined"]) == (2.0, 2, 1)
    assert len(summary["ci95"]) == 2 and summary["std"] == pytest.approx(math.sqrt(2))
    assert values["provenance"]["alignment"] == "cut"


def test_json_has_no_word_outside_the_standard(report):
    def refuse(word):
        raise AssertionError(word)

    values = json.loads(report(math.inf, -math.inf, 1.0).to_json(), parse_constant=refuse)
    assert [item["metrics"]["m"] for item in values["items"]] == [math.inf, -math.inf, 1.0]


def test_saved_result_comes_back(tmp_path, report):
    result = report(1.0, None, math.inf)
    result.to_json(tmp_path / "r.json")
    loaded = load_report(tmp_path / "r.json")
    assert loaded.to_json() == result.to_json() and loaded.folder == tmp_path


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"items": [{}], "provenance": {"metrics": {}}}'])
def test_what_is_no_result_is_refused_with_its_name(tmp_path, text):
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(ValueError, match=r"r\.json"):
        load_report(tmp_path / "r.json")


def test_result_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"r\.json"):
        load_report(tmp_path / "r.json")


def test_csv_has_an_item_a_line_and_nothing_where_undefined(tmp_path, report):
    text = report(1.5, None).to_csv(tmp_path / "r.csv")
    assert text == (tmp_path / "r.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["m"] for row in rows] == ["1.5", ""] and rows[1]["undefined"] == "m: silence"
