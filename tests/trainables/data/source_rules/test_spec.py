"""Settings of the data: limits, defaults and descriptions stand in `DataSpec` alone."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from toprung.search.jobs.schema import Job
from toprung.spaces.errors import InputError
from toprung.trainables.data.source_rules.spec import DESCRIPTIONS, DataSpec

JOB_KEYS = {"val_fraction": ("splits", "val"), "test_fraction": ("splits", "test")}
LIMITS: list[tuple[str, Any, Any]] = [  # setting, the last value that is allowed, the first that is not
    ("image_size", 4, 3),
    ("image_size", 2048, 2049),
    ("channels", 3, 2),
    ("fit", "crop", "squash"),
    ("task", "multilabel", "regression"),
    ("val_fraction", 0.001, 0.0),
    ("test_fraction", 0.8, 1.0),
    ("max_corrupt_fraction", 0, -0.01),
    ("max_corrupt_fraction", 0.99, 1.0),
    ("max_train_images", 1, 0),
    ("image_column", "x", ""),
    ("path", "x", ""),
]


def in_job(name: str, value: Any) -> dict[str, Any]:
    """The section `data` of a job with one setting."""
    content: Any = value
    for key in reversed(JOB_KEYS.get(name, (name,))):
        content = {key: content}
    return {"source": "digits", **content}


@pytest.mark.parametrize(("name", "allowed", "refused"), LIMITS)
def test_job_and_spec_have_the_same_limits(name: str, allowed: Any, refused: Any) -> None:
    assert getattr(DataSpec(**{name: allowed}), name) == allowed
    job = Job.from_dict({"name": "x", "data": in_job(name, allowed)}, "job.yaml")
    assert job.data_spec() is not None
    with pytest.raises(InputError, match=rf"data\.{name}"):
        DataSpec(**{name: refused})
    with pytest.raises(InputError, match=r"job\.yaml: data\." + r"\.".join(JOB_KEYS.get(name, (name,)))):
        Job.from_dict({"name": "x", "data": in_job(name, refused)}, "job.yaml")


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("image_size", 31.5, "31.5; a whole number from 4 to 2048 or [height, width]"),
        ("image_size", (32, 3), "(32, 3); a whole number from 4 to 2048 or [height, width]"),
        ("image_size", (8, 8, 3), "or [height, width]"),
        ("image_size", 10**400, "a whole number from 4 to 2048 or [height, width]"),
        ("max_train_images", 0, "0; a whole number from 1"),
        ("val_fraction", float("inf"), "inf; a number above 0 and below 1"),
        ("max_corrupt_fraction", 1, "1; a number from 0 to below 1"),
        ("channels", 2, "2; one of 1, 3"),
        ("channels", True, "True; one of 1, 3"),
        ("fit", None, "None; one of stretch, pad, crop"),
        ("source", "", "''; a text"),
    ],
)
def test_a_value_is_refused_with_its_rule(name: str, value: Any, rule: str) -> None:
    with pytest.raises(InputError) as caught:
        DataSpec(**{name: value})
    (problem,) = caught.value.problems
    assert str(problem).startswith(f"data.{name}: ") and str(problem).endswith(rule)


def test_a_job_has_the_defaults_and_descriptions_of_the_spec() -> None:
    assert set(DESCRIPTIONS) == {setting.name for setting in fields(DataSpec)}
    job = Job.from_dict({"name": "x", "data": "digits"}, "job.yaml")
    assert job.data_spec() == DataSpec()
    section = type(job.data)
    shared = [name for name in section.model_fields if name in DESCRIPTIONS and name != "seed"]
    assert len(shared) >= 10
    for name in shared:
        assert section.model_fields[name].description == DESCRIPTIONS[name]


def test_shares_that_leave_nothing_to_train_on_are_refused() -> None:
    with pytest.raises(InputError, match=r"data\.val_fraction: 0\.6 \+ test_fraction 0\.4; together below 1"):
        DataSpec(val_fraction=0.6, test_fraction=0.4)
    with pytest.raises(InputError, match="val \\+ test is 1, and must be below 1"):
        Job.from_dict({"name": "x", "data": {"splits": {"val": 0.6, "test": 0.4}}}, "job.yaml")


def test_the_size_is_height_and_width_however_it_is_given() -> None:
    assert DataSpec(image_size=32).size == (32, 32)
    assert DataSpec(image_size=[96, 128]).size == DataSpec(image_size=(96, 128)).size == (96, 128)
    assert DataSpec().size is None
