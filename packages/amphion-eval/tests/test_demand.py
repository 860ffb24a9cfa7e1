import json
from dataclasses import replace

import numpy as np
import pytest

from amphion_eval import score
from amphion_eval.metric import Metric
from amphion_eval.model import Model
from amphion_eval.pairing import Clip, Pair
from amphion_eval.report import load_report
from amphion_eval.settings import Settings
from amphion_eval.values import SetFigure, Undefined

RATE = 16000


def level(wavs):
    return [np.array([np.abs(wav).mean(), len(wav) / RATE]) for wav in wavs]


LEVEL = Model("level", lambda device: level)
LETTERS = Model("letters", lambda device: lambda texts: [np.array([1.0, len(t)]) for t in texts], takes="text")
BOTH = Model("both", lambda device: lambda pairs: [{"gain": np.ptp(b) / np.ptp(a)} for a, b in pairs], takes="pair")


def network(*models):
    return lambda settings: models


def distance(first, second):
    return float(np.abs(first - second).sum())


def clip(gain=0.1, seconds=0.2):
    return Clip.of(gain * np.sin(np.arange(int(seconds * RATE)) / 9), RATE)


def one(metric, *, models=None, **fields):
    pair = Pair(**{"id": "x", "reference": clip(), "estimate": clip(0.2, 0.5), **fields})
    (item,) = score([pair], [metric], models=models).items
    return item


@pytest.mark.parametrize(
    ("needs", "models", "fields", "value"),
    [
        ("model", (LEVEL,), {}, 0.3),
        ("prompt_model", (LEVEL,), {"prompt": clip(0.1, 0.4)}, 0.1),
        ("reconstruction_model", (LEVEL,), {"reconstruction": clip(0.1, 0.1)}, 0.4),
    ],
)
def test_outputs_of_two_clips_go_to_the_function_in_order(needs, models, fields, value):
    longer = Metric("longer", lambda a, b: float(b[1] - a[1]), needs=needs, models=network(*models))
    assert one(longer, **fields).metrics["longer"] == pytest.approx(value)


def test_output_of_the_estimate_alone_needs_no_reference():
    loud = Metric("loud", lambda output: float(output[1]), needs="clip_model", models=network(LEVEL))
    assert one(loud, reference=Clip("")).metrics["loud"] == 0.5 and not loud.needs_reference


def test_both_clips_may_go_into_one_network():
    gain = Metric("gain", lambda output: output["gain"], needs="pair_model", models=network(BOTH))
    assert one(gain).metrics["gain"] == pytest.approx(2, rel=1e-3)


def test_text_and_clip_go_through_two_networks():
    rate = Metric("rate", lambda text, wav: float(text[1] / wav[1]), needs="text_model", models=network(LETTERS, LEVEL))
    assert one(rate, text="twelve words").metrics["rate"] == 24.0
    for text, reason in ((None, "there is no text"), (" ", "the text is empty")):
        assert one(rate, text=text).undefined["rate"] == reason


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "there is no prompt"),
        ({"prompt": Clip.of([np.nan], RATE)}, "the prompt has samples that are NaN or infinite"),
        ({"prompt": clip(), "estimate": Clip.of([], RATE)}, "the estimate has no sample"),
    ],
)
def test_item_without_an_input_is_undefined_and_says_which(fields, reason):
    near = Metric("near", distance, needs="prompt_model", models=network(LEVEL))
    assert one(near, **fields).undefined["near"] == reason


def test_reason_of_the_network_is_reported_with_its_side():
    short = Model("short", lambda device: lambda wavs: [Undefined("too short") if len(w) < 4000 else w for w in wavs])
    near = Metric("near", distance, needs="model", models=network(short))
    assert one(near).undefined["near"] == "reference: too short"


def recogniser(name="heard"):
    return Model(name, lambda device: lambda wavs: [f"a red {'house' * (len(w) > 4000)}" for w in wavs])


def test_recogniser_gives_the_transcript_where_there_is_none():
    from amphion_eval.metric import find

    heard = replace(find("wer"), models=network(recogniser()), requires=())
    item = one(heard, text="a red horse", language="en")
    assert item.metrics["wer"] == pytest.approx(1 / 3) and item.transcript == "a red house"
    given = one(heard, text="a red horse", transcript="a red horse", language="en")
    assert given.metrics["wer"] == 0 and given.transcript == "a red horse"


def test_language_of_an_item_reaches_the_network():
    def spoken(settings):
        name = f"asr-{settings.language}"
        return (
            Model(name, lambda device: lambda wavs: [name for _ in wavs], parameters={"language": settings.language}),
        )

    heard = Metric("said", lambda *texts, **_: 0.0, needs="texts", models=spoken)
    pairs = [
        Pair(code, Clip(""), clip(0.1 + number / 10), text="x", language=code)
        for number, code in enumerate(["en", "de"])
    ]
    assert [item.transcript for item in score(pairs, [heard]).items] == ["asr-en", "asr-de"]


def spread(references, estimates):
    return SetFigure(
        float(len(estimates) - len(references)), len(estimates), interval=(0, 4), notes=["few"], details={"r2": 1.0}
    )


def test_figure_of_sets_stands_in_the_summary_and_in_no_item(tmp_path):
    pairs = [Pair(str(n), clip(0.1), clip(0.1 + n / 20)) for n in range(3)]
    report = score(pairs, [Metric("spread", spread, needs="sets", models=network(LEVEL)), "duration_error"])
    summary = report.summary["spread"]
    assert (summary.mean, summary.n, summary.ci95, summary.notes) == (2.0, 3, (0, 4), ("few",))  # one recording
    assert "spread" not in report.items[0].metrics and report.provenance["metrics"]["spread"]["level"] == "set"
    report.to_json(tmp_path / "r.json")
    again = load_report(tmp_path / "r.json")
    assert again.summary == report.summary and json.loads(report.to_json())["summary"]["spread"]["details"] == {
        "r2": 1.0
    }
    assert "spread" in report.to_markdown() and "spread" in report.to_html(audio="none")
    assert report.to_csv().splitlines()[0] == "id,duration_error,undefined"


def test_recordings_of_a_set_may_be_others_than_those_of_the_items():
    pairs = [Pair(str(n), Clip(""), clip(0.1 + n / 20)) for n in range(3)]
    metric = Metric("spread", spread, needs="sets", models=network(LEVEL))
    report = score(pairs, [metric], references=[clip(n / 20) for n in range(1, 8)])
    assert report.summary["spread"].mean == -4 and report.provenance["references"] == 7


def test_figure_of_a_set_that_there_is_none_of_says_why():
    few = Metric("few", lambda estimates: Undefined("2 clips are needed"), needs="clip_sets", models=network(LEVEL))
    report = score([Pair("x", Clip(""), clip())], [few])
    assert report.summary["few"].mean is None and report.summary["few"].undefined == "2 clips are needed"


def test_network_is_replaced_by_its_name_and_so_needs_no_package():
    near = Metric(
        "near",
        distance,
        needs="model",
        models=network(Model("large", None)),
        requires=(("no_such", "amphion-eval[x]"),),
    )
    assert one(near, models={"large": LEVEL}).metrics["near"] > 0
    with pytest.raises(ImportError, match=r"near need.*amphion-eval\[x\]"):
        one(near)


def test_networks_stand_in_the_provenance_with_what_they_were_run_with():
    near = Metric("near", distance, needs="model", models=network(replace(LEVEL, parameters={"beam": 1}, source="us")))
    said = score([Pair("x", clip(), clip())], [near]).provenance
    assert said["metrics"]["near"]["models"] == ["level"]
    assert said["models"]["level"] == {
        "version": 1, "sample_rate": 16000, "parameters": {"beam": 1}, "weights": [], "licence": "", "source": "us",
    }  # fmt: skip


def test_metric_of_a_network_without_one_is_refused():
    with pytest.raises(ValueError, match="names no network"):
        one(Metric("near", distance, needs="model"))


def test_metric_that_fails_on_outputs_is_named_with_the_item():
    with pytest.raises(ValueError, match="x: the metric near failed"):
        one(Metric("near", lambda a, b: {}["none"], needs="model", models=network(LEVEL)))


def test_values_do_not_depend_on_batch_or_order():
    near = Metric("near", distance, needs="model", models=network(LEVEL))
    pairs = [Pair(str(n), clip(0.1, 0.1 + n / 50), clip(0.2, 0.3 - n / 50)) for n in range(7)]
    made = [
        {item.id: item.metrics for item in score(order, [near], batch=batch).items}
        for order, batch in ((pairs, None), (pairs[::-1], 1), (pairs[3:] + pairs[:3], 3))
    ]
    assert made[0] == made[1] == made[2]


def test_settings_name_the_networks_of_the_definitions():
    assert Settings().speaker_model == "resemblyzer" and Settings().asr is None
