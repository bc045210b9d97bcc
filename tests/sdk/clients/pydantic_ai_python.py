"""Pydantic AI: an agent with each of its own models of OpenAI (chat and responses), Anthropic and Google."""

import asyncio

from cell import KEY, PIXEL_BYTES, QUESTION, RESULT, expect, failure, raised, run, same
from pydantic import BaseModel
from pydantic_ai import Agent, BinaryContent
from pydantic_ai.exceptions import ModelAPIError, ModelHTTPError
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.google import GoogleModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.google import GoogleProvider
from pydantic_ai.providers.openai import OpenAIProvider


class Solution(BaseModel):
    explanation: str
    sure: bool


def openai_chat(cell, model):
    return OpenAIChatModel(model, provider=OpenAIProvider(base_url=cell.url + "/v1", api_key=KEY))


def openai_responses(cell, model):
    return OpenAIResponsesModel(model, provider=OpenAIProvider(base_url=cell.url + "/v1", api_key=KEY))


def anthropic(cell, model):
    return AnthropicModel(model, provider=AnthropicProvider(base_url=cell.url, api_key=KEY))


def google(cell, model):
    return GoogleModel(model, provider=GoogleProvider(base_url=cell.url, api_key=KEY))


def on_a_loop(work):
    """Each cell on an event loop of its own: the cells run in threads."""
    return lambda cell: asyncio.run(work(cell))


def cases(make, overloaded):
    def agent(cell, model=None, **more):
        return Agent(make(cell, model or cell.model), **more)

    async def text(cell):
        same((await agent(cell, instructions="Be brief.").run(QUESTION)).output, cell.text, "text")
        expect("Be brief." in cell.last_body(), "the instructions are lost")

    async def stream(cell):
        async with agent(cell).run_stream(QUESTION) as result:
            deltas = [it async for it in result.stream_text(delta=True, debounce_by=None)]
        same("".join(deltas), cell.text, "text")
        expect(len(deltas) > 2, f"{len(deltas)} pieces only")

    async def usage(cell):
        whole = (await agent(cell).run(QUESTION)).usage
        async with agent(cell).run_stream(QUESTION) as result:
            await result.get_output()
            streamed = result.usage
        for told in (whole, streamed):
            told = told() if callable(told) else told
            same((told.input_tokens, told.output_tokens, told.cache_read_tokens), (120, 60, 40), "tokens")

    async def tools(cell):
        helped = agent(cell)

        @helped.tool_plain
        def get_weather(city: str) -> str:
            """The weather in a city."""
            return RESULT

        output = (await helped.run(QUESTION)).output
        expect(RESULT in output, f"the result is not quoted: {output!r}")

    async def structured(cell):
        output = (await agent(cell, output_type=Solution).run(QUESTION)).output
        expect(isinstance(output, Solution), f"not parsed: {output!r}")

    async def image(cell):
        cell.image_arrived((await agent(cell).run(["What is this?", BinaryContent(PIXEL_BYTES, media_type="image/png")])).output)

    def ask(cell, _streamed):
        return asyncio.run(agent(cell).run(QUESTION))

    def cut(cell):
        async def read():
            async with agent(cell).run_stream(QUESTION) as result:
                return [it async for it in result.stream_text(delta=True, debounce_by=None)]

        error = raised(Exception, lambda: asyncio.run(read()))
        cell.one_attempt_of_ours()
        return type(error).__name__

    def unknown_model(cell):
        raised(ModelHTTPError, lambda: asyncio.run(agent(cell, "no-such-model-at-all").run(QUESTION)), 404)

    kinds = {"rate_limit": (ModelHTTPError, 429), "overloaded": (ModelAPIError, overloaded)}
    return {
        "text": on_a_loop(text), "stream": on_a_loop(stream), "usage": on_a_loop(usage), "tools": on_a_loop(tools),
        "structured": on_a_loop(structured), "vision": on_a_loop(image), **failure(kinds, ask), "cut": cut, "unknown_model": unknown_model,
    }  # fmt: skip


run({
    "pydantic-ai-openai": cases(openai_chat, 503),
    "pydantic-ai-responses": cases(openai_responses, 503),
    "pydantic-ai-anthropic": cases(anthropic, 529),
    "pydantic-ai-google": cases(google, 503),
})
