"""Sessions for all packages; it reads packages/*/pyproject.toml and knows nothing else about them.

nox -s demo        the main job: a corpus, two trainings, speech, figures
nox -s tests       all tests, each package beside only what it declares; one: nox -s "tests(eval)"
nox -l             everything else
"""

from __future__ import annotations

import json
import os
import re
import sys
import tomllib
from pathlib import Path

import nox

ROOT = Path(__file__).parent
nox.needs_version = ">=2024.4.15"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["lint", "types", "tests"]
nox.options.error_on_missing_interpreters = True
PARALLEL = "pytest-xdist>=3.6"


def read_packages() -> dict[str, dict]:
    """Project tables by short name, such as `eval` for amphion-eval."""
    found = {}
    for file in sorted((ROOT / "packages").glob("amphion-*/pyproject.toml")):
        table = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
        found[table["name"].removeprefix("amphion-")] = table
    return found


def siblings(requirements: list[str]) -> set[str]:
    """Short names of our packages among requirements."""
    matches = (re.match(r"amphion-([a-z]+)", requirement) for requirement in requirements)
    return {match[1] for match in matches if match}


def closure(package: str, extras: tuple[str, ...] = ()) -> list[str]:
    """Our packages that a package stands on, itself last.

    Raises:
        ValueError: the packages depend on each other in a circle.
    """
    order: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            raise ValueError("packages depend in a circle: " + " -> ".join((*path, name)))
        table = PACKAGES[name]
        wanted = list(table["dependencies"])
        if not path:
            for extra in extras:
                wanted += table.get("optional-dependencies", {}).get(extra, [])
        for other in sorted(siblings(wanted) - {name}):
            visit(other, (*path, name))
        if name not in order:
            order.append(name)

    visit(package, ())
    return order


PACKAGES = read_packages()
for _name in PACKAGES:
    closure(_name, tuple(PACKAGES[_name].get("optional-dependencies", {})))
every_package = nox.parametrize("package", [nox.param(name, id=name) for name in PACKAGES])


def folder(package: str) -> str:
    """Path of a package below the root."""
    return f"packages/amphion-{package}"


def install(session: nox.Session, package: str, extras: str = "test", *arguments: str) -> None:
    """Install a package with only what it declares, siblings editable from this repository."""
    chosen = tuple(extras.split(",")) if extras else ()
    *others, own = closure(package, chosen)
    editable = [item for other in others for item in ("-e", folder(other))]
    session.install(*editable, "-e", f"{folder(own)}[{extras}]" if extras else folder(own), *arguments)


def two_cores(session: nox.Session, threads: int = 1) -> None:
    """Thread counts for a machine of two cores, and no network for whatever asks a hub."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        session.env[variable] = str(threads)
    session.env["HF_HUB_OFFLINE"] = "1"
    session.env["TOKENIZERS_PARALLELISM"] = "false"


def on_all_cores(session: nox.Session, share: str = "loadfile") -> list[str]:
    """Options that let pytest take a test file on each core; `-- -n 0` takes them one after another."""
    return [] if "-n" in session.posargs else ["-n", "auto", "--maxprocesses", "4", "--dist", share]


@nox.session
def lint(session: nox.Session) -> None:
    """Style and format of everything."""
    session.install("ruff>=0.12")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Types of all packages, strictly."""
    install_all(session)
    session.install("mypy>=1.15", "types-PyYAML", "types-tqdm", "pytest")
    session.run("mypy", *(f"{folder(name)}/src" for name in PACKAGES))


@nox.session
@nox.parametrize("package", [*(nox.param(name, id=name) for name in PACKAGES), nox.param("house", id="house")])
def tests(session: nox.Session, package: str) -> None:
    """Tests of one package beside only what it declares; `house` holds those of documentation and repository."""
    two_cores(session)
    if package == "house":
        install_all(session)
        session.install("pytest>=8", "pytest-timeout>=2.3", PARALLEL, "lhotse>=1.33", "requests", "nox")
        # Nearly all of their time is one file's, whose pages know nothing of each other.
        session.run("pytest", *on_all_cores(session, "worksteal"), "tests", "docs", *session.posargs)
        return
    install(session, package, "test", PARALLEL)
    session.run("pytest", *on_all_cores(session), f"{folder(package)}/tests", *session.posargs)


def tested_extras() -> list[tuple[str, str]]:
    """Package and extra for each extra that brings something for users and is not the sum of others."""
    found = []
    for name, table in PACKAGES.items():
        if (ROOT / folder(name) / "tests" / "check_extra.py").is_file():
            extras = table.get("optional-dependencies", {})
            found += [(name, extra) for extra in extras if extra not in ("test", "all")]
    return found


_CONVERTER = ("torch>=2.11,<2.15", "transformers>=5.0,<6")
ONLY_FOR_TESTS = {
    ("eval", "speaker"): ("--no-deps", "resemblyzer"),  # for its weights; the package itself is not imported
    ("eval", "faster-whisper"): _CONVERTER,  # a tiny checkpoint is made with it
    ("data", "asr"): _CONVERTER,
    ("data", "vad"): ("espeakng-loader>=0.2.4",),
    ("data", "speaker"): ("--no-deps", "resemblyzer", "espeakng-loader>=0.2.4"),
}
"""What the tests of an extra need besides it, installed after it was looked at alone."""


@nox.session
@nox.parametrize(
    ("package", "extra"), [nox.param(name, extra, id=f"{name}-{extra}") for name, extra in tested_extras()]
)
def extras(session: nox.Session, package: str, extra: str) -> None:
    """One extra alone in its own environment: its tests pass, and what the other extras bring is said to be missing."""
    two_cores(session)
    install(session, package, extra, "pytest>=8", "pytest-timeout>=2.3", PARALLEL)
    session.run("python", f"{folder(package)}/tests/check_extra.py", extra)
    if (package, extra) in ONLY_FOR_TESTS:
        session.install(*ONLY_FOR_TESTS[package, extra])
    cores = [] if extra == "ray" else on_all_cores(session)  # one cluster is enough for a machine
    tests = (f"{folder(package)}/tests", "--extra", extra)
    session.run("pytest", *cores, *tests, *session.posargs, success_codes=[0, 5])  # 5: nothing is marked with it


@nox.session
@every_package
def wheels(session: nox.Session, package: str) -> None:
    """Build all wheels, install one alone, import it and ask its command for help."""
    target = session.create_tmp()
    session.install("build", "hatchling>=1.27")
    for name in closure(package):
        session.run("python", "-m", "build", "--wheel", "--no-isolation", "--outdir", target, folder(name), silent=True)
    environment = Path(target) / "alone"
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    session.run("python", "-m", "venv", "--clear", str(environment), silent=True)
    session.install("uv")
    wheel = next(Path(target).glob(f"amphion_{package}-*.whl"))
    session.run("uv", "pip", "install", "-q", "--python", str(python), "--find-links", target, str(wheel))
    session.run(str(python), str(ROOT / "tests" / "check_wheel.py"), f"amphion_{package}", external=True)


@nox.session
@every_package
def minimums(session: nox.Session, package: str) -> None:
    """Tests with the oldest versions that the package says it works with."""
    two_cores(session)
    chosen = ("test",)
    *others, own = closure(package, chosen)
    editable = [item for other in others for item in ("-e", folder(other))]
    session.run_install(
        "uv", "pip", "install", "--resolution", "lowest-direct", *editable, "-e", f"{folder(own)}[test]", external=True
    )
    session.run("pytest", f"{folder(package)}/tests", "-m", "not slow", *session.posargs)


@nox.session(venv_backend="none")
def changed(session: nox.Session) -> None:
    """Tests of the packages that differ from a base (default: main), and of those that stand on them."""
    base = session.posargs[0] if session.posargs else "main"
    output = session.run("git", "diff", "--name-only", base, "--", silent=True, external=True) or ""
    touched = {match[1] for line in output.splitlines() if (match := re.match(r"packages/amphion-([a-z]+)/", line))}
    chosen = [name for name in PACKAGES if touched & set(closure(name, ("test",)))]
    session.log(f"changed: {', '.join(sorted(touched)) or 'none'}; tested: {', '.join(chosen) or 'none'}")
    for name in chosen:
        session.run(sys.executable, "-m", "nox", "-s", f"tests({name})", external=True)


@nox.session
def demo(session: nox.Session) -> None:
    """The main job: a corpus to measured speech, with public commands only; `-- --corpus PATH` for an own corpus."""
    two_cores(session, threads=2)
    install_all(session)
    session.install("espeakng-loader>=0.2.4")
    session.run("python", "demo/main_job.py", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Ours beside the peers, as ratios; `-- mel shards` runs only some."""
    two_cores(session)
    install_all(session)
    session.install(
        "librosa>=0.11,<1.1", "lhotse>=1.33", "requests", "litdata>=0.2.70", "webdataset>=1.0.2,<2", "numba"
    )
    chosen = session.posargs or sorted(file.stem for file in (ROOT / "benchmarks").glob("*.py"))
    for name in chosen:
        session.run("python", f"benchmarks/{name}.py")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site into site/; `-- serve` shows it while you write."""
    session.install("mkdocs-material>=9.6")
    session.env["NO_MKDOCS_2_WARNING"] = "1"
    session.run("mkdocs", *(session.posargs or ["build", "--strict"]))


@nox.session
@every_package
def release(session: nox.Session, package: str) -> None:
    """Check that a package is ready for its tag, and build what would be published into dist/."""
    text = (ROOT / folder(package) / f"src/amphion_{package}/__about__.py").read_text(encoding="utf-8")
    version = re.search(r'"(.+)"', text)[1]  # type: ignore[index]
    changelog = (ROOT / folder(package) / "CHANGELOG.md").read_text(encoding="utf-8")
    if not re.search(rf"^## {re.escape(version)} - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE):
        session.error(f"CHANGELOG.md has no section '## {version} - YYYY-MM-DD'; date the Unreleased one")
    tag = os.environ.get("GITHUB_REF_NAME", f"amphion-{package}-v{version}")
    if tag != f"amphion-{package}-v{version}":
        session.error(f"the tag is {tag!r}, the version {version}; expected amphion-{package}-v{version}")
    session.install("build", "twine")
    session.run("python", "-m", "build", "--outdir", "dist", folder(package))
    session.run("twine", "check", "--strict", *map(str, Path("dist").glob(f"amphion_{package}-{version}*")))
    session.log(json.dumps({"package": f"amphion-{package}", "version": version, "tag": tag}))


def install_all(session: nox.Session) -> None:
    """All packages, editable."""
    order: list[str] = []
    for name in PACKAGES:
        order += [other for other in closure(name) if other not in order]
    extras = {"core": "[torch]"}
    session.install(*(item for name in order for item in ("-e", folder(name) + extras.get(name, ""))))
