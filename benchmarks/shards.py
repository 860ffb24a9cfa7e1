"""Writing and reading shards: ours beside webdataset, lhotse Shar and litdata, as ratios of clips per CPU second.

Method: 800 clips of 5 s (24 kHz, FLAC, about 119 kB each) with a JSON of their text, page cache warm, one thread. The
figure is CPU time of the process and of the children it waited for, best of some runs that take turns, so that other
work on the machine meets all of them alike. Ours writes in one process and makes its index and checksums in that time;
"read" fetches the bytes of both fields, "decode" makes float32 samples of the FLAC by soundfile (lhotse by its own
loader). Rows are read in order, which is what the peers can do.
"""

import argparse
import io
import json
import logging
import resource
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from amphion_core import audio
from amphion_core.data import Record, ShardSet, write_shards
from amphion_core.schema import Utterance

RATE, SECONDS, PER_SHARD = 24_000, 5.0, 200
PEERS = ("ours", "webdataset", "lhotse", "litdata")
JOBS = ("write", "read", "decode")


def make_clips(count):
    """FLAC and JSON of clips that compress like speech does."""
    rng = np.random.default_rng(0)
    clips = []
    for k in range(count):
        t = np.arange(round(RATE * SECONDS)) / RATE
        wav = 0.2 * np.sin(2 * np.pi * (120 + k % 80) * t) * np.sin(3 * t) + 0.003 * rng.standard_normal(t.size)
        row = Utterance(id=f"clip{k:05d}", duration=SECONDS, sample_rate=RATE, text=f"clip number {k}", speaker="s")
        clips.append((row, audio.encode(wav.astype(np.float32), RATE, "flac"), row.to_json().encode()))
    return clips


def spent():
    """CPU seconds so far, of this process and of children that ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def decode(data):
    return soundfile.read(io.BytesIO(data), dtype="float32")[0]


def ours_write(folder, clips):
    content = {row.id: {"flac": flac, "json": text} for row, flac, text in clips}
    rows = [row for row, _, _ in clips]
    write_shards(rows, lambda row: Record(row.id, content[row.id]), folder, per_shard=PER_SHARD, progress=False)


def ours_read(folder):
    return sum(len(record.fields["flac"]) + len(record.fields["json"]) for record in ShardSet.open(folder))


def ours_decode(folder):
    shards = ShardSet.open(folder)
    return sum(len(shards.audio(k)[0]) for k in range(len(shards)))


def webdataset_write(folder, clips):
    import webdataset

    folder.mkdir()
    with webdataset.ShardWriter(f"{folder}/%06d.tar", maxcount=PER_SHARD, verbose=0) as sink:
        for row, flac, text in clips:
            sink.write({"__key__": row.id, "flac": flac, "json": text})


def webdataset_samples(folder):
    import webdataset

    return webdataset.WebDataset(sorted(str(path) for path in folder.glob("*.tar")), shardshuffle=False)


def webdataset_read(folder):
    return sum(len(sample["flac"]) + len(sample["json"]) for sample in webdataset_samples(folder))


def webdataset_decode(folder):
    return sum(len(decode(sample["flac"])) for sample in webdataset_samples(folder))


def lhotse_write(folder, clips):
    from lhotse import CutSet, MonoCut, Recording, SupervisionSegment

    folder.mkdir()
    cuts = []
    for row, flac, _ in clips:
        recording = Recording.from_bytes(flac, row.id)
        said = SupervisionSegment(row.id, row.id, 0, SECONDS, text=row.text, speaker=row.speaker)
        cuts.append(MonoCut(row.id, 0, SECONDS, 0, [said], recording=recording))
    CutSet.from_cuts(cuts).to_shar(folder, fields={"recording": "original"}, shard_size=PER_SHARD)


def lhotse_cuts(folder):
    from lhotse import CutSet

    return CutSet.from_shar(in_dir=folder)


def lhotse_read(folder):
    return sum(len(cut.recording.sources[0].source) for cut in lhotse_cuts(folder))


def lhotse_decode(folder):
    return sum(cut.load_audio().shape[1] for cut in lhotse_cuts(folder))


def litdata_write(folder, clips):
    from litdata.streaming.cache import Cache

    folder.mkdir()
    cache = Cache(str(folder), chunk_size=PER_SHARD)
    for k, (_, flac, text) in enumerate(clips):
        cache._add_item(k, {"flac": flac, "json": text})
    cache.done()
    cache.merge()


def litdata_items(folder):
    from litdata import StreamingDataset

    return StreamingDataset(str(folder), shuffle=False)


def litdata_read(folder):
    return sum(len(item["flac"]) + len(item["json"]) for item in litdata_items(folder))


def litdata_decode(folder):
    return sum(len(decode(item["flac"])) for item in litdata_items(folder))


WRITERS = dict(zip(PEERS, (ours_write, webdataset_write, lhotse_write, litdata_write), strict=True))
READERS = {
    "read": dict(zip(PEERS, (ours_read, webdataset_read, lhotse_read, litdata_read), strict=True)),
    "decode": dict(zip(PEERS, (ours_decode, webdataset_decode, lhotse_decode, litdata_decode), strict=True)),
}


def measure(clips, root, runs):
    """Best CPU seconds (and wall) of each job and peer."""
    best = {}
    for _ in range(runs["write"]):
        for name, write in WRITERS.items():
            shutil.rmtree(root / name, ignore_errors=True)
            note(best, ("write", name), write, root / name, clips)
    expected = {"decode": len(clips) * round(RATE * SECONDS), "read": sum(len(f) + len(j) for _, f, j in clips)}
    for job, readers in READERS.items():
        for _ in range(runs[job]):
            for name, read in readers.items():
                result = note(best, (job, name), read, root / name)
                if job == "decode" or name != "lhotse":  # lhotse reads no JSON of ours
                    assert result == expected[job], (job, name, result, expected[job])
    return best


def note(best, key, action, *arguments):
    began, wall = spent(), time.perf_counter()
    result = action(*arguments)
    times = (spent() - began, time.perf_counter() - wall)
    best[key] = min(best.get(key, times), times)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=800)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    clips = make_clips(options.clips)
    print(f"{len(clips)} clips of {SECONDS} s, {np.mean([len(f) for _, f, _ in clips]) / 1000:.0f} kB FLAC each")
    runs = {"write": options.runs, "read": 3 * options.runs, "decode": options.runs}
    with tempfile.TemporaryDirectory() as root:
        best = measure(clips, Path(root), runs)
    rates = {job: {name: len(clips) / best[job, name][0] for name in PEERS} for job in JOBS}
    print(f"{'clips per CPU second':22}" + "".join(f"{name:>12}" for name in PEERS))
    for job in JOBS:
        print(f"{job:22}" + "".join(f"{rates[job][name]:12,.0f}" for name in PEERS))
    print("ours as a multiple of the peer (CPU; wall in brackets)")
    for job in JOBS:
        walls = {name: best[job, name][1] / best[job, "ours"][1] for name in PEERS}
        cells = (f"{rates[job]['ours'] / rates[job][name]:.2f} ({walls[name]:.2f})" for name in PEERS[1:])
        print(f"{job:22}" + " " * 12 + "".join(f"{cell:>14}" for cell in cells))
    if options.json:
        options.json.write_text(json.dumps(rates, indent=1))


if __name__ == "__main__":
    main()
