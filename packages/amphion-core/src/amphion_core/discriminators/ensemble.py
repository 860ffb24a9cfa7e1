"""Several discriminators as one, as a recipe lists them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from amphion_core.discriminators.period import MultiPeriodDiscriminator, PeriodConfig
from amphion_core.discriminators.scale import MultiScaleDiscriminator, ScaleConfig
from amphion_core.discriminators.spectrogram import MultiResolutionSpectrogramDiscriminator, SpectrogramConfig
from amphion_core.losses.adversarial import Verdict

__all__ = ["DiscriminatorConfig", "Discriminators"]

DiscriminatorConfig = Annotated[PeriodConfig | ScaleConfig | SpectrogramConfig, Field(discriminator="name")]
"""One entry of a recipe's list of discriminators; `name` says of which kind."""


class Discriminators(nn.Module):
    """All discriminators of a training; their verdicts are joined.

    Args:
        configs: at least one.

    Raises:
        ValueError: there is none.
    """

    def __init__(self, configs: Sequence[PeriodConfig | ScaleConfig | SpectrogramConfig]) -> None:
        super().__init__()
        if not configs:
            raise ValueError("an adversarial training needs at least one discriminator; the list is empty")
        self.members = nn.ModuleList(_build(config) for config in configs)

    def forward(self, wav: Tensor) -> list[Verdict]:
        """Verdicts of all sub-discriminators, in the order of the configs, on waveforms (B, T)."""
        return [verdict for verdicts in self.apart(wav) for verdict in verdicts]

    def apart(self, wav: Tensor) -> list[list[Verdict]]:
        """Verdicts of each discriminator, for losses that weigh them differently."""
        return [member(wav) for member in self.members]


def _build(config: PeriodConfig | ScaleConfig | SpectrogramConfig) -> nn.Module:
    if isinstance(config, PeriodConfig):
        return MultiPeriodDiscriminator(config)
    if isinstance(config, ScaleConfig):
        return MultiScaleDiscriminator(config)
    return MultiResolutionSpectrogramDiscriminator(config)
