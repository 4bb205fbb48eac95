"""Reads the examples of our docstrings, which are doctests, as sections of examples."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

_EXAMPLE = re.compile(r"^Example:$", re.MULTILINE)
_BARE = re.compile(r"^>>> ", re.MULTILINE)


class Doctests(Extension):
    """Turns `Example:` and doctests that stand alone at the end into `Examples:`, which Google's style knows."""

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = with_examples(obj.docstring.value)


def with_examples(text: str) -> str:
    """Return a docstring with its doctests in a section.

    >>> with_examples("Add.\\n\\n>>> 1 + 1\\n2").splitlines()
    ['Add.', '', 'Examples:', '    >>> 1 + 1', '    2']
    """
    text = _EXAMPLE.sub("Examples:", text)
    bare = _BARE.search(text)
    if bare is None:
        return text
    start = bare.start()
    lines = [f"    {line}" if line else "" for line in text[start:].splitlines()]
    return text[:start] + "Examples:\n" + "\n".join(lines)
