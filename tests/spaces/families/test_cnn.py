"""The CNN spaces: a moderate core, more when the job names it, and everything in `cnn_full`."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toprung.spaces.definition.introspection import RecordingTrial, describe
from toprung.spaces.errors import InputError
from toprung.spaces.families.cnn_blocks import Block, blocks_of, parse_stack
from toprung.spaces.families.presets import PRESETS
from toprung.spaces.families.registry import load_space

CORE = {
    "filters", "filter_growth", "blocks", "convs_per_block", "kernel_size", "batch_norm", "pooling", "head",
    "dense_units", "dropout", "head_dropout",
}  # fmt: skip
BEYOND = {"block_type", "activation", "dense_units_2", "max_norm", "head_l2", "dropout_step"}


def drawn(space, seed: int = 0) -> dict:
    return space(RecordingTrial(random.Random(seed), {}))


def told(name: str, **narrowing) -> dict[str, str]:
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
def test_a_text_that_is_no_stack_is_told_with_the_rule(text: str) -> None:
    assert "filters, x convolutions, p where" in told("cnn", fixed={"stack": text})["space.fixed.stack"]
    assert "space.ranges.stack" in told("cnn", ranges={"stack": ["64p", text]})


def test_a_stack_that_is_no_text_is_told_among_the_other_problems() -> None:
    problems = told("cnn", fixed={"stack": 64, "filterz": 1}, ranges={"stack": "64p"})
    assert set(problems) == {"space.fixed.stack", "space.fixed.filterz", "space.ranges.stack"}


@given(st.lists(st.builds(Block, st.integers(1, 9999), st.integers(1, 9), st.booleans()), min_size=1))
def test_blocks_written_as_text_are_read_again(blocks: list[Block]) -> None:
    text = " ".join(f"{one.filters}x{one.convs}{'p' * one.reduces}" for one in blocks)
    assert list(parse_stack(text)) == blocks


def test_growth_stops_at_512_filters_or_where_it_began() -> None:
    grown = {"filter_growth": 2.0, "blocks": 4, "convs_per_block": 1}
    assert [block.filters for block in blocks_of({"filters": 128, **grown})] == [128, 256, 512, 512]
    assert [block.filters for block in blocks_of({"filters": 600, **grown})] == [600] * 4


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_space_of_its_own_and_fixed_values_of_the_cnn_space(name: str) -> None:
    preset = PRESETS[name]
    as_space = drawn(load_space(name))
    as_fixed = drawn(load_space("cnn", fixed=preset.config))
    assert as_space.items() >= preset.architecture.items()
    assert as_fixed.items() >= preset.config.items()
    assert set(as_space) == set(as_fixed), "the recipe is searched, the architecture stands still"


def test_a_presets_recipe_can_be_narrowed_and_its_architecture_not() -> None:
    config = drawn(load_space("cnn_small", fixed={"learning_rate": 1e-3}))
    assert config["learning_rate"] == 1e-3
    assert "space.fixed.dense_units" in told("cnn_small", fixed={"dense_units": 5})
