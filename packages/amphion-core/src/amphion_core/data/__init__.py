"""Shards and what reads them: written whole or not at all, indexed, batched, mixed, resumed exactly."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
