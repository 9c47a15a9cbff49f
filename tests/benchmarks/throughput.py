"""How much of their time workers train: toprung, stock Ray Tune and KerasTuner on the same list of trials.

    python tests/benchmarks/throughput.py --trials 12 40 200 --workers 2 --max-epochs 27 --repeats 3
    python tests/benchmarks/throughput.py --trials 200 --workers 4 --gpus 0.25  # four on one GPU

Equal for all: the machine, the images (scikit-learn's digits, decoded once and memory-mapped), the list of
(configuration, epochs), the network each configuration stands for, validation after each epoch, the niceness of
the workers, one computing thread each. The epochs are those that halving by three gives: most trials train for one.
Different: the rivals train with Keras' `fit`, its optimizers, tf.data and preprocessing layers (same bounds of
augmentation); toprung with its own step. Ray's trials report to OptunaSearch and ASHA, which are asked but
decide nothing, and write Ray's default logs; toprung writes its tables, checkpoints at each rung and MLflow.
KerasTuner runs one trial at a time on all cores, and a whole GPU, and saves the best weights. Ray's fraction of a GPU
caps no memory, so that its workers let theirs grow, as TensorFlow advises; toprung caps it. Each contender runs in a
fresh process, in turns.

"steady" is training and validation without what traces; "share" is steady seconds over workers times wall-clock: from
the moment the first trial could train to the end of the last one (while trials ran) or of the process (after
start-up), and of everything; "overhead" is the worker time a trial that is left, after start-up and of everything.
With repeats the medians follow. The last line compares the training step alone with `fit`, on one core.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
CONTENDERS = {
    "ray": "Ray Tune, function trainable",
    "reuse": "Ray Tune, reuse_actors, rebuilt",
    "tuner": "KerasTuner Hyperband",
    "toprung": "toprung",
}


class Measured(NamedTuple):
    """One run of one contender over a list."""

    wall_secs: float
    after_start_secs: float
    trials_secs: float
    steady_secs: float
    epochs: int
    trials: int


def the_list(trials: int, max_epochs: int, structures: int, size: int, seed: int = 0) -> dict[str, Any]:
    """The job: data, and `trials` configurations with the epochs that halving by three gives."""
    from toprung.spaces.definition.introspection import RecordingTrial
    from toprung.spaces.families.registry import load_space

    rng = random.Random(seed)
    rungs = [3**power for power in range(20) if 3**power < max_epochs] + [max_epochs]
    shapes = [(blocks, filters) for filters in (8, 12, 16, 6, 10, 14) for blocks in (2, 1)][:structures]
    fixed = {"convs_per_block": 1, "kernel_size": 3, "batch_norm": True, "pooling": "max", "head": "flatten",
             "dense_units": 64, "filter_growth": 2.0, "batch_size": 32, "flip": False,
             "augment_set": "standard"}  # fmt: skip
    space, items = load_space("cnn", fixed, {}), []
    for number in range(trials):
        config = dict(space(RecordingTrial(rng, {})))
        blocks, filters = shapes[rng.randrange(len(shapes))]
        config.update(blocks=blocks, filters=filters, learning_rate=min(config["learning_rate"], 0.01))
        survived = sum((number + 1) % 3**power == 0 for power in range(1, len(rungs)))
        items.append({"config": config, "epochs": rungs[survived]})
    rng.shuffle(items)
    data = {"source": "digits", "image_size": size}
    return {"items": items, "max_epochs": max_epochs, "rungs": rungs, "data": data}


def run_contender(name: str, job: dict[str, Any]) -> Measured:
    """Run one contender on the list in a fresh process."""
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        folder = Path(scratch)
        (folder / "job.json").write_text(json.dumps(job))
        env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "TF_CPP_MIN_LOG_LEVEL": "3"}
        began = time.time()
        command = [sys.executable, __file__, "--contender", name, "--folder", scratch]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        ended = time.time()
        if done.returncode != 0:
            raise RuntimeError(f"{name} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
        if name == "toprung":
            return measured_ours(folder / "bench", began, ended)
        return measured_rival(folder / "log", began, ended)


def measured_rival(log: Path, began: float, ended: float) -> Measured:
    lines = [line.split() for line in log.read_text().splitlines()]
    first_ready, last = min(float(line[2]) for line in lines), max(float(line[3]) for line in lines)
    steady, epochs = sum(float(line[4]) for line in lines), sum(int(line[5]) for line in lines)
    return Measured(ended - began, ended - first_ready, last - first_ready, steady, epochs, len(lines))


def measured_ours(run: Path, began: float, ended: float) -> Measured:
    import pandas as pd

    trials, epochs = pd.read_parquet(run / "trials"), pd.read_parquet(run / "epochs")
    told = epochs["reported_at"].map(lambda at: at.timestamp()) - epochs["elapsed_secs"]
    # As for the rivals: data and libraries are there, the first model is still to be built.
    built = trials.set_index("trial_id")[["build_secs", "compile_secs", "trial_setup_secs"]].sum(axis=1)
    first_ready = float((told - epochs["trial_id"].map(built)).min())
    last = epochs["reported_at"].max().timestamp()
    print_where_the_seconds_went(trials)
    steady = trials["train_secs"].sum()
    return Measured(ended - began, ended - first_ready, last - first_ready, steady, len(epochs), len(trials))


def print_where_the_seconds_went(trials: Any) -> None:
    """toprung's own account, from its rows: what a worker did from its first trial on."""
    parts = ["train_secs", "build_secs", "compile_secs", "trial_setup_secs", "checkpoint_secs", "idle_secs"]
    total = trials[parts].sum()
    shares = ", ".join(f"{name.removesuffix('_secs')} {total[name] / total.sum():.1%}" for name in parts)
    print(f"    toprung's rows after start-up ({total.sum():.0f} worker seconds): {shares}; "
          f"waiting {1e3 * trials['idle_secs'].sum() / len(trials):.1f} ms a trial", flush=True)  # fmt: skip


def run_here(name: str, folder: Path) -> None:
    """The body of a contender's process."""
    job = json.loads((folder / "job.json").read_text())
    if name == "toprung":
        from ours import run_toprung

        run_toprung(job, folder)
        return
    import rivals

    log = str(folder / "log")
    if name == "tuner":
        os.nice(15)  # as Ray does with its workers
        rivals.run_keras_tuner(job, log)
    else:
        rivals.run_ray(job, log, reuse=name == "reuse")


def contenders() -> list[str]:
    """Those that can run here; a missing one is named with the reason."""
    import importlib.util

    if importlib.util.find_spec("keras_tuner") is None:
        print("KerasTuner is left out: the package keras-tuner is not installed")
        return [name for name in CONTENDERS if name != "tuner"]
    return list(CONTENDERS)


def compare_trials(options: argparse.Namespace, count: int) -> None:
    """All contenders in turns on one list, medians over the repeats."""
    job = the_list(count, options.max_epochs, options.structures, options.image_size)
    job["workers"] = options.workers
    epochs = sum(item["epochs"] for item in job["items"])
    print(
        f"\n{count} trials, {epochs} epochs, {options.structures} structures, {options.workers} workers",
        flush=True,
    )
    job["gpus"] = options.gpus
    names = [name for name in contenders() if name in options.only]
    runs: dict[str, list[Measured]] = {name: [] for name in names}
    for _ in range(options.repeats):
        for name in names:
            runs[name].append(run_contender(name, job))
            print_row(name, runs[name][-1], options, runs)
    if options.repeats > 1:
        print("  medians")
        for name in names:
            print_row(name, Measured(*map(statistics.median, zip(*runs[name], strict=True))), options, runs)


def print_row(name: str, run: Measured, options: argparse.Namespace, runs: dict[str, list[Measured]]) -> None:
    workers = 1 if name == "tuner" else options.workers
    spans = (run.trials_secs, run.after_start_secs, run.wall_secs)
    while_run, after, share = (run.steady_secs / (workers * secs) for secs in spans)
    _, left_after, left = (1e3 * (workers * secs - run.steady_secs) / run.trials for secs in spans)
    base = statistics.median(r.wall_secs for r in runs["ray"]) if runs.get("ray") else float("nan")
    print(f"  {CONTENDERS[name]:32} wall {run.wall_secs:6.1f} s ({base / run.wall_secs:4.2f}x stock Ray)  "
          f"share while trials ran {while_run:5.1%}, after start-up {after:5.1%} (all {share:5.1%})  "
          f"overhead {left_after:5.0f} ms a trial "
          f"(all {left:5.0f})  {3600 * run.trials / run.wall_secs:6.0f} trials an hour  "
          f"epoch {1e3 * run.steady_secs / run.epochs:.0f} ms", flush=True)  # fmt: skip


def compare_steps(options: argparse.Namespace) -> None:
    """Images a second of our step and of `fit` on one core, in turns."""
    code = f"import throughput; throughput.steps_here({options.image_size}, {options.rounds})"
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run([sys.executable, "-c", code], env=env, check=True, stderr=subprocess.DEVNULL)


def steps_here(size: int, rounds: int) -> None:
    """The body of that process: it and all its threads stay on one core."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    import plain_keras

    plain_keras.one_thread()
    from toprung.trainables.models.cnn import CnnFamily
    from toprung.trainables.training.trainer import Trainer

    job = the_list(1, 27, 1, size)
    task, config = plain_keras.load_task(job["data"], 27), {**job["items"][0]["config"], "augment": 0.5}
    trainer = Trainer(CnnFamily(), config, task)
    trainer.reset(config, 0)
    model, (train, _) = plain_keras.compiled_model(config, task), plain_keras.datasets(config, task)
    count, ours, theirs = len(task.train.labels), [], []
    for epoch in range(1, rounds + 2):
        rate = trainer.train_epoch(epoch)["images_per_sec"]
        began = time.perf_counter()
        model.fit(train, epochs=1, verbose=0)
        if epoch > 1:
            ours.append(rate)
            theirs.append(count / (time.perf_counter() - began))
    ratio = statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))
    print(f"\nstep on one core, {config['blocks']} blocks of {config['filters']} filters on {size}x{size}, batch 32, "
          f"{rounds} rounds: ours {statistics.median(ours):.0f} images/s, fit {statistics.median(theirs):.0f}, "
          f"median ratio {ratio:.2f}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, nargs="*", default=[12, 40, 200], help="lengths of the lists")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--gpus", type=float, default=0.0, help="share of a GPU that a trial gets")
    parser.add_argument("--max-epochs", type=int, default=27)
    parser.add_argument("--structures", type=int, default=4, help="distinct networks in the list")
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7, help="epochs of each in the comparison of steps")
    parser.add_argument("--only", nargs="*", default=list(CONTENDERS), choices=list(CONTENDERS))
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        run_here(options.contender, options.folder)
        return
    for count in options.trials:
        compare_trials(options, count)
    compare_steps(options)


if __name__ == "__main__":
    main()
