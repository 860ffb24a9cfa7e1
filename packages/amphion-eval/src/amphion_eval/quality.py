"""Ratings of speech without a matching reference: what of a network's output is which metric.

Each function takes the mapping that a network of `amphion_eval.models.quality_catalogue` gave for a clip.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = [
    "audiobox_ce",
    "audiobox_cu",
    "audiobox_pc",
    "audiobox_pq",
    "dnsmos_bak",
    "dnsmos_ovrl",
    "dnsmos_p808",
    "dnsmos_personalized_bak",
    "dnsmos_personalized_ovrl",
    "dnsmos_personalized_sig",
    "dnsmos_sig",
    "nisqa_coloration",
    "nisqa_discontinuity",
    "nisqa_loudness",
    "nisqa_mos",
    "nisqa_noisiness",
    "singmos",
    "speech_share",
    "squim_mos",
    "squim_pesq",
    "squim_si_sdr",
    "squim_stoi",
    "utmos",
    "utmosv2",
]

Rating = Mapping[str, float]


def dnsmos_sig(output: Rating) -> float:
    """Quality of the voice itself, as listeners of P.835 would rate it: about 1 to 5, higher is better."""
    return float(output["sig"])


def dnsmos_bak(output: Rating) -> float:
    """How little the background disturbs, as listeners of P.835 would rate it: about 1 to 5, higher is better."""
    return float(output["bak"])


def dnsmos_ovrl(output: Rating) -> float:
    """Quality of all that is heard, as listeners of P.835 would rate it: about 1 to 5, higher is better."""
    return float(output["ovrl"])


def dnsmos_p808(output: Rating) -> float:
    """Quality, as listeners of P.808 would rate it with one number: about 1 to 5, higher is better."""
    return float(output["p808"])


def dnsmos_personalized_sig(output: Rating) -> float:
    """As `dnsmos_sig`, where other voices than the main one count as noise."""
    return float(output["sig"])


def dnsmos_personalized_bak(output: Rating) -> float:
    """As `dnsmos_bak`, where other voices than the main one count as noise."""
    return float(output["bak"])


def dnsmos_personalized_ovrl(output: Rating) -> float:
    """As `dnsmos_ovrl`, where other voices than the main one count as noise."""
    return float(output["ovrl"])


def utmos(output: Rating) -> float:
    """Naturalness, as listeners of synthetic speech would rate it: about 1 to 5, higher is better."""
    return float(output["utmos"])


def utmosv2(output: Rating) -> float:
    """Naturalness, as listeners who compare good synthesis would rate it: about 1 to 5, higher is better."""
    return float(output["utmosv2"])


def nisqa_mos(output: Rating) -> float:
    """Quality of speech that went through a call, as listeners would rate it: about 1 to 5, higher is better."""
    return float(output["mos"])


def nisqa_noisiness(output: Rating) -> float:
    """How free of noise listeners would find it, in the background and on the voice: about 1 to 5, higher is better."""
    return float(output["noisiness"])


def nisqa_discontinuity(output: Rating) -> float:
    """How free of gaps and jumps listeners would find it: about 1 to 5, higher is better."""
    return float(output["discontinuity"])


def nisqa_coloration(output: Rating) -> float:
    """How natural listeners would find the sound of the voice, not muffled nor thin: about 1 to 5, higher is better."""
    return float(output["coloration"])


def nisqa_loudness(output: Rating) -> float:
    """How well listeners would find the level chosen, neither soft nor loud: about 1 to 5, higher is better."""
    return float(output["loudness"])


def audiobox_ce(output: Rating) -> float:
    """Content enjoyment, how much listeners would like to hear it: about 1 to 10, higher is better."""
    return float(output["CE"])


def audiobox_cu(output: Rating) -> float:
    """Content usefulness, how well it would serve as source material: about 1 to 10, higher is better."""
    return float(output["CU"])


def audiobox_pc(output: Rating) -> float:
    """Production complexity, how much sounds together: about 1 to 10, descriptive; 1 to 2 for one clean voice."""
    return float(output["PC"])


def audiobox_pq(output: Rating) -> float:
    """Production quality, how clean and well made the recording would be found: about 1 to 10, higher is better."""
    return float(output["PQ"])


def singmos(output: Rating) -> float:
    """Quality of singing, as listeners of synthetic singing would rate it: about 1 to 5, higher is better."""
    return float(output["singmos"])


def squim_stoi(output: Rating) -> float:
    """STOI as a network guesses it without the reference: 0 to 1, higher is better."""
    return float(output["stoi"])


def squim_pesq(output: Rating) -> float:
    """Wide-band PESQ as a network guesses it without the reference: about 1 to 4.64, higher is better."""
    return float(output["pesq"])


def squim_si_sdr(output: Rating) -> float:
    """SI-SDR as a network guesses it without the reference: dB, higher is better."""
    return float(output["si_sdr"])


def squim_mos(output: Rating) -> float:
    """Mean opinion score as a network guesses it beside any clean recording: 1 to 5, higher is better."""
    return float(output["mos"])


def speech_share(output: Rating) -> float:
    """Share of the clip in which somebody speaks: 0 to 1, descriptive; 0 for silence and for music."""
    return float(output["speech_share"])
