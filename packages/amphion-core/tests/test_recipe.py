"""Recipes are read through the typed config of their task."""

import pytest

from amphion_core import registry
from amphion_core.config import ConfigError
from amphion_core.recipe import Recipe, copy_recipe, find_recipe, load_recipe, recipe_names

RECIPE = """\
task: toy
name: toy-run
description: a toy
dim: 3
trainer: {steps: 10}
optimizers:
  main: {lr: 1e-4, schedule: {name: noam, warmup: 4000}}
"""


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """An installed package with a task and a recipe."""
    info = tmp_path / "toy_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[amphion.tasks]\ntoy = toy_plugin:ToyTask\n[amphion.recipes]\ntoys = toy_plugin.recipes\n"
    )
    package = tmp_path / "toy_plugin"
    (package / "recipes").mkdir(parents=True)
    (package / "__init__.py").write_text(
        "from amphion_core.recipe import Recipe\n"
        "class ToyRecipe(Recipe):\n    dim: int\n"
        "class ToyTask:\n    recipe_class = ToyRecipe\n"
    )
    (package / "recipes" / "__init__.py").write_text("")
    (package / "recipes" / "first.yaml").write_text(RECIPE)
    monkeypatch.syspath_prepend(str(tmp_path))
    registry.entries.cache_clear()
    yield tmp_path
    registry.entries.cache_clear()


def test_a_recipe_is_found_by_name_and_typed_by_its_task(toy):
    recipe = load_recipe("toys/first", ["trainer.steps=1e1", "optimizers.main.lr=2e-4"])
    assert isinstance(recipe, Recipe) and type(recipe).__name__ == "ToyRecipe"
    assert recipe.dim == 3 and recipe.trainer.steps == 10 and recipe.optimizers["main"].lr == 2e-4


def test_names_are_listed_and_an_unknown_one_lists_them(toy):
    assert "toys/first" in recipe_names()
    with pytest.raises(LookupError, match=r"known names: .*toys/first.*; did you mean 'toys/first'\?"):
        find_recipe("toys/frist")


def test_a_copy_can_be_edited_and_never_replaces_a_file(toy, tmp_path):
    path = copy_recipe("toys/first", tmp_path / "mine.yaml")
    assert load_recipe(path).dim == 3
    with pytest.raises(FileExistsError):
        copy_recipe("toys/first", path)


def test_faults_of_a_recipe_come_all_at_once(toy, tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_text(RECIPE.replace("steps: 10", "stepps: 10").replace("dim", "dmi").replace("noam", "naom"))
    with pytest.raises(ConfigError) as error:
        load_recipe(file)
    for words in ("trainer.stepps: unknown key; did you mean 'steps'", "dmi: unknown key; did you mean 'dim'", "naom"):
        assert words in str(error.value)


def test_a_recipe_without_a_task_says_so(toy, tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_text("name: x\n")
    with pytest.raises(ConfigError, match="names its task"):
        load_recipe(file)


def test_a_training_without_an_end_is_refused(toy, tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_text(RECIPE.replace("{steps: 10}", "{}"))
    with pytest.raises(ConfigError, match="never ends"):
        load_recipe(file)


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden", ""])
def test_the_name_of_a_run_cannot_leave_its_folder(toy, tmp_path, name):
    file = tmp_path / "bad.yaml"
    file.write_text(RECIPE.replace("toy-run", f"'{name}'"))
    with pytest.raises(ConfigError, match="name"):
        load_recipe(file)
