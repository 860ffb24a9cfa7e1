"""The numbers of the original implementations: networks, discriminators, losses, and the keys of released sizes."""

import importlib.util
import math
import re
from pathlib import Path

import pytest
import torch
from torch import nn

from amphion_core.discriminators import (
    MultiPeriodDiscriminator,
    MultiResolutionDiscriminator,
    MultiResolutionSpectrogramDiscriminator,
    MultiScaleDiscriminator,
    MultiScaleStftDiscriminator,
    MultiScaleSubBandConstantQDiscriminator,
)
from amphion_core.features.mu_law import label_to_wav, mu_law_compress, mu_law_expand, wav_to_label
from amphion_core.features.stft import stft
from amphion_core.losses import (
    MelLoss,
    MultiResolutionMelLoss,
    MultiResolutionStftLoss,
    amplitude_loss,
    feature_matching_loss,
    hinge_discriminator_loss,
    hinge_generator_loss,
    least_squares_discriminator_loss,
    least_squares_generator_loss,
    mean_hinge_discriminator_loss,
    mean_hinge_generator_loss,
    phase_losses,
    real_imaginary_loss,
    relative_feature_matching_loss,
    spectrum_consistency_loss,
    spread_discriminator_loss,
    spread_generator_loss,
)
from amphion_core.losses.logistics import mixture_of_logistics_loss, sample_mixture_of_logistics
from amphion_core.testing.mel_cases import run_mel
from amphion_vocoders import released
from amphion_vocoders.bigvgan import BigVGAN
from amphion_vocoders.generation import draw_block
from amphion_vocoders.hifigan import HiFiGAN
from amphion_vocoders.nsf_hifigan import NsfHiFiGAN
from amphion_vocoders.vocos import Vocos
from amphion_vocoders.wavenet import WaveNet
from amphion_vocoders.wavernn import WaveRNN


def test_numbers_are_those_of_the_original(golden_case):
    if golden_case.model.startswith("mel_"):
        for name, value in run_mel(golden_case).items():
            golden_case.check(name, value)
        return
    if golden_case.model not in ADAPTERS:
        pytest.fail(f"no adapter for the model {golden_case.model!r} of {golden_case.folder}")
    with torch.no_grad():
        ADAPTERS[golden_case.model](golden_case)


def test_every_key_of_the_released_sizes_has_its_place(golden_case):
    for name, full in golden_case.full().items():
        with torch.device("meta"):
            weights = {key: torch.empty(shape) for key, shape in full["keys"].items()}
            if "head.istft.window" in weights:
                weights["head.istft.window"] = torch.hann_window(full["keys"]["head.istft.window"][0], device="cpu")
            model, mapped = KEYS[golden_case.model](full["config"], weights)
        own = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
        assert {key: tuple(tensor.shape) for key, tensor in mapped.items()} == own, name
        dropped = [key for key in weights if COMPUTED.search(key)]  # checked against the model's, not stored
        assert len(mapped) == len(weights) - len(dropped)


def hifigan(config, weights):
    settings = released.hifigan_config(_with_hop_of_the_rates(config))
    return HiFiGAN(settings), released.hifigan_weights(weights, settings)


def bigvgan(config, weights):
    settings = released.bigvgan_config(_with_hop_of_the_rates(config))
    return BigVGAN(settings), released.bigvgan_weights(weights, settings)


def nsf_hifigan(config, weights, compat="upstream"):
    settings = released.nsf_hifigan_config(_with_hop_of_the_rates(config), compat)
    return NsfHiFiGAN(settings), released.nsf_hifigan_weights(weights, settings)


def nsf_hifigan_with_source(config, weights):
    return nsf_hifigan(config, weights, compat="none")


def vocos(config, weights):
    settings = released.vocos_config(config)
    return Vocos(settings), released.vocos_weights(weights, settings)


def wavenet(config, weights):
    settings = released.wavenet_config(config)
    return WaveNet(settings), released.wavenet_weights(weights, settings)


def wavernn(config, weights):
    settings = released.wavernn_config(config)
    return WaveRNN(settings), released.wavernn_weights(weights, settings)


def mpd(config, weights):
    return MultiPeriodDiscriminator(released.period_config(config)), released.period_weights(weights)


def msd(config, weights):
    return MultiScaleDiscriminator(released.scale_config(config)), released.scale_weights(weights)


def mrd(config, weights):
    return MultiResolutionDiscriminator(released.resolution_config(config)), released.resolution_weights(weights)


def msstftd(config, weights):
    settings = released.stft_config(config)
    return MultiScaleStftDiscriminator(settings), released.stft_weights(weights, settings)


def mssbcqtd(config, weights):
    settings = released.constant_q_config(config)
    return MultiScaleSubBandConstantQDiscriminator(settings), released.constant_q_weights(weights, settings)


def vocos_mpd(config, weights):
    return MultiPeriodDiscriminator(released.vocos_period_config(config)), released.period_weights(weights)


def vocos_specd(config, weights):
    settings = released.spectrogram_config(config)
    return MultiResolutionSpectrogramDiscriminator(settings), released.spectrogram_weights(weights, settings)


def check_hifigan(case):
    model = _loaded(hifigan, case)
    audio = model(case.inputs["mel"])
    case.check("audio", audio[:, None])
    assert torch.equal(model.fold()(case.inputs["mel"]), audio)
    model.train()
    if "mid.conv_pre" in case.outputs:
        first = model.input(case.inputs["mel"])
        case.check("mid.conv_pre", first)
        raised = model.stages[0].upsample(nn.functional.leaky_relu(first, 0.1))
        case.check("mid.up0", raised)
        case.check("mid.resblock0", model.stages[0].blocks[0](raised))
    # The original runs every item alone, but padded with zeros to the longest of each pair.
    mels = [t for name, t in case.inputs.items() if name.startswith("synthesis.mel.")]
    size = int(re.search(r"batch_size=(\d+)", case.spec["call"])[1]) if mels else 1
    hop = model.config.mel.hop_length
    for number, mel in enumerate(mels):
        group = mels[number // size * size :][:size]
        longest = max(m.shape[-1] for m in group)
        padded = nn.functional.pad(mel, (0, longest - mel.shape[-1]))
        case.check(f"synthesis.audio.{number}", model(padded[None])[0, : mel.shape[-1] * hop])


def check_bigvgan(case):
    model = _loaded(bigvgan, case)
    mel = case.inputs["mel"]
    audio = model(mel)
    case.check("audio", audio[:, None])
    torch.testing.assert_close(model.fold()(mel), audio, atol=1e-5, rtol=0)
    model.train()
    stage = model.stages[0]
    first = model.input(mel)
    raised = stage.upsample(first)
    last = first
    for later in model.stages:
        last = later(last)
    inner = {
        "conv_pre": first,
        "up0": raised,
        "activation0": stage.blocks[0].activations[0](raised),
        "resblock0": stage.blocks[0](raised),
        "activation_post": model.activation(last),
    }
    for name, value in inner.items():
        if f"mid.{name}" in case.outputs:
            case.check(f"mid.{name}", value)


def check_nsf_hifigan(case):
    mel, f0, phase, noise = (case.inputs[name] for name in ("mel", "f0", "noise.0", "noise.1"))
    upstream, model = _loaded(nsf_hifigan, case), _loaded(nsf_hifigan_with_source, case)
    waves, _ = model.source.waves(f0, noise, phase=phase)
    case.check("mid.sine_and_noise", waves)
    source = model.source(f0, phase, noise)
    case.check("mid.har_source", source[..., None])
    for name, audio in (("audio", upstream(mel)), ("audio_with_source", model(mel, source=source))):
        case.check(name, audio[:, None, : case.outputs[name].shape[-1]])
    stage = model.stages[0]
    raised = stage.upsample(nn.functional.leaky_relu(model.input(mel), 0.1))
    case.check("mid.up0", raised)
    heard = stage.source(source[:, None])
    case.check("mid.source_conv0", heard)
    if "mid.resblock0" in case.outputs:
        width = min(raised.shape[-1], heard.shape[-1])
        doubled = raised[..., :width] * 2
        first = upstream.stages[0].blocks[0]
        case.check("mid.resblock0", first(doubled))


def check_vocos(case):
    model = _loaded(vocos, case)
    features = case.inputs["features"]
    case.check("audio", model.head(model.backbone(features))[:, None])
    backbone = model.backbone
    embedded = backbone.embed(features)
    case.check("mid.embed", embedded)
    case.check("mid.block0", backbone.blocks[0](backbone.norm(embedded.mT, None), None).mT)
    case.check("mid.backbone", backbone(features))
    case.check("mid.head_linear", model.head.projection(backbone(features)))


def check_conditional_vocos(case):
    model = _loaded(vocos, case)
    hidden = model.backbone(case.inputs["features"], case.inputs["bandwidth_id"])
    case.check("mid.backbone", hidden)
    case.check("audio", model.head(hidden))


def check_wavenet(case):
    model = _loaded(wavenet, case)
    signal, mel = case.inputs["audio"], case.inputs["mel"]
    one_hot = model.config.input == "one_hot"
    signal = label_to_wav(signal.argmax(1), signal.shape[1]) if one_hot else signal[:, 0]
    condition = model.condition(mel)
    case.check("mid.upsampled_mel", condition)
    first = model.first(model.encode(signal))
    case.check("mid.first", first)
    case.check("mid.layer0", model.layers[0](first, condition)[0])
    logits = model(signal, mel)
    case.check("logits", logits)
    if "probabilities" in case.outputs:
        case.check("probabilities", logits.softmax(1))
    _check_losses_of_samples(case, model, logits, signal)
    classes = model.config.output.classes
    _check_drawn(case, model, condition, label_to_wav(torch.tensor(classes // 2), classes).item() if one_hot else 0.0)


def check_wavernn(case):
    model = _loaded(wavernn, case)
    signal, mel = case.inputs["audio"], case.inputs["mel"]
    condition = model.condition(mel)
    bands = model.config.mel.n_mels
    case.check("mid.upsampled_mel", condition[:, :bands].mT)
    case.check("mid.aux", condition[:, bands:].mT)
    logits = model(signal, mel)
    case.check("logits", logits.mT)
    _check_losses_of_samples(case, model, logits, signal)
    _check_drawn(case, model, condition, 0.0)


def check_mixture_of_logistics(case):
    inputs, classes = case.inputs, 2 ** case.config["bits"]
    parameters, target = inputs["y_hat"], inputs["y"][..., 0]
    for name in case.outputs:
        if name.startswith("loss_"):
            _, grid, kind = name.split("_")
            reduction = "sum" if kind == "sum" else "none"
            loss = mixture_of_logistics_loss(parameters, target, classes=int(grid), reduction=reduction)
            case.check(name, loss.reshape(case.outputs[name].shape))
    numbers = inputs["uniform_mixture"], inputs["uniform_logistic"]
    for name, least in (("sample_clamped", -7.0), ("sample_unclamped", None)):
        case.check(name, sample_mixture_of_logistics(parameters.mT, *numbers, log_scale_min=least))
    wav = inputs["mulaw.audio"]
    companded = mu_law_compress(wav, classes)
    case.check("mulaw.compressed", companded)
    case.check("mulaw.expanded", mu_law_expand(companded, classes))
    labels = wav_to_label(wav, classes, rounding="down")
    case.check("mulaw.label", labels)
    case.check("mulaw.label_to_audio", label_to_wav(labels, classes, wav.dtype))


def check_pair(build, *, flat=True):
    """Discriminators whose original took the real and the fake waveform at once.

    Those with flat logits count them as a feature map, the others don't.
    """

    def check(case):
        model = _loaded(build, case)
        for name in ("real", "fake"):
            verdicts = model(case.inputs[name].squeeze(1))
            for i, verdict in enumerate(verdicts):
                case.check(f"logits_{name}.{i}", verdict[-1].flatten(1) if flat else verdict[-1])
                _check_maps(case, f"_{name}.{i}", verdict if flat else verdict[:-1])
        if "mid.cqt.0" in case.outputs:
            raised = model.raised(case.inputs["real"].squeeze(1))
            case.check("mid.resampled_first256", raised[:, None, :256])
            case.check("mid.cqt.0", torch.view_as_real(model.discriminators[0].transform(raised)))
        first = model(case.inputs["real"].squeeze(1))[0][0]
        if "fmap_full_real.0.0" in case.outputs:
            case.check("fmap_full_real.0.0", first[..., : case.outputs["fmap_full_real.0.0"].shape[-1]])

    return check


def check_single(build, *, flat):
    """Discriminators whose original took one waveform."""

    def check(case):
        verdicts = _loaded(build, case)(case.inputs["signal"].squeeze(1))
        for i, verdict in enumerate(verdicts):
            logits = verdict[-1].flatten(1) if flat else verdict[-1]
            case.check(f"logits.{i}", logits)
            _check_maps(case, f".{i}", [*verdict[:-1], logits])
        expected = case.outputs["fmap_full.0.0"]
        case.check("fmap_full.0.0", verdicts[0][0][..., : expected.shape[-1]])

    return check


def check_losses(case):
    inputs, pre = case.inputs, case.config["preprocess"]
    count = sum(name.startswith("logits_real.") for name in inputs)
    maps = {kind: [_numbered(inputs, f"fmap_{kind}.{i}.") for i in range(count)] for kind in ("real", "fake")}
    logits = {kind: [[t] for t in _numbered(inputs, f"logits_{kind}.")] for kind in ("real", "fake")}
    real, fake = inputs["audio_real"], inputs["audio_fake"].squeeze(1)
    mel = MelLoss(released.mel_config(pre))(fake, real)
    l1, mse = (fake - real).abs().mean(), (fake - real).square().mean()
    features = feature_matching_loss(maps["real"], maps["fake"])
    hinge = hinge_discriminator_loss(logits["real"], logits["fake"])
    hinge_g = hinge_generator_loss(logits["fake"])
    apnet = {name.removeprefix("apnet."): tensor for name, tensor in inputs.items() if name.startswith("apnet.")}
    spectrum = apnet["rea_pred"], apnet["imag_pred"]
    final = stft(fake, pre["n_fft"], pre["hop_size"], pre["win_size"])
    consistency = spectrum_consistency_loss(*spectrum, final.real, final.imag)
    rate = case.config["multi_resolution_mel"]["sample_rate"]
    convergence, magnitude = MultiResolutionStftLoss(rate, weighting=True)(inputs["long_fake"], inputs["long_real"])
    first = logits["fake"][:1]
    figures = {
        "hifigan.discriminator": least_squares_discriminator_loss(logits["real"], logits["fake"]),
        "hifigan.generator": least_squares_generator_loss(logits["fake"]),
        "hifigan.feature": 2 * features,
        "hifigan.mel": 45 * mel,
        "hifigan.wav": 100 * mse,
        "melgan.discriminator": hinge,
        "melgan.generator": hinge_g,
        "melgan.feature": 10 * features,
        "melgan.mel": 45 * mel,
        "melgan.wav": l1 / 10,
        "codec.discriminator": mean_hinge_discriminator_loss(logits["real"], logits["fake"]),
        "codec.generator": mean_hinge_generator_loss(logits["fake"]),
        "codec.feature": 3 * relative_feature_matching_loss(maps["real"], maps["fake"]),
        "codec.mel": 45 * mel,
        "codec.wav": (l1 + mse) / 10,
        "apnet.amplitude": 45 * amplitude_loss(apnet["logamp_pred"], apnet["logamp_real"]),
        "apnet.phase": 100 * sum(phase_losses(apnet["phase_pred"], apnet["phase_real"])),
        "apnet.consistency": 20
        * (consistency + 2.25 * real_imaginary_loss(*spectrum, apnet["rea_real"], apnet["imag_real"])),
        "vocos.multi_resolution_mel": MultiResolutionMelLoss(rate)(inputs["long_fake"], inputs["long_real"]),
        "stft_spectral_convergence": convergence,
        "stft_log_magnitude": magnitude,
        "ganloss.lsgan.gen": least_squares_generator_loss(first),
        "ganloss.lsgan_std.gen": spread_generator_loss(first),
        "ganloss.hinge.gen": hinge_generator_loss(first),
    }
    pairs = {
        "lsgan": least_squares_discriminator_loss,
        "lsgan_std": spread_discriminator_loss,
        "hinge": hinge_discriminator_loss,
    }
    for kind, loss in pairs.items():
        # The original gives the two halves apart; ours is their sum.
        halves = case.outputs[f"ganloss.{kind}.real"] + case.outputs[f"ganloss.{kind}.fake"]
        both = loss(logits["real"][:1], first).reshape(1)
        torch.testing.assert_close(both, halves, atol=1e-4, rtol=2e-4)
    compared = {*figures, *(f"ganloss.{kind}.{half}" for kind in pairs for half in ("real", "fake"))}
    assert set(case.outputs) == compared
    for name, figure in figures.items():
        case.check(name, figure.reshape(1))


def _check_losses_of_samples(case, model, logits, signal):
    predicted, target = logits[:, :, :-1], signal[:, 1:]
    if "loss_ce" in case.outputs:
        labels = case.inputs["labels"] if "labels" in case.inputs else wav_to_label(signal, logits.shape[1])
        case.check("loss_ce", nn.functional.cross_entropy(predicted, labels[:, 1:]).reshape(1))
    if "loss_mol_sum" in case.outputs:
        total = mixture_of_logistics_loss(predicted, target, classes=256, reduction="sum")
        case.check("loss_mol_sum", total.reshape(1))
    if "loss_mol_elementwise" in case.outputs:
        case.check("loss_mol_elementwise", model.output.loss(predicted, target, "none")[..., None])
    if "loss_mol_mean" in case.outputs:
        case.check("loss_mol_mean", model.output.loss(predicted, target).reshape(1))


def _check_drawn(case, model, condition, start):
    """What is drawn one sample after the other with the numbers of the case."""
    if "uniform" in case.inputs:
        numbers = case.inputs["uniform"][..., None]
    else:
        numbers = torch.cat([case.inputs["uniform_mixture"], case.inputs["uniform_logistic"][..., None]], -1)
    rows, count, _ = numbers.shape
    first = torch.full((rows, 1), start)
    steps, numbers = model.steps(rows), numbers.transpose(0, 1)
    drawn, last = draw_block(steps, model.output, condition[:, :, :count], first, numbers)
    drawn = torch.cat([drawn[:, 1:], last], dim=1)
    expected = case.outputs["generated"]
    if not expected.is_floating_point() or expected.abs().max() > 1:  # classes themselves
        drawn = wav_to_label(drawn, model.config.output.classes).to(expected)
    case.check("generated", drawn)


def _with_hop_of_the_rates(config):
    """Small cases may keep the hop of the released size, though their rates make another."""
    if "model" in config:
        hop = math.prod(config["model"][config["model"]["generator"]]["upsample_rates"])
        return {**config, "preprocess": {**config["preprocess"], "hop_size": hop}}
    return {**config, "hop_size": math.prod(config["upsample_rates"])}


def _check_maps(case, suffix, verdict):
    shapes = torch.zeros_like(case.outputs[f"fmap_shapes{suffix}"])
    for row, t in zip(shapes, verdict, strict=True):
        row[: t.ndim] = torch.tensor(t.shape)
    assert torch.equal(shapes, case.outputs[f"fmap_shapes{suffix}"])
    case.check(f"fmap_stats{suffix}", torch.stack([torch.stack([t.mean(), t.abs().mean(), t.std()]) for t in verdict]))


def _numbered(tensors, prefix):
    return [tensors[f"{prefix}{i}"] for i in range(sum(name.startswith(prefix) for name in tensors))]


def _module(name):
    """A file beside this one; tests are no package."""
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generators = _module("golden_generators")
_loaded = generators.loaded

# What checkpoints hold though it follows from the configuration.
COMPUTED = re.compile(
    r"sample\.(lowpass\.)?filter|istft\.window|spec_transform\.window|cqt_transform\.|resample\.kernel"
)

ADAPTERS = {
    "hifigan": check_hifigan,
    "hifigan_original": check_hifigan,
    "bigvgan": check_bigvgan,
    "bigvgan_original": check_bigvgan,
    "nsfhifigan": check_nsf_hifigan,
    "vocos": check_vocos,
    "vocos_adanorm_center": check_conditional_vocos,
    "mpd": check_pair(mpd),
    "msd": check_pair(msd),
    "mrd": check_pair(mrd),
    "msstftd": check_pair(msstftd, flat=False),
    "mssbcqtd": check_pair(mssbcqtd, flat=False),
    "vocos_mpd": check_single(vocos_mpd, flat=True),
    "vocos_specd": check_single(vocos_specd, flat=False),
    "wavenet": check_wavenet,
    "wavernn": check_wavernn,
    "mixture_of_logistics": check_mixture_of_logistics,
    "losses": check_losses,
    **generators.ADAPTERS,
}
KEYS = {
    "wavenet": wavenet,
    "wavernn": wavernn,
    "hifigan": hifigan,
    "hifigan_original": hifigan,
    "bigvgan": bigvgan,
    "bigvgan_original": bigvgan,
    "nsfhifigan": nsf_hifigan,
    "vocos": vocos,
    "mpd": mpd,
    "msd": msd,
    "mrd": mrd,
    "msstftd": msstftd,
    "mssbcqtd": mssbcqtd,
    "vocos_mpd": vocos_mpd,
    "vocos_specd": vocos_specd,
    **generators.KEYS,
}
