"""Separation in tiles: the spectrum and its inverse, streaming against the published tiling, memory."""

import numpy as np
import pytest

from amphion_data.pipe import uvr
from amphion_data.pipe.fading import cut, faded, hann_rise
from amphion_data.pipe.pyannote import exclusive
from amphion_data.pipe.stages import find_stage
from amphion_data.pipe.uvr import UvrOptions, UvrSeparator, spectrum, waveform


@pytest.fixture
def small(monkeypatch):
    """The same tiling, sixteen times as small."""
    sizes = {"RATE": 2756, "N_FFT": 384, "HOP": 64, "BINS": 192, "FRAMES": 256}
    sizes |= {"WINDOW": 64 * 255, "TRIM": 192, "STEP": 64 * 255 - 384, "TILE": 15 * 2756, "MARGIN": 2756}
    for name, value in sizes.items():
        monkeypatch.setattr(uvr, name, value)


def noise(length, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, (2, length)).astype(np.float32)


def low_pass(values):
    """A network that takes the lower half of the bins for accompaniment, a little less loud where it is loud."""
    found = values.copy()
    found[:, :, values.shape[2] // 2 :] = 0
    return np.tanh(found)


def published(wav, network):
    """The tiling of the published pipeline, the whole recording at once."""
    total = wav.shape[1]
    found = np.zeros_like(wav)
    for first in range(0, total, uvr.TILE):
        begin, end = max(0, first - uvr.MARGIN), min(total, first + uvr.TILE + uvr.MARGIN)
        chunk = wav[:, begin:end]
        pad = uvr.STEP - chunk.shape[1] % uvr.STEP
        padded = np.concatenate([np.zeros((2, uvr.TRIM)), chunk, np.zeros((2, pad)), np.zeros((2, uvr.TRIM))], axis=1)
        parts = []
        for at in range(0, chunk.shape[1] + pad, uvr.STEP):
            window = padded[:, at : at + uvr.WINDOW].astype(np.float32)
            given = spectrum(window[None])
            parts.append(waveform(0.5 * network(given) - 0.5 * network(-given))[0][:, uvr.TRIM : -uvr.TRIM])
        music = np.concatenate(parts, axis=1)[:, : chunk.shape[1]]
        own = slice(first - begin, first - begin + min(uvr.TILE, total - first))
        found[:, first : first + uvr.TILE] = chunk[:, own] - music[:, own]
    return found


def blocks(wav, size):
    return (wav[:, k : k + size] for k in range(0, wav.shape[1], size))


@pytest.mark.slow
def test_spectrum_has_the_shape_of_the_network_and_comes_back():
    wav = noise(uvr.WINDOW)[None]
    given = spectrum(wav)
    assert given.shape == (1, 4, 3072, 256) and given.dtype == np.float32
    back = waveform(given)
    smooth = np.cumsum(wav, axis=-1) * 0.01  # hardly anything in the bin that is left out
    assert np.abs(waveform(spectrum(smooth)) - smooth).max() < 1e-3
    assert np.abs(back - wav).max() < 0.05


@pytest.mark.parametrize("seconds", [0.5, 14.0, 15.0, 15.5, 29.9, 47.0])
@pytest.mark.parametrize("size", [5000, 10**7])
def test_streaming_is_the_published_tiling(small, seconds, size):
    wav = noise(round(seconds * 2756))
    stage = UvrSeparator(UvrOptions(path="x", batch=2), low_pass, "test")
    found = np.concatenate(list(stage.stream(blocks(wav, size))), axis=1)
    assert found.shape == wav.shape
    assert np.abs(found - published(wav, low_pass)).max() < 1e-4


def test_a_network_that_hears_no_music_leaves_the_recording(small):
    wav = noise(60_000)
    stage = UvrSeparator(UvrOptions(path="x"), np.zeros_like, "test")
    assert np.array_equal(np.concatenate(list(stage.stream([wav])), axis=1), wav)


def test_mono_is_doubled_and_six_channels_are_averaged(small):
    stage = UvrSeparator(UvrOptions(path="x"), np.zeros_like, "test")
    wav = noise(9000)[:1]
    assert np.array_equal(next(stage.stream([wav])), np.repeat(wav, 2, axis=0))
    assert next(stage.stream([np.repeat(wav, 6, axis=0)])) == pytest.approx(np.repeat(wav, 2, axis=0), abs=1e-7)


def test_weights_that_are_absent_are_named():
    with pytest.raises(FileNotFoundError, match=r"Inst_HQ_3\.onnx.*uvr\.path=FILE; or take --separate none"):
        find_stage("separate", "uvr", {})
    with pytest.raises(FileNotFoundError, match="no weights of uvr at nowhere"):
        find_stage("separate", "uvr", {"path": "nowhere"})


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("length", [10, 99, 199, 200, 201, 1000, 1234])
def test_pieces_fade_into_one_another_without_a_trace(length, batch):
    wav = noise(length)
    pieces = cut(blocks(wav, 70), 200, 50)
    found = np.concatenate(list(faded(pieces, list, hann_rise(50), batch)), axis=1)
    assert found.shape == wav.shape and found == pytest.approx(wav, abs=1e-6)


def test_pieces_that_differ_are_mixed_by_half_a_hann_window():
    pieces = [np.zeros((1, 8), np.float32), np.ones((1, 8), np.float32)]
    found = np.concatenate(list(faded(pieces, list, hann_rise(4))), axis=1)[0]
    wanted = 0.5 - 0.5 * np.cos(np.pi * np.array([0.5, 1.5, 2.5, 3.5]) / 4)
    assert found == pytest.approx([0, 0, 0, 0, *wanted, 1, 1, 1, 1], abs=1e-7)


def echo(values):
    """A linear time-invariant network: half of the sound, and a third of it two samples later."""
    bins = values.shape[2]
    turn = np.exp(-2j * np.pi * 2 * np.arange(bins) / uvr.N_FFT)[None, None, :, None]
    gain = 0.5 + turn / 3
    parts = values.reshape(len(values), 2, 2, bins, values.shape[3])
    found = (parts[:, :, 0] + 1j * parts[:, :, 1]) * gain
    return np.stack([found.real, found.imag], axis=2).reshape(values.shape).astype(np.float32)


@pytest.mark.parametrize("fade", [0.1, 1.0, 2.0])
@pytest.mark.parametrize("seconds", [0.01, 0.5, 5.7, 5.79, 5.8, 15.0, 29.9, 47.0])
def test_faded_windows_are_the_plain_tiling_for_a_linear_time_invariant_network(small, seconds, fade):
    """Only the bin that is left out differs between windows; a low-passed sound has next to nothing in it."""
    wav = np.cumsum(noise(round(seconds * 2756)), axis=1) * np.float32(0.01)
    plain, soft = (UvrSeparator(UvrOptions(path="x", fade=f), echo, "test") for f in (0, fade))
    found = np.concatenate(list(soft.stream(blocks(wav, 4000))), axis=1)
    wanted = np.concatenate(list(plain.stream(blocks(wav, 4000))), axis=1)
    assert found.shape == wav.shape and np.abs(found - wanted).max() < 1e-4
    assert seconds < 1 or np.abs(found - wav).max() > 0.01


@pytest.mark.slow
def test_faded_windows_are_the_plain_tiling_at_the_size_of_the_release_too():
    wav = np.cumsum(noise(20 * 44_100), axis=1) * np.float32(0.002)
    plain, soft = (UvrSeparator(UvrOptions(path="x", fade=f, batch=2), echo, "test") for f in (0, 1.0))
    found = np.concatenate(list(soft.stream(blocks(wav, 400_000))), axis=1)
    wanted = np.concatenate(list(plain.stream(blocks(wav, 400_000))), axis=1)
    assert found.shape == wav.shape and np.abs(found - wanted).max() < 1e-4 < 0.01 < np.abs(found - wav).max()


def test_batches_do_not_change_faded_windows(small):
    wav = noise(90_000)
    one, four = (UvrSeparator(UvrOptions(path="x", fade=0.5, batch=b), low_pass, "test") for b in (1, 4))
    assert np.concatenate(list(one.stream([wav])), axis=1) == pytest.approx(
        np.concatenate(list(four.stream(blocks(wav, 777))), axis=1), abs=1e-6
    )


@pytest.mark.parametrize("fade", [0.0, 0.5])
def test_an_hour_is_held_in_the_memory_of_a_few_windows(small, fade):
    """What is held between two blocks does not depend on what came before."""
    import tracemalloc

    stage = UvrSeparator(UvrOptions(path="x", fade=fade, batch=2), np.zeros_like, "test")
    peaks = []
    for minutes in (2, 8):
        tracemalloc.start()
        count = sum(part.shape[1] for part in stage.stream(noise(2756 * 10) for _ in range(6 * minutes)))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert count == 2756 * 60 * minutes
    assert peaks[1] < 1.1 * peaks[0]


class Quiet:
    """A gate that finds tiles clean whose samples are small."""

    def __call__(self, wav, sample_rate):
        return bool(np.abs(wav).max() < 0.05)


@pytest.mark.parametrize("fade", [0.0, 0.5])
def test_clean_tiles_are_left_as_they_are_and_counted(small, fade):
    rate, calls = 2756, []
    wav = noise(75 * rate)
    wav[:, 30 * rate : 60 * rate] *= 0.01

    def network(values):
        calls.append(len(values))
        return low_pass(values)

    stage = UvrSeparator(UvrOptions(path="x", fade=fade), network, "test", Quiet())
    every = UvrSeparator(UvrOptions(path="x", fade=fade), low_pass, "test")
    for _ in range(2):  # a second recording counts anew
        found = np.concatenate(list(stage.stream(blocks(wav, 5000))), axis=1)
        assert 20 < stage.clean_seconds <= 30 and (fade or stage.clean_seconds == 30)
    wanted = np.concatenate(list(every.stream(blocks(wav, 5000))), axis=1)
    middle = slice(38 * rate, 52 * rate)  # windows that reach out of the quiet part are separated
    assert np.array_equal(found[:, middle], wav[:, middle])
    assert found[:, : 29 * rate] == pytest.approx(wanted[:, : 29 * rate], abs=1e-5)
    assert sum(calls) < 2 * 2 * (75 / 15 * 4)  # of twice as many without the gate, in two runs and both signs


@pytest.mark.slow
def test_the_gate_of_dnsmos_tells_a_quiet_background_from_a_loud_one(conversation):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("speechmos")
    from conversation import RATE, converse

    from amphion_data.pipe.gate import CleanGate

    gate = CleanGate(3.5, "cpu")
    clean = converse(1, 2, seed=2, noise=1e-4, overlaps=0, music_seconds=0.0).wav[None, : 12 * RATE]
    noisy = clean + 0.05 * np.random.default_rng(0).normal(size=clean.shape).astype(np.float32)
    assert gate(clean, RATE) and not gate(noisy, RATE)
    assert not CleanGate(5.0, "cpu")(clean, RATE)


def test_turns_that_overlap_become_exclusive():
    turns, overlaps = exclusive([(0, 100, "B"), (80, 200, "A"), (150, 160, "B"), (300, 310, "A")])
    assert overlaps == [(80, 100), (150, 160)]
    assert turns == [(0, 80, 0), (100, 150, 1), (160, 200, 1), (300, 310, 1)]


@pytest.mark.parametrize(
    ("kind", "name", "extra"),
    [("diarise", "pyannote", "diarize"), ("separate", "demucs", "demucs")],
)
def test_packages_that_are_absent_are_named(kind, name, extra):
    from importlib.util import find_spec

    if find_spec({"pyannote": "pyannote", "demucs": "demucs"}[name]) is not None:
        pytest.skip(f"{name} is installed")
    with pytest.raises(ImportError, match=rf"amphion-data\[{extra}\]"):
        find_stage(kind, name, {})


@pytest.fixture
def tiny(tmp_path):
    """A network of UVR's shape that takes all for accompaniment."""
    pytest.importorskip("onnxruntime")
    from tiny_onnx import tiny_onnx

    return tiny_onnx(tmp_path / "tiny.onnx", "Identity", ("batch", 4, 3072, 256))


@pytest.mark.slow
@pytest.mark.parametrize(("fade", "batch"), [(0.0, 1), (0.0, 4), (1.0, 2)])
def test_a_network_in_a_file_goes_through_onnx_runtime_at_its_own_size(tiny, fade, batch):
    """Half of all is accompaniment by `compensate`, so half of the recording is left, but for the bin left out."""
    stage = find_stage("separate", "uvr", {"path": str(tiny), "fade": fade, "batch": batch, "compensate": 0.5})
    assert stage.identity.startswith("uvr tiny ") and stage.sample_rate == 44_100
    wav = np.cumsum(noise(16 * 44_100), axis=1) * np.float32(0.01)
    found = np.concatenate(list(stage.stream(blocks(wav, 100_000))), axis=1)
    assert found.shape == wav.shape and np.abs(found - 0.5 * wav).max() < 1e-3
    assert stage.clean_seconds == 0


@pytest.mark.slow
def test_the_report_says_how_much_needed_no_separation(tiny, conversation, tmp_path, cheap):
    """A clean recording passes the gate of DNSMOS, one in loud noise does not."""
    pytest.importorskip("speechmos")
    import soundfile
    from conversation import RATE, converse

    from amphion_core.data import ShardSet
    from amphion_data.pipe import run_pipe

    clean = converse(1, 2, seed=2, noise=1e-4, overlaps=0, music_seconds=0.0).wav[: 11 * RATE]
    noisy = clean + 0.05 * np.random.default_rng(0).normal(size=clean.size)
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in" / "clean.wav", clean, RATE)
    soundfile.write(tmp_path / "in" / "noisy.wav", noisy, RATE)
    options = {"uvr": {"path": str(tiny), "compensate": 0.9, "clean": 3.5}, "energy": {"floor": -70.0, "above": 6.0}}
    report = run_pipe(tmp_path / "in", tmp_path / "out", cheap(separate="uvr", options=options))
    assert report.hours["clean"] == pytest.approx(len(clean) / RATE / 3600, abs=1e-4)
    assert report.hours["decoded"] == pytest.approx(2 * report.hours["clean"], rel=1e-3)
    assert "clean" in report.to_text() and "unless clean 3.5" in report.models["separate"]
    shards = ShardSet.open(tmp_path / "out" / "shards")
    levels = {}
    for row in range(len(shards)):
        held = shards.utterance(row)
        gain = 10 ** (held.extra["gain_db"] / 20)
        levels.setdefault(held.extra["source"], []).append(float(np.std(shards.audio(row)[0])) / gain)
    assert min(levels["clean.wav"]) > 0.05  # as it was recorded; separated it is a tenth of that
