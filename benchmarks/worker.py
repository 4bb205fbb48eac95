"""A process that a benchmark asks for work, line by line: a line of JSON, or an empty one, for a line of JSON."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.peer_environments import WorkerError

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")


class WorkerProcess:
    """A worker; it ends with `close`. The first line that it writes is `facts`.

    Args:
        command: interpreter, script and options.
        log: file for what it writes to stderr.
        threads: that its libraries may use.
        variables: of its environment, beside those for the threads.
        folder: that it works in; by default this one's.

    Raises:
        WorkerError: it does not start; the text is the last line of the log.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        threads: int,
        variables: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ):
        self._log = log
        own = {**dict.fromkeys(THREAD_VARIABLES, str(threads)), "TOKENIZERS_PARALLELISM": "true", "HF_HUB_OFFLINE": "1"}
        with open(log, "w", encoding="utf-8") as errors:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=folder,
                env={**os.environ, **own, **(variables or {})},
            )
        try:
            self.facts = self._answer()
        except WorkerError:
            self.close()
            raise

    def ask(self, task: Any = None) -> dict[str, Any]:
        """Send a task, JSON values or nothing, and return the answer; raise WorkerError when there is none."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write("\n" if task is None else json.dumps(task) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise self._error() from None
        return self._answer()

    def close(self) -> None:
        """Let the process end."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._error()
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _error(self) -> WorkerError:
        lines = self._log.read_text(encoding="utf-8", errors="replace").split("\n")
        return WorkerError(next((line for line in reversed(lines) if line.strip()), "no word"))
