from pathlib import Path

import pytest

from amphion_core.testing.resume import check_resume
from amphion_core.testing.toy import toy_recipe

TRAIN = f"{Path(__file__).with_name('toy_training.py')}:train"


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("adversarial", [True, False])
def test_a_killed_and_resumed_run_ends_bit_for_bit_like_an_undisturbed_one(tmp_path, workers, adversarial):
    recipe = toy_recipe(adversarial=adversarial, trainer__workers=workers, trainer__validate_every=3).to_dict()
    check_resume(recipe, tmp_path, steps=60, save_every=4, kill_after=22, target=TRAIN)
