"""The section `data` of a job file: which images, and how they are split."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from toprung.search.jobs.section import Section
from toprung.spaces.user_code.references import absolute
from toprung.trainables.data.dataset import DataSpec
from toprung.trainables.data.sources.paths import place_of

Fraction = Annotated[float, Field(gt=0, lt=1)]


class Splits(Section):
    """How much of the images is held back, where the source does not bring its own splits."""

    val: Fraction = Field(0.15, description="Share of the images that selects the winner.")
    test: Fraction = Field(0.15, description="Share of the images sealed until the retrain.")

    @model_validator(mode="after")
    def leaves_images_to_train_on(self) -> Splits:
        if self.val + self.test >= 1:
            raise ValueError(f"val + test is {self.val + self.test:g}, and must be below 1")
        return self


class DataSection(Section):
    """Which images, and how they are split."""

    source: str = Field("", description="Name of a source, or file.py:function; found from `path` if empty.")
    path: str | None = Field(
        None, min_length=1, description="File or folder of the images, or a URI (s3://, gs://)."
    )
    image_size: Annotated[int, Field(ge=4, le=1024)] | None = Field(
        None, description="Height and width in pixels that images are resized to."
    )
    fit: Literal["stretch", "pad", "crop"] = Field(
        "stretch", description="How an image that is not square becomes so."
    )
    channels: Literal[1, 3] | None = Field(
        None, description="1 for grey, 3 for RGB; the source's own if none."
    )
    max_train_images: Annotated[int, Field(gt=0)] | None = Field(
        None, description="Training images kept, a stratified sample; all if none is given."
    )
    image_column: str = Field("image", min_length=1, description="Parquet column of the encoded images.")
    label_column: str = Field("label", min_length=1, description="Parquet column of class numbers, or lists.")
    task: Literal["auto", "softmax", "binary", "multilabel"] = Field(
        "auto",
        description="softmax: one class of several; binary: one sigmoid for two; multilabel: any; auto: by the labels.",
    )
    splits: Splits = Splits()
    seed: Annotated[int, Field(ge=0, lt=2**31)] | None = Field(
        None, description="Seed of the splits; the job's if none, with which another seed draws others."
    )
    max_corrupt_fraction: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.01, description="Share of unreadable images that is skipped, by name, before the job is refused."
    )

    @model_validator(mode="before")
    @classmethod
    def a_bare_name_is_a_source(cls, value: Any) -> Any:
        return {"source": value} if isinstance(value, str) else value

    def spec(self, seed: int) -> DataSpec:
        """The section as the trials' data layer takes it, paths made absolute for other processes."""
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
        return "folder"  # which tells what may not be read
    return "parquet" if holds else "folder"
