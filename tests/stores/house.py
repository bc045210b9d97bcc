"""What the tests of the stores share: gateways on one store, callers that remember what they were told, the ledger as a user exports it."""

import http.client
import json
import os
import signal
import subprocess
import threading
import time
import urllib.parse
from datetime import datetime

from harness import BINARY, Gateway, Process, expect, provider, route

# What a call costs: 1,000 tokens of output at a dollar a million, nothing for the prompt.
PRICE = {"input": 0, "output": 1}
NANO = 1_000_000_000


def config(fake, store, shared="memory:", **more):
    """One provider, one route `chat`, a model whose price is `PRICE`."""
    return {
        "store": {"url": store},
        "shared": {"url": shared},
        "providers": {"one": provider("openai", fake, models={"gpt-4o": {"price": PRICE}})},
        "routes": {"chat": route("one/gpt-4o")},
        "log": {"calls": False},
        **more,
    }


def admin_token(folder):
    with open(f"{folder}/admin.token", encoding="ascii") as file:
        return file.read().strip()


def command(gateway, *words, token=None):
    """Parsed standard output of a command of the program; its failure is the check's."""
    env = {**os.environ, **({"JUMPSEAT_ADMIN_TOKEN": token} if token else {})}
    done = subprocess.run([BINARY, *words, "--config", gateway.path], capture_output=True, text=True, check=False, timeout=60, env=env, cwd=os.path.dirname(gateway.path))
    expect(done.returncode == 0, f"{words}: {done.returncode} {done.stderr[-800:]} {done.stdout[-300:]}")
    return done.stdout


def ledger(gateway, kind="attempts"):
    """The exported records, as a user gets them."""
    out = command(gateway, "export", kind, "--since", "1d", "--format", "jsonl", "-o", "-")
    return [json.loads(line) for line in out.splitlines() if line.strip()]


def nano(record, field="cost"):
    """An amount of a record, in nano-dollars."""
    return record[f"{field}_nanodollars"]


def when(record):
    """When a call began, or an attempt ended: seconds since the epoch."""
    return datetime.fromisoformat(record["at"].replace("Z", "+00:00")).timestamp()


def restart(gateway, command=None):
    """The same gateway once more, after it ended; `command` when it is to be started otherwise."""
    old = gateway.process
    gateway.process = Process(command or old.command, old.log, old.env, old.cwd)
    return gateway.ready()


def kill(gateway):
    gateway.process.signal(signal.SIGKILL)
    gateway.process.wait(10)


def ready(gateway):
    """The body of `/ready`; its status has to be 200."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=5)
    connection.request("GET", "/ready")
    answer = connection.getresponse()
    body = answer.read()
    expect(answer.status == 200, f"/ready says {answer.status}: {body!r}")
    return json.loads(body)


def missing(gateway):
    """What `/ready` says is gone: `store`, `shared`."""
    return ready(gateway)["missing"]


def metric(gateway, name):
    """The value of a metric without labels."""
    lines = [it for it in gateway.metrics().splitlines() if it.startswith(f"{name} ")]
    expect(len(lines) == 1, f"{name} in the metrics: {lines}")
    return float(lines[0].split()[1])


class Callers:
    """Threads that call without a pause over connections kept open, and remember every whole answer: (call id, when, after how long)."""

    def __init__(self, gateways, number, model="chat", headers=None, calls=None):
        self.gateways, self.model, self.headers, self.calls = gateways, model, headers or {}, calls
        self.answers, self.refusals, self.broken = [], [], 0
        self.going = True
        self.begun = 0
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self._call, args=(gateways[it % len(gateways)],)) for it in range(number)]

    def _next(self):
        with self.lock:
            if not self.going or (self.calls is not None and self.begun >= self.calls):
                return False
            self.begun += 1
            return True

    def _call(self, gateway):
        body = json.dumps({"model": self.model, "messages": [{"role": "user", "content": "Go"}], "max_tokens": 1000})
        connection = None
        while self._next():
            begun = time.time()
            try:
                connection = connection or http.client.HTTPConnection("127.0.0.1", urllib.parse.urlparse(gateway.url).port, timeout=30)
                connection.request("POST", "/v1/chat/completions", body, {"content-type": "application/json", **self.headers})
                answer = connection.getresponse()
                text = answer.read()
                at = time.time()
            except (OSError, http.client.HTTPException):
                self.broken += 1
                connection = None
                time.sleep(0.02)
                continue
            if answer.status == 200:
                self.answers.append((answer.headers["x-jumpseat-call-id"], at, at - begun))
            else:
                self.refusals.append((answer.status, text.decode("utf-8", "replace")))

    def start(self):
        for thread in self.threads:
            thread.start()
        return self

    def stop(self):
        self.going = False
        return self.join()

    def join(self):
        for thread in self.threads:
            thread.join()
        return self


def sluggish(seconds):
    """How long things take on this machine now: four in five are faster. What is promised within a time is given that much more."""
    return sorted(seconds)[len(seconds) * 4 // 5] if seconds else 0


def several(folder, number, make):
    return [Gateway(folder, make(it)) for it in range(number)]
