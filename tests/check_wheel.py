"""What a freshly installed wheel has to do; run by `nox -s wheels` in an environment of its own.

It prints the CPU time of the import and of every `--help` (0.2 s and 0.5 s are what a quiet machine should stay below)
and fails where one of them loads something heavy: a busy machine doubles a time, but never adds a module.
"""

import importlib
import importlib.metadata
import os
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

NO_TORCH = {"amphion_core", "amphion_eval", "amphion_data"}
HEAVY = {"torch", "numpy", "scipy", "soundfile", "transformers", "onnxruntime", "matplotlib", "ray"}


def main(module: str) -> None:
    start = time.process_time()
    package = importlib.import_module(module)
    spent = time.process_time() - start
    assert HEAVY.isdisjoint(sys.modules), f"the import loads {sorted(HEAVY & sys.modules.keys())}"
    print(f"import {module} {package.__version__}: {spent:.3f} s")
    if module in NO_TORCH:
        installed = {dist.metadata["Name"].lower() for dist in importlib.metadata.distributions()}
        assert "torch" not in installed, "the plain install brings torch"
    command = {"amphion_core": "amphion"}.get(module, module.replace("_", "-"))
    suffix = ".exe" if os.name == "nt" else ""
    script = Path(sysconfig.get_path("scripts")) / (command + suffix)
    for arguments in help_pages(script):
        check_help(script, arguments)


def help_pages(script: Path) -> list[list[str]]:
    """The command itself and each of its sub-commands."""
    text = subprocess.run([script, "--help"], check=True, capture_output=True, text=True).stdout
    names = [
        line.split()[0]
        for line in text.partition("Commands:")[2].partition("Errors are")[0].splitlines()
        if line.startswith("  ") and not line.startswith("   ") and line.strip()
    ]
    return [[], *([name] for name in names)]


def check_help(script: Path, arguments: list[str]) -> None:
    line = " ".join([script.name, *arguments, "--help"])
    run = subprocess.run(
        [sys.executable, "-X", "importtime", script, *arguments, "--help"], check=True, capture_output=True, text=True
    )
    assert "Usage:" in run.stdout, f"{line} prints no usage"
    loaded = {entry.rpartition("|")[2].strip() for entry in run.stderr.splitlines()}
    assert HEAVY.isdisjoint(loaded), f"{line} loads {sorted(HEAVY & loaded)}"
    spent = min(cpu_time([sys.executable, script, *arguments, "--help"]) for _ in range(3))
    print(f"{line}: {spent:.3f} s")


def cpu_time(command: list[str | Path]) -> float:
    before = os.times()
    subprocess.run(command, check=True, capture_output=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


if __name__ == "__main__":
    main(sys.argv[1])
