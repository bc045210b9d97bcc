"""The official `openai` package for Python: chat completions, responses, embeddings, models and the `parse` helpers, default retries on."""

import json

import httpx
import openai
import pydantic
from cell import KEY, PIXEL, QUESTION, RESULT, SCHEMA, expect, failure, per_url, raised, run, same

CHAT, RESPONSES = "openai-python", "openai-python-responses"
ASK = [{"role": "user", "content": QUESTION}]
IMAGE = "data:image/png;base64," + PIXEL
WEATHER = {"name": "get_weather", "description": "The weather in a city.", "parameters": SCHEMA}
CHAT_TOOL = {"type": "function", "function": WEATHER}
RESPONSES_TOOL = {"type": "function", "strict": False, **WEATHER}


class Step(pydantic.BaseModel):
    explanation: str
    result: int


class Solution(pydantic.BaseModel):
    steps: list[Step]
    sure: bool


@per_url
def client(cell):
    return openai.OpenAI(base_url=cell.url + "/v1", api_key=KEY)


# --- chat completions ------------------------------------------------------------------------------------


def create(cell, **more):
    return client(cell).chat.completions.create(**{"model": cell.model, "messages": ASK, **more})


def chat_ask(cell, streamed):
    answer = create(cell, stream=streamed)
    return list(answer) if streamed else answer


def chat_text(cell):
    answer = create(cell)
    choice = answer.choices[0]
    same((choice.message.content, choice.message.role, choice.finish_reason), (cell.text, "assistant", "stop"), "choice")
    expect(answer.id and answer.model and answer.created > 0 and answer.object == "chat.completion", f"identity: {answer}")
    expect(answer._request_id, "x-request-id is missing")


def chat_stream(cell):
    chunks = list(create(cell, stream=True))
    same("".join(it.choices[0].delta.content or "" for it in chunks if it.choices), cell.text, "text")
    same([it.choices[0].finish_reason for it in chunks if it.choices and it.choices[0].finish_reason], ["stop"], "finish")
    same(len({(it.id, it.created, it.model) for it in chunks}), 1, "identities")
    same([it.usage for it in chunks if it.usage], [], "usage that nobody asked for")
    expect(len(chunks) > 5, f"{len(chunks)} chunks only")
    with client(cell).chat.completions.stream(model=cell.model, messages=ASK) as events:
        for _ in events:
            pass
        same(events.get_final_completion().choices[0].message.content, cell.text, "text of the helper")


def chat_usage(cell):
    usages = [create(cell).usage]
    chunks = list(create(cell, stream=True, stream_options={"include_usage": True}))
    usages += [it.usage for it in chunks if it.usage]
    same(len(usages), 2, "usages")
    same(chunks[-1].choices, [], "choices of the last chunk")
    for usage in usages:
        same((usage.prompt_tokens, usage.completion_tokens, usage.total_tokens), (120, 60, 180), "tokens")
        same(usage.prompt_tokens_details.cached_tokens, 40, "cached tokens")


def chat_tools(cell):
    first = create(cell, tools=[CHAT_TOOL]).choices[0]
    same(first.finish_reason, "tool_calls", "finish reason")
    call = first.message.tool_calls[0]
    same((call.function.name, set(json.loads(call.function.arguments))), ("get_weather", {"city"}), "call")
    turns = [*ASK, first.message, {"role": "tool", "tool_call_id": call.id, "content": RESULT}]
    second = create(cell, messages=turns, tools=[CHAT_TOOL]).choices[0]
    same(second.finish_reason, "stop", "finish reason")
    expect(RESULT in second.message.content, f"the result is not quoted: {second.message.content!r}")
    forced = {"type": "function", "function": {"name": "get_weather"}}
    other = {"type": "function", "function": {"name": "other", "parameters": {"type": "object", "properties": {}}}}
    answer = create(cell, tools=[other, CHAT_TOOL], tool_choice=forced).choices[0].message
    same(answer.tool_calls[0].function.name, "get_weather", "forced function")


def chat_parallel(cell):
    with client(cell).chat.completions.stream(model=cell.model, messages=ASK, tools=[CHAT_TOOL]) as events:
        for _ in events:
            pass
        choice = events.get_final_completion().choices[0]
    calls = choice.message.tool_calls
    same([json.loads(it.function.arguments)["city"] for it in calls], cell.cities, "arguments")
    same((len({it.id for it in calls}), choice.finish_reason), (2, "tool_calls"), "ids and finish reason")


def chat_structured(cell):
    answer = client(cell).chat.completions.parse(model=cell.model, messages=ASK, response_format=Solution)
    expect(isinstance(answer.choices[0].message.parsed, Solution), f"not parsed: {answer.choices[0].message}")
    with client(cell).chat.completions.stream(model=cell.model, messages=ASK, response_format=Solution) as events:
        for _ in events:
            pass
        expect(isinstance(events.get_final_completion().choices[0].message.parsed, Solution), "the stream is not parsed")


def chat_image(cell):
    content = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": IMAGE}}]
    cell.image_arrived(create(cell, messages=[{"role": "user", "content": content}]).choices[0].message.content)


def chat_reasoning(cell):
    message = create(cell).choices[0].message
    same(message.content, "Four.", "content")
    expect("Two and two" in json.dumps(message.model_dump()), f"no reasoning: {message}")
    chunks = [it.choices[0].delta for it in create(cell, stream=True) if it.choices]
    same("".join(it.content or "" for it in chunks), "Four.", "streamed content")
    expect("Two" in json.dumps([it.model_dump() for it in chunks]), "no streamed reasoning")


def chat_length(cell):
    same(create(cell).choices[0].finish_reason, "length", "finish reason")
    finish = [it.choices[0].finish_reason for it in create(cell, stream=True) if it.choices]
    same([it for it in finish if it], ["length"], "finish reason, streamed")


def chat_sampling(cell):
    raw = client(cell).chat.completions.with_raw_response.create(
        model=cell.model, messages=ASK, temperature=0.5, top_p=0.9, stop=["STOP"], max_completion_tokens=50, seed=7, user="someone"
    )
    wanted = {"temperature": "0.5", "top_p": "0.9", "stop": "STOP", "max_completion_tokens": "50", "seed": "7", "user": "someone"}
    return cell.parameters(wanted, raw.headers)


def chat_unknown_field(cell):
    raw = client(cell).chat.completions.with_raw_response.create(model=cell.model, messages=ASK, extra_body={"zz_new": {"b": 1}})
    if cell.upstream == "openai_chat":
        expect("zz_new" in cell.last_body(), "the field did not pass through")
    else:
        expect("zz_new" in raw.headers.get("x-jumpseat-dropped", ""), f"not reported: {dict(raw.headers)}")


def embeddings(cell):
    texts = ["The cat sat.", "Ein Haus am See."]
    ask = lambda **more: client(cell).embeddings.create(model=cell.model, input=texts, **more)  # noqa: E731
    if cell.upstream in ("anthropic_messages", "bedrock_converse") and not cell.direct:
        error = raised((openai.BadRequestError, openai.NotFoundError), ask)
        return f"refused: {error.status_code}"
    # By default this SDK asks for base64 and decodes it.
    answer = ask()
    same([it.index for it in answer.data], [0, 1], "indexes")
    expect(len(answer.data[0].embedding) > 8 and answer.data[0].embedding != answer.data[1].embedding, "vectors")
    floats = ask(encoding_format="float", dimensions=16)
    same({len(it.embedding) for it in floats.data}, {16}, "dimensions")
    # Google tells no tokens of embeddings.
    expect(floats.usage.prompt_tokens > 0 or cell.upstream == "gemini", f"usage {floats.usage}")


def chat_cut(cell):
    got = []

    def read():
        for chunk in create(cell, stream=True):
            for choice in chunk.choices:
                got.append(choice.delta.content or "")
                expect(not choice.finish_reason, f"a clean end: {choice.finish_reason}")
        return "".join(got)

    error = raised(openai.APIError, read)
    expect("".join(got).strip(), "no text before the break")
    if not cell.direct:
        expect(not isinstance(error, openai.APIConnectionError), f"a bare cut: {error!r}")
        cell.one_attempt_of_ours()
    return type(error).__name__


# --- responses -------------------------------------------------------------------------------------------


def respond(cell, **more):
    return client(cell).responses.create(**{"model": cell.model, "input": QUESTION, **more})


def responses_ask(cell, streamed):
    answer = respond(cell, stream=streamed)
    return list(answer) if streamed else answer


def responses_text(cell):
    answer = respond(cell)
    same((answer.output_text, answer.status, answer.object), (cell.text, "completed", "response"), "answer")
    expect(answer.id.startswith("resp_") and answer.model and answer.created_at > 0, f"identity: {answer}")
    same(answer.output[-1].content[0].type, "output_text", "last part")


def responses_stream(cell):
    events = list(respond(cell, stream=True))
    same("".join(it.delta for it in events if it.type == "response.output_text.delta"), cell.text, "text")
    same([it.sequence_number for it in events], list(range(len(events))), "sequence numbers")
    same((events[0].type, events[-1].type), ("response.created", "response.completed"), "first and last event")
    same(events[-1].response.output_text, cell.text, "text of the last event")
    expect(sum(it.type == "response.output_text.delta" for it in events) > 2, "too few deltas")
    with client(cell).responses.stream(model=cell.model, input=QUESTION) as stream:
        for _ in stream:
            pass
        same(stream.get_final_response().output_text, cell.text, "text of the helper")


def responses_usage(cell):
    for usage in (respond(cell).usage, list(respond(cell, stream=True))[-1].response.usage):
        same((usage.input_tokens, usage.output_tokens, usage.total_tokens), (120, 60, 180), "tokens")
        same(usage.input_tokens_details.cached_tokens, 40, "cached tokens")


def responses_tools(cell):
    first = respond(cell, tools=[RESPONSES_TOOL])
    call = next(it for it in first.output if it.type == "function_call")
    same((call.name, set(json.loads(call.arguments))), ("get_weather", {"city"}), "call")
    turns = [*ASK, *first.output, {"type": "function_call_output", "call_id": call.call_id, "output": RESULT}]
    second = respond(cell, input=turns, tools=[RESPONSES_TOOL])
    expect(RESULT in second.output_text, f"the result is not quoted: {second.output_text!r}")


def responses_parallel(cell):
    with client(cell).responses.stream(model=cell.model, input=QUESTION, tools=[RESPONSES_TOOL]) as stream:
        for _ in stream:
            pass
        calls = [it for it in stream.get_final_response().output if it.type == "function_call"]
    same([json.loads(it.arguments)["city"] for it in calls], cell.cities, "arguments")
    same(len({it.call_id for it in calls}), 2, "ids")


def responses_structured(cell):
    answer = client(cell).responses.parse(model=cell.model, input=QUESTION, text_format=Solution)
    expect(isinstance(answer.output_parsed, Solution), f"not parsed: {answer.output}")
    with client(cell).responses.stream(model=cell.model, input=QUESTION, text_format=Solution) as stream:
        for _ in stream:
            pass
        expect(isinstance(stream.get_final_response().output_parsed, Solution), "the stream is not parsed")


def responses_image(cell):
    content = [{"type": "input_text", "text": "What is this?"}, {"type": "input_image", "image_url": IMAGE, "detail": "auto"}]
    cell.image_arrived(respond(cell, input=[{"role": "user", "content": content}]).output_text)


def responses_reasoning(cell):
    asked = {"effort": "low", "summary": "auto"}
    answer = respond(cell, reasoning=asked)
    same(answer.output_text, "Four.", "text")
    expect("Two and two" in json.dumps([it.model_dump() for it in answer.output if it.type == "reasoning"]), f"no reasoning: {answer.output}")
    events = list(respond(cell, reasoning=asked, stream=True))
    same(events[-1].response.output_text, "Four.", "streamed text")
    expect(any(it.type.startswith("response.reasoning") for it in events), f"no reasoning events: {sorted({it.type for it in events})}")


def responses_length(cell):
    for answer in (respond(cell), list(respond(cell, stream=True))[-1].response):
        same((answer.status, answer.incomplete_details and answer.incomplete_details.reason), ("incomplete", "max_output_tokens"), "status")


def responses_sampling(cell):
    raw = client(cell).responses.with_raw_response.create(
        model=cell.model, input=QUESTION, temperature=0.5, top_p=0.9, max_output_tokens=50, instructions="Be brief.", metadata={"a": "b7"}
    )
    wanted = {"temperature": "0.5", "top_p": "0.9", "max_output_tokens": "50", "instructions": "Be brief.", "metadata": "b7"}
    return cell.parameters(wanted, raw.headers)


def responses_unknown_field(cell):
    raw = client(cell).responses.with_raw_response.create(model=cell.model, input=QUESTION, extra_body={"zz_new": {"b": 1}})
    expect("zz_new" in raw.headers.get("x-jumpseat-dropped", ""), f"not reported: {dict(raw.headers)}")


def previous(cell):
    first = respond(cell, input="Remember the word albatross.", store=True)
    second = respond(cell, input="Which word?", previous_response_id=first.id)
    expect("albatross" in cell.last_body(), f"the earlier turn is not sent on: {cell.last_body()[:500]}")
    same(second.previous_response_id, first.id, "previous_response_id")
    same(client(cell).responses.retrieve(first.id).output_text, first.output_text, "the stored answer")
    client(cell).responses.delete(first.id)
    raised((openai.NotFoundError, openai.BadRequestError), lambda: respond(cell, previous_response_id=first.id))


def responses_cut(cell):
    got = []

    def read():
        for event in respond(cell, stream=True):
            got.append(event.type)
            if event.type in ("response.failed", "error"):
                raise openai.APIError("the stream tells its failure", request=httpx.Request("POST", cell.url), body=None)
        return got[-5:]

    error = raised(openai.APIError, read)
    expect("response.output_text.delta" in got, f"no text before the break: {got}")
    expect("response.completed" not in got, "a clean end")
    if not cell.direct:
        expect(not isinstance(error, openai.APIConnectionError), f"a bare cut: {error!r}")
        cell.one_attempt_of_ours()
    return got[-1]


# --- both ------------------------------------------------------------------------------------------------


def models(cell):
    names = [it.id for it in client(cell).models.list()]
    expect(cell.model in names, f"{cell.model} is not among {len(names)} names")
    same(client(cell).models.retrieve(cell.model).id, cell.model, "one model")
    raised(openai.NotFoundError, lambda: client(cell).models.retrieve("no-such-model"), 404)


def post(cell, path, **more):
    return httpx.post(cell.url + path, headers={"authorization": f"Bearer {KEY}", "content-type": "application/json"}, timeout=60, **more)


def ingress_cases(ask, path, empty):
    """`ask(cell, **fields)` calls; `empty` is a body that lacks only the model."""

    def unknown_model(cell):
        error = raised(openai.NotFoundError, lambda: ask(cell, model="no-such-model-at-all"), 404)
        same(error.code, "model_not_found", "code")

    def missing_model(cell):
        error = raised(openai.BadRequestError, lambda: client(cell).post(path, body=empty, cast_to=object), 400)
        expect("model" in error.message, f"the field is not named: {error.message}")

    def wrong_type(cell):
        error = raised(openai.BadRequestError, lambda: ask(cell, **{key: 7 for key in empty}), 400)
        expect(next(iter(empty)) in error.message, f"the place is not named: {error.message}")

    def wrong_json(cell):
        answer = post(cell, "/v1" + path, content=b'{"model": "x", ')
        same(answer.status_code, 400, "status")
        error = answer.json()["error"]
        expect(error["message"] and error["type"], f"no message or type: {error}")
        raised(openai.BadRequestError, lambda: client(cell).post(path, body=[1, 2], cast_to=object), 400)

    def too_large(cell):
        huge = "x" * (cell.body_max + 1000)
        raised(openai.APIStatusError, lambda: ask(cell, user=huge), 413)

    return {"unknown_model": unknown_model, "missing_model": missing_model, "wrong_type": wrong_type, "wrong_json": wrong_json, "too_large": too_large}


KINDS = {
    "bad_request": (openai.BadRequestError, 400),
    "context": (openai.BadRequestError, 400),
    "rate_limit": (openai.RateLimitError, 429),
    "overloaded": (openai.InternalServerError, 503),
    "auth": (openai.InternalServerError, 502),
}


def context(ask):
    def check(cell):
        error = raised(openai.BadRequestError, lambda: ask(cell, False), 400)
        same(error.code, "context_length_exceeded", "code")
        cell.one_attempt_of_ours()

    return check


run({
    CHAT: {
        "text": chat_text, "stream": chat_stream, "usage": chat_usage, "tools": chat_tools, "parallel_tools": chat_parallel,
        "structured": chat_structured, "vision": chat_image, "reasoning": chat_reasoning, "length": chat_length,
        "sampling": chat_sampling, "unknown_field": chat_unknown_field, "embeddings": embeddings, "models": models,
        **failure(KINDS, chat_ask), "context": context(chat_ask), "cut": chat_cut, "stream_error": chat_cut,
        **ingress_cases(create, "/chat/completions", {"messages": ASK}),
    },
    RESPONSES: {
        "text": responses_text, "stream": responses_stream, "usage": responses_usage, "tools": responses_tools,
        "parallel_tools": responses_parallel, "structured": responses_structured, "vision": responses_image,
        "reasoning": responses_reasoning, "length": responses_length, "sampling": responses_sampling,
        "unknown_field": responses_unknown_field, "previous": previous,
        **failure(KINDS, responses_ask), "context": context(responses_ask), "cut": responses_cut, "stream_error": responses_cut,
        **ingress_cases(respond, "/responses", {"input": QUESTION}),
    },
})  # fmt: skip
