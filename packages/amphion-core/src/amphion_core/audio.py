"""Audio files: float32 samples from paths and bytes and back, by content and not by name.

soundfile reads WAV, FLAC, MP3, OGG (Vorbis) and Opus by itself; m4a and video containers need the extra
`amphion-core[torchcodec]`. Resampling is soxr's. Needs no torch.
"""

from __future__ import annotations

import io
import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, NamedTuple

import numpy as np

from amphion_core.atomic import atomic_writer
from amphion_core.containers import CHUNK_HEAD, cut_reason, sniff, stable_ogg, stable_wav
from amphion_core.extras import MissingExtraError, require
from amphion_core.levels import AudioCheck, check, loudness, normalize_loudness, peak_and_rms, trim_silence
from amphion_core.mpeg import counted_mp3

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Wav = NDArray[np.float32]

__all__ = [
    "FORMATS",
    "AudioCheck",
    "AudioError",
    "AudioInfo",
    "Decoded",
    "MissingAudioError",
    "check",
    "decode",
    "encode",
    "info",
    "load",
    "loudness",
    "normalize_loudness",
    "peak_and_rms",
    "resample",
    "save",
    "trim_silence",
]

_log = logging.getLogger(__name__)

FORMATS: dict[str, tuple[str, str]] = {
    "wav": ("WAV", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
}
"""What can be written: our name of a format to libsndfile's container and usual encoding."""

_RATES = {
    "mp3": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
    "opus": (8000, 12000, 16000, 24000, 48000),
}
_CHANNELS = {"mp3": 2, "flac": 8}
_CONTAINERS = ("mp4", "matroska", "flv", "asf", "aac")
_PREROLL = {"MPEG_LAYER_III": 0.25, "OPUS": 1.0}  # s; a decoder that starts in the middle needs what came before
_LONGEST = 1 << 40  # frames; headers of streamed files claim more
_BLOCK = 1 << 18
_TAIL = 1 << 17


class AudioError(ValueError):
    """A file that is no usable audio.

    Attributes:
        reason: word for the list of dropped rows, such as `truncated_audio`.
    """

    def __init__(self, message: str, reason: str = "corrupt_audio") -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        """Keep the reason on the way out of a worker process."""
        return type(self), (str(self), self.reason)


class MissingAudioError(AudioError, FileNotFoundError):
    """There is no such file."""

    def __init__(self, message: str, reason: str = "missing_audio") -> None:
        super().__init__(message, reason)


class AudioInfo(NamedTuple):
    """What a file holds; frames are those that decode.

    Attributes:
        frames: samples per channel.
        sample_rate: Hz.
        channels: number of channels.
        format: container, such as `WAV`.
        subtype: encoding, such as `PCM_16`.
        duration: s.
    """

    frames: int
    sample_rate: int
    channels: int
    format: str
    subtype: str
    duration: float


class Decoded(NamedTuple):
    """Samples of a file.

    Attributes:
        wav: (T,), or (C, T) where the channels were kept.
        sample_rate: Hz.
        format: container, such as `WAV`.
        subtype: encoding, such as `PCM_16`.
    """

    wav: Wav
    sample_rate: int
    format: str
    subtype: str


def load(
    source: str | Path | bytes,
    *,
    sample_rate: int | None = None,
    mono: bool = True,
    start: float = 0.0,
    duration: float | None = None,
) -> tuple[Wav, int]:
    """Read samples of a file or of its bytes.

    Args:
        source: path, or the content of a file.
        sample_rate: Hz to resample to; None keeps the file's.
        mono: mean of the channels.
        start: where to begin, s.
        duration: how much to read, s; None reads to the end, and so does more than there is.

    Returns:
        (T,) samples, about [-1, 1] ((C, T) where `mono` is False), and their rate in Hz.

    Raises:
        AudioError: the file is empty, cut, no audio, of an unsupported format, or holds NaN or infinity.
        MissingAudioError: there is no such file.
        ValueError: `start` lies beyond the end, or an argument is negative.
    """
    wav, rate, _, _ = decode(source, mono=mono, start=start, duration=duration)
    if sample_rate is not None and sample_rate != rate:
        return resample(wav, rate, sample_rate), sample_rate
    return wav, rate


def decode(
    source: str | Path | bytes, *, mono: bool = True, start: float = 0.0, duration: float | None = None
) -> Decoded:
    """Read samples and say what they were in; arguments and errors as for `load`."""
    if start < 0 or (duration is not None and duration < 0):
        raise ValueError(f"start and duration must not be negative, got {start} s and {duration} s")
    name = _name(source)
    with _opened(source) as opened:
        stream = _whole(opened, name)
        try:
            wav, rate, container, subtype = _decode(stream, name, start, duration)
        except _ForeignFormatError as error:
            wav, rate, container, subtype = _decode_container(source, name, error.kind, start, duration)
    if subtype in ("FLOAT", "DOUBLE") and not np.isfinite(wav).all():
        bad = int(np.count_nonzero(~np.isfinite(wav)))
        raise AudioError(f"{name} holds {bad} samples that are NaN or infinite, of {wav.size}", "not_finite")
    return Decoded(np.ascontiguousarray(_mean(wav) if mono else wav.T), rate, container, subtype)


def info(source: str | Path | bytes) -> AudioInfo:
    """Length, rate and format; formats whose header can't be trusted (MP3, Ogg) are decoded to count.

    Raises:
        AudioError: as for `load`.
        MissingAudioError: there is no such file.
    """
    name = _name(source)
    with _opened(source) as opened:
        stream = _whole(opened, name)
        try:
            file = _open(stream, name)
        except _ForeignFormatError as error:
            wav, rate, _, subtype = _decode_container(source, name, error.kind, 0.0, None)
            return AudioInfo(len(wav), rate, wav.shape[1], error.kind.upper(), subtype, len(wav) / rate)
        with file:
            claimed, rate = file.frames, file.samplerate
            frames = claimed if file.format in ("WAV", "AIFF", "RF64", "WAVEX") else _count(file, name)
            _check_length(frames, claimed, rate, name)
            if frames == 0:
                raise AudioError(f"{name} holds no samples", "empty_audio")
            return AudioInfo(frames, rate, file.channels, file.format, file.subtype, frames / rate)


def encode(
    wav: Wav,
    sample_rate: int,
    format: Literal["wav", "flac", "mp3", "ogg", "opus"] = "wav",
    *,
    subtype: str | None = None,
) -> bytes:
    """The bytes of a file; the same samples give the same bytes.

    Args:
        wav: (T,) or (C, T), about [-1, 1]. What lies outside is clipped, with a warning in the log.
        sample_rate: Hz. MP3 and Opus exist at some rates only.
        format: one of `FORMATS`.
        subtype: encoding, such as `PCM_24` or `FLOAT`; None takes that of `FORMATS`.

    Raises:
        ValueError: the samples are empty, not finite or no audio shape, or the format can't hold this rate or so many
            channels.
    """
    import soundfile

    wav = np.asarray(wav)
    if format not in FORMATS:
        raise ValueError(f"no audio format named {format!r}; there are: {', '.join(FORMATS)}")
    if format in _RATES and sample_rate not in _RATES[format]:
        allowed = ", ".join(map(str, _RATES[format]))
        raise ValueError(f"{format} can't hold {sample_rate} Hz, only {allowed} Hz; resample first")
    if wav.ndim not in (1, 2) or wav.size == 0:
        raise ValueError(f"expected samples of shape (T,) or (C, T), at least one; got the shape {wav.shape}")
    if wav.ndim == 2 and wav.shape[0] > wav.shape[1]:
        raise ValueError(f"shape {wav.shape} has more channels than samples; channels come first: (C, T)")
    channels = wav.shape[0] if wav.ndim == 2 else 1
    if channels > _CHANNELS.get(format, channels):
        most = _CHANNELS[format]
        raise ValueError(f"{format} can't hold {channels} channels, {most} are the most; take wav or the mean of them")
    low, high = float(wav.min()), float(wav.max())  # nan where any sample is
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"{np.count_nonzero(~np.isfinite(wav))} samples of {wav.size} are NaN or infinite")
    container, usual = FORMATS[format]
    subtype = subtype or usual
    if subtype not in ("FLOAT", "DOUBLE"):
        wav = _clipped(wav, max(high, -low))
    if format == "flac" and subtype == "PCM_16" and np.issubdtype(wav.dtype, np.floating):
        # What libsndfile does, faster. Not for WAV, which it scales in another way.
        wav = wav * wav.dtype.type(32768)
        np.clip(np.rint(wav, out=wav), -32768, 32767, out=wav)
        wav = wav.astype(np.int16)
    buffer = io.BytesIO()
    try:
        soundfile.write(buffer, wav.T, sample_rate, format=container, subtype=subtype)
    except (soundfile.LibsndfileError, ValueError) as error:
        words = str(error).rsplit(": ", 1)[-1]  # not where in memory the buffer lies
        raise ValueError(f"can't write {format} with {subtype} at {sample_rate} Hz: {words}") from None
    data = buffer.getvalue()
    if container == "OGG":
        return stable_ogg(data)
    return stable_wav(data) if container == "WAV" else data


def save(path: str | Path, wav: Wav, sample_rate: int, *, format: str | None = None) -> None:
    """Write a file, whole or not at all; 16-bit where the format has PCM.

    Args:
        path: its extension names the format.
        wav: (T,) or (C, T), about [-1, 1].
        sample_rate: Hz.
        format: one of `FORMATS`, where the extension does not say it.

    Raises:
        ValueError: as for `encode`, or the extension is none of `FORMATS`.
    """
    path = Path(path)
    chosen: Any = (format or path.suffix.removeprefix(".")).lower()
    if chosen not in FORMATS:
        raise ValueError(f"{path.name}: no audio format named {chosen!r}; there are: {', '.join(FORMATS)}")
    data = encode(wav, sample_rate, chosen)
    with atomic_writer(path) as file:
        file.write(data)


def resample(wav: Wav, from_rate: int, to_rate: int, quality: Literal["HQ", "VHQ"] = "HQ") -> Wav:
    """Change the sampling rate.

    Args:
        wav: (T,) or (C, T).
        from_rate: Hz.
        to_rate: Hz.
        quality: soxr's; HQ leaks less than -130 dB, VHQ less than -150 dB.

    Returns:
        float32 of the same layout, T * to_rate / from_rate samples, rounded.

    Raises:
        ValueError: a rate is not positive, or the quality is unknown.
    """
    import soxr

    if from_rate <= 0 or to_rate <= 0:
        raise ValueError(f"rates must be positive, got {from_rate} Hz to {to_rate} Hz")
    if quality not in ("HQ", "VHQ"):
        raise ValueError(f"quality must be HQ or VHQ, got {quality!r}")
    wav = np.asarray(wav, np.float32)
    if from_rate == to_rate or wav.shape[-1] == 0:
        return wav
    return np.ascontiguousarray(soxr.resample(wav.T, from_rate, to_rate, quality=quality).T, np.float32)


def _mean(wav: Wav) -> Wav:
    return wav[:, 0] if wav.shape[1] == 1 else wav.mean(axis=1, dtype=np.float32)


class _ForeignFormatError(Exception):
    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


def _name(source: str | Path | bytes) -> str:
    return f"audio of {len(source)} bytes" if isinstance(source, bytes) else str(source)


def _opened(source: str | Path | bytes) -> BinaryIO:
    if isinstance(source, bytes):
        return io.BytesIO(source)
    path = Path(source)
    if not path.is_file() and not path.is_dir() and path.exists():  # to open a pipe would wait for ever for a writer
        raise AudioError(f"{path} is a pipe or a device, not an audio file", "unsupported_audio")
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise MissingAudioError(f"no audio file at {path}") from None
    except IsADirectoryError:
        raise MissingAudioError(f"{path} is a folder, not an audio file") from None


def _whole(stream: BinaryIO, name: str) -> BinaryIO:
    """The stream of a file that was not cut, from its beginning to its end, whatever the header of an MP3 says."""
    magic = stream.read(4)
    if not magic:
        raise AudioError(f"{name} is empty: 0 bytes", "empty_audio")
    if magic in (b"RIFF", b"RF64", b"OggS", b"RIFX"):
        head = magic + stream.read(CHUNK_HEAD)
        total = stream.seek(0, io.SEEK_END)
        stream.seek(max(0, total - _TAIL))
        why = cut_reason(head, total, stream.read())
        if why:
            raise AudioError(f"{name} was cut: {why}", "truncated_audio")
    stream.seek(0)
    return counted_mp3(stream) if sniff(magic) == "mp3" else stream


def _open(stream: BinaryIO, name: str) -> Any:
    import soundfile

    try:
        return soundfile.SoundFile(stream)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        stream.seek(0)
        kind = sniff(stream.read(64))
        if kind in _CONTAINERS:
            raise _ForeignFormatError(kind) from None
        words = str(error).rsplit(": ", 1)[-1].rstrip(".") or "no reason given"
        kind = f"looks like {kind}, but can't be decoded" if kind else "is no audio of a known format"
        raise AudioError(f"{name} {kind} ({words})") from None


def _decode(stream: BinaryIO, name: str, start: float, duration: float | None) -> tuple[Wav, int, str, str]:
    import soundfile

    with _open(stream, name) as file:
        rate, claimed, container, subtype = file.samplerate, file.frames, file.format, file.subtype
        first = round(start * rate)
        wanted = claimed - first if duration is None else min(round(duration * rate), claimed - first)
        if claimed == 0:
            raise AudioError(f"{name} holds no samples", "empty_audio")
        if first and first >= claimed:
            raise ValueError(f"start {start} s is beyond the end of {name}, which lasts {claimed / rate:.3f} s")
        preroll = min(first, round(_PREROLL.get(subtype, 0.0) * rate))
        try:
            if first:
                file.seek(first - preroll)
            if claimed > _LONGEST:
                wav = _read_blocks(file, None if duration is None else wanted + preroll)
                claimed = wanted = len(wav)
            else:
                wav = _read(file, wanted + preroll)[preroll:]
        except (soundfile.LibsndfileError, RuntimeError) as error:
            words = str(error).strip(" .:") or "the decoder gives no reason"
            raise AudioError(f"{name} can't be decoded to its end: {words}", "corrupt_audio") from None
    _check_length(len(wav), wanted, rate, name)
    if len(wav) == 0 and wanted > 0:
        raise AudioError(f"{name} holds no samples that can be decoded", "corrupt_audio")
    return wav, rate, container, subtype


def _read(file: Any, frames: int) -> Wav:
    """(T, C) samples; those of 16 bits as whole numbers, which takes a third of the time and gives the same."""
    if file.subtype != "PCM_16":
        wav: Wav = file.read(frames, dtype="float32", always_2d=True)
        return wav
    whole: NDArray[np.int16] = file.read(frames, dtype="int16", always_2d=True)
    return np.multiply(whole, np.float32(1 / 32768), dtype=np.float32)


def _read_blocks(file: Any, wanted: int | None) -> Wav:
    blocks, left = [], wanted
    while left is None or left > 0:
        block = file.read(_BLOCK if left is None else min(_BLOCK, left), dtype="float32", always_2d=True)
        if not len(block):
            break
        blocks.append(block)
        left = None if left is None else left - len(block)
    return np.concatenate(blocks) if blocks else np.zeros((0, file.channels), np.float32)


def _count(file: Any, name: str) -> int:
    import soundfile

    frames = 0
    try:
        while len(block := file.read(_BLOCK, dtype="float32", always_2d=True)):
            frames += len(block)
    except (soundfile.LibsndfileError, RuntimeError):
        raise AudioError(f"{name} can't be decoded beyond {frames} samples of {file.frames}", "corrupt_audio") from None
    return frames


def _check_length(frames: int, claimed: int, rate: int, name: str) -> None:
    # Encoder delay makes decoders disagree by a little; a cut file lacks more.
    if claimed <= _LONGEST and frames < claimed - max(0.05 * rate, 0.01 * claimed):
        lengths = f"its header says {claimed / rate:.3f} s, {frames / rate:.3f} s can be decoded"
        raise AudioError(f"{name} was cut: {lengths}", "truncated_audio")


def _clipped(wav: Wav, peak: float) -> Wav:
    if peak <= 1.0:
        return wav
    share = float(np.mean(np.abs(wav) > 1.0))
    _log.warning("clipping %.2g %% of the samples to [-1, 1]; the peak is %.3f", 100 * share, peak)
    return np.clip(wav, -1.0, 1.0)


def _decode_container(
    source: str | Path | bytes, name: str, kind: str, start: float, duration: float | None
) -> tuple[Wav, int, str, str]:
    try:
        decoders = require("torchcodec.decoders", "amphion-core[torchcodec]")
    except (MissingExtraError, RuntimeError, OSError) as error:
        hint = "pip install 'amphion-core[torchcodec]' and FFmpeg's libraries, or convert it to FLAC"
        words = str(error).splitlines()[0]
        raise AudioError(f"{name} is a {kind} container, which needs: {hint} ({words})", "unsupported_audio") from None
    try:
        decoder = decoders.AudioDecoder(source if isinstance(source, bytes) else str(source))
        stop = None if duration is None else start + duration
        samples = decoder.get_samples_played_in_range(start, stop)
    except (RuntimeError, ValueError, OSError) as error:
        raise AudioError(f"{name} ({kind}) can't be decoded: {error}", "unsupported_audio") from None
    return samples.data.numpy().T.astype(np.float32), int(samples.sample_rate), kind.upper(), kind.upper()
