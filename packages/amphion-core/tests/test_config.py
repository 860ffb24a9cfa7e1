"""Configurations: strict, complete about faults, exact through a round trip."""

from typing import Annotated, Literal, Self

import pytest
from pydantic import Field, model_validator

from amphion_core.config import Config, ConfigError, apply_overrides, parse_yaml, read_mapping


class Optimizer(Config):
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)


class Model(Config):
    dim: int = Field(8, gt=0)
    name: str
    optimizer: Optimizer = Optimizer()
    stages: tuple[Optimizer, ...] = ()
    by_phase: dict[str, Optimizer] = {}


def test_all_faults_of_a_file_are_reported_at_once_with_the_nearest_known_key(tmp_path):
    file = tmp_path / "model.yaml"
    file.write_text("dimm: 3\noptimizer:\n  lrr: 1\n  lr: fast\n")
    with pytest.raises(ConfigError) as error:
        Model.from_file(file)
    text = str(error.value)
    assert "4 faults" in text and str(file) in text
    assert "dimm: unknown key; did you mean 'dim'?" in text
    assert "optimizer.lrr: unknown key; did you mean 'lr'?" in text
    assert "optimizer.lr" in text and "'fast'" in text
    assert "name: missing" in text


def test_a_rule_between_fields_is_not_buried_under_all_their_values():
    class Range(Config):
        low: int = 0
        high: int = 1

        @model_validator(mode="after")
        def _ordered(self) -> Self:
            if self.low > self.high:
                raise ValueError(f"low {self.low} is above high {self.high}")
            return self

    class Outer(Config):
        inner: Range = Range()

    with pytest.raises(ConfigError, match=r"the whole: low 3 is above high 2$"):
        Range.parse({"low": 3, "high": 2})
    with pytest.raises(ConfigError, match=r"inner: low 3 is above high 2$"):
        Outer.parse({"inner": {"low": 3, "high": 2}})
    with pytest.raises(ConfigError, match=r"inner\.low: .*, got 'x'"):
        Outer.parse({"inner": {"low": "x"}})


def test_unknown_keys_inside_lists_and_mappings_name_the_inner_fields():
    with pytest.raises(ConfigError) as error:
        Model.parse({"name": "a", "stages": [{"beta": 1}], "by_phase": {"g": {"learning": 2}}})
    assert str(error.value).count("(known: betas, lr)") == 2


class Circle(Config):
    kind: Literal["circle"] = "circle"
    radius: float = 1.0


class Square(Config):
    kind: Literal["square"] = "square"
    side: float = 1.0


class Drawing(Config):
    shapes: tuple[Annotated[Circle | Square, Field(discriminator="kind")], ...] = ()
    frame: Circle | Square | None = None


def test_unknown_keys_in_a_member_of_a_union_are_compared_with_its_own():
    with pytest.raises(ConfigError) as error:
        Drawing.parse({"shapes": [{"kind": "square", "radius": 2}]})
    assert "radius: unknown key; did you mean 'side'? (known: kind, side)" in str(error.value)
    with pytest.raises(ConfigError) as error:
        Drawing.parse({"frame": {"sidee": 2}})
    assert "(known: kind, side)" in str(error.value) and "(known: kind, radius)" in str(error.value)


def test_exponent_without_a_dot_is_a_number():
    assert parse_yaml("a: 1e-4\nb: -2E5\nc: 1e\nd: '1e-4'", "x") == {"a": 1e-4, "b": -2e5, "c": "1e", "d": "1e-4"}


def test_a_key_given_twice_is_refused():
    with pytest.raises(ConfigError, match="line 2: the key 'a' stands twice"):
        parse_yaml("a: 1\na: 2", "x")


@pytest.mark.parametrize("text", ["- 1\n- 2", "just words", "a: [1", "a: !!python/object/apply:os.getcwd []"])
def test_what_is_no_mapping_is_refused(text):
    with pytest.raises(ConfigError):
        parse_yaml(text, "x")


def test_overrides_reach_into_mappings_and_lists():
    values = {"a": {"b": 1}, "list": [{"c": 1}, {"c": 2}]}
    changed = apply_overrides(values, ["a.b=1e-4", "list.1.c=[3, 4]", "new.key=text", "a.none=null"])
    assert changed == {"a": {"b": 1e-4, "none": None}, "list": [{"c": 1}, {"c": [3, 4]}], "new": {"key": "text"}}
    assert values == {"a": {"b": 1}, "list": [{"c": 1}, {"c": 2}]}


def test_all_faulty_overrides_are_named():
    with pytest.raises(ConfigError) as error:
        apply_overrides({"list": [1]}, ["no-equals", "list.7=1"])
    assert "no-equals" in str(error.value) and "list.7=1" in str(error.value)


def test_yaml_and_dictionary_round_trips_keep_tuples():
    model = Model(name="ä", stages=(Optimizer(lr=2e-4),))
    assert Model.parse(model.to_dict()) == model
    assert Model.parse(parse_yaml(model.to_yaml(), "x")) == model
    assert isinstance(Model.parse(model.to_dict()).stages, tuple)


def test_a_config_is_frozen_and_updated_gives_a_checked_copy():
    model = Model(name="a")
    with pytest.raises(ValueError, match="frozen"):
        model.dim = 3
    assert model.updated(dim=3).dim == 3 and model.dim == 8
    with pytest.raises(ConfigError, match="greater than 0"):
        model.updated(dim=0)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.yaml"):
        read_mapping(tmp_path / "nothing.yaml")
