"""The word in the explorer's address without which it answers nobody: no page and no other user knows it."""

import hmac
import secrets
from dataclasses import dataclass, field

from stellar_emulator.serving.refusals import App, Receive, RequestError, Scope, Send, answer_whole

FORBIDDEN = 403


def new_token() -> str:
    """A word that nobody guesses."""
    return secrets.token_urlsafe(16)


@dataclass(frozen=True)
class Tokened:
    """An ASGI app all of whose paths begin with a token; the page's own links are relative, and so have it too."""

    app: App
    token: str = field(default_factory=new_token)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            given, separator, rest = scope["path"].removeprefix("/").partition("/")
            if not hmac.compare_digest(given.encode("utf-8", "replace"), self.token.encode()):
                raise RequestError(
                    FORBIDDEN, "the address lacks its token: open the one that stellar-emulator explore printed"
                )
            if not separator:
                await answer_whole(send, 307, b"", b"text/plain", [(b"location", f"/{self.token}/".encode())])
                return
            scope = {**scope, "path": f"/{rest}", "raw_path": f"/{rest}".encode()}
        await self.app(scope, receive, send)
