"""Texts that are given beside recordings: times that are none are damage, and markup is no speech."""

import json

import pytest

from amphion_data.engines import open_store
from amphion_data.pipe.transcription import given_texts


@pytest.mark.parametrize(("start", "end"), [(5.0, 4.0), (float("nan"), 4.0), (1.0, float("inf"))])
def test_times_out_of_order_or_that_are_no_numbers_make_a_file_damaged(tmp_path, start, end):
    (tmp_path / "a.jsonl").write_text(json.dumps({"start": start, "end": end, "text": "said"}))
    with pytest.raises(
        ValueError, match=f"a.jsonl: no list .* times must be numbers in order, got {start:g} to {end:g} s"
    ):
        given_texts(open_store(tmp_path), "a.wav")


def test_a_subtitle_that_ends_before_it_begins_is_damage(tmp_path):
    (tmp_path / "a.srt").write_text("1\n00:00:05,000 --> 00:00:04,000\nsaid\n")
    with pytest.raises(ValueError, match="in order, got 5 to 4 s"):
        given_texts(open_store(tmp_path), "a.wav")


def test_how_subtitles_are_shown_is_no_part_of_what_is_said(tmp_path):
    shown = '<i>And <b>this</b> came</i>\n{\\an8}<font color="#fff">later</font>, 3 < 4 <sic> {so}'
    (tmp_path / "a.srt").write_text(f"1\n00:00:01,000 --> 00:00:04,000\n{shown}\n")
    assert given_texts(open_store(tmp_path), "a.wav") == [(1.0, 4.0, "And this came later, 3 < 4 <sic> {so}", None)]
