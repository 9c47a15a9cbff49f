"""The section `data` of a job file: which images, and how they are split."""

from __future__ import annotations

from pathlib import Path
<<<<<<< HEAD
from typing import Annotated, Any, ClassVar
=======
from typing import Annotated, ClassVar, Literal
>>>>>>> h-h8

from pydantic import Field, model_validator

from toprung.search.jobs.section import Section
from toprung.spaces.user_code.references import absolute
from toprung.trainables.data.sources.registry import source_of
from toprung.trainables.data.sources.spec import (
    DESCRIPTIONS,
    Channels,
    CorruptFraction,
    DataSpec,
    Fit,
    Fraction,
    ImageCount,
    Side,
    Text,
    leave_train_images,
)
from toprung.trainables.task.task_type import RequestedTask


def _setting(name: str) -> Any:
    """A setting of `DataSpec` as a field of the section: the same default and description."""
    return Field(getattr(DataSpec, name), description=DESCRIPTIONS[name])


class Splits(Section):
    """Shares of the images held back, unless the source brings its own splits."""

<<<<<<< HEAD
    val: Fraction = _setting("val_fraction")
    test: Fraction = _setting("test_fraction")

    @model_validator(mode="after")
    def leaves_images_to_train_on(self) -> Splits:
        if not leave_train_images(self.val, self.test):
=======
    val: Fraction = Field(0.15, description="Share of the images for validation, which picks the winner.")
    test: Fraction = Field(0.15, description="Share of the images for the test, which only `retrain` reads.")

    @model_validator(mode="after")
    def some_images_remain_for_training(self) -> Splits:
        if self.val + self.test >= 1:
>>>>>>> h-h8
            raise ValueError(f"val + test is {self.val + self.test:g}, and must be below 1")
        return self


class DataSection(Section):
    """The images, and how they are split."""

<<<<<<< HEAD
    short_form: ClassVar[str] = "source"

    source: str = Field("", description=DESCRIPTIONS["source"])
    path: Text | None = _setting("path")
    image_size: Side | None = _setting("image_size")
    fit: Fit = _setting("fit")
    channels: Channels | None = _setting("channels")
    max_train_images: ImageCount | None = _setting("max_train_images")
    image_column: Text = _setting("image_column")
    label_column: Text = _setting("label_column")
    task: RequestedTask = _setting("task")
=======
    short_form: ClassVar[str] = "source"

    source: str = Field(
        "", description="Name of a data source, or file.py:function; empty to find it from `path`."
    )
    path: str | None = Field(
        None, min_length=1, description="File or folder of the images, or a URI such as s3://bucket/images."
    )
    image_size: Annotated[int, Field(ge=4, le=1024)] | None = Field(
        None, description="Height and width in pixels after resizing; null to keep the images' own."
    )
    fit: Literal["stretch", "pad", "crop"] = Field(
        "stretch", description="How an image that is not square becomes square."
    )
    channels: Literal[1, 3] | None = Field(
        None, description="1 for grey, 3 for RGB; null for the source's own."
    )
    max_train_images: Annotated[int, Field(gt=0)] | None = Field(
        None, description="Number of training images to keep, a stratified sample; null for all."
    )
    image_column: str = Field("image", min_length=1, description="Parquet column of the encoded images.")
    label_column: str = Field(
        "label", min_length=1, description="Parquet column of the class numbers, or of lists of them."
    )
    task: Literal["auto", "softmax", "binary", "multilabel"] = Field(
        "auto",
        description="softmax: one of several classes; binary: one sigmoid for two classes; multilabel: any number of "
        "classes; auto: found from the labels.",
    )
>>>>>>> h-h8
    splits: Splits = Splits()
    seed: Annotated[int, Field(ge=0, lt=2**31)] | None = Field(
        None, description="Seed of the splits; null for the job's seed."
    )
<<<<<<< HEAD
    max_corrupt_fraction: CorruptFraction = _setting("max_corrupt_fraction")
=======
    max_corrupt_fraction: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.01,
        description="Maximum share of unreadable images, which are skipped and named; above it the job is refused.",
    )
>>>>>>> h-h8

    def spec(self, seed: int) -> DataSpec:
        """The section in the form that the data layer of the trials takes, paths made absolute for other processes."""
        path = self.path
        if path is not None and "://" not in path:
            path = str(Path(path).expanduser().absolute())
        return DataSpec(
            source=absolute(self.source) or source_of(path),
            path=path,
            image_size=self.image_size,
            channels=self.channels,
            fit=self.fit,
            max_train_images=self.max_train_images,
            image_column=self.image_column,
            label_column=self.label_column,
            task=self.task,
            val_fraction=self.splits.val,
            test_fraction=self.splits.test,
            seed=seed,
            max_corrupt_fraction=self.max_corrupt_fraction,
        )
<<<<<<< HEAD
=======


def source_of(path: str | None) -> str:
    """The source that reads `path`: digits without one, npz or parquet by what is there, else a class folder."""
    if path is None:
        return "digits"
    if path.endswith(".npz"):
        return "npz"
    if path.endswith(".parquet"):
        return "parquet"
    root = place_of(path)
    try:
        folders = [folder for folder in (root, root / "data") if folder.is_dir()]
        holds = any(file.name.endswith(".parquet") for folder in folders for file in folder.iterdir())
    except OSError:
        return "folder"  # its reader reports what cannot be read
    return "parquet" if holds else "folder"
>>>>>>> h-h8
