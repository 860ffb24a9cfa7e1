"""Metrics of amphion-eval in a training of amphion-core: neither package needs the other, so neither tests it."""

import json

import numpy as np
import pytest

from amphion_core.testing.toy import ToyTask, toy_recipe
from amphion_core.training import Sample, train_task


class RecordedTask(ToyTask):
    """Its copy is half as loud as its recording."""

    def sample(self, batch):
        recording = 0.2 * np.sin(np.arange(8000) / 8).astype(np.float32)
        for kind, wav in (("copy", 0.5 * recording), ("recording", recording)):
            yield Sample(name=f"clip-{kind}", wav=wav, sample_rate=8000)


@pytest.mark.slow
def test_recipe_names_metrics_and_the_log_has_their_figures(tmp_path):
    recipe = toy_recipe(trainer__steps=4, trainer__sample_every=2, trainer__metrics=["energy_rmse_db", "si_sdr"])
    train_task(RecordedTask, recipe, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    judged = [line for line in lines if line["kind"] == "judged"]
    assert [line["step"] for line in judged] == [2, 4]
    assert judged[0]["figures"]["energy_rmse_db"] == pytest.approx(6.02, abs=0.01)


@pytest.mark.slow
def test_unknown_metric_is_refused_before_the_first_step(tmp_path):
    with pytest.raises(LookupError, match="'mdc'"):
        train_task(RecordedTask, toy_recipe(trainer__metrics=["mdc"]), tmp_path)
    assert not (tmp_path / "log.jsonl").exists()
