"""Load on `prefmodel serve` over loopback, beside offline batch scoring of the same rows on the same machine.

    python benchmarks/serve.py pairs.jsonl.gz --seconds 60 --clients 64 --json result.json

1. Offline: `score_batch` in this process.
2. Load: clients in a process of their own, each with one connection, send single pairs one after the other.
3. Overload: requests come at `--factor` times the measured rate, whether or not earlier ones were answered. Then the
   clients of step 2 come back: how fast is it from 2 seconds after the overload on?
4. SIGTERM during load: every request that was accepted has to be answered.

Options that are not listed here go to `prefmodel serve`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from prefmodel.files import read_pairs
from prefmodel.model import PreferenceModel

UNANSWERED = "unanswered"
REFUSED = "refused"
GRACE_SECONDS = 2.0
HEAD = "POST /score HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"


@dataclass
class Answers:
    """What clients saw: the status of each request, and when (`time.time()`) and after how long each 200 came."""

    statuses: Counter[int | str] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    retry_after: int = 0

    def note(self, status: int | str, started: float) -> None:
        self.statuses[status] += 1
        if status == 200:
            self.times.append(time.time())
            self.seconds.append(time.time() - started)


class Connection:
    """One connection, which is opened when it is needed. As little as will do, to leave the CPU to the server."""

    def __init__(self, port: int):
        self.port = port
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, body: bytes, answers: Answers) -> int | str:
        """Send one request and note its answer: a status, or that it was refused or got no answer."""
        started = time.time()
        status: int | str = UNANSWERED
        try:
            if self.streams is None:
                self.streams = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            answers.note(REFUSED, started)
            return REFUSED
        reader, writer = self.streams
        try:
            writer.write(HEAD.format(len(body)).encode() + body)
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = re.search(r"content-length: (\d+)", head)
            await reader.readexactly(int(length[1]) if length else 0)
            status = int(head.split()[1])
            answers.retry_after += "\r\nretry-after: " in head
            if "connection: close" in head:
                self.close()
        except (OSError, EOFError):
            self.close()
        answers.note(status, started)
        return status

    def close(self) -> None:
        if self.streams is not None:
            self.streams[1].close()
            self.streams = None


async def closed_loop(port: int, bodies: list[bytes], clients: int, seconds: float) -> Answers:
    """Let clients send one request after the other, until the time is over or they are refused."""
    answers, due = Answers(), time.time() + seconds
    turn = itertools.cycle(bodies)

    async def client() -> None:
        connection = Connection(port)
        while time.time() < due:
            if await connection.ask(next(turn), answers) == REFUSED:
                break
        connection.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return answers


async def open_loop(port: int, bodies: list[bytes], rate: float, seconds: float) -> Answers:
    """Send `rate` requests a second, however many are still unanswered; then wait for all answers."""
    answers, started, sent = Answers(), time.time(), 0
    turn, idle, tasks = itertools.cycle(bodies), [], set()

    async def one(connection: Connection, body: bytes) -> None:
        await connection.ask(body, answers)
        idle.append(connection)

    while (now := time.time() - started) < seconds:
        while sent < now * rate:
            task = asyncio.ensure_future(one(idle.pop() if idle else Connection(port), next(turn)))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            sent += 1
        await asyncio.sleep(0.005)
    stopped = time.time()
    await asyncio.gather(*tasks)
    for connection in idle:
        connection.close()
    answers.times.append(stopped)  # the last entry: when the last request was sent
    return answers


def _client_process(queue: Any, kind: str, arguments: tuple[Any, ...]) -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    queue.put(asyncio.run({"closed": closed_loop, "open": open_loop}[kind](*arguments)))


class Clients:
    """A process of clients that runs beside this one."""

    def __init__(self, kind: str, *arguments: Any):
        spawn = multiprocessing.get_context("spawn")
        self.queue = spawn.Queue()
        self.process = spawn.Process(target=_client_process, args=(self.queue, kind, arguments))
        self.process.start()

    def result(self) -> Answers:
        answers: Answers = self.queue.get()
        self.process.join()
        return answers


@contextlib.contextmanager
def server(model: str | None, threads: int | None, options: list[str]) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run the server on a free port; it ends with the block, if it has not before."""
    command = [sys.executable, "-m", "prefmodel.cli", "serve", "--port", "0"]
    command += ["--model", model] if model else []
    command += ["--threads", str(threads)] if threads else []
    process = subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    found = re.search(r":(\d+)$", process.stderr.readline().strip())
    if not found:
        raise SystemExit(process.stderr.read())
    # What the server still has to say shall neither fill the pipe nor be lost.
    threading.Thread(target=lambda: sys.stderr.writelines(process.stderr or ()), daemon=True).start()
    try:
        while True:
            with contextlib.suppress(OSError):
                get(int(found[1]), "/ready")
                break
            if process.poll() is not None:
                raise SystemExit("the server ended")
            time.sleep(0.1)
        yield process, int(found[1])
    finally:
        process.kill()
        process.wait()


def get(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as response:
        return str(response.read().decode())


def memory(pid: int) -> float:
    """Return the resident memory of a process, MiB."""
    return int(subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True).stdout) / 1024


def offline(model: str | None, threads: int | None, rows: list[tuple[Any, str]], seconds: float) -> float:
    """Return rows a second of batch scoring, on at least `seconds` of work where there are rows enough."""
    loaded = PreferenceModel.from_pretrained(model, threads=threads)
    loaded.score_batch(*zip(*rows[:8], strict=True))
    started, done = time.perf_counter(), 0
    chunk = min(len(rows), 512)  # long enough that sorting by length pays in full
    while time.perf_counter() - started < seconds:
        part = [rows[i % len(rows)] for i in range(done, done + chunk)]
        loaded.score_batch(*zip(*part, strict=True))
        done += chunk
    return done / (time.perf_counter() - started)


def measure(args: argparse.Namespace, options: list[str]) -> dict[str, Any]:
    """Run all steps and return what they found."""
    rows = []
    for pair in itertools.islice(read_pairs(args.pairs), args.rows // 2):
        rows += [(pair.question, pair.chosen), (pair.question, pair.rejected)]
    np.random.default_rng(0).shuffle(order := np.arange(len(rows)))
    rows = [rows[i] for i in order]
    bodies = [json.dumps({"question": _json(question), "answers": [answer]}).encode() for question, answer in rows]
    found: dict[str, Any] = {"rows": len(rows), "cpus": os.cpu_count(), "clients": args.clients}
    found["offline_rows_per_second"] = offline(args.model, args.threads, rows, args.seconds / 3)
    with server(args.model, args.threads, options) as (process, port):
        load = Clients("closed", port, bodies, args.clients, args.seconds).result()
        found |= {"load_statuses": _keys(load.statuses), "rows_per_second": _rate(load)}
        found["of_offline"] = found["rows_per_second"] / found["offline_rows_per_second"]
        found["p50_seconds"], found["p99_seconds"] = np.percentile(load.seconds, [50, 99]).tolist()

        found["memory_before"] = memory(process.pid)
        offered = args.factor * found["rows_per_second"]
        overload = Clients("open", port, bodies, offered, args.overload_seconds)
        peaks = []
        while overload.process.is_alive() and overload.queue.empty():
            peaks.append(memory(process.pid))
            time.sleep(0.25)
        flood = overload.result()
        found |= {"offered_per_second": offered, "overload_statuses": _keys(flood.statuses)}
        found |= {"with_retry_after": flood.retry_after, "memory_during": [peaks[len(peaks) // 2], max(peaks)]}
        stopped = flood.times.pop()
        # Those of the flood that waited are answered first. The speed is that of all answers together.
        again = Clients("closed", port, bodies, args.clients, GRACE_SECONDS + args.seconds / 4).result()
        times = np.array(flood.times + again.times)
        first = max(stopped, min(again.times) if not flood.times else stopped) + GRACE_SECONDS
        last = max(again.times) - max(again.seconds)
        found["rows_per_second_again"] = float(((times >= first) & (times < last)).sum() / max(last - first, 1e-9))
        found["speed_again"] = found["rows_per_second_again"] / found["rows_per_second"]
        found["again_statuses"] = _keys(again.statuses)
        found["memory_after"] = memory(process.pid)

        ending = Clients("closed", port, bodies, args.clients, 600.0)
        time.sleep(args.seconds / 6 + 3)
        process.send_signal(signal.SIGTERM)
        started = time.time()
        found["exit_status"] = process.wait(120)
        found["shutdown_seconds"] = time.time() - started
        found["shutdown_statuses"] = _keys(ending.result().statuses)
    return found


def _rate(answers: Answers) -> float:
    """Return answers a second, from first to last."""
    return (len(answers.times) - 1) / max(max(answers.times) - min(answers.times), 1e-9)


def _keys(statuses: Counter[int | str]) -> dict[str, int]:
    return {str(status): count for status, count in sorted(statuses.items(), key=str)}


def _json(question: Any) -> Any:
    return question if isinstance(question, str) else [{"role": m.role, "content": m.content} for m in question]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", help="preference pairs, .jsonl or .jsonl.gz")
    parser.add_argument("--model", help="folder or name; by default the default model")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--rows", type=int, default=4000, help="rows to use of the file")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60.0, help="of load")
    parser.add_argument("--overload-seconds", type=float, default=20.0)
    parser.add_argument("--factor", type=float, default=10.0, help="of the measured rate, in the overload")
    parser.add_argument("--json", metavar="OUT", help="file for the result")
    args, options = parser.parse_known_args()
    found = measure(args, options)
    for name, value in found.items():
        print(f"{name:<26} {f'{value:.3f}' if isinstance(value, float) else value}")
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(found, file, indent=2)
            file.write("\n")


if __name__ == "__main__":
    main()
