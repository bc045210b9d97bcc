// The official `@anthropic-ai/sdk` package for Node: messages, the stream helper, tools, `parse`, countTokens and models, default retries on.

import assert from "node:assert/strict";
import { KEY, PIXEL, QUESTION, RESULT, SCHEMA, bring, failure, raised, run } from "./cell.mjs";

const Anthropic = (await bring("@anthropic-ai/sdk")).default;
const { zodOutputFormat } = await bring("@anthropic-ai/sdk/helpers/zod");
const { z } = await bring("zod");

const ASK = [{ role: "user", content: QUESTION }];
const WEATHER = { name: "get_weather", description: "The weather in a city.", input_schema: SCHEMA };
const Solution = z.object({ explanation: z.string(), sure: z.boolean() });

const client = (cell) => new Anthropic({ baseURL: cell.url, apiKey: KEY });
const body = (cell, more) => ({ model: cell.model, messages: ASK, max_tokens: 2000, ...more });
const create = (cell, more = {}) => client(cell).messages.create(body(cell, more));
const streamed = (cell, more = {}) => client(cell).messages.stream(body(cell, more)).finalMessage();

const KINDS = {
  bad_request: [Anthropic.BadRequestError, 400],
  context: [Anthropic.BadRequestError, 400],
  rate_limit: [Anthropic.RateLimitError, 429],
  overloaded: [Anthropic.APIError, 529],
  auth: [Anthropic.InternalServerError, 502],
};

async function cut(cell) {
  const seen = [];
  const error = await raised(Anthropic.APIError, async () => {
    for await (const event of await create(cell, { stream: true })) seen.push(event.type);
  });
  assert.ok(seen.includes("content_block_delta"), "no text before the break");
  assert.ok(!seen.includes("message_stop"), "a clean end");
  if (!cell.direct) {
    assert.ok(!(error instanceof Anthropic.APIConnectionError), `a bare cut: ${error}`);
    await cell.attemptsOfOurs();
  }
  return error.constructor.name;
}

await run({
  "anthropic-node": {
    async text(cell) {
      const answer = await create(cell);
      assert.deepEqual([answer.content[0].text, answer.stop_reason, answer.type], [cell.text, "end_turn", "message"]);
      assert.match(answer.id, /^msg_/);
      assert.ok(answer._request_id);
    },
    async stream(cell) {
      const runner = client(cell).messages.stream(body(cell));
      let text = "", pieces = 0;
      runner.on("text", (piece) => { text += piece; pieces += 1; });
      const final = await runner.finalMessage();
      assert.deepEqual([text, final.content[0].text, final.stop_reason], [cell.text, cell.text, "end_turn"]);
      assert.ok(pieces > 2);
    },
    async usage(cell) {
      for (const { usage } of [await create(cell), await streamed(cell)]) {
        assert.deepEqual([usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens], [80, 40, 60]);
      }
    },
    async tools(cell) {
      const first = await create(cell, { tools: [WEATHER] });
      const use = first.content.at(-1);
      assert.deepEqual([first.stop_reason, use.name, Object.keys(use.input)], ["tool_use", "get_weather", ["city"]]);
      const result = { type: "tool_result", tool_use_id: use.id, content: RESULT };
      const messages = [...ASK, { role: "assistant", content: first.content }, { role: "user", content: [result] }];
      assert.ok((await create(cell, { messages, tools: [WEATHER] })).content[0].text.includes(RESULT));
    },
    async parallel_tools(cell) {
      const calls = (await streamed(cell, { tools: [WEATHER] })).content.filter((block) => block.type === "tool_use");
      assert.deepEqual(calls.map((call) => call.input.city), cell.cities);
    },
    async structured(cell) {
      const answer = await client(cell).messages.parse(body(cell, { output_config: { format: zodOutputFormat(Solution) } }));
      Solution.parse(answer.parsed_output);
    },
    async vision(cell) {
      const content = [{ type: "image", source: { type: "base64", media_type: "image/png", data: PIXEL } }, { type: "text", text: "What is this?" }];
      await cell.imageArrived((await create(cell, { messages: [{ role: "user", content }] })).content[0].text);
    },
    async reasoning(cell) {
      const thinking = { type: "enabled", budget_tokens: 1024 };
      for (const answer of [await create(cell, { thinking }), await streamed(cell, { thinking })]) {
        assert.deepEqual(answer.content.map((block) => block.thinking ?? block.text), ["Two and two are four.", "Four."]);
      }
    },
    async length(cell) {
      assert.deepEqual([(await create(cell)).stop_reason, (await streamed(cell)).stop_reason], ["max_tokens", "max_tokens"]);
    },
    async count_tokens(cell) {
      assert.ok((await client(cell).messages.countTokens({ model: cell.model, messages: ASK })).input_tokens > 0);
    },
    ...failure(KINDS, create),
    cut,
    stream_error: cut,
    async models(cell) {
      const names = [];
      for await (const model of client(cell).models.list()) names.push(model.id);
      assert.ok(names.includes(cell.model));
      assert.equal((await client(cell).models.retrieve(cell.model)).id, cell.model);
    },
    async unknown_model(cell) {
      const error = await raised(Anthropic.NotFoundError, () => create(cell, { model: "no-such-model-at-all" }), 404);
      assert.equal(error.error.error.type, "not_found_error");
    },
    async missing_model(cell) {
      const error = await raised(Anthropic.BadRequestError, () => client(cell).post("/v1/messages", { body: { messages: ASK, max_tokens: 9 } }), 400);
      assert.match(error.message, /model/);
    },
    async wrong_type(cell) {
      assert.match((await raised(Anthropic.BadRequestError, () => create(cell, { messages: "not a list" }), 400)).message, /messages/);
    },
    async wrong_json(cell) {
      await raised(Anthropic.BadRequestError, () => client(cell).post("/v1/messages", { body: [1] }), 400);
      const headers = { "x-api-key": KEY, "anthropic-version": "2023-06-01", "content-type": "application/json" };
      const answer = await fetch(cell.url + "/v1/messages", { method: "POST", headers, body: '{"model": "x", ' });
      assert.equal(answer.status, 400);
      assert.equal((await answer.json()).error.type, "invalid_request_error");
    },
    async too_large(cell) {
      const error = await raised(Anthropic.APIError, () => create(cell, { system: "x".repeat(cell.bodyMax + 1000) }), 413);
      assert.equal(error.error.error.type, "request_too_large");
    },
  },
});
