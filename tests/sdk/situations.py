"""The situations of the matrix: what the fake does in each case, and the gateway's configuration with a route for every cell.

The programs of one client share a fake of their own. Every case that fails has a provider of its own too, so that no breaker, rest or
retry budget of one cell reaches another.
"""

import clients
from harness import route

TEXT = 'Grüße aus 東京 – “curly”, emoji 🎉👩‍🚀, tab\tand "quotes" \\ backslash.\nSecond line; data: not an event'
USAGE = {"prompt": 120, "completion": 60, "cached": 40, "reasoning": 0}
CITIES = ["Zürich", "São Paulo"]
EXACT = {"text": TEXT, "usage": USAGE}
BEHAVIOURS = {
    "text": EXACT,
    "stream": EXACT,
    "usage": EXACT,
    "parallel_tools": {"tool_calls": [{"name": "get_weather", "arguments": {"city": it}} for it in CITIES]},
    "reasoning": {"text": "Four.", "reasoning": "Two and two are four."},
    "length": {"tokens": 20, "finish": "length"},
    "bad_request": "400",
    "context": "context-too-long",
    "rate_limit": {"status": 429, "retry_after": "30s"},
    "overloaded": "503",
    "auth": "wrong-key",
    "cut": {"tokens": 30, "cut": {"after": 5, "how": "eof"}},
    "stream_error": {"tokens": 30, "stream_error": {"after": 5, "error": "overloaded"}},
}
# Attempts the upstream sees of one call by a client that heeds `x-should-retry`.
ATTEMPTS = {"bad_request": 1, "context": 1, "rate_limit": 1, "overloaded": 2, "auth": 1, "cut": 1, "stream_error": 1}
# A client that waits as long as it is told and then asks again must not stop the run.
SHORT_WAIT = {"status": 429, "retry_after": "3s"}
BODY_MAX = "2MB"


def upstream_model(client, upstream, case):
    """What the upstream is asked for."""
    return f"m-{case}-{client.name}-{upstream}".replace("_", "-")


def model(client, upstream, case):
    """What the client asks the gateway for."""
    return f"{client.name}.{upstream}.{case}"


def cell(client, upstream, case, direct):
    """What a program needs to know of a cell."""
    asked = upstream_model(client, upstream, case)
    return {
        "client": client.name,
        "case": case,
        "upstream": upstream,
        "model": asked if direct else model(client, upstream, case),
        "upstream_model": asked,
        "attempts": ATTEMPTS.get(case),
        "heeds": client.heeds_should_retry,
    }


def script(fake, client):
    for case, upstream in clients.cells(client):
        behaviour = BEHAVIOURS.get(case, "ok")
        if case == "rate_limit" and not client.heeds_should_retry:
            behaviour = SHORT_WAIT
        fake.script(upstream_model(client, upstream, case), behaviour)


def provider(upstream, fake):
    """A provider entry that points at a fake; base URLs are written as each provider's own SDK takes them."""
    entry = {"dialect": upstream, "base_url": fake.url + ("/v1" if upstream == "openai_chat" else ""), "api_key": "sk-upstream"}
    return entry


def configuration(fakes):
    """`fakes`: by program."""
    providers, routes = {}, {}
    for client in clients.CLIENTS:
        fake = fakes.get(client.program)
        if fake is None:
            continue
        for case, upstream in clients.cells(client):
            name = f"{client.program.split('.')[0]}-{upstream}".replace("_", "-")
            if case in ATTEMPTS:
                name = f"{client.name}-{upstream}-{case}".replace("_", "-")
            providers[name] = provider(upstream, fake)
            routes[model(client, upstream, case)] = route(f"{name}/{upstream_model(client, upstream, case)}")
    return {"server": {"body_max": BODY_MAX}, "providers": providers, "routes": routes}
