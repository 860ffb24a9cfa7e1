"""The command `amphion-eval`, also `amphion eval`."""

from amphion_core.cli import make_app, run

__all__ = ["app", "main"]

app = make_app("Objective metrics of speech, singing and audio.")


@app.callback()
def _root() -> None:
    """Objective metrics of speech, singing and audio."""


def main() -> None:
    """Entry point of the command."""
    run(app)
