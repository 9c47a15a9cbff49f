"""The section `data` of a job file: which images, and how they are split."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from toprung.search.jobs.section import Section
from toprung.spaces.user_code.references import absolute
from toprung.trainables.data.dataset import DataSpec
from toprung.trainables.data.sources.paths import place_of

Fraction = Annotated[float, Field(gt=0, lt=1)]


class Splits(Section):
    """Shares of the images held back, unless the source brings its own splits."""

    val: Fraction = Field(0.15, description="Share of the images for validation, which picks the winner.")
    test: Fraction = Field(0.15, description="Share of the images for the test, which only `retrain` reads.")

    @model_validator(mode="after")
    def some_images_remain_for_training(self) -> Splits:
        if self.val + self.test >= 1:
            raise ValueError(f"val + test is {self.val + self.test:g}, and must be below 1")
        return self


class DataSection(Section):
    """The images, and how they are split."""

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
    splits: Splits = Splits()
    seed: Annotated[int, Field(ge=0, lt=2**31)] | None = Field(
        None, description="Seed of the splits; null for the job's seed."
    )
    max_corrupt_fraction: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.01,
        description="Maximum share of unreadable images, which are skipped and named; above it the job is refused.",
    )

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
