"""A small server for one scene: the page's parts, the splats, the photos, and nothing else."""

from __future__ import annotations

import hmac
import ipaddress
import os
import re
import secrets
import socket
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import urlsplit

from recon3d.errors import InputError
from recon3d.viewer.messages import VersionMessage
from recon3d.viewer.page import POLICY, STATIC, as_json, served_page
from recon3d.viewer.scene_data import SceneData, photo_jpeg

LONGEST_TARGET = 1024  # characters of a request's path; ours have under 100
MOST_CONNECTIONS = 64  # at once; a browser opens six
SILENCE = 30.0  # seconds after which a connection that says nothing is closed
CHUNK = 1 << 20


class Shown(Protocol):
    """What a server shows: a scene that may change while it is shown."""

    def scene(self) -> SceneData: ...

    def version(self) -> VersionMessage: ...


@dataclass(frozen=True)
class Finished:
    """A scene that stays as it is."""

    data: SceneData

    def scene(self) -> SceneData:
        return self.data

    def version(self) -> VersionMessage:
        splats = self.data.message.splats
        return VersionMessage(self.data.message.version, splats.version if splats else 0, running=False, text="")


@dataclass(frozen=True)
class Reply:
    kind: str
    content: bytes | Path


class Server:
    """Listens from the start; `address` is what to open. Close it, or leave the with."""

    def __init__(self, shown: Shown, host: str = "127.0.0.1", port: int = 0) -> None:
        self.token = "" if is_loopback(host) else secrets.token_urlsafe(16)
        handler = type("Handler", (_Handler,), {"shown": shown, "token": self.token, "host": host})
        try:
            self._http = _Listener((host, port), handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(
                f"{host}:{port}", f"it cannot be listened at ({reason})", "Give another --port or --host"
            ) from error
        self.port = self._http.server_address[1]
        self.address = (
            f"http://{f'[{host}]' if ':' in host else host}:{self.port}/{f'{self.token}/' if self.token else ''}"
        )
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.2,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 32

    def __init__(self, address: tuple[str, int], handler: Callable) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._free = threading.BoundedSemaphore(MOST_CONNECTIONS)
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """As the base class binds, without asking the network for this machine's name, which can take seconds."""
        if os.name != "nt":  # a port of connections that have just ended is free; on Windows the flag takes others' ports
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def process_request(self, request, client_address) -> None:  # type: ignore[no-untyped-def]
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request, client_address) -> None:  # type: ignore[no-untyped-def]
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request, client_address) -> None:  # type: ignore[no-untyped-def]
        """A browser that goes away in the middle of an answer is no error of ours."""


class _Handler(BaseHTTPRequestHandler):
    shown: Shown
    token: str
    host: str
    server_version = "recon3d"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    timeout = SILENCE

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def __getattr__(self, name: str):  # type: ignore[no-untyped-def]
        if name.startswith("do_"):  # every other method; the base class would say that we do not know it
            return lambda: self._refuse(405, allow=True)
        raise AttributeError(name)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed for a request."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the base class refuses (a request that is malformed or too long) is refused in our words too."""
        self._refuse(code)

    def _answer(self, with_body: bool) -> None:
        if len(self.path) > LONGEST_TARGET:
            return self._refuse(414)
        if self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers:
            return self._refuse(413)
        if not host_is_ours(self.headers.get_all("Host") or [], self.host, self.connection.getsockname()[1]):
            return self._refuse(421)
        reply = self._reply()
        if reply is None:
            return self._refuse(404)
        content: BinaryIO | None = None
        try:
            if isinstance(reply.content, Path):
                content = open(reply.content, "rb")  # noqa: SIM115 - closed below
                size = reply.content.stat().st_size
            else:
                size = len(reply.content)
            self._head(200, reply.kind, size)
            if with_body and isinstance(reply.content, bytes):
                self.wfile.write(reply.content)
            elif with_body and content:
                while chunk := content.read(CHUNK):
                    self.wfile.write(chunk)
        finally:
            if content:
                content.close()

    def _reply(self) -> Reply | None:
        """What a path stands for; None where it stands for nothing. No path of the request reaches the disk."""
        path = urlsplit(self.path).path
        if self.token:
            given, _, path = path.removeprefix("/").partition("/")
            if not hmac.compare_digest(given.encode(), self.token.encode()):
                return None
            path = f"/{path}"
        scene = self.shown.scene()
        if path == "/":
            return Reply("text/html; charset=utf-8", served_page().encode("utf-8"))
        if path == "/viewer.js":
            return Reply("text/javascript; charset=utf-8", STATIC / "viewer.js")
        if path == "/viewer.css":
            return Reply("text/css; charset=utf-8", STATIC / "viewer.css")
        if path == "/scene.json":
            return Reply("application/json", as_json(asdict(scene.message)).encode("utf-8"))
        if path == "/version.json":
            return Reply("application/json", as_json(asdict(self.shown.version())).encode("utf-8"))
        if re.fullmatch(r"/splats/[0-9]{1,9}", path) and scene.splats is not None:
            return Reply("application/octet-stream", scene.splats)
        photo = re.fullmatch(r"/photos/([0-9]{1,6})\.jpg", path)
        if photo and int(photo[1]) < len(scene.photos):
            place = scene.photos[int(photo[1])]
            jpeg = None if place is None else _photo(place)
            return None if jpeg is None else Reply("image/jpeg", jpeg)
        return None

    def _head(self, code: int, kind: str, size: int) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(size))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.end_headers()

    def _refuse(self, code: int, allow: bool = False) -> None:
        self.close_connection = True
        self.send_response(code)
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        if allow:
            self.send_header("Allow", "GET, HEAD")
        self.end_headers()


@lru_cache(maxsize=512)
def _photo(path: Path) -> bytes | None:
    return photo_jpeg(path)


def host_is_ours(given: list[str], host: str, port: int) -> bool:
    """Whether a request's Host names this server: pages of other sites that were led here by their own name do not.

    On the loopback its names count; beyond it any address in numbers, this machine's name and the one listened at do.
    """
    match = (
        re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?", given[0]) if len(given) == 1 else None
    )
    if match is None or int(match[2] or 80) != port:
        return False
    name = match[1].strip("[]").lower()
    if is_loopback(name) or name == host.lower():
        return True
    return not is_loopback(host) and (_is_address(name) or name == socket.gethostname().lower())


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
