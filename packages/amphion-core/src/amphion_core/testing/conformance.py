"""Holds a plug-in against the contracts of `amphion_core.interfaces` and `amphion_core.training.task`.

Each check raises an AssertionError whose message says which promise is broken and how. They need no pytest.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from amphion_core.features import MelConfig
from amphion_core.features.mel import mel_spectrogram
from amphion_core.hub import PretrainedModule
from amphion_core.interfaces import Codec, Vocoder
from amphion_core.testing.sounds import glide
from amphion_core.training.task import Sample, Task

__all__ = ["check_codec", "check_task", "check_vocoder"]


def check_vocoder(vocoder: Any, *, mel: Tensor | None = None, atol: float = 1e-4) -> None:
    """Hold a vocoder against its contract.

    Args:
        vocoder: on any device; what is drawn at random must come from the generator that it is given. One whose
            attribute `needs_f0` is true is given F0 beside each mel.
        mel: (n_mels, F), F of 24 or more, to try it with; None is a voice that glides from 110 to 220 Hz.
        atol: how far samples may differ where the contract says equal; rounding grows in iterative vocoders.

    Raises:
        AssertionError: a promise is broken.
    """
    assert isinstance(vocoder, Vocoder), f"{type(vocoder).__name__} lacks config, synthesize or stream"
    settings = vocoder.config.mel
    assert isinstance(settings, MelConfig), f"config.mel is a {type(settings).__name__}, not a MelConfig"
    mel = _voice(settings) if mel is None else mel
    frames, hop = mel.shape[-1], settings.hop_length
    assert frames >= 24, f"give at least 24 frames to try it with, not {frames}"
    contour = _contour(frames) if getattr(vocoder, "needs_f0", False) else None

    def f0_of(value: Tensor, lengths: Tensor | None = None) -> Tensor | None:
        if contour is None:
            return None
        f0 = contour[: value.shape[2]].to(value.device).repeat(value.shape[0], 1)
        for item, length in zip(f0, [] if lengths is None else lengths.tolist(), strict=False):
            item[length:] = float("nan")
        return f0

    def wav_of(value: Tensor, lengths: Tensor | None = None) -> Tensor:
        before = value.clone()
        f0, generator = f0_of(value, lengths), torch.Generator().manual_seed(1)
        wav = vocoder.synthesize(value, f0=f0, lengths=lengths, generator=generator)
        expected = (value.shape[0], value.shape[2] * hop)
        assert torch.equal(before.nan_to_num(), value.nan_to_num()), "synthesize changed its input"
        assert tuple(wav.shape) == expected, f"{value.shape[2]} frames gave {tuple(wav.shape)}, not {expected}"
        assert wav.is_floating_point() and not wav.requires_grad, "the waveform is no float, or has a gradient"
        assert bool(torch.isfinite(wav).all()), "the waveform holds NaN or infinite values"
        return wav

    for count in (1, 2, 23):
        wav_of(mel[None, :, :count])
    whole = wav_of(mel[None])
    _same(wav_of(mel[None]), whole, 0.0, "the same mel and generator gave other samples")
    lengths = torch.tensor([frames, 1, frames // 2 + 1])
    spoilt = torch.stack([mel, mel.flip(1), mel])
    for item, length in zip(spoilt, lengths.tolist(), strict=True):
        item[:, length:] = float("nan")  # nothing may depend on what stands beyond the lengths
    batch = wav_of(spoilt, lengths)
    for number, length in enumerate(lengths.tolist()):
        alone = wav_of(spoilt[number : number + 1, :, :length])
        _same(batch[number, : length * hop], alone[0], atol, f"item {number} of a batch differs from the item alone")
        assert not batch[number, length * hop :].any(), f"item {number} is not zero beyond its length"
    _check_stream(vocoder, mel, contour, atol)
    bands = mel[None, :-1] if settings.n_mels > 1 else mel[None].expand(1, 2, -1)
    f0, nan, beyond = f0_of(mel[None]), torch.full_like(mel, float("nan"))[None], torch.tensor([frames + 1])
    _refuses(lambda: vocoder.synthesize(bands, f0=f0), "a wrong number of bands")
    _refuses(lambda: vocoder.synthesize(nan, f0=f0), "NaN")
    _refuses(lambda: vocoder.synthesize(mel[None], f0=f0, lengths=beyond), "lengths beyond the mel")
    if f0 is not None:
        _refuses(lambda: vocoder.synthesize(mel[None]), "the absence of F0")
        _refuses(lambda: vocoder.synthesize(mel[None], f0=f0[:, :-1]), "F0 of another length than the mel")
        _refuses(lambda: vocoder.synthesize(mel[None], f0=-f0 - 1), "negative F0")


def check_codec(codec: Any, *, wav: Tensor | None = None, atol: float = 1e-4) -> None:
    """Hold a codec against its contract.

    Args:
        codec: on the CPU.
        wav: (T,) to try it with; None is a second of a gliding voice.
        atol: how far decoded samples may differ where the contract says equal.

    Raises:
        AssertionError: a promise is broken.
    """
    assert isinstance(codec, Codec), f"{type(codec).__name__} lacks a member of the contract"
    if wav is None:
        wav = torch.from_numpy(glide(110.0, 220.0, codec.sample_rate, 1.0)).float()
    codes = codec.encode(wav[None])
    books = len(codec.codebook_sizes)
    assert codes.dtype == torch.int64 and codes.ndim == 3, (
        f"codes are {codes.dtype} of {codes.ndim} axes, not int64 of 3"
    )
    assert codes.shape[1] == books, f"{codes.shape[1]} rows of codes for {books} codebooks"
    for number, size in enumerate(codec.codebook_sizes):
        row = codes[:, number]
        assert int(row.min()) >= 0 and int(row.max()) < size, f"codebook {number} of {size} gave {int(row.max())}"
    expected = wav.shape[0] / codec.sample_rate * codec.frame_rate
    assert abs(codes.shape[2] - expected) < 2, f"{codes.shape[2]} frames for {expected:.1f} by the frame rate"
    assert torch.equal(codec.encode(wav[None]), codes), "the same waveform gave other codes"
    decoded = codec.decode(codes)
    hop = codec.sample_rate / codec.frame_rate
    assert decoded.ndim == 2 and abs(decoded.shape[1] - codes.shape[2] * hop) <= 2 * hop, (
        f"{codes.shape[2]} frames were decoded to the shape {tuple(decoded.shape)}"
    )
    assert bool(torch.isfinite(decoded).all()), "the waveform holds NaN or infinite values"
    short = wav[: wav.shape[0] // 2]
    padded = torch.stack([wav, nn.functional.pad(short, (0, wav.shape[0] - short.shape[0]))])
    together = codec.encode(padded, torch.tensor([wav.shape[0], short.shape[0]]))
    alone = codec.encode(short[None])
    assert torch.equal(together[1:, :, : alone.shape[2]], alone), "codes of an item depend on what stands beside it"
    _same(codec.decode(codes), decoded, atol, "the same codes gave other samples")


def check_task(task_class: type[Task[Any, Any]], recipe: Any) -> None:
    """Hold a task against its contract, on a recipe with training and validation data.

    Raises:
        AssertionError: a promise is broken.
    """
    torch.manual_seed(0)
    task = task_class(recipe)
    phases = task.phases()
    assert set(phases) == set(recipe.optimizers), f"phases {list(phases)}, optimizers {list(recipe.optimizers)}"
    assert isinstance(task.model(), PretrainedModule), "model() is no PretrainedModule"
    assert json.loads(json.dumps(task.state())) == task.state(), "state() holds more than JSON values"
    batch = _first_batch(task)
    _check_phases(task, batch, {name: _trained(modules) for name, modules in phases.items()})
    valid = task.loader("valid", 0, 1)
    assert valid is not None, "loader('valid', ...) gave None; the recipe of a check has validation data"
    task.eval()
    with torch.no_grad():
        judged = next(iter(valid))
        figures = task.validate(judged)
        assert figures, "validate gave no figure"
        for name, value in figures.items():
            assert value.ndim == 0 and bool(torch.isfinite(value)), f"the figure {name!r} is no finite scalar: {value}"
        for sample in task.sample(judged):
            assert isinstance(sample, Sample), f"sample gave a {type(sample).__name__}"
            assert sample.wav is None or sample.sample_rate > 0, f"the sample {sample.name!r} has no sampling rate"


def _voice(settings: MelConfig) -> Tensor:
    wav = glide(110.0, 220.0, settings.sample_rate, (40 * settings.hop_length + settings.n_fft) / settings.sample_rate)
    return mel_spectrogram(torch.from_numpy(wav).float(), settings)[:, :37]


def _contour(frames: int) -> Tensor:
    """F0 (F,) that glides from 110 to 220 Hz, with a breath in between."""
    f0 = torch.linspace(110, 220, frames)
    f0[frames // 3 : frames // 3 + 2] = 0
    return f0


def _check_stream(vocoder: Any, mel: Tensor, contour: Tensor | None, atol: float) -> None:
    whole = vocoder.synthesize(mel[None], f0=None if contour is None else contour[None])[0]
    for sizes in ((mel.shape[1],), (1, 2, 0, 5, mel.shape[1] - 8)):
        pieces: Any = torch.split(mel, list(sizes), dim=1)
        if contour is not None:
            pieces = zip(pieces, torch.split(contour, list(sizes)), strict=True)
        chunks = list(vocoder.stream(iter(pieces)))
        joined = torch.cat(chunks) if chunks else torch.zeros(0)
        _same(joined, whole, atol, f"a stream in chunks of {sizes} frames differs from the whole")
    assert not list(vocoder.stream(iter(()))), "a stream of nothing gave something"


def _check_phases(task: Task[Any, Any], batch: Any, trained: dict[str, list[Tensor]]) -> None:
    seen = []
    for name, terms in task.step(batch):
        assert name in trained, f"step yielded the phase {name!r}, phases() has {list(trained)}"
        assert terms, f"the phase {name!r} has no loss term"
        for term, value in terms.items():
            assert value.ndim == 0 and bool(torch.isfinite(value)), f"{name}/{term} is no finite scalar: {value}"
        total = torch.stack(list(terms.values())).sum()
        gradients = torch.autograd.grad(total, trained[name], allow_unused=True, retain_graph=True)
        idle = sum(gradient is None for gradient in gradients)
        assert idle < len(gradients), f"no parameter of the phase {name!r} gets a gradient"
        seen.append(name)
    assert seen == [name for name in trained if name in seen] and seen, f"step yielded the phases in the order {seen}"


def _first_batch(task: Task[Any, Any]) -> Any:
    loaders = [task.loader("train", 0, 1) for _ in range(2)]
    assert loaders[0] is not None and loaders[1] is not None, "loader('train', ...) gave None"
    assert json.loads(json.dumps(loaders[0].state_dict())) == loaders[0].state_dict(), "loader state is not JSON"
    first, second = (next(iter(loader)) for loader in loaders if loader is not None)
    for one, other in zip(_tensors(first), _tensors(second), strict=True):
        assert torch.equal(one, other), "two loaders of one recipe gave different first batches"
    return first


def _trained(modules: list[nn.Module]) -> list[Tensor]:
    return [p for module in modules for p in module.parameters() if p.requires_grad]


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, np.ndarray):
        yield torch.from_numpy(value)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)
    elif hasattr(value, "__dataclass_fields__"):
        for name in value.__dataclass_fields__:
            yield from _tensors(getattr(value, name))


def _same(actual: Tensor, expected: Tensor, atol: float, words: str) -> None:
    assert actual.shape == expected.shape, f"{words}: shapes {tuple(actual.shape)} and {tuple(expected.shape)}"
    difference = float((actual - expected).abs().max()) if actual.numel() else 0.0
    assert difference <= atol, f"{words}: by up to {difference:.2g}, allowed {atol:.2g}"


def _refuses(call: Callable[[], Any], what: str) -> None:
    try:
        call()
    except ValueError:
        return
    raise AssertionError(f"{what} must raise a ValueError, but went through")
