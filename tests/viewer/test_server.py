"""The server gives one scene's files and nothing else, to this machine and to nobody who was led here from elsewhere."""

import http.client
import json
import os
import socket
from contextlib import contextmanager
from pathlib import Path

import pytest

from recon3d.cli.main import outcome
from recon3d.errors import InputError
from recon3d.viewer import server as serving
from recon3d.viewer.scene_data import open_scene
from recon3d.viewer.server import Finished, Server, host_is_ours
from tests.viewer.small_scene import run_folder


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "secret.txt").write_text("secret")
    return run_folder(tmp_path / "out")


@pytest.fixture
def server(folder):
    with Server(Finished(open_scene(folder)[0])) as running:
        yield running


@contextmanager
def connected(server: Server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    yield connection
    connection.close()


def answer(
    server: Server, path: str, method: str = "GET", **headers: str
) -> tuple[int, bytes, http.client.HTTPMessage]:
    with connected(server) as connection:
        connection.putrequest(method, path, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        reply = connection.getresponse()
        return reply.status, reply.read(), reply.headers


def raw(server: Server, request: bytes) -> bytes:
    """The first bytes of the answer to a request that no client would write."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(request)
        return connection.recv(4096)


def test_it_listens_on_the_loopback_at_a_free_port_without_a_token(server):
    assert server.address == f"http://127.0.0.1:{server.port}/" and server.token == ""


def test_the_page_its_parts_the_scene_and_the_photos_are_given(server, folder):
    status, page, headers = answer(server, "/")
    assert status == 200 and b"viewer.js" in page and "default-src 'none'" in headers["Content-Security-Policy"]
    assert answer(server, "/viewer.js")[0] == answer(server, "/viewer.css")[0] == 200
    scene = json.loads(answer(server, "/scene.json")[1])
    assert [camera["name"] for camera in scene["cameras"]] == ["a.jpg", "left/b.png", "c.jpg"]
    assert answer(server, "/splats/1")[1] == (folder / "scene.ply").read_bytes()
    status, photo, headers = answer(server, "/photos/1.jpg")
    assert status == 200 and photo[:2] == b"\xff\xd8" and headers["Content-Type"] == "image/jpeg"
    assert json.loads(answer(server, "/version.json")[1])["running"] is False


def test_head_gives_the_length_and_no_bytes(server, folder):
    status, body, headers = answer(server, "/splats/1", "HEAD")
    assert status == 200 and body == b"" and int(headers["Content-Length"]) == (folder / "scene.ply").stat().st_size


@pytest.mark.parametrize(
    "path",
    [
        "/scene.ply", "/report.json", "/cameras.json", "/images/a.jpg", "/../secret.txt", "/photos/../../secret.txt",
        "/photos/..%2f..%2fsecret.txt", "/%2e%2e/secret.txt", "//etc/passwd", "/etc/passwd", "/photos/3.jpg",
        "/photos/-1.jpg", "/photos/99999999999999.jpg", "/splats/", "/splats/1/..", "/viewer.js/", "/static/viewer.js",
        "/server.py", "/photos/1.jpg%00", "/..\\secret.txt", "*",
        "/\u00e9".encode().decode("latin-1"), "/photos/\u0661.jpg".encode().decode("latin-1"),
    ],
)  # fmt: skip
def test_nothing_else_is_given_whatever_the_path(server, path):
    assert raw(server, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode("latin-1")).startswith(
        (b"HTTP/1.1 404", b"HTTP/1.1 400")
    )


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "CONNECT", "PROPFIND"])
def test_other_methods_are_refused(server, method):
    status, _, headers = answer(server, "/", method)
    assert status == 405 and headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "", "localhost:{port}@x", "192.168.0.2:{port}"],
)
def test_a_foreign_host_is_refused(server, host):
    """A name that somebody else pointed at this machine (DNS rebinding) gives no access to its pages."""
    assert answer(server, "/scene.json", Host=host.format(port=server.port))[0] == 421


def test_a_request_without_a_host_or_with_two_is_refused(server):
    assert raw(server, b"GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 421")
    host = f"Host: 127.0.0.1:{server.port}\r\n".encode()
    assert raw(server, b"GET / HTTP/1.1\r\n" + host + host + b"\r\n").startswith(b"HTTP/1.1 421")


def test_this_machines_own_names_are_taken(server):
    for name in ("localhost", "127.0.0.1", "LOCALHOST", "[::1]"):
        assert answer(server, "/", Host=f"{name}:{server.port}")[0] == 200


def test_oversize_requests_are_refused(server):
    assert answer(server, "/" + "a" * 2000)[0] == 414
    assert answer(server, "/" + "a" * 100_000)[0] == 414
    assert answer(server, "/", Content_Length="5")[0] == 413
    assert answer(server, "/", Transfer_Encoding="chunked")[0] == 413
    assert answer(server, "/", X="a" * 70_000)[0] == 431
    many = b"".join(b"X-%d: 1\r\n" % i for i in range(200))
    assert raw(server, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + many + b"\r\n").startswith(b"HTTP/1.1 431")


def test_what_is_no_http_is_refused_and_the_server_lives_on(server):
    for request in (b"\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\x00\xa5\x01\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"):
        assert not raw(server, request).startswith(b"HTTP/1.1 200")
    assert answer(server, "/")[0] == 200


def test_more_connections_than_a_browser_opens_are_closed(server, monkeypatch):
    held = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(serving.MOST_CONNECTIONS)]
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as one_more:
        assert one_more.recv(1) == b""
    for connection in held:
        connection.close()


def test_beyond_the_loopback_only_an_address_with_the_token_is_answered(folder):
    with Server(Finished(open_scene(folder)[0]), host="0.0.0.0") as server:
        assert len(server.token) >= 20 and server.address.endswith(f"/{server.token}/")
        assert answer(server, f"/{server.token}/")[0] == answer(server, f"/{server.token}/scene.json")[0] == 200
        for path in (
            "/",
            "/scene.json",
            "/splats/1",
            f"/{server.token[:-1]}x/",
            f"/{server.token.lower()}/x",
            "/x/scene.json",
        ):
            assert answer(server, path)[0] == 404, path
        assert answer(server, f"/{server.token}/", Host=f"evil.example:{server.port}")[0] == 421


def test_hosts_beyond_the_loopback_are_addresses_in_numbers_or_names_of_this_machine():
    assert host_is_ours(["192.168.0.2:80"], "0.0.0.0", 80) and host_is_ours(["192.168.0.2"], "0.0.0.0", 80)
    assert host_is_ours([f"{socket.gethostname()}:80"], "0.0.0.0", 80) and host_is_ours(["[fe80::1]:80"], "::", 80)
    assert not host_is_ours(["evil.example:80"], "0.0.0.0", 80) and not host_is_ours(
        ["192.168.0.2:80"], "127.0.0.1", 80
    )


def test_a_port_that_is_taken_is_one_line(server, folder, capsys):
    with pytest.raises(InputError, match="cannot be listened at"):
        Server(server, port=server.port)
    assert outcome(["view", str(folder), "--port", str(server.port), "--no-browser"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.skipif(os.name == "nt", reason="on Windows a port is free at once")
def test_a_port_can_be_listened_at_again_while_a_browsers_connection_lingers(server, folder):
    """view --port N right after Ctrl-C: the connections of the server before are not quite gone yet."""
    with connected(server) as connection:
        connection.request("GET", "/")
        connection.getresponse().read()
        server.close()
        with Server(Finished(open_scene(folder)[0]), port=server.port) as again:
            assert again.port == server.port and answer(again, "/")[0] == 200


def test_a_photo_that_vanished_or_broke_is_missing_and_the_rest_goes_on(server, folder):
    (folder / "images" / "c.jpg").write_bytes(b"\xff\xd8 no picture")
    assert answer(server, "/photos/2.jpg")[0] == 404
    assert answer(server, "/photos/0.jpg")[0] == 200
