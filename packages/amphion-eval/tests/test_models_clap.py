"""CLAP and codec encoders through transformers, with small random networks in its layout."""

import numpy as np
import pytest

from amphion_eval.models import audio_catalogue
from amphion_eval.settings import Settings
from amphion_eval.values import reason_of

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from amphion_eval.models.clap import WINDOW, load_clap_audio, load_clap_text, windows  # noqa: E402
from amphion_eval.models.neural_codec import load_neural_codec  # noqa: E402

pytestmark = pytest.mark.extra("embedding")


def noise(seconds, rate=48000, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, int(seconds * rate)).astype(np.float32)


@pytest.fixture(scope="module")
def clap(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clap")
    torch.manual_seed(0)
    text = {"vocab_size": 30, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text |= {"intermediate_size": 16, "max_position_embeddings": 40, "pad_token_id": 1}
    sound = {"patch_embeds_hidden_size": 8, "depths": [1, 1], "num_attention_heads": [2, 2], "hidden_size": 16}
    sound |= {"num_hidden_layers": 2, "projection_dim": 12, "enable_fusion": False}
    config = transformers.ClapConfig(text_config=text | {"projection_dim": 12}, audio_config=sound, projection_dim=12)
    transformers.ClapModel(config).save_pretrained(folder)
    transformers.ClapFeatureExtractor(truncation="rand_trunc", padding="repeatpad").save_pretrained(folder)
    words = ["<s>", "<pad>", "</s>", "<unk>", "a", "dog", "barks", "rain", "falls"]
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=_words(words), pad_token="<pad>", unk_token="<unk>", model_max_length=32
    )
    tokenizer.save_pretrained(folder)
    return folder


def _words(words):
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


def test_long_clips_are_heard_in_windows_of_ten_seconds_and_a_tiny_rest_is_not():
    assert [len(piece) for piece in windows(np.zeros(WINDOW + 48000, np.float32))] == [WINDOW, 48000]
    assert [len(piece) for piece in windows(np.zeros(WINDOW + 47999, np.float32))] == [WINDOW]
    assert [len(piece) for piece in windows(np.zeros(100, np.float32))] == [100]


def test_embedding_of_a_long_clip_is_the_mean_of_its_windows(clap):
    loaded = load_clap_audio("cpu", clap)
    wav = noise(20)
    whole, *parts = loaded([wav, wav[:WINDOW], wav[WINDOW:]])
    mean = parts[0] + parts[1]
    np.testing.assert_allclose(whole, mean / np.linalg.norm(mean), atol=1e-5)


def test_a_sound_of_a_batch_is_heard_as_alone_and_twice_alike(clap):
    loaded = load_clap_audio("cpu", clap)
    clips = [noise(s, seed=seed) for seed, s in enumerate((1.0, 13.0, 4.0))]
    together = loaded(clips)
    for clip, found in zip(clips, together, strict=True):
        np.testing.assert_allclose(found, loaded([clip])[0], atol=1e-5)
        assert np.linalg.norm(found) == pytest.approx(1, abs=1e-5)


def test_no_samples_have_no_embedding(clap):
    assert reason_of(load_clap_audio("cpu", clap)([np.zeros(0, np.float32)])[0]) == "no samples"


def test_a_text_of_a_batch_is_read_as_alone(clap):
    loaded = load_clap_text("cpu", clap)
    texts = ["a dog barks", "rain", "rain falls a dog barks a dog"]
    for text, found in zip(texts, loaded(texts), strict=True):
        np.testing.assert_allclose(found, loaded([text])[0], atol=1e-5)


def test_a_folder_or_hub_id_names_both_networks_of_the_score(clap):
    text, sound = audio_catalogue.clap_models(Settings(clap_model=str(clap)))
    assert (text.takes, sound.takes, sound.sample_rate) == ("text", "clip", 48000)
    assert sound.load("cpu")([noise(1)])[0].shape == text.load("cpu")(["rain"])[0].shape == (12,)


def encodec(folder, **changes):
    torch.manual_seed(0)
    sizes = {"num_filters": 4, "hidden_size": 8, "upsampling_ratios": [4, 4], "codebook_size": 8, "codebook_dim": 8}
    config = transformers.EncodecConfig(**(sizes | {"sampling_rate": 24000, "audio_channels": 1} | changes))
    transformers.EncodecModel(config).save_pretrained(folder)
    return folder


def test_frames_before_the_quantiser_are_the_embeddings(tmp_path):
    loaded = load_neural_codec("cpu", encodec(tmp_path), 24000)
    found = loaded([noise(0.5, 24000), noise(0.05, 24000)])
    assert found[0].shape == (750, 8)
    assert "shorter" in reason_of(found[1])


def test_a_codec_of_another_rate_or_kind_is_refused(tmp_path, clap):
    with pytest.raises(ValueError, match="48000 Hz; 24000 Hz"):
        load_neural_codec("cpu", encodec(tmp_path / "a", sampling_rate=48000), 24000)
    with pytest.raises(ValueError, match="holds 'clap'"):
        load_neural_codec("cpu", clap, 24000)


def test_networks_that_give_no_classes_are_refused_where_classes_are_needed():
    with pytest.raises(ValueError, match="'vggish' gives no class logits"):
        audio_catalogue.class_models(Settings(fd_model="vggish"))
    with pytest.raises(ValueError, match="no network of sound named 'vgish'"):
        audio_catalogue.fad_models(Settings(fad_model="vgish"))


def test_every_network_says_its_licence_source_rate_and_packages():
    for name, model in audio_catalogue.AUDIO_EMBEDDINGS.items():
        assert model.name == name and model.licence and model.source and model.sample_rate and model.requires
        assert model.weights and all(w.url or w.repository for w in model.weights)
