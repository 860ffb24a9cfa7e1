"""What is heard and seen on the pages of the metrics: changes of one recording, and the value of each metric for each.

python docs/metrics/examples.py            writes sounds/, pictures/ and examples.json
python docs/metrics/examples.py --draw     only the charts, of the values in examples.json

Three sounds are given (recording, words, other: espeak-ng); the others are made from the recording. Values of metrics
whose package or weights are not here stay as they are.
"""

from __future__ import annotations

import json
import math
import sys
from html import escape
from pathlib import Path

import numpy as np

from amphion_core import audio
from amphion_core.features.world import world_analysis, world_synthesis
from amphion_eval import Clip, Pair, score
from amphion_eval.drawing import spectrogram
from amphion_eval.listening.anchors import low_pass
from amphion_eval.metric import available, find
from amphion_eval.protocols import lacking
from amphion_eval.settings import Settings
from amphion_eval.tables import number

HERE = Path(__file__).parent
SOUNDS, PICTURES, VALUES = HERE / "sounds", HERE / "pictures", HERE / "examples.json"
RATE = 16000
TEXT = "Nineteen boats lay in the quiet harbor."
HEARD = {"words": "Ninety goats may lie in a quiet harbor."}
SETTINGS = Settings(crepe="tiny", language="en")
CHANGES = {
    "copy": "WORLD copy",
    "soft": "6 dB softer",
    "late": "40 ms late",
    "slow": "10 % slower",
    "semitone": "a semitone up",
    "octave": "octave error",
    "flat": "flat pitch",
    "whisper": "whispered",
    "noise": "noise, 20 dB",
    "muffled": "below 2 kHz",
    "words": "other words",
    "other": "other voice",
}
ALONE = ("clip", "clip_model", "clip_sets")


def sounds() -> dict[str, np.ndarray]:
    """Every change of the recording, (T,) each."""
    given = {
        name: audio.load(SOUNDS / f"{name}.flac")[0].astype(np.float64) for name in ("recording", "words", "other")
    }
    wav = given["recording"]
    f0, envelope, aperiodicity = world_analysis(wav, RATE)
    third = len(f0) // 3
    jump = np.where((np.arange(len(f0)) >= third) & (np.arange(len(f0)) < 2 * third), 2.0, 1.0)
    slower = np.minimum(np.round(np.arange(0, len(f0) - 1, 1 / 1.1)).astype(int), len(f0) - 1)
    rng = np.random.default_rng(0)
    noise = rng.normal(size=wav.size)
    made = {
        "copy": world_synthesis(f0, envelope, aperiodicity, RATE)[: wav.size],
        "soft": 0.5 * wav,
        "late": np.concatenate([np.zeros(RATE // 25), wav])[: wav.size],
        "slow": world_synthesis(f0[slower], envelope[slower], aperiodicity[slower], RATE),
        "semitone": world_synthesis(f0 * 2 ** (1 / 12), envelope, aperiodicity, RATE)[: wav.size],
        "octave": world_synthesis(f0 * jump, envelope, aperiodicity, RATE)[: wav.size],
        "flat": world_synthesis(np.where(f0 > 0, np.median(f0[f0 > 0]), 0), envelope, aperiodicity, RATE)[: wav.size],
        "whisper": world_synthesis(np.zeros_like(f0), envelope, np.ones_like(aperiodicity), RATE)[: wav.size],
        "noise": wav + noise * math.sqrt((wav**2).mean() / (noise**2).mean()) / 10,
        "muffled": low_pass(wav, RATE, 2000.0),
    }
    return {**given, **{name: np.asarray(own, np.float64) for name, own in made.items()}}


def values(names: list[str], settings: Settings = SETTINGS) -> dict[str, dict[str, float | None]]:
    """Metric to change to value, None where it is undefined; for metrics of one clip also that of the recording.

    Args:
        names: metrics of items.
        settings: of the analyses.
    """
    place = {name: Clip((SOUNDS / f"{name}.flac").as_posix()) for name in ("recording", *CHANGES)}
    found: dict[str, dict[str, float | None]] = {}
    groups: dict[tuple[str, ...], list[str]] = {}
    for name in names:
        needs = find(name).needs
        of = ("words",) if needs == "texts" else ("recording", *CHANGES) if needs in ALONE else tuple(CHANGES)
        groups.setdefault(of, []).append(name)
    for of, asked in groups.items():
        pairs = [
            Pair(
                name,
                place["recording"],
                place[name],
                text=TEXT,
                transcript=HEARD.get(name, TEXT),
                prompt=place["recording"],
                reconstruction=place["copy"],
            )
            for name in of
        ]
        report = score(pairs, asked, settings=settings, bootstrap=0, device="cpu")
        found |= {name: {item.id: item.metrics[name] for item in report.items} for name in asked}
    return found


def chart(name: str, shown: dict[str, float | None], unit: str, best: str) -> str:
    """The values as rows with dots, as SVG.

    Args:
        name: of the metric.
        shown: change to value.
        unit: of the values.
        best: which end is best.
    """
    finite = [value for value in shown.values() if value is not None and math.isfinite(value)]
    ideal = {"lower": min([0.0, *finite]), "higher": max(finite, default=1.0), "zero": 0.0, "one": 1.0}.get(best)
    ends = finite if ideal is None else [*finite, ideal]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    span = (high - low) or 1.0
    width, left, right, line, top = 650, 130, 545, 24, 12
    height = top + line * len(shown) + 26

    def x(value: float) -> float:
        return left + (right - left) * (value - low) / span

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{escape(name)} of each change of the recording" '
        'font-family="system-ui, sans-serif" font-size="13">',
        "<style>text{fill:#57534e}.v{fill:#1c1917;font-weight:600}line{stroke:#d6d3d1}.d{fill:#0f766e}</style>",
        f'<rect width="{width}" height="{height}" rx="8" fill="#fff"/>',  # legible on dark pages too
    ]
    bottom = top + line * len(shown)
    if ideal is not None:
        parts.append(f'<line x1="{x(ideal):.1f}" x2="{x(ideal):.1f}" y1="{top}" y2="{bottom}" stroke-dasharray="3 3"/>')
    for row, (change, value) in enumerate(shown.items()):
        y = top + row * line + line // 2
        label = CHANGES.get(change, "the recording")
        parts.append(f'<line x1="{left}" x2="{right}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{left - 12}" y="{y + 4}" text-anchor="end">{escape(label)}</text>')
        if value is not None and math.isfinite(value):
            parts.append(f'<circle class="d" cx="{x(value):.1f}" cy="{y}" r="5"/>')
        text = "undefined" if value is None else number(value)
        parts.append(f'<text class="v" x="{right + 14}" y="{y + 4}">{text}</text>')
    caption = f"{name}{f' in {unit}' if unit else ''}"
    if ideal is not None:
        caption += "; dashed: the best value" + (" here" if best == "higher" else "")
    parts.append(f'<text x="{left}" y="{height - 8}">{escape(caption)}</text></svg>\n')
    return "".join(parts)


def draw(kept: dict[str, dict[str, float | None]]) -> None:
    """Charts of all metrics but those of texts, which have one value.

    Args:
        kept: metric to change to value.
    """
    for name, shown in kept.items():
        metric = find(name)
        if metric.needs != "texts":
            picture = chart(name, shown, metric.unit, metric.best)
            (PICTURES / f"{name}.svg").write_text(picture, encoding="utf-8")


def main() -> None:
    """Write everything."""
    SOUNDS.mkdir(exist_ok=True)
    PICTURES.mkdir(exist_ok=True)
    kept = json.loads(VALUES.read_text(encoding="utf-8")) if VALUES.exists() else {}
    if "--draw" in sys.argv:
        draw(kept)
        return
    made = sounds()
    for name, wav in made.items():
        if name not in ("recording", "words", "other"):
            audio.save(SOUNDS / f"{name}.flac", wav.astype(np.float32), RATE)
    for name, wav in made.items():
        (PICTURES / f"{name}.png").write_bytes(spectrogram(wav, RATE, max(map(len, made.values())) / RATE))
    of_items = [n for n in available() if find(n).needs not in ("sets", "clip_sets", "text_model")]
    missing = lacking([find(name) for name in of_items], SETTINGS, transcripts=True)
    kept |= values([name for name in of_items if name not in missing])
    draw(kept)
    rounded = {name: {c: v if v is None else float(f"{v:.6g}") for c, v in kept[name].items()} for name in sorted(kept)}
    VALUES.write_text(json.dumps(rounded, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print("not computed:", ", ".join(missing) or "nothing")


if __name__ == "__main__":
    main()
