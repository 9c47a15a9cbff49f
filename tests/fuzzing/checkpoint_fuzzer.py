"""Damages and forges the saved state of a trial; the trial has to go on from it as it was, or from an earlier one."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

META = "__meta__"
ODD = (-1, 0, 10**9, 1.5, float("nan"), float("inf"), None, True, "", "x", [], {}, [1], {"a": 1})


def flip(content: bytes, rng: random.Random) -> bytes:
    """Flip one bit."""
    changed = bytearray(content)
    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(content: bytes, rng: random.Random) -> bytes:
    """Leave the first bytes."""
    return content[: rng.randrange(len(content))]


def forge_meta(content: bytes, rng: random.Random) -> bytes:
    """Change what the state says of itself."""
    arrays = dict(np.load(io.BytesIO(content)))
    meta = json.loads(arrays.pop(META).tobytes())
    key = rng.choice([*meta, "more"])
    meta[key] = rng.choice(ODD)
    history = meta.get("history")
    if (
        rng.random() < 0.5
        and isinstance(history, list)
        and history
        and isinstance(row := rng.choice(history), dict)
    ):
        row[rng.choice([*row, "more"])] = rng.choice(ODD)
    return _packed(meta, arrays)


def forge_array(content: bytes, rng: random.Random) -> bytes:
    """Change an array's shape or type, leave it out, or put NaN into it."""
    arrays = dict(np.load(io.BytesIO(content)))
    meta = json.loads(arrays.pop(META).tobytes())
    name = rng.choice(list(arrays))
    ways: Sequence[Callable[[], Any]] = (
        lambda: np.zeros((2, 3), np.float32),
        lambda: np.full(arrays[name].shape, np.nan),
        lambda: np.array("text"),
        lambda: arrays[name].astype("S8"),
    )
    arrays[name] = rng.choice(ways)()
    if rng.random() < 0.3:
        del arrays[name]
    return _packed(meta, arrays)


CHANGES = (flip, cut, forge_meta, forge_array)


def outcomes(
    state: Path, resume: Callable[[], tuple[object, object]], count: int, seed: int
) -> Iterator[tuple[str, str]]:
    """For each of `count` changes of the file `state`, which one it was, and what came of it.

    Args:
        state: The file of a trial's newest state; it is put back at the end.
        resume: Continues the trial; gives its failure, None without, and the values of its whole course.
        count: How many changes.
        seed: Of the changes.

    Yields:
        The change, and "same": the course is that of the whole state; "FAILED", "CHANGED" or "TRACEBACK" else.
    """
    rng, content = random.Random(seed), state.read_bytes()
    expected = resume()[1]
    for number in range(count):
        change = CHANGES[number % len(CHANGES)]
        state.write_bytes(change(content, rng))
        try:
            failure, course = resume()
            outcome = (
                f"FAILED: {failure}" if failure else "same" if course == expected else f"CHANGED: {course}"
            )
        except Exception as error:
            outcome = f"TRACEBACK: {error!r}"
        yield change.__name__, outcome
    state.write_bytes(content)


def _packed(meta: Any, arrays: dict[str, Any]) -> bytes:
    sink = io.BytesIO()
    packed = np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8)
    np.savez(sink, **{META: packed}, **arrays)
    return sink.getvalue()
