import numpy as np
import pytest
import safetensors.torch
import torch

from amphion_vocoders.stored_mels import read_mel

MEL = np.linspace(-9, 1, 12 * 30, dtype=np.float32).reshape(12, 30)


@pytest.mark.parametrize("kind", [">f4", "<f8", ">f8", "<f2"])
def test_every_width_and_byte_order_is_read(tmp_path, kind):
    np.save(tmp_path / "x.npy", MEL.astype(kind))
    np.savez(tmp_path / "x.npz", mel=MEL.astype(kind), f0=MEL[0].astype(kind))
    for name in ("x.npy", "x.npz"):
        mel, _ = read_mel(tmp_path / name)
        assert mel.dtype == torch.float32
        np.testing.assert_allclose(mel, MEL, atol=4e-3 if kind == "<f2" else 1e-6)  # 11 bits of 9


@pytest.mark.parametrize("values", [np.array(["a", "b"]), MEL + 1j, MEL > 0])
def test_what_are_no_real_numbers_is_told(tmp_path, values):
    np.save(tmp_path / "x.npy", values)
    np.savez(tmp_path / "x.npz", mel=values)
    for name in ("x.npy", "x.npz"):
        with pytest.raises(ValueError, match=r"its values are (str|complex|bool)\w*, not real numbers; store them as"):
            read_mel(tmp_path / name)


@pytest.mark.parametrize("cut", [0, 10, 200])
@pytest.mark.parametrize("kind", ["npy", "npz", "safetensors"])
def test_files_that_are_cut_are_told_by_name(tmp_path, kind, cut):
    path = tmp_path / f"x.{kind}"
    if kind == "npy":
        np.save(path, MEL)
    elif kind == "npz":
        np.savez(path, mel=MEL)
    else:
        safetensors.torch.save_file({"mel": torch.from_numpy(MEL)}, path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ValueError, match=rf"x\.{kind} is no whole \.{kind} file of numbers \(.+\); write it again"):
        read_mel(path, "mel" if kind == "safetensors" else None)


@pytest.mark.parametrize("kind", ["npy", "npz"])
def test_pickles_are_refused_without_advice_to_load_them(tmp_path, kind):
    objects = np.array([{"a": 1}], dtype=object)
    save = np.save if kind == "npy" else np.savez
    save(tmp_path / f"x.{kind}", *([objects] if kind == "npy" else []), **({"mel": objects} if kind == "npz" else {}))
    with pytest.raises(ValueError, match="pickled objects, which could run code and are never loaded") as caught:
        read_mel(tmp_path / f"x.{kind}")
    assert "allow_pickle" not in str(caught.value)


def test_a_file_without_a_mel_says_what_it_holds(tmp_path):
    safetensors.torch.save_file({}, tmp_path / "none.safetensors")
    safetensors.torch.save_file({"a.f0": torch.ones(3)}, tmp_path / "f0.safetensors")
    np.savez(tmp_path / "x.npz", other=MEL)
    for name, words in (("none.safetensors", "no tensors"), ("f0.safetensors", "a.f0"), ("x.npz", "other")):
        with pytest.raises(ValueError, match=f"it holds {words}"):
            read_mel(tmp_path / name)
