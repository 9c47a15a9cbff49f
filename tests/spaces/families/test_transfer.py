"""The transfer space: any network of keras.applications, weights from anywhere, phases as numbers."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from toprung.spaces.definition.introspection import RecordingTrial, describe
from toprung.spaces.errors import InputError
from toprung.spaces.families.registry import load_space

PHASES = {"head_epochs", "top_epochs", "top_share", "top_rate", "deep_share", "deep_rate"}


def drawn(space, seed: int = 0) -> dict:
    return space(RecordingTrial(random.Random(seed), {}))


def problems_of(**narrowing) -> dict[str, str]:
    with pytest.raises(InputError) as caught:
        load_space("transfer", **narrowing)
    return {problem.where: str(problem) for problem in caught.value.problems}


def test_the_core_has_a_network_a_head_and_three_phases() -> None:
    described = describe(load_space("transfer"))
    assert set(described) >= {"backbone", "dense_units", "head_dropout"} | PHASES
    assert described["learning_rate"].high == 1e-2, "a new head on old features diverges above"
    assert not set(described) & {"alpha", "input_size", "weights"}
    assert drawn(load_space("transfer"))["weights"] == "imagenet"


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
