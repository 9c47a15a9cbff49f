"""Which retrained model is the champion: never a worse one by itself, and each decision is kept with its reason."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toprung.search.retrained.champion import champion, decide, decisions
from toprung.search.retrained.kept_models import (
    MODEL,
    PREDICTIONS,
    REPORT,
    KeptModel,
    ModelFolder,
    kept_models,
)
from toprung.search.runs.run_folder import RunFolder

IMAGES = 200


def retrained(run: RunFolder, name: str, right: np.ndarray, **report: Any) -> KeptModel:
    """A model that answers these test images rightly (1) or wrongly (0)."""
    folder = ModelFolder(run, name)
    folder.put(MODEL, name.encode())
    table = pd.DataFrame({"split": "test", "index": np.arange(len(right)), "score": right.astype(float)})
    sink = io.BytesIO()
    table.to_parquet(sink)
    folder.put(PREDICTIONS, sink.getvalue())
    known = {"model": name, "trial_id": name.partition("-")[0], "test_accuracy": float(right.mean()),
             "test_images": len(right), **report}  # fmt: skip
    folder.put(REPORT, json.dumps(known).encode())
    return KeptModel(folder, known)


def right(share: float, seed: int = 0, images: int = IMAGES) -> np.ndarray:
    return np.random.default_rng(seed).random(images) < share


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(str(tmp_path))


def shown(run: RunFolder) -> str:
    """The name of the model whose copy is found without knowing its name."""
    folder = Path(run.root) / "retrain"
    assert json.loads((folder / REPORT).read_text())["model"] == (folder / MODEL).read_text()
    return (folder / MODEL).read_text()


def test_a_worse_model_becomes_a_challenger_and_the_line_says_why(run: RunFolder) -> None:
    decide(run, retrained(run, "t00001-s0", right(0.7)))
    decision = decide(run, retrained(run, "t00002-s0", right(0.34, 1)))
    assert decision.alias == "challenger"
    assert decision.why.startswith("it scores -0.")
    assert decision.why.endswith("on the same 200 images as t00001-s0")
    assert decision.low is not None and decision.high is not None and decision.low < decision.high < 0
    current = champion(run)
    assert current is not None and current.name == shown(run) == "t00001-s0"
    assert len(kept_models(run)) == 2, "the challenger is kept too"


def test_a_better_one_and_one_that_differs_by_chance_take_the_place(run: RunFolder) -> None:
    answers = right(0.7)
    decide(run, retrained(run, "t00001-s0", answers))
    assert decide(run, retrained(run, "t00002-s0", right(0.95, 1))).alias == "champion"
    swapped = right(0.95, 1)
    swapped[np.flatnonzero(swapped)[:2]] = False
    swapped[np.flatnonzero(~right(0.95, 1))[:2]] = True
    assert decide(run, retrained(run, "t00003-s0", swapped)).alias == "champion"
    assert shown(run) == "t00003-s0"


def test_a_promotion_overrides_the_comparison_and_is_recorded(run: RunFolder) -> None:
    decide(run, retrained(run, "t00001-s0", right(0.9)))
    worse = retrained(run, "t00002-s0", right(0.4, 1))
    assert decide(run, worse).alias == "challenger"
    promoted = decide(run, worse, promote=True)
    assert (promoted.alias, promoted.promoted) == ("champion", True)
    assert promoted.why.startswith("promoted by --promote; it scores -0.")
    assert shown(run) == "t00002-s0"
    assert [each.alias for each in decisions(run)] == ["champion", "challenger", "champion"]
    assert decide(run, worse) == promoted, "asking again decides nothing anew"
    # From then on models are compared with the promoted one, not with what it replaced.
    assert decide(run, retrained(run, "t00003-s0", right(0.5, 2))).alias == "champion"


def test_a_champion_that_another_has_replaced_is_told_as_such_and_does_not_come_back_by_itself(
    run: RunFolder,
) -> None:
    first = retrained(run, "t00001-s0", right(0.9))
    decide(run, first)
    decide(run, retrained(run, "t00002-s0", right(0.4, 1)), promote=True)
    made = decisions(run)
    again = decide(run, first)
    assert again.alias == "earlier champion"
    assert again.why.startswith("t00002-s0 is the champion since 20") and "promoted by --promote" in again.why
    assert decisions(run) == made and shown(run) == "t00002-s0"
    assert decide(run, first, promote=True).alias == "champion" and shown(run) == "t00001-s0"


def test_a_row_of_slightly_worse_models_does_not_creep_down(run: RunFolder) -> None:
    answers = np.ones(IMAGES, bool)
    for number in range(40):
        answers = answers.copy()
        answers[2 * number : 2 * number + 2] = False
        decide(run, retrained(run, f"t{number:05d}-s0", answers))
    current = champion(run)
    assert current is not None
    first, last = 1.0, float(current.report["test_accuracy"])
    assert first - last < 0.03, "each is within the noise of the one before; none may be far below the first"


def test_with_new_seeds_ahead_a_model_may_be_a_little_worse_on_the_test(run: RunFolder) -> None:
    before = right(0.9, images=400)
    after = before.copy()
    after[np.flatnonzero(before)[:14]] = False
    after[np.flatnonzero(~before)[:8]] = (
        True  # 14 lost, 8 won: beyond one standard error, within the interval
    )
    decide(run, retrained(run, "t00001-s0", before))
    order = [{"trial_id": "t00002"}, {"trial_id": "t00001"}]
    ahead = {"confirmed": order}
    assert decide(run, retrained(run, "t00002-s0", after)).alias == "challenger"
    assert decide(run, retrained(run, "t00002-s1", after, winner=ahead)).alias == "champion"


def test_a_model_without_predictions_is_compared_by_its_accuracy(run: RunFolder) -> None:
    old = retrained(run, "t00001-s0", right(0.9))
    (Path(run.root) / "retrain" / "t00001-s0" / PREDICTIONS).unlink()
    decide(run, old)
    assert decide(run, retrained(run, "t00002-s0", right(0.5, 1))).alias == "challenger"
    assert decide(run, retrained(run, "t00003-s0", right(0.9, 2))).alias == "champion"


def test_a_champion_whose_copy_was_not_made_before_a_crash_is_shown_by_the_next_call(run: RunFolder) -> None:
    model = retrained(run, "t00001-s0", right(0.9))
    decide(run, model)
    for name in (MODEL, REPORT):
        (Path(run.root) / "retrain" / name).unlink()
    decide(run, model)
    assert shown(run) == "t00001-s0"


@given(
    shares=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=6),
    images=st.integers(1, 300),
    seed=st.integers(0, 99),
)
@settings(max_examples=30)
def test_the_champion_never_moves_to_a_model_that_is_worse_beyond_its_interval(
    tmp_path_factory: pytest.TempPathFactory, shares: list[float], images: int, seed: int
) -> None:
    run = RunFolder(str(tmp_path_factory.mktemp("run")))
    best = -1.0
    for number, share in enumerate(shares):
        model = retrained(run, f"t{number:05d}-s0", right(share, seed + number, images))
        decision = decide(run, model)
        if decision.alias == "champion" and decision.high is not None:
            assert decision.high >= 0
        current = champion(run)
        assert current is not None
        best = max(best, float(current.report["test_accuracy"]))
        # A standard error of a paired change is at most 1 / sqrt(images).
        assert best - float(current.report["test_accuracy"]) <= 1 / np.sqrt(images) + 1e-9
