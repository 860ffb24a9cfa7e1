"""The command `amphion-tta`, also `amphion tta`."""

from amphion_core.cli import make_app, run

__all__ = ["app", "main"]

app = make_app("Text to audio and music.")


@app.callback()
def _root() -> None:
    """Text to audio and music."""


def main() -> None:
    """Entry point of the command."""
    run(app)
