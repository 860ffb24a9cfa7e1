"""Where work is done: in this process, in a pool of processes, on a Ray cluster; the same results on each."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
