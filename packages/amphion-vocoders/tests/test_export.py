import json
import re

import pytest
import torch
from typer.testing import CliRunner

from amphion_core import registry
from amphion_core.features import MelConfig
from amphion_core.features.stft import inverse_stft, stft
from amphion_vocoders import GriffinLim, GriffinLimConfig, Vocos, VocosConfig, export
from amphion_vocoders.cli import app
from amphion_vocoders.export import InverseStft, export_onnx

MEL = {"sample_rate": 8000, "n_fft": 128, "win_length": 128, "hop_length": 32, "n_mels": 12, "f_max": 4000}
STAGES = {
    "channels": 8,
    "rates": [4, 8],
    "kernel_sizes": [8, 16],
    "block_kernel_sizes": [3],
    "block_dilations": [[1, 3]],
}
STREAM = {"channels": 8, "block_kernel_sizes": [3], "block_dilations": [[1]]}
NETWORKS = {
    "hifigan": STAGES,
    "bigvgan": STAGES,
    "nsf-hifigan": {**STAGES, "overtones": 2},
    "vocos": {"dim": 8, "intermediate_dim": 16, "num_layers": 1},
    "melgan": {"channels": 4, "rates": [4, 8], "blocks": 1},
    "apnet": {"amplitude": STREAM, "phase": STREAM},
}


def network(kind, **changes):
    torch.manual_seed(0)
    cls = registry.find("vocoders", kind)
    return cls(cls.config_class.parse({"mel": MEL, **NETWORKS[kind], **changes})).eval()


@pytest.mark.slow
@pytest.mark.parametrize("kind", NETWORKS)
def test_onnx_runtime_gives_what_torch_gives_for_any_batch_and_length(kind, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    model = network(kind)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    report = export_onnx(model, tmp_path / "model.onnx")
    assert report.difference < 1e-5  # sums in another order
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    session = runtime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    inputs = {"mel": torch.randn(2, 12, 31) - 4}
    if kind == "nsf-hifigan":
        inputs["source"] = 0.1 * torch.randn(2, 31 * 32)
    (made,) = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(made), model(**inputs), atol=1e-5, rtol=0)
    about = json.loads((tmp_path / "model.json").read_text())
    assert about["model"] == f"vocoders/{kind}"
    assert about["mel"] == MelConfig(**MEL).to_dict()


@pytest.mark.parametrize("padding", ["same", "center"])
def test_what_is_exported_makes_the_last_hop_too(padding):
    model, mel = network("vocos", padding=padding), torch.randn(2, 12, 9) - 4
    with torch.no_grad():
        torch.testing.assert_close(export._network(model)(mel), model(mel), atol=1e-5, rtol=0)


def test_a_file_beside_is_never_overwritten(tmp_path):
    model = network("melgan")
    model.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="give a name such as"):
        export_onnx(model, tmp_path)
    with pytest.raises(FileExistsError, match=r"config\.json is there and not of .*config\.onnx"):
        export_onnx(model, tmp_path / "config.onnx")


@pytest.mark.slow
def test_a_file_that_would_differ_is_not_written(tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    with pytest.raises(ValueError, match="no file was written"):
        export_onnx(network("melgan"), tmp_path / "model.onnx", tolerance=-1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("padding", ["same", "center"])
@pytest.mark.parametrize(("n_fft", "hop"), [(128, 32), (96, 24), (50, 10), (45, 15)])
def test_transform_as_a_convolution_is_the_inverse_transform(padding, n_fft, hop):
    spectrum = stft(torch.randn(2, 20 * hop), n_fft, hop, padding=padding)
    frames = spectrum.shape[-1]
    made = InverseStft(n_fft, hop, padding)(spectrum.real, spectrum.imag)
    expected = inverse_stft(spectrum, n_fft, hop, padding=padding, length=frames * hop)
    torch.testing.assert_close(made, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("vocoder", "words"),
    [
        (lambda: GriffinLim(GriffinLimConfig()), "'griffin-lim' is no network of convolutions alone"),
        (lambda: _refining(), "set phase_steps to 0"),
    ],
)
def test_what_has_no_onnx_file_is_told(vocoder, words, tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    with pytest.raises(ValueError, match=words):
        export_onnx(vocoder(), tmp_path / "model.onnx")


def _refining():
    cls = registry.find("vocoders", "vocos")
    return cls(cls.config_class.parse({"mel": MEL, **NETWORKS["vocos"], "phase_steps": 4}))


@pytest.mark.slow
def test_phase_steps_are_set_to_none_as_the_error_says(tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    torch.manual_seed(0)
    config = VocosConfig.parse({"mel": MEL, **NETWORKS["vocos"], "phase_steps": 3})
    Vocos(config).save_pretrained(tmp_path / "model")
    words = ["export", str(tmp_path / "model"), str(tmp_path / "model.onnx")]
    refused = CliRunner().invoke(app, words)
    (remedy,) = re.findall(r"amphion-vocoders export (--set \S+)\)", str(refused.exception))
    done = CliRunner().invoke(app, [*words, *remedy.split()])
    assert done.exit_code == 0, done.exception
    assert (tmp_path / "model.onnx").is_file()
