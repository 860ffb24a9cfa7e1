"""MERT in the HuBERT of transformers: names of its release, layers, long clips, other networks."""

import json

import numpy as np
import pytest

from amphion_eval.models import audio_catalogue
from amphion_eval.settings import Settings
from amphion_eval.values import reason_of

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from amphion_eval.models import mert  # noqa: E402

pytestmark = pytest.mark.extra("embedding")

RATE = 24000
RELEASED = {
    "model_type": "mert_model", "architectures": ["MERTModel"], "sample_rate": 24000, "feature_extractor_cqt": False,
    "feature_extractor_cqt_bins": 336, "deepnorm": False, "attention_relax": -1.0, "layerdrop": 0.05,
    "apply_spec_augment": True, "mask_time_prob": 0.05, "feat_extract_norm": "group", "do_stable_layer_norm": False,
    "conv_dim": [8] * 7, "conv_kernel": [10, 3, 3, 3, 3, 2, 2], "conv_stride": [5, 2, 2, 2, 2, 2, 2],
    "num_feat_extract_layers": 7, "conv_bias": False, "hidden_size": 16, "num_hidden_layers": 3,
    "num_attention_heads": 2, "intermediate_size": 24, "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}  # fmt: skip
"""The release's config, the network smaller."""


@pytest.fixture(scope="module")
def hubert():
    torch.manual_seed(0)
    return transformers.HubertModel(transformers.HubertConfig.from_dict({**RELEASED, "model_type": "hubert"})).eval()


@pytest.fixture(scope="module")
def folder(hubert, tmp_path_factory):
    """As on the hub: a torch file, weight norm under the names of old torch."""
    place = tmp_path_factory.mktemp("mert")
    (place / "config.json").write_text(json.dumps(RELEASED))
    old = {".parametrizations.weight.original0": ".weight_g", ".parametrizations.weight.original1": ".weight_v"}
    tensors = hubert.state_dict()
    for new, name in old.items():
        tensors = {key.replace(new, name): tensor for key, tensor in tensors.items()}
    torch.save(tensors, place / "pytorch_model.bin")
    return place


@pytest.mark.parametrize("layer", [1, 3])
def test_frames_are_those_of_the_layer_for_a_clip_of_mean_zero_and_variance_one(folder, hubert, noise, layer):
    clip = 0.3 + noise(0.5, RATE)
    found = mert.load_mert("cpu", folder, layer)([clip])[0]
    even = (clip - clip.mean(dtype=np.float64)) / np.sqrt(clip.var(dtype=np.float64) + 1e-7)
    with torch.no_grad():
        states = hubert(torch.from_numpy(even).float()[None], output_hidden_states=True).hidden_states
    assert found.shape == (37, 16)  # 75 a second, the last begun one left out
    assert np.abs(found - states[layer][0].numpy()).max() < 1e-5  # mean and variance in float32


def test_a_clip_is_heard_in_a_batch_as_alone(folder, noise):
    loaded = mert.load_mert("cpu", folder, 3)
    clips = [noise(seconds, RATE, seed=seed) for seed, seconds in enumerate((0.3, 0.7, 0.2))]
    for clip, found in zip(clips, loaded(clips), strict=True):
        np.testing.assert_array_equal(found, loaded([clip])[0])


def test_a_long_clip_is_heard_in_pieces_of_one_length():
    pieces = mert.windows(np.arange(int(200.5 * RATE), dtype=np.float32))
    assert [piece.size for piece in pieces] == [1604000] * 3
    assert np.array_equal(np.concatenate(pieces), np.arange(int(200.5 * RATE), dtype=np.float32))


def test_silence_and_a_moment_have_no_embedding(folder, noise):
    silent, short = mert.load_mert("cpu", folder, 3)([np.zeros(RATE, np.float32), noise(0.05, RATE)])
    assert "silent" in reason_of(silent) and "0.1 s" in reason_of(short)


@pytest.mark.parametrize(("name", "value"), [("feature_extractor_cqt", True), ("deepnorm", True),
                                             ("attention_relax", 32.0), ("model_type", "hubert")])  # fmt: skip
def test_a_network_of_another_form_is_refused(folder, tmp_path, name, value):
    (tmp_path / "config.json").write_text(json.dumps({**RELEASED, name: value}))
    with pytest.raises(ValueError, match=f"{name} .*{value!r} is not"):
        mert.load_mert("cpu", tmp_path, 3)


def test_a_layer_that_is_not_there_is_refused(folder):
    with pytest.raises(ValueError, match="layers 1 to 3, asked for 12"):
        mert.load_mert("cpu", folder)


def test_each_layer_has_a_name():
    (whole,), (layer,) = (audio_catalogue.fad_models(Settings(fad_model=f"mert-v1-95m{end}")) for end in ("", "-4"))
    assert (whole.parameters, layer.parameters) == ({"layer": 12}, {"layer": 4}) and layer.sample_rate == RATE
    with pytest.raises(ValueError, match="no network of sound named 'mert-v1-95m-13'"):
        audio_catalogue.embedding("mert-v1-95m-13")
