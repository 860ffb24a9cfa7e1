"""Networks about speech: windows, batches, partial utterances."""

import numpy as np
import pytest

from amphion_core.speech.dnsmos import WINDOW, windows
from amphion_core.speech.releases import GE2E


def noise(seconds, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, round(16000 * seconds)).astype(np.float32)


def test_a_clip_without_samples_is_refused_and_not_repeated_for_ever():
    with pytest.raises(ValueError, match="the clip has none"):
        next(windows(np.zeros(0, np.float32)))


def test_one_sample_is_repeated_to_a_window():
    assert next(windows(np.ones(1, np.float32))).size == WINDOW


def test_importing_the_places_of_weights_loads_no_network():
    import subprocess
    import sys

    code = "import sys, amphion_core.speech.releases; print('torch' in sys.modules or 'onnxruntime' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


def test_embedding_of_speech_has_length_one_and_none_without_samples():
    torch = pytest.importorskip("torch")
    from amphion_core.speech.ge2e import SpeakerEncoder, embed

    torch.manual_seed(0)
    first, none = embed(SpeakerEncoder(dim=8, num_layers=1).eval(), [noise(2.0), np.zeros(0, np.float32)])
    assert none is None and np.linalg.norm(first) == pytest.approx(1.0, abs=1e-5)
    assert GE2E.name == "resemblyzer"
