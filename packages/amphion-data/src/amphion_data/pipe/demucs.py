"""Voice from music by Demucs: pieces as long as its networks take, faded into one another as the recording streams.

Its own tool shifts every recording by a random time first. Here nothing is drawn, so the same recording gives the same
voice.

Source: Rouard et al., "Hybrid Transformers for Music Source Separation", 2023, arXiv:2211.08553; the released weights
are on the hub, MIT.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from amphion_core.config import Config, read_mapping
from amphion_core.download import fetch
from amphion_core.extras import require
from amphion_data.pipe.fading import cut, faded, stereo
from amphion_data.pipe.gate import CleanGate
from amphion_data.pipe.stages import named

__all__ = ["Demucs", "DemucsOptions", "make_demucs"]

Wav = NDArray[np.float32]

_EXTRA = "amphion-data[demucs]"
_NETWORKS = ("demucs.htdemucs.HTDemucs", "demucs.hdemucs.HDemucs", "demucs.demucs.Demucs")
_PACKING = "diffq."
"""Module of the classes that packed weights name."""


class DemucsOptions(Config):
    """How Demucs is run.

    Attributes:
        model: a release of its authors on the hub such as `htdemucs`, `htdemucs_ft` or `mdx_extra`, one of somebody
            else as `USER/NAME`, or a folder with one yaml file and the safetensors files that it names.
        overlap: share of a piece over which it is faded into the next one.
        batch: pieces in one call.
        clean: rating of the background from which a piece is left as it is, as for `uvr`; None separates everything.
    """

    model: str = "htdemucs"
    overlap: float = Field(0.25, gt=0, le=0.5)
    batch: int = Field(1, ge=1)
    clean: float | None = Field(None, ge=1, le=5)


class _Bag(Config):
    """Which networks a release is made of: stems of files, (networks, sources) weights, s of their pieces."""

    models: list[str] = Field(min_length=1)
    weights: list[list[float]] | None = None
    segment: float | None = None


class Demucs:
    """The stem `vocals` of a recording.

    Args:
        options: how it is run.
        bag: of the library: networks with sources, rate and weights.
        device: of the networks.
        identity: of library and weights.
        gate: tells pieces that need no separation; None has none.

    Attributes:
        clean_seconds: of the last recording that were left as they are.

    Raises:
        ValueError: no source is called vocals.
    """

    def __init__(
        self, options: DemucsOptions, bag: Any, device: str, identity: str, gate: CleanGate | None = None
    ) -> None:
        if "vocals" not in bag.sources:
            raise ValueError(f"demucs {options.model!r} has the sources {', '.join(bag.sources)}; one must be vocals")
        self.options, self.device, self.identity, self.gate = options, device, identity, gate
        self.sample_rate: int | None = int(bag.samplerate)
        self._bag = bag.to(device).eval()
        self._voice = bag.sources.index("vocals")
        self._apply = require("demucs.apply", _EXTRA).apply_model
        # What a network was trained on is all that one with attention takes.
        self._size = int(min(network.segment for network in bag.models) * self.sample_rate)
        self.clean_seconds = 0.0

    def stream(self, blocks: Iterable[Wav]) -> Iterator[Wav]:
        """See `Separator.stream`; (C, T) in, (2, T) out."""
        self.clean_seconds = 0.0
        overlap = self._size - int((1 - self.options.overlap) * self._size)
        rise = (np.arange(1, overlap + 1) / (overlap + 1)).astype(np.float32)  # as its own tool fades
        pieces = cut((stereo(block) for block in blocks), self._size, overlap)
        yield from faded(pieces, lambda wavs: self._voices(wavs, overlap), rise, self.options.batch)

    def _voices(self, wavs: Sequence[Wav], overlap: int) -> list[Wav]:
        """The voice in each piece; those with a clean background come back as they are."""
        found = list(wavs)
        noisy = [k for k, wav in enumerate(wavs) if not self._clean(wav, wav.shape[1] - overlap)]
        for length in sorted({wavs[k].shape[1] for k in noisy}):  # the last piece may be shorter
            alike = [k for k in noisy if wavs[k].shape[1] == length]
            for k, voice in zip(alike, self._separate(np.stack([wavs[k] for k in alike])), strict=True):
                found[k] = voice
        return found

    def _separate(self, wavs: Wav) -> Wav:
        """(B, 2, T) pieces to their voices."""
        import torch

        from amphion_core.modules.threads import one_thread

        mixtures = torch.from_numpy(wavs).to(self.device)
        with torch.inference_mode(), one_thread():  # the same sums on every machine
            stems = self._apply(self._bag, mixtures, shifts=0, split=False, device=self.device)
        voices: Wav = stems[:, self._voice].cpu().numpy()
        return voices

    def _clean(self, wav: Wav, own: int) -> bool:
        if self.gate is None or self.sample_rate is None or not self.gate(wav, self.sample_rate):
            return False
        self.clean_seconds += max(0, own) / self.sample_rate
        return True


def make_demucs(options: Mapping[str, Any], device: str) -> Demucs:
    """The stage `separate-demucs`.

    Raises:
        MissingExtraError: demucs is not installed.
        FileNotFoundError: its weights are not here and can't be fetched.
        ValueError: the files hold something else.
    """
    asked = DemucsOptions.parse(options, where="options of demucs")
    library, hub = require("demucs", _EXTRA), require("demucs.hf", _EXTRA)
    try:
        release, networks = _locate(asked.model, hub)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"no weights of demucs {asked.model!r} here ({error}); fetch them where there is a network, name their "
            "folder: --option demucs.model=FOLDER, or take --separate none"
        ) from None
    bag = hub.BagOfModels([_load(file, hub) for file in networks], release.weights, release.segment)
    gate = None if asked.clean is None else CleanGate(asked.clean, device)
    names = [f"demucs {library.__version__} {named(asked.model, networks[0].parent)}"]
    return Demucs(asked, bag, device, ", ".join(names + ([gate.identity] if gate else [])), gate)


def _locate(model: str, hub: Any) -> tuple[_Bag, list[Path]]:
    """A release and the files of its networks; the library would take pickles where the hub has none."""
    if Path(model).is_file():
        raise FileNotFoundError(f"{model} is a file; a release is a folder")
    if Path(model).is_dir():
        folder, repository = Path(model), None
        listed = sorted(folder.glob("*.yaml"))
        if len(listed) != 1:
            raise FileNotFoundError(f"{folder} has {len(listed)} yaml files, a release of demucs has one")
        file = listed[0]
    else:
        user, _, name = model.rpartition("/")
        repository = f"{user or hub.DEFAULT_NAMESPACE}/{hub.hf_repo_name(name)}"
        file = fetch(repository, patterns=[f"{name}.yaml"]) / f"{name}.yaml"
    values = read_mapping(file)
    release = _Bag.parse({name: values[name] for name in _Bag.model_fields if name in values}, where=str(file))
    names = [f"{Path(stem).name}.safetensors" for stem in release.models]
    folder = file.parent if repository is None else fetch(repository, patterns=[file.name, *names])
    absent = [name for name in names if not (folder / name).is_file()]
    if absent:
        raise FileNotFoundError(f"{file} names {', '.join(absent)}, which is not beside it")
    return release, [folder / name for name in names]


def _load(file: Path, hub: Any) -> Any:
    """One network. Its file names the class that the library calls, so none but networks may be named."""
    from safetensors import safe_open

    classes: list[Any] = []
    try:
        with safe_open(file, "pt") as opened:
            said = opened.metadata() or {}
        json.loads(said.get("structure", "null"), object_hook=lambda node: classes.append(node.get("_class")))
        packing = [name for name in classes if name is not None and not str(name).startswith(_PACKING)]
        if said.get("klass") not in _NETWORKS or packing:
            raise ValueError(f"it names {said.get('klass')!r} {packing or ''}, not one of {', '.join(_NETWORKS)}")
        return hub.load_safetensors_model(file)
    except Exception as error:  # of the format, of JSON, of the network's arguments and of its state
        first = " ".join(str(error).split("\n\t")[:2])  # torch names every tensor that does not fit
        raise ValueError(f"{file} is no network of demucs: {first}") from None
