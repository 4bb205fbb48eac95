"""Axioms of other packages, by the entry points of `GROUP`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from random import Random
from typing import Any

from prefmodel.errors import InputError, PrefModelError, one_line, shown
from prefmodel.types import PRINCIPLES, PreferencePair, Thread

GROUP = "prefmodel.axioms"
"""The target of an entry point is a module with `build` and `PRINCIPLE`, or such a module's function."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """An axiom of another package; it is imported when it is used, in each process anew.

    Args:
        name: what the user calls it, and what its pairs have as their axiom.
        target: its module, or module:function.

    Raises:
        InputError: it cannot be imported, fails, or yields what is no pair of its own; the text names it.
    """

    name: str
    target: str

    def __call__(self, threads: Sequence[Thread], rng: Random) -> Iterator[PreferencePair]:
        build = self.load()
        principle = import_module(build.__module__).PRINCIPLE
        try:
            for pair in build(threads, rng):
                if not isinstance(pair, PreferencePair) or pair.axiom != self.name:
                    raise InputError(f"it yields {shown(pair)}; allowed: PreferencePair with axiom={self.name!r}")
                if pair.principle != principle:
                    allowed = f"allowed: {principle!r}, as its module's PRINCIPLE says"
                    raise InputError(f"it yields a pair whose principle is {shown(pair.principle)}; {allowed}")
                yield pair
        except GeneratorExit:
            raise
        except PrefModelError as error:
            raise InputError(f"axiom {self.name} ({self.target}): {error}") from None
        except Exception as error:  # of code that is not ours; no common base
            raise InputError(f"axiom {self.name} ({self.target}): {_told(error)}") from None

    def load(self) -> Callable[..., Any]:
        """Return its function; raise InputError where there is none."""
        try:
            found = EntryPoint(self.name, self.target, GROUP).load()
        except Exception as error:
            raise InputError(f"axiom {self.name} ({self.target}) cannot be imported: {_told(error)}") from None
        build = getattr(found, "build", found)
        if not callable(build):
            raise InputError(f"axiom {self.name} ({self.target}) is no function and has no function `build`")
        module = import_module(build.__module__)
        if getattr(module, "PRINCIPLE", "") not in (*PRINCIPLES, None):
            allowed = f"allowed: {', '.join(PRINCIPLES)} or None"
            raise InputError(f"axiom {self.name} ({self.target}): {module.__name__} has no PRINCIPLE; {allowed}")
        return build  # type: ignore[no-any-return]


def plugins() -> dict[str, Plugin]:
    """Return the axioms of other packages by name, none of them imported yet."""
    return {point.name: Plugin(point.name, point.value) for point in sorted(entry_points(group=GROUP))}


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {one_line(error)}"
