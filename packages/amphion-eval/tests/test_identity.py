from functools import partial

import numpy as np

from amphion_eval.identity import code_of, libraries, versions
from amphion_eval.pitch import f0_rmse_hz
from amphion_eval.spectral import mstft


def test_function_of_a_module_has_a_name_and_a_mark():
    assert code_of(f0_rmse_hz).startswith("amphion_eval.pitch:f0_rmse_hz:")
    assert code_of(f0_rmse_hz) != code_of(mstft)


def test_values_bound_to_a_function_are_part_of_it():
    assert code_of(partial(mstft, resolutions=1)) != code_of(partial(mstft, resolutions=2))


def test_function_that_is_made_on_the_way_has_none():
    assert code_of(lambda a, b: 0.0) is None and code_of(partial(lambda: 0)) is None


def test_versions_go_by_the_name_of_the_distribution():
    assert versions(["numpy.fft", "amphion_core.audio", "yaml", "nothing_of_the_kind"]).keys() == {
        "PyYAML",
        "amphion-core",
        "numpy",
    }
    assert f"numpy {np.__version__}" in libraries()
