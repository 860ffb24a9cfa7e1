"""Numbers of the original implementations; the adapters from case to model stand here."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from amphion_core.hub import load_weights, state_tensors
from amphion_core.modules.alignment import (
    average_by_duration,
    beta_binomial_prior,
    binarisation_loss,
    durations_to_path,
    forward_sum_loss,
    monotonic_alignment,
)
from amphion_core.modules.length_regulator import gaussian_upsampling, regulate_length
from amphion_core.testing.golden import Case
from amphion_tts.fastspeech2.losses import fastspeech2_losses
from amphion_tts.fastspeech2.model import Controls, FastSpeech2, FastSpeech2Output
from amphion_tts.fastspeech2.released import convert_config, convert_weights
from amphion_tts.prosody import inliers, phone_average
from amphion_tts.text.cleaners import CLEANERS, text_to_sequence
from amphion_tts.textgrid import phone_durations


def tensors(case: Case) -> dict[str, Tensor]:
    """Inputs and outputs by name; the cases of this family keep them side by side."""
    return {**case.inputs, **case.outputs}


def check(case: Case, name: str, actual: Tensor) -> None:
    case.check(name, actual)


def fastspeech2(case: Case) -> None:
    given = tensors(case)
    shapes = {name: tuple(tensor.shape) for name, tensor in case.weights.items()}
    config = convert_config(case.config, shapes).updated(legacy_padding=True)
    assert config.mel.n_mels == case.config["n_mel"]
    model = FastSpeech2(config).eval()
    computed = {name: state_tensors(model)[name] for name in ("variance.pitch_bins", "variance.energy_bins")}
    load_weights(model, convert_weights(case.weights))
    for name, bins in computed.items():
        torch.testing.assert_close(bins, model.state_dict()[name], atol=1e-5, rtol=1e-5)
    middle: dict[str, Tensor] = {}
    for name, module in (("encoder", model.encoder), ("decoder", model.decoder), ("postnet", model.postnet)):
        module.register_forward_hook(lambda _m, _i, out, name=name: middle.__setitem__(name, out))
    model.variance.register_forward_hook(lambda _m, _i, out: middle.__setitem__("variance_adaptor", out.hidden))
    speakers = given["spk_id"] if config.speakers else None
    mel = given["mel"].transpose(1, 2)
    with torch.no_grad():
        result = model(
            given["texts"],
            given["text_len"],
            speakers,
            durations=given["durations"],
            pitch=given["pitch"],
            energy=given["energy"],
            frames=mel.shape[2],
        )
        check_fastspeech2(case, "train", result, middle)
        losses = fastspeech2_losses(result, mel, given["durations"], given["pitch"], given["energy"])
        for name, loss in losses.items():
            theirs = {"mel": "mel_loss", "postnet_mel": "postnet_mel_loss"}.get(name, f"{name}_loss")
            check(case, f"train.losses.{theirs}", loss)
        check(case, "train.losses.loss", torch.stack(list(losses.values())).sum())
        controls = Controls(duration=1.3, pitch=1.2, energy=0.9, normalised=True)
        result = model(given["texts"], given["text_len"], speakers, controls=controls)
    check_fastspeech2(case, "infer", result, middle)
    check(case, "infer.d_rounded", result.durations.float())


def check_fastspeech2(case: Case, prefix: str, result: FastSpeech2Output, middle: dict[str, Tensor]) -> None:
    expected = {
        f"{prefix}.output": result.mel_before.transpose(1, 2),
        f"{prefix}.postnet_output": result.mel.transpose(1, 2),
        f"{prefix}.p_predictions": result.pitch,
        f"{prefix}.e_predictions": result.energy,
        f"{prefix}.log_d_predictions": result.log_durations,
        f"{prefix}.mel_masks": ~result.mel_mask,
        f"{prefix}.mel_lens": result.mel_lengths,
        **{f"mid.{prefix}.{name}": value for name, value in middle.items()},
    }
    expected[f"mid.{prefix}.postnet"] = expected[f"mid.{prefix}.postnet"].transpose(1, 2)
    for name, value in expected.items():
        if name in case.outputs:
            check(case, name, value)


def length_regulator(case: Case) -> None:
    given = tensors(case)
    x, lengths = regulate_length(given["x"], given["duration"])
    check(case, "y", x)
    check(case, "lengths", lengths)
    check(case, "y_maxlen", regulate_length(given["x"], given["duration"], given["y_maxlen"].shape[1])[0])


def averages(case: Case) -> None:
    given = {name: tensor.numpy() for name, tensor in tensors(case).items()}
    from amphion_core.features.pitch import interpolate_f0

    filled = interpolate_f0(given["pitch"])
    check(case, "phone_pitch", torch.from_numpy(phone_average(filled, given["duration"], legacy=True)))
    check(case, "phone_energy", torch.from_numpy(phone_average(given["energy"], given["duration"], legacy=True)))
    check(case, "inlier", torch.from_numpy(inliers(given["values"])))


def jets_alignment(case: Case) -> None:
    given = tensors(case)
    text, frames = given["text_len"], given["target_len"]
    scores = given["log_p_attn"]
    durations = monotonic_alignment(scores, text, frames, ties="move", double=True)
    check(case, "ds", durations.float())
    check(case, "bin_loss", binarisation_loss(scores, durations, frames))
    check(case, "feature_avg", average_by_duration(given["feature"], durations))
    prior = beta_binomial_prior(text, frames, case.config.get("prior_scale", 1))
    floor = given["prior"].min() if bool((given["prior"] < -1e8).any()) else -torch.inf
    check(case, "prior", prior.clamp(min=floor))
    check(case, "forwardsum", forward_sum_loss(scores, text, frames))


def maximum_path(case: Case) -> None:
    given = tensors(case)
    mask = given["mask"]
    text, frames = mask.sum(2).amax(1).long(), mask.sum(1).amax(1).long()
    durations = monotonic_alignment(given["neg_cent"], text, frames)
    check(case, "path", durations_to_path(durations, mask.shape[1]).float())


def generate_path(case: Case) -> None:
    given = tensors(case)
    path = durations_to_path(given["duration"].squeeze(1), given["mask"].shape[2])[:, None]
    check(case, "path", path * given["mask"])


def gaussian(case: Case) -> None:
    given = tensors(case)
    delta = case.config["delta"]
    check(case, "y_masked", gaussian_upsampling(given["x"], given["duration"], given["h_mask"], given["d_mask"], delta))
    check(case, "y_nomask_item0", gaussian_upsampling(given["x"][:1], given["duration"][:1], delta=delta))


def textgrid(case: Case) -> None:
    result = phone_durations(
        [tuple(row) for row in case.spec["inputs"]["intervals"]], case.config["sample_rate"], case.config["hop_size"]
    )
    expected = case.spec["outputs"]
    assert list(result.phones) == expected["phones"]
    assert list(result.durations) == expected["durations"]
    assert (result.start, result.end) == (expected["start"], expected["end"])
    first, last = result.samples(case.config["sample_rate"])
    assert (first, last) == (expected["wav_start_sample"], expected["wav_end_sample"])
    assert f"{{{' '.join(result.phones)}}}" == expected["lab_line"]


def text_frontend(case: Case) -> None:
    for row in case.spec["text_to_sequence"]:
        assert text_to_sequence(row["text"], row["cleaners"]) == row["ids"], row["text"]
    for row in case.spec["cleaners"]:
        for name in CLEANERS:
            assert CLEANERS[name](row["in"]) == row[name]
    from amphion_tts.text.symbols_dict import SymbolsDict

    table = SymbolsDict.parse(case.spec["symbols_dict"]["symbols_dict_file"])
    assert table.ids == case.spec["symbols_dict"]["token_to_id"]
    example = case.spec["symbols_dict"]["example"]
    assert table.encode(example["phones"]) == example["ids"]
    assert table.encode(example["phones"], blanks=True) == example["ids_with_blank_0"]


def espeak_phones(case: Case) -> None:
    pytest.importorskip("phonemizer", reason="extra amphion-tts[espeak]")
    pytest.importorskip("espeakng_loader", reason="extra amphion-tts[espeak]")
    from amphion_tts.text.espeak import espeak_tokens

    for row in case.spec["cases"]:
        assert espeak_tokens(row["text"], case.config["language"]) == row["phones"], row["text"]


ADAPTERS: dict[str, Callable[[Case], None]] = {
    "FastSpeech2": fastspeech2,
    "length regulator (repeat)": length_regulator,
    "phone-level averages of frame features and outlier removal (FastSpeech2 preprocessing)": averages,
    "Jets alignment search, binarisation loss, phone averaging, beta-binomial prior, forward-sum loss": jets_alignment,
    "monotonic alignment search as in VITS/Glow-TTS": maximum_path,
    "durations to a 0/1 path (VITS inference)": generate_path,
    "Gaussian upsampling with fixed temperature": gaussian,
    "durations from an MFA TextGrid phone tier": textgrid,
    "text front end": text_frontend,
    "espeak front end": espeak_phones,
}


def test_numbers_equal_those_of_the_original(golden_case):
    if golden_case.model not in ADAPTERS:
        pytest.fail(f"no adapter for the model {golden_case.model!r}; known: {', '.join(ADAPTERS)}")
    ADAPTERS[golden_case.model](golden_case)


def test_every_key_of_the_released_checkpoint_is_used_once_and_fills_every_parameter(golden_case):
    for content in golden_case.full().values():
        shapes = {name: tuple(shape) for name, shape in content["keys"].items()}
        config = convert_config(content["config"], shapes)
        with torch.device("meta"):
            model = FastSpeech2(config)
        converted = convert_weights({name: torch.empty(shape, device="meta") for name, shape in shapes.items()})
        own = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
        assert {name: tuple(tensor.shape) for name, tensor in converted.items()} == own
        assert len(converted) == len(shapes)


def test_alignments_of_the_two_searches_cover_all_frames():
    scores = torch.randn(3, 20, 6, generator=torch.Generator().manual_seed(0))
    text, frames = torch.tensor([6, 3, 1]), torch.tensor([20, 11, 4])
    stay = monotonic_alignment(scores, text, frames)
    move = monotonic_alignment(scores, text, frames, ties="move", double=True)
    assert torch.equal(stay, move)
    assert stay.sum(1).tolist() == frames.tolist()
    assert all(a.shape == b.shape for a, b in pairwise([stay, move]))
