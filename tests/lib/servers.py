"""Real PostgreSQL and Redis servers for tests: on free loopback ports, with their data in a folder of the test, ended by their own pid."""

import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time

from harness import Failed, Process, expect, free_port, wait_until

POSTGRES_PASSWORD = "jumpseat-test-password"


def program(name, *folders):
    found = shutil.which(name)
    for folder in folders:
        found = found or next(iter(sorted(glob.glob(f"{folder}/{name}"), reverse=True)), None)
    if not found:
        raise Failed(f"`{name}` is not installed: run tests/provision")
    return found


def unprivileged():
    """The command that runs PostgreSQL, which refuses to be root."""
    if os.getuid() != 0:
        return []
    user = next((it for it in ("postgres", "nobody") if _exists(it)), None)
    expect(user, "no user that PostgreSQL could run as")
    return [program("setpriv", "/usr/bin"), f"--reuid={user}", f"--regid={pwd.getpwnam(user).pw_gid}", "--clear-groups"]


def _exists(user):
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def let_through(folder):
    """The folders of a test belong to whoever runs it; another user has to pass through them."""
    while folder not in (tempfile.gettempdir(), "/"):
        os.chmod(folder, 0o755)
        folder = os.path.dirname(folder)


class Postgres:
    """A PostgreSQL of its own; `url` for `store.url`."""

    def __init__(self, folder, name="postgres"):
        self.folder, self.port = f"{folder}/{name}", free_port()
        self.prefix = unprivileged()
        os.makedirs(self.folder)
        if self.prefix:
            let_through(folder)
            uid = pwd.getpwnam(self.prefix[1].partition("=")[2])
            os.chown(self.folder, uid.pw_uid, uid.pw_gid)
        password = f"{self.folder}/password"
        with open(password, "w", encoding="ascii") as file:
            file.write(POSTGRES_PASSWORD)
        os.chmod(password, 0o644)
        bins = "/usr/lib/postgresql/*/bin"
        self.server, self.data = program("postgres", bins), f"{self.folder}/data"
        made = subprocess.run(
            [*self.prefix, program("initdb", bins), "-D", self.data, "-U", "jumpseat", "-A", "scram-sha-256", f"--pwfile={password}", "--no-sync", "-E", "UTF8", "--locale=C"],
            capture_output=True, text=True, check=False, cwd="/",
        )
        expect(made.returncode == 0, f"initdb: {made.stdout[-500:]} {made.stderr[-500:]}")
        self.log = f"{folder}/{name}.log"
        self.url = f"postgres://jumpseat:{POSTGRES_PASSWORD}@127.0.0.1:{self.port}/postgres"
        self.process = None

    def start(self):
        self.process = Process(
            [*self.prefix, self.server, "-D", self.data, "-p", str(self.port), "-h", "127.0.0.1", "-k", self.folder, "-c", "fsync=off", "-c", "max_connections=60"],
            self.log,
        )
        wait_until(lambda: self.sql("select 1") == "1" or not self.process.alive(), 30, "PostgreSQL answers")
        expect(self.process.alive(), f"PostgreSQL ended: {self.process.text()[-1500:]}")
        return self

    def sql(self, text):
        """The result of a statement as psql prints it, unaligned; None when it cannot be asked."""
        asked = subprocess.run(
            [program("psql", "/usr/lib/postgresql/*/bin"), self.url, "-X", "-A", "-t", "-q", "-c", text],
            capture_output=True, text=True, check=False, timeout=20,
        )
        return asked.stdout.strip() if asked.returncode == 0 else None

    def stop(self):
        """At once, as in a crash of the machine it runs on: SIGQUIT is PostgreSQL's immediate shutdown."""
        if self.process and self.process.alive():
            self.process.signal(signal.SIGQUIT)
            self.process.wait(20)


class Redis:
    """A Redis of its own; `url` for `shared.url`."""

    def __init__(self, folder, name="redis", arguments=()):
        self.folder, self.port = f"{folder}/{name}", free_port()
        os.makedirs(self.folder)
        self.log, self.url = f"{folder}/{name}.log", f"redis://127.0.0.1:{self.port}/0"
        self.arguments = list(arguments)
        self.process = None

    def start(self):
        self.process = Process(
            [program("redis-server"), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.folder, "--save", "", "--appendonly", "no", *self.arguments],
            self.log,
        )
        wait_until(lambda: self.ask("PING") == "PONG" or not self.process.alive(), 15, "Redis answers")
        expect(self.process.alive(), f"Redis ended: {self.process.text()[-1500:]}")
        return self

    def ask(self, *words):
        """The answer to a command as redis-cli prints it; None when it cannot be asked."""
        try:
            asked = subprocess.run([program("redis-cli"), "-p", str(self.port), *words], capture_output=True, text=True, check=False, timeout=5)
        except subprocess.TimeoutExpired:
            return None
        return asked.stdout.strip() if asked.returncode == 0 else None

    def pause(self):
        self.process.signal(signal.SIGSTOP)

    def go_on(self):
        self.process.signal(signal.SIGCONT)

    def stop(self):
        if self.process and self.process.alive():
            self.process.signal(signal.SIGCONT)
            self.process.signal(signal.SIGKILL)
            self.process.wait(10)
            time.sleep(0.05)
