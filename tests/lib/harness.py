"""What the black-box tests share: a fake provider, a gateway, free ports, and a list of checks.

Everything runs on loopback in a temporary folder. A process that is started here is ended here, by its own pid.
Configurations are Python dictionaries written as JSON, which is YAML.
"""

import atexit
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.request

BINARY = os.path.abspath(os.environ.get("JUMPSEAT_BIN", "target/debug/jumpseat"))
# The fake as a program of its own, for when there is no gateway to serve it: `FAKE_BIN --listen ADDRESS`.
FAKE_BINARY = os.environ.get("FAKE_BIN")
DIALECTS = {"openai": "openai_chat", "anthropic": "anthropic_messages", "gemini": "gemini", "bedrock": "bedrock_converse"}
# Names the catalog knows, so that windows, output limits and capabilities are those of a real model.
MODELS = {"openai": "gpt-4o", "anthropic": "claude-sonnet-4-5", "gemini": "gemini-2.5-flash", "bedrock": "anthropic.claude-sonnet-4-5-20250929-v1:0"}


class Failed(Exception):
    """A check that did not hold; its text is what the reader needs."""


def expect(condition, text):
    if not condition:
        raise Failed(text)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(question, seconds, what):
    """The first true answer of `question`, asked every 20 ms for at most `seconds`."""
    end = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise Failed(f"{what}: not within {seconds} s")
        time.sleep(0.02)


class Process:
    """One program under test with its output in a file."""

    def __init__(self, command, log, env=None, cwd=None):
        self.log = log
        self.output = open(log, "ab")
        self.command, self.env, self.cwd = command, env, cwd
        self.started = time.monotonic()
        self.popen = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output, env=env, cwd=cwd
        )
        self.pid = self.popen.pid
        # Whatever happens to the test, the program ends with it.
        atexit.register(self.stop)

    def alive(self):
        return self.popen.poll() is None

    def text(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def status_kb(self, field):
        """A figure of /proc/PID/status in kB, such as VmRSS or VmHWM."""
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            for line in file:
                if line.startswith(field + ":"):
                    return int(line.split()[1])
        raise Failed(f"no {field} of {self.pid}")

    def cpu_seconds(self):
        """User and system time so far, of all threads."""
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def signal(self, number):
        self.popen.send_signal(number)

    def wait(self, seconds):
        return self.popen.wait(seconds)

    def stop(self):
        """Asks, then insists; the exit status."""
        if self.alive():
            self.popen.terminate()
            try:
                self.popen.wait(10)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
        self.output.close()
        return self.popen.returncode


def http_json(method, url, body=None, timeout=10, headers=None):
    """Status, headers and parsed body (None when it is not JSON) of one request."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method)
    request.add_header("content-type", "application/json")
    for name, value in (headers or {}).items():
        request.add_header(name, value)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            status, head, raw = response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        status, head, raw = error.code, error.headers, error.read()
    try:
        return status, head, json.loads(raw)
    except ValueError:
        return status, head, None


def answers(url):
    """Whether a GET there says 200 now."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return response.status == 200
    except (OSError, http.client.HTTPException):
        return False


class Fake:
    """A running fake provider and its control endpoints."""

    def __init__(self, folder, port=None, arguments=()):
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        program = [FAKE_BINARY] if FAKE_BINARY else [BINARY, "fake"]
        self.process = Process(
            [*program, "--listen", f"127.0.0.1:{self.port}", *arguments], f"{folder}/fake-{self.port}.log"
        )

    def ready(self):
        wait_until(lambda: answers(self.url + "/fake/ready") or not self.process.alive(), 20, "the fake answers")
        expect(self.process.alive(), f"the fake ended: {self.process.text()[-2000:]}")
        return self

    def script(self, model, then, steps=()):
        status, _, body = http_json(
            "PUT", self.url + "/fake/script", {"model": model, "steps": list(steps), "then": then}
        )
        expect(status < 300, f"the fake refused a script for {model}: {status} {body}")

    def forget(self):
        """Empties its log."""
        http_json("DELETE", self.url + "/fake/log")

    def log(self, model=None):
        """What it was sent, oldest first; `model` narrows it to that one, whatever `!behaviour` is behind it."""
        _, _, body = http_json("GET", self.url + "/fake/log")
        return [it for it in body if model is None or it["model"].split("!")[0] == model]

    def stop(self):
        self.process.stop()


class Gateway:
    """A running gateway: `url` for callers, `admin` for metrics. Its working folder is `folder`, so that what it keeps stays there."""

    def __init__(self, folder, config, env=None, arguments=()):
        self.port, self.admin_port = free_port(), free_port()
        self.url, self.admin = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{self.admin_port}"
        self.path = f"{folder}/config-{self.port}.yaml"
        self.write(config)
        environment = {**os.environ, **(env or {})}
        self.process = Process(
            [BINARY, "serve", "--config", self.path, *arguments], f"{folder}/gateway-{self.port}.log", environment, folder
        )

    def whole(self, config):
        """`config` with this gateway's addresses."""
        server = {"listen": f"127.0.0.1:{self.port}", "shutdown_grace": "5s", **config.get("server", {})}
        admin = {"listen": f"127.0.0.1:{self.admin_port}", **config.get("admin", {})}
        return {**config, "server": server, "admin": admin}

    def write(self, config):
        """Puts a configuration in place as editors do: written beside it, then renamed."""
        text = config if isinstance(config, str) else json.dumps(self.whole(config), indent=1)
        with open(self.path + ".new", "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(self.path + ".new", self.path)

    def ready(self):
        wait_until(lambda: answers(self.url + "/ready") or not self.process.alive(), 20, "the gateway is ready")
        expect(self.process.alive(), f"the gateway ended: {self.process.text()[-3000:]}")
        return self

    def chat(self, model, timeout=20, headers=None, **more):
        body = {"model": model, "messages": [{"role": "user", "content": "Say something."}], **more}
        return http_json("POST", self.url + "/v1/chat/completions", body, timeout, {"authorization": "Bearer sk-any", **(headers or {})})

    def metrics(self):
        with urllib.request.urlopen(self.admin + "/metrics", timeout=5) as response:
            return response.read().decode()

    def healthy(self):
        """Alive, answering, and without a panic in its log."""
        expect(self.process.alive(), f"the gateway ended: {self.process.text()[-3000:]}")
        expect(answers(self.url + "/health"), "the gateway does not answer /health")
        for line in self.process.text().splitlines():
            expect("panicked at" not in line, f"a panic in the log: {line}")

    def stop(self):
        return self.process.stop()


def provider(dialect, fake, prefix="", **more):
    """A provider entry that points at a fake; base URLs are written as each provider's own SDK takes them."""
    path = prefix + "/v1" if dialect == "openai" else prefix
    return {"dialect": DIALECTS[dialect], "base_url": fake.url + path, "api_key": f"sk-{dialect}-upstream", **more}


def route(*tiers, **more):
    """A route of tiers; each is one target or a list of them, or a whole tier."""
    whole = []
    for tier in tiers:
        if isinstance(tier, dict):
            whole.append(tier)
        else:
            whole.append({"targets": [tier] if isinstance(tier, str) else list(tier)})
    return {"tiers": whole, **more}


@contextlib.contextmanager
def workplace(name):
    """A temporary folder, kept and named when something in it failed."""
    with tempfile.TemporaryDirectory(prefix=f"jumpseat-{name}-") as folder:
        yield folder


class Checks:
    """Runs named checks one after another and counts them."""

    def __init__(self, name):
        self.name, self.passed, self.failed = name, 0, []
        self.only = [it for it in os.environ.get("ONLY", "").split(",") if it]

    def run(self, title, function, *arguments, seconds=60):
        if self.only and not any(it in title for it in self.only):
            return
        started = time.monotonic()
        signal.signal(signal.SIGALRM, _too_long)
        signal.alarm(seconds)
        try:
            function(*arguments)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a check may fail in any way
            signal.alarm(0)
            self.failed.append(title)
            print(f"FAIL {title}")
            if isinstance(error, Failed):
                print(f"     {error}")
            else:
                print("     " + traceback.format_exc(limit=-6).replace("\n", "\n     "))
        else:
            signal.alarm(0)
            self.passed += 1
            print(f"  ok {title} ({time.monotonic() - started:.2f} s)")

    def end(self):
        """Prints the count and ends the program with it."""
        print(f"{self.name}: {self.passed} passed, {len(self.failed)} failed")
        sys.exit(1 if self.failed or not self.passed else 0)


def _too_long(*_):
    raise Failed("took too long")
