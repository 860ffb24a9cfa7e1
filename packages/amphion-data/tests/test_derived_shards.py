import json
import os

import numpy as np
import pytest

from amphion_core.data import Record, ShardSet, read_drops, write_shards
from amphion_core.testing.files import digests
from amphion_core.testing.kill import run_killed_at
from amphion_data.checking import check_folder
from amphion_data.filtering import filter_shards
from amphion_data.merging import merge
from amphion_data.preparing import prepare
from amphion_data.repacking import repack
from amphion_data.settings import PrepareSettings

QUIET = {"workers": 1, "progress": False}


@pytest.fixture
def prepared(tmp_path, make_ljspeech):
    corpus = make_ljspeech(tmp_path / "corpus", chapters=5, sentences=3)
    settings = PrepareSettings(valid=3, test=3, per_shard=4, licence="CC0")
    prepare("ljspeech", corpus, tmp_path / "lj", settings, **QUIET)
    return tmp_path / "lj"


@pytest.fixture
def make_set(tmp_path, tone):
    """A folder of shards of tones, as a function of their ids and of what their rows state besides."""
    from amphion_core import audio

    def make(name, ids, **extra):
        def encode(row):
            number = ids.index(row["id"])
            wav = tone(0.2 + 0.05 * number, frequency=200 + 50 * number)
            values = {"id": row["id"], "duration": len(wav) / 16_000, "sample_rate": 16_000, "text": f"no. {number}"}
            values |= {key: value[number] for key, value in extra.items()}
            return Record(row["id"], {"flac": audio.encode(wav, 16_000, "flac"), "json": json.dumps(values).encode()})

        write_shards([{"id": ident} for ident in ids], encode, tmp_path / name, per_shard=3, progress=False)
        return tmp_path / name

    return make


def test_merged_sets_hold_the_rows_of_all_and_list_those_that_came_twice(make_set, tmp_path):
    one, two = make_set("one", ["a", "b", "c"]), make_set("two", ["c", "d", "ü.1"])
    report = merge([one, two], tmp_path / "out", per_shard=2, **QUIET)
    shards = ShardSet.open(tmp_path / "out")
    assert list(shards.keys) == ["a", "b", "c", "d", "ü.1"]
    assert (report.rows_in, report.kept, report.dropped) == (6, {"": 5}, {"duplicate_id": 1})
    (drop,) = read_drops(tmp_path / "out" / "drops.jsonl")
    assert (drop.id, drop.detail) == ("c", "of two; one has it")
    assert shards[2] == ShardSet.open(one)[2]
    assert check_folder(tmp_path / "out", workers=1).faults == ()


def test_a_prefix_keeps_equal_ids_apart_in_key_and_row(make_set, tmp_path):
    one, two = make_set("one", ["a", "b"]), make_set("two", ["a", "b"])
    merge([one, f"second={two}"], tmp_path / "out", prefix=True, **QUIET)
    shards = ShardSet.open(tmp_path / "out")
    assert list(shards.keys) == ["one-a", "one-b", "second-a", "second-b"]
    assert [shards.utterance(k).id for k in range(4)] == list(shards.keys)
    np.testing.assert_array_equal(shards.audio(2)[0], ShardSet.open(two).audio(0)[0])


def test_splits_are_merged_with_splits_and_no_row_stands_in_two(prepared, make_set, tmp_path):
    first = ShardSet.open(prepared / "test").keys[0]
    make_set("other/train", [first, "new"])
    report = merge([prepared, tmp_path / "other"], tmp_path / "out", **QUIET)
    assert report.kept == {"train": 10, "valid": 3, "test": 3}
    assert report.dropped == {"duplicate_id": 1}
    assert "CC0; not stated" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


def test_ids_that_come_twice_can_be_an_error(make_set, tmp_path):
    with pytest.raises(ValueError, match="1 ids come twice: b: of two; one has it"):
        merge([make_set("one", ["a", "b"]), make_set("two", ["b"])], tmp_path / "out", on_duplicate="fail", **QUIET)
    assert not (tmp_path / "out").exists()


def test_a_set_with_splits_and_one_without_are_not_merged(prepared, make_set, tmp_path):
    with pytest.raises(ValueError, match="has train, valid or test"):
        merge([prepared, make_set("one", ["a"])], tmp_path / "out", **QUIET)


def test_two_sources_of_one_name_are_refused(make_set, tmp_path):
    with pytest.raises(ValueError, match="two sources are called 'set'; write NAME=PATH"):
        merge([make_set("x/set", ["a"]), make_set("y/set", ["b"])], tmp_path / "out", **QUIET)


def test_a_filter_keeps_what_meets_it_and_says_what_does_not(make_set, tmp_path):
    source = make_set("one", list("abcde"), dnsmos=[3.0, 3.5, None, 2.0, 4.0], language=["en", "de", "en", "en", None])
    where = 'dnsmos >= 3 and language in ("en", "de")'
    report = filter_shards(source, tmp_path / "out", where, **QUIET)
    assert list(ShardSet.open(tmp_path / "out").keys) == ["a", "b"]
    assert (report.rows_in, report.kept, report.dropped) == (5, {"": 2}, {"filtered": 3})
    drops = list(read_drops(tmp_path / "out" / "drops.jsonl"))
    assert [drop.id for drop in drops] == ["c", "d", "e"]
    assert {drop.detail for drop in drops} == {f"not: {where}"}


def test_a_filter_by_a_column_of_one_split_only_takes_the_others_as_missing(prepared, tmp_path):
    report = filter_shards(prepared, tmp_path / "out", "duration > 0.23", **QUIET)
    assert sum(report.kept.values()) + report.dropped["filtered"] == 15
    assert set(report.kept) == {"train", "valid", "test"}


def test_a_column_that_is_not_there_is_answered_with_the_texts_that_are(make_set, tmp_path):
    source = make_set("one", ["a", "b"], extra=[{"chapter": "c1"}, {"chapter": "c2"}])
    with pytest.raises(LookupError, match="did you mean chapter"):
        filter_shards(source, tmp_path / "out", 'chaptr == "c1"', **QUIET)


@pytest.mark.parametrize(
    ("where", "error", "words"),
    [
        ("duration > 99", ValueError, "no row of 3 is left: 3 filtered"),
        ("dnsmos > 3", LookupError, "no row has a value of dnsmos"),
        ("duration >", ValueError, "character"),
    ],
)
def test_a_filter_that_leaves_nothing_or_fits_nothing_writes_nothing(make_set, tmp_path, where, error, words):
    with pytest.raises(error, match=words):
        filter_shards(make_set("one", ["a", "b", "c"]), tmp_path / "out", where, **QUIET)
    assert not (tmp_path / "out").exists()


def test_repacked_rows_are_the_same_in_other_shards(make_set, tmp_path):
    source = make_set("one", list("abcde"))
    repack(source, tmp_path / "out", per_shard=2, **QUIET)
    before, after = ShardSet.open(source), ShardSet.open(tmp_path / "out")
    assert list(after) == list(before)
    assert len(after.tars) == 3


def test_rows_are_sorted_or_shuffled_by_their_ids_alone(make_set, tmp_path):
    ids = [f"row{k}" for k in range(8)]
    one, other = make_set("one", ids), make_set("other", ids[::-1])
    for name, source in (("a", one), ("b", other)):
        repack(source, tmp_path / name, order="shuffle", seed=3, **QUIET)
    shuffled = list(ShardSet.open(tmp_path / "a").keys)
    assert shuffled == list(ShardSet.open(tmp_path / "b").keys) != ids
    assert sorted(shuffled) == ids
    repack(one, tmp_path / "c", order="duration", **QUIET)
    assert np.all(np.diff(ShardSet.open(tmp_path / "c").durations) >= 0)


def test_another_format_and_rate_are_in_the_tar_and_in_the_row(make_set, tmp_path):
    repack(make_set("one", ["a", "b"]), tmp_path / "out", format="wav", sample_rate=8000, **QUIET)
    shards = ShardSet.open(tmp_path / "out")
    assert set(shards[0].fields) == {"wav", "json"}
    wav, rate = shards.audio(1)
    assert (rate, shards.utterance(1).sample_rate, json.loads(shards[1].fields["json"])["sample_rate"]) == (8000,) * 3
    assert len(wav) == 2000


@pytest.mark.parametrize("change", [{"format": "tape"}, {"order": "size"}, {"format": "opus", "sample_rate": 22_050}])
def test_settings_that_do_not_exist_are_refused(make_set, tmp_path, change):
    with pytest.raises(ValueError, match=r"tape|size|opus"):
        repack(make_set("one", ["a"]), tmp_path / "out", **change, **QUIET)


@pytest.mark.parametrize("change", [{"per_shard": 0}, {"workers": -3}, {"workers": 0}])
def test_numbers_below_one_are_refused_before_anything_is_written(make_set, tmp_path, change):
    with pytest.raises(ValueError, match="must be at least 1"):
        repack(make_set("one", ["a"]), tmp_path / "out", **{**QUIET, **change})
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_else_is_kept_unless_told_otherwise(make_set, tmp_path):
    source, out = make_set("one", list("abcde")), tmp_path / "out"
    filter_shards(source, out, "duration > 0.3", **QUIET)
    before = digests(out)
    with pytest.raises(ValueError, match="what filter made with other settings"):
        filter_shards(source, out, "duration > 0.25", **QUIET)
    assert digests(out) == before
    filter_shards(source, out, "duration > 0.25", overwrite=True, **QUIET)
    filter_shards(source, tmp_path / "fresh", "duration > 0.25", **QUIET)
    assert digests(out) == digests(tmp_path / "fresh")


def test_an_output_inside_a_source_is_refused(make_set):
    source = make_set("one", ["a"])
    for out in (source, source / "out", source.parent):
        with pytest.raises(ValueError, match="lie in one another"):
            repack(source, out, **QUIET)


def test_a_source_that_changed_is_not_taken_for_the_old_one(make_set, tmp_path):
    source = make_set("one", ["a", "b"])
    repack(source, tmp_path / "out", **QUIET)
    for path in source.iterdir():
        path.unlink()
    make_set("one", ["a", "c"])
    with pytest.raises(ValueError, match="other settings or sources"):
        repack(source, tmp_path / "out", **QUIET)


@pytest.mark.slow
def test_any_number_of_workers_writes_the_same(prepared, tmp_path):
    repack(prepared, tmp_path / "one", per_shard=2, order="shuffle", **QUIET)
    repack(prepared, tmp_path / "two", per_shard=2, order="shuffle", workers=2, progress=False)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


def run_merge(one, two, out):
    merge([one, two], out, per_shard=2, **QUIET)


def run_filter(source, _, out):
    filter_shards(source, out, "duration > 0.25", per_shard=2, **QUIET)


def run_repack(source, _, out):
    repack(source, out, per_shard=2, format="wav", order="shuffle", **QUIET)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.parametrize(("tool", "first"), [(run_merge, 1), (run_filter, 5), (run_repack, 9)])
def test_killed_at_any_file_operation_and_run_again_it_writes_the_same_bytes(make_set, tmp_path, tool, first):
    one, two = make_set("one", list("abcde")), make_set("two", list("defg"))
    tool(one, two, tmp_path / "whole")
    whole = digests(tmp_path / "whole")
    kills = 0
    for event in range(first, 200, 12):
        out = tmp_path / f"killed-{event}"
        killed = run_killed_at(event, out, f"{__file__}:{tool.__name__}", one, two, out)
        tool(one, two, out)
        assert digests(out) == whole
        kills += killed
        if not killed:
            break
    assert not killed and kills >= 4
