"""What an application sees through the official `openai` package for Python, default retries on.

The same checks run against the fake directly and against the gateway before each upstream dialect; those about
failures and attempts are the gateway's alone.
"""

import asyncio
import base64
import json
import time

import openai
import pydantic
from openai import AsyncOpenAI, OpenAI

import cases
from harness import expect, wait_until

ASK = [{"role": "user", "content": "What is the weather in Zürich?"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            },
            "required": ["city", "unit"],
            "additionalProperties": False,
        },
    },
}
# A PNG of one pixel.
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class Face:
    """One side to look at: where to call, what its models are called, and what the upstream was sent."""

    def __init__(self, kind, dialect, fake, gateway):
        self.kind, self.dialect, self.fake, self.gateway = kind, dialect, fake, gateway
        self.base_url = (gateway or fake).url + "/v1"
        self.client = OpenAI(base_url=self.base_url, api_key="sk-client")

    def model(self, case=None):
        return cases.name(self.dialect, case) if self.gateway else cases.model(self.dialect, case)

    def sent(self, case=None):
        """What the upstream was asked in this case, oldest first."""
        return self.fake.log(cases.model(self.dialect, case))

    def create(self, case=None, **more):
        return self.client.chat.completions.create(**{"model": self.model(case), "messages": ASK, **more})


def gather(stream):
    """Text, chunks, finish reason and usage of a stream."""
    chunks = list(stream)
    text = "".join(it.choices[0].delta.content or "" for it in chunks if it.choices)
    finish = [it.choices[0].finish_reason for it in chunks if it.choices and it.choices[0].finish_reason]
    usage = [it.usage for it in chunks if it.usage]
    return text, chunks, finish, usage


def same(got, wanted, what):
    expect(got == wanted, f"{what}: {got!r} instead of {wanted!r}")


# --- answers ---------------------------------------------------------------------------------------------


def chat(face):
    answer = face.create()
    expect(answer.id and answer.model and answer.created > 0, f"identity is missing: {answer}")
    same(answer.object, "chat.completion", "object")
    choice = answer.choices[0]
    same((choice.index, choice.finish_reason, choice.message.role), (0, "stop", "assistant"), "choice")
    expect(len(choice.message.content) > 20, "content")
    usage = answer.usage
    expect(usage.prompt_tokens > 0 and usage.completion_tokens > 0, f"usage {usage}")
    same(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens, "total_tokens")
    expect(answer._request_id, "x-request-id is missing")


def exact_text(face):
    answer = face.create("text")
    same(answer.choices[0].message.content, cases.TEXT, "text")
    usage = answer.usage
    same((usage.prompt_tokens, usage.completion_tokens), (120, 60), "tokens")
    same(usage.prompt_tokens_details.cached_tokens, 40, "cached tokens")


def stream(face):
    text, chunks, finish, usage = gather(face.create("text", stream=True))
    same(text, cases.TEXT, "text")
    same(finish, ["stop"], "finish reasons")
    expect(len(chunks) > 5, f"{len(chunks)} chunks only")
    same(len({(it.id, it.created, it.model) for it in chunks}), 1, "identities")
    same({it.object for it in chunks}, {"chat.completion.chunk"}, "objects")
    roles = [it.choices[0].delta.role for it in chunks if it.choices and it.choices[0].delta.role]
    same(roles[:1], ["assistant"], "roles")
    same(usage, [], "usage that nobody asked for")


def stream_usage(face):
    text, chunks, _, usage = gather(face.create("text", stream=True, stream_options={"include_usage": True}))
    same(text, cases.TEXT, "text")
    same(len(usage), 1, "chunks with usage")
    same(chunks[-1].choices, [], "choices of the last chunk")
    same((usage[0].prompt_tokens, usage[0].completion_tokens, usage[0].total_tokens), (120, 60, 180), "usage")


def stream_helper(face):
    with face.client.chat.completions.stream(model=face.model("text"), messages=ASK) as events:
        for _ in events:
            pass
        same(events.get_final_completion().choices[0].message.content, cases.TEXT, "text of the helper")


def odd_chunks(face):
    text, _, finish, _ = gather(face.create("odd", stream=True))
    same((text, finish), (cases.TEXT, ["stop"]), "text and finish")


def many_at_once(face):
    async def run():
        async with AsyncOpenAI(base_url=face.base_url, api_key="sk-client") as client:

            async def one(number):
                if number % 2:
                    answer = await client.chat.completions.create(model=face.model("text"), messages=ASK)
                    return answer.choices[0].message.content
                parts = []
                async for chunk in await client.chat.completions.create(
                    model=face.model("text"), messages=ASK, stream=True
                ):
                    parts += [it.delta.content or "" for it in chunk.choices]
                return "".join(parts)

            return await asyncio.gather(*(one(number) for number in range(32)))

    same(set(asyncio.run(run())), {cases.TEXT}, "texts")


def tools(face):
    messages = list(ASK)
    first = face.create(messages=messages, tools=[WEATHER])
    choice = first.choices[0]
    same(choice.finish_reason, "tool_calls", "finish reason")
    call = choice.message.tool_calls[0]
    expect(call.id and call.type == "function", f"tool call {call}")
    same(call.function.name, "get_weather", "function")
    arguments = json.loads(call.function.arguments)
    same(set(arguments), {"city", "unit"}, "arguments")
    messages += [
        choice.message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "21 degrees and sunny"},
    ]
    second = face.create(messages=messages, tools=[WEATHER])
    same(second.choices[0].finish_reason, "stop", "finish reason")
    expect("21 degrees and sunny" in second.choices[0].message.content, "the result is not quoted")


def forced_tool(face):
    other = {"type": "function", "function": {"name": "other", "parameters": {"type": "object", "properties": {}}}}
    forced = {"type": "function", "function": {"name": "get_weather"}}
    answer = face.create(tools=[other, WEATHER], tool_choice=forced)
    same(answer.choices[0].message.tool_calls[0].function.name, "get_weather", "forced function")
    answer = face.create(tools=[WEATHER], tool_choice="none")
    same((answer.choices[0].message.tool_calls, answer.choices[0].finish_reason), (None, "stop"), "tool_choice none")
    answer = face.create(tools=[WEATHER], tool_choice="required")
    same(answer.choices[0].finish_reason, "tool_calls", "tool_choice required")


def parallel_tools(face):
    answer = face.create("parallel", tools=[WEATHER])
    calls = answer.choices[0].message.tool_calls
    same([json.loads(it.function.arguments) for it in calls], [it["arguments"] for it in cases.PARALLEL], "arguments")
    same(len({it.id for it in calls}), 2, "ids")
    messages = [*ASK, answer.choices[0].message.model_dump(exclude_none=True)]
    messages += [{"role": "tool", "tool_call_id": it.id, "content": f"{n + 20} degrees"} for n, it in enumerate(calls)]
    again = face.create(messages=messages, tools=[WEATHER])
    expect("21 degrees" in again.choices[0].message.content, "the last result is not quoted")


def streamed_tools(face):
    calls = {}
    finish = []
    for chunk in face.create("parallel", tools=[WEATHER], stream=True):
        for choice in chunk.choices:
            finish += [choice.finish_reason] if choice.finish_reason else []
            for delta in choice.delta.tool_calls or []:
                call = calls.setdefault(delta.index, {"id": "", "name": "", "arguments": ""})
                call["id"] += delta.id or ""
                call["name"] += delta.function.name or ""
                call["arguments"] += delta.function.arguments or ""
    same(sorted(calls), [0, 1], "indexes")
    same([json.loads(calls[it]["arguments"]) for it in (0, 1)], [it["arguments"] for it in cases.PARALLEL], "arguments")
    same([calls[it]["name"] for it in (0, 1)], ["get_weather", "get_weather"], "names")
    same(len({it["id"] for it in calls.values()} - {""}), 2, "ids")
    same(finish, ["tool_calls"], "finish reasons")


class Step(pydantic.BaseModel):
    explanation: str
    result: int


class Solution(pydantic.BaseModel):
    steps: list[Step]
    final: str
    sure: bool


def schema(face):
    answer = face.client.chat.completions.parse(model=face.model(), messages=ASK, response_format=Solution)
    expect(isinstance(answer.choices[0].message.parsed, Solution), f"not parsed: {answer.choices[0].message}")
    with face.client.chat.completions.stream(model=face.model(), messages=ASK, response_format=Solution) as events:
        for _ in events:
            pass
        parsed = events.get_final_completion().choices[0].message.parsed
    expect(isinstance(parsed, Solution), "the streamed answer is not parsed")


def raw(face, case=None, **more):
    """The answer with its headers; `parse()` gives the SDK's object."""
    return face.client.chat.completions.with_raw_response.create(**{"model": face.model(case), "messages": ASK, **more})


def json_object(face):
    """Where the upstream has no such mode it is asked in words, and an answer that is no JSON is not passed on as one."""
    try:
        answer = raw(face, messages=[{"role": "user", "content": "Answer in JSON."}], response_format={"type": "json_object"})
    except openai.InternalServerError as error:
        expect(error.code == "malformed_output", f"another failure: {error!r}")
        expect(face.sent()[-1]["status"] == 200, "the upstream did answer")
        return
    text = answer.parse().choices[0].message.content
    expect(text.startswith("{") and isinstance(json.loads(text), dict), f"no object: {text!r}")


def image(face, url, wanted):
    content = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": url}}]
    answer = face.create(messages=[{"role": "user", "content": content}])
    expect("1" in answer.choices[0].message.content, f"no image seen: {answer.choices[0].message.content!r}")
    body = json.dumps(face.sent()[-1]["body"])
    expect(wanted in body, f"the image did not arrive: {body[:600]}")


def image_base64(face):
    data = base64.b64encode(PIXEL).decode()
    image(face, "data:image/png;base64," + data, data)


def image_url(face):
    """Bedrock takes bytes only, and fetching them is off unless the operator turns it on."""
    if face.dialect == "bedrock":
        content = [{"type": "image_url", "image_url": {"url": "https://images.example/cat.png"}}]
        error = raised(openai.BadRequestError, lambda: face.create(messages=[{"role": "user", "content": content}]))
        return expect("URL" in error.message, error.message)
    image(face, "https://images.example/cat.png", "https://images.example/cat.png")


def sampling(face):
    """Every parameter arrives, or the client is told that it was dropped."""
    answer = raw(face, temperature=0.5, top_p=0.9, stop=["STOP"], max_completion_tokens=50, seed=7)
    body = face.sent()[-1]["body"]
    sent = json.dumps(body.get("generationConfig", body))
    dropped = answer.headers.get("x-jumpseat-dropped", "")
    for parameter, value in [("temperature", "0.5"), ("top_p", "0.9"), ("stop", "STOP"), ("max", "50"), ("seed", "7")]:
        expect(value in sent or parameter in dropped, f"{parameter} is lost: {sent[:600]}, dropped {dropped!r}")


def system_prompts(face):
    messages = [
        {"role": "system", "content": "First rule."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi"},
        {"role": "developer", "content": "Second rule."},
        *ASK,
    ]
    face.create(messages=messages)
    body = json.dumps(face.sent()[-1]["body"])
    expect("First rule." in body and "Second rule." in body, f"a system prompt is lost: {body[:800]}")


def length(face):
    same(face.create("length").choices[0].finish_reason, "length", "finish reason")
    _, _, finish, _ = gather(face.create("length", stream=True))
    same(finish, ["length"], "finish reasons")
    same(face.create(max_completion_tokens=5).choices[0].finish_reason, "length", "finish reason at the limit")


def reasoning(face):
    message = face.create("reasoning").choices[0].message
    same(message.content, "Four.", "content")
    expect("Two and two" in json.dumps(message.model_dump()), f"no reasoning: {message}")
    text, _, finish, _ = gather(face.create("reasoning", stream=True))
    same((text, finish), ("Four.", ["stop"]), "stream")


def refusal(face):
    """Anthropic and Gemini say a refusal by their stop reason."""
    choice = face.create("refusal").choices[0]
    if face.dialect == "openai":
        same(choice.message.refusal, "I cannot help with that.", "refusal")
    else:
        expect(choice.message.refusal or choice.finish_reason == "content_filter", f"no refusal: {choice}")
    expect(len(face.sent("refusal")) == 1, "a refusal was tried again")


def several_choices(face):
    if face.dialect in ("anthropic", "bedrock"):
        error = raised(openai.BadRequestError, lambda: face.create(n=2))
        return expect("n" in error.message, error.message)
    answer = face.create(n=2)
    same([it.index for it in answer.choices], [0, 1], "choices")


def hot_temperature(face):
    if face.dialect in ("anthropic", "bedrock"):
        raised(openai.BadRequestError, lambda: face.create(temperature=1.5))
        return
    face.create(temperature=1.5)


def models(face):
    names = [it.id for it in face.client.models.list()]
    expect(face.model() in names, f"{face.model()} is not among {names[:20]}")


# --- the gateway's own -----------------------------------------------------------------------------------


def headers(face):
    got = raw(face).headers
    expect(got.get("x-jumpseat-call-id"), f"no call id in {dict(got)}")
    same(got.get("x-request-id"), got.get("x-jumpseat-call-id"), "x-request-id")
    same(got.get("x-jumpseat-route"), face.model(), "route")
    same(got.get("x-jumpseat-tier"), "1", "tier")
    same(got.get("x-jumpseat-target"), f"up-{face.dialect}/{cases.model(face.dialect)}", "target")
    same(got.get("x-jumpseat-attempts"), "1", "attempts")
    expect("fallback-reason" not in " ".join(got), "a fallback reason without a fallback")


def credentials_stay(face):
    face.create()
    sent = json.dumps(face.sent()[-1]["headers"])
    expect("sk-client" not in sent, "the client's key went upstream")
    expect(f"sk-{face.dialect}-upstream" in sent, f"the provider's key is missing: {sent}")


def unknown_fields(face):
    """The same dialect passes through; another one says what it dropped."""
    raw = face.client.chat.completions.with_raw_response.create(
        model=face.model(), messages=ASK, extra_body={"zz_new": {"b": 1, "a": [True, None]}}
    )
    if face.dialect == "openai":
        same(face.sent()[-1]["body"].get("zz_new"), {"b": 1, "a": [True, None]}, "unknown field")
    else:
        expect("zz_new" in raw.headers.get("x-jumpseat-dropped", ""), f"not reported: {dict(raw.headers)}")


def raised(kind, call):
    """The error of `kind` that the call ends in; exactly this class or a subclass of it."""
    try:
        answer = call()
        if not isinstance(answer, openai.types.chat.ChatCompletion):
            list(answer)
    except kind as error:
        return error
    except openai.APIError as error:
        raise AssertionError(f"{type(error).__name__} instead of {kind.__name__}: {error}") from error
    raise AssertionError(f"no {kind.__name__}")


# case, the SDK's class, status, code or None, upstream attempts of one call
ERRORS = [
    ("400", openai.BadRequestError, 400, None, 1),
    ("context", openai.BadRequestError, 400, "context_length_exceeded", 1),
    ("429", openai.RateLimitError, 429, None, 1),
    ("quota", openai.RateLimitError, 429, "insufficient_quota", 1),
    ("500", openai.InternalServerError, 503, None, 2),
    ("503", openai.InternalServerError, 503, None, 2),
    ("wrong-key", openai.InternalServerError, 502, None, 1),
    ("model-not-found", openai.InternalServerError, 502, None, 1),
    ("html", openai.InternalServerError, 502, None, 2),
    ("empty", openai.InternalServerError, 502, None, 2),
    ("silence", openai.InternalServerError, 504, None, 1),
]


def error_class(face, case, kind, status, code, attempts, streamed):
    before = len(face.sent(case))
    error = raised(kind, lambda: face.create(case, stream=streamed))
    same(error.status_code, status, "status")
    if code:
        same(error.code, code, "code")
    expect(error.type and error.message, f"type or message is missing: {error.body}")
    expect(not face.gateway or "sk-" not in error.response.text, "a provider's key is in the answer")
    if face.gateway:
        same(error.response.headers.get("x-should-retry"), "false", "x-should-retry")
        expect("attempts" in error.response.text, f"no attempts in the body: {error.response.text[:500]}")
        # A target whose credential rests or whose breaker is open is tried once at most.
        made = len(face.sent(case)) - before
        expect(1 <= made <= attempts if streamed else made == attempts, f"{made} upstream attempts, not {attempts}")
    if case == "429":
        expect(float(error.response.headers.get("retry-after", 0)) > 0, "no retry-after")


def content_filter(face):
    """The provider's answer, marked, and nobody else is asked."""
    try:
        answer = face.create("filter")
        expect(answer.choices[0].finish_reason == "content_filter", f"not marked: {answer}")
    except openai.BadRequestError as error:
        same(error.code, "content_filter", "code")
    same(len(face.sent("filter")), 1, "attempts")


def unknown_model(face):
    error = raised(openai.NotFoundError, lambda: face.create(model="no-such-model-at-all"))
    same(error.code, "model_not_found", "code")


def named_target_missing(face):
    target = f"up-{face.dialect}-model-not-found/{cases.model(face.dialect, 'model-not-found')}"
    raised(openai.NotFoundError, lambda: face.create(model=target))


def bad_parameter(face):
    raised(openai.BadRequestError, lambda: face.create(messages="not a list"))


def fallback(face, case):
    raw = face.client.chat.completions.with_raw_response.create(model=face.model(case), messages=ASK, stream=True)
    text, _, finish, _ = gather(raw.parse())
    expect(len(text) > 20, "no text")
    same(finish, ["stop"], "finish")
    same(raw.headers.get("x-jumpseat-tier"), "2", "tier")
    expect(raw.headers.get("x-jumpseat-fallback-reason"), "no fallback reason")
    expect(int(raw.headers.get("x-jumpseat-attempts")) >= 2, "attempts")


def fallback_unary(face):
    raw = face.client.chat.completions.with_raw_response.create(model=face.model("fallback"), messages=ASK)
    same(raw.headers.get("x-jumpseat-tier"), "2", "tier")
    expect(len(raw.parse().choices[0].message.content) > 20, "no text")


def sdk_timeout(face):
    """The SDK says how long it will wait; the gateway answers before that, once, instead of being called again."""
    client = face.client.with_options(timeout=1.5)
    started = time.monotonic()
    for case, streamed in [("sdk-silence", False), ("sdk-silence-stream", True)]:
        error = raised(
            openai.APIStatusError,
            lambda case=case, streamed=streamed: client.chat.completions.create(
                model=face.model(case), messages=ASK, stream=streamed
            ),
        )
        same(error.status_code, 504, "status")
        same(len(face.sent(case)), 1, "attempts")
    expect(time.monotonic() - started < 3.2, "answered too late")


def stream_breaks(face, case):
    """Text that ends early must raise: a truncated answer never looks whole."""
    got = []
    before = len(face.sent(case))
    try:
        for chunk in face.create(case, stream=True):
            got += [it.delta.content or "" for it in chunk.choices]
            finish = [it.finish_reason for it in chunk.choices if it.finish_reason]
            expect(not finish, f"a clean end: {finish}")
    except openai.APIError as error:
        expect(error.message, "no message")
        expect(not isinstance(error, openai.APIConnectionError), f"a bare cut: {error!r}")
    else:
        raise AssertionError(f"no error after {len(got)} chunks: {''.join(got)[:100]!r}")
    expect("".join(got).strip(), "no text before the break")
    same(len(face.sent(case)) - before, 1, "attempts")


def error_before_content(face):
    """An error inside a 200 stream before its first content is an HTTP error for the client."""
    error = raised(openai.InternalServerError, lambda: face.create("error-first", stream=True))
    same(error.status_code, 503, "status")


def outcome_of(face, case):
    entries = face.sent(case)
    return entries[-1].get("outcome") if entries else None


def client_leaves(face):
    running = face.create("slow", stream=True)
    for number, _ in enumerate(running):
        if number == 3:
            break
    running.close()
    wait_until(lambda: outcome_of(face, "slow") == "cancelled", 5, "the upstream sees the client leave")
    expect(face.sent("slow")[-1]["events_sent"] < 200, "the upstream went on")


def client_leaves_before_the_answer(face):
    async def run():
        async with AsyncOpenAI(base_url=face.base_url, api_key="sk-client", max_retries=0) as client:
            task = asyncio.create_task(
                client.chat.completions.create(model=face.model("slow-unary"), messages=ASK)
            )
            await asyncio.sleep(0.5)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())
    wait_until(lambda: outcome_of(face, "slow-unary") == "cancelled", 5, "the upstream sees the client leave")
    same(len(face.sent("slow-unary")), 1, "attempts")


def storm(face):
    """64 callers with the SDK's own retries, all at once, at a target that only says 503."""

    async def run():
        async with AsyncOpenAI(base_url=face.base_url, api_key="sk-client") as client:
            return await asyncio.gather(
                *(client.chat.completions.create(model=face.model("storm"), messages=ASK) for _ in range(64)),
                return_exceptions=True,
            )

    ended = asyncio.run(run())
    same({type(it) for it in ended}, {openai.InternalServerError}, "errors")
    attempts = len(face.sent("storm"))
    expect(attempts <= 1.3 * 64 + 10, f"{attempts} upstream attempts for 64 calls")


def log_lines(face):
    """One JSON line a call and one an attempt, by the call's id, without the prompt."""
    raw = face.client.chat.completions.with_raw_response.create(
        model=face.model(), messages=[{"role": "user", "content": "CANARY-PROMPT-8731"}]
    )
    call = raw.headers["x-jumpseat-call-id"]

    def lines():
        return [it for it in face.gateway.process.text().splitlines() if call in it]

    wait_until(lambda: len(lines()) >= 2, 3, "two log lines of the call")
    for line in lines():
        fields = json.loads(line)
        flat = {**fields, **fields.get("fields", {})}
        for field in ("request_id", "route", "target", "outcome", "status", "latency_ms"):
            expect(field in flat, f"no {field} in {line}")
    text = face.gateway.process.text()
    for secret in ("CANARY-PROMPT-8731", "sk-client", f"sk-{face.dialect}-upstream"):
        expect(secret not in text, f"{secret} is in the log")


ANSWERS = [
    chat, exact_text, stream, stream_usage, stream_helper, odd_chunks, many_at_once, tools, forced_tool, parallel_tools,
    streamed_tools, schema, json_object, image_base64, image_url, sampling, system_prompts, length, reasoning, refusal,
    several_choices, hot_temperature, models,
]  # fmt: skip
OWN = [
    headers, credentials_stay, unknown_fields, content_filter, unknown_model, named_target_missing, bad_parameter,
    fallback_unary, sdk_timeout, error_before_content, client_leaves, client_leaves_before_the_answer, storm, log_lines,
]  # fmt: skip
# Those hold against the fake too: the SDK makes the class from the status.
DIRECT_ERRORS = [
    ("400", openai.BadRequestError, 400, None, 1),
    ("context", openai.BadRequestError, 400, "context_length_exceeded", 1),
    ("model-not-found", openai.NotFoundError, 404, None, 1),
    ("wrong-key", openai.AuthenticationError, 401, None, 1),
    ("quota", openai.RateLimitError, 429, "insufficient_quota", 3),
    ("503", openai.InternalServerError, 503, None, 3),
]


def run(checks, face):
    where = f"{face.kind} {face.dialect}" if face.gateway else "fake"

    def check(title, function, *arguments):
        checks.run(f"{where}: {title}", function, face, *arguments, seconds=40)

    for function in ANSWERS:
        check(function.__name__, function)
    if not face.gateway:
        for row in DIRECT_ERRORS:
            check(f"error {row[0]}", error_class, *row, False)
        return
    for function in OWN:
        check(function.__name__, function)
    for row in ERRORS:
        check(f"error {row[0]}", error_class, *row, False)
        check(f"error {row[0]}, streamed", error_class, *row, True)
    for case in ("cut-reset", "cut-eof", "no-terminator", "stall", "error-5"):
        check(f"stream {case}", stream_breaks, case)
    for case in ("fallback", "fallback-first", "fallback-cut"):
        check(f"stream {case}", fallback, case)
