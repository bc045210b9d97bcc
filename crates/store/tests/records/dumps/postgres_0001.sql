-- A store as schema version 1 left it, with data. Written once; never edited.

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

SET default_tablespace = '';

SET default_table_access_method = heap;

CREATE TABLE public.attempts (
    call text NOT NULL COLLATE pg_catalog."C",
    attempt bigint NOT NULL,
    at bigint NOT NULL,
    key_id text,
    route text NOT NULL,
    tier bigint NOT NULL,
    target text NOT NULL,
    reason text NOT NULL,
    outcome text NOT NULL,
    status bigint,
    latency_ms bigint NOT NULL,
    first_token_ms bigint,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cached_tokens bigint NOT NULL,
    estimate bigint NOT NULL,
    cost bigint NOT NULL,
    basis text NOT NULL,
    charges text
);

CREATE TABLE public.audit (
    id text NOT NULL COLLATE pg_catalog."C",
    at bigint NOT NULL,
    actor text NOT NULL,
    role text NOT NULL,
    remote text,
    action text NOT NULL,
    object text NOT NULL,
    before text,
    after text
);

CREATE TABLE public.budget_totals (
    budget text NOT NULL,
    window_start bigint NOT NULL,
    spent bigint NOT NULL
);

CREATE TABLE public.calls (
    at bigint NOT NULL,
    id text NOT NULL COLLATE pg_catalog."C",
    key_id text,
    tenant text,
    tags text,
    priority text NOT NULL,
    session text,
    route text NOT NULL,
    requested_model text NOT NULL,
    dialect text NOT NULL,
    operation text NOT NULL,
    stream boolean NOT NULL,
    features text,
    prompt_chars bigint NOT NULL,
    max_output_tokens bigint,
    tier bigint,
    target text,
    model_tier text,
    outcome text NOT NULL,
    status bigint,
    attempts bigint NOT NULL,
    fallback_reason text,
    latency_ms bigint NOT NULL,
    first_token_ms bigint,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cached_tokens bigint NOT NULL,
    cost bigint NOT NULL,
    cost_estimated boolean NOT NULL,
    cache text,
    spend_level text
);

CREATE TABLE public.keys (
    id text NOT NULL COLLATE pg_catalog."C",
    digests text NOT NULL,
    name text NOT NULL,
    owner text,
    tags text,
    priority text NOT NULL,
    routes text,
    targets text,
    networks text,
    limits text NOT NULL,
    budgets text NOT NULL,
    permissions text NOT NULL,
    created bigint NOT NULL,
    expires bigint,
    revoked bigint
);

CREATE TABLE public.learned (
    name text NOT NULL COLLATE pg_catalog."C",
    value text NOT NULL
);

CREATE TABLE public.payloads (
    call text NOT NULL COLLATE pg_catalog."C",
    at bigint NOT NULL,
    tenant text,
    request text NOT NULL,
    response text NOT NULL,
    redacted boolean NOT NULL,
    truncated boolean NOT NULL
);

CREATE TABLE public.reservations (
    call text NOT NULL COLLATE pg_catalog."C",
    attempt bigint NOT NULL,
    instance text NOT NULL,
    at bigint NOT NULL,
    key_id text,
    route text NOT NULL,
    target text NOT NULL,
    estimate bigint NOT NULL,
    charges text
);

CREATE TABLE public.response_items (
    tenant text NOT NULL,
    item text NOT NULL,
    response text NOT NULL
);

CREATE TABLE public.responses (
    tenant text NOT NULL,
    id text NOT NULL COLLATE pg_catalog."C",
    at bigint NOT NULL,
    expires bigint NOT NULL,
    items text NOT NULL,
    response text NOT NULL,
    item_ids text
);

CREATE TABLE public.schema_versions (
    version bigint NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    at timestamp with time zone NOT NULL
);

CREATE TABLE public.write_check (
    one bigint NOT NULL,
    at bigint NOT NULL,
    CONSTRAINT write_check_one_check CHECK ((one = 1))
);

INSERT INTO public.attempts VALUES ('01a0c4506c0170000000000000000001', 1, 1790000000006, 'js-abcdefghijkl', 'chat', 1, 'openai/gpt-5.5', 'first', 'success', 200, 1200, 300, 100, 200, 50, 50, 100, 'usage', '[["daily",1790000000000],["key:js-abcdefghijkl/own",1790000000000]]');
INSERT INTO public.attempts VALUES ('01a0c4506c0270000000000000000002', 1, 1790000000007, 'js-abcdefghijkl', 'chat', 1, 'openai/gpt-5.5', 'first', 'success', 200, 1200, 300, 100, 200, 50, 100, 200, 'usage', '[["daily",1790000000000],["key:js-abcdefghijkl/own",1790000000000]]');

INSERT INTO public.audit VALUES ('01a0c4506c0170000000000000000001', 1790000000001, 'cli', 'admin', '127.0.0.1', 'key.create', 'js-abcdefghijkl', NULL, '{"name":"the web''s"}');

INSERT INTO public.budget_totals VALUES ('daily', 1790000000000, 300);
INSERT INTO public.budget_totals VALUES ('key:js-abcdefghijkl/own', 1790000000000, 300);

INSERT INTO public.calls VALUES (1790000000001, '01a0c4506c0170000000000000000001', 'js-abcdefghijkl', 'owner:web', '["team:web","it''s; \"quoted\" -- ✈"]', 'critical', 's-1', 'chat', 'gpt-4o''); DROP TABLE calls; --', 'openai_chat', 'chat', true, '["tools"]', 12345, 4294967296, 2, 'openai/gpt-5.5', 'premium', 'success', 200, 3, 'timeout', 1234, 321, 100, 200, 50, 1000000007, true, 'miss', 'balanced');
INSERT INTO public.calls VALUES (1790000000002, '01a0c4506c0270000000000000000002', 'js-abcdefghijkl', 'owner:web', '["team:web","it''s; \"quoted\" -- ✈"]', 'critical', 's-1', 'chat', 'gpt-4o''); DROP TABLE calls; --', 'openai_chat', 'chat', true, '["tools"]', 12345, 4294967296, 2, 'openai/gpt-5.5', 'premium', 'success', 200, 3, 'timeout', 1234, 321, 100, 200, 50, 1000000007, true, 'miss', 'balanced');

INSERT INTO public.keys VALUES ('js-1', '[{"sha256":"0000000000000000000000000000000000000000000000000000000000000000","until":null},{"sha256":"1111111111111111111111111111111111111111111111111111111111111111","until":1790000000009}]', 'the web''s', 'web', '["team:web"]', 'critical', '[]', '["openai/*"]', '["10.0.0.0/8"]', '{"requests_per_minute":60,"tokens_per_minute":1099511627776,"concurrent":null}', '{"own":{"limit_usd":5,"window":"day"}}', '{"files":false,"explain":true,"budget_tags":false}', 1790000000000, 1790001000000, NULL);

INSERT INTO public.learned VALUES ('tokens:a/b', '1');

INSERT INTO public.payloads VALUES ('01a0c4506c0170000000000000000001', 1790000000001, 'owner:web', '{"messages":[{"content":"Wo liegt Köln? \u0000"}]}', 'data: {}

', true, false);

INSERT INTO public.reservations VALUES ('01a0c4506c0370000000000000000003', 1, 'gone', 1790000000003, 'js-abcdefghijkl', 'chat', 'openai/gpt-5.5', 50, '[["daily",1790000000000]]');

INSERT INTO public.response_items VALUES ('owner:web', 'msg_1', 'resp_1');

INSERT INTO public.responses VALUES ('owner:web', 'resp_1', 1790000000001, 1790000001001, '[]', '{}', '["msg_1"]');

INSERT INTO public.schema_versions VALUES (1, 'records', '002d4dc372d56e033b74baa409df7d2611f2380b9a971eec3f2bee5df41e896d', '2026-11-21 19:01:18.074306+00');

ALTER TABLE ONLY public.attempts
    ADD CONSTRAINT attempts_pkey PRIMARY KEY (call, attempt);

ALTER TABLE ONLY public.audit
    ADD CONSTRAINT audit_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.budget_totals
    ADD CONSTRAINT budget_totals_pkey PRIMARY KEY (budget, window_start);

ALTER TABLE ONLY public.calls
    ADD CONSTRAINT calls_pkey PRIMARY KEY (at, id);

ALTER TABLE ONLY public.keys
    ADD CONSTRAINT keys_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.learned
    ADD CONSTRAINT learned_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.payloads
    ADD CONSTRAINT payloads_pkey PRIMARY KEY (call);

ALTER TABLE ONLY public.reservations
    ADD CONSTRAINT reservations_pkey PRIMARY KEY (call, attempt);

ALTER TABLE ONLY public.response_items
    ADD CONSTRAINT response_items_pkey PRIMARY KEY (tenant, item, response);

ALTER TABLE ONLY public.responses
    ADD CONSTRAINT responses_pkey PRIMARY KEY (tenant, id);

ALTER TABLE ONLY public.schema_versions
    ADD CONSTRAINT schema_versions_pkey PRIMARY KEY (version);

ALTER TABLE ONLY public.write_check
    ADD CONSTRAINT write_check_pkey PRIMARY KEY (one);

CREATE INDEX attempts_at ON public.attempts USING btree (at);

