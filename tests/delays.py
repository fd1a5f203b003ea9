"""How late what happens in a call comes to who watches it through another process, on the PostgreSQL that
TEST_DATABASE_URL names:

    python -m tests.delays

Both services are in this process: on a busy machine, what they wait for each other counts, too.
"""

from __future__ import annotations

import asyncio
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from blockbuster import BlockBuster

from tests.gateway.service import serving
from tests.gateway.test_two_processes import address, another
from tests.store.server import own_database

EVENTS = 1000
SECONDS_BETWEEN = 0.03


async def measure(directory: Path) -> list[float]:
    """In seconds, in rising order."""
    late: list[float] = []
    async with (
        own_database(BlockBuster()) as url,
        serving(directory / "a", database_url=url, credentials_key="c") as service,
        another(directory / "b", url) as other,
        service.http.ws_connect(address(other, service.listener_id, "0")) as socket,
    ):
        await service.ring("c-1")
        [call] = service.switchboard.calls

        async def read() -> None:
            for _ in range(EVENTS + 1):
                event = await socket.receive_json(timeout=10)
                late.append((datetime.now(UTC) - datetime.fromisoformat(event["timestamp"])).total_seconds())

        reading = asyncio.create_task(read())
        await asyncio.sleep(0.5)
        for n in range(EVENTS):
            call.note("user", n)
            await asyncio.sleep(SECONDS_BETWEEN)
        await reading
    return sorted(late[1:])


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        late = asyncio.run(measure(Path(directory)))
    for name, part in (("median", 0.5), ("p90", 0.9), ("p99", 0.99)):
        print(f"{name:<7} {1000 * late[int(len(late) * part)]:6.1f} ms")


if __name__ == "__main__":
    main()
