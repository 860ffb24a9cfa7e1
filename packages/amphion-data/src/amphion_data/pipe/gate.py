"""Which stretches need no separation: those whose background DNSMOS finds quiet enough.

Source: Reddy et al., "DNSMOS P.835", 2022, arXiv:2110.01763; only its rating of the background is asked.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from amphion_core.speech.releases import DNSMOS_P835
from amphion_data.pipe.spans import RATE

__all__ = ["CleanGate"]

Wav = NDArray[np.float32]


class CleanGate:
    """Says of a stretch whether its background is clean.

    Args:
        bound: rating from which it is, 1 to 5.
        device: of the network.
    """

    def __init__(self, bound: float, device: str) -> None:
        """Load the network.

        Raises:
            MissingExtraError: onnxruntime is not installed.
            FileNotFoundError: the package speechmos is not installed.
        """
        from amphion_core.speech.dnsmos import P835

        self.bound = bound
        self._rate = P835(DNSMOS_P835.locate(), device, batch=8, extra="amphion-data[mos]")
        self.identity = f"unless clean {bound:g} ({DNSMOS_P835.hash()})"

    def __call__(self, wav: Wav, sample_rate: int) -> bool:
        """Whether the background is clean.

        Args:
            wav: (C, T), not empty.
            sample_rate: Hz.
        """
        from amphion_core.audio import resample

        mono = resample(wav.mean(axis=0, dtype=np.float32), sample_rate, RATE)
        return bool(mono.size) and float(self._rate([mono])[0, 1]) >= self.bound
