"""Metrics of what a training makes, while it trains: a function from samples to figures."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from amphion_eval.metric import Metric, resolve
from amphion_eval.pairing import Clip, Pair
from amphion_eval.scoring import score
from amphion_eval.settings import Settings

__all__ = ["Heard", "SampleJudge", "judge"]

RECORDING = "recording"
"""Kind of the samples that are not made but recorded."""


class Heard(Protocol):
    """What is looked at of a sample; `amphion_core.training.Sample` is one."""

    @property
    def name(self) -> str:
        """`NAME-KIND`, with the recording as `NAME-recording`."""

    @property
    def wav(self) -> np.ndarray | None:
        """(T,) samples, or None where there is only a picture."""

    @property
    def sample_rate(self) -> int:
        """Hz."""


class SampleJudge:
    """Scores samples against the recordings beside them.

    A sample `NAME-KIND` has its recording in the sample `NAME-recording`. Metrics that need none take all samples that
    are not recordings.
    """

    def __init__(
        self, metrics: Iterable[str | Metric], settings: Settings | None = None, *, device: str = "auto", **changes: Any
    ) -> None:
        """Choose the metrics.

        Args:
            metrics: names, beginnings of names, or metrics.
            settings: of the analyses.
            device: of networks.
            changes: single fields of `settings`, such as `align="dtw"`.

        Raises:
            LookupError: a metric is unknown.
            ValueError: settings that make no sense.
        """
        self.metrics = resolve(metrics)
        self.settings = (settings or Settings()).updated(**changes) if changes else settings or Settings()
        self.device = device

    def __call__(self, samples: Sequence[Heard]) -> dict[str, float]:
        """Figures of the samples.

        Args:
            samples: of one moment of the training; those without sound are passed over.

        Returns:
            Metric to figure, the mean or the pooled rate; `KIND/metric` where there are several kinds of sample. A
            figure that is undefined or infinite is left out.

        Raises:
            ValueError: no sample has a recording beside it, or a metric failed.
        """
        heard = {sample.name: sample for sample in samples if sample.wav is not None and np.size(sample.wav)}
        kinds: dict[str, list[tuple[str, str]]] = {}
        for name in heard:
            stem, dash, kind = name.rpartition("-")
            recording = f"{stem}-{RECORDING}"
            if dash and kind != RECORDING and recording in heard:
                kinds.setdefault(kind, []).append((name, recording))
        if not kinds:
            raise ValueError(f"no sample NAME-KIND has a NAME-{RECORDING} beside it: {', '.join(heard) or 'no sound'}")
        figures: dict[str, float] = {}
        with tempfile.TemporaryDirectory(prefix="amphion-eval-") as folder:
            places = {
                name: _written(sample, Path(folder), number) for number, (name, sample) in enumerate(heard.items())
            }
            for kind, names in kinds.items():
                pairs = [Pair(name, places[recording], places[name]) for name, recording in names]
                report = score(pairs, self.metrics, settings=self.settings, device=self.device, bootstrap=0)
                prefix = f"{kind}/" if len(kinds) > 1 else ""
                for metric, summary in report.summary.items():
                    if summary.figure is not None and math.isfinite(summary.figure):
                        figures[f"{prefix}{metric}"] = summary.figure
        return figures


def judge(metrics: Sequence[str]) -> SampleJudge:
    """What `trainer.metrics` of a recipe stands for; see `SampleJudge`.

    Args:
        metrics: names.

    Raises:
        LookupError: a metric is unknown.
    """
    return SampleJudge(metrics)


def _written(sample: Heard, folder: Path, number: int) -> Clip:
    from amphion_core import audio

    path = folder / f"{number}.wav"
    path.write_bytes(audio.encode(np.asarray(sample.wav, np.float32), sample.sample_rate, "wav", subtype="FLOAT"))
    return Clip(path.as_posix())
