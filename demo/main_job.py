"""The main job, from a corpus to measured speech, by public commands only; each is printed before it runs.

nox -s demo                      speaks its own small corpus first
nox -s demo -- --corpus PATH     takes any folder in the LJSpeech layout
"""

from __future__ import annotations

import argparse
import csv
import json
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

from make_corpus import make_corpus

METRICS = "mcd,f0_rmse_cents,f0_pearson_cents,vuv_f1,energy_pearson_db,mstft,duration_ratio"
ALIGNED = "mcd,f0_rmse_cents,f0_pearson_cents,vuv_f1,energy_pearson_db,duration_ratio"
HELD_OUT = 10


def main() -> None:
    """Run the job and say how long each part took."""
    options = parse_arguments()
    out: Path = options.out
    if out.exists() and not options.keep:
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    job = Job(out)
    corpus = options.corpus or own_corpus(out, job)
    shards = out / "shards"
    job.title("Corpus to shards")
    job.run(
        "amphion-data", "prepare", "ljspeech", corpus, shards, "--sample-rate", 22050, "--workers", 2,
        "--valid", 0.05, "--test", 0.1,
    )  # fmt: skip
    job.run("amphion-data", "stats", shards / "train")
    held_out = held_out_rows(shards / "test", out / "held-out.jsonl", job)

    job.title("Training: FastSpeech 2 with learned alignment, and a small Vocos")
    data = [f"data.train.0.path={shards / 'train'}", f"data.valid.0.path={shards / 'valid'}"]
    train(job, "tts/fastspeech2-demo", data, out / "fastspeech2", options.minutes)
    train(job, "vocoders/vocos-22k-small", data, out / "vocos", options.minutes)

    job.title("Speaking ten held-out sentences, copying ten by the vocoders")
    speak = ("amphion-tts", "speak", "--manifest", held_out, "--model", out / "fastspeech2")
    job.run(*speak, "--vocoder", out / "vocos", "-o", out / "spoken")
    job.run(*speak, "--vocoder", "griffin-lim", "-o", out / "spoken-griffin-lim")
    copy = ("amphion-vocoders", "synthesize", shards / "test", "--limit", HELD_OUT)
    job.run(*copy, "--model", out / "vocos", "-o", out / "copied")
    job.run(*copy, "--model", "griffin-lim", "-o", out / "copied-griffin-lim")

    job.title("Figures")
    recordings = out / "recordings"
    job.run("amphion-data", "extract", shards / "test", recordings, "--limit", HELD_OUT)
    systems = {"copied": "cut", "copied-griffin-lim": "cut", "spoken": "dtw", "spoken-griffin-lim": "dtw"}
    results = []
    for system, align in systems.items():
        results.append(score(job, out, system, [recordings, out / system], align))
    pairs = shuffled_pairs(recordings, out / "spoken", out / "shuffled.csv")
    results.append(score(job, out, "shuffled", ["--pairs", pairs], "dtw"))
    report = out / "report.html"
    job.run("amphion-eval", "report", *results, "--html", report, "--markdown", out / "report.md")
    verdict(out)
    job.finish(report)


def parse_arguments() -> argparse.Namespace:
    """The options after `--`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, help="a folder in the LJSpeech layout: metadata.csv and wavs/")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/demo"), help="folder for everything (default: runs/demo)"
    )
    parser.add_argument("--minutes", type=float, default=2.2, help="most minutes of each training (default: 2.2)")
    parser.add_argument("--keep", action="store_true", help="go on in the folder instead of starting anew")
    return parser.parse_args()


class Job:
    """Runs commands, prints each as it can be typed, and keeps the time of each part."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.start = time.monotonic()
        self.parts: list[tuple[str, float]] = []

    def title(self, text: str) -> None:
        """Begin a part."""
        self.parts.append((text, time.monotonic()))
        print(f"\n== {text}", flush=True)

    def run(self, *words: object) -> str:
        """Run one command; what it prints is shown and returned."""
        line = [str(word) for word in words]
        print(f"\n$ {shlex.join(line)}", flush=True)
        line[0] = str(Path(sys.executable).with_name(line[0]))
        process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True, encoding="utf-8")
        assert process.stdout is not None
        lines = []
        for text in process.stdout:
            print(text, end="", flush=True)
            lines.append(text)
        if process.wait() != 0:
            sys.exit(f"that command failed with status {process.returncode}; what it said stands above")
        return "".join(lines)

    def finish(self, report: Path) -> None:
        """Print the times and where the report lies."""
        ends = [start for _, start in self.parts[1:]] + [time.monotonic()]
        print("\n== Time")
        for (title, start), end in zip(self.parts, ends, strict=True):
            print(f"{end - start:7.1f} s  {title}")
        print(f"{time.monotonic() - self.start:7.1f} s  in all")
        print(f"\nThe report with players and pictures: {report.resolve()}")


def own_corpus(out: Path, job: Job) -> Path:
    """Speak our own sentences with espeak-ng, in the LJSpeech layout."""
    job.title("A corpus of our own sentences, spoken by espeak-ng")
    corpus = out / "corpus"
    count = make_corpus(corpus)
    print(f"{count} sentences in {corpus}")
    return corpus


def train(job: Job, recipe: str, data: list[str], out: Path, minutes: float) -> None:
    """Train a recipe for at most some minutes."""
    job.run("amphion", "train", recipe, *data, f"trainer.hours={minutes / 60:.4f}", "--out", out)


def held_out_rows(shards: Path, path: Path, job: Job) -> Path:
    """The first rows of the test split, as a manifest."""
    rows = job.run("amphion-data", "rows", shards).splitlines()[:HELD_OUT]
    path.write_text("".join(row + "\n" for row in rows), encoding="utf-8")
    return path


def score(job: Job, out: Path, system: str, inputs: list[object], align: str) -> Path:
    """Score one system against the recordings."""
    result = out / f"{system}.json"
    metrics = METRICS if align == "cut" else ALIGNED
    job.run("amphion-eval", "score", *inputs, "--metrics", metrics, "--align", align, "--workers", 2, "--json", result)
    return result


def shuffled_pairs(recordings: Path, spoken: Path, path: Path) -> Path:
    """Each recording beside the speech of the next sentence: what chance looks like."""
    names = sorted(file.stem for file in spoken.glob("*.wav"))
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["id", "reference", "estimate"])
        for one, other in zip(names, names[1:] + names[:1], strict=True):
            (reference,) = recordings.glob(f"{one}.*")
            table.writerow([one, reference.resolve(), (spoken / f"{other}.wav").resolve()])
    return path


def verdict(out: Path) -> None:
    """Is the speech the sentence? Its figures beside those of another sentence, item by item."""
    own, other = (json.loads((out / f"{name}.json").read_text(encoding="utf-8")) for name in ("spoken", "shuffled"))
    print("\n== Is it the sentence? Spoken against its own recording, and against that of another sentence")
    for metric, better in (("mcd", min), ("f0_rmse_cents", min), ("duration_ratio", None)):
        a, b = own["summary"][metric], other["summary"][metric]
        print(f"{metric:18} own {a['mean']:9.3f}   shuffled {b['mean']:9.3f}   (n {a['n']}, {b['n']})")
        if better is None:
            continue
        values = [{item["id"]: item["metrics"][metric] for item in result["items"]} for result in (own, other)]
        pairs = [(values[0][k], values[1][k]) for k in values[0] if None not in (values[0][k], values[1].get(k))]
        nearer = sum(x < y for x, y in pairs)
        print(f"{'':18} nearer to its own recording in {nearer} of {len(pairs)} sentences")


if __name__ == "__main__":
    main()
