"""Errors that a user can act on. The command line prints their text in one line and exits with status 1."""


class PrefModelError(Exception):
    """Base of every error that prefmodel raises on purpose."""


class InputError(PrefModelError, ValueError):
    """An argument or a field is not what is allowed; the text names it, its value and what is allowed."""


class FileFormatError(PrefModelError, ValueError):
    """A file cannot be read as what it should be; the text names the file and, where there is one, the line."""


class BundleError(PrefModelError):
    """A folder is not a bundle, or a bundle is damaged."""


class MissingExtraError(PrefModelError, ImportError):
    """An optional dependency is not installed; the text says which extra brings it."""


def shown(value: object, limit: int = 60) -> str:
    """Return `value` as a short one-line repr for an error text.

    >>> shown("a" * 100, limit=10)
    "'aaaaaa..."
    """
    text = repr(value).replace("\n", " ")  # arrays have lines
    return text if len(text) <= limit else text[: limit - 3] + "..."


def one_line(error: object, limit: int = 400) -> str:
    """Return what an error says as one short line without control characters.

    >>> one_line(ValueError("two\\nlines and \\x1b[31m red"))
    'two lines and ?[31m red'
    """
    text = " ".join(str(error).split()) or type(error).__name__
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def missing_extra(feature: str, extra: str) -> MissingExtraError:
    """Return the error that says which extra of the package `feature` needs."""
    return MissingExtraError(f"{feature} needs the extra {extra!r}: pip install 'prefmodel[{extra}]'")
