"""Tests and doctests see the numbers of the base install, also where faster backends are installed."""

import os
import signal

from hypothesis import settings

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell sets it in the background, also for what tests start
    signal.signal(signal.SIGINT, signal.default_int_handler)
# How long an example takes says how busy the machine is; half of the usual number, for the suite to end in time.
settings.register_profile("patient", deadline=None, max_examples=50)
settings.load_profile("patient")
os.environ.setdefault("PREFMODEL_BACKEND", "onnxruntime")
# There is a process of tests for each CPU; threads of their own would only spin for the same CPUs.
os.environ.setdefault("OMP_NUM_THREADS", "1")

SLOW = [
    *("ray", "families", "score_resume", "train_distributed", "pairs_llm", "export", "default_model", "engine"),
    *("pairs_stream", "ablate", "train_interrupted", "benchmark_train", "quantize", "train", "docs"),
]
"""Files of tests that take half a minute or more, the longest first."""


def pytest_collection_modifyitems(items):
    """Begin with the slow files, so that no process is left alone with one of them at the end."""
    place = {f"test_{name}": number for number, name in enumerate(SLOW)}
    items.sort(key=lambda item: place.get(item.path.stem, len(SLOW)))
