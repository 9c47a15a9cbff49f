"""Malformed jobs, damaged tables, forged saved states and odd folders of images, by the thousand: how each was taken.

    python tests/benchmarks/fuzz.py [--jobs 2000] [--tables 1500] [--states 2000] [--images 1000] [--seed 0]

Every wrong input has to be told in one line, no damage may pass for other values, and no image may be left out without
a word. The exit code is 1 where a
traceback, a silent change or an unreadable message came; the first few of each are printed. What a checksum cannot see
is not tried: rows that another program has changed and written back, and plausible values forged in a saved state.
Takes about ten minutes on one core.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
for folder in ("fuzzing", "results", "trainables/worker"):
    sys.path.insert(0, str(TESTS / folder))

import checkpoint_fuzzer  # noqa: E402
import image_fuzzer  # noqa: E402
import job_fuzzer  # noqa: E402
import table_fuzzer  # noqa: E402

from toprung.results.tables.rows import epoch_row, proposal_row, trial_row  # noqa: E402
from toprung.results.tables.trial_details import TrialDetails  # noqa: E402
from toprung.trainables.trial.report import EpochReport, Outcome  # noqa: E402
from toprung.trainables.worker.checkpoints import Checkpoint, CheckpointStore, UnusableStateError  # noqa: E402
from toprung.trainables.worker.saved_state import checked_history  # noqa: E402

GOOD = {"told", "valid", "unchanged", "same", "named"}
SHOWN = 5


def search_rows(trials: int = 12, epochs: int = 4) -> dict[str, list[dict[str, Any]]]:
    """The rows of a small search, the last trial of which has not ended."""
    rows: dict[str, list[dict[str, Any]]] = {"proposals": [], "epochs": [], "trials": []}
    for number in range(trials):
        name, config = (
            f"t{number:05d}",
            {"learning_rate": 0.1 * number, "optimizer": "adam", "blocks": number},
        )
        rows["proposals"].append(proposal_row(name, config, number))
        reports = [
            EpochReport(name, epoch, {"val_accuracy": epoch / 7}, 1.0, epoch)
            for epoch in range(1, epochs + 1)
        ]
        rows["epochs"] += [epoch_row(one, len(rows["epochs"]) + at, "keep") for at, one in enumerate(reports)]
        if number + 1 < trials:
            row = trial_row(name, config, Outcome.STOPPED, reports, TrialDetails(seed=number))
            rows["trials"].append(row)
    return rows


def state_outcomes(folder: Path, count: int, seed: int) -> Iterable[tuple[str, str]]:
    """The outcomes of a saved state of a few arrays: read as it was, or not at all."""
    import numpy as np

    names = ("step", "optimizer/weights", "optimizer/first_moment")
    arrays = {name: np.arange(40, dtype=np.float32) for name in names} | {"step": np.array(12)}
    history = tuple(
        EpochReport("t00000", epoch, {"val_accuracy": 0.5}, 1.0, epoch)._asdict() for epoch in (1, 2, 3)
    )
    store = CheckpointStore(str(folder))
    store.save(Checkpoint("t00000", 3, "mine", history, arrays, 3))
    store.wait()

    def resume() -> tuple[object, object]:
        try:
            found = store.read("t00000", ".npz", "mine")
            assert found is not None
            reports = checked_history(found, 9)
        except UnusableStateError:
            return None, "3 epochs"
        return None, f"{len(reports)} epochs"

    return checkpoint_fuzzer.outcomes(folder / "t00000.npz", resume, count, seed)


def report(title: str, outcomes: Iterable[tuple[str, str]]) -> bool:
    """Print the counts of one kind of input; returns whether all of them were taken well."""
    counts: Counter[str] = Counter()
    examples: defaultdict[str, list[str]] = defaultdict(list)
    for what, outcome in outcomes:
        kind = outcome.partition(":")[0]
        counts[kind] += 1
        if kind not in GOOD and len(examples[kind]) < SHOWN:
            examples[kind].append(f"{what[-200:]!r}: {outcome[:300]}")
    print(f"{title:<8}", ", ".join(f"{count:,} {kind}" for kind, count in counts.most_common()))
    for kind, lines in examples.items():
        for line in lines:
            print(f"    {kind}: {line}")
    return set(counts) <= GOOD


def main() -> int:
    """Run all fuzzers."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name, default in (("jobs", 2000), ("tables", 1500), ("states", 2000), ("images", 1000), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    shipped = [path.read_text() for path in (TESTS.parent / "search" / "jobs").glob("*.yaml")]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        os.chdir(folder)
        results = [
            report("jobs", job_fuzzer.outcomes(folder, shipped, options.jobs, options.seed)),
            report("tables", table_fuzzer.outcomes(search_rows(), options.tables, options.seed)),
            report("states", state_outcomes(folder / "states", options.states, options.seed)),
            report("images", image_fuzzer.outcomes(folder / "images", options.images, options.seed)),
        ]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
