"""The verdict of a run in a few numbers: the best value, how sure it is, the test, the cost, and what to type next."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from toprung.results.analysis.leaderboard import RUNNING
from toprung.results.report.charts.winner_charts import test_interval
from toprung.trainables.trial.trial_id import AS_MANY_AS_FIT, trials_in_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from toprung.results.report.charts.run_view import RunView


def verdict_html(view: RunView, next_step: str) -> str:
    """The verdict as HTML."""
    boxes = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}<small>{escape(more)}</small></dd></div>"
        for name, value, more in verdict(view)
    )
    command = ""
    if next_step:
        is_command = next_step.startswith("toprung ")
        told = f"Type next: <code>{escape(next_step)}</code>" if is_command else escape(next_step)
        command = f"<p>{told}</p>"
    return f'<dl class="verdict">{boxes}</dl>{command}'


def verdict(view: RunView) -> Iterator[tuple[str, str, str]]:
    """(name, value, what is to be known of it)."""
    counts = view.board["outcome"].value_counts()
    running = int(counts.get(RUNNING, 0))
    is_short = running or len(view.trials) < view.job.trials < AS_MANY_AS_FIT
    state = "running" if view.job.is_active else "ended early" if is_short else "ended"
    because = f"; {view.job.ended_because}" if view.job.ended_because and not view.job.is_active else ""
    fates = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    yield (
        "Search",
        state,
        f"{trials_in_words(len(view.board) - running, max(view.job.trials, len(view.board)))}: {fates}{because}",
    )
    leader = view.leader
    if leader is None:
        yield f"Best {view.metric}", "none", "no trial that may win has a value"
    else:
        best = f"{leader.trial_id} at epoch {leader.epoch}; the best of many noisy values is too good by its luck"
        yield f"Best {view.metric}", f"{leader.value:.4f}", best
    report = view.job.retrained
    if report is None:
        yield "Test", "not read", "retraining the winner reads the test images, once"
        return
    confirmed = [
        one for one in report["winner"].get("confirmed", ()) if one["trial_id"] == report["trial_id"]
    ]
    for one in confirmed:
        repeats = "folds" if one.get("repeats") == "folds" else "new seeds"
        over = f"{one['low']:.4f} to {one['high']:.4f} with 95% confidence over {one['seeds']} {repeats}"
        yield f"Confirmed {view.metric}", f"{one['score']:.4f}", f"{report['trial_id']}: {over}"
    if report["test_accuracy"] is None:
        yield "Test", "none", "the job has no test images"
        return
    low, high = test_interval(report["test_accuracy"], report["test_images"])
    reads = len(report["test_reads"])
    often = "once" if reads == 1 else f"{reads} times"
    images = f"{low:.4f} to {high:.4f} with 95% confidence for {report['test_images']:,} images, read {often}"
    yield "Test accuracy", f"{report['test_accuracy']:.4f}", f"{report['trial_id']}: {images}"
