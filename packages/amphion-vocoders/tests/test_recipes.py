import pytest
import torch

from amphion_core import registry
from amphion_core.recipe import load_recipe, recipe_names

NAMES = [name for name in recipe_names() if name.startswith("vocoders/")]


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_is_whole(name):
    recipe = load_recipe(name)
    assert recipe.name == name.removeprefix("vocoders/")
    assert recipe.description
    assert type(recipe).parse(recipe.to_dict()) == recipe


@pytest.mark.parametrize("name", NAMES)
def test_networks_and_optimisers_of_a_recipe_agree(name):
    recipe = load_recipe(name)
    with torch.device("meta"):
        task = registry.find("tasks", recipe.task)(recipe)
    assert set(task.phases()) == set(recipe.optimizers)
    assert sum(p.numel() for p in task.model().parameters()) > 1000


def test_there_are_recipes_for_each_rate_and_for_speech_and_singing():
    rates = {load_recipe(name).model.mel.sample_rate for name in NAMES}
    assert rates >= {22050, 24000, 44100}
    about = " ".join(load_recipe(name).description for name in NAMES)
    assert "speech" in about
    assert "singing" in about


def test_fine_tuning_starts_from_a_checkpoint_of_the_same_configuration():
    from amphion_vocoders.checkpoints import find_checkpoint

    recipe = load_recipe("vocoders/bigvgan-24k-singing-finetune")
    found = find_checkpoint(recipe.init.generator)
    assert found is not None
    assert found[1].network_config() == recipe.model


@pytest.mark.parametrize("name", ["melgan-24k", "hifigan-24k-enhanced"])
def test_recipes_said_to_have_the_discriminators_of_the_toolkit_have_all_four(name):
    recipe = load_recipe(f"vocoders/{name}")
    assert [config.name for config in recipe.discriminators] == ["scale", "period", "stft", "constant_q"]
    assert recipe.loss.feature_logits == (True, True, False, False)
