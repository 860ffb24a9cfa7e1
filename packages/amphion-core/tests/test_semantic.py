"""Semantic features, with tiny random networks of transformers saved to a temporary folder."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from amphion_core.extras import MissingExtraError
from amphion_core.features.semantic import SEMANTIC_PRESETS, SemanticConfig, SemanticEncoder

transformers = pytest.importorskip("transformers")

SMALL = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 24}
CONVOLUTIONS = {
    "conv_dim": (8,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
}


def networks() -> dict[str, Any]:
    """Constructors of a tiny network of each kind, with the traits of the released ones."""
    t = transformers
    stable = {**SMALL, **CONVOLUTIONS, "feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
    return {
        "hubert-large": lambda: t.HubertModel(t.HubertConfig(**stable)),
        "contentvec": lambda: t.HubertModel(t.HubertConfig(**SMALL, **CONVOLUTIONS, feat_extract_norm="group")),
        "wavlm-large": lambda: t.WavLMModel(t.WavLMConfig(**stable)),
        "wavlm-base": lambda: t.WavLMModel(t.WavLMConfig(**SMALL, **CONVOLUTIONS, feat_extract_norm="group")),
        "w2v-bert-2.0": lambda: t.Wav2Vec2BertModel(t.Wav2Vec2BertConfig(**SMALL, feature_projection_input_dim=160)),
        "whisper-medium": lambda: t.WhisperModel(
            t.WhisperConfig(
                d_model=16,
                encoder_layers=3,
                encoder_attention_heads=2,
                encoder_ffn_dim=24,
                decoder_layers=1,
                decoder_attention_heads=2,
                decoder_ffn_dim=24,
                max_source_positions=100,
                vocab_size=20,
                pad_token_id=0,
                bos_token_id=1,
                eos_token_id=2,
                decoder_start_token_id=1,
            )
        ),
    }


KINDS = ["hubert-large", "contentvec", "wavlm-large", "wavlm-base", "w2v-bert-2.0", "whisper-medium"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("networks")
    torch.manual_seed(0)
    for name, make in networks().items():
        network = make()
        with torch.no_grad():
            for parameter in network.parameters():  # larger than the usual start, so that layers differ visibly
                parameter.add_(0.2 * torch.randn_like(parameter))
        network.save_pretrained(root / name)
    return {name: root / name for name in KINDS}


@pytest.fixture
def wav() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return 0.1 * torch.randn(3, 16000, generator=generator) + 0.02


LENGTHS = torch.tensor([16000, 9999, 5120])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layer", [0, 2, None])
def test_batch_item_equals_the_clip_alone(
    kind: str, layer: int | None, folders: dict[str, Path], wav: torch.Tensor
) -> None:
    encoder = SemanticEncoder.from_pretrained(folders[kind], layer=layer)
    values, lengths = encoder(wav, LENGTHS)
    assert values.shape == (3, int(lengths.max()), 16)
    for item, (clip, samples) in enumerate(zip(wav, LENGTHS, strict=True)):
        alone = encoder(clip[:samples])
        assert alone.lengths.tolist() == [lengths[item]]
        assert alone.values.shape[1] == lengths[item]
        # matrix products of another shape round differently; an error of masking is a thousand times larger
        torch.testing.assert_close(values[item, : lengths[item]], alone.values[0], atol=2e-5, rtol=1e-4)
        assert not values[item, lengths[item] :].any()


@pytest.mark.parametrize("kind", KINDS)
def test_layer_is_that_hidden_state_of_transformers(kind: str, folders: dict[str, Path], wav: torch.Tensor) -> None:
    clip = wav[0]
    with torch.no_grad():
        expected = reference(kind, folders[kind], clip)
    # transformers gives the last state after the final norm for some networks, so it is compared as layer None
    for layer, states in [*enumerate(expected.hidden_states[:3]), (None, expected.last_hidden_state)]:
        encoder = SemanticEncoder.from_pretrained(folders[kind], layer=layer)
        values, lengths = encoder(clip)
        torch.testing.assert_close(values[0], states[0, : lengths[0]], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ["hubert-large", "wavlm-large", "whisper-medium"])
def test_last_layer_comes_before_the_final_norm(kind: str, folders: dict[str, Path], wav: torch.Tensor) -> None:
    last = SemanticEncoder.from_pretrained(folders[kind], layer=3)
    final = SemanticEncoder.from_pretrained(folders[kind])
    norm = last.front_end.encoder(last.network).layer_norm
    torch.testing.assert_close(norm(last(wav).values), final(wav).values, atol=2e-5, rtol=1e-4)


def reference(kind: str, folder: Path, clip: torch.Tensor) -> Any:
    """Result of transformers' own front end and forward."""
    if kind == "whisper-medium":
        extract = transformers.WhisperFeatureExtractor(chunk_length=2)
        features = extract([clip.numpy()], sampling_rate=16000, return_tensors="pt")["input_features"]
        encoder = transformers.WhisperModel.from_pretrained(folder).get_encoder().eval()
        return encoder(features, output_hidden_states=True)
    network = transformers.AutoModel.from_pretrained(folder).eval()
    if kind == "w2v-bert-2.0":
        batch = transformers.SeamlessM4TFeatureExtractor()([clip.numpy()], sampling_rate=16000, return_tensors="pt")
        return network(**batch, output_hidden_states=True)
    normalize = network.config.feat_extract_norm == "layer"
    extract = transformers.Wav2Vec2FeatureExtractor(do_normalize=normalize)
    values = extract([clip.numpy()], sampling_rate=16000, return_tensors="pt")["input_values"]
    return network(values, output_hidden_states=True)


@pytest.mark.parametrize("kind", KINDS)
def test_frame_rate_is_fifty(kind: str, folders: dict[str, Path], wav: torch.Tensor) -> None:
    encoder = SemanticEncoder.from_pretrained(folders[kind])
    assert encoder.frame_rate == 50
    assert int(encoder(wav[0]).lengths[0]) in (49, 50)


def test_padding_has_no_effect_whatever_it_holds(folders: dict[str, Path], wav: torch.Tensor) -> None:
    encoder = SemanticEncoder.from_pretrained(folders["hubert-large"])
    other = wav.clone()
    other[1, 9999:] = float("nan")
    assert torch.equal(encoder(wav, LENGTHS).values, encoder(other, LENGTHS).values)


def test_layers_above_the_wanted_one_are_not_kept(folders: dict[str, Path]) -> None:
    encoder = SemanticEncoder.from_pretrained(folders["hubert-large"], layer=1)
    assert len(encoder.network.encoder.layers) == 1


def test_weights_are_frozen(folders: dict[str, Path]) -> None:
    encoder = SemanticEncoder.from_pretrained(folders["hubert-large"])
    assert not any(p.requires_grad for p in encoder.parameters())
    parent = torch.nn.ModuleList([encoder]).train()
    assert parent.training
    assert not any(module.training for module in encoder.modules())


def test_other_rates_are_resampled(folders: dict[str, Path]) -> None:
    time_24 = torch.arange(24000) / 24000
    time_16 = torch.arange(16000) / 16000
    encoder = SemanticEncoder.from_pretrained(folders["hubert-large"], layer=1)
    expected = encoder(0.3 * torch.sin(1000 * time_16)).values
    values = encoder(0.3 * torch.sin(1000 * time_24), sample_rate=24000).values
    assert values.shape == expected.shape
    torch.testing.assert_close(values[:, 5:-5], expected[:, 5:-5], atol=0.05, rtol=0)


@pytest.mark.parametrize("spread", ["std", "var"])
def test_statistics_standardise_each_channel(
    spread: str, folders: dict[str, Path], wav: torch.Tensor, tmp_path: Path
) -> None:
    mean, std = torch.randn(16), torch.rand(16) + 0.5
    save_file({"mean": mean, spread: std if spread == "std" else std**2}, tmp_path / "stats.safetensors")
    plain = SemanticEncoder.from_pretrained(folders["hubert-large"])(wav[0]).values
    encoder = SemanticEncoder.from_pretrained(folders["hubert-large"], statistics=tmp_path / "stats.safetensors")
    torch.testing.assert_close(encoder(wav[0]).values, (plain - mean) / std)


def test_statistics_of_another_size_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    save_file({"mean": torch.zeros(5), "std": torch.ones(5)}, tmp_path / "stats.safetensors")
    with pytest.raises(ValueError, match="5 dimensions, the features have 16"):
        SemanticEncoder.from_pretrained(folders["hubert-large"], statistics=tmp_path / "stats.safetensors")


def test_file_without_statistics_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    save_file({"average": torch.zeros(5)}, tmp_path / "stats.safetensors")
    with pytest.raises(ValueError, match="found average"):
        SemanticEncoder.from_pretrained(folders["hubert-large"], statistics=tmp_path / "stats.safetensors")


def test_projection_of_contentvec_is_applied(folders: dict[str, Path], wav: torch.Tensor, tmp_path: Path) -> None:
    matrix, offset = torch.randn(4, 16), torch.randn(4)
    folder = copy_with(folders["contentvec"], tmp_path, {"final_proj.weight": matrix, "final_proj.bias": offset})
    encoder = SemanticEncoder.from_pretrained(SemanticConfig(source=str(folder), layer=3, project=True))
    plain = SemanticEncoder.from_pretrained(folders["contentvec"], layer=3)(wav[0]).values
    assert encoder.dim == 4
    torch.testing.assert_close(encoder(wav[0]).values, plain @ matrix.T + offset, atol=1e-5, rtol=1e-5)


def test_missing_projection_is_named(folders: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match="no final_proj; set project to false"):
        SemanticEncoder.from_pretrained(SemanticConfig(source=str(folders["contentvec"]), project=True))


def copy_with(folder: Path, target: Path, extra: dict[str, torch.Tensor], drop: str = "-") -> Path:
    weights = {k: v for k, v in load_file(folder / "model.safetensors").items() if drop not in k}
    save_file({**weights, **extra}, target / "model.safetensors", metadata={"format": "pt"})
    (target / "config.json").write_bytes((folder / "config.json").read_bytes())
    return target


def test_incomplete_weights_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = copy_with(folders["hubert-large"], tmp_path, {}, drop="layers.1.attention.q_proj")
    with pytest.raises(ValueError, match=r"lack 2 tensors of HubertModel: encoder\.layers\.1\.attention\.q_proj\.bias"):
        SemanticEncoder.from_pretrained(folder)


def test_layer_that_is_not_there_is_refused(folders: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match="hidden states 0 to 3, got layer 18"):
        SemanticEncoder.from_pretrained(folders["hubert-large"], layer=18)


def test_network_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ValueError, match="model_type 'bert' is none of hubert, wavlm"):
        SemanticEncoder.from_pretrained(tmp_path)


def test_long_clips_are_refused_by_whisper(folders: dict[str, Path]) -> None:
    encoder = SemanticEncoder.from_pretrained(folders["whisper-medium"])
    with pytest.raises(ValueError, match=r"3\.0 s, this network takes 2 s"):
        encoder(torch.zeros(48000))


@pytest.mark.parametrize("kind", KINDS)
def test_clips_shorter_than_a_frame_are_refused(kind: str, folders: dict[str, Path]) -> None:
    encoder = SemanticEncoder.from_pretrained(folders[kind])
    with pytest.raises(ValueError, match="100 samples at 16 kHz, too few for one frame"):
        encoder(torch.zeros(2, 1000), torch.tensor([1000, 100]))


def test_lengths_beyond_the_samples_are_refused(folders: dict[str, Path], wav: torch.Tensor) -> None:
    encoder = SemanticEncoder.from_pretrained(folders["hubert-large"])
    with pytest.raises(ValueError, match="up to 20000 don't fit"):
        encoder(wav, torch.tensor([20000, 1, 1]))


def test_absent_hub_network_is_reported_at_the_first_try(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    tries = []
    connect = socket.socket.connect

    def counted(self: socket.socket, address: tuple[str, int]) -> None:
        tries.append(address)
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", counted)
    with pytest.raises(FileNotFoundError, match=r"facebook/hubert-large-ll60k.*can't be reached"):
        SemanticEncoder.from_pretrained("hubert-large")
    assert len(tries) == 1


def test_network_in_the_cache_of_the_hub_needs_no_network_and_no_preprocessor(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folders: dict[str, Path], wav: torch.Tensor
) -> None:
    """As that of ContentVec on the hub, which has no preprocessor_config.json."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    own = tmp_path / "models--somebody--network"
    shutil.copytree(folders["hubert-large"], own / "snapshots" / "0123")
    (own / "snapshots" / "0123" / "preprocessor_config.json").unlink(missing_ok=True)
    (own / "refs").mkdir()
    (own / "refs" / "main").write_text("0123")
    with pytest.raises(FileNotFoundError, match="HF_HUB_OFFLINE"):
        SemanticEncoder.from_pretrained("somebody/other")
    assert SemanticEncoder.from_pretrained("somebody/network")(wav)[0].isfinite().all()


def test_unknown_name_is_answered_with_the_presets() -> None:
    with pytest.raises(FileNotFoundError, match="one of hubert-large, contentvec"):
        SemanticEncoder.from_pretrained("hubert-giant")


def test_missing_transformers_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError, match=r"amphion-core\[semantic\]"):
        SemanticEncoder.from_pretrained("hubert-large")


def test_presets_name_the_layers_that_released_tokenisers_take() -> None:
    layers = {name: preset.layer for name, preset in SEMANTIC_PRESETS.items()}
    assert layers["hubert-large"] == 18
    assert layers["w2v-bert-2.0"] == 17
    assert layers["contentvec"] == 12
