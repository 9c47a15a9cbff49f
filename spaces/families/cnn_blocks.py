"""The blocks of a CNN, read from one line of text or derived from a few numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MAX_FILTERS = 512
_BLOCK = re.compile(r"(?P<filters>[1-9][0-9]{0,3})(x(?P<convs>[1-9]))?(?P<reduces>p?)")
RULE = 'must be blocks such as "64x2p 128": filters, x convolutions, p where the block halves the image'


@dataclass(frozen=True)
class Block:
    """`convs` convolutions of `filters` channels each; `reduces` halves the image at their end."""

    filters: int
    convs: int = 1
    reduces: bool = True


def parse_stack(text: str) -> tuple[Block, ...]:
    """The blocks that `text` lists.

    "32 64p 128x2p" is a convolution of 32 filters; one of 64 that halves the image; two of 128, the last halves it.

    Raises:
        ValueError: The rule, where `text` is no such list.
    """
    matches = [_BLOCK.fullmatch(word) for word in text.split()]
    if not matches or not all(matches):
        raise ValueError(RULE)
    groups = [match.groupdict() for match in matches if match]
    return tuple(Block(int(one["filters"]), int(one["convs"] or 1), one["reduces"] == "p") for one in groups)


def checked_stack(text: str) -> str:
    """`text` with single spaces; raises ValueError with the rule where it lists no blocks."""
    parse_stack(text)
    return " ".join(text.split())


def blocks_of(config: Mapping[str, Any]) -> tuple[Block, ...]:
    """The blocks of a configuration: those that `stack` lists, else `blocks` of them.

    The first has `filters`, each further one `filter_growth` times as many, up to 512, or `filters` where that is more.
    """
    if config.get("stack"):
        return parse_stack(config["stack"])
    first = config["filters"]
    widths = [round(first * config["filter_growth"] ** index) for index in range(config["blocks"])]
    return tuple(Block(min(width, max(first, MAX_FILTERS)), config["convs_per_block"]) for width in widths)
