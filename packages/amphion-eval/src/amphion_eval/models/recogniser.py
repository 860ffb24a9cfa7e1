"""What is said in a clip, by Whisper and other recognisers of transformers; always the same answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from amphion_core.extras import require
from amphion_eval.model import Batch
from amphion_eval.models.clips import in_groups, usable

__all__ = ["load"]

EXTRA = "amphion-eval[asr]"
RATE = 16000
SHORTEST = 0.1  # s
_LONGEST = 30.0  # s that Whisper takes at once

Clip = NDArray[np.float32]


def load(folder: Path, device: str, *, language: str | None, beam: int, prompt: str | None) -> Batch:
    """A recogniser of transformers, clips at 16 kHz to texts.

    Args:
        folder: config.json, weights and processor of a model with a CTC head or of an encoder and decoder.
        device: where it runs.
        language: two letters, for models that take one; None lets them find it.
        beam: hypotheses kept; 1 takes the best token each time. CTC heads take the best one in any case.
        prompt: what stands before the text, for Whisper.

    Raises:
        MissingExtraError: transformers is not installed.
        ValueError: the folder holds no recogniser, or one that takes no prompt or language was given some.
    """
    library = require("transformers", EXTRA)
    try:
        config = library.AutoConfig.from_pretrained(folder, local_files_only=True)
        kinds = library.models.auto.modeling_auto
        if config.model_type in kinds.MODEL_FOR_CTC_MAPPING_NAMES:
            loader = library.AutoModelForCTC
        elif config.model_type in kinds.MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES:
            loader = library.AutoModelForSpeechSeq2Seq
        else:
            raise ValueError(f"its type {config.model_type!r} has neither a CTC head nor a decoder")
        model = loader.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
        processor = library.AutoProcessor.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{folder} holds no recogniser of transformers: {error}") from error
    model.to(device).eval()
    if config.model_type == "whisper":
        return _whisper(model, processor, device, language, beam, prompt)
    if prompt is not None:
        raise ValueError(f"a prompt was given, but models of the type {config.model_type!r} take none")
    if loader is library.AutoModelForCTC:
        return _ctc(model, processor, device)
    return _decoder(model, processor, device, beam)


def _whisper(model: Any, processor: Any, device: str, language: str | None, beam: int, prompt: str | None) -> Batch:
    options: dict[str, Any] = {"num_beams": beam, "do_sample": False, "temperature": 0.0}
    if getattr(model.generation_config, "is_multilingual", False):
        options |= {"task": "transcribe", "language": language}
    if prompt is not None:
        options["prompt_ids"] = processor.get_prompt_ids(prompt, return_tensors="pt").to(device)

    @torch.inference_mode()
    def short(clips: list[Clip]) -> list[str]:
        # each is padded to 30 s, so that none depends on the others
        inputs = processor(clips, sampling_rate=RATE, return_tensors="pt", return_attention_mask=True).to(device)
        return _texts(processor, model.generate(**inputs, **options))

    @torch.inference_mode()
    def long(clip: Clip) -> str:
        inputs = processor(
            clip,
            sampling_rate=RATE,
            return_tensors="pt",
            truncation=False,
            padding="longest",
            return_attention_mask=True,
        ).to(device)
        tokens = model.generate(**inputs, **options, return_timestamps=True, condition_on_prev_tokens=False)
        return _texts(processor, tokens)[0]

    def infer(clips: list[Clip]) -> list[str]:
        brief = [number for number, clip in enumerate(clips) if clip.size <= _LONGEST * RATE]
        texts = dict(zip(brief, short([clips[n] for n in brief]), strict=True)) if brief else {}
        return [texts[number] if number in texts else long(clip) for number, clip in enumerate(clips)]

    return usable(infer, RATE, SHORTEST)


def _ctc(model: Any, processor: Any, device: str) -> Batch:
    masked = getattr(model.config, "feat_extract_norm", "group") == "layer"

    @torch.inference_mode()
    def infer(clips: Sequence[Clip]) -> list[str]:
        inputs = processor(
            list(clips), sampling_rate=RATE, return_tensors="pt", padding=True, return_attention_mask=masked
        ).to(device)
        best = model(**inputs).logits.argmax(dim=-1)  # (B, F)
        if masked:  # what lies behind a clip's end is no text
            frames = model._get_feat_extract_output_lengths(inputs["attention_mask"].sum(dim=1))
            behind = torch.arange(best.shape[1], device=best.device) >= frames[:, None]
            best = best.masked_fill(behind, model.config.pad_token_id)
        return _texts(processor, best)

    if masked:
        return usable(infer, RATE, SHORTEST)
    # other front ends normalise over time or have no mask: clips of one length only
    return usable(lambda clips: in_groups(lambda group: infer(list(group)), clips), RATE, SHORTEST)


def _decoder(model: Any, processor: Any, device: str, beam: int) -> Batch:
    @torch.inference_mode()
    def text_of(clip: Clip) -> str:
        inputs = processor(clip, sampling_rate=RATE, return_tensors="pt").to(device)
        return _texts(processor, model.generate(**inputs, num_beams=beam, do_sample=False))[0]

    return usable(lambda clips: [text_of(clip) for clip in clips], RATE, SHORTEST)


def _texts(processor: Any, tokens: Any) -> list[str]:
    return [text.strip() for text in processor.batch_decode(tokens, skip_special_tokens=True)]
