"""The one training loop: any task, any number of phases, checkpoints that continue bit for bit."""

from __future__ import annotations

import contextlib
import logging
import math
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from amphion_core.atomic import atomic_writer, remove_temporaries
from amphion_core.config import ConfigError
from amphion_core.locking import file_lock
from amphion_core.training.batch import move
from amphion_core.training.ema import Average
from amphion_core.training.evaluation import Evaluation, evaluating, save_samples
from amphion_core.training.logging import Board, Progressbar, RunLog
from amphion_core.training.phase import Phase
from amphion_core.training.processes import Processes
from amphion_core.training.profile import Profile
from amphion_core.training.progression import Progression
from amphion_core.training.randomness import isolated, load_random_state, seed_everything
from amphion_core.training.saving import describe_versions, restore, save, set_damaged_aside, start_from
from amphion_core.training.signals import StopSignals
from amphion_core.training.stepping import Stepper
from amphion_core.training.summary import summarize, summary_text
from amphion_core.training.task import Judge, Progress, Sample, Task

if TYPE_CHECKING:
    from amphion_core.recipe import Recipe

__all__ = ["Finish", "Trainer"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Finish:
    """How a training ended.

    Attributes:
        step: optimiser steps done.
        reason: `steps`, `epochs`, `hours`, `data` (the loader had no more), or the name of a signal.
        checkpoint: the newest one.
    """

    step: int
    reason: str
    checkpoint: Path

    @property
    def interrupted(self) -> bool:
        """Whether a signal ended it, so that there is more to do."""
        return self.reason.startswith("SIG")


class Trainer:
    """Trains a task in a run folder; started again in the same folder, it continues.

    Args:
        task: networks, data and losses.
        out: the run folder; made if absent.
        recipe: with the fields `trainer`, `optimizers`, `seed` and `init_from`.
        judge: gives figures of the samples each time these are made; they go to the log as kind `judged`. Where it
            fails, the log says so and the training goes on.

    Raises:
        ConfigError: phases and optimisers don't match, or the phases can't accumulate.
    """

    def __init__(self, task: Task[Any, Any], out: str | Path, recipe: Recipe, judge: Judge | None = None) -> None:
        self.task = task
        self.out = Path(out)
        self.recipe = recipe
        self.judge = judge
        self.config = recipe.trainer
        _check_phases(task, recipe)
        self.processes = Processes(cpu=self.config.device == "cpu")
        self.device = self.processes.device
        task.to(self.device)
        task.train()
        names = {id(p): name for name, p in reversed(list(task.named_parameters(remove_duplicate=False)))}
        scaled = self.config.precision == "fp16"
        self.phases = {
            name: Phase(name, networks, names, recipe.optimizers[name], self.processes, scaled=scaled)
            for name, networks in task.phases().items()
        }
        self.ema = Average(task.model(), self.config.ema, self.config.ema_start) if self.config.ema else None
        self.stepper = Stepper(task, self.phases, self.config, self.processes, self.ema, self._note)
        self.progression = Progression()
        self._began = 0.0
        self._epoch = 0
        self.versions = describe_versions(self)

    def fit(self) -> Finish:
        """Train until a bound of the recipe is reached, or a signal comes; the last step is in a checkpoint.

        Raises:
            RuntimeError: another process uses the folder, or the memory does not suffice; names the batch.
            FloatingPointError: too many steps in a row were refused.
            ValueError: a checkpoint or `init_from` does not fit, or the losses break the contract of `Task`.
            FileExistsError: `trainer.resume` is `never` and the folder has checkpoints.
            OSError: a checkpoint can't be written.
        """
        self._began = time.monotonic()
        with contextlib.ExitStack() as stack:
            return self._fit(stack, stack.enter_context(StopSignals()))

    @property
    def step(self) -> int:
        """Optimiser steps done."""
        return self.progression.step

    def _fit(self, stack: contextlib.ExitStack, signals: StopSignals) -> Finish:
        notes = self._claim_folder(stack)
        loader = self.task.loader("train", self.processes.rank, self.processes.count)
        if loader is None:
            raise ValueError("the task has no training data; its loader('train', ...) gave None")
        self._evaluation = Evaluation(self.task, self.processes)
        random_state, resumed = restore(self, loader)
        self._epoch = loader.epoch
        stack.callback(loader.close)
        stack.callback(self._evaluation.close)
        notes += resumed or start_from(self)
        state = [p.detach() for p in self.task.parameters()] + self.stepper.buffers.tensors()
        self.processes.copy_from_main(state)
        if self.ema is not None and not resumed:
            self.ema.reset()
        self._open_logs(stack, loader)
        self._introduce(notes)
        if self.config.compile:
            for network in {id(n): n for phase in self.phases.values() for n in phase.networks}.values():
                network.compile(backend=self.config.compile_backend)
        try:
            reason = self._loop(loader, signals, random_state)
            return self._finish(loader, reason)
        except Exception as error:
            with contextlib.suppress(OSError):  # the disk may be what failed
                self._note(f"failed: {error}")
            raise

    def _claim_folder(self, stack: contextlib.ExitStack) -> list[str]:
        notes: list[str] = []
        if self.processes.main:
            self.out.mkdir(parents=True, exist_ok=True)
            stack.enter_context(file_lock(self.out / ".lock", what=f"the run folder {self.out}"))
            for folder in (self.out, *(self.out / "samples").glob("step-*")):
                remove_temporaries(folder)
            notes = set_damaged_aside(self.out)
        self.processes.barrier()
        return notes

    def _open_logs(self, stack: contextlib.ExitStack, loader: Any) -> None:
        main = self.processes.main
        self.log = RunLog(self.out / "log.jsonl" if main else None, self.progression.log_position)
        stack.callback(self.log.close)
        self._board = Board(self.out / "tensorboard", self.step) if main and self.config.tensorboard else None
        if self._board is not None:
            stack.callback(self._board.close)
        self._bar = Progressbar(self._expected_steps(loader), self.step, self.config.hours, shown=main)
        stack.callback(self._bar.close)

    def _introduce(self, notes: list[str]) -> None:
        summary = summarize(self.task, list(self.phases.values()), 0 if self.ema is None else self.ema.memory())
        if not self.processes.main:
            return
        log.info("%s", summary_text(summary, str(self.device)))
        for name, text in (("recipe.yaml", self.recipe.to_yaml()), ("versions.json", self.versions)):
            with atomic_writer(self.out / name) as file:
                file.write(text.encode())
        self._note(
            "started", command=sys.argv, device=str(self.device), processes=self.processes.count, summary=summary
        )
        for note in notes:
            self._note(note)

    def _loop(self, loader: Any, signals: StopSignals, random_state: Mapping[str, Any] | None) -> str:
        """Steps until a bound; returns which."""
        every, batches, seeded = self.config, self._groups(loader), False
        with Profile(self.out / "profile", every.profile_steps if self.processes.main else 0) as profile:
            while (reason := self._bound(loader.epoch)) is None:
                epoch, before = loader.epoch, time.perf_counter()
                group = next(batches, None)
                if group is None:
                    return "data"
                self.progression.window.waited += time.perf_counter() - before
                self._epoch = epoch
                if not seeded:  # after the first batch, because starting a loader may draw numbers
                    self._seed(random_state)
                    seeded = True
                agreed = self._step(group, epoch, self._wish(signals))
                profile.step()
                if self.step % every.log_every == 0:
                    self._log_losses(loader.epoch)
                pause = time.perf_counter()
                if every.validate_every and self.step % every.validate_every == 0:
                    self._validate(loader.epoch)
                if every.sample_every and self.step % every.sample_every == 0:
                    self._sample()
                if every.save_every and self.step % every.save_every == 0:
                    save(self, loader)
                self.progression.window.pause(time.perf_counter() - pause)
                stop = agreed if self.processes.count > 1 else self._wish(signals)
                if stop == "signal":
                    return "SIGTERM" if signals.received is None else signals.received.name
                if stop:
                    return stop
        return reason

    def _bound(self, epoch: int) -> str | None:
        if self.config.steps is not None and self.step >= self.config.steps:
            return "steps"
        if self.config.epochs is not None and epoch >= self.config.epochs:
            return "epochs"
        return None

    def _wish(self, signals: StopSignals) -> str:
        if signals.received is not None:
            return "signal"
        late = self.config.hours is not None and time.monotonic() - self._began >= self.config.hours * 3600
        return "hours" if late else ""

    def _groups(self, loader: Any) -> Iterator[list[Any]]:
        """The batches of a step, on the device."""
        batches = iter(loader)
        while True:
            group = [move(batch, self.device) for _, batch in zip(range(self.config.accumulate), batches, strict=False)]
            if len(group) < self.config.accumulate:
                return
            yield group

    def _seed(self, random_state: Mapping[str, Any] | None) -> None:
        if random_state is not None:
            load_random_state(random_state)
        else:
            seed_everything(self.recipe.seed + self.processes.rank + 1_000_003 * self.step)

    def _step(self, group: list[Any], epoch: int, wish: str) -> str:
        """One optimiser step; returns why the processes agreed to stop, if they did."""
        outcomes = self.stepper.step(group, self.step, epoch, wish)
        self.progression.step += 1
        self.progression.window.steps += 1
        for name, outcome in outcomes:
            self.progression.window.add(name, outcome)
        self.stepper.judge(self.step, [outcome for _, outcome in outcomes])
        self._bar.advance()
        return outcomes[-1][1].stop

    def _log_losses(self, epoch: int) -> None:
        window = self.progression.window
        losses, (speed, waiting) = window.means("losses"), window.speed()
        rates = {name: phase.learning_rate for name, phase in self.phases.items()}
        about: dict[str, Any] = {"losses": losses, "learning_rate": rates, "grad_norm": window.means("grad_norm")}
        about |= {
            "refused": window.refused,
            "seconds": self.seconds(),
            "steps_per_second": speed,
            "data_share": waiting,
        }
        if self.device.type == "cuda":
            about["memory_mib"] = torch.cuda.max_memory_allocated() / 2**20
        self.log.write("train", self.step, epoch, **about)
        self._bar.report(self.step, epoch, losses, speed)
        if self._board is not None:
            self._board.scalars("train", losses, self.step)
            self._board.scalars("learning_rate", rates, self.step)
            self._board.scalars("grad_norm", about["grad_norm"], self.step)
        window.clear()

    def _validate(self, epoch: int, *, scheduled: bool = True) -> None:
        """Figures of the validation set; `scheduled` ones also guide the plateau schedule."""
        self.task.progress = Progress(self.step, epoch, self.config.steps)
        with self._average(), isolated(self.recipe.seed + self.processes.rank):
            figures = self._evaluation.figures(self.stepper.autocast)
        progression = self.progression
        first, progression.validated = progression.validated < 0, self.step
        progression.figures, progression.figure = figures, None
        if not figures:
            if first:
                self._note(f"no validation: {self._evaluation.empty}")
            return
        if self.config.watch not in figures:
            raise ValueError(f"trainer.watch is {self.config.watch!r}; the validation figures are {', '.join(figures)}")
        progression.figure = figures[self.config.watch]
        if scheduled:
            for phase in self.phases.values():
                phase.schedule.observe(progression.figure)
        self.log.write("valid", self.step, epoch, losses=figures)
        if self.processes.main:
            log.info("validation at step %d: %s", self.step, " ".join(f"{k} {v:.4g}" for k, v in figures.items()))
        if self._board is not None:
            self._board.scalars("valid", figures, self.step)

    def _sample(self) -> None:
        self.progression.sampled = self.step
        if not self.processes.main:
            return
        with self._average(), isolated(self.recipe.seed):
            samples = self._evaluation.samples()
        for fault in save_samples(self.out / "samples" / f"step-{self.step:08d}", samples):
            self._note(f"sample not written: {fault}")
        if self._board is not None:
            for sample in samples:
                self._board.sample(sample, self.step)
        if self.judge is not None and samples:
            self._judge_samples(self.judge, samples)

    def _judge_samples(self, judge: Judge, samples: list[Sample]) -> None:
        try:
            with isolated(self.recipe.seed):
                figures = dict(judge(samples))
        except Exception as error:  # days of training are worth more than a figure
            self._note(f"samples not judged: {error}")
            return
        self.log.write("judged", self.step, self._epoch, figures=figures)
        log.info("judged at step %d: %s", self.step, " ".join(f"{k} {v:.4g}" for k, v in figures.items()))
        if self._board is not None:
            self._board.scalars("judged", figures, self.step)

    @contextlib.contextmanager
    def _average(self) -> Iterator[None]:
        with evaluating(self.task), self.ema.applied() if self.ema is not None else contextlib.nullcontext():
            yield

    def _finish(self, loader: Any, reason: str) -> Finish:
        if self.step == 0:
            raise ValueError("the training data gave no batch; check the sources and their filters")
        finish = Finish(self.step, reason, self.out / f"step-{self.step:08d}")
        if not finish.interrupted:
            if self.progression.validated != self.step:
                self._validate(loader.epoch, scheduled=False)
            if self.progression.sampled != self.step:
                self._sample()
        self._note(f"stopped: {reason}")
        if self.progression.checkpoint != finish.checkpoint:
            save(self, loader)
        return finish

    def _note(self, text: str, **values: Any) -> None:
        self.log.write("note", self.step, self._epoch, text=text, **values)
        if self.processes.main and text != "started":
            log.info("%s", text)

    def seconds(self) -> float:
        """Wall time of the run so far, over all its processes one after the other."""
        return self.progression.seconds + time.monotonic() - self._began

    def _expected_steps(self, loader: Any) -> int | None:
        bounds = [self.config.steps] if self.config.steps is not None else []
        if self.config.epochs is not None:
            batches = self.config.epochs * loader.batches_per_epoch
            bounds.append(math.ceil(batches / (self.processes.count * self.config.accumulate)))
        return min(bounds, default=None)


def _check_phases(task: Task[Any, Any], recipe: Recipe) -> None:
    """Refuse a recipe whose optimisers are not those of the phases.

    Raises:
        ConfigError: names both.
    """
    phases, optimizers = list(task.phases()), list(recipe.optimizers)
    if set(phases) != set(optimizers):
        raise ConfigError(
            f"the task {recipe.task!r} has the phases {', '.join(phases)}, the recipe has optimizers for "
            f"{', '.join(optimizers) or 'none'}; give one for each phase and no other"
        )
    if recipe.trainer.accumulate > 1 and len(phases) > 1:
        raise ConfigError(
            f"trainer.accumulate is {recipe.trainer.accumulate}, but the task has {len(phases)} phases "
            f"({', '.join(phases)}), whose updates depend on each other within a batch; set it to 1 and "
            "use a larger data.batch.size"
        )
