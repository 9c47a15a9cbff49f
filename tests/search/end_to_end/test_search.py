"""The whole of a search as its user meets it: real processes, real Ray, real training on the bundled digits."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
from run_tables import rows, tables, wait_for

from toprung.search.cli import main

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_ctrl_c_leaves_no_process_and_the_same_command_goes_on(
    toprung, job_file, tmp_path: Path, capsys
) -> None:
    job, run = (
        job_file(resources={"concurrent": 2}, search={"trials": 8, "max_epochs": 9}),
        tmp_path / "runs" / "small",
    )
    command = toprung("search", job)
    assert wait_for(lambda: (run / "trials").exists() and rows(run, "trials") > 0)
    command.signal(signal.SIGINT)
    ended = command.wait(60)
    assert ended.returncode == 130, ended.stderr
    assert "the same command continues" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert wait_for(lambda: not command.alive(), 30), f"orphans: {command.alive()}"

    assert main(["status", str(run)]) == 0
    assert "not ended" in capsys.readouterr().out
    before = {name: len(frame) for name, frame in tables(run).items() if name != "trials"}
    done = toprung("search", job).wait()
    assert done.returncode == 0, done.stderr
    after = tables(run)
    assert len(after["trials"]) == 8 and after["trials"]["trial_id"].is_unique
    assert len(after["epochs"]) >= before["epochs"]
    assert not after["epochs"].duplicated(["trial_id", "epoch"]).any()
    for _, epochs in after["epochs"].groupby("trial_id"):
        assert sorted(epochs["epoch"]) == list(range(1, len(epochs) + 1)), "no epoch is missing"

    assert main(["search", str(job)]) == 0
    assert tables(run)["epochs"].equals(after["epochs"]), "a finished search is not run again"


def test_from_a_job_file_to_a_trained_registered_winner(
    toprung, on_cluster, job_file, tmp_path: Path, capsys
) -> None:
    job = job_file(tracking={"enabled": True}, resources={"concurrent": 2})
    run = tmp_path / "runs" / "small"
    command = toprung("search", job)
    assert wait_for(lambda: (run / "epochs").exists() and rows(run, "epochs") > 0)
    assert main(["status", str(run)]) == 0, "from a second terminal"
    assert "trials ended" in capsys.readouterr().out
    found = command.wait()
    assert found.returncode == 0, found.stderr
    for text in (
        "rank",
        "learning_rate=",
        f"next       toprung retrain {run}",
        f"trials in {run} (Parquet)",
    ):
        assert text in found.stdout
    assert "Traceback" not in found.stderr

    assert main(["table", str(run), "--format", "csv", "--top", "3"]) == 0
    assert len(capsys.readouterr().out.strip().splitlines()) == 4
    assert main(["table", str(run), "--epochs", "--format", "json"]) == 0
    as_json = json.loads(capsys.readouterr().out)
    assert {row["trial_id"] for row in as_json} == {f"t{n:05d}" for n in range(6)}
    clean = {row["epoch"]: row["clean_train_accuracy"] for row in as_json if row["trial_id"] == "t00000"}
    assert all((value is not None) == (epoch in (1, 3, 9)) for epoch, value in clean.items()), "at the rungs"

    trained = toprung("retrain", run, env={"TF_CPP_MIN_LOG_LEVEL": "3"}).wait()
    assert trained.returncode == 0, trained.stderr
    report = json.loads((run / "retrain" / "report.json").read_text())
    assert report["test_accuracy"] > 0.5, "ten classes: chance is 0.1"
    assert len(report["test_accuracy_per_class"]) == 10
    assert len(report["test_reads"]) == 1
    assert main(["retrain", str(run)]) == 0
    assert "retrained already" in capsys.readouterr().out
    assert json.loads((run / "retrain" / "report.json").read_text()) == report, "the test set is read once"

    assert_model_takes_raw_images(run / "retrain" / "model.keras", report)
    assert_tracked(run, trials=6, report=report)
    assert_confirmed_by_new_seeds(on_cluster, run, report, capsys)


def assert_confirmed_by_new_seeds(on_cluster, run: Path, before: dict, capsys) -> None:
    """The best two trained twice more by real workers, once; their mean is the winner's score."""
    command = ["retrain", str(run), "--set", "retrain.confirm=2", "--set", "retrain.seeds=2"]
    done = on_cluster(*command).wait()
    assert done.returncode == 0, done.stderr
    assert "confirming the best: 4 trainings of" in done.stdout and "best of 2 confirmed" in done.stdout
    (confirmed,) = (run / "confirm").iterdir()
    found = tables(confirmed)
    assert set(found["trials"]["outcome"]) == {"COMPLETED"} and len(found["trials"]) == 4
    assert not set(found["trials"]["seed"]) & set(tables(run)["trials"]["seed"]), "new seeds"
    assert set(found["trials"]["data_fingerprint"]) == set(tables(run)["trials"]["data_fingerprint"])
    assert not list((confirmed / "checkpoints").iterdir()), "no state is of use any more"
    report = json.loads((run / "retrain" / "report.json").read_text())
    best, second = report["winner"]["confirmed"]
    assert best["low"] < best["score"] < best["high"] and second["score"] <= best["score"]
    assert report["winner"]["score"] == best["score"] and report["epochs"] == best["epoch"]
    trained_anew = (report["trial_id"], report["epochs"]) != (before["trial_id"], before["epochs"])
    assert len(report["test_reads"]) == 1 + trained_anew
    assert main(command) == 0
    again = capsys.readouterr().out
    assert "retrained already" in again and "confirming" not in again
    assert json.loads((run / "retrain" / "report.json").read_text()) == report


def assert_model_takes_raw_images(path: Path, report: dict) -> None:
    """Loaded in a process that cannot import toprung, on pixels no one has scaled."""
    import subprocess
    import sys

    from toprung.trainables.data.dataset import DataSpec, load

    test = load(DataSpec(source="digits", image_size=8)).test()
    np.savez(path.parent / "test.npz", images=test.images, labels=test.labels)
    script = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(['search', 'cluster', 'results', 'trainables', 'spaces']))\n"
        "import numpy as np, keras\n"
        "model = keras.models.load_model(sys.argv[1]); data = np.load(sys.argv[2])\n"
        "assert data['images'].dtype == np.uint8\n"
        "print(float((model.predict(data['images'], verbose=0).argmax(1) == data['labels']).mean()))\n"
    )
    out = subprocess.run(
        [sys.executable, "-I", "-c", script, str(path), str(path.parent / "test.npz")],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
    ).stdout
    assert float(out.split()[-1]) == pytest.approx(report["test_accuracy"], abs=1e-6)


def assert_tracked(run: Path, trials: int, report: dict) -> None:
    import mlflow

    uri = f"sqlite:///{run}/mlflow.db"
    client = mlflow.MlflowClient(uri, registry_uri=uri)
    experiment = client.get_experiment_by_name("toprung")
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    parents = [r for r in runs if "mlflow.parentRunId" not in r.data.tags]
    children = [r for r in runs if "toprung.trial_id" in r.data.tags]
    assert (len(parents), len(children)) == (1, trials)
    epochs = pd.read_parquet(run / "epochs")
    for child in children:
        history = client.get_metric_history(child.info.run_id, "val_accuracy")
        mine = epochs[epochs["trial_id"] == child.data.tags["toprung.trial_id"]].sort_values("epoch")
        assert [metric.step for metric in history] == list(mine["epoch"])
        np.testing.assert_allclose([metric.value for metric in history], mine["val_accuracy"])
    champion = client.get_model_version_by_alias("small", "champion")
    tested = client.get_run(champion.run_id).data.metrics["test_accuracy"]
    assert tested == pytest.approx(report["test_accuracy"])


def test_no_more_gpus_than_there_are(toprung, job_file) -> None:
    ended = toprung("search", job_file(resources={"gpus": 1, "concurrent": None})).wait()
    assert ended.returncode == 2
    assert "resources.gpus: 1 requested; the largest node of the cluster has 0" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_two_searches_do_not_write_one_run(on_cluster, job_file, tmp_path: Path) -> None:
    job, run = job_file(), tmp_path / "runs" / "small"
    first = on_cluster("search", job)
    assert wait_for(lambda: (run / "proposals").exists())
    second = on_cluster("search", job).wait()
    assert second.returncode == 2
    assert "another search" in second.stderr
    assert first.wait().returncode == 0


def test_a_killed_worker_costs_no_trial(toprung, job_file, tmp_path: Path) -> None:
    slow = {"filters": 16, "blocks": 2, "convs_per_block": 2, "kernel_size": 5, "batch_size": 32}
    job = job_file(data={"image_size": 16}, search={"trials": 2, "max_epochs": 6}, space={"fixed": slow})
    run = tmp_path / "runs" / "small"
    command = toprung("search", job)
    assert wait_for(lambda: (run / "epochs").exists() and rows(run, "epochs") > 1)
    started = psutil.Process(command.process.pid).children(recursive=True)
    workers = [process for process in started if "Trainable" in " ".join(process.cmdline())]
    assert workers
    for worker in workers:
        worker.kill()
    ended = command.wait()
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr and "did not complete" not in ended.stderr
    assert "goes on from its checkpoint" in ended.stdout, "it was killed in the middle of a trial"
    found = tables(run)
    assert set(found["trials"]["outcome"]) <= {"COMPLETED", "STOPPED"}
    assert len(found["trials"]) == 2
    assert not found["epochs"].duplicated(["trial_id", "epoch"]).any()
