"""Holds the fake provider to the official SDKs: `openai`, `anthropic` and `google-genai` talk to it without anything in between,
and through `fake_clouds` those of the clouds.

The fake's address is in FAKE_URL (`http://127.0.0.1:PORT`). Prints each failure and `N passed, N failed`; the exit status is 1 when one failed.
The SDKs parse what the fake writes with the providers' own types, so a misreading of a wire format shows here and not in our own decoders.
"""

import base64
import json
import os
import sys
import traceback

import anthropic
import fake_clouds
import openai
from google import genai
from google.genai import errors as genai_errors
from google.genai import types
from pydantic import BaseModel

URL = os.environ["FAKE_URL"].rstrip("/")
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==")

oa = openai.OpenAI(base_url=f"{URL}/v1", api_key="sk-test", max_retries=0)
an = anthropic.Anthropic(base_url=URL, api_key="sk-ant-test", max_retries=0)
ge = genai.Client(api_key="test", http_options=types.HttpOptions(base_url=URL))

CHECKS = []
QUESTION = [{"role": "user", "content": "hi"}]


class Weather(BaseModel):
    city: str
    degrees: int


WEATHER_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["C", "F"]}},
    "required": ["city", "unit"],
    "additionalProperties": False,
}


def check(function):
    CHECKS.append(function)
    return function


def raises(kind, call):
    """The error that the call raises; anything else is a failure."""
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


# ---- openai ----------------------------------------------------------------------------------------------------------


def chat(model="gpt-4o", **more):
    return oa.chat.completions.create(model=model, **{"messages": QUESTION, **more})


@check
def openai_chat():
    answer = chat()
    assert "gpt-4o" in answer.choices[0].message.content.splitlines()[0]
    assert answer.choices[0].finish_reason == "stop" and answer.model == "gpt-4o"
    assert answer.usage.completion_tokens == 60 and answer.usage.total_tokens == 60 + answer.usage.prompt_tokens
    assert answer._request_id.startswith("req_")


@check
def openai_stream():
    chunks = list(chat(stream=True, stream_options={"include_usage": True}))
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == chat().choices[0].message.content
    assert chunks[-1].usage.completion_tokens == 60 and not chunks[-1].choices
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"


@check
def openai_stream_helper():
    with oa.chat.completions.stream(model="gpt-4o", messages=QUESTION) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].finish_reason == "stop" and len(final.choices[0].message.content) > 100


@check
def openai_several_choices_interleaved():
    texts = {}
    for chunk in chat(n=3, stream=True):
        for choice in chunk.choices:
            texts[choice.index] = texts.get(choice.index, "") + (choice.delta.content or "")
    assert len(texts) == 3 and len(set(texts.values())) == 3


@check
def openai_tools_round_trip():
    tools = [{"type": "function", "function": {"name": "get_weather", "parameters": WEATHER_SCHEMA, "strict": True}}]
    message = chat(tools=tools).choices[0].message
    assert json.loads(message.tool_calls[0].function.arguments) == {"city": "Paris", "unit": "C"}
    turns = [*QUESTION, message, {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "21 degrees"}]
    assert "21 degrees" in chat(messages=turns, tools=tools).choices[0].message.content


@check
def openai_parallel_tools_streamed():
    tools = [{"type": "function", "function": {"name": "get_weather", "parameters": WEATHER_SCHEMA, "strict": True}}]
    with oa.chat.completions.stream(model="gpt-4o!tools", messages=QUESTION, tools=tools) as stream:
        final = stream.get_final_completion().choices[0]
    assert final.finish_reason == "tool_calls" and len({call.id for call in final.message.tool_calls}) == 2
    assert all(json.loads(call.function.arguments)["city"] == "Paris" for call in final.message.tool_calls)


@check
def openai_json_schema():
    parsed = oa.chat.completions.parse(model="gpt-4o", messages=QUESTION, response_format=Weather)
    assert parsed.choices[0].message.parsed == Weather(city="Paris", degrees=7)
    assert json.loads(chat(response_format={"type": "json_object"}).choices[0].message.content)


@check
def openai_images_and_files():
    url = "data:image/png;base64," + base64.b64encode(PNG).decode()
    content = [
        {"type": "text", "text": "what is this?"},
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.jpg"}},
        {"type": "file", "file": {"filename": "report.pdf", "file_data": "data:application/pdf;base64,AAAA"}},
    ]
    text = chat(messages=[{"role": "user", "content": content}]).choices[0].message.content
    assert "2 images (image/png, url) and 1 file (report.pdf)" in text, text


@check
def openai_limits_logprobs_and_stop():
    assert chat(max_completion_tokens=5).choices[0].finish_reason == "length"
    first = chat(logprobs=True, top_logprobs=3).choices[0].logprobs.content[0]
    assert first.token == "Answer" and len(first.top_logprobs) == 3
    assert "gpt" not in chat(stop=[" gpt"]).choices[0].message.content


@check
def openai_refusal_and_reasoning():
    assert "can't help" in chat("gpt-4o!refusal").choices[0].message.refusal
    assert chat("gpt-4o!reasoning").choices[0].message.reasoning_content
    assert chat("gpt-4o!content-filter-finish").choices[0].finish_reason == "content_filter"


@check
def openai_error_classes():
    kinds = {
        "400": openai.BadRequestError,
        "401": openai.AuthenticationError,
        "403": openai.PermissionDeniedError,
        "404": openai.NotFoundError,
        "409": openai.ConflictError,
        "422": openai.UnprocessableEntityError,
        "429": openai.RateLimitError,
        "500": openai.InternalServerError,
        "503": openai.InternalServerError,
        "insufficient-quota": openai.RateLimitError,
        "context-too-long": openai.BadRequestError,
        "content-filter": openai.BadRequestError,
        "wrong-key": openai.AuthenticationError,
        "model-not-found": openai.NotFoundError,
    }
    for name, kind in kinds.items():
        for stream in (False, True):
            error = raises(kind, lambda: chat(f"gpt-4o!{name}", stream=stream))
            assert error.message and error.type, name
    assert raises(openai.BadRequestError, lambda: chat("gpt-4o!context-too-long")).code == "context_length_exceeded"
    raises(openai.AuthenticationError, lambda: oa.with_options(api_key="wrong").models.list())
    raises(openai.BadRequestError, lambda: chat(messages=[]))


@check
def openai_retries_as_told():
    requests = log_of(lambda: raises(openai.RateLimitError, lambda: oa.with_options(max_retries=2).chat.completions.create(
        model="gpt-4o", messages=QUESTION, extra_headers={"x-fake-behave": json.dumps({"status": 429, "retry_after": "10ms"})})))
    assert len(requests) == 3, len(requests)


@check
def openai_broken_connections():
    raises(openai.APIConnectionError, lambda: chat("gpt-4o!reset"))
    raises(openai.APIConnectionError, lambda: chat("gpt-4o!cut-0"))
    raises(openai.APITimeoutError, lambda: oa.with_options(timeout=0.3).chat.completions.create(model="gpt-4o!silence", messages=QUESTION))
    raises(Exception, lambda: list(chat("gpt-4o!cut-40", stream=True)))


@check
def openai_in_stream_error():
    for name in ("error-first", "error-5"):
        error = raises(openai.APIError, lambda: list(chat(f"gpt-4o!{name}", stream=True)))
        assert error.code == "server_is_overloaded", error


@check
def openai_truncated_stream_looks_like_a_success():
    """What the SDK does is the reason why a gateway must not: it takes a missing terminal event for the end."""
    for name in ("eof-40", "no-terminator"):
        chunks = list(chat(f"gpt-4o!{name}", stream=True))
        assert all(c.choices[0].finish_reason is None for c in chunks if c.choices)


@check
def openai_odd_stream():
    chunks = list(chat("gpt-4o!odd", stream=True))
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == chat("gpt-4o").choices[0].message.content
    assert chat("gpt-4o!odd").choices[0].finish_reason == "stop"


@check
def openai_models():
    assert "gpt-4o" in [model.id for model in oa.models.list()]
    assert oa.models.retrieve("openai/gpt-oss-20b").id == "openai/gpt-oss-20b"


# ---- openai: responses -----------------------------------------------------------------------------------------------


def respond(model="gpt-5.5", **more):
    return oa.responses.create(model=model, **{"input": "hi", **more})


RESPONSE_TOOLS = [{"type": "function", "name": "get_weather", "parameters": WEATHER_SCHEMA, "strict": True}]


@check
def responses_answer():
    answer = respond(instructions="be brief", metadata={"a": "b"}, temperature=0.5)
    assert "gpt-5.5" in answer.output_text.splitlines()[0] and answer.status == "completed"
    assert answer.usage.output_tokens == 60 and answer.usage.total_tokens == 60 + answer.usage.input_tokens
    assert answer.usage.input_tokens_details.cached_tokens == 0 and answer.usage.output_tokens_details.reasoning_tokens == 0
    assert (answer.instructions, answer.metadata, answer.temperature) == ("be brief", {"a": "b"}, 0.5)
    assert answer._request_id.startswith("req_") and answer.output[0].content[0].annotations == []


@check
def responses_stream_events_in_order():
    events = list(respond(stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events if event.type != "response.output_text.delta"]
    assert kinds == ["response." + kind for kind in (
        "created", "in_progress", "output_item.added", "content_part.added",
        "output_text.done", "content_part.done", "output_item.done", "completed")], kinds
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == events[-1].response.output_text == respond().output_text
    assert type(events[-1]).__name__ == "ResponseCompletedEvent" and events[-1].response.usage.output_tokens == 60


@check
def responses_stream_helper():
    with oa.responses.stream(model="gpt-5.5", input="hi") as stream:
        final = stream.get_final_response()
    assert final.output_text == respond().output_text


@check
def responses_tools_round_trip():
    answer = respond(tools=RESPONSE_TOOLS)
    call = answer.output[0]
    assert call.type == "function_call" and json.loads(call.arguments) == {"city": "Paris", "unit": "C"} and call.id.startswith("fc_")
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "21 degrees"}
    turns = [{"role": "user", "content": "hi"}, *answer.output, result]
    assert "21 degrees" in respond(input=turns, tools=RESPONSE_TOOLS).output_text
    chained = respond(input=[result], previous_response_id=answer.id, tools=RESPONSE_TOOLS)
    assert "21 degrees" in chained.output_text and chained.previous_response_id == answer.id
    error = raises(openai.BadRequestError, lambda: respond(input=turns[:2], tools=RESPONSE_TOOLS))
    assert "No tool output found for function call" in str(error)
    error = raises(openai.BadRequestError, lambda: respond(input=[result], tools=RESPONSE_TOOLS))
    assert "No tool call found for function call output" in str(error)


@check
def responses_tools_streamed():
    with oa.responses.stream(model="gpt-5.5!tools", input="hi", tools=RESPONSE_TOOLS) as stream:
        events = list(stream)
        final = stream.get_final_response()
    calls = [item for item in final.output if item.type == "function_call"]
    assert len({call.call_id for call in calls}) == 2 and all(json.loads(call.arguments)["city"] == "Paris" for call in calls)
    done = [event for event in events if event.type == "response.function_call_arguments.done"]
    assert [event.arguments for event in done] == [call.arguments for call in calls]


@check
def responses_custom_tools():
    tools = [{"type": "custom", "name": "apply_patch"}, {"type": "web_search"}]
    answer = respond(tools=tools)
    call = answer.output[0]
    assert call.type == "custom_tool_call" and call.name == "apply_patch" and call.input
    result = {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "patched"}
    assert "patched" in respond(input=[result], previous_response_id=answer.id, tools=tools).output_text
    kinds = [event.type for event in respond(tools=tools, stream=True)]
    assert "response.custom_tool_call_input.delta" in kinds and "response.custom_tool_call_input.done" in kinds
    chat_tools = [{"type": "custom", "custom": {"name": "apply_patch"}}]
    assert chat(tools=chat_tools).choices[0].message.tool_calls[0].custom.input


@check
def responses_parse():
    parsed = oa.responses.parse(model="gpt-5.5", input="hi", text_format=Weather)
    assert parsed.output_parsed == Weather(city="Paris", degrees=7)
    with oa.responses.stream(model="gpt-5.5", input="hi", text_format=Weather) as stream:
        assert stream.get_final_response().output_parsed == Weather(city="Paris", degrees=7)
    assert json.loads(respond(input="answer in json", text={"format": {"type": "json_object"}}).output_text)


@check
def responses_previous_response_and_store():
    first = respond(input="remember me")
    again = oa.responses.retrieve(first.id)
    assert again.output_text == first.output_text and again.status == "completed"
    second = respond(input="more", previous_response_id=first.id)
    assert second.usage.input_tokens > first.usage.input_tokens
    items = list(oa.responses.input_items.list(second.id, order="asc"))
    assert [item.content[0].text for item in items] == ["more"] and items[0].id.startswith("msg_")
    reference = [{"type": "item_reference", "id": first.output[0].id}, {"role": "user", "content": "and?"}]
    assert respond(input=reference).status == "completed"
    oa.responses.delete(first.id)
    raises(openai.NotFoundError, lambda: oa.responses.retrieve(first.id))
    error = raises(openai.BadRequestError, lambda: respond(previous_response_id=first.id))
    assert error.code == "previous_response_not_found" and error.param == "previous_response_id"
    raises(openai.NotFoundError, lambda: oa.responses.retrieve(respond(store=False).id))
    raises(openai.BadRequestError, lambda: oa.responses.cancel(second.id))
    assert oa.responses.input_tokens.count(model="gpt-5.5", input="hi").input_tokens > 0


@check
def responses_reasoning():
    asked = {"reasoning": {"effort": "low", "summary": "auto"}, "include": ["reasoning.encrypted_content"], "store": False}
    answer = respond(**asked)
    thought = answer.output[0]
    assert thought.type == "reasoning" and thought.summary[0].text and thought.encrypted_content
    assert answer.usage.output_tokens_details.reasoning_tokens > 0
    turns = [{"role": "user", "content": "hi"}, *answer.output, {"role": "user", "content": "go on"}]
    assert respond(input=turns, **asked).status == "completed"
    bare = {"type": "reasoning", "id": thought.id, "summary": []}
    error = raises(openai.NotFoundError, lambda: respond(input=[bare, {"role": "user", "content": "hi"}]))
    assert "not found" in str(error)
    error = raises(openai.BadRequestError, lambda: respond(input=[{**bare, "encrypted_content": "abc"}, {"role": "user", "content": "hi"}]))
    assert error.code == "invalid_encrypted_content"
    with oa.responses.stream(model="gpt-5.5", input="hi", reasoning=asked["reasoning"]) as stream:
        kinds = [event.type for event in stream]
    summary = ["response.reasoning_summary_" + kind for kind in ("part.added", "text.delta", "text.done", "part.done")]
    assert [kind for kind in dict.fromkeys(kinds) if "reasoning" in kind] == summary


@check
def responses_images_and_files():
    url = "data:image/png;base64," + base64.b64encode(PNG).decode()
    content = [
        {"type": "input_text", "text": "what is this?"},
        {"type": "input_image", "image_url": url, "detail": "auto"},
        {"type": "input_image", "image_url": "https://example.com/a.jpg", "detail": "low"},
        {"type": "input_file", "filename": "report.pdf", "file_data": "data:application/pdf;base64,AAAA"},
    ]
    text = respond(input=[{"role": "user", "content": content}]).output_text
    assert "2 images (image/png, url) and 1 file (report.pdf)" in text, text


@check
def responses_endings():
    answer = respond(max_output_tokens=16)
    assert answer.status == "incomplete" and answer.incomplete_details.reason == "max_output_tokens"
    assert [event.type for event in respond(max_output_tokens=16, stream=True)][-1] == "response.incomplete"
    answer = respond("gpt-5.5!content-filter-finish")
    assert answer.incomplete_details.reason == "content_filter"
    refusal = respond("gpt-5.5!refusal").output[0].content[0]
    assert refusal.type == "refusal" and "can't help" in refusal.refusal
    kinds = [event.type for event in respond("gpt-5.5!refusal", stream=True)]
    assert "response.refusal.delta" in kinds and "response.refusal.done" in kinds
    failed = respond(extra_headers={"x-fake-behave": json.dumps({"finish": "failed"})})
    assert failed.status == "failed" and failed.error.code == "server_error"
    logged = respond(top_logprobs=2, include=["message.output_text.logprobs"]).output[0].content[0]
    assert len(logged.logprobs) == 60 and len(logged.logprobs[0].top_logprobs) == 2


@check
def responses_error_classes():
    kinds = {
        "400": openai.BadRequestError,
        "401": openai.AuthenticationError,
        "404": openai.NotFoundError,
        "429": openai.RateLimitError,
        "500": openai.InternalServerError,
        "503": openai.InternalServerError,
        "insufficient-quota": openai.RateLimitError,
        "context-too-long": openai.BadRequestError,
        "content-filter": openai.BadRequestError,
    }
    for name, kind in kinds.items():
        for stream in (False, True):
            error = raises(kind, lambda: respond(f"gpt-5.5!{name}", stream=stream))
            assert error.message and error.type, name
    refused = {
        "Unsupported parameter: 'messages'": {"extra_body": {"messages": []}},
        "Unknown parameter: 'stop'": {"extra_body": {"stop": "x"}},
        "tools[0].name": {"tools": [{"type": "function", "function": {"name": "f"}}]},
        "Expected a value >= 16": {"max_output_tokens": 5},
        "Background mode": {"background": True},
        "Supported values are: 'output_text' and 'refusal'": {"input": [{"role": "assistant", "content": [{"type": "input_text", "text": "x"}]}]},
        "begins with 'fc'": {"input": [{"type": "function_call", "id": "call_1", "call_id": "call_1", "name": "f", "arguments": "{}"}]},
        "additionalProperties": {"tools": [{"type": "function", "name": "f", "strict": True, "parameters": {"type": "object", "properties": {"a": {}}}}]},
    }
    for part, more in refused.items():
        assert part in str(raises(openai.BadRequestError, lambda: respond(**more))), part


@check
def responses_failures_in_the_stream():
    """What the SDK does is the reason why a gateway must look into streams: it hands failures on as events and raises nothing."""
    only = list(respond("gpt-5.5!error-first", stream=True))
    assert [(event.type, event.code, event.sequence_number) for event in only] == [("error", "server_is_overloaded", 0)]
    events = list(respond("gpt-5.5!error-5", stream=True))
    assert events[-1].type == "response.failed" and events[-1].response.error.code == "server_is_overloaded"
    assert [event.sequence_number for event in events] == list(range(len(events)))
    for name in ("eof-40", "no-terminator"):
        kinds = [event.type for event in respond(f"gpt-5.5!{name}", stream=True)]
        assert "response.completed" not in kinds and "response.output_text.delta" in kinds
    raises(Exception, lambda: list(respond("gpt-5.5!cut-40", stream=True)))


@check
def responses_odd_stream():
    with oa.responses.stream(model="gpt-5.5!odd", input="hi") as stream:
        assert stream.get_final_response().output_text == respond().output_text
    assert respond("gpt-5.5!odd").status == "completed"


@check
def responses_are_what_the_types_say():
    """The SDK builds its objects without looking; here every field is held to its declared type."""
    from openai.types.responses import Response, ResponseStreamEvent
    from pydantic import TypeAdapter

    event_type = TypeAdapter(ResponseStreamEvent)
    tools = [*RESPONSE_TOOLS, {"type": "custom", "name": "apply_patch"}]
    asked = {"reasoning": {"effort": "low", "summary": "auto"}, "include": ["reasoning.encrypted_content", "message.output_text.logprobs"], "top_logprobs": 1}
    failing = json.dumps({"stream_error": {"after": 3, "error": "server_error"}})
    for name in ("ok", "tools", "refusal", "reasoning", "length", "content-filter-finish", failing):
        for more in ({}, {"tools": tools, "text": {"format": {"type": "json_schema", "name": "w", "schema": WEATHER_SCHEMA, "strict": True}}}, asked):
            more = {**more, "extra_headers": {"x-fake-behave": name}}
            if name != failing:
                Response.model_validate_json(oa.responses.with_raw_response.create(model="gpt-5.5", input="hi", **more).text)
            raw = oa.responses.with_raw_response.create(model="gpt-5.5", input="hi", stream=True, **more).http_response
            raw.read()
            lines = [line[6:] for line in raw.text.splitlines() if line.startswith("data: ")]
            for line in lines:
                parsed = event_type.validate_json(line)
                assert parsed.type == json.loads(line)["type"], line


@check
def other_answers_are_what_the_types_say():
    from openai.types import Batch, CreateEmbeddingResponse, FileObject, ImagesResponse, ModerationCreateResponse
    from openai.types.audio import Transcription, TranscriptionVerbose

    file = oa.files.with_raw_response.create(file=("in.jsonl", b"{}"), purpose="batch").text
    identity = FileObject.model_validate_json(file).id
    Batch.model_validate_json(oa.batches.with_raw_response.create(input_file_id=identity, endpoint="/v1/embeddings", completion_window="24h").text)
    CreateEmbeddingResponse.model_validate_json(oa.embeddings.with_raw_response.create(model="e", input="a", encoding_format="float").text)
    ImagesResponse.model_validate_json(oa.images.with_raw_response.generate(model="gpt-image-1", prompt="a").text)
    ModerationCreateResponse.model_validate_json(oa.moderations.with_raw_response.create(input="a").text)
    for kind, format in ((Transcription, "json"), (TranscriptionVerbose, "verbose_json")):
        kind.model_validate_json(oa.audio.transcriptions.with_raw_response.create(model="whisper-1", file=("a.wav", b"x"), response_format=format).text)


# ---- openai: everything else -----------------------------------------------------------------------------------------


@check
def openai_embeddings():
    answer = oa.embeddings.create(model="text-embedding-3-small", input=["one", "two", "one"])
    first, second, third = (one.embedding for one in answer.data)
    assert len(first) == 1536 and first == third != second and abs(sum(x * x for x in first) - 1) < 1e-3
    plain = oa.embeddings.create(model="text-embedding-3-small", input="one", encoding_format="float").data[0].embedding
    assert max(abs(a - b) for a, b in zip(first, plain)) < 1e-6, "base64, which the SDK asks for, and float are the same"
    assert len(oa.embeddings.create(model="text-embedding-3-large", input=[1, 2, 3], dimensions=256).data[0].embedding) == 256
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == 3
    raises(openai.BadRequestError, lambda: oa.embeddings.create(model="text-embedding-3-small", input=""))
    raises(openai.BadRequestError, lambda: oa.embeddings.create(model="text-embedding-ada-002", input="a", dimensions=3))
    raises(openai.RateLimitError, lambda: oa.embeddings.create(model="text-embedding-3-small!429", input="a"))


@check
def openai_images():
    answer = oa.images.generate(model="gpt-image-1", prompt="a seat", n=2)
    assert base64.b64decode(answer.data[1].b64_json) == PNG and answer.usage.total_tokens > 0
    assert oa.images.generate(model="dall-e-3", prompt="a seat").data[0].url.startswith("https://")
    assert oa.images.edit(model="gpt-image-1", image=("a.png", PNG), prompt="a seat").usage.input_tokens_details.image_tokens > 0
    raises(openai.BadRequestError, lambda: oa.images.generate(prompt="", model="gpt-image-1"))
    raises(openai.InternalServerError, lambda: oa.images.edit(model="gpt-image-1!503", image=("a.png", PNG), prompt="a seat"))


@check
def openai_audio():
    spoken = oa.audio.speech.create(model="tts-1", voice="alloy", input="hello")
    assert spoken.response.headers["content-type"] == "audio/mpeg" and spoken.read()[:2] == b"\xff\xfb"
    assert oa.audio.speech.create(model="tts-1", voice="alloy", input="hello", response_format="wav").read()[:4] == b"RIFF"
    upload = ("hello.mp3", b"x" * 40_000)
    heard = oa.audio.transcriptions.create(model="gpt-4o-transcribe", file=upload)
    assert "hello.mp3, 40000 bytes" in heard.text and heard.usage.type == "tokens"
    assert "hello.mp3" in oa.audio.transcriptions.create(model="whisper-1", file=upload, response_format="text")
    assert oa.audio.transcriptions.create(model="whisper-1", file=upload, response_format="verbose_json").segments[0].id == 0
    raises(openai.RateLimitError, lambda: oa.audio.transcriptions.create(model="whisper-1!429", file=upload))


@check
def openai_moderations():
    answer = oa.moderations.create(model="omni-moderation-latest", input=["hello", "I will kill him"])
    assert [result.flagged for result in answer.results] == [False, True] and answer.results[1].categories.violence


@check
def openai_files_and_batches():
    line = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "gpt-4o", "messages": QUESTION}}
    bad = {**line, "custom_id": "b", "body": {"model": "gpt-4o", "messages": []}}
    content = "\n".join(json.dumps(one) for one in (line, bad)).encode()
    file = oa.files.create(file=("in.jsonl", content), purpose="batch")
    assert file.status == "processed" and file.bytes == len(content) and file.filename == "in.jsonl"
    assert oa.files.content(file.id).read() == content and oa.files.retrieve(file.id).purpose == "batch"
    assert file.id in [one.id for one in oa.files.list(purpose="batch")] and not list(oa.files.list(purpose="vision"))
    batch = oa.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"a": "b"})
    seen = [batch.status]
    while seen[-1] not in ("completed", "failed"):
        batch = oa.batches.retrieve(batch.id)
        seen.append(batch.status)
    assert seen == ["validating", "in_progress", "completed"] and (batch.request_counts.completed, batch.request_counts.failed) == (1, 1)
    lines = [json.loads(one) for one in oa.files.content(batch.output_file_id).text.splitlines()]
    assert lines[0]["response"]["body"]["choices"] and [one["response"]["status_code"] for one in lines] == [200, 400]
    other = oa.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    assert oa.batches.cancel(other.id).status == "cancelling" and oa.batches.retrieve(other.id).status == "cancelled"
    assert other.id in [one.id for one in oa.batches.list()]
    assert oa.files.delete(file.id).deleted
    raises(openai.NotFoundError, lambda: oa.files.retrieve(file.id))
    raises(openai.NotFoundError, lambda: oa.batches.retrieve("batch_none"))
    raises(openai.InternalServerError, lambda: oa.files.list(extra_headers={"x-fake-behave": "503"}))


@check
def azure_openai():
    az = openai.AzureOpenAI(azure_endpoint=URL, api_key="azure", api_version="2024-10-21", max_retries=0)
    answer = az.chat.completions.create(model="my-deployment", messages=QUESTION)
    assert answer.model == "my-deployment" and answer.prompt_filter_results[0]["content_filter_results"]["hate"]["severity"] == "safe"
    assert answer.choices[0].content_filter_results["violence"]["filtered"] is False
    chunks = list(az.chat.completions.create(model="my-deployment", messages=QUESTION, stream=True))
    assert not chunks[0].choices and chunks[0].prompt_filter_results
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == answer.choices[0].message.content
    assert len(az.embeddings.create(model="my-embedder", input="hi").data[0].embedding) == 1536
    assert az.responses.create(model="my-deployment", input="hi").status == "completed"
    error = raises(openai.BadRequestError, lambda: az.chat.completions.create(model="d!content-filter", messages=QUESTION))
    assert error.code == "content_filter" and error.body["innererror"]["code"] == "ResponsibleAIPolicyViolation"
    filtered = az.chat.completions.create(model="d!content-filter-finish", messages=QUESTION).choices[0]
    assert filtered.finish_reason == "content_filter" and filtered.content_filter_results["violence"]["filtered"]
    assert raises(openai.NotFoundError, lambda: az.chat.completions.create(model="d!404", messages=QUESTION)).code == "DeploymentNotFound"
    entra = openai.AzureOpenAI(azure_endpoint=URL, azure_ad_token="token", api_version="2024-10-21", max_retries=0)
    assert entra.chat.completions.create(model="d", messages=QUESTION).choices
    wrong = openai.AzureOpenAI(azure_endpoint=URL, api_key="wrong", api_version="2024-10-21", max_retries=0)
    assert "invalid subscription key" in str(raises(openai.AuthenticationError, lambda: wrong.chat.completions.create(model="d", messages=QUESTION)))
    versionless = openai.AzureOpenAI(azure_endpoint=URL, api_key="azure", api_version="soon", max_retries=0)
    assert "Resource not found" in str(raises(openai.NotFoundError, lambda: versionless.chat.completions.create(model="d", messages=QUESTION)))


# ---- anthropic -------------------------------------------------------------------------------------------------------


def message(model="claude-sonnet-5-5", **more):
    return an.messages.create(model=model, **{"messages": QUESTION, "max_tokens": 2000, **more})


@check
def anthropic_message():
    answer = message(system="be brief")
    assert "claude-sonnet-5-5" in answer.content[0].text.splitlines()[0]
    assert answer.stop_reason == "end_turn" and answer.usage.output_tokens == 60
    assert answer._request_id.startswith("req_")


@check
def anthropic_stream():
    with an.messages.stream(model="claude-sonnet-5-5", max_tokens=2000, messages=QUESTION) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == final.content[0].text == message().content[0].text
    assert final.stop_reason == "end_turn" and final.usage.output_tokens == 60


@check
def anthropic_both_versions():
    body = {"model": "claude", "max_tokens": 9, "messages": QUESTION, "temperature": 0.5}
    error = raises(anthropic.BadRequestError, lambda: an.post("/v1/messages", body=body, cast_to=object))
    assert "temperature: Extra inputs are not permitted" in str(error)
    old = {"headers": {"anthropic-version": "2023-06-01", "x-api-key": "sk-ant-test"}}
    assert an.post("/v1/messages", body=body, cast_to=object, options=old)


@check
def anthropic_tools_round_trip():
    tools = [{"name": "get_weather", "input_schema": WEATHER_SCHEMA}]
    answer = message(tools=tools)
    assert answer.stop_reason == "tool_use"
    use = answer.content[-1]
    assert use.input == {"city": "Paris", "unit": "C"}
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": use.id, "content": "21 degrees"}]}
    turns = [*QUESTION, {"role": "assistant", "content": answer.content}, result]
    assert "21 degrees" in message(messages=turns, tools=tools).content[0].text
    raises(anthropic.BadRequestError, lambda: message(messages=turns[:2] + QUESTION, tools=tools))


@check
def anthropic_parallel_tools_streamed():
    tools = [{"name": "get_weather", "input_schema": WEATHER_SCHEMA}]
    with an.messages.stream(model="claude!tools", max_tokens=2000, messages=QUESTION, tools=tools) as stream:
        final = stream.get_final_message()
    assert [block.input for block in final.content if block.type == "tool_use"] == [{"city": "Paris", "unit": "C"}] * 2


@check
def anthropic_json_schema():
    config = {"format": {"type": "json_schema", "schema": WEATHER_SCHEMA}}
    assert json.loads(message(output_config=config).content[0].text) == {"city": "Paris", "unit": "C"}


@check
def anthropic_images_and_documents():
    data = base64.b64encode(PNG).decode()
    content = [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.jpg"}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": data}, "title": "report.pdf"},
        {"type": "text", "text": "what is this?"},
    ]
    text = message(messages=[{"role": "user", "content": content}]).content[0].text
    assert "2 images (image/png, url) and 1 file (report.pdf)" in text, text


@check
def anthropic_thinking_comes_back_signed():
    thinking = {"type": "enabled", "budget_tokens": 1024}
    with an.messages.stream(model="claude", max_tokens=2000, messages=QUESTION, thinking=thinking) as stream:
        final = stream.get_final_message()
    assert [block.type for block in final.content] == ["thinking", "text"] and final.content[0].signature
    turns = [*QUESTION, {"role": "assistant", "content": final.content}, *QUESTION]
    assert message(messages=turns, thinking=thinking).content[0].type == "thinking"


@check
def anthropic_refusal_limits_and_stop():
    answer = message("claude!refusal")
    assert answer.stop_reason == "refusal" and answer.stop_details.type == "refusal"
    assert message(max_tokens=5).stop_reason == "max_tokens"
    answer = message(stop_sequences=[" claude"])
    assert (answer.stop_reason, answer.stop_sequence) == ("stop_sequence", " claude")


@check
def anthropic_prefill():
    text = message().content[0].text
    begun = [*QUESTION, {"role": "assistant", "content": text[:40].rstrip()}]
    assert text[:40].rstrip() + message(messages=begun).content[0].text == text
    error = raises(anthropic.BadRequestError, lambda: message("claude-sonnet-5-5!refuse-prefill", messages=begun))
    assert "prefill" in str(error)


@check
def anthropic_error_classes():
    kinds = {
        "400": anthropic.BadRequestError,
        "401": anthropic.AuthenticationError,
        "403": anthropic.PermissionDeniedError,
        "404": anthropic.NotFoundError,
        "409": anthropic.ConflictError,
        "413": anthropic.APIStatusError,
        "429": anthropic.RateLimitError,
        "500": anthropic.InternalServerError,
        "529": anthropic.APIStatusError,
        "insufficient-quota": anthropic.RateLimitError,
        "context-too-long": anthropic.BadRequestError,
        "wrong-key": anthropic.AuthenticationError,
        "model-not-found": anthropic.NotFoundError,
    }
    for name, kind in kinds.items():
        for stream in (False, True):
            error = raises(kind, lambda: message(f"claude!{name}", stream=stream))
            assert error.body["type"] == "error" and error.body["error"]["message"], name
    raises(anthropic.AuthenticationError, lambda: anthropic.Anthropic(base_url=URL, api_key="wrong", max_retries=0).messages.create(model="c", max_tokens=1, messages=QUESTION))


@check
def anthropic_broken_connections():
    raises(anthropic.APIConnectionError, lambda: message("claude!reset"))
    raises(anthropic.APITimeoutError, lambda: an.with_options(timeout=0.3).messages.create(model="claude!silence", max_tokens=9, messages=QUESTION))
    raises(Exception, lambda: list(message("claude!cut-40", stream=True)))


@check
def anthropic_in_stream_error():
    for name in ("error-first", "error-5"):
        error = raises(anthropic.APIStatusError, lambda: list(message(f"claude!{name}", stream=True)))
        assert error.body["error"]["type"] == "overloaded_error", error.body


@check
def anthropic_truncated_stream_looks_like_a_success():
    for name in ("eof-40", "no-terminator"):
        kinds = [event.type for event in message(f"claude!{name}", stream=True)]
        assert "message_stop" not in kinds and "content_block_delta" in kinds


@check
def anthropic_odd_stream():
    with an.messages.stream(model="claude-sonnet-5-5!odd", max_tokens=2000, messages=QUESTION) as stream:
        assert stream.get_final_message().content[0].text == message("claude-sonnet-5-5").content[0].text


@check
def anthropic_count_tokens_and_models():
    assert an.messages.count_tokens(model="claude", messages=QUESTION).input_tokens > 0
    assert "claude-sonnet-5-5" in [model.id for model in an.models.list()]
    assert an.models.retrieve("claude-x").id == "claude-x"


# ---- google-genai ----------------------------------------------------------------------------------------------------


def generate(model="gemini-3.5-flash", contents="hi", **config):
    return ge.models.generate_content(model=model, contents=contents, config=types.GenerateContentConfig(**config) if config else None)


def generate_stream(model="gemini-3.5-flash", contents="hi", **config):
    return list(ge.models.generate_content_stream(model=model, contents=contents, config=types.GenerateContentConfig(**config) if config else None))


def weather_tool():
    declaration = types.FunctionDeclaration(name="get_weather", parameters_json_schema=WEATHER_SCHEMA)
    return [types.Tool(function_declarations=[declaration])]


@check
def gemini_generate():
    answer = generate(system_instruction="be brief", temperature=0.5, top_k=4)
    assert "gemini-3.5-flash" in answer.text.splitlines()[0]
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP
    assert answer.usage_metadata.candidates_token_count == 60 and answer.model_version == "gemini-3.5-flash"


@check
def gemini_stream():
    chunks = generate_stream()
    assert "".join(chunk.text or "" for chunk in chunks) == generate().text
    assert chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP
    assert chunks[-1].usage_metadata.candidates_token_count == 60


@check
def gemini_candidates_and_limits():
    assert len(generate(candidate_count=2).candidates) == 2
    assert generate(max_output_tokens=5).candidates[0].finish_reason == types.FinishReason.MAX_TOKENS
    assert generate(response_logprobs=True, logprobs=2).candidates[0].logprobs_result.chosen_candidates


@check
def gemini_tools_round_trip():
    manual = types.AutomaticFunctionCallingConfig(disable=True)
    answer = generate(tools=weather_tool(), automatic_function_calling=manual)
    call = answer.function_calls[0]
    assert call.args == {"city": "Paris", "unit": "C"}
    result = types.Content(role="user", parts=[types.Part.from_function_response(name=call.name, response={"result": "21 degrees"})])
    question = types.Content(role="user", parts=[types.Part(text="weather?")])
    turns = [question, answer.candidates[0].content, result]
    assert "21 degrees" in generate(contents=turns, tools=weather_tool(), automatic_function_calling=manual).text
    bare = types.Content(role="model", parts=[types.Part.from_function_call(name=call.name, args=call.args)])
    error = raises(genai_errors.ClientError, lambda: generate(contents=[question, bare, result], tools=weather_tool(), automatic_function_calling=manual))
    assert "thought_signature" in str(error)
    bare.parts[0].thought_signature = b"skip_thought_signature_validator"
    assert generate(contents=[question, bare, result], tools=weather_tool(), automatic_function_calling=manual).text


@check
def gemini_automatic_function_calling():
    def get_weather(city: str) -> str:
        """The weather in a city."""
        return f"21 degrees in {city}"

    assert "21 degrees in Paris" in generate(tools=[get_weather]).text


@check
def gemini_tools_streamed_whole():
    chunks = generate_stream(model="gemini-3.5-flash!tools", tools=weather_tool(), automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True))
    calls = [call for chunk in chunks for call in (chunk.function_calls or [])]
    assert [call.args["city"] for call in calls] == ["Paris", "Paris"]


@check
def gemini_json_schema():
    answer = generate(response_mime_type="application/json", response_schema=Weather)
    assert answer.parsed == Weather(city="Paris", degrees=7)
    assert json.loads(generate(response_mime_type="application/json", response_json_schema=WEATHER_SCHEMA).text)["unit"] == "C"


@check
def gemini_images_and_files():
    contents = [
        types.Part.from_bytes(data=PNG, mime_type="image/png"),
        types.Part.from_uri(file_uri="https://example.com/a.jpg", mime_type="image/jpeg"),
        types.Part.from_bytes(data=b"%PDF-", mime_type="application/pdf"),
        "what is this?",
    ]
    text = generate(contents=contents).text
    assert "2 images (image/png, url) and 1 file (application/pdf)" in text, text


@check
def gemini_thoughts():
    answer = generate(thinking_config=types.ThinkingConfig(include_thoughts=True))
    assert answer.candidates[0].content.parts[0].thought and answer.usage_metadata.thoughts_token_count > 0


@check
def gemini_error_classes():
    kinds = {
        "400": genai_errors.ClientError,
        "403": genai_errors.ClientError,
        "404": genai_errors.ClientError,
        "429": genai_errors.ClientError,
        "500": genai_errors.ServerError,
        "503": genai_errors.ServerError,
        "wrong-key": genai_errors.ClientError,
        "context-too-long": genai_errors.ClientError,
        "insufficient-quota": genai_errors.ClientError,
    }
    for name, kind in kinds.items():
        for call in (generate, generate_stream):
            error = raises(kind, lambda: call(model=f"gemini-3.5-flash!{name}"))
            assert error.status and error.message, name
    assert raises(genai_errors.ClientError, lambda: generate(model="g!wrong-key")).code == 400


@check
def gemini_safety():
    assert generate(model="gemini-3.5-flash!content-filter").prompt_feedback.block_reason == types.BlockedReason.SAFETY
    assert generate_stream(model="gemini-3.5-flash!content-filter")[0].prompt_feedback.block_reason == types.BlockedReason.SAFETY
    assert generate(model="gemini-3.5-flash!refusal").candidates[0].finish_reason == types.FinishReason.SAFETY


@check
def gemini_in_stream_error():
    for name in ("error-first", "error-5"):
        raises(genai_errors.APIError, lambda: generate_stream(model=f"gemini-3.5-flash!{name}"))


@check
def gemini_broken_and_truncated_streams():
    raises(Exception, lambda: generate(model="gemini-3.5-flash!reset"))
    raises(Exception, lambda: generate_stream(model="gemini-3.5-flash!cut-40"))
    chunks = generate_stream(model="gemini-3.5-flash!no-terminator")
    assert all(chunk.candidates[0].finish_reason is None for chunk in chunks)


@check
def gemini_odd_stream():
    chunks = generate_stream(model="gemini-3.5-flash!odd")
    assert "".join(chunk.text or "" for chunk in chunks) == generate().text


@check
def gemini_embeddings():
    answer = ge.models.embed_content(model="gemini-embedding-001", contents=["one", "two", "one"])
    first, second, third = (one.values for one in answer.embeddings)
    assert len(first) == 3072 and first == third != second
    config = types.EmbedContentConfig(output_dimensionality=256)
    assert len(ge.models.embed_content(model="gemini-embedding-001", contents="one", config=config).embeddings[0].values) == 256
    raises(genai_errors.ServerError, lambda: ge.models.embed_content(model="gemini-embedding-001!503", contents="one"))


@check
def turns_are_played_out():
    turns = {"turns": [{"tool_calls": [{"name": "get_weather", "arguments": {"city": "Rome"}}]}, {"text": "Done."}]}
    with_turns = {"extra_headers": {"x-fake-behave": json.dumps(turns)}}
    first = respond(tools=RESPONSE_TOOLS, **with_turns)
    result = {"type": "function_call_output", "call_id": first.output[0].call_id, "output": "21"}
    assert respond(input=[result], previous_response_id=first.id, tools=RESPONSE_TOOLS, **with_turns).output_text == "Done."
    tools = [{"name": "get_weather", "input_schema": WEATHER_SCHEMA}]
    use = message(tools=tools, **with_turns).content[-1]
    history = [*QUESTION, {"role": "assistant", "content": [use]}, {"role": "user", "content": [{"type": "tool_result", "tool_use_id": use.id, "content": "21"}]}]
    assert use.input == {"city": "Rome"} and message(messages=history, tools=tools, **with_turns).content[0].text == "Done."


@check
def gemini_count_tokens_and_models():
    assert ge.models.count_tokens(model="gemini-3.5-flash", contents="hi").total_tokens > 0
    assert "models/gemini-3.5-flash" in [model.name for model in ge.models.list()]


# ---- the runner ------------------------------------------------------------------------------------------------------


def log_of(call):
    """The requests that the fake received during the call."""
    import urllib.request

    def control(method):
        with urllib.request.urlopen(urllib.request.Request(f"{URL}/fake/log", method=method)) as answer:
            return json.load(answer)

    control("DELETE")
    call()
    return control("GET")


def main():
    failed = 0
    CHECKS.extend(fake_clouds.CHECKS)
    for function in CHECKS:
        try:
            function()
        except Exception:
            failed += 1
            print(f"FAILED {function.__name__}")
            traceback.print_exc(limit=-4, file=sys.stdout)
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
