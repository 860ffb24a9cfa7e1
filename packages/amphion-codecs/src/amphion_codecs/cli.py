"""The command `amphion-codecs`, also `amphion codecs`."""

from amphion_core.cli import make_app, run

__all__ = ["app", "main"]

app = make_app("Neural audio codecs.")


@app.callback()
def _root() -> None:
    """Neural audio codecs."""


def main() -> None:
    """Entry point of the command."""
    run(app)
