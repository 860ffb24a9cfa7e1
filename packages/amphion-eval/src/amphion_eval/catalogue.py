"""The metrics of this package, as its entry points name them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from amphion_eval import (
    cepstrum,
    descriptive,
    duration,
    energy,
    levels,
    perceptual,
    pitch,
    quality,
    sets,
    speaker,
    spectral,
    transcript,
    waveform,
)
from amphion_eval.analysis import PairAnalysis
from amphion_eval.metric import Metric
from amphion_eval.models import audio_catalogue, catalogue, quality_catalogue
from amphion_eval.values import Undefined

__all__ = [
    "audiobox_ce",
    "audiobox_cu",
    "audiobox_pc",
    "audiobox_pq",
    "cer",
    "clap_score",
    "dnsmos_bak",
    "dnsmos_ovrl",
    "dnsmos_p808",
    "dnsmos_personalized_bak",
    "dnsmos_personalized_ovrl",
    "dnsmos_personalized_sig",
    "dnsmos_sig",
    "duration_difference",
    "duration_error",
    "duration_ratio",
    "energy_pearson_db",
    "energy_pearson_lin",
    "energy_rmse_db",
    "energy_rmse_db_mean_removed",
    "energy_rmse_lin",
    "estoi",
    "f0_median_offset",
    "f0_pearson_cents",
    "f0_pearson_hz",
    "f0_rmse_cents",
    "f0_rmse_cents_median_removed",
    "f0_rmse_hz",
    "fad",
    "fad_infinity",
    "fd",
    "ffe",
    "gpe",
    "inception_score",
    "kid",
    "kl",
    "kl_sigmoid",
    "loudness",
    "loudness_difference",
    "ltas_distance",
    "mcd",
    "mcd_dtw_sl",
    "mstft",
    "mstft_log_magnitude",
    "mstft_spectral_convergence",
    "nisqa_coloration",
    "nisqa_discontinuity",
    "nisqa_loudness",
    "nisqa_mos",
    "nisqa_noisiness",
    "periodicity_rmse",
    "pesq_nb",
    "pesq_wb",
    "si_sdr",
    "si_snr",
    "sim_o",
    "sim_r",
    "singing_power_ratio",
    "singing_power_ratio_difference",
    "singmos",
    "speaker_similarity",
    "speaker_similarity_all_pairs",
    "speech_share",
    "squim_mos",
    "squim_pesq",
    "squim_si_sdr",
    "squim_stoi",
    "stoi",
    "utmos",
    "utmosv2",
    "vuv_error",
    "vuv_f1",
    "wer",
]

_EMBEDDING = (("torch", "amphion-eval[embedding]"),)
_CREPE = (("torchcrepe", "amphion-eval[crepe]"),)
_MELODY = "Salamon et al., Melody Extraction from Polyphonic Music Signals, 2014"
_FRAME_ERROR = "Chu and Alwan, Reducing F0 Frame Error of F0 Tracking Algorithms under Noisy Conditions, 2009"
_WAVEGAN = "Yamamoto et al., Parallel WaveGAN, 2020, arXiv:1910.11480"

_pitch = partial(Metric, needs="f0", low=0.0, parameters=("f0", "f_min", "f_max", "align"))

f0_rmse_hz = _pitch("f0_rmse_hz", pitch.f0_rmse_hz, unit="Hz", source=_MELODY)
f0_rmse_cents = _pitch("f0_rmse_cents", pitch.f0_rmse_cents, unit="cents", source=_MELODY)
f0_rmse_cents_median_removed = _pitch(
    "f0_rmse_cents_median_removed", pitch.f0_rmse_cents_median_removed, unit="cents", source=_MELODY
)
f0_median_offset = _pitch(
    "f0_median_offset", pitch.f0_median_offset, unit="cents", low=float("-inf"), best="zero", source=_MELODY
)
f0_pearson_hz = _pitch("f0_pearson_hz", pitch.f0_pearson_hz, low=-1.0, high=1.0, best="higher")
f0_pearson_cents = _pitch("f0_pearson_cents", pitch.f0_pearson_cents, low=-1.0, high=1.0, best="higher")
vuv_f1 = _pitch("vuv_f1", pitch.vuv_f1, high=1.0, best="higher", rate=True)
vuv_error = _pitch("vuv_error", pitch.vuv_error, high=1.0, rate=True, source=_FRAME_ERROR)
gpe = _pitch("gpe", pitch.gpe, high=1.0, rate=True, source=_FRAME_ERROR)
ffe = _pitch("ffe", pitch.ffe, high=1.0, rate=True, source=_FRAME_ERROR)
periodicity_rmse = Metric(
    "periodicity_rmse",
    pitch.periodicity_rmse,
    needs="periodicity",
    low=0.0,
    high=1.0,
    source="Morrison et al., Chunked Autoregressive GAN, 2022",
    parameters=("f_min", "f_max", "crepe"),
    requires=_CREPE,
)

_energy = partial(Metric, needs="energy", parameters=("align",))

energy_rmse_db = _energy("energy_rmse_db", energy.energy_rmse_db, unit="dB", low=0.0)
energy_rmse_db_mean_removed = _energy(
    "energy_rmse_db_mean_removed", energy.energy_rmse_db_mean_removed, unit="dB", low=0.0
)
energy_rmse_lin = _energy("energy_rmse_lin", energy.energy_rmse_lin, low=0.0)
energy_pearson_db = _energy("energy_pearson_db", energy.energy_pearson_db, low=-1.0, high=1.0, best="higher")
energy_pearson_lin = _energy("energy_pearson_lin", energy.energy_pearson_lin, low=-1.0, high=1.0, best="higher")

mcd = Metric(
    "mcd",
    cepstrum.mcd,
    needs="cepstra",
    unit="dB",
    low=0.0,
    source="Kubichek, Mel-Cepstral Distance Measure for Objective Speech Quality Assessment, 1993",
    parameters=("mcd_order", "mcd_f0", "mcd_mask", "align"),
)


def _of_path(pair: PairAnalysis) -> float:
    path, ref, est = pair.path, pair.reference.cepstra, pair.estimate.cepstra
    if isinstance(path, Undefined):
        return path
    assert not isinstance(ref, Undefined) and not isinstance(est, Undefined)  # there would be no path
    return cepstrum.mcd_dtw_sl(ref, est, path)


mcd_dtw_sl = Metric(
    "mcd_dtw_sl",
    cepstrum.mcd_dtw_sl,
    needs="cepstra",
    unit="dB",
    low=0.0,
    source="Chen et al., V2C: Visual Voice Cloning, 2022, arXiv:2111.12890",
    parameters=("mcd_order", "mcd_f0"),
    of_pair=_of_path,
)


def _of_stfts(pair: PairAnalysis, *, convergence: float, log_magnitude: float) -> float:
    distances = pair.stft_distances
    return distances if isinstance(distances, Undefined) else spectral.combined(distances, convergence, log_magnitude)


_stft = partial(Metric, needs="wavs", low=0.0, source=_WAVEGAN, parameters=("max_delay",))

mstft = _stft("mstft", spectral.mstft, of_pair=partial(_of_stfts, convergence=1.0, log_magnitude=1.0))
mstft_spectral_convergence = _stft(
    "mstft_spectral_convergence",
    spectral.mstft_spectral_convergence,
    of_pair=partial(_of_stfts, convergence=1.0, log_magnitude=0.0),
)
mstft_log_magnitude = _stft(
    "mstft_log_magnitude",
    spectral.mstft_log_magnitude,
    of_pair=partial(_of_stfts, convergence=0.0, log_magnitude=1.0),
)

_ratio = partial(Metric, needs="wavs", unit="dB", best="higher", parameters=("max_delay",))

si_sdr = _ratio(
    "si_sdr", waveform.si_sdr, source="Le Roux et al., SDR - half-baked or well done?, 2019, arXiv:1811.02508"
)
si_snr = _ratio("si_snr", waveform.si_snr, source="Luo and Mesgarani, Conv-TasNet, 2019, arXiv:1809.07454")

_length = partial(Metric, needs="clips")

duration_difference = _length("duration_difference", duration.duration_difference, unit="s", best="zero")
duration_error = _length("duration_error", duration.duration_error, unit="s", low=0.0)
duration_ratio = _length("duration_ratio", duration.duration_ratio, low=0.0, best="one")

_text = partial(
    Metric,
    needs="texts",
    low=0.0,
    rate=True,
    parameters=("normalizer", "language", "asr"),
    models=catalogue.recogniser_models,
)

wer = _text("wer", transcript.wer, source="Whisper's normalisers: Radford et al., 2022, arXiv:2212.04356")
cer = _text("cer", transcript.cer, source="Whisper's normalisers: Radford et al., 2022, arXiv:2212.04356")

_KILGOUR = "Kilgour et al., Fréchet Audio Distance, 2019, arXiv:1812.08466"
_GUI = "Gui et al., Adapting Fréchet Audio Distance for Generative Music Evaluation, 2024, arXiv:2311.01616"
_AUDIOLDM = "Liu et al., AudioLDM, 2023, arXiv:2301.12503"

_set = partial(Metric, needs="sets", low=0.0, requires=_EMBEDDING)

fad = _set("fad", sets.fad, source=_KILGOUR, parameters=("fad_model",), models=audio_catalogue.fad_models)
fad_infinity = _set(
    "fad_infinity",
    sets.fad_infinity,
    low=float("-inf"),
    source=_GUI,
    parameters=("fad_model",),
    models=audio_catalogue.fad_models,
)
fd = _set("fd", sets.fd, source=_AUDIOLDM, parameters=("fd_model",), models=audio_catalogue.fd_models)
kid = _set(
    "kid",
    sets.kid,
    low=float("-inf"),
    source="Binkowski et al., Demystifying MMD GANs, 2018, arXiv:1801.01401",
    parameters=("fd_model",),
    models=audio_catalogue.fd_models,
)
inception_score = Metric(
    "inception_score",
    sets.inception_score,
    needs="clip_sets",
    low=1.0,
    best="higher",
    source="Salimans et al., Improved Techniques for Training GANs, 2016, arXiv:1606.03498",
    parameters=("fd_model",),
    requires=_EMBEDDING,
    models=audio_catalogue.class_models,
)

_divergence = partial(
    Metric,
    needs="model",
    unit="nats",
    low=0.0,
    parameters=("fd_model",),
    requires=_EMBEDDING,
    models=audio_catalogue.class_models,
)

kl = _divergence("kl", sets.kl, source="Kreuk et al., AudioGen, 2022, arXiv:2209.15352")
kl_sigmoid = _divergence("kl_sigmoid", sets.kl_sigmoid, source=_AUDIOLDM)
clap_score = Metric(
    "clap_score",
    sets.clap_score,
    needs="text_model",
    low=-1.0,
    high=1.0,
    best="higher",
    source="Wu et al., Large-Scale Contrastive Language-Audio Pretraining, 2023, arXiv:2211.06687",
    parameters=("clap_model",),
    requires=(*_EMBEDDING, ("transformers", "amphion-eval[embedding]")),
    models=audio_catalogue.clap_models,
)

_PESQ, _STOI = (("pesq", perceptual.EXTRA),), (("pystoi", perceptual.EXTRA),)
_listened = partial(Metric, needs="wavs", best="higher", parameters=("max_delay",))

pesq_wb = _listened(
    "pesq_wb", perceptual.pesq_wb, unit="MOS", low=1.02, high=4.65, source="ITU-T P.862.2, 2007", requires=_PESQ
)
pesq_nb = _listened(
    "pesq_nb", perceptual.pesq_nb, unit="MOS", low=1.0, high=4.55, source="ITU-T P.862.1, 2003", requires=_PESQ
)
stoi = _listened(
    "stoi",
    perceptual.stoi,
    low=-1.0,
    high=1.0,
    source="Taal et al., An Algorithm for Intelligibility Prediction, 2011",
    requires=_STOI,
)
estoi = _listened(
    "estoi",
    perceptual.estoi,
    low=-1.0,
    high=1.0,
    source="Jensen and Taal, An Algorithm for Predicting the Intelligibility of Speech Masked by Maskers, 2016",
    requires=_STOI,
)

_voice = partial(
    Metric,
    low=-1.0,
    high=1.0,
    best="higher",
    parameters=("speaker_model",),
    models=catalogue.speaker_models,
)

speaker_similarity = _voice("speaker_similarity", speaker.speaker_similarity, needs="model")
speaker_similarity_all_pairs = _voice(
    "speaker_similarity_all_pairs", speaker.speaker_similarity_all_pairs, needs="sets"
)
sim_o = _voice("sim_o", speaker.sim_o, needs="prompt_model", source="Le et al., Voicebox, 2023, arXiv:2306.15687")
sim_r = _voice(
    "sim_r", speaker.sim_r, needs="reconstruction_model", source="Wang et al., VALL-E, 2023, arXiv:2301.02111"
)


def _rated(name: str, function: Callable[..., float], model: str, **changes: Any) -> Metric:
    network = quality_catalogue.QUALITY[model]
    fields = {"unit": "MOS", "needs": "clip_model", "best": "higher", "source": network.source, **changes}
    models = partial(quality_catalogue.quality_models, name=model)
    return Metric(name, function, requires=network.requires, models=models, **fields)


# the curves of DNSMOS go a little below 1 for what is worse than all that people rated
dnsmos_sig = _rated("dnsmos_sig", quality.dnsmos_sig, "dnsmos-p835", low=0.0, high=5.0)
dnsmos_bak = _rated("dnsmos_bak", quality.dnsmos_bak, "dnsmos-p835", low=0.0, high=5.0)
dnsmos_ovrl = _rated("dnsmos_ovrl", quality.dnsmos_ovrl, "dnsmos-p835", low=0.0, high=5.0)
dnsmos_p808 = _rated("dnsmos_p808", quality.dnsmos_p808, "dnsmos-p808", low=0.0, high=5.0)
_personal = partial(_rated, model="dnsmos-p835-personalized", low=0.0, high=5.0)
dnsmos_personalized_sig = _personal("dnsmos_personalized_sig", quality.dnsmos_personalized_sig)
dnsmos_personalized_bak = _personal("dnsmos_personalized_bak", quality.dnsmos_personalized_bak)
dnsmos_personalized_ovrl = _personal("dnsmos_personalized_ovrl", quality.dnsmos_personalized_ovrl)
utmos = _rated("utmos", quality.utmos, "utmos22-strong", low=0.0, high=6.0)
utmosv2 = _rated("utmosv2", quality.utmosv2, "utmosv2", low=0.0, high=6.0)
_nisqa = partial(_rated, model="nisqa", low=0.0, high=6.0)
nisqa_mos = _nisqa("nisqa_mos", quality.nisqa_mos)
nisqa_noisiness = _nisqa("nisqa_noisiness", quality.nisqa_noisiness)
nisqa_discontinuity = _nisqa("nisqa_discontinuity", quality.nisqa_discontinuity)
nisqa_coloration = _nisqa("nisqa_coloration", quality.nisqa_coloration)
nisqa_loudness = _nisqa("nisqa_loudness", quality.nisqa_loudness)
_audiobox = partial(_rated, model="audiobox-aesthetics", unit="points", low=0.0, high=11.0)
audiobox_ce = _audiobox("audiobox_ce", quality.audiobox_ce)
audiobox_cu = _audiobox("audiobox_cu", quality.audiobox_cu)
audiobox_pc = _audiobox("audiobox_pc", quality.audiobox_pc, best="none")
audiobox_pq = _audiobox("audiobox_pq", quality.audiobox_pq)
singmos = _rated("singmos", quality.singmos, "singmos", low=0.0, high=6.0)
squim_stoi = _rated("squim_stoi", quality.squim_stoi, "squim-objective", unit="", low=0.0, high=1.0)
squim_pesq = _rated("squim_pesq", quality.squim_pesq, "squim-objective", low=1.0, high=5.0)
squim_si_sdr = _rated("squim_si_sdr", quality.squim_si_sdr, "squim-objective", unit="dB")
squim_mos = _rated("squim_mos", quality.squim_mos, "squim-subjective", needs="pair_model", low=1.0, high=5.0)
speech_share = _rated("speech_share", quality.speech_share, "silero-vad", unit="", low=0.0, high=1.0, best="none")

_BS1770 = "ITU-R BS.1770-4, 2015"

loudness = Metric("loudness", levels.loudness, needs="clip", unit="LUFS", best="none", source=_BS1770)
loudness_difference = Metric(
    "loudness_difference", levels.loudness_difference, needs="clips", unit="LU", best="zero", source=_BS1770
)
ltas_distance = Metric(
    "ltas_distance", descriptive.ltas_distance, needs="clips", unit="dB", low=0.0, source="Welch, 1967"
)
_OMORI = "Omori et al., Singing power ratio, 1996"
singing_power_ratio = Metric(
    "singing_power_ratio", descriptive.singing_power_ratio, needs="clip", unit="dB", best="higher", source=_OMORI
)
singing_power_ratio_difference = Metric(
    "singing_power_ratio_difference",
    descriptive.singing_power_ratio_difference,
    needs="clips",
    unit="dB",
    best="zero",
    source=_OMORI,
)
