"""Values of packages that carry their own weights, and of PESQ and STOI; `--golden DIR` runs other cases."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from amphion_core import audio
from amphion_eval.analysis import Analysis, PairAnalysis
from amphion_eval.levels import loudness
from amphion_eval.metric import find
from amphion_eval.models import catalogue, quality_catalogue
from amphion_eval.models.clips import at_rate

SPEECHMOS = pytest.mark.extra("mos")
FEW = ("tone_16k", "slt2_16k", "es_us_24k__white20db")  # the network takes half a second of CPU a window


def pytest_generate_tests(metafunc):
    chosen = metafunc.config.getoption("--golden")
    root = Path(chosen) if chosen else Path(__file__).parent / "golden"
    metafunc.parametrize("root", [root], ids=[""])


@cache
def read(root, name):
    return json.loads((root / "eval" / f"{name}.json").read_text(encoding="utf-8"))


@cache
def clip(root, name):
    return audio.load(root / "audio" / f"{name}.flac")


def at_16k(root, name):
    return at_rate(*clip(root, name), 16000)


@pytest.mark.extra("perceptual")
@pytest.mark.slow
@pytest.mark.parametrize("name", ["pesq_wb", "pesq_nb", "stoi", "estoi"])
def test_perceptual_metric_of_each_pair_is_that_of_the_library(root, name):
    for pair in read(root, "values")["pairs"]:
        (ref, rate), (est, _) = clip(root, pair["ref"]), clip(root, pair["test"])
        analysis = PairAnalysis(Analysis(ref, rate), Analysis(est, rate))
        values = pair.get("pesq" if "pesq" in name else "stoi") or {}
        expected = values.get({"pesq_wb": "wb_16k", "pesq_nb": "nb_16k"}.get(name, name))
        value = find(name).of(analysis)
        if expected is not None:
            # another resampler than that of the reference moves PESQ a little
            tolerance = (1e-3 if rate == 16000 else 0.02) if "pesq" in name else 1e-4
            assert value == pytest.approx(expected, abs=tolerance), pair["test"]
        elif "silen" in pair["relation"]:
            assert "silent" in value.reason


def test_loudness_is_that_of_the_standard(root):
    for name, expected in read(root, "model_values")["integrated_loudness_lufs_bs1770"].items():
        value = loudness(*clip(root, name))
        assert value == (-np.inf if expected == "-inf" else pytest.approx(expected, abs=0.05)), name


@pytest.mark.extra("speaker")
@pytest.mark.slow
def test_ge2e_embeddings_and_cosines_are_those_of_resemblyzer(root):
    if not catalogue.SPEAKERS["resemblyzer"].weights[0].present():
        pytest.skip("the file of resemblyzer is absent: pip install --no-deps resemblyzer")
    values = read(root, "model_values")
    rows = values["speaker_cosine_resemblyzer"]
    names = sorted({row[side] for row in rows for side in ("ref", "test")})
    outputs = catalogue.speaker("resemblyzer").load("cpu")([at_16k(root, name) for name in names])
    embeddings = dict(zip(names, outputs, strict=True))
    metric = find("speaker_similarity")
    for row in rows:
        value = metric(embeddings[row["ref"]], embeddings[row["test"]])
        assert value == pytest.approx(row["cosine"], abs=1e-3), row
    for name, first in values["resemblyzer_embedding_first8"].items():
        assert embeddings[name][:8] == pytest.approx(first, abs=1e-4)
    sets = values["speaker_overall_mean_over_all_pairs_of_two_sets"]
    mean = find("speaker_similarity_all_pairs")(*([embeddings[n] for n in sets[side]] for side in ("set_a", "set_b")))
    assert mean == pytest.approx(sets["mean_cosine"], abs=1e-3)


@SPEECHMOS
@pytest.mark.slow
def test_dnsmos_is_that_of_speechmos(root):
    expected = read(root, "model_values")["dnsmos"]
    names = list(FEW) if root == Path(__file__).parent / "golden" else list(expected)
    clips = [at_16k(root, name) for name in names]
    three, one = (quality_catalogue.QUALITY[name].load("cpu")(clips) for name in ("dnsmos-p835", "dnsmos-p808"))
    for name, ratings, rating in zip(names, three, one, strict=True):
        for key, value in {**ratings, **rating}.items():
            assert value == pytest.approx(expected[name][f"{key}_mos"], abs=1e-2), (name, key)


@pytest.mark.extra("vad")
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of torch.jit.load, inside the package
def test_speech_lies_where_silero_finds_it(root):
    from amphion_eval.models.silero import segments_of

    model = __import__("silero_vad").load_silero_vad()
    for name, spans in read(root, "model_values")["silero_vad_default_segments_in_samples_at_16k"].items():
        found = segments_of(at_16k(root, name), model)
        assert len(found) == len(spans), name
        for (start, end), span in zip(found, spans, strict=True):
            assert (start, end) == pytest.approx((span["start"], span["end"]), abs=512), name
