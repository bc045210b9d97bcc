-- The first released schema: keys, audit, ledger, calls, texts, what was learned.
-- Times are Unix milliseconds, amounts nano-dollars. Lists are JSON text; NULL is the empty list.
-- Ids are compared by their bytes, whatever the database's collation.

CREATE TABLE keys (
    id          text COLLATE "C" NOT NULL PRIMARY KEY,
    digests     text NOT NULL,
    name        text NOT NULL,
    owner       text,
    tags        text,
    priority    text NOT NULL,
    routes      text,
    targets     text,
    networks    text,
    limits      text NOT NULL,
    budgets     text NOT NULL,
    permissions text NOT NULL,
    created     bigint NOT NULL,
    expires     bigint,
    revoked     bigint
);

CREATE TABLE audit (
    id     text COLLATE "C" NOT NULL PRIMARY KEY,
    at     bigint NOT NULL,
    actor  text NOT NULL,
    role   text NOT NULL,
    remote text,
    action text NOT NULL,
    object text NOT NULL,
    before text,
    after  text
);

-- A call's id begins with its time, so that (at, id) identifies it as well as the id alone and one index serves both.
CREATE TABLE calls (
    at                bigint NOT NULL,
    id                text COLLATE "C" NOT NULL,
    key_id            text,
    tenant            text,
    tags              text,
    priority          text NOT NULL,
    session           text,
    route             text NOT NULL,
    requested_model   text NOT NULL,
    dialect           text NOT NULL,
    operation         text NOT NULL,
    stream            boolean NOT NULL,
    features          text,
    prompt_chars      bigint NOT NULL,
    max_output_tokens bigint,
    tier              bigint,
    target            text,
    model_tier        text,
    outcome           text NOT NULL,
    status            bigint,
    attempts          bigint NOT NULL,
    fallback_reason   text,
    latency_ms        bigint NOT NULL,
    first_token_ms    bigint,
    input_tokens      bigint NOT NULL,
    output_tokens     bigint NOT NULL,
    cached_tokens     bigint NOT NULL,
    cost              bigint NOT NULL,
    cost_estimated    boolean NOT NULL,
    cache             text,
    spend_level       text,
    PRIMARY KEY (at, id)
);

-- The ledger. `charges`: [["budget", window], …].
CREATE TABLE attempts (
    call           text COLLATE "C" NOT NULL,
    attempt        bigint NOT NULL,
    at             bigint NOT NULL,
    key_id         text,
    route          text NOT NULL,
    tier           bigint NOT NULL,
    target         text NOT NULL,
    reason         text NOT NULL,
    outcome        text NOT NULL,
    status         bigint,
    latency_ms     bigint NOT NULL,
    first_token_ms bigint,
    input_tokens   bigint NOT NULL,
    output_tokens  bigint NOT NULL,
    cached_tokens  bigint NOT NULL,
    estimate       bigint NOT NULL,
    cost           bigint NOT NULL,
    basis          text NOT NULL,
    charges        text,
    PRIMARY KEY (call, attempt)
);
CREATE INDEX attempts_at ON attempts (at);

CREATE TABLE budget_totals (
    budget       text NOT NULL,
    window_start bigint NOT NULL,
    spent        bigint NOT NULL,
    PRIMARY KEY (budget, window_start)
);

CREATE TABLE reservations (
    call     text COLLATE "C" NOT NULL,
    attempt  bigint NOT NULL,
    instance text NOT NULL,
    at       bigint NOT NULL,
    key_id   text,
    route    text NOT NULL,
    target   text NOT NULL,
    estimate bigint NOT NULL,
    charges  text,
    PRIMARY KEY (call, attempt)
);

CREATE TABLE payloads (
    call      text COLLATE "C" NOT NULL PRIMARY KEY,
    at        bigint NOT NULL,
    tenant    text,
    request   text NOT NULL,
    response  text NOT NULL,
    redacted  boolean NOT NULL,
    truncated boolean NOT NULL
);

-- `tenant` is '' where no keys are asked for.
CREATE TABLE responses (
    tenant   text NOT NULL,
    id       text COLLATE "C" NOT NULL,
    at       bigint NOT NULL,
    expires  bigint NOT NULL,
    items    text NOT NULL,
    response text NOT NULL,
    item_ids text,
    PRIMARY KEY (tenant, id)
);

CREATE TABLE response_items (
    tenant   text NOT NULL,
    item     text NOT NULL,
    response text NOT NULL,
    PRIMARY KEY (tenant, item, response)
);

CREATE TABLE learned (
    name  text COLLATE "C" NOT NULL PRIMARY KEY,
    value text NOT NULL
);

-- Written to find out whether writing works.
CREATE TABLE write_check (
    one bigint NOT NULL PRIMARY KEY CHECK (one = 1),
    at  bigint NOT NULL
);
