-- The first released schema: keys, audit, ledger, calls, texts, what was learned.
-- Times are Unix milliseconds, amounts nano-dollars. Lists are JSON text; NULL is the empty list.

CREATE TABLE keys (
    id          TEXT NOT NULL PRIMARY KEY,
    digests     TEXT NOT NULL,
    name        TEXT NOT NULL,
    owner       TEXT,
    tags        TEXT,
    priority    TEXT NOT NULL,
    routes      TEXT,
    targets     TEXT,
    networks    TEXT,
    limits      TEXT NOT NULL,
    budgets     TEXT NOT NULL,
    permissions TEXT NOT NULL,
    created     INTEGER NOT NULL,
    expires     INTEGER,
    revoked     INTEGER
) STRICT;

CREATE TABLE audit (
    id     TEXT NOT NULL PRIMARY KEY,
    at     INTEGER NOT NULL,
    actor  TEXT NOT NULL,
    role   TEXT NOT NULL,
    remote TEXT,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    before TEXT,
    after  TEXT
) STRICT, WITHOUT ROWID;

-- A call's id begins with its time, so that (at, id) identifies it as well as the id alone and one index serves both.
CREATE TABLE calls (
    at                INTEGER NOT NULL,
    id                TEXT NOT NULL,
    key_id            TEXT,
    tenant            TEXT,
    tags              TEXT,
    priority          TEXT NOT NULL,
    session           TEXT,
    route             TEXT NOT NULL,
    requested_model   TEXT NOT NULL,
    dialect           TEXT NOT NULL,
    operation         TEXT NOT NULL,
    stream            INTEGER NOT NULL,
    features          TEXT,
    prompt_chars      INTEGER NOT NULL,
    max_output_tokens INTEGER,
    tier              INTEGER,
    target            TEXT,
    model_tier        TEXT,
    outcome           TEXT NOT NULL,
    status            INTEGER,
    attempts          INTEGER NOT NULL,
    fallback_reason   TEXT,
    latency_ms        INTEGER NOT NULL,
    first_token_ms    INTEGER,
    input_tokens      INTEGER NOT NULL,
    output_tokens     INTEGER NOT NULL,
    cached_tokens     INTEGER NOT NULL,
    cost              INTEGER NOT NULL,
    cost_estimated    INTEGER NOT NULL,
    cache             TEXT,
    spend_level       TEXT,
    PRIMARY KEY (at, id)
) STRICT;

-- The ledger. `charges`: [["budget", window], …].
CREATE TABLE attempts (
    call           TEXT NOT NULL,
    attempt        INTEGER NOT NULL,
    at             INTEGER NOT NULL,
    key_id         TEXT,
    route          TEXT NOT NULL,
    tier           INTEGER NOT NULL,
    target         TEXT NOT NULL,
    reason         TEXT NOT NULL,
    outcome        TEXT NOT NULL,
    status         INTEGER,
    latency_ms     INTEGER NOT NULL,
    first_token_ms INTEGER,
    input_tokens   INTEGER NOT NULL,
    output_tokens  INTEGER NOT NULL,
    cached_tokens  INTEGER NOT NULL,
    estimate       INTEGER NOT NULL,
    cost           INTEGER NOT NULL,
    basis          TEXT NOT NULL,
    charges        TEXT,
    PRIMARY KEY (call, attempt)
) STRICT;
CREATE INDEX attempts_at ON attempts (at);

CREATE TABLE budget_totals (
    budget       TEXT NOT NULL,
    window_start INTEGER NOT NULL,
    spent        INTEGER NOT NULL,
    PRIMARY KEY (budget, window_start)
) STRICT, WITHOUT ROWID;

CREATE TABLE reservations (
    call     TEXT NOT NULL,
    attempt  INTEGER NOT NULL,
    instance TEXT NOT NULL,
    at       INTEGER NOT NULL,
    key_id   TEXT,
    route    TEXT NOT NULL,
    target   TEXT NOT NULL,
    estimate INTEGER NOT NULL,
    charges  TEXT,
    PRIMARY KEY (call, attempt)
) STRICT, WITHOUT ROWID;

CREATE TABLE payloads (
    call      TEXT NOT NULL PRIMARY KEY,
    at        INTEGER NOT NULL,
    tenant    TEXT,
    request   TEXT NOT NULL,
    response  TEXT NOT NULL,
    redacted  INTEGER NOT NULL,
    truncated INTEGER NOT NULL
) STRICT;

-- `tenant` is '' where no keys are asked for.
CREATE TABLE responses (
    tenant   TEXT NOT NULL,
    id       TEXT NOT NULL,
    at       INTEGER NOT NULL,
    expires  INTEGER NOT NULL,
    items    TEXT NOT NULL,
    response TEXT NOT NULL,
    item_ids TEXT,
    PRIMARY KEY (tenant, id)
) STRICT;

CREATE TABLE response_items (
    tenant   TEXT NOT NULL,
    item     TEXT NOT NULL,
    response TEXT NOT NULL,
    PRIMARY KEY (tenant, item, response)
) STRICT, WITHOUT ROWID;

CREATE TABLE learned (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Written to find out whether writing works.
CREATE TABLE write_check (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    at  INTEGER NOT NULL
) STRICT;
