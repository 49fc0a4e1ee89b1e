#! Owns a short session of OpenAI's Python client with the address and the token it is given; prints as JSON what it was told.
#! Called by openai.test.mjs.

import asyncio
import json
import sys

from openai import AsyncOpenAI


async def until(connection, kind):
    """Events up to the first of this type."""
    seen = []
    while not seen or seen[-1].type != kind:
        seen.append(await asyncio.wait_for(connection.recv(), 60))
    return seen


async def main(url, token):
    client = AsyncOpenAI(api_key=token, websocket_base_url=url)
    async with client.realtime.connect(model="gpt-realtime") as connection:
        created = (await until(connection, "session.created"))[-1]
        await connection.session.update(session={"type": "realtime", "instructions": "be brief"})
        updated = (await until(connection, "session.updated"))[-1]
        await connection.response.create()
        events = await until(connection, "response.done")
        deltas = [event.delta for event in events if event.type.endswith(".delta")]
        await connection.conversation.item.create(item={"type": "message", "role": "user", "content": []})
        error = (await until(connection, "error"))[-1].error
    told = {"type": error.type, "code": error.code, "message": error.message}
    print(json.dumps({"session": created.session.id, "instructions": updated.session.instructions, "deltas": deltas, "error": told}))


asyncio.run(main(*sys.argv[1:]))
