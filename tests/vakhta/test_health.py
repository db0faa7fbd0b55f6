"""The health check of the image, against real sockets."""

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from vakhta import health, stack

Serve = Callable[[bytes], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server that sends these bytes to its first client; gives its address."""
    doors: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def start(answer: bytes) -> str:
        door = socket.create_server(("127.0.0.1", 0))
        doors.append(door)

        def run() -> None:
            peer, _ = door.accept()
            with peer:
                peer.recv(1024)
                peer.sendall(answer)

        threads.append(threading.Thread(target=run, daemon=True))
        threads[-1].start()
        return f"127.0.0.1:{door.getsockname()[1]}"

    yield start
    for thread in threads:
        thread.join(5)
    for door in doors:
        door.close()


@pytest.fixture
def nobody() -> str:
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        return f"127.0.0.1:{door.getsockname()[1]}"


@pytest.mark.parametrize(
    ("answer", "code", "complaint"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n", 0, "", id="200 is healthy"),
        pytest.param(b"HTTP/1.1 503 Nope\r\n\r\n", 1, "/-/healthy answered 503", id="503 is not"),
        pytest.param(b"HTTP/1.1 204 \r\n\r\n", 1, "/-/healthy answered 204", id="nor is another success"),
        pytest.param(
            b"220 smtp ready\r\n", 1, "answered, but not as a web server does", id="another protocol"
        ),
        pytest.param(b"", 1, "answered, but not as a web server does", id="silence"),
    ],
)
def test_answers(
    serve: Serve, capsys: pytest.CaptureFixture[str], answer: bytes, code: int, complaint: str
) -> None:
    """Only a web server's 200 counts; anything else is named with the address."""
    address = serve(answer)
    assert health.main([address]) == code
    assert capsys.readouterr().err == (f"{address}: {complaint}\n" if complaint else "")


def test_one_good_answer_is_enough(serve: Serve, nobody: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The other process is in another container: that it does not listen here is no fault."""
    assert health.main([nobody, serve(b"HTTP/1.1 200 OK\r\n\r\n")]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        pytest.param("exporter", "not host:port, such as 127.0.0.1:9817", id="no port"),
        pytest.param("127.0.0.1:70000", "not host:port, such as 127.0.0.1:9817", id="no such port"),
    ],
)
def test_bad_addresses(address: str, complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    """They are refused in words, not by a traceback."""
    assert health.main([address]) == 1
    assert complaint in capsys.readouterr().err


def test_nobody_listens(nobody: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The system's own reason is shown."""
    assert health.main([nobody]) == 1
    assert "Connection refused" in capsys.readouterr().err


def test_the_default_is_where_both_listen() -> None:
    """The check imports neither program, so it repeats their addresses."""
    assert tuple(f"http://{address}" for address in health.DEFAULT) == (stack.EXPORTER, stack.ALERTING)
