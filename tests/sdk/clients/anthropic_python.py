"""The official `anthropic` package for Python: messages, the stream helpers, tools, `parse`, count_tokens and models, default retries on."""


import anthropic
import httpx
import pydantic
from cell import KEY, PIXEL, QUESTION, RESULT, SCHEMA, expect, failure, per_url, raised, run, same

ASK = [{"role": "user", "content": QUESTION}]
WEATHER = {"name": "get_weather", "description": "The weather in a city.", "input_schema": SCHEMA}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}


class Solution(pydantic.BaseModel):
    explanation: str
    result: int
    sure: bool


@per_url
def client(cell):
    return anthropic.Anthropic(base_url=cell.url, api_key=KEY)


def body(cell, **more):
    return {"model": cell.model, "messages": ASK, "max_tokens": 2000, **more}


def create(cell, **more):
    return client(cell).messages.create(**body(cell, **more))


def streamed_message(cell, **more):
    with client(cell).messages.stream(**body(cell, **more)) as stream:
        for _ in stream:
            pass
        return stream.get_final_message()


def ask(cell, streamed):
    answer = create(cell, stream=streamed)
    return list(answer) if streamed else answer


def text(cell):
    answer = create(cell, system="Be brief.")
    same((answer.content[0].text, answer.stop_reason, answer.role, answer.type), (cell.text, "end_turn", "assistant", "message"), "answer")
    expect(answer.id.startswith("msg_") and answer.model, f"identity: {answer}")
    expect(answer._request_id, "request-id is missing")
    expect("Be brief." in cell.last_body(), "the system prompt is lost")


def stream(cell):
    with client(cell).messages.stream(**body(cell)) as events:
        pieces = list(events.text_stream)
        final = events.get_final_message()
    same(("".join(pieces), final.content[0].text, final.stop_reason), (cell.text, cell.text, "end_turn"), "text")
    expect(len(pieces) > 2, f"{len(pieces)} pieces only")
    kinds = [it.type for it in create(cell, stream=True) if it.type != "ping"]
    same((kinds[0], kinds[1], kinds[-2], kinds[-1]), ("message_start", "content_block_start", "message_delta", "message_stop"), "events")


def usage(cell):
    for answer in (create(cell), streamed_message(cell)):
        told = answer.usage
        # Input tokens are told without those from the cache.
        same((told.input_tokens, told.cache_read_input_tokens, told.output_tokens), (80, 40, 60), "tokens")


def tools(cell):
    first = create(cell, tools=[WEATHER])
    use = first.content[-1]
    same((first.stop_reason, use.type, use.name, set(use.input)), ("tool_use", "tool_use", "get_weather", {"city"}), "call")
    result = {"type": "tool_result", "tool_use_id": use.id, "content": RESULT}
    turns = [*ASK, {"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    second = create(cell, messages=turns, tools=[WEATHER])
    same(second.stop_reason, "end_turn", "stop reason")
    expect(RESULT in second.content[0].text, f"the result is not quoted: {second.content}")
    other = {"name": "other", "input_schema": {"type": "object", "properties": {}}}
    forced = create(cell, tools=[other, WEATHER], tool_choice={"type": "tool", "name": "get_weather"})
    same(forced.content[-1].name, "get_weather", "forced tool")


def parallel_tools(cell):
    final = streamed_message(cell, tools=[WEATHER])
    calls = [it for it in final.content if it.type == "tool_use"]
    same([it.input["city"] for it in calls], cell.cities, "arguments")
    same((len({it.id for it in calls}), final.stop_reason), (2, "tool_use"), "ids and stop reason")


def structured(cell):
    answer = client(cell).messages.parse(**body(cell), output_format=Solution)
    expect(isinstance(answer.parsed_output, Solution), f"not parsed: {answer.content}")


def image(cell):
    content = [IMAGE, {"type": "text", "text": "What is this?"}]
    cell.image_arrived(create(cell, messages=[{"role": "user", "content": content}]).content[0].text)


def reasoning(cell):
    asked = {"type": "enabled", "budget_tokens": 1024}
    for answer in (create(cell, thinking=asked), streamed_message(cell, thinking=asked)):
        same([it.type for it in answer.content], ["thinking", "text"], "blocks")
        same((answer.content[0].thinking, answer.content[1].text), ("Two and two are four.", "Four."), "texts")
        turns = [*ASK, {"role": "assistant", "content": answer.content}, *ASK]
        create(cell, messages=turns, thinking=asked)


def length(cell):
    same((create(cell).stop_reason, streamed_message(cell).stop_reason), ("max_tokens", "max_tokens"), "stop reasons")


def sampling(cell):
    # The newest version of the API refuses them; the one most clients still speak does not.
    old = {"anthropic-version": "2023-06-01"}
    fields = {"temperature": 0.5, "top_p": 0.9, "top_k": 7}
    wanted = {"temperature": "0.5", "top_p": "0.9", "top_k": "7", "stop_sequences": "STOP", "max_tokens": "51", "metadata": "someone"}
    raw = client(cell).messages.with_raw_response.create(
        **body(cell, max_tokens=51, stop_sequences=["STOP"], metadata={"user_id": "someone"}), extra_body=fields, extra_headers=old
    )
    return cell.parameters(wanted, raw.headers)


def unknown_field(cell):
    raw = client(cell).messages.with_raw_response.create(**body(cell), extra_body={"zz_new": {"b": 1}})
    if cell.upstream == "anthropic_messages":
        expect("zz_new" in cell.last_body(), "the field did not pass through")
    else:
        expect("zz_new" in raw.headers.get("x-jumpseat-dropped", ""), f"not reported: {dict(raw.headers)}")


def count_tokens(cell):
    short = client(cell).messages.count_tokens(model=cell.model, messages=ASK).input_tokens
    long = client(cell).messages.count_tokens(model=cell.model, messages=[{"role": "user", "content": "word " * 400}]).input_tokens
    expect(0 < short < long and long > 100, f"{short} and {long} tokens")


def cut(cell):
    got = []

    def read():
        for event in create(cell, stream=True):
            got.append(event.type)
        return got[-5:]

    error = raised(anthropic.APIError if not cell.direct else Exception, read)
    expect("content_block_delta" in got, f"no text before the break: {got}")
    expect("message_stop" not in got, "a clean end")
    if not cell.direct:
        expect(not isinstance(error, anthropic.APIConnectionError), f"a bare cut: {error!r}")
        same(error.body["type"], "error", "shape")
        cell.one_attempt_of_ours()
    return type(error).__name__


def models(cell):
    names = [it.id for it in client(cell).models.list()]
    expect(cell.model in names, f"{cell.model} is not among {len(names)} names")
    same(client(cell).models.retrieve(cell.model).id, cell.model, "one model")
    raised(anthropic.NotFoundError, lambda: client(cell).models.retrieve("no-such-model"), 404)


def unknown_model(cell):
    error = raised(anthropic.NotFoundError, lambda: create(cell, model="no-such-model-at-all"), 404)
    same(error.body["error"]["type"], "not_found_error", "type")


def missing_model(cell):
    error = raised(anthropic.BadRequestError, lambda: client(cell).post("/v1/messages", body={"messages": ASK, "max_tokens": 9}, cast_to=object), 400)
    expect("model" in str(error), f"the field is not named: {error}")


def wrong_type(cell):
    error = raised(anthropic.BadRequestError, lambda: create(cell, messages="not a list"), 400)
    same(error.body["error"]["type"], "invalid_request_error", "type")
    expect("messages" in str(error), f"the place is not named: {error}")


def wrong_json(cell):
    headers = {"x-api-key": KEY, "anthropic-version": "2023-06-01", "content-type": "application/json"}
    answer = httpx.post(cell.url + "/v1/messages", content=b'{"model": "x", ', headers=headers, timeout=60)
    same(answer.status_code, 400, "status")
    same((answer.json()["type"], answer.json()["error"]["type"]), ("error", "invalid_request_error"), "shape")
    raised(anthropic.BadRequestError, lambda: client(cell).post("/v1/messages", body=[1], cast_to=object), 400)


def too_large(cell):
    error = raised(anthropic.APIStatusError, lambda: create(cell, system="x" * (cell.body_max + 1000)), 413)
    same(error.body["error"]["type"], "request_too_large", "type")
    return type(error).__name__


KINDS = {
    "bad_request": (anthropic.BadRequestError, 400),
    "context": (anthropic.BadRequestError, 400),
    "rate_limit": (anthropic.RateLimitError, 429),
    "overloaded": (anthropic.APIStatusError, 529),
    "auth": (anthropic.InternalServerError, 502),
}

run({
    "anthropic-python": {
        "text": text, "stream": stream, "usage": usage, "tools": tools, "parallel_tools": parallel_tools, "structured": structured,
        "vision": image, "reasoning": reasoning, "length": length, "sampling": sampling, "unknown_field": unknown_field,
        "count_tokens": count_tokens, **failure(KINDS, ask), "cut": cut, "stream_error": cut, "models": models,
        "unknown_model": unknown_model, "missing_model": missing_model, "wrong_type": wrong_type, "wrong_json": wrong_json,
        "too_large": too_large,
    },
})  # fmt: skip
