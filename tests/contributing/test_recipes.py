"""The recipes of CONTRIBUTING.md do what they say: each is carried out on a copy of the source tree and used there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / ".github" / "CONTRIBUTING.md").read_text()
PARTS = ("search", "cluster", "results", "trainables", "spaces")


@dataclass(frozen=True)
class Block:
    """A code block of a recipe: a new file, or lines to add to one that is there."""

    language: str
    file: str
    code: str

    def apply(self, package: Path) -> None:
        path = package / self.file
        if self.language == "python":
            assert not path.exists(), f"{self.file} is there already"
            path.write_text(self.code)
        else:
            path.write_text(patched(path.read_text(), self.code, self.file))


def patched(text: str, diff: str, file: str) -> str:
    """`text` with each hunk of a diff applied; a line "@@" separates hunks, whose old lines must be there once."""
    for hunk in re.split(r"^@@\n", diff, flags=re.MULTILINE):
        lines = hunk.splitlines()
        old = "".join(f"{line[1:]}\n" for line in lines if not line.startswith("+"))
        new = "".join(f"{line[1:]}\n" for line in lines if not line.startswith("-"))
        assert text.count(old) == 1, f"{file} holds these lines {text.count(old)} times:\n{old}"
        text = text.replace(old, new)
    return text


def recipes() -> dict[str, list[Block]]:
    """Title -> the blocks of each recipe under "Adding things"."""
    (_, chapter) = GUIDE.split("\n## Adding things\n")
    sections = re.split(r"^### ", re.split(r"^## ", chapter, flags=re.MULTILINE)[0], flags=re.MULTILINE)[1:]
    fence = re.compile(r"^```(python|diff) (\S+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return {text.partition("\n")[0]: [Block(*found) for found in fence.findall(text)] for text in sections}


RECIPES = recipes()


@dataclass(frozen=True)
class Copy:
    """A copy of the source tree in which recipes were carried out."""

    package: Path

    def run(self, program: str) -> str:
        """Run a program that imports toprung from the copy; returns what it prints."""
        # PYTHONPATH comes before site-packages, and folders on the path before the finder of an editable install.
        folder = self.package.parent
        environment = {**os.environ, "PYTHONPATH": str(folder), "TOPRUNG_CACHE": str(folder / "cache")}
        guard = f"import toprung.spaces\nassert toprung.spaces.__file__.startswith({str(self.package)!r})\n"
        ended = subprocess.run(
            [sys.executable, "-P", "-c", guard + program],
            cwd=folder, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        return ended.stdout


@pytest.fixture
def carry_out(tmp_path: Path) -> Callable[..., Copy]:
    """Carry recipes out, one after the other, on a copy of the source tree."""

    def copy(*titles: str) -> Copy:
        package = tmp_path / "copy" / "toprung"
        for part in PARTS:
            shutil.copytree(ROOT / part, package / part, ignore=shutil.ignore_patterns("__pycache__"))
        blocks = [block for title in titles for block in RECIPES[title]]
        for block in blocks:
            block.apply(package)
        files = [str(package / block.file) for block in blocks]
        for check in (["check"], ["format", "--check"]):
            ruff = [
                sys.executable,
                "-m",
                "ruff",
                *check,
                "--no-cache",
                "--config",
                str(ROOT / "pyproject.toml"),
            ]
            ended = subprocess.run([*ruff, *files], capture_output=True, text=True, check=False)
            assert ended.returncode == 0, ended.stdout
        return Copy(package)

    return copy


def test_every_recipe_is_carried_out_here() -> None:
    here = Path(__file__).read_text()
    assert len(RECIPES) == 8
    assert [title for title in RECIPES if f'carry_out("{title}")' not in here] == []
    assert all(RECIPES.values()), "a recipe has code"


def test_a_space(carry_out: Callable[..., Copy]) -> None:
    program = """
from toprung.spaces.definition.introspection import describe
from toprung.spaces.families.registry import load_space
from toprung.trainables.models.family import load_family
print(sorted(describe(load_space("one_layer", {"dense_units": 0}))))
"""
    assert "filters" in carry_out("A space").run(program)


def test_a_model_family(carry_out: Callable[..., Copy]) -> None:
    program = """
import sys
from toprung.spaces.definition.introspection import describe
from toprung.spaces.families.registry import load_space
from toprung.trainables.models.family import load_family
assert callable(load_family("linear").build) and "keras" not in sys.modules
print(*sorted(describe(load_space("linear"))))
"""
    assert carry_out("A model family").run(program).split() == ["bias", "learning_rate"]


def test_a_data_source(carry_out: Callable[..., Copy]) -> None:
    program = """
from toprung.trainables.data.dataset import load
from toprung.trainables.data.source_rules.spec import DataSpec
found = load(DataSpec("stripes"))
assert found.classes == ("horizontal", "vertical")
print(sum(found.counts.values()), found.train().images.shape[1:])
"""
    assert carry_out("A data source").run(program).strip() == "200 (16, 16, 1)"


def test_an_augmentation(carry_out: Callable[..., Copy]) -> None:
    program = """
from toprung.spaces.definition.introspection import describe
from toprung.spaces.families.registry import load_space
from toprung.trainables.optimization.recipe import Recipe
assert "augment_solarize" in describe(load_space("cnn", {"augment_set": "chosen"}))
print(*Recipe.from_config({"augment_set": "chosen", "augment_solarize": True}).techniques)
"""
    assert carry_out("An augmentation").run(program).strip() == "solarize"


def test_an_optimizer(carry_out: Callable[..., Copy]) -> None:
    program = """
from toprung.spaces.definition.introspection import describe
from toprung.spaces.families.registry import load_space
from toprung.trainables.optimization.recipe import Recipe
assert Recipe.from_config({"optimizer": "signum"})
print(*describe(load_space("cnn"))["optimizer"].choices)
"""
    assert "signum" in carry_out("An optimizer").run(program).split()


def test_a_sampler(carry_out: Callable[..., Copy]) -> None:
    program = """
from toprung.search.strategy.strategy import Strategy
from toprung.spaces.families.registry import load_space
from toprung.trainables.trial.report import EpochReport
strategy = Strategy.for_space(load_space("cnn"), 1, 0, sampler="independent_tpe", initial_configs=[])
for number in range(8):
    trial_id, config = strategy.ask()
    strategy.report(EpochReport(trial_id, 1, {"val_accuracy": -config["learning_rate"]}))
print(strategy.reason(trial_id))
"""
    assert carry_out("A sampler").run(program).startswith("independent_tpe: model of ")


def test_an_outcome(carry_out: Callable[..., Copy]) -> None:
    program = """
import pandas as pd
from toprung.results.tables.schema import TRIALS, run_schemas
from toprung.results.tables.rows import trial_row
from toprung.results.tables.trial_details import TrialDetails
from toprung.results.tables.writer import RunWriter
from toprung.trainables.trial.report import EpochReport, Outcome
assert Outcome.CANCELLED.may_win and not Outcome.CANCELLED.counts_against_config
reports = [EpochReport("t00000", 1, {"val_accuracy": 0.5})]
with RunWriter("run", run_schemas({})) as writer:
    writer.append(TRIALS, trial_row("t00000", {}, Outcome.CANCELLED, reports, TrialDetails(seed=1)))
print(pd.read_parquet("run/trials")["outcome"].item())
"""
    assert carry_out("An outcome").run(program).strip() == "CANCELLED"


def test_a_table_column(carry_out: Callable[..., Copy]) -> None:
    program = """
import pandas as pd
from toprung.results.tables.schema import TRIALS, run_schemas
from toprung.results.tables.rows import trial_row
from toprung.results.tables.trial_details import TrialDetails
from toprung.results.tables.writer import RunWriter
from toprung.trainables.trial.report import Outcome
with RunWriter("run", run_schemas({})) as writer:
    details = TrialDetails(seed=1, driver_node="here")
    writer.append(TRIALS, trial_row("t00000", {}, Outcome.STOPPED, [], details))
print(pd.read_parquet("run/trials")["driver_node"].item())
"""
    assert carry_out("A table column").run(program).strip() == "here"


COMPUTED = """
import numpy as np
from toprung.trainables.augment.layer import Augment, switches_of
from toprung.trainables.models.family import check_model, load_family
from toprung.trainables.optimization.hyperparameters import RuntimeHyperparameters
from toprung.trainables.optimization.optimizers import OptimizerState, update
from toprung.trainables.optimization.recipe import Recipe
from toprung.trainables.task.task import Task

task = Task((8, 8, 1), ("a", "b", "c"), 1, None, None)
model = check_model(load_family("linear").build({"bias": True}, task), task)
assert model.count_params() == 8 * 8 * 3 + 3

images = np.linspace(0, 255, 4 * 8 * 8).reshape(4, 8, 8, 1).astype("float32")
layer = Augment(full=True)
changed = []
for strength in (0.0, 1.0):
    layer.strength.assign(strength)
    varied = np.asarray(layer(images, switches=switches_of(["solarize"]), training=True))
    changed.append(not np.array_equal(varied, images))
assert changed == [False, True] and varied.max() <= 127.5

recipe = Recipe.from_config({"optimizer": "signum", "learning_rate": 0.5, "warmup_share": 0.0})
zeros, gradient = np.zeros(2, np.float32), np.array([3.0, -0.1], np.float32)
hyperparameters = RuntimeHyperparameters.from_recipe(recipe, 10)
after = update(0, gradient, OptimizerState(zeros, zeros, zeros), zeros, hyperparameters)
assert np.asarray(after.weights).tolist() == [-0.5, 0.5]
"""
JOB = """
name: all
data: {source: stripes}
space: {name: one_layer, fixed: {optimizer: signum, augment_set: chosen, augment_solarize: true, batch_size: 32}}
search: {trials: 2, max_epochs: 1, sampler: independent_tpe}
tracking: {enabled: false}
"""


@pytest.mark.slow
def test_all_recipes_together_compute_and_make_a_search(carry_out: Callable[..., Copy]) -> None:
    copy = carry_out(*RECIPES)
    copy.run(COMPUTED)
    (copy.package.parent / "job.yaml").write_text(JOB)
    program = """
import platform
import pandas as pd
from toprung.search.cli import main
assert main(["search", "job.yaml"]) == 0
trials = pd.read_parquet("runs/all/trials")
assert set(trials["driver_node"]) == {platform.node()}
print(*trials["outcome"])
"""
    assert "COMPLETED" in copy.run(program).splitlines()[-1]
