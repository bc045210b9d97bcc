// The official `openai` package for Node: chat completions, responses, embeddings, models and the `parse` helpers, default retries on.

import assert from "node:assert/strict";
import { KEY, PIXEL, QUESTION, RESULT, SCHEMA, bring, failure, raised, run } from "./cell.mjs";

const OpenAI = (await bring("openai")).default;
const { zodResponseFormat, zodTextFormat } = await bring("openai/helpers/zod");
const { z } = await bring("zod");

const ASK = [{ role: "user", content: QUESTION }];
const IMAGE = "data:image/png;base64," + PIXEL;
const WEATHER = { name: "get_weather", description: "The weather in a city.", parameters: SCHEMA };
const CHAT_TOOL = { type: "function", function: WEATHER };
const RESPONSES_TOOL = { type: "function", strict: false, ...WEATHER };
const Solution = z.object({ steps: z.array(z.object({ explanation: z.string(), result: z.number() })), sure: z.boolean() });

const client = (cell) => new OpenAI({ baseURL: cell.url + "/v1", apiKey: KEY });
const create = (cell, more = {}) => client(cell).chat.completions.create({ model: cell.model, messages: ASK, ...more });
const respond = (cell, more = {}) => client(cell).responses.create({ model: cell.model, input: QUESTION, ...more });

async function all(stream) {
  const chunks = [];
  for await (const chunk of await stream) chunks.push(chunk);
  return chunks;
}

// --- chat completions ---

const chat = {
  async text(cell) {
    const answer = await create(cell);
    assert.equal(answer.choices[0].message.content, cell.text);
    assert.equal(answer.choices[0].finish_reason, "stop");
    assert.ok(answer.id && answer.model && answer._request_id);
  },
  async stream(cell) {
    const chunks = await all(create(cell, { stream: true }));
    assert.equal(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join(""), cell.text);
    assert.ok(chunks.length > 5);
    assert.equal(await client(cell).chat.completions.stream({ model: cell.model, messages: ASK }).finalContent(), cell.text);
  },
  async usage(cell) {
    const last = (await all(create(cell, { stream: true, stream_options: { include_usage: true } }))).at(-1);
    for (const usage of [(await create(cell)).usage, last.usage]) {
      assert.deepEqual([usage.prompt_tokens, usage.completion_tokens, usage.prompt_tokens_details.cached_tokens], [120, 60, 40]);
    }
  },
  async tools(cell) {
    const first = await create(cell, { tools: [CHAT_TOOL] });
    const [call] = first.choices[0].message.tool_calls;
    assert.equal(first.choices[0].finish_reason, "tool_calls");
    assert.deepEqual(Object.keys(JSON.parse(call.function.arguments)), ["city"]);
    const messages = [...ASK, first.choices[0].message, { role: "tool", tool_call_id: call.id, content: RESULT }];
    assert.ok((await create(cell, { messages, tools: [CHAT_TOOL] })).choices[0].message.content.includes(RESULT));
  },
  async parallel_tools(cell) {
    const runner = client(cell).chat.completions.stream({ model: cell.model, messages: ASK, tools: [CHAT_TOOL] });
    const calls = (await runner.finalMessage()).tool_calls;
    assert.deepEqual(calls.map((call) => JSON.parse(call.function.arguments).city), cell.cities);
    assert.equal(new Set(calls.map((call) => call.id)).size, 2);
  },
  async structured(cell) {
    const asked = { model: cell.model, messages: ASK, response_format: zodResponseFormat(Solution, "solution") };
    Solution.parse((await client(cell).chat.completions.parse(asked)).choices[0].message.parsed);
  },
  async vision(cell) {
    const content = [{ type: "text", text: "What is this?" }, { type: "image_url", image_url: { url: IMAGE } }];
    await cell.imageArrived((await create(cell, { messages: [{ role: "user", content }] })).choices[0].message.content);
  },
  async reasoning(cell) {
    const { message } = (await create(cell)).choices[0];
    assert.equal(message.content, "Four.");
    assert.match(JSON.stringify(message), /Two and two/);
  },
  async length(cell) {
    assert.equal((await create(cell)).choices[0].finish_reason, "length");
    const reasons = (await all(create(cell, { stream: true }))).map((chunk) => chunk.choices[0]?.finish_reason).filter(Boolean);
    assert.deepEqual(reasons, ["length"]);
  },
  async embeddings(cell) {
    const ask = (more = {}) => client(cell).embeddings.create({ model: cell.model, input: ["The cat sat.", "Ein Haus am See."], ...more });
    if (!cell.direct && ["anthropic_messages", "bedrock_converse"].includes(cell.upstream)) {
      const error = await raised(OpenAI.APIError, ask);
      assert.ok([400, 404].includes(error.status), `${error.status}`);
      return `refused: ${error.status}`;
    }
    // By default this SDK asks for base64 and decodes it.
    const answer = await ask();
    assert.ok(answer.data.length === 2 && answer.data[0].embedding.length > 8);
    assert.equal((await ask({ encoding_format: "float", dimensions: 16 })).data[0].embedding.length, 16);
  },
  async models(cell) {
    const names = (await all(client(cell).models.list())).map((model) => model.id);
    assert.ok(names.includes(cell.model));
    assert.equal((await client(cell).models.retrieve(cell.model)).id, cell.model);
  },
  async cut(cell) {
    let text = "";
    const error = await raised(OpenAI.APIError, async () => {
      for await (const chunk of await create(cell, { stream: true })) {
        text += chunk.choices[0]?.delta.content ?? "";
        assert.ok(!chunk.choices[0]?.finish_reason, "a clean end");
      }
    });
    return broke(cell, error, text.trim());
  },
};

// --- responses ---

const responses = {
  async text(cell) {
    const answer = await respond(cell);
    assert.deepEqual([answer.output_text, answer.status], [cell.text, "completed"]);
    assert.match(answer.id, /^resp_/);
  },
  async stream(cell) {
    const events = await all(respond(cell, { stream: true }));
    assert.equal(events.filter((event) => event.type === "response.output_text.delta").map((event) => event.delta).join(""), cell.text);
    assert.deepEqual(events.map((event) => event.sequence_number), events.map((_, index) => index));
    assert.equal(events.at(-1).type, "response.completed");
    const final = await client(cell).responses.stream({ model: cell.model, input: QUESTION }).finalResponse();
    assert.equal(final.output_text, cell.text);
  },
  async usage(cell) {
    const streamed = (await all(respond(cell, { stream: true }))).at(-1).response;
    for (const { usage } of [await respond(cell), streamed]) {
      assert.deepEqual([usage.input_tokens, usage.output_tokens, usage.input_tokens_details.cached_tokens], [120, 60, 40]);
    }
  },
  async tools(cell) {
    const first = await respond(cell, { tools: [RESPONSES_TOOL] });
    const call = first.output.find((item) => item.type === "function_call");
    assert.deepEqual(Object.keys(JSON.parse(call.arguments)), ["city"]);
    const input = [...ASK, ...first.output, { type: "function_call_output", call_id: call.call_id, output: RESULT }];
    assert.ok((await respond(cell, { input, tools: [RESPONSES_TOOL] })).output_text.includes(RESULT));
  },
  async parallel_tools(cell) {
    const final = await client(cell).responses.stream({ model: cell.model, input: QUESTION, tools: [RESPONSES_TOOL] }).finalResponse();
    const calls = final.output.filter((item) => item.type === "function_call");
    assert.deepEqual(calls.map((call) => JSON.parse(call.arguments).city), cell.cities);
  },
  async structured(cell) {
    const asked = { model: cell.model, input: QUESTION, text: { format: zodTextFormat(Solution, "solution") } };
    Solution.parse((await client(cell).responses.parse(asked)).output_parsed);
  },
  async vision(cell) {
    const content = [{ type: "input_text", text: "What is this?" }, { type: "input_image", image_url: IMAGE, detail: "auto" }];
    await cell.imageArrived((await respond(cell, { input: [{ role: "user", content }] })).output_text);
  },
  async reasoning(cell) {
    const answer = await respond(cell, { reasoning: { effort: "low", summary: "auto" } });
    assert.equal(answer.output_text, "Four.");
    assert.match(JSON.stringify(answer.output.filter((item) => item.type === "reasoning")), /Two and two/);
  },
  async length(cell) {
    for (const answer of [await respond(cell), (await all(respond(cell, { stream: true }))).at(-1).response]) {
      assert.deepEqual([answer.status, answer.incomplete_details?.reason], ["incomplete", "max_output_tokens"]);
    }
  },
  async previous(cell) {
    const first = await respond(cell, { input: "Remember the word albatross.", store: true });
    await respond(cell, { input: "Which word?", previous_response_id: first.id });
    assert.match(await cell.lastBody(), /albatross/);
    assert.equal((await client(cell).responses.retrieve(first.id)).output_text, first.output_text);
  },
  async cut(cell) {
    const seen = [];
    const error = await raised(OpenAI.APIError, async () => {
      for await (const event of await respond(cell, { stream: true })) {
        seen.push(event.type);
        if (event.type === "response.failed" || event.type === "error") throw new OpenAI.APIError(undefined, undefined, "told in the stream", undefined);
      }
    });
    assert.ok(!seen.includes("response.completed"), "a clean end");
    return broke(cell, error, seen.includes("response.output_text.delta"));
  },
};

async function broke(cell, error, text) {
  assert.ok(text, "no text before the break");
  if (!cell.direct) {
    assert.ok(!(error instanceof OpenAI.APIConnectionError), `a bare cut: ${error}`);
    await cell.attemptsOfOurs();
  }
  return error.constructor.name;
}

// --- both ---

const KINDS = {
  bad_request: [OpenAI.BadRequestError, 400],
  rate_limit: [OpenAI.RateLimitError, 429],
  overloaded: [OpenAI.InternalServerError, 503],
  auth: [OpenAI.InternalServerError, 502],
};

const both = (ask, path, empty) => ({
  ...failure(KINDS, ask),
  async context(cell) {
    assert.equal((await raised(OpenAI.BadRequestError, () => ask(cell), 400)).code, "context_length_exceeded");
    await cell.attemptsOfOurs();
  },
  async unknown_model(cell) {
    assert.equal((await raised(OpenAI.NotFoundError, () => ask(cell, { model: "no-such-model-at-all" }), 404)).code, "model_not_found");
  },
  async missing_model(cell) {
    assert.match((await raised(OpenAI.BadRequestError, () => client(cell).post(path, { body: empty }), 400)).message, /model/);
  },
  async wrong_type(cell) {
    const fields = Object.fromEntries(Object.keys(empty).map((name) => [name, 7]));
    assert.ok((await raised(OpenAI.BadRequestError, () => ask(cell, fields), 400)).message.includes(Object.keys(empty)[0]));
  },
  async wrong_json(cell) {
    await raised(OpenAI.BadRequestError, () => client(cell).post(path, { body: [1, 2] }), 400);
    const headers = { authorization: `Bearer ${KEY}`, "content-type": "application/json" };
    const answer = await fetch(cell.url + "/v1" + path, { method: "POST", headers, body: '{"model": "x", ' });
    assert.equal(answer.status, 400);
    assert.ok((await answer.json()).error.message);
  },
  async too_large(cell) {
    await raised(OpenAI.APIError, () => ask(cell, { user: "x".repeat(cell.bodyMax + 1000) }), 413);
  },
});

await run({
  "openai-node": { ...chat, stream_error: chat.cut, ...both(create, "/chat/completions", { messages: ASK }) },
  "openai-node-responses": { ...responses, stream_error: responses.cut, ...both(respond, "/responses", { input: QUESTION }) },
});
