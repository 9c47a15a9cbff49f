"""What an exception means for a trial, and the memory that was missing."""

from __future__ import annotations

import numpy as np
import pytest

from toprung.trainables.trial.failures import Failure, failed_allocation_bytes, failure_of
from toprung.trainables.trial.report import Outcome


class ResourceExhaustedError(Exception):
    """Named as TensorFlow's."""


MESSAGES = [
    ("OOM when allocating tensor with shape[64,512,8,8] and type float on /job:localhost/device:GPU:0",
     64 * 512 * 64 * 4),
    ("OOM when allocating tensor with shape[10] and type half on /job:localhost", 20),
    ("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 4294967296 bytes.", 2**32),
    ("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 1.50GiB.", 3 * 2**29),
    ("failed to allocate memory", None),
]  # fmt: skip


@pytest.mark.parametrize(("message", "size"), MESSAGES)
def test_the_size_of_the_failed_allocation_is_read_from_the_message(message: str, size: int | None) -> None:
    assert failed_allocation_bytes(message) == size
    failure = failure_of(ResourceExhaustedError(message))
    assert (failure.outcome, failure.failed_allocation_bytes) == (Outcome.OOM, size)
    assert failure.reason == f"ResourceExhaustedError: {message}"


def test_numpys_own_error_states_the_size() -> None:
    with pytest.raises(MemoryError) as caught:
        np.empty(2**60, np.uint8)
    assert failure_of(caught.value).failed_allocation_bytes == 2**60


def test_any_other_error_is_a_failure_with_its_traceback() -> None:
    failure = failure_of(ValueError("no such layer"))
    assert failure
    assert failure.outcome is Outcome.FAILED
    assert "ValueError: no such layer" in failure.error
    assert not Failure.none()


@pytest.mark.slow
def test_memory_that_runs_out_while_a_network_is_built_is_no_input_error(
    one_thread: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    from toprung.trainables.models.pretrained import backbone

    def construct(**named: object) -> None:
        raise MemoryError("Unable to allocate 1.0 GiB")

    monkeypatch.setattr(keras.applications, "VGG16", construct)
    with pytest.raises(MemoryError):
        backbone({"backbone": "VGG16", "weights": "none"}, (32, 32, 3))
