"""The commands `emilia` and `status`: recordings in the wild to training data, and how far that is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["add_commands"]


def add_commands(app: typer.Typer) -> None:
    """Add the commands to an application."""
    app.command()(emilia)
    app.command()(status)


def emilia(
    source: Annotated[str, typer.Argument(metavar="INPUT", help="Folder of recordings; a path or an address.")],
    out: Annotated[str, typer.Argument(help="Folder to write; a path or an address.")],
    config: Annotated[Path | None, typer.Option(help="YAML file of settings.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE over it: filter.min_score=3.2 ...")] = None,
    separate: Annotated[str | None, typer.Option(help="Voice from music: none, uvr, demucs.")] = None,
    vad: Annotated[str | None, typer.Option(help="Where speech is: silero, energy.")] = None,
    diarise: Annotated[str | None, typer.Option(help="Who speaks: offline, pyannote, none.")] = None,
    embed: Annotated[str | None, typer.Option(help="Voices for 'offline': auto, ge2e, spectral.")] = None,
    transcribe: Annotated[str | None, typer.Option(help="Text: none, given, faster-whisper, whisper.")] = None,
    score: Annotated[str | None, typer.Option(help="Quality: dnsmos, none.")] = None,
    rates: Annotated[
        str | None, typer.Option(help="Seconds a character: none, table, corpus, or a file of 'amphion-data rates'.")
    ] = None,
    option: Annotated[list[str] | None, typer.Option("--option", help="STAGE.KEY=VALUE: uvr.path=model.onnx")] = None,
    language: Annotated[str | None, typer.Option(help="Of the recordings, where no recogniser says it.")] = None,
    format: Annotated[str | None, typer.Option(help="mp3, flac or opus.")] = None,
    engine: Annotated[str, typer.Option(help="in-process, pool or ray.")] = "in-process",
    workers: Annotated[int, typer.Option(min=1, help="Processes; more than 1 is a pool. Same output.")] = 1,
    address: Annotated[str | None, typer.Option(help="Of a Ray cluster: auto, HOST:PORT.")] = None,
    device: Annotated[str, typer.Option(help="Of the networks: cpu or cuda:0.")] = "cpu",
    gpus_per_actor: Annotated[
        list[str] | None,
        typer.Option(help="Share of a GPU of a Ray actor: 0.25 for each step with networks, or STEP=SHARE ..."),
    ] = None,
    stages: Annotated[str, typer.Option(help="':segment' stops there, 'transcribe:' goes on, ':' is all.")] = ":",
    time_limit: Annotated[float | None, typer.Option(min=0, help="Begin no more units after so many s.")] = None,
    work: Annotated[str | None, typer.Option(help="Folder for what is kept on disk meanwhile.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what other settings left in OUT.")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Print units, time, cost and disk; run nothing.")] = False,
    price: Annotated[float, typer.Option(min=0, help="Of a worker for an hour, for --plan.")] = 0.0,
    cluster_gpus: Annotated[float, typer.Option(min=0, help="GPUs of the cluster, for --plan.")] = 0.0,
    gpu_price: Annotated[float, typer.Option(min=0, help="Of one for an hour, for --plan.")] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Make training data of recordings in the wild: find speech and speakers, cut, transcribe, rate, filter.

    Without options all parts run offline: Silero finds speech, voices are told apart by their vectors, DNSMOS rates
    the sound, and there is no text. Run it again after an interruption, or on several machines at once: units that
    are done are kept, and the bytes are the same.

    Examples:
      amphion-data emilia podcasts data/podcasts --language en

      amphion-data emilia podcasts data/podcasts --transcribe faster-whisper --workers 4

      amphion-data emilia podcasts data/podcasts --separate uvr --option uvr.path=UVR-MDX-NET-Inst_HQ_3.onnx

      amphion-data emilia podcasts data/podcasts --stages :segment

      amphion-data emilia s3://b/talks s3://b/out --engine ray --address auto --device cuda:0 --gpus-per-actor 0.25

      amphion-data emilia podcasts data/podcasts --plan --workers 16 --price 0.4
    """
    import json

    from amphion_core.config import apply_overrides, read_mapping
    from amphion_data.pipe.settings import PipeSettings

    values: dict[str, Any] = dict(read_mapping(config)) if config else {}
    given = {"separate": separate, "vad": vad, "diarise": diarise, "embed": embed, "transcribe": transcribe}
    given |= {"score": score, "language": language, "format": format}
    values |= {name: value for name, value in given.items() if value is not None}
    for item in option or []:
        name, value = _pair(item)
        values.setdefault("options", {}).setdefault(name[0], {})[name[1]] = value
    if rates is not None:
        values["filter"] = {**dict(values.get("filter", {})), **_rates(rates)}
    settings = PipeSettings.parse(apply_overrides(values, set_ or []), where=str(config or "options"))
    from amphion_data.pipe.steps import gpu_shares, parse_slice

    shares = gpu_shares(_shares(gpus_per_actor or [], engine, device), settings, parse_slice(stages))
    if plan:
        from amphion_data.pipe.estimate import Cluster, estimate

        cluster = Cluster(workers, price, cluster_gpus, gpu_price, shares)
        found = estimate(source, out, settings, cluster=cluster, stages=stages)
        print(json.dumps(found.to_dict(), indent=1) if as_json else found.to_text())
        return
    from amphion_data.engines import make_engine
    from amphion_data.pipe.run import run_pipe

    worker = make_engine(engine, workers=workers, address=address, retries=6)
    report = run_pipe(
        source,
        out,
        settings,
        engine=worker,
        device=device,
        gpus=shares,
        time_limit=time_limit,
        work=work,
        overwrite=overwrite,
        stages=stages,
    )
    print(json.dumps(report.to_dict(), indent=1) if as_json else report.to_text())


def status(
    out: Annotated[str, typer.Argument(help="Folder that 'emilia' writes; a path or an address.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print how far a run of 'emilia' is, from the marks in its output alone; it may run anywhere.

    Examples:
      amphion-data status data/podcasts
    """
    import json
    from dataclasses import asdict

    from amphion_data.pipe.run import status as read_status

    found = read_status(out)
    print(json.dumps(asdict(found), indent=1) if as_json else found.to_text())


def _pair(item: str) -> tuple[tuple[str, str], str]:
    name, sign, value = item.partition("=")
    stage, dot, key = name.rpartition(".")
    if not (sign and dot and stage and key):
        raise ValueError(f"--option takes STAGE.KEY=VALUE such as uvr.path=model.onnx, got {item!r}")
    return (stage, key), value


def _shares(values: list[str], engine: str, device: str) -> float | dict[str, float]:
    """Shares of a GPU: one for all steps with networks, or by the names of steps."""
    on_gpu = device.startswith("cuda")
    if engine == "ray" and on_gpu and not values:
        raise ValueError("Ray shows its GPUs only to steps that ask for them; add --gpus-per-actor, such as 0.25")
    if not values:
        return 0.0
    if engine != "ray":
        raise ValueError(
            f"--gpus-per-actor is for the actors of --engine ray; the workers of {engine} take the whole --device"
        )
    if device not in ("cuda", "cuda:0"):
        raise ValueError(
            f"--gpus-per-actor needs --device cuda:0, got {device}: the GPU that an actor has a share of is the first "
            "that it sees"
        )
    try:
        if len(values) == 1 and "=" not in values[0]:
            return float(values[0])
        return {name: float(share) for name, share in (value.split("=") for value in values)}
    except ValueError:
        raise ValueError(
            f"--gpus-per-actor takes one share for all steps (0.25) or STEP=SHARE for some, got {' '.join(values)!r}"
        ) from None


def _rates(value: str) -> dict[str, Any]:
    """Settings of the filter for a way to judge rates, or for a table of them."""
    if value in ("none", "table", "corpus"):
        return {"rates": value}
    from amphion_data.pipe.rates import read_table

    return {"rates": "table", "rate_bounds": read_table(value)}
