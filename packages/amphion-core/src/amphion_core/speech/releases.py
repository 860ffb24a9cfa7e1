"""Where the weights of these networks are; importing this loads none of them."""

from __future__ import annotations

from amphion_core.weights import Weights

__all__ = ["DNSMOS_P835", "DNSMOS_P835_PERSONALIZED", "GE2E"]

_SPEECHMOS = "pip install --no-deps speechmos (only its files are read)"
DNSMOS_P835 = Weights(
    "speechmos",
    "dnsmos_models/sig_bak_ovr.onnx",
    package="speechmos",
    licence="MIT",
    install=_SPEECHMOS,
    sha256="269fbebdb513aa23cddfbb593542ecc540284a91849ac50516870e1ac78f6edd",
)
DNSMOS_P835_PERSONALIZED = Weights(
    "speechmos-personalized",
    "pdnsmos_models/sig_bak_ovr.onnx",
    package="speechmos",
    licence="MIT",
    install=_SPEECHMOS,
    sha256="9e3a197449ca2177f0997afec3bd6b890117ce2f17b89d6eea7fa0d47272c81c",
)
GE2E = Weights(
    "resemblyzer",
    "pretrained.pt",
    package="resemblyzer",
    sha256="39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e",
    url="https://pypi.org/project/Resemblyzer",
    licence="Apache-2.0",
    install="pip install --no-deps resemblyzer (only its file is read)",
)
