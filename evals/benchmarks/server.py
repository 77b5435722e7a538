"""A local OpenAI-compatible server with faults on demand; run by generation.py in a process of its own.

    python evals/benchmarks/server.py --mode fixed --latency-ms 50 [--rate 200] [--share .05]

fixed: every answer after the latency · bursts: at most --rate answers a second, 429 beyond them · errors: --share of
requests end in 500 · stalls: --share never answer · truncated: --share of HTTP bodies break off · malformed: --share of
answers are not the JSON that was asked for. Prints its port; GET /seen gives how many requests it had.
"""

import argparse
import asyncio
import json
import random
import re
import time

from aiohttp import web

INGREDIENTS = re.compile(r"\[\[ ## ingredients ## \]\]\\n(\[.*?\])\\n")


def answer(text: str) -> str:
    """A menu line made of the record's own ingredients."""
    found = INGREDIENTS.findall(text)
    first, *rest = [i for i in json.loads(json.loads(f'"{found[-1]}"'))[:4]] if found else ["bread"]
    return json.dumps({"line": f"{first} with {', '.join(rest)}." if rest else f"{first}."}, ensure_ascii=False)


def make_app(mode: str, latency: float, rate: float, share: float, retry_after: bool) -> web.Application:
    draw, seen = random.Random(1), {"requests": 0, "answered": 0, "refused": 0}
    window = {"from": 0.0, "n": 0}

    async def complete(request: web.Request) -> web.Response:
        body = (await request.read()).decode()
        seen["requests"] += 1
        if mode == "bursts":
            now = time.monotonic()
            if now - window["from"] >= 1:
                window.update({"from": now, "n": 0})
            window["n"] += 1
            if window["n"] > rate:
                seen["refused"] += 1
                left = max(0.0, 1 - (now - window["from"]))
                headers = {"Retry-After": f"{left:.2f}"} if retry_after else {}
                return web.json_response({"error": {"message": "slow down"}}, status=429, headers=headers)
        await asyncio.sleep(latency)
        hit = draw.random() < share
        if hit and mode == "errors":
            return web.json_response({"error": {"message": "scripted fault"}}, status=500)
        if hit and mode == "stalls":
            await asyncio.sleep(3600)
        said = "Sure! Here it is: " if hit and mode == "malformed" else answer(body)
        seen["answered"] += 1
        text = json.dumps({
            "id": "x", "object": "chat.completion", "created": 0, "model": "small",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": said}}],
            "usage": {"prompt_tokens": len(body) // 4, "completion_tokens": 12, "total_tokens": len(body) // 4 + 12},
        })  # fmt: skip
        if hit and mode == "truncated":
            text = text[: len(text) // 2]
        return web.Response(text=text, content_type="application/json")

    async def look(request: web.Request) -> web.Response:
        return web.json_response(seen)

    app = web.Application()
    app.router.add_post("/v1/chat/completions", complete)
    app.router.add_get("/seen", look)
    return app


async def serve(options) -> None:
    made = make_app(options.mode, options.latency_ms / 1000, options.rate, options.share, not options.no_retry_after)
    runner = web.AppRunner(made, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    print(site._server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    modes = ["fixed", "bursts", "errors", "stalls", "truncated", "malformed"]
    parser.add_argument("--mode", choices=modes, default="fixed")
    parser.add_argument("--latency-ms", type=float, default=50)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--no-retry-after", action="store_true")
    asyncio.run(serve(parser.parse_args()))
