"""Protocols by name: the metrics, alignment and networks that papers of one field report, so that figures compare."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Any

from amphion_eval.health import missing_of_trackers
from amphion_eval.metric import Metric, resolve
from amphion_eval.normalization import language_code
from amphion_eval.report import Report
from amphion_eval.settings import Settings

__all__ = ["PROTOCOLS", "Choice", "Protocol", "choose", "find_protocol", "lacking", "recorded"]


@dataclass(frozen=True)
class Protocol:
    """What one field reports.

    Attributes:
        name: as `--protocol` asks for it.
        title: what is measured.
        metrics: names.
        settings: fields of `Settings` that differ from the usual ones.
        by_language: further fields for a language.
        needs: what each item must bring beside the output.
        source: papers whose tables look so.
        note: what to know before quoting the figures.
    """

    name: str
    title: str
    metrics: tuple[str, ...]
    needs: str
    source: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    by_language: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    note: str = ""

    def settings_of(self, language: str | None) -> dict[str, Any]:
        """Fields of `Settings`, for texts of a language.

        Args:
            language: two letters; None is English, where it matters.
        """
        return {**self.settings, **self.by_language.get(language_code(language) or "en", {})}

    def changed(self, metrics: str | None) -> tuple[str, ...]:
        """The metrics with those that a user asks for.

        Args:
            metrics: names with commas between. `+NAME` adds one and `-NAME` takes one out; plain names replace all.

        Raises:
            LookupError: what is to be taken out is not in the protocol.
            ValueError: plain names beside added ones, or nothing left.
        """
        asked = [part.strip() for part in (metrics or "").split(",") if part.strip()]
        plain = [part for part in asked if part[0] not in "+-"]
        if plain and len(plain) < len(asked):
            raise ValueError(f"{metrics!r} mixes names that replace the protocol with names that change it (+, -)")
        out = [part[1:] for part in asked if part[0] == "-"]
        unknown = [name for name in out if name not in self.metrics]
        if unknown:
            raise LookupError(
                f"{self.name} has no {', '.join(unknown)} to take out; its metrics: {', '.join(self.metrics)}"
            )
        chosen = plain or [name for name in self.metrics if name not in out]
        chosen += [part[1:] for part in asked if part[0] == "+"]
        if not chosen:
            raise ValueError(f"{metrics!r} leaves nothing of the protocol {self.name}")
        return tuple(dict.fromkeys(chosen))


_WAVLM = "wavlm-large-ecapa-untrimmed"

PROTOCOLS: Mapping[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "vocoder",
            "copy synthesis by a vocoder",
            ("pesq_wb", "mstft", "mcd", "periodicity_rmse", "vuv_f1", "f0_rmse_cents", "utmos"),
            "the recording, sample by sample as long",
            "Lee et al., BigVGAN, 2022, arXiv:2206.04658 (M-STFT, PESQ, MCD, periodicity, V/UV F1); Siuzdak, Vocos, "
            "2023, arXiv:2306.00814 (UTMOS, PESQ, V/UV F1, periodicity)",
            {"align": "cut"},
            note="those papers warp for MCD and take voicing from CREPE; here frames are cut, voicing is the tracker's",
        ),
        Protocol(
            "codec",
            "coding and decoding",
            ("pesq_wb", "stoi", "estoi", "si_sdr", "mstft", "speaker_similarity", "wer", "utmos"),
            "the recording and its text",
            "Kumar et al., Descript Audio Codec, 2023, arXiv:2306.06546 (STFT distance, SI-SDR); Zhang et al., "
            "SpeechTokenizer, 2023, arXiv:2308.16692 (WER, similarity); Wu et al., Codec-SUPERB, 2024, "
            "arXiv:2402.13071 (PESQ, STOI, speaker similarity, WER)",
            {"align": "cut", "asr": "whisper-large-v3", "speaker_model": _WAVLM},
            note="a codec that delays its output needs --max-delay for the metrics of waveforms",
        ),
        Protocol(
            "tts",
            "reading of texts in a known voice, against recordings of the same texts",
            ("mcd", "f0_rmse_cents", "f0_pearson_cents", "vuv_error", "duration_ratio", "wer", "cer", "utmos"),
            "a recording of the same text, and the text",
            "Hayashi et al., ESPnet-TTS, 2019, arXiv:1910.10909 and ESPnet2-TTS, 2021, arXiv:2110.07840 (MCD and F0 "
            "RMSE after dynamic time warping, CER)",
            {"align": "dtw", "asr": "whisper-large-v3"},
            note="MCD and F0 along the path of the mel-cepstra; F0 in cents instead of log Hz",
        ),
        Protocol(
            "zero-shot-tts",
            "reading of texts in the voice of a prompt",
            ("wer", "sim_o", "sim_r", "utmos"),
            "the text, the prompt, and for sim_r the prompt after the codec",
            "Wang et al., VALL-E, 2023, arXiv:2301.02111; Le et al., Voicebox, 2023, arXiv:2306.15687 (WER by "
            "HuBERT-large, SIM-o and SIM-r by WavLM-large)",
            {"asr": "hubert-large-ls960-ft", "speaker_model": _WAVLM},
        ),
        Protocol(
            "seed-tts-eval",
            "reading of the texts of Seed-TTS-eval in the voices of its prompts",
            ("wer", "sim_o"),
            "the text and the prompt",
            "Anastassiou et al., Seed-TTS, 2024, arXiv:2406.02430",
            {"speaker_model": _WAVLM, "normalizer": "basic"},
            {"en": {"asr": "whisper-large-v3"}, "zh": {"asr": "paraformer-zh"}},
            note="Chinese is recognised by Paraformer-zh, which is no transformers network: bring its transcripts in "
            "the column transcript; for Chinese the figure to quote is wer, which counts letters there",
        ),
        Protocol(
            "vc",
            "conversion to another voice",
            ("speaker_similarity", "wer", "cer", "f0_pearson_cents", "utmos", "dnsmos_ovrl"),
            "a recording of the target voice or of the source speech, and the text",
            "Yi et al., Voice Conversion Challenge 2020, arXiv:2008.12527 (similarity, WER, predicted MOS); Zhang "
            "et al., Vevo, 2025, arXiv:2502.07243 (WER, similarity, F0 Pearson)",
            {"align": "dtw", "asr": "whisper-large-v3", "speaker_model": _WAVLM},
            note="one run has one reference: similarity wants the target voice there, F0 the source speech",
        ),
        Protocol(
            "svc",
            "conversion of singing to another voice",
            (
                "f0_pearson_cents",
                "f0_rmse_cents",
                "f0_rmse_cents_median_removed",
                "mcd",
                "cer",
                "speaker_similarity",
                "singing_power_ratio_difference",
            ),
            "the same song by the target singer, or the source where the song is to stay",
            "Zhang et al., Leveraging diverse semantic-based audio pretrained models for singing voice conversion, "
            "2023, arXiv:2310.11160 (MCD, F0 Pearson and RMSE, CER, similarity); Huang et al., Singing Voice "
            "Conversion Challenge 2023, arXiv:2306.14422",
            {"align": "cut", "asr": "whisper-large-v3", "speaker_model": "resemblyzer"},
            note="no tracker of one pitch means anything on a song with accompaniment",
        ),
        Protocol(
            "tta",
            "sounds or music from descriptions",
            ("fad", "fd", "kl", "inception_score", "clap_score"),
            "a set of recordings, and the caption of each item",
            "Liu et al., AudioLDM, 2023, arXiv:2301.12503 (FD, IS, KL, FAD); Kreuk et al., AudioGen, 2022, "
            "arXiv:2209.15352 (FAD, KL)",
            {"fad_model": "vggish", "fd_model": "panns-cnn14-16k", "clap_model": "laion/clap-htsat-unfused"},
            note="figures of sets with fewer clips than embeddings have dimensions are biased upwards",
        ),
    )
}
"""By the names that `--protocol` takes."""


@dataclass(frozen=True)
class Choice:
    """What of the asked metrics is computed.

    Attributes:
        metrics: these.
        left_out: the others, with what they lack.
    """

    metrics: tuple[Metric, ...]
    left_out: Mapping[str, str]


def find_protocol(name: str) -> Protocol:
    """A protocol by name.

    Raises:
        LookupError: there is none of this name.
    """
    if name not in PROTOCOLS:
        raise LookupError(f"no protocol named {name!r}; there are: {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


def choose(
    metrics: Sequence[str | Metric], settings: Settings, *, available_only: bool = False, transcripts: bool = False
) -> Choice:
    """Metrics that can be computed here.

    Args:
        metrics: as `resolve` takes them.
        settings: whose networks are asked for.
        available_only: leave out what can't be computed, instead of refusing.
        transcripts: whether all items bring one, so that no recogniser is needed.

    Raises:
        LookupError: a metric is unknown; or some can't be computed here, with all that they lack.
    """
    chosen = resolve(metrics)
    missing = lacking(chosen, settings, transcripts=transcripts)
    if missing and not available_only:
        listed = "\n".join(f"  {name}: {lacks}" for name, lacks in missing.items())
        raise LookupError(
            f"{len(missing)} of {len(chosen)} metrics can't be computed here:\n{listed}\n"
            "bring what they lack, or leave them out with --available-only, which the result then says"
        )
    kept = tuple(metric for metric in chosen if metric.name not in missing)
    if not kept:
        raise LookupError("none of the metrics can be computed here: " + "; ".join(missing.values()))
    return Choice(kept, missing)


def lacking(metrics: Sequence[Metric], settings: Settings, *, transcripts: bool = False) -> dict[str, str]:
    """The metrics that can't be computed here, and what each lacks.

    Weights that the hub has are taken as present where there is a way to it.

    Args:
        metrics: to look at.
        settings: whose networks they use.
        transcripts: whether all items bring one, so that no recogniser is needed.
    """
    offline: bool | None = None  # asked when it first matters: it takes a second where there is no way to the hub
    trackers = missing_of_trackers()
    found: dict[str, str] = {}
    for metric in metrics:
        written = transcripts and metric.needs == "texts"
        try:
            models = metric.models(settings) if metric.models and not written else ()
        except ValueError as error:
            found[metric.name] = str(error)
            continue
        needs = [*metric.requires, *(need for model in models for need in model.requires)]
        extras = dict.fromkeys(extra for module, extra in needs if find_spec(module) is None)
        steps = [f"pip install {' '.join(repr(extra) for extra in extras)}"] if extras else []
        steps += [trackers[settings.f0]] if metric.needs == "f0" and trackers[settings.f0] else []
        for weights in dict.fromkeys(weights for model in models for weights in model.weights):
            if weights.present():
                continue
            if weights.repository and offline is None:
                offline = _is_offline()
            if offline or not weights.repository:
                steps.append(f"weights of {weights.name}: {weights.remedy}")
        if metric.needs == "texts" and not models and not transcripts:
            steps.append("transcripts in the pairs, or a recogniser (--asr)")
        if steps:
            found[metric.name] = "; ".join(steps)
    return found


def _is_offline() -> bool:
    from amphion_core.download import why_offline

    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON") or bool(why_offline())


def recorded(report: Report, protocol: Protocol | None, choice: Choice) -> Report:
    """The result with the protocol, and what was left out of it, in its provenance.

    Args:
        report: of the choice.
        protocol: None where metrics were asked for one by one.
        choice: what was computed.
    """
    said: dict[str, Any] = {"metrics_left_out": dict(choice.left_out)} if choice.left_out else {}
    if protocol is not None:
        computed = [metric.name for metric in choice.metrics]
        said["protocol"] = {
            "name": protocol.name,
            "source": protocol.source,
            "not_computed": [name for name in protocol.metrics if name not in computed],
            "added": [name for name in computed if name not in protocol.metrics],
        }
    return replace(report, provenance={**report.provenance, **said})
