"""A worker's share of a GPU as a cap on its memory: Ray's fractions of a GPU limit nothing by themselves."""

from __future__ import annotations

import os
import subprocess

from toprung.trainables.backend.engine import limit_gpu_memory

# What a process takes on the GPU beside its tensors: driver context, cuDNN and cuBLAS handles, loaded kernels.
CONTEXT_MEGABYTES = 768
MIN_MEGABYTES = 256
VISIBLE_DEVICES = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")


def share_megabytes(share: float, total_megabytes: int) -> int | None:
    """The memory for tensors of a worker with `share` of a GPU, in megabytes; None for no cap.

    With this cap all workers of a GPU, each with its context, fit into it. Only a share below 1 is capped.

    Raises:
        ValueError: The share leaves less than 256 megabytes.
    """
    if not 0 < share < 1:
        return None
    megabytes = int(share * total_megabytes) - CONTEXT_MEGABYTES
    if megabytes < MIN_MEGABYTES:
        raise ValueError(
            f"resources.gpus is {share:g}, which leaves {megabytes} MB of {total_megabytes} for a trial's "
            f"tensors, but must leave {MIN_MEGABYTES}"
        )
    return megabytes


def visible_gpu_megabytes() -> int | None:
    """The memory of the first GPU this process may use, as nvidia-smi reports it; None if it reports nothing."""
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    query = ["nvidia-smi", f"--id={first}", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout
        return int(answer.split()[0])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None


def hide_gpus() -> None:
    """Let this process see no GPU, for one that was given none; call it before the backend is imported.

    Ray leaves all GPUs of a node visible to a process without any, where RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO is 0.
    """
    os.environ.update(dict.fromkeys(VISIBLE_DEVICES, ""))


def apply_memory_cap(share: float) -> int | None:
    """Cap this process's memory on its GPU; returns the megabytes, None for no cap.

    Call it before the backend's first operation.
    """
    total = visible_gpu_megabytes() if 0 < share < 1 else None
    megabytes = share_megabytes(share, total) if total else None
    if megabytes is not None and total:
        # JAX reads its share when it is imported.
        os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", f"{megabytes / total:.3f}")
        limit_gpu_memory(megabytes)
    return megabytes
