import importlib.util
import io
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from amphion_core import audio

GOLDEN = Path(__file__).parent / "golden" / "audio"


def tone(sample_rate=24000, seconds=1.0, frequency=440.0, level=0.5):
    t = np.arange(round(sample_rate * seconds)) / sample_rate
    return (level * np.sin(2 * np.pi * frequency * t)).astype(np.float32)


def noise(samples, level=0.1, seed=0):
    return (level * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


@pytest.mark.parametrize("format", list(audio.FORMATS))
def test_bytes_and_path_give_the_same_samples(tmp_path, format):
    path = tmp_path / f"a.{format}"
    audio.save(path, tone(), 24000)
    from_path, from_bytes = audio.load(path), audio.load(path.read_bytes())
    assert from_path[1] == from_bytes[1] == 24000
    np.testing.assert_array_equal(from_path[0], from_bytes[0])


@pytest.mark.parametrize(
    ("format", "loss"), [("wav", 4e-5), ("flac", 4e-5), ("mp3", 0.05), ("ogg", 0.05), ("opus", 0.1)]
)
def test_a_tone_survives_the_round_trip(format, loss):
    wav, rate = audio.load(audio.encode(tone(), 24000, format))
    assert wav.dtype == np.float32 and wav.shape == (24000,) and rate == 24000
    # A step of 16 bits; for lossy codecs by experience, away from the edges where they smear.
    assert np.abs(wav - tone())[2400:-2400].max() < loss


@pytest.mark.parametrize("format", list(audio.FORMATS))
def test_encoding_twice_gives_the_same_bytes(format):
    wav = noise(12000)
    assert audio.encode(wav, 24000, format) == audio.encode(wav, 24000, format)


@pytest.mark.slow
def test_a_float_wav_does_not_tell_the_time_of_writing():
    import time

    first = audio.encode(tone(), 24000, "wav", subtype="FLOAT")
    time.sleep(1.1)
    assert audio.encode(tone(), 24000, "wav", subtype="FLOAT") == first
    np.testing.assert_array_equal(audio.load(first)[0], tone())


@pytest.mark.parametrize("format", ["ogg", "opus"])
def test_renumbered_ogg_pages_have_valid_checksums(format):
    buffer = io.BytesIO()
    soundfile.write(buffer, noise(48000), 24000, format="OGG", subtype=audio.FORMATS[format][1])
    # The decoder leaves out pages whose checksum is wrong, so samples would be lost.
    expected, _ = soundfile.read(io.BytesIO(buffer.getvalue()), dtype="float32")
    np.testing.assert_array_equal(audio.load(audio.encode(noise(48000), 24000, format))[0], expected)


@pytest.mark.parametrize("format", list(audio.FORMATS))
def test_a_part_equals_the_slice_of_the_whole(format):
    data = audio.encode(noise(5 * 24000), 24000, format)
    whole, _ = audio.load(data)
    for start in (0.0, 0.7001, 2.3, 3.9):
        part, _ = audio.load(data, start=start, duration=0.5)
        first = round(start * 24000)
        # Opus keeps state for longer than the decoder is given to settle; the others are exact but for MP3's rounding.
        tolerance = 0.05 if format == "opus" else 2e-7
        np.testing.assert_allclose(part, whole[first : first + 12000], atol=tolerance)


def test_more_than_there_is_reads_to_the_end():
    wav, _ = audio.load(audio.encode(tone(), 24000), start=0.75, duration=10.0)
    assert len(wav) == 6000


def test_a_start_beyond_the_end_is_an_error_with_both_times():
    with pytest.raises(ValueError, match=r"start 2\.0 s.*lasts 1\.000 s"):
        audio.load(audio.encode(tone(), 24000), start=2.0)


def test_mono_is_the_mean_of_the_channels():
    stereo = np.stack([tone(), np.zeros(24000, np.float32)])
    data = audio.encode(stereo, 24000, "wav", subtype="FLOAT")
    np.testing.assert_allclose(audio.load(data)[0], tone() / 2, atol=1e-7)
    np.testing.assert_array_equal(audio.load(data, mono=False)[0], stereo)


def test_eight_channels_keep_their_order():
    wav = np.stack([tone(frequency=100.0 * (c + 1)) for c in range(8)])
    back, _ = audio.load(audio.encode(wav, 24000, "flac"), mono=False)
    assert back.shape == (8, 24000)
    np.testing.assert_allclose(back, wav, atol=2e-5)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000, 96000, 192000])
def test_rates_from_8_to_192_khz_are_read_and_resampled(rate):
    wav, new = audio.load(audio.encode(tone(rate), rate, "flac"), sample_rate=24000)
    assert new == 24000 and abs(len(wav) - 24000) <= 1


@pytest.mark.parametrize("rate", [11025, 22050, 32000, 44100])
def test_opus_refuses_its_impossible_rates_with_words(rate):
    with pytest.raises(ValueError, match=rf"opus can't hold {rate} Hz, only 8000, 12000, 16000, 24000, 48000"):
        audio.encode(tone(rate), rate, "opus")


@pytest.mark.parametrize(("format", "channels", "most"), [("mp3", 3, 2), ("flac", 9, 8)])
def test_more_channels_than_a_format_has_are_refused_with_words(format, channels, most):
    with pytest.raises(ValueError, match=f"{format} can't hold {channels} channels, {most} are the most"):
        audio.encode(np.stack([tone()] * channels), 24000, format)


def test_ten_milliseconds_are_a_clip():
    for format in audio.FORMATS:
        assert audio.load(audio.encode(tone(seconds=0.01), 24000, format))[0].shape == (240,)


@pytest.mark.parametrize("format", ["wav", "flac", "mp3", "ogg", "opus"])
def test_info_counts_what_decodes(format):
    info = audio.info(audio.encode(tone(), 24000, format))
    assert (info.frames, info.sample_rate, info.channels, info.duration) == (24000, 24000, 1, 1.0)


@pytest.mark.parametrize("format", ["wav", "flac", "mp3", "ogg", "opus"])
@pytest.mark.parametrize("share", [0.3, 0.8])
def test_a_cut_file_is_an_error_and_not_a_shorter_clip(format, share):
    data = audio.encode(noise(3 * 24000), 24000, format)
    cut = data[: int(share * len(data))]
    with pytest.raises(audio.AudioError) as caught:
        audio.load(cut)
    assert caught.value.reason in ("truncated_audio", "corrupt_audio")
    with pytest.raises(audio.AudioError):
        audio.info(cut)


def test_a_wav_header_longer_than_its_file_is_truncated_audio(tmp_path):
    data = bytearray(audio.encode(tone(), 24000))
    data[40:44] = struct.pack("<I", 2 * 24000 * 2)
    (tmp_path / "a.wav").write_bytes(data)
    with pytest.raises(audio.AudioError, match="data chunk says 96000 bytes, 48000 are there") as caught:
        audio.load(tmp_path / "a.wav")
    assert caught.value.reason == "truncated_audio"


def test_a_wav_from_a_pipe_with_unknown_length_is_read():
    data = bytearray(audio.encode(tone(), 24000))
    data[40:44] = b"\xff\xff\xff\xff"
    assert audio.load(bytes(data))[0].shape == (24000,)


def test_an_empty_file_is_empty_audio(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"")
    with pytest.raises(audio.AudioError, match="0 bytes") as caught:
        audio.load(tmp_path / "a.wav")
    assert caught.value.reason == "empty_audio"


def test_a_file_of_no_samples_is_empty_audio():
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(0), 24000, format="WAV")
    with pytest.raises(audio.AudioError) as caught:
        audio.load(buffer.getvalue())
    assert caught.value.reason == "empty_audio"


def test_a_text_called_wav_is_corrupt_audio(tmp_path):
    (tmp_path / "a.wav").write_text("not audio at all\n" * 50)
    with pytest.raises(audio.AudioError, match="no audio of a known format") as caught:
        audio.load(tmp_path / "a.wav")
    assert caught.value.reason == "corrupt_audio"


def test_a_flac_called_wav_is_read(tmp_path):
    (tmp_path / "a.wav").write_bytes(audio.encode(tone(), 24000, "flac"))
    assert audio.info(tmp_path / "a.wav").format == "FLAC"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity_are_not_finite(value):
    buffer = io.BytesIO()
    wav = tone()
    wav[7] = value
    soundfile.write(buffer, wav, 24000, format="WAV", subtype="FLOAT")
    with pytest.raises(audio.AudioError, match="1 samples that are NaN or infinite") as caught:
        audio.load(buffer.getvalue())
    assert caught.value.reason == "not_finite"
    with pytest.raises(ValueError, match="NaN or infinite"):
        audio.encode(wav, 24000)


def test_a_missing_file_is_both_kinds_of_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="no audio file at"):
        audio.load(tmp_path / "none.wav")
    with pytest.raises(audio.AudioError) as caught:
        audio.load(tmp_path / "none.wav")
    assert caught.value.reason == "missing_audio"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pipes among its files")
def test_a_pipe_is_refused_and_nobody_waits_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    for reader in (audio.load, audio.info):
        with pytest.raises(audio.AudioError, match="is a pipe or a device, not an audio file") as caught:
            reader(tmp_path / "pipe.wav")
        assert caught.value.reason == "unsupported_audio"


def test_an_m4a_names_the_extra_that_reads_it():
    head = struct.pack(">I", 24) + b"ftypM4A \x00\x00\x00\x00M4A mp42" + bytes(200)
    with pytest.raises(audio.AudioError) as caught:
        audio.load(head)
    assert caught.value.reason == "unsupported_audio"
    if importlib.util.find_spec("torchcodec") is None:
        assert "pip install 'amphion-core[torchcodec]'" in str(caught.value)


def test_samples_over_full_scale_are_clipped_with_a_warning(caplog):
    data = audio.encode(3 * tone(), 24000)
    assert "clipping" in caplog.text and "the peak is 1.500" in caplog.text
    assert np.abs(audio.load(data)[0]).max() <= 1.0


def test_a_failed_save_leaves_nothing(tmp_path):
    with pytest.raises(ValueError):
        audio.save(tmp_path / "a.opus", tone(22050), 22050)
    with pytest.raises(ValueError, match="no audio format named 'xyz'"):
        audio.save(tmp_path / "a.xyz", tone(), 24000)
    assert list(tmp_path.iterdir()) == []


def test_channels_last_is_refused():
    with pytest.raises(ValueError, match="channels come first"):
        audio.encode(np.zeros((24000, 2), np.float32), 24000)


def test_resampling_keeps_a_tone_below_the_new_nyquist_and_removes_one_above():
    low = audio.resample(tone(44100, frequency=7000.0), 44100, 16000)
    high = audio.resample(tone(44100, frequency=9000.0), 44100, 16000)
    assert np.abs(low[2000:-2000]).max() == pytest.approx(0.5, abs=0.005)
    assert np.abs(high[2000:-2000]).max() < 1e-5  # better than -90 dB


def test_there_and_back_is_the_same():
    wav = audio.resample(audio.resample(tone(24000), 24000, 48000), 48000, 24000)
    np.testing.assert_allclose(wav[500:-500], tone(24000)[500:-500], atol=1e-4)


@pytest.mark.parametrize("name", ["slt_16k", "es_us_24k", "sing_f3_24k", "es_short_24k"])
def test_loudness_is_that_of_the_golden_clips(name):
    expected = json.loads((GOLDEN / "loudness.json").read_text())["loudness"][name]
    wav, rate = audio.load(GOLDEN / f"{name}.flac")
    assert audio.loudness(wav, rate) == pytest.approx(expected, abs=0.05)


def test_loudness_of_the_full_scale_tone_of_the_standard():
    assert audio.loudness(tone(48000, 10, 997.0, 1.0), 48000) == pytest.approx(-3.01, abs=0.01)


def test_loudness_of_two_equal_channels_is_3_lu_more():
    wav = noise(48000)
    assert audio.loudness(np.stack([wav, wav]), 24000) == pytest.approx(audio.loudness(wav, 24000) + 3.0103, abs=1e-3)


def test_pauses_do_not_lower_the_loudness():
    wav = np.concatenate([noise(48000), np.zeros(480000, np.float32), noise(48000, seed=1)])
    # Without gates it would be 8 LU lower; the blocks at the edges of the pause are counted by the standard.
    assert audio.loudness(wav, 24000) == pytest.approx(audio.loudness(noise(96000), 24000), abs=0.5)


def test_loudness_of_silence_and_of_too_little():
    assert audio.loudness(np.zeros(24000, np.float32), 24000) == -np.inf
    assert np.isnan(audio.loudness(tone(seconds=0.3), 24000))


def test_normalized_loudness_is_the_target():
    wav = audio.normalize_loudness(noise(48000), 24000, -18.0)
    assert audio.loudness(wav, 24000) == pytest.approx(-18.0, abs=1e-3)
    with pytest.raises(ValueError, match="silent"):
        audio.normalize_loudness(np.zeros(24000, np.float32), 24000)


def test_silence_at_the_ends_goes_and_the_margin_stays():
    wav = np.concatenate([np.zeros(12000), tone(), np.zeros(24000)]).astype(np.float32)
    kept, (start, end) = audio.trim_silence(wav, 24000, margin=0.05)
    assert start == pytest.approx(0.45, abs=0.02) and end == pytest.approx(1.55, abs=0.02)
    assert len(kept) == round((end - start) * 24000)


def test_a_pause_inside_stays():
    wav = np.concatenate([tone(), np.zeros(24000, np.float32), tone()])
    assert len(audio.trim_silence(wav, 24000)[0]) == len(wav)


def test_trimming_silence_leaves_nothing():
    kept, span = audio.trim_silence(np.zeros(1000, np.float32), 24000)
    assert kept.size == 0 and span == (0.0, 0.0)


def test_check_reports_what_is_wrong():
    wav = np.clip(3 * tone(frequency=100.0), -0.6, 0.6) + 0.1
    found = audio.check(wav, 24000)
    assert found.peak == pytest.approx(0.7) and found.dc == pytest.approx(0.1, abs=1e-3)
    assert found.clipped_share > 0.2 and found.finite and not found.silent
    assert audio.check(tone(), 24000).clipped_share == 0.0
    assert audio.check(np.zeros(10, np.float32), 24000).silent
    assert not audio.check(np.array([0.0, np.nan], np.float32), 24000).finite


@pytest.mark.slow
def test_two_hours_are_read_in_parts(tmp_path):
    path = tmp_path / "long.flac"
    with soundfile.SoundFile(path, "w", 8000, 1, format="FLAC") as file:
        for minute in range(120):
            file.write(np.full(60 * 8000, minute / 128))
    assert audio.info(path).duration == 7200
    wav, _ = audio.load(path, start=119 * 60 - 1, duration=2)
    np.testing.assert_allclose(wav, np.repeat([118 / 128, 119 / 128], 8000), atol=1e-4)


@pytest.mark.slow
def test_the_default_path_imports_neither_torch_nor_torchaudio_nor_torchcodec():
    code = (
        "import sys, numpy as np; from amphion_core import audio; "
        "x = np.zeros(2400, np.float32) + .1; audio.load(audio.encode(x, 24000, 'flac'), sample_rate=16000); "
        "audio.loudness(np.ones(24000), 24000); "
        "print([m for m in ('torch', 'torchaudio', 'torchcodec', 'librosa') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1,), (1000,), (2, 3000), (8, 500)])
def test_flac_of_sixteen_bits_has_the_bytes_that_libsndfile_makes_of_floats(shape, dtype):
    wav = np.random.default_rng(0).normal(0, 0.4, shape).clip(-1, 1).astype(dtype)
    buffer = io.BytesIO()
    soundfile.write(buffer, wav.T, 16_000, format="FLAC", subtype="PCM_16")
    assert audio.encode(wav, 16_000, "flac") == buffer.getvalue()


@pytest.mark.parametrize("container", ["WAV", "FLAC", "AIFF"])
def test_samples_of_sixteen_bits_are_those_that_libsndfile_gives(container):
    whole = np.random.default_rng(0).integers(-32768, 32768, (4000, 3)).astype(np.int16)
    buffer = io.BytesIO()
    soundfile.write(buffer, whole, 16_000, format=container, subtype="PCM_16")
    wav, _ = audio.load(buffer.getvalue(), mono=False, start=0.05, duration=0.1)
    np.testing.assert_array_equal(wav, whole[800:2400].T.astype(np.float32) / 32768)


def test_peak_and_rms_are_those_of_the_check():
    wav = np.random.default_rng(0).normal(0, 0.1, (2, 20_000)).astype(np.float32)
    found = audio.check(wav, 16_000)
    assert audio.peak_and_rms(wav) == (found.peak, found.rms)
    assert audio.peak_and_rms(np.zeros(0, np.float32)) == (0.0, 0.0)


def lame(seconds, rate=24000, channels=1, mode="CONSTANT"):
    buffer = io.BytesIO()
    wav = np.stack([noise(round(seconds * rate))] * channels, axis=1)
    soundfile.write(buffer, wav, rate, format="MP3", bitrate_mode=mode, compression_level=0.5)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
@pytest.mark.parametrize(("rate", "channels"), [(16000, 1), (24000, 2), (44100, 2), (48000, 1)])
def test_mp3_files_that_were_joined_are_decoded_to_their_end(rate, channels, mode, tmp_path):
    one = lame(2.0, rate, channels, mode)
    (tmp_path / "two.mp3").write_bytes(one + b"ID3\x04\0\0\0\0\0\x04abcd" + one)
    for source in (one + one, tmp_path / "two.mp3"):
        # Between them lie the padding of the first and the header of the second, a frame or two each.
        assert audio.load(source)[0].shape[0] / rate == pytest.approx(4.0, abs=0.2)
        assert audio.info(source).duration == pytest.approx(4.0, abs=0.2)
    late, _ = audio.load(one + one, start=3.0, duration=0.5)
    assert late.shape == (rate // 2,) and np.abs(late).max() > 0.1


@pytest.mark.parametrize(("mode", "name"), [("CONSTANT", b"Info"), ("VARIABLE", b"Xing")])
def test_an_mp3_header_that_states_too_few_frames_is_not_believed(mode, name):
    data = bytearray(lame(3.0, mode=mode))
    count = data.find(name) + 8
    whole = audio.load(bytes(data))[0]
    data[count : count + 4] = struct.pack(">I", 5)
    np.testing.assert_array_equal(audio.load(bytes(data))[0], whole)


@pytest.mark.parametrize("behind", [b"TAG" + bytes(125), bytes(3000), b"APETAGEX" + bytes(60), b"\xff\xfb" * 50])
def test_what_lies_behind_the_frames_of_an_mp3_is_no_sound(behind):
    data = lame(2.0)
    np.testing.assert_array_equal(audio.load(data + behind)[0], audio.load(data)[0])
