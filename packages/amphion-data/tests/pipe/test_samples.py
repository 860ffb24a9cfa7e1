"""Samples on their way to another process: what travels, and that nothing is copied to get there."""

import pickle

import numpy as np
import pytest
import soundfile

from amphion_data.pipe import run_pipe
from amphion_data.pipe.samples import Samples
from amphion_data.pipe.separation import NoSeparator
from amphion_data.pipe.sound import standardise
from amphion_data.pipe.spans import RATE, Span
from amphion_data.pipe.units import WorkFailedError


@pytest.fixture
def sound(tmp_path, speechlike):
    soundfile.write(tmp_path / "talk.wav", speechlike([(1, 5), (8, 12)], 14.0, rate=44_100), 44_100)
    return standardise(tmp_path / "talk.wav", tmp_path, "talk", 24_000, NoSeparator())


def journey(value):
    """The value as another process gets it, and the bytes that went beside the pickle."""
    buffers = []
    data = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    raw = [buffer.raw() for buffer in buffers]
    return pickle.loads(data, buffers=raw), len(data), sum(buffer.nbytes for buffer in raw)


def test_a_sound_reads_the_same_after_a_journey_without_its_files(sound):
    wanted = [sound.read(1.25, 3.5), sound.read_low(Span(20_000, 30_001)), sound.read(13.9, 15.0)]
    blocks = [block.copy() for block in sound.blocks(5.0)]
    there, own, beside = journey(sound)
    sound.close()
    for found, expected in zip([there.read(1.25, 3.5), there.read_low(Span(20_000, 30_001))], wanted, strict=False):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(there.read(13.9, 15.0), wanted[2])  # the end of the recording cuts it
    for found, expected in zip(there.blocks(5.0), blocks, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert there.duration == sound.duration and there.facts == sound.facts and there.length == sound.length
    assert own < 2000 and beside == pytest.approx(14.0 * 40_000 * 4, rel=1e-3)


def test_only_what_is_still_needed_travels(sound):
    spans = [Span(RATE, 5 * RATE), Span(5 * RATE, 6 * RATE), Span(8 * RATE + 7, 12 * RATE)]
    wanted = [(sound.read(s.start / RATE, s.end / RATE), sound.read_low(s)) for s in spans]
    sound.keep(spans, low=True)
    there, _, beside = journey(sound)
    assert beside == pytest.approx(9.0 * 40_000 * 4, rel=1e-3)
    for span, (high, low) in zip(spans, wanted, strict=True):
        np.testing.assert_array_equal(there.read(span.start / RATE, span.end / RATE), high)
        np.testing.assert_array_equal(there.read_low(span), low)
    there.keep(spans[2:], low=False)
    further, _, beside = journey(there)
    assert beside == pytest.approx(4.0 * 24_000 * 4, rel=1e-3)
    np.testing.assert_array_equal(further.read(spans[2].start / RATE, spans[2].end / RATE), wanted[2][0])
    with pytest.raises(LookupError, match=r"samples 16000 to 80000 were not kept"):
        further.read_low(spans[0])


def test_a_stretch_that_reaches_over_what_was_kept_is_an_error_and_not_cut(sound):
    sound.keep([Span(RATE, 2 * RATE), Span(3 * RATE, 4 * RATE)], low=True)
    there, _, _ = journey(sound)
    with pytest.raises(LookupError, match="were not kept"):
        there.read_low(Span(RATE, 3 * RATE))


def test_nothing_is_copied_where_the_samples_are_in_memory():
    wav = np.arange(1000, dtype=np.float32)
    samples = Samples(None, [(0, wav)], 1000)
    samples.needed = [(10, 20), (500, 1000)]
    buffers = []
    pickle.dumps(samples, protocol=5, buffer_callback=buffers.append)
    assert all(np.shares_memory(np.frombuffer(buffer.raw(), np.float32), wav) for buffer in buffers)
    assert sum(buffer.raw().nbytes for buffer in buffers) == 4 * 510


def test_an_empty_recording_travels(tmp_path):
    (tmp_path / "x").touch()
    there, _, beside = journey(Samples(tmp_path / "x"))
    assert beside == 0 and there.read(0, 0).size == 0


def test_the_folder_of_a_unit_goes_with_it_also_where_a_step_fails(tmp_path, speechlike, cheap, monkeypatch):
    source, work = tmp_path / "in", tmp_path / "work"
    source.mkdir()
    work.mkdir()
    soundfile.write(source / "talk.wav", speechlike([(1, 5)], 8.0), 16_000)
    run_pipe(source, tmp_path / "out", cheap(), work=str(work))
    assert not list(work.iterdir())

    def fail(*_):
        assert list(work.iterdir())
        raise RuntimeError("the recogniser broke")

    monkeypatch.setattr("amphion_data.pipe.process.Pipeline.finish", fail)
    with pytest.raises(WorkFailedError, match="the recogniser broke"):
        run_pipe(source, tmp_path / "broken", cheap(), work=str(work))
    assert not list(work.iterdir())


@pytest.mark.parametrize("separate", ["none", "probe"])
def test_a_unit_whose_every_step_runs_elsewhere_leaves_the_same_bytes(tmp_path, speechlike, cheap, probes, separate):
    from amphion_data.engines import open_store
    from amphion_data.pipe import plan_units
    from amphion_data.pipe.steps import Job, UnitWork, unit_steps

    (tmp_path / "in").mkdir()
    for number in range(3):
        wav = speechlike([(1.0, 5.0 + number), (9.0, 10.0), (12.0, 17.0)], 18.0, seed=number)
        soundfile.write(tmp_path / "in" / f"{number}.wav", wav, 16_000)
    settings = cheap(separate=separate, options={"probe": {"folder": str(probes)}})
    (unit,) = plan_units(tmp_path / "in", settings).units
    facts = UnitWork(Job(settings, str(tmp_path / "in"), str(tmp_path / "here"), "run"))(unit)
    job = Job(settings, str(tmp_path / "in"), str(tmp_path / "there"), "run", work=str(tmp_path))
    value = unit
    for step in unit_steps(job):
        value, _, _ = journey(step.make()(journey(value)[0]))  # what it read lies in files that go with it
        assert not list(tmp_path.glob("amphion-emilia-*"))
    assert value == facts and facts["rows"] == 6
    here, there = open_store(tmp_path / "here"), open_store(tmp_path / "there")
    names = [name for name in here.names() if not name.startswith("times/")]
    assert names == [name for name in there.names() if not name.startswith("times/")]
    assert all(here.read(name) == there.read(name) for name in names)
