"""Several discriminators as one, as a recipe lists them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field
from torch import Tensor, nn

from amphion_core.config import Config
from amphion_core.discriminators.constant_q import ConstantQConfig, MultiScaleSubBandConstantQDiscriminator
from amphion_core.discriminators.period import MultiPeriodDiscriminator, PeriodConfig
from amphion_core.discriminators.resolution import MultiResolutionDiscriminator, ResolutionConfig
from amphion_core.discriminators.scale import MultiScaleDiscriminator, ScaleConfig
from amphion_core.discriminators.spectrogram import MultiResolutionSpectrogramDiscriminator, SpectrogramConfig
from amphion_core.discriminators.stft import MultiScaleStftDiscriminator, StftConfig
from amphion_core.losses.adversarial import Verdict

__all__ = ["AnyDiscriminatorConfig", "DiscriminatorConfig", "Discriminators", "build_discriminator"]

AnyDiscriminatorConfig = (
    PeriodConfig | ScaleConfig | SpectrogramConfig | ResolutionConfig | StftConfig | ConstantQConfig
)

DiscriminatorConfig = Annotated[AnyDiscriminatorConfig, Field(discriminator="name")]
"""One entry of a recipe's list of discriminators; `name` says of which kind."""


class Discriminators(nn.Module):
    """All discriminators of a training; their verdicts are joined.

    Args:
        configs: at least one.
        sample_rate: Hz of the waveforms, for discriminators whose configuration leaves it open.

    Raises:
        ValueError: there is none, or one is for another sampling rate.
    """

    def __init__(self, configs: Sequence[AnyDiscriminatorConfig], sample_rate: int | None = None) -> None:
        super().__init__()
        if not configs:
            raise ValueError("an adversarial training needs at least one discriminator; the list is empty")
        self.members = nn.ModuleList(build_discriminator(config, sample_rate) for config in configs)

    def forward(self, wav: Tensor) -> list[Verdict]:
        """Verdicts of all sub-discriminators, in the order of the configs, on waveforms (B, T)."""
        return [verdict for verdicts in self.apart(wav) for verdict in verdicts]

    def apart(self, wav: Tensor) -> list[list[Verdict]]:
        """Verdicts of each discriminator, for losses that weigh them differently."""
        return [member(wav) for member in self.members]


_KINDS: Mapping[type[Config], Any] = {
    PeriodConfig: MultiPeriodDiscriminator,
    ScaleConfig: MultiScaleDiscriminator,
    SpectrogramConfig: MultiResolutionSpectrogramDiscriminator,
    ResolutionConfig: MultiResolutionDiscriminator,
    StftConfig: MultiScaleStftDiscriminator,
    ConstantQConfig: MultiScaleSubBandConstantQDiscriminator,
}


def build_discriminator(config: AnyDiscriminatorConfig, sample_rate: int | None = None) -> nn.Module:
    """One discriminator of its configuration.

    Args:
        config: of any kind.
        sample_rate: Hz, where the configuration leaves it open.

    Raises:
        ValueError: the configuration is for another sampling rate.
    """
    if isinstance(config, ConstantQConfig):
        if config.sample_rate is None:
            config = config.updated(sample_rate=sample_rate)
        elif sample_rate not in (None, config.sample_rate):
            raise ValueError(
                f"the constant-Q discriminator is for {config.sample_rate} Hz, the waveforms have {sample_rate} Hz; "
                "leave sample_rate out of its configuration"
            )
    module: nn.Module = _KINDS[type(config)](config)
    return module
