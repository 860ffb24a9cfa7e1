"""Markers, leases and the stores that they lie in."""

import json
import subprocess
import sys
import threading
import uuid

import pytest

from amphion_data.engines import FsspecStore, Leases, Ledger, LocalStore, open_store


@pytest.fixture(params=["folder", "file", "memory"])
def store(request, tmp_path):
    if request.param == "memory":
        return open_store(f"memory://{uuid.uuid4().hex}/out")
    return open_store(f"file://{tmp_path / 'out'}" if request.param == "file" else tmp_path / "out")


def test_addresses_of_files_are_folders_and_others_go_through_fsspec(tmp_path):
    assert isinstance(open_store(f"file://{tmp_path}"), LocalStore)
    assert isinstance(open_store("memory://x"), FsspecStore)
    with pytest.raises(ValueError, match="can't reach nowhere://x"):
        open_store("nowhere://x")


def test_a_file_that_was_written_is_read_listed_and_removed(store, tmp_path):
    assert store.read("a/b.txt") is None and store.names() == []
    store.write("a/b.txt", b"one")
    (tmp_path / "local").write_bytes(b"three")
    store.put(tmp_path / "local", "a/c.txt")
    assert store.read("a/b.txt") == b"one" and store.names("a") == ["a/b.txt", "a/c.txt"]
    assert store.size("a/c.txt") == 5
    with store.local("a/c.txt") as path:
        assert path.read_bytes() == b"three"
    before = store.stamp("a/b.txt")
    store.write("a/b.txt", b"other content")
    assert store.stamp("a/b.txt") != before
    store.remove("a/b.txt")
    store.remove("a/b.txt")
    assert store.names() == ["a/c.txt"]


def test_a_file_is_created_once(store):
    assert store.create("x", b"1") and not store.create("x", b"2")
    assert store.read("x") == b"1"


def test_only_one_of_many_creates_a_file(tmp_path):
    store, got = LocalStore(tmp_path), []
    threads = [threading.Thread(target=lambda k=k: got.append(store.create("x", b"%d" % k))) for k in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [False] * 15 + [True] and store.names() == ["x"]


def test_a_unit_is_done_when_it_is_marked_with_whole_json(store):
    ledger = Ledger(store)
    assert ledger.facts("u") is None and ledger.done() == set()
    ledger.finish("u", {"rows": 3})
    assert ledger.facts("u") == {"rows": 3, "unit": "u"} and ledger.done() == {"u"}
    store.write("units/v.json", b'{"unit": "v"')
    assert ledger.facts("v") is None
    ledger.forget("u")
    assert ledger.facts("u") is None


def test_a_unit_is_leased_to_one_driver_and_free_again_when_that_ends(store):
    with Leases(store) as first:
        assert first.take("u")
        other = Leases(store)
        assert not other.take("u") and other.take("v")
        other.give_back("v")
        assert first.take("v")
    assert Leases(store).take("u")


def test_a_lease_that_shows_no_life_is_taken_over(store):
    elsewhere = {"owner": "another-machine:1:abc", "beat": 3}
    store.write("leases/u.json", json.dumps(elsewhere).encode())
    leases = Leases(store, beat=0.01, patience=0.05)
    assert not leases.take("u")  # it may be alive
    store.write("leases/u.json", json.dumps({**elsewhere, "beat": 4}).encode())
    threading.Event().wait(0.08)
    assert not leases.take("u")  # it was
    threading.Event().wait(0.08)
    assert leases.take("u")


@pytest.mark.slow
def test_a_lease_with_signs_of_life_stays(store):
    with Leases(store, beat=0.02, patience=1.0) as first:  # fifty beats: a busy machine may miss some
        first.take("u")
        other = Leases(store, beat=0.02, patience=1.0)
        for _ in range(30):
            assert not other.take("u")
            threading.Event().wait(0.05)


def test_a_lease_of_a_process_that_is_gone_is_taken_at_once(tmp_path):
    code = (
        f"from amphion_data.engines import *; import os; Leases(LocalStore({str(tmp_path)!r})).take('u'); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    assert LocalStore(tmp_path).names("leases") == ["leases/u.json"]
    assert Leases(LocalStore(tmp_path)).take("u")


def test_a_lease_on_a_finished_unit_is_forgotten_by_the_next_driver(store):
    ledger = Ledger(store)
    ledger.finish("u", {})
    for unit in ("u", "v"):
        store.write(f"leases/{unit}.json", b'{"owner": "another-machine:1:abc", "beat": 3}')
    assert list(Leases(store).free(["u", "v"], ledger, wait=False)) == []
    assert store.names("leases") == ["leases/v.json"]


def test_units_come_once_to_one_of_two_drivers_and_finished_ones_to_none(store):
    ledger, units, got = Ledger(store), [f"u{k}" for k in range(20)], []
    ledger.finish("u7", {})

    def drive():
        with Leases(store, beat=0.05, patience=1.0) as leases:
            for unit in leases.free(units, ledger):
                got.append(unit)
                ledger.finish(unit, {})
                leases.give_back(unit)

    threads = [threading.Thread(target=drive) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == sorted(set(units) - {"u7"})


def test_patience_is_longer_than_two_beats(tmp_path):
    with pytest.raises(ValueError, match="over two beats"):
        Leases(LocalStore(tmp_path), beat=1.0, patience=2.0)
