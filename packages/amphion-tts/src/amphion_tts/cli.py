"""The command `amphion-tts`, also `amphion tts`."""

from amphion_core.cli import make_app, run

__all__ = ["app", "main"]

app = make_app("Text to speech.")


@app.callback()
def _root() -> None:
    """Text to speech."""


def main() -> None:
    """Entry point of the command."""
    run(app)
