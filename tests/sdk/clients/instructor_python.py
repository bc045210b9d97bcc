"""Instructor: typed answers by tools, by JSON schema and streamed in parts, through the SDKs of OpenAI and Anthropic."""

import anthropic
import instructor
import openai
from cell import KEY, QUESTION, expect, run
from pydantic import BaseModel

ASK = [{"role": "user", "content": QUESTION}]


class Solution(BaseModel):
    """A solution."""

    explanation: str
    result: int


def over_openai(cell, mode):
    return instructor.from_openai(openai.OpenAI(base_url=cell.url + "/v1", api_key=KEY), mode=mode)


def over_anthropic(cell, mode):
    return instructor.from_anthropic(anthropic.Anthropic(base_url=cell.url, api_key=KEY), mode=mode)


def cases(make, modes, **more):
    def structured(cell):
        for mode in modes:
            # One attempt: a first answer that does not fit is a failure, not a reason to ask again.
            answer = make(cell, mode).chat.completions.create(model=cell.model, messages=ASK, response_model=Solution, max_retries=0, **more)
            expect(isinstance(answer, Solution), f"not parsed by {mode}: {answer!r}")

    def structured_stream(cell):
        parts = list(make(cell, modes[0]).chat.completions.create_partial(model=cell.model, messages=ASK, response_model=Solution, **more))
        expect(parts and parts[-1].explanation and isinstance(parts[-1].result, int), f"not parsed: {parts[-1:]}")

    return {"structured": structured, "structured_stream": structured_stream}


run({
    "instructor-openai": cases(over_openai, [instructor.Mode.TOOLS, instructor.Mode.JSON_SCHEMA]),
    "instructor-anthropic": cases(over_anthropic, [instructor.Mode.TOOLS], max_tokens=2000),
})
