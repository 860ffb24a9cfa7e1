"""Model cards: README.md of a checkpoint, made from its config, its recipe and its evaluation.

The eight parts follow Mitchell et al., "Model Cards for Model Reporting", FAT* 2019, arXiv:1810.03993, as the hub asks
for them: metadata, training data, training configuration, evaluation, usage, demo, licence, ethical considerations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

__all__ = ["PARTS", "make_card"]

PARTS = (
    "Metadata",
    "Training data",
    "Training configuration",
    "Evaluation results",
    "Usage",
    "Interactive demo",
    "Licence",
    "Ethical considerations",
)
"""Headings of every card, in order."""

_USAGE = {
    "vocoders": """from amphion_core import load_vocoder
vocoder = load_vocoder("{place}")
wav = vocoder.synthesize(mel)  # mel (B, n_mels, F) as vocoder.config.mel computes it -> (B, T)""",
    "codecs": """from amphion_core import load_codec
codec = load_codec("{place}")
codes = codec.encode(wav)  # (B, T) -> (B, Q, F)""",
    "models": """from amphion_core import hub
model = hub.load_pretrained("{place}", group="models")""",
}
_TAGS = {"vocoders": "audio-to-audio", "codecs": "audio-to-audio", "models": "text-to-speech"}
_ETHICS = """\
- A model of voices can be used to imitate people. Use recordings of a person only with their consent, and say that
  speech is synthetic where listeners could take it for a recording.
- It reflects its training data: voices, accents and languages that are rare there come out worse.
- It is not meant for identification, for surveillance, or to get past the verification of a speaker."""


def make_card(
    config: Mapping[str, Any],
    *,
    model_name: str,
    parameters: int,
    recipe: Mapping[str, Any] | None = None,
    evaluation: Mapping[str, Any] | None = None,
    place: str = "FOLDER",
    licence: str | None = None,
    data: str | None = None,
    demo: str | None = None,
) -> str:
    """The text of a model card.

    Args:
        config: the model's configuration, as in its config.json.
        model_name: kind and registry name, such as `vocoders/hifigan`.
        parameters: number of trained values.
        recipe: the recipe of its training, whole; None where it is not known.
        evaluation: `{metric: number}`, or the JSON of an amphion-eval report; None where nothing was measured.
        place: folder or hub id, for the usage example.
        licence: SPDX name of the licence of the weights; None says that its author has to choose.
        data: sentences about the corpus; None lists the sets of the recipe.
        demo: address of a page to try the model on; None says that there is none.

    Returns:
        Markdown with the YAML head that the hub reads.
    """
    kind, _, name = model_name.partition("/")
    sample_rate = _find(config, "sample_rate")
    head: dict[str, Any] = {
        "library_name": "amphion",
        "pipeline_tag": _TAGS.get(kind, "audio-to-audio"),
        "tags": ["amphion", name, kind],
    }
    if licence:
        head["license"] = licence.lower()
    texts = (
        _metadata(model_name, parameters, sample_rate, config),
        data or _training_data(recipe),
        _training(recipe),
        _evaluation(evaluation),
        f"```python\n{_USAGE.get(kind, _USAGE['models']).format(place=place)}\n```",
        f"Try it at {demo}." if demo else "None is hosted; the lines under Usage run on a CPU.",
        licence or "Not stated. The author of the weights has to choose one that the training data allows.",
        _ETHICS,
    )
    body = "\n\n".join(f"## {title}\n\n{text}" for title, text in zip(PARTS, texts, strict=True))
    front = yaml.safe_dump(head, sort_keys=False)
    return f"---\n{front}---\n\n# {name}\n\n{body}\n"


def _metadata(model_name: str, parameters: int, sample_rate: Any, config: Mapping[str, Any]) -> str:
    rows = [f"- Architecture: {model_name}", f"- Parameters: {parameters:,}"]
    if sample_rate is not None:
        rows.append(f"- Sampling rate: {sample_rate} Hz")
    return "\n".join(rows) + "\n\n" + _yaml_block("Configuration", config)


def _training_data(recipe: Mapping[str, Any] | None) -> str:
    sources = (recipe or {}).get("data", {}).get("train", ())
    if not sources:
        return "Not recorded."
    return "\n".join(f"- `{source['path']}`, weight {source.get('weight', 1.0)}" for source in sources)


def _training(recipe: Mapping[str, Any] | None) -> str:
    if recipe is None:
        return "Not recorded: the weights were converted from a checkpoint of another code base."
    return _yaml_block("Recipe", recipe)


def _evaluation(evaluation: Mapping[str, Any] | None) -> str:
    if not evaluation:
        return "Not measured yet; see `amphion-eval score`."
    rows = []
    for metric, value in evaluation.get("summary", evaluation).items():
        if isinstance(value, Mapping):
            low, high = value.get("ci95") or (None, None)
            interval = f"{low:.4g} to {high:.4g}" if low is not None and high is not None else "-"
            rows.append(f"| {metric} | {_number(value.get('mean'))} | {interval} | {value.get('n', '-')} |")
        else:
            rows.append(f"| {metric} | {_number(value)} | - | - |")
    return "\n".join(["| figure | mean | 95 % interval | n |", "|---|---|---|---|", *rows])


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else "undefined"


def _yaml_block(title: str, values: Mapping[str, Any]) -> str:
    text = yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True, width=100)
    return f"<details><summary>{title}</summary>\n\n```yaml\n{text}```\n\n</details>"


def _find(values: Mapping[str, Any], key: str) -> Any:
    """The first value of a key in nested mappings, breadth first."""
    queue: list[Mapping[str, Any]] = [values]
    while queue:
        current = queue.pop(0)
        if key in current:
            return current[key]
        queue += [value for value in current.values() if isinstance(value, Mapping)]
    return None
