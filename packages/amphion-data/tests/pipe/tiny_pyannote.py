"""Pipelines of pyannote.audio of small networks of its own classes, which know a low voice from a high one."""

import copy

import numpy as np
import yaml

LOW, HIGH = 200.0, 900.0
RATE = 16_000
CHUNK, FRAMES = 2.0, 115
"""s that the segmentation hears at a time, and what it says of them; the released one hears 10."""
DIMENSION = 256
COMMUNITY = {
    "dependencies": {"pyannote.audio": "4.0.0"},
    "pipeline": {
        "name": "pyannote.audio.pipelines.SpeakerDiarization",
        "params": {
            "clustering": "VBxClustering",
            "segmentation": "$model/segmentation",
            "segmentation_batch_size": 32,
            "embedding": "$model/embedding",
            "embedding_batch_size": 32,
            "embedding_exclude_overlap": True,
            "plda": "$model/plda",
        },
    },
    "params": {"clustering": {"threshold": 0.6, "Fa": 0.07, "Fb": 0.8}, "segmentation": {"min_duration_off": 0.0}},
}
THREE = {
    "version": "3.1.0",
    "pipeline": {
        "name": "pyannote.audio.pipelines.SpeakerDiarization",
        "params": {
            "clustering": "AgglomerativeClustering",
            "embedding": "pyannote/wespeaker-voxceleb-resnet34-LM",
            "embedding_batch_size": 32,
            "embedding_exclude_overlap": True,
            "segmentation": "pyannote/segmentation-3.0",
            "segmentation_batch_size": 32,
        },
    },
    "params": {
        "clustering": {"method": "centroid", "min_cluster_size": 12, "threshold": 0.7045654963945799},
        "segmentation": {"min_duration_off": 0.0},
    },
}
"""What `config.yaml` holds in the repositories speaker-diarization-community-1 and speaker-diarization-3.1."""


def voices(seconds, turns, level=0.3, seed=0):
    """(T,) of low and high voices in faint noise; turns are (start, end, frequency), s."""
    wav = np.random.default_rng(seed).normal(0, 0.002, round(seconds * RATE))
    time = np.arange(wav.size) / RATE
    for start, end, frequency in turns:
        syllables = 1 - 0.6 * np.cos(2 * np.pi * 6 * (time - start))  # embeddings know only what changes in a band
        tones = sum(np.sin(2 * np.pi * k * frequency * time) / k for k in (1, 2, 3))
        wav += ((time >= start) & (time < end)) * level * syllables * tones
    return wav.astype(np.float32)


def tiny_networks(folder):
    """Write `segmentation`, `embedding` and `plda`, which take some seconds to make, below a folder; returns it."""
    generator = np.random.default_rng(0)
    save(segmentation(generator), folder / "segmentation")
    save(embedding(generator), folder / "embedding")
    (folder / "plda").mkdir(parents=True)
    projection = np.eye(DIMENSION, 128)
    np.savez(folder / "plda" / "xvec_transform.npz", mean1=np.zeros(DIMENSION), mean2=np.zeros(128), lda=projection)
    np.savez(folder / "plda" / "plda.npz", mu=np.zeros(128), tr=np.eye(128), psi=np.linspace(10.0, 1.0, 128))
    return folder


def examples(count, generator):
    """Sounds in which each voice may speak a while, (N, T), and where it does, (N, 2, F)."""
    wavs, truths = [], []
    middles = (np.arange(FRAMES) + 0.5) * CHUNK / FRAMES
    for _ in range(count):
        turns = []
        for pitch in (LOW, HIGH):
            start, length = generator.uniform(-2, CHUNK), generator.uniform(0.5, 4) * (generator.random() < 0.6)
            turns.append((start, start + length, pitch))
        wavs.append(voices(CHUNK, turns, generator.uniform(0.05, 0.4), seed=int(generator.integers(1e9))))
        truths.append([(middles >= start) & (middles < end) for start, end, _ in turns])
    return np.stack(wavs), np.array(truths)


def embedding(generator):
    """A ResNet of random weights but for the last layer: vectors of the low voice point one way, others the other."""
    import torch
    from pyannote.audio.core.task import Problem, Resolution, Specifications
    from pyannote.audio.models.embedding import WeSpeakerResNet34

    torch.manual_seed(0)
    model = WeSpeakerResNet34(num_mel_bins=8, frame_shift=20.0).eval()
    model.specifications = Specifications(
        problem=Problem.REPRESENTATION, resolution=Resolution.CHUNK, duration=2.0, min_duration=1.0
    )
    wavs, truths = examples(300, generator)
    alone = truths & ~truths[:, ::-1]
    rows, which = np.nonzero(alone.sum(axis=2) > 0.2 * FRAMES)
    pooled = []
    handle = model.resnet.seg_1.register_forward_pre_hook(lambda _, inputs: pooled.append(inputs[0]))
    with torch.inference_mode():
        weights = torch.from_numpy(alone[rows, which].astype(np.float32))
        model(torch.from_numpy(wavs[rows])[:, None], weights=weights)
    handle.remove()
    facts = np.concatenate([pooled[0].numpy(), np.ones((len(rows), 1))], axis=1).astype(np.float64)
    wanted = np.zeros((len(rows), DIMENSION))
    wanted[:, 0] = 1 - 2 * which
    least = np.linalg.solve(facts.T @ facts + 1e-2 * np.eye(facts.shape[1]), facts.T @ wanted)
    with torch.no_grad():
        model.resnet.seg_1.weight.copy_(torch.from_numpy(least[:-1].T))
        model.resnet.seg_1.bias.copy_(torch.from_numpy(least[-1]))
    return model


def save(model, folder):
    """Write a checkpoint as the library's trainer does."""
    import lightning
    import torch

    kept = {"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams)}
    kept["pytorch-lightning_version"] = lightning.__version__
    model.on_save_checkpoint(kept)
    folder.mkdir(parents=True)
    torch.save(kept, folder / "pytorch_model.bin")


def segmentation(generator):
    """A PyanNet that was taught the two voices."""
    import torch
    from pyannote.audio.core.task import Problem, Resolution, Specifications
    from pyannote.audio.models.segmentation import PyanNet

    torch.manual_seed(0)
    small = {"num_layers": 1, "hidden_size": 16}
    model = PyanNet(lstm=small, linear=small)
    model.specifications = Specifications(
        problem=Problem.MONO_LABEL_CLASSIFICATION,
        resolution=Resolution.FRAME,
        duration=CHUNK,
        min_duration=CHUNK,
        warm_up=(0.0, 0.0),
        classes=["speaker#1", "speaker#2", "speaker#3"],
        powerset_max_classes=2,
        permutation_invariant=True,
    )
    model.build()
    assert model.num_frames(round(CHUNK * RATE)) == FRAMES
    optimiser = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in range(80):
        wavs, truths = examples(4, generator)
        low, high = truths[:, 0], truths[:, 1]
        classes = low + 2 * high + (low & high)  # nobody, the low one, the high one, a third one, the first two at once
        output = model(torch.from_numpy(wavs)[:, None]).flatten(0, 1)
        loss = torch.nn.functional.nll_loss(output, torch.from_numpy(classes).long().flatten())
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
    return model.eval()


def changed(config, **params):
    """A configuration with other arguments of its pipeline."""
    found = copy.deepcopy(config)
    found["pipeline"]["params"].update(params)
    return found


def write_config(folder, config):
    """Write `config.yaml`; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return folder


def repository(cache, name, revision="main"):
    """The folder of a repository of the hub in its cache, made."""
    place = cache / f"models--{name.replace('/', '--')}"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / revision).write_text("0" * 40)
    (place / "snapshots" / ("0" * 40)).mkdir(parents=True)
    return place / "snapshots" / ("0" * 40)
