"""The simulated OpenAI Realtime of the bench: says the same to whatever it hears, with a real voice."""

from __future__ import annotations

import asyncio
import sys

import uvloop

from tests.bench.parts import offline_voice
from tests.simulators.openai_realtime import Behaviour, Reply, serve_realtime, spoken

ANSWER = "On Tuesday we are open from four o'clock until late, and I have written down a table for you."


async def main() -> None:
    voice = offline_voice()
    try:
        said = await spoken(voice, (ANSWER,))
    finally:
        await voice.close()
    async with serve_realtime(reply=lambda *_: Reply(ANSWER), voice=said, behaviour=Behaviour(speed=2.0)) as server:
        print(server.base_url.rsplit(":", 1)[1].partition("/")[0], flush=True)
        stopped, loop = asyncio.Event(), asyncio.get_running_loop()
        loop.add_reader(sys.stdin.fileno(), stopped.set)
        await stopped.wait()
        loop.remove_reader(sys.stdin.fileno())
        for mistake in server.mistakes[:10]:
            print(mistake, file=sys.stderr)


if __name__ == "__main__":
    uvloop.run(main())
