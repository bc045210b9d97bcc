"""The official `google-genai` package for Python: generate_content, streams, tools, schemas, count_tokens and models."""

from cell import KEY, PIXEL_BYTES, QUESTION, RESULT, SCHEMA, expect, failure, per_url, raised, run, same
from google import genai
from google.genai import errors, types
from pydantic import BaseModel

BY_HAND = types.AutomaticFunctionCallingConfig(disable=True)


class Solution(BaseModel):
    explanation: str
    result: int


@per_url
def client(cell):
    return genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=cell.url))


def configured(config):
    return types.GenerateContentConfig(**config) if config else None


def generate(cell, contents=QUESTION, model=None, **config):
    return client(cell).models.generate_content(model=model or cell.model, contents=contents, config=configured(config))


def chunks(cell, contents=QUESTION, **config):
    return list(client(cell).models.generate_content_stream(model=cell.model, contents=contents, config=configured(config)))


def weather():
    return [types.Tool(function_declarations=[types.FunctionDeclaration(name="get_weather", parameters_json_schema=SCHEMA)])]


def user(*parts):
    return types.Content(role="user", parts=list(parts))


def text(cell):
    answer = generate(cell, system_instruction="Be brief.")
    same((answer.text, answer.candidates[0].finish_reason), (cell.text, types.FinishReason.STOP), "answer")
    expect(answer.model_version and answer.response_id, f"identity: {answer}")
    expect("Be brief." in cell.last_body(), "the system prompt is lost")


def stream(cell):
    got = chunks(cell)
    same("".join(it.text or "" for it in got), cell.text, "text")
    same(got[-1].candidates[0].finish_reason, types.FinishReason.STOP, "finish reason")
    expect(len(got) > 2, f"{len(got)} chunks only")


def usage(cell):
    for answer in (generate(cell), chunks(cell)[-1]):
        told = answer.usage_metadata
        same((told.prompt_token_count, told.cached_content_token_count, told.candidates_token_count, told.total_token_count), (120, 40, 60, 180), "tokens")


def tools(cell):
    answer = generate(cell, tools=weather(), automatic_function_calling=BY_HAND)
    call = answer.function_calls[0]
    same((call.name, set(call.args)), ("get_weather", {"city"}), "call")
    result = types.Part.from_function_response(name=call.name, response={"result": RESULT})
    if call.id:
        result.function_response.id = call.id
    turns = [user(types.Part(text=QUESTION)), answer.candidates[0].content, user(result)]
    expect(RESULT in generate(cell, turns, tools=weather(), automatic_function_calling=BY_HAND).text, "the result is not quoted")

    def get_weather(city: str) -> str:
        """The weather in a city."""
        return f"{RESULT} in {city}"

    expect(RESULT in generate(cell, tools=[get_weather]).text, "automatic function calling does not quote the result")


def parallel_tools(cell):
    calls = [call for it in chunks(cell, tools=weather(), automatic_function_calling=BY_HAND) for call in (it.function_calls or [])]
    same([it.args["city"] for it in calls], cell.cities, "arguments")


def structured(cell):
    answer = generate(cell, response_mime_type="application/json", response_schema=Solution)
    expect(isinstance(answer.parsed, Solution), f"not parsed: {answer.text!r}")


def image(cell):
    part = types.Part.from_bytes(data=PIXEL_BYTES, mime_type="image/png")
    cell.image_arrived(generate(cell, [part, "What is this?"]).text)


def reasoning(cell):
    thinking = types.ThinkingConfig(include_thoughts=True, thinking_budget=1024)
    parts = generate(cell, thinking_config=thinking).candidates[0].content.parts
    same([(bool(it.thought), it.text) for it in parts], [(True, "Two and two are four."), (False, "Four.")], "parts")
    streamed = [part for it in chunks(cell, thinking_config=thinking) if it.candidates[0].content for part in it.candidates[0].content.parts or []]
    same("".join(it.text or "" for it in streamed if not it.thought), "Four.", "streamed text")
    expect(any(it.thought for it in streamed), "no thought in the stream")


def length(cell):
    finish = generate(cell).candidates[0].finish_reason, chunks(cell)[-1].candidates[0].finish_reason
    same(finish, (types.FinishReason.MAX_TOKENS, types.FinishReason.MAX_TOKENS), "finish reasons")


def sampling(cell):
    answer = generate(cell, temperature=0.5, top_p=0.9, top_k=7, seed=11, max_output_tokens=51, stop_sequences=["STOP"])
    wanted = {"temperature": "0.5", "topP": "0.9", "topK": "7", "seed": "11", "maxOutputTokens": "51", "stopSequences": "STOP"}
    headers = {name.lower(): value for name, value in (answer.sdk_http_response.headers or {}).items()}
    return cell.parameters(wanted, headers)


def count_tokens(cell):
    short = client(cell).models.count_tokens(model=cell.model, contents=QUESTION).total_tokens
    long = client(cell).models.count_tokens(model=cell.model, contents="word " * 400).total_tokens
    expect(0 < short < long and long > 100, f"{short} and {long} tokens")


def cut(cell):
    got = []

    def read():
        for chunk in client(cell).models.generate_content_stream(model=cell.model, contents=QUESTION):
            got.append(chunk.text or "")
            expect(not (chunk.candidates and chunk.candidates[0].finish_reason), "a clean end")
        return "".join(got)

    error = raised(errors.APIError, read)
    expect("".join(got).strip(), "no text before the break")
    cell.one_attempt_of_ours()
    return f"{type(error).__name__} {error.code}"


def models(cell):
    names = [it.name for it in client(cell).models.list()]
    expect(f"models/{cell.model}" in names, f"{cell.model} is not among {len(names)} names")
    same(client(cell).models.get(model=cell.model).name, f"models/{cell.model}", "one model")


def unknown_model(cell):
    error = raised(errors.ClientError, lambda: generate(cell, model="no-such-model-at-all"), 404, lambda it: it.code)
    same(error.status, "NOT_FOUND", "status")


KINDS = {
    "bad_request": (errors.ClientError, 400),
    "context": (errors.ClientError, 400),
    "rate_limit": (errors.ClientError, 429),
    "overloaded": (errors.ServerError, 503),
    "auth": (errors.ServerError, 502),
}

run({
    "google-genai": {
        "text": text, "stream": stream, "usage": usage, "tools": tools, "parallel_tools": parallel_tools, "structured": structured,
        "vision": image, "reasoning": reasoning, "length": length, "sampling": sampling, "count_tokens": count_tokens,
        "models": models, "unknown_model": unknown_model,
        **failure(KINDS, lambda cell, streamed: chunks(cell) if streamed else generate(cell), status_of=lambda it: it.code),
        "cut": cut, "stream_error": cut,
    },
})  # fmt: skip
