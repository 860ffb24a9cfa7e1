"""The command `amphion-svc`, also `amphion svc`."""

from amphion_core.cli import make_app, run

__all__ = ["app", "main"]

app = make_app("Singing voice, voice and accent conversion.")


@app.callback()
def _root() -> None:
    """Singing voice, voice and accent conversion."""


def main() -> None:
    """Entry point of the command."""
    run(app)
