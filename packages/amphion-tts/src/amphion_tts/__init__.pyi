from .__about__ import __version__ as __version__
from .fastspeech2.config import FastSpeech2Config as FastSpeech2Config
from .fastspeech2.model import FastSpeech2 as FastSpeech2
from .speech import TextToSpeech as TextToSpeech
from .text.config import FrontEndConfig as FrontEndConfig
from .text.normalize import normalize_english as normalize_english
from .text.sentences import split_sentences as split_sentences
