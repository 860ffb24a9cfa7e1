"""Text to waveform, as a Python call and as a command."""

import io
import json
import sys

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from amphion_core import audio
from amphion_core.interfaces import load_vocoder
from amphion_tts import TextToSpeech
from amphion_tts.cli import app
from amphion_tts.fastspeech2.config import FastSpeech2Config
from amphion_tts.fastspeech2.model import FastSpeech2
from amphion_tts.speaking import gather
from amphion_tts.text.symbols import ENGLISH_SYMBOLS

MEL = {"sample_rate": 8000, "n_fft": 256, "win_length": 256, "hop_length": 64, "n_mels": 20, "f_max": 4000}
TINY = {
    "mel": MEL,
    "symbols": list(ENGLISH_SYMBOLS),
    "dim": 8,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "filter_size": 8,
    "kernel_sizes": [3, 1],
    "predictor_filter": 8,
    "bins": 8,
    "postnet_layers": 0,
}


def model(**changes):
    torch.manual_seed(0)
    made = FastSpeech2(FastSpeech2Config.parse({**TINY, **changes})).eval()
    with torch.no_grad():
        made.variance.duration_predictor.out.bias.fill_(1.4)
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    model().save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def tts(folder):
    return TextToSpeech.from_pretrained(folder, device="cpu")


def test_three_lines_speak(folder):
    tts = TextToSpeech.from_pretrained(folder)
    wav = tts("Hello world.")
    assert wav.dtype == np.float32
    assert wav.ndim == 1
    assert len(wav) > 1000
    assert np.isfinite(wav).all()


def test_a_text_in_a_batch_comes_out_as_alone(tts):
    texts = ["Good morning.", "A much longer sentence about the weather.", "No."]
    for text, wav in zip(texts, tts.speak(texts, batch=3), strict=True):
        alone = tts(text)
        assert len(wav) == len(alone)
        # Griffin-Lim iterates on float32 transforms, which amplifies the last bits of the mel
        assert np.abs(wav - alone).max() < 0.02 * np.abs(alone).max()


def test_sentences_are_joined_with_the_pause_between(tts):
    one, two = tts("Good morning."), tts("Good night.")
    both = tts("Good morning. Good night.", pause=0.5)
    assert len(both) == len(one) + 4000 + len(two)
    assert (both[len(one) : len(one) + 4000] == 0).all()


def test_the_same_seed_gives_the_same_samples(tts):
    assert np.array_equal(tts("Good night.", seed=4), tts("Good night.", seed=4))


def test_half_the_speed_takes_twice_as_long(tts):
    assert len(tts("Good morning.", speed=0.5)) == 2 * len(tts("Good morning."))


@pytest.mark.parametrize("text", ["", "  \n", "...", "🙂"])
def test_a_text_with_nothing_to_say_is_refused(tts, text):
    with pytest.raises(ValueError, match=r"text is empty|nothing to say in"):
        tts(text)


def test_sentences_without_words_are_left_out_and_reported(tts, caplog):
    assert len(tts("Hello. 🙂! Bye.", pause=0)) == len(tts("Hello. Bye.", pause=0))
    assert "left out, nothing to say in" in caplog.text


@pytest.mark.slow
def test_fifty_thousand_characters_are_spoken(tts):
    vocoder = type(tts.vocoder)(tts.vocoder.config.updated(iterations=1, inversion_steps=2))
    text = "Rain fell on the hills, the fields and all the roofs of the little town while the old man sang. " * 512
    wav = TextToSpeech(tts.model, vocoder)(text, batch=64, pause=0)
    assert len(wav) >= 512 * 60 * 64  # at least a frame for each phone


def test_a_vocoder_of_another_mel_is_refused():
    other = FastSpeech2Config.parse(TINY).mel.updated(hop_length=80)
    with pytest.raises(ValueError, match=r"hop_length: the model makes 64, the vocoder takes 80"):
        TextToSpeech(model(), load_vocoder("griffin-lim", other))


def test_voices_are_asked_for_and_named():
    several = TextToSpeech(model(speakers=["ann", "bob"]), load_vocoder("griffin-lim", model().config.mel))
    assert several.speakers == ("ann", "bob")
    assert len(several("Hello.", speaker="bob"))
    with pytest.raises(ValueError, match="2 voices; choose one: ann, bob"):
        several("Hello.")
    with pytest.raises(ValueError, match="no voice 'eve'; there are: ann, bob"):
        several("Hello.", speaker="eve")


def test_one_voice_takes_no_name(tts):
    with pytest.raises(ValueError, match="the model has one voice"):
        tts("Hello.", speaker="ann")


def run(*arguments, text=None):
    result = CliRunner().invoke(app, [str(a) for a in arguments], input=text, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return [line for line in result.stdout.splitlines() if line]


def test_the_command_speaks_into_a_file(folder, tmp_path):
    target = tmp_path / "a.wav"
    assert run("speak", "Hello world.", "-m", folder, "-o", target) == [str(target)]
    wav, rate = audio.load(target)
    assert rate == 8000
    assert len(wav) > 1000


def test_the_command_reads_lines_of_standard_input(folder, tmp_path):
    written = run("speak", "-", "--each-line", "-m", folder, "-o", tmp_path / "out", text="One.\n\nTwo.\n")
    assert [path.rpartition("/")[2] for path in written] == ["0001.wav", "0002.wav"]


def test_the_command_reads_files_and_manifests(folder, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("Good morning. Good night.", encoding="utf-8")
    assert run("speak", "--text-file", text, "-m", folder, "-o", tmp_path / "b.flac")
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"id": name, "text": "Hello."}) + "\n" for name in ("lj/a", "../b")))
    written = run("speak", "--manifest", rows, "-m", folder, "-o", tmp_path / "spoken")
    assert sorted(path.name for path in (tmp_path / "spoken").iterdir()) == ["_b.wav", "lj_a.wav"]
    assert len(written) == 2


def test_the_command_shows_phones():
    assert run("phones", "Hello. Dr. No!") == ["sil HH AH0 L OW1 . sil", "sil D AA1 K T ER0 N OW1 ! sil"]


def test_texts_come_from_exactly_one_place(tmp_path):
    with pytest.raises(ValueError, match="give a text, --text-file or --manifest; got 0"):
        gather()
    with pytest.raises(ValueError, match="got 2 of these"):
        gather("a", text_file=tmp_path / "x")
    with pytest.raises(FileNotFoundError, match="no text file at"):
        gather(text_file=tmp_path / "x")
    with pytest.raises(ValueError, match="give at least one line"):
        gather("-", each_line=True, stdin=io.StringIO("\n\n"))
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"id": "a", "text": "x"}\n{"id": "b"}\n')
    with pytest.raises(ValueError, match=r"1 rows of .* have no text: b"):
        gather(manifest=rows)
    rows.write_text('{"id": "a/b", "text": "x"}\n{"id": "a_b", "text": "y"}\n')
    with pytest.raises(ValueError, match=r"two rows would be written to a_b.wav"):
        gather(manifest=rows)


def test_importing_the_package_imports_no_torch():
    import subprocess

    code = "import sys, amphion_tts, amphion_tts.cli; print('torch' in sys.modules, 'numpy' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "False"]


def test_every_public_name_can_be_imported():
    import amphion_tts
    import amphion_tts.fastspeech2
    import amphion_tts.text

    for package in (amphion_tts, amphion_tts.fastspeech2, amphion_tts.text):
        for name in package.__all__:
            assert getattr(package, name) is not None
