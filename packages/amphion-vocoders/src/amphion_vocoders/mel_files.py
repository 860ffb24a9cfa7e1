"""Mels that other tools have written: what they say of themselves is compared with what the vocoder takes.

The settings of a mel stand in `NAME.json` or `mel.json` beside its file, in the metadata `mel` of a .safetensors file,
or under `mel` in the JSON of a row of shards: under our names or those of the usual code bases. Where nothing is said
of the logarithm, the values are all there is to judge it by, see `mel_values`.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from amphion_core.features import MelConfig
from amphion_vocoders.stored_mels import tensor_metadata

__all__ = ["check_stated", "oriented", "settings_of", "stated_settings"]

_NAMES = {
    "sampling_rate": "sample_rate",
    "sr": "sample_rate",
    "win_size": "win_length",
    "hop_size": "hop_length",
    "hop": "hop_length",
    "n_mel": "n_mels",
    "num_mels": "n_mels",
    "mel_bins": "n_mels",
    "fmin": "f_min",
    "fmax": "f_max",
    "mel_mean": "mean",
}
"""What other code bases call our fields."""

_BASES = {"ln": math.e, "log10": 10.0}
"""Of our logarithms; other code bases state these."""

_TELLING = {"n_mels", "hop_length", "n_fft", "win_length", "f_min", "f_max"}
"""Fields that only settings of a mel have."""

_REMEDY = (
    "compute it with the settings of this vocoder (mel in its config.json), or take a vocoder trained on such mels "
    "(amphion-vocoders list --details)"
)


def oriented(mel: Tensor, config: MelConfig, stated: Mapping[str, Any] | None) -> Tensor:
    """A stored mel with its bands first.

    Raises:
        ValueError: other settings are stated, it holds several mels, or no axis has the bands of the vocoder.
    """
    if stated is not None:
        check_stated(stated, config)
    if mel.ndim == 3 and mel.shape[0] == 1:
        mel = mel[0]
    if mel.ndim == 3:
        raise ValueError(f"an array of shape {tuple(mel.shape)} holds several mels; store each in a file of its own")
    if mel.ndim != 2 or config.n_mels not in mel.shape:
        raise ValueError(
            f"a mel of shape {tuple(mel.shape)} has not the {config.n_mels} bands that this vocoder takes; {_REMEDY}"
        )
    # Acoustic models of other code bases store (F, n_mels).
    return (mel if mel.shape[0] == config.n_mels else mel.mT).float()


def stated_settings(path: Path) -> dict[str, Any] | None:
    """Settings of a mel that lie in its file, beside it, or beside the shards that hold it; None where there are none.

    Raises:
        ValueError: they are no JSON, a mel.json states none, or the file is broken.
    """
    if path.suffix.lower() == ".safetensors":
        metadata = tensor_metadata(path)
        if "mel" in metadata:
            return _parsed(metadata["mel"], f"{path}, metadata", of_mel=True)
    if (beside := path.with_suffix(".json")).is_file():
        found = _parsed(beside.read_text(encoding="utf-8-sig"), str(beside))
        if found is not None:
            return found
    of_folder = (path if path.is_dir() else path.parent) / "mel.json"
    if not of_folder.is_file():
        return None
    found = _parsed(of_folder.read_text(encoding="utf-8-sig"), str(of_folder), of_mel=True)
    if not found:
        raise ValueError(f"{of_folder} states no setting of a mel; it takes {', '.join(MelConfig.model_fields)}")
    return found


def settings_of(values: Any, *, of_mel: bool = False) -> dict[str, Any] | None:
    """Fields of a mel configuration in a JSON object, under our names, or None where it has none.

    Args:
        values: the object.
        of_mel: whether it is known to be of a mel; a rate alone then counts.
    """
    if not isinstance(values, Mapping):
        return None
    for inner in ("mel", "preprocess", "audio"):
        if isinstance(values.get(inner), Mapping):
            values, of_mel = values[inner], of_mel or inner == "mel"
            break
    found = {_NAMES.get(str(name), str(name)): value for name, value in values.items()}
    if "log_base" in found:
        found["log"] = _logarithm(found.pop("log_base"), found.get("log"))
    own = {name: value for name, value in found.items() if name in MelConfig.model_fields}
    # A row of a corpus may state its sampling rate, too; beside other things, that says nothing of a mel.
    return own if own and (of_mel or _TELLING & own.keys() or own.keys() == found.keys()) else None


def check_stated(stated: Mapping[str, Any], config: MelConfig) -> None:
    """Compare what is stated of a mel with a configuration; fields that are not stated don't count.

    Raises:
        ValueError: names each differing field with both values.
    """
    takes: dict[str, Any] = {**config.to_dict(), "f_max": config.upper_edge}
    rows = []
    for name, value in stated.items():
        if name == "f_max" and not value:
            rate = stated.get("sample_rate")
            value = (rate if isinstance(rate, int | float) else config.sample_rate) / 2
        if value is None:
            continue
        same = value == takes[name]
        if isinstance(value, int | float) and isinstance(takes[name], int | float):
            same = math.isclose(value, takes[name], rel_tol=1e-4, abs_tol=1e-12)
        if not same:
            rows.append(f"{name}: the mel has {value!r}, the vocoder takes {takes[name]!r}")
    if rows:
        raise ValueError(f"the mel is not the one of this vocoder: {'; '.join(rows)}; {_REMEDY}")


def _logarithm(base: Any, log: Any) -> Any:
    """The logarithm of a stated base; what is no base of ours, or not that of `log`, is given as it stands there."""
    known = "ln" if base is None else None
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        number = math.e if base == "e" else float(base)
        known = next((name for name, own in _BASES.items() if math.isclose(number, own, rel_tol=1e-3)), None)
    if known is None or log not in (None, known):
        return f"log_base {base}" if log is None else f"log {log}, log_base {base}"
    return known


def _parsed(text: str, where: str, *, of_mel: bool = False) -> dict[str, Any] | None:
    try:
        return settings_of(json.loads(text), of_mel=of_mel)
    except ValueError as error:
        raise ValueError(f"{where} is no JSON: {error}") from None
