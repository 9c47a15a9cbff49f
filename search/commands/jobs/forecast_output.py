"""What `toprung simulate` prints and draws."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toprung.search.commands.output_path import picture_target
from toprung.search.simulation.forecast import draw_forecasts, forecast

if TYPE_CHECKING:
    from toprung.search.jobs.schema import Job
    from toprung.search.simulation.simulator import ClusterConditions

DRAWING_SUFFIXES = (".png", ".jpg", ".svg", ".pdf")


def show_forecasts(
    job: Job,
    workers: list[int],
    run: str | None,
    epoch_secs: float,
    out: str | None,
    conditions: ClusterConditions,
) -> None:
    """Print what the search would cost on each number of workers, and draw it to the file `out` if given."""
    target = picture_target(out, "--out", DRAWING_SUFFIXES) if out else None
    simulated = forecast(job, workers, run, epoch_secs, conditions)
    basis = f"curves of {run}" if run else f"typical curves, {epoch_secs:g} s an epoch"
    advice = "" if run else "; give --from RUN for real ones"
    trials = "as many trials as fit," if job.search.is_ended_by_hours else f"{job.search.trials} trials"
    print(f"{job.name}: {trials} of up to {job.search.max_epochs} epochs; {basis}{advice}")
    print("workers      hours  gpu hours     epochs  completed       best")
    forecasts = []
    for each in simulated:
        forecasts.append(each)
        best = f"{each.best:10.4f}" if run else "         -"
        numbers = f"{each.hours:10.3g} {each.gpu_hours:10.3g} {each.epochs:10,} {each.completed:10,}"
        print(f"{each.workers:7,} {numbers} {best}", flush=True)
    if target:
        draw_forecasts(forecasts, job.search.metric, f"{job.name}, simulated on {basis}", target)
        print(f"drawn to {target}")
