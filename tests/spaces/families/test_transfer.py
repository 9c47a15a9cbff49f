"""The transfer space: any network of keras.applications, weights from anywhere, phases as numbers."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from toprung.search.strategy.initial_configs import allowed_subset
from toprung.spaces.definition.introspection import RecordingTrial, describe
from toprung.spaces.definition.recipe_vocabulary import OPTIMIZERS
from toprung.spaces.errors import InputError
from toprung.spaces.families.registry import load_space
from toprung.spaces.families.training_recipe import USEFUL_RANGES
from toprung.spaces.families.transfer import DEFAULTS, FIRST_CONFIG, TUNING_SHARES, head_only_epochs


def drawn(space, seed: int = 0) -> dict:
    return space(RecordingTrial(random.Random(seed), {}))


def problems_of(**narrowing) -> dict[str, str]:
    with pytest.raises(InputError) as caught:
        load_space("transfer", **narrowing)
    return {problem.where: str(problem) for problem in caught.value.problems}


def test_the_core_has_a_network_a_head_fitted_in_one_epoch_and_how_fast_each_depth_is_tuned() -> None:
    described = describe(load_space("transfer"))
    assert set(described) >= {"backbone", "head_dropout", "deep_share", "depth_decay"}
    rare = {
        "alpha",
        "input_size",
        "weights",
        "dense_units",
        "head_epochs",
        "head_passes",
        "head_rate",
        "head_l2",
    }
    rare |= {"cache_features", "top_epochs", "top_share", "top_rate", "deep_rate"}
    assert not set(described) & rare
    config = drawn(load_space("transfer"))
    assert config["weights"] == "imagenet"
    assert (config["head_epochs"], config["top_epochs"], config["cache_features"]) == (1, 0, True)
    assert head_only_epochs(config) == 1


def test_a_configuration_without_weights_trains_no_head_alone() -> None:
    assert head_only_epochs({"weights": "none", "head_epochs": 3}) == 0
    assert head_only_epochs({"head_epochs": 3}) == 3
    assert head_only_epochs({}) == DEFAULTS["head_epochs"]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_network_is_tuned_at_a_share_of_the_rates_that_train_one(optimizer: str) -> None:
    rates = describe(load_space("transfer", fixed={"optimizer": optimizer}))["learning_rate"]
    low, high = USEFUL_RANGES[optimizer].learning_rate
    assert (rates.low, rates.high) == pytest.approx((TUNING_SHARES[0] * low, TUNING_SHARES[1] * high))
    assert rates.low < rates.high < 7e-3, "above, the first steps break what the network knows"


def test_a_network_without_weights_learns_at_the_rates_that_train_one() -> None:
    rates = describe(load_space("transfer", fixed={"weights": "none", "optimizer": "adamw"}))["learning_rate"]
    assert (rates.low, rates.high) == USEFUL_RANGES["adamw"].learning_rate


def test_a_job_may_leave_the_usual_ranges() -> None:
    wider = {
        "head_l2": [1.0, 2.0],
        "learning_rate": [0.05, 0.1],
        "batch_size": [8, 256],
    }
    space = load_space("transfer", ranges=wider)
    configs = [drawn(space, seed) for seed in range(20)]
    assert {config["batch_size"] for config in configs} == {8, 256}
    for name in ("head_l2", "learning_rate"):
        low, high = wider[name]
        assert all(low <= config[name] <= high for config in configs)


def test_phases_that_a_job_names_are_drawn() -> None:
    config = drawn(load_space("transfer", fixed={"top_epochs": 2}, ranges={"head_epochs": [2, 4]}))
    assert config["top_epochs"] == 2
    assert config["head_epochs"] in (2, 3, 4)
    assert {"top_share", "top_rate"} <= config.keys()


def test_the_first_configuration_is_one_of_the_space() -> None:
    space = load_space("transfer")
    assert allowed_subset(space, FIRST_CONFIG) == dict(FIRST_CONFIG)


def test_any_application_may_be_named_and_searched() -> None:
    assert drawn(load_space("transfer", fixed={"backbone": "DenseNet121"}))["backbone"] == "DenseNet121"
    searched = load_space("transfer", ranges={"backbone": ["NASNetMobile", "Xception"]})
    assert {drawn(searched, seed)["backbone"] for seed in range(20)} == {"NASNetMobile", "Xception"}


def test_a_weight_file_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.weights.h5").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    space = load_space("transfer", fixed={"weights": "mine.weights.h5"})
    assert drawn(space)["weights"] == str(tmp_path / "mine.weights.h5")


def test_what_cannot_be_is_refused_with_every_other_problem() -> None:
    problems = problems_of(
        fixed={"backbone": "ResNet5", "weights": "nowhere.h5", "alpha": "wide"},
        ranges={"top_share": [0.1, 2.0], "input_size": [96, 100]},
    )
    assert set(problems) == {
        "space.fixed.backbone",
        "space.fixed.weights",
        "space.fixed.alpha",
        "space.ranges.top_share",
        "space.ranges.input_size",
    }
    assert 'did you mean "ResNet50"?' in problems["space.fixed.backbone"]
    assert '"imagenet", "none", or an existing file' in problems["space.fixed.weights"]


def test_small_images_are_enlarged_for_a_pretrained_network_and_for_no_other() -> None:
    assert {drawn(load_space("transfer"), seed)["min_input_size"] for seed in range(20)} == {96, 128, 160}
    assert drawn(load_space("transfer", fixed={"min_input_size": 0}))["min_input_size"] == 0
    for fixed in ({"weights": "none"}, {"input_size": 96}):
        assert "min_input_size" not in drawn(load_space("transfer", fixed=fixed))
