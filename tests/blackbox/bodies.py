"""Bodies that are not what they should be."""

import json

import raw
from harness import DIALECTS, expect

MESSAGES = [{"role": "user", "content": "Hello"}]
MEGABYTE = 1 << 20
# `server.body_max` as shipped.
BODY_MEGABYTES_MAX = 32


def in_shape(answer, statuses, what):
    """A refusal in the shape that the OpenAI SDKs read."""
    expect(answer.status in statuses, f"{what}: {answer}")
    error = (answer.json() or {}).get("error")
    expect(isinstance(error, dict), f"{what}: not in the client's shape: {answer}")
    for field in ("message", "type"):
        expect(isinstance(error.get(field), str) and error[field], f"{what}: no {field}: {answer}")
    expect({"param", "code"} <= set(error), f"{what}: `param` and `code` must stand, if only as null: {answer}")
    expect("application/json" in answer.headers.get("content-type", ""), f"{what}: content type {answer.headers}")


def body(**more):
    return json.dumps({"model": "via-openai", "messages": MESSAGES, **more})


# Refused before any upstream is asked, whatever its dialect. `MODEL` stands for the route's name.
REFUSED = [
    ("not JSON", b"hello"),
    ("nothing", b""),
    ("white space", b" \n\t "),
    ("truncated", b'{"model":"MODEL","messages":[{"role":"user","content":"He'),
    ("truncated in an escape", b'{"model":"MODEL","messages":[{"role":"user","content":"\\u00'),
    ("trailing text", b'{"model":"MODEL","messages":[{"role":"user","content":"a"}]} and more'),
    ("two documents", b'{"model":"MODEL","messages":[{"role":"user","content":"a"}]}{}'),
    ("an array", b"[]"),
    ("a string", b'"MODEL"'),
    ("a number", b"1"),
    ("null", b"null"),
    ("single quotes", b"{'model':'MODEL','messages':[]}"),
    ("a million brackets", b"[" * 1_000_000),
    ("a million objects", b'{"a":' * 1_000_000),
    ("a million brackets in a message", b'{"model":"MODEL","messages":' + b"[" * 1_000_000),
    (
        "a million closed brackets in an unknown field",
        b'{"model":"MODEL","messages":[{"role":"user","content":"a"}],"x":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}",
    ),
    ("no model", b'{"messages":[{"role":"user","content":"a"}]}'),
    ("model is null", b'{"model":null,"messages":[{"role":"user","content":"a"}]}'),
    ("model is a number", b'{"model":7,"messages":[{"role":"user","content":"a"}]}'),
    ("model is an object", b'{"model":{"name":"MODEL"},"messages":[{"role":"user","content":"a"}]}'),
    ("model is empty", b'{"model":"","messages":[{"role":"user","content":"a"}]}'),
    ("no messages", b'{"model":"MODEL"}'),
    ("messages are empty", b'{"model":"MODEL","messages":[]}'),
    ("messages are text", b'{"model":"MODEL","messages":"Hello"}'),
    ("messages are an object", b'{"model":"MODEL","messages":{"role":"user"}}'),
    ("a message is a number", b'{"model":"MODEL","messages":[1]}'),
    ("stream is text", b'{"model":"MODEL","messages":[{"role":"user","content":"a"}],"stream":"yes"}'),
    ("stream is a number", b'{"model":"MODEL","messages":[{"role":"user","content":"a"}],"stream":1}'),
    ("a NUL byte in a string", b'{"model":"MODEL","messages":[{"role":"user","content":"a\0b"}]}'),
    ("a NUL byte after the end", b'{"model":"MODEL","messages":[{"role":"user","content":"a"}]}\0'),
    ("not UTF-8", b'{"model":"MODEL","messages":[{"role":"user","content":"\xff\xfe"}]}'),
    ("an overlong encoding", b'{"model":"MODEL","messages":[{"role":"user","content":"\xc0\xaf"}]}'),
    ("a surrogate in UTF-8", b'{"model":"MODEL","messages":[{"role":"user","content":"\xed\xa0\x80"}]}'),
    ("a lone surrogate in the model", b'{"model":"MODEL\\ud800","messages":[{"role":"user","content":"a"}]}'),
    ("model twice", b'{"model":"MODEL","model":"other","messages":[{"role":"user","content":"a"}]}'),
    ("model twice, once escaped", b'{"model":"MODEL","mod\\u0065l":"other","messages":[{"role":"user","content":"a"}]}'),
    ("messages twice", b'{"model":"MODEL","messages":[{"role":"user","content":"a"}],"messages":[]}'),
    ("stream twice", b'{"model":"MODEL","messages":[{"role":"user","content":"a"}],"stream":false,"stream":true}'),
    ("UTF-16", '{"model":"MODEL","messages":[]}'.encode("utf-16")),
]
# Legal JSON that the provider may take or refuse: the gateway neither breaks nor blames itself.
NOT_OURS = [
    ("temperature is text", b'{"model":"MODEL","messages":[{"role":"user","content":"a"}],"temperature":"hot"}'),
    ("a number beyond all", b'{"model":"MODEL","messages":[{"role":"user","content":"a"}],"temperature":1e400}'),
    ("a thousand digits", b'{"model":"MODEL","messages":[{"role":"user","content":"a"}],"seed":' + b"9" * 1000 + b"}"),
    ("tools are an object", b'{"model":"MODEL","messages":[{"role":"user","content":"a"}],"tools":{}}'),
    ("a tool without a name", b'{"model":"MODEL","messages":[{"role":"user","content":"a"}],"tools":[{"type":"function"}]}'),
    ("max_tokens below zero", b'{"model":"MODEL","messages":[{"role":"user","content":"a"}],"max_tokens":-1}'),
    ("n is nought", b'{"model":"MODEL","messages":[{"role":"user","content":"a"}],"n":0}'),
    ("content is a number", b'{"model":"MODEL","messages":[{"role":"user","content":7}]}'),
    ("an unknown role", b'{"model":"MODEL","messages":[{"role":"emperor","content":"a"}]}'),
    ("a tool result of no call", b'{"model":"MODEL","messages":[{"role":"tool","tool_call_id":"x","content":"a"}]}'),
    ("arguments that are no JSON", b'{"model":"MODEL","messages":[{"role":"user","content":"a"},{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{"}}]},{"role":"tool","tool_call_id":"c","content":"r"}]}'),
    ("an escaped NUL", b'{"model":"MODEL","messages":[{"role":"user","content":"a\\u0000b"}]}'),
    ("a lone surrogate in the text", b'{"model":"MODEL","messages":[{"role":"user","content":"a\\ud800b"}]}'),
    ("surrogates the wrong way round", b'{"model":"MODEL","messages":[{"role":"user","content":"a\\udc00\\ud800b"}]}'),
    ("an image that is no URL", b'{"model":"MODEL","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:;base64,%%%"}}]}]}'),
    ("an image on this machine", b'{"model":"MODEL","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"file:///etc/passwd"}}]}]}'),
    ("a schema that is no schema", b'{"model":"MODEL","messages":[{"role":"user","content":"a"}],"response_format":{"type":"json_schema","json_schema":7}}'),
    ("a byte order mark", b'\xef\xbb\xbf{"model":"MODEL","messages":[{"role":"user","content":"a"}]}'),
    ("a hundred levels", b'{"model":"MODEL","messages":[{"role":"user","content":"a"}],"x":' + b"[" * 100 + b"]" * 100 + b"}"),
]  # fmt: skip
# Names of models that must not reach an upstream's URL or a header as they are.
NAMES = [
    "no-such-model", "../../etc/passwd", "up-openai/", "/gpt-4o", "up-openai/a\r\nx-evil: 1", "up-openai/\x00", "up-nowhere/gpt-4o", "x" * 100_000,
]  # fmt: skip
# Gemini has the model in its path: such a name is refused, or one segment that says nothing else.
NAMES_IN_A_PATH = ["../../fake/script", "..", "x?key=stolen", "x#y", "x:generateContent?y=", "a b", "a%2fb", "a/b", "ü", "a;b"]


def refused(gateway, fake, dialect, text):
    before = len(fake.log())
    in_shape(raw.post(gateway.port, text.replace(b"MODEL", b"via-" + dialect.encode()), seconds=20), {400, 413, 422}, dialect)
    expect(len(fake.log()) == before, "an upstream was asked")


def not_ours(gateway, dialect, text):
    answer = raw.post(gateway.port, text.replace(b"MODEL", b"via-" + dialect.encode()))
    expect(answer.status == 200 or 400 <= answer.status < 500, f"{dialect}: {answer}")
    if answer.status != 200:
        in_shape(answer, range(400, 500), dialect)


def name_of_a_model(gateway, fake, name):
    before = len(fake.log())
    answer = raw.post(gateway.port, json.dumps({"model": name, "messages": MESSAGES}))
    in_shape(answer, {400, 404}, repr(name[:40]))
    expect("x-evil" not in answer.headers, "a header was injected")
    expect(len(fake.log()) == before, f"an upstream was asked: {fake.log()[-1]}")


def name_in_a_path(gateway, fake, name):
    fake.forget()
    answer = raw.post(gateway.port, json.dumps({"model": "up-gemini/" + name, "messages": MESSAGES}))
    for entry in fake.log():
        path = entry["path"]
        expect(path.startswith("/v1beta/models/") and path.endswith(":generateContent"), path)
        segment = path[len("/v1beta/models/") : -len(":generateContent")]
        expect(not set(segment) & set("/?#\\ ;:"), f"{name!r} became {path}")
    if answer.status != 200:
        in_shape(answer, {400, 404}, repr(name))


def memory(gateway):
    return gateway.process.status_kb("VmRSS") // 1024


def huge(gateway, headers, chunked):
    """100 MB, eight times over: refused, the allocator keeps a bounded part of it, and the later ones cost nothing."""
    text = b'{"model":"via-openai","messages":[{"role":"user","content":"' + b"a" * (100 * MEGABYTE) + b'"}]}'
    if chunked:
        piece = b"10000\r\n" + b"a" * 0x10000 + b"\r\n"
        text = piece * 1600 + b"0\r\n\r\n"
    before, after = memory(gateway), []
    for _ in range(8):
        answers = raw.exchange(gateway.port, raw.request(b"", headers=headers, length=False) + text, seconds=30)
        expect(answers, "the connection was cut before an answer could be read")
        in_shape(answers[0], {413}, "100 MB")
        after.append(memory(gateway))
    expect(max(after[4:]) - max(after[:4]) < 16, f"{before} MB before, then {after}")
    expect(max(after) - before < 4 * BODY_MEGABYTES_MAX, f"{before} MB before, then {after}")


def huge_but_asked_first(gateway):
    """`expect: 100-continue` saves the client from sending what will be refused."""
    head = raw.request(b"", headers=[("content-length", str(100 * MEGABYTE)), ("expect", "100-continue")], length=False)
    in_shape((raw.exchange(gateway.port, head) or [raw.CLOSED])[0], {413}, "announced")


def large_but_allowed(gateway, dialect):
    answer = raw.post(gateway.port, json.dumps({"model": f"via-{dialect}", "messages": [{"role": "user", "content": "a" * (8 * MEGABYTE)}]}), seconds=30)
    expect(answer.status == 200 or answer.status == 400, f"8 MB: {answer}")


def many_messages(gateway, dialect):
    answer = raw.post(gateway.port, json.dumps({"model": f"via-{dialect}", "messages": MESSAGES * 50_000}), seconds=40)
    expect(answer.status in (200, 400, 413), f"{answer}")


def compressed(gateway):
    answer = raw.post(gateway.port, b"\x1f\x8b\x08\0\0\0\0\0\0\x03", headers=[("content-encoding", "gzip")])
    in_shape(answer, {400, 415}, "gzip")


def run(checks, gateway, fake):
    for title, text in REFUSED:
        for dialect in DIALECTS:
            # What is refused before the route is known needs one route only.
            if b"MODEL" in text or dialect == "openai":
                checks.run(f"body via {dialect}: {title}", refused, gateway, fake, dialect, text)
    for title, text in NOT_OURS:
        for dialect in DIALECTS:
            checks.run(f"body via {dialect}: {title}", not_ours, gateway, dialect, text)
    for name in NAMES:
        checks.run(f"model name {name[:40]!r}", name_of_a_model, gateway, fake, name)
    for name in NAMES_IN_A_PATH:
        checks.run(f"model name in a path {name!r}", name_in_a_path, gateway, fake, name)
    for dialect in DIALECTS:
        checks.run(f"8 MB via {dialect}", large_but_allowed, gateway, dialect)
        checks.run(f"50,000 messages via {dialect}", many_messages, gateway, dialect)
    fake.forget()
    checks.run("100 MB with its length", huge, gateway, [("content-length", str(100 * MEGABYTE + 63))], False, seconds=120)
    checks.run("100 MB in chunks", huge, gateway, [("transfer-encoding", "chunked")], True, seconds=120)
    checks.run("100 MB announced", huge_but_asked_first, gateway)
    checks.run("a compressed body", compressed, gateway)
    checks.run("well after bad bodies", gateway.healthy)
