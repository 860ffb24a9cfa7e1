"""Golden numbers of MelGAN, APNet, DiffWave and WaveGlow: what `test_golden.py` runs for their cases."""

import math
import zlib

import numpy as np
import torch
from torch.nn import functional as F

from amphion_core.hub import load_weights
from amphion_vocoders import released
from amphion_vocoders.apnet import APNet
from amphion_vocoders.diffwave import DiffWave
from amphion_vocoders.melgan import MelGAN
from amphion_vocoders.waveglow import WaveGlow, likelihood_loss


def loaded(build, case):
    weights = dict(case.weights)
    recipe = case.spec.get("weights_recipe")
    for key, shape in (recipe["keys"] if recipe else {}).items():
        generator = np.random.RandomState((zlib.crc32(key.encode()) ^ recipe["seed"]) & 0xFFFFFFFF)
        values = generator.standard_normal(math.prod(shape)).astype(np.float32).reshape(shape)
        weights[key] = torch.from_numpy(values * np.float32(1.8) / np.sqrt(np.float32(math.prod(shape[1:]))))
    model, mapped = build(case.config, weights)
    load_weights(model, mapped)
    return model.eval()


def melgan(config, weights):
    settings = released.melgan_config(_with_hop(config, "ratios"))
    return MelGAN(settings), released.melgan_weights(weights, settings)


def apnet(config, weights):
    return APNet(released.apnet_config(config)), released.apnet_weights(weights)


def diffwave(config, weights):
    settings = released.diffwave_config(_with_hop(config, "upsample_factors"))
    return DiffWave(settings), released.diffwave_weights(weights)


def waveglow(config, weights):
    return WaveGlow(released.waveglow_config(config)), released.waveglow_weights(weights)


def check_melgan(case):
    model, mel = loaded(melgan, case), case.inputs["mel"]
    case.check("audio", model(mel)[:, None])
    assert torch.allclose(model.fold()(mel)[:, None], case.outputs["audio"], atol=1e-4)
    first = model.input(F.pad(mel, (3, 3), mode="reflect"))
    raised = model.stages[0].upsample(F.leaky_relu(first, 0.2))
    made = {"conv_in": first, "up0": raised}
    for number, block in enumerate(model.stages[0].blocks):
        raised = block(raised)
        made[f"res{number}"] = raised
    for name in {f"mid.{name}" for name in made} & set(case.outputs):
        case.check(name, made[name.removeprefix("mid.")])


def check_apnet(case):
    spectra = loaded(apnet, case).spectra(case.inputs["mel"])
    case.check("audio", spectra.wav[:, None])
    case.check("logamp", spectra.log_amplitude)
    case.check("rea", spectra.real)
    case.check("imag", spectra.imaginary)
    expected = case.outputs["pha"]  # it wraps
    torch.testing.assert_close(spectra.phase.sin(), expected.sin(), atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(spectra.phase.cos(), expected.cos(), atol=1e-3, rtol=1e-3)


def check_diffwave(case):
    model, inputs = loaded(diffwave, case), case.inputs
    wav, step, mel = inputs["audio"], inputs["step"], inputs["mel"]
    case.check("mid.embedding", model.time(step))
    case.check("mid.upsampled_mel", model.upsampled(mel))
    case.check("eps", model(wav, step, mel)[:, None])
    case.check("eps_float_step", model(wav, inputs["step_float"], mel)[:, None])
    if "mid.layer0" in case.outputs:
        x = F.relu(model.input(wav[:, None]))
        case.check("mid.layer0", model.blocks[0](x, model.time(step), model.upsampled(mel))[0])
    noisy = model.noisy(wav, step, inputs["train_noise"])
    case.check("mid.train_noisy", noisy)
    distance = (model(noisy, step, mel) - inputs["train_noise"]).abs().mean()
    case.check("train_loss_l1", distance.reshape(1))
    for steps in ("fast", "full"):
        drawn = inputs[f"noise_{steps}"]  # in the order of use, ours is numbered by the steps
        model.with_steps(steps)
        for sizes in (mel.shape[-1], [1] * mel.shape[-1]):
            noise = _rows({len(drawn) - i: row for i, row in enumerate(drawn)})
            pieces = model.sample(torch.split(mel, sizes, dim=-1), noise, eager=True)
            case.check(f"sample_{steps}", torch.cat(list(pieces), dim=1))


def check_waveglow(case):
    model, inputs = loaded(waveglow, case), case.inputs
    wav, mel = inputs["audio"], inputs["mel"]
    latent = model(mel, wav)
    case.check("z", latent.z)
    case.check("log_det_w", latent.log_determinants)
    case.check("loss_nll_sigma1", likelihood_loss(latent).reshape(1))
    for number, log_scale in enumerate(latent.log_scales):
        if f"mid.log_s.{number}" in case.outputs:
            case.check(f"mid.log_s.{number}", log_scale)
    if "mid.upsampled_mel_first64" in case.outputs:
        case.check("mid.upsampled_mel_first64", model.upsample(mel)[..., :64])
    rows = {int(name.partition(".")[2]): t.mT.flatten(1) for name, t in inputs.items() if name.startswith("noise.")}
    for name in (name for name in case.outputs if name.startswith("sample_sigma")):
        model.with_sigma(float(name.removeprefix("sample_sigma")))
        for folded in (model, model.fold()):
            made = torch.cat(list(folded.sample(torch.split(mel, 2, dim=-1), _rows(rows))), dim=1)
            case.check(name, made)


def _rows(rows):
    """Noise as it is given, row by row."""
    places = dict.fromkeys(rows, 0)

    def noise(row, count):
        places[row] += count
        return rows[row][:, places[row] - count : places[row]]

    return noise


def _with_hop(config, factors):
    """Small cases may keep the hop of the released size, though their factors make another."""
    hop = math.prod(config["model"][config["model"]["generator"]][factors])
    return {**config, "preprocess": {**config["preprocess"], "hop_size": hop}}


ADAPTERS = {"melgan": check_melgan, "apnet": check_apnet, "diffwave": check_diffwave, "waveglow": check_waveglow}
KEYS = {"melgan": melgan, "apnet": apnet, "diffwave": diffwave, "waveglow": waveglow}
