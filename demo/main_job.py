"""The main job, from a corpus to measured speech, by public commands only; each is printed before it runs.

nox -s demo                      speaks its own small corpus first
nox -s demo -- --corpus PATH     takes any folder in the LJSpeech layout
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

from make_corpus import make_corpus

COPIED = "mcd,f0_rmse_cents,f0_pearson_cents,vuv_f1,energy_pearson_db,mstft"
SPOKEN = "mcd,f0_rmse_cents,f0_pearson_cents,vuv_f1,energy_pearson_db,duration_error"
HIGHER_IS_BETTER = ("f0_pearson_cents", "vuv_f1", "energy_pearson_db")
HELD_OUT = 10


def main() -> None:
    """Run the job and say how long each part took."""
    options = parse_arguments()
    out: Path = options.out
    claim_folder(out, options.corpus, keep=options.keep)
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
    job.run("amphion-data", "extract", shards / "test", out / "recordings", "--limit", HELD_OUT)
    results = [
        score(job, out, "copied", COPIED, "cut"),
        score(job, out, "copied-griffin-lim", COPIED, "cut"),
        score(job, out, "spoken", SPOKEN, "dtw"),
        score(job, out, "spoken-griffin-lim", SPOKEN, "dtw"),
        # What chance looks like: each spoken sentence against the recording of another one.
        score(job, out, "spoken", SPOKEN, "dtw", "--mispaired", name="shuffled"),
    ]
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


def claim_folder(out: Path, corpus: Path | None, *, keep: bool) -> None:
    """Empty the folder of an earlier demo, and no other."""
    if corpus is not None and not (corpus / "metadata.csv").is_file():
        sys.exit(f"no metadata.csv in {corpus}; the main job takes a folder in the LJSpeech layout")
    if corpus is not None and corpus.resolve().is_relative_to(out.resolve()):
        sys.exit(f"the corpus {corpus} lies in {out}, which is emptied first; move it, or give another --out")
    marker = out / ".main-job"
    if out.exists() and any(out.iterdir()) and not marker.exists():
        sys.exit(f"{out} holds files that are not of this job; give another --out")
    if out.exists() and not keep:
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    marker.touch()


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
        lines = []
        with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, encoding="utf-8") as process:
            for text in process.stdout or ():
                print(text, end="", flush=True)
                lines.append(text)
        if process.returncode != 0:
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


def score(job: Job, out: Path, system: str, metrics: str, align: str, *options: str, name: str = "") -> Path:
    """Score one system against the recordings; returns the file with the figures."""
    name = name or system
    result = out / f"{name}.json"
    job.run(
        "amphion-eval", "score", out / "recordings", out / system, "--metrics", metrics, "--align", align, *options,
        "--name", name, "--workers", 2, "--json", result,
    )  # fmt: skip
    return result


def verdict(out: Path) -> None:
    """Is the speech the sentence? Its figures beside those of another sentence, item by item."""
    own, other = (json.loads((out / f"{name}.json").read_text(encoding="utf-8")) for name in ("spoken", "shuffled"))
    print("\n== Is it the sentence? Spoken against its own recording, and against that of another sentence")
    print(f"{'':20} {'own':>9} {'shuffled':>9}   nearer to its own recording")
    for metric in SPOKEN.split(","):
        means = [result["summary"][metric]["mean"] for result in (own, other)]
        values = [{item["id"]: item["metrics"][metric] for item in result["items"]} for result in (own, other)]
        pairs = [(values[0][key], values[1][key]) for key in values[0] if None not in (values[0][key], values[1][key])]
        sign = -1 if metric in HIGHER_IS_BETTER else 1
        nearer = sum(sign * mine < sign * others for mine, others in pairs)
        print(f"{metric:20} {means[0]:9.3f} {means[1]:9.3f}   {nearer} of {len(pairs)} sentences")


if __name__ == "__main__":
    main()
