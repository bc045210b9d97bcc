"""The situations that the SDK tests meet, as behaviours of the fake and routes of the gateway.

Every case has, per dialect, a model, a provider and a route of its own: no breaker, rest or retry budget of one
case reaches another. `via-anthropic` is the healthy route, `via-anthropic-cut-eof` the one of the case `cut-eof`.
"""

from harness import MODELS, provider, route

TEXT = 'Grüße aus 東京 – “curly”, emoji 🎉👩‍🚀, tab\tand "quotes" \\ backslash.\nSecond line; data: not an event'
USAGE = {"prompt": 120, "completion": 60, "cached": 40, "reasoning": 0}
PARALLEL = [
    {"name": "get_weather", "arguments": {"city": "Zürich", "unit": "celsius"}},
    {"name": "get_weather", "arguments": {"city": "São Paulo", "unit": "celsius"}},
]

BEHAVIOURS = {
    "text": {"text": TEXT, "usage": USAGE},
    "parallel": {"tool_calls": PARALLEL},
    "odd": {"odd": True, "text": TEXT},
    "reasoning": {"text": "Four.", "reasoning": "Two and two are four."},
    "refusal": {"refusal": "I cannot help with that."},
    "length": {"tokens": 20, "finish": "length"},
    "400": "400",
    "429": {"status": 429, "retry_after": "30s"},
    "quota": "insufficient-quota",
    "500": "500",
    "503": "503",
    "wrong-key": "wrong-key",
    "model-not-found": "model-not-found",
    "context": "context-too-long",
    "filter": "content-filter",
    "html": "html",
    "empty": "empty",
    "silence": "silence",
    "sdk-silence": "silence",
    "sdk-silence-stream": "silence-first-token",
    "cut-reset": {"tokens": 30, "cut": {"after": 5, "how": "reset"}},
    "cut-eof": {"tokens": 30, "cut": {"after": 5, "how": "eof"}},
    "no-terminator": "no-terminator",
    "stall": {"tokens": 30, "silence": {"after": 5}},
    "error-5": {"tokens": 30, "stream_error": {"after": 5, "error": "overloaded"}},
    "error-first": "error-first",
    "slow": {"tokens": 400, "interval": "50ms"},
    "slow-unary": {"delay": "20s"},
    "storm": "503",
    "fallback": "503",
    "fallback-first": "error-first",
    "fallback-cut": "cut-0",
}
# What a route needs beside its one target.
TIERS = {
    "silence": {"timeouts": {"total": "700ms"}},
    "stall": {"timeouts": {"idle": "500ms"}},
}


def model(dialect, case=None):
    """What the upstream is asked for."""
    return f"m-{dialect}-{case}" if case else MODELS[dialect]


def name(dialect, case=None):
    """What the client asks the gateway for."""
    return f"via-{dialect}-{case}" if case else f"via-{dialect}"


def script(fake):
    for dialect in MODELS:
        for case, behaviour in BEHAVIOURS.items():
            fake.script(model(dialect, case), behaviour)


def configuration(fake):
    providers, routes = {}, {}
    for dialect in MODELS:
        providers[f"up-{dialect}"] = provider(dialect, fake)
        routes[name(dialect)] = route(f"up-{dialect}/{model(dialect)}")
        for case in BEHAVIOURS:
            providers[f"up-{dialect}-{case}"] = provider(dialect, fake)
            tier = {"targets": [f"up-{dialect}-{case}/{model(dialect, case)}"], **TIERS.get(case, {})}
            tiers = [tier]
            if case.startswith("fallback"):
                tiers.append(f"up-{dialect}/{model(dialect)}")
            routes[name(dialect, case)] = route(*tiers)
    return {"providers": providers, "routes": routes}
