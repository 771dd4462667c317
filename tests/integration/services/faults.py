"""A server that says exactly the bytes it is told to, as slowly as it is told to."""

import socket
import threading
import time
from collections.abc import Callable
from http import HTTPStatus

Answer = bytes | Callable[["Conversation"], None]


def http(
    status: int = 200, body: bytes = b"", headers: dict[str, str] | None = None, announced: int | None = None
) -> bytes:
    """Compose an answer, possibly with a Content-Length that is wrong."""
    lines = {
        "Content-Length": str(len(body) if announced is None else announced),
        "Last-Modified": "Mon, 01 Apr 2019 03:05:44 GMT",
        "ETag": '"0"',
        "Connection": "close",
        **(headers or {}),
    }
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
    return (head + "".join(f"{name}: {value}\r\n" for name, value in lines.items()) + "\r\n").encode() + body


def s3_error(status: int, code: str) -> bytes:
    """Compose an error as S3 does."""
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>no</Message></Error>'.encode()
    return http(status, body, {"Content-Type": "application/xml"})


def drip(answer: bytes, seconds_per_byte: float) -> Answer:
    """Send an answer byte by byte."""

    def send(conversation: "Conversation") -> None:
        for byte in answer:
            conversation.send(bytes([byte]))
            conversation.pause(seconds_per_byte)

    return send


def hang(answer: bytes = b"") -> Answer:
    """Send the start of an answer, then nothing, until the other side or the test has had enough."""

    def send(conversation: "Conversation") -> None:
        conversation.send(answer)
        conversation.pause(30.0)

    return send


class Conversation:
    """One request and its answer; the connection is closed afterwards."""

    def __init__(self, connection: socket.socket, stopped: threading.Event) -> None:
        self._connection = connection
        self._stopped = stopped

    def send(self, data: bytes) -> None:
        self._connection.sendall(data)

    def pause(self, seconds: float) -> None:
        self._stopped.wait(seconds)
        if self._stopped.is_set():
            raise ConnectionAbortedError


class FaultServer:
    """Gives the first request the first answer, and so on; the last answer is repeated."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._threads: list[threading.Thread] = []
        self.requests: list[str] = []
        self.received = b""
        self._connected = threading.Event()
        self.host, self.port = self._listener.getsockname()
        self.url = f"http://{self.host}:{self.port}"
        self._run(self._accept)

    def _run(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._run(self._converse, connection)
            self._connected.set()

    def _converse(self, connection: socket.socket) -> None:
        connection.settimeout(30)
        with connection:
            try:
                request = self._read_request(connection)
                if not request:
                    return
                with self._lock:
                    self.requests.append(request)
                    answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
                conversation = Conversation(connection, self._stopped)
                if callable(answer):
                    answer(conversation)
                else:
                    conversation.send(answer)
            except OSError:
                return

    def _read_request(self, connection: socket.socket) -> str:
        """Read a request with its body; gives the head."""
        data = b""
        while b"\r\n\r\n" not in data:
            chunk = connection.recv(65536)
            if not chunk:
                return ""
            data += chunk
            self.received += chunk
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        if headers.get("expect", "").lower() == "100-continue":
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        missing = int(headers.get("content-length", "0")) - len(body)
        deadline = time.monotonic() + 10
        while missing > 0 and time.monotonic() < deadline:
            missing -= len(connection.recv(65536))
        return head.decode("latin-1")

    def wait_for_connection(self) -> None:
        """Wait until somebody connected, and until all that connected so far are done."""
        assert self._connected.wait(5), "nobody connected"
        for thread in self._threads[1:]:
            thread.join(5)

    def stop(self) -> None:
        """Stop listening and end all conversations."""
        self._stopped.set()
        # Closing alone does not wake a thread that waits in accept.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)
