// What the Node programs of the matrix share: a cell with its upstream's log, checks, and the loop over the plan.
//
// A program is called with a plan (a JSON file) and prints one JSON line a cell. The cells run a few at a time: most of the time goes by waiting.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const AT_ONCE = 6;
const CELL_SECONDS_MAX = 60;

export const QUESTION = "What is the weather in Zürich?";
export const RESULT = "21 degrees and sunny";
export const SCHEMA = { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false };
// A PNG of one pixel.
export const PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";
export const KEY = "sk-client";

const plan = JSON.parse(readFileSync(process.argv[2], "utf8"));
const require = createRequire(join(process.env.NODE_MODULES, "/"));

// A package of the test cache, which is no parent folder of this file.
export const bring = (name) => import(pathToFileURL(require.resolve(name)).href);

// One situation: where to call (`url`), what to ask for (`model`), and what the upstream was sent.
class Cell {
  constructor(fields) {
    Object.assign(this, fields, { url: plan.url, direct: plan.direct, text: plan.text, cities: plan.cities, bodyMax: plan.body_max });
  }

  async sent() {
    const log = await (await fetch(plan.fake + "/fake/log")).json();
    return log.filter((entry) => decodeURIComponent(entry.model ?? "") === this.upstream_model);
  }

  async lastBody() {
    const sent = await this.sent();
    assert.ok(sent.length, "the upstream was asked nothing");
    return JSON.stringify(sent.at(-1).body);
  }

  // The fake counts the images it was sent and names their type; the bytes must be the same.
  async imageArrived(text) {
    assert.match(text, /1 image/);
    assert.ok((await this.lastBody()).includes(PIXEL), "the image did not arrive unchanged");
  }

  // No attempts but the gateway's own, for clients that let themselves be told.
  async attemptsOfOurs() {
    if (this.direct) return null;
    const made = (await this.sent()).length;
    if (this.heeds) {
      assert.equal(made, this.attempts, "attempts at the upstream");
      return null;
    }
    assert.ok(made >= 1 && made <= 6, `${made} attempts at the upstream`);
    return `${made} attempts`;
  }
}

// The error that the call ends in: of that class, with that status.
export async function raised(kind, call, status, statusOf = (error) => error.status) {
  let got;
  try {
    got = await call();
  } catch (error) {
    assert.ok(error instanceof kind, `${error?.constructor?.name} instead of ${kind.name}: ${String(error?.stack ?? error).slice(0, 800)}`);
    if (status) assert.equal(statusOf(error), status, `status of ${error.constructor.name}: ${error}`);
    assert.ok(error.message, `${error.constructor.name} has no message`);
    assert.ok(!String(error.message).includes("sk-upstream"), "the provider's key is told");
    return error;
  }
  throw new Error(`no ${kind.name} but ${String(JSON.stringify(got)).slice(0, 400)}`);
}

// Cases of one class and status each.
export function failure(kinds, ask, statusOf) {
  const cases = {};
  for (const [name, [kind, status]] of Object.entries(kinds)) {
    cases[name] = async (cell) => {
      const error = await raised(kind, () => ask(cell), status, statusOf);
      const note = await cell.attemptsOfOurs();
      return note ? `${error.constructor.name}, ${note}` : error.constructor.name;
    };
  }
  return cases;
}

async function one(check, fields) {
  const cell = new Cell(fields);
  const result = { client: cell.client, case: cell.case, upstream: cell.upstream, ok: true };
  const began = performance.now();
  let timer;
  try {
    if (!check) throw new Error("the program has no such case");
    const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error("took too long")), CELL_SECONDS_MAX * 1000)));
    const note = await Promise.race([check(cell), late]);
    if (note) result.note = note;
  } catch (error) {
    result.ok = false;
    result.error = String(error?.stack ?? error).slice(0, 1800);
    try {
      result.sent = (await cell.sent()).slice(-2).map(({ dialect, status, outcome, body }) => ({ dialect, status, outcome, body }));
    } catch {
      // The log is only for the reader of a failure.
    }
  } finally {
    clearTimeout(timer);
  }
  result.seconds = Math.round((performance.now() - began) / 10) / 100;
  console.log(JSON.stringify(result));
}

// Runs the plan against `cases`: client → case → function of a cell, which may return a note.
export async function run(cases) {
  const waiting = [...plan.cells];
  const worker = async () => {
    for (let cell = waiting.shift(); cell; cell = waiting.shift()) await one(cases[cell.client]?.[cell.case], cell);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  process.exit(0);
}
