"""Losses that several kinds of model share: functions and modules from tensors to one scalar tensor."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
