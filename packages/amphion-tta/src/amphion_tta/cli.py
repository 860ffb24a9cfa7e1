"""The command `amphion-tta`, also `amphion tta`."""

from __future__ import annotations

import logging

from amphion_core import registry
from amphion_core.cli import make_app, run

__all__ = ["app", "main"]

log = logging.getLogger(__name__)

app = make_app("From a description to audio and music.")


@app.callback()
def _root() -> None:
    """From a description to audio and music."""


@app.command("list")
def list_models() -> None:
    """List the installed models, one a line.

    Example:
      amphion-tta list
    """
    known = registry.names("models")
    for name in known:
        print(name)
    if not known:
        log.info("no models are installed; this version of amphion-tta brings none yet")


def main() -> None:
    """Entry point of the command."""
    run(app)
