"""The world breaks around the gateway: upstreams die, configurations are wrong, disks are full, it is told to stop."""

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))

import raw
from harness import (
    BINARY,
    Checks,
    Fake,
    Gateway,
    Process,
    answers,
    expect,
    free_port,
    provider,
    route,
    wait_until,
    workplace,
)


def stream_request(model):
    return raw.request(json.dumps({"model": model, "messages": [{"role": "user", "content": "Go"}], "stream": True}))


def events(data):
    """The data of the events in a stream's bytes, parsed; `[DONE]` stays text."""
    found = []
    for answer in raw.parse(data):
        for line in answer.body.decode("utf-8", "replace").splitlines():
            if line.startswith("data:"):
                text = line[5:].strip()
                found.append(text if text == "[DONE]" else json.loads(text))
    return found


def until_closed(sock, seconds=30):
    sock.settimeout(seconds)
    data = b""
    while True:
        piece = sock.recv(1 << 16)
        if not piece:
            return data
        data += piece
        if b"data: [DONE]" in data:
            return data


# --- upstreams -------------------------------------------------------------------------------------------


def upstream_killed(folder):
    """Steady calls while the primary is killed and comes back: no call is lost, and it is used again."""
    first, second = Fake(folder).ready(), Fake(folder).ready()
    config = {
        "providers": {"one": provider("openai", first), "two": provider("anthropic", second)},
        "routes": {"chat": route("one/gpt-4o", "two/claude-sonnet-4-5")},
        "checks": {"interval": "1s"},
    }
    gateway = Gateway(folder, config).ready()
    statuses, served, stop = [], [], threading.Event()

    def caller():
        while not stop.is_set():
            status, headers, _ = gateway.chat("chat")
            statuses.append(status)
            served.append(headers.get("x-jumpseat-tier"))
            time.sleep(0.02)

    threads = [threading.Thread(target=caller) for _ in range(4)]
    try:
        for thread in threads:
            thread.start()
        time.sleep(1)
        expect(set(served) == {"1"}, f"tiers before: {set(served)}")
        first.process.signal(signal.SIGKILL)
        first.process.wait(5)
        time.sleep(2)
        expect(served[-20:] == ["2"] * 20, f"tiers while the primary is dead: {served[-20:]}")
        first = Fake(folder, port=first.port).ready()
        began = time.monotonic()
        wait_until(lambda: served[-8:] == ["1"] * 8, 45, "the primary is in use again")
        print(f"     in use again after {time.monotonic() - began:.1f} s")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        gateway.stop()
        first.stop()
        second.stop()
    expect(set(statuses) == {200}, f"statuses {({it: statuses.count(it) for it in set(statuses)})}")


def upstream_killed_in_a_stream(folder):
    """Text has been sent: the client is told that the rest is missing, in an event of its dialect."""
    fake = Fake(folder).ready()
    fake.script("gpt-4o", {"tokens": 500, "interval": "20ms"})
    gateway = Gateway(folder, {"providers": {"one": provider("openai", fake)}, "routes": {"chat": route("one/gpt-4o")}}).ready()
    try:
        with raw.connect(gateway.port) as sock:
            sock.sendall(stream_request("chat"))
            data = sock.recv(1 << 16)
            time.sleep(0.5)
            fake.process.signal(signal.SIGKILL)
            data += until_closed_or_quiet(sock)
        found = events(data)
        texts = [it for it in found if isinstance(it, dict) and it.get("choices")]
        errors = [it for it in found if isinstance(it, dict) and it.get("error")]
        expect(len(texts) > 3, f"no text before the end: {data[:500]!r}")
        expect(len(errors) == 1, f"no error event at the end: {found[-3:]}")
        gateway.healthy()
    finally:
        gateway.stop()
        fake.stop()


def until_closed_or_quiet(sock, seconds=10):
    data = b""
    sock.settimeout(2)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            piece = sock.recv(1 << 16)
        except TimeoutError:
            break
        if not piece:
            break
        data += piece
    return data


def upstream_never_there(folder):
    """Connection refused at the only target: 503 in the client's shape, quickly."""
    class Nowhere:
        url = f"http://127.0.0.1:{free_port()}"

    gateway = Gateway(folder, {"providers": {"one": provider("openai", Nowhere)}, "routes": {"chat": route("one/gpt-4o")}}).ready()
    try:
        began = time.monotonic()
        status, headers, body = gateway.chat("chat")
        expect(status == 503, f"{status} {body}")
        expect(headers.get("x-should-retry") == "false", f"headers {dict(headers)}")
        expect(time.monotonic() - began < 5, "slow to say so")
    finally:
        gateway.stop()


# --- stopping --------------------------------------------------------------------------------------------


def one(fake):
    return {"providers": {"one": provider("openai", fake)}, "routes": {"chat": route("one/gpt-4o")}}


def drain(folder):
    """SIGTERM: no new calls, the running stream ends whole, then the program ends with 0."""
    fake = Fake(folder).ready()
    fake.script("gpt-4o", {"tokens": 60, "interval": "50ms"})
    gateway = Gateway(folder, {**one(fake), "server": {"shutdown_grace": "20s"}}).ready()
    try:
        with raw.connect(gateway.port) as sock:
            sock.sendall(stream_request("chat"))
            data = sock.recv(1 << 16)
            gateway.process.signal(signal.SIGTERM)
            time.sleep(0.3)
            expect(not answers(gateway.url + "/ready"), "still says that it is ready")
            status = refused_call(gateway)
            expect(status in (None, 503), f"a new call was taken: {status}")
            data += until_closed(sock)
        found = events(data)
        expect(found and found[-1] == "[DONE]", f"the stream did not end whole: {found[-2:]}")
        expect(len(found) > 55, f"{len(found)} events only")
        code = gateway.process.wait(10)
        expect(code == 0, f"exit status {code}")
    finally:
        gateway.stop()
        fake.stop()


def refused_call(gateway):
    """Status of a new call, None when the connection was refused or closed."""
    try:
        return gateway.chat("chat")[0]
    except OSError:
        return None


def drain_runs_out(folder):
    """What is not done within `shutdown_grace` ends in an error event, never a bare cut."""
    fake = Fake(folder).ready()
    fake.script("gpt-4o", {"tokens": 5000, "interval": "50ms"})
    gateway = Gateway(folder, {**one(fake), "server": {"shutdown_grace": "1s"}}).ready()
    try:
        with raw.connect(gateway.port) as sock:
            sock.sendall(stream_request("chat"))
            data = sock.recv(1 << 16)
            gateway.process.signal(signal.SIGTERM)
            data += until_closed_or_quiet(sock)
        errors = [it for it in events(data) if isinstance(it, dict) and it.get("error")]
        expect(len(errors) == 1, f"no error event at the end: {data[-300:]!r}")
        expect(gateway.process.wait(5) == 0, "exit status")
    finally:
        gateway.stop()
        fake.stop()


def restart_at_once(folder):
    """Killed without warning, it starts again on the same port, with connections still about."""
    fake = Fake(folder).ready()
    gateway = Gateway(folder, one(fake)).ready()
    try:
        socks = [raw.connect(gateway.port) for _ in range(20)]
        expect(gateway.chat("chat")[0] == 200, "a call")
        gateway.process.signal(signal.SIGKILL)
        gateway.process.wait(5)
        gateway.process = Process(gateway.process.command, gateway.process.log)
        gateway.ready()
        expect(gateway.chat("chat")[0] == 200, "a call after the restart")
        for sock in socks:
            sock.close()
    finally:
        gateway.stop()
        fake.stop()


# --- configuration ---------------------------------------------------------------------------------------


def reload_by_change(folder):
    """A new route serves soon after the file changed; a broken file is refused, said, and the old one stays."""
    fake = Fake(folder).ready()
    config = one(fake)
    gateway = Gateway(folder, config).ready()
    try:
        expect(gateway.chat("second")[0] == 404, "`second` is there before its time")
        config["routes"]["second"] = route("one/gpt-4o-mini")
        gateway.write(config)
        wait_until(lambda: gateway.chat("second")[0] == 200, 10, "the new route serves")

        for broken in ("{", "routes: 7", json.dumps({"routess": {}}), "\x00\x01", "routes: [unclosed"):
            gateway.write(broken)
            time.sleep(0.7)
            expect(gateway.chat("second")[0] == 200, f"{broken!r} took the old configuration away")
        expect(gateway.process.text().lower().count("configuration") > 0, "the refusal is not in the log")

        os.remove(gateway.path)
        time.sleep(0.7)
        expect(gateway.chat("second")[0] == 200, "a deleted file took the old configuration away")

        del config["routes"]["second"]
        config["routes"]["third"] = route("one/gpt-4o-mini")
        gateway.write(config)
        wait_until(lambda: gateway.chat("third")[0] == 200, 10, "the mended file serves")
        expect(gateway.chat("second")[0] == 404, "`second` is still there")
        gateway.healthy()
    finally:
        gateway.stop()
        fake.stop()


def reload_by_signal(folder):
    """SIGHUP reads the file and the environment's references again, and does not end the program."""
    fake = Fake(folder).ready()
    secret = folder + "/secret"
    with open(secret, "w", encoding="utf-8") as file:
        file.write("sk-old\n")
    config = one(fake)
    config["providers"]["one"]["api_key"] = "${file:" + secret + "}"
    gateway = Gateway(folder, config).ready()
    try:
        gateway.chat("chat")
        expect("sk-old" in json.dumps(fake.log()[-1]["headers"]), "the key from the file")
        with open(secret, "w", encoding="utf-8") as file:
            file.write("sk-new\n")
        gateway.process.signal(signal.SIGHUP)

        def new_key():
            gateway.chat("chat")
            return "sk-new" in json.dumps(fake.log()[-1]["headers"])

        wait_until(new_key, 10, "the new key is used")
        for _ in range(20):
            gateway.process.signal(signal.SIGHUP)
        expect(gateway.chat("chat")[0] == 200, "a call after twenty signals")
        gateway.healthy()
    finally:
        gateway.stop()
        fake.stop()


def reload_keeps_streams(folder):
    """A stream that began before the reload ends whole, though its route is gone."""
    fake = Fake(folder).ready()
    fake.script("gpt-4o", {"tokens": 40, "interval": "50ms"})
    config = one(fake)
    gateway = Gateway(folder, config).ready()
    try:
        with raw.connect(gateway.port) as sock:
            sock.sendall(stream_request("chat"))
            data = sock.recv(1 << 16)
            gateway.write({"providers": {"other": provider("openai", fake)}, "routes": {"other": route("other/gpt-4o-mini")}})
            wait_until(lambda: gateway.chat("other")[0] == 200, 10, "the new route serves")
            data += until_closed(sock)
        expect(events(data)[-1] == "[DONE]", "the stream did not end whole")
    finally:
        gateway.stop()
        fake.stop()


GARBAGE = [
    ("nothing at all", b""),
    ("bytes", bytes(range(256)) * 16),
    ("half a map", b"providers: {"),
    ("an unknown key", b"routs: {}\n"),
    ("a wrong type", b"routes: 7\n"),
    ("a route to nowhere", b"routes: { chat: { tiers: [{ targets: [nobody/gpt-4o] }] } }\n"),
    ("a duration without a unit", b"server: { listen: 127.0.0.1:0, shutdown_grace: soon }\n"),
    ("a billion laughs", b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(b"%c: &%c [%s]\n" % (98 + n, 98 + n, b",".join([b"*%c" % (97 + n)] * 9)) for n in range(9))),
    ("deep nesting", b"[" * 100_000),
]  # fmt: skip


def garbage(folder, text):
    """It does not start, says which file and why in a few lines, and does not take long over it."""
    path = folder + "/garbage.yaml"
    with open(path, "wb") as file:
        file.write(text)
    ended = subprocess.run([BINARY, "serve", "--config", path], capture_output=True, timeout=15, stdin=subprocess.DEVNULL)
    said = (ended.stderr + ended.stdout).decode("utf-8", "replace")
    expect(ended.returncode not in (0, None) and ended.returncode > 0, f"exit status {ended.returncode}: {said[:500]}")
    expect("garbage.yaml" in said, f"the file is not named: {said[:500]}")
    expect("panicked" not in said, f"a panic: {said[:500]}")
    expect(len(said) < 8000, f"{len(said)} bytes of message")


def typo(folder):
    path = folder + "/typo.yaml"
    with open(path, "w", encoding="utf-8") as file:
        file.write("server:\n  listen: 127.0.0.1:0\n  shutdown_grase: 3s\n")
    ended = subprocess.run([BINARY, "validate", path], capture_output=True, timeout=15, text=True)
    said = ended.stdout + ended.stderr
    expect(ended.returncode != 0, "accepted")
    for word in ("typo.yaml", "3", "shutdown_grase", "shutdown_grace"):
        expect(word in said, f"`{word}` is missing in: {said}")


def port_in_use(folder):
    fake = Fake(folder).ready()
    gateway = Gateway(folder, one(fake)).ready()
    try:
        ended = subprocess.run([BINARY, "serve", "--config", gateway.path], capture_output=True, timeout=15, text=True)
        said = ended.stdout + ended.stderr
        expect(ended.returncode > 0, f"exit status {ended.returncode}")
        expect(str(gateway.port) in said and "panicked" not in said, f"the address is not named: {said[:500]}")
        gateway.healthy()
    finally:
        gateway.stop()
        fake.stop()


# --- the machine -----------------------------------------------------------------------------------------


def log_goes_nowhere(folder, how):
    """A log that cannot be written (a full disk, a reader that is gone) never stops a call."""
    fake = Fake(folder).ready()
    gateway = Gateway(folder, one(fake)).ready()
    gateway.process.stop()
    if how == "full":
        out = open("/dev/full", "wb")  # noqa: SIM115
    else:
        reader, writer = os.pipe()
        os.close(reader)
        out = os.fdopen(writer, "wb")
    process = subprocess.Popen([BINARY, "serve", "--config", gateway.path], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        wait_until(lambda: answers(gateway.url + "/ready") or process.poll() is not None, 20, "ready")
        expect(process.poll() is None, f"ended with {process.returncode}")
        for _ in range(50):
            status, _, body = gateway.chat("chat")
            expect(status == 200, f"{status} {body}")
        expect(process.poll() is None, "ended")
    finally:
        process.terminate()
        process.wait(15)
        out.close()
        fake.stop()


def few_files(folder):
    """Out of file descriptors: the listener waits instead of ending or spinning, and serves when there are some again."""
    fake = Fake(folder).ready()
    gateway = Gateway(folder, one(fake)).ready()
    try:
        resource.prlimit(gateway.process.pid, resource.RLIMIT_NOFILE, (40, 40))
        socks = []
        for _ in range(80):
            try:
                socks.append(raw.connect(gateway.port, timeout=1))
            except OSError:
                break
        before = gateway.process.cpu_seconds()
        time.sleep(2)
        spent = gateway.process.cpu_seconds() - before
        for sock in socks:
            sock.close()
        wait_until(lambda: refused_call(gateway) == 200, 20, "calls are served again")
        expect(spent < 1, f"{spent:.1f} s of CPU in 2 s of waiting")
        gateway.healthy()
    finally:
        gateway.stop()
        fake.stop()


def main():
    checks = Checks("chaos")
    with workplace("chaos") as folder:
        checks.run("the upstream is killed and comes back", upstream_killed, folder, seconds=90)
        checks.run("the upstream is killed in a stream", upstream_killed_in_a_stream, folder)
        checks.run("the upstream was never there", upstream_never_there, folder)
        checks.run("SIGTERM drains", drain, folder)
        checks.run("SIGTERM drains, but not for ever", drain_runs_out, folder)
        checks.run("killed and started again", restart_at_once, folder)
        checks.run("reload by file change", reload_by_change, folder)
        checks.run("reload by SIGHUP", reload_by_signal, folder)
        checks.run("reload keeps streams", reload_keeps_streams, folder)
        for title, text in GARBAGE:
            checks.run(f"configuration: {title}", garbage, folder, text)
        checks.run("configuration: a typo", typo, folder)
        checks.run("the port is in use", port_in_use, folder)
        checks.run("the log's disk is full", log_goes_nowhere, folder, "full")
        checks.run("the log's reader is gone", log_goes_nowhere, folder, "gone")
        checks.run("out of file descriptors", few_files, folder)
    checks.end()


main()
