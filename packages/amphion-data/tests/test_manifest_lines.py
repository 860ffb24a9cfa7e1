"""Lines read by arithmetic on their bytes mean what the JSON parser makes of them."""

import json
import random

import numpy as np
import pytest

from amphion_core.data.columns import Labels
from amphion_data.manifest_columns import index_manifest
from amphion_data.manifest_lines import read_alike

WORDS = ("", "word", 'say "no"', "back\\slash", "tab\there", "ünï 新歌 😀", '{"id": "x"}', "1.5", " blank ", "\x7f")
NUMBERS = (
    *(0, 1, -1, 7.25, -0.5, 0.1, 1e-7, 1e22, 123456789012345, 1234567890123456789),
    *(2**31, -(2**31), 3.0, 12345678.90625, 0.30000000000000004),
)


def lines_of(data):
    breaks = np.flatnonzero(np.frombuffer(data, np.uint8) == 10)
    return np.concatenate([[0], breaks + 1]), np.concatenate([breaks, [len(data)]])


def expected(path):
    """Rows as the parser has them, and the lines that are none."""
    rows, wrong = [], 0
    for line in path.read_bytes().split(b"\n"):
        if line.strip():
            try:
                row = json.loads(line.decode())
            except ValueError:
                row = None
            if isinstance(row, dict) and isinstance(row.get("id"), str) and row["id"]:
                rows.append(row)
            else:
                wrong += 1
    return rows, wrong


def compare(path):
    found = index_manifest(path, workers=1)
    rows, wrong = expected(path)
    assert len(found.faults) == wrong and list(found.ids) == [row["id"] for row in rows]
    lines = [path.read_bytes()[at : at + size] for at, size in zip(found.offsets, found.sizes, strict=True)]
    assert [json.loads(line)["id"] for line in lines] == [row["id"] for row in rows]
    texts = [row.get("text") for row in rows]
    assert found.columns["characters"].tolist() == [len(text) if isinstance(text, str) else 0 for text in texts]
    for name, column in found.columns.items():
        extras = [row["extra"] if isinstance(row.get("extra"), dict) else {} for row in rows]
        outer = any(name in row for row in rows)
        values = [(row if outer else extra).get(name) for row, extra in zip(rows, extras, strict=True)]
        if isinstance(column, Labels):
            assert list(column) == values, name
        elif name != "characters":
            np.testing.assert_array_equal(column, np.array([np.nan if v is None else float(v) for v in values]), name)
    return found


def plain(k, **more):
    row = {
        "id": f"r{k}",
        "audio": "a.mp3",
        "duration": k / 8,
        "rate": 24000,
        "text": f"clip {k}",
        "speaker": f"s{k % 9}",
    }
    return {**row, "extra": {"snr": -k / 4, "place": f"p{k % 3}"}, **more}


def write(path, rows, **options):
    path.write_text("".join(json.dumps(row, **options) + "\n" for row in rows), encoding="utf-8")
    return path


def test_lines_that_are_alike_are_read_without_the_parser(tmp_path):
    data = write(tmp_path / "m.jsonl", [plain(k) for k in range(50)]).read_bytes().rstrip(b"\n")
    alike = read_alike(data, *lines_of(data))
    assert alike.lines.tolist() == list(range(50))
    assert alike.numbers["duration"].tolist() == [k / 8 for k in range(50)]
    assert alike.numbers["rate"].dtype == np.int64 and alike.inner_numbers["snr"].tolist() == [
        -k / 4 for k in range(50)
    ]
    starts, ends = alike.inner_texts["place"]
    assert data[starts[4] : ends[4]] == b"p1"
    compare(tmp_path / "m.jsonl")


@pytest.mark.parametrize("seed", range(12))
def test_rows_of_all_kinds_among_them_are_what_the_parser_says(tmp_path, seed):
    generator, rows = random.Random(seed), []
    for k in range(400):
        row = plain(k)
        if generator.random() < 0.2:  # of the same kind: the columns stay
            row["duration"], row["speaker"], row["text"] = (generator.choice(of) for of in (NUMBERS, WORDS, WORDS))
            row["extra"] |= {"snr": generator.choice([*NUMBERS, None]), "place": generator.choice(WORDS)}
        if seed > 5 and generator.random() < 0.1:
            name = generator.choice(["id", "rate", "extra", "new", "text"])
            row[name] = generator.choice([*WORDS, *NUMBERS, None, True, [1], {"a": 1}, {}])
        if seed > 5 and generator.random() < 0.05:
            row.pop(generator.choice(list(row)[1:]))
        rows.append(row)
    found = compare(write(tmp_path / "m.jsonl", rows, ensure_ascii=bool(seed % 2)))
    assert {"duration", "speaker", "snr", "place"} <= found.columns.keys()


@pytest.mark.parametrize(
    "number", ["01", "1.", ".5", "-", "--1", "1-", "1.2.3", "+1", "1e5", "-0", "-0.0", "1_0", "0x1", "NaN"]
)
def test_numbers_are_those_of_json_and_others_are_no_rows(tmp_path, number):
    path = tmp_path / "m.jsonl"
    good = '{"id": "a", "n": 1.5}\n' * 9
    path.write_text(good + f'{{"id": "b", "n": {number}}}\n' + good)
    if number == "NaN":  # which Python's parser takes
        assert np.isnan(index_manifest(path, workers=1).column("n")[9])
    else:
        compare(path)


@pytest.mark.parametrize(
    "line",
    [
        '{"id": "b", "n": 1}{"id": "c", "n": 1}', '{"id": "b", "n": 1} ', ' {"id": "b", "n": 1}', '{"id": "b", "n": 1',
        '{"id": "b", "m": 1}', '{"id":"b","n":1}', '{"n": 1, "id": "b"}', '{"id": "b", "n": "1"}', '["id", "n", 1]', "",
        '{"id": "", "n": 1}', '{"id": "b", "n": 1, "id": "c"}', '{"id": "b", "n": 1}\r', '{"id": "b\\u00e9", "n": 1}',
        '{"id": "b\tc", "n": 1}', '{"id": "b" , "n": 1}', '{"id": "b", "n": 1}}', '{"id": "b", "n": }', "\ufeff{}",
    ],
)  # fmt: skip
def test_a_line_that_is_a_little_different_is_what_the_parser_says(tmp_path, line):
    for place in (0, 1, 9):
        lines = ['{"id": "a", "n": 1}'] * 9
        lines.insert(place, line)
        path = tmp_path / f"{place}.jsonl"
        path.write_bytes("\n".join(lines).encode())
        if not (place == 0 and line.startswith("\ufeff")):  # at the beginning of a file it is no part of the line
            compare(path)


def test_bytes_that_are_no_text_cost_only_their_line(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_bytes(b'{"id": "a", "n": 1}\n{"id": "\xff", "n": 1}\n{"id": "c", "n": 1}\n')
    assert list(compare(path).ids) == ["a", "c"]
