"""Folders of hub repositories: from the hub's cache, or from the hub. It needs no torch."""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

__all__ = ["cached", "fetch", "reachable", "why_offline"]


def cached(repository: str, *, revision: str | None = None, patterns: list[str] | None = None) -> Path | None:
    """The folder of a hub repository in the hub's cache, without any network; None where it is not there.

    Args:
        repository: hub id.
        revision: branch, tag or commit.
        patterns: files that are needed; None for whatever was downloaded. Names without wildcards, of files or folders,
            must be there.
    """
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(repository, revision=revision, allow_patterns=patterns, local_files_only=True))
    except Exception:  # the client has a dozen errors for what is not there
        return None
    plain = [name for name in patterns or () if not set(name) & set("*?[")]
    return folder if all((folder / name).exists() for name in plain) else None


def fetch(
    repository: str, *, revision: str | None = None, patterns: list[str] | None = None, token: str | None = None
) -> Path:
    """Download a hub repository, or find it in the cache; without network it fails within two seconds.

    Args:
        repository: hub id.
        revision: branch, tag or commit.
        patterns: files that are needed, as for `cached`.
        token: of the hub, for what is gated; None for that of who is logged in.

    Raises:
        FileNotFoundError: it is not in the cache and can't be fetched.
    """
    from huggingface_hub import snapshot_download

    held = cached(repository, revision=revision, patterns=patterns)
    if held is not None:
        return held
    why = why_offline()
    if why:
        raise FileNotFoundError(
            f"no folder {repository!r}, it is not in the hub's cache, and {why}; "
            "download it on a machine with a network and give the folder"
        )
    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=patterns, token=token))
    except Exception as error:
        raise FileNotFoundError(f"could not fetch {repository!r} from the hub: {error}") from error


def why_offline() -> str:
    """Why nothing can be fetched from the hub, in words; empty where it can. It takes 1.5 s at most."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    return "" if reachable(constants.ENDPOINT) else f"{constants.ENDPOINT} can't be reached"


def reachable(endpoint: str) -> bool:
    """Whether a connection to a server, or to the proxy before it, opens within 1.5 s.

    The hub client would retry for 24 s instead. A thread bounds the time of the name lookup too.
    """
    address = urlsplit(endpoint)
    proxy = getproxies().get(address.scheme)
    if proxy is not None and not proxy_bypass(address.hostname or ""):
        address = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    port = address.port or (443 if address.scheme == "https" else 80)
    opened = threading.Event()

    def attempt() -> None:
        with contextlib.suppress(OSError), socket.create_connection((address.hostname or "", port), timeout=1.5):
            opened.set()

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(1.5)
    return opened.is_set()
