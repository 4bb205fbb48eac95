"""Turns what `benchmarks/train.py` measured into a table and a picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.bars import draw_bars

OURS, FROZEN = "prefmodel all weights", "prefmodel frozen embeddings"
"""Ours with all weights trained, as the peers do it, and as the recipes have it."""

HEAD = (
    "max tokens",
    "trainer",
    "pairs/s",
    "range",
    "per CPU s",
    "tokens/s",
    "padding",
    "of peak",
    "beside ours",
    "memory, MiB",
)

FORMULA = (
    "Operations: 6 N t + 12 L w s, for forward and backward: N parameters outside of embedding tables, without those "
    "that only first tokens pass, t tokens without padding, L layers, w width, s the sum of the squared lengths of the "
    "inputs. An input that stands in several pairs counts as often as it is read."
)


def operations(record: Mapping[str, float], sizes: Mapping[str, int]) -> float:
    """Return the operations of a round; the first term is that of the weights, the second that of attention.

    >>> sizes = {"parameters": 10, "layers": 2, "width": 4}
    >>> operations({"tokens": 5, "squares": 13, "spared": 2}, sizes)
    1488
    """
    attention = 12 * sizes["layers"] * sizes["width"] * record["squares"]
    return 6 * (sizes["parameters"] - record["spared"]) * record["tokens"] + attention


def rates(results: Mapping[str, Any], name: str, length: int) -> list[float]:
    """Return pairs a second in each round."""
    return [record["pairs"] / record["seconds"] for record in records(results, name, length)]


def records(results: Mapping[str, Any], name: str, length: int) -> list[dict[str, Any]]:
    return [r for r in results["records"] if r["name"] == name and r["length"] == length]


def names(results: Mapping[str, Any], length: int) -> list[str]:
    """Return who was measured at a length, the fastest first."""
    found = dict.fromkeys(r["name"] for r in results["records"] if r["length"] == length)
    return sorted(found, key=lambda name: -median(rates(results, name, length)))


def row(results: Mapping[str, Any], name: str, length: int) -> list[str]:
    """Return the cells of a table's row; ratios are taken within a round, and all numbers are medians over rounds."""
    mine, speeds = records(results, name, length), rates(results, name, length)
    ours = rates(results, OURS, length)

    def middle(value: Callable[[dict[str, Any]], float]) -> float:
        return median(value(record) for record in mine)

    share = middle(lambda r: operations(r, results["sizes"]) / r["seconds"] / 1e9 / results["machine"]["peak"])
    beside = f"{median(a / b for a, b in zip(speeds, ours, strict=True)):.2f}" if ours else ""
    return [
        str(length),
        name,
        f"{median(speeds):.2f}",
        f"{min(speeds):.2f} to {max(speeds):.2f}",
        f"{middle(lambda r: r['pairs'] / r['cpu_seconds']):.2f}",
        f"{middle(lambda r: r['tokens'] / r['seconds']):.0f}",
        f"{middle(lambda r: 1 - r['tokens'] / r['padded']):.0%}",
        f"{share:.2f}",
        beside,
        f"{max(r['memory'] for r in mine):.0f}",
    ]


def lead(results: Mapping[str, Any], length: int) -> str:
    """Return one line: how ours with all weights trained stands to the faster peer; empty without either."""
    peers = [name for name in names(results, length) if name not in (OURS, FROZEN)]
    ours = records(results, OURS, length)
    if not ours or not peers:
        return ""
    theirs = records(results, peers[0], length)
    clock, cpu = (
        sorted(b[unit] / a[unit] for a, b in zip(ours, theirs, strict=True)) for unit in ("seconds", "cpu_seconds")
    )
    return (
        f"At most {length} tokens: ours is {median(clock):.2f} times as fast as {peers[0]}, {clock[0]:.2f} to "
        f"{clock[-1]:.2f} by round; {median(cpu):.2f} times for a second of CPU time, {cpu[0]:.2f} to {cpu[-1]:.2f}."
    )


def report(results: Mapping[str, Any]) -> str:
    """Return Markdown: on what it ran, the table, and the formula."""
    machine, sizes = results["machine"], results["sizes"]
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"])
    before, after = results["load"]
    lines = [
        f"{results['date']}, {machine['name']}, threads: {results['threads']}, {machine['precision']}; peak "
        f"{machine['peak']:.0f} GFLOP/s; load {before:.1f} before and {after:.1f} after; {versions}.",
        "",
        f"{results['rows']} pairs a round, {results['step_pairs']} an update, {results['rounds']} rounds in turn, "
        f"after a small update to warm up; {sizes['layers']} layers, {sizes['width']} wide, "
        f"{sizes['parameters'] / 1e6:.1f} M parameters without embeddings.",
        "",
        f"| {' | '.join(HEAD)} |",
        f"|{' --- |' * len(HEAD)}",
    ]
    lines += [
        f"| {' | '.join(row(results, name, length))} |"
        for length in results["lengths"]
        for name in names(results, length)
    ]
    leads = [line for line in (lead(results, length) for length in results["lengths"]) if line]
    return "\n".join([*lines, "", *leads, "", FORMULA])


def plot(results: Mapping[str, Any], path: Path) -> None:
    """Draw a bar for each trainer, with the range over rounds, one panel for each length."""
    panels = {
        f"pairs a second, at most {length} tokens": {
            name: rates(results, name, length) for name in names(results, length)
        }
        for length in results["lengths"]
    }
    title = "Training on the same pairs, median and range over rounds"
    draw_bars(panels, (OURS, FROZEN), title, path, height=2.4)
