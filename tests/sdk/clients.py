"""The clients that the matrix runs, the cases each of them can say, and the upstream dialects behind the gateway.

A cell is a client, a case and an upstream; whatever stands here must have run. What a client has no word for (Anthropic's SDK has no
embeddings) is left out of its list and shown as a dash, so a cell that is missing from a run is a failure and not a gap.
"""

import dataclasses

UPSTREAMS = ["openai_chat", "anthropic_messages", "gemini", "bedrock_converse"]

# Case: what the reader of the document learns from it.
CASES = {
    "text": "the text arrives exactly, with finish reason and model",
    "stream": "the same text in several pieces, ended by the dialect's own last event",
    "usage": "tokens of prompt, answer and cache, whole and streamed",
    "tools": "a tool call, its result, the answer",
    "parallel_tools": "two calls in one streamed answer, each with its id and arguments",
    "structured": "an answer by JSON schema through the client's own helper",
    "structured_stream": "typed answers that grow while they are streamed",
    "vision": "an image as base64 arrives unchanged",
    "reasoning": "reasoning is shown where the client shows it, and apart from the text",
    "length": "an answer cut at the output limit says so",
    "sampling": "every parameter arrives or is reported in `x-jumpseat-dropped`",
    "unknown_field": "a field nobody knows passes through or is reported",
    "previous": "`previous_response_id` continues a stored conversation",
    "embeddings": "vectors of several texts; a clear refusal where the upstream has none",
    "count_tokens": "the number of tokens of a prompt",
    "bad_request": "the provider's 400 as the client's own class, one attempt",
    "context": "a prompt too long, with the dialect's own word for it, one attempt",
    "rate_limit": "429 with a time to wait, one attempt",
    "overloaded": "503 after one retry of the gateway's, none of the client's",
    "auth": "the provider refuses our key: 502, never the client's own 401",
    "cut": "a stream that breaks off raises and is never taken for a whole answer",
    "stream_error": "an error inside the stream is raised with its message",
}
# Decided before any upstream is chosen: run once for each client.
INGRESS_CASES = {
    "models": "the list of models, and one of them",
    "unknown_model": "404 in the client's class",
    "missing_model": "a body without a model: 400 that names the field",
    "wrong_type": "a field of another type: 400 that names the place",
    "wrong_json": "a body that is no JSON: 400",
    "too_large": "a body beyond the limit: 413",
}

# What only a gateway makes of a provider: the fake alone answers otherwise.
GATEWAY_CASES = {"sampling", "unknown_field", "previous", "rate_limit", "overloaded", "auth", "cut"}

ANSWERS = ["text", "stream", "usage", "tools", "parallel_tools", "structured", "vision", "reasoning", "length"]
FIELDS = ["sampling", "unknown_field"]
FAILURES = ["bad_request", "context", "rate_limit", "overloaded", "auth", "cut", "stream_error"]
INGRESS = list(INGRESS_CASES)


@dataclasses.dataclass(frozen=True)
class Client:
    """One row. `package` is what its version is read from; `environment` the folder of the test cache it lives in."""

    name: str
    package: str
    environment: str
    program: str
    ingress: str
    cases: tuple
    # Whether `x-should-retry: false` is enough to keep its default retries away.
    heeds_should_retry: bool = True


def client(name, package, environment, program, ingress, *lists, **more):
    return Client(name, package, environment, program, ingress, tuple(case for one in lists for case in one), **more)


def python(name, package, program, ingress, *lists, **more):
    return client(name, package, "python", program, ingress, *lists, **more)


def older_python(name, package, program, ingress, *lists, **more):
    return client(name, package, "python-openai2", program, ingress, *lists, **more)


def node(name, package, program, ingress, *lists, **more):
    return client(name, package, "node", program, ingress, *lists, **more)


# What frameworks do with errors is to pass on those of the SDK below; their cases are what they do themselves.
FRAMEWORK = ["text", "stream", "usage", "tools", "structured", "vision"]
FRAMEWORK_FAILURES = ["rate_limit", "overloaded", "cut"]

CLIENTS = [
    python("openai-python", "openai", "openai_python.py", "openai_chat", ANSWERS, FIELDS, ["embeddings"], FAILURES, INGRESS),
    python("openai-python-responses", "openai", "openai_python.py", "openai_responses", ANSWERS, FIELDS, ["previous"], FAILURES, INGRESS[1:]),
    node("openai-node", "openai", "openai_node.mjs", "openai_chat", ANSWERS, ["embeddings"], FAILURES, INGRESS),
    node("openai-node-responses", "openai", "openai_node.mjs", "openai_responses", ANSWERS, ["previous"], FAILURES, INGRESS[1:]),
    python("anthropic-python", "anthropic", "anthropic_python.py", "anthropic_messages", ANSWERS, FIELDS, ["count_tokens"], FAILURES, INGRESS),
    node("anthropic-node", "@anthropic-ai/sdk", "anthropic_node.mjs", "anthropic_messages", ANSWERS, ["count_tokens"], FAILURES, INGRESS),
    python("google-genai", "google-genai", "google_python.py", "gemini", ANSWERS, ["sampling", "count_tokens"], FAILURES, ["models", "unknown_model"]),
    node("google-genai-node", "@google/genai", "google_node.mjs", "gemini", ANSWERS, ["count_tokens"], FAILURES, ["unknown_model"]),
    node("ai-sdk-openai", "@ai-sdk/openai", "vercel_node.mjs", "openai_responses", FRAMEWORK, ["reasoning"], FRAMEWORK_FAILURES, ["unknown_model"], heeds_should_retry=False),
    node("ai-sdk-openai-chat", "@ai-sdk/openai", "vercel_node.mjs", "openai_chat", FRAMEWORK, FRAMEWORK_FAILURES, ["unknown_model"], heeds_should_retry=False),
    node("ai-sdk-anthropic", "@ai-sdk/anthropic", "vercel_node.mjs", "anthropic_messages", FRAMEWORK, ["reasoning"], FRAMEWORK_FAILURES, ["unknown_model"], heeds_should_retry=False),
    node("ai-sdk-google", "@ai-sdk/google", "vercel_node.mjs", "gemini", FRAMEWORK, ["reasoning"], FRAMEWORK_FAILURES, ["unknown_model"], heeds_should_retry=False),
    python("langchain-openai", "langchain-openai", "langchain_python.py", "openai_chat", FRAMEWORK, FRAMEWORK_FAILURES, ["unknown_model"]),
    python("langchain-anthropic", "langchain-anthropic", "langchain_python.py", "anthropic_messages", FRAMEWORK, FRAMEWORK_FAILURES, ["unknown_model"]),
    python("pydantic-ai-openai", "pydantic-ai-slim", "pydantic_ai_python.py", "openai_chat", FRAMEWORK, FRAMEWORK_FAILURES, ["unknown_model"]),
    python("pydantic-ai-responses", "pydantic-ai-slim", "pydantic_ai_python.py", "openai_responses", FRAMEWORK, FRAMEWORK_FAILURES, ["unknown_model"]),
    python("pydantic-ai-anthropic", "pydantic-ai-slim", "pydantic_ai_python.py", "anthropic_messages", FRAMEWORK, FRAMEWORK_FAILURES, ["unknown_model"]),
    python("pydantic-ai-google", "pydantic-ai-slim", "pydantic_ai_python.py", "gemini", FRAMEWORK, FRAMEWORK_FAILURES, ["unknown_model"]),
    older_python("instructor-openai", "instructor", "instructor_python.py", "openai_chat", ["structured", "structured_stream"]),
    older_python("instructor-anthropic", "instructor", "instructor_python.py", "anthropic_messages", ["structured", "structured_stream"]),
    older_python("llama-index", "llama-index-llms-openai-like", "llama_index_python.py", "openai_chat", FRAMEWORK, FRAMEWORK_FAILURES, ["unknown_model"], heeds_should_retry=False),
]  # fmt: skip


def cells(client):
    """(case, upstream) of every cell of the client; the upstream of a case of the ingress is the first."""
    for case in client.cases:
        for upstream in UPSTREAMS if case in CASES else UPSTREAMS[:1]:
            yield case, upstream
