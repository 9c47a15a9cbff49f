"""What is used of Keras beyond its public interface, in one place; a test names what a new version no longer has.

Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import keras
from keras.src.backend.common import global_state
from keras.src.models.functional import Functional, operation_fn
from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR
from keras.src.utils.rng_utils import GLOBAL_RANDOM_SEED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from toprung.trainables.backend.tensors import Tensor


def all_layers(layer: keras.Layer) -> list[keras.Layer]:
    """The layer or model itself and every layer inside it, however deeply nested.

    Keras' public `Model.layers` lists those directly inside, and other layers list none.
    """
    layers: list[keras.Layer] = layer._flatten_layers()
    return layers


def sublayers(layer: keras.Layer) -> Sequence[keras.Layer]:
    """The layers that a layer holds directly."""
    layers: Sequence[keras.Layer] = layer._layers
    return layers


def is_plain_graph(layer: object) -> bool:
    """Whether a layer is a functional or sequential model without a `call` of its own."""
    return isinstance(layer, keras.Model) and type(layer).call in (Functional.call, keras.Sequential.call)


def sole_readers(model: keras.Model) -> dict[keras.Operation, keras.Operation]:
    """For each layer of a functional model whose output one other alone reads, that one; both are called once.

    Args:
        model: Any model; what is not functional has none.
    """
    if type(model).call is not Functional.call:
        return {}
    nodes = [node for nodes in model._nodes_by_depth.values() for node in nodes]
    calls = Counter(node.operation for node in nodes)
    # An output of the model is read by whoever calls it.
    readers: dict[int, list[keras.Operation | None]] = defaultdict(
        list, {id(x): [None] for x in model.outputs}
    )
    for node in nodes:
        for tensor in node.input_tensors:
            readers[id(tensor)].append(node.operation)
    found = {
        node.operation: readers[id(node.outputs[0])][0]
        for node in nodes
        if len(node.outputs) == 1 and len(readers[id(node.outputs[0])]) == 1
    }
    return {
        layer: reader
        for layer, reader in found.items()
        if reader is not None and calls[layer] == calls[reader] == 1
    }


def run_in_inference(
    model: keras.Model, inputs: Tensor, replaced: Mapping[keras.Operation, Callable[[Tensor], Tensor]]
) -> Tensor:
    """The output of a functional model in inference mode, with some of its layers computed in another way.

    Args:
        model: Has one input and one output.
        inputs: Its input.
        replaced: What is called in place of a layer.
    """

    def operation(layer: keras.Operation) -> Callable[..., Tensor]:
        if layer in replaced:
            return lambda layer_inputs, **_: replaced[layer](layer_inputs)  # a mask may be handed along
        called: Callable[..., Tensor] = operation_fn(layer, training=False)
        return called

    outputs: Tensor = model._run_through_graph(model._standardize_inputs(inputs), operation_fn=operation)
    return outputs


def seed_keras(seed: int) -> None:
    """Forget the random numbers that Keras' layers and initializers have drawn in this process.

    Keras takes the seeds of the next ones from Python's `random`, so that has to be seeded too. This is the part of
    `keras.utils.set_random_seed` that concerns Keras alone: the whole of it also discards what TensorFlow has compiled.
    """
    global_state.set_global_attribute(GLOBAL_RANDOM_SEED, seed)
    global_state.set_global_attribute(GLOBAL_SEED_GENERATOR, None)
