"""The command `amphion-data`, also `amphion data`."""

from amphion_core.cli import make_app, run

__all__ = ["app", "main"]

app = make_app("Corpora, shards and speech in the wild.")


@app.callback()
def _root() -> None:
    """Corpora, shards and speech in the wild."""


def main() -> None:
    """Entry point of the command."""
    run(app)
