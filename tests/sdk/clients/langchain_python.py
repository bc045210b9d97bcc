"""LangChain: `ChatOpenAI` and `ChatAnthropic`, called, streamed, with tools and with structured output."""

import anthropic
import openai
from cell import KEY, PIXEL, QUESTION, RESULT, expect, failure, raised, run, same
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel


class Solution(BaseModel):
    """A solution."""

    explanation: str
    sure: bool


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return RESULT


def chat_openai(cell, model=None):
    return ChatOpenAI(model=model or cell.model, base_url=cell.url + "/v1", api_key=KEY, stream_usage=True)


def chat_anthropic(cell, model=None):
    return ChatAnthropic(model=model or cell.model, base_url=cell.url, api_key=KEY, max_tokens=2000)


def cases(make, errors, overloaded):
    def text(cell):
        answer = make(cell).invoke([("system", "Be brief."), ("human", QUESTION)])
        same(answer.text, cell.text, "text")
        expect("Be brief." in cell.last_body(), "the system prompt is lost")

    def stream(cell):
        chunks = list(make(cell).stream(QUESTION))
        same("".join(it.text for it in chunks), cell.text, "text")
        expect(len(chunks) > 2, f"{len(chunks)} chunks only")

    def usage(cell):
        whole = make(cell).invoke(QUESTION).usage_metadata
        streamed = None
        for chunk in make(cell).stream(QUESTION):
            streamed = chunk if streamed is None else streamed + chunk
        for told in (whole, streamed.usage_metadata):
            same((told["input_tokens"], told["output_tokens"], told["input_token_details"]["cache_read"]), (120, 60, 40), "tokens")

    def tools(cell):
        model = make(cell).bind_tools([get_weather])
        turns = [HumanMessage(QUESTION)]
        turns.append(model.invoke(turns))
        call = turns[-1].tool_calls[0]
        same((call["name"], set(call["args"])), ("get_weather", {"city"}), "call")
        turns.append(ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"]))
        expect(RESULT in model.invoke(turns).text, "the result is not quoted")

    def structured(cell):
        for method in ("json_schema", "function_calling"):
            answer = make(cell).with_structured_output(Solution, method=method).invoke(QUESTION)
            expect(isinstance(answer, Solution), f"not parsed by {method}: {answer!r}")

    def image(cell):
        content = [{"type": "text", "text": "What is this?"}, {"type": "image", "base64": PIXEL, "mime_type": "image/png"}]
        cell.image_arrived(make(cell).invoke([HumanMessage(content)]).text)

    def ask(cell, _streamed):
        return make(cell).invoke(QUESTION)

    def cut(cell):
        got = []
        error = raised(errors.APIError, lambda: got.extend(it.text for it in make(cell).stream(QUESTION)))
        cell.one_attempt_of_ours()
        return type(error).__name__

    def unknown_model(cell):
        raised(errors.NotFoundError, lambda: make(cell, "no-such-model-at-all").invoke(QUESTION), 404)

    return {
        "text": text, "stream": stream, "usage": usage, "tools": tools, "structured": structured, "vision": image, "cut": cut,
        "unknown_model": unknown_model,
        **failure({"rate_limit": (errors.RateLimitError, 429), "overloaded": (errors.APIStatusError, overloaded)}, ask),
    }  # fmt: skip


run({"langchain-openai": cases(chat_openai, openai, 503), "langchain-anthropic": cases(chat_anthropic, anthropic, 529)})
