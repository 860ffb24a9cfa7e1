"""Worker processes that do not outlive the process that started them."""

from __future__ import annotations

import os
import threading
from multiprocessing import parent_process
from typing import Any

__all__ = ["end_with_parent"]


def end_with_parent() -> None:
    """For the start of a worker: it ends when its parent does, also when that one was killed.

    A worker of a pool whose parent was killed would otherwise wait for work for ever, or go on writing.
    """
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: Any) -> None:
    parent.join()
    os._exit(1)
