import inspect
import re
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from amphion_core import audio
from amphion_core.recipe import load_recipe
from amphion_core.testing.sounds import glide
from amphion_vocoders.checkpoints import known_checkpoints
from amphion_vocoders.cli import app


def invoke(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.mark.parametrize("command", ["synthesize", "train", "list", "convert", "export", "bench"])
def test_each_command_has_examples_in_its_help(command):
    result = invoke(command, "--help")
    assert result.exit_code == 0
    assert f"amphion-vocoders {command}" in result.output


def test_recipes_and_checkpoints_of_the_examples_exist():
    text = " ".join(inspect.getdoc(command.callback) for command in app.registered_commands)
    named = re.findall(r"train (vocoders/\S+)((?: [\w.]+=\S+)*)", text)
    assert len(named) == 2
    for recipe, overrides in named:
        load_recipe(recipe, overrides.split())
    assert set(re.findall(r"(?:bigvgan-v|vocos-v)\S+", text)) <= set(known_checkpoints())


def test_synthesize_prints_the_files(tmp_path):
    audio.save(tmp_path / "x.wav", glide(100, 200, 22050, 0.3).astype("float32"), 22050)
    result = invoke("synthesize", tmp_path / "x.wav", "--model", "griffin-lim", "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert str(tmp_path / "out" / "x.wav") in result.output


def test_files_written_are_printed_where_other_inputs_fail(tmp_path):
    audio.save(tmp_path / "b.wav", glide(100, 200, 22050, 0.3).astype("float32"), 22050)
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    result = invoke("synthesize", tmp_path / "a.wav", tmp_path / "b.wav", "-m", "griffin-lim", "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert str(tmp_path / "out" / "b.wav") in result.output
    assert "1 of 2 inputs could not be synthesised" in str(result.exception)
    assert str(tmp_path / "a.wav") in str(result.exception)


def test_synthesize_takes_a_mel_from_a_file(tmp_path):
    audio.save(tmp_path / "x.wav", glide(100, 200, 16000, 0.3).astype("float32"), 16000)
    (tmp_path / "mel.yaml").write_text("sample_rate: 16000\nn_mels: 40\n")
    words = ("--model", "griffin-lim", "--mel", tmp_path / "mel.yaml", "-o", tmp_path / "out")
    assert invoke("synthesize", tmp_path / "x.wav", *words).exit_code == 0
    assert audio.info(tmp_path / "out" / "x.wav").sample_rate == 16000


def test_list_shows_vocoders_and_recipes():
    output = invoke("list").output
    names = "griffin-lim", "hifigan", "vocos", "world", "vocoders/hifigan-v1-22k", "bigvgan-v2-44khz-128band-512x"
    for name in names:
        assert name in output


def test_stream_gives_the_samples_of_the_whole(tmp_path):
    audio.save(tmp_path / "x.wav", glide(100, 200, 22050, 0.5).astype("float32"), 22050)
    words = ("synthesize", tmp_path / "x.wav", "--model", "world")
    assert invoke(*words, "-o", tmp_path / "whole").exit_code == 0
    assert invoke(*words, "-o", tmp_path / "stream", "--stream", 8).exit_code == 0
    whole, stream = (audio.load(tmp_path / name / "x.wav")[0] for name in ("whole", "stream"))
    assert whole.shape == stream.shape
    assert abs(whole - stream).max() < 1e-3  # both hear the same F0; steps of 16 bits are 3e-5


def test_half_precision_of_what_has_no_network_is_refused(tmp_path):
    audio.save(tmp_path / "x.wav", glide(100, 200, 22050, 0.3).astype("float32"), 22050)
    result = invoke("synthesize", tmp_path / "x.wav", "-m", "world", "-o", tmp_path / "out", "--precision", "bf16")
    assert "has no network" in str(result.exception)


def test_bench_prints_figures():
    result = invoke("bench", "world", "--seconds", 0.2, "--runs", 1)
    assert result.exit_code == 0, result.output
    assert "real time, CPU" in result.output


def test_bench_takes_settings():
    assert invoke("bench", "world", "--seconds", 0.2, "--runs", 1, "--set", "inversion_steps=1").exit_code == 0
    result = invoke("bench", "world", "--set", "seed=1")
    assert result.exit_code == 1
    assert "given by --seed" in str(result.exception)


def test_convert_says_which_vocoders_have_released_checkpoints(tmp_path):
    result = invoke("convert", tmp_path, tmp_path / "out", "--kind", "world")
    assert result.exit_code != 0
    assert "released" in str(result.exception)


def test_help_imports_neither_torch_nor_numpy():
    code = "import sys, amphion_vocoders.cli as c; print([m for m in ('torch', 'numpy') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_every_public_name_can_be_imported():
    import amphion_vocoders

    assert all(getattr(amphion_vocoders, name) is not None for name in amphion_vocoders.__all__)
