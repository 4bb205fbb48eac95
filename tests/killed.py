"""A process that kills itself in the middle of what it writes."""

import json
import os
import signal
import subprocess
import sys
import traceback
from pathlib import Path

ROOT = Path(__file__).parents[1]
NEVER = 1 << 30
"""An event that no process comes to."""


def alone(function, *arguments):
    """Return what a function of a module of tests prints as JSON, in a process of its own, which may copy itself."""
    script = f"import sys; from {function.__module__} import {function.__name__} as f; f(*sys.argv[1:])"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def kill_at(instant):
    """Kill this process at the so-manieth event that changes the file system."""
    seen = 0

    def watch(event, arguments):
        nonlocal seen
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if writes or event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree"):
            seen += 1
            if seen == instant:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def killed_at(instant, action):
    """Run an action in a copy of this process that is killed at the so-manieth event; return whether it ended itself.

    Not in a process with threads, as that of the tests: a copy of it can wait for a lock for ever.
    """
    child = os.fork()
    if child == 0:
        try:
            kill_at(instant)
            action()
        except BaseException:
            traceback.print_exc()
            os._exit(1)  # and not as an exception through what called this
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert status == 0 or os.WIFSIGNALED(status)
    return status == 0
