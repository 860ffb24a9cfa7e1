"""What a recipe says about optimisers, schedules and the course of a training. Needs no torch."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from ..config import Config

__all__ = ["OptimizerConfig", "ScheduleConfig", "TrainerConfig"]


class ScheduleConfig(Config):
    """Learning rate over time, as a factor of the optimiser's `lr`.

    Attributes:
        name: `constant`; `noam` (Vaswani et al., 2017: rises to step `warmup`, then falls with its root);
            `cosine` (to `final` at step `total`); `inverse_sqrt`; `exponential_step` and
            `exponential_epoch` (times `decay` each step or epoch); `plateau` (times `decay` when the
            watched validation figure has not improved for `patience` validations).
        warmup: steps of linear rise; for `noam` and `inverse_sqrt` also the scale of the fall.
        total: steps until the end of `cosine`.
        final: factor at the end of `cosine`, and the least factor of `plateau`.
        decay: factor of the exponential ones and of `plateau`.
        patience: validations without improvement before `plateau` acts.
    """

    name: Literal["constant", "noam", "cosine", "inverse_sqrt", "exponential_step", "exponential_epoch", "plateau"] = (
        "constant"
    )
    warmup: int = Field(0, ge=0)
    total: int = Field(0, ge=0)
    final: float = Field(0.0, ge=0)
    decay: float = Field(0.999, gt=0, le=1)
    patience: int = Field(10, ge=0)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.name == "cosine" and self.total <= self.warmup:
            raise ValueError(f"cosine needs total above warmup, got total {self.total} and warmup {self.warmup}")
        if self.name in ("noam", "inverse_sqrt") and self.warmup == 0:
            raise ValueError(f"{self.name} needs warmup of at least 1 step")
        return self


class OptimizerConfig(Config):
    """One optimiser; a task has one for each of its phases.

    Attributes:
        name: `adam`, `adamw` or `sgd`.
        lr: learning rate; for `noam` the peak, reached at step `warmup`.
        betas: of Adam and AdamW; the first is the momentum of `sgd`.
        eps: of Adam and AdamW.
        weight_decay: as the optimiser defines it.
        clip_norm: largest gradient norm of the phase; None does not clip.
        schedule: the learning rate over time.
    """

    name: Literal["adam", "adamw", "sgd"] = "adamw"
    lr: float = Field(2e-4, gt=0)
    betas: tuple[float, float] = (0.8, 0.99)
    eps: float = Field(1e-8, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    clip_norm: float | None = Field(None, gt=0)
    schedule: ScheduleConfig = ScheduleConfig()


class TrainerConfig(Config):
    """The course of a training. It stops at the first of `steps`, `epochs` and `hours` that is reached.

    Attributes:
        steps: optimiser steps; None for no bound.
        epochs: passes over the data; None for no bound.
        hours: wall time of this process; None for no bound.
        accumulate: batches whose gradients are summed for a step (tasks of one phase only).
        precision: `fp32`, `bf16` or `fp16` (with loss scaling).
        device: `auto` takes what the launcher or the machine gives, `cpu` stays there.
        compile: pass the task's networks through torch.compile.
        compile_backend: backend of torch.compile; `inductor` needs a C++ compiler on the CPU.
        ema: decay of the moving average of the weights; None keeps none. The average is what is exported.
        ema_start: step at which the average begins.
        log_every: steps between log lines.
        validate_every: steps between validations; 0 only at the end.
        sample_every: steps between samples (audio, pictures); 0 only at the end.
        metrics: of amphion-eval, by name, computed on the samples each time; such as `mcd` and `f0_rmse_cents`.
        save_every: steps between checkpoints; 0 only at the end.
        keep_last: how many of the newest checkpoints stay.
        keep_best: how many of the best checkpoints stay besides.
        watch: the validation figure that decides what is best and that `plateau` follows; lower is better.
        max_bad_steps: consecutive steps with NaN or infinite loss or gradient before the run stops.
        workers: processes that load data; 0 loads in the main one.
        tensorboard: also write event files (extra `amphion-core[tracking]`).
        profile_steps: profile that many steps after the tenth and write a trace; 0 is off.
        resume: `auto` continues from the newest whole checkpoint of the run folder, `never` refuses a
            folder that has one.
        init_weights: what `init_from` brings: `model`, the published network alone, or `all` networks of the
            task, such as a vocoder with its discriminators (only from a checkpoint of our trainer).
    """

    steps: int | None = Field(None, gt=0)
    epochs: int | None = Field(None, gt=0)
    hours: float | None = Field(None, gt=0)
    accumulate: int = Field(1, ge=1)
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    device: Literal["auto", "cpu"] = "auto"
    compile: bool = False
    compile_backend: str = "inductor"
    ema: float | None = Field(None, gt=0, lt=1)
    ema_start: int = Field(0, ge=0)
    log_every: int = Field(50, ge=1)
    validate_every: int = Field(1000, ge=0)
    sample_every: int = Field(5000, ge=0)
    metrics: tuple[str, ...] = ()
    save_every: int = Field(1000, ge=0)
    keep_last: int = Field(2, ge=1)
    keep_best: int = Field(1, ge=0)
    watch: str = "total"
    max_bad_steps: int = Field(10, ge=1)
    workers: int = Field(0, ge=0)
    tensorboard: bool = False
    profile_steps: int = Field(0, ge=0)
    resume: Literal["auto", "never"] = "auto"
    init_weights: Literal["model", "all"] = "model"

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.steps is None and self.epochs is None and self.hours is None:
            raise ValueError("give at least one of steps, epochs and hours, or the training never ends")
        return self
