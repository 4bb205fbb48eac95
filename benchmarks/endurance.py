"""Long files through `prefmodel score`: is memory flat, and the output the same after kills and a full disk?

    python benchmarks/endurance.py --rows 1000000 --kills 20
    python benchmarks/endurance.py --steps default --default-rows 20000

Every run is a process of its own, on rows that are made from seeded words; one of 500 has no answer and is a bad row.
The steps, of which `--steps` takes some:

- memory: resident memory of a run over many rows, sampled; its median in the last quarter beside that in the first.
- kills: a run that is killed with SIGKILL at random moments and repeated, beside a run that was not.
- default: the same with the model that comes with the package, in place of a tiny one.
- disk: the output lies on a tmpfs that is too small and then made larger, step by step. Needs root.
- gzip: the input is cut off, and whole when the command is repeated.

Outputs and files of bad rows are compared byte for byte. The exit status is 1 where one differs, an error was not told
as it should be, or memory grew by more than `--growth` percent.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
import platform
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from filecmp import cmp
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[1]
SAMPLE_SECONDS = 0.1
TEXT = """why is the sky blue because air scatters light more than red when sun goes down and water takes longer to boil
on a mountain where the pressure is low so that an egg needs ten minutes while at sea level six are enough for it"""
OK, BAD_ROWS, FAILED = 0, 3, 1


@dataclass
class Report:
    """Lines for the reader, and whether all is well."""

    rows: list[tuple[str, ...]] = field(default_factory=list)
    failed: bool = False

    def add(self, step: str, what: str, found: str, good: bool) -> None:
        self.rows.append((step, what, found, "yes" if good else "NO"))
        self.failed |= not good
        print(f"{step}, {what}: {found}{'' if good else ', WHICH IS WRONG'}", file=sys.stderr)


@dataclass(frozen=True)
class Place:
    """Where files lie, and with which model."""

    folder: Path
    model: Path | None
    seed: int

    def command(self, source: Path, output: Path) -> list[str]:
        model = ["--model", str(self.model)] if self.model else []
        return [
            sys.executable,
            "-m",
            "prefmodel.cli",
            "score",
            str(source),
            "-o",
            str(output),
            "--threads",
            "1",
            *model,
        ]

    def start(self, source: Path, output: Path) -> subprocess.Popen[bytes]:
        environment = os.environ | {"HF_HUB_OFFLINE": "1"}
        with open(self.folder / "stderr", "wb") as errors:
            return subprocess.Popen(self.command(source, output), stderr=errors, env=environment)

    def run(self, source: Path, output: Path) -> tuple[int, str]:
        """Return exit status and stderr."""
        status = self.start(source, output).wait()
        told = (self.folder / "stderr").read_text().replace(f"{self.folder}/", "").splitlines(keepends=True)
        return status, "".join(line for line in told if "answer is None" not in line)  # of which the first are told


def rows(count: int, seed: int, bad: bool = True) -> Iterator[dict[str, Any]]:
    """Yield rows of 4 to 8 words in the question and 4 to 20 in the answer; all differ."""
    random_, words = random.Random(seed), TEXT.split()
    for i in range(count):
        question = " ".join(random_.choices(words, k=random_.randint(4, 8)))
        answer = " ".join(random_.choices(words, k=random_.randint(4, 20)))
        yield {"id": i, "question": question, "answer": None if bad and i % 500 == 250 else answer}


def write(path: Path, found: Iterator[dict[str, Any]]) -> Path:
    """Write rows in the format of the name; Parquet in groups of 100,000."""
    if path.suffix == ".parquet":
        import pyarrow as arrow
        from pyarrow import parquet

        schema = arrow.schema({"id": arrow.int32(), "question": arrow.string(), "answer": arrow.string()})
        with parquet.ParquetWriter(path, schema) as writer:
            while group := list(islice(found, 100_000)):
                writer.write_table(arrow.Table.from_pylist(group, schema))
    elif path.suffix in (".csv", ".tsv"):
        with open(path, "w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, ["id", "question", "answer"], delimiter="\t" if path.suffix == ".tsv" else ",")
            table.writeheader()
            table.writerows(found)
    else:
        with gzip.open(path, "wt", 1) if path.suffix == ".gz" else open(path, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in found)
    return path


def memory(place: Place, suffix: str, count: int, growth: float, report: Report) -> None:
    source = write(place.folder / f"memory{suffix}", rows(count, place.seed, bad=False))
    output = place.folder / f"memory.out{suffix}"
    started, samples = time.monotonic(), []
    process = place.start(source, output)
    work = place.folder / f"{output.name}.progress" / "rows"
    while process.poll() is None:
        if work.exists() and (pages := resident(process.pid)):  # the model is loaded
            samples.append(pages)
        time.sleep(SAMPLE_SECONDS)
    seconds = time.monotonic() - started
    quarter = max(1, len(samples) // 4)
    first, last = median(samples[:quarter] or [1]), median(samples[-quarter:] or [1])
    grown = 100 * (last / first - 1)
    what = f"{count:,} rows {suffix}"
    found = f"{first:.0f} MiB, then {last:.0f} MiB, {grown:+.1f}%; at most {max(samples or [0]):.0f} MiB; "
    good = process.returncode == OK and grown <= growth and bool(samples)
    report.add("memory", what, f"{found}{count / seconds:,.0f} rows/s with the start", good)
    source.unlink()
    output.unlink(missing_ok=True)


def resident(pid: int) -> float:
    """Return the resident memory of a process in MiB, 0 where it is gone."""
    shown = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True).stdout
    return int(shown or 0) / 1024


def undisturbed(place: Place, source: Path, suffix: str, name: str) -> tuple[Path, float]:
    """Return the output of a run that nobody disturbs, and its seconds."""
    output, started = place.folder / f"{name}{suffix}", time.monotonic()
    status, errors = place.run(source, output)
    if status != BAD_ROWS:
        raise SystemExit(f"exit status {status}: {errors}")
    return output, time.monotonic() - started


def same(output: Path, expected: Path) -> bool:
    """Say whether a run came to its end with what is expected."""
    return not under_way(output) and alike(output, expected)


def alike(output: Path, expected: Path) -> bool:
    pairs = [(output, expected), *[(Path(f"{p}.errors.jsonl") for p in (output, expected))]]
    return all(a.exists() and cmp(a, b, shallow=False) for a, b in pairs)


def under_way(output: Path) -> bool:
    return Path(f"{output}.progress").exists()


def remove(output: Path) -> None:
    output.unlink()
    Path(f"{output}.errors.jsonl").unlink()


def kills(place: Place, step: str, suffix: str, count: int, number: int, report: Report) -> None:
    source = write(place.folder / "kills.jsonl", rows(count, place.seed))
    expected, seconds = undisturbed(place, source, suffix, "expected")
    output, random_ = place.folder / f"killed{suffix}", random.Random(place.seed)
    killed, finished, good, reached = 0, 0, True, []
    while killed < number or under_way(output):
        process = place.start(source, output)
        try:
            # Of the start too, which reads again what is done; on average as long as the run takes, all together.
            process.wait(random_.uniform(0, 2 * seconds / number + 2) if killed < number else None)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed += 1
            reached.append(done_rows(output))
            good &= not output.exists() or alike(output, expected)  # whole or not at all
        else:
            finished += 1
            good &= process.returncode == BAD_ROWS and same(output, expected)
        if output.exists() and not under_way(output):  # killed with its output in place, the next run ends the rest
            remove(output)
    found = f"{killed} kills after {', '.join(map(str, reached))} rows; {finished} runs ended, all alike: {good}"
    report.add(step, f"{count:,} rows to {suffix}, undisturbed {seconds:.0f} s", found, good and finished > 0)
    remove(expected)


def done_rows(output: Path) -> int:
    journal = Path(f"{output}.progress") / "journal.json"
    return int(json.loads(journal.read_text())["place"]["rows"]) if journal.exists() else 0


def full_disk(place: Place, suffix: str, count: int, report: Report) -> None:
    what = f"{count:,} rows to {suffix}"
    if os.name != "posix" or os.geteuid() != 0:
        report.add("disk", what, "skipped: only root may mount a tmpfs", True)
        return
    source = write(place.folder / "disk.jsonl", rows(count, place.seed))
    expected, _ = undisturbed(place, source, suffix, "expected")
    disk, size = place.folder / "disk", expected.stat().st_size
    disk.mkdir(exist_ok=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size // 4}", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        report.add("disk", what, f"skipped: {mounted.stderr.decode().strip()}", True)
        return
    output, told, good, status = disk / f"out{suffix}", [], True, FAILED
    try:
        for share in (0.25, 0.6, 1.3, 2.5, 8.0):
            subprocess.run(["mount", "-o", f"remount,size={int(size * share)}", disk], check=True)
            status, errors = place.run(source, output)
            if status != FAILED:
                break
            good &= errors.startswith("error: ") and errors.count("\n") == 1 and not output.exists()
            told.append(f"{share:g}: {errors.strip()}")
        good &= status == BAD_ROWS and bool(told) and same(output, expected)
    finally:
        subprocess.run(["umount", disk], check=True)
    report.add("disk", what, f"at a size of the output times {'; '.join(told)}; then alike: {good}", good)
    remove(expected)


def cut_gzip(place: Place, count: int, report: Report) -> None:
    whole = write(place.folder / "whole.jsonl.gz", rows(count, place.seed))
    expected, _ = undisturbed(place, whole, ".jsonl", "expected")
    # The same name in both runs, as it is part of the bad rows.
    kept, output = place.folder / "kept", place.folder / "gzip.jsonl"
    shutil.copy(whole, kept)
    os.truncate(whole, kept.stat().st_size * 6 // 10)
    status, errors = place.run(whole, output)
    good = status == FAILED and errors.count("\n") == 1 and "whole.jsonl.gz, after line" in errors
    done = done_rows(output)
    shutil.copy(kept, whole)
    again, _ = place.run(whole, output)
    good &= again == BAD_ROWS and same(output, expected) and done > 0
    report.add("gzip", f"{count:,} rows", f"{errors.strip()}; {done} rows were kept; then alike: {good}", good)
    remove(expected)


def main() -> None:
    steps = ("memory", "kills", "default", "disk", "gzip")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", default="memory,kills,disk,gzip", help=f"some of {','.join(steps)}")
    parser.add_argument("--formats", default=".jsonl", help="of memory, kills and disk, as .jsonl,.csv,.parquet")
    parser.add_argument("--rows", type=int, default=1_000_000, help="of memory and kills")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--default-rows", type=int, default=20_000)
    parser.add_argument("--other-rows", type=int, default=100_000, help="of disk and gzip")
    parser.add_argument("--growth", type=float, default=10.0, help="percent that memory may grow")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", help="where the files lie for the time being; some GB for a million rows")
    args = parser.parse_args()
    if unknown := set(args.steps.split(",")) - set(steps):
        parser.error(f"--steps has {', '.join(sorted(unknown))}; allowed: {', '.join(steps)}")
    sys.path.insert(0, str(ROOT))
    from tests.tiny import build_bundle

    report, started = Report(), time.monotonic()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        tiny = Place(Path(folder), build_bundle(Path(folder) / "tiny"), args.seed)
        default = Place(Path(folder), None, args.seed)
        for step in args.steps.split(","):
            for suffix in args.formats.split(",") if step in ("memory", "kills", "disk") else [".jsonl"]:
                match step:
                    case "memory":
                        memory(tiny, suffix, args.rows, args.growth, report)
                    case "kills":
                        kills(tiny, step, suffix, args.rows, args.kills, report)
                    case "default":
                        kills(default, step, suffix, args.default_rows, args.kills, report)
                    case "disk":
                        full_disk(tiny, suffix, args.other_rows, report)
                    case "gzip":
                        cut_gzip(tiny, args.other_rows, report)
    packages = ", ".join(f"{name} {version(name)}" for name in ("prefmodel", "onnxruntime", "tokenizers", "pyarrow"))
    print(f"{cpu()}, {os.cpu_count()} CPUs; Python {platform.python_version()}, {packages}; {date.today()};")
    print(f"{time.monotonic() - started:.0f} s; seed {args.seed}\n")
    for row in [("step", "what", "found", "good"), ("---",) * 4, *report.rows]:
        print(f"| {' | '.join(row)} |")
    sys.exit(int(report.failed))


def cpu() -> str:
    facts = Path("/proc/cpuinfo")
    named = re.search(r"model name\s*: (.+)", facts.read_text()) if facts.exists() else None
    return named[1] if named else platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
