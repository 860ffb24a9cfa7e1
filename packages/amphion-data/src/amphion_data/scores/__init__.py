"""Scores and phone labels: MIDI, TextGrid, LAB, MusicXML and note columns, as typed values in seconds."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
