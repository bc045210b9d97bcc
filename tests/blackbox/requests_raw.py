"""Requests that break HTTP itself, or bend it to smuggle one request inside another."""

import json

import raw
from bodies import in_shape
from harness import expect

GOOD = json.dumps({"model": "via-openai", "messages": [{"role": "user", "content": "Hello"}]})
# What an attacker hopes is read as a second request.
MARK = "smuggled-model"
SECOND = raw.request(json.dumps({"model": f"up-openai/{MARK}", "messages": [{"role": "user", "content": "x"}]})).decode()


def lines(*more, body="", start="POST /v1/chat/completions HTTP/1.1", host="host: 127.0.0.1"):
    head = [start, *([host] if host else []), "authorization: Bearer sk-any", "content-type: application/json", *more]
    return ("\r\n".join(head) + "\r\n\r\n" + body).encode("latin-1")


def chunk(text):
    return f"{len(text):x}\r\n{text}\r\n"


LENGTH = f"content-length: {len(GOOD)}"
# A 4xx or a closed connection.
BROKEN = [
    ("length and chunked", lines(LENGTH, "transfer-encoding: chunked", body="0\r\n\r\n" + SECOND)),
    ("two lengths that differ", lines(LENGTH, "content-length: 0", body=GOOD + SECOND)),
    ("a list of lengths", lines(f"content-length: {len(GOOD)}, 0", body=GOOD + SECOND)),
    ("a length below zero", lines("content-length: -1", body=GOOD)),
    ("a length with a plus", lines(f"content-length: +{len(GOOD)}", body=GOOD)),
    ("a length in hexadecimal", lines("content-length: 0x10", body=GOOD)),
    ("a length beyond 64 bits", lines("content-length: 99999999999999999999999", body=GOOD)),
    ("chunked is not last", lines("transfer-encoding: chunked, identity", body=chunk(GOOD) + "0\r\n\r\n")),
    ("chunked misspelt", lines("transfer-encoding: xchunked", body=SECOND)),
    ("a chunk size that is none", lines("transfer-encoding: chunked", body="zz\r\nabc\r\n0\r\n\r\n")),
    ("a chunk size that overflows", lines("transfer-encoding: chunked", body="ffffffffffffffffff\r\nabc")),
    ("a chunk longer than it says", lines("transfer-encoding: chunked", body="2\r\nabcdef\r\n0\r\n\r\n")),
    ("a header in two lines", lines("x-folded: one\r\n two", LENGTH, body=GOOD)),
    ("a space before the colon", lines("x-spaced : one", LENGTH, body=GOOD)),
    ("a length with a space before the colon", lines("content-length : 5", LENGTH, body=GOOD)),
    ("a NUL in a header", lines("x-nul: a\0b", LENGTH, body=GOOD)),
    ("a bare CR in a header", lines("x-cr: a\rb", LENGTH, body=GOOD)),
    ("a header without a name", lines(": one", LENGTH, body=GOOD)),
    ("200 headers", lines(*(f"x-{it}: 1" for it in range(200)), LENGTH, body=GOOD)),
    ("a header of 64 KB", lines("x-long: " + "a" * 65_536, LENGTH, body=GOOD)),
    ("a header of 1 MB", lines("x-long: " + "a" * (1 << 20), LENGTH, body=GOOD)),
    ("a path of 100 KB", lines(LENGTH, start="POST /" + "a" * 100_000 + " HTTP/1.1", body=GOOD)),
    ("no version", b"POST /v1/chat/completions\r\n\r\n"),
    ("a version of the future", lines(LENGTH, start="POST /v1/chat/completions HTTP/9.9", body=GOOD)),
    ("a method that is none", lines(LENGTH, start="P@ST /v1/chat/completions HTTP/1.1", body=GOOD)),
    ("CONNECT", b"CONNECT 127.0.0.1:1 HTTP/1.1\r\nhost: 127.0.0.1:1\r\n\r\n"),
    ("TLS", bytes.fromhex("16030100b0010000ac0303") + b"\0" * 160),
    ("nonsense", bytes(range(256)) * 4),
]
# Odd, and read alike by everyone: an answer is right too, as long as it is one and nothing is smuggled.
ODD = [
    # RFC 9112, 6.3: the length is ignored, and the connection ends after the answer.
    ("chunked and length", lines("transfer-encoding: chunked", "content-length: 4", body=chunk(GOOD) + "0\r\n\r\n" + SECOND)),
    ("chunked twice", lines("transfer-encoding: chunked, chunked", body=chunk(GOOD) + "0\r\n\r\n")),
    ("a chunk with an extension", lines("transfer-encoding: chunked", body=f"{len(GOOD):x};a=b\r\n{GOOD}\r\n0\r\n\r\n")),
    ("trailers", lines("transfer-encoding: chunked", body=chunk(GOOD) + "0\r\nx-trailer: 1\r\n\r\n")),
    ("the same length twice", lines(LENGTH, LENGTH, body=GOOD)),
    ("HTTP/1.0", lines(LENGTH, start="POST /v1/chat/completions HTTP/1.0", body=GOOD)),
    ("no host", lines(LENGTH, host=None, body=GOOD)),
    ("bare line feeds", lines(LENGTH, body=GOOD).replace(b"\r\n", b"\n")),
]
# In the client's shape, because HTTP itself was in order.
REFUSED = [
    ("GET on chat", lines(start="GET /v1/chat/completions HTTP/1.1"), {404, 405}),
    ("DELETE on chat", lines(start="DELETE /v1/chat/completions HTTP/1.1"), {404, 405}),
    ("TRACE", lines(start="TRACE /v1/chat/completions HTTP/1.1"), {404, 405, 400}),
    ("an unknown path", lines(LENGTH, start="POST /v1/nothing HTTP/1.1", body=GOOD), {404}),
    ("an encoded path", lines(LENGTH, start="POST /v1/chat%2fcompletions HTTP/1.1", body=GOOD), {404}),
    ("dots in the path", lines(LENGTH, start="POST /v1/../admin HTTP/1.1", body=GOOD), {404, 400}),
    ("two slashes", lines(LENGTH, start="POST //metrics HTTP/1.1", body=GOOD), {404}),
    ("metrics on the callers' side", lines(start="GET /metrics HTTP/1.1"), {404}),
    ("a bad host", lines(LENGTH, host="host: localhost/#@x", body=GOOD), {400}),
]


def broken(gateway, fake, data):
    answers = raw.exchange(gateway.port, data, seconds=5)
    for answer in answers:
        expect(400 <= answer.status < 500 or answer.status in (501, 505), f"{answers}")
    expect(len(answers) <= 1, f"a second answer: {answers}")
    expect(not fake.log(MARK), "the smuggled request was carried out")


def odd(gateway, fake, data):
    answers = raw.exchange(gateway.port, data, seconds=5)
    expect(len(answers) <= 1, f"{answers}")
    for answer in answers:
        expect(answer.status == 200 or 400 <= answer.status < 500, f"{answer}")
    expect(not fake.log(MARK), "the smuggled request was carried out")


def refused(gateway, data, statuses):
    answers = raw.exchange(gateway.port, data, seconds=5)
    expect(answers, "no answer")
    in_shape(answers[0], statuses, "refused")


def absolute_form(gateway, fake):
    """A proxy's form of request: the path counts, the other host is never contacted."""
    before = len(fake.log())
    data = lines(LENGTH, start="POST http://elsewhere.example/v1/chat/completions HTTP/1.1", body=GOOD)
    answers = raw.exchange(gateway.port, data)
    expect(answers and (answers[0].status == 200 or 400 <= answers[0].status < 500), f"{answers}")
    expect(len(fake.log()) - before == (1 if answers[0].status == 200 else 0), "who answered?")


def pipelined(gateway):
    """Two requests in one packet are two answers in order."""
    answers = raw.exchange(gateway.port, raw.request(GOOD) * 2)
    expect([it.status for it in answers] == [200, 200], f"{answers}")


def kept_alive_after_refusal(gateway):
    """A refused body does not leave its rest to be read as the next request."""
    with raw.connect(gateway.port) as sock:
        for body, status in [(b"nonsense", 400), (GOOD.encode(), 200)]:
            try:
                sock.sendall(raw.request(body))
            except ConnectionError:
                return  # closed after the refusal, which is as good
            answers = raw.parse(raw.receive(sock))
            if not answers and status == 200:
                return
            expect(answers and answers[0].status == status, f"{answers} instead of {status}")


def overrides_are_ignored(gateway, fake):
    """Nobody but the configuration says where a call goes, and with which key."""
    headers = [
        ("x-portkey-custom-host", "http://127.0.0.1:1/"),
        ("x-base-url", "http://127.0.0.1:1/"),
        ("openai-base-url", "http://127.0.0.1:1/"),
        ("x-forwarded-host", "elsewhere.example"),
        ("x-forwarded-for", "10.0.0.1"),
        ("cookie", "session=secret"),
        ("proxy-authorization", "Basic c2VjcmV0"),
        ("x-fake-behave", "503"),
    ]
    answer = raw.post(gateway.port, GOOD[:-1] + ', "api_base": "http://127.0.0.1:1/", "base_url": "http://127.0.0.1:1/"}', headers=headers)
    expect(answer.status == 200 or answer.status == 400, f"{answer}")
    sent = json.dumps(fake.log()[-1]["headers"]).lower()
    for secret in ("session=secret", "c2vjcmv0", "elsewhere.example", "10.0.0.1", "sk-any"):
        expect(secret not in sent, f"{secret} went upstream: {sent}")


def run(checks, gateway, fake):
    for title, data in BROKEN:
        checks.run(f"HTTP: {title}", broken, gateway, fake, data)
    for title, data in ODD:
        checks.run(f"HTTP: {title}", odd, gateway, fake, data)
    for title, data, statuses in REFUSED:
        checks.run(f"HTTP: {title}", refused, gateway, data, statuses)
    checks.run("HTTP: absolute form", absolute_form, gateway, fake)
    checks.run("HTTP: two requests in one packet", pipelined, gateway)
    checks.run("HTTP: the connection after a refusal", kept_alive_after_refusal, gateway)
    checks.run("HTTP: overrides by headers and fields", overrides_are_ignored, gateway, fake)
    checks.run("well after bad HTTP", gateway.healthy)
