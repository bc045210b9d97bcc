"""HTTP/1.1 by hand over a socket, for requests that no client library would send."""

import json
import select
import socket
import time


class Answer:
    """One parsed response: `status` 0 means that the connection closed without one."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def __repr__(self):
        return f"{self.status} {self.body[:300]!r}"


CLOSED = Answer(0, {}, b"")


def connect(port, timeout=10):
    return socket.create_connection(("127.0.0.1", port), timeout=timeout)


def parse(data):
    """The responses in what a connection sent; an unfinished last one counts with what there is of it."""
    answers = []
    while data:
        head, separator, rest = data.partition(b"\r\n\r\n")
        if not separator or not head.startswith(b"HTTP/"):
            break
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ")[1])
        headers = {}
        for line in lines[1:]:
            key, _, value = line.partition(":")
            headers[key.strip().lower()] = value.strip()
        if status < 200:
            data = rest
            continue
        if "chunked" in headers.get("transfer-encoding", ""):
            body, rest = _chunks(rest)
        else:
            size = int(headers.get("content-length", len(rest)))
            body, rest = rest[:size], rest[size:]
        answers.append(Answer(status, headers, body))
        data = rest
    return answers


def _chunks(data):
    body = b""
    while data:
        line, _, data = data.partition(b"\r\n")
        size = int(line.split(b";")[0] or b"0", 16)
        if size == 0:
            return body, data.partition(b"\r\n")[2]
        body, data = body + data[:size], data[size + 2 :]
    return body, b""


def receive(sock, seconds=10, quiet=0.15):
    """Bytes until the peer closes, or nothing came for `quiet` seconds after a whole response."""
    data = b""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ready, _, _ = select.select([sock], [], [], quiet)
        if not ready:
            if parse(data):
                break
            continue
        try:
            piece = sock.recv(1 << 16)
        except ConnectionError:
            break
        if not piece:
            break
        data += piece
    return data


def exchange(port, data, seconds=10):
    """All responses to these bytes. A peer that answers and closes while we still send is heard."""
    with connect(port) as sock:
        sock.setblocking(False)
        view, got, closed = memoryview(data), b"", False
        end = time.monotonic() + seconds
        while view and not closed and time.monotonic() < end:
            readable, writable, _ = select.select([sock], [sock], [], 0.5)
            if readable:
                try:
                    piece = sock.recv(1 << 16)
                    closed = not piece
                    got += piece
                except ConnectionError:
                    closed = True
                if parse(got):
                    break
            if writable and not closed:
                try:
                    view = view[sock.send(view[: 1 << 18]) :]
                except BlockingIOError:
                    pass
                except ConnectionError:
                    # Refused in the middle: what was answered before may still be there to read.
                    break
        got += receive(sock, max(0.5, end - time.monotonic())) if not closed else b""
    return parse(got)


def request(body, path="/v1/chat/completions", method="POST", headers=(), length=True, host="127.0.0.1"):
    """The bytes of a plain request with these headers added."""
    body = body if isinstance(body, bytes) else body.encode()
    lines = [f"{method} {path} HTTP/1.1", f"host: {host}", "authorization: Bearer sk-any", "content-type: application/json"]
    if length:
        lines.append(f"content-length: {len(body)}")
    lines += [f"{key}: {value}" for key, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def post(port, body, seconds=10, **more):
    """The first response to a body, or CLOSED."""
    answers = exchange(port, request(body, **more), seconds)
    return answers[0] if answers else CLOSED
