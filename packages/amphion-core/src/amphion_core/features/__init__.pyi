from .mel_config import MelConfig as MelConfig
