import json

import numpy as np
import pytest

from amphion_core.data import read_drops
from amphion_data import manifest_columns
from amphion_data.manifest_columns import index_manifest
from amphion_data.manifest_filter import filter_manifest


def rows(count=500):
    for k in range(count):
        extra = {"dnsmos": 3 + k % 10 / 10} if k % 7 else {}
        yield {
            "id": f"clip/ü{k:04d}",
            "audio": f"a/{k}.wav",
            "duration": 1 + k % 30 * 0.5,
            "text": f"no. {k}" if k % 5 else None,
            "speaker": f"s{k % 11}",
            "language": ("en", "de", None)[k % 3],
            "extra": extra,
        }


@pytest.fixture
def manifest(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=k % 2 == 0) + "\n" for k, row in enumerate(rows())), "utf-8")
    return path


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(manifest_columns, "_PIECE", 777)


CONDITIONS = {
    "duration > 3 and dnsmos >= 3.2": lambda r: r["duration"] > 3 and r["extra"].get("dnsmos", 0) >= 3.2,
    'language in ("en", "de") and speaker != "s1"': lambda r: r["language"] is not None and r["speaker"] != "s1",
    "characters == 0": lambda r: not r["text"],
    '"9" in text and dnsmos is not None': lambda r: "9" in (r["text"] or "") and "dnsmos" in r["extra"],
    'endswith(audio, "7.wav")': lambda r: r["audio"].endswith("7.wav"),
}


@pytest.mark.parametrize("where", CONDITIONS)
def test_the_lines_that_meet_a_condition_are_copied_as_they_are(manifest, tmp_path, where, small_pieces):
    report = filter_manifest(manifest, tmp_path / "out.jsonl", where, workers=1)
    lines = manifest.read_bytes().splitlines(keepends=True)
    expected = [line for line, row in zip(lines, rows(), strict=True) if CONDITIONS[where](row)]
    assert (tmp_path / "out.jsonl").read_bytes() == b"".join(expected)
    drops = [drop.id for drop in read_drops(tmp_path / "out.drops.jsonl")]
    assert drops == [row["id"] for row in rows() if not CONDITIONS[where](row)]
    assert (report.rows_in, report.kept) == (500, len(expected))
    assert sum(report.dropped.values()) == len(drops)


@pytest.mark.parametrize("piece", [100, 777, 10**6])
def test_columns_do_not_depend_on_how_the_file_is_cut(manifest, monkeypatch, piece):
    monkeypatch.setattr(manifest_columns, "_PIECE", piece)
    found = index_manifest(manifest, workers=1)
    assert list(found.ids) == [row["id"] for row in rows()]
    np.testing.assert_array_equal(found.column("duration"), [row["duration"] for row in rows()])
    np.testing.assert_array_equal(found.column("dnsmos"), [row["extra"].get("dnsmos", np.nan) for row in rows()])
    assert list(found.column("language")) == [row["language"] for row in rows()]
    data = manifest.read_bytes()
    for at, size, row in zip(found.offsets.tolist(), found.sizes.tolist(), rows(), strict=True):
        assert json.loads(data[at : at + size]) == row


@pytest.mark.slow
def test_columns_do_not_depend_on_the_number_of_processes(manifest, tmp_path, small_pieces):
    filter_manifest(manifest, tmp_path / "one.jsonl", '"1" in text', workers=1)
    kept = (manifest.parent / "rows.jsonl.columns").read_bytes()
    (manifest.parent / "rows.jsonl.columns").unlink()
    filter_manifest(manifest, tmp_path / "two.jsonl", '"1" in text', workers=2)
    assert (manifest.parent / "rows.jsonl.columns").read_bytes() == kept
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()


def test_columns_are_kept_and_made_anew_when_the_manifest_changes(manifest, monkeypatch):
    index_manifest(manifest, workers=1)
    with monkeypatch.context() as patched:
        patched.setattr(manifest_columns, "map_pieces", None)  # it would fail if it read the manifest again
        assert len(index_manifest(manifest)) == 500
    with manifest.open("a") as file:
        file.write('{"id": "new", "duration": 1}\n')
    assert len(index_manifest(manifest, workers=1)) == 501


def test_a_damaged_file_of_columns_is_made_anew(manifest):
    index_manifest(manifest, workers=1)
    kept = manifest.with_name("rows.jsonl.columns")
    kept.write_bytes(kept.read_bytes()[:-200])
    assert len(index_manifest(manifest, workers=1)) == 500


def test_lines_that_are_no_rows_are_dropped_with_their_place(tmp_path):
    good = '{"id": "a", "duration": 1.5}'
    lines = ["\ufeff" + good, "", "{cut", "[1]", '{"duration": 3}', f"  {good} ", f"{good},{good}", '{"id": 3}', good]
    data = "\r\n".join(lines).encode() + b'\n{"id": "\xff", "duration": 1}\n'
    (tmp_path / "rows.jsonl").write_bytes(data)
    report = filter_manifest(tmp_path / "rows.jsonl", tmp_path / "out.jsonl", "duration > 1", workers=1)
    assert (report.rows_in, report.kept, report.dropped) == (9, 3, {"bad_row": 6})
    details = [drop.detail for drop in read_drops(tmp_path / "out.drops.jsonl")]
    assert [detail.partition(":")[0] for detail in details] == [
        "no JSON",
        "expected a JSON object, found list",
        "no id, which has to be a text",
        "no JSON",
        "no id, which has to be a text",
        "no JSON",
    ]


@pytest.mark.parametrize(
    ("where", "error", "words"),
    [
        ("duration > 99", ValueError, "no row of 500 in .* meets"),
        ("dnsmis > 3", LookupError, "no row has a value of dnsmis.*did you mean dnsmos"),
        ("speaker > 3", ValueError, "a text is compared with a number"),
        ("duration >", ValueError, "character"),
    ],
)
def test_a_condition_that_fits_nothing_is_an_error_and_writes_nothing(manifest, tmp_path, where, error, words):
    with pytest.raises(error, match=words):
        filter_manifest(manifest, tmp_path / "out.jsonl", where, workers=1)
    assert not (tmp_path / "out.jsonl").exists()


def test_a_column_of_many_texts_in_a_part_of_the_file_is_searched_in_all_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr(manifest_columns, "_PIECE", 4000)
    notes = [f"n{k}" if k > 300 else "same" for k in range(1000)]
    lines = [json.dumps({"id": f"r{k}", "note": note}) + "\n" for k, note in enumerate(notes)]
    (tmp_path / "rows.jsonl").write_text("".join(lines))
    assert "note" not in index_manifest(tmp_path / "rows.jsonl", workers=1).columns
    assert filter_manifest(tmp_path / "rows.jsonl", tmp_path / "out.jsonl", 'note == "same"', workers=1).kept == 301


def test_a_manifest_is_not_written_over_itself(manifest):
    with pytest.raises(ValueError, match="choose another name"):
        filter_manifest(manifest, manifest, "duration > 3", workers=1)


def test_an_empty_manifest_is_an_error(tmp_path):
    (tmp_path / "rows.jsonl").write_text("\n\n")
    with pytest.raises(ValueError, match=r"no line of .* is a row"):
        index_manifest(tmp_path / "rows.jsonl")
