"""Spaces by name with a job's fixed values and ranges: what is drawn, and how wrong ones are refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toprung.spaces.definition.introspection import describe
from toprung.spaces.errors import InputError
from toprung.spaces.families.registry import load_space

optuna.logging.set_verbosity(optuna.logging.WARNING)


def draw(space, seed: int = 0):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    trial = study.ask()
    return space(trial), trial


def problems(*arguments, **named) -> dict[str, str]:
    with pytest.raises(InputError) as caught:
        load_space(*arguments, **named)
    return {problem.where: str(problem) for problem in caught.value.problems}


def test_the_cnn_space_draws_a_flat_configuration_from_an_optuna_trial() -> None:
    config, trial = draw(load_space("cnn"))
    assert {"filters", "blocks", "dropout", "learning_rate", "warmup_share", "augment"} <= set(config)
    assert all(isinstance(value, int | float | str | bool) for value in config.values())
    assert set(trial.params) <= set(config)


def test_a_fixed_parameter_is_set_and_never_sampled() -> None:
    config, trial = draw(load_space("cnn", fixed={"filters": 32, "weight_decay": 0}))
    assert (config["filters"], config["weight_decay"]) == (32, 0.0)
    assert not {"filters", "weight_decay"} & set(trial.params)


@given(seed=st.integers(0, 2**31 - 1))
def test_narrowed_ranges_are_never_left(seed: int) -> None:
    ranges = {
        "learning_rate": [1e-3, 2e-3],
        "blocks": {"low": 2, "high": 3},
        "filters": {"choices": [8, 16]},
        "batch_size": [64, 128],
        "dropout": {"choices": [0.0, 0.1]},
    }
    config, _ = draw(load_space("cnn", ranges=ranges), seed)
    assert 1e-3 <= config["learning_rate"] <= 2e-3
    assert config["blocks"] in (2, 3)
    assert config["filters"] in (8, 16)
    assert config["batch_size"] in (64, 128)
    assert config["dropout"] in (0.0, 0.1)


def test_a_narrowed_range_keeps_its_scale() -> None:
    _, trial = draw(load_space("cnn", ranges={"learning_rate": [1e-3, 1e-2]}))
    assert trial.distributions["learning_rate"] == optuna.distributions.FloatDistribution(
        1e-3, 1e-2, log=True
    )


def test_numbers_that_yaml_reads_as_text_are_numbers() -> None:
    ranges = {"learning_rate": ["1e-3", "5E-3"], "dropout": {"low": "1e-1", "high": 0.2}}
    config, trial = draw(load_space("cnn", fixed={"weight_decay": "1.5e-4"}, ranges=ranges))
    assert config["weight_decay"] == 1.5e-4
    assert trial.distributions["learning_rate"] == optuna.distributions.FloatDistribution(
        1e-3, 5e-3, log=True
    )
    assert 0.1 <= config["dropout"] <= 0.2


def test_a_space_survives_pickling() -> None:
    space = load_space("cnn", fixed={"filters": 8}, ranges={"blocks": [1, 2]})
    assert draw(pickle.loads(pickle.dumps(space)), 3)[0] == draw(space, 3)[0]


def test_the_description_holds_the_parameters_of_every_branch() -> None:
    described = describe(load_space("cnn"))
    assert "momentum" in described  # suggested with SGD alone
    assert described["batch_size"] == optuna.distributions.CategoricalDistribution((32, 64, 128, 256))
    assert "filters" not in describe(load_space("cnn", fixed={"filters": 8}))


def test_a_user_function_and_a_user_family_are_spaces_too(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "our_spaces_in_a_file.py").write_text(
        "def small(trial):\n    return {'units': trial.suggest_int('units', 1, 9)}\n"
        "class Family:\n    def space(self, trial):\n        return small(trial)\n"
    )
    monkeypatch.chdir(tmp_path)
    for name in (
        "our_spaces_in_a_file.py:small",
        "our_spaces_in_a_file.py:Family",
        "our_spaces_in_a_file:small",
    ):
        assert draw(load_space(name, fixed={"units": 4}))[0] == {"units": 4}


def test_a_file_that_has_changed_is_loaded_anew(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    for high in (8, 9):
        file.write_text(f"def space(trial): return {{'width': trial.suggest_int('width', 1, {high})}}\n")
        space = load_space(f"{file}:space", ranges={"width": [high, high]})
        assert draw(space)[0] == {"width": high}


def test_an_unknown_space_is_refused_with_the_known_ones() -> None:
    assert "did you mean" in problems("cnnn")["space.name"]
    assert "module:function" in problems("resnet152")["space.name"]
    assert "no file" in problems("nowhere.py:space")["space.name"]
    assert "no module" in problems("not_a_module_at_all:space")["space.name"]
    assert "architecture" in problems("toprung.spaces.families.cnn:architektur")["space.name"]


BAD_SPACES = """
def fails(trial): return 1 / 0
def number(trial): return 3
def keys(trial): return {"width": 8, 1: trial.suggest_int("width", 0, 20)}
nothing = 4
def rarely(trial): return {"width": 1 / trial.suggest_int("width", 0, 20)}
def lists(trial): return {"filters": trial.suggest_categorical("filters", [[16, 32], [32, 64]])}
class Asks:
    def __init__(self, depth): ...
class Raises:
    def __init__(self): 1 / 0
"""


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fails", "ZeroDivisionError"),
        ("number", "returned int"),
        ("keys", "returned the key 1; must be a text"),
        ("nothing", "no function"),
        ("rarely", "ZeroDivisionError"),  # in one branch alone
        ("lists", "filters: a choice must be a number"),
        ("Asks", "missing 1 required positional argument"),
        ("Raises", "ZeroDivisionError"),
    ],
)
def test_a_space_or_family_that_fails_is_refused_before_the_search(
    tmp_path: Path, name: str, message: str
) -> None:
    path = tmp_path / "my_space.py"
    path.write_text(BAD_SPACES)
    assert message in problems(f"{path}:{name}")["space.name"]


def test_every_problem_is_named_at_once_with_its_place() -> None:
    lines = problems(
        "cnn",
        fixed={"filterz": 8, "optimizer": "adamm", "blocks": 2.5, "dropout": float("nan")},
        ranges={
            "learning_rat": [1, 2],
            "learning_rate": [1e-2, 1e-3],
            "dropout": [0.0, 7.0],
            "kernel_size": [3, 4],
            "blocks": ["a", "b"],
            "warmup_share": "wide",
            "head": {"choices": []},
        },
    )
    assert set(lines) == {
        "space.fixed.filterz",
        "space.fixed.optimizer",
        "space.fixed.blocks",
        "space.fixed.dropout",
        "space.ranges.learning_rat",
        "space.ranges.learning_rate",
        "space.ranges.dropout",
        "space.ranges.kernel_size",
        "space.ranges.blocks",
        "space.ranges.warmup_share",
        "space.ranges.head",
    }
    assert 'did you mean "filters"?' in lines["space.fixed.filterz"]
    assert "low 0.01 is above high 0.001" in lines["space.ranges.learning_rate"]
    assert "within [0.0, 0.4]" in lines["space.ranges.dropout"]
    assert all("\n" not in line for line in lines.values())
