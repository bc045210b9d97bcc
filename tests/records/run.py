"""What was recorded, read by others: Parquet by Arrow, CSV and JSON lines by Python, spans and metrics by OpenTelemetry's own
Protobuf definitions, which refuse a field that they do not know."""

import csv
import http.server
import json
import os
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))

import pyarrow.parquet
from google.protobuf import json_format
from harness import BINARY, Checks, Fake, Gateway, expect, provider, route, wait_until, workplace
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

MESSAGES = {"/v1/traces": ExportTraceServiceRequest, "/v1/metrics": ExportMetricsServiceRequest}
CALLS = 25


class Collector:
    """Takes OTLP as JSON and decodes it strictly."""

    def __init__(self):
        self.taken, self.refused = [], []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                try:
                    message = decoded(self.path, json.loads(body))
                    outer.taken.append((self.path, message))
                except Exception as error:  # whatever it is, it is told
                    outer.refused.append(f"{self.path}: {error}: {body[:500]}")
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def spans(self):
        found = [m for path, m in self.taken if path == "/v1/traces"]
        return [s for m in found for r in m.resource_spans for c in r.scope_spans for s in c.spans]

    def metrics(self):
        found = [m for path, m in self.taken if path == "/v1/metrics"]
        return {x.name: x for r in found[-1].resource_metrics for c in r.scope_metrics for x in c.metrics} if found else {}


def decoded(path, body):
    """OTLP's JSON writes ids in hexadecimal, which Protobuf's own JSON would take for base64."""
    import base64

    def ids(value):
        if isinstance(value, dict):
            for key, inner in value.items():
                if key in ("traceId", "spanId", "parentSpanId"):
                    value[key] = base64.b64encode(bytes.fromhex(inner)).decode()
                else:
                    ids(inner)
        elif isinstance(value, list):
            for inner in value:
                ids(inner)

    ids(body)
    return json_format.ParseDict(body, MESSAGES[path](), ignore_unknown_fields=False)


def export(gateway, what, path, *arguments):
    done = subprocess.run(
        [BINARY, "export", what, "--config", gateway.path, "-o", path, *arguments], capture_output=True, text=True, timeout=60
    )
    expect(done.returncode == 0, f"export says {done.returncode}: {done.stderr}")
    return path


def main():
    checks = Checks("records")
    with workplace("records") as folder:
        fake, collector, gateway = Fake(folder), Collector(), None
        try:
            fake.ready()
            config = {
                "store": {"url": f"sqlite:{folder}/j.db"},
                "record": {"payloads": "all"},
                "otlp": {"endpoint": collector.url, "interval": "1s"},
                "providers": {"up": provider("openai", fake), "down": provider("anthropic", fake)},
                "routes": {"chat": route("up/m-a!503", "down/claude-sonnet-4-5"), "=plain": route("up/gpt-4o")},
            }
            gateway = Gateway(folder, config).ready()
            for n in range(CALLS):
                model = "chat" if n % 5 == 0 else "=plain"
                said = [{"role": "user", "content": f"I am ada{n}@example.com"}]
                status, _, body = gateway.chat(model, messages=said, headers={"x-jumpseat-session": "=1+1"})
                expect(status == 200, f"{model} says {status}: {body}")
            def written():
                rows = [json.loads(it) for it in open(export(gateway, "calls", f"{folder}/calls.jsonl"), encoding="utf-8")]
                return len(rows) == CALLS and rows

            rows = wait_until(written, 10, "every call is written")

            def json_lines():
                expect(all(row["schema"] == "jumpseat.call/1" for row in rows), "each line says its schema")
                expect({row["outcome"] for row in rows} == {"success"}, "all calls went well")
                expect([row["at"] for row in rows] == sorted(row["at"] for row in rows), "in the order of time")

            def parquet():
                table = pyarrow.parquet.read_table(export(gateway, "calls", f"{folder}/calls.parquet"))
                expect(table.num_rows == CALLS, f"{table.num_rows} rows")
                expect(str(table.schema.field("at").type) == "timestamp[ms, tz=UTC]", str(table.schema.field("at").type))
                expect(str(table.schema.field("cost_nanodollars").type) == "int64", "money is whole")
                read = table.to_pylist()
                for name in ("id", "route", "status", "input_tokens", "cost_nanodollars", "stream", "cost_usd", "tier", "key"):
                    expect([row[name] for row in read] == [row[name] for row in rows], f"{name} is the same in both")
                attempts = pyarrow.parquet.read_table(export(gateway, "attempts", f"{folder}/attempts.parquet"))
                expect(attempts.num_rows > CALLS, f"{attempts.num_rows} attempts")
                spent = sum(row["cost_nanodollars"] for row in attempts.to_pylist())
                expect(spent == sum(row["cost_nanodollars"] for row in rows), "attempts cost what calls cost")

            def comma_separated():
                with open(export(gateway, "calls", f"{folder}/calls.csv"), encoding="utf-8", newline="") as file:
                    read = list(csv.DictReader(file))
                expect([row["id"] for row in read] == [row["id"] for row in rows], "the same calls")
                expect({row["session"] for row in read} == {"'=1+1"}, "no formula")
                expect({row["requested_model"] for row in read} == {"chat", "'=plain"}, "no formula in what callers write")

            def texts():
                path = export(gateway, "payloads", f"{folder}/texts.jsonl")
                read = [json.loads(line) for line in open(path, encoding="utf-8")]
                expect(len(read) == CALLS and all("[email]" in row["request"] for row in read), "every text, redacted")
                expect(os.stat(path).st_mode & 0o077 == 0, "for its owner alone")
                for name in os.listdir(folder):
                    if name.startswith("j."):
                        with open(f"{folder}/{name}", "rb") as file:
                            expect(b"@example.com" not in file.read(), f"an address in {name}")

            def page_by_page():
                path = export(gateway, "calls", f"{folder}/some.jsonl", "--since", "1h", "--route", "chat")
                read = [json.loads(line) for line in open(path, encoding="utf-8")]
                expect(len(read) == CALLS // 5, f"{len(read)} of the route")
                path = export(gateway, "calls", f"{folder}/none.parquet", "--until", "2020-01-01")
                expect(pyarrow.parquet.read_table(path).num_rows == 0, "an empty file is a file")

            def telemetry():
                wait_until(lambda: "jumpseat.calls" in collector.metrics(), 10, "metrics at the collector")
                wait_until(lambda: len({s.trace_id for s in collector.spans()}) == CALLS, 10, "a trace for each call")
                expect(not collector.refused, f"refused: {collector.refused[:1]}")
                spans = collector.spans()
                calls = [s for s in spans if not s.parent_span_id]
                expect(len(calls) == CALLS and len(spans) > 2 * CALLS, f"{len(calls)} of {len(spans)}")
                known = {s.span_id for s in calls}
                expect(all(s.parent_span_id in known for s in spans if s.parent_span_id), "attempts are below their call")
                expect(all(s.end_time_unix_nano >= s.start_time_unix_nano > 0 for s in spans), "times")
                expect(b"example.com" not in b"".join(m.SerializeToString() for _, m in collector.taken), "no text")
                usage = collector.metrics()["gen_ai.client.token.usage"]
                expect(usage.histogram.data_points[0].count > 0 and usage.unit == "{token}", "tokens are told")

            for title, check in [
                ("JSON lines have a schema and the order of time", json_lines),
                ("Parquet is read by Arrow and says the same", parquet),
                ("CSV runs nothing in a spreadsheet", comma_separated),
                ("texts are redacted in the store and in the export", texts),
                ("an export may be bounded and may be empty", page_by_page),
                ("OpenTelemetry's own definitions read spans and metrics", telemetry),
                ("the gateway is well afterwards", gateway.healthy),
            ]:
                checks.run(title, check)
        finally:
            if gateway:
                gateway.stop()
            fake.stop()
    checks.end()


main()
