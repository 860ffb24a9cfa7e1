"""Tests that need an extra of their package: skipped where it is absent, run alone by the pytest option `--extra NAME`.

A package's `tests/conftest.py` makes one `ExtraMarks` and calls its methods in the hooks of the same names; a test says
`@pytest.mark.extra("NAME")`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

__all__ = ["ExtraMarks"]


class ExtraMarks:
    """The extras of a package and the tests that need them.

    Args:
        folder: of the tests; those of other packages in the same run are left alone.
        modules: that each extra brings.
        beside: names of files without marks whose tests run with those of an extra: what it stands on.
    """

    def __init__(
        self, folder: Path, modules: Mapping[str, Collection[str]], beside: Mapping[str, Collection[str]] | None = None
    ) -> None:
        self.folder, self.modules, self.beside = folder, modules, beside or {}

    def pytest_addoption(self, parser: pytest.Parser) -> None:
        """Add `--extra`."""
        with contextlib.suppress(ValueError):  # another package's tests run in the same process and have it too
            parser.addoption("--extra", help="only the tests of this extra, none of them skipped for it")

    def pytest_configure(self, config: pytest.Config) -> None:
        """Name the mark.

        Raises:
            pytest.UsageError: `--extra` names none of the package.
        """
        import pytest

        config.addinivalue_line("markers", "extra(name): needs that extra of the package; skipped without it")
        chosen = config.getoption("--extra")
        if chosen and chosen not in self.modules:
            raise pytest.UsageError(f"no extra named {chosen!r}; there are {', '.join(self.modules)}")

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Skip tests whose extra is absent; with `--extra`, leave only its tests."""
        import pytest

        chosen = config.getoption("--extra")
        own = [item for item in items if self.folder in item.path.parents]
        named = {item: mark.args[0] for item in own if (mark := item.get_closest_marker("extra"))}
        for item, extra in named.items():
            missing = [name for name in self.modules[extra] if find_spec(name) is None]
            if missing and extra != chosen:
                item.add_marker(pytest.mark.skip(reason=f"the extra {extra} is absent: {', '.join(missing)}"))
        if chosen:
            beside = self.beside.get(chosen, ())
            kept = {item for item in own if named.get(item) == chosen or item.path.name in beside}
            config.hook.pytest_deselected(items=[item for item in items if item not in kept])
            items[:] = [item for item in items if item in kept]
