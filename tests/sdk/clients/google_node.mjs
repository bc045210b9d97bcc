// The official `@google/genai` package for Node: generateContent, streams, tools, schemas and countTokens.

import assert from "node:assert/strict";
import { KEY, PIXEL, QUESTION, RESULT, SCHEMA, bring, failure, raised, run } from "./cell.mjs";

const { ApiError, GoogleGenAI } = await bring("@google/genai");

const client = (cell) => new GoogleGenAI({ apiKey: KEY, httpOptions: { baseUrl: cell.url } });
const generate = (cell, more = {}) => client(cell).models.generateContent({ model: cell.model, contents: QUESTION, ...more });
const tools = [{ functionDeclarations: [{ name: "get_weather", description: "The weather in a city.", parametersJsonSchema: SCHEMA }] }];

async function chunks(cell, more = {}) {
  const got = [];
  for await (const chunk of await client(cell).models.generateContentStream({ model: cell.model, contents: QUESTION, ...more })) got.push(chunk);
  return got;
}

const textOf = (got) => got.flatMap((chunk) => chunk.candidates?.[0]?.content?.parts ?? []).filter((part) => !part.thought).map((part) => part.text ?? "").join("");

const KINDS = {
  bad_request: [ApiError, 400],
  context: [ApiError, 400],
  rate_limit: [ApiError, 429],
  overloaded: [ApiError, 503],
  auth: [ApiError, 502],
};

async function cut(cell) {
  let text = "";
  const error = await raised(Error, async () => {
    for await (const chunk of await client(cell).models.generateContentStream({ model: cell.model, contents: QUESTION })) {
      text += textOf([chunk]);
      assert.ok(!chunk.candidates?.[0]?.finishReason, "a clean end");
    }
  });
  assert.ok(!(error instanceof assert.AssertionError), String(error));
  assert.ok(text.trim(), "no text before the break");
  await cell.attemptsOfOurs();
  return error.constructor.name;
}

await run({
  "google-genai-node": {
    async text(cell) {
      const answer = await generate(cell);
      assert.deepEqual([answer.text, answer.candidates[0].finishReason], [cell.text, "STOP"]);
      assert.ok(answer.modelVersion);
    },
    async stream(cell) {
      const got = await chunks(cell);
      assert.equal(textOf(got), cell.text);
      assert.equal(got.at(-1).candidates[0].finishReason, "STOP");
      assert.ok(got.length > 2);
    },
    async usage(cell) {
      for (const { usageMetadata: usage } of [await generate(cell), (await chunks(cell)).at(-1)]) {
        assert.deepEqual([usage.promptTokenCount, usage.cachedContentTokenCount, usage.candidatesTokenCount], [120, 40, 60]);
      }
    },
    async tools(cell) {
      const first = await generate(cell, { config: { tools } });
      const [call] = first.functionCalls;
      assert.deepEqual([call.name, Object.keys(call.args)], ["get_weather", ["city"]]);
      const functionResponse = { name: call.name, response: { result: RESULT }, ...(call.id ? { id: call.id } : {}) };
      const contents = [{ role: "user", parts: [{ text: QUESTION }] }, first.candidates[0].content, { role: "user", parts: [{ functionResponse }] }];
      assert.ok((await generate(cell, { contents, config: { tools } })).text.includes(RESULT));
    },
    async parallel_tools(cell) {
      const calls = (await chunks(cell, { config: { tools } })).flatMap((chunk) => chunk.functionCalls ?? []);
      assert.deepEqual(calls.map((call) => call.args.city), cell.cities);
    },
    async structured(cell) {
      const answer = await generate(cell, { config: { responseMimeType: "application/json", responseJsonSchema: SCHEMA } });
      assert.deepEqual(Object.keys(JSON.parse(answer.text)), ["city"]);
    },
    async vision(cell) {
      const parts = [{ inlineData: { mimeType: "image/png", data: PIXEL } }, { text: "What is this?" }];
      await cell.imageArrived((await generate(cell, { contents: [{ role: "user", parts }] })).text);
    },
    async reasoning(cell) {
      const answer = await generate(cell, { config: { thinkingConfig: { includeThoughts: true, thinkingBudget: 1024 } } });
      const parts = answer.candidates[0].content.parts.map((part) => [Boolean(part.thought), part.text]);
      assert.deepEqual(parts, [[true, "Two and two are four."], [false, "Four."]]);
    },
    async length(cell) {
      const reasons = [(await generate(cell)).candidates[0].finishReason, (await chunks(cell)).at(-1).candidates[0].finishReason];
      assert.deepEqual(reasons, ["MAX_TOKENS", "MAX_TOKENS"]);
    },
    async count_tokens(cell) {
      assert.ok((await client(cell).models.countTokens({ model: cell.model, contents: QUESTION })).totalTokens > 0);
    },
    ...failure(KINDS, generate),
    cut,
    stream_error: cut,
    async unknown_model(cell) {
      await raised(ApiError, () => generate(cell, { model: "no-such-model-at-all" }), 404);
    },
  },
});
