"""How fast `prefmodel pairs` streams threads, in how much memory, and whether a killed run ends with the same bytes.

    python -m benchmarks.pairs --threads 20000

Writes synthetic threads (a seeded vocabulary, lengths as on a forum, passages, votes, models), builds their pairs with
one worker and with two, then kills a run (SIGKILL) in the middle, repeats the command and compares the files. Options
that it does not know go to `prefmodel pairs`.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from random import Random

import numpy as np

from axioms.registry import AXIOMS
from prefmodel.files import read_threads, sha256, write_threads
from prefmodel.types import Answer, Thread

SYLLABLES = [
    a + b for a in ("b", "ch", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "st", "t", "v") for b in "aeiou"
]
LINKS = "the of and to in is that it for was on are as with be by not this but from they which".split()  # noqa: SIM905
FACTS = (
    "It was first made in {place} in {year} by {name}.",
    "The {word} of that region is always kept at {n} degrees for {m} days.",
    "A single {word} weighs {n} grams and is more expensive than before.",
    "{name} sold {n} of them in {place} because the price increased.",
    "The largest {word} was found in {place} in May {year}.",
)
PLACES = ("France", "Belgium", "Austria", "Norway", "Japan", "Kenya", "Berlin", "London", "Paris", "Chicago")
NAMES = ("Ann Miller", "John Smith", "Mary Jones", "Peter Brown", "Laura Wilson", "David Clark")
MODELS = (None, None, "gpt-4", "gpt-3.5-turbo", "llama-13b", "claude-2", "vicuna-13b")


DRAWN = 1 << 16
"""Words drawn at once."""


class Author:
    """Writes threads at random, the same for the same seed.

    Args:
        seed: of the words and of what is drawn.
        length: of the texts; with 1 an answer has some 70 words.
    """

    def __init__(self, seed: int, length: float = 1.0):
        self.rng = Random(seed)
        self.length = length
        self.words = ["".join(self.rng.choices(SYLLABLES, k=self.rng.randint(2, 4))) for _ in range(30_000)]
        weights = 1 / np.arange(10, 30_010)  # as often as words are in a language
        self.weights = weights / weights.sum()
        self.ends = self.weights.cumsum().tolist()
        self.stream = self._stream()

    def _stream(self) -> Iterator[str]:
        """Yield words as they follow each other in a text; "" stands for one of the topic."""
        choices = np.array([*LINKS, "", *self.words], object)
        weights = np.array([*[0.45 / len(LINKS)] * len(LINKS), 0.1, *0.45 * self.weights])
        rng, ends = np.random.default_rng(self.rng.getrandbits(32)), weights.cumsum()
        while True:  # thousands at once: a million threads have some 400 million words
            yield from choices[np.searchsorted(ends, rng.random(DRAWN) * ends[-1], "right")].tolist()

    def thread(self, number: int) -> Thread:
        topic = self.rng.choices(self.words, cum_weights=self.ends, k=4)
        question = f"Why does the {topic[0]} of {self.rng.choice(PLACES)} {topic[1]} when {topic[2]} is {topic[3]}? "
        question += self.text(topic, 0.6) if self.rng.random() < 0.5 else ""
        answers = [self.answer(topic) for _ in range(self.rng.randint(1, 5))]
        passages = [self.text(topic, 1.5) for _ in range(self.rng.randint(0, 2))]
        source = f"forum{number // 5000 % 4}"  # a forum's threads stand together
        return Thread(f"{source}/{number}", source, question.strip(), tuple(answers), tuple(passages))

    def answer(self, topic: list[str]) -> Answer:
        model = self.rng.choice(MODELS)
        text = self.text(topic, self.rng.lognormvariate(0, 0.7))
        if model:
            return Answer(text, "model", model=model)
        return Answer(text, votes=int(self.rng.paretovariate(0.8)) - 1, accepted=self.rng.random() < 0.3)

    def text(self, topic: list[str], length: float) -> str:
        """Return sentences about a topic, some 70 words for a length of 1 (times the length of the author)."""
        return " ".join(self.sentence(topic) for _ in range(max(1, round(5 * length * self.length))))

    def sentence(self, topic: list[str]) -> str:
        rng = self.rng
        if rng.random() < 0.3:
            names = {"place": rng.choice(PLACES), "name": rng.choice(NAMES), "word": rng.choice(topic)}
            return rng.choice(FACTS).format(
                **names, year=rng.randint(1700, 2020), n=rng.randint(2, 90), m=rng.randint(2, 60)
            )
        said = [word or rng.choice(topic) for word in islice(self.stream, rng.randint(6, 22))]
        return f"{' '.join(said).capitalize()}."


def synthetic_threads(size: int, length: float = 1.0, seed: int = 0) -> Iterator[Thread]:
    """Yield threads that no source has, of the lengths of a forum's times `length`."""
    author = Author(seed, length)
    return (author.thread(number) for number in range(size))


class Watch:
    """The most memory that a process and its children hold together, in bytes; a look every second.

    Once a minute it says on stderr how many blocks are finished.

    Args:
        process: what is watched.
        parts: folder of the finished blocks.
        blocks: how many there will be.
    """

    def __init__(self, process: subprocess.Popen[bytes], parts: Path, blocks: int):
        self.bytes = 0
        self._process, self._parts, self._blocks = process, parts, blocks
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        began = said = time.monotonic()
        while self._process.poll() is None:
            self.bytes = max(self.bytes, sum(map(resident, family(self._process.pid))))
            if time.monotonic() - said >= 60:
                said = time.monotonic()
                finished = f"{len(finished_blocks(self._parts))} of {self._blocks} blocks finished"
                told = f"{finished} after {said - began:.0f} s, peak {self.bytes / 1e6:.0f} MB"
                print(told, file=sys.stderr, flush=True)
            time.sleep(1)  # a look takes the time that the pages of all processes take


def finished_blocks(parts: Path) -> list[Path]:
    """Return the files that say that a block is finished; none where the folder is gone, as at the end of a run."""
    return list(parts.glob("*.npz"))


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(each for child in children for each in family(int(child)))]


def resident(pid: int) -> int:
    """Return the memory of a process in bytes; what it shares with others is divided among them (PSS)."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def start(threads: Path, output: Path, workers: int, *more: str) -> subprocess.Popen[bytes]:
    """Start `prefmodel pairs` in a group of its own."""
    command = [sys.executable, "-m", "prefmodel.cli", "pairs", str(threads), "-o", str(output)]
    command += ["--workers", str(workers), *more]
    return subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE)


def finish(running: subprocess.Popen[bytes], parts: Path, threads: int, block: int) -> str:
    """Wait for a run, print how long it took, speed and peak memory, and return what it said."""
    began, used, before = time.monotonic(), children_time(), len(finished_blocks(parts))
    watch = Watch(running, parts, -(-threads // block))
    _, said = running.communicate()
    if running.returncode:
        sys.exit(said.decode())
    seconds, done = time.monotonic() - began, threads - before * block
    speed = f"{done / seconds:.0f} threads/s, {done / (children_time() - used):.0f} a second of CPU"
    print(f"  {done} threads in {seconds:.0f} s, {speed}, peak {watch.bytes / 1e6:.0f} MB", flush=True)
    return said.decode()


def children_time() -> float:
    """Return the CPU time of the processes that have ended, which says more where others use the machine too."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def kill(running: subprocess.Popen[bytes], parts: Path, blocks: int) -> None:
    """Kill a run (SIGKILL) when it has finished half of its blocks."""
    Watch(running, parts, blocks)
    while running.poll() is None and len(finished_blocks(parts)) < blocks // 2:
        time.sleep(0.02)
    if running.poll() is not None:
        sys.exit("the run ended before it could be killed; give more --threads or a smaller --block")
    os.kill(running.pid, signal.SIGKILL)  # its workers have to end by themselves
    running.wait()
    print(f"  killed with {len(finished_blocks(parts))} blocks finished", flush=True)


def run(threads: Path, size: int, block: int, workers: int, killed: bool, *more: str) -> str:
    """Build the pairs, in a run that is killed half-way and repeated if so asked, and return the hash of the file."""
    output = threads.with_name(f"pairs-{workers}{'-killed' if killed else ''}-of-{threads.name}")
    parts = output.with_name(f"{output.name}.parts")
    print(f"{workers} workers{', killed and repeated' if killed else ''}", flush=True)
    if killed:
        kill(start(threads, output, workers, *more), parts, -(-size // block))
    said = finish(start(threads, output, workers, *more), parts, size, block)
    if said.startswith("going on"):
        print(f"  {said.splitlines()[0]}")
    print(said[said.rindex("axiom ") :].rstrip(), flush=True)
    digest = sha256(output)
    print(f"  {output.stat().st_size / 1e6:.0f} MB of pairs, SHA-256 {digest[:16]}", flush=True)
    return digest


def written(path: Path, size: int, length: float) -> float:
    """Write the threads, unless they lie there of an earlier run, and return their mean number of words."""
    if not path.exists():
        write_threads(path, progress(synthetic_threads(size, length)))
    some = islice(read_threads(path), 1000)
    return sum(len(text.split()) for thread in some for text in texts(thread)) / min(size, 1000)


def texts(thread: Thread) -> list[str]:
    """Return the question, the answers and the passages of a thread."""
    return [thread.question, *(answer.text for answer in thread.answers), *thread.passages]


def progress(threads: Iterator[Thread]) -> Iterator[Thread]:
    """Pass threads on, and say on stderr how many were written."""
    for number, thread in enumerate(threads):
        if number and not number % 100_000:
            print(f"{number} threads written", file=sys.stderr)
        yield thread


def alone(threads: Sequence[Thread]) -> None:
    """Print how fast each axiom builds its pairs of threads that lie in memory."""
    print("| axiom | pairs | pairs/s | threads/s |\n| --- | --- | --- | --- |")
    for name, build in AXIOMS.items():
        began = time.process_time()
        pairs = sum(1 for _ in build(threads, Random(0)))
        seconds = time.process_time() - began
        print(f"| {name} | {pairs} | {pairs / seconds:.0f} | {len(threads) / seconds:.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=20_000)
    parser.add_argument("--length", type=float, default=1.0, help="of the texts; 1 is some 70 words an answer")
    parser.add_argument("--block", type=int, default=10_000)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2], help="of each run that nobody disturbs")
    parser.add_argument("--kill", type=int, default=2, metavar="WORKERS", help="of the run that is killed; 0 for none")
    parser.add_argument("--alone", action="store_true", help="time each axiom alone too; holds all threads in memory")
    parser.add_argument("--folder", type=Path, help="for the files, which stay there; by default a temporary one")
    arguments, more = parser.parse_known_args()
    with nullcontext(arguments.folder) if arguments.folder else tempfile.TemporaryDirectory() as folder:
        threads = Path(folder) / f"threads-{arguments.threads}-{arguments.length:g}.jsonl"
        words = written(threads, arguments.threads, arguments.length)
        size = threads.stat().st_size / 1e6
        print(f"{arguments.threads} threads of {words:.0f} words on average, {size:.0f} MB", flush=True)
        if arguments.alone:
            alone(list(read_threads(threads)))
        more += ["--block", str(arguments.block)]
        runs = [(workers, False) for workers in arguments.workers] + [(arguments.kill, True)] * (arguments.kill > 0)
        hashes = {run(threads, arguments.threads, arguments.block, *each, *more) for each in runs}
        if len(runs) > 1:
            print("the files are the same" if len(hashes) == 1 else f"the files DIFFER: {hashes}")


if __name__ == "__main__":
    main()
