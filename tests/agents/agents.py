"""The agents under test: how each is started without a person, where it learns its endpoint, and how it plays its part.

An [`Agent`] knows three things: the settings a user would write (docs/agents.md shows the same), the tools by which it
does the task, and where its final text stands in what it prints. It judges nothing; run.py does.
"""

import glob
import json
import os

from harness import expect

KEY = "sk-agents-own-key"
# The shell computes what is read back, so that its result is in no argument that the model gave.
SHELL = 'echo "sum-$((1234 * 5678))" > draft.txt'
DRAFT = "sum-7006652"
DONE = "checked"
PROMPT_WORD = "quaggawort"
PROMPT = f"Write the draft with a command, then read it back and write the second file. The word is {PROMPT_WORD}."
# Codex's tool for scripts by the name that it has where there are no namespaces.
SCRIPTS = "functions__exec"
PATCH = f"*** Begin Patch\n*** Add File: done.txt\n+{DONE}\n*** End Patch\n"
FINAL = "Both files are written; nothing is left to do."


class Agent:
    """`name` as in titles, `dialect` that it speaks to the gateway."""

    name = dialect = None

    def program(self, modules):
        """The command that runs it, from the platform's own package: no install script is needed."""
        raise NotImplementedError

    def settings(self, home, project, url, model):
        """Writes what files it wants below `home` and `project`; its environment and arguments."""
        raise NotImplementedError

    def calls(self, project):
        """The tool calls of the task: one that writes the draft, then two in parallel that read it and write the second file."""
        raise NotImplementedError

    def final(self, output):
        """Its last words."""
        raise NotImplementedError

    def turns(self, project):
        first, *second = self.calls(project)
        return [
            {"reasoning": "A command does it.", "text": "I begin with the draft.", "tool_calls": [first]},
            {"reasoning": "One is to be read, the other written.", "tool_calls": second},
            {"text": FINAL},
        ]


def call(name, **arguments):
    return {"name": name, "arguments": arguments}


def program(pattern):
    """The file of that pattern, the last one where a package has several builds (`-baseline` runs on older processors too)."""
    found = sorted(glob.glob(pattern))
    expect(found, f"no {pattern}: run tests/provision")
    return found[-1]


class ClaudeCode(Agent):
    name, dialect = "Claude Code", "anthropic_messages"

    def __init__(self, credential="ANTHROPIC_AUTH_TOKEN"):
        self.credential = credential

    def program(self, modules):
        return [program(modules + "/@anthropic-ai/claude-code-linux-*/claude")]

    def settings(self, home, project, url, model):
        environment = {
            "ANTHROPIC_BASE_URL": url,
            self.credential: KEY,
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            # It refuses to skip its questions for root, unless told that it is contained.
            "IS_SANDBOX": "1",
        }
        if model:
            environment |= {"ANTHROPIC_MODEL": model, "ANTHROPIC_SMALL_FAST_MODEL": model, "CLAUDE_CODE_MAX_CONTEXT_TOKENS": "128000"}
        return environment, ["-p", PROMPT, "--output-format", "json", "--dangerously-skip-permissions"]

    def calls(self, project):
        return [
            call("Bash", command=SHELL, description="Write the draft"),
            call("Read", file_path=f"{project}/draft.txt"),
            call("Write", file_path=f"{project}/done.txt", content=DONE + "\n"),
        ]

    def final(self, output):
        answer = json.loads(output)
        return None if answer["is_error"] else answer["result"]


class Codex(Agent):
    name, dialect = "Codex", "openai_responses"

    def __init__(self, tools="functions"):
        """What it offers follows from the model's name. Of an unknown one it gives plain functions; a known one has a tool of
        its own for edits whose argument is free text (`patches`); the newest write scripts that call all others (`scripts`)."""
        self.tools = tools

    def program(self, modules):
        return [program(modules + "/@openai/codex-linux-*/vendor/*/bin/codex")]

    def settings(self, home, project, url, model):
        os.makedirs(home + "/.codex")
        with open(home + "/.codex/config.toml", "w", encoding="utf-8") as file:
            file.write(
                f'model = "{model}"\n'
                "model_context_window = 128000\n"
                'model_provider = "jumpseat"\n'
                "[features]\nplugins = false\n"
                "[analytics]\nenabled = false\n"
                "[model_providers.jumpseat]\n"
                'name = "Jumpseat"\n'
                f'base_url = "{url}/v1"\n'
                'env_key = "JUMPSEAT_KEY"\n'
                'wire_api = "responses"\n'
            )
        # Its own sandbox needs user namespaces, which containers often lack.
        arguments = ["exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "--json", PROMPT]
        return {"JUMPSEAT_KEY": KEY}, arguments

    def calls(self, project):
        write = f"echo {DONE} > done.txt"
        if self.tools == "scripts":
            return [call(SCRIPTS, input=f"text(await tools.exec_command({json.dumps({'cmd': it})}))") for it in (SHELL, "cat draft.txt", write)]
        return [
            call("exec_command", cmd=SHELL),
            call("exec_command", cmd="cat draft.txt"),
            call("apply_patch", input=PATCH) if self.tools == "patches" else call("exec_command", cmd=write),
        ]

    def final(self, output):
        events = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
        texts = [it["item"]["text"] for it in events if it.get("item", {}).get("type") == "agent_message"]
        return texts[-1] if texts and events[-1]["type"] == "turn.completed" else None


class OpenCode(Agent):
    """It brings a driver for each dialect; the one for `openai_chat` is what its own documents advise."""

    DRIVERS = {"openai_chat": "@ai-sdk/openai-compatible", "anthropic_messages": "@ai-sdk/anthropic", "openai_responses": "@ai-sdk/openai"}

    def __init__(self, dialect="openai_chat"):
        self.dialect = dialect
        self.name = "opencode" if dialect == "openai_chat" else f"opencode by {self.DRIVERS[dialect]}"

    def program(self, modules):
        return [program(modules + "/opencode-linux-*/bin/opencode")]

    def settings(self, home, project, url, model):
        settings = {
            "model": f"jumpseat/{model}",
            "small_model": f"jumpseat/{model}",
            "enabled_providers": ["jumpseat"],
            "autoupdate": False,
            "share": "disabled",
            "permission": {"*": "allow"},
            "provider": {
                "jumpseat": {
                    "npm": self.DRIVERS[self.dialect],
                    "name": "Jumpseat",
                    "options": {"baseURL": f"{url}/v1", "apiKey": "{env:JUMPSEAT_KEY}"},
                    "models": {model: {"name": model, "limit": {"context": 128000, "output": 8192}}},
                }
            },
        }
        with open(project + "/opencode.json", "w", encoding="utf-8") as file:
            json.dump(settings, file, indent=1)
        environment = {
            "JUMPSEAT_KEY": KEY,
            "OPENCODE_DISABLE_AUTOUPDATE": "1",
            "OPENCODE_DISABLE_MODELS_FETCH": "1",
            "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
        }
        return environment, ["run", "--format", "json", PROMPT]

    def calls(self, project):
        return [
            call("bash", command=SHELL, description="Write the draft"),
            call("read", filePath=f"{project}/draft.txt"),
            call("write", filePath=f"{project}/done.txt", content=DONE + "\n"),
        ]

    def final(self, output):
        events = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
        texts = [it["part"]["text"] for it in events if it["type"] == "text"]
        return texts[-1] if texts else None
