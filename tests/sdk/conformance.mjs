// What an application sees through the official `openai` package for Node, default retries on.
//
// Told by the environment where to call and what the cases are called (see run.py); prints one JSON line a check.
// The Python checks are the longer list; these are the ones where the two SDKs differ: parsing, timeouts, aborts, errors.

import { createRequire } from "node:module";
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";

const require = createRequire(process.env.NODE_MODULES + "/");
const OpenAI = require("openai").default ?? require("openai");
const { zodResponseFormat } = require("openai/helpers/zod");
const { z } = require("zod");

const { BASE_URL, FAKE_URL, FACE, DIALECT, HEALTHY, TEXT } = process.env;
const CASES = JSON.parse(process.env.CASES);
const UPSTREAM_MODELS = JSON.parse(process.env.UPSTREAM_MODELS);
const client = new OpenAI({ baseURL: BASE_URL, apiKey: "sk-client" });
const messages = [{ role: "user", content: "What is the weather in Zürich?" }];
const weather = {
  type: "function",
  function: {
    name: "get_weather",
    description: "The weather in a city.",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
};

const create = (model, more = {}, options = {}) => client.chat.completions.create({ model, messages, ...more }, options);

async function sent(name) {
  const log = await (await fetch(FAKE_URL + "/fake/log")).json();
  return log.filter((entry) => (entry.model ?? "").split("!")[0] === UPSTREAM_MODELS[name]);
}

async function gather(stream) {
  let text = "", finish = [], usage = null, chunks = 0;
  for await (const chunk of stream) {
    chunks += 1;
    usage = chunk.usage ?? usage;
    for (const choice of chunk.choices) {
      text += choice.delta.content ?? "";
      if (choice.finish_reason) finish.push(choice.finish_reason);
    }
  }
  return { text, finish, usage, chunks };
}

async function raised(kind, call) {
  try {
    const answer = await call();
    if (answer[Symbol.asyncIterator]) await gather(answer);
  } catch (error) {
    assert.ok(error instanceof kind, `${error?.constructor?.name} instead of ${kind.name}: ${error}`);
    return error;
  }
  throw new Error(`no ${kind.name}`);
}

async function soon(question, what) {
  for (let turn = 0; turn < 250; turn += 1) {
    if (await question()) return;
    await sleep(20);
  }
  throw new Error(`${what}: not within 5 s`);
}

const answers = {
  async chat() {
    const answer = await create(HEALTHY);
    assert.equal(answer.object, "chat.completion");
    assert.equal(answer.choices[0].finish_reason, "stop");
    assert.ok(answer.choices[0].message.content.length > 20);
    assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
    assert.ok(answer._request_id);
  },
  async "exact text"() {
    const answer = await create(CASES.text);
    assert.equal(answer.choices[0].message.content, TEXT);
  },
  async stream() {
    const { text, finish, chunks } = await gather(await create(CASES.text, { stream: true }));
    assert.equal(text, TEXT);
    assert.deepEqual(finish, ["stop"]);
    assert.ok(chunks > 5);
  },
  async "stream usage"() {
    const { usage } = await gather(await create(CASES.text, { stream: true, stream_options: { include_usage: true } }));
    assert.deepEqual([usage.prompt_tokens, usage.completion_tokens], [120, 60]);
  },
  async "stream helper"() {
    const runner = client.chat.completions.stream({ model: CASES.text, messages });
    assert.equal(await runner.finalContent(), TEXT);
  },
  async "odd chunks"() {
    const { text, finish } = await gather(await create(CASES.odd, { stream: true }));
    assert.equal(text, TEXT);
    assert.deepEqual(finish, ["stop"]);
  },
  async "tools round trip"() {
    const first = await create(HEALTHY, { tools: [weather] });
    const [call] = first.choices[0].message.tool_calls;
    assert.equal(first.choices[0].finish_reason, "tool_calls");
    assert.equal(typeof JSON.parse(call.function.arguments).city, "string");
    const turns = [...messages, first.choices[0].message, { role: "tool", tool_call_id: call.id, content: "21 degrees and sunny" }];
    const second = await create(HEALTHY, { messages: turns, tools: [weather] });
    assert.match(second.choices[0].message.content, /21 degrees and sunny/);
  },
  async "parallel tools, streamed"() {
    const runner = client.chat.completions.stream({ model: CASES.parallel, messages, tools: [weather] });
    const message = await runner.finalMessage();
    assert.deepEqual(message.tool_calls.map((call) => JSON.parse(call.function.arguments).city), ["Zürich", "São Paulo"]);
  },
  async "JSON schema"() {
    const Solution = z.object({ steps: z.array(z.object({ explanation: z.string(), result: z.number() })), sure: z.boolean() });
    const answer = await client.chat.completions.parse({ model: HEALTHY, messages, response_format: zodResponseFormat(Solution, "solution") });
    assert.ok(Solution.parse(answer.choices[0].message.parsed));
  },
  async image() {
    // Bedrock takes bytes only.
    const urls = DIALECT === "bedrock" ? [] : ["https://images.example/cat.png"];
    for (const url of [...urls, "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="]) {
      const content = [{ type: "text", text: "What is this?" }, { type: "image_url", image_url: { url } }];
      const answer = await create(HEALTHY, { messages: [{ role: "user", content }] });
      assert.match(answer.choices[0].message.content, /1/);
    }
  },
  async models() {
    const names = [];
    for await (const model of client.models.list()) names.push(model.id);
    assert.ok(names.includes(HEALTHY), names.join(" "));
  },
};

const own = {
  async headers() {
    const { response } = await create(HEALTHY).withResponse();
    assert.equal(response.headers.get("x-jumpseat-route"), HEALTHY);
    assert.equal(response.headers.get("x-jumpseat-attempts"), "1");
    assert.equal(response.headers.get("x-request-id"), response.headers.get("x-jumpseat-call-id"));
  },
  async "unknown model"() {
    const error = await raised(OpenAI.NotFoundError, () => create("no-such-model-at-all"));
    assert.equal(error.code, "model_not_found");
  },
  async fallback() {
    const { data, response } = await create(CASES["fallback-first"], { stream: true }).withResponse();
    const { text, finish } = await gather(data);
    assert.ok(text.length > 20);
    assert.deepEqual(finish, ["stop"]);
    assert.equal(response.headers.get("x-jumpseat-tier"), "2");
  },
  // This SDK names the same header; the gateway must answer before the SDK gives up and calls again.
  async "SDK timeout"() {
    for (const [name, stream] of [["sdk-silence", false], ["sdk-silence-stream", true]]) {
      await raised(OpenAI.APIError, () => create(CASES[name], { stream }, { timeout: 2500 }));
      assert.equal((await sent(name)).length, 1, "upstream attempts");
    }
  },
  async "client leaves"() {
    const stream = await create(CASES.slow, { stream: true });
    let seen = 0;
    for await (const _ of stream) if ((seen += 1) === 3) break;
    await soon(async () => (await sent("slow")).at(-1)?.outcome === "cancelled", "the upstream sees the client leave");
  },
  async "client aborts before the answer"() {
    const controller = new AbortController();
    const call = create(CASES["slow-unary"], {}, { signal: controller.signal });
    setTimeout(() => controller.abort(), 400);
    await raised(OpenAI.APIUserAbortError, () => call);
    await soon(async () => (await sent("slow-unary")).at(-1)?.outcome === "cancelled", "the upstream sees the client leave");
  },
};

const errors = [
  ["400", OpenAI.BadRequestError, 400, null, 1],
  ["context", OpenAI.BadRequestError, 400, "context_length_exceeded", 1],
  ["429", OpenAI.RateLimitError, 429, null, 1],
  ["quota", OpenAI.RateLimitError, 429, "insufficient_quota", 1],
  ["503", OpenAI.InternalServerError, 503, null, 2],
  ["wrong-key", OpenAI.InternalServerError, 502, null, 1],
  ["silence", OpenAI.InternalServerError, 504, null, 1],
];

for (const [name, kind, status, code, attempts] of errors) {
  own[`error ${name}`] = async () => {
    const before = (await sent(name)).length;
    const error = await raised(kind, () => create(CASES[name]));
    assert.equal(error.status, status);
    if (code) assert.equal(error.code, code);
    assert.equal((await sent(name)).length - before, attempts, "upstream attempts");
  };
}

for (const name of ["cut-reset", "cut-eof", "no-terminator", "stall", "error-5"]) {
  own[`stream ${name}`] = async () => {
    let text = "";
    const error = await raised(OpenAI.APIError, async () => {
      for await (const chunk of await create(CASES[name], { stream: true })) {
        for (const choice of chunk.choices) {
          text += choice.delta.content ?? "";
          assert.ok(!choice.finish_reason, "a clean end");
        }
      }
      return {};
    });
    assert.ok(!(error instanceof OpenAI.APIConnectionError), `a bare cut: ${error}`);
    assert.ok(text.trim(), "no text before the break");
  };
}

const checks = FACE === "fake" ? answers : { ...answers, ...own };
for (const [title, check] of Object.entries(checks)) {
  const started = performance.now();
  let error = null;
  try {
    await Promise.race([check(), sleep(40_000, null, { ref: false }).then(() => { throw new Error("took too long"); })]);
  } catch (caught) {
    error = String(caught?.stack ?? caught).slice(0, 1500);
  }
  console.log(JSON.stringify({ title, ok: error === null, error, seconds: (performance.now() - started) / 1000 }));
}
process.exit(0);
