"""Networks over all clips and texts of a run: one in memory at a time, in batches by length, each input once."""

from __future__ import annotations

import contextlib
import gc
import sys
import uuid
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from amphion_core.extras import MissingExtraError
from amphion_eval.cache import Store, digest
from amphion_eval.identity import code_of, libraries
from amphion_eval.model import Batch, Model
from amphion_eval.models.clips import at_rate
from amphion_eval.pairing import Clip
from amphion_eval.reading import Reader, Sound
from amphion_eval.values import Undefined

__all__ = ["Given", "Networks", "choose_device", "free_memory"]

Given: TypeAlias = Clip | str | tuple[Clip, Clip]
"""What a network takes of an item: a clip, a text, or reference and estimate."""

_SECONDS_CPU = 40.0  # of audio in a batch, padding included
_SECONDS_PER_GIGABYTE = 20.0
_TEXTS = 64
_THREADS = 4


@dataclass
class _Work:
    """A network and what it is asked for."""

    model: Model
    salt: str
    asked: dict[Given, str] = field(default_factory=dict)  # to the key of the output


class Networks:
    """Runs networks and keeps what they gave.

    First everything is asked for (`ask`), then all networks run (`run`), then outputs are taken (`output`). An output
    is kept by the content of its input and the identity of the network, so equal clips run once, and a run that was
    broken off goes on where it was.
    """

    def __init__(
        self,
        reader: Reader,
        scratch: Store,
        *,
        device: str = "auto",
        batch: int | None = None,
        replaced: Iterable[str] = (),
        progress: bool = False,
    ) -> None:
        """Make one.

        Args:
            reader: of the clips; its store keeps the outputs.
            scratch: where outputs are kept that no later run may take: those of networks that stand in for others.
            device: `auto`, `cpu`, `cuda`, `cuda:1` and the like.
            batch: inputs in a batch at most; None goes by their length and the memory of the device.
            replaced: names of networks that stand in for others.
            progress: show a bar for each network.
        """
        self._reader, self._scratch = reader, scratch
        self._device, self._batch, self._progress = device, batch, progress
        self._replaced = frozenset(replaced)
        self._work: dict[str, _Work] = {}
        self._sounds: dict[Clip, Sound] = {}
        self._salt = uuid.uuid4().hex

    @property
    def models(self) -> list[Model]:
        """The networks that were asked for, in that order."""
        return [work.model for work in self._work.values()]

    def ask(self, model: Model, given: Given) -> None:
        """Put an input on the list of a network."""
        name = f"{model.name}:{sorted(model.parameters.items())!r}"
        if name not in self._work:
            self._work[name] = _Work(model, "")
        self._work[name].asked.setdefault(given, "")

    def run(self) -> None:
        """Run every network over what was asked for and is not kept.

        Raises:
            MissingExtraError: packages that they need are not installed.
            FileNotFoundError: weights are nowhere.
            ValueError: a clip can't be read, or a network failed.
            RuntimeError: the memory does not suffice for a single input.
        """
        if not self._work:
            return
        clips = dict.fromkeys(
            clip for work in self._work.values() for given in work.asked for clip in _clips(given) if clip.path
        )
        with ThreadPoolExecutor(_THREADS) as threads:
            found = threads.map(self._reader.look, clips)
            # A fresh copy holds no samples: of many clips they would not fit.
            self._sounds = {clip: replace(sound) for clip, sound in zip(clips, found, strict=True)}
            device = None
            for work in self._work.values():
                work.salt = self._identity(work.model)
                work.asked = {given: self._key(work, given) for given in work.asked}
                left = self._left(work)
                if left:
                    device = device or choose_device(self._device)
                    self._infer(work, left, device, threads)

    def output(self, model: Model, given: Given) -> Any:
        """What a network gave; `Undefined` where the clip has a fault.

        Raises:
            LookupError: that was not asked for.
        """
        for clip in _clips(given):
            if fault := self._fault(clip):
                return Undefined(fault)
        name = f"{model.name}:{sorted(model.parameters.items())!r}"
        work = self._work[name]
        value = self._store(work).get(work.asked[given])
        if value is None:
            raise LookupError(f"the output of {model.name} for {given} is not in the cache any more; run again")
        return value

    def sound(self, clip: Clip) -> Sound:
        """What a clip that was asked for is."""
        return self._sounds[clip] if clip.path else self._reader.sound(clip)

    def known(self, clip: Clip) -> Sound | None:
        """What a clip is, if a network was asked about it."""
        return self._sounds.get(clip)

    def _fault(self, clip: Clip) -> str:
        return self.sound(clip).fault

    def _lasting(self, model: Model) -> bool:
        own = getattr(getattr(model.load, "func", model.load), "__module__", "").partition(".")[0] == "amphion_eval"
        return model.name not in self._replaced and (own or code_of(model.load) is not None)

    def _identity(self, model: Model) -> str:
        if not self._lasting(model):
            return self._salt
        modules = [module for module, _ in model.requires]
        return f"{model.identity()} {libraries(modules)} {code_of(model.load)} {self._device}"

    def _store(self, work: _Work) -> Store:
        kept = self._reader.store
        return kept if kept is not None and self._lasting(work.model) else self._scratch

    def _key(self, work: _Work, given: Given) -> str:
        known = given if isinstance(given, str) else [self.sound(c).content or repr(c) for c in _clips(given)]
        return digest("output", work.model.name, work.salt, known)

    def _left(self, work: _Work) -> list[Given]:
        """Inputs without an output, of equal ones the first, the longest before the others."""
        store = self._store(work)
        fresh: dict[str, Given] = {}
        for given, key in work.asked.items():
            if not any(self._fault(clip) for clip in _clips(given)) and store.get(key) is None:
                fresh.setdefault(key, given)
        return sorted(fresh.values(), key=lambda given: -self._seconds(given))

    def _seconds(self, given: Given) -> float:
        return max((self.sound(clip).record.duration or 0.0 for clip in _clips(given)), default=0.0)

    def _infer(self, work: _Work, left: list[Given], device: str, threads: ThreadPoolExecutor) -> None:
        model, store = work.model, self._store(work)
        missing = sorted({extra for module, extra in model.requires if find_spec(module) is None})
        if missing:
            raise MissingExtraError(f"{model.name} needs packages that are not installed: pip install '{missing[0]}'")
        network = model.load(device)
        limit = _Limit(_TEXTS if model.takes == "text" else self._batch, _seconds_of(device))
        if self._batch is not None:
            limit.count = self._batch
        try:
            with _bar(len(left), model.name, self._progress) as bar:
                batches = self._batches(left, limit)
                upcoming = next(batches, None)
                loaded = threads.submit(self._loaded, model, upcoming) if upcoming else None
                while upcoming is not None and loaded is not None:
                    present, inputs = upcoming, loaded.result()
                    upcoming = next(batches, None)
                    loaded = threads.submit(self._loaded, model, upcoming) if upcoming else None
                    for given, output in zip(present, _outputs(network, model, inputs, present, limit), strict=True):
                        store.put(work.asked[given], output)
                    bar.update(len(present))
        finally:
            del network
            free_memory()

    def _batches(self, left: Sequence[Given], limit: _Limit) -> Iterator[list[Given]]:
        """Runs of inputs of about one length; the limit may shrink meanwhile."""
        start = 0
        while start < len(left):
            longest = max(self._seconds(left[start]), 1e-3)  # they are sorted
            count = max(1, int(limit.seconds / longest))
            count = count if limit.count is None else min(count, limit.count)
            yield list(left[start : start + count])
            start += count

    def _loaded(self, model: Model, batch: Sequence[Given]) -> list[Any]:
        inputs: list[Any] = []
        for given in batch:
            if isinstance(given, str):
                inputs.append(given)
                continue
            wavs = [self._wav(clip, model.sample_rate) for clip in _clips(given)]
            inputs.append(wavs[0] if isinstance(given, Clip) else tuple(wavs))
        return inputs

    def _wav(self, clip: Clip, rate: int) -> NDArray[np.float32]:
        sound = replace(self._sounds[clip])
        return at_rate(sound.wav, sound.sample_rate, rate)


@dataclass
class _Limit:
    """How much a batch may hold."""

    count: int | None
    seconds: float


def choose_device(device: str) -> str:
    """The device of a run.

    Args:
        device: `auto` takes CUDA where there is some.
    """
    if device != "auto":
        return device
    if find_spec("torch") is None:
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def free_memory() -> None:
    """Hand back what a network held, on the device as well."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _seconds_of(device: str) -> float:
    """Seconds of audio that a batch may hold, by the free memory of the device."""
    torch = sys.modules.get("torch")
    if not device.startswith("cuda") or torch is None or not torch.cuda.is_available():
        return _SECONDS_CPU
    free = int(torch.cuda.mem_get_info(torch.device(device))[0])
    return max(_SECONDS_CPU, _SECONDS_PER_GIGABYTE * free / 2**30)


def _outputs(network: Batch, model: Model, inputs: list[Any], names: Sequence[Given], limit: _Limit) -> list[Any]:
    """The outputs of a batch; where the memory does not suffice, of its halves, and later batches are halved too."""
    try:
        outputs = network(inputs)
    except (MemoryError, RuntimeError) as error:
        if not _out_of_memory(error):
            raise ValueError(f"the network {model.name} failed on {_said(names)}: {error}") from error
        reason = str(error)
    except (ValueError, TypeError, LookupError, ArithmeticError) as error:
        raise ValueError(f"the network {model.name} failed on {_said(names)}: {error}") from error
    else:
        if len(outputs) != len(inputs):
            raise ValueError(f"the network {model.name} gave {len(outputs)} outputs for {len(inputs)} inputs")
        return list(outputs)
    free_memory()  # out of the handler: the error holds the tensors of the failed call
    if len(inputs) == 1:
        raise RuntimeError(
            f"the memory does not suffice for {model.name} on {_said(names)}; cut it, or take --device cpu: {reason}"
        )
    limit.seconds /= 2
    limit.count = max(1, limit.count // 2) if limit.count is not None else None
    middle = len(inputs) // 2
    first = _outputs(network, model, inputs[:middle], names[:middle], limit)
    return first + _outputs(network, model, inputs[middle:], names[middle:], limit)


def _out_of_memory(error: BaseException) -> bool:
    words = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in words or "can't allocate memory" in words


def _clips(given: Given) -> tuple[Clip, ...]:
    if isinstance(given, Clip):
        return (given,)
    return () if isinstance(given, str) else given


def _said(names: Sequence[Given]) -> str:
    first = names[0]
    shown = repr(first[:60]) if isinstance(first, str) else " and ".join(clip.path for clip in _clips(first))
    return shown if len(names) == 1 else f"{shown} and {len(names) - 1} more"


def _bar(total: int, name: str, shown: bool) -> Any:
    if not shown:
        return contextlib.nullcontext(_Silent())
    from tqdm import tqdm

    return tqdm(total=total, desc=name, unit="clip")


class _Silent:
    """A bar that nobody sees."""

    def update(self, count: int) -> None:
        """Nothing."""
