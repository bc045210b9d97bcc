"""Holds the fake's clouds to the official SDKs: boto3 (Bedrock, STS), cohere, ollama, google-genai and anthropic on Vertex AI.

Part of `fake_direct.py`, which runs the checks listed here; the fake's address is in FAKE_URL.
"""

import base64
import contextlib
import datetime
import json
import os
import urllib.error
import urllib.parse
import urllib.request

import anthropic
import boto3
import botocore.config
import botocore.exceptions
import cohere
import google.auth.transport.requests
import google.oauth2.credentials
import ollama
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google import genai
from google.genai import errors as genai_errors
from google.genai import types
from google.oauth2 import service_account

URL = os.environ["FAKE_URL"].rstrip("/")
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==")
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["C", "F"]}},
    "required": ["city", "unit"],
}
CHECKS = []
CLAUDE = "anthropic.claude-sonnet-5-5-v1:0"


def check(function):
    CHECKS.append(function)
    return function


def raises(kind, call):
    """The error that the call raises; anything else is a failure."""
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"{kind} was not raised")


def control(method, path, body=None):
    request = urllib.request.Request(f"{URL}/fake/{path}", method=method, data=json.dumps(body).encode() if body else None)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


@contextlib.contextmanager
def environment(**values):
    """Environment variables for as long as the block runs."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def fetched(model):
    """How often a token endpoint was asked since the log was emptied."""
    return sum(entry["model"] == model for entry in control("GET", "log"))


# ---- boto3 -----------------------------------------------------------------------------------------------------------


def aws(service="bedrock-runtime", key="AKIAFAKE", secret="fake-secret", token=None):
    config = botocore.config.Config(retries={"total_max_attempts": 1}, read_timeout=5)
    return boto3.client(
        service,
        endpoint_url=URL,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
        config=config,
    )


br = aws()
ASK = [{"role": "user", "content": [{"text": "hi"}]}]
TOOLS = {"tools": [{"toolSpec": {"name": "get_weather", "inputSchema": {"json": SCHEMA}}}]}


def converse(model=CLAUDE, messages=None, client=None, **more):
    return (client or br).converse(modelId=model, messages=messages or ASK, **more)


def converse_stream(model=CLAUDE, messages=None, **more):
    return list(br.converse_stream(modelId=model, messages=messages or ASK, **more)["stream"])


def client_error(call):
    error = raises(botocore.exceptions.ClientError, call)
    return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Message"]


@check
def bedrock_converse():
    answer = converse(system=[{"text": "be brief"}], inferenceConfig={"maxTokens": 500, "temperature": 0.5})
    assert CLAUDE in answer["output"]["message"]["content"][0]["text"].splitlines()[0]
    assert answer["stopReason"] == "end_turn" and answer["usage"]["outputTokens"] == 60
    assert answer["usage"]["totalTokens"] == 60 + answer["usage"]["inputTokens"] and answer["metrics"]["latencyMs"] > 0
    assert converse(inferenceConfig={"maxTokens": 5})["stopReason"] == "max_tokens"
    arn = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-5-5-v1:0"
    assert arn in converse(model=arn)["output"]["message"]["content"][0]["text"]


@check
def bedrock_stream():
    events = converse_stream()
    text = "".join(event["contentBlockDelta"]["delta"]["text"] for event in events if "contentBlockDelta" in event)
    assert text == converse()["output"]["message"]["content"][0]["text"]
    assert list(events[0]) == ["messageStart"] and events[0]["messageStart"]["role"] == "assistant"
    assert events[-2]["messageStop"]["stopReason"] == "end_turn"
    assert events[-1]["metadata"]["usage"]["outputTokens"] == 60


@check
def bedrock_tools_round_trip():
    answer = converse(toolConfig=TOOLS)
    assert answer["stopReason"] == "tool_use"
    use = answer["output"]["message"]["content"][0]["toolUse"]
    assert use["input"] == {"city": "Paris", "unit": "C"}
    result = {"toolResult": {"toolUseId": use["toolUseId"], "content": [{"text": "21 degrees"}], "status": "success"}}
    turns = [*ASK, answer["output"]["message"], {"role": "user", "content": [result]}]
    assert "21 degrees" in converse(messages=turns, toolConfig=TOOLS)["output"]["message"]["content"][0]["text"]
    code, status, message = client_error(lambda: converse(messages=turns))
    assert (code, status) == ("ValidationException", 400) and "toolConfig" in message
    result["toolResult"]["toolUseId"] = "tooluse_other"
    assert "Expected toolResult" in client_error(lambda: converse(messages=turns, toolConfig=TOOLS))[2]


@check
def bedrock_tools_streamed():
    events = converse_stream(model=f"{CLAUDE}!tools", toolConfig=TOOLS)
    starts = [event["contentBlockStart"]["start"]["toolUse"] for event in events if "contentBlockStart" in event]
    assert [start["name"] for start in starts] == ["get_weather", "get_weather"]
    parts = {}
    for event in events:
        if "contentBlockDelta" in event:
            delta = event["contentBlockDelta"]
            parts[delta["contentBlockIndex"]] = parts.get(delta["contentBlockIndex"], "") + delta["delta"]["toolUse"]["input"]
    assert [json.loads(part)["city"] for part in parts.values()] == ["Paris", "Paris"]


@check
def bedrock_thinking_must_come_back_signed():
    thinking = {"inferenceConfig": {"maxTokens": 4000}, "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 1024}}}
    content = converse(**thinking)["output"]["message"]["content"]
    assert content[0]["reasoningContent"]["reasoningText"]["signature"]
    turns = [*ASK, {"role": "assistant", "content": content}, {"role": "user", "content": [{"text": "go on"}]}]
    assert converse(messages=turns, **thinking)["stopReason"] == "end_turn"
    deltas = [event["contentBlockDelta"]["delta"] for event in converse_stream(**thinking) if "contentBlockDelta" in event]
    kinds = [next(iter(delta["reasoningContent"])) for delta in deltas if "reasoningContent" in delta]
    assert set(kinds) == {"text", "signature"} and kinds[-1] == "signature"
    content[0]["reasoningContent"]["reasoningText"]["signature"] = "other"
    assert "signature" in client_error(lambda: converse(messages=turns, **thinking))[2]


@check
def bedrock_images_documents_and_cache_points():
    content = [
        {"text": "what is this?"},
        {"image": {"format": "png", "source": {"bytes": PNG}}},
        {"document": {"format": "pdf", "name": "report", "source": {"bytes": b"%PDF-"}}},
        {"cachePoint": {"type": "default"}},
    ]
    answer = converse(messages=[{"role": "user", "content": content}])
    assert "1 image (image/png) and 1 file (report)" in answer["output"]["message"]["content"][0]["text"]
    assert answer["usage"]["cacheReadInputTokens"] > 0 and answer["usage"]["cacheWriteInputTokens"] == 0
    assert "text block" in client_error(lambda: converse(messages=[{"role": "user", "content": content[2:3]}]))[2]


@check
def bedrock_count_tokens_and_models():
    assert br.count_tokens(modelId=CLAUDE, input={"converse": {"messages": ASK}})["inputTokens"] > 0
    assert CLAUDE in [model["modelId"] for model in aws("bedrock").list_foundation_models()["modelSummaries"]]


@check
def bedrock_json_schema():
    form = {"type": "json_schema", "structure": {"jsonSchema": {"schema": json.dumps(SCHEMA), "name": "weather"}}}
    text = converse(outputConfig={"textFormat": form})["output"]["message"]["content"][0]["text"]
    assert json.loads(text) == {"city": "Paris", "unit": "C"}


@check
def bedrock_errors():
    rows = {
        "400": ("ValidationException", 400),
        "403": ("AccessDeniedException", 403),
        "404": ("ResourceNotFoundException", 404),
        "408": ("ModelTimeoutException", 408),
        "429": ("ThrottlingException", 429),
        "500": ("InternalServerException", 500),
        "503": ("ServiceUnavailableException", 503),
        "context-too-long": ("ValidationException", 400),
        "wrong-key": ("UnrecognizedClientException", 403),
    }
    for name, wanted in rows.items():
        for call in (converse, converse_stream):
            code, status, message = client_error(lambda: call(model=f"{CLAUDE}!{name}"))
            assert (code, status) == wanted and message, (name, code, status)
    assert client_error(lambda: converse(messages=[*ASK, *ASK]))[0] == "ValidationException"


@check
def bedrock_guardrail():
    assert converse(model=f"{CLAUDE}!content-filter")["stopReason"] == "guardrail_intervened"
    assert converse_stream(model=f"{CLAUDE}!content-filter")[-2]["messageStop"]["stopReason"] == "guardrail_intervened"


@check
def bedrock_in_stream_errors():
    # A script of its own for a model of its own: those of others stay.
    for row, code in (("overloaded", "serviceUnavailableException"), ("rate_limited", "throttlingException"), ("bedrock.model_stream_error", "modelStreamErrorException")):
        control("PUT", "script", {"model": "broken-stream", "then": {"stream_error": {"after": 5, "error": row}}})
        error = raises(botocore.exceptions.EventStreamError, lambda: converse_stream(model="broken-stream"))
        assert error.response["Error"]["Code"] == code, error.response


@check
def bedrock_broken_and_odd_streams():
    raises(Exception, lambda: converse_stream(model=f"{CLAUDE}!cut-40"))
    assert not any("messageStop" in event for event in converse_stream(model=f"{CLAUDE}!no-terminator"))
    known = [event for event in converse_stream(model=f"{CLAUDE}!odd") if "contentBlockDelta" in event]
    text = "".join(event["contentBlockDelta"]["delta"]["text"] for event in known)
    assert text == converse()["output"]["message"]["content"][0]["text"]


@check
def bedrock_signatures_and_keys():
    assert client_error(lambda: converse(client=aws(secret="other-secret")))[:2] == ("InvalidSignatureException", 403)
    assert client_error(lambda: converse(client=aws(key="AKIAOTHER")))[:2] == ("UnrecognizedClientException", 403)
    assert converse(client=aws(token="session"))["stopReason"] == "end_turn"
    # The SDK sends API keys over TLS only.
    body = json.dumps({"messages": ASK}).encode()
    asking = [urllib.request.Request(f"{URL}/model/m/converse", data=body, headers={"Authorization": f"Bearer {key}"}) for key in ("key", "wrong")]
    with urllib.request.urlopen(asking[0]) as answer:
        assert json.load(answer)["stopReason"] == "end_turn"
    error = raises(urllib.error.HTTPError, lambda: urllib.request.urlopen(asking[1]))
    assert error.code == 403 and error.headers["x-amzn-errortype"] == "AccessDeniedException"


@check
def aws_sts_and_container_credentials():
    control("DELETE", "log")
    role = {"RoleArn": "arn:aws:iam::123456789012:role/r", "RoleSessionName": "session"}
    issued = aws("sts").assume_role(**role)["Credentials"]
    assert issued["AccessKeyId"] == "AKIAFAKE" and issued["Expiration"] > datetime.datetime.now(datetime.timezone.utc)
    assert converse(client=aws(token=issued["SessionToken"]))["stopReason"] == "end_turn"
    assert aws("sts").assume_role_with_web_identity(WebIdentityToken="jwt.a.b.c.d", **role)["Credentials"]["SessionToken"]
    assert client_error(lambda: aws("sts", secret="other").assume_role(**role))[:2] == ("SignatureDoesNotMatch", 403)
    assert fetched("token:sts") == 3
    control("PUT", "tokens", {"lifetime": "1ms"})
    short = aws("sts").assume_role(**role)["Credentials"]["SessionToken"]
    control("DELETE", "tokens")
    assert client_error(lambda: converse(client=aws(token=short)))[:2] == ("ExpiredTokenException", 403)
    with environment(AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{URL}/v2/credentials/task"):
        session = boto3.Session(region_name="us-east-1")
        client = session.client("bedrock-runtime", endpoint_url=URL)
        for _ in range(3):
            assert converse(client=client)["stopReason"] == "end_turn"
    assert fetched("token:aws-container") == 1


# ---- cohere ----------------------------------------------------------------------------------------------------------

co = cohere.ClientV2(api_key="co-test", base_url=URL)
CO_TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "weather", "parameters": SCHEMA}}]
QUESTION = [{"role": "user", "content": "hi"}]
ONCE = {"max_retries": 0}


def co_chat(model="command-a-03-2025", **more):
    return co.chat(model=model, request_options=ONCE, **{"messages": QUESTION, **more})


def co_stream(model="command-a-03-2025", **more):
    return list(co.chat_stream(model=model, request_options=ONCE, **{"messages": QUESTION, **more}))


@check
def cohere_chat():
    answer = co_chat(temperature=0.5, k=4)
    assert "command-a-03-2025" in answer.message.content[0].text.splitlines()[0]
    assert answer.finish_reason == "COMPLETE" and answer.usage.billed_units.output_tokens == 60
    assert co_chat(max_tokens=5).finish_reason == "MAX_TOKENS"


@check
def cohere_stream():
    events = co_stream()
    kinds = [event.type for event in events]
    assert kinds[:2] == ["message-start", "content-start"] and kinds[-2:] == ["content-end", "message-end"]
    text = "".join(event.delta.message.content.text for event in events if event.type == "content-delta")
    assert text == co_chat().message.content[0].text
    assert events[-1].delta.finish_reason == "COMPLETE" and events[-1].delta.usage.tokens.output_tokens == 60


@check
def cohere_tools_round_trip():
    message = co_chat(tools=CO_TOOLS).message
    assert message.tool_plan and json.loads(message.tool_calls[0].function.arguments) == {"city": "Paris", "unit": "C"}
    document = {"type": "document", "document": {"data": {"degrees": "21 degrees"}, "id": "1"}}
    turns = [
        *QUESTION,
        {"role": "assistant", "tool_plan": message.tool_plan, "tool_calls": message.tool_calls},
        {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": [document]},
    ]
    assert "21 degrees" in co_chat(messages=turns, tools=CO_TOOLS).message.content[0].text
    turns[2]["tool_call_id"] = "other"
    assert "not found" in str(raises(cohere.BadRequestError, lambda: co_chat(messages=turns, tools=CO_TOOLS)).body)


@check
def cohere_tools_streamed():
    events = co_stream(model="command-a!tools", tools=CO_TOOLS)
    kinds = [event.type for event in events]
    assert "tool-plan-delta" in kinds and kinds.count("tool-call-start") == 2 == kinds.count("tool-call-end")
    parts = {}
    for event in events:
        if event.type == "tool-call-delta":
            parts[event.index] = parts.get(event.index, "") + event.delta.message.tool_calls.function.arguments
    assert [json.loads(part)["city"] for part in parts.values()] == ["Paris", "Paris"]


@check
def cohere_json_thinking_and_images():
    text = co_chat(response_format={"type": "json_object", "json_schema": SCHEMA}).message.content[0].text
    assert json.loads(text) == {"city": "Paris", "unit": "C"}
    content = co_chat(thinking={"type": "enabled", "token_budget": 100}).message.content
    assert [item.type for item in content] == ["thinking", "text"] and content[0].thinking
    events = co_stream(thinking={"type": "enabled"})
    assert [event.index for event in events if event.type == "content-start"] == [0, 1]
    url = "data:image/png;base64," + base64.b64encode(PNG).decode()
    parts = [{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": {"url": url}}]
    assert "1 image (image/png)" in co_chat(messages=[{"role": "user", "content": parts}]).message.content[0].text


@check
def cohere_errors():
    kinds = {
        "400": cohere.BadRequestError,
        "401": cohere.UnauthorizedError,
        "403": cohere.ForbiddenError,
        "404": cohere.NotFoundError,
        "422": cohere.UnprocessableEntityError,
        "429": cohere.TooManyRequestsError,
        "500": cohere.InternalServerError,
        "503": cohere.ServiceUnavailableError,
        "504": cohere.GatewayTimeoutError,
        "context-too-long": cohere.BadRequestError,
    }
    for name, kind in kinds.items():
        for call in (co_chat, co_stream):
            assert raises(kind, lambda: call(model=f"command-a!{name}")).body["message"], name
    wrong = cohere.ClientV2(api_key="wrong", base_url=URL)
    raises(cohere.UnauthorizedError, lambda: wrong.chat(model="m", messages=QUESTION, request_options=ONCE))


@check
def cohere_broken_and_odd_streams():
    last = co_stream(model="command-a!error-5")[-1]
    assert last.type == "message-end" and last.delta.finish_reason == "ERROR" and last.delta.error
    raises(Exception, lambda: co_stream(model="command-a!cut-40"))
    assert co_stream(model="command-a!no-terminator")[-1].type == "content-end"
    odd = co_stream(model="command-a-03-2025!odd")
    text = "".join(event.delta.message.content.text for event in odd if event.type == "content-delta")
    assert text == co_chat().message.content[0].text


@check
def cohere_embed_and_models():
    answer = co.embed(model="embed-v4.0", input_type="search_query", texts=["a", "b", "a"], embedding_types=["float", "int8"], output_dimension=256)
    vectors = answer.embeddings.float_
    assert len(vectors) == 3 and len(vectors[0]) == 256 and vectors[0] == vectors[2] != vectors[1]
    assert abs(sum(x * x for x in vectors[0]) - 1) < 1e-3 and len(answer.embeddings.int8[0]) == 256
    assert "command-a-03-2025" in [model.name for model in co.models.list().models]


# ---- ollama ----------------------------------------------------------------------------------------------------------

ol = ollama.Client(host=URL)


def ol_chat(model="gemma4", **more):
    return ol.chat(model=model, **{"messages": QUESTION, **more})


def ol_stream(model="gemma4", **more):
    return list(ol.chat(model=model, stream=True, **{"messages": QUESTION, **more}))


@check
def ollama_chat():
    answer = ol_chat(options={"temperature": 0.1, "num_ctx": 4096})
    assert "gemma4" in answer.message.content.splitlines()[0] and answer.done_reason == "stop"
    assert answer.eval_count == 60 and answer.prompt_eval_count > 0 and answer.total_duration > 0
    assert ol_chat(options={"num_predict": 5}).done_reason == "length"


@check
def ollama_stream():
    lines = ol_stream()
    assert "".join(line.message.content for line in lines) == ol_chat().message.content
    assert lines[-1].done and lines[-1].eval_count == 60 and not any(line.done for line in lines[:-1])


@check
def ollama_tools_round_trip():
    def get_weather(city: str) -> str:
        """The weather in a city.

        Args:
            city: The city.
        """
        return f"21 degrees in {city}"

    message = ol_chat(tools=[get_weather]).message
    call = message.tool_calls[0].function
    assert call.name == "get_weather" and call.arguments == {"city": "Paris"}
    turns = [*QUESTION, message, {"role": "tool", "tool_name": call.name, "content": get_weather(**call.arguments)}]
    assert "21 degrees in Paris" in ol_chat(messages=turns, tools=[get_weather]).message.content
    calls = [call for line in ol_stream(model="gemma4!tools", tools=[get_weather]) for call in line.message.tool_calls or []]
    assert [call.function.arguments["city"] for call in calls] == ["Paris", "Paris"]


@check
def ollama_formats_thinking_and_images():
    assert json.loads(ol_chat(format=SCHEMA).message.content) == {"city": "Paris", "unit": "C"}
    assert json.loads(ol_chat(format="json").message.content)
    assert ol_chat(think=True).message.thinking and ol_chat(think="low").message.thinking
    assert any(line.message.thinking for line in ol_stream(think=True))
    question = [{"role": "user", "content": "what?", "images": [PNG]}]
    assert "1 image (image/png)" in ol_chat(messages=question).message.content


@check
def ollama_errors():
    for name, status in (("400", 400), ("404", 404), ("429", 429), ("500", 500), ("503", 503)):
        for call in (ol_chat, ol_stream):
            error = raises(ollama.ResponseError, lambda: call(model=f"gemma4!{name}"))
            assert error.status_code == status and error.error, name
    assert "unreachable" not in raises(ollama.ResponseError, lambda: ol_stream(model="gemma4!error-5")).error
    assert not ol_stream(model="gemma4!no-terminator")[-1].done
    raises(Exception, lambda: ol_stream(model="gemma4!cut-40"))


@check
def ollama_odd_stream():
    lines = [line for line in ol_stream(model="gemma4!odd") if line.message.content]
    assert "".join(line.message.content for line in lines) == ol_chat().message.content


@check
def ollama_embed_and_tags():
    answer = ol.embed(model="nomic", input=["a", "b"], dimensions=64)
    assert len(answer.embeddings) == 2 and len(answer.embeddings[0]) == 64
    assert answer.embeddings[0] == ol.embed(model="nomic", input="a", dimensions=64).embeddings[0]
    assert "gemma4:latest" in [model.model for model in ol.list().models]


# ---- Vertex AI -------------------------------------------------------------------------------------------------------


KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def account(issuer="robot@fake.iam.gserviceaccount.com", query="", key=KEY):
    """Credentials of a service account whose key was made a moment ago; the fake knows any unless it is told one."""
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    told = {"client_email": issuer, "private_key": pem.decode(), "token_uri": f"{URL}/token{query}", "private_key_id": "1"}
    return service_account.Credentials.from_service_account_info(told, scopes=["https://www.googleapis.com/auth/cloud-platform"])


def vertex(credentials):
    options = types.HttpOptions(base_url=URL, retry_options=types.HttpRetryOptions(attempts=1))
    return genai.Client(vertexai=True, project="p", location="us-central1", credentials=credentials, http_options=options)


@check
def vertex_gemini():
    control("DELETE", "log")
    client = vertex(account())
    answer = client.models.generate_content(model="gemini-3.5-flash", contents="hi")
    assert "gemini-3.5-flash" in answer.text and answer.usage_metadata.candidates_token_count == 60
    chunks = list(client.models.generate_content_stream(model="gemini-3.5-flash", contents="hi"))
    assert "".join(chunk.text or "" for chunk in chunks) == answer.text
    assert client.models.count_tokens(model="gemini-3.5-flash", contents="hi").total_tokens > 0
    assert "publishers/google/models/gemini-3.5-flash" in [model.name for model in client.models.list()]
    assert fetched("token:google") == 1, "the token is kept"
    error = raises(genai_errors.ClientError, lambda: client.models.generate_content(model="g!429", contents="hi"))
    assert (error.code, error.status) == (429, "RESOURCE_EXHAUSTED")
    wrong = vertex(google.oauth2.credentials.Credentials("wrong"))
    error = raises(genai_errors.ClientError, lambda: wrong.models.generate_content(model="g", contents="hi"))
    assert (error.code, error.status) == (401, "UNAUTHENTICATED")


@check
def vertex_claude():
    def client(token="token"):
        return anthropic.AnthropicVertex(base_url=f"{URL}/v1", project_id="p", region="us-east5", access_token=token, max_retries=0)

    an = client()
    question = {"max_tokens": 100, "messages": QUESTION}
    answer = an.messages.create(model="claude-sonnet-5-5@20261001", **question)
    assert "claude-sonnet-5-5@20261001" in answer.content[0].text and answer.stop_reason == "end_turn"
    with an.messages.stream(model="claude-sonnet-5-5@20261001", **question) as stream:
        assert stream.get_final_message().content[0].text == answer.content[0].text
    assert an.messages.count_tokens(model="claude-sonnet-5-5", messages=QUESTION).input_tokens > 0
    rows = {"400": anthropic.BadRequestError, "404": anthropic.NotFoundError, "429": anthropic.RateLimitError, "529": anthropic.InternalServerError}
    for name, kind in rows.items():
        raises(kind, lambda: an.messages.create(model=f"claude!{name}", **question))
    assert "RESOURCE_EXHAUSTED" in str(raises(anthropic.RateLimitError, lambda: an.messages.create(model="claude!429", **question)))
    raises(anthropic.AuthenticationError, lambda: client("wrong").messages.create(model="claude", **question))


@check
def google_tokens_run_out_and_are_fetched_again():
    control("DELETE", "log")
    short = account(query="?expires_in=1ms")
    request = google.auth.transport.requests.Request()
    short.refresh(request)
    first = short.token
    client = vertex(google.oauth2.credentials.Credentials(first))
    assert raises(genai_errors.ClientError, lambda: client.models.generate_content(model="g", contents="hi")).code == 401
    short.refresh(request)
    assert short.token != first and fetched("token:google") == 2
    raises(google.auth.exceptions.RefreshError, lambda: account(issuer="wrong@x").refresh(request))
    public = KEY.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)
    control("PUT", "tokens", {"google_key": base64.b64encode(public).decode()})
    account().refresh(request)
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    raises(google.auth.exceptions.RefreshError, lambda: account(key=other).refresh(request))
    control("DELETE", "tokens")
    request = urllib.request.Request(f"{URL}/computeMetadata/v1/instance/service-accounts/default/token", headers={"Metadata-Flavor": "Google"})
    with urllib.request.urlopen(request) as answer:
        assert json.load(answer)["token_type"] == "Bearer" and answer.headers["Metadata-Flavor"] == "Google"


@check
def entra_tokens():
    def ask(secret):
        form = {"grant_type": "client_credentials", "client_id": "c", "client_secret": secret, "scope": "https://cognitiveservices.azure.com/.default"}
        request = urllib.request.Request(f"{URL}/tenant/oauth2/v2.0/token", data=urllib.parse.urlencode(form).encode())
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    assert ask("s")["access_token"] and ask("s")["expires_in"] == 3600
    error = raises(urllib.error.HTTPError, lambda: ask("wrong"))
    assert error.code == 401 and "AADSTS7000215" in json.load(error)["error_description"]
