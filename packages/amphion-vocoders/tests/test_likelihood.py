import math

import pytest
import torch

from amphion_core.config import ConfigError
from amphion_core.testing import check_resume, check_task
from amphion_core.training.run import train_task
from amphion_vocoders import (
    AutoregressiveVocoderRecipe,
    AutoregressiveVocoderTask,
    GanVocoderRecipe,
    GanVocoderTask,
    WaveNet,
    WaveRNN,
)

MEL = {"sample_rate": 8000, "n_fft": 128, "win_length": 128, "hop_length": 32, "n_mels": 12, "f_max": 4000}
MULAW, MIXTURE = {"kind": "mulaw", "classes": 64}, {"kind": "mol", "mixtures": 3}
NETWORKS = {
    "wavenet": {"layers": 4, "stacks": 1, "channels": 8, "gate_channels": 12, "skip_channels": 8, "output": MIXTURE},
    "wavernn": {"channels": 12, "head_channels": 10, "frame_channels": 8, "frame_blocks": 1, "aux_channels": 8}
    | {"output": MULAW},
}


def values(shards, vocoder="wavenet", **trainer):
    return {
        "task": "autoregressive-vocoder",
        "name": "tiny",
        "vocoder": vocoder,
        "model": {"mel": MEL, "rates": [4, 8], "pad": 2, **NETWORKS[vocoder]},
        "data": {
            "train": [{"path": str(shards / "train")}],
            "valid": [{"path": str(shards / "valid")}],
            "batch": {"size": 4, "buckets": 1},
            "valid_batch": {"size": 2, "buckets": 1, "shuffle": False},
        },
        "segment": 512,
        "sample_seconds": 0.02,
        "optimizers": {"generator": {"lr": 1e-3}},
        "trainer": {"steps": 4, "validate_every": 2, "save_every": 2, "log_every": 1, "device": "cpu", **trainer},
    }


def task_of(shards, vocoder="wavenet", **changes):
    torch.manual_seed(0)
    return AutoregressiveVocoderTask(AutoregressiveVocoderRecipe.parse(values(shards, vocoder) | changes))


@pytest.mark.slow
@pytest.mark.parametrize("vocoder", NETWORKS)
def test_contract_is_kept(shards, vocoder):
    check_task(AutoregressiveVocoderTask, AutoregressiveVocoderRecipe.parse(values(shards, vocoder)))


@pytest.mark.slow
@pytest.mark.parametrize("vocoder", NETWORKS)
def test_a_few_steps_make_the_samples_likelier(shards, vocoder):
    task = task_of(shards, vocoder)
    batch = next(iter(task.loader("train", 0, 1)))
    optimizer = torch.optim.Adam(task.generator.parameters(), 1e-2)
    losses = []
    for _ in range(15):
        for _, terms in task.step(batch):
            optimizer.zero_grad()
            terms["nll"].backward()
            optimizer.step()
        losses.append(terms["nll"].item())
    assert losses[-1] < losses[0] - 0.2


def test_a_network_that_knows_nothing_needs_the_bits_of_its_classes(shards):
    task = task_of(shards, "wavernn").eval()
    for parameter in task.generator.head[2].parameters():
        torch.nn.init.zeros_(parameter)
    batch = next(iter(task.loader("valid", 0, 1)))
    with torch.no_grad():
        figures = task.validate(batch)
    assert figures["bits"] == pytest.approx(6, rel=1e-5)
    assert figures["nll"] == pytest.approx(math.log(64), rel=1e-5)


@pytest.mark.parametrize("vocoder", NETWORKS)
def test_validation_hears_whole_clips_without_their_padding(shards, vocoder):
    task = task_of(shards, vocoder).eval()
    batch = next(iter(task.loader("valid", 0, 1)))
    assert batch.lengths.tolist() == [800, 3600]
    longer = type(batch)(torch.nn.functional.pad(batch.wav, (0, 999), value=0.5), batch.lengths, batch.names)
    with torch.no_grad():
        torch.testing.assert_close(task.validate(longer), task.validate(batch))


@pytest.mark.parametrize("pieces", [5, 1000])
def test_validation_is_the_likelihood_of_the_parallel_network(shards, monkeypatch, pieces):
    monkeypatch.setattr("amphion_vocoders.likelihood.PIECE", pieces)
    task = task_of(shards, "wavernn").eval()
    batch = next(iter(task.loader("valid", 0, 1)))
    clip = type(batch)(batch.wav[1:, :3200], torch.tensor([3200]), batch.names[1:])
    with torch.no_grad():
        found = task.validate(clip)["nll"]
        mel = torch.nn.functional.pad(task.mel(clip.wav), (2, 2), mode="replicate")
        signal = task.generator.output.signal(clip.wav)
        whole = task.generator.output.loss(task.generator(signal, mel)[:, :, :-1], signal[:, 1:])
    # Pieces begin anew, and their first samples are less certain.
    assert found == pytest.approx(whole.item(), rel=1e-5 if pieces == 1000 else 0.05)


def test_validation_is_bounded(shards):
    short, longer = (task_of(shards, valid_seconds=s).eval() for s in (0.1, 0.2))
    batch = next(iter(short.loader("valid", 0, 1)))
    cut = type(batch)(batch.wav[:, :800], batch.lengths.clamp(max=800), batch.names)
    with torch.no_grad():
        # The mel of the cut clip differs in the frames at its end, the last 4 of 25.
        assert short.validate(batch)["nll"] == pytest.approx(longer.validate(cut)["nll"].item(), rel=0.05)
        assert short.validate(batch)["nll"] != longer.validate(batch)["nll"]


def test_ends_of_a_segment_are_context_of_the_mel_only(shards):
    task = task_of(shards).eval()
    batch = next(iter(task.loader("train", 0, 1)))
    (_, terms), *_ = task.step(batch)
    mel = task.mel(batch.wav)
    assert mel.shape[2] == 16
    signal = task.generator.output.signal(batch.wav[:, 64:-64])
    logits = task.generator(signal, mel)
    torch.testing.assert_close(terms["nll"], task.generator.output.loss(logits[:, :, :-1], signal[:, 1:]))


def test_samples_are_the_beginnings_of_copies_and_recordings(shards):
    task = task_of(shards, samples=1).eval()
    with torch.no_grad():
        samples = list(task.sample(next(iter(task.loader("valid", 0, 1)))))
    assert [sample.name for sample in samples] == ["valid-0-copy", "valid-0-recording"]
    assert samples[0].wav.shape == samples[1].wav.shape == (160,)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"segment": 128}, "128 is all context; 128 samples"),
        ({"segment": 500}, "no multiple of the hop, 32"),
        ({"vocoder": "hifigan", "model": {"mel": MEL, "rates": [8, 4], "kernel_sizes": [16, 8]}}, "gan-vocoder"),
        ({"model": {"mel": MEL, "rates": [4, 4]}}, "product of rates 16 is not mel.hop_length 32"),
        ({"model": {"mel": MEL, "rates": [4, 8], "layers": 5, "stacks": 2}}, "5 layers can't be divided into 2 stacks"),
        ({"model": {"mel": MEL, "rates": [4, 8], "input": "one_hot"}}, "one_hot needs classes"),
        ({"model": {"mel": MEL, "rates": [4, 8], "gate_channels": 7}}, "multiple of 2"),
    ],
)
def test_faults_of_a_recipe_are_told(shards, changes, words):
    with pytest.raises(ConfigError, match=words):
        AutoregressiveVocoderRecipe.parse(values(shards) | changes)


def test_another_task_refuses_these_vocoders_by_name(shards):
    recipe = values(shards) | {"task": "gan-vocoder"}
    del recipe["sample_seconds"]
    with pytest.raises(ValueError, match="'wavenet' is trained by the task 'autoregressive-vocoder'"):
        GanVocoderTask(GanVocoderRecipe.parse(recipe))


@pytest.mark.slow
@pytest.mark.parametrize(("vocoder", "kind"), [("wavenet", WaveNet), ("wavernn", WaveRNN)])
def test_a_trained_run_is_a_vocoder(shards, tmp_path, vocoder, kind):
    recipe = AutoregressiveVocoderRecipe.parse(values(shards, vocoder, ema=0.9, precision="bf16"))
    run = train_task(AutoregressiveVocoderTask, recipe, tmp_path / "run")
    assert '"refused": 0' in (run / "log.jsonl").read_text()
    wav = kind.from_pretrained(run).synthesize(torch.randn(1, 12, 5) - 4)
    assert wav.shape == (1, 160)
    assert list((run / "samples").rglob("*-copy.wav"))


@pytest.mark.slow
@pytest.mark.parametrize(("vocoder", "workers"), [("wavenet", 0), ("wavernn", 2)])
def test_a_killed_and_resumed_run_ends_bit_for_bit_like_an_undisturbed_one(shards, tmp_path, vocoder, workers):
    recipe = values(shards, vocoder, workers=workers, ema=0.9, sample_every=0) | {"samples": 0, "valid_seconds": 0.1}
    check_resume(recipe, tmp_path, steps=24, save_every=4, kill_after=6)
