"""Shards over http(s): fetched whole into the cache, or streamed once from front to back.

Streams go through the webdataset library, which groups the members of a tar into samples. What makes it unsafe is not
used: neither its decoder, which runs pickles, nor its addresses, of which `pipe:` runs a shell. `WDS_SECURE=1` blocks
both, and local files too, for the whole process; so it is left to whoever calls that library directly.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import logging
import os
import re
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

from amphion_core.atomic import TEMPORARY
from amphion_core.data.record import UNSAFE_FIELDS, Record
from amphion_core.data.rows import RowError, identity, parse_json
from amphion_core.data.tar import StreamCheck, TarError
from amphion_core.locking import file_lock

__all__ = ["download", "stream"]

_log = logging.getLogger(__name__)
_CHUNK = 1 << 20
_TIMEOUT = 30.0  # s without a byte
_PATIENCE = 24 * 3600.0  # s that a second process waits for the same file
_TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
_BROKEN = (ConnectionError, TimeoutError, http.client.HTTPException)


def download(url: str, folder: str | Path, *, retries: int = 5, wait: float = 0.5) -> Path:
    """Fetch a file, whole or not at all; what a killed run had fetched is continued.

    A file that is there already is not asked for again: remove it to fetch it anew.

    Args:
        url: http(s) address.
        folder: where to keep it, below a folder named after the address.
        retries: attempts after a broken connection or a server error, each of which goes on where it broke.
        wait: pause before the first retry, s; doubled each time.

    Raises:
        ValueError: the address is neither http nor https.
        FileNotFoundError: the server has no such file.
        ConnectionError: it can't be reached or breaks off each time, or access is denied.
    """
    name = re.sub(r"[^A-Za-z0-9._-]", "_", unquote(urlsplit(_checked(url)).path).rpartition("/")[2]).lstrip(".")[:100]
    place = Path(folder) / hashlib.sha256(url.encode()).hexdigest()[:16] / (name or "file")
    if place.is_file():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    with file_lock(place.with_name(f".{place.name}.lock"), wait=_PATIENCE, what=f"the download of {url}"):
        if place.is_file():
            return place
        part = place.with_name(f"{TEMPORARY}{place.name}")
        source = _Source(url, retries, wait)
        with part.open("r+b" if part.exists() else "w+b") as file:
            source.resume(_noted(part), file)
            for chunk in source.chunks():
                if source.restarted:
                    file.seek(0)
                    file.truncate()
                    source.restarted = False
                if not file.tell():
                    _note(part, source.validator)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        part.replace(place)
        _note_path(part).unlink(missing_ok=True)
    return place


def stream(sources: str | Path | Sequence[str | Path], *, retries: int = 5, wait: float = 0.5) -> Iterator[Record]:
    """Records of tars from front to back, each tar read once; for sets too large to keep.

    Broken connections are taken up where they broke. There is no index: no lengths, no random access, no resume; use
    `ShardSet.open` for those.

    Args:
        sources: http(s) addresses or paths of tars.
        retries: as for `download`.
        wait: as for `download`.

    Raises:
        ValueError: an address is neither a file nor http(s), or a tar is cut or destroyed; records before are good.
        FileNotFoundError: there is no such file.
        ConnectionError: as for `download`.
    """
    import webdataset.tariterators as library

    for source in [sources] if isinstance(sources, str | Path) else sources:
        with _Checked(_opened(source, retries, wait), str(source)) as bytes_:
            files = library.tar_file_expander([{"url": str(source), "stream": bytes_}], select_files=_safe)
            for sample in library.group_by_keys(files):
                yield _record(sample)
            bytes_.finish()


class _Source:
    """Pieces of a remote file, over as many connections as it takes."""

    def __init__(self, url: str, retries: int, wait: float) -> None:
        self.url = url
        self.validator = ""
        self.restarted = False
        self._retries, self._wait = retries, wait
        self._at = 0
        self._size: int | None = None

    def resume(self, validator: str, file: BinaryIO) -> None:
        size = file.seek(0, os.SEEK_END)
        if validator and size:
            self._at, self.validator = size, validator
        else:
            file.seek(0)
            file.truncate()

    def chunks(self) -> Iterator[bytes]:
        left, wait = self._retries, self._wait
        while True:
            before = self._at
            try:
                with self._request() as answer:
                    while chunk := answer.read(_CHUNK):
                        yield chunk
                        self._at += len(chunk)
                if self._size is None or self._at == self._size:
                    return
                fault = f"{self._at} bytes of {self._size} came"
            except urllib.error.HTTPError as error:
                if error.code == 416 and self._at:  # what is there is not a part of what the server has now
                    self._at, self.validator, self.restarted = 0, "", True
                elif error.code not in _TRANSIENT:
                    raise _refused(self.url, error) from None
                fault = f"the server answered {error.code} {error.reason}"
            except urllib.error.URLError as error:
                if isinstance(error.reason, socket.gaierror | ConnectionRefusedError) and not before:
                    raise ConnectionError(f"can't reach {self.url}: {error.reason}; is there a network?") from None
                fault = str(error.reason)
            except _BROKEN as error:
                fault = str(error) or type(error).__name__
            if self._at > before:
                left, wait = self._retries, self._wait  # it moves: only attempts without a byte are counted
            if left == 0:
                raise ConnectionError(f"{self.url} broke off {self._retries + 1} times, at byte {self._at}: {fault}")
            _log.warning("%s: %s; trying again in %.1f s", self.url, fault, wait)
            time.sleep(wait)
            left, wait = left - 1, min(2 * wait, 30.0)

    def _request(self) -> Any:
        request = urllib.request.Request(self.url, headers={"User-Agent": "amphion"})
        if self._at:
            request.add_header("Range", f"bytes={self._at}-")
            if self.validator:
                request.add_header("If-Range", self.validator)
        answer = urllib.request.urlopen(request, timeout=_TIMEOUT)
        length = answer.headers.get("Content-Length")
        if self._at and answer.status != 206:
            self._at, self.restarted = 0, True
        self._size = None if length is None else self._at + int(length)
        # A weak tag does not promise equal bytes.
        tag = answer.headers.get("ETag") or ""
        self.validator = tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified", "")
        return answer


class _Checked:
    """A stream that follows the headers that pass, because tarfile ends without an error at a destroyed one."""

    def __init__(self, chunks: Iterator[bytes], name: str) -> None:
        self._chunks, self._name = chunks, name
        self._held = b""
        self._check = StreamCheck()

    def read(self, size: int = -1) -> bytes:
        """The next bytes, `size` of them while there are as many."""
        pieces = [self._held]
        there = len(self._held)
        while size < 0 or there < size:
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            try:
                self._check.feed(chunk)
            except TarError as error:
                raise TarError(f"{self._name}: {error}", error.reason) from None
            pieces.append(chunk)
            there += len(chunk)
        data = b"".join(pieces)
        size = there if size < 0 else size
        self._held = data[size:]
        return data[:size]

    def finish(self) -> None:
        while self.read(_CHUNK):
            pass
        try:
            self._check.finish()
        except TarError as error:
            raise TarError(f"{self._name}: {error}", error.reason) from None

    def close(self) -> None:
        close = getattr(self._chunks, "close", None)
        if close is not None:
            close()

    def __enter__(self) -> _Checked:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _checked(url: str) -> str:
    scheme = urlsplit(url).scheme
    if scheme not in ("http", "https"):
        raise ValueError(f"{url!r} has the scheme {scheme or 'none'!r}; only http and https are read")
    return url


def _opened(source: str | Path, retries: int, wait: float) -> Iterator[bytes]:
    text = str(source)
    if "://" in text or text.startswith("pipe:"):
        return _unbroken(_Source(_checked(text), retries, wait))
    if not Path(source).is_file():
        raise FileNotFoundError(f"no shard at {source}")
    return _local(Path(source))


def _local(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _unbroken(source: _Source) -> Iterator[bytes]:
    seen = skip = 0
    for chunk in source.chunks():
        if source.restarted:  # a server that can't go on from the middle: read again what was read before
            skip, source.restarted = seen, False
        taken = chunk[skip:]
        skip = max(0, skip - len(chunk))
        seen += len(taken)
        if taken:
            yield taken


def _safe(name: str) -> bool:
    if name.rpartition(".")[2].lower() in UNSAFE_FIELDS:
        _log.warning("the member %s is left out: other readers execute such files", name)
        return False
    return True


def _record(sample: Mapping[str, Any]) -> Record:
    fields = {name: bytes(data) for name, data in sample.items() if not name.startswith("__")}
    name = str(sample["__key__"])
    try:
        values = parse_json(fields["json"]) if "json" in fields else {}
    except RowError:
        values = {}
    return Record(identity(values, name), fields)


def _refused(url: str, error: urllib.error.HTTPError) -> OSError:
    if error.code in (401, 403):
        return ConnectionError(
            f"{url}: access denied ({error.code}). A gated set needs its terms accepted once; then fetch it with the "
            "hub's own command while logged in, and open the local folder"
        )
    if error.code in (404, 410):
        return FileNotFoundError(f"the server has nothing at {url} ({error.code})")
    return ConnectionError(f"{url}: the server answered {error.code} {error.reason}")


def _note_path(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _note(part: Path, validator: str) -> None:
    _note_path(part).write_text(json.dumps({"validator": validator}), encoding="utf-8")


def _noted(part: Path) -> str:
    try:
        return str(json.loads(_note_path(part).read_text(encoding="utf-8"))["validator"])
    except (OSError, ValueError, KeyError):
        return ""
