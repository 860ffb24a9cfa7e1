"""From recordings in the wild to training data: standardise, separate, diarise, segment, transcribe, score, filter.

Source: He et al., "Emilia: An Extensive, Multilingual, and Diverse Speech Dataset for Large-Scale Speech Generation",
2024, arXiv:2407.05361.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
