import random
from itertools import pairwise

import pytest

from amphion_data.scores import Interval, Point, read_lab, read_labels, read_textgrid


def long_form(tiers, end=3.2):
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0 ", f"xmax = {end} "]
    lines += ["tiers? <exists> ", f"size = {len(tiers)} ", "item []: "]
    for i, (name, rows) in enumerate(tiers, 1):
        lines += [f"    item [{i}]:", '        class = "IntervalTier" ', f'        name = "{name}" ']
        lines += ["        xmin = 0 ", f"        xmax = {end} ", f"        intervals: size = {len(rows)} "]
        for j, (start, stop, text) in enumerate(rows, 1):
            doubled = text.replace('"', '""')
            lines += [f"        intervals [{j}]:", f"            xmin = {start} ", f"            xmax = {stop} "]
            lines += [f'            text = "{doubled}" ']
    return "\n".join(lines) + "\n"


def short_form(tiers, end=3.2):
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "0", str(end), "<exists>", str(len(tiers))]
    for name, rows in tiers:
        lines += ['"IntervalTier"', f'"{name}"', "0", str(end), str(len(rows))]
        for start, stop, text in rows:
            doubled = text.replace('"', '""')
            lines += [str(start), str(stop), f'"{doubled}"']
    return "\n".join(lines) + "\n"


TIERS = [("words", [(0, 1.5, 'a "b"'), (1.5, 3.2, "")]), ("phones", [(0, 0.5, "sh"), (0.5, 1.5, "音"), (1.5, 3.2, "")])]


@pytest.mark.parametrize("form", [long_form, short_form])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_both_forms_in_every_encoding_give_the_same_tiers(form, encoding):
    grid = read_textgrid(form(TIERS).encode(encoding))
    assert [tier.name for tier in grid.tiers] == ["words", "phones"]
    assert grid.tier("words").intervals[0] == Interval(0, 1.5, 'a "b"')
    assert grid.phones().intervals[1] == Interval(0.5, 1.5, "音")
    assert (grid.start, grid.end, grid.warnings) == (0, 3.2, ())


def test_random_tiers_come_back_from_both_forms():
    generator = random.Random(0)
    for _ in range(20):
        edges = sorted({0.0, 3.2, *(round(generator.uniform(0, 3.2), 3) for _ in range(generator.randrange(20)))})
        alphabet = 'ab"\n!<> 1.5'
        rows = [(a, b, "".join(generator.choices(alphabet, k=5)).strip()) for a, b in pairwise(edges)]
        for form in (long_form, short_form):
            found = read_textgrid(form([("t", rows)]).encode()).tiers[0].intervals
            assert [(i.start, i.end, i.label) for i in found] == rows


def test_tiers_of_points_are_read():
    text = (
        'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n2\n<exists>\n1\n"TextTier"\n"beats"\n0\n2\n2\n'
        '0.5\n"one"\n1.5\n"two"\n'
    )
    assert read_textgrid(text.encode()).tier("beats").points == (Point(0.5, "one"), Point(1.5, "two"))


def test_comments_are_passed_over():
    text = short_form(TIERS).replace("<exists>", "! three numbers: 1 2 3\n<exists>")
    assert len(read_textgrid(text.encode()).tiers) == 2


def test_gaps_and_overlaps_over_a_millisecond_are_warnings():
    grid = read_textgrid(short_form([("t", [(0, 1, "a"), (1.0005, 2, "b"), (1.9, 3, "c"), (3.1, 3.2, "d")])]).encode())
    assert len(grid.warnings) == 2
    assert "overlap of 0.1000 s between 'b' and 'c'" in grid.warnings[0] and "gap of 0.1000 s" in grid.warnings[1]


def test_phone_tier_is_found_by_name_or_by_size():
    rows = [(0, 1, "a"), (1, 3.2, "b")]
    assert read_textgrid(short_form([("x", rows), ("音素", rows[:1])]).encode()).phones().name == "音素"
    assert read_textgrid(short_form([("x", rows[:1]), ("y", rows)]).encode()).phones().name == "y"
    with pytest.raises(LookupError, match="0 tiers named 'z'; there are 'x'"):
        read_textgrid(short_form([("x", rows)]).encode()).phones("z")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hello", "ends before the file type"),
        (short_form(TIERS).replace("ooTextFile", "other"), "no TextGrid"),
        (short_form(TIERS).replace("IntervalTier", "PitchTier"), "'PitchTier'"),
        (short_form(TIERS)[:-20], "ends before tier 2"),
        (short_form(TIERS).replace("\n2\n", "\n999999999\n", 1), "999999999|1e"),
        (short_form(TIERS).replace("\n0.5\n", '\n"x"\n', 1), "expected a number"),
    ],
)
def test_what_is_no_textgrid_is_refused(text, words):
    with pytest.raises(ValueError, match=words):
        read_textgrid(text.encode())


def test_labels_in_htk_units_and_in_seconds_are_told_apart():
    assert read_lab(b"0 33740000 pau\n33740000 35000000 a\n") == [Interval(0, 3.374, "pau"), Interval(3.374, 3.5, "a")]
    assert read_lab(b"0.000 1.204 sil\n1.204 2 ah\n\n") == [Interval(0, 1.204, "sil"), Interval(1.204, 2, "ah")]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"0 1.5 a\nb c\n", "line 2"),
        (b"x 1.0 a", "no times"),
        (b"0.0 1.0 a b\n", "line 1: expected 'start end label', found '0.0 1.0 a b'"),
        (b"2.0 1.0 a", "lasts from"),
        (b"\xff\xfe\x00", "UTF-16"),
    ],
)
def test_faulty_labels_are_named_by_line(data, words):
    with pytest.raises(ValueError, match=words):
        read_lab(data)


def test_labels_without_times_are_read_apart():
    assert read_labels(b"n i h ao\n") == ["n", "i", "h", "ao"]
