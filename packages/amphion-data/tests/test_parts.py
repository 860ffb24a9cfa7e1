"""Where the sets of shards lie below a folder."""

import pytest

from amphion_core.data import Record, write_shards
from amphion_data.parts import open_parts


class Row(str):
    """A row as the shard writer takes it: its text is its fingerprint and its key."""

    def to_json(self):
        return str(self)


def encode(row):
    return Record(row, {"json": f'{{"id": "{row}", "duration": 1.0}}'.encode()})


def make(folder, *keys):
    write_shards([Row(key) for key in keys], encode, folder, progress=False)


def keys(source):
    return {name: list(shards.keys) for name, shards in open_parts(source).items()}


def test_a_prepared_folder_has_its_splits(tmp_path):
    make(tmp_path / "train", "a", "b")
    make(tmp_path / "test", "c")
    assert keys(tmp_path) == {"train": ["a", "b"], "test": ["c"]}


def test_a_folder_of_shards_is_one_set(tmp_path):
    make(tmp_path / "set", "a")
    assert keys(tmp_path / "set") == {"set": ["a"]}


def test_what_the_pipeline_wrote_is_one_set(tmp_path):
    make(tmp_path / "talks" / "shards", "a", "b")
    assert keys(tmp_path / "talks") == {"talks": ["a", "b"]}


def test_tars_of_others_are_found_in_folders_of_languages(tmp_path):
    for name in ("train/EN", "train/DE", "test/EN"):
        make(tmp_path / "whole" / name, name.replace("/", "-"))
        (tmp_path / "whole" / name / "shards.json").unlink()
    assert keys(tmp_path / "whole") == {"train": ["train-DE", "train-EN"], "test": ["test-EN"]}
    assert keys(tmp_path / "whole" / "train") == {"train": ["train-DE", "train-EN"]}


def test_sets_side_by_side_are_not_taken_for_one(tmp_path):
    make(tmp_path / "one", "a")
    make(tmp_path / "two", "b")
    with pytest.raises(FileNotFoundError, match="holds one/, two/"):
        open_parts(tmp_path)


def test_a_folder_without_shards_says_what_it_holds(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(FileNotFoundError, match=r"or its train, valid, test, shards; .*notes\.txt"):
        open_parts(tmp_path)
