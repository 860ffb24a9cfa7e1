import json
import os
import sys

import numpy as np
import pytest

from amphion_core import audio
from amphion_core.data import Record, ShardSet, write_shards
from amphion_core.data.lhotse import lhotse_cuts, write_lhotse_manifest
from amphion_core.schema import Utterance

lhotse = pytest.importorskip("lhotse")


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("it's a folder; with $HOME")

    def encode(row):
        wav = (0.1 * np.random.default_rng(len(row.id)).standard_normal(2400)).astype(np.float32)
        return Record(row.id, {"flac": audio.encode(wav, 24000, "flac"), "json": row.to_json().encode()})

    rows = [Utterance(id=f"a.{k}/é", text=f"t{k}", speaker="s", language="en", extra={"snr": k}) for k in range(5)]
    write_shards(rows, encode, folder, per_shard=2, progress=False)
    return ShardSet.open(folder)


def check(cuts, shards):
    cuts = list(cuts)
    assert [cut.id for cut in cuts] == list(shards.keys)
    for k, cut in enumerate(cuts):
        np.testing.assert_array_equal(cut.load_audio()[0], shards.audio(k)[0])
        said = cut.supervisions[0]
        assert (said.text, said.speaker, said.language, said.custom) == (f"t{k}", "s", "en", {"snr": k})
        assert cut.duration == 0.1 and cut.sampling_rate == 24000


@pytest.mark.skipif(os.name == "nt", reason="the manifest's commands are those of POSIX")
def test_plain_lhotse_reads_our_tars_by_a_manifest(shards, tmp_path):
    assert write_lhotse_manifest(shards, tmp_path / "cuts.jsonl") == 5
    check(lhotse.CutSet.from_file(tmp_path / "cuts.jsonl"), shards)


def long(cut):
    return cut.duration > 1


def test_a_set_is_a_cut_set(shards):
    cuts = lhotse_cuts(shards)
    check(cuts, shards)
    check(cuts, shards)  # and again: it is no generator that is used up
    assert len(cuts.filter(long).to_eager()) == 0


def test_a_selection_gives_its_rows_only(shards, tmp_path):
    write_lhotse_manifest(shards.take([3]), tmp_path / "cuts.jsonl")
    assert [json.loads(line)["id"] for line in (tmp_path / "cuts.jsonl").read_text().splitlines()] == ["a.3/é"]


def test_rows_without_audio_are_no_cuts(tmp_path):
    write_shards([1], lambda k: Record("a", {"npy": b"x"}), tmp_path, progress=False)
    with pytest.raises(LookupError, match=r"row 0 \(a\).*no audio"):
        write_lhotse_manifest(ShardSet.open(tmp_path), tmp_path / "cuts.jsonl")


def test_lhotse_is_not_imported_to_write_a_manifest():
    import subprocess

    code = "import sys, amphion_core.data.lhotse; print('lhotse' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
