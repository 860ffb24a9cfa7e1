"""The slim core of Amphion: audio, configs, registry, shards, features, training and the contracts."""

import lazy_loader

from .__about__ import __version__ as __version__

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
