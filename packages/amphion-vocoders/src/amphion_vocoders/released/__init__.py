"""Checkpoints of other code bases: their configurations and keys to ours.

The functions from foreign to own are pure; `load_*` apply them to files. What is read: folders and files of the
toolkit (accelerate folders with args.json, older single files) and of the original code bases. One module a family.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
