"""Preparing a corpus, what the engine adds to the work, and filtering a manifest of ten million rows.

prepare: hours of audio per CPU hour from a folder of WAV files (44.1 kHz, 16 bit, 10 s each, a JSON of their texts) to
tars of FLAC at 24 kHz; ours checks every sample, measures levels, and writes index, checksums and statistics in that
time. The peer is lhotse: the same files, `resample` (torchaudio's default filter, where ours is soxr's VHQ), `to_shar`
with FLAC. CPU time of the process and of its children, best of some runs that take turns, one process each, torch on
one thread: on two its short resamplings take twice the CPU time, since one thread waits for the other without sleeping.

overhead: the pipeline with all stages null on a pool of 4 workers, over many recordings that are each a unit of their
own and too short for a segment, so that nearly all of its CPU time is plan, leases, marks, processes and files. The
figure is that time for each unit, as a share of the CPU time that a unit of 30 minutes takes with the same null stages:
it is still decoded, cut and encoded. With real stages the share is smaller by as much as they are slower.

manifest: synthetic JSON lines with id, path, duration, text, speaker, language and DNSMOS; time and memory to make its
columns and to write the lines that meet a condition, and to filter it again. Memory is the sum of all processes
(proportional set size where the system tells it), asked for four times a second.
"""

import argparse
import json
import logging
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):  # read when the libraries load
    os.environ[_variable] = "1"

import numpy as np  # noqa: E402

SOURCE_RATE, RATE, SECONDS = 44_100, 24_000, 10.0
CONDITION = 'duration > 3 and dnsmos >= 3.2 and language in ("en", "de")'


def spent():
    """CPU seconds so far, of this process and of children that ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def make_corpus(root, count):
    """WAV files that compress like speech does, with a table."""
    from amphion_core import audio

    rng = np.random.default_rng(0)
    t = np.arange(round(SOURCE_RATE * SECONDS)) / SOURCE_RATE
    rows = []
    for k in range(count):
        wav = 0.2 * np.sin(2 * np.pi * (120 + k % 80) * t) * np.sin(3 * t) + 0.003 * rng.standard_normal(t.size)
        audio.save(root / f"clip{k:04d}.wav", wav.astype(np.float32), SOURCE_RATE)
        rows.append({"file_name": f"clip{k:04d}.wav", "text": f"clip number {k}", "speaker": f"s{k % 10}"})
    (root / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def ours(root, out):
    from amphion_data import PrepareSettings, prepare

    settings = PrepareSettings(sample_rate=RATE, valid=0, test=0)
    prepare("folder", root, out, settings, workers=1, progress=False)


def lhotse(root, out):
    from lhotse import CutSet, Recording, SupervisionSegment

    cuts = []
    for line in (root / "metadata.jsonl").read_text().splitlines():
        row = json.loads(line)
        recording = Recording.from_file(root / row["file_name"])
        cut = recording.to_cut()
        said = SupervisionSegment(
            recording.id, recording.id, 0, recording.duration, text=row["text"], speaker=row["speaker"]
        )
        cut.supervisions = [said]
        cuts.append(cut)
    out.mkdir()
    CutSet.from_cuts(cuts).resample(RATE).to_shar(out, fields={"recording": "flac"}, shard_size=1000)


def bench_prepare(options):
    hours = options.clips * SECONDS / 3600
    best = {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "corpus"
        root.mkdir()
        make_corpus(root, options.clips)
        for run in range(options.runs + 1):  # the first run of each pays for imports
            for name, prepare in (("ours", ours), ("lhotse", lhotse)):
                out = Path(folder) / name
                shutil.rmtree(out, ignore_errors=True)
                began = spent()
                prepare(root, out)
                if run:
                    best[name] = min(best.get(name, 1e9), spent() - began)
    rates = {name: hours / (seconds / 3600) for name, seconds in best.items()}
    for name, rate in rates.items():
        print(f"prepare, {name:8} {rate:8,.0f} hours of audio per CPU hour")
    print(f"prepare, ours as a multiple of lhotse: {rates['ours'] / rates['lhotse']:.2f}")
    return rates


def bench_overhead(options):
    """CPU of the pipeline itself, for each unit, against the work in a unit of 30 minutes."""
    from amphion_core import audio
    from amphion_data.engines import make_engine
    from amphion_data.pipe import PipeSettings, run_pipe

    null = {"separate": "none", "vad": "energy", "diarise": "none", "transcribe": "none", "score": "none"}
    settings = PipeSettings.parse({**null, "embed": "spectral", "unit": 1.0})

    def recordings(folder, count, seconds):
        folder.mkdir()
        t = np.arange(round(RATE * seconds)) / RATE
        wav = (0.2 * np.sin(2 * np.pi * 150 * t) * (np.sin(t) > -0.5)).astype(np.float32)
        first = folder / "r00000.wav"
        audio.save(first, wav, RATE)
        for k in range(1, count):
            os.link(first, folder / f"r{k:05d}.wav")
        return folder

    def measure(source, out):
        began = spent()
        run_pipe(source, out, settings, engine=make_engine("pool", workers=4))
        return spent() - began

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        # 1.5 s: enough to be a unit, too short for a segment, so that all is overhead but the decoding of 1.5 s.
        start = measure(recordings(root / "few", 4, 1.5), root / "few-out")
        many = measure(recordings(root / "many", 4 + options.units, 1.5), root / "many-out")
        work = measure(recordings(root / "work", 4, 120.0), root / "work-out") - start
    unit = max(many - start, 0.0) / options.units
    half_hour = work / (4 * 118.5) * 1800
    print(
        f"overhead: {1000 * unit:.1f} ms CPU a unit at 4 workers; a unit of 30 min with null stages, only decoded, cut"
    )
    print(
        f"  and encoded, takes {half_hour:.1f} s of CPU: {100 * unit / half_hour:.2f} % ({start:.1f} s once, to start)"
    )
    return {"seconds_per_unit": unit, "half_hour": half_hour, "share": unit / half_hour, "start": start}


def write_manifest(path, rows):
    rng = random.Random(0)
    with path.open("w") as file:
        for first in range(0, rows, 10_000):
            lines = []
            for k in range(first, min(first + 10_000, rows)):
                dnsmos, duration = 2.8 + rng.random(), 3 + 27 * rng.random()
                language, name = ("en", "zh", "de", "fr")[k & 3], f"B{k // 100_000:05d}_S{k // 50:07d}_W{k:08d}"
                lines.append(
                    f'{{"id": "{name}", "audio": "{name}.mp3", "duration": {duration:.3f}, "sample_rate": 24000, '
                    f'"text": "some words that somebody said in clip {k}", "speaker": "S{k // 50:07d}", '
                    f'"language": "{language}", "extra": {{"dnsmos": {dnsmos:.4f}}}}}\n'
                )
            file.write("".join(lines))


class Memory(threading.Thread):
    """The most memory that this process and its children held at once, bytes."""

    def __init__(self, process):
        super().__init__(daemon=True)
        self.process, self.most = process, 0

    def run(self):
        """Look until the process ends."""
        while self.process.poll() is None:
            self.most = max(self.most, sum(map(held, family(self.process.pid))))
            time.sleep(0.25)


def family(root):
    """Ids of a process and of all that it started."""
    parents = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(place.name)] = int((place / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
    found = {root}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def held(process):
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return 0


def bench_manifest(options):
    code = (
        "import sys, time; from amphion_data import filter_manifest; began = time.perf_counter()\n"
        "report = filter_manifest(*sys.argv[1:4], workers=int(sys.argv[4]))\n"
        "print(time.perf_counter() - began, report.kept)"
    )
    found = {}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "rows.jsonl"
        write_manifest(path, options.rows)
        print(f"manifest: {options.rows:,} rows, {path.stat().st_size / 1e9:.2f} GB, {os.cpu_count()} cores")
        for job in ("index and filter", "filter again"):
            out = Path(folder) / "out.jsonl"
            command = [sys.executable, "-c", code, str(path), str(out), CONDITION, str(options.workers)]
            began = spent() - time.process_time()  # without this process, which only looks at the memory
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            memory = Memory(process)
            memory.start()
            wall, kept = process.communicate()[0].split()
            memory.join()
            cpu = spent() - time.process_time() - began
            found[job] = {"wall": float(wall), "cpu": cpu, "memory": memory.most}
            print(
                f"  {job:18} {float(wall):6.1f} s wall, {cpu:6.1f} s CPU, {memory.most / 1e9:.2f} GB, "
                f"{int(kept):,} rows kept"
            )
    return found


BENCHES = {"prepare": bench_prepare, "overhead": bench_overhead, "manifest": bench_manifest}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("benches", nargs="*", default="all", choices=[*BENCHES, "all"], help="default: all")
    parser.add_argument("--clips", type=int, default=120)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--units", type=int, default=300)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", help="where the manifest is written; 3 GB for ten million rows")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    chosen = BENCHES if "all" in options.benches else options.benches
    figures = {name: BENCHES[name](options) for name in chosen}
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
