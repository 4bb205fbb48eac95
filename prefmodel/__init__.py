"""A compact reward model: tells how good an answer is, and why, on a plain CPU without torch."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prefmodel.model import PreferenceModel
    from prefmodel.shortcuts import compare, explain, rank, score
    from prefmodel.types import Answer, Message, PreferencePair, Thread

    __version__: str

__all__ = [
    "Answer",
    "Message",
    "PreferenceModel",
    "PreferencePair",
    "Thread",
    "__version__",
    "compare",
    "explain",
    "rank",
    "score",
]

# Imported on first use, so that `import prefmodel` and `prefmodel --help` do not wait for onnxruntime.
_HOMES = {
    "model": ("PreferenceModel",),
    "shortcuts": ("compare", "explain", "rank", "score"),
    "types": ("Answer", "Message", "PreferencePair", "Thread"),
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("prefmodel")
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"prefmodel.{home}"), name)
    raise AttributeError(f"module 'prefmodel' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
