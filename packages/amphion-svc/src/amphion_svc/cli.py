"""The command `amphion-svc`, also `amphion svc`."""

from __future__ import annotations

import logging

from amphion_core import registry
from amphion_core.cli import make_app, run

__all__ = ["app", "main"]

log = logging.getLogger(__name__)

app = make_app("From waveform to waveform: singing voice, voice and accent conversion.")


@app.callback()
def _root() -> None:
    """From waveform to waveform: singing voice, voice and accent conversion."""


@app.command("list")
def list_models() -> None:
    """List the installed models, one a line.

    Example:
      amphion-svc list
    """
    known = registry.names("models")
    for name in known:
        print(name)
    if not known:
        log.info("no models are installed; this version of amphion-svc brings none yet")


def main() -> None:
    """Entry point of the command."""
    run(app)
