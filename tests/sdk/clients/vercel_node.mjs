// Vercel's AI SDK: `generateText`, `streamText`, tools, `generateObject`, with the providers for OpenAI (responses and chat), Anthropic and Google.

import assert from "node:assert/strict";
import { KEY, PIXEL, QUESTION, RESULT, bring, failure, raised, run } from "./cell.mjs";

const { APICallError, RetryError, generateObject, generateText, isStepCount, stepCountIs, streamText, tool } = await bring("ai");
const { createOpenAI } = await bring("@ai-sdk/openai");
const { createAnthropic } = await bring("@ai-sdk/anthropic");
const { createGoogleGenerativeAI, createGoogle } = await bring("@ai-sdk/google");
const { z } = await bring("zod");

globalThis.AI_SDK_LOG_WARNINGS = false;
const Solution = z.object({ explanation: z.string(), sure: z.boolean() });
const steps = stepCountIs ?? isStepCount;

const MODELS = {
  "ai-sdk-openai": (cell, name) => createOpenAI({ baseURL: cell.url + "/v1", apiKey: KEY }).responses(name),
  "ai-sdk-openai-chat": (cell, name) => createOpenAI({ baseURL: cell.url + "/v1", apiKey: KEY }).chat(name),
  "ai-sdk-anthropic": (cell, name) => createAnthropic({ baseURL: cell.url + "/v1", apiKey: KEY })(name),
  "ai-sdk-google": (cell, name) => (createGoogle ?? createGoogleGenerativeAI)({ baseURL: cell.url + "/v1beta", apiKey: KEY })(name),
};
// How each provider is asked to show its reasoning.
const REASONING = {
  "ai-sdk-openai": { openai: { reasoningEffort: "low", reasoningSummary: "auto", forceReasoning: true } },
  "ai-sdk-anthropic": { anthropic: { thinking: { type: "enabled", budgetTokens: 1024 } } },
  "ai-sdk-google": { google: { thinkingConfig: { includeThoughts: true, thinkingBudget: 1024 } } },
};

const model = (cell, name = cell.model) => MODELS[cell.client](cell, name);
const generate = (cell, more = {}) => generateText({ model: model(cell), prompt: QUESTION, ...more });

// A stream's parts; the SDK tells errors as a part.
async function parts(cell, more = {}) {
  const got = [];
  for await (const part of streamText({ model: model(cell), prompt: QUESTION, onError() {}, ...more }).fullStream) got.push(part);
  return got;
}

// What it retried stands inside.
function cause(error) {
  return RetryError.isInstance(error) ? error.lastError : error;
}

const ask = async (cell) => {
  try {
    return await generate(cell);
  } catch (error) {
    throw cause(error);
  }
};

async function cut(cell) {
  const got = await parts(cell);
  const text = got.filter((part) => part.type === "text-delta").map((part) => part.text).join("");
  assert.ok(text.trim(), "no text before the break");
  const error = got.find((part) => part.type === "error");
  assert.ok(error, `no error among ${[...new Set(got.map((part) => part.type))]}`);
  assert.ok(!got.some((part) => part.type === "finish" && part.finishReason === "stop"), "a clean end");
  await cell.attemptsOfOurs();
}

const cases = {
  async text(cell) {
    const answer = await generate(cell);
    assert.deepEqual([answer.text, answer.finishReason], [cell.text, "stop"]);
  },
  async stream(cell) {
    const got = await parts(cell);
    const deltas = got.filter((part) => part.type === "text-delta");
    assert.equal(deltas.map((part) => part.text).join(""), cell.text);
    assert.ok(deltas.length > 2);
    assert.equal(got.at(-1).finishReason, "stop");
  },
  async usage(cell) {
    for (const usage of [(await generate(cell)).usage, (await parts(cell)).at(-1).totalUsage]) {
      assert.deepEqual([usage.inputTokens, usage.outputTokens], [120, 60]);
      assert.equal(usage.inputTokenDetails?.cacheReadTokens ?? usage.cachedInputTokens, 40);
    }
  },
  // The SDK makes the call itself and goes on.
  async tools(cell) {
    const get_weather = tool({ description: "The weather in a city.", inputSchema: z.object({ city: z.string() }), execute: async () => RESULT });
    const answer = await generate(cell, { tools: { get_weather }, stopWhen: steps(3) });
    assert.equal(answer.steps.length, 2);
    assert.ok(answer.text.includes(RESULT), answer.text);
    const got = await parts(cell, { tools: { get_weather }, stopWhen: steps(3) });
    assert.ok(got.filter((part) => part.type === "text-delta").map((part) => part.text).join("").includes(RESULT), "streamed");
  },
  async structured(cell) {
    Solution.parse((await generateObject({ model: model(cell), prompt: QUESTION, schema: Solution })).object);
  },
  async vision(cell) {
    const content = [{ type: "text", text: "What is this?" }, { type: "image", image: PIXEL, mediaType: "image/png" }];
    await cell.imageArrived((await generate(cell, { prompt: undefined, messages: [{ role: "user", content }] })).text);
  },
  async reasoning(cell) {
    const answer = await generate(cell, { providerOptions: REASONING[cell.client] });
    assert.deepEqual([answer.text, answer.reasoningText], ["Four.", "Two and two are four."]);
  },
  ...failure({ rate_limit: [APICallError, 429], overloaded: [APICallError, undefined] }, ask, (error) => error.statusCode),
  cut,
  async unknown_model(cell) {
    await raised(APICallError, () => generateText({ model: model(cell, "no-such-model-at-all"), prompt: QUESTION }), 404, (error) => error.statusCode);
  },
};

await run(Object.fromEntries(Object.keys(MODELS).map((name) => [name, cases])));
