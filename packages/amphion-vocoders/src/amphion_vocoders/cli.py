"""The command `amphion-vocoders`, also `amphion vocoders`."""

from amphion_core.cli import make_app, run

__all__ = ["app", "main"]

app = make_app("Vocoders: mel spectrograms to waveforms.")


@app.callback()
def _root() -> None:
    """Vocoders: mel spectrograms to waveforms."""


def main() -> None:
    """Entry point of the command."""
    run(app)
