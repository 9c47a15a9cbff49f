"""The rivals in `throughput.py`: stock Ray Tune, Ray Tune with actors kept, KerasTuner. One process each."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import plain_keras
from ray import tune

Job = dict[str, Any]


def train_function(config: dict[str, Any], job: Job, log: str) -> None:
    """A function trainable as the documentation shows it: build, compile, fit, report each epoch."""
    began = time.time()
    plain_keras.one_thread()
    import keras

    task = plain_keras.load_task(job["data"], job["max_epochs"])
    item = job["items"][config["index"]]
    train, val = plain_keras.datasets(item["config"], task)
    model = plain_keras.compiled_model(item["config"], task)

    class Report(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            tune.report({"val_accuracy": logs["val_accuracy"]})

    clock = plain_keras.steady_clock()
    ready = time.time()
    model.fit(train, validation_data=val, epochs=item["epochs"], callbacks=[clock, Report()], verbose=0)
    note(log, began, ready, clock.steady_secs, clock.epochs)


class RebuiltTrial(tune.Trainable):  # type: ignore[misc]
    """A class trainable whose process and data are kept by `reuse_actors`; the model is built for each trial."""

    def setup(self, config: dict[str, Any]) -> None:
        self.began = time.time()
        plain_keras.one_thread()
        self.job, self.log = config["job"], config["log"]
        self.task = plain_keras.load_task(self.job["data"], self.job["max_epochs"])
        self.prepare(config)

    def reset_config(self, config: dict[str, Any]) -> bool:
        import keras

        self.write_note()
        self.began = time.time()
        keras.backend.clear_session()
        self.prepare(config)
        return True

    def prepare(self, config: dict[str, Any]) -> None:
        self.item = self.job["items"][config["index"]]
        self.train_set, self.val_set = plain_keras.datasets(self.item["config"], self.task)
        self.model = plain_keras.compiled_model(self.item["config"], self.task)
        self.clock, self.ready = plain_keras.steady_clock(), time.time()

    def step(self) -> dict[str, Any]:
        fit = self.model.fit(
            self.train_set, validation_data=self.val_set, epochs=1, callbacks=[self.clock], verbose=0
        )
        done = self.clock.epochs >= self.item["epochs"]
        return {"val_accuracy": fit.history["val_accuracy"][-1], "done": done}

    def cleanup(self) -> None:
        self.write_note()

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        self.model.save_weights(Path(checkpoint_dir) / "model.weights.h5")

    def write_note(self) -> None:
        if self.clock is not None:
            note(self.log, self.began, self.ready, self.clock.steady_secs, self.clock.epochs)
            self.clock = None


def run_ray(job: Job, log: str, reuse: bool) -> None:
    """OptunaSearch and ASHA as documented; the trials, and how long each trains, are the list's.

    Both are asked as always: the searcher is given the list as its points to evaluate, and ASHA sees every
    result but cuts nothing before the last epoch.
    """
    import ray
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    ray.init(address="local", num_cpus=job["workers"], include_dashboard=False, log_to_driver=False)
    count = len(job["items"])
    space = {"index": tune.randint(0, count)}
    search = OptunaSearch(
        space, metric="val_accuracy", mode="max", points_to_evaluate=[{"index": i} for i in range(count)]
    )
    scheduler = ASHAScheduler(max_t=job["max_epochs"], grace_period=job["max_epochs"], reduction_factor=3)
    if reuse:
        trainable, space_beside = RebuiltTrial, {"job": job, "log": log}
    else:
        trainable, space_beside = tune.with_parameters(train_function, job=job, log=log), {}
    tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1, "gpu": job["gpus"]}),
        param_space=space_beside,
        tune_config=tune.TuneConfig(
            metric="val_accuracy",
            mode="max",
            search_alg=search,
            scheduler=scheduler,
            num_samples=count,
            max_concurrent_trials=job["workers"],
            reuse_actors=reuse,
        ),
        run_config=tune.RunConfig(storage_path=tempfile.mkdtemp(prefix="bench-"), verbose=0),
    ).fit()
    ray.shutdown()


def run_keras_tuner(job: Job, log: str) -> None:
    """KerasTuner's Hyperband tuner, one trial at a time on all cores; its oracle is made to give out the list."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras
    import keras_tuner

    task = plain_keras.load_task(job["data"], job["max_epochs"])
    items = iter(enumerate(job["items"]))
    marks: dict[str, Any] = {}

    class Model(keras_tuner.HyperModel):  # type: ignore[misc]
        def build(self, hp: Any) -> Any:
            marks["began"] = time.time()
            keras.backend.clear_session()
            index = hp.Int("index", 0, len(job["items"]) - 1)
            return plain_keras.compiled_model(job["items"][index]["config"], task)

        def fit(self, hp: Any, model: Any, *_: Any, callbacks: Any = (), **settings: Any) -> Any:
            config = job["items"][hp.get("index")]["config"]
            train, val = plain_keras.datasets(config, task)
            clock, ready = plain_keras.steady_clock(), time.time()
            history = model.fit(train, validation_data=val, callbacks=[clock, *callbacks], **settings)
            note(log, marks["began"], ready, clock.steady_secs, clock.epochs)
            return history

    def next_item(_: str) -> dict[str, Any]:
        index, item = next(items, (None, None))
        if item is None:
            return {"status": "STOPPED"}
        fixed = {"tuner/initial_epoch": 0, "tuner/bracket": 0, "tuner/round": 0}
        return {"status": "RUNNING", "values": {"index": index, "tuner/epochs": item["epochs"], **fixed}}

    tuner = keras_tuner.Hyperband(
        Model(),
        objective="val_accuracy",
        max_epochs=job["max_epochs"],
        directory=tempfile.mkdtemp(prefix="bench-"),
    )
    tuner.oracle.populate_space = next_item
    tuner._configure_tensorboard_dir = lambda *_: None  # it wants TensorBoard, which is not needed here
    tuner.search(verbose=0)


def note(log: str, began: float, ready: float, steady_secs: float, epochs: int) -> None:
    """One line for a trial: process, when it began, was ready and had trained, seconds of steady training, epochs."""
    with Path(log).open("a") as file:
        file.write(f"{os.getpid()} {began} {ready} {time.time()} {steady_secs} {epochs}\n")
