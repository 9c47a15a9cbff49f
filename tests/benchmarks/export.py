"""What each export format keeps of a model: accuracy, agreement, size and latency, as a table in Markdown.

    python tests/benchmarks/export.py runs/quickstart runs/flowers

Each run was retrained before; its champion is exported to every format, float32, float16 and int8, as `toprung export`
does it. A file that agrees with the model on fewer than 98% of the test images is marked.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from toprung.search.export.export_model import ExportRequest, export_model  # noqa: E402
from toprung.search.export.targets import TARGETS  # noqa: E402


def main() -> None:
    """Export, print."""
    options = _arguments()
    print(
        "| run | format | test accuracy | agreement | largest difference | MB | ms, 1 image | ms, image of a batch |"
    )
    print("|---|---|---|---|---|---|---|---|")
    threads = 0
    for run in options.runs:
        for each in export_model(run, ExportRequest(list(TARGETS), ("float16", "int8"))):
            name = each.format if each.quantization == "none" else f"{each.format} {each.quantization}"
            cells = [
                Path(run).name,
                name if each.is_accepted else f"{name} (rejected)",
                f"{each.answers.accuracy:.3f}",
                f"{each.answers.agreement:.3f}",
                f"{each.answers.largest_difference:.1e}",
                f"{each.size_bytes / 1e6:.2f}",
                f"{each.speed.one_image_ms:.2f}",
                f"{each.speed.batch_image_ms:.2f}",
            ]
            print(f"| {' | '.join(cells)} |", flush=True)
            threads = each.speed.threads
    print(f"\n{threads} threads")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", help="runs that were retrained")
    return parser.parse_args()


if __name__ == "__main__":
    main()
