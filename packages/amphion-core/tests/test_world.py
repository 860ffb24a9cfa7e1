"""WORLD: import without setuptools, analysis and synthesis."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from amphion_core.features.world import pyworld, world_analysis, world_synthesis
from amphion_core.testing.sounds import tone

ISOLATED_IMPORT = """
import sys

class NoSetuptools:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("pkg_resources", "setuptools"):
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, NoSetuptools())
try:
    import pyworld
    print("plain import works")
except ModuleNotFoundError:
    for name in [n for n in sys.modules if n.startswith("pyworld")]:
        del sys.modules[name]
from amphion_core.features.world import pyworld
module = pyworld()
assert module.__version__, "version is known"
assert "pkg_resources" not in sys.modules, "stand-in is gone"
assert pyworld() is module
assert "torch" not in sys.modules
print("imported")
"""


def test_pyworld_is_imported_without_setuptools_and_leaves_no_stand_in() -> None:
    done = subprocess.run([sys.executable, "-c", ISOLATED_IMPORT], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "imported"


def test_a_pkg_resources_that_is_there_stays() -> None:
    code = (
        "import sys, types; own = types.ModuleType('pkg_resources');"
        "own.get_distribution = lambda name: types.SimpleNamespace(version='1');"
        "sys.modules['pkg_resources'] = own;"
        "from amphion_core.features.world import pyworld; pyworld();"
        "assert sys.modules['pkg_resources'] is own"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_module_is_that_of_pyworld() -> None:
    assert pyworld().__name__ == "pyworld"


def test_analysis_shapes_agree() -> None:
    f0, envelope, aperiodicity = world_analysis(tone(150, 16000), 16000)
    assert f0.shape == (101,)
    assert envelope.shape == aperiodicity.shape == (101, 513)
    assert (envelope > 0).all()
    assert ((aperiodicity >= 0) & (aperiodicity <= 1)).all()


def test_synthesis_of_an_analysis_has_the_pitch_of_the_voice() -> None:
    wav = tone(150, 16000)
    copy = world_synthesis(*world_analysis(wav, 16000), 16000)
    again = world_analysis(copy, 16000).f0
    assert np.median(again[20:80]) == pytest.approx(150, rel=0.005)
    assert len(copy) == pytest.approx(len(wav), abs=80)


def test_given_contour_steers_the_envelope() -> None:
    wav = tone(150, 16000)
    contour = np.full(101, 150.0)
    np.testing.assert_array_equal(world_analysis(wav, 16000, f0=contour).f0, contour)


def test_shapes_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ValueError, match=r"f0 \(4,\), envelope \(5, 513\)"):
        world_synthesis(np.zeros(4), np.ones((5, 513)), np.ones((5, 513)), 16000)


def test_unknown_method_is_refused() -> None:
    with pytest.raises(ValueError, match="'dio' or 'harvest', got 'yin'"):
        world_analysis(np.zeros(1600), 16000, method="yin")


def test_transform_too_small_for_low_voices_is_refused() -> None:
    with pytest.raises(ValueError, match="n_fft 512 serves no F0 below 94 Hz"):
        world_analysis(tone(150, 16000), 16000, n_fft=512)
