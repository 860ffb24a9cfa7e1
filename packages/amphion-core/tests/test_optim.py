import math

import pytest
import torch
from torch import nn

from amphion_core.config import ConfigError
from amphion_core.training.config import OptimizerConfig, ScheduleConfig
from amphion_core.training.optim import Schedule, build_optimizer


def factors(steps, epoch=0, **settings):
    schedule = Schedule(ScheduleConfig(**settings))
    return [schedule.factor(step, epoch) for step in steps]


def test_noam_rises_to_one_at_the_end_of_warmup_and_falls_with_the_root():
    assert factors([50, 100, 400], name="noam", warmup=100) == pytest.approx([0.5, 1.0, 0.5])


def test_cosine_is_one_after_warmup_half_way_down_in_the_middle_and_final_at_the_end():
    values = factors([5, 10, 60, 110, 500], name="cosine", warmup=10, total=110, final=0.2)
    assert values == pytest.approx([0.5, 1.0, 0.6, 0.2, 0.2])


def test_inverse_sqrt_halves_when_the_steps_are_four_times_the_warmup():
    assert factors([1, 10, 40], name="inverse_sqrt", warmup=10) == pytest.approx([0.1, 1.0, 0.5])


def test_exponential_by_step_takes_the_whole_rate_first():
    assert factors([1, 2, 4], name="exponential_step", decay=0.5) == [1.0, 0.5, 0.125]


def test_exponential_by_epoch_ignores_the_step():
    assert factors([1, 999], epoch=3, name="exponential_epoch", decay=0.5) == [0.125, 0.125]


def test_constant_with_warmup_rises_linearly():
    assert factors([1, 2, 4, 9], name="constant", warmup=4) == [0.25, 0.5, 1.0, 1.0]


def test_plateau_acts_after_patience_validations_without_improvement_and_stops_at_final():
    schedule = Schedule(ScheduleConfig(name="plateau", decay=0.5, patience=1, final=0.3))
    seen = []
    for figure in (3.0, 2.0, 2.0, 2.0, 2.5, 2.5, 2.5, 2.5):
        schedule.observe(figure)
        seen.append(schedule.factor(1, 0))
    assert seen == [1.0, 1.0, 1.0, 0.5, 0.5, 0.3, 0.3, 0.3]


def test_plateau_takes_a_figure_that_is_no_number_for_no_improvement():
    schedule = Schedule(ScheduleConfig(name="plateau", decay=0.5, patience=0))
    schedule.observe(1.0)
    schedule.observe(math.nan)
    assert schedule.factor(1, 0) == 0.5


def test_plateau_continues_from_its_state():
    first, second = (Schedule(ScheduleConfig(name="plateau", decay=0.5, patience=1)) for _ in range(2))
    for figure in (2.0, 3.0, 3.0, 3.0):
        first.observe(figure)
    second.load_state_dict(first.state_dict())
    for schedule in (first, second):
        schedule.observe(3.0)
    assert first.factor(1, 0) == second.factor(1, 0) == 0.25


@pytest.mark.parametrize(
    "settings", [{"name": "noam"}, {"name": "cosine", "warmup": 5, "total": 5}, {"name": "inverse_sqrt"}]
)
def test_an_incomplete_schedule_is_refused(settings):
    with pytest.raises(ConfigError, match="needs"):
        ScheduleConfig.parse(settings)


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("adam", lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.8, 0.9), eps=1e-6, weight_decay=0.1)),
        ("adamw", lambda p: torch.optim.AdamW(p, lr=0.1, betas=(0.8, 0.9), eps=1e-6, weight_decay=0.1)),
        ("sgd", lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.8, weight_decay=0.1)),
    ],
)
def test_an_optimizer_by_name_makes_the_steps_of_the_torch_one(name, reference):
    config = OptimizerConfig(name=name, lr=0.1, betas=(0.8, 0.9), eps=1e-6, weight_decay=0.1)
    ours, theirs = (nn.Parameter(torch.tensor([1.0, -2.0])) for _ in range(2))
    optimizers = build_optimizer(config, [ours]), reference([theirs])
    for _ in range(5):
        for parameter, optimizer in zip((ours, theirs), optimizers, strict=True):
            parameter.grad = parameter.detach() ** 2
            optimizer.step()
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-6)  # fused kernels round otherwise


def test_an_optimizer_without_parameters_is_refused():
    with pytest.raises(ValueError, match="without parameters"):
        build_optimizer(OptimizerConfig(), [])
