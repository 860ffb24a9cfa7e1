"""The checks of the contracts find what breaks them."""

import numpy as np
import pytest
import torch

from amphion_core.features import MelConfig
from amphion_core.testing.conformance import check_codec, check_task, check_vocoder
from amphion_core.testing.toy import ToyTask, toy_recipe
from amphion_core.training.task import Sample

MEL = MelConfig(sample_rate=8000, n_fft=128, win_length=128, hop_length=32, n_mels=12, f_max=4000)


class Config:
    mel = MEL


class Hum:
    """A tone whose level follows the mel, frame by frame."""

    config = Config()

    def synthesize(self, mel, f0=None, lengths=None, generator=None):
        if mel.shape[1] != MEL.n_mels:
            raise ValueError("bands")
        valid = torch.full((len(mel),), mel.shape[2]) if lengths is None else lengths
        if int(valid.max()) > mel.shape[2]:
            raise ValueError("lengths")
        inside = torch.arange(mel.shape[2]) < valid[:, None]
        level = torch.where(inside[:, None], mel, 0.0).mean(1)
        if not torch.isfinite(level).all():
            raise ValueError("NaN")
        return level.tanh().repeat_interleave(MEL.hop_length, 1)

    def stream(self, chunks):
        for chunk in chunks:
            if chunk.shape[1]:
                yield self.synthesize(chunk[None])[0]


class Spreads(Hum):
    def synthesize(self, mel, f0=None, lengths=None, generator=None):
        wav = super().synthesize(mel, f0, lengths, generator)
        return wav + 0.1 * (wav != 0) * wav.mean(0, keepdim=True)


class Random(Hum):
    def synthesize(self, mel, f0=None, lengths=None, generator=None):
        return super().synthesize(mel, f0, lengths, generator) + 0.1 * torch.rand(1)


class Short(Hum):
    def synthesize(self, mel, f0=None, lengths=None, generator=None):
        return super().synthesize(mel, f0, lengths, generator)[:, :-1]


class Forgets(Hum):
    def stream(self, chunks):
        yield from list(super().stream(chunks))[:1]


class Swallows(Hum):
    def synthesize(self, mel, f0=None, lengths=None, generator=None):
        return super().synthesize(
            mel[:, : MEL.n_mels].expand(-1, MEL.n_mels, -1)
            if mel.shape[1] == 1
            else torch.nn.functional.pad(mel, (0, 0, 0, MEL.n_mels - mel.shape[1])),
            f0,
            lengths,
        )


def test_a_vocoder_that_keeps_the_contract_passes():
    check_vocoder(Hum())


@pytest.mark.parametrize(
    ("vocoder", "words"),
    [
        (Spreads(), "differs from the item alone"),
        (Random(), "gave other samples"),
        (Short(), "gave"),
        (Forgets(), "a stream in chunks"),
        (Swallows(), "a wrong number of bands must raise"),
        (object(), "lacks config"),
    ],
)
def test_a_vocoder_that_breaks_it_is_told_how(vocoder, words):
    with pytest.raises(AssertionError, match=words):
        check_vocoder(vocoder)


class Steps:
    """A codec of two codebooks: a level a frame, in coarse and fine steps."""

    sample_rate, frame_rate, codebook_sizes = 8000, 80.0, (4, 16)

    def encode(self, wav, lengths=None):
        level = wav.unfold(1, 100, 100).abs().mean(2).clamp(0, 0.999)
        return torch.stack([(level * 4).long(), (level * 64).long() % 16], dim=1)

    def decode(self, codes):
        return ((codes[:, 0] / 4 + codes[:, 1] / 64).repeat_interleave(100, 1)).float()

    def decode_latent(self, latent):
        return latent.mean(1).repeat_interleave(100, 1)


class OneBook(Steps):
    codebook_sizes = (4,)


class Overflows(Steps):
    codebook_sizes = (4, 2)


class Floats(Steps):
    def encode(self, wav, lengths=None):
        return super().encode(wav, lengths).float()


def test_a_codec_that_keeps_the_contract_passes():
    check_codec(Steps())


@pytest.mark.parametrize(
    ("codec", "words"),
    [(OneBook(), "2 rows of codes for 1"), (Overflows(), "codebook 1 of 2"), (Floats(), "not int64")],
)
def test_a_codec_that_breaks_it_is_told_how(codec, words):
    with pytest.raises(AssertionError, match=words):
        check_codec(codec)


class Nameless(ToyTask):
    def step(self, batch):
        for _, terms in super().step(batch):
            yield "nobody", terms


class Detached(ToyTask):
    def step(self, batch):
        for name, terms in super().step(batch):
            anchor = sum(p.sum() for p in self.judge.parameters())
            yield name, {term: value.detach() + anchor for term, value in terms.items()}


class Silent(ToyTask):
    def sample(self, batch):
        yield Sample(name="x", wav=np.zeros(3, np.float32))


def test_a_task_that_keeps_the_contract_passes():
    check_task(ToyTask, toy_recipe())


@pytest.mark.parametrize(
    ("task", "words"),
    [(Nameless, "'nobody'"), (Detached, "no parameter of the phase 'generator'"), (Silent, "no sampling rate")],
)
def test_a_task_that_breaks_it_is_told_how(task, words):
    with pytest.raises(AssertionError, match=words):
        check_task(task, toy_recipe())
