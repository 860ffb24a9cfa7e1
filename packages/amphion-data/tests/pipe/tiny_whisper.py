"""A Whisper of a few thousand random weights, with a tokenizer of bytes: it hears nonsense, through all the code."""


def tiny_whisper(folder, languages=("en", "de", "zh"), lively=False):
    """Write the checkpoint as transformers does; returns the folder. Without languages it is one for English alone.

    A lively one writes what, in which language and how much of it as what it hears has it.
    """
    import torch
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import (
        GenerationConfig,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperProcessor,
        WhisperTokenizerFast,
    )

    end, start = "<|endoftext|>", "<|startoftranscript|>"
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = Tokenizer(models.BPE({letter: k for k, letter in enumerate(letters)}, []))
    tokens.pre_tokenizer, tokens.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    names = [end, start, *(f"<|{language}|>" for language in languages), "<|translate|>", "<|transcribe|>"]
    names += ["<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]
    names += [f"<|{0.02 * k:.2f}|>" for k in range(1501)]
    tokens.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in names])
    number = {name: tokens.token_to_id(name) for name in names}
    common = {"decoder_start_token_id": number[start], "suppress_tokens": sorted(number[name] for name in names[1:])}
    common |= {f"{kind}_token_id": number[end] for kind in ("bos", "eos", "pad")}
    small = {f"{side}_{what}": n for side in ("encoder", "decoder") for what, n in (("layers", 1), ("ffn_dim", 32))}
    small |= {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "d_model": 16, "max_target_positions": 448}
    torch.manual_seed(0)
    model = WhisperForConditionalGeneration(WhisperConfig(vocab_size=tokens.get_vocab_size(), **small, **common))
    with torch.no_grad():  # letters come, the end never does, whatever it hears
        model.model.decoder.layer_norm.bias.fill_(1.0)
        model.model.decoder.embed_tokens.weight[number[end] :] -= 0.5
        if lively:
            _enliven(model.model, number[end], [number[f"<|{language}|>"] for language in languages])
    several = {
        "is_multilingual": bool(languages),
        "lang_to_id": {f"<|{language}|>": number[f"<|{language}|>"] for language in languages},
        "task_to_id": {name: number[f"<|{name}|>"] for name in ("transcribe", "translate")},
    }
    model.generation_config = GenerationConfig(
        max_length=40,
        no_timestamps_token_id=number["<|notimestamps|>"],
        prev_sot_token_id=number["<|startofprev|>"],
        begin_suppress_tokens=[number[end]],
        alignment_heads=[[0, 0]],
        **(several if languages else {"is_multilingual": False}),
        **common,
    )
    model.save_pretrained(folder)
    tokenizer = WhisperTokenizerFast(
        tokenizer_object=tokens, bos_token=end, eos_token=end, unk_token=end, pad_token=end
    )
    WhisperProcessor(WhisperFeatureExtractor(), tokenizer).save_pretrained(folder)
    return folder


def _enliven(model, end, languages):
    """Larger weights from the sound to the letters; the end comes about as often as they do."""
    import torch

    torch.manual_seed(0)
    encoder, decoder = model.encoder.layers[0], model.decoder.layers[0]
    for convolution in (model.encoder.conv1, model.encoder.conv2):
        convolution.weight.normal_(0, 0.5)
    for part in (encoder.fc2, encoder.self_attn.out_proj, decoder.encoder_attn.out_proj, decoder.encoder_attn.v_proj):
        part.weight.normal_(0, 1)
    model.decoder.embed_positions.weight.normal_(0, 1)
    tokens = model.decoder.embed_tokens.weight
    tokens[:end].normal_(0, 0.3)
    tokens[end] += 0.78
    for language in languages:
        tokens[language].normal_(0, 0.5)
