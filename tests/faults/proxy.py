"""A box between kit and server that drips, cuts, swallows and answers by itself."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Self

from tests.faults.bench import Bench
from tests.faults.kit import until
from tests.faults.ledger import Ledger
from tests.faults.rows import row

DRIP = 0.4  # seconds from byte to byte


class Proxy:
    """Passes HTTP requests on to `port`, and does to the next ones what it is told.

    `mood` is one of pass, drip, cut request, cut answer, lost answer, silence, or bytes that it
    answers by itself; it goes for `left` write requests, then all pass again.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self.mood: str | bytes = "pass"
        self.left = 0
        self.hits = 0
        """Requests to which something was done."""
        self.bodies: list[bytes] = []
        """What all write requests carried."""
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._serve())
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def do(self, mood: str | bytes, times: int) -> None:
        """Do this to the next write requests."""
        self.mood, self.left = mood, times

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _serve(self) -> None:
        self._server = await asyncio.start_server(self._connection, "127.0.0.1", 0, limit=1 << 26)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _end(self) -> None:
        self._server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            near = await asyncio.open_connection("127.0.0.1", self._target, limit=1 << 26)
            try:
                while await self._request(reader, writer, near):
                    pass
            finally:
                near[1].close()
                writer.close()

    async def _request(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        near: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> bool:
        """One request and its answer; returns whether the connection goes on."""
        head, body = await _message(reader)
        mood = self._mood(head, body)
        if isinstance(mood, bytes):
            writer.write(mood)
            await writer.drain()
            return True
        if mood == "silence":
            await asyncio.sleep(3600)
        if mood == "cut request":
            near[1].write(head + body[: len(body) // 2])
            await near[1].drain()
            return False
        near[1].write(head + body)
        await near[1].drain()
        answer = b"".join(await _message(near[0]))
        if mood == "lost answer":
            return False
        if mood == "cut answer":
            answer = answer[: len(answer) // 2]
        await _say(writer, answer, DRIP if mood == "drip" else 0)
        return mood != "cut answer"

    def _mood(self, head: bytes, body: bytes) -> str | bytes:
        if b"/write" not in head.split(b"\r\n")[0]:
            return "pass"
        self.bodies.append(body)
        if not self.left:
            return "pass"
        self.left -= 1
        self.hits += 1
        return self.mood


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Head and body of a request or an answer, as they came."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    if b"transfer-encoding: chunked" in lines:
        body = b""
        while not body.endswith(b"\r\n0\r\n\r\n") and body != b"0\r\n\r\n":
            body += await reader.readline()
        return head, body
    sizes = [int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:")]
    return head, await reader.readexactly(sizes[0] if sizes else 0)


async def _say(writer: asyncio.StreamWriter, answer: bytes, pause: float) -> None:
    step = 1 if pause else len(answer) or 1
    for at in range(0, len(answer), step):
        writer.write(answer[at : at + step])
        await writer.drain()
        await asyncio.sleep(pause)


class Mute(Proxy):
    """Takes connections and says nothing."""

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            await reader.read(-1)
        writer.close()


def through(bench: Bench, mood: str | bytes, times: int, **more: object) -> tuple[Ledger, str]:
    """A kit that sends through a proxy with this mood; also returns what the kit said."""
    proxy = bench.stack.enter_context(Proxy(bench.influxd.port))
    output = bench.to_influx(port=proxy.port, timeout="1", bufsize=100, **more)
    kit = bench.kit(output, radio={"count": 300 + 60 * times, "size": 50})
    proxy.do(mood, times)
    process = kit.start("run", "--once", "--timeout", 120)
    until(lambda: proxy.hits >= times or process.poll() is not None, f"{times} requests")
    kit.end(process)
    return bench.ledger(kit, injected=proxy.hits), kit.log


@row("answer drips a byte a time", quick={"times": 1}, whole={"times": 4})
def drip(bench: Bench, times: int) -> Ledger:
    """The deadline is for the whole request: one that drips ends by it, and is sent again."""
    ledger, said = through(bench, "drip", times)
    assert "1 s" in said, said
    return ledger


@row("request cut in the middle", quick={"times": 1}, whole={"times": 5})
def cut_request(bench: Bench, times: int) -> Ledger:
    """The connection ends while the telegrams are on their way: they are sent again."""
    return through(bench, "cut request", times)[0]


@row("answer cut in the middle", whole={"times": 5})
def cut_answer(bench: Bench, times: int) -> Ledger:
    """Half an acknowledgement is none."""
    return through(bench, "cut answer", times)[0]


@row("answer lost after the server stored", whole={"times": 5})
def lost_answer(bench: Bench, times: int) -> Ledger:
    """The very same points again: still one of each."""
    return through(bench, "lost answer", times)[0]


@row("connection taken, never answered", whole={"times": 4})
def silence(bench: Bench, times: int) -> Ledger:
    """Ends by the deadline."""
    return through(bench, "silence", times)[0]


@row("TLS handshake that never ends", whole={})
def handshake(bench: Bench) -> Ledger:
    """A server that takes the connection and says nothing does not hold the output up."""
    proxy = bench.stack.enter_context(Mute(bench.influxd.port))
    kit = bench.kit(
        bench.to_influx(port=proxy.port, timeout="1", ssl="true"), radio={"count": 300, "size": 50}
    )
    process = kit.start("run")
    kit.said("no answer within 1 s", "1 s")
    kit.kill(process)
    kit.sections["influxpub"] |= {"port": bench.influxd.port, "ssl": "false"}
    kit.once()
    return bench.ledger(kit, injected=1)
