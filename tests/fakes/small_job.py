"""A small job on the bundled digits, as the tests of whole searches run it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


def write_job(folder: Path, name: str = "small", **sections: Any) -> Path:
    """Write FOLDER/NAME.yaml: tiny networks, runs in FOLDER/runs, with `sections` laid over it."""
    content: dict[str, Any] = {
        "data": {"source": "digits", "image_size": 8},
        "space": {
            "fixed": {"blocks": 1, "convs_per_block": 1, "filters": 8, "kernel_size": 3, "dense_units": 0,
                      "batch_norm": False, "pooling": "max", "head": "flatten", "flip": False, "batch_size": 32,
                      "optimizer": "adamw", "filter_growth": 1.0},
            "ranges": {"learning_rate": [0.003, 0.03], "augment": [0.0, 0.3], "weight_decay": [1e-6, 1e-3]},
        },
        "search": {"trials": 6, "max_epochs": 9},
        "resources": {"concurrent": 1},
        "storage": {"path": str(folder / "runs")},
        "tracking": {"enabled": False},
    }  # fmt: skip
    for section, values in sections.items():
        content[section] = laid_over(content.get(section), values)
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def laid_over(below: Any, above: Any) -> Any:
    """Two parts of a job as one: what stands above wins, key by key."""
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    return {**below, **{name: laid_over(below.get(name), value) for name, value in above.items()}}
