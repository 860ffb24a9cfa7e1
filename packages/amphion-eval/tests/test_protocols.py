import json
import socket

import pytest
from typer.testing import CliRunner

from amphion_core.weights import Weights
from amphion_eval.cli import app
from amphion_eval.metric import Metric, available, resolve
from amphion_eval.model import Model
from amphion_eval.models import audio_catalogue, catalogue
from amphion_eval.protocols import PROTOCOLS, choose, find_protocol, lacking
from amphion_eval.settings import Settings

NAMES = ("vocoder", "codec", "tts", "zero-shot-tts", "seed-tts-eval", "vc", "svc", "tta")


def test_every_field_has_its_protocol():
    assert tuple(PROTOCOLS) == NAMES


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=lambda protocol: protocol.name)
def test_protocol_names_metrics_settings_and_papers_that_exist(protocol):
    assert set(protocol.metrics) <= set(available())
    for language in (None, "en", "zh", "de"):
        settings = Settings.parse(protocol.settings_of(language))
        assert settings.speaker_model in catalogue.SPEAKERS and settings.fad_model in audio_catalogue.AUDIO_EMBEDDINGS
        assert settings.asr in (None, "paraformer-zh", *catalogue.RECOGNISERS)
    assert "arXiv" in protocol.source and protocol.needs and protocol.title


def test_unknown_protocol_names_those_that_exist():
    with pytest.raises(LookupError, match="zero-shot-tts"):
        find_protocol("tss")


@pytest.mark.parametrize(
    ("asked", "metrics"),
    [
        (None, ("wer", "sim_o")),
        ("+utmos,-sim_o", ("wer", "utmos")),
        ("+wer", ("wer", "sim_o")),
        ("mcd,wer", ("mcd", "wer")),
    ],
)
def test_metrics_replace_or_change_those_of_the_protocol(asked, metrics):
    assert find_protocol("seed-tts-eval").changed(asked) == metrics


@pytest.mark.parametrize(
    ("asked", "error"), [("mcd,+wer", ValueError), ("-mcd", LookupError), ("-wer,-sim_o", ValueError)]
)
def test_changes_that_make_no_sense_are_refused(asked, error):
    with pytest.raises(error):
        find_protocol("seed-tts-eval").changed(asked)


def lame(needs="clip_model", **fields):
    """A metric whose network lacks what the fields say."""
    model = Model("lame", lambda device: lambda inputs: [0.0 for _ in inputs], **fields)
    return Metric("lame", float, needs=needs, models=lambda settings: (model,))


def test_all_that_is_lacking_is_said_at_once():
    metric = lame(
        requires=(("no_such_module", "amphion-eval[lame]"),),
        weights=(Weights("no-such", file="a.pt", url="https://example.org/a.pt"),),
    )
    with pytest.raises(LookupError, match=r"(?s)1 of 2 .*amphion-eval\[lame\].*example\.org.*--available-only"):
        choose([metric, "mcd"], Settings())


def test_available_only_leaves_out_and_tells():
    metric = lame(requires=(("no_such_module", "amphion-eval[lame]"),))
    choice = choose([metric, "mcd"], Settings(), available_only=True)
    assert [m.name for m in choice.metrics] == ["mcd"] and "amphion-eval[lame]" in choice.left_out["lame"]


def test_nothing_available_is_an_error_even_then():
    with pytest.raises(LookupError, match="none of the metrics"):
        choose([lame(requires=(("no_such_module", "x"),))], Settings(), available_only=True)


@pytest.mark.parametrize(("offline", "there", "missing"), [("0", True, False), ("0", False, True), ("1", True, True)])
def test_weights_of_the_hub_count_as_present_where_there_is_a_way_to_it(offline, there, missing, monkeypatch, tmp_path):
    from huggingface_hub import constants

    hub = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{hub.getsockname()[1]}"
    if not there:
        hub.close()
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_HUB_OFFLINE", offline)
    monkeypatch.setenv("AMPHION_WEIGHTS", str(tmp_path))
    metric = lame(weights=(Weights("no-such", file="a.pt", repository="amphion-tests/no-such"),))
    assert bool(lacking([metric], Settings())) == missing
    hub.close()


def test_transcripts_that_are_brought_need_no_recogniser():
    settings = Settings(asr="paraformer-zh")
    assert "paraformer-zh" in lacking(resolve(["wer"]), settings)["wer"]
    assert not lacking(resolve(["wer"]), settings, transcripts=True)
    assert "--asr" in lacking(resolve(["wer"]), Settings())["wer"]


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """No weights on this machine and no hub."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("AMPHION_WEIGHTS", str(tmp_path / "weights"))


def test_result_tells_protocol_and_what_was_left_out(folders, tmp_path, nowhere):
    options = ["--protocol", "vocoder", "--metrics=-periodicity_rmse,-mcd,+si_sdr", "--f0", "dio", "--no-cache"]
    files = ["--json", tmp_path / "r.json", "--markdown", tmp_path / "r.md", "--workers", 1]
    result = call("score", *folders, *options, "--available-only", *files)
    assert result.exit_code == 0, result.output
    said = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["provenance"]
    assert said["protocol"]["name"] == "vocoder" and said["protocol"]["added"] == ["si_sdr"]
    assert "utmos" in said["metrics_left_out"] and "utmos" in said["protocol"]["not_computed"]
    assert said["settings"]["align"] == "cut" and said["settings"]["f0"] == "dio"
    table = (tmp_path / "r.md").read_text(encoding="utf-8")
    assert "protocol vocoder" in table and "utmos" in table


def test_protocol_that_lacks_something_is_refused_with_the_list(folders, nowhere):
    result = call("score", *folders, "--protocol", "vocoder", "--metrics", "utmos,mstft")
    assert result.exit_code == 1 and "utmos22_strong" in str(result.exception)


def test_option_of_the_command_line_goes_before_the_protocol(folders, tmp_path, nowhere):
    options = ["--protocol", "tts", "--metrics", "energy_rmse_db", "--json", tmp_path / "r.json", "--no-cache"]
    for more, align in (([], "dtw"), (["--align", "cut"], "cut")):
        assert call("score", *folders, *options, "--workers", 1, *more).exit_code == 0
        assert json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["provenance"]["alignment"] == align


def test_given_transcripts_score_the_protocol_without_a_recogniser(tmp_path, nowhere):
    table = tmp_path / "t.csv"
    table.write_text("id,text,transcript\n1,你好 世界,你好世界\n", encoding="utf-8")
    options = ["--language", "zh", "--metrics", "wer", "--json", tmp_path / "r.json", "--no-cache"]
    result = call("score", "--pairs", table, "--protocol", "seed-tts-eval", *options)
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["items"][0]["metrics"] == {"wer": 0.0}


@pytest.mark.parametrize("language", ["zh", "zh-CN", "cmn"])
def test_language_of_a_protocol_may_have_a_region(language):
    assert PROTOCOLS["seed-tts-eval"].settings_of(language)["asr"] == "paraformer-zh"


def test_command_lists_metrics_settings_and_source_of_each():
    text = call("protocols").stdout
    assert all(f"{name}: " in text for name in NAMES)
    assert text.count("  metrics ") == text.count("  source ") == len(NAMES) and "asr (zh) paraformer-zh" in text
