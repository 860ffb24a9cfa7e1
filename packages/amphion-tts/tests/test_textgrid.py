"""TextGrid files of forced aligners."""

import pytest

from amphion_tts.textgrid import phone_durations, read_textgrid

LONG = '''File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 1.0
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "words"
        xmin = 0
        xmax = 1.0
        intervals: size = 1
        intervals [1]:
            xmin = 0
            xmax = 1.0
            text = "say ""hi"""
    item [2]:
        class = "IntervalTier"
        name = "phones"
        xmin = 0
        xmax = 1.0
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 0.25
            text = ""
        intervals [2]:
            xmin = 0.25
            xmax = 0.5
            text = "HH"
        intervals [3]:
            xmin = 0.5
            xmax = 1.0
            text = "AY1"
'''
PHONES = [(0.0, 0.25, ""), (0.25, 0.5, "HH"), (0.5, 1.0, "AY1")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_long_form_is_read(tmp_path, encoding):
    path = tmp_path / "a.TextGrid"
    path.write_text(LONG, encoding=encoding)
    assert read_textgrid(path) == PHONES
    assert read_textgrid(path, "words") == [(0.0, 1.0, 'say "hi"')]


def test_the_short_form_with_a_point_tier_is_read(tmp_path):
    path = tmp_path / "a.TextGrid"
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "0", "1.0", "<exists>", "2"]
    lines += ['"TextTier"', '"marks"', "0", "1.0", "1", "0.5", '"x"']
    lines += ['"IntervalTier"', '"phones"', "0", "1.0", "3", "0", "0.25", '""', "0.25", "0.5", '"HH"']
    path.write_text("\n".join([*lines, "0.5", "1.0", '"AY1"']))
    assert read_textgrid(path) == PHONES


def test_cut_foreign_and_absent_files_are_named(tmp_path):
    path = tmp_path / "a.TextGrid"
    with pytest.raises(FileNotFoundError, match="no TextGrid at"):
        read_textgrid(path)
    path.write_text(LONG[: len(LONG) * 2 // 3])
    with pytest.raises(ValueError, match="cut or damaged"):
        read_textgrid(path)
    path.write_text("hello")
    with pytest.raises(ValueError, match="is no TextGrid"):
        read_textgrid(path)
    path.write_text(LONG)
    with pytest.raises(LookupError, match="no interval tier 'x'; it has: words, phones"):
        read_textgrid(path, "x")


def test_durations_sum_to_the_rounded_span():
    result = phone_durations([(0, 0.1, "sil"), (0.1, 0.333, "A"), (0.333, 0.71, ""), (0.71, 1.0, "B")], 22050, 256)
    assert result.phones == ("A", "sp", "B")
    assert sum(result.durations) == round(1.0 * 22050 / 256) - round(0.1 * 22050 / 256)


def test_silence_alone_is_refused():
    with pytest.raises(ValueError, match="holds no phone"):
        phone_durations([(0, 1, "sil")], 22050, 256)
