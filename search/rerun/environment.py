"""What the numbers of a training depend on beside configuration, seed and images: where and how it is computed."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from toprung.trainables.worker.preflight import installed_versions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from toprung.trainables.trial.execution import ExecutionRecord


@dataclass(frozen=True)
class Environment:
    """The circumstances of one training.

    Attributes:
        versions: By name, of Python, toprung, Keras, its backend and Ray; empty where they were not recorded.
        facts: By name, the device and how it computed; None where one was not recorded.
        code: The fingerprint of the user's file of the model; "" for a built-in family.
    """

    versions: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str | None] = field(default_factory=dict)
    code: str = ""

    @classmethod
    def recorded(cls, row: Mapping[str, Any]) -> Environment:
        """That of a trial, from its row in `trials`."""
        versions = _known(row, "versions")
        facts = {
            "device": _known(row, "device"),
            "precision": _known(row, "precision"),
            "xla": _flag(_known(row, "xla")),
            "images in a micro-batch": _number(_known(row, "micro_batch_size"), "all of the batch"),
            "cpus": _number(_known(row, "cpus"), None),
            "node": _known(row, "worker_node"),
        }
        return cls(json.loads(versions) if versions else {}, facts, _known(row, "code_fingerprint") or "")

    @classmethod
    def of_this_process(cls, record: ExecutionRecord | None, cpus: float, code: str) -> Environment:
        """That of a training in this process; `record` says how it computed, None where it never did."""
        facts = {"cpus": f"{cpus:g}", "node": socket.gethostname()}
        if record is not None:
            facts |= {
                "device": record.device,
                "precision": record.precision,
                "xla": _flag(record.xla) or "off",
                "images in a micro-batch": _number(record.micro_batch_size, "all of the batch") or "",
            }
        return cls(installed_versions(), facts, code)

    def differences(self, now: Environment) -> Iterator[str]:
        """What is otherwise now, one phrase each; what one of the two does not know is passed over."""
        before = {**self.versions, **self.facts, "code": self.code[:12] or None}
        after = {**now.versions, **now.facts, "code": now.code[:12] or None}
        for name, was in before.items():
            if was is not None and after.get(name) not in (None, was):
                yield f"{name} {after[name]} (in the search {was})"

    @property
    def unknown(self) -> tuple[str, ...]:
        """What the row does not say."""
        facts = tuple(name for name, value in self.facts.items() if value is None)
        return facts if self.versions else ("versions", *facts)


def _known(row: Mapping[str, Any], name: str) -> Any:
    value = row.get(name)
    return None if value is None or pd.isna(value) else value


def _flag(value: Any) -> str | None:
    return None if value is None else "on" if value else "off"


def _number(value: Any, missing: str | None) -> str | None:
    return missing if value is None else f"{value:g}"
