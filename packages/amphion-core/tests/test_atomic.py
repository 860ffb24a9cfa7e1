"""Files and folders are whole or absent."""

import pytest

from amphion_core.atomic import TEMPORARY, atomic_folder, atomic_writer, remove_temporaries


def test_a_file_keeps_its_old_content_when_the_writer_fails(tmp_path):
    (tmp_path / "a").write_text("old")
    with pytest.raises(RuntimeError), atomic_writer(tmp_path / "a") as file:
        file.write(b"new")
        raise RuntimeError
    assert (tmp_path / "a").read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_a_name_of_255_bytes_can_be_written(tmp_path):
    with atomic_writer(tmp_path / ("n" * 255)) as file:
        file.write(b"x")
    assert (tmp_path / ("n" * 255)).read_bytes() == b"x"


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "f") as folder:
        (folder / "a").write_text("x")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with atomic_folder(tmp_path / "f") as folder:
        (folder / "a").write_text("x")
        assert not (tmp_path / "f").exists()
    assert (tmp_path / "f" / "a").read_text() == "x"


def test_an_existing_folder_is_never_replaced(tmp_path):
    (tmp_path / "f").mkdir()
    with pytest.raises(FileExistsError, match="exists already"), atomic_folder(tmp_path / "f"):
        pass


def test_leftovers_of_killed_writers_are_removed_and_named(tmp_path):
    (tmp_path / f"{TEMPORARY}a").write_text("x")
    (tmp_path / f"{TEMPORARY}folder").mkdir()
    (tmp_path / f"{TEMPORARY}folder" / "b").write_text("x")
    (tmp_path / "kept").write_text("x")
    assert remove_temporaries(tmp_path) == [f"{TEMPORARY}a", f"{TEMPORARY}folder"]
    assert [p.name for p in tmp_path.iterdir()] == ["kept"]
