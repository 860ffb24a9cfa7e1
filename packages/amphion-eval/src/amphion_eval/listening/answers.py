"""The answers of listeners, read with the key of their test and checked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Answers", "Choice", "Rating", "read_answers"]

_RANGES = {"mos": (1, 5), "smos": (1, 5), "mushra": (0, 100)}
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Rating:
    """One sound, one listener.

    Attributes:
        listener: code.
        item: name of the clip.
        system: that made it; `reference` and `anchor 3500` are sounds of the test itself.
        role: `system`, `hidden reference` or `anchor`.
        value: 1 to 5, or 0 to 100.
    """

    listener: str
    item: str
    system: str
    role: str
    value: float


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer to "which of the two is X?".

    Attributes:
        listener: code.
        item: name of the clip.
        pair: the two systems, sorted.
        correct: whether it was right.
    """

    listener: str
    item: str
    pair: tuple[str, str]
    correct: bool


@dataclass(frozen=True)
class Answers:
    """All answers to one test.

    Attributes:
        kind: of the test.
        systems: names, in the order of the key.
        ratings: of `mos`, `smos` and `mushra`.
        choices: of `abx`.
        listeners: codes, sorted.
        notes: listeners that did not finish.
    """

    kind: str
    systems: tuple[str, ...]
    ratings: tuple[Rating, ...]
    choices: tuple[Choice, ...]
    listeners: tuple[str, ...]
    notes: tuple[str, ...] = ()


def read_answers(results: Iterable[str | Path], key: str | Path) -> Answers:
    """Answers with the names of what was heard.

    Args:
        results: the files that listeners saved, or folders of them.
        key: `key.json` of the test.

    Raises:
        FileNotFoundError: a file is not there.
        ValueError: a file is not of this test, an answer is out of range, a listener comes twice; all of them are said.
    """
    known = _json(Path(key))
    if known.get("format") != "amphion-listening-key":
        raise ValueError(f"{key} is no key of a listening test; it stands beside the folder of the page")
    faults: list[str] = []
    ratings: list[Rating] = []
    choices: list[Choice] = []
    asked: dict[str, int] = {}
    came: dict[str, Path] = {}
    for path in _files(results):
        try:
            result = _json(path)
        except ValueError as error:
            faults.append(str(error))
            continue
        if result.get("format") != "amphion-listening-answers" or result.get("plan") != known["plan"]:
            faults.append(f"{path}: not an answer to the test {known['plan']}, but to {result.get('plan', 'none')}")
            continue
        answers = result.get("answers")
        if not result.get("listener") or not isinstance(answers, list):
            lacks = "answers" if result.get("listener") else "listener"
            faults.append(f"{path}: no {lacks}; the file was changed after the page had saved it")
            continue
        listener = str(result["listener"])
        if listener in came:
            faults.append(f"{path}: the listener {listener} is also in {came[listener]}; keep one of the two")
            continue
        came[listener] = path
        asked[listener] = len(answers)
        for number, answer in enumerate(answers, 1):
            if not isinstance(answer, dict):
                faults.append(f"{path}: answer {number}: expected an object, found {json.dumps(answer)[:80]}")
                continue
            try:
                if known["kind"] == "abx":
                    choices.append(_choice(listener, answer, known))
                else:
                    ratings += _ratings(listener, answer, known)
            except (KeyError, TypeError, ValueError) as error:
                faults.append(f"{path}: trial {answer.get('trial', '?')}: {error}")
    if faults:
        more = f"\n  and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise ValueError(f"{len(faults)} faults in the answers:\n  " + "\n  ".join(faults[:_SHOWN]) + more)
    if not came:
        raise ValueError("there is no answer to read")
    most = max(asked.values())
    notes = tuple(f"{name} answered {n} of {most}" for name, n in sorted(asked.items()) if n < most)
    return Answers(known["kind"], tuple(known["systems"]), tuple(ratings), tuple(choices), tuple(sorted(came)), notes)


def _files(results: Iterable[str | Path]) -> Sequence[Path]:
    found: list[Path] = []
    for place in map(Path, results):
        if not place.exists():
            raise FileNotFoundError(f"no answers at {place}")
        found += sorted(place.glob("*.json")) if place.is_dir() else [place]
    return found


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"nothing at {path}")
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    if not isinstance(values, dict):
        raise ValueError(f"{path} has no JSON object, but {type(values).__name__}")
    return values


def _ratings(listener: str, answer: Mapping[str, Any], key: Mapping[str, Any]) -> list[Rating]:
    low, high = _RANGES[key["kind"]]
    found = []
    for sound, value in answer["values"].items():
        if sound not in key["sounds"]:
            raise ValueError(f"the test has no sound {sound!r}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise ValueError(f"the grade is {value!r}, the scale goes from {low} to {high}")
        about = key["sounds"][sound]
        found.append(Rating(listener, about["item"], about["system"], about["role"], float(value)))
    return found


def _choice(listener: str, answer: Mapping[str, Any], key: Mapping[str, Any]) -> Choice:
    one, two, asked = answer["sounds"]
    if answer["choice"] not in (one, two) or asked not in (one, two):
        raise ValueError(f"the choice {answer['choice']!r} is neither A nor B")
    systems = sorted(key["sounds"][sound]["system"] for sound in (one, two))
    return Choice(listener, key["sounds"][one]["item"], (systems[0], systems[1]), answer["choice"] == asked)
