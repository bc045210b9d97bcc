"""What the Python programs of the matrix share: a cell with its upstream's log, checks that say what they saw, and the loop over the plan.

A program is called with a plan (a JSON file) and prints one JSON line a cell. The upstreams of a case run side by side: most of the time goes by waiting.
"""

import base64
import concurrent.futures
import json
import sys
import threading
import time
import traceback
import urllib.parse
import urllib.request

QUESTION = "What is the weather in Zürich?"
RESULT = "21 degrees and sunny"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
# A PNG of one pixel.
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
PIXEL_BYTES = base64.b64decode(PIXEL)
KEY = "sk-client"


class Wrong(Exception):
    """A check that did not hold; its text is what the reader needs."""


class Cell:
    """One situation: where to call (`url`), what to ask for (`model`), and what the upstream was sent."""

    def __init__(self, plan, fields):
        self.url, self.fake, self.direct = plan["url"], plan["fake"], plan["direct"]
        self.text, self.cities, self.usage = plan["text"], plan["cities"], plan["usage"]
        self.body_max = plan["body_max"]
        self.client, self.case, self.upstream = fields["client"], fields["case"], fields["upstream"]
        self.model, self.upstream_model = fields["model"], fields["upstream_model"]
        self.attempts, self.heeds = fields["attempts"], fields["heeds"]

    def sent(self):
        """What the upstream was asked in this cell, oldest first."""
        with urllib.request.urlopen(self.fake + "/fake/log") as answer:
            log = json.load(answer)
        return [it for it in log if urllib.parse.unquote(it["model"] or "") == self.upstream_model]

    def last_body(self):
        sent = self.sent()
        expect(sent, "the upstream was asked nothing")
        return json.dumps(sent[-1]["body"], ensure_ascii=False)

    def image_arrived(self, text):
        """The fake counts the images it was sent and names their type; the bytes must be the same."""
        expect("1 image" in text, f"no image seen by the model: {text!r}")
        expect(PIXEL in self.last_body(), f"the image did not arrive unchanged: {self.last_body()[:500]}")

    def one_attempt_of_ours(self):
        """No attempts but the gateway's own, for clients that let themselves be told."""
        if self.direct:
            return None
        made = len(self.sent())
        if self.heeds:
            expect(made == self.attempts, f"{made} attempts at the upstream, not {self.attempts}")
            return None
        expect(1 <= made <= 6, f"{made} attempts at the upstream")
        return f"{made} attempts"

    def parameters(self, wanted, headers):
        """Each of `wanted` (a name, a value as it would be written) was sent on, or is named in `x-jumpseat-dropped`."""
        body, dropped = self.last_body(), headers.get("x-jumpseat-dropped") or ""
        for name, value in wanted.items():
            # The gateway names them in its own words too: `topK` is `top_k` there, and `metadata` holds the user.
            own = {"topK": "top_k", "metadata": "user"}.get(name, name)
            expect(value in body or name in dropped or own in dropped, f"{name} is lost; sent {body[:700]}; dropped {dropped!r}")
        return f"dropped: {dropped}" if dropped else None


def expect(condition, text):
    if not condition:
        raise Wrong(text)


def same(got, wanted, what):
    expect(got == wanted, f"{what}: {got!r} instead of {wanted!r}")


def raised(kind, call, status=None, status_of=lambda error: getattr(error, "status_code", None)):
    """The error that the call ends in: of that class, with that status."""
    try:
        got = call()
    except kind as error:
        if status is not None:
            same(status_of(error), status, f"status of {type(error).__name__} ({str(error)[:300]})")
        expect(str(error).strip(), f"{type(error).__name__} has no message")
        expect("sk-upstream" not in str(error), f"the provider's key is told: {error}")
        return error
    except Exception as error:
        raise Wrong(f"{type(error).__name__} instead of {getattr(kind, '__name__', kind)}: {str(error)[:600]}") from error
    raise Wrong(f"no {getattr(kind, '__name__', kind)} but {str(got)[:400]!r}")


def failure(kinds, ask, **more):
    """Cases of one class and status each: `kinds` has case: (class, status), `ask(cell, streamed)` calls."""

    def of(case):
        kind, status = kinds[case]

        def check(cell):
            error = raised(kind, lambda: ask(cell, False), status, **more)
            note = cell.one_attempt_of_ours()
            told = type(error).__name__
            return f"{told}, {note}" if note else told

        return check

    return {case: of(case) for case in kinds}


def one(check, plan, fields):
    cell = Cell(plan, fields)
    began, answer = time.monotonic(), {"client": cell.client, "case": cell.case, "upstream": cell.upstream, "ok": True}
    try:
        if check is None:
            raise Wrong("the program has no such case")
        note = check(cell)
        if note:
            answer["note"] = note
    except Wrong as error:
        answer |= {"ok": False, "error": str(error)}
    except Exception as error:
        told = "".join(traceback.format_exception(error, limit=-4))
        answer |= {"ok": False, "error": told[-1800:]}
    if not answer["ok"]:
        try:
            answer["sent"] = [
                {"dialect": str(it.get("dialect")), "status": it.get("status"), "outcome": it.get("outcome"), "body": it.get("body")} for it in cell.sent()[-2:]
            ]
        except Exception:  # the log is only for the reader of a failure
            pass
    answer["seconds"] = round(time.monotonic() - began, 2)
    return answer


def per_url(make):
    """One client for each address: theirs keep connections, and some end with their last reference."""
    made = {}
    lock = threading.Lock()

    def client(cell):
        with lock:
            if cell.url not in made:
                made[cell.url] = make(cell)
            return made[cell.url]

    return client


def run(cases):
    """Runs the plan against `cases` (client → case → function of a cell, which may return a note)."""
    with open(sys.argv[1], encoding="utf-8") as file:
        plan = json.load(file)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        work = [pool.submit(one, cases.get(it["client"], {}).get(it["case"]), plan, it) for it in plan["cells"]]
        for done in concurrent.futures.as_completed(work):
            print(json.dumps(done.result(), ensure_ascii=False), flush=True)
