"""
The floor: the least that any intake with our promise must do, and nothing else.

aiohttp takes a POST, JetStream stores it with an fsync, a pull consumer takes a batch, and each
message becomes one row in PostgreSQL. `python -m bench.floor PORT NATS_URL DSN` serves it.
"""

import asyncio
import json
import sys
from uuid import UUID, uuid4

import asyncpg
import nats
from aiohttp import web
from nats.js.api import ConsumerConfig, StreamConfig

ROWS = """
    INSERT INTO floor (id, body)
    SELECT * FROM unnest($1::uuid[], $2::text[])
    ON CONFLICT (id) DO NOTHING
"""
BATCH = 128


async def main(port: int, nats_url: str, dsn: str) -> None:
    client = await nats.connect(nats_url)
    js = client.jetstream()
    await js.add_stream(StreamConfig(name="FLOOR", subjects=["floor"]))
    await js.add_consumer("FLOOR", ConsumerConfig(durable_name="floor", max_ack_pending=2000))
    pool = await asyncpg.create_pool(dsn, min_size=1, max_size=4)
    await pool.execute("CREATE TABLE IF NOT EXISTS floor (id uuid PRIMARY KEY, body text NOT NULL)")

    async def take(request: web.Request) -> web.Response:
        form = await request.post()
        id_ = str(uuid4())
        body = json.dumps({"id": id_, "text": form["text"]}).encode()
        await js.publish("floor", body, headers={"Nats-Msg-Id": id_})
        return web.Response(text=id_)

    async def consume() -> None:
        subscription = await js.pull_subscribe_bind("floor", stream="FLOOR")
        while True:
            try:
                # One at first: fetch(n) would hold it back until n are there.
                batch = await subscription.fetch(1, timeout=5)
                batch += await subscription.fetch(BATCH, timeout=0.005)
            except TimeoutError:
                batch = locals().get("batch") or []
            if not batch:
                continue
            told = [json.loads(message.data) for message in batch]
            await pool.execute(
                ROWS, [UUID(one["id"]) for one in told], [one["text"] for one in told]
            )
            for message in batch:
                await message.ack()
            batch = []

    app = web.Application()
    app.add_routes([web.post("/channels/web", take)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await consume()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
