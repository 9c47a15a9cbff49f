"""The blocks of a CNN, as text and as numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toprung.spaces.families.cnn_blocks import Block, blocks_of, checked_stack, parse_stack


def test_a_stack_lists_filters_convolutions_and_halvings() -> None:
    assert parse_stack("32 64p 128x2p") == (Block(32, 1, False), Block(64, 1, True), Block(128, 2, True))


@given(st.lists(st.builds(Block, st.integers(1, 9999), st.integers(1, 9), st.booleans()), min_size=1))
def test_blocks_written_as_text_are_read_again(blocks: list[Block]) -> None:
    text = " ".join(f"{block.filters}x{block.convs}{'p' * block.reduces}" for block in blocks)
    assert list(parse_stack(text)) == blocks


@pytest.mark.parametrize("text", ["", "64y2", "0p", "p", "64x0", "64,128", "sixty", "64xp", "10000"])
def test_another_text_is_refused_with_the_rule(text: str) -> None:
    for read in (parse_stack, checked_stack):
        with pytest.raises(ValueError, match="filters, x convolutions, p where the block halves the image"):
            read(text)


def test_a_checked_stack_has_single_spaces() -> None:
    assert checked_stack("  32   64x2p ") == "32 64x2p"


def test_blocks_grow_up_to_512_filters_or_stay_where_they_begin() -> None:
    grown = {"filter_growth": 2.0, "blocks": 4, "convs_per_block": 2}
    assert blocks_of({"filters": 128, **grown}) == tuple(Block(width, 2) for width in (128, 256, 512, 512))
    assert blocks_of({"filters": 600, **grown}) == (Block(600, 2),) * 4


def test_a_growth_that_gives_no_whole_number_is_rounded() -> None:
    config = {"filters": 10, "filter_growth": 1.25, "blocks": 3, "convs_per_block": 1, "stack": ""}
    assert [block.filters for block in blocks_of(config)] == [10, 12, 16]


def test_a_stack_takes_precedence_over_numbers() -> None:
    numbers = {"filters": 8, "filter_growth": 1.0, "blocks": 2, "convs_per_block": 1}
    assert blocks_of({"stack": "16p", **numbers}) == (Block(16),)
