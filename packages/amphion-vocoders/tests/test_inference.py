import re
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import safetensors.torch
import torch

from amphion_core import audio
from amphion_core.features import MelConfig
from amphion_core.features.mel import mel_spectrogram
from amphion_core.features.pitch import f0
from amphion_core.testing.sounds import glide
from amphion_vocoders import (
    FaultyInputsError,
    NsfHiFiGAN,
    NsfHiFiGANConfig,
    Vocos,
    VocosConfig,
    inference,
    sources,
    synthesize,
)
from amphion_vocoders.sources import SourceReader, find_sources

MEL = MelConfig(sample_rate=8000, n_fft=128, win_length=128, hop_length=32, n_mels=12, f_max=4000)


@pytest.fixture
def model(tmp_path):
    torch.manual_seed(0)
    Vocos(VocosConfig(mel=MEL, dim=8, intermediate_dim=16, num_layers=1)).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def recordings(tmp_path):
    folder = tmp_path / "recordings"
    for name, duration in (("b.wav", 0.3), ("a.flac", 0.5), ("deep/c.wav", 0.2)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        audio.save(folder / name, glide(100, 200, 8000, duration).astype("float32"), 8000)
    return folder


def test_folder_is_copied_under_its_names(recordings, model, tmp_path):
    written = synthesize([recordings], model, tmp_path / "out")
    assert [str(path.relative_to(tmp_path / "out")) for path in written] == ["a.wav", "b.wav", "deep/c.wav"]
    assert [audio.info(path).frames for path in written] == [4000, 2400, 1600]
    assert audio.info(written[0]).sample_rate == 8000


def test_other_sampling_rates_are_brought_to_the_vocoders(model, tmp_path):
    audio.save(tmp_path / "x.wav", glide(100, 200, 16000, 0.4).astype("float32"), 16000)
    (path,) = synthesize([tmp_path / "x.wav"], model, tmp_path / "out", format="flac")
    assert path.name == "x.flac"
    assert audio.info(path)[:2] == (3200, 8000)


def test_rows_of_shards_are_named_by_their_keys(shards, model, tmp_path):
    written = synthesize([shards / "valid"], model, tmp_path / "out", limit=2)
    assert [path.name for path in written] == ["valid-0.wav", "valid-1.wav"]


def test_mels_in_both_layouts_and_in_tensors_give_the_same_samples(model, tmp_path):
    wav = torch.from_numpy(glide(100, 200, 8000, 0.3)).float()
    mel = mel_spectrogram(wav, MEL)
    np.save(tmp_path / "one.npy", mel.numpy())
    np.save(tmp_path / "two.npy", mel.numpy().T)
    safetensors.torch.save_file({"three": mel.contiguous()}, tmp_path / "many.safetensors")
    inputs = [tmp_path / name for name in ("one.npy", "two.npy", "many.safetensors")]
    written = synthesize(inputs, model, tmp_path / "out")
    assert written[2] == tmp_path / "out" / "many" / "three.wav"
    first, *others = [audio.load(path)[0] for path in written]
    assert all(np.array_equal(first, other) for other in others)


@pytest.mark.parametrize("batch", [2, 3])
def test_batches_change_nothing(recordings, model, tmp_path, batch):
    one = synthesize([recordings], model, tmp_path / "one")
    many = synthesize([recordings], model, tmp_path / "many", batch=batch)
    for a, b in zip(one, many, strict=True):
        np.testing.assert_allclose(audio.load(a)[0], audio.load(b)[0], atol=1e-4)  # steps of 16 bits are 3e-5


@pytest.mark.parametrize("name", ["griffin-lim", "world"])
def test_vocoders_without_weights_take_a_mel(recordings, tmp_path, name):
    (path,) = synthesize([recordings / "a.flac"], name, tmp_path / "out", mel=MEL)
    made, rate = audio.load(path)
    assert rate == 8000
    wav, _ = audio.load(recordings / "a.flac")
    assert abs(20 * np.log10(np.linalg.norm(made) / np.linalg.norm(wav))) < 3


def test_seed_decides_what_is_drawn(recordings, tmp_path):
    runs = [
        audio.load(synthesize([recordings / "b.wav"], "griffin-lim", tmp_path / str(n), seed=seed, mel=MEL)[0])[0]
        for n, seed in enumerate((1, 1, 2))
    ]
    assert np.array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


def test_seed_decides_what_a_stream_draws_too(recordings, tmp_path):
    runs = [
        audio.load(synthesize([recordings / "b.wav"], "griffin-lim", tmp_path / str(n), mel=MEL, **options)[0])[0]
        for n, options in enumerate(({"seed": 7}, {"seed": 7, "stream": 3}, {"seed": 8, "stream": 3}))
    ]
    # Griffin-Lim divides by magnitudes near 0, so that rounding grows with each iteration; steps of 16 bits are 3e-5.
    np.testing.assert_allclose(runs[1], runs[0], atol=5e-3)
    assert np.abs(runs[2] - runs[1]).max() > 0.05


class StrangersVocoder:
    """Streams as the contract says, and takes no generator."""

    def stream(self, chunks):
        yield from (chunk.sum(0) for chunk in chunks)


def test_streams_that_take_no_generator_are_given_none():
    clip = sources.MelClip(torch.ones(12, 9), None)
    (made,) = inference._stream(StrangersVocoder(), [clip], 5, 0)
    assert made.tolist() == [12] * 9


def test_clip_shorter_than_a_transform_is_still_copied(model, tmp_path):
    audio.save(tmp_path / "x.wav", np.full(10, 0.1, np.float32), 8000)
    (path,) = synthesize([tmp_path / "x.wav"], model, tmp_path / "out")
    assert audio.info(path).frames == 128


def test_two_inputs_for_one_output_are_refused(recordings, model, tmp_path):
    audio.save(tmp_path / "a.wav", np.zeros(800, np.float32), 8000)
    with pytest.raises(ValueError, match="would both be written to"):
        synthesize([recordings, tmp_path / "a.wav"], model, tmp_path / "out")


@pytest.mark.parametrize("given", [".", "b.wav", "deep/../b.wav"])
@pytest.mark.parametrize("limit", [None, 1])
def test_an_input_is_never_overwritten(recordings, model, given, limit):
    audio.save(recordings / "a.wav", np.zeros(800, np.float32), 8000)  # what a.flac would become, beyond the limit
    before = {path: path.read_bytes() for path in recordings.rglob("*.*")}
    inputs = [recordings / "a.flac", recordings] if given == "." else [recordings / given]
    with pytest.raises(ValueError, match=r"[ab]\.wav is one of the inputs and would be overwritten"):
        synthesize(inputs, model, recordings, limit=limit)
    assert {path: path.read_bytes() for path in recordings.rglob("*.*")} == before


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.zeros((7, 9), np.float32), r"has not the 12 bands .*; compute it with"),
        (np.full((12, 9), np.nan, np.float32), "NaN"),
    ],
)
def test_what_is_no_mel_is_refused(model, tmp_path, values, words):
    np.save(tmp_path / "x.npy", values)
    with pytest.raises(ValueError, match=words):
        synthesize([tmp_path / "x.npy"], model, tmp_path / "out")


def test_pickles_in_arrays_are_refused(model, tmp_path):
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"x\.npy"):
        synthesize([tmp_path / "x.npy"], model, tmp_path / "out")


@pytest.mark.parametrize("name", ["nothing", "empty"])
def test_nothing_to_synthesise_is_an_error(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=name):
        find_sources([tmp_path / name])


@pytest.mark.parametrize("options", [{}, {"batch": 3}, {"batch": 5}, {"stream": 4}])
def test_a_faulty_input_costs_only_itself(model, tmp_path, options):
    mel = mel_spectrogram(torch.from_numpy(glide(100, 200, 8000, 0.3)).float(), MEL).numpy()
    folder = tmp_path / "mels"
    folder.mkdir()
    values = {"a": mel, "b": mel * np.nan, "c": mel, "d": mel * 20 / 2.3, "e": mel[:, :0]}
    for name, value in values.items():
        np.save(folder / f"{name}.npy", value)
    (folder / "f.wav").write_bytes(b"RIFF")
    with pytest.raises(FaultyInputsError, match="4 of 6 inputs could not be synthesised") as caught:
        synthesize([folder], model, tmp_path / "out", **options)
    assert [path.name for path in caught.value.written] == ["a.wav", "c.wav"]
    assert all(audio.info(path).frames for path in caught.value.written)
    words = ["b.npy: mel holds NaN", "d.npy: .*decibels", "e.npy: mel has no frames", "f.wav"]
    for fault, word in zip(caught.value.faults, words, strict=True):
        assert re.search(word, fault)


@pytest.mark.parametrize("name", ["broken.wav", "broken.npy", "broken.safetensors"])
def test_a_broken_file_is_named_once(model, tmp_path, name):
    (tmp_path / name).write_bytes(b"no such thing")
    with pytest.raises(FaultyInputsError, match=rf"^{re.escape(str(tmp_path / name))} is no ") as caught:
        synthesize([tmp_path / name], model, tmp_path / "out")
    assert str(caught.value).count(name) == 1


@pytest.mark.parametrize("stream", [None, 4])
def test_samples_that_are_no_numbers_are_not_written(tmp_path, stream):
    vocoder = Vocos(VocosConfig(mel=MEL, dim=8, intermediate_dim=16, num_layers=1))
    torch.nn.init.constant_(vocoder.head.projection.bias, float("nan"))
    vocoder.save_pretrained(tmp_path / "model")
    audio.save(tmp_path / "x.wav", glide(100, 200, 8000, 0.3).astype("float32"), 8000)
    with pytest.raises(FaultyInputsError, match=r"x\.wav: the vocoder made samples that are NaN"):
        synthesize([tmp_path / "x.wav"], tmp_path / "model", tmp_path / "out", stream=stream)


def test_a_file_given_twice_and_a_file_as_folder_are_told(recordings, model, tmp_path):
    with pytest.raises(ValueError, match=r"a\.flac is given twice"):
        synthesize([recordings, recordings / "a.flac"], model, tmp_path / "out")
    with pytest.raises(FileExistsError, match=r"b\.wav is a file; give the folder"):
        synthesize([recordings / "a.flac"], model, recordings / "b.wav")


class CarefulVocoder:
    """Refuses what is long."""

    class Config(NamedTuple):
        mel: MelConfig = MEL

    config = Config()

    def synthesize(self, mel, f0=None, lengths=None, generator=None):
        if mel.shape[2] > 20:
            raise ValueError("too long for me")
        return torch.zeros(mel.shape[0], mel.shape[2] * MEL.hop_length)


def test_what_the_vocoder_itself_refuses_costs_only_itself_too():
    jobs = [
        inference._Job(
            sources.Source(name, Path(name)), Path(f"{name}.wav"), sources.MelClip(torch.ones(12, count), None)
        )
        for name, count in (("a", 9), ("b", 21), ("c", 20))
    ]
    faults = []
    made = list(inference._made(CarefulVocoder(), jobs, 0, None, faults))
    assert [(path.name, wav.shape) for path, wav in made] == [("a.wav", (288,)), ("c.wav", (640,))]
    assert faults == ["b: too long for me"]


def test_a_mel_without_f0_takes_none_from_those_beside_it(tmp_path):
    mel = mel_spectrogram(torch.from_numpy(glide(100, 200, 8000, 0.3)).float(), MEL).numpy()
    for name in ("a", "b"):
        np.save(tmp_path / f"{name}.npy", mel)
    np.save(tmp_path / "a.f0.npy", np.full(mel.shape[1], 150.0))
    inputs = [tmp_path / "a.npy", tmp_path / "b.npy"]
    one, two = (synthesize(inputs, "world", tmp_path / str(n), mel=MEL, batch=n) for n in (1, 2))
    for path, other in zip(one, two, strict=True):
        assert path.read_bytes() == other.read_bytes()


def test_recordings_beside_shards_are_synthesised_too(shards, model, tmp_path):
    folder = tmp_path / "mixed"
    shutil.copytree(shards / "valid", folder)
    shutil.copytree(shards / "valid", folder / "more")
    audio.save(folder / "extra.wav", np.zeros(800, np.float32), 8000)
    written = synthesize([folder], model, tmp_path / "out")
    rows = [f"valid-{i}.wav" for i in range(3)]
    names = [*rows, *(f"more/{row}" for row in rows), "extra.wav"]
    assert [str(path.relative_to(tmp_path / "out")) for path in written] == names


def test_f0_alone_is_nothing_to_synthesise(model, tmp_path):
    np.save(tmp_path / "a.f0.npy", np.full(9, 150.0))
    with pytest.raises(FileNotFoundError, match=r"nothing to synthesise: .*a\.f0\.npy; F0 goes beside a mel"):
        synthesize([tmp_path / "a.f0.npy"], model, tmp_path / "out")


@pytest.mark.parametrize("content", [None, b"cut"])
def test_tensors_without_a_mel_are_told_by_name(model, tmp_path, content):
    path = tmp_path / "x.safetensors"
    if content is None:
        safetensors.torch.save_file({}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.safetensors(: it holds no tensors| is no whole)"):
        synthesize([path], model, tmp_path / "out")


@pytest.fixture
def pitched(tmp_path):
    torch.manual_seed(0)
    config = NsfHiFiGANConfig(
        mel=MEL,
        channels=8,
        rates=(4, 4, 2),
        kernel_sizes=(8, 8, 4),
        block_kernel_sizes=(3,),
        block_dilations=((1, 3),),
    )
    NsfHiFiGAN(config).save_pretrained(tmp_path / "pitched")
    return tmp_path / "pitched"


def test_recordings_bring_their_f0(recordings, pitched, tmp_path):
    (path,) = synthesize([recordings / "a.flac"], pitched, tmp_path / "out")
    wav, _ = audio.load(recordings / "a.flac")
    mel = mel_spectrogram(torch.from_numpy(wav), MEL)
    contour = torch.from_numpy(f0(wav, 8000, hop_length=32, f_min=50, f_max=1100, frames=mel.shape[1])).float()
    generator = torch.Generator().manual_seed(0)
    made = NsfHiFiGAN.from_pretrained(pitched).synthesize(mel[None], f0=contour[None], generator=generator)
    np.testing.assert_allclose(audio.load(path)[0], made[0].numpy(), atol=1e-4)  # steps of 16 bits are 3e-5


def test_f0_beside_a_mel_is_read_from_every_kind_of_file(pitched, tmp_path):
    mel = mel_spectrogram(torch.from_numpy(glide(100, 200, 8000, 0.3)).float(), MEL)
    contour = torch.linspace(100, 200, mel.shape[1])
    folder = tmp_path / "mels"
    folder.mkdir()
    np.save(folder / "a.npy", mel.numpy())
    np.save(folder / "a.f0.npy", contour.numpy())
    np.savez(folder / "b.npz", mel=mel.numpy(), f0=contour.numpy())
    safetensors.torch.save_file({"mel": mel.contiguous(), "f0": contour}, folder / "c.safetensors")
    safetensors.torch.save_file({"x": mel.contiguous(), "x.f0": contour}, folder / "d.safetensors")
    written = synthesize([folder], pitched, tmp_path / "out")
    assert [str(p.relative_to(tmp_path / "out")) for p in written] == ["a.wav", "b.wav", "c.wav", "d/x.wav"]
    first, *others = [audio.load(path)[0] for path in written]
    assert all(np.array_equal(first, other) for other in others)


def test_a_mel_without_f0_is_refused_by_name(pitched, tmp_path):
    np.save(tmp_path / "x.npy", np.full((12, 9), -4, np.float32))
    with pytest.raises(ValueError, match=r"x\.npy: this vocoder needs F0 beside the mel.*NAME\.f0\.npy"):
        synthesize([tmp_path / "x.npy"], pitched, tmp_path / "out")


@pytest.mark.parametrize("count", [10, 74, 76, 1000])
@pytest.mark.parametrize("kind", ["trained", "world"])
def test_f0_of_another_length_than_its_mel_is_refused_by_name(pitched, tmp_path, kind, count):
    mel = mel_spectrogram(torch.from_numpy(glide(100, 200, 8000, 0.3)).float(), MEL)  # 75 frames
    np.save(tmp_path / "x.npy", mel.numpy())
    np.save(tmp_path / "x.f0.npy", np.full(count, 150, np.float32))
    with pytest.raises(ValueError, match=rf"x\.npy: f0 has shape \(1, {count}\), the mel needs \(1, 75\)"):
        synthesize([tmp_path / "x.npy"], pitched if kind == "trained" else kind, tmp_path / "out", mel=MEL)


def test_long_recordings_are_analysed_in_pieces_that_equal_the_whole(monkeypatch):
    wav = torch.from_numpy(glide(100, 300, 8000, 2.0)).float()
    for padding in ("same", "center", "none"):
        config = MEL.updated(padding=padding)
        whole = SourceReader(config, torch.device("cpu"))._mel(wav)
        monkeypatch.setattr(sources, "ANALYSED_FRAMES", 30)
        pieces = SourceReader(config, torch.device("cpu"))._mel(wav)
        monkeypatch.undo()
        assert pieces.shape == whole.shape == (12, config.frames(wav.shape[0]))
        torch.testing.assert_close(pieces, whole, atol=1e-5, rtol=0)
