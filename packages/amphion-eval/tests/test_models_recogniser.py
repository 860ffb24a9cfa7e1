"""Recognisers: tiny networks of random weights in the folders that transformers writes."""

import numpy as np
import pytest

from amphion_eval import Clip, Pair, Settings, score
from amphion_eval.models import catalogue

pytestmark = pytest.mark.extra("asr")

LANGUAGES = {"en": "<|en|>", "de": "<|de|>"}


def whisper(folder):
    import torch
    import transformers as library
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    torch.manual_seed(0)
    marks = ["<|endoftext|>", "<|startoftranscript|>", *LANGUAGES.values(), "<|translate|>", "<|transcribe|>"]
    marks += ["<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]
    marks += [f"<|{0.02 * step:.2f}|>" for step in range(1501)]
    ids = {token: number for number, token in enumerate([*bytes_to_unicode().values(), *marks])}
    end = marks[0]
    tokenizer = library.WhisperTokenizer(
        vocab=ids, merges=[], unk_token=end, bos_token=end, eos_token=end, pad_token=end
    )
    tokenizer.add_special_tokens({"additional_special_tokens": marks[1:10]})
    config = library.WhisperConfig(
        vocab_size=len(ids), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, max_target_positions=448,
        decoder_start_token_id=ids[marks[1]], bos_token_id=ids[end], eos_token_id=ids[end], pad_token_id=ids[end],
        begin_suppress_tokens=[ids[end]], init_std=0.5,
    )  # fmt: skip
    model = library.WhisperForConditionalGeneration(config)
    model.generation_config = library.GenerationConfig(
        is_multilingual=True,
        lang_to_id={token: ids[token] for token in LANGUAGES.values()},
        task_to_id={task: ids[f"<|{task}|>"] for task in ("transcribe", "translate")},
        no_timestamps_token_id=ids["<|notimestamps|>"],
        max_initial_timestamp_index=50,
        max_length=24,
        decoder_start_token_id=ids[marks[1]],
        bos_token_id=ids[end],
        eos_token_id=ids[end],
        pad_token_id=ids[end],
        begin_suppress_tokens=[ids[end]],
        suppress_tokens=[ids[mark] for mark in marks[1:10]],
    )
    model.save_pretrained(folder)
    library.WhisperProcessor(library.WhisperFeatureExtractor(), tokenizer).save_pretrained(folder)
    return folder


def ctc(folder, norm):
    import json

    import torch
    import transformers as library

    torch.manual_seed(0)
    folder.mkdir()
    ids = {token: number for number, token in enumerate(["<pad>", "<s>", "</s>", "<unk>", "|", *"abcdefgh"])}
    (folder / "vocab.json").write_text(json.dumps(ids))
    config = library.HubertConfig(
        vocab_size=len(ids), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        conv_dim=(8,) * 7, feat_extract_norm=norm, do_stable_layer_norm=norm == "layer", pad_token_id=0,
        num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2, initializer_range=1.0,
    )  # fmt: skip
    library.HubertForCTC(config).save_pretrained(folder)
    extractor = library.Wav2Vec2FeatureExtractor(return_attention_mask=norm == "layer", do_normalize=True)
    library.Wav2Vec2Processor(extractor, library.Wav2Vec2CTCTokenizer(folder / "vocab.json")).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("recognisers")
    return {
        "whisper": whisper(root / "whisper"),
        "layer": ctc(root / "layer", "layer"),
        "group": ctc(root / "group", "group"),
    }


def clips(noise):
    return [noise(seconds, seed=number) for number, seconds in enumerate((0.7, 1.3, 0.7, 0.4))]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["whisper", "layer", "group"])
def test_text_of_a_clip_is_the_same_alone_in_a_batch_and_again(kind, folders, noise):
    batch = catalogue.recogniser(str(folders[kind]), Settings(language="en")).load("cpu")
    together = batch(clips(noise))
    assert together == [batch([clip])[0] for clip in clips(noise)] == batch(clips(noise))
    assert all(isinstance(text, str) for text in together) and any(together)


@pytest.mark.slow
def test_whisper_hears_more_than_its_thirty_seconds(folders, noise):
    batch = catalogue.recogniser(str(folders["whisper"]), Settings(language="en")).load("cpu")
    long = noise(31.0)
    assert batch([long, noise(0.5)]) == [*batch([long]), *batch([noise(0.5)])]


@pytest.mark.parametrize("kind", ["whisper", "layer"])
def test_silent_and_short_clips_have_no_transcript(kind, folders, noise):
    batch = catalogue.recogniser(str(folders[kind])).load("cpu")
    silent, short = batch([np.zeros(16000, np.float32), noise(0.01)])
    assert "silent" in silent.reason and "0.010 s" in short.reason


def test_prompt_for_a_model_that_takes_none_is_refused(folders):
    from amphion_eval.models.recogniser import load

    with pytest.raises(ValueError, match="'hubert' take none"):
        load(folders["layer"], "cpu", language=None, beam=1, prompt="Amphion")


def test_folder_of_something_else_is_refused_with_its_name(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ValueError, match="neither a CTC head nor a decoder"):
        catalogue.recogniser(str(tmp_path)).load("cpu")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="holds no recogniser of transformers"):
        catalogue.recogniser(str(tmp_path)).load("cpu")


@pytest.mark.slow
def test_error_rates_come_from_the_recogniser_where_no_transcript_is_given(folders, tmp_path, noise):
    from amphion_core import audio

    audio.save(tmp_path / "a.wav", noise(0.5), 16000)
    clip = Clip(str(tmp_path / "a.wav"))
    pairs = [
        Pair("given", clip, clip, text="a b", transcript="a b", language="en"),
        Pair("heard", clip, clip, text="a b", language="en"),
    ]
    report = score(pairs, ["wer"], asr=str(folders["layer"]), bootstrap=0, device="cpu")
    given, heard = report.items
    assert given.metrics["wer"] == 0.0 and given.transcript == "a b"
    assert heard.transcript == catalogue.recogniser(str(folders["layer"])).load("cpu")([noise_of(clip)])[0]
    assert heard.metrics["wer"] is not None


def noise_of(clip):
    return clip.load()[0].reshape(-1)


def test_settings_are_part_of_what_a_recogniser_is():
    names = [catalogue.recogniser("whisper-tiny", Settings(language=language)) for language in (None, "de")]
    assert [model.parameters["language"] for model in names] == [None, "de"]
    assert set(names[0].parameters) == {"language", "beam", "temperature", "prompt"}


def test_unknown_name_is_refused_with_what_there_is():
    with pytest.raises(ValueError, match=r"no recogniser 'wisper': hubert-large-ls960-ft.*OWNER/NAME"):
        catalogue.recogniser("wisper")


@pytest.mark.extra("faster-whisper")
def test_faster_whisper_refuses_a_folder_without_a_model(tmp_path):
    from amphion_eval.models.faster import load

    with pytest.raises(ValueError, match="holds no model of faster-whisper"):
        load(tmp_path, "cpu", language=None, beam=5, prompt=None)


@pytest.mark.extra("faster-whisper")
@pytest.mark.slow
def test_faster_whisper_hears_the_same_alone_in_a_batch_and_again(tmp_path, noise):
    pytest.importorskip("transformers")  # its converter needs it
    from ctranslate2.converters import TransformersConverter

    from amphion_eval.models.faster import load

    whisper(tmp_path / "torch")
    TransformersConverter(str(tmp_path / "torch"), copy_files=["tokenizer.json"]).convert(str(tmp_path / "model"))
    batch = load(tmp_path / "model", "cpu", language="en", beam=2, prompt=None)
    given = [noise(1.0), noise(0.5, seed=1), noise(0.01)]
    first, second, short = batch(given)
    assert [first, second] == [batch([clip])[0] for clip in given[:2]] == batch(given)[:2]
    assert isinstance(first, str) and "0.010 s" in short.reason
