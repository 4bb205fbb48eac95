"""JSON as it is read from rows: only what can be written again."""

from __future__ import annotations

import json
import math
from typing import Any

from prefmodel.errors import shown

MAX_DEPTH = 100
"""Lists and objects within each other. Python gives up at about 1,000, in a place that nobody can foresee."""


def json_value(text: str) -> Any:
    """Return what JSON text stands for; `NaN` and `Infinity` are numbers, as Python writes them.

    Raises:
        ValueError: the text is not JSON, or it holds a number or a nesting that could not be written again.

    >>> json_value('{"votes": 1e400}')
    Traceback (most recent call last):
        ...
    ValueError: the number '1e400' has no 64-bit float
    """
    try:
        value = _DECODER.decode(text)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if text.count("[") + text.count("{") > MAX_DEPTH:
        level = [value]
        for _ in range(MAX_DEPTH):
            level = [child for part in level for child in _children(part)]
        if any(isinstance(part, list | dict) for part in level):
            raise ValueError(_TOO_DEEP)
    return value


def _children(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"the number {shown(text)} has no 64-bit float")
    return value


_DECODER = json.JSONDecoder(parse_float=_finite)
_TOO_DEEP = f"lists and objects are nested over {MAX_DEPTH} deep"
