"""Steps that the tests of engines send to other processes."""

import os
import signal
import time
import uuid
from pathlib import Path

import numpy as np

from amphion_core.atomic import atomic_writer


class Square:
    def __call__(self, value):
        return value * value


class Fail:
    """Fails for multiples of three, the others go through."""

    def __call__(self, value):
        if value % 3 == 0:
            raise ValueError(f"{value} is a multiple of three")
        return value


class FailOnce:
    """Fails at the first try of each unit; what was tried is kept in files."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def __call__(self, value):
        mark = self.folder / f"tried-{value}"
        if not mark.exists():
            mark.touch()
            raise OSError("at the first try")
        return value


class Die:
    """Ends its process by SIGKILL for some units: always for `poison`, once for `unlucky`."""

    def __init__(self, folder, poison=(), unlucky=()):
        self.folder, self.poison, self.unlucky = Path(folder), poison, unlucky

    def __call__(self, value):
        mark = self.folder / f"died-{value}"
        if value in self.poison or (value in self.unlucky and not mark.exists()):
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return value


class Write:
    """Writes a file for each unit, after a while."""

    def __init__(self, folder, seconds=0.0):
        self.folder, self.seconds = Path(folder), seconds

    def __call__(self, value):
        with atomic_writer(self.folder / f"{value}.txt") as file:
            file.write(f"unit {value}\n".encode())
            time.sleep(self.seconds)
        return value


class Unmakeable:
    def __init__(self):
        raise FileNotFoundError("no folder named there")


class Meet:
    """Gives the process that runs it, when as many processes as asked for have come; a minute at most."""

    def __init__(self, folder, count):
        self.folder, self.count = Path(folder), count

    def __call__(self, value):
        (self.folder / f"met-{os.getpid()}").touch()
        for _ in range(600):
            if len(list(self.folder.glob("met-*"))) >= self.count:
                break
            time.sleep(0.1)
        return os.getpid()


class Trace:
    """Adds its process to the value; leaves a file when it is made."""

    def __init__(self, folder):
        (Path(folder) / f"made-{os.getpid()}-{uuid.uuid4().hex}").touch()

    def __call__(self, value):
        return (*(value if isinstance(value, tuple) else (value,)), os.getpid())


class Slow:
    """Adds its process to the value, after a while."""

    def __init__(self, seconds):
        self.seconds = seconds

    def __call__(self, value):
        time.sleep(self.seconds)
        return (*value, os.getpid())


class Enlarge:
    """Makes a value of so many bytes; notes that the unit is begun."""

    def __init__(self, folder, size):
        self.folder, self.size = Path(folder), size

    def __call__(self, value):
        (self.folder / f"begun-{value}").touch()
        return value, np.zeros(self.size, np.uint8)


class Shrink:
    """Back to the unit, after a while; notes how many are begun and not ended."""

    def __init__(self, folder, seconds):
        self.folder, self.seconds = Path(folder), seconds

    def __call__(self, value):
        time.sleep(self.seconds)
        begun, ended = (len(list(self.folder.glob(f"{word}-*"))) for word in ("begun", "ended"))
        (self.folder / f"ended-{value[0]}").write_text(str(begun - ended))
        return value[0]


class Recipe:
    """Makes a step's function where it runs; picklable by its parts."""

    def __init__(self, kind, *args, **kwargs):
        self.kind, self.args, self.kwargs = kind, args, kwargs

    def __call__(self):
        return self.kind(*self.args, **self.kwargs)


def drive(folder, count):
    """A driver to be killed."""
    from amphion_data.engines import ProcessPoolEngine, Step

    list(ProcessPoolEngine(2).run([Step("write", Recipe(Write, folder, 0.02))], range(count)))


class Dies:
    """Doubles a number; for some it ends its process first: always, or the first time."""

    def __init__(self, folder, always=(), once=()):
        self.folder, self.always, self.once = Path(folder), always, once

    def __call__(self, number):
        mark = self.folder / f"died-{number}"
        if number in self.always or (number in self.once and not mark.exists()):
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return 2 * number
