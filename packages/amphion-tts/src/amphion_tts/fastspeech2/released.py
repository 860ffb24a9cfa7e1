"""FastSpeech 2 checkpoints of the original toolkit: their keys, their configuration, their symbol table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from amphion_core.released import read_args, read_checkpoint, rename_keys
from amphion_tts.fastspeech2.config import FastSpeech2Config, PitchConfig, VarianceConfig
from amphion_tts.text.config import FrontEndConfig
from amphion_tts.text.symbols import LEXICON_TABLE

__all__ = ["convert_config", "convert_weights", "load"]

_BLOCK = r"(encoder|decoder)\.layer_stack\.(\d+)\."
_PREDICTOR = r"variance_adaptor\.(duration|pitch|energy)_predictor\."
_RULES = (
    (r"(encoder|decoder)\.position_enc", r"\1.positions"),
    (r"encoder\.src_word_emb\.weight", r"encoder.embed.weight"),
    (_BLOCK + r"slf_attn\.w_qs\.(.+)", r"\1.layers.\2.attention.query.\3"),
    (_BLOCK + r"slf_attn\.w_ks\.(.+)", r"\1.layers.\2.attention.key.\3"),
    (_BLOCK + r"slf_attn\.w_vs\.(.+)", r"\1.layers.\2.attention.value.\3"),
    (_BLOCK + r"slf_attn\.fc\.(.+)", r"\1.layers.\2.attention.out.\3"),
    (_BLOCK + r"slf_attn\.layer_norm\.(.+)", r"\1.layers.\2.attention_norm.\3"),
    (_BLOCK + r"pos_ffn\.w_1\.(.+)", r"\1.layers.\2.feed_forward.expand.\3"),
    (_BLOCK + r"pos_ffn\.w_2\.(.+)", r"\1.layers.\2.feed_forward.contract.\3"),
    (_BLOCK + r"pos_ffn\.layer_norm\.(.+)", r"\1.layers.\2.feed_forward_norm.\3"),
    (_PREDICTOR + r"conv_layer\.conv1d_([12])\.conv\.(.+)", r"variance.\1_predictor.conv_\2.\3"),
    (_PREDICTOR + r"conv_layer\.layer_norm_([12])\.(.+)", r"variance.\1_predictor.norm_\2.\3"),
    (_PREDICTOR + r"linear_layer\.(.+)", r"variance.\1_predictor.out.\2"),
    (r"variance_adaptor\.((?:pitch|energy)_bins)", r"variance.\1"),
    (r"variance_adaptor\.((?:pitch|energy)_embedding\.weight)", r"variance.\1"),
    (r"(mel_linear\..+)", r"\1"),
    (r"postnet\.convolutions\.(\d+)\.0\.conv\.(.+)", r"postnet.layers.\1.conv.\2"),
    (r"postnet\.convolutions\.(\d+)\.1\.(.+)", r"postnet.layers.\1.norm.\2"),
    (r"speaker_emb\.weight", r"speaker_embedding.weight"),
)

ModelT = TypeVar("ModelT")


def convert_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Foreign names to ours; the frozen position tables and bins become buffers.

    Raises:
        ValueError: names of another model.
    """
    return rename_keys(weights, _RULES)


def convert_config(values: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> FastSpeech2Config:
    """Our config from the original's and from the shapes of the weights, which decide where both speak.

    Args:
        values: the `args.json`, or its `model` part with `preprocess` absent; statistics as `pitch_stats` and
            `energy_stats` with mean, std, min, max.
        shapes: foreign names to shapes.
    """
    model = values.get("model", values)
    transformer, predictor = model["transformer"], model["variance_predictor"]
    if transformer["encoder_hidden"] != transformer["decoder_hidden"]:
        raise ValueError(
            f"encoder_hidden {transformer['encoder_hidden']} is not decoder_hidden {transformer['decoder_hidden']}; "
            "the network adds nothing between the two, so they have to be equal"
        )
    rows, dim = shapes["encoder.src_word_emb.weight"]
    count = shapes["speaker_emb.weight"][0] if "speaker_emb.weight" in shapes else 0
    first = shapes.get("postnet.convolutions.0.0.conv.weight", (512, 0, 5))
    symbols = LEXICON_TABLE[:rows]
    return FastSpeech2Config(
        mel=_mel(values, shapes["mel_linear.weight"][0]),
        frontend=FrontEndConfig(kind="lexicon"),
        symbols=symbols,
        vocabulary=rows,
        speakers=tuple(values.get("speakers") or (f"speaker-{i}" for i in range(count)))[:count],
        max_length=shapes["encoder.position_enc"][1] - 1,
        dim=dim,
        encoder_layers=transformer["encoder_layer"],
        encoder_heads=transformer["encoder_head"],
        decoder_layers=transformer["decoder_layer"],
        decoder_heads=transformer["decoder_head"],
        filter_size=transformer["conv_filter_size"],
        kernel_sizes=tuple(transformer["conv_kernel_size"]),
        encoder_dropout=transformer["encoder_dropout"],
        decoder_dropout=transformer["decoder_dropout"],
        predictor_filter=predictor["filter_size"],
        predictor_kernel=predictor["kernel_size"],
        predictor_dropout=predictor["dropout"],
        bins=shapes["variance_adaptor.pitch_embedding.weight"][0],
        pitch=_variance(values, "pitch"),
        energy=_variance(values, "energy"),
        pitch_extraction=PitchConfig(),
        postnet_layers=len({name.split(".")[2] for name in shapes if name.startswith("postnet.convolutions.")}),
        postnet_channels=first[0],
        postnet_kernel=first[2],
    )


def load(cls: type[ModelT], source: str | Path, symbols: tuple[str, ...] | None = None) -> ModelT:
    """A released checkpoint with the `args.json` beside it, in evaluation mode.

    Args:
        cls: the model class.
        source: experiment folder, checkpoint folder or file.
        symbols: the symbol table, for checkpoints with another one than the common 151 symbols.

    Raises:
        FileNotFoundError: no checkpoint or no args.json.
        ValueError: the weights are of another model.
    """
    weights = read_checkpoint(source)
    values = dict(read_args(source))
    values |= _statistics(Path(source))
    config = convert_config(values, {name: tuple(tensor.shape) for name, tensor in weights.items()})
    if symbols is not None:
        config = config.updated(symbols=symbols)
    from amphion_core.hub import load_weights

    model: Any = cls(config)  # type: ignore[call-arg]
    load_weights(model, convert_weights(weights), where=str(source))
    result: ModelT = model.eval()
    return result


def _mel(values: Mapping[str, Any], n_mels: int) -> Any:
    """The recipe's mel with the numbers of `preprocess`, where they are given."""
    from amphion_tts.fastspeech2.config import TACOTRON_MEL

    given = values.get("preprocess", {})
    names = {
        "sample_rate": "sample_rate",
        "n_fft": "n_fft",
        "win_size": "win_length",
        "hop_size": "hop_length",
        "fmin": "f_min",
        "fmax": "f_max",
    }
    changes = {ours: given[theirs] for theirs, ours in names.items() if theirs in given}
    return TACOTRON_MEL.updated(n_mels=n_mels, **changes)


def _variance(values: Mapping[str, Any], name: str) -> VarianceConfig:
    model = values.get("model", values)
    quantization = model["variance_embedding"][f"{name}_quantization"]
    # Without statistics the bins of the checkpoint still hold; only a pitch factor in Hz needs mean and deviation.
    unknown = {"mean": 0.0, "std": 1.0, "min": 0.01 if quantization == "log" else -4.0, "max": 4.0}
    statistics = values.get(f"{name}_stats") or unknown
    level = (
        model.get(f"{name}_level")
        or model.get(name, {}).get("feature")
        or values.get("preprocess", {}).get(f"{name}_level", "phone")
    )
    return VarianceConfig(
        level="frame" if "frame" in str(level) else "phone",
        quantization=quantization,
        **{key: float(statistics[key]) for key in ("mean", "std", "min", "max")},
    )


def _statistics(source: Path) -> dict[str, Any]:
    """Pitch and energy statistics beside the checkpoint: `{pitch,energy}/statistics.json`, first speaker."""
    found: dict[str, Any] = {}
    for folder in [source, *source.parents][:4]:
        for name in ("pitch", "energy"):
            for file in (folder / f"{name}_statistics.json", folder / name / "statistics.json"):
                if f"{name}_stats" not in found and file.is_file():
                    table = json.loads(file.read_text(encoding="utf-8"))
                    inner = next(iter(table.values()))
                    voiced, total = inner["voiced_positions"], inner["total_positions"]
                    found[f"{name}_stats"] = {
                        "mean": voiced["mean"],
                        "std": voiced["std"],
                        "min": total["min"],
                        "max": total["max"],
                    }
    return found
