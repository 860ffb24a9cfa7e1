from .ensemble import DiscriminatorConfig as DiscriminatorConfig
from .ensemble import Discriminators as Discriminators
from .period import MultiPeriodDiscriminator as MultiPeriodDiscriminator
from .period import PeriodConfig as PeriodConfig
from .scale import MultiScaleDiscriminator as MultiScaleDiscriminator
from .scale import ScaleConfig as ScaleConfig
from .spectrogram import MultiResolutionSpectrogramDiscriminator as MultiResolutionSpectrogramDiscriminator
from .spectrogram import SpectrogramConfig as SpectrogramConfig
