"""A local http server that misbehaves as told, for tests of what reads from the network."""

from __future__ import annotations

import contextlib
import http.server
import re
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

__all__ = ["Fault", "FaultyServer", "serve"]

Fault = int | tuple[str, int] | None
"""An http status; `("cut", n)` breaks the connection after n bytes, `("stall", n)` sends no more; None serves well."""

_STALLED = 60.0  # s; more than a client waits


class FaultyServer(http.server.ThreadingHTTPServer):
    """Serves one folder on a free port of this machine, with ranges and entity tags.

    Args:
        folder: what is served.
        faults: one is used up by each request.
    """

    daemon_threads = True

    def __init__(self, folder: Path, faults: Sequence[Fault] = ()) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.faults = list(faults)
        self.asked: list[tuple[str, str | None]] = []
        self.ranges = True
        self.closing = threading.Event()
        self.address = f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: FaultyServer

    def do_GET(self) -> None:
        server = self.server
        server.asked.append((self.path, self.headers.get("Range")))
        fault = server.faults.pop(0) if server.faults else None
        path = server.folder / self.path.partition("?")[0].lstrip("/")
        if isinstance(fault, int):
            return self.send_error(fault)
        if not path.is_file():
            return self.send_error(404)
        data = path.read_bytes()
        start = 0
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if match and server.ranges and self.headers.get("If-Range", '"tag"') == '"tag"':
            start = int(match[1])
            if start >= len(data):
                return self.send_error(416)
            self.send_response(206)
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(data) - start))
        self.send_header("ETag", '"tag"')
        self.end_headers()
        if fault is not None:
            self.wfile.write(data[start : start + fault[1]])
            self.wfile.flush()
            if fault[0] == "stall":
                server.closing.wait(_STALLED)
            self.connection.close()
            return None
        self.wfile.write(data[start:])
        return None

    def log_message(self, *arguments: object) -> None:
        pass

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError, ValueError):  # it closed the connection on purpose
            super().handle()


@contextlib.contextmanager
def serve(folder: Path, faults: Sequence[Fault] = ()) -> Iterator[FaultyServer]:
    """A running server for the length of a block; arguments as for `FaultyServer`."""
    server = FaultyServer(folder, faults)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()
