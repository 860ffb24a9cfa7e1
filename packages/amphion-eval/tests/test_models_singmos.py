"""SingMOS: the layout of its release, the mean over time, figures of the library that it stands on."""

import numpy as np
import pytest

pytestmark = pytest.mark.extra("embedding")
RATE = 16000
PREFIX = "ssl_model.upstream.model."
SMALLER = {768: 16, 512: 8, 3072: 32, 48: 8, 128: 16, 256: 4, 320: 4, 640: 8}


def tiny_config():
    from transformers import Wav2Vec2Config

    return Wav2Vec2Config(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, conv_dim=(8,) * 7,
        num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2,
    )  # fmt: skip


def tiny_weights(shapes):
    """The first two layers of the release, with fewer channels, under its names."""
    import torch

    rng = np.random.default_rng(0)
    weights = {}
    for name in sorted(shapes):
        if ".layers." not in name or int(name.split(".layers.")[1].split(".")[0]) < 2:
            shape = [SMALLER.get(size, size) for size in shapes[name]]
            array = rng.standard_normal(shape) / max(1, np.prod(shape[1:])) ** 0.5
            array = np.abs(array) + 0.5 if name.endswith("weight_g") else array
            weights[name] = torch.tensor(array, dtype=torch.float32)
    return weights


@pytest.fixture
def tiny(keys):
    from amphion_core.hub import load_weights
    from amphion_eval.models.singmos import SingMos, own_keys

    model = SingMos(tiny_config())
    load_weights(model, own_keys(tiny_weights(keys("singmos"))))
    return model.eval()


def test_every_weight_has_one_place(keys):
    import torch
    from transformers import Wav2Vec2Config

    from amphion_eval.models.singmos import SingMos, own_keys

    released = {name: torch.empty(shape, device="meta") for name, shape in keys("singmos").items()}
    with torch.device("meta"):
        own = SingMos(Wav2Vec2Config()).state_dict()
    renamed = own_keys(released)
    assert {n: tuple(t.shape) for n, t in renamed.items()} == {n: tuple(t.shape) for n, t in own.items()}
    assert len(released) - len(renamed) == 7  # quantizer, project_q and final_proj, of the training of wav2vec 2.0


def test_other_wrappings_of_the_same_network_are_read_as_well(keys):
    from amphion_eval.models.singmos import own_keys

    weights = tiny_weights(keys("singmos"))
    bare = {name.replace(PREFIX, "ssl_model."): tensor for name, tensor in weights.items()}  # as fairseq has it
    assert own_keys(bare).keys() == own_keys(weights).keys()


@pytest.mark.parametrize(
    ("samples", "score"),
    [(1600, 1.857105), (8000, 1.835908), (8001, 1.836289), (8079, 1.836309), (8080, 1.835623), (9000, 1.831089)],
)
def test_random_weights_give_what_s3prl_gives(samples, score, tiny, noise):
    from amphion_eval.models.singmos import batched

    # s3prl 0.4.18 with these weights: the linear layer on the mean of the frames of its last hidden state
    assert batched(tiny, "cpu")([noise(samples / RATE)])[0]["singmos"] == pytest.approx(score, abs=1e-5)


@pytest.mark.parametrize(("samples", "frames", "repeated"), [(1600, 4, 1), (8000, 24, 1), (8079, 24, 2), (8080, 25, 1)])
def test_last_frame_counts_for_every_hop_that_has_begun(samples, frames, repeated, tiny, noise):
    import torch

    wav = torch.tensor(noise(samples / RATE))[None]
    with torch.no_grad():
        states = tiny.wav2vec2(wav).last_hidden_state[0]
        mean = torch.cat([states, states[-1:].expand(repeated, -1)]).mean(dim=0)
        assert len(states) == frames
        assert float(tiny(wav)) == pytest.approx(float(tiny.output_layer(mean)), abs=1e-5)


def test_scores_are_the_same_alone_and_in_a_batch_in_any_order(tiny, noise):
    from amphion_eval.models.singmos import batched

    batch = batched(tiny, "cpu")
    clips = [noise(0.5, seed=1), noise(0.3, seed=2), noise(0.5, seed=3)]
    rows = batch(clips)
    for row, turned, clip in zip(rows, batch(clips[::-1])[::-1], clips, strict=True):
        assert row == pytest.approx(batch([clip])[0], abs=1e-5)  # other sizes of matrices sum in another order
        assert row == pytest.approx(turned, abs=1e-5)
    assert len({row["singmos"] for row in rows}) == 3


def test_clips_without_a_rating_say_why(tiny, noise):
    from amphion_eval.models.singmos import batched

    outputs = batched(tiny, "cpu")([np.zeros(0), np.ones(RATE), noise(0.05), noise(0.1)])
    assert [getattr(output, "reason", None) for output in outputs] == [
        "there is no sample",
        "the clip is silent: its samples are all the same",
        "0.050 s are shorter than the 0.1 s that the network needs",
        None,
    ]


@pytest.mark.slow
def test_files_of_other_networks_are_refused(keys, tmp_path):
    import torch

    from amphion_eval.models.singmos import load

    weights = tiny_weights(keys("singmos"))
    torch.save(weights, tmp_path / "small.pt")
    with pytest.raises(
        ValueError, match=r"(?s)small\.pt does not fit SingMos: missing keys .*layers\.2.*shapes differ"
    ):
        load(tmp_path / "small.pt", "cpu")
    torch.save({**weights, "judge.weight": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match=r"unknown keys \(1\): judge\.weight"):
        load(tmp_path / "other.pt", "cpu")
