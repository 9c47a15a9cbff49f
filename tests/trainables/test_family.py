"""A user's own family: one file, trained, reset and exported like ours."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from spaces.problem import InputError
from spaces.registry import load_space
from trainables.family import checked, load_family, structural_signature
from trainables.task import Task

EXAMPLE = Path(__file__).parent / "my_models.py"


def test_the_worked_example_fits_on_a_screen() -> None:
    assert len(EXAMPLE.read_text().splitlines()) <= 40


@pytest.mark.slow
@pytest.mark.parametrize("gate", [True, False])
def test_the_worked_example_learns_digits_and_leaves_as_a_model(digits: Task, gate: bool) -> None:
    import random

    from spaces.describe import RecordingTrial
    from trainables.trainer import Trainer

    fixed = {"gate": gate, "learning_rate": 1e-2, "augment": 0.0, "batch_size": 32, "width": 8}
    config = load_space(f"{EXAMPLE}:MyFamily", fixed)(RecordingTrial(random.Random(0), {}))
    trainer = Trainer(load_family(f"{EXAMPLE}:MyFamily"), config, digits)
    trainer.reset(config, 1)
    losses = [trainer.train_epoch(epoch)["val_loss"] for epoch in (1, 2)]
    assert trainer.evaluate(digits.val).accuracy > 0.8
    trainer.reset(config, 1)
    assert trainer.train_epoch(1)["val_loss"] == losses[0]
    trainer.train_epoch(2)
    probabilities = np.asarray(trainer.export()(digits.val.images))
    assert probabilities == pytest.approx(trainer.evaluate(digits.val).probabilities, abs=1e-5)


@pytest.mark.slow
def test_all_that_is_built_in_can_be_loaded(one_thread: None) -> None:
    from spaces import registry
    from trainables import family

    assert set(registry.BUILT_IN) == set(family.BUILT_IN), "a space's name is its family's too"
    for name in family.BUILT_IN:
        assert isinstance(load_family(name), family.Family)


def test_an_unknown_family_and_one_that_lacks_a_method_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='did you mean "cnn"'):
        load_family("cnnn")
    file = tmp_path / "half_a_family.py"
    file.write_text("class Half:\n    def space(self, trial): return {}\n")
    with pytest.raises(InputError, match="lacks build"):
        load_family(f"{file}:Half")


@pytest.mark.parametrize("returned", [None, ("a model", "a loss")])
def test_a_build_that_returns_no_model_is_told(returned: object) -> None:
    with pytest.raises(InputError, match=f"build returned a {type(returned).__name__}; return keras.Model"):
        checked(returned, Task((8, 8, 3), ("a", "b"), 1, None, None))


@pytest.mark.parametrize("shape", [(None, 5, 5, 3), (None, None, None, 3), [(None, 8, 8, 3)] * 2])
def test_a_model_for_other_images_is_told(shape: object) -> None:
    model: Any = SimpleNamespace(built=True, input_shape=shape, output_shape=(None, 2))
    with pytest.raises(InputError, match=r"a model for inputs .*; must be \(None, 8, 8, 3\)"):
        checked(model, Task((8, 8, 3), ("a", "b"), 1, None, None))


def test_dials_do_not_change_a_signature_and_their_presence_does() -> None:
    class Dials:
        dynamic = frozenset({"rate"})

    task = Task((8, 8, 3), ("a", "b"), 1, None, None)

    def signature(**config):
        return structural_signature(Dials(), config, task)

    assert signature(rate=0.1, width=3, learning_rate=1) == signature(rate=0.9, width=3, batch_size=2)
    assert signature(rate=0.1, width=3) != signature(width=3)
    assert signature(rate=0.1, width=3) != signature(rate=0.1, width=4)
