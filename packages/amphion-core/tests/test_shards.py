import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import textwrap
from pathlib import Path

import numpy as np
import pytest

from amphion_core import audio
from amphion_core.data import Drop, Record, ShardSet, read_drops, write_shards
from amphion_core.locking import LockedError, file_lock
from amphion_core.schema import Utterance


def rows(count, prefix="u"):
    return [
        Utterance(id=f"{prefix}{k:03d}", text=f"row {k}", speaker=f"s{k % 3}", language="en", extra={"snr": k / 2})
        for k in range(count)
    ]


def encode(row):
    number = int(row.id[-3:])
    wav = (0.1 * np.random.default_rng(number).standard_normal(1200 + 10 * number)).astype(np.float32)
    return Record(row.id, {"flac": audio.encode(wav, 24000, "flac"), "json": row.to_json().encode()})


def encode_some(row):
    number = int(row.id[-3:])
    if number % 10 == 3:
        raise ValueError("a bad one")
    if number % 10 == 4:
        return Drop(row.id, "x.wav", "silent_audio", "all zero", "check")
    if number % 10 == 5:
        raise audio.AudioError("too short a file", "truncated_audio")
    if number % 10 == 6:
        raise FileNotFoundError("no file x.wav")
    return encode(row)


def bytes_of(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def write(folder, items=None, encode=encode, **options):
    options = {"per_shard": 8, "progress": False, **options}
    return write_shards(rows(30) if items is None else items, encode, folder, **options)


def test_what_goes_in_comes_out(tmp_path):
    report = write(tmp_path)
    shards = ShardSet.open(tmp_path)
    assert (report.rows_in, report.rows_out, len(report.shards), report.drops) == (30, 30, 4, [])
    for k, row in enumerate(rows(30)):
        record = encode(row)
        assert shards[k] == Record(row.id, {"flac": record.fields["flac"], "json": record.fields["json"]})
        assert shards.utterance(k).text == row.text
        assert shards.durations[k] == (1200 + 10 * k) / 24000


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2, 3])
def test_the_bytes_do_not_depend_on_the_number_of_workers(tmp_path, workers):
    write(tmp_path / "one", encode=encode_some)
    write(tmp_path / "more", encode=encode_some, workers=workers)
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "more")


def test_writing_again_gives_the_same_bytes_and_writes_nothing(tmp_path):
    write(tmp_path)
    before = bytes_of(tmp_path)
    times = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    report = write(tmp_path)
    assert report.skipped == 4 and report.rows_out == 30 and bytes_of(tmp_path) == before
    assert all(path.stat().st_mtime_ns == times[path.name] for path in tmp_path.glob("*.tar*"))


def test_every_row_is_out_or_dropped_with_its_reason(tmp_path):
    report = write(tmp_path, encode=encode_some)
    assert report.rows_in == report.rows_out + len(report.drops) == 30
    assert list(read_drops(tmp_path / "drops.jsonl")) == report.drops
    reasons = {drop.id: drop.reason for drop in report.drops}
    assert [reasons[f"u00{k}"] for k in (3, 4, 5, 6)] == ["bad_row", "silent_audio", "truncated_audio", "missing_audio"]
    again = write(tmp_path, encode=encode_some)
    assert again.drops == report.drops and again.skipped == 4


def test_the_policy_fail_raises_at_the_first_bad_row(tmp_path):
    with pytest.raises(ValueError, match="a bad one"):
        write(tmp_path, encode=encode_some, on_error="fail")


def test_a_later_row_of_the_same_id_is_dropped(tmp_path):
    items = rows(10)
    items[9] = Utterance(id="u001")
    report = write(tmp_path, items, per_shard=4)
    assert [(drop.id, drop.reason) for drop in report.drops] == [("u001", "duplicate_id")]
    assert ShardSet.open(tmp_path).utterance(1).text == "row 1"


def test_ids_that_are_equal_after_normalisation_are_duplicates(tmp_path):
    items = [Utterance(id="e\u0301001"), Utterance(id="é001")]
    assert [drop.reason for drop in write(tmp_path, items).drops] == ["duplicate_id"]


@pytest.mark.parametrize("name", ["../up", "/abs", "v1.2_x", "ünï 日", "n" * 300, "-dash", "a/b/c"])
def test_any_id_is_kept_and_nothing_leaves_the_folder(tmp_path, name):
    folder = tmp_path / "inner" / "shards"
    write(folder, [Utterance(id=name + "001")])
    shards = ShardSet.open(folder)
    assert shards.keys[0] == shards[0].key == shards.utterance(0).id == name + "001"
    assert [p.name for p in tmp_path.iterdir()] == ["inner"] and [p.name for p in folder.parent.iterdir()] == ["shards"]
    with tarfile.open(shards.tars[0]) as tar:
        for member in tar:
            assert member.name.count(".") == 1 and "/" not in member.name


def test_no_usable_row_is_an_error_that_shows_why(tmp_path):
    with pytest.raises(ValueError, match=r"no row of 1 got through.*u003: bad_row \(a bad one\)"):
        write(tmp_path, rows(4)[3:], encode=encode_some)
    with pytest.raises(ValueError, match="there were none"):
        write(tmp_path / "none", [])


def test_a_shard_of_drops_only_is_empty_and_keeps_the_numbers_of_the_others(tmp_path):
    report = write(tmp_path, rows(20), encode=encode_some, per_shard=1)
    assert len(report.shards) == 20 and report.rows_out == 12
    assert len(ShardSet.open(tmp_path)) == 12


def test_other_rows_in_the_folder_are_refused_and_replaced_on_request(tmp_path):
    write(tmp_path)
    with pytest.raises(ValueError, match="other rows"):
        write(tmp_path, rows(20))
    with pytest.raises(ValueError, match="other settings"):
        write(tmp_path, fingerprint="24 kHz")
    report = write(tmp_path, rows(20), overwrite=True)
    assert report.skipped == 2  # the first two shards are the same
    write(tmp_path / "fresh", rows(20))
    names = {"drops.jsonl", "shards.json"} | {p.name for p in report.shards} | {p.name + ".idx" for p in report.shards}
    assert {p.name for p in tmp_path.iterdir() if p.is_file()} == names
    assert {k: v for k, v in bytes_of_files(tmp_path).items()} == bytes_of(tmp_path / "fresh")


def bytes_of_files(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def test_tars_of_somebody_else_are_not_removed(tmp_path):
    (tmp_path / "mine.tar").write_bytes(b"precious")
    with pytest.raises(ValueError, match=r"mine\.tar"):
        write(tmp_path)
    assert (tmp_path / "mine.tar").read_bytes() == b"precious"


def test_temporaries_of_a_killed_run_are_removed(tmp_path):
    (tmp_path / ".tmp-shard-000000.tar-1-abc").write_bytes(b"half")
    write(tmp_path)
    assert not list(tmp_path.glob(".tmp-*")) and not list(tmp_path.glob(".*lock"))


def test_a_shard_whose_index_is_gone_is_written_again(tmp_path):
    write(tmp_path)
    before = bytes_of(tmp_path)
    (tmp_path / "shard-000002.tar.idx").unlink()
    assert write(tmp_path).skipped == 3 and bytes_of(tmp_path) == before


def test_a_cut_shard_is_written_again(tmp_path):
    write(tmp_path)
    before = bytes_of(tmp_path)
    path = tmp_path / "shard-000001.tar"
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ValueError, match="2000 bytes"):
        ShardSet.open(tmp_path)
    assert write(tmp_path).skipped == 3 and bytes_of(tmp_path) == before


def test_a_second_writer_of_a_folder_is_refused(tmp_path):
    code = f"""
        from amphion_core.locking import file_lock
        with file_lock({str(tmp_path / ".writing.lock")!r}):
            print("held", flush=True)
            input()
    """
    holder = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(LockedError, match="in use by another process"):
            write(tmp_path)
    finally:
        holder.kill()
        holder.communicate()
    assert write(tmp_path).rows_out == 30  # the lock died with its holder


def test_a_lock_is_waited_for(tmp_path):
    with file_lock(tmp_path / "lock"):
        pass
    assert not (tmp_path / "lock").exists()


@pytest.mark.parametrize("name", ["x.pickle", "MEL", "a b"])
def test_a_field_that_a_tar_should_not_have_is_a_drop(tmp_path, name):
    items = rows(2)
    report = write(tmp_path, items, lambda row: Record(row.id, {name: b"x"}) if row is items[1] else encode(row))
    assert [(drop.id, drop.reason) for drop in report.drops] == [("u001", "bad_row")]


def test_a_json_that_disagrees_with_the_audio_is_a_drop(tmp_path):
    def lying(row):
        return Record(row.id, {**encode(row).fields, "json": b'{"id": "%s", "duration": 9.0}' % row.id.encode()})

    items = rows(2)
    report = write(tmp_path, items, lambda row: lying(row) if row is items[1] else encode(row))
    assert [(drop.id, drop.reason) for drop in report.drops] == [("u001", "duration_mismatch")]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="limits of a process exist on POSIX only")
def test_a_full_disk_is_an_error_and_leaves_no_half_file(tmp_path):
    code = f"""
        import resource, signal, sys
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
        from amphion_core.data import Record, write_shards
        try:
            make = lambda k: Record(str(k), {{"npy": bytes(30_000)}})
            write_shards([1, 2, 3], make, {str(tmp_path)!r}, per_shard=2, progress=False)
        except OSError as error:
            print("failed:", error)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert "failed:" in done.stdout and "File too large" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["shards.json"]
    with pytest.raises(ValueError, match="not complete"):
        ShardSet.open(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="permissions of this kind are those of POSIX")
def test_a_folder_that_cannot_be_written_is_an_error():
    outer = Path(tempfile.mkdtemp())
    outer.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)  # permissions do not bind the super-user
    try:
        with pytest.raises(PermissionError):
            write(outer / "shards")
        with pytest.raises(PermissionError):
            write(outer)
    finally:
        if root:
            os.seteuid(0)
        outer.chmod(0o755)
        shutil.rmtree(outer)


def test_rows_without_a_stable_text_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no stable text"):
        write_shards([object()], lambda row: Record("a", {"npy": b"x"}), tmp_path, progress=False)


@pytest.mark.slow
def test_a_killed_worker_is_replaced(tmp_path):
    code = f"""
        import os, pathlib, signal
        from amphion_core.data import Record, write_shards
        mark = pathlib.Path({str(tmp_path / "mark")!r})
        def encode(k):
            if k == 5 and not mark.exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return Record(str(k), {{"npy": bytes([k])}})
        if __name__ == "__main__":
            out = {str(tmp_path / "out")!r}
            report = write_shards(list(range(12)), encode, out, per_shard=2, workers=2, progress=False)
            print(report.rows_out, len(report.drops))
    """
    (tmp_path / "job.py").write_text(textwrap.dedent(code))
    done = subprocess.run([sys.executable, str(tmp_path / "job.py")], capture_output=True, text=True, check=True)
    assert done.stdout == "12 0\n"
    assert not list((tmp_path / "out").glob(".tmp-*"))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_start_by_fork_and_by_spawn(tmp_path, method):
    code = f"""
        import multiprocessing
        from amphion_core.data import Record, ShardSet, write_shards
        def encode(k):
            return Record(str(k), {{"npy": bytes([k])}})
        def read(job):
            shards, k = job
            return shards[k].fields["npy"]
        if __name__ == "__main__":
            multiprocessing.set_start_method({method!r})
            write_shards(list(range(6)), encode, {str(tmp_path / "out")!r}, per_shard=2, workers=2, progress=False)
            shards = ShardSet.open({str(tmp_path / "out")!r}).take([5, 1])
            with multiprocessing.Pool(2) as pool:
                print(pool.map(read, [(shards, 0), (shards, 1)]))
    """
    (tmp_path / "job.py").write_text(textwrap.dedent(code))
    done = subprocess.run([sys.executable, str(tmp_path / "job.py")], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[b'\\x05', b'\\x01']"


@pytest.mark.slow
def test_the_webdataset_library_reads_ours(tmp_path):
    import webdataset

    write(tmp_path, [Utterance(id=f"v1.{k}/x é{k:03d}") for k in range(9)], per_shard=4)
    shards = ShardSet.open(tmp_path)
    read = list(webdataset.WebDataset([str(tar) for tar in shards.tars], shardshuffle=False))
    assert len(read) == len(shards) == 9
    for sample, record in zip(read, shards, strict=True):
        assert {k: v for k, v in sample.items() if not k.startswith("__")} == dict(record.fields)
        assert json.loads(sample["json"])["id"] == record.key
