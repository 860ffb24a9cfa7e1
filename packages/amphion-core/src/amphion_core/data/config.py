"""What a recipe says about its data. Needs no torch."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from ..config import Config

__all__ = ["BatchConfig", "DataConfig", "SourceConfig"]


class SourceConfig(Config):
    """One set of shards, and which of its rows are taken.

    Attributes:
        path: folder of shards, a tar, a text file that lists tars, or an http(s) address of a tar.
        weight: share of this set in a mix, relative to the others.
        min_duration: shortest clip, s.
        max_duration: longest clip, s; None for no bound.
        speakers: only these; empty takes all.
        languages: only these; empty takes all.
        where: a condition that rows have to meet, such as `dnsmos >= 3.2 and characters > 4`; its columns are those of
            `ShardSet.column`, and `amphion_core.data.Expression` says how it is written. Empty takes all.
    """

    path: str
    weight: float = Field(1.0, gt=0)
    min_duration: float = Field(0.0, ge=0)
    max_duration: float | None = None
    speakers: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    where: str = ""

    @field_validator("where")
    @classmethod
    def _readable(cls, value: str) -> str:
        if value.strip():
            from amphion_core.data.expression import Expression  # numpy, which reading most recipes does not need

            Expression(value)
        return value.strip()

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.max_duration is not None and self.max_duration < self.min_duration:
            raise ValueError(f"max_duration {self.max_duration} s is below min_duration {self.min_duration} s")
        return self


class BatchConfig(Config):
    """How rows are grouped.

    Attributes:
        unit: what `size` counts: `items`, `seconds`, `frames` or `tokens` (the longest item times their number,
            so padding is counted).
        size: the most that a batch holds.
        max_items: the most rows of a batch, whatever the unit; None for no bound.
        buckets: rows of similar length are grouped; number of length classes, 1 does not sort.
        shuffle: a new order in each epoch.
    """

    unit: Literal["items", "seconds", "frames", "tokens"] = "items"
    size: float = Field(16, gt=0)
    max_items: int | None = Field(None, ge=1)
    buckets: int = Field(8, ge=1)
    shuffle: bool = True


class DataConfig(Config):
    """Training and validation sets, and how they are batched."""

    train: tuple[SourceConfig, ...] = Field(min_length=1)
    valid: tuple[SourceConfig, ...] = ()
    batch: BatchConfig = BatchConfig()
    valid_batch: BatchConfig = BatchConfig(shuffle=False)
