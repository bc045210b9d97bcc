"""Bad input over raw sockets: every one a 4xx in the client's shape, memory flat, no panic, and the next call served."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))

import bodies
import requests_raw
import slow
from harness import DIALECTS, Checks, Failed, Fake, Gateway, MODELS, expect, provider, route, workplace


def main():
    checks = Checks("blackbox")
    with workplace("blackbox") as folder:
        fake = Fake(folder)
        gateway = None
        try:
            fake.ready()
            fake.script("m-flood", {"text": "0123456789" * 2_000, "tokens": 2_000})
            providers = {f"up-{it}": provider(it, fake) for it in DIALECTS}
            routes = {f"via-{it}": route(f"up-{it}/{MODELS[it]}") for it in DIALECTS}
            routes["flood"] = route("up-openai/m-flood")
            gateway = Gateway(folder, {"providers": providers, "routes": routes}).ready()
            # The slow clients take a while; they run beside everything else.
            slow_clients = slow.begin(gateway)
            bodies.run(checks, gateway, fake)
            requests_raw.run(checks, gateway, fake)
            slow.run(checks, gateway, slow_clients)

            def afterwards():
                gateway.healthy()
                for dialect in DIALECTS:
                    status, _, body = gateway.chat(f"via-{dialect}")
                    expect(status == 200, f"via-{dialect} says {status}: {body}")

            checks.run("the gateway is well afterwards", afterwards)
        except Failed as error:
            reason = str(error)

            def told():
                raise Failed(reason)

            checks.run("the servers start", told)
        finally:
            if gateway:
                gateway.stop()
            fake.stop()
    checks.end()


main()
