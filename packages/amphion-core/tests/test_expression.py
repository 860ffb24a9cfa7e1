import numpy as np
import pytest

from amphion_core.data import Expression, ExpressionError, Record, ShardSet, SourceConfig, open_source, write_shards
from amphion_core.data.columns import Labels, Strings
from amphion_core.data.mixing import EmptySetError

COLUMNS = {
    "duration": np.array([1.0, 4.0, 8.0, 20.0]),
    "dnsmos": np.array([3.5, np.nan, 2.9, 3.2]),
    "language": Labels(np.array([0, 1, -1, 0], np.int32), ["en", "de"]),
    "text": ["um, yes", "Ja", None, "no"],
    "checked": [True, False, None, True],
    "key": Strings.of(["a1", "a2", "b1", "b2"]),
    "rank": [1, None, 3, 4],
    "nothing": [None, None, None, None],
}


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("duration > 3", [1, 2, 3]),
        ("3 < duration <= 8", [1, 2]),
        ('language in ("en", "fr")', [0, 3]),
        ('language not in ("en",)', [1]),
        ("duration in [1, 8]", [0, 2]),
        ('language == "de" or duration == 1', [0, 1]),
        ('"um" in text', [0]),
        ('"um" not in text', [1, 3]),
        ('lower(text) == "ja"', [1]),
        ("len(text) / duration < 1", [1, 3]),
        ('startswith(key, "a") and not endswith(key, "2")', [0]),
        ("checked", [0, 3]),
        ("not checked", [1]),
        ("checked == True", [0, 3]),
        ("abs(-rank) >= 3", [2, 3]),
        ("text == text", [0, 1, 3]),
        ("True", [0, 1, 2, 3]),
        ("duration / 0 > 1 or duration > 10", [3]),
    ],
)
def test_conditions_take_the_rows_that_they_say(text, rows):
    assert np.flatnonzero(Expression(text).mask(COLUMNS)).tolist() == rows


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("dnsmos >= 3.2", [0, 3]),
        ("not (dnsmos >= 3.2)", [2]),
        ("dnsmos != 3.5", [2, 3]),
        ("dnsmos is None or dnsmos >= 3.2", [0, 1, 3]),
        ("dnsmos is not None", [0, 2, 3]),
        ("language is None", [2]),
        ("dnsmos > 3 and duration > 3", [3]),
        ("dnsmos > 3 or duration > 3", [0, 1, 2, 3]),
        ("dnsmos > 3 or not (dnsmos > 3)", [0, 2, 3]),
        ("nothing > 3", []),
        ("not (nothing > 3)", []),
        ("nothing is None and duration > 3", [1, 2, 3]),
    ],
)
def test_a_missing_value_is_neither_true_nor_false(text, rows):
    assert np.flatnonzero(Expression(text).mask(COLUMNS)).tolist() == rows


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('touch owned')",
        "duration.__class__",
        "(lambda: 1)()",
        "[x for x in (1,)]",
        "open('/etc/passwd')",
        "duration := 3",
        "f'{duration}'",
        "duration ** 99",
        "exec('1')",
        "text[0] == 'a'",
        "duration if duration else 3",
    ],
)
def test_anything_that_would_run_code_is_refused_before_a_column_is_read(text):
    with pytest.raises(ExpressionError):
        Expression(text)


@pytest.mark.parametrize(
    "text", ["", "duration >", "not " * 5000 + "checked", "(" * 3000 + "1" + ")" * 3000, "a" * 20000, "\0"]
)
def test_what_is_no_condition_is_an_error(text):
    with pytest.raises(ExpressionError):
        Expression(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("duration > 'three'", "a number is compared with a text"),
        ("language > 3", "a text is compared with a number"),
        ("language in (1, 2)", "a text is sought in a list of others"),
        ("duration", "this is a number, a condition was expected"),
        ("language + 1 > 2", "this is a text, a number was expected"),
        ("duration < None", "None has no order"),
        ("duration is 3", "`is` is for None only"),
        ("len(duration) > 3", "len takes a text, this is a number"),
        ("size(duration) > 3", "the functions are len, abs"),
    ],
)
def test_values_that_do_not_fit_are_named(text, words):
    with pytest.raises(ExpressionError, match=words):
        Expression(text).mask(COLUMNS)


def test_a_column_that_is_not_there_names_the_nearest():
    with pytest.raises(LookupError, match=r"no row has a value of dnsmoss; .*did you mean dnsmos"):
        Expression("dnsmoss > 3").mask(COLUMNS)


def test_a_column_of_texts_and_numbers_is_an_error():
    with pytest.raises(ExpressionError, match="the column odd holds float and str values"):
        Expression("odd == 1").mask({"odd": [1, "a"]})


@pytest.fixture
def folder(tmp_path):
    def encode(k):
        extra = {"dnsmos": 3 + k / 10} if k != 3 else {}
        text = f'{{"id": "r{k}", "duration": {k + 1}, "sample_rate": 8000, "extra": {{"room": "hall{k % 2}"'
        return Record(f"r{k}", {"json": (text + "".join(f', "{n}": {v}' for n, v in extra.items()) + "}}").encode()})

    write_shards(list(range(6)), encode, tmp_path / "set", per_shard=2, progress=False)
    return tmp_path / "set"


def test_a_set_is_filtered_by_numbers_of_its_index_and_by_fields_of_its_rows(folder):
    shards = ShardSet.open(folder)
    assert list(shards.where("dnsmos >= 3.2").keys) == ["r2", "r4", "r5"]
    assert list(shards.where('room == "hall0" and duration > 1').keys) == ["r2", "r4"]
    assert len(shards.where("True")) == 6
    with pytest.raises(LookupError, match=r"no row has a value of dnsmis.*did you mean dnsmos"):
        shards.where("dnsmis > 3")


@pytest.mark.parametrize(
    ("text", "words"),
    [("  ", "the condition is empty"), ("(" * 3000 + "duration > 3" + ")" * 3000, r"^.{,260}nested")],
)
def test_an_empty_and_a_very_long_condition_are_refused_in_few_words(text, words):
    with pytest.raises(ExpressionError, match=words):
        Expression(text)


def test_a_text_without_quotes_is_a_column_that_is_not_there_and_the_message_says_so():
    with pytest.raises(LookupError, match=r"no row has a value of ann; .*a text stands in quotes"):
        Expression("speaker == ann").mask({"speaker": ["ann", "bob"]})


def test_a_recipe_takes_the_rows_that_meet_its_condition(folder):
    taken = open_source(SourceConfig(path=str(folder), min_duration=4, where="dnsmos > 3.1 or dnsmos is None"))
    assert list(taken.keys) == ["r3", "r4", "r5"]
    with pytest.raises(EmptySetError, match=r"min_duration=6.0 s: 1 pass; where dnsmos < 3.1: 1 pass"):
        open_source(SourceConfig(path=str(folder), min_duration=6, where="dnsmos < 3.1"))


def test_a_faulty_condition_in_a_recipe_is_found_when_it_is_read():
    with pytest.raises(ValueError, match="character"):
        SourceConfig(path="somewhere", where="dnsmos >")
