import io
import pickle
import subprocess
import sys
import tarfile
import textwrap

import numpy as np
import pytest

from amphion_core.data import Record, ShardSet, remote, write_shards
from amphion_core.data.remote import download, stream
from amphion_core.testing.server import serve


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / "served"
    values = np.random.default_rng(0).bytes(60_000)
    write_shards(
        list(range(20)),
        lambda k: Record(f"a.{k}", {"npy": bytes([k]) + values, "json": b'{"id": "a.%d"}' % k}),
        folder,
        progress=False,
    )
    with serve(folder) as running:
        yield running


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AMPHION_CACHE", str(tmp_path / "cache"))


def tar_of(server):
    return (server.folder / "shard-000000.tar").read_bytes()


def test_a_tar_is_fetched_once_and_opened(server, tmp_path):
    url = f"{server.address}/shard-000000.tar"
    for _ in range(2):
        shards = ShardSet.open(url)
        assert len(shards) == 20 and shards[3].fields["npy"][0] == 3 and shards[3].key == "a.3"
    assert len(server.asked) == 1
    names = [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert sorted(names) == ["shard-000000.tar", "shard-000000.tar.idx"]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_connection_is_taken_up_again(server, tmp_path, ranges):
    server.ranges = ranges
    server.faults = [("cut", 300_000), 503, ("cut", 500_000)]
    path = download(f"{server.address}/shard-000000.tar", tmp_path / "get", wait=0.01)
    assert path.read_bytes() == tar_of(server)
    assert [asked[1] is not None for asked in server.asked] == [False, True, True, True]
    assert [p.name for p in path.parent.iterdir()] == ["shard-000000.tar"]


def test_a_server_that_sends_no_more_is_asked_again(server, tmp_path, monkeypatch):
    monkeypatch.setattr(remote, "_TIMEOUT", 0.2)
    server.faults = [("stall", 300_000), ("stall", 0)]
    path = download(f"{server.address}/shard-000000.tar", tmp_path / "get", wait=0.01)
    assert path.read_bytes() == tar_of(server)
    assert len(server.asked) == 3


def test_a_server_that_fails_each_time_is_an_error_and_no_file(server, tmp_path):
    server.faults = [503] * 10
    with pytest.raises(ConnectionError, match="broke off 3 times, at byte 0: the server answered 503"):
        download(f"{server.address}/shard-000000.tar", tmp_path / "get", retries=2, wait=0.01)
    assert not list((tmp_path / "get").rglob("shard*.tar"))


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [(404, FileNotFoundError, "nothing at"), (403, ConnectionError, "gated set"), (401, ConnectionError, "terms")],
)
def test_a_refusal_is_said_at_once(server, tmp_path, code, kind, words):
    server.faults = [code]
    with pytest.raises(kind, match=words):
        download(f"{server.address}/shard-000000.tar", tmp_path / "get")
    assert len(server.asked) == 1


def test_no_server_is_said_at_once(tmp_path):
    with pytest.raises(ConnectionError, match="can't reach"):
        download("http://127.0.0.1:9/a.tar", tmp_path)


@pytest.mark.slow
def test_a_killed_download_goes_on_where_it_was(server, tmp_path):
    url = f"{server.address}/shard-000000.tar"
    code = f"""
        import os, signal
        from amphion_core.data import remote
        remote._CHUNK = 50_000
        remote.time.sleep = lambda _: os.kill(os.getpid(), signal.SIGKILL)
        remote.download({url!r}, {str(tmp_path / "get")!r})
    """
    server.faults = [("cut", 700_000)]
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)])
    assert done.returncode != 0 and not list((tmp_path / "get").rglob("shard*.tar"))
    path = download(url, tmp_path / "get")
    assert path.read_bytes() == tar_of(server)
    assert server.asked[-1][1] is not None  # it asked for the rest only


@pytest.mark.parametrize("name", ["file:///etc/passwd", "ftp://host/a.tar", "pipe:touch x", "gs://bucket/a.tar"])
def test_other_addresses_are_refused(tmp_path, name):
    with pytest.raises(ValueError):
        download(name, tmp_path)
    with pytest.raises(ValueError):
        next(stream(name))


def test_a_name_of_the_address_stays_below_the_folder(server, tmp_path):
    (server.folder / "x").mkdir()
    path = download(f"{server.address}/shard-000000.tar?name=/../../evil", tmp_path / "get")
    assert path.is_relative_to(tmp_path / "get") and path.name == "shard-000000.tar"


@pytest.mark.slow
def test_a_stream_gives_the_records_of_the_set(server):
    expected = list(ShardSet.open(server.folder))
    url = f"{server.address}/shard-000000.tar"
    assert list(stream([url, server.folder / "shard-000000.tar"])) == expected * 2


@pytest.mark.parametrize("ranges", [True, False])
def test_a_stream_survives_broken_connections(server, ranges):
    server.ranges = ranges
    server.faults = [("cut", 100_001), ("cut", 900_000), 500]
    records = list(stream(f"{server.address}/shard-000000.tar", wait=0.01))
    assert records == list(ShardSet.open(server.folder))


def test_a_stream_of_a_cut_tar_is_an_error_after_its_good_rows(server):
    data = tar_of(server)
    (server.folder / "cut.tar").write_bytes(data[:200_000])
    seen = []
    with pytest.raises(Exception, match=r"cut\.tar|unexpected end"):
        for record in stream(f"{server.address}/cut.tar"):
            seen.append(record.key)
    assert seen == ["a.0", "a.1", "a.2"]


def test_a_stream_with_a_destroyed_header_is_an_error_and_not_an_end(server):
    data = bytearray(tar_of(server))
    place = data.index(b"a%2E4.json")
    data[place : place + 512] = bytes(512)
    (server.folder / "bad.tar").write_bytes(data)
    with pytest.raises(ValueError, match=r"bad\.tar: something follows the end"):
        list(stream(f"{server.address}/bad.tar"))


def test_a_stream_neither_runs_nor_hands_out_pickles(server, tmp_path):
    mark = tmp_path / "mark"

    class Planted:
        def __reduce__(self):
            return (open, (str(mark), "w"))

    with tarfile.open(server.folder / "evil.tar", "w") as tar:
        for name, data in (
            ("a.json", b"{}"),
            ("a.pickle", pickle.dumps(Planted())),
            ("a.pth", pickle.dumps(Planted())),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    assert [sorted(record.fields) for record in stream(f"{server.address}/evil.tar")] == [["json"]]
    assert not mark.exists()


@pytest.mark.slow
def test_the_library_keeps_working_for_others(server):
    import webdataset

    assert len(list(stream(f"{server.address}/shard-000000.tar"))) == 20
    assert len(list(webdataset.WebDataset(str(server.folder / "shard-000000.tar"), shardshuffle=False))) == 20
