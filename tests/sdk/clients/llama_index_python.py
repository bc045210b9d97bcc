"""LlamaIndex: its `OpenAILike` model, called, streamed, with tools and with structured output."""

import asyncio

import openai
from cell import KEY, PIXEL_BYTES, QUESTION, RESULT, expect, failure, raised, run, same
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.llms import ChatMessage, ImageBlock, TextBlock
from llama_index.core.utils import get_tokenizer
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel


# Made once for all threads: making it changes the process's environment for a moment.
get_tokenizer()


class Solution(BaseModel):
    """A solution."""

    explanation: str
    sure: bool


def get_weather(city: str) -> str:
    """The weather in a city."""
    return RESULT


def llm(cell, model=None):
    return OpenAILike(
        model=model or cell.model, api_base=cell.url + "/v1", api_key=KEY, is_chat_model=True, is_function_calling_model=True, context_window=100_000
    )


def text(cell):
    answer = llm(cell).chat([ChatMessage(role="system", content="Be brief."), ChatMessage(role="user", content=QUESTION)])
    same(answer.message.content, cell.text, "text")
    expect("Be brief." in cell.last_body(), "the system prompt is lost")


def stream(cell):
    deltas = [it.delta for it in llm(cell).stream_chat([ChatMessage(role="user", content=QUESTION)])]
    same("".join(deltas), cell.text, "text")
    expect(len(deltas) > 2, f"{len(deltas)} pieces only")


def usage(cell):
    told = llm(cell).chat([ChatMessage(role="user", content=QUESTION)]).raw.usage
    same((told.prompt_tokens, told.completion_tokens), (120, 60), "tokens")


def tools(cell):
    """An agent that calls the tool, streamed, and goes on with its result."""

    async def go():
        return str(await FunctionAgent(tools=[get_weather], llm=llm(cell)).run(QUESTION))

    expect(RESULT in asyncio.run(go()), "the result is not quoted")


def structured(cell):
    answer = llm(cell).as_structured_llm(Solution).chat([ChatMessage(role="user", content=QUESTION)])
    expect(isinstance(answer.raw, Solution), f"not parsed: {answer.raw!r}")


def image(cell):
    blocks = [TextBlock(text="What is this?"), ImageBlock(image=PIXEL_BYTES, image_mimetype="image/png")]
    cell.image_arrived(llm(cell).chat([ChatMessage(role="user", blocks=blocks)]).message.content)


def ask(cell, _streamed, model=None):
    return llm(cell, model).chat([ChatMessage(role="user", content=QUESTION)])


def cut(cell):
    error = raised(openai.APIError, lambda: list(llm(cell).stream_chat([ChatMessage(role="user", content=QUESTION)])))
    cell.one_attempt_of_ours()
    return type(error).__name__


def unknown_model(cell):
    raised(openai.NotFoundError, lambda: ask(cell, False, "no-such-model-at-all"), 404)


KINDS = {"rate_limit": (openai.RateLimitError, 429), "overloaded": (openai.InternalServerError, 503)}

run({
    "llama-index": {
        "text": text, "stream": stream, "usage": usage, "tools": tools, "structured": structured, "vision": image, **failure(KINDS, ask),
        "cut": cut, "unknown_model": unknown_model,
    },
})  # fmt: skip
