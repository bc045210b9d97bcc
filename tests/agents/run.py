"""Real agents do a task of two steps through the gateway, before a fake that plays the model in every dialect.

Each cell of agent × upstream dialect: the agent writes a file with a command, reads it back and writes another (two
calls in parallel), and says its last words. Then the same with a primary that fails in the middle of the task, and with
the model names that the agents use by themselves. The agents run in a temporary folder, with an environment of their
own and a proxy that lets nothing out.
"""

import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))

import wall
from agents import DONE, DRAFT, FINAL, KEY, PROMPT_WORD, ClaudeCode, Codex, OpenCode
from harness import Checks, Failed, Fake, Gateway, expect, route, workplace

MODULES = os.environ["JUMPSEAT_TEST_CACHE"] + "/agents/node_modules"
# Dialect of the upstream: a model whose windows, output limits and abilities the catalog knows. One of them does not reason.
UPSTREAMS = {
    "openai_chat": "gpt-4o",
    "openai_responses": "gpt-5.5",
    "anthropic_messages": "claude-opus-5-5",
    "gemini": "gemini-2.5-flash",
}
PRESETS = {"openai_chat": "openai", "openai_responses": "openai", "anthropic_messages": "anthropic", "gemini": "gemini"}
AGENTS = [ClaudeCode(), Codex(), OpenCode()]
OTHER_DRIVERS = [OpenCode("anthropic_messages"), OpenCode("openai_responses")]
SECONDS_MAX = 60
# Where the primary fails, and who takes over: never the same dialect.
TAKES_OVER = {
    "anthropic_messages": ("openai_chat", "gemini"),
    "openai_responses": ("anthropic_messages", "gemini"),
    "openai_chat": ("gemini",),
}
# A model that refuses what Claude Code sends to a name that it does not know: it finds out from the provider's own words.
OLDER = "claude-sonnet-4-5"
# Names of models that Codex knows (by how they begin), what it offers them, and the upstream that they lead to here.
KNOWN_TO_CODEX = [
    ("gpt-5.5", "patches", "openai_responses"),
    ("gpt-5.5-elsewhere", "patches", "anthropic_messages"),
    ("gpt-5.6-sol", "scripts", "anthropic_messages"),
    ("gpt-6-sol", "scripts", "gemini"),
]
# What an upstream is sent beside the body, whatever the agent sent.
HEADERS = {
    "accept",
    "accept-encoding",
    "anthropic-version",
    "authorization",
    "content-length",
    "content-type",
    "host",
    "user-agent",
    "x-api-key",
    "x-goog-api-key",
}


def upstream_key(dialect):
    return f"sk-upstream-{dialect}"


def provider(dialect, fake):
    path = "/v1" if dialect.startswith("openai") else ""
    return {"preset": PRESETS[dialect], "dialect": dialect, "base_url": fake.url + path, "api_key": upstream_key(dialect)}


def configuration(fake):
    """A route per upstream, one per agent whose primary fails, and the names that agents ask for unless told."""
    providers, routes = {}, {}
    for dialect, model in UPSTREAMS.items():
        providers[f"up-{dialect}"] = provider(dialect, fake)
        routes[f"via-{dialect}"] = route(f"up-{dialect}/{model}")
    for primary, seconds in TAKES_OVER.items():
        for second in seconds:
            # Providers of their own: what is learned of a failing one is no other cell's affair.
            name = f"{primary}-{second}"
            providers[f"failing-{name}"] = provider(primary, fake)
            routes[f"from-{name}"] = route(f"failing-{name}/{UPSTREAMS[primary]}", f"up-{second}/{UPSTREAMS[second]}")
    routes["via-older"] = route(f"up-anthropic_messages/{OLDER}")
    routes["via-anthropic_messages"]["models"] = ["claude-*"]
    for name, _, dialect in KNOWN_TO_CODEX:
        routes[f"via-{dialect}"].setdefault("models", []).append(name)
    return {"providers": providers, "routes": routes, "log": {"level": "debug"}}


class Task:
    """One run of an agent in a folder of its own, with `url` for its endpoint."""

    def __init__(self, folder, agent, url, outside):
        self.agent, self.url, self.outside, self.folder = agent, url, outside, folder
        self.home, self.project = folder + "/home", folder + "/project"
        os.makedirs(self.home)
        os.makedirs(self.project)

    def run(self, model):
        """Exit status (None: it had to be ended), what it printed, what it complained of. Nothing that it started survives."""
        settings, arguments = self.agent.settings(self.home, self.project, self.url, model)
        environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": self.home,
            "TMPDIR": self.home,
            "LANG": "C.UTF-8",
            **self.outside.environment(),
            **settings,
        }
        # Files, not pipes: a child that outlives the agent would hold a pipe open.
        with open(f"{self.folder}/output", "wb") as output, open(f"{self.folder}/complaints", "wb") as complaints:
            process = subprocess.Popen(
                [*self.agent.program(MODULES), *arguments],
                cwd=self.project,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=complaints,
                start_new_session=True,
            )
            try:
                status = process.wait(SECONDS_MAX)
            except subprocess.TimeoutExpired:
                status = None
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
                self.end_the_rest()
        return status, self.text("output"), self.text("complaints")

    def text(self, name):
        with open(f"{self.folder}/{name}", encoding="utf-8", errors="replace") as file:
            return file.read()

    def end_the_rest(self):
        """Ends what the agent left running, known by the home that was made for it."""
        mark = f"HOME={self.home}\0".encode()
        for pid in (int(it) for it in os.listdir("/proc") if it.isdigit()):
            try:
                with open(f"/proc/{pid}/environ", "rb") as file:
                    if mark in file.read() + b"\0":
                        os.kill(pid, signal.SIGKILL)
            except OSError:
                continue

    def read(self, name):
        """A file of the project, None where there is none."""
        return self.text(f"project/{name}") if os.path.exists(f"{self.project}/{name}") else None


def does_the_task(task, fake, model, played):
    """Runs it and judges: the files, the last words, what the upstreams were sent."""
    began = time.monotonic()
    status, output, complaints = task.run(model)
    entries = fake.log()
    told = (
        f" after {time.monotonic() - began:.0f} s\n     printed: {output[-1500:]}\n     complained: {complaints[-1500:]}\n     upstream: "
        + "; ".join(f"{it['model']} {it['behaviour']} {it['status']} {it['outcome']}" for it in entries)
    )
    expect(status == 0, f"exit status {status}{told}")
    expect(task.read("draft.txt") == DRAFT + "\n", f"draft.txt holds {task.read('draft.txt')!r}{told}")
    expect(task.read("done.txt") == DONE + "\n", f"done.txt holds {task.read('done.txt')!r}{told}")
    expect(task.agent.final(output) == FINAL, f"last words {task.agent.final(output)!r}{told}")

    turns = [it for it in entries if it["behaviour"].startswith("turn-") or it["status"] == 503]
    expect([(it["model"], it["behaviour"]) for it in turns] == played, f"the turns were not {played}{told}")
    for entry in entries:
        is_told = entry["status"] == 400 and entry["model"] == OLDER and entry["n"] < turns[0]["n"]
        expect(entry["status"] in (200, 503) or is_told, f"an upstream refused {json.dumps(entry)[:3000]}{told}")
    # Of the shell's work only its results can have told the model of the sum.
    last = json.dumps(turns[-1]["body"])
    expect(DRAFT in last, f"the upstream never saw the command's result{told}")
    expect(PROMPT_WORD in last, f"the upstream never saw the prompt{told}")


def keeps_secrets(agent, entries, log):
    """The caller's key and headers go to no upstream; neither keys nor what was said or done stands in the gateway's log."""
    for entry in entries:
        # The names of betas belong to the fields of a body that stays in its dialect.
        is_own = entry["dialect"] == agent.dialect == "anthropic_messages"
        more = set(entry["headers"]) - HEADERS - ({"anthropic-beta"} if is_own else set())
        expect(not more, f"an upstream was sent {sorted(more)}")
        if is_own and "context_management" in entry["body"]:
            expect("anthropic-beta" in entry["headers"], "the betas' fields came without the betas' names")
        expect(KEY not in json.dumps(entry), f"an upstream was sent the caller's key: {entry['headers']}")
    for secret in (KEY, DRAFT, PROMPT_WORD, FINAL, *map(upstream_key, UPSTREAMS)):
        expect(secret not in log, f"`{secret}` stands in the gateway's log")


def cell(folder, agent, fake, gateway, outside, model, plan):
    """One agent, one way through; without a gateway it meets the fake itself."""
    script, played = plan
    task = Task(folder, agent, gateway.url if gateway else fake.url, outside)
    log_from = len(gateway.process.text()) if gateway else 0
    fake.forget()
    script(agent.turns(task.project))
    does_the_task(task, fake, model, played)
    if gateway:
        keeps_secrets(agent, fake.log(), gateway.process.text()[log_from:])


def straight(fake, model):
    """One upstream plays all turns."""
    return lambda turns: fake.script(model, {"turns": turns}), [(model, f"turn-{n}") for n in (1, 2, 3)]


def taken_over(fake, primary, second):
    """The primary fails in the second turn, again at its retry; the second target takes this turn over."""
    primary, second = UPSTREAMS[primary], UPSTREAMS[second]

    def script(turns):
        fake.script(primary, {"turns": [turns[0], "503", turns[2]]})
        fake.script(second, {"turns": turns})

    return script, [(primary, "turn-1"), (primary, "503"), (primary, "503"), (second, "turn-2"), (primary, "turn-3")]


def main():
    checks = Checks("agents")
    with workplace("agents") as folder, wall.Wall() as outside:
        fake, gateway, cells = Fake(folder), None, 0

        def check(title, agent, model, plan):
            nonlocal cells
            cells += 1
            arguments = (f"{folder}/{cells}", agent, fake, gateway, outside, model, plan)
            checks.run(title, cell, *arguments, seconds=SECONDS_MAX + 30)

        try:
            fake.ready()
            for agent in (ClaudeCode(), Codex()):
                model = UPSTREAMS[agent.dialect]
                check(f"{agent.name} before the fake alone", agent, model, straight(fake, model))
            known = Codex("patches")
            check("Codex with a model that it knows before the fake alone", known, "gpt-5.5", straight(fake, "gpt-5.5"))
            gateway = Gateway(folder, configuration(fake)).ready()
            for agent in AGENTS:
                for dialect, model in UPSTREAMS.items():
                    check(f"{agent.name} before {dialect}", agent, f"via-{dialect}", straight(fake, model))
            for agent in OTHER_DRIVERS:
                dialect = TAKES_OVER[agent.dialect][0]
                check(f"{agent.name} before {dialect}", agent, f"via-{dialect}", straight(fake, UPSTREAMS[dialect]))
            for agent in AGENTS:
                for second in TAKES_OVER[agent.dialect]:
                    title = f"{agent.name}: {agent.dialect} fails in the middle, {second} takes over"
                    plan = taken_over(fake, agent.dialect, second)
                    check(title, agent, f"from-{agent.dialect}-{second}", plan)
            check("Claude Code before an older Claude", ClaudeCode(), "via-older", straight(fake, OLDER))
            own = ClaudeCode("ANTHROPIC_API_KEY")
            plan = straight(fake, UPSTREAMS["anthropic_messages"])
            check("Claude Code with its own model and an API key", own, None, plan)
            for name, tools, dialect in KNOWN_TO_CODEX:
                check(f"Codex with {name} before {dialect}", Codex(tools), name, straight(fake, UPSTREAMS[dialect]))
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
            fake.stop()
        print("     asked for outside, and refused: " + (", ".join(sorted(outside.asked)) or "nothing"))
    checks.end()


main()
