"""Which of a run's retrained models is the champion: decided on the same test images, recorded, never by the last word.

The record is the one truth; RUN/retrain/model.keras and report.json are copies of the champion's.
"""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from toprung.search.evaluation.prediction_table import SCORE
from toprung.search.retrained.json_files import put_json, read_json
from toprung.search.retrained.kept_models import FOLDER, MODEL, PREDICTIONS, REPORT, kept_models
from toprung.trainables.metrics.intervals import paired_change, unpaired_change
from toprung.trainables.system.storage import Storage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from toprung.search.retrained.kept_models import KeptModel
    from toprung.search.runs.run_folder import RunFolder
    from toprung.trainables.metrics.intervals import PairedChange

CHAMPION, CHALLENGER, FORMER = "champion", "challenger", "earlier champion"
DECISIONS_FILE = f"{FOLDER}/decisions.json"


@dataclass(frozen=True)
class Decision:
    """What a model became.

    Attributes:
        model: Its name.
        alias: CHAMPION or CHALLENGER; told, not recorded, is FORMER where another model has taken its place since.
        why: One line.
        promoted: Whether the user said so, whatever the comparison.
        decided_at: ISO 8601, UTC.
        against: The name of the model that it was compared with; None without one.
        change: The model's test score minus that one's.
        low: The 95% interval of the change.
        high: The same.
    """

    model: str
    alias: str
    why: str
    promoted: bool
    decided_at: str
    against: str | None = None
    change: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Comparison:
    """A model against one that is or was champion, on the same test images.

    Attributes:
        against: The name of the other.
        change: What the model scores more; None where nothing was scored that both have.
        is_confirmed_ahead: Whether trainings with new seeds put the model's configuration ahead of the other's.
    """

    against: str
    change: PairedChange | None
    is_confirmed_ahead: bool

    @property
    def is_worse(self) -> bool:
        """Whether the model must not take the other's place.

        It must not be worse by more than a standard error; where trainings with new seeds put it ahead, by more than
        the 95% interval.
        """
        if self.change is None:
            return not self.is_confirmed_ahead
        return self.change.interval.high < 0.0 if self.is_confirmed_ahead else self.change.is_worse

    @property
    def order(self) -> float:
        """Lower for what speaks more clearly against the model."""
        return -1.0 if self.change is None else self.change.change

    def __str__(self) -> str:
        if self.change is None:
            ahead = (
                "trainings with new seeds put it ahead of"
                if self.is_confirmed_ahead
                else "no test compares it with"
            )
            return f"{ahead} {self.against}"
        interval = self.change.interval
        return (
            f"it scores {self.change.change:+.4f} ({interval.low:+.4f} to {interval.high:+.4f}) on the same "
            f"{self.change.images} images as {self.against}"
        )


def decisions(run: RunFolder) -> list[Decision]:
    """What was decided so far, first to last. Raises `InputError` where the record is damaged."""
    return [Decision(**entry) for entry in read_json(run, DECISIONS_FILE) or []]


def champion(run: RunFolder) -> KeptModel | None:
    """The champion by now; None before the first retraining."""
    names = [decision.model for decision in decisions(run) if decision.alias == CHAMPION]
    kept = {model.name: model for model in kept_models(run)}
    return next((kept[name] for name in reversed(names) if name in kept), None)


def decide(run: RunFolder, model: KeptModel, promote: bool = False) -> Decision:
    """Make a model the champion or a challenger, and record it.

    A model that was decided on stays what it is unless the user promotes it. One that was champion before the champion
    of now does not come back by itself either, as the user may have promoted the other.
    """
    made, current = decisions(run), champion(run)
    earlier = [decision for decision in made if decision.model == model.name]
    is_champion = current is not None and current.name == model.name
    if earlier and not (is_champion or promote):
        return _standing(earlier[-1], made)
    if earlier and is_champion:
        if (read_json(run, f"{FOLDER}/{REPORT}") or {}).get("model") != model.name:
            show_champion(run, model)  # the process that decided died before it did
        return earlier[-1]
    decision = judge(model, _rivals(run, made), promote)
    put_json(run, DECISIONS_FILE, [asdict(each) for each in (*made, decision)])
    if decision.alias == CHAMPION:
        show_champion(run, model)
    return decision


def _standing(decision: Decision, made: Sequence[Decision]) -> Decision:
    """What a decision on a model that is not the champion comes to by now."""
    if decision.alias != CHAMPION:
        return decision
    latest = next(each for each in reversed(made) if each.alias == CHAMPION)
    return replace(
        decision, alias=FORMER, why=f"{latest.model} is the champion since {latest.decided_at}: {latest.why}"
    )


def show_champion(run: RunFolder, model: KeptModel) -> None:
    """Put copies of the champion's files where they are found without knowing its name."""
    storage = Storage.at(run.root)
    storage.put(f"{FOLDER}/{MODEL}", model.folder.read(MODEL))
    put_json(run, f"{FOLDER}/{REPORT}", model.report)


def judge(model: KeptModel, rivals: Sequence[KeptModel], promote: bool = False) -> Decision:
    """What a model becomes beside the champion and those that were champion before it.

    It takes the place of all of them or of none: otherwise a row of models, each a little worse than the one before,
    could end far below the first.

    Args:
        model: The new model.
        rivals: The champions since the last promotion, the current one last; empty for the first model of a run.
        promote: Whether the user wants it to be the champion whatever comes out.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    if not rivals:
        return Decision(model.name, CHAMPION, "the first model of this run", promote, now)
    compared = [compare(model, rival) for rival in rivals]
    worse = [each for each in compared if each.is_worse]
    told = min(worse, key=lambda each: each.order) if worse else compared[-1]
    if worse and not promote:
        alias, why = CHALLENGER, str(told)
    else:
        alias, why = CHAMPION, f"{'promoted by --promote; ' if promote else ''}{told}"
    if told.change is None:
        return Decision(model.name, alias, why, promote, now, told.against)
    interval, change = told.change.interval, told.change.change
    return Decision(model.name, alias, why, promote, now, told.against, change, interval.low, interval.high)


def compare(model: KeptModel, other: KeptModel) -> Comparison:
    """The two models image by image; by their shares of right images where one has no predictions.

    Without test images these are the validation images of the trainings that calibrated them.
    """
    before, after = _scores(other), _scores(model)
    if before is not None and after is not None and len(before) == len(after):
        change: PairedChange | None = paired_change(before, after)
    else:
        was, now = _accuracy(other), _accuracy(model)
        change = unpaired_change(*was, *now) if was and now else None
    return Comparison(other.name, change, _is_confirmed_ahead(model.report, other.report))


def _rivals(run: RunFolder, made: Sequence[Decision]) -> list[KeptModel]:
    names: list[str] = []
    for decision in made:
        if decision.alias == CHAMPION:
            names = [decision.model] if decision.promoted else [*names, decision.model]
    kept = {model.name: model for model in kept_models(run)}
    return [kept[name] for name in dict.fromkeys(names) if name in kept]


def _scores(model: KeptModel) -> np.ndarray | None:
    try:
        table = pd.read_parquet(io.BytesIO(model.folder.read(PREDICTIONS)), columns=["split", "index", SCORE])
    except FileNotFoundError:
        return None
    tested = table[table["split"] == "test"].sort_values("index")
    return tested[SCORE].to_numpy(np.float64)


def _accuracy(model: KeptModel) -> tuple[float, int] | None:
    """The share of right images and their number: of the test, without one of the validation."""
    report = model.report
    if report.get("test_accuracy") is not None:
        return float(report["test_accuracy"]), int(report.get("test_images") or 1)
    held_out = report.get("validation")
    return (float(held_out["accuracy"]), int(held_out["images"])) if held_out else None


def _is_confirmed_ahead(report: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    order = [mean["trial_id"] for mean in report.get("winner", {}).get("confirmed", [])]
    mine, others = report["trial_id"], other["trial_id"]
    return mine in order and others in order and order.index(mine) < order.index(others)
