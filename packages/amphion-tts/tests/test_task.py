"""Training of FastSpeech 2: learned and given durations, dropped rows, statistics, exact resume."""

import pytest
import torch

from amphion_core.config import ConfigError
from amphion_core.hub import load_pretrained
from amphion_core.testing import check_resume, check_task
from amphion_core.training.run import train_task
from amphion_tts.fastspeech2.recipe import FastSpeech2Recipe
from amphion_tts.fastspeech2.task import FastSpeech2Task
from amphion_tts.text.symbols import ENGLISH_SYMBOLS


def parse(values, **changes):
    return FastSpeech2Recipe.parse({**values, **changes})


def aligned(folder, shards):
    """TextGrids in which three phones share each clip between two silences."""
    from amphion_core.data.reader import ShardSet

    rows = ShardSet.open(shards)
    for key, duration in zip(rows.keys, rows.durations, strict=True):
        edges = [0.0, 0.05, 0.2, 0.25, duration - 0.05, duration]
        labels = ["sil", "AA1", "sp", "N", ""]
        body = "".join(f'{a}\n{b}\n"{label}"\n' for a, b, label in zip(edges, edges[1:], labels, strict=False))
        head = f'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n{duration}\n<exists>\n1\n'
        path = folder / "lj" / f"{key}.TextGrid"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'{head}"IntervalTier"\n"phones"\n0\n{duration}\n5\n{body}')
    return folder


@pytest.mark.slow
def test_the_task_keeps_the_contract_of_core(recipe_values):
    check_task(FastSpeech2Task, parse(recipe_values))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_killed_and_resumed_it_ends_bit_for_bit_like_an_undisturbed_run(recipe_values, tmp_path, workers):
    recipe_values["trainer"] |= {"workers": workers, "ema": 0.9, "validate_every": 4}
    check_resume(recipe_values, tmp_path / "runs", steps=30, save_every=4, kill_after=6)


@pytest.mark.slow
def test_a_short_training_leaves_a_model_that_is_complete_by_itself(recipe_values, tmp_path):
    recipe_values["trainer"] |= {"steps": 12, "sample_every": 12}
    folder = train_task(FastSpeech2Task, parse(recipe_values, samples=1), tmp_path / "run")
    model = load_pretrained(folder, group="models")
    assert model.config.symbols == ENGLISH_SYMBOLS
    assert 100 < model.config.pitch.mean < 160  # the tones of the corpus lie at 110 to 135 Hz
    assert model.config.energy.std > 0
    assert not any(name.startswith("aligner") for name, _ in model.named_parameters())
    assert len(list((folder / "samples").rglob("*.wav"))) == 2
    assert len(list((folder / "samples").rglob("*.png"))) == 2


def test_only_the_aligner_is_trained_at_first(recipe_values):
    task = FastSpeech2Task(parse(recipe_values, aligner={"dim": 8, "alone": 1}))
    batch = next(iter(task.loader("train", 0, 1)))
    ((phase, terms),) = task.step(batch)
    assert (phase, set(terms)) == ("model", {"forward_sum", "binarise"})
    task.progress = type(task.progress)(step=1)
    ((_, terms),) = task.step(batch)
    assert {"mel", "postnet_mel", "duration", "pitch", "energy"} < set(terms)


def test_durations_of_textgrids_are_taken_and_cover_the_mel(recipe_values, tmp_path):
    grids = aligned(tmp_path / "grids", recipe_values["data"]["train"][0]["path"])
    recipe_values["model"] = {**recipe_values["model"], "frontend": {"kind": "lexicon"}}
    values = {**recipe_values, "durations": "textgrid", "textgrids": str(grids)}
    task = FastSpeech2Task(parse(values))
    assert task.aligner is None
    batch = next(iter(task.loader("train", 0, 1)))
    assert batch.durations.sum(1).tolist() == batch.mel_lengths.tolist()
    table = task.network.config.symbols
    assert [table[i] for i in batch.phones[0]] == ["@AA1", "@sp", "@N"]
    ((_, terms),) = task.step(batch)
    assert all(torch.isfinite(term) for term in terms.values())


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["seconds", "frames"])
def test_half_precision_and_batches_by_length_train(recipe_values, tmp_path, unit):
    recipe_values["trainer"] |= {"steps": 3, "precision": "bf16"}
    recipe_values["data"]["batch"] = {"unit": unit, "size": 4 if unit == "seconds" else 500, "buckets": 2}
    folder = train_task(FastSpeech2Task, parse(recipe_values), tmp_path / "run")
    assert "bad" not in (folder / "log.jsonl").read_text()


def test_stored_mels_are_those_computed_on_the_fly(recipe_values):
    stored = next(iter(FastSpeech2Task(parse(recipe_values, store_mel=True)).loader("valid", 0, 1)))
    fresh = next(iter(FastSpeech2Task(parse(recipe_values)).loader("valid", 0, 1)))
    assert torch.equal(stored.mel, fresh.mel)
    assert torch.equal(stored.pitch, fresh.pitch)


def test_rows_that_cannot_be_used_are_counted_with_their_reason(recipe_values, make_shards, caplog):
    texts = ["Good morning.", "", "🙂🙂", "x" * 400 + "supercalifragilistic " * 40, "Good night."]
    recipe_values["data"]["train"] = [{"path": str(make_shards(texts, "odd"))}]
    task = FastSpeech2Task(parse(recipe_values))
    assert len(task._train[0]) == 3
    assert "2 of 5 rows left out" in caplog.text
    assert "1 without text" in caplog.text
    assert "1 with a text that can't be read" in caplog.text


def test_a_corpus_without_any_usable_row_is_refused(recipe_values, make_shards):
    recipe_values["data"]["train"] = [{"path": str(make_shards(["...", "?!"], "odd"))}]
    with pytest.raises(ValueError, match="none of 2 rows can be used: 2 with a text that can't be read"):
        FastSpeech2Task(parse(recipe_values))


def test_speakers_of_the_corpus_become_those_of_the_model(recipe_values, make_shards):
    recipe_values["data"]["train"] = [{"path": str(make_shards(name="many", speakers=["ann", "bob"]))}]
    task = FastSpeech2Task(parse(recipe_values))
    assert task.network.config.speakers == ("ann", "bob")
    batch = next(iter(task.loader("train", 0, 1)))
    assert [int(key[-1]) % 2 for key in batch.keys] == batch.speakers.tolist()


def test_characters_of_the_corpus_become_the_table(recipe_values, make_shards):
    recipe_values["data"]["train"] = [{"path": str(make_shards(["Schöne Grüße.", "Да, да!"], "scripts"))}]
    recipe_values["model"] = {**recipe_values["model"], "frontend": {"kind": "characters"}}
    symbols = FastSpeech2Task(parse(recipe_values)).network.config.symbols
    assert symbols[:2] == ("_", "sil")
    assert set("schönegrüßда ") <= set(symbols)


def test_contradictions_of_a_recipe_are_reported_together(recipe_values):
    recipe_values["durations"] = "textgrid"
    recipe_values["model"] = {**recipe_values["model"], "frontend": {"kind": "espeak"}}
    recipe_values["data"]["batch"]["unit"] = "tokens"
    with pytest.raises(ConfigError, match=r"needs textgrids.*ARPAbet.*items, seconds or frames"):
        parse(recipe_values)


def test_the_recipes_of_the_package_are_valid():
    from amphion_core.recipe import load_recipe, recipe_names

    names = [name for name in recipe_names() if name.startswith("tts/")]
    assert {"tts/fastspeech2-demo", "tts/fastspeech2-ljspeech", "tts/fastspeech2-ljspeech-textgrid"} <= set(names)
    for name in names:
        assert load_recipe(name).description


@pytest.mark.slow
def test_a_fine_tune_keeps_the_tables_and_statistics_that_its_weights_mean(recipe_values, make_shards, tmp_path):
    recipe_values["model"] = {**recipe_values["model"], "frontend": {"kind": "characters"}}
    first = train_task(FastSpeech2Task, parse(recipe_values), tmp_path / "first")
    before = load_pretrained(first, group="models").config
    recipe_values["data"]["train"] = [{"path": str(make_shards(["Seven ships sang."], "other"))}]
    task = FastSpeech2Task(parse(recipe_values, init_from=str(first)))
    assert task.network.config == before
    recipe_values["data"]["train"] = [{"path": str(make_shards(["Zürich."], "strange"))}]
    with pytest.raises(ValueError, match="no symbol of the model: 'z', 'ü'"):
        FastSpeech2Task(parse(recipe_values, init_from=str(first))).loader("train", 0, 1)
