"""Clients that send or read one byte at a time: each is bounded in time and memory, and nobody else waits for them."""

import json
import socket
import threading
import time

import raw
from harness import expect

CONNECTIONS = 50
HEAD_SECONDS_MAX = 30
BODY_SECONDS_MAX = 60
KEPT_SECONDS = 20


class Slow:
    """Connections that send one byte a second, and when the gateway ended each of them."""

    def __init__(self, port, first, drip):
        self.sockets = []
        self.ended = {}
        self.drip = drip
        self.began = time.monotonic()
        for _ in range(CONNECTIONS):
            sock = raw.connect(port)
            sock.sendall(first)
            sock.setblocking(False)
            self.sockets.append(sock)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while len(self.ended) < len(self.sockets) and time.monotonic() - self.began < 90:
            for number, sock in enumerate(self.sockets):
                if number in self.ended:
                    continue
                try:
                    sock.send(self.drip)
                    answer = sock.recv(4096)
                except BlockingIOError:
                    continue
                except OSError:
                    answer = b""
                self.ended[number] = (time.monotonic() - self.began, answer)
            time.sleep(1)
        for sock in self.sockets:
            sock.close()


class Kept:
    """A connection that was used once; clients keep theirs in a pool and use it again later."""

    def __init__(self, port):
        self.sock = raw.connect(port)
        self.since = time.monotonic()
        self.first = self.call()

    def call(self):
        self.sock.sendall(raw.request(json.dumps({"model": "via-openai", "messages": [{"role": "user", "content": "x"}]})))
        return raw.parse(raw.receive(self.sock))


def begin(gateway):
    """Starts the slow senders; [`run`] judges them when everything else is done."""
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\n"
    return {
        "heads": Slow(gateway.port, head + b"x-slow: ", b"a"),
        "bodies": Slow(gateway.port, raw.request(b"", headers=[("content-length", "1000000")], length=False) + b'{"a":"', b"a"),
        "silent": Slow(gateway.port, b"", b""),
        "kept": Kept(gateway.port),
    }


def bounded(slow, seconds, statuses):
    slow.thread.join(95)
    expect(len(slow.ended) == CONNECTIONS, f"{CONNECTIONS - len(slow.ended)} of {CONNECTIONS} are still open after 90 s")
    last = max(at for at, _ in slow.ended.values())
    expect(last < seconds, f"the last one was ended after {last:.0f} s")
    for _, answer in slow.ended.values():
        expect(not answer or any(answer.startswith(f"HTTP/1.1 {it}".encode()) for it in statuses), f"{answer[:200]!r}")


def kept_alive(kept):
    """A pooled connection that was idle for a while is still good: `idle_timeout` is 75 s, not the time for a head."""
    idle = KEPT_SECONDS - (time.monotonic() - kept.since)
    time.sleep(max(0, idle))
    try:
        second = kept.call()
    except ConnectionError:
        second = []
    expect([it.status for it in kept.first + second] == [200, 200], f"{kept.first}, then {second}")


def others_are_served(gateway):
    began = time.monotonic()
    status, _, body = gateway.chat("via-openai")
    expect(status == 200, f"{status} {body}")
    expect(time.monotonic() - began < 1, "a normal call waited")


def slow_reader(gateway):
    """40 clients ask for long streams and do not read: what waits for them is bounded."""
    before = gateway.process.status_kb("VmRSS")
    sockets = []
    body = json.dumps({"model": "flood", "messages": [{"role": "user", "content": "x"}], "stream": True})
    for _ in range(40):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", gateway.port))
        sock.sendall(raw.request(body))
        sockets.append(sock)
    time.sleep(3)
    grown = (gateway.process.status_kb("VmRSS") - before) // 1024
    others_are_served(gateway)
    for sock in sockets:
        sock.close()
    expect(grown < 40, f"{grown} MB for 40 clients that do not read")


def half_closed(gateway):
    """A client that has closed its sending half still reads its answer."""
    with raw.connect(gateway.port) as sock:
        sock.sendall(raw.request(json.dumps({"model": "via-openai", "messages": [{"role": "user", "content": "x"}]})))
        sock.shutdown(socket.SHUT_WR)
        answers = raw.parse(raw.receive(sock))
    # Servers may also take this for a client that left; nothing else.
    expect(not answers or answers[0].status == 200, f"{answers}")


def run(checks, gateway, slow):
    checks.run("a normal call beside slow clients", others_are_served, gateway)
    checks.run("clients that do not read", slow_reader, gateway)
    checks.run("a client that closed its half", half_closed, gateway)
    checks.run("a connection kept for a while", kept_alive, slow["kept"])
    checks.run("heads at a byte a second", bounded, slow["heads"], HEAD_SECONDS_MAX, (408, 400, 431), seconds=100)
    checks.run("bodies at a byte a second", bounded, slow["bodies"], BODY_SECONDS_MAX, (408, 400), seconds=100)
    checks.run("connections that say nothing", bounded, slow["silent"], 90, (408, 400), seconds=100)
