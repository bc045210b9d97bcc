-- wrk script: POSTs the file named by $BENCH_BODY as a call; at the end prints one line of JSON for bench/run.
local file = assert(io.open(os.getenv("BENCH_BODY"), "rb"))
wrk.method = "POST"
wrk.body = file:read("*a")
file:close()
wrk.headers["content-type"] = "application/json"
wrk.headers["authorization"] = "Bearer " .. (os.getenv("BENCH_KEY") or "sk-bench")
-- What Anthropic's SDKs send, on its own path alone.
wrk.headers["anthropic-version"] = os.getenv("BENCH_ANTHROPIC_VERSION")

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\n{"calls":%d,"seconds":%.6f,"p50_us":%d,"p99_us":%d,"bytes":%d,"errors":%d,"refused":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99), summary.bytes,
    errors.connect + errors.read + errors.write + errors.timeout, errors.status))
end
