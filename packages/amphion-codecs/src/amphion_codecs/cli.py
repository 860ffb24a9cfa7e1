"""The command `amphion-codecs`, also `amphion codecs`."""

from __future__ import annotations

import logging

from amphion_core import registry
from amphion_core.cli import make_app, run

__all__ = ["app", "main"]

log = logging.getLogger(__name__)

app = make_app("Neural audio codecs: waveforms to discrete codes and back.")


@app.callback()
def _root() -> None:
    """Neural audio codecs: waveforms to discrete codes and back."""


@app.command("list")
def list_models() -> None:
    """List the installed codecs, one a line.

    Example:
      amphion-codecs list
    """
    known = registry.names("codecs")
    for name in known:
        print(name)
    if not known:
        log.info("no codecs are installed; this version of amphion-codecs brings none yet")


def main() -> None:
    """Entry point of the command."""
    run(app)
