import pytest
import torch

from amphion_core.features import MelConfig
from amphion_vocoders import GriffinLim, GriffinLimConfig, HiFiGAN, HiFiGANConfig, Vocos, VocosConfig
from amphion_vocoders.precision import autocast, check_precision

MEL = MelConfig(sample_rate=8000, n_fft=128, win_length=128, hop_length=32, n_mels=12, f_max=4000)
CPU = torch.device("cpu")


def network(kind):
    torch.manual_seed(0)
    if kind == "vocos":
        return Vocos(VocosConfig(mel=MEL, dim=16, intermediate_dim=32, num_layers=2)).eval()
    sizes = {"channels": 16, "rates": (4, 4, 2), "kernel_sizes": (8, 8, 4)}
    return HiFiGAN(HiFiGANConfig(mel=MEL, **sizes)).eval()


@pytest.mark.parametrize("kind", ["vocos", "hifigan"])
def test_bfloat16_stays_near_float32(kind):
    torch.manual_seed(0)
    assert check_precision(network(kind), torch.randn(12, 40) - 4, None, "bf16", CPU) < 0.1


def test_a_network_that_suffers_is_refused():
    class Coarse(HiFiGAN):
        def forward(self, mel):
            wav = super().forward(mel)
            return wav if not torch.is_autocast_enabled("cpu") else 10 * wav

    model = network("hifigan")
    model.__class__ = Coarse
    with pytest.raises(ValueError, match=r"is off by .* use precision float32"):
        check_precision(model, torch.randn(12, 40) - 4, None, "bf16", CPU)


@pytest.mark.parametrize(
    ("vocoder", "precision", "words"),
    [
        (GriffinLim(GriffinLimConfig(mel=MEL)), "bf16", "has no network"),
        (network("vocos"), "fp16", "fp16 is for accelerators"),
        (network("vocos"), "fp8", "one of float32, bf16, fp16"),
    ],
)
def test_what_can_not_be_is_told(vocoder, precision, words):
    with pytest.raises(ValueError, match=words):
        check_precision(vocoder, torch.zeros(12, 40) - 4, None, precision, CPU)


def test_float32_changes_nothing():
    with autocast("float32", CPU):
        assert not torch.is_autocast_enabled("cpu")
    assert check_precision(network("vocos"), torch.zeros(12, 4), None, "float32", CPU) == 0
