"""Functions in processes that are killed: after a while, or right at one of their file operations.

The processes are forked from a server that has imported torch and run nothing, so each costs little and is clean.
Systems without fork start them anew.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["Child", "run", "run_killed_after", "run_killed_at", "start"]

_EVENTS = frozenset({"open", "os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.truncate", "shutil.rmtree"})
_TIMEOUT = 120.0


class Child:
    """A running process.

    Args:
        process: started.
        errors: file that holds its stderr.
    """

    def __init__(self, process: Any, errors: Path) -> None:
        self.process = process
        self._errors = errors

    def kill(self) -> None:
        """End it by SIGKILL, which it can't notice."""
        self.process.kill()
        self.process.join(_TIMEOUT)

    def wait(self, timeout: float = _TIMEOUT) -> int:
        """Its exit status, negative for a signal.

        Raises:
            TimeoutError: it did not end in time; it is killed.
        """
        self.process.join(timeout)
        if self.process.exitcode is None:
            self.kill()
            raise TimeoutError(f"the process did not end within {timeout} s; its stderr: {self.stderr()[-2000:]}")
        return int(self.process.exitcode)

    def wait_until(self, condition: Callable[[], bool], timeout: float = _TIMEOUT) -> None:
        """Wait for something that the process does.

        Raises:
            RuntimeError: it ended before.
            TimeoutError: it does not come.
        """
        end = time.monotonic() + timeout
        while not condition():
            if self.process.exitcode is not None:
                raise RuntimeError(
                    f"the process ended with {self.process.exitcode} before; stderr: {self.stderr()[-2000:]}"
                )
            if time.monotonic() > end:
                self.kill()
                raise TimeoutError(f"waited {timeout} s in vain; stderr: {self.stderr()[-2000:]}")
            time.sleep(0.002)

    def stderr(self) -> str:
        """What it wrote to stderr so far."""
        return self._errors.read_text(encoding="utf-8", errors="replace")


def start(target: str, *args: Any, event: int = 0, folder: Path | None = None) -> Child:
    """Run a function in a process of its own.

    Args:
        target: `module:function` or `path/to/file.py:function`.
        args: what it is called with; must be picklable.
        event: kill it right before its file operation of that number below `folder`, from 1; 0 never.
        folder: where operations are counted.
    """
    handle, name = tempfile.mkstemp(prefix="child-", suffix=".stderr")
    os.close(handle)
    method = multiprocessing.get_start_method()  # for the processes that the process starts
    process = _context().Process(target=_call, args=(target, args, name, event, str(folder), method))
    process.start()
    return Child(process, Path(name))


def run(target: str, *args: Any) -> None:
    """Run a function to its end in a process of its own.

    Raises:
        RuntimeError: it failed; holds its stderr.
    """
    child = start(target, *args)
    status = child.wait()
    if status != 0:
        raise RuntimeError(f"{target} ended with {status}; stderr: {child.stderr()[-4000:]}")


def run_killed_after(seconds: float, target: str, *args: Any, ready: Callable[[], bool] = lambda: True) -> bool:
    """Kill a function some time after something has come true; returns False where it ended by itself before."""
    child = start(target, *args)
    child.wait_until(lambda: ready() or child.process.exitcode is not None)
    child.process.join(seconds)
    ended = child.process.exitcode is not None
    child.kill()
    if ended and child.process.exitcode != 0:
        raise RuntimeError(f"{target} ended with {child.process.exitcode}; stderr: {child.stderr()[-4000:]}")
    return not ended


def run_killed_at(event: int, folder: Path, target: str, *args: Any) -> bool:
    """Kill a function right before one of its file operations; returns False where it ended before.

    Args:
        event: number of the operation below `folder`, from 1: opening, renaming, removing, making a folder.
        folder: where operations are counted.
        target: as for `start`.
        args: as for `start`.

    Raises:
        RuntimeError: it failed by itself; holds its stderr.
    """
    child = start(target, *args, event=event, folder=folder)
    status = child.wait()
    if status not in (0, -signal.SIGKILL):
        raise RuntimeError(f"{target} ended with {status}; stderr: {child.stderr()[-4000:]}")
    return status != 0


@functools.cache
def _context() -> Any:
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    # torch._dynamo: the first optimiser imports it, which takes seconds.
    context.set_forkserver_preload(["torch", "torch._dynamo", "accelerate", "amphion_core.training.run", __name__])
    return context


def _call(target: str, args: tuple[Any, ...], errors: str, event: int, folder: str, method: str) -> None:
    multiprocessing.set_start_method(method, force=True)
    descriptor = os.open(errors, os.O_WRONLY | os.O_TRUNC)
    os.dup2(descriptor, 2)
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - lives as long as the process
    function = _find(target)
    if event:
        sys.addaudithook(_killer(event, folder))
    function(*args)


def _killer(event: int, folder: str) -> Callable[[str, tuple[Any, ...]], None]:
    left = event

    def hook(name: str, args: tuple[Any, ...]) -> None:
        nonlocal left
        if name in _EVENTS and args and isinstance(args[0], str | os.PathLike) and str(args[0]).startswith(folder):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return hook


def _find(target: str) -> Callable[..., Any]:
    place, _, name = target.rpartition(":")
    if not place.endswith(".py"):
        module = importlib.import_module(place)
    else:
        spec = importlib.util.spec_from_file_location(Path(place).stem, place)
        if spec is None or spec.loader is None:
            raise FileNotFoundError(f"no module at {place}")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    function: Callable[..., Any] = getattr(module, name)
    return function
