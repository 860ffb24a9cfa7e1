"""Tools for tests of packages that stand on this core: golden cases, conformance of plug-ins, provoked failures."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
