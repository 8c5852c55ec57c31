"""Follows a run with gql over its usual WebSocket transport: follow.py SOCKET TOKEN RUN."""

import asyncio
import sys

from gql import Client, gql
from gql.transport.websockets import WebsocketsTransport

FOLLOW = """subscription Follow($run: ID!) {
    runProgress(runId: $run) { __typename run { state } } }"""


async def follow(socket: str, token: str, run: str) -> None:
    transport = WebsocketsTransport(
        url=socket, init_payload={"Authorization": f"Bearer {token}"}
    )
    request = gql(FOLLOW)
    request.variable_values = {"run": run}
    async with Client(transport=transport) as session:
        async for answer in session.subscribe(request):
            event = answer["runProgress"]
            print(event["__typename"], event["run"]["state"], flush=True)


asyncio.run(follow(*sys.argv[1:]))
