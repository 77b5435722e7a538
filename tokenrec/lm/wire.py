"""HTTP to a language model for runs of millions of requests: one aiohttp session under DSPy's own codecs.

`Wire` is an lm15 transport, so DSPy (and `tasks/template.py`) send through it. It waits as a 429 says (Retry-After) or
with jittered exponential backoff, lets `Throttle` find how many requests the server bears, counts every attempt on the
meter, and stops at once where asking on is of no use: a wrong key, a wrong address, nobody there.
"""

import asyncio
import contextlib
import functools
import json
import random
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field

import aiohttp

from tokenrec.errors import ServiceGone
from tokenrec.lm.meter import Meter, attempts
from tokenrec.lm.throttle import Throttle

ATTEMPTS = 6  # faults after which a request is given up; refusals are no faults
REFUSED = 90.0  # seconds of nothing but refusals to anyone after which a refused request is given up
BACKOFF = 0.5  # seconds before the second attempt, doubled each time
LONGEST_WAIT = 60.0  # seconds of backoff at most; a Retry-After is honoured up to ten times that
UNREACHABLE = 5.0  # seconds without any connection after which nobody is there
BUSY = (429, 503, 529)
AGAIN = (408, 409, 425, 500, 502, 504, *BUSY)
FINAL = {
    401: "refuses the key", 402: "wants to be paid", 403: "forbids the request", 404: "has no such model or address",
}  # fmt: skip
NO_CREDIT = ("insufficient_quota", "billing")  # a 429 that no waiting mends

captured: ContextVar["list | None"] = ContextVar("captured", default=None)  # where requests go that are not to be sent


@dataclass
class Reply:
    """One HTTP answer, buffered."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def text(self) -> str:
        return self.body[:2000].decode("utf-8", "replace")

    @functools.cached_property
    def document(self):
        """The body as JSON; None when it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


@dataclass
class Wire:
    """Sends requests of one model. `redact` takes the key out of what the server says."""

    name: str
    meter: Meter
    most: int = 8
    timeout: float = 60.0
    key_env: str | None = None
    redact: Callable[[str], str] = field(default=lambda text: text, repr=False)
    throttle: Throttle | None = None
    session: aiohttp.ClientSession | None = None
    loop: asyncio.AbstractEventLoop | None = None
    proxy: str | None = None
    unreachable_since: float | None = None
    answers: int = 0  # so far
    last_answer: float = field(default_factory=time.monotonic)
    retries: int = 0  # attempts that no asker has counted (see ApiEngine)

    def __post_init__(self):
        self.throttle = Throttle(self.most)

    async def send(self, method: str, url: str, headers: list[tuple[str, str]], body: bytes) -> Reply:
        """The answer to one request, after as many attempts as it takes; an error's reply when none of them did.

        Raises ServiceGone, BudgetStop (checked before each attempt), and asyncio.TimeoutError or aiohttp.ClientError
        when the last attempt got no answer at all.
        """
        session = self._session(url)
        faults = tries = 0
        while True:
            tries += 1
            reply, fault, wait = None, None, None
            async with self.throttle:
                self.meter.check()
                self._count()
                began = time.monotonic()
                try:
                    reply = await self._once(session, method, url, headers, body)
                except aiohttp.ClientConnectorError as error:
                    fault = error
                    self._nobody(error)
                except (TimeoutError, aiohttp.ClientError, ConnectionError) as error:
                    fault = error
                else:
                    self.unreachable_since = None
                    if reply.status in BUSY:
                        wait = retry_after(reply.headers)
                        self.throttle.refused(wait)
                    elif reply.status < 400:
                        self.throttle.answered(time.monotonic() - began)
                        self.last_answer, self.answers = time.monotonic(), self.answers + 1
            if reply is not None:
                self._final(reply)
                if reply.status not in AGAIN and (reply.status >= 400 or reply.document is not None):
                    return reply
            refused = reply is not None and reply.status in BUSY
            faults += not refused
            if faults == ATTEMPTS or (refused and time.monotonic() - self.last_answer > REFUSED):
                break
            backoff = min(LONGEST_WAIT, BACKOFF * 2 ** min(tries - 1, 10)) * random.uniform(0.5, 1.0)
            await asyncio.sleep(backoff if wait is None else min(wait, 10 * LONGEST_WAIT) * random.uniform(1.0, 1.05))
        if reply is None:
            raise fault
        return reply

    @contextlib.asynccontextmanager
    async def stream(self, request):
        """lm15's AsyncTransport: `request` is its TransportRequest."""
        from dspy._vendor.lm15.transports._types import AsyncTransportResponse

        if (seen := captured.get()) is not None:
            seen.append(request)
            raise RuntimeError("captured, not sent")
        reply = await self.send(request.method, request.url, request.headers, request.body)

        async def chunks():
            yield reply.body

        async def release(consumed):
            pass

        yield AsyncTransportResponse(
            status=reply.status, reason="", headers=reply.headers, http_version="HTTP/1.1", chunks=chunks(),
            release=release,
        )  # fmt: skip

    async def _once(self, session, method, url, headers, body) -> Reply:
        async with session.request(method, url, headers=headers, data=body, proxy=self.proxy) as response:
            return Reply(response.status, list(response.headers.items()), await response.read())

    def _session(self, url: str) -> aiohttp.ClientSession:
        """One session a loop: its connections belong to it. The environment's proxy is looked up once, for all."""
        loop = asyncio.get_running_loop()
        if self.session is None or self.loop is not loop:
            self.loop, self.throttle, self.proxy = loop, Throttle(self.most), proxy_for(url)
            self.last_answer = time.monotonic()
            self.session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                timeout=aiohttp.ClientTimeout(total=self.timeout, connect=min(10.0, self.timeout)),
            )
        return self.session

    async def aclose(self) -> None:
        if self.session is not None and self.loop is asyncio.get_running_loop():
            await self.session.close()
            self.session = None

    def _count(self) -> None:
        """One more attempt in flight; whoever asked the question takes them off again when it counts them."""
        self.meter.in_flight += 1
        if (count := attempts.get()) is not None:
            count[0] += 1

    def _nobody(self, error: Exception) -> None:
        now = time.monotonic()
        self.unreachable_since = self.unreachable_since or now
        if now - self.unreachable_since > UNREACHABLE:
            raise ServiceGone(
                f"{self.name}: nobody answers ({self.redact(str(error))}). Start the server or correct api_base, then "
                "run again to go on; what is finished is stored. tokenrec doctor shows which models answer"
            ) from error

    def _final(self, reply: Reply) -> None:
        why = FINAL.get(reply.status)
        if reply.status in (403, 404) and self.answers:
            return  # it answers others: this is about the one record
        text = reply.text
        if reply.status == 429 and any(word in text for word in NO_CREDIT):
            why = FINAL[402]
        if why:
            key = f" Check the key in {self.key_env}." if self.key_env and reply.status in (401, 403) else ""
            raise ServiceGone(
                f"{self.name}: the server {why} (HTTP {reply.status}: {self.redact(said(text))}).{key} "
                "What is finished is stored; run again to go on"
            )


def proxy_for(url: str) -> str | None:
    """The proxy that HTTP_PROXY, HTTPS_PROXY and NO_PROXY name for `url`."""
    parts = urllib.parse.urlsplit(url)
    if urllib.request.proxy_bypass(parts.netloc):
        return None
    return urllib.request.getproxies().get(parts.scheme)


def retry_after(headers: list[tuple[str, str]]) -> float | None:
    """Seconds that the server asks to wait (a number or a date), None where it says nothing usable."""
    from dspy.clients._http import retry_after_seconds

    for name, value in headers:
        if name.lower() == "retry-after":
            return retry_after_seconds(value)
    return None


def said(text: str) -> str:
    """The message in an error's body, in one short line."""
    try:
        error = json.loads(text)
        error = error.get("error", error) if isinstance(error, dict) else error
        text = error.get("message", text) if isinstance(error, dict) else str(error)
    except ValueError:
        pass
    return " ".join(str(text).split())[:200]
