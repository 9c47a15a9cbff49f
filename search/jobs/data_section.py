"""The section `data` of a job file: which images, and how they are split."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from toprung.search.jobs.section import CodeReference, Section, usable_path, without_secrets
from toprung.spaces.user_code.references import with_absolute_path
from toprung.trainables.data.source_rules.spec import (
    DESCRIPTIONS,
    Channels,
    ClassLevel,
    CorruptFraction,
    DataSpec,
    Fit,
    FoldCount,
    FoldNumber,
    Fraction,
    FractionOrNone,
    ImageCount,
    ImageSize,
    Text,
    leave_train_images,
)
from toprung.trainables.data.sources.registry import source_of
from toprung.trainables.system.uris import absolute
from toprung.trainables.task.task_type import RequestedTask


def _setting(name: str) -> Any:
    """A setting of `DataSpec` as a field of the section: the same default and description."""
    return Field(getattr(DataSpec, name), description=DESCRIPTIONS[name])


def one_rule_for_both_forms(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    """The validated image size; a wrong one is told by one rule, not by one for each form and number."""
    try:
        return check(value)
    except ValidationError:
        rule = "must be a whole number of pixels from 4 to 2048, or [height, width]"
        raise PydanticCustomError("image_size", rule) from None


class Splits(Section):
    """Shares of the images held back, unless the source brings its own splits."""

    val: Fraction = _setting("val_fraction")
    test: FractionOrNone = _setting("test_fraction")

    @model_validator(mode="after")
    def leaves_images_to_train_on(self) -> Splits:
        if not leave_train_images(self.val, self.test):
            raise ValueError(f"val + test is {self.val + self.test:g}, and must be below 1")
        return self


class DataSection(Section):
    """The images, and how they are split."""

    short_form: ClassVar[str] = "source"

    source: CodeReference = Field("", description=DESCRIPTIONS["source"])
    path: Annotated[Text, AfterValidator(without_secrets), AfterValidator(usable_path)] | None = _setting(
        "path"
    )
    image_size: Annotated[ImageSize | None, WrapValidator(one_rule_for_both_forms)] = _setting("image_size")
    fit: Fit = _setting("fit")
    channels: Channels | None = _setting("channels")
    max_train_images: ImageCount | None = _setting("max_train_images")
    max_val_images: ImageCount | None = _setting("max_val_images")
    class_folders: ClassLevel = _setting("class_folders")
    image_column: Text = _setting("image_column")
    label_column: Text = _setting("label_column")
    task: RequestedTask = _setting("task")
    splits: Splits = Splits()
    seed: Annotated[int, Field(ge=0, lt=2**31)] | None = Field(
        None, description="Seed of the splits; null for the job's seed."
    )
    folds: FoldCount = _setting("folds")
    fold: FoldNumber | None = _setting("fold")
    max_corrupt_fraction: CorruptFraction = _setting("max_corrupt_fraction")
    max_image_pixels: ImageCount = _setting("max_image_pixels")

    @field_validator("folds")
    @classmethod
    def more_than_one_fold(cls, value: int) -> int:
        if value == 1:
            raise PydanticCustomError("folds", "must be 0, or from 2 to 20")
        return value

    @model_validator(mode="after")
    def has_the_fold(self) -> DataSection:
        if self.fold is not None and self.fold >= self.folds:
            raise ValueError(f"fold is {self.fold}, and must be below folds, which is {self.folds}")
        return self

    def spec(self, seed: int) -> DataSpec:
        """The section in the form that the data layer of the trials takes, paths made absolute for other processes."""
        path = None if self.path is None else absolute(self.path)
        return DataSpec(
            source=with_absolute_path(self.source) or source_of(path),
            path=path,
            image_size=self.image_size,
            channels=self.channels,
            fit=self.fit,
            max_train_images=self.max_train_images,
            max_val_images=self.max_val_images,
            max_image_pixels=self.max_image_pixels,
            class_folders=self.class_folders,
            image_column=self.image_column,
            label_column=self.label_column,
            task=self.task,
            val_fraction=self.splits.val,
            test_fraction=self.splits.test,
            seed=seed,
            max_corrupt_fraction=self.max_corrupt_fraction,
            # The search's own split does not depend on the number of folds.
            folds=0 if self.fold is None else self.folds,
            fold=self.fold,
        )
