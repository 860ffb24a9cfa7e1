"""Model cards, conversion and upload."""

import json

import pytest
import torch
import yaml
from torch import nn

from amphion_core import registry
from amphion_core.card import PARTS, make_card
from amphion_core.config import Config
from amphion_core.hub import PretrainedModule
from amphion_core.publish import check_folder, convert, push, write_card
from amphion_core.released import read_checkpoint


class TinyConfig(Config):
    sample_rate: int = 16000


class Tiny(PretrainedModule[TinyConfig]):
    config_class = TinyConfig
    group = "models"
    name = "tiny"

    def __init__(self, config):
        super().__init__(config)
        self.layer = nn.Linear(2, 2)

    @classmethod
    def from_released(cls, source):
        model = cls(TinyConfig())
        model.load_state_dict(read_checkpoint(source))
        return model


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    monkeypatch.setattr(registry, "find", lambda group, name: {("models", "tiny"): Tiny}[group, name])


@pytest.fixture
def folder(tmp_path):
    model = Tiny(TinyConfig())
    model.save_pretrained(tmp_path / "m", card=make_card({}, model_name="models/tiny", parameters=6))
    return tmp_path / "m"


def test_a_card_has_the_eight_parts_and_a_head_that_the_hub_reads():
    text = make_card({"mel": {"sample_rate": 24000}}, model_name="vocoders/vocos", parameters=1234567, licence="MIT")
    head = yaml.safe_load(text.split("---")[1])
    assert head == {
        "library_name": "amphion",
        "pipeline_tag": "audio-to-audio",
        "tags": ["amphion", "vocos", "vocoders"],
        "license": "mit",
    }
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == list(PARTS) and len(PARTS) == 8
    assert "1,234,567" in text and "24000 Hz" in text


def test_a_card_shows_data_recipe_and_figures_where_they_are_known():
    text = make_card(
        {},
        model_name="models/tiny",
        parameters=1,
        recipe={"seed": 7, "data": {"train": [{"path": "data/lj", "weight": 2.0}]}},
        evaluation={"summary": {"mcd": {"mean": 5.25, "n": 10, "ci95": [5.0, 5.5]}, "wer": {"mean": None, "n": 0}}},
    )
    assert "`data/lj`, weight 2.0" in text and "seed: 7" in text
    assert "| mcd | 5.25 | 5 to 5.5 | 10 |" in text and "| wer | undefined | - | 0 |" in text


def test_a_released_checkpoint_becomes_a_folder_that_can_be_published(tmp_path):
    torch.save({"model": nn.ModuleDict({"layer": nn.Linear(2, 2)}).state_dict()}, tmp_path / "foreign.pt")
    out = convert("models/tiny", tmp_path / "foreign.pt", tmp_path / "ours")
    assert set(check_folder(out)) == {"config.json", "model.safetensors", "README.md"}
    with pytest.raises(FileExistsError):
        convert("models/tiny", tmp_path / "foreign.pt", tmp_path / "ours")


def test_a_card_written_anew_has_the_evaluation(folder, tmp_path):
    (tmp_path / "report.json").write_text(json.dumps({"summary": {"mcd": {"mean": 4.0, "n": 3, "ci95": [3, 5]}}}))
    (folder / "recipe.yaml").write_text("seed: 99\n")
    write_card(folder, evaluation=tmp_path / "report.json", licence="CC-BY-4.0", demo="https://example.org")
    text = (folder / "README.md").read_text()
    assert "| mcd | 4 | 3 to 5 | 3 |" in text and "license: cc-by-4.0" in text and "seed: 99" in text


def test_a_dry_run_of_the_upload_lists_the_files_offline(folder):
    (folder / "trainer").mkdir()
    assert set(push(folder, "me/tiny", dry_run=True)) == {"config.json", "model.safetensors", "README.md"}


def test_a_folder_that_is_not_whole_is_refused_with_every_fault(folder):
    (folder / "model.safetensors").unlink()
    (folder / "README.md").write_text("# short\n")
    with pytest.raises(ValueError) as error:
        push(folder, "me/tiny", dry_run=True)
    assert "model.safetensors is missing" in str(error.value) and "no part 'Ethical considerations'" in str(error.value)
