"""The wire under a server's moods: refusals, errors, half answers, silence, nobody. A real local server, no network."""

import asyncio
import json
import time

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenrec.errors import BudgetStop, ServiceGone
from tokenrec.lm import wire as wiring
from tokenrec.lm.meter import Meter, attempts
from tokenrec.lm.throttle import Throttle
from tokenrec.lm.wire import Wire
from tokenrec.recipe.models import Budget

GOOD = {"choices": [{"message": {"content": "{}"}}], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(wiring, "BACKOFF", 0.01)


def asked(answers, times: int = 1, **settings):
    """(replies or the exception, requests that the server had, wire) of asking a scripted server `times` at once.

    `answers`: one a request, the last for ever: a document, a status, (status, headers), b"bytes" or "stall".
    """
    had = []

    async def handle(request):
        said = answers[min(len(had), len(answers) - 1)]
        had.append((time.monotonic(), await request.text()))
        if said == "stall":
            await asyncio.sleep(30)
        if isinstance(said, int):
            return web.json_response({"error": {"message": f"scripted for sk-secret {said}"}}, status=said)
        if isinstance(said, tuple):
            return web.json_response({"error": {"message": "slow down"}}, status=said[0], headers=said[1])
        if isinstance(said, bytes):
            return web.Response(body=said, content_type="application/json")
        return web.json_response(said)

    async def go():
        app = web.Application()
        app.router.add_post("/v1", handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]
        wire = Wire("served", redact=lambda text: text.replace("sk-secret", "[key]"), **({"meter": Meter()} | settings))
        count = [0]
        attempts.set(count)
        try:
            sent = [wire.send("POST", f"http://127.0.0.1:{port}/v1", [], b"{}") for _ in range(times)]
            got = await asyncio.gather(*sent, return_exceptions=True)
        finally:
            await wire.aclose()
            await runner.cleanup()
        return got, had, wire, count[0]

    return asyncio.run(go())


@pytest.mark.parametrize("fault", [500, 502, 503, 408, b'{"choices": [{"mess', b"<html>proxy</html>", b"", 429])
def test_what_passes_is_asked_again_and_counted(fault):
    got, had, wire, count = asked([fault, fault, GOOD])
    assert got[0].document == GOOD and len(had) == count == wire.meter.in_flight == 3


def test_retry_after_is_honoured_in_seconds():
    got, had, wire, _ = asked([(429, {"Retry-After": "0.4"}), GOOD], most=8)
    assert got[0].status == 200 and had[1][0] - had[0][0] >= 0.4
    assert wire.throttle.limit < 8


def test_an_error_that_stays_is_returned_after_a_few_attempts():
    got, had, _, _ = asked([500])
    assert got[0].status == 500 and len(had) == wiring.ATTEMPTS


def test_refusals_while_others_are_answered_lose_nothing():
    """Ten in eleven are refused, far more often than ATTEMPTS for one request."""
    slow = [(429, {"Retry-After": "0.01"})] * 10
    got, had, _, count = asked([*slow, GOOD] * 40, times=20, most=20)
    assert [r.status for r in got] == [200] * 20 and len(had) == count > 100


def test_nothing_but_refusals_ends(monkeypatch):
    monkeypatch.setattr(wiring, "REFUSED", 0.2)
    got, had, _, _ = asked([(429, {"Retry-After": "0.05"})])
    assert got[0].status == 429 and 2 <= len(had) <= 6


def test_silence_is_a_timeout_and_asked_again():
    got, had, _, _ = asked(["stall", GOOD], timeout=0.2)
    assert got[0].status == 200 and len(had) == 2


@pytest.mark.parametrize(("status", "words"), [(401, "MY_KEY"), (403, "MY_KEY"), (404, "model or address"), (402, "paid")])
def test_a_wrong_key_or_address_stops_at_once_and_keeps_the_key(status, words):
    got, had, _, _ = asked([status], key_env="MY_KEY")
    assert isinstance(got[0], ServiceGone) and words in str(got[0]) and str(status) in str(got[0]) and len(had) == 1
    assert "sk-secret" not in str(got[0]) and "[key]" in str(got[0])


def test_no_credit_is_no_reason_to_wait():
    body = json.dumps({"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}})

    async def handle(request):
        return web.Response(text=body, status=429, content_type="application/json")

    async def go():
        app = web.Application()
        app.router.add_post("/v1", handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        wire = Wire("served", Meter())
        try:
            await wire.send("POST", f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/v1", [], b"{}")
        finally:
            await wire.aclose()
            await runner.cleanup()

    with pytest.raises(ServiceGone, match="paid"):
        asyncio.run(go())


def test_a_record_that_is_forbidden_stops_no_run():
    got, had, _, _ = asked([GOOD, 403], times=1)
    assert got[0].status == 200
    wire = Wire("served", Meter())
    wire.answers = 1
    wire._final(wiring.Reply(403, [], b"{}"))
    with pytest.raises(ServiceGone):
        wire._final(wiring.Reply(401, [], b"{}"))


def test_nobody_there_is_told_in_seconds(monkeypatch):
    monkeypatch.setattr(wiring, "UNREACHABLE", 0.05)
    wire, began = Wire("served", Meter()), time.monotonic()

    async def go():
        try:
            sent = [wire.send("POST", "http://127.0.0.1:9/v1", [], b"{}") for _ in range(20)]
            return await asyncio.gather(*sent, return_exceptions=True)
        finally:
            await wire.aclose()

    assert all(isinstance(e, ServiceGone) and "nobody answers" in str(e) for e in asyncio.run(go()))
    assert time.monotonic() - began < 5


def test_the_budget_is_asked_before_every_attempt():
    got, had, wire, count = asked([500], meter=Meter(budget=Budget(calls=2)))
    assert isinstance(got[0], BudgetStop) and len(had) == count == 2


def test_the_limit_falls_with_refusals_and_comes_back():
    got, had, wire, _ = asked([*[(429, {"Retry-After": "0.01"})] * 30, GOOD], times=16, most=16)
    assert all(r.status in (200, 429) for r in got)
    low = wire.throttle.limit
    assert low < 16
    for _ in range(400):
        wire.throttle.answered(0.01)
    assert wire.throttle.limit == 16


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.lists(st.booleans(), min_size=1, max_size=60), st.integers(1, 30))
def test_never_more_in_flight_than_the_limit_and_nobody_waits_for_ever(most, refusals, askers):
    throttle, seen, script = Throttle(most), [], iter(refusals * 100)

    async def one():
        async with throttle:
            seen.append((throttle.active, throttle.limit))
            await asyncio.sleep(0)
            if next(script):
                throttle.refused()
            else:
                throttle.answered(0.001)

    async def go():
        await asyncio.wait_for(asyncio.gather(*[one() for _ in range(askers)]), 5)

    asyncio.run(go())
    assert all(active <= max(1, int(limit)) for active, limit in seen)
    assert throttle.active == 0 and 1 <= throttle.limit <= most
