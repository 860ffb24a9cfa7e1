"""Networks of sound: shapes, keys of the public releases, front ends against slow references, batches."""

import json
from pathlib import Path

import numpy as np
import pytest

from amphion_eval.values import Undefined, reason_of

torch = pytest.importorskip("torch")

from amphion_eval.models import panns, vggish  # noqa: E402

pytestmark = pytest.mark.extra("embedding")

KEYS = json.loads((Path(__file__).parent / "released_keys_sound.json").read_text())


def noise(seconds, rate, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, int(seconds * rate)).astype(np.float32)


def random_weights(keys, scale=1.0):
    generator = torch.Generator().manual_seed(0)
    made = {}
    for name, shape in keys.items():
        size = max(1, int(np.prod(shape[1:])))
        made[name] = torch.randn(shape, generator=generator) * scale / size**0.5
        if name.endswith("running_var"):
            made[name] = made[name].abs() + 0.5
        if name.endswith("num_batches_tracked"):
            made[name] = torch.tensor(1)
    return made


@pytest.fixture(scope="module")
def vggish_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("vggish") / "vggish.pth"
    torch.save(random_weights(KEYS["vggish"]), path)
    return path


# VGGish


def slow_log_mel(wav):
    """The definition, frame by frame."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    mels = np.linspace(1127 * np.log(1 + 125 / 700), 1127 * np.log(1 + 7500 / 700), 66)
    triangles = np.zeros((257, 64))
    for band in range(64):
        low, centre, high = mels[band : band + 3]
        for k in range(1, 257):
            mel = 1127 * np.log(1 + k * 16000 / 512 / 700)
            triangles[k, band] = max(0, min((mel - low) / (centre - low), (high - mel) / (high - centre)))
    frames = []
    for start in range(0, len(wav) - 399, 160):
        magnitude = np.abs(np.fft.rfft(wav[start : start + 400].astype(float) * window, 512))
        frames.append(np.log(magnitude @ triangles + 0.01))
    count = len(frames) // 96
    return np.array(frames[: count * 96]).reshape(count, 96, 64)


def test_front_end_of_vggish_is_its_definition():
    wav = noise(2.1, 16000)
    np.testing.assert_allclose(vggish.log_mel(torch.from_numpy(wav)).numpy(), slow_log_mel(wav), atol=2e-4)


@pytest.mark.parametrize(("samples", "patches"), [(15599, 0), (15600, 1), (15600 + 96 * 160, 2), (40000, 2)])
def test_patches_begin_at_0_975_s_and_follow_every_0_96_s(samples, patches):
    assert vggish.log_mel(torch.zeros(samples)).shape == (patches, 96, 64)


def test_released_vggish_loads_and_every_key_has_its_place(vggish_file):
    loaded = vggish.load_vggish("cpu", vggish_file)
    found = loaded([noise(1, 16000), noise(3.5, 16000, 1)])
    assert [part.shape for part in found] == [(1, 128), (3, 128)]
    assert min(part.min() for part in found) < 0  # before the activation


def test_the_variant_with_activation_has_no_negative_values(vggish_file):
    plain = vggish.load_vggish("cpu", vggish_file)([noise(1, 16000)])[0]
    active = vggish.load_vggish("cpu", vggish_file, activation=True)([noise(1, 16000)])[0]
    np.testing.assert_array_equal(active, np.maximum(plain, 0))


def test_whitened_embeddings_are_bytes(vggish_file, tmp_path):
    parts = {"pca_eigen_vectors": torch.randn(128, 128), "pca_means": torch.randn(128)}
    torch.save(parts, tmp_path / "pca.pth")
    found = vggish.load_vggish("cpu", vggish_file, pca=tmp_path / "pca.pth")([noise(2, 16000)])[0]
    np.testing.assert_array_equal(found, np.round(found))
    assert found.min() >= 0 and found.max() <= 255


def test_vggish_hears_a_clip_of_a_batch_as_alone():
    torch.manual_seed(0)
    loaded = vggish.load_vggish("cpu", None, network=vggish.VGGish())
    clips = [noise(s, 16000, seed) for seed, s in enumerate((1.0, 2.2, 0.5, 4.0))]
    together = loaded(clips)
    for clip, found in zip(clips, together, strict=True):
        alone = loaded([clip])[0]
        if isinstance(found, Undefined):
            assert reason_of(alone) == "0.500 s are shorter than 0.975 s"
        else:
            np.testing.assert_allclose(found, alone, atol=1e-5)


def test_other_weights_are_refused_by_vggish(vggish_file, tmp_path):
    weights = torch.load(vggish_file, weights_only=True)
    weights["embeddings.6.weight"] = torch.zeros(3)
    torch.save(weights, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"embeddings\.6\.weight"):
        vggish.load_vggish("cpu", tmp_path / "other.pth")


# PANNs


def small(rate=16000):
    torch.manual_seed(0)
    config = panns.Cnn14Config(rate, 512, 160, 8000.0, widths=(4, 4, 8, 8, 8, 16), classes=10)
    return panns.Cnn14(config).eval()


def test_front_end_of_panns_is_decibels_of_mel_powers():
    network, wav = small(), noise(0.5, 16000)
    padded = np.pad(wav.astype(float), 256, mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)
    frames = [padded[start : start + 512] * window for start in range(0, len(padded) - 511, 160)]
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    expected = 10 * np.log10(np.maximum(power @ network.config.mel.T, 1e-10))
    np.testing.assert_allclose(network.log_mel(torch.from_numpy(wav)[None])[0].numpy(), expected, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "config"), [("panns-cnn14-16k", panns.CNN14_16K), ("panns-cnn14-32k", panns.CNN14_32K)]
)
def test_released_panns_loads_and_every_key_has_its_place(tmp_path, name, config):
    weights = random_weights(KEYS[name])
    weights["logmel_extractor.melW"] = torch.from_numpy(config.mel.T.copy()).float()
    torch.save({"iteration": 600000, "model": weights}, tmp_path / "cnn14.pth")
    found = panns.load_panns("cpu", tmp_path / "cnn14.pth", config)([noise(1, config.sample_rate)])[0]
    assert found["embedding"].shape == (2048,) and found["logits"].shape == (527,)
    assert np.isfinite(found["logits"]).all() and found["embedding"].min() >= 0


def test_filters_of_another_front_end_are_refused(tmp_path):
    network = small()
    weights = {**network.state_dict(), "logmel_extractor.melW": torch.zeros(257, 64)}
    with pytest.raises(ValueError, match="mel filters"):
        panns._own(weights, network, "file")


def test_panns_hears_a_clip_of_a_batch_as_alone():
    loaded = panns.load_panns("cpu", None, network=small())
    clips = [noise(s, 16000, seed) for seed, s in enumerate((1.0, 0.7, 1.0, 0.1))]
    together = loaded(clips)
    assert "0.100 s are shorter" in reason_of(together[3])
    for clip, found in zip(clips[:3], together, strict=False):
        alone = loaded([clip])[0]
        for part in ("embedding", "logits"):
            np.testing.assert_allclose(found[part], alone[part], atol=1e-5)


def test_silence_has_an_embedding():
    assert np.isfinite(panns.load_panns("cpu", None, network=small())([np.zeros(16000, np.float32)])[0]["logits"]).all()
