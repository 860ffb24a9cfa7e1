"""Diarisation by pyannote.audio itself, with small networks that know two voices."""

import shutil
import socket

import numpy as np
import pytest
import soundfile
from tiny_pyannote import COMMUNITY, HIGH, LOW, THREE, changed, repository, tiny_networks, voices, write_config

from amphion_core.data import ShardSet
from amphion_data.engines import make_engine
from amphion_data.pipe import PipeSettings, run_pipe
from amphion_data.pipe.joining import read_result
from amphion_data.pipe.spans import RATE, Span, total
from amphion_data.pipe.stages import find_stage

pytestmark = pytest.mark.extra("diarize")

TALK = [(0.5, 3.0, LOW), (3.5, 6.0, HIGH), (5.5, 8.0, LOW), (8.5, 10.0, HIGH)]


class Sound:
    """A recording in memory."""

    def __init__(self, wav):
        self.wav, self.length = wav, len(wav)

    def read_low(self, span):
        return self.wav[span.start : span.end]


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    return tiny_networks(tmp_path_factory.mktemp("networks"))


@pytest.fixture(scope="module")
def community(networks):
    return write_config(networks, COMMUNITY)


@pytest.fixture(scope="module")
def stage(community):
    return find_stage("diarise", "pyannote", {"model": str(community)})


@pytest.fixture
def connections(monkeypatch):
    """Addresses that anything in this process asks for."""
    asked = []

    def refuse(host, *_, **__):
        asked.append(host)
        raise OSError("no network in tests")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: refuse(address))
    return asked


def heard(stage, wav):
    return stage.diarise(Sound(wav), [])


def share(diarisation, start, end):
    """Of a stretch (s), how much each speaker has alone."""
    found = {}
    for turn in diarisation.turns:
        length = min(turn.end, end * RATE) - max(turn.start, start * RATE)
        found[turn.speaker] = found.get(turn.speaker, 0) + max(0, length) / (end - start) / RATE
    return found


def main_speaker(diarisation, start, end):
    found = share(diarisation, start, end)
    return max(found, key=found.get)


@pytest.mark.parametrize("form", ["community-1", "3.1 in the cache", "3.1 as a folder"])
def test_two_voices_are_two_speakers_in_each_released_form(
    networks, community, form, tmp_path, monkeypatch, connections
):
    """Without a network, though nobody said so; a path with `wespeaker` in it is no ONNX network."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    model = str(community)
    if form == "3.1 in the cache":
        model = "pyannote/speaker-diarization-3.1"
        write_config(repository(tmp_path / "hub", model), THREE)
        for name, part in (("segmentation-3.0", "segmentation"), ("wespeaker-voxceleb-resnet34-LM", "embedding")):
            shutil.copy(networks / part / "pytorch_model.bin", repository(tmp_path / "hub", f"pyannote/{name}"))
    elif form == "3.1 as a folder":
        for name, part in (("segmentation", "segmentation"), ("wespeaker", "embedding")):
            shutil.copytree(networks / part, tmp_path / "talk" / name)
        parts = {"segmentation": "$model/segmentation", "embedding": "wespeaker/pytorch_model.bin"}
        model = str(write_config(tmp_path / "talk", changed(THREE, **parts)))
    found = heard(find_stage("diarise", "pyannote", {"model": model}), voices(12.0, TALK))
    people = [main_speaker(found, *stretch) for stretch in ((1.5, 3), (3.5, 5.5), (6, 8), (8.5, 10))]
    assert people[0] == people[2] != people[1] == people[3] and {turn.speaker for turn in found.turns} == {0, 1}
    assert total(found.overlaps) / RATE == pytest.approx(0.5, abs=0.4)
    assert sum(share(found, 10.2, 11.4).values()) == 0
    assert not connections


def test_its_makers_are_told_nothing(community, monkeypatch):
    from pyannote.audio.telemetry import metrics

    sent = []
    monkeypatch.setattr(metrics.exporter, "export", lambda spans: sent.extend(spans))
    monkeypatch.setenv("PYANNOTE_METRICS_ENABLED", "true")  # as the library sets it
    heard(find_stage("diarise", "pyannote", {"model": str(community)}), voices(2.0, [(0, 2, LOW)]))
    metrics.provider.force_flush()
    assert not sent and not metrics.is_metrics_enabled()


def test_results_do_not_depend_on_the_state_of_generators_and_nothing_is_printed(stage, capfd, recwarn):
    import torch

    wav, results = voices(8.0, TALK), []
    for seed in (0, 1):
        torch.manual_seed(seed)
        results.append(heard(stage, wav))
    assert results[0] == results[1]
    assert capfd.readouterr() == ("", "") and not recwarn.list


def test_what_the_library_prints_is_logged(stage, monkeypatch, capfd, caplog):
    """Its grouping prints that a bound was not reached; the output of a command is for results."""
    from pyannote.audio.utils import vbx

    def speak(*arguments, **options):
        print("!")
        return vbx.cluster_vbx(*arguments, **options)

    monkeypatch.setattr("pyannote.audio.pipelines.clustering.cluster_vbx", speak)
    caplog.set_level("DEBUG", logger="amphion_data")
    assert heard(stage, voices(8.0, TALK)).turns
    assert capfd.readouterr().out == "" and "pyannote.audio: !" in caplog.text


@pytest.mark.parametrize("seconds", [0, 1 / RATE, 0.01, 0.5, 1.99, 2.0, 2.01])
def test_sound_shorter_than_a_window_of_the_network_has_turns_within_it(stage, seconds):
    wav = voices(2.1, [(0, 2.1, LOW)])[: round(seconds * RATE)]
    turns, overlaps = heard(stage, wav)
    spans = [Span(turn.start, turn.end) for turn in turns] + overlaps
    assert all(0 <= span.start < span.end <= len(wav) for span in spans)


def test_silence_has_no_turns(stage):
    assert heard(stage, np.zeros(5 * RATE, np.float32)) == ([], [])


def test_one_voice_is_one_speaker(stage):
    assert {turn.speaker for turn in heard(stage, voices(8.0, [(1, 4, HIGH), (4.5, 7.5, HIGH)])).turns} == {0}


def test_speakers_of_windows_are_joined_by_the_vectors_of_the_library(networks, tmp_path):
    """One hears only the low voice at the end of the first window; the other is the first of the second one."""
    parts = {part: str(networks / part) for part in ("segmentation", "embedding", "plda")}
    config = changed(COMMUNITY, segmentation_step=0.5, **parts)
    options = {"model": str(write_config(tmp_path / "talk", config)), "window": 60.0, "overlap": 10.0}
    turns = [(1.0, 29.0, HIGH), (30.0, 48.0, LOW), (71.0, 89.0, HIGH), (90.0, 108.0, LOW)]
    found = heard(find_stage("diarise", "pyannote", options), voices(110.0, turns))
    people = [main_speaker(found, start, end) for start, end, _ in turns]
    assert people[0] == people[2] != people[1] == people[3] and {turn.speaker for turn in found.turns} == {0, 1}


def test_vectors_are_read_in_the_order_of_labels_and_only_those_that_are_some():
    from pyannote.audio.pipelines.speaker_diarization import DiarizeOutput
    from pyannote.core import Annotation, Segment

    found = Annotation()
    for k, label in enumerate(["SPEAKER_02", "SPEAKER_00", "SPEAKER_03", "SPEAKER_01"]):
        found[Segment(k, k + 2)] = label
    vectors = np.array([[0.0, 2.0], [np.nan, np.nan], [3.0, 0.0], [0.0, 0.0]])
    _, turns, voices = read_result(DiarizeOutput(found, found, vectors), Span(RATE, 5 * RATE))
    assert {label: vector.tolist() for label, vector in voices.items()} == {"SPEAKER_00": [0, 1], "SPEAKER_02": [1, 0]}
    assert turns[0] == (RATE, 3 * RATE, "SPEAKER_02") and turns[-1] == (4 * RATE, 5 * RATE, "SPEAKER_01")


def test_a_speaker_who_is_never_alone_has_no_vector_in_the_library(stage):
    """Where it has too little to go by it fills the vector with NaN, or with zeros."""
    wav = voices(2.0, [(0, 1.0, LOW), (0, 1.0, HIGH)])
    found = stage.hear(wav)
    vectors = np.asarray(found.speaker_embeddings)
    assert len(vectors) == len(found.speaker_diarization.labels()) > 0
    assert not (np.isfinite(vectors).all(axis=1) & vectors.any(axis=1)).all()
    assert len(read_result(found, Span(0, len(wav))).voices) < len(vectors)


def test_a_damaged_network_is_named(networks, tmp_path):
    shutil.copytree(networks, tmp_path / "talk")
    write_config(tmp_path / "talk", COMMUNITY)
    (tmp_path / "talk" / "embedding" / "pytorch_model.bin").write_bytes(b"no network")
    with pytest.raises(ValueError, match=r"pyannote\.audio 4.* can't read .*talk"):
        find_stage("diarise", "pyannote", {"model": str(tmp_path / "talk")})


@pytest.fixture
def recordings(tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(2):
        turns = [(0.5, 6.5, LOW), (7.5, 13.5, HIGH), (14.5, 20.5, LOW)]
        soundfile.write(tmp_path / "in" / f"{number}.wav", voices(21.0, turns, seed=number), RATE)
    return tmp_path / "in"


def settings(community, **options):
    kinds = {"vad": "energy", "diarise": "pyannote", "score": "none", "format": "flac", "language": "en"}
    return PipeSettings(**kinds, options={"pyannote": {"model": str(community), **options}}, unit=15.0)


def content(out):
    places = [*(out / "shards").iterdir(), *(out / "units").iterdir(), out / "drops.jsonl"]
    return {place.name: place.read_bytes() for place in places}


@pytest.mark.slow
def test_a_run_gives_the_same_bytes_in_one_process_and_in_two(recordings, community, tmp_path):
    report = run_pipe(recordings, tmp_path / "out", settings(community))
    rows = ShardSet.open(tmp_path / "out" / "shards")
    assert len(rows) == report.kept > 0 and report.segments == report.kept + sum(report.drops.values())
    people = {(rows.utterance(k).extra["source"], rows.utterance(k).speaker) for k in range(len(rows))}
    assert len(people) == 4  # two in each
    run_pipe(recordings, tmp_path / "two", settings(community), engine=make_engine("pool", workers=2))
    assert content(tmp_path / "two") == content(tmp_path / "out")
