"""One tar with its index, and finding the tars that a path, list or address stands for."""

from __future__ import annotations

import json
import logging
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from amphion_core.atomic import TEMPORARY
from amphion_core.cache import cache_folder
from amphion_core.data.index import Index, IndexFileError, index_path, probe
from amphion_core.data.record import Drop
from amphion_core.locking import content_lock

__all__ = ["Shard", "open_shards"]

_log = logging.getLogger(__name__)
_MANIFEST = "shards.json"
_PATIENCE = 3600.0  # s that one process waits while another makes the same index
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


class Shard:
    """A tar and its index, which is read when it is first needed in a process.

    Attributes:
        tar: path of the tar.
    """

    def __init__(self, tar: Path, index: Index, kept: Path | None) -> None:
        self.tar = tar
        self._index: Index | None = index
        self._kept = kept
        self._count = index.count

    def __len__(self) -> int:
        return self._count

    @property
    def index(self) -> Index:
        """Where everything is."""
        if self._index is None:
            if self._kept is None:
                raise RuntimeError(f"the index of {self.tar} was lost")
            self._index = Index.load(self._kept)
            if self._index.count != self._count:
                raise ValueError(f"{self.tar} was replaced while it was in use; open the set again")
        return self._index

    def __getstate__(self) -> Mapping[str, Any]:
        data = bytes(self.index.data) if self._kept is None else None
        return {"tar": self.tar, "kept": self._kept, "count": self._count, "data": data}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.tar, self._kept, self._count = state["tar"], state["kept"], state["count"]
        self._index = None if state["data"] is None else Index(state["data"], str(self.tar))


def open_shards(
    source: str | Path | Sequence[str | Path], *, workers: int, on_error: Literal["record", "fail"]
) -> tuple[list[Shard], list[Drop]]:
    """Open what a source stands for; arguments and errors as for `ShardSet.open`."""
    shards, drops, last = [], [], None
    for tar in _tars(source):
        try:
            shard = _open(tar, workers, on_error)
        except (ValueError, FileNotFoundError) as error:
            if on_error == "fail":
                raise
            _log.warning("%s left out: %s", tar, error)
            reason = "missing_audio" if isinstance(error, FileNotFoundError) else "corrupt_audio"
            drops.append(Drop(tar.name, str(tar), reason, str(error), "index"))
            last = error
            continue
        shards.append(shard)
        if shard.index.head.get("made_by") == "scan":
            drops += shard.index.drops
    if last is not None and not any(map(len, shards)):
        raise last
    return shards, drops


def _tars(source: str | Path | Sequence[str | Path]) -> Iterator[Path]:
    if not isinstance(source, str | Path):
        for one in source:
            yield from _tars(one)
        return
    text = str(source)
    if text.startswith("pipe:") or text.rstrip().endswith("|"):
        raise ValueError(f"{text!r}: pipes run programs and are refused; give a path or an http(s) address")
    if _RANGE.search(text):
        yield from _tars(_expanded(text))
    elif "://" in text:
        from amphion_core.data.remote import download

        yield download(text, cache_folder("shards"))
    elif (path := Path(source)).is_dir():
        yield from _folder(path)
    elif path.suffix.lower() in (".txt", ".list") and path.is_file():
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        listed = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        if not listed:
            raise ValueError(f"the list {path} names no tar")
        yield from _tars([line if "://" in line or line.startswith("pipe:") else path.parent / line for line in listed])
    else:
        yield path


def _expanded(text: str) -> list[str]:
    match = _RANGE.search(text)
    if match is None:
        return [text]
    first, last = match.groups()
    if int(last) < int(first):
        raise ValueError(f"{text!r}: the range {{{first}..{last}}} is empty")
    names = [f"{k:0{len(first)}d}" for k in range(int(first), int(last) + 1)]
    return [end for name in names for end in _expanded(text[: match.start()] + name + text[match.end() :])]


def _folder(folder: Path) -> list[Path]:
    manifest = folder / _MANIFEST
    if manifest.is_file():
        try:
            return _complete(folder, json.loads(manifest.read_text(encoding="utf-8")))
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{manifest} is damaged ({error!r:.99}); copy it again") from None
    found = sorted(path for path in folder.glob("*.tar") if not path.name.startswith((".", TEMPORARY)))
    if found:
        return found
    inner = sorted(folder.rglob(_MANIFEST))
    if len(inner) > 1:
        names = ", ".join(path.parent.relative_to(folder).as_posix() for path in inner[:10])
        raise ValueError(f"{folder} holds several sets of shards ({names}); open one of them")
    if inner:
        return _folder(inner[0].parent)
    found = sorted(path for path in folder.rglob("*.tar") if not path.name.startswith((".", TEMPORARY)))
    if found:
        return found
    there = ", ".join(sorted(path.name for path in folder.iterdir())[:10]) or "nothing"
    raise FileNotFoundError(
        f"no tar in {folder}; it holds {there}. Shards are made by write_shards or `amphion-data prepare`"
    )


def _complete(folder: Path, manifest: Mapping[str, Any]) -> list[Path]:
    if not manifest.get("complete"):
        there = len(list(folder.glob("*.tar.idx")))
        raise ValueError(
            f"{folder} is not complete: its writing ended, {there} of {manifest.get('planned')} shards are there; "
            "run the same command again, it goes on from there"
        )
    outside = [shard["name"] for shard in manifest["shards"] if Path(shard["name"]).name != shard["name"]]
    if outside:
        raise ValueError(f"{folder / _MANIFEST} names shards outside its folder: {outside[0]!r}")
    tars = [folder / shard["name"] for shard in manifest["shards"]]
    for tar, shard in zip(tars, manifest["shards"], strict=True):
        if not tar.is_file():
            raise FileNotFoundError(f"the shard {tar.name} of {folder} is missing; {len(tars)} were written")
        if tar.stat().st_size != shard["bytes"]:
            raise ValueError(f"{tar} has {tar.stat().st_size} bytes, {shard['bytes']} were written; copy it again")
    return tars


def _open(tar: Path, workers: int, on_error: Literal["record", "fail"]) -> Shard:
    if not tar.is_file():
        raise FileNotFoundError(f"no shard at {tar}")
    found = _existing(tar)
    if found is not None:
        if on_error == "fail" and found.index.head.get("made_by") == "scan" and (drops := found.index.drops):
            raise ValueError(f"{tar}: {drops[0].id}: {drops[0].reason}: {drops[0].detail} ({len(drops)} in all)")
        return found
    with content_lock(tar, wait=_PATIENCE, what=f"the index of {tar}"):
        found = _existing(tar)  # another process may have made it meanwhile
        if found is not None:
            return found
        return _make(tar, workers, on_error)


def _existing(tar: Path) -> Shard | None:
    for place in _PLACES:
        path = place(tar)
        if path is None:
            continue
        try:
            index = Index.load(path)
        except FileNotFoundError:
            continue
        except (IndexFileError, OSError) as error:
            _log.warning("%s; it is made anew", error)
            continue
        if index.head["probe"] == probe(tar):
            return Shard(tar, index, path)
        _log.warning("%s belongs to other content of %s; it is made anew", path, tar.name)
    return None


def _make(tar: Path, workers: int, on_error: Literal["record", "fail"]) -> Shard:
    from amphion_core.data.scan import scan

    _log.info("making the index of %s", tar)
    before = probe(tar)
    builder, drops = scan(tar, workers=workers, on_error=on_error)
    if probe(tar) != before:
        raise ValueError(f"{tar} changed while its index was made; wait until it is whole")
    for place in _PLACES:
        kept = place(tar)
        if kept is None:
            continue
        try:
            _remove_leftovers(kept)
            return Shard(tar, builder.write(kept, before, drops, made_by="scan"), kept)
        except OSError as error:
            _log.info("the index of %s can't be kept at %s: %s", tar, kept, error)
    _log.warning("no place for the index of %s; it is kept in memory and made again the next time", tar)
    return Shard(tar, Index(builder.to_bytes(before, drops, made_by="scan"), str(tar)), None)


def _remove_leftovers(kept: Path) -> None:
    for leftover in list(kept.parent.iterdir()):
        if leftover.name.startswith(f"{TEMPORARY}{kept.name[:60]}-"):
            leftover.unlink(missing_ok=True)  # of a process that was killed: the lock is ours


def _cached_path(tar: Path) -> Path | None:
    name = f"{tar.name[:80]}-{zlib.crc32(str(tar.resolve()).encode()):08x}.idx"
    try:
        return cache_folder("indices") / name
    except OSError as error:
        _log.info("%s", error)
        return None


_PLACES: tuple[Callable[[Path], Path | None], ...] = (index_path, _cached_path)
