"""Make a listening test: one page for the listeners, and a key that tells which sound came from which system."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from amphion_core.atomic import atomic_writer
from amphion_eval.__about__ import __version__
from amphion_eval.listening.anchors import HIGHEST_SHARE, low_pass
from amphion_eval.listening.design import abx_rows, sets_of_systems, single_rows
from amphion_eval.pairing import Clip, PairingError, find_clips

__all__ = ["KINDS", "Kind", "Made", "make_test"]

Kind = Literal["mos", "smos", "mushra", "abx"]
KINDS: tuple[Kind, ...] = get_args(Kind)

REFERENCE = "reference"
"""Name of the recordings among the systems."""

_SCALES = {
    "mos": ("Excellent", "Good", "Fair", "Poor", "Bad"),
    "smos": ("Extremely similar", "Very similar", "Moderately similar", "Slightly similar", "Not at all similar"),
    "mushra": ("Excellent", "Good", "Fair", "Poor", "Bad"),
    "abx": (),
}
_QUESTIONS = {
    "mos": "How natural does this sound?",
    "smos": "How similar is this voice to that of the reference?",
    "mushra": "How close is each sound to the reference? One of them is the reference itself.",
    "abx": "Which of the two is X?",
}
_TYPES = {"flac": "audio/flac", "wav": "audio/wav", "mp3": "audio/mpeg", "ogg": "audio/ogg"}
_MOST = 9  # systems beside the hidden reference and two anchors
_LARGE = 50_000_000  # characters of a page; browsers become slow
_PEAK = 0.99  # all sounds of a test share one gain, so that none clips


@dataclass(frozen=True)
class Made:
    """A test that was made.

    Attributes:
        page: for the listeners; the folder around it can be put on any web server, or sent.
        key: which sound is what; not for the listeners.
        trials: that a listener answers.
        rows: orders of presentation.
        notes: what to know of the sounds, such as anchors that were left out.
    """

    page: Path
    key: Path
    trials: int
    rows: int
    notes: tuple[str, ...]


@dataclass
class _Sounds:
    """The sounds of a test under names that tell nothing."""

    names: list[str]
    entries: dict[str, dict[str, str]]
    wavs: dict[str, NDArray[np.float32]]

    def add(self, item: str, system: str, role: str, wav: NDArray[np.float32]) -> str:
        """Keep a sound; returns its name."""
        name = self.names[len(self.entries)]
        self.entries[name] = {"item": item, "system": system, "role": role}
        self.wavs[name] = wav
        return name


def make_test(
    kind: Kind,
    out: str | Path,
    systems: Mapping[str, str | Path],
    *,
    reference: str | Path | None = None,
    items: int | None = None,
    training: int = 1,
    anchors: Sequence[float] = (3500.0, 7000.0),
    once: bool = False,
    repeats: int = 2,
    title: str | None = None,
    question: str | None = None,
    loudness: float | None = None,
    audio: str = "wav",
    embed: bool = True,
    post: str | None = None,
    seed: int = 0,
) -> Made:
    """Write `out/page/index.html` and `out/key.json`.

    The same arguments and sounds give the same bytes.

    Args:
        kind: `mos` (naturalness, 1 to 5), `smos` (similarity to a reference, 1 to 5), `mushra` (0 to 100, beside the
            reference, with the reference hidden among the systems and low-pass anchors) or `abx` (is X A or B?).
        out: folder; made if absent.
        systems: name to folder or shards, with clips of the same names.
        reference: recordings, or for `smos` prompts, under the same names; needed by `smos` and `mushra`. For `abx`,
            each system is then set against them, else each against each.
        items: how many items are asked about, drawn by the seed; None takes all that are not for training.
        training: items of the training, which are not asked about later.
        anchors: edges of the low-passes of `mushra`, Hz; those too high for the sounds are left out and noted.
        once: for `mos` and `smos`, a listener hears each item from one system only.
        repeats: how often `abx` asks for each item and pair.
        title: of the page.
        question: in the place of the usual one.
        loudness: LUFS that every sound is brought to; None leaves them as they are.
        audio: coding: wav, flac (not for `mushra`, whose jumps from sound to sound fail in short FLAC files of some
            browsers), mp3 or ogg (which add their own faults).
        embed: the sounds stand in the page; else in a folder beside it.
        post: https address to which the answers are sent as well; without it the page can't reach any.
        seed: of all that is drawn.

    Raises:
        ValueError: too few systems or items, names that are reserved, rates or references that don't fit the kind, or
            the folder holds another test.
        PairingError: items that a system lacks.
    """
    _check(kind, systems, reference, training, repeats, audio, post)
    clips, chosen, trained = _chosen(systems, reference, items, training, seed)
    generator = np.random.default_rng([seed, len(chosen)])
    most = (len(chosen) + training) * (len(clips) + 1 + len(anchors))
    sounds = _Sounds([f"s{number:04d}" for number in generator.permutation(most)], {}, {})
    notes: list[str] = []
    rate = 0
    edges: list[float] = []
    trials: list[dict[str, Any]] = []
    for number, item in enumerate([*trained, *chosen]):
        wavs = {}
        for name, own in clips.items():
            wavs[name], found = _load(own[item], loudness)
            if rate and found != rate:
                raise ValueError(f"{item} of {name} has {found} Hz, others {rate} Hz; bring all to one rate first")
            rate = found
        if not number and kind == "mushra":
            edges = [edge for edge in anchors if edge <= HIGHEST_SHARE * rate]
            notes += [f"no anchor of {e:g} Hz: the sounds have {rate} Hz" for e in anchors if e not in edges]
        trials += _trials(kind, item, wavs, edges, rate, sounds)
    per_item = len(trials) // (len(trained) + len(chosen))
    first = len(trained) * per_item
    notes += _level(sounds, loudness)
    rows = _rows(kind, len(chosen), len(systems), per_item, len(trials[0]["sounds"]), once, repeats, seed)
    plan = {
        "format": "amphion-listening",
        "version": 1,
        "kind": kind,
        "title": title or "Listening test",
        "question": question or _QUESTIONS[kind],
        "scale": list(_SCALES[kind]),
        "trials": trials[first:],
        "training": [
            [t, list(range(len(trials[t]["sounds"]))) + ([t % 2] if kind == "abx" else [])] for t in range(first)
        ],
        "training_trials": trials[:first],
        "rows": rows,
        "post": post,
    }
    mark = _mark(plan, sounds)
    plan["plan"] = mark
    out = Path(out)
    _refuse_another(out, mark)
    (out / "page").mkdir(parents=True, exist_ok=True)
    plan["audio"] = _written(sounds, rate, audio, out / "page", embed)
    key = {
        "format": "amphion-listening-key",
        "version": 1,
        "plan": mark,
        "kind": kind,
        "systems": list(systems),
        "sounds": dict(sorted(sounds.entries.items())),
        "trials": {trial["id"]: trial["item"] for trial in _keyed(trials[first:], sounds)},
        "settings": {"seed": seed, "once": once, "repeats": repeats, "loudness": loudness, "anchors": edges},
        "notes": notes,
        "amphion-eval": __version__,
    }
    text = _page(plan)
    if len(text) > _LARGE:
        notes.append(f"the page has {len(text) / 1e6:.0f} MB; the sounds can lie beside it instead (--folder)")
    _write(out / "page" / "index.html", text)
    _write(out / "key.json", json.dumps(key, ensure_ascii=False, indent=1) + "\n")
    return Made(out / "page" / "index.html", out / "key.json", len(rows[0]), len(rows), tuple(notes))


def _mark(plan: Mapping[str, Any], sounds: _Sounds) -> str:
    """What tells this test from others: orders, names and the sounds themselves."""
    digest = hashlib.sha256(json.dumps([plan, sounds.entries], sort_keys=True).encode())
    for _, wav in sorted(sounds.wavs.items()):
        digest.update(wav.tobytes())
    return digest.hexdigest()[:12]


def _refuse_another(out: Path, mark: str) -> None:
    """Keep the key of another test, whose answers would be lost with it."""
    if (out / "key.json").exists():
        other = json.loads((out / "key.json").read_text(encoding="utf-8")).get("plan")
        if other != mark:
            raise ValueError(f"{out} holds another test, {other}, whose answers need its key; take another folder")


def _check(
    kind: str,
    systems: Mapping[str, str | Path],
    reference: str | Path | None,
    training: int,
    repeats: int,
    audio: str,
    post: str | None,
) -> None:
    if kind not in KINDS:
        raise ValueError(f"no test of kind {kind!r}; there are: {', '.join(KINDS)}")
    least = 2 if kind == "abx" and reference is None else 1
    if len(systems) < least:
        raise ValueError(f"{kind} needs {least} system{'s' if least > 1 else ''} or more, got {len(systems)}")
    if kind in ("smos", "mushra") and reference is None:
        raise ValueError(f"{kind} needs a reference; give the folder of the recordings or prompts")
    if kind == "mushra" and len(systems) > _MOST:
        raise ValueError(
            f"mushra with {len(systems)} systems tires listeners; take {_MOST} or fewer (BS.1534-3: 12 sounds)"
        )
    taken = [name for name in systems if name == REFERENCE or name.startswith("anchor ")]
    if taken:
        raise ValueError(f"{', '.join(taken)}: the test names its own sounds so; call the system otherwise")
    if audio not in _TYPES:
        raise ValueError(f"no coding {audio!r}; there are: {', '.join(_TYPES)}")
    if kind == "mushra" and audio == "flac":
        raise ValueError("mushra jumps between sounds at one place, which browsers can't do in short FLAC; take wav")
    if training < 0 or repeats < 1:
        raise ValueError(f"training is 0 or more and repeats 1 or more, got {training} and {repeats}")
    if post is not None and (urlsplit(post).scheme not in ("http", "https") or not urlsplit(post).netloc):
        raise ValueError(f"the answers can be sent to an http or https address, got {post!r}")


def _chosen(
    systems: Mapping[str, str | Path], reference: str | Path | None, items: int | None, training: int, seed: int
) -> tuple[dict[str, dict[str, Clip]], list[str], list[str]]:
    places = {**({REFERENCE: reference} if reference is not None else {}), **systems}
    clips = {name: find_clips(place) for name, place in places.items()}
    every = sorted({item for own in clips.values() for item in own})
    lacking = [f"  {item}: not in {name}" for item in every for name, own in clips.items() if item not in own]
    if lacking:
        more = f"\n  and {len(lacking) - 10} more" if len(lacking) > 10 else ""
        raise PairingError("every system must have every item; missing:\n" + "\n".join(lacking[:10]) + more)
    wanted = len(every) - training if items is None else items
    if wanted < 1 or wanted + training > len(every):
        raise ValueError(
            f"{wanted} items to ask about and {training} for training, but there are {len(every)}; ask for fewer"
        )
    order = np.random.default_rng(seed).permutation(len(every))
    chosen = sorted(every[place] for place in order[training : training + wanted])
    return clips, chosen, sorted(every[place] for place in order[:training])


def _load(clip: Clip, loudness: float | None) -> tuple[NDArray[np.float32], int]:
    from amphion_core import audio

    samples, rate = clip.load()
    wav = samples if samples.ndim == 1 else samples.mean(axis=0)
    if not wav.size or not np.isfinite(wav).all():
        raise ValueError(f"{clip.path}: no samples, or some that are not finite")
    if loudness is None:
        return wav, rate
    try:
        return audio.normalize_loudness(wav, rate, loudness), rate
    except ValueError as error:
        raise ValueError(f"{clip.path}: {error}") from error


def _trials(
    kind: Kind, item: str, wavs: dict[str, NDArray[np.float32]], edges: list[float], rate: int, sounds: _Sounds
) -> list[dict[str, Any]]:
    """The trials of an item: which sounds are judged, and beside which."""
    role = {name: "reference" if name == REFERENCE else "system" for name in wavs}
    named = {name: sounds.add(item, name, role[name], wav) for name, wav in wavs.items()}
    number = len(sounds.entries)
    if kind == "abx":
        others = [name for name in named if name != REFERENCE]
        pairs = (
            [(REFERENCE, name) for name in others]
            if REFERENCE in named
            else [(one, two) for place, one in enumerate(others) for two in others[place + 1 :]]
        )
        return [
            {"id": f"t{number:04d}-{place}", "sounds": [named[one], named[two]]}
            for place, (one, two) in enumerate(pairs)
        ]
    judged = [name for key, name in named.items() if key != REFERENCE]
    if kind == "mushra":
        hidden = sounds.add(item, REFERENCE, "hidden reference", wavs[REFERENCE])
        cut = [sounds.add(item, f"anchor {e:g}", "anchor", low_pass(wavs[REFERENCE], rate, e)) for e in edges]
        return [{"id": f"t{number:04d}", "reference": named[REFERENCE], "sounds": [*judged, hidden, *cut]}]
    beside = {"reference": named[REFERENCE]} if kind == "smos" else {}
    return [{"id": f"t{number:04d}-{place}", "sounds": [name], **beside} for place, name in enumerate(judged)]


def _rows(
    kind: Kind, items: int, systems: int, per_item: int, shown: int, once: bool, repeats: int, seed: int
) -> list[list[list[Any]]]:
    """Orders of (number of the trial, order of its sounds)."""
    if kind == "mushra":
        return [[[item, order] for item, order in row] for row in sets_of_systems(items, shown, seed=seed)]
    if kind == "abx":
        rows = abx_rows(items, per_item, repeats=repeats, seed=seed)
        return [
            [[item * per_item + pair, [int(swap), 1 - swap, int(swap != last)]] for item, pair, swap, last in row]
            for row in rows
        ]
    made = single_rows(items, systems, once=once, seed=seed)
    return [[[item * systems + system, [0]] for item, system in row] for row in made]


def _level(sounds: _Sounds, loudness: float | None) -> list[str]:
    """One gain for all sounds where one would clip; returns notes."""
    peak = max(float(np.abs(wav).max()) for wav in sounds.wavs.values())
    if peak <= 1.0:
        return []
    for name in sounds.wavs:
        sounds.wavs[name] = np.asarray(sounds.wavs[name] * (_PEAK / peak), np.float32)
    target = f" below {loudness:g} LUFS" if loudness is not None else ""
    return [f"all sounds are {20 * np.log10(peak / _PEAK):.1f} dB softer{target}, so that none clips"]


def _written(sounds: _Sounds, rate: int, coding: str, folder: Path, embed: bool) -> dict[str, str]:
    """Where the page finds each sound."""
    from amphion_core import audio

    found = {}
    for name, wav in sorted(sounds.wavs.items()):
        content = audio.encode(wav, rate, coding)  # type: ignore[arg-type]
        if embed:
            found[name] = f"data:{_TYPES[coding]};base64,{base64.b64encode(content).decode()}"
        else:
            (folder / "audio").mkdir(exist_ok=True)
            with atomic_writer(folder / "audio" / f"{name}.{coding}") as file:
                file.write(content)
            found[name] = f"audio/{name}.{coding}"
    return found


def _keyed(trials: Sequence[Mapping[str, Any]], sounds: _Sounds) -> list[dict[str, str]]:
    return [{"id": trial["id"], "item": sounds.entries[trial["sounds"][0]]["item"]} for trial in trials]


def _page(plan: Mapping[str, Any]) -> str:
    assets = files("amphion_eval")
    css = "".join(
        (assets / folder / name).read_text(encoding="utf-8")
        for folder, name in ((".", "page.css"), ("listening", "listening.css"))
    )
    script = (assets / "listening" / "listening.js").read_text(encoding="utf-8")
    target = urlsplit(plan["post"]) if plan["post"] else None
    connect = f"{target.scheme}://{target.netloc}" if target else "'none'"
    embedded = all(place.startswith("data:") for place in plan["audio"].values())
    media = "data:" if embedded else "*"  # a page that is opened as a file has no origin that 'self' could name
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; media-src {media}; "
        f"connect-src {connect}; base-uri 'none'; form-action 'none'"
    )
    content = json.dumps(plan, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy, quote=True)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(plan['title'])}</title>\n<style>\n{css}</style>\n</head>\n<body>\n"
        '<main id="stage"><noscript>This page needs JavaScript.</noscript></main>\n'
        f'<script type="application/json" id="plan">{content}</script>\n'
        f"<script>\n{script}</script>\n</body>\n</html>\n"
    )


def _write(path: Path, text: str) -> None:
    with atomic_writer(path) as file:
        file.write(text.encode())
