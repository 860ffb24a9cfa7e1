"""Random networks of Demucs's own classes in files as the hub has them."""

import json

SOURCES = ["drums", "vocals"]
RATE = 8000


def write_network(file, klass="demucs.htdemucs.HTDemucs", seed=0, **changes):
    """A network of half a second and two channels."""
    import torch
    from demucs.htdemucs import HTDemucs
    from safetensors.torch import save_file

    given = {
        "sources": SOURCES,
        "channels": 8,
        "nfft": 512,
        "depth": 3,
        "t_layers": 1,
        "t_heads": 2,
        "samplerate": RATE,
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = HTDemucs(**given, segment=0.5)
    shape = {**given, "segment": {"_type": "fraction", "numerator": 1, "denominator": 2}, **changes}
    said = {"klass": klass, "args": "[]", "kwargs": json.dumps(shape)}
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, file, said)


def write_release(folder, name="tiny", networks=1, weights=None):
    """A folder as the hub's: one yaml file and the networks that it names."""
    folder.mkdir(parents=True, exist_ok=True)
    stems = [f"network{k}" for k in range(networks)]
    for k, stem in enumerate(stems):
        write_network(folder / f"{stem}.safetensors", seed=k)
    lines = {"models": stems, **({"weights": weights} if weights else {})}
    (folder / f"{name}.yaml").write_text(json.dumps(lines))
    return folder
