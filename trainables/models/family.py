"""A model family: what may be chosen, how a choice becomes a model, and which choices need a rebuild."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from toprung.spaces.errors import InputError
from toprung.spaces.families.built_in import registration_of
from toprung.spaces.user_code.references import instance, resolve
from toprung.trainables.models.phases import FrozenBoundary, Phase
from toprung.trainables.optimization.recipe import RECIPE_KEYS, structure_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import keras

    from toprung.spaces.definition.trial import OptunaTrial
    from toprung.trainables.task.task import Task

Signature = tuple[Hashable, ...]


@runtime_checkable
class Family(Protocol):
    """One kind of model. A user writes `space` and `build`, in one file.

    Five attributes are optional.

    dynamic: names of configuration keys whose value needs no other compiled model, because a layer holds it as a
        runtime hyperparameter (see `trainables.models.layers`). Without it every key outside the training recipe is
        structural.
    pretrained(model): the layers that start from the weights that `build` gave them, not from random ones.
    phases(config, max_epochs): which layers train when (see `trainables.models.phases`).
    depths(model): maps the `id` of a variable to its depth, which decides in which phase it trains; 0 for others.
    frozen(model, config): where the part of the model ends that a first phase leaves unchanged.
    """

    def space(self, trial: OptunaTrial) -> dict[str, Any]:
        """Draw a flat configuration from an Optuna trial."""
        ...

    def build(self, config: Mapping[str, Any], task: Task) -> keras.Model:
        """A model from images (H, W, C), 0 to 255, to `task.outputs` logits, or to a final softmax or sigmoid."""
        ...


def load_family(name: str) -> Family:
    """The family called `name`: "cnn", "module:Class" or "file.py:Class".

    Raises:
        InputError: There is no such family, or it lacks `space` or `build`; at `space.name`.
    """
    family = instance(resolve(registration_of(name).family, "space.name"), name, "space.name")
    missing = [method for method in ("space", "build") if not callable(getattr(family, method, None))]
    if missing:
        rule = "a family has space(trial) and build(config, task)"
        raise InputError.single("space.name", f"{name} lacks {' and '.join(missing)}", rule)
    loaded: Family = family
    return loaded


def check_model(model: keras.Model, task: Task) -> keras.Model:
    """Return the model if it is built for the task's images and outputs.

    Raises:
        InputError: It is not.
    """
    where, outputs = "space.name", task.outputs
    stock = "return keras.Model(inputs, outputs) or keras.Sequential"
    if not hasattr(model, "built"):
        raise InputError.single(where, f"build returned a {type(model).__name__}", stock)
    if not model.built:
        raise InputError.single(
            where, "build returned an unbuilt model", f"start it with keras.Input(image_shape), and {stock}"
        )
    if not hasattr(model, "output_shape"):
        given = (
            f"build returned a {type(model).__name__}, whose layers Keras cannot copy for the exported model"
        )
        raise InputError.single(where, given, stock)
    images = (None, *task.image_shape)
    if tuple(model.input_shape) != images:
        given = f"build returned a model for inputs {model.input_shape}"
        raise InputError.single(
            where, given, f"must be {images}: start it with keras.Input(task.image_shape)"
        )
    output = getattr(model, "output", None)  # a Sequential that was never called has one, and no name for it
    if isinstance(output, dict | list | tuple):
        given = f"build returned a model whose output is a {type(output).__name__}"
        raise InputError.single(where, given, "must be one tensor: keras.Model(inputs, logits)")
    if tuple(model.output_shape) != (None, outputs):
        given = f"build returned a model with outputs {model.output_shape}"
        rule = (
            "one output for each class" if outputs > 1 else "one output, the second class against the first"
        )
        raise InputError.single(where, given, f"must be (None, {outputs}): {rule}")
    if not model.trainable_variables:
        given = "build returned a model without weights to train"
        raise InputError.single(where, given, "leave `trainable` of some layers with weights as True")
    return model


def phases_of(family: Family, config: Mapping[str, Any], max_epochs: int) -> tuple[Phase, ...]:
    """The phases that a family plans, in order; a family without a plan trains everything in one phase."""
    plan = getattr(family, "phases", None)
    planned: Sequence[Phase] = plan(config, max_epochs) if plan else ()
    return tuple(planned) or (Phase(1, max_epochs),)


def pretrained_layers(family: Family, model: keras.Model) -> Sequence[keras.Layer]:
    """The layers of a family's model that start from the weights that `build` gave them."""
    found: Sequence[keras.Layer] = getattr(family, "pretrained", lambda _: ())(model)
    return found


def variable_depths(family: Family, model: keras.Model) -> Mapping[int, float]:
    """The depth of each variable by its `id`, as the family states it; empty where depths do not matter."""
    return getattr(family, "depths", lambda _: None)(model) or {}


def frozen_boundary(family: Family, model: keras.Model, config: Mapping[str, Any]) -> FrozenBoundary | None:
    """Where the part of the model ends that a first phase leaves unchanged; None without such a phase."""
    found: FrozenBoundary | None = getattr(family, "frozen", lambda *_: None)(model, config)
    return found


def structural_signature(family: Family, config: Mapping[str, Any], task: Task) -> Signature:
    """What two trials must have in common to run on the same compiled model."""
    dynamic = frozenset[str](getattr(family, "dynamic", ()))
    structure = sorted((key, value) for key, value in config.items() if key not in dynamic | RECIPE_KEYS)
    # The presence of a runtime hyperparameter may change the graph, its value does not.
    runtime_keys = sorted(key for key in config if key in dynamic - RECIPE_KEYS)
    family_name = f"{type(family).__module__}.{type(family).__qualname__}"
    compiled_in = (*runtime_keys, *structure_of(config))
    return (family_name, task.image_shape, task.task_type, len(task.classes), tuple(structure), compiled_in)
