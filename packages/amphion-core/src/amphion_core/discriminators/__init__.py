"""Discriminators of waveforms: each gives a list of verdicts, one of each sub-discriminator."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
