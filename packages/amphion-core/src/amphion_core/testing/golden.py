"""Golden cases: folders of numbers computed by the original implementations, and the pytest option that picks them.

A package's `tests/conftest.py` imports the two hooks; a test that takes the argument `golden_case` then runs once for
every case folder below `--golden DIR` (default: the folder `golden` beside the test).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest
    from torch import Tensor

__all__ = ["Case", "pytest_addoption", "pytest_generate_tests"]


@dataclass(frozen=True)
class Case:
    """One golden case.

    Attributes:
        folder: where case.json, io.safetensors, weights.safetensors and full*.json lie.
    """

    folder: Path

    @cached_property
    def spec(self) -> dict[str, Any]:
        """The content of case.json."""
        values: dict[str, Any] = json.loads((self.folder / "case.json").read_text(encoding="utf-8"))
        return values

    @property
    def model(self) -> str:
        """What the case is about; adapters are chosen by it."""
        return str(self.spec["model"])

    @property
    def config(self) -> dict[str, Any]:
        """Configuration of the original."""
        values: dict[str, Any] = self.spec.get("config", {})
        return values

    @cached_property
    def _io(self) -> dict[str, Tensor]:
        import safetensors.torch

        return dict(safetensors.torch.load_file(self.folder / "io.safetensors"))

    @property
    def inputs(self) -> dict[str, Tensor]:
        """Inputs by name, without the prefix `in.`."""
        return {name.removeprefix("in."): t for name, t in self._io.items() if name.startswith("in.")}

    @property
    def outputs(self) -> dict[str, Tensor]:
        """Expected outputs and intermediates by name, without the prefix `out.`."""
        return {name.removeprefix("out."): t for name, t in self._io.items() if not name.startswith("in.")}

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        """Weights under the key names of the released checkpoints."""
        import safetensors.torch

        return dict(safetensors.torch.load_file(self.folder / "weights.safetensors"))

    def full(self) -> dict[str, dict[str, Any]]:
        """The key lists of the released sizes: file name without extension to content."""
        return {p.stem: json.loads(p.read_text(encoding="utf-8")) for p in sorted(self.folder.glob("full*.json"))}

    def check(self, name: str, actual: Tensor) -> None:
        """Compare with the expected output of that name, within the tolerance of the case.

        Raises:
            AssertionError: another shape or other numbers; says by how much.
        """
        import torch

        tolerance = self.spec.get("tolerance", {"atol": 1e-4, "rtol": 1e-4})
        torch.testing.assert_close(
            actual.detach().cpu(),
            self.outputs[name],
            atol=tolerance["atol"],
            rtol=tolerance["rtol"],
            check_dtype=False,
            msg=lambda text: f"{self.folder.name}: {name}: {text}",
        )


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--golden DIR`, once however many packages' tests are run together."""
    if not any("--golden" in option.names() for option in _options(parser)):
        parser.addoption(
            "--golden", default=None, help="folder whose case folders are run (default: golden beside the test)"
        )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that takes `golden_case` once for each case folder."""
    if "golden_case" not in metafunc.fixturenames:
        return
    chosen = metafunc.config.getoption("--golden")
    root = Path(chosen) if chosen else Path(str(metafunc.definition.path)).parent / "golden"
    folders = sorted(file.parent for file in root.rglob("case.json"))
    if not folders and not any(root.rglob("*.safetensors")):
        raise FileNotFoundError(f"no golden numbers below {root}")
    metafunc.parametrize("golden_case", [Case(f) for f in folders], ids=[f.name for f in folders])


def _options(parser: pytest.Parser) -> list[Any]:
    return [option for group in [parser._anonymous, *parser._groups] for option in group.options]
