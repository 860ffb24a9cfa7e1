"""Acoustic and semantic features: one configuration, the same numbers offline, in training and at inference."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
