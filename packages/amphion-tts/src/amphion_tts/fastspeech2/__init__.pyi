from .config import FastSpeech2Config as FastSpeech2Config
from .config import VarianceConfig as VarianceConfig
from .model import FastSpeech2 as FastSpeech2
from .model import FastSpeech2Output as FastSpeech2Output
