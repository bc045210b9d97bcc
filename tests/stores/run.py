"""Stores that fail, and several gateways that behave as one: with real PostgreSQL and Redis servers."""

import json
import os
import pwd
import random
import resource
import sqlite3
import subprocess
import sys
import time
from decimal import Decimal

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))

from harness import Checks, Failed, Fake, Gateway, expect, http_json, route, wait_until, workplace
from house import NANO, Callers, command, config, kill, ledger, metric, missing, nano, ready, restart, several, sluggish, when
from servers import Postgres, Redis, let_through, unprivileged

FLUSH = 0.1
BIG = {"all": {"limit_usd": 1_000_000, "window": "month"}}


def budgets(gateway):
    """What is spent and what is held of each budget, in nano-dollars, as `jumpseat budgets` tells them."""
    rows = json.loads(command(gateway, "budgets", "--json"))["budgets"]
    return {it["id"]: {field: int(Decimal(it[f"{field}_usd"]) * NANO) for field in ("spent", "reserved")} for it in rows}


def sums_agree(gateway, name="all"):
    """The ledger's sum is the counter's, to the nano-dollar."""
    rows = ledger(gateway)
    total = sum(nano(it) for it in rows)
    counted = budgets(gateway)[name]["spent"]
    expect(total == counted, f"the ledger sums to {total}, the counter says {counted}, {len(rows)} lines")
    return rows


# --- kill -9 ---------------------------------------------------------------------------------------------


def killed(folder, durability):
    """Twenty times at random under load, attempts under way: what was settled is in the ledger, but for the last flush; strict loses nothing."""
    fake, chance = Fake(folder).ready(), random.Random(7)
    setup = {**config(fake, "", budgets=BIG), "store": {"url": f"sqlite:{folder}/{durability}.db", "durability": durability}}
    gateway = Gateway(folder, setup).ready()
    usage = {"prompt": 0, "completion": 700}
    told, allowed, written, late, orphans = [], set(), 0, 0, 0
    try:
        for _ in range(20):
            # Every eighth is slow, so that attempts older than a flush are under way whenever the end comes.
            steps = [{"tokens": 3, "usage": usage, **({"delay": "400ms"} if chance.random() < 0.125 else {})} for _ in range(1000)]
            fake.script("gpt-4o", {"tokens": 3, "usage": usage}, steps)
            fake.forget()
            callers = Callers([gateway], 8).start()
            time.sleep(chance.uniform(0.15, 0.6))
            at = time.time()
            kill(gateway)
            callers.stop()
            told += [it[0] for it in callers.answers]
            flush = FLUSH + 2 * sluggish([it[2] for it in callers.answers])
            if durability == "batch":
                allowed |= {it[0] for it in callers.answers if it[1] > at - flush}
            begun = [it["at_ms"] for it in fake.log("gpt-4o")]
            restart(gateway)
            rows = sums_agree(gateway)
            # Whatever was begun before the last flush is charged for, whether anybody saw its end or not.
            old = sum(it <= max(begun) - flush * 1000 for it in begun)
            expect(len(rows) - written >= old, f"{len(rows) - written} lines for {old} attempts that began before the last flush")
            late, written = late + len(begun) - (len(rows) - written), len(rows)
            left = [it for it in rows if it["basis"] == "orphaned"]
            orphans = len(left)
            expect(all(nano(it) == nano(it, "estimate") > 0 for it in left), f"an orphan is not settled at its estimate: {left[:1]}")
        kept = {it["call"] for it in rows}
        lost = [it for it in told if it not in kept]
        expect(len(told) > 500, f"{len(told)} calls only")
        expect(orphans >= 10, f"{orphans} orphans: the gateway was never killed while attempts were under way")
        expect(set(lost) <= allowed, f"{len(set(lost) - allowed)} of {len(told)} settled calls are not in the ledger")
        expect(len({(it["call"], it["attempt"]) for it in rows}) == len(rows), "an attempt is in the ledger twice")
        expect(budgets(gateway)["all"]["reserved"] == 0, "something is still held")
        print(f"     {len(told)} calls told, {len(lost)} lost and {late} attempts unseen within the last flush, {orphans} settled at their estimate")
        with sqlite3.connect(f"file:{folder}/{durability}.db?mode=ro", uri=True) as base:
            expect(base.execute("pragma integrity_check").fetchone() == ("ok",), "the database is damaged")
    finally:
        gateway.stop()
        fake.stop()


# --- the disk --------------------------------------------------------------------------------------------


def some_calls(gateway, number=20, headers=None):
    for _ in range(number):
        status, _, body = gateway.chat("chat", headers=headers)
        expect(status == 200, f"{status} {body}")


def everything_is_written(gateway, number, seconds=20):
    """All calls are in the ledger in the end, once each."""
    rows = []

    def all_there():
        rows[:] = ledger(gateway)
        return len(rows) >= number

    wait_until(all_there, seconds, f"{number} lines in the ledger")
    expect(len({(it["call"], it["attempt"]) for it in rows}) == len(rows) == number, f"{len(rows)} lines for {number} calls")


def slow_disk(folder):
    """Somebody else holds the database for seconds: calls do not wait for it, nothing is lost."""
    fake = Fake(folder).ready()
    gateway = Gateway(folder, config(fake, f"sqlite:{folder}/slow.db")).ready()
    try:
        some_calls(gateway)
        other = sqlite3.connect(f"{folder}/slow.db", isolation_level=None)
        other.execute("begin exclusive")
        began = time.monotonic()
        some_calls(gateway, 40)
        took = time.monotonic() - began
        time.sleep(2)
        other.execute("rollback")
        other.close()
        expect(took < 5, f"40 calls took {took:.1f} s while the database was held")
        everything_is_written(gateway, 60)
        gateway.healthy()
    finally:
        gateway.stop()
        fake.stop()


def full_disk(folder):
    """The file may not grow: calls go on, `/ready` says it, and what waited is written when there is room."""
    fake = Fake(folder).ready()
    gateway = Gateway(folder, config(fake, f"sqlite:{folder}/full.db")).ready()
    gateway.stop()
    # A limit on file sizes is a disk that is full for this process alone; ignored, the signal becomes an error of the write.
    limited = "import os,signal,sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    restart(gateway, [sys.executable, "-c", limited, *gateway.process.command])
    try:
        some_calls(gateway, 5)
        size = max(os.path.getsize(f"{folder}/{it}") for it in os.listdir(folder) if it.startswith("full.db"))
        resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (size + 4096, resource.RLIM_INFINITY))
        some_calls(gateway, 150)
        wait_until(lambda: "store" in missing(gateway), 20, "`/ready` names the store")
        some_calls(gateway, 20)
        resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        everything_is_written(gateway, 175, 40)
        wait_until(lambda: "store" not in missing(gateway), 40, "`/ready` has the store back")
        gateway.healthy()
    finally:
        gateway.stop()
        fake.stop()


def read_only(folder):
    """The database cannot be written when the gateway starts: it says so, serves, and writes as soon as it can."""
    prefix, place, spool = unprivileged(), f"{folder}/ro", f"{folder}/spool"
    owner = pwd.getpwnam(prefix[1].partition("=")[2]).pw_uid if prefix else os.getuid()
    fake = Fake(folder).ready()
    # The folder cannot be written either, or the log of the database could still be made beside it. The spool goes elsewhere.
    setup = config(fake, f"sqlite:{place}/ro.db", budgets=BIG)
    setup["store"]["spool"] = spool
    os.makedirs(place)
    os.makedirs(spool)
    let_through(folder)

    def modes(folders, files):
        for name in os.listdir(place):
            os.chown(f"{place}/{name}", owner, -1)
            os.chmod(f"{place}/{name}", files)
        for it in (place, spool):
            os.chown(it, owner, -1)
        os.chmod(place, folders)

    gateway = Gateway(place, setup).ready()
    try:
        some_calls(gateway, 3)
        secret = json.loads(command(gateway, "keys", "create", "--name", "app", "--json"))["key"]
        headers = {"authorization": f"Bearer {secret}"}
        gateway.stop()
        modes(0o500, 0o400)
        # Started as somebody whom modes bind.
        restart(gateway, [*prefix, *gateway.process.command])
        expect(gateway.chat("chat")[0] == 401, "keys are asked for all the same")
        some_calls(gateway, 10, headers=headers)
        wait_until(lambda: "store" in missing(gateway), 20, "`/ready` names the store")
        expect(metric(gateway, "jumpseat_store_up") == 0, "the metric says that the store is there")
        modes(0o700, 0o600)
        wait_until(lambda: "store" not in missing(gateway), 20, "`/ready` has the store back")
        everything_is_written(gateway, 13)
        sums_agree(gateway)
        gateway.healthy()
    finally:
        modes(0o700, 0o600)
        gateway.stop()
        fake.stop()


# --- PostgreSQL and Redis --------------------------------------------------------------------------------


def postgres_restarted(folder):
    """PostgreSQL is killed under load and comes back: no call notices, nothing settled is lost."""
    fake, base = Fake(folder).ready(), Postgres(folder).start()
    fake.script("gpt-4o", {"tokens": 3, "usage": {"prompt": 10, "completion": 1000}})
    gateway = Gateway(folder, config(fake, base.url, budgets=BIG)).ready()
    try:
        callers = Callers([gateway], 4).start()
        time.sleep(1)
        base.stop()
        wait_until(lambda: "store" in missing(gateway), 20, "`/ready` names the store")
        time.sleep(1.5)
        base.start()
        time.sleep(1)
        callers.stop()
        expect(not callers.refusals and not callers.broken, f"{callers.refusals[:2]} {callers.broken}")
        everything_is_written(gateway, len(callers.answers), 30)
        sums_agree(gateway)
        print(f"     {len(callers.answers)} calls")
    finally:
        gateway.stop()
        base.stop()
        fake.stop()


def killed_while_postgres_is_gone(folder):
    """The gateway is killed while records wait in the spool: the next start writes them."""
    fake, base = Fake(folder).ready(), Postgres(folder).start()
    gateway = Gateway(folder, config(fake, base.url)).ready()
    try:
        some_calls(gateway, 5)
        time.sleep(0.3)
        base.stop()
        some_calls(gateway, 30)
        wait_until(lambda: "store" in missing(gateway), 20, "`/ready` names the store")
        time.sleep(2)
        kill(gateway)
        base.start()
        restart(gateway)
        everything_is_written(gateway, 35, 30)
    finally:
        gateway.stop()
        base.stop()
        fake.stop()


def redis_paused(folder):
    """Redis hangs, then goes on: calls do not wait for it, it is said, and the counters agree in the end."""
    fake, base, shared = Fake(folder).ready(), Postgres(folder).start(), Redis(folder).start()
    fake.script("gpt-4o", {"tokens": 3, "usage": {"prompt": 10, "completion": 1000}})
    gateways = [it.ready() for it in several(folder, 2, lambda n: {**config(fake, base.url, shared.url, budgets=BIG), "store": {"url": base.url, "instance": f"i{n}"}})]
    try:
        callers = Callers(gateways, 4).start()
        time.sleep(1)
        shared.pause()
        for gateway in gateways:
            wait_until(lambda: "shared" in missing(gateway), 15, "`/ready` names the shared state")
        expect(metric(gateways[0], "jumpseat_shared_up") == 0, "the metric says that the shared state is there")
        began, before = time.monotonic(), len(callers.answers)
        time.sleep(2)
        rate = (len(callers.answers) - before) / (time.monotonic() - began)
        expect(rate > 20, f"{rate:.0f} calls a second while Redis hangs")
        shared.go_on()
        for gateway in gateways:
            wait_until(lambda: "shared" not in missing(gateway), 20, "`/ready` has the shared state back")
        time.sleep(1)
        callers.stop()
        expect(not callers.refusals and not callers.broken, f"{callers.refusals[:2]} {callers.broken}")
        everything_is_written(gateways[0], len(callers.answers), 20)
        wait_until(lambda: budgets(gateways[1])["all"]["spent"] == sum(nano(it) for it in ledger(gateways[0])), 10, "the counter is the ledger's sum")
        expect(metric(gateways[0], "jumpseat_shared_up") == 1, "the metric says that the shared state is gone")
    finally:
        for gateway in gateways:
            gateway.stop()
        shared.stop()
        base.stop()
        fake.stop()


def fair_shares(folder):
    """Redis is gone: a key's limit and a budget are divided among the instances, and are whole again when it is back."""
    fake, base, shared = Fake(folder).ready(), Postgres(folder).start(), Redis(folder).start()
    fake.script("gpt-4o", {"tokens": 3, "usage": {"prompt": 0, "completion": 1000}})
    purse = {"purse": {"limit_usd": 0.1, "window": "month"}}
    gateways = [it.ready() for it in several(folder, 2, lambda n: {**config(fake, base.url, shared.url, budgets=purse), "store": {"url": base.url, "instance": f"i{n}"}})]
    try:
        keys = {it: json.loads(command(gateways[0], "keys", "create", "--name", it, *words, "--json"))["key"] for it, words in (("slow", ["--rpm", "20"]), ("any", []))}
        slow, free = ({"authorization": f"Bearer {keys[it]}"} for it in ("slow", "any"))
        wait_until(lambda: all(http_json("GET", it.url + "/v1/models", headers=free)[0] == 200 for it in gateways), 3, "the keys are known everywhere")
        wait_until(lambda: all(ready(it)["shared"]["instances"] == 2 for it in gateways), 20, "each knows of the other")
        shared.pause()
        for gateway in gateways:
            wait_until(lambda: "shared" in missing(gateway), 15, "`/ready` names the shared state")
        each = [Callers([it], 3, headers=slow, calls=40).start().join() for it in gateways]
        served = [len(it.answers) for it in each]
        expect(all(9 <= it <= 13 for it in served), f"each may serve half of twenty a minute, and served {served}")
        # A hundred calls' worth, of which some are spent: what one may spend more is for the other one as well.
        rest = [Callers([it], 3, headers=free, calls=120).start().join() for it in gateways]
        total = sum(served) + sum(len(it.answers) for it in rest)
        expect({it[0] for caller in rest for it in caller.refusals} == {429}, "the budget ends")
        expect(60 <= total <= 100, f"{total} calls were served of a budget for 100")
        shared.go_on()
        for gateway in gateways:
            wait_until(lambda: "shared" not in missing(gateway), 20, "`/ready` has the shared state back")
        back = Callers(gateways, 4, headers=free, calls=120).start().join()
        expect(total + len(back.answers) == 100, f"{total} and {len(back.answers)} calls were served of a budget for 100")
        everything_is_written(gateways[0], 100)
        wait_until(lambda: {budgets(it)["purse"]["spent"] for it in gateways} == {100_000_000}, 10, "the counter is the ledger's sum")
        print(f"     each served {served} of 20 a minute; {total} of a budget for 100 without Redis, {len(back.answers)} with it")
    finally:
        for gateway in gateways:
            gateway.stop()
        shared.stop()
        base.stop()
        fake.stop()


def redis_lost(folder):
    """Redis is killed and comes back empty: the counters begin at what the ledger says."""
    fake, base, shared = Fake(folder).ready(), Postgres(folder).start(), Redis(folder).start()
    fake.script("gpt-4o", {"tokens": 3, "usage": {"prompt": 10, "completion": 1000}})
    gateway = Gateway(folder, config(fake, base.url, shared.url, budgets=BIG)).ready()
    try:
        some_calls(gateway, 20)
        time.sleep(0.5)
        shared.stop()
        some_calls(gateway, 20)
        shared.start()
        wait_until(lambda: "shared" not in missing(gateway), 20, "`/ready` has the shared state back")
        some_calls(gateway, 20)
        everything_is_written(gateway, 60, 20)
        wait_until(lambda: budgets(gateway)["all"]["spent"] == sum(nano(it) for it in ledger(gateway)), 10, "the counter is the ledger's sum")
    finally:
        gateway.stop()
        shared.stop()
        base.stop()
        fake.stop()


def one_of_two_killed(folder):
    """One of two gateways is killed with attempts under way: the other goes on, and settles what nobody will see the end of."""
    fake, base, shared = Fake(folder).ready(), Postgres(folder).start(), Redis(folder).start()
    chance, usage = random.Random(3), {"prompt": 0, "completion": 700}
    steps = [{"tokens": 3, "usage": usage, **({"delay": "400ms"} if chance.random() < 0.125 else {})} for _ in range(3000)]
    fake.script("gpt-4o", {"tokens": 3, "usage": usage}, steps)
    gateways = [it.ready() for it in several(folder, 2, lambda n: {**config(fake, base.url, shared.url, budgets=BIG), "store": {"url": base.url, "instance": f"i{n}"}})]
    first, second = gateways
    try:
        ending, lasting = Callers([first], 8).start(), Callers([second], 4).start()
        time.sleep(1)
        at = time.time()
        kill(first)
        ending.stop()
        # Its name is free after 15 s, and who is gone is looked for every 30 s.
        wait_until(lambda: any(it["basis"] == "orphaned" for it in ledger(second)), 75, "what it held is settled")
        lasting.stop()
        expect(not lasting.refusals and not lasting.broken, f"{lasting.refusals[:2]} {lasting.broken}")
        wait_until(lambda: budgets(second)["all"]["reserved"] == 0, 10, "nothing is held")
        time.sleep(2 * FLUSH)
        restart(first)
        rows = ledger(first)
        kept = {it["call"] for it in rows}
        expect({it[0] for it in lasting.answers} <= kept, "a call of the one that lived is not in the ledger")
        orphans = [it for it in rows if it["basis"] == "orphaned"]
        expect(all(nano(it) == nano(it, "estimate") > 0 for it in orphans), f"an orphan is not settled at its estimate: {orphans[:1]}")
        # The counter heard of what the ledger lost with the last flush, and keeps it: it was spent. What nobody was told of is at
        # most one call a caller.
        flush = FLUSH + 2 * sluggish([it[2] for it in ending.answers])
        lost = sum(it[1] > at - flush for it in ending.answers) + len(ending.threads)
        ahead = budgets(second)["all"]["spent"] - sum(nano(it) for it in rows)
        expect(0 <= ahead <= lost * 700_000, f"the counter is {ahead} ahead of the ledger, {lost} calls may be lost")
        expect(budgets(first)["all"]["spent"] == budgets(second)["all"]["spent"], "the two count differently")
        print(f"     {len(kept)} calls, {len(orphans)} settled at their estimate, the counter is ahead by {ahead / 700_000:.0f} calls that the ledger lost")
    finally:
        for gateway in gateways:
            gateway.stop()
        shared.stop()
        base.stop()
        fake.stop()


# --- several as one --------------------------------------------------------------------------------------


def one_of_three(folder):
    """Keys, limits, breakers and cached answers of three gateways are those of one."""
    fake, base, shared = Fake(folder).ready(), Postgres(folder).start(), Redis(folder).start()
    fake.script("gpt-4o", {"tokens": 5})

    def make(n):
        whole = config(fake, base.url, shared.url, cache={"exact": {"ttl": "10m"}})
        whole["store"]["instance"] = f"i{n}"
        whole["routes"]["sick"] = route("one/sick-model")
        whole["routes"]["chat"]["cache"] = {"exact": "off"}
        return whole

    gateways = [it.ready() for it in several(folder, 3, make)]
    first = gateways[0]
    try:
        made = json.loads(command(first, "keys", "create", "--name", "app", "--rpm", "30", "--json"))
        secret = {"authorization": f"Bearer {made['key']}"}
        wait_until(lambda: all(http_json("GET", it.url + "/v1/models", headers={"authorization": "Bearer nobody"})[0] == 401 for it in gateways), 3, "keys are asked for everywhere")
        callers = Callers(gateways, 9, headers=secret, calls=90).start().join()
        expect(29 <= len(callers.answers) <= 33, f"{len(callers.answers)} calls of a key that may 30 a minute (the bucket fills while they run)")
        expect({it[0] for it in callers.refusals} == {429}, f"{callers.refusals[:3]}")

        free = json.loads(command(first, "keys", "create", "--name", "free", "--json"))
        secret = {"authorization": f"Bearer {free['key']}"}
        wait_until(lambda: all(it.chat("chat", headers=secret)[0] == 200 for it in gateways), 3, "the second key is known everywhere")

        question = {"messages": [{"role": "user", "content": "The same everywhere"}]}
        cached = [it.chat("one/gpt-4o", headers=secret, **question)[1].get("x-jumpseat-cache") for it in gateways]
        expect(cached == ["miss", "hit", "hit"], f"{cached}")

        fake.script("sick-model", "500")
        for _ in range(6):
            first.chat("sick", headers=secret)

        def knows(gateway):
            lines = [it for it in gateway.metrics().splitlines() if it.startswith("jumpseat_breaker_state") and "sick-model" in it]
            return lines and not lines[0].endswith(" 0")

        wait_until(lambda: knows(first), 3, "the breaker of the first is open")
        began = time.monotonic()
        wait_until(lambda: knows(gateways[1]) and knows(gateways[2]), 3, "the others know of it")
        print(f"     breaker news after {time.monotonic() - began:.2f} s")
    finally:
        for gateway in gateways:
            gateway.stop()
        shared.stop()
        base.stop()
        fake.stop()


def budget_race(folder):
    """200 callers at three gateways against one budget of 1,000 calls' worth; actual costs are 0.2 to 5 times their estimates."""
    fake, base, shared = Fake(folder).ready(), Postgres(folder).start(), Redis(folder).start()
    chance = random.Random(11)
    # The estimate is 1,000 tokens of output (`max_tokens`), 0.001 dollars.
    factors = [chance.choice([0.2, 0.5, 1, 2, 5]) for _ in range(3000)]
    steps = [{"tokens": 2, "delay": "5ms", "usage": {"prompt": 0, "completion": int(1000 * it)}} for it in factors]
    fake.script("gpt-4o", {"tokens": 2, "usage": {"prompt": 0, "completion": 1000}}, steps)
    limit = 1000 * 1_000_000
    purse = {"race": {"limit_usd": limit / NANO, "window": "month"}}
    gateways = [it.ready() for it in several(folder, 3, lambda n: {**config(fake, base.url, shared.url, budgets=purse), "store": {"url": base.url, "instance": f"i{n}"}})]
    try:
        callers = Callers(gateways, 200, calls=3000).start().join()
        expect(callers.refusals, "nobody was refused")
        expect({it[0] for it in callers.refusals} == {429}, f"{callers.refusals[:2]}")
        expect("race" in callers.refusals[0][1], f"the refusal does not name the budget: {callers.refusals[0][1]}")
        everything_is_written(gateways[0], len(callers.answers), 30)
        rows = ledger(gateways[0])
        spent = sum(nano(it) for it in rows)
        wait_until(lambda: budgets(gateways[1])["race"]["spent"] == spent, 10, "the counter is the ledger's sum")
        # When the last one was let in, what was spent and what was held for those under way fitted. Only these may exceed the limit:
        # at most one a caller, each over after the last call that was served had begun (or settled a moment after its end).
        began = max(when(it) for it in ledger(gateways[0], "calls") if it["id"] in {row["call"] for row in rows})
        moment = 0.1 + sluggish([it["latency_ms"] / 1000 for it in rows])
        gaps = [max(0, nano(it) - nano(it, "estimate")) for it in rows if when(it) > began - moment]
        gaps = sorted(gaps, reverse=True)[:200]
        expect(limit * 0.99 < spent <= limit + sum(gaps), f"spent {spent}, limit {limit}, {len(gaps)} gaps of {sum(gaps)}")
        print(f"     {len(callers.answers)} served, {len(callers.refusals)} refused, spent {spent / NANO:.6f} of {limit / NANO} dollars, at most {(limit + sum(gaps)) / NANO:.6f} with {len(gaps)} under way")
        expect(budgets(gateways[2])["race"]["reserved"] == 0, "something is still held")
    finally:
        for gateway in gateways:
            gateway.stop()
        shared.stop()
        base.stop()
        fake.stop()


# --- the clock -------------------------------------------------------------------------------------------


def clock_jumps(folder):
    """The machine's clock jumps a day ahead and back: budgets go into the new window and none is spent twice; calls go on."""
    library = subprocess.run(["sh", "-c", "ls /usr/lib/*/faketime/libfaketime*.so.1 | head -1"], capture_output=True, text=True, check=False).stdout.strip()
    expect(library, "libfaketime is not installed: run tests/provision")
    fake = Fake(folder).ready()
    fake.script("gpt-4o", {"tokens": 3, "usage": {"prompt": 0, "completion": 1000}})
    setup = config(fake, f"sqlite:{folder}/clock.db", budgets={"day": {"limit_usd": 0.01, "window": "day"}})
    when = f"{folder}/when"

    def jump(text):
        with open(when + ".new", "w", encoding="ascii") as file:
            file.write(text)
        os.rename(when + ".new", when)

    jump("+0")
    env = {"LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": when, "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_NO_CACHE": "1"}
    gateway = Gateway(folder, setup, env).ready()
    body = {"max_tokens": 1000}
    try:
        def until_refused():
            served = 0
            while served < 50:
                status, _, _ = gateway.chat("chat", **body)
                if status == 429:
                    return served
                expect(status == 200, f"{status}")
                served += 1
            raise Failed("the budget never ends")

        expect(until_refused() == 10, "ten calls fit into the first day")
        jump("+86400")
        wait_until(lambda: gateway.chat("chat", **body)[0] == 200, 10, "the next day has money")
        expect(until_refused() == 9, "ten calls fit into the next day")
        # Far into the past, where no window ever began, and back.
        jump("-400000")
        expect(gateway.chat("chat", **body)[0] == 200, "a day of the past has money of its own")
        jump("+0")
        status, _, _ = gateway.chat("chat", **body)
        expect(status == 429, f"back in the first day its budget is still spent: {status}")
        time.sleep(0.3)
        with sqlite3.connect(f"file:{folder}/clock.db?mode=ro", uri=True) as base:
            sums = [row[0] for row in base.execute("select spent from budget_totals order by window_start")]
        expect(sums == [1_000_000, 10_000_000, 10_000_000], f"the ledger's sums of the three days: {sums}")
        gateway.healthy()
    finally:
        gateway.stop()
        fake.stop()


def main():
    checks = Checks("stores")
    with workplace("stores") as folder:
        def place(name):
            os.makedirs(f"{folder}/{name}")
            return f"{folder}/{name}"

        checks.run("kill -9 twenty times, batch", killed, place("k1"), "batch", seconds=240)
        checks.run("kill -9 twenty times, strict", killed, place("k2"), "strict", seconds=240)
        checks.run("a slow disk", slow_disk, place("slow"))
        checks.run("a full disk", full_disk, place("full"), seconds=120)
        checks.run("a read-only database", read_only, place("ro"))
        checks.run("PostgreSQL is restarted", postgres_restarted, place("pg"), seconds=120)
        checks.run("killed while PostgreSQL is gone", killed_while_postgres_is_gone, place("pgk"), seconds=120)
        checks.run("Redis is paused", redis_paused, place("rp"), seconds=120)
        checks.run("fair shares without Redis", fair_shares, place("fair"), seconds=120)
        checks.run("Redis loses everything", redis_lost, place("rl"), seconds=120)
        checks.run("one of two gateways is killed", one_of_two_killed, place("two"), seconds=150)
        checks.run("three gateways as one", one_of_three, place("three"), seconds=120)
        checks.run("a race for a budget", budget_race, place("race"), seconds=240)
        checks.run("the clock jumps", clock_jumps, place("clock"))
    checks.end()


if __name__ == "__main__":
    main()
