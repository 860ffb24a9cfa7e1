import os

import pytest

from amphion_data.files import clean_text, first_entries, is_audio, is_hidden, printable, safe_path, walk


def test_files_come_in_the_order_of_their_paths(tmp_path):
    for name in ("b/z.wav", "b.wav", "a/y.wav", "B.wav", "é.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert list(walk(tmp_path)) == ["B.wav", "a/y.wav", "b.wav", "b/z.wav", "é.wav"]


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_links_in_a_circle_are_walked_once(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.wav").touch()
    (tmp_path / "a" / "up").symlink_to(tmp_path, target_is_directory=True)
    assert list(walk(tmp_path)) == ["a/x.wav"]


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
@pytest.mark.parametrize("first", ["a", "z"])
def test_a_folder_keeps_its_own_name_beside_links_to_it(tmp_path, first):
    for number, name in enumerate(("b", "c", "d") if first == "a" else ("d", "c", "b")):
        (tmp_path / "in" / name).mkdir(parents=True)
        (tmp_path / "in" / name / f"{number}.wav").touch()
    (tmp_path / "in" / "b" / "sub").mkdir()
    (tmp_path / "in" / "b" / "sub" / "y.wav").touch()
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "x.wav").touch()
    for name, place in ((f"{first}1", "in/b"), (f"{first}2", "in/b/sub"), (f"{first}4", "else"), (f"{first}3", "else")):
        (tmp_path / "in" / name).symlink_to(tmp_path / place, target_is_directory=True)
    (tmp_path / "else" / "back").symlink_to(tmp_path / "in", target_is_directory=True)
    names = dict(zip(("b", "c", "d"), "012" if first == "a" else "210", strict=True))
    expected = [*(f"{name}/{number}.wav" for name, number in names.items()), "b/sub/y.wav", f"{first}3/x.wav"]
    assert list(walk(tmp_path / "in")) == sorted(expected)


@pytest.mark.parametrize("path", ["../x.wav", "a/../../x.wav", "/etc/passwd", "", ".", "a/../b.wav", "C:\\x.wav"])
def test_paths_that_lead_outside_are_refused(tmp_path, path):
    with pytest.raises(ValueError, match="below the folder of the corpus"):
        safe_path(path, tmp_path)


@pytest.mark.parametrize(
    ("path", "clean"),
    [("./a/b.wav", "a/b.wav"), ("a//b.wav", "a/b.wav"), ("a\\b.wav", "a/b.wav"), (" a.wav ", "a.wav")],
)
def test_paths_have_one_form(tmp_path, path, clean):
    assert safe_path(path, tmp_path) == clean


def test_text_is_composed_and_has_single_blanks():
    assert clean_text(" cafe\u0301 \n\tau\u00a0lait ") == "caf\u00e9 au lait"


@pytest.mark.parametrize("path", ["._a.wav", ".git/a.wav", "__MACOSX/a.wav"])
def test_what_systems_leave_behind_is_hidden(path):
    assert is_hidden(path)


def test_endings_are_matched_without_regard_to_case():
    assert is_audio("A.WAV") and is_audio("b.Flac") and not is_audio("wav") and not is_audio("a.wav.txt")


def test_of_many_entries_ten_are_named(tmp_path):
    for number in range(13):
        (tmp_path / f"f{number:02d}").touch()
    assert first_entries(tmp_path).endswith("f08, f09 and 3 more")


def test_bytes_of_a_name_that_are_no_utf8_are_spelt_out_and_nothing_else_is():
    assert printable(os.fsdecode(b"a\xff.wav")) == r"a\udcff.wav"
    assert printable("é 中\n.wav") == "é 中\n.wav"
