import weakref
from dataclasses import replace

import numpy as np
import pytest

from amphion_core import audio
from amphion_core.extras import MissingExtraError
from amphion_eval import inference
from amphion_eval.cache import Store
from amphion_eval.inference import Networks
from amphion_eval.model import Model
from amphion_eval.pairing import Clip
from amphion_eval.reading import Reader
from amphion_eval.settings import Settings
from amphion_eval.values import Undefined

CALLS = []


def padded_means(wavs):
    """A network in small: it pads a batch and masks what it padded."""
    CALLS.append([len(wav) for wav in wavs])
    lengths = np.array([len(wav) for wav in wavs])
    batch = np.stack([np.pad(wav, (0, lengths.max() - len(wav))) for wav in wavs])
    return list((np.cumsum(np.abs(batch), axis=1)[np.arange(len(wavs)), lengths - 1] / lengths)[:, None])


def load_means(device):
    return padded_means


MEANS = Model("means", load_means)


@pytest.fixture(autouse=True)
def no_calls():
    CALLS.clear()


def tones(*seconds, rate=16000):
    return [Clip.of(0.1 * np.sin(np.arange(int(s * rate)) * (1 + n) / 9), rate) for n, s in enumerate(seconds)]


def run(folder, clips, model=MEANS, on_error="fail", **options):
    reader = Reader(Settings(), store=Store(folder / "kept"), on_error=on_error)
    networks = Networks(reader, Store(folder / "scratch"), device="cpu", **options)
    for clip in clips:
        networks.ask(model, clip)
    networks.run()
    return [networks.output(model, clip) for clip in clips]


def test_outputs_are_the_same_for_any_batch_and_order(tmp_path):
    clips = tones(0.3, 1.0, 0.2, 0.5)
    alone = run(tmp_path / "1", clips, batch=1)
    assert [len(call) for call in CALLS] == [1, 1, 1, 1]
    for number, options in enumerate(({"batch": 3}, {})):
        assert np.allclose(alone, run(tmp_path / f"b{number}", clips, **options), rtol=1e-12)
    assert np.array_equal(alone[::-1], run(tmp_path / "r", clips[::-1], batch=1))


def test_batches_go_by_length_and_hold_so_many_seconds_at_most(tmp_path, monkeypatch):
    monkeypatch.setattr(inference, "_SECONDS_CPU", 1.0)
    run(tmp_path, tones(0.25, 1.5, 0.2, 0.5, 0.4))
    assert CALLS == [[24000], [8000, 6400], [4000, 3200]]


def test_clips_of_equal_content_run_once(tmp_path):
    (clip,) = tones(0.2)
    audio.save(tmp_path / "a.wav", clip.samples, 16000)
    (tmp_path / "b.wav").write_bytes((tmp_path / "a.wav").read_bytes())
    first, second = run(tmp_path, [Clip(str(tmp_path / "a.wav")), Clip(str(tmp_path / "b.wav"))])
    assert np.array_equal(first, second) and CALLS == [[3200]]


def test_clips_come_at_the_rate_of_the_network(tmp_path):
    run(tmp_path, tones(0.5, rate=24000), replace(MEANS, sample_rate=8000))
    assert CALLS == [[4000]]


def test_outputs_of_a_former_run_are_taken(tmp_path):
    clips = tones(0.2, 0.3)
    before = run(tmp_path, clips[:1])
    after = run(tmp_path, clips)
    assert np.array_equal(before[0], after[0]) and CALLS == [[3200], [4800]]


@pytest.mark.parametrize("change", [{"version": 2}, {"parameters": {"beam": 5}}, {"name": "other"}])
def test_outputs_of_another_version_or_parameter_are_not_taken(tmp_path, change):
    clips = tones(0.2)
    run(tmp_path, clips)
    run(tmp_path, clips, replace(MEANS, **change))
    assert len(CALLS) == 2


def test_outputs_of_a_network_that_stands_in_are_not_taken_by_later_runs(tmp_path):
    for _ in range(2):
        run(tmp_path, tones(0.2), replaced=["means"])
    run(tmp_path, tones(0.2))
    assert len(CALLS) == 3


@pytest.mark.parametrize(
    "message", ["CUDA out of memory. Tried to allocate", "DefaultCPUAllocator: can't allocate memory"]
)
def test_batch_that_does_not_fit_is_halved_until_it_does(tmp_path, message):
    def small(wavs):
        if len(wavs) > 2:
            raise RuntimeError(message)
        return padded_means(wavs)

    clips = tones(*[0.2] * 8)
    got = run(tmp_path / "small", clips, Model("small", lambda device: small))
    assert max(len(call) for call in CALLS) == 2
    assert np.allclose(got, run(tmp_path / "whole", clips), rtol=1e-12)


def test_clip_that_does_not_fit_alone_is_an_error_that_names_it(tmp_path):
    def never(wavs):
        raise MemoryError("out of memory")

    with pytest.raises(RuntimeError, match=r"huge on memory:.*--device cpu"):
        run(tmp_path, tones(0.2), Model("huge", lambda device: never))


def test_one_network_is_in_memory_at_a_time(tmp_path):
    alive = weakref.WeakSet()

    class Heavy:
        def __call__(self, wavs):
            assert len(alive) == 1
            return [1.0 for _ in wavs]

    def load(device):
        network = Heavy()
        alive.add(network)
        return network

    reader, clips = Reader(Settings(), store=Store(tmp_path)), tones(0.2, 0.3)
    networks = Networks(reader, Store(tmp_path / "s"), device="cpu")
    for name in ("first", "second"):
        for clip in clips:
            networks.ask(Model(name, load), clip)
    networks.run()
    assert not alive and [model.name for model in networks.models] == ["first", "second"]


def test_clip_with_a_fault_is_undefined_and_is_kept_from_the_network(tmp_path):
    good, bad = tones(0.2)[0], Clip.of([0.1, np.nan], 16000)
    outputs = run(tmp_path, [bad, good, Clip(str(tmp_path / "gone.wav"))], on_error="record")
    assert "NaN" in outputs[0].reason and "can't be read" in outputs[2].reason and CALLS == [[3200]]


def test_lack_of_an_output_keeps_its_reason(tmp_path):
    short = Model("short", lambda device: lambda wavs: [Undefined("too short") for _ in wavs])
    assert run(tmp_path, tones(0.2), short)[0].reason == "too short"


@pytest.mark.parametrize(
    ("network", "message"), [(lambda wavs: [], "0 outputs for 1"), (lambda wavs: 1 / 0, r"failed on memory:.*division")]
)
def test_network_that_fails_is_named_with_the_clip(tmp_path, network, message):
    with pytest.raises(ValueError, match=f"bad.*{message}"):
        run(tmp_path, tones(0.2), Model("bad", lambda device: network))


def test_package_that_is_absent_is_named_with_what_brings_it(tmp_path):
    with pytest.raises(MissingExtraError, match=r"means needs.*amphion-eval\[asr\]"):
        run(tmp_path, tones(0.2), replace(MEANS, requires=(("no_such_module", "amphion-eval[asr]"),)))


def test_texts_and_pairs_are_inputs_too(tmp_path):
    texts = Model("texts", lambda device: lambda texts: [text.upper() for text in texts], takes="text")
    assert run(tmp_path / "t", ["a", "b", "a"], texts) == ["A", "B", "A"]
    pairs = Model("pairs", lambda device: lambda pairs: [len(a) / len(b) for a, b in pairs], takes="pair")
    assert run(tmp_path / "p", [tuple(tones(0.4, 0.2))], pairs) == [2.0]


def test_device_is_handed_on_and_auto_finds_one(tmp_path):
    seen = []
    run(tmp_path, tones(0.2), Model("m", lambda device: seen.append(device) or padded_means))
    assert seen == ["cpu"] and inference.choose_device("cuda:1") == "cuda:1"
