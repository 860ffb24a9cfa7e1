import unicodedata

import pytest

from amphion_core.data.record import Drop, check_field, escape_key, read_drops, unescape_key, write_drops

NAMES = [
    "LJ001-0001",
    "EN_v1.0.clip",
    "SINGER/SONG/a name",
    "../../etc/passwd",
    "/absolute",
    "-rf",
    "日本語.テスト",
    "tab\there",
    "back\\slash",
    "100%",
    "%2E",
    "a" * 300,
    "e\u0301",
    ".hidden",
    "C:drive",
    "é:x",
]


@pytest.mark.parametrize("name", NAMES)
def test_an_escaped_key_has_nothing_that_ends_it_and_comes_back(name):
    escaped = escape_key(name)
    assert not set(escaped) & set("./\\ \t") and not any(unicodedata.category(c)[0] == "C" for c in escaped)
    assert escaped[1:2] != ":"
    assert unescape_key(escaped) == unicodedata.normalize("NFC", name)


def test_letters_of_other_scripts_stay():
    assert escape_key("日本語") == "日本語"


def test_two_spellings_of_one_letter_are_one_key():
    assert escape_key("e\u0301") == escape_key("é")


@pytest.mark.parametrize(
    ("name", "words"), [("", "empty"), ("x" * 2000, "2000 characters"), ("\ud800", "no valid unicode")]
)
def test_impossible_ids_are_refused(name, words):
    with pytest.raises(ValueError, match=words):
        escape_key(name)


@pytest.mark.parametrize("name", ["flac", "mel.npy", "json", "f0_dio.npy"])
def test_usual_fields_are_allowed(name):
    check_field(name)


@pytest.mark.parametrize("name", ["", "FLAC", "a b", "../x", ".json", "a..b", "a/b", "pickle", "x.pth", "pyd"])
def test_fields_that_break_a_tar_or_run_code_are_refused(name):
    with pytest.raises(ValueError):
        check_field(name)


def test_drops_come_back(tmp_path):
    drops = [Drop("a", "a.wav", "empty_audio", "0 bytes", "check"), Drop("ü\n")]
    write_drops(tmp_path / "drops.jsonl", drops)
    assert list(read_drops(tmp_path / "drops.jsonl")) == drops
