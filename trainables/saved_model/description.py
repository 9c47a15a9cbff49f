"""What a saved model says about itself, inside its file: classes, the images it takes, where it came from."""

from __future__ import annotations

import json
import zipfile
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from toprung.spaces.errors import InputError
from toprung.spaces.user_code.source_files import SourceFile
from toprung.trainables.data.source_rules.spec import DataSpec
from toprung.trainables.task.task_type import outputs_of

if TYPE_CHECKING:
    from pathlib import Path

    from toprung.trainables.data.source_rules.spec import Fit
    from toprung.trainables.task.task_type import TaskType

ENTRY = "toprung.json"
"""The entry of the .keras file, a zip archive; Keras passes over it."""
RESIZE = "bicubic, antialiased"


@dataclass(frozen=True)
class ModelDescription:
    """A saved model's account of itself.

    Attributes:
        name: The retraining, as its folder is called.
        run: The name of the search's run.
        trial_id: The trial whose configuration was trained.
        classes: The class names; the outputs are in their order.
        task: See `trainables.task.task_type`.
        image_shape: (height, width, channels) of the uint8 images that it takes.
        fit: How an image of another size became square, see `DataSpec`; None where all had the size from the start.
        temperature: What the logits are divided by.
        data_fingerprint: Of the images and labels of the search.
        training_fingerprint: Of configuration, seed, epochs and data.
        toprung_version: The version that trained it.
        code: The reference to the model's code, and the text of a user's file.
    """

    name: str
    run: str
    trial_id: str
    classes: tuple[str, ...]
    task: TaskType
    image_shape: tuple[int, int, int]
    fit: Fit | None
    temperature: float
    data_fingerprint: str
    training_fingerprint: str
    toprung_version: str
    code: SourceFile

    @property
    def outputs(self) -> int:
        """The number of outputs; in a binary task one, the probability of the second class."""
        return outputs_of(self.task, len(self.classes))

    @property
    def colour_order(self) -> str:
        """The meaning of the channels."""
        return "RGB" if self.image_shape[2] == 3 else "grey"

    def data_spec(self) -> DataSpec:
        """The rules by which an image of any size and format becomes one that the model takes."""
        height, width, channels = self.image_shape
        side = height if self.fit and height == width else None
        return DataSpec(image_size=side, channels=3 if channels == 3 else 1, fit=self.fit or "stretch")

    def to_json(self) -> str:
        """The description as JSON text."""
        spelled = {"colour_order": self.colour_order, "resize": RESIZE, "input": "uint8 values 0 to 255"}
        return json.dumps({**asdict(self), **spelled}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> ModelDescription:
        """The description in a JSON text. Raises ValueError, TypeError or KeyError for another text."""
        content: dict[str, Any] = json.loads(text)
        known = {field.name: content[field.name] for field in fields(cls)}
        height, width, channels = known["image_shape"]
        known |= {"classes": tuple(known["classes"]), "image_shape": (height, width, channels)}
        return cls(**{**known, "code": SourceFile(**known["code"])})


def describe_file(path: Path, description: ModelDescription) -> None:
    """Add the description to a .keras file that has none."""
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(ENTRY, description.to_json())


def description_of(path: Path, where: str = "MODEL") -> ModelDescription:
    """The description in a .keras file. Raises `InputError`, pointing at `where`, for any other file."""
    allowed = "must be a model.keras that `toprung retrain` has saved"
    try:
        with zipfile.ZipFile(path) as archive:
            return ModelDescription.from_json(archive.read(ENTRY).decode())
    except KeyError:
        raise InputError.single(where, f"{path} does not say what it takes", allowed) from None
    except OSError as error:
        raise InputError.single(where, f"{path} cannot be read ({error.strerror})", allowed) from None
    except (zipfile.BadZipFile, ValueError, TypeError):
        raise InputError.single(where, f"{path} is no such file, or is damaged", allowed) from None
