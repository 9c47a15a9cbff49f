"""A job's Keras trials as Ray Tune's own: its space, its strategy and its trainable for a `tune.Tuner` of yours.

    job = TunedJob.read("flowers.yaml")
    search = job.search()
    tuner = tune.Tuner(
        job.trainable(),
        tune_config=tune.TuneConfig(
            search_alg=search, scheduler=search.scheduler(), num_samples=30, max_concurrent_trials=4, reuse_actors=True
        ),
    )
    results = tuner.fit()

The trainable takes any configuration of the space, so that other search algorithms and schedulers can use it too.
Tables, confirmation and retraining belong to `toprung search`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from ray import tune

from toprung.search.integrations.ray_tune import StrategySearch
from toprung.search.jobs.schema import Job
from toprung.search.preparation.prepare import PreparedJob, first_configs, prepare
from toprung.search.preparation.trial_plan import trial_plan
from toprung.search.runs.run_folder import RunFolder
from toprung.spaces.errors import InputError
from toprung.trainables.worker.tuned_trial import TunedTrial

if TYPE_CHECKING:
    from pathlib import Path

    from toprung.spaces.families.registry import Space


@dataclass(frozen=True)
class TunedJob:
    """A job whose trials Ray Tune schedules.

    Attributes:
        prepared: The job, its space and its images, checked.
    """

    prepared: PreparedJob

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a job file and load its images.

        Raises:
            InputError: With every problem of the job, or as it has several objectives.
        """
        job = Job.from_file(path)
        if job.search.objectives:
            given = ", ".join(job.search.objectives)
            raise InputError.single(
                "search.objectives", given, "must be empty: Ray Tune optimises one metric"
            )
        return cls(prepare(job))

    @property
    def space(self) -> Space:
        """The job's space, a define-by-run function."""
        return self.prepared.space

    def search(self) -> StrategySearch:
        """The job's strategy as a search algorithm; `scheduler()` of it is the scheduler."""
        job, objectives = self.prepared.job, self.prepared.job.search.optimized
        limits = {
            one.metric: {
                name: limit
                for name, limit in (("min", one.least), ("max", one.greatest))
                if limit is not None
            }
            for one in objectives.bounds.all
        }
        return StrategySearch(
            self.space,
            job.search.max_epochs,
            objectives.main.metric,
            objectives.main.mode,
            seed=job.seed,
            bounds=limits,
            reduction_factor=job.search.reduction_factor,
            min_epochs=job.search.min_epochs,
            sampler=job.search.sampler,
            variant=job.search.variant,
            initial_configs=first_configs(job, self.space),
        )

    def trainable(self, gpus: float = 0.0) -> Any:
        """The trainable, with the job's cores and a share of a GPU for each trial; a step is an epoch."""
        job = self.prepared.job
        plan = trial_plan(self.prepared, RunFolder(""))
        # Each step reports an epoch, and Ray Tune may ask for the state after any.
        rules = replace(plan.rules, report_secs=0.0, checkpoint_secs=0.0, durable_rungs=False)
        plan = replace(plan, rules=rules, checkpoints="", autotune=None, gpus=gpus)
        trained = tune.with_parameters(TunedTrial, plan=plan, seed=job.seed)
        return tune.with_resources(trained, {"cpu": job.resources.cpus, "gpu": gpus})
