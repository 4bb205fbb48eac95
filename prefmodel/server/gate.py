"""What every request passes first: the token, bounds of what waits, the body's size and time, a client that leaves."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from collections.abc import Callable, Iterator

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from prefmodel.server.problems import Problem
from prefmodel.server.settings import Settings

OPEN = frozenset({"/", "/page.js", "/page.css", "/health", "/ready"})
"""Paths that need no token: probes have none, and the page has to be there before one can be typed into it."""


class Gate:
    """Turns away what must not or cannot be served, before anything of it is parsed.

    Args:
        app: what comes behind.
        settings: the token and the limits.
        check_room: raises a Problem when the queue is full.
        draining: whether the server is shutting down; answers then tell the client to leave.
    """

    def __init__(self, app: ASGIApp, settings: Settings, check_room: Callable[[], None], draining: Callable[[], bool]):
        self.app, self.settings, self.check_room, self.draining = app, settings, check_room, draining
        self._credentials = None if settings.token is None else f"Bearer {settings.token}".encode()
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def parting(message: Message) -> None:
            if message["type"] == "http.response.start" and self.draining():
                message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
            await send(message)

        with self._counted() as count:
            try:
                headers = dict(scope["headers"])
                self._check_token(scope["path"], headers)
                if scope["method"] != "POST":
                    await self.app(scope, receive, parting)
                    return
                self.check_room()
                body = await self._body(headers, receive, count)
            except Problem as problem:
                await problem.response(scope["path"])(scope, receive, parting)
                return
            if body is not None:
                await self._until_the_client_leaves(scope, body, receive, parting)

    @contextlib.contextmanager
    def _counted(self) -> Iterator[Callable[[int], None]]:
        """Give a function that counts bytes of one body, which are in memory until the block ends."""
        own = 0

        def count(size: int) -> None:
            nonlocal own
            limit = self.settings.queue_bytes
            if self._held + size > limit:
                message = f"the bodies in memory have {self._held + size} bytes; allowed: {limit}"
                raise Problem(503, message, "body", {"Retry-After": "1"})
            own += size
            self._held += size

        try:
            yield count
        finally:
            self._held -= own

    def _check_token(self, path: str, headers: dict[bytes, bytes]) -> None:
        if self._credentials is None or path in OPEN:
            return
        given = headers.get(b"authorization", b"")
        scheme, _, token = given.partition(b" ")
        # The scheme's name may be written in any case; the token is compared in constant time.
        if not hmac.compare_digest(scheme.title() + b" " + token.strip(), self._credentials):
            what = "missing" if not given else "not the one that is allowed"
            message = f"the header Authorization is {what}; allowed: Bearer and the server's token"
            raise Problem(401, message, "Authorization", {"WWW-Authenticate": "Bearer"})

    async def _body(self, headers: dict[bytes, bytes], receive: Receive, count: Callable[[int], None]) -> bytes | None:
        """Return the body, or None where the client left before it was there."""
        limit = self.settings.max_body_bytes
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length[:20]) > limit:
            raise self._too_large(int(length[:20]))
        try:
            return await asyncio.wait_for(self._read(receive, count), self.settings.body_seconds)
        except asyncio.TimeoutError:
            message = f"the body was not there after {self.settings.body_seconds:g} seconds; allowed: no longer"
            # What may still come of it is no request: the connection has to go.
            raise Problem(408, message, "body", {"Connection": "close"}) from None

    async def _read(self, receive: Receive, count: Callable[[int], None]) -> bytes | None:
        chunks, size = [], 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            if size > self.settings.max_body_bytes:
                raise self._too_large(size)
            count(len(chunks[-1]))
            if not message.get("more_body", False):
                return b"".join(chunks)

    def _too_large(self, size: int) -> Problem:
        limit = self.settings.max_body_bytes
        return Problem(413, f"body has {size} bytes or more; allowed: up to {limit}", "body")

    async def _until_the_client_leaves(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        """Run the app on a body that is there, and cancel it when the client leaves, so that its rows are dropped."""
        unread = True

        async def replay() -> Message:
            nonlocal unread
            if unread:
                unread = False
                return {"type": "http.request", "body": body, "more_body": False}
            return await receive()

        async def gone() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        answer = asyncio.ensure_future(self.app(scope, replay, send))
        leaving = asyncio.ensure_future(gone())
        try:
            await asyncio.wait({answer, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if leaving.done() and not answer.done():
                # The client has its answer and the app is about to end, or it left and nobody waits for the answer.
                answer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await answer
        finally:
            answer.cancel()
            leaving.cancel()
