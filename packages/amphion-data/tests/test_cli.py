import json
import subprocess
import sys

import pytest


def amphion_data(*arguments):
    command = [sys.executable, "-c", "from amphion_data.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False, timeout=120)


@pytest.fixture
def shards(tmp_path, make_ljspeech):
    corpus = make_ljspeech(tmp_path / "corpus", chapters=4, sentences=2)
    (corpus / "wavs" / "LJ001-0001.wav").write_bytes(b"")
    done = amphion_data("prepare", "ljspeech", corpus, tmp_path / "out", "--valid", 2, "--test", 2, "--workers", 1)
    assert done.returncode == 0, done.stderr
    assert "8 rows in = 7 kept + 1 dropped" in done.stdout
    return tmp_path / "out"


@pytest.mark.slow
def test_prepared_shards_can_be_listed_counted_and_checked(shards):
    rows = [json.loads(line) for line in amphion_data("rows", shards).stdout.splitlines()]
    assert len(rows) == 7
    assert {"id", "audio", "duration", "sample_rate", "text", "speaker", "language", "extra"} <= set(rows[0])
    assert len(amphion_data("rows", shards, "--split", "test").stdout.splitlines()) == 2
    stats = json.loads(amphion_data("stats", shards, "--json").stdout)
    assert sum(part["rows"] for part in stats.values()) == 7
    assert "speaking rate" in amphion_data("stats", shards).stdout
    assert "7 rows in 3 shards, 0 faults" in amphion_data("check", shards, "--workers", 1).stdout


@pytest.mark.slow
def test_check_finds_a_byte_that_changed(shards):
    tar = shards / "train" / "shard-000000.tar"
    content = bytearray(tar.read_bytes())
    content[700] ^= 1
    tar.write_bytes(content)
    done = amphion_data("check", shards, "--workers", 1)
    assert done.returncode == 1
    assert "shard-000000.tar: " in done.stdout


def test_corpora_are_listed_with_size_rate_licence_and_source():
    known = {row["name"]: row for row in map(json.loads, amphion_data("corpora", "--json").stdout.splitlines())}
    assert {"ljspeech", "folder"} <= set(known)
    facts = known["ljspeech"]
    assert (facts["clips"], facts["sample_rate"], facts["licence"]) == (13_100, 22_050, "public domain")
    assert facts["source"].startswith("https://")


def test_faulty_options_are_all_named_at_once(tmp_path):
    done = amphion_data("prepare", "ljspeech", tmp_path, tmp_path / "o", "--format", "tape", "--valid", -1)
    assert done.returncode == 1
    assert "format" in done.stderr and "valid" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_corpus_names_the_known_ones(tmp_path):
    done = amphion_data("prepare", "ljspech", tmp_path, tmp_path / "out")
    assert done.returncode == 1
    assert "libritts-r, ljspeech, m4singer" in done.stderr


@pytest.mark.parametrize(
    "command",
    ["prepare", "rows", "stats", "check", "corpora", "shard", "merge", "filter", "repack", "sample", "export"],
)
def test_help_has_an_example(command):
    done = amphion_data(command, "--help")
    assert done.returncode == 0
    assert f"amphion-data {command}" in done.stdout


@pytest.mark.slow
def test_shards_can_be_merged_filtered_repacked_sampled_and_exported(shards, tmp_path, tone, write):
    write(tmp_path / "mine" / "one.wav", seconds=0.4)
    (tmp_path / "mine" / "one.txt").write_text("One.")
    one = ("--workers", 1)
    assert "1 rows in = 1 kept" in amphion_data("shard", tmp_path / "mine", tmp_path / "own", *one).stdout
    merged = amphion_data("merge", shards, tmp_path / "own", tmp_path / "both", *one)
    assert "8 rows in = 8 kept + 0 dropped" in merged.stdout, merged.stderr
    kept = amphion_data("filter", tmp_path / "both", tmp_path / "long", "duration < 0.3 and characters > 4", *one)
    assert "8 rows in = 7 kept + 1 dropped" in kept.stdout, kept.stderr
    packed = amphion_data("repack", tmp_path / "long", tmp_path / "packed", "--order", "duration", *one)
    assert "7 rows in = 7 kept" in packed.stdout, packed.stderr
    assert "0 faults" in amphion_data("check", tmp_path / "packed", *one).stdout
    assert "3 rows in" in amphion_data("sample", tmp_path / "packed", tmp_path / "page.html", "--count", 3).stdout
    exported = amphion_data("export", "emilia", tmp_path / "packed", tmp_path / "emilia", "--language", "en", *one)
    assert "7 rows in = 7 kept" in exported.stdout, exported.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("merge", "only"), "name one source at least"),
        (("merge", "a", "b", "--on-duplicate", "keep"), "is one of drop, fail"),
        (("export", "tape", "a", "b"), "is one of emilia, lhotse, hf-audiofolder, hf-parquet"),
    ],
)
def test_wrong_usage_is_said_with_what_is_possible(arguments, words):
    done = amphion_data(*arguments)
    assert done.returncode == 2
    assert words in " ".join(done.stderr.split())
