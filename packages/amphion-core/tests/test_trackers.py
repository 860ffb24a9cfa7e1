"""F0 trackers behind extras; each test runs where its package is installed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from amphion_core.extras import MissingExtraError
from amphion_core.features.pitch import cents, f0
from amphion_core.features.trackers import crepe_f0, crepe_periodicity, fcpe_f0, praat_f0
from amphion_core.testing.sounds import glide, tone

GOLDEN = Path(__file__).parent / "golden" / "features"


@pytest.mark.parametrize(
    ("track", "module", "extra"),
    [
        (praat_f0, "parselmouth", "praat"),
        (crepe_f0, "torchcrepe", "crepe"),
        (fcpe_f0, "torchfcpe", "fcpe"),
    ],
)
def test_missing_package_names_its_extra(track, module, extra, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"pip install 'amphion-core\[{extra}\]'"):
        track(tone(150, 16000), 16000, hop_length=160)


@pytest.mark.parametrize("clip", ["slt_16k", "sing_f3_24k"])
def test_unshifted_praat_contour_equals_that_of_old_checkpoints(clip: str) -> None:
    pytest.importorskip("parselmouth")
    arrays = load_file(GOLDEN / f"{clip}.safetensors")
    for recipe in ("base_24k", "svc_24k"):
        hop = json.loads((GOLDEN / f"{clip}.json").read_text())["recipes"][recipe]["hop_size"]
        contour = praat_f0(arrays[f"{recipe}.audio"], 24000, hop_length=hop, compat=True)
        np.testing.assert_allclose(contour, arrays[f"{recipe}.f0_parselmouth"], rtol=1e-4)


def test_praat_contour_lies_on_the_grid_of_the_others() -> None:
    pytest.importorskip("parselmouth")
    wav = glide(100, 200, 16000, 1.0)
    contour = f0(wav, 16000, hop_length=160, method="praat")
    assert len(contour) == 101
    assert contour[50] == pytest.approx(100 * 2**0.5, rel=0.01)
    assert not contour[0]
    assert not contour[-1]


def test_clip_shorter_than_praats_window_is_unvoiced() -> None:
    pytest.importorskip("parselmouth")
    assert praat_f0(tone(150, 16000, 0.06), 16000, hop_length=160).tolist() == [0.0] * 7


@pytest.mark.slow
@pytest.mark.parametrize("hop_length", [160, 256])
def test_crepe_finds_the_pitch_on_any_hop(hop_length: int) -> None:
    pytest.importorskip("torchcrepe")
    wav = tone(220, 24000, 0.4)
    contour = crepe_periodicity(wav, 24000, hop_length=hop_length, model="tiny")
    assert len(contour.f0) == len(wav) // hop_length + 1
    assert np.abs(cents(contour.f0[5:-5], 220)).max() < 40  # the tiny network's error on synthetic tones
    assert contour.periodicity[5:-5].min() > 0.5


@pytest.mark.slow
def test_crepe_leaves_silence_unvoiced() -> None:
    pytest.importorskip("torchcrepe")
    assert not crepe_f0(np.zeros(4000), 16000, hop_length=160, model="tiny").any()


@pytest.mark.slow
def test_fcpe_finds_the_pitch() -> None:
    pytest.importorskip("torchfcpe")
    wav = glide(200, 300, 24000, 0.6)
    contour = f0(wav, 24000, hop_length=240, method="fcpe")
    assert len(contour) == 61
    assert contour[30] == pytest.approx(200 * 1.5**0.5, rel=0.02)
