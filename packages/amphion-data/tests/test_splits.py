import hashlib

import pytest

from amphion_data.splits import assign_splits, read_split_list, split_fraction


def test_fraction_is_the_sha256_of_corpus_and_unit():
    digest = hashlib.sha256(b"ljspeech:LJ016").hexdigest()
    assert split_fraction("ljspeech", "LJ016") == pytest.approx(int(digest[:8], 16) / 2**32, abs=2**-31)


def test_new_units_move_no_old_row():
    units = [f"u{i}" for i in range(300)]
    before = assign_splits("c", units[:200], valid=0.1, test=0.1)
    assert assign_splits("c", units, valid=0.1, test=0.1)[:200] == before


def test_shares_are_about_what_was_asked():
    names = assign_splits("c", [f"u{i}" for i in range(4000)], valid=0.1, test=0.2)
    assert names.count("valid") == pytest.approx(400, abs=80)  # four standard deviations of a binomial
    assert names.count("test") == pytest.approx(800, abs=105)


@pytest.mark.parametrize("sizes", [(0.2, 0.2), (12, 30), (0.2, 30), (12, 0.2)])
def test_a_unit_is_never_torn_apart(sizes):
    units = [f"chapter{i // 10}" for i in range(200)]
    names = assign_splits("c", units, valid=sizes[0], test=sizes[1])
    assert len(set(zip(units, names, strict=True))) == 20


def test_a_number_of_rows_takes_whole_units_until_it_is_reached():
    names = assign_splits("c", [f"chapter{i // 10}" for i in range(200)], valid=12, test=10)
    assert (names.count("test"), names.count("valid")) == (10, 20)


def test_zero_asks_for_no_split():
    assert set(assign_splits("c", ["a", "b"], valid=0, test=0)) == {"train"}


def test_a_corpus_without_training_rows_is_an_error_that_says_why():
    with pytest.raises(ValueError, match="nothing is left to train on: 1 units of 2 rows"):
        assign_splits("c", ["a", "a"], valid=0, test=2)


def test_shares_that_leave_nothing_to_train_on_are_refused():
    with pytest.raises(ValueError, match=r"valid=0\.5 and test=0\.5 leave nothing"):
        assign_splits("c", [f"u{i}" for i in range(100)], valid=0.5, test=0.5)


@pytest.mark.parametrize("size", [-0.1, 1.5])
def test_sizes_that_are_neither_share_nor_number_are_refused(size):
    with pytest.raises(ValueError, match="share from 0 to below 1, or a whole number"):
        assign_splits("c", ["a"], valid=0, test=size)


def test_split_list_takes_common_spellings_and_separators(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("a\ttrain\nb|dev\nc,validation\nd\ttest\n\n", encoding="utf-8")
    assert read_split_list(path) == {"a": "train", "b": "valid", "c": "valid", "d": "test"}


@pytest.mark.parametrize("line", ["a\tnowhere", "train", "a\ttrain\na\ttest"])
def test_faulty_split_list_names_the_line(tmp_path, line):
    path = tmp_path / "list.txt"
    path.write_text(line, encoding="utf-8")
    with pytest.raises(ValueError, match=r"list\.txt:[12]: "):
        read_split_list(path)
