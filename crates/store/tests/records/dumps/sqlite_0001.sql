-- A store as schema version 1 left it, with data. Written once; never edited.
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE schema_versions (
                 version INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, at INTEGER NOT NULL
             ) STRICT;
INSERT INTO schema_versions VALUES(1,'records','3c6b3f99a298300762723b9677e95ac68309e0e0a1be0f9044bde137cf07620e',1795287678010);
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
INSERT INTO keys VALUES('js-1','[{"sha256":"0000000000000000000000000000000000000000000000000000000000000000","until":null},{"sha256":"1111111111111111111111111111111111111111111111111111111111111111","until":1790000000009}]','the web''s','web','["team:web"]','critical','[]','["openai/*"]','["10.0.0.0/8"]','{"requests_per_minute":60,"tokens_per_minute":1099511627776,"concurrent":null}','{"own":{"limit_usd":5,"window":"day"}}','{"files":false,"explain":true,"budget_tags":false}',1790000000000,1790001000000,NULL);
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
INSERT INTO audit VALUES('01a0c4506c0170000000000000000001',1790000000001,'cli','admin','127.0.0.1','key.create','js-abcdefghijkl',NULL,'{"name":"the web''s"}');
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
INSERT INTO calls VALUES(1790000000001,'01a0c4506c0170000000000000000001','js-abcdefghijkl','owner:web','["team:web","it''s; \"quoted\" -- ✈"]','critical','s-1','chat','gpt-4o''); DROP TABLE calls; --','openai_chat','chat',1,'["tools"]',12345,4294967296,2,'openai/gpt-5.5','premium','success',200,3,'timeout',1234,321,100,200,50,1000000007,1,'miss','balanced');
INSERT INTO calls VALUES(1790000000002,'01a0c4506c0270000000000000000002','js-abcdefghijkl','owner:web','["team:web","it''s; \"quoted\" -- ✈"]','critical','s-1','chat','gpt-4o''); DROP TABLE calls; --','openai_chat','chat',1,'["tools"]',12345,4294967296,2,'openai/gpt-5.5','premium','success',200,3,'timeout',1234,321,100,200,50,1000000007,1,'miss','balanced');
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
INSERT INTO attempts VALUES('01a0c4506c0170000000000000000001',1,1790000000006,'js-abcdefghijkl','chat',1,'openai/gpt-5.5','first','success',200,1200,300,100,200,50,50,100,'usage','[["daily",1790000000000],["key:js-abcdefghijkl/own",1790000000000]]');
INSERT INTO attempts VALUES('01a0c4506c0270000000000000000002',1,1790000000007,'js-abcdefghijkl','chat',1,'openai/gpt-5.5','first','success',200,1200,300,100,200,50,100,200,'usage','[["daily",1790000000000],["key:js-abcdefghijkl/own",1790000000000]]');
CREATE TABLE budget_totals (
    budget       TEXT NOT NULL,
    window_start INTEGER NOT NULL,
    spent        INTEGER NOT NULL,
    PRIMARY KEY (budget, window_start)
) STRICT, WITHOUT ROWID;
INSERT INTO budget_totals VALUES('daily',1790000000000,300);
INSERT INTO budget_totals VALUES('key:js-abcdefghijkl/own',1790000000000,300);
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
INSERT INTO reservations VALUES('01a0c4506c0370000000000000000003',1,'gone',1790000000003,'js-abcdefghijkl','chat','openai/gpt-5.5',50,'[["daily",1790000000000]]');
CREATE TABLE payloads (
    call      TEXT NOT NULL PRIMARY KEY,
    at        INTEGER NOT NULL,
    tenant    TEXT,
    request   TEXT NOT NULL,
    response  TEXT NOT NULL,
    redacted  INTEGER NOT NULL,
    truncated INTEGER NOT NULL
) STRICT;
INSERT INTO payloads VALUES('01a0c4506c0170000000000000000001',1790000000001,'owner:web','{"messages":[{"content":"Wo liegt Köln? \u0000"}]}',replace('data: {}\n\n','\n',char(10)),1,0);
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
INSERT INTO responses VALUES('owner:web','resp_1',1790000000001,1790000001001,'[]','{}','["msg_1"]');
CREATE TABLE response_items (
    tenant   TEXT NOT NULL,
    item     TEXT NOT NULL,
    response TEXT NOT NULL,
    PRIMARY KEY (tenant, item, response)
) STRICT, WITHOUT ROWID;
INSERT INTO response_items VALUES('owner:web','msg_1','resp_1');
CREATE TABLE learned (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO learned VALUES('tokens:a/b','1');
CREATE TABLE write_check (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    at  INTEGER NOT NULL
) STRICT;
CREATE INDEX attempts_at ON attempts (at);
COMMIT;
