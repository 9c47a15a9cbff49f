"""Wrong input gets one clear line for each problem and exit code 2, never a traceback, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from toprung.search.cli import main
from toprung.search.jobs.schema import Job
from toprung.search.preparation.prepare import prepare


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOPRUNG_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def refusal_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    """What `toprung check` says of a job, after making sure that it refuses it as it should."""

    def run(job: dict[str, Any] | str) -> list[str]:
        path = tmp_path / "job.yaml"
        path.write_text(job if isinstance(job, str) else yaml.safe_dump(job))
        assert main(["check", str(path)]) == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert lines and all(line.startswith("toprung: ") for line in lines)
        return lines

    return run


def images(folder: Path, classes: dict[str, int], side: int = 12) -> Path:
    colours = np.random.default_rng(0)
    for name, count in classes.items():
        (folder / name).mkdir(parents=True)
        for index in range(count):
            pixels = colours.integers(0, 256, (side, side, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{index}.png")
    return folder


def npz(path: Path, pixels: np.ndarray, labels: np.ndarray) -> Path:
    np.savez(path, images=pixels, labels=labels)
    return path


def test_an_unknown_space_is_answered_with_what_there_is(refusal_of) -> None:
    (line,) = refusal_of({"data": "digits", "space": {"name": "cnm"}})
    assert "space.name" in line and "cnn" in line


def test_a_range_upside_down_and_parameters_unknown_are_reported_together(refusal_of) -> None:
    lines = refusal_of(
        {
            "data": "digits",
            "space": {"ranges": {"learning_rate": [0.1, 0.001], "filter": [8, 16]}, "fixed": {"drop": 1}},
        }
    )
    text = "\n".join(lines)
    assert len(lines) == 3
    for part in ("space.ranges.learning_rate", "space.ranges.filter", "filters", "space.fixed.drop"):
        assert part in text


def test_problems_of_space_data_and_sampler_are_reported_together(refusal_of, tmp_path: Path) -> None:
    lines = refusal_of({"data": {"path": str(tmp_path / "none")}, "space": {"fixed": {"drop": 1}}})
    assert len(lines) == 2


def test_a_sampler_nobody_knows(refusal_of) -> None:
    (line,) = refusal_of({"data": "digits", "search": {"sampler": "grid"}})
    assert "search.sampler" in line and "tpe" in line


FAMILY = """
class Good:
    def space(self, trial):
        return {"width": trial.suggest_int("width", 1, 3), "learning_rate": 0.1, "note": None, "flip": True}
    def build(self, config, task): ...
class NoBuild:
    def space(self, trial): return {}
class UncallableBuild(Good):
    build = 3
class UncallableSpace(Good):
    space = {}
class WrongRecipe(Good):
    def space(self, trial): return {"learning_rate": "abc", "batch_size": -3, "optimizer": "foo"}
class NoScalars(Good):
    def space(self, trial): return {**super().space(trial), "widths": [1, 2], "measure": len}
"""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("NoBuild", ["lacks build"]),
        ("UncallableBuild", ["lacks build"]),
        ("UncallableSpace", ["is no function"]),
        (
            "WrongRecipe",
            [
                "draws optimizer as 'foo'; one of adamw",
                "draws learning_rate as 'abc'; must be a number from 0",
                "draws batch_size as -3; must be a whole number from 1",
            ],
        ),
        ("NoScalars", ["draws widths as list; must be", "draws measure as builtin_function_or_method; must"]),
    ],
)
def test_a_family_whose_every_trial_would_fail(
    refusal_of, tmp_path: Path, name: str, expected: list[str]
) -> None:
    file = tmp_path / "families_that_fail.py"
    file.write_text(FAMILY)
    lines = refusal_of({"data": "digits", "space": f"{file}:{name}"})
    assert len(lines) == len(expected)
    for line, part in zip(lines, expected, strict=True):
        assert line.startswith("toprung: space.name: ") and part in line


def test_a_family_that_can_be_trained(tmp_path: Path) -> None:
    (tmp_path / "families_that_work.py").write_text(FAMILY)
    job = tmp_path / "job.yaml"
    job.write_text(yaml.safe_dump({"data": "digits", "space": f"{tmp_path}/families_that_work.py:Good"}))
    assert prepare(Job.from_file(job)).kinds


def test_fixed_numbers_that_nothing_trains_with(refusal_of) -> None:
    lines = refusal_of(
        {"data": "digits", "space": {"fixed": {"batch_size": -5, "dropout": 1.5, "filters": 8.5}}}
    )
    assert [line.partition(";")[2] for line in sorted(lines)] == [
        " must be a whole number from 1",
        " must be a number from 0 to 0.99",
        " must be a whole number from 1",
    ]


def test_first_configurations_outside_the_space(refusal_of) -> None:
    (line,) = refusal_of(
        {"data": "digits", "search": {"initial_configs": [{"optimizer": "sgd", "learning_rate": 5}]}}
    )
    assert line.endswith("initial_configs[0].learning_rate: 5; must be a finite number within [0.003, 0.1]")


def test_an_earlier_run_that_is_none(refusal_of) -> None:
    (line,) = refusal_of({"data": "digits", "search": {"warm_start": ["nowhere"]}})
    assert "search.warm_start[0]: nowhere holds no job.yaml" in line


@pytest.mark.parametrize(
    ("storage", "reason"), [("odd://bucket/runs", "Unrecognized filesystem"), ("job.yaml/runs", "is a file")]
)
def test_a_storage_that_cannot_be_is_found_before_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys, storage: str, reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("job.yaml").write_text(yaml.safe_dump({"data": "digits", "storage": {"path": storage}}))
    for command in ("check", "search"):
        assert main([command, "job.yaml"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("toprung: storage.path: ") and (reason in line or command == "search")


@pytest.mark.parametrize("out", ["nowhere/x.png", "x.xyz"])
def test_a_drawing_that_cannot_be_saved_is_refused_before_the_simulation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys, out: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("job.yaml").write_text("data: digits")
    assert main(["simulate", "job.yaml", "--out", out]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("toprung: --out: ") and not printed.out


def test_a_store_that_nobody_knows_is_distinguished_from_a_folder_that_is_no_run(capsys) -> None:
    assert main(["status", "odd://bucket/run"]) == 2
    assert "odd://bucket/run cannot be read (Unrecognized filesystem" in capsys.readouterr().err


def test_a_data_source_nobody_knows(refusal_of) -> None:
    (line,) = refusal_of({"data": "cifar11"})
    assert "data.source" in line and "cifar10" in line


def test_an_image_folder_with_one_class(refusal_of, tmp_path: Path) -> None:
    (line,) = refusal_of({"data": {"path": str(images(tmp_path / "one", {"cat": 5}))}})
    assert "data" in line and "class" in line


@pytest.mark.parametrize("where", ["dog", "."])
def test_a_folder_of_images_that_may_not_be_listed(refusal_of, forbid, tmp_path: Path, where: str) -> None:
    folder = images(tmp_path / "two", {"cat": 10, "dog": 10})
    forbid(folder / where)
    (line,) = refusal_of({"data": {"path": str(folder)}})
    assert f"data.path: {folder / where} cannot be read (Permission denied)" in line


def test_a_corrupt_jpeg_is_named(refusal_of, tmp_path: Path) -> None:
    folder = images(tmp_path / "two", {"cat": 10, "dog": 10})
    (folder / "cat" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a picture")
    lines = refusal_of({"data": {"path": str(folder), "max_corrupt_fraction": 0}})
    assert "broken.jpg" in "\n".join(lines)


def test_labels_out_of_range(refusal_of, tmp_path: Path) -> None:
    path = npz(tmp_path / "a.npz", np.zeros((30, 8, 8, 3), np.uint8), np.arange(30) % 3 - 1)
    (line,) = refusal_of({"data": {"path": str(path)}})
    assert "label" in line and "-1" in line


def test_images_of_the_wrong_rank(refusal_of, tmp_path: Path) -> None:
    path = npz(tmp_path / "a.npz", np.zeros((30, 64), np.uint8), np.arange(30) % 3)
    (line,) = refusal_of({"data": {"path": str(path)}})
    assert "64" in line


def test_fewer_images_than_classes(refusal_of, tmp_path: Path) -> None:
    path = npz(tmp_path / "a.npz", np.zeros((3, 8, 8, 3), np.uint8), np.array([0, 1, 4]))
    lines = refusal_of({"data": {"path": str(path)}})
    assert "class" in "\n".join(lines)


def test_a_parquet_file_that_is_none(refusal_of, tmp_path: Path) -> None:
    (tmp_path / "train.parquet").write_bytes(b"PAR1 no")
    lines = refusal_of({"data": {"path": str(tmp_path / "train.parquet")}})
    assert "train.parquet" in lines[0]


def test_a_run_of_another_job_and_a_folder_that_is_no_run(tmp_path: Path, capsys) -> None:
    job = tmp_path / "job.yaml"
    job.write_text(yaml.safe_dump({"data": "digits", "seed": 1, "storage": {"path": str(tmp_path / "runs")}}))
    (tmp_path / "runs" / "job").mkdir(parents=True)
    other = {"name": "job", "data": "digits", "seed": 2, "storage": {"path": str(tmp_path / "runs")}}
    (tmp_path / "runs" / "job" / "job.yaml").write_text(yaml.safe_dump(other))
    for command in ("check", "search"):
        assert main([command, str(job)]) == 2
        printed = capsys.readouterr()
        assert "seed: is 1 and was 2" in printed.err and not printed.out
    for command in ("status", "table", "retrain"):
        assert main([command, str(tmp_path / "nowhere")]) == 2
        assert "must be a run folder" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"name: [unclosed", b"\xff\xfe\x00\x01", b"", b"a text"])
def test_a_damaged_run_folder_is_named(refusal_of, tmp_path: Path, capsys, content: bytes) -> None:
    damaged = tmp_path / "run" / "job.yaml"
    damaged.parent.mkdir()
    damaged.write_bytes(content)
    for command in ("status", "table"):
        assert main([command, str(damaged.parent)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"toprung: {damaged}")
    (line,) = refusal_of({"data": "digits", "search": {"warm_start": [str(damaged.parent)]}})
    assert line.startswith(f"toprung: {damaged}")


def test_a_storage_path_that_cannot_be_written(tmp_path: Path, capsys) -> None:
    (tmp_path / "file").touch()
    job = tmp_path / "job.yaml"
    job.write_text(yaml.safe_dump({"data": "digits", "storage": {"path": str(tmp_path / "file")}}))
    assert main(["search", str(job)]) == 2
    assert "storage.path" in capsys.readouterr().err


def test_a_run_in_which_no_trial_has_ended_has_no_winner(tmp_path: Path, capsys) -> None:
    run = tmp_path / "runs" / "job"
    run.mkdir(parents=True)
    (run / "job.yaml").write_text(yaml.safe_dump({"name": "job", "data": "digits"}))
    assert main(["retrain", str(run)]) == 2
    assert "no trial" in capsys.readouterr().err
    assert main(["status", str(run)]) == 0
    assert main(["table", str(run), "--format", "csv"]) == 0


def test_a_table_goes_to_a_pipe_as_parquet(tmp_path: Path, capfdbinary) -> None:
    import io

    run = tmp_path / "runs" / "job"
    run.mkdir(parents=True)
    (run / "job.yaml").write_text(yaml.safe_dump({"name": "job", "data": "digits"}))
    assert main(["table", str(run), "--format", "parquet"]) == 0
    assert pd.read_parquet(io.BytesIO(capfdbinary.readouterr().out)).empty


def test_a_table_that_cannot_be_listed_is_no_traceback(tmp_path: Path, capsys) -> None:
    (tmp_path / "job.yaml").write_text(yaml.safe_dump({"name": "job", "data": "digits"}))
    (tmp_path / "trials").touch()
    assert main(["status", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "trials: is a file, no folder; `toprung repair" in line


@pytest.mark.parametrize("size", ["[96]", "big", "[96, 2]", "3", "31.5", "{a: 1}", "[8, 8, 3]", "[a, b]"])
def test_a_wrong_image_size_is_told_by_one_rule(refusal_of, size: str) -> None:
    (line,) = refusal_of(f"data: {{source: digits, image_size: {size}}}")
    assert "data.image_size: " in line
    assert line.endswith(" given; must be a whole number of pixels from 4 to 2048, or [height, width]")


def test_an_image_size_of_two_numbers_survives_being_saved() -> None:
    job = Job.from_dict({"name": "a", "data": {"source": "digits", "image_size": [8, 12]}})
    assert job.data_spec().size == (8, 12)
    assert Job.from_dict(yaml.safe_load(job.to_yaml())) == job
