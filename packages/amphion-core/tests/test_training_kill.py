import os
import random
from pathlib import Path

import pytest
import yaml

from amphion_core.testing.kill import run, run_killed_after
from amphion_core.testing.resume import check_resume, differing, train_losses
from amphion_core.testing.toy import toy_recipe

pytestmark = pytest.mark.skipif(os.name == "nt", reason="kills and forks are those of POSIX systems")
TRAIN = f"{Path(__file__).with_name('toy_training.py')}:train_slowly"


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("adversarial", [True, False])
def test_a_killed_and_resumed_run_ends_bit_for_bit_like_an_undisturbed_one(tmp_path, workers, adversarial):
    recipe = toy_recipe(adversarial=adversarial, trainer__workers=workers, trainer__validate_every=3).to_dict()
    check_resume(recipe, tmp_path, steps=18, save_every=4, kill_after=6, target=TRAIN)


@pytest.mark.slow
def test_a_run_killed_again_and_again_ends_like_an_undisturbed_one(tmp_path):
    settings = {"trainer__steps": 12, "trainer__save_every": 1, "trainer__validate_every": 2, "trainer__log_every": 1}
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(toy_recipe(**settings, trainer__sample_every=3).to_dict()))
    chance, kills, out = random.Random(0), 0, tmp_path / "killed"
    while True:
        # Counted from the moment that the run makes a step again, or it would never come to its end.
        reached = max(train_losses(out), default=0)
        killed = run_killed_after(
            chance.uniform(0.0, 0.05),
            TRAIN,
            str(path),
            str(out),
            ready=lambda reached=reached: max(train_losses(out), default=0) > reached,
        )
        if not killed:
            break
        kills += 1
    run(TRAIN, str(path), str(tmp_path / "undisturbed"))
    assert kills >= 3
    assert differing(tmp_path / "undisturbed", out) == []
