"""docs/compatibility.md from the results of a run: tables by upstream dialect, by client and case.

The cells stand between two marks and are compared as they are; versions and the date stand outside, so that a new day is no difference.
"""

import datetime
import difflib
import json
import os

import clients

BEGIN, END = "<!-- cells: written by tests/sdk/matrix -->", "<!-- end of cells -->"
GOOD, REFUSED, BAD, NONE = "✓", "○", "✗", "–"
SELF_WILLED = ["The AI SDK", "LlamaIndex"]
UPSTREAM_NAMES = {
    "openai_chat": "OpenAI chat completions",
    "anthropic_messages": "Anthropic messages",
    "gemini": "Gemini",
    "bedrock_converse": "Bedrock Converse",
}


def mark(result):
    if result is None or not result["ok"]:
        return BAD
    return REFUSED if str(result.get("note", "")).startswith("refused") else GOOD


def grid(results):
    return {(it["client"], it["case"], it["upstream"]): it for it in results}


def table(cases, upstream, found):
    lines = ["| client | " + " | ".join(f"`{case}`" for case in cases) + " |", "|---|" + ":-:|" * len(cases)]
    for client in clients.CLIENTS:
        cells = [mark(found.get((client.name, case, upstream))) if case in client.cases else NONE for case in cases]
        if set(cells) != {NONE}:
            lines.append(f"| {client.name} | " + " | ".join(cells) + " |")
    return lines


def tables(results):
    found = grid(results)
    lines = []
    for upstream in clients.UPSTREAMS:
        lines += [f"### Before {UPSTREAM_NAMES[upstream]} (`{upstream}`)", "", *table(list(clients.CASES), upstream, found), ""]
    lines += ["### What the gateway decides before any upstream", "", *table(list(clients.INGRESS_CASES), clients.UPSTREAMS[0], found), ""]
    return lines


def for_terminal(results):
    """Client by upstream: how many of the cells held."""
    found = grid(results)
    lines = [f"{'client':26}" + "".join(f"{it:>20}" for it in clients.UPSTREAMS) + f"{'ingress':>10}"]
    for client in clients.CLIENTS:
        row = f"{client.name:26}"
        for upstream in clients.UPSTREAMS:
            cells = [found.get((client.name, case, upstream)) for case in client.cases if case in clients.CASES]
            good = sum(bool(it and it["ok"]) for it in cells)
            row += f"{f'{good}/{len(cells)}':>20}"
        own = [found.get((client.name, case, clients.UPSTREAMS[0])) for case in client.cases if case in clients.INGRESS_CASES]
        good = sum(bool(it and it["ok"]) for it in own)
        row += f"{f'{good}/{len(own)}' if own else '-':>10}"
        lines.append(row)
    return "\n".join(lines)


def version(client):
    """As the pinned lists say."""
    folder = os.path.dirname(os.path.abspath(__file__))
    if client.environment == "node":
        with open(f"{folder}/package.json", encoding="utf-8") as file:
            return json.load(file)["dependencies"][client.package]
    name = "requirements.txt" if client.environment == "python" else "requirements-openai2.txt"
    with open(f"{folder}/{name}", encoding="utf-8") as file:
        return next(line.strip().split("==")[1] for line in file if line.lower().startswith(client.package.lower() + "=="))


def whole(results):
    held = sum(it["ok"] for it in results)
    out = [
        "# Compatibility", "",
        "Official SDKs and the frameworks people put on them, pointed at Jumpseat as at their own provider, before upstreams of four dialects.",
        "Every cell is what an application would write with that client; `./test sdk` runs them all and fails when a cell fails, did not run, or differs from this page.",
        "The upstreams are [fakes](fake.md), which the same SDKs hold to the providers' formats without anything in between.", "",
        f"{GOOD} holds · {REFUSED} the upstream has no such thing and the client is told so in its own error class · {BAD} fails · {NONE} not asked: the client has no word for it, or leaves it to the SDK below", "",
        "Default retries are on. Errors that end a call carry `x-should-retry: false`, which the SDKs of OpenAI and Anthropic heed, and what is built on them; Google's do not ask again of themselves. "
        + f"{' and '.join(SELF_WILLED)} ask again all the same; `maxRetries: 0` and `max_retries=0` leave that to the gateway.", "",
        "## Cases", "", "| case | holds when |", "|---|---|",
        *(f"| `{case}` | {text} |" for case, text in {**clients.CASES, **clients.INGRESS_CASES}.items()), "",
        "## Cells", "", BEGIN, "", *tables(results), END, "",
        "## Versions", "",
        f"Written {datetime.date.today().isoformat()}: {held} of {len(results)} checks hold.", "",
        "| client | package | version | speaks |", "|---|---|---|---|",
        *(f"| {it.name} | `{it.package}` | {version(it)} | `{it.ingress}` |" for it in clients.CLIENTS), "",
    ]  # fmt: skip
    return "\n".join(out)


def write(path, results):
    with open(path, "w", encoding="utf-8") as file:
        file.write(whole(results))


def between(text):
    return text.partition(BEGIN)[2].partition(END)[0].strip().splitlines()


def difference(path, results):
    """The lines in which the document's cells are not those of the run; empty when they are the same."""
    try:
        with open(path, encoding="utf-8") as file:
            written = between(file.read())
    except OSError as error:
        return str(error)
    ran = between(whole(results))
    return "\n".join(difflib.unified_diff(written, ran, "the document", "the run", lineterm="", n=0))
