"""The CNN spaces: a moderate core, more when the job names it, and everything in `cnn_full`."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toprung.spaces.definition.introspection import RecordingTrial, describe
from toprung.spaces.errors import InputError
from toprung.spaces.families.cnn_blocks import Block, blocks_of
from toprung.spaces.families.registry import load_space

CORE = {
    "filters", "filter_growth", "blocks", "convs_per_block", "kernel_size", "batch_norm", "pooling", "head",
    "dense_units", "dropout", "head_dropout",
}  # fmt: skip
BEYOND = {"block_type", "activation", "dense_units_2", "max_norm", "head_l2", "dropout_step"}


def drawn(space, seed: int = 0) -> dict:
    return space(RecordingTrial(random.Random(seed), {}))


def problems_of(name: str, **narrowing) -> dict[str, str]:
    with pytest.raises(InputError) as caught:
        load_space(name, **narrowing)
    return {problem.where: str(problem) for problem in caught.value.problems}


def test_the_core_is_moderate_and_the_full_space_has_the_rest() -> None:
    core, full = describe(load_space("cnn")), describe(load_space("cnn_full"))
    assert set(core) >= CORE and not set(core) & BEYOND
    assert set(full) == set(core) | BEYOND
    assert core["filters"].choices == (8, 16, 32, 64)
    assert full["filters"].choices == (8, 16, 32, 64, 128, 256, 512)
    assert (core["blocks"].high, full["blocks"].high) == (4, 5)
    assert "strided" in full["pooling"].choices


def test_what_the_job_names_is_searched_from_its_widest_range() -> None:
    space = load_space(
        "cnn",
        fixed={"block_type": "residual", "filters": 128},
        ranges={"pooling": ["max", "strided"], "blocks": [4, 5], "dropout_step": [0.0, 0.05]},
    )
    config = drawn(space)
    assert (config["block_type"], config["filters"]) == ("residual", 128)
    assert set(describe(space)["pooling"].choices) == {"max", "strided"}
    assert config["blocks"] in (4, 5)
    assert 0.0 <= config["dropout_step"] <= 0.05
    assert "activation" not in config


@given(seed=st.integers(0, 2**32))
def test_only_a_network_with_a_hidden_layer_has_its_penalty_and_bound(seed: int) -> None:
    config = drawn(load_space("cnn_full"), seed)
    assert ({"head_l2", "max_norm", "dense_units_2"} <= set(config)) == bool(config["dense_units"])


def test_the_max_norm_of_convolutions_is_there_when_the_job_names_it() -> None:
    assert "conv_max_norm" not in describe(load_space("cnn_full"))
    assert drawn(load_space("cnn", fixed={"conv_max_norm": 2.5}))["conv_max_norm"] == 2.5
    searched = load_space("cnn", ranges={"conv_max_norm": [0.0, 3.0]})
    assert describe(searched)["conv_max_norm"].choices == (0.0, 3.0)


def test_a_stack_takes_the_place_of_grown_blocks() -> None:
    config = drawn(load_space("cnn", fixed={"stack": " 32   64x2p"}))
    assert config["stack"] == "32 64x2p"
    assert not {"filters", "filter_growth", "blocks", "convs_per_block"} & set(config)
    assert blocks_of(config) == (Block(32, 1, False), Block(64, 2, True))
    searched = load_space("cnn", ranges={"stack": {"choices": ["16p", "16p 32p"]}})
    assert {drawn(searched, seed)["stack"] for seed in range(20)} == {"16p", "16p 32p"}


@pytest.mark.parametrize("text", ["", "64y2", "0p", "p", "64x0", "64,128", "sixty", "64xp"])
def test_a_text_that_is_no_stack_is_refused_with_the_rule(text: str) -> None:
    assert (
        "filters, x convolutions, p where" in problems_of("cnn", fixed={"stack": text})["space.fixed.stack"]
    )
    assert "space.ranges.stack" in problems_of("cnn", ranges={"stack": ["64p", text]})


def test_a_stack_that_is_no_text_is_refused_among_the_other_problems() -> None:
    problems = problems_of("cnn", fixed={"stack": 64, "filterz": 1}, ranges={"stack": "64p"})
    assert set(problems) == {"space.fixed.stack", "space.fixed.filterz", "space.ranges.stack"}
