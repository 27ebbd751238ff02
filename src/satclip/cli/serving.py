"""One page on 127.0.0.1, for as long as it is wanted."""

import errno
import signal
from collections.abc import Iterable
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import click

from satclip.cli.signals import Stopped

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

HOST = "127.0.0.1"
_NAMES = (HOST, "localhost")


class PageServer(ThreadingMixIn, WSGIServer):
    """Answers `/` with one page and everything else with 404, to this machine alone.

    A request must name this machine as its host: a page from elsewhere whose name was made to point here gets nothing.

    Raises:
        click.ClickException: the port is taken, or not ours to take.
    """

    daemon_threads = True  # a browser keeps connections open on which it asks for nothing

    def __init__(self, port: int = 0) -> None:
        self.page = b""
        try:
            super().__init__((HOST, port), _Quiet)
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            why = "is in use" if error.errno == errno.EADDRINUSE else "may not be opened by you"
            raise click.ClickException(f"port {port} {why}; leave --port out for a free one") from error
        self.set_app(self._answer)

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self.server_port}/"

    def _answer(self, asked: dict[str, Any], start: "StartResponse") -> Iterable[bytes]:
        if asked.get("HTTP_HOST", "").rsplit(":", 1)[0] not in _NAMES:
            status, kind, body = "403 Forbidden", "text/plain", b"this page is for its own machine\n"
        elif asked["REQUEST_METHOD"] not in ("GET", "HEAD"):
            status, kind, body = "405 Method Not Allowed", "text/plain", b"there is only a page to read\n"
        elif asked["PATH_INFO"] != "/":
            status, kind, body = "404 Not Found", "text/plain", b"the page is at /\n"
        else:
            status, kind, body = "200 OK", "text/html", self.page
        headers = [("Content-Type", f"{kind}; charset=utf-8"), ("Content-Length", str(len(body)))]
        start(status, [*headers, ("Cache-Control", "no-store")])
        return [] if asked["REQUEST_METHOD"] == "HEAD" else [body]


class _Quiet(WSGIRequestHandler):
    """Says nothing of what is asked: the terminal is the user's."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Called for each answer."""


def serve(server: PageServer, text: str) -> None:
    """Serve a page until Ctrl+C, which is how it ends well.

    Raises:
        Stopped: another signal ended it.
    """
    server.page = text.encode()
    try:
        click.echo(f"{server.url}  (Ctrl+C ends it)", err=True)
        server.serve_forever()
    except (Stopped, KeyboardInterrupt) as stopped:
        if isinstance(stopped, Stopped) and stopped.number != signal.SIGINT:
            raise
        click.echo("\nno longer served", err=True)
    finally:
        server.server_close()
