"""What the server allows, and for how long."""

from __future__ import annotations

from dataclasses import dataclass, field

from prefmodel.errors import InputError, shown


@dataclass(frozen=True, slots=True)
class Settings:
    """Limits of one server process.

    Tokens are estimated from the length of the texts, because exact counts are known only once a text was tokenised,
    and that is done on the scoring thread.

    Args:
        model_name: the name that responses give the model.
        token: the bearer token that requests must carry, printable ASCII; None lets everybody in.
        max_body_bytes: size of a request's body.
        max_rows: (question, answer) rows of one request, and turns of one dialogue.
        max_text_chars: characters of one text, or of all turns of one dialogue.
        queue_tokens: once so many tokens wait, further requests are turned away with 503. One request that was let
            in may exceed it.
        queue_bytes: once bodies of so many bytes are in memory, whether they are still coming or wait for their
            answer, the body that needs more gets 503. One body always has room: a lower value becomes
            `max_body_bytes`.
        batch_tokens: tokens that are scored together. More of them waste less on padding; fewer let a newcomer wait
            less.
        wait_ms: milliseconds that a request waits for others to join it while nothing else is scored.
        request_seconds: a request that is not answered after so long gets 504.
        body_seconds: a request whose body is not there after so long gets 408.
        shutdown_seconds: after SIGTERM, what is not answered after so long gets 503.

    Raises:
        InputError: a value is not allowed; the text names the field, its value and what is allowed.

    >>> Settings(max_rows=0)
    Traceback (most recent call last):
        ...
    prefmodel.errors.InputError: max_rows is 0; allowed: a whole number from 1 to 1000000
    """

    model_name: str = "prefmodel"
    token: str | None = field(default=None, repr=False)
    max_body_bytes: int = 4 * 1024 * 1024
    max_rows: int = 512
    max_text_chars: int = 100_000
    queue_tokens: int = 65_536
    queue_bytes: int = 64 * 1024 * 1024
    batch_tokens: int = 8_192
    wait_ms: float = 2.0
    request_seconds: float = 60.0
    body_seconds: float = 10.0
    shutdown_seconds: float = 30.0

    def __post_init__(self) -> None:
        if not isinstance(self.model_name, str) or not self.model_name.strip():
            raise InputError(f"model_name is {shown(self.model_name)}; allowed: non-empty text")
        token = self.token
        if token is not None and not (isinstance(token, str) and token and token.isascii() and token.isprintable()):
            raise InputError("token is not shown here; allowed: printable ASCII, or none")  # it is a secret
        if token is not None and token != token.strip():
            raise InputError("token is not shown here; allowed: no space at its ends")  # headers lose it
        self._whole("max_body_bytes", 1_000, 1 << 30)
        self._whole("max_rows", 1, 1_000_000)
        self._whole("max_text_chars", 1, 1 << 30)
        self._whole("queue_tokens", 1, 1 << 40)
        self._whole("queue_bytes", 1, 1 << 40)
        self._whole("batch_tokens", 1, 1 << 30)
        self._number("wait_ms", 0, 1_000)
        for name in ("request_seconds", "body_seconds", "shutdown_seconds"):
            self._number(name, 0.01, 86_400)
        object.__setattr__(self, "queue_bytes", max(self.queue_bytes, self.max_body_bytes))

    def _whole(self, name: str, low: int, high: int) -> None:
        value = getattr(self, name)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise InputError(f"{name} is {shown(value)}; allowed: a whole number from {low} to {high}")

    def _number(self, name: str, low: float, high: float) -> None:
        value = getattr(self, name)
        if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
            raise InputError(f"{name} is {shown(value)}; allowed: a number from {low:g} to {high:g}")

    @property
    def limits(self) -> dict[str, int | float]:
        """Return what a client has to keep to, by name; `GET /info` tells it."""
        names = ("max_body_bytes", "max_rows", "max_text_chars", "queue_tokens", "queue_bytes", "request_seconds")
        return {name: getattr(self, name) for name in names}
