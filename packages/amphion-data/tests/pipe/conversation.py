"""A conversation of synthetic voices whose speakers, overlaps, music and noise are known to the sample."""

import ctypes
from dataclasses import dataclass, field
from functools import cache

import numpy as np

RATE = 24_000
VOICES = (("en-us+m3", 35, 150), ("en-us+f2", 70, 170), ("en-us+klatt2", 40, 150), ("en-us+belinda", 60, 150))
TEXTS = (
    "I have been looking at the garden all morning, and the roses are finally in bloom.",
    "That is wonderful news, because we waited so long for the rain to stop.",
    "Do you remember the old house by the river? We used to swim there every summer.",
    "Of course I do, and the water was always much colder than it looked from the bank.",
    "The train leaves at half past nine, so we should have breakfast before that.",
    "My brother called yesterday and told me that he will visit us in the spring.",
    "Nobody expected the museum to be so crowded on a quiet Wednesday afternoon.",
    "Please put the books back on the shelf when you have finished reading them.",
    "The weather report says there will be strong wind near the coast this evening.",
    "It took three hours to repair the bicycle, but now it works better than before.",
)
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


@dataclass
class Conversation:
    """Samples at `RATE`, and what is where: (start, end, speaker) of every stretch of speech, s."""

    wav: np.ndarray
    turns: list = field(default_factory=list)
    music: list = field(default_factory=list)
    texts: list = field(default_factory=list)

    def frames(self, step=0.01):
        """(F, S) whether each speaker speaks in each frame."""
        count = int(len(self.wav) / RATE / step)
        held = np.zeros((count, 1 + max(speaker for *_, speaker in self.turns)), bool)
        for start, end, speaker in self.turns:
            held[round(start / step) : round(end / step), speaker] = True
        return held


@cache
def espeak():
    """A function of text, voice, pitch and rate to samples at `RATE`."""
    import espeakng_loader

    from amphion_core.audio import resample

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    chunks = []

    @_CALLBACK
    def receive(samples, count, _events):
        if samples and count > 0:
            chunks.append(np.ctypeslib.as_array(samples, shape=(count,)).astype(np.float32) / 32768)
        return 0

    rate = library.espeak_Initialize(2, 0, espeakng_loader.get_data_path().encode(), 0)
    library.espeak_SetSynthCallback(receive)

    def speak(text, voice, pitch, speed):
        library.espeak_SetVoiceByName(voice.encode())
        library.espeak_SetParameter(1, speed, 0)
        library.espeak_SetParameter(3, pitch, 0)
        chunks.clear()
        data = text.encode() + b"\0"
        library.espeak_Synth(data, len(data), 0, 0, 0, 1, None, None)
        library.espeak_Synchronize()
        wav = resample(np.concatenate(chunks), rate, RATE)
        loud = np.flatnonzero(np.abs(wav) > 1e-3)
        wav = wav[loud[0] : loud[-1] + 1]
        return wav * np.float32(0.1 / np.sqrt(np.mean(wav**2)))

    speak.keep = receive
    return speak


def music(seconds, rate=RATE, level=0.03):
    """Chords of plucked strings."""
    time = np.arange(round(seconds * rate)) / rate
    wav = np.zeros(time.size)
    for beat in range(int(seconds / 0.5) + 1):
        local = np.maximum(time - 0.5 * beat, 0)
        for tone in np.array([220, 277.2, 329.6]) * 2 ** ((beat * 5 % 12) / 12):
            wav += (time >= 0.5 * beat) * np.exp(-4 * local) * np.sin(2 * np.pi * tone * local)
    return (wav * level / np.sqrt(np.mean(wav**2))).astype(np.float32)


def converse(voices=3, turns=12, seed=0, noise=0.002, overlaps=2, music_seconds=8.0, gap=(0.3, 1.6)):
    """Speakers in turn, with pauses; at some turns the next one begins before the last one ends."""
    generator, speak = np.random.default_rng(seed), espeak()
    pieces, at, previous = [], 1.5, -1
    crossed = set(generator.choice(np.arange(1, turns), overlaps, replace=False).tolist()) if overlaps else set()
    for number in range(turns):
        speaker = int(generator.choice([s for s in range(voices) if s != previous])) if voices > 1 else 0
        sentences = [TEXTS[int(k)] for k in generator.integers(0, len(TEXTS), int(generator.integers(1, 3)))]
        text = " ".join(sentences)
        wav = speak(text, *VOICES[speaker])
        start = at - 2.0 if number in crossed else at
        pieces.append((start, start + len(wav) / RATE, speaker, wav, text))
        at = start + len(wav) / RATE + float(generator.uniform(*gap))
        previous = speaker
    total = at + 1.5 + music_seconds
    wav = generator.normal(0, noise, round(total * RATE)).astype(np.float32)
    found = Conversation(wav)
    for start, end, speaker, voice, text in pieces:
        first = round(start * RATE)
        wav[first : first + len(voice)] += voice
        found.turns.append((start, end, speaker))
        found.texts.append({"start": start, "end": end, "text": text, "language": "en"})
    if music_seconds:
        first = round((at + 0.5) * RATE)
        sound = music(music_seconds)
        wav[first : first + len(sound)] += sound
        found.music.append((at + 0.5, at + 0.5 + music_seconds))
    return found
