"""Those who should not get in, and what must not get out: as an attacker with a socket, or with another tenant's key, would try it.

SECURITY.md names, threat by threat, the test that proves its control; those of this file are named there by their titles.
"""

import http.client
import itertools
import json
import os
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "stores"))

import raw
from harness import Checks, Fake, Gateway, expect, http_json, provider, route, wait_until, workplace
from house import admin_token, command, ledger

CHAT = "/v1/chat/completions"
PROMPT = "canary-prompt-7f3a91c2"
PROVIDER_KEY = "sk-canary-provider-5d21e8b0f4c7a936e1"
HELLO = {"model": "chat", "messages": [{"role": "user", "content": "Hello"}]}


def parts(key):
    """A key's public id and its secret, which may have dashes of its own."""
    prefix, ident, secret = key.split("-", 2)
    return f"{prefix}-{ident}", secret


class House:
    """A gateway that asks for keys, before one fake."""

    def __init__(self, folder, **more):
        self.folder, self.fake = folder, Fake(folder).ready()
        self.fake.script("gpt-4o", {"tokens": 3})
        one = provider("openai", self.fake, models={"gpt-4o": {"price": {"input": 1, "output": 1}}, "gpt-4o-mini": {"price": {"input": 1, "output": 1}}})
        config = {
            "store": {"url": f"sqlite:{folder}/jumpseat.db"},
            "providers": {"one": {**one, "api_key": PROVIDER_KEY}},
            "routes": {"chat": route("one/gpt-4o"), "other": route("one/gpt-4o-mini")},
            **more,
        }
        self.gateway = Gateway(folder, config).ready()
        self.key = self.make("app")
        wait_until(lambda: http_json("GET", self.gateway.url + "/v1/models")[0] == 401, 5, "keys are asked for")

    def make(self, name, *words):
        made = json.loads(command(self.gateway, "keys", "create", "--name", name, *words, "--json"))
        return made["key"]

    def call(self, key, body=None, headers=None, path=CHAT, method="POST"):
        return http_json(method, self.gateway.url + path, {**HELLO, **(body or {})} if method == "POST" else None, headers={"authorization": f"Bearer {key}", **(headers or {})})

    def admin(self, method, path, token=None, body=None, headers=None):
        head = {"authorization": f"Bearer {token}"} if token else {}
        return http_json(method, self.gateway.admin + path, body, headers={**head, **(headers or {})})

    def stop(self):
        self.gateway.stop()
        self.fake.stop()


def inside(check, **more):
    """A check in a house of its own."""

    def run(folder):
        house = House(folder, **more)
        try:
            check(house)
            house.gateway.healthy()
        finally:
            house.stop()

    return run


# --- the data plane --------------------------------------------------------------------------------------


def every_path_asks_for_a_key(house):
    """Deny by default: whatever the path, method or way of writing it, only /health and /ready answer without a key."""
    paths = [
        CHAT, "/v1/responses", "/v1/messages", "/v1/messages/count_tokens", "/v1/embeddings", "/v1/models", "/v1/models/chat", "/v1/responses/resp_1",
        "/v1/responses/resp_1/input_items", "/v1/files", "/v1/files/f", "/v1/batches", "/v1/images/generations", "/v1/audio/speech", "/v1/audio/transcriptions",
        "/v1/moderations", "/v1/rerank", "/v1/feedback", "/v1beta/models", "/v1beta/models/chat:generateContent", "/v1beta/models/chat:streamGenerateContent?alt=sse",
        "/", "/metrics", "/api/v1/keys", "/ui", "/v1", "/v1/", "/v1/proxy/x", "//v1/models", "/v1//models", "/v1/models/", "/V1/models", "/v1/%6dodels", "/v1/models%2f",
        "/v1/./models", "/v1/x/../models", "/health/../v1/models", "/health/%2e%2e/v1/models", "/ready/", "/health/", "/health;/v1/models", "/health%00", "/ready%2f..%2fv1/models",
        "/v1/models?x=/health", "/v1/models#/health",
    ]
    for path, method in itertools.product(paths, ["GET", "POST", "DELETE", "PUT", "PATCH", "OPTIONS", "HEAD"]):
        body = json.dumps(HELLO) if method in ("POST", "PUT", "PATCH") else ""
        head = f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}"
        status = answer(house.gateway.port, head)
        expect(status in (400, 401), f"{method} {path} without a key: {status}")
    for path in ("/health", "/ready"):
        expect(http_json("GET", house.gateway.url + path)[0] == 200, path)
    expect(not house.fake.log(), "something went upstream without a key")


def answer(port, text):
    with raw.connect(port) as sock:
        sock.sendall(text.encode("latin-1"))
        data = b""
        while piece := sock.recv(1 << 16):
            data += piece
    return int(data.split(b" ")[1]) if data.startswith(b"HTTP/") else 0


def hosts_and_absolute_forms_open_nothing(house):
    """What stands in `Host` or in an absolute form changes nothing about who may."""
    for host in ("localhost/#@x", "127.0.0.1:1@evil", "a b", ""):
        status = answer(house.gateway.port, f"GET /v1/models HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")
        expect(status in (400, 401), f"host {host!r}: {status}")
    for target in ("http://127.0.0.1/health/../v1/models", "http://health/v1/models", "http://x/v1/models"):
        status = answer(house.gateway.port, f"GET {target} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")
        expect(status in (400, 401), f"{target}: {status}")


def two_credentials_that_differ_are_refused(house):
    """Every pair of credential headers: the same key twice is one caller, two that differ are none."""
    other = house.make("other", "--route", "other")
    names = ["authorization", "x-api-key", "api-key", "x-goog-api-key"]

    def headers(**keys):
        return {name.replace("_", "-"): f"Bearer {key}" if name == "authorization" else key for name, key in keys.items()}

    for one, two in itertools.permutations(names, 2):
        first, second = one.replace("-", "_"), two.replace("-", "_")
        same = http_json("POST", house.gateway.url + CHAT, HELLO, headers=headers(**{first: house.key, second: house.key}))
        expect(same[0] == 200, f"{one} and {two} with one key: {same[0]}")
        differ = http_json("POST", house.gateway.url + CHAT, HELLO, headers=headers(**{first: other, second: house.key}))
        expect(differ[0] == 401, f"{one} and {two} with two keys: {differ[0]} {differ[2]}")
    for name in names:
        alone = http_json("POST", house.gateway.url + CHAT, HELLO, headers=headers(**{name.replace("-", "_"): other}))
        expect(alone[0] == 403, f"a restricted key in {name}: {alone[0]}")


def a_key_opens_only_what_it_may(house):
    """Route, target, alias and fallback: the restricted key gets at nothing else, by no name."""
    one = house.make("one", "--route", "chat")
    expect(house.call(one)[0] == 200, "its own route")
    for model in ("other", "one/gpt-4o-mini", "gpt-4o-mini"):
        status, _, body = house.call(one, {"model": model})
        expect(status in (403, 404), f"{model}: {status} {body}")
    listed = house.call(one, path="/v1/models", method="GET")[2]
    expect([it["id"] for it in listed["data"] if it["id"] == "other"] == [], f"it is shown `other`: {listed}")
    narrow = house.make("narrow", "--target", "one/gpt-4o-mini")
    status, _, body = house.call(narrow)
    expect(status in (403, 404, 429, 502, 503) and status != 200, f"a route whose targets it may not use: {status} {body}")
    expect(house.call(narrow, {"model": "other"})[0] == 200, "a route whose target it may use")


def keys_that_share_a_prefix_are_two(house):
    """The whole key counts: a wrong end, a wrong beginning, the id alone, a digest, another's secret are all nobody."""
    second = house.make("second")
    ident, secret = parts(house.key)
    for guess in (house.key[:-1], house.key + "a", house.key[:-4] + "AAAA", ident, secret, ident + "-", f"{ident}-{parts(second)[1]}", house.key.upper(), "", "x" * 4000):
        status = http_json("GET", house.gateway.url + "/v1/models", headers={"authorization": f"Bearer {guess}"})[0]
        expect(status == 401, f"{guess[:30]!r}…: {status}")


def injections_find_no_database(house):
    """What breaks out of SQL, templates and paths stays text, in every place a caller can write."""
    corpus = ["' OR '1'='1", "\"; DROP TABLE keys; --", "1); DELETE FROM calls; --", "' UNION SELECT sha256 FROM keys --", "{{7*7}}", "{% for x in range(10**9) %}{% endfor %}", "${jndi:ldap://x}", "../../etc/passwd", "%27%20OR%201=1", "\\'; SELECT pg_sleep(5) --", "\x00'"]
    for text in corpus:
        for key in (text, house.key + text):
            try:
                status = http_json("GET", house.gateway.url + "/v1/models", headers={"authorization": f"Bearer {key}"})[0]
            except (ValueError, http.client.HTTPException):
                continue
            expect(status in (400, 401), f"as a key, {text!r}: {status}")
        expect(house.call(house.key, {"model": text})[0] in (400, 403, 404), f"as a model, {text!r}")
        expect(house.call(house.key, {"user": text, "metadata": {"a": text}})[0] == 200, f"as a user, {text!r}")
        try:
            status = house.call(house.key, headers={"x-jumpseat-session": text, "x-jumpseat-tags": text})[0]
        except (ValueError, http.client.HTTPException):
            continue
        expect(status in (200, 400, 403), f"in headers, {text!r}: {status}")
    expect(len(json.loads(command(house.gateway, "keys", "list", "--json"))["keys"]) == 1, "the keys are not what they were")


def overrides_of_the_upstream_are_ignored(house):
    """No header and no field makes the gateway talk elsewhere, or takes the provider's key along."""
    trap = Fake(house.folder).ready()
    try:
        url = trap.url + "/v1"
        fields = {it: url for it in ("api_base", "base_url", "custom_host", "endpoint", "proxy")}
        heads = {it: url for it in ("x-portkey-custom-host", "x-custom-host", "x-base-url", "x-litellm-api-base", "x-forwarded-host", "x-original-url", "forwarded", "proxy")}
        for name, value in fields.items():
            status = house.call(house.key, {name: value})[0]
            expect(status in (200, 400), f"field {name}: {status}")
        for name, value in heads.items():
            expect(house.call(house.key, headers={name: value})[0] == 200, f"header {name}")
        expect(not trap.log(), f"the gateway talked to the trap: {trap.log()}")
        for seen in house.fake.log():
            text = json.dumps(seen)
            expect(house.key not in text, "the caller's key went upstream")
    finally:
        trap.stop()


def a_redirect_is_not_followed(house):
    """A provider that sends the gateway elsewhere is an error: neither the body nor the key goes there."""
    trap = Fake(house.folder).ready()
    try:
        for status in (301, 302, 307, 308):
            house.fake.script("gpt-4o", {"status": status, "headers": {"location": f"{trap.url}/v1/chat/completions"}, "body": ""})
            told = house.call(house.key)[0]
            expect(told >= 500, f"{status} upstream: {told}")
        expect(not trap.log(), f"it was followed: {trap.log()}")
    finally:
        trap.stop()


def a_certificate_nobody_vouches_for_is_refused(folder):
    """A provider with a certificate of its own making is no provider: the call fails, and the key is never shown."""
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"],
        capture_output=True, text=True, check=False,
    )
    expect(made.returncode == 0, made.stderr[-500:])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{folder}/cert.pem", f"{folder}/key.pem")
    heard = []

    def serve(listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(connection, server_side=True) as tls:
                    heard.append(tls.recv(1 << 16))
            except (ssl.SSLError, OSError):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        port = listener.getsockname()[1]
        config = {
            "store": {"url": "sqlite::memory:"},
            "providers": {"one": {"dialect": "openai_chat", "base_url": f"https://localhost:{port}/v1", "api_key": PROVIDER_KEY}},
            "routes": {"chat": route("one/gpt-4o")},
        }
        gateway = Gateway(folder, config).ready()
        try:
            status, _, body = gateway.chat("chat")
            expect(status in (502, 503), f"{status} {body}")
            expect(not any(heard), f"it was told {heard}")
        finally:
            gateway.stop()


# --- tenants ---------------------------------------------------------------------------------------------


def tenants_share_nothing(house):
    """Cached answers, stored responses and conversations of one owner are nothing to another."""
    mine, yours = house.make("mine", "--owner", "a"), house.make("yours", "--owner", "b")
    text = {"messages": [{"role": "user", "content": "A secret question"}]}
    first = house.call(mine, text)[1].get("x-jumpseat-cache")
    second = house.call(mine, text)[1].get("x-jumpseat-cache")
    other = house.call(yours, text)[1].get("x-jumpseat-cache")
    expect((first, second, other) == ("miss", "hit", "miss"), f"{first} {second} {other}")
    body = {"model": "chat", "input": "Remember this"}
    made = http_json("POST", house.gateway.url + "/v1/responses", body, headers={"authorization": f"Bearer {mine}"})
    expect(made[0] == 200, f"{made[0]} {made[2]}")
    ident = made[2]["id"]
    expect(house.call(mine, path=f"/v1/responses/{ident}", method="GET")[0] == 200, "its own response")
    for method in ("GET", "DELETE"):
        status = house.call(yours, path=f"/v1/responses/{ident}", method=method)[0]
        expect(status == 404, f"{method} of another's response: {status}")
    expect(house.call(yours, path=f"/v1/responses/{ident}/input_items", method="GET")[0] == 404, "another's input")
    house.fake.forget()
    status, _, _ = http_json("POST", house.gateway.url + "/v1/responses", {**body, "previous_response_id": ident}, headers={"authorization": f"Bearer {yours}"})
    seen = json.dumps(house.fake.log())
    expect("Remember this" not in seen.replace("Remember this", "", 1) or status != 200, "another's conversation was gone on from")
    expect(house.call(mine, path=f"/v1/responses/{ident}", method="GET")[0] == 200, "it was deleted by another")


# --- the admin listener ----------------------------------------------------------------------------------


def admin_asks_for_its_own_credential(house):
    """Every route of the interface: without a credential, with a caller's key, with a role too low."""
    token = admin_token(house.folder)
    status, _, document = house.admin("GET", "/api/openapi.json", token)
    expect(status == 200, f"the document: {status}")
    seen = 0
    for path, methods in document["paths"].items():
        if not path.startswith("/api/"):
            continue
        for method in methods:
            where = path.replace("{id}", "js-abcdefghijkl").replace("{", "").replace("}", "")
            nobody = house.admin(method.upper(), where, body={} if method in ("post", "patch", "put") else None)[0]
            expect(nobody == 401, f"{method} {where} without a credential: {nobody}")
            caller = house.admin(method.upper(), where, house.key, body={} if method in ("post", "patch", "put") else None)[0]
            expect(caller in (401, 403), f"{method} {where} with a caller's key: {caller}")
            seen += 1
    expect(seen >= 8, f"{seen} routes only")
    expect(house.admin("GET", "/api/v1/nothing")[0] in (401, 404), "an unknown route")


def roles_hold(house):
    """A viewer changes nothing; an operator has nothing to do with keys."""
    rows = [
        ("viewer", "GET", "/api/v1/keys", {200, 403}), ("viewer", "POST", "/api/v1/keys", {403}), ("viewer", "POST", "/api/v1/reload", {403}),
        ("operator", "POST", "/api/v1/keys", {403}), ("operator", "POST", "/api/v1/reload", {200, 202, 204, 409}), ("admin", "POST", "/api/v1/keys", {200, 201}),
    ]
    for role, method, path, expected in rows:
        status, _, body = house.admin(method, path, f"token-of-the-{role}-0123456789", {"name": f"by-{role}"} if path.endswith("keys") and method == "POST" else None)
        expect(status in expected, f"{role} {method} {path}: {status} {body}")
    names = {it["name"] for it in json.loads(command(house.gateway, "keys", "list", "--json", token="token-of-the-admin-0123456789"))["keys"]}
    expect("by-viewer" not in names and "by-operator" not in names, f"{names}")


def a_web_page_cannot_use_the_admin_listener(house):
    """A name rebound to this machine is refused, and so is a change asked for by another origin."""
    token = admin_token(house.folder)
    port = house.gateway.admin_port
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example"):
        expect(answer(port, f"GET /metrics HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n") == 421, host)
    status = house.admin("POST", "/api/v1/reload", token, {}, {"origin": "https://evil.example"})[0]
    expect(status == 403, f"from another origin: {status}")
    headers = house.admin("GET", "/api/v1/whoami", token)[1]
    expect("access-control-allow-origin" not in headers, "it shares its answers with other origins")


# --- what must not get out -------------------------------------------------------------------------------


def secrets_are_nowhere(house):
    """A provider's key, a caller's key and a prompt, after good calls, bad ones, streams and crashes of the upstream: looked for in every place."""
    good = {"messages": [{"role": "user", "content": PROMPT}]}
    for behaviour in ("ok", "500", "401", "429", "html", "wrong-key", "reset", "cut-2", "malformed-1", "content-filter"):
        house.fake.script("gpt-4o", behaviour)
        for stream in (False, True):
            try:
                house.call(house.key, {**good, "stream": stream})
            except (OSError, http.client.HTTPException):
                pass
    # A provider that repeats the key it was shown.
    house.fake.script("gpt-4o", {"status": 401, "body": json.dumps({"error": {"message": f"Incorrect API key provided: {PROVIDER_KEY}", "type": "invalid_request_error", "code": "invalid_api_key"}})})
    told = json.dumps(house.call(house.key, good)[2])
    expect(PROVIDER_KEY not in told, "the provider's key came back to the caller")
    token = admin_token(house.folder)
    command(house.gateway, "keys", "list", "--json")
    texts = {"metrics": house.gateway.metrics(), "log": house.gateway.process.text()}
    for path in ("/targets", "/api/v1/config", "/api/v1/keys", "/api/v1/audit", "/api/v1/calls", "/api/openapi.json"):
        texts[path] = json.dumps(house.admin("GET", path, token)[2])
    house.gateway.stop()
    for name in os.listdir(house.folder):
        path = f"{house.folder}/{name}"
        if os.path.isfile(path) and not name.startswith(("config", "fake")):
            with open(path, "rb") as file:
                texts[name] = file.read().decode("latin-1")
    expect(any(it.startswith("jumpseat.db") for it in texts), f"the database was not searched: {list(texts)}")
    secret = parts(house.key)[1]
    for place, text in texts.items():
        for what, canary in (("the provider's key", PROVIDER_KEY), ("the caller's key", house.key), ("the caller's secret", secret), ("the prompt", PROMPT)):
            expect(canary not in text, f"{what} stands in {place}")
        if place != "admin.token":
            expect(token not in text, f"the admin token stands in {place}")
    base = sqlite3.connect(f"{house.folder}/jumpseat.db")
    digests = [row[0] for row in base.execute("select group_concat(sql) from sqlite_master")]
    expect(digests, "the database is empty")
    house.gateway.process = type(house.gateway.process)(house.gateway.process.command, house.gateway.process.log)
    house.gateway.ready()


def files_are_private(house):
    """The admin token's file is its owner's alone."""
    mode = os.stat(f"{house.folder}/admin.token").st_mode & 0o777
    expect(mode == 0o600, f"admin.token has mode {mode:o}")


def fallbacks_are_paid_by_who_causes_them(house):
    """Whoever makes the first target fail to get the dearer one pays for all of it: each attempt is in the ledger under the key."""
    house.fake.script("gpt-4o", "malformed-1")
    house.call(house.key)
    house.fake.script("gpt-4o", "ok")
    house.call(house.key)
    wait_until(lambda: len(ledger(house.gateway)) >= 3, 5, "the failed attempts are in the ledger as well")
    rows, ident = ledger(house.gateway), parts(house.key)[0]
    expect(all(it["key"] == ident for it in rows), f"{rows[:2]}")


def not_on_other_addresses_without_keys(folder):
    """Without any key it listens on loopback alone; elsewhere it refuses to start and says what to do."""
    fake = Fake(folder).ready()
    config = {"store": {"url": f"sqlite:{folder}/open.db"}, "providers": {"one": provider("openai", fake)}, "routes": {"chat": route("one/gpt-4o")}}
    gateway = Gateway(folder, config)
    try:
        gateway.ready()
        wait_until(lambda: "There are no keys yet" in gateway.process.text(), 5, "it says that no key is asked for")
        for headers, expected in (({"origin": "https://evil.example"}, 403), ({"sec-fetch-site": "cross-site"}, 403), ({"origin": "http://localhost:3000"}, 200), ({}, 200)):
            status = http_json("POST", gateway.url + CHAT, HELLO, headers=headers)[0]
            expect(status == expected, f"a call without a key, with {headers}: {status}")
        gateway.stop()
        gateway.write({**config, "server": {"listen": f"0.0.0.0:{gateway.port}"}})
        gateway.process = type(gateway.process)(gateway.process.command, gateway.process.log)
        code = gateway.process.wait(10)
        expect(code != 0 and "keys create" in gateway.process.text(), f"exit {code}: {gateway.process.text()[-500:]}")
        command(gateway, "keys", "create", "--name", "first", "--json")
        gateway.process = type(gateway.process)(gateway.process.command, gateway.process.log)
        gateway.ready()
        with urllib.request.urlopen(gateway.url + "/health", timeout=5) as alive:
            expect(alive.status == 200, "alive")
        expect(gateway.chat("chat")[0] == 401, "a call without a key")
    finally:
        gateway.stop()
        fake.stop()


ROLES = {it: {"token": f"token-of-the-{it}-0123456789", "role": it} for it in ("viewer", "operator", "admin")}


def main():
    checks = Checks("security")
    with workplace("security") as folder:
        def run(title, check):
            place = f"{folder}/{len(os.listdir(folder))}"
            os.makedirs(place)
            checks.run(title, check, place, seconds=120)

        run("every path asks for a key", inside(every_path_asks_for_a_key))
        run("hosts and absolute forms open nothing", inside(hosts_and_absolute_forms_open_nothing))
        run("two credentials that differ are refused", inside(two_credentials_that_differ_are_refused))
        run("a key opens only what it may", inside(a_key_opens_only_what_it_may))
        run("keys that share a prefix are two", inside(keys_that_share_a_prefix_are_two))
        run("injections find no database", inside(injections_find_no_database))
        run("overrides of the upstream are ignored", inside(overrides_of_the_upstream_are_ignored))
        run("a redirect is not followed", inside(a_redirect_is_not_followed))
        run("a certificate nobody vouches for is refused", a_certificate_nobody_vouches_for_is_refused)
        run("tenants share nothing", inside(tenants_share_nothing, cache={"exact": {"ttl": "10m"}}))
        run("admin asks for its own credential", inside(admin_asks_for_its_own_credential))
        run("roles hold", inside_roles())
        run("a web page cannot use the admin listener", inside(a_web_page_cannot_use_the_admin_listener))
        run("secrets are nowhere", inside(secrets_are_nowhere))
        run("files are private", inside(files_are_private))
        run("fallbacks are paid by who causes them", inside(fallbacks_are_paid_by_who_causes_them))
        run("not on other addresses without keys", not_on_other_addresses_without_keys)
    checks.end()


def inside_roles():
    """`roles_hold` needs tokens of its own; the first key is made with one of them."""

    def run(folder):
        os.environ["JUMPSEAT_ADMIN_TOKEN"] = ROLES["admin"]["token"]
        try:
            inside(roles_hold, admin={"tokens": ROLES})(folder)
        finally:
            del os.environ["JUMPSEAT_ADMIN_TOKEN"]

    return run


if __name__ == "__main__":
    main()
