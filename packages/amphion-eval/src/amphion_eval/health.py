"""Which metrics and trackers work in this environment, and what brings the rest."""

from __future__ import annotations

from importlib.util import find_spec

from amphion_eval.metric import available, find
from amphion_eval.settings import TRACKERS

__all__ = ["missing_of_metrics", "missing_of_trackers"]

_TRACKER_NEEDS = {"praat": ("parselmouth", "amphion-core[praat]"), "crepe": ("torchcrepe", "amphion-core[crepe]")}


def missing_of_metrics() -> dict[str, str]:
    """Each installed metric and how to install what it lacks, empty where it works."""
    missing: dict[str, str] = {}
    for name in available():
        try:
            needs = find(name).requires
        except ImportError as error:  # a stranger's metric whose own package is broken
            missing[name] = str(error)
            continue
        missing[name] = ", ".join(f"pip install '{extra}'" for module, extra in needs if find_spec(module) is None)
    return missing


def missing_of_trackers() -> dict[str, str]:
    """Each pitch tracker and how to install what it lacks, empty where it works."""
    found: dict[str, str] = {}
    for name in TRACKERS:
        module, extra = _TRACKER_NEEDS.get(name, ("", ""))
        found[name] = f"pip install '{extra}'" if module and find_spec(module) is None else ""
    return found
