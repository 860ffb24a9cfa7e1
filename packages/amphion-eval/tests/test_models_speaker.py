"""Networks of speakers: layouts of the public weights, numbers of the original, batches, clips without an output."""

import contextlib

import numpy as np
import pytest

from amphion_eval.models import catalogue, quality_catalogue
from amphion_eval.models.clips import trimmed

torch = pytest.importorskip("torch")
with contextlib.suppress(ImportError):  # transformers imports it late: a test on `meta` would leave it constants there
    import torchaudio  # noqa: F401

pytestmark = pytest.mark.extra("speaker")

RATE = 16000


def closed_form(shapes):
    """Weights that anybody can make again, without a generator."""
    made = {}
    for number, (name, shape) in enumerate(sorted(shapes.items())):
        wave = np.sin(np.arange(int(np.prod(shape))) * 0.61803 + number).reshape(shape)
        if name.endswith("num_batches_tracked"):
            wave = np.array(1)
        elif name.endswith("running_var") or (name.endswith("weight") and len(shape) == 1):
            wave = 1 + 0.3 * wave
        else:
            wave = wave / max(1, int(np.prod(shape[1:]))) ** 0.5
        made[name] = torch.tensor(wave, dtype=torch.int64 if wave.ndim == 0 and wave == 1 else torch.float32)
    return made


def chirp(seconds=1.5):
    t = np.arange(int(seconds * RATE)) / RATE
    return (0.3 * np.sin(2 * np.pi * (200 + 900 * t) * t) * (0.6 + 0.4 * np.sin(9 * t))).astype(np.float32)


def meta(shapes):
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


def shapes_of(tensors):
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def tiny_wavlm():
    from transformers import WavLMConfig

    from amphion_eval.models.wavlm_sv import WavlmEcapa

    torch.manual_seed(0)
    config = WavLMConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, conv_dim=(8,) * 7,
        feat_extract_norm="layer", do_stable_layer_norm=True, num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    return WavlmEcapa(config, channels=32, dim=8)


def tiny_xvector(folder):
    from transformers import Wav2Vec2FeatureExtractor, WavLMConfig, WavLMForXVector

    torch.manual_seed(0)
    config = WavLMConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, conv_dim=(8,) * 7,
        num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2, tdnn_dim=(16, 16, 16, 16, 24),
        xvector_output_dim=12,
    )  # fmt: skip
    WavLMForXVector(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=False, return_attention_mask=True).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """Each as a function of clips, with random weights; GE2E as its small self."""
    from amphion_eval.models import ecapa, ge2e, rawnet3, resnet34, wavlm_sv

    torch.manual_seed(0)
    encoder = ge2e.SpeakerEncoder(dim=16, num_layers=2).eval()
    return {
        "resemblyzer": lambda clips: ge2e.embed(encoder, list(clips)),
        "speechbrain-ecapa": ecapa.batched(ecapa.EcapaTdnn(channels=32, dim=8), "cpu"),
        "wespeaker-resnet34-lm": resnet34.batched(resnet34.ResNet34(channels=4, dim=8), "cpu"),
        "rawnet3": rawnet3.batched(rawnet3.RawNet3(channels=32, dim=8, merged=24), "cpu"),
        "wavlm-large-ecapa": wavlm_sv.batched(tiny_wavlm(), "cpu"),
        "wavlm-base-plus-sv": wavlm_sv.load_xvector(tiny_xvector(tmp_path_factory.mktemp("xvector")), "cpu"),
    }


ALL = pytest.mark.parametrize(
    "name",
    ["resemblyzer", "speechbrain-ecapa", "wespeaker-resnet34-lm", "rawnet3", "wavlm-large-ecapa", "wavlm-base-plus-sv"],
)


def clips(tone):
    return [tone(f0, seconds, gain=0.3).astype(np.float32) for f0, seconds in ((120, 2.0), (200, 1.1), (150, 2.0))]


@pytest.mark.slow
@ALL
def test_embedding_is_the_same_alone_and_in_a_batch(name, networks, tone):
    together = networks[name](clips(tone))
    for row, clip in zip(together, clips(tone), strict=True):
        alone = networks[name]([clip])[0]
        assert row == pytest.approx(alone, abs=2e-5)  # other sizes of matrices sum in another order
        assert np.linalg.norm(row) == pytest.approx(1.0, abs=1e-5)
    assert np.abs(together[0] - together[1]).max() > 1e-4


@pytest.mark.parametrize("name", ["speechbrain-ecapa", "wespeaker-resnet34-lm", "rawnet3", "wavlm-large-ecapa"])
def test_length_of_the_silence_around_a_clip_does_not_matter(name, networks, tone):
    clip = clips(tone)[0]
    some, more = (networks[name]([np.pad(clip, (silence, silence))])[0] for silence in (1600, 16000))
    assert some == pytest.approx(more, abs=1e-6)
    assert trimmed(np.pad(clip, (16000, 16000)), RATE).size == pytest.approx(clip.size, abs=2400)  # 50 ms stay


@pytest.mark.parametrize("name", ["speechbrain-ecapa", "wespeaker-resnet34-lm", "rawnet3", "wavlm-large-ecapa"])
def test_silent_and_short_clips_have_no_embedding(name, networks, tone):
    silent, short, fine = networks[name]([np.zeros(RATE, np.float32), clips(tone)[0][8000:8160], clips(tone)[0]])
    assert "no sample" in silent.reason and "s are shorter than the 1 s" in short.reason
    assert fine.shape == (8,)


def test_clip_without_speech_has_no_ge2e_embedding(networks):
    output = networks["resemblyzer"]([np.full(RATE, 1e-3, np.float32)])[0]
    assert output.reason == "no speech is found in the clip"


# Layouts of the public weights


@pytest.mark.parametrize("name", ["speechbrain-ecapa", "wespeaker-resnet34-lm", "rawnet3", "resemblyzer"])
@pytest.mark.slow
def test_weights_in_the_public_layout_load_whole_and_give_embeddings(name, random_weights, tmp_path, tone, monkeypatch):
    from amphion_eval.models import ecapa, ge2e, rawnet3, resnet34

    monkeypatch.setattr(rawnet3, "_WINDOWS", 1)  # ten take ten times as long

    loaders = {
        "speechbrain-ecapa": (ecapa.load, lambda tensors: tensors),
        "wespeaker-resnet34-lm": (resnet34.load, lambda tensors: tensors),
        "rawnet3": (rawnet3.load, lambda tensors: {"model": tensors}),
        "resemblyzer": (ge2e.load, lambda tensors: {"step": 1, "model_state": tensors, "optimizer_state": {}}),
    }
    load, nested = loaders[name]
    torch.save(nested(random_weights(name)), tmp_path / "weights.pt")
    output = load(tmp_path / "weights.pt", "cpu")([clips(tone)[0]])[0]
    assert output.shape == ((192 if name == "speechbrain-ecapa" else 256),) and np.isfinite(output).all()


def test_every_weight_of_wavlm_large_with_its_head_has_one_place(keys):
    from amphion_eval.models import wavlm_sv

    with torch.device("meta"):
        own = shapes_of(wavlm_sv.WavlmEcapa(wavlm_sv._large_config()).state_dict())
    assert shapes_of(wavlm_sv._own_keys(meta(keys("wavlm-large-ecapa")))) == own


@pytest.mark.slow
def test_weights_of_another_network_are_refused_by_their_names(random_weights, tmp_path):
    from amphion_eval.models import ecapa

    torch.save(random_weights("wespeaker-resnet34-lm"), tmp_path / "weights.pt")
    with pytest.raises(ValueError, match=r"does not fit EcapaTdnn: missing keys \(231\): .* unknown keys \(219\)"):
        ecapa.load(tmp_path / "weights.pt", "cpu")


def test_planted_code_in_weights_is_not_run(tmp_path):
    from amphion_eval.models import rawnet3

    class Planted:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"model": Planted()}, tmp_path / "model.pt")
    with pytest.raises(ValueError, match=r"model\.pt"):
        rawnet3.load(tmp_path / "model.pt", "cpu")
    assert not (tmp_path / "ran").exists()


# Numbers of the originals and of independent programs


@pytest.mark.slow
def test_ecapa_gives_the_numbers_of_speechbrain(keys):
    from amphion_eval.models import ecapa

    model = ecapa.EcapaTdnn()
    model.load_state_dict(closed_form(keys("speechbrain-ecapa")))
    # speechbrain 1.1.2: Fbank(n_mels=80), sentence mean, ECAPA_TDNN with these weights, normalised to length 1
    expected = [0.061269, -0.100198, 0.049457, 0.045793, -0.105056, 0.056703, 0.036172, -0.099673]
    assert ecapa.batched(model, "cpu")([chirp()])[0][:8] == pytest.approx(expected, abs=2e-6)


def test_filters_of_rawnet_pass_their_band_and_no_other():
    from amphion_eval.models.rawnet3 import SincFilters

    filters = SincFilters(256, 251)
    response = np.abs(np.fft.rfft(filters().detach().numpy()[:, 0], 16000))  # a bin a Hz
    low = 50 + filters.low_hz_.detach().numpy()[:, 0]
    high = np.minimum(low + 50 + filters.band_hz_.detach().numpy()[:, 0], 8000)
    for number in (40, 80, 120):  # the lower bands are narrower than the window can tell apart
        middle = int((low[number] + high[number]) / 2)
        even, odd = response[number], response[number + 128]
        assert even[middle] > 10 * even[max(0, int(low[number]) - 250)]
        assert even[middle] == pytest.approx(odd[middle], rel=0.05)  # cosine and sine of one band


def test_frames_of_kaldi_are_those_of_torchaudio(noise):
    kaldi = pytest.importorskip("torchaudio").compliance.kaldi
    from amphion_eval.models.kaldi import log_mel

    wav = noise(0.5) * 32768
    expected = kaldi.fbank(
        torch.from_numpy(wav)[None], num_mel_bins=80, window_type="hamming", sample_frequency=16000, dither=0.0
    )
    assert np.abs(log_mel(wav, 80, RATE) - expected.numpy()).max() < 2e-3  # that one computes in float32


def test_windows_of_rawnet_cover_the_clip_evenly_and_wrap_a_short_one():
    from amphion_eval.models.rawnet3 import windows

    ramp = np.arange(16000 * 12, dtype=np.float32)
    starts = windows(ramp)[:, 0]
    assert starts[0] == 0 and starts[-1] == 16000 * 9 and np.ptp(np.diff(starts)) <= 1
    assert np.array_equal(windows(ramp[:16000])[3], np.tile(ramp[:16000], 3))


@pytest.mark.parametrize(("seconds", "count"), [(0.3, 1), (1.6, 1), (2.4, 2), (4.0, 4)])
def test_partial_utterances_overlap_by_half_and_drop_a_mostly_empty_end(seconds, count, noise):
    from amphion_eval.models.ge2e import partials

    assert partials(noise(seconds)).shape == (count, 160, 40)


# Names


def test_unknown_speaker_model_is_refused_with_what_there_is():
    with pytest.raises(ValueError, match=r"no speaker model 'x': resemblyzer.*OWNER/NAME"):
        catalogue.speaker("x")


def test_every_name_is_that_of_its_model_and_identities_differ():
    models = [*catalogue.SPEAKERS.values(), *quality_catalogue.QUALITY.values()]
    assert [model.name for model in models] == [*catalogue.SPEAKERS, *quality_catalogue.QUALITY]
    trims = [catalogue.SPEAKERS[f"wavlm-large-ecapa{end}"].parameters for end in ("", "-untrimmed")]
    assert trims == [{"trim_db": -40.0}, {}]
