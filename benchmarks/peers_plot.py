"""Draws what `benchmarks/peers.py` found: pairs a second by configuration.

python benchmarks/peers_plot.py peers.json -o peers.png
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.bars import draw_bars
from benchmarks.peer_environments import OURS
from benchmarks.peer_report import ordered, rates


def plot(results: dict[str, Any], path: Path) -> None:
    """Draw a bar for each configuration, with the range over rounds, one panel for each number of threads."""
    threads = results["threads"]
    panels = {
        f"pairs a second, text to score, {number} thread{'s' * (number > 1)}": {
            name: rates(results, name, number, "natural") for name in ordered(results, number)
        }
        for number in threads
    }
    height = 1.2 + 0.3 * max(map(len, panels.values()))
    draw_bars(panels, (OURS,), "Real question-answer pairs of natural length, same weights", path, height)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="JSON that benchmarks/peers.py wrote")
    parser.add_argument("-o", "--output", type=Path, default=Path("peers.png"))
    arguments = parser.parse_args()
    plot(json.loads(arguments.results.read_text(encoding="utf-8")), arguments.output)


if __name__ == "__main__":
    main()
