"""A browser that has a call with the simulated Ultravox over WebRTC, as far as whoever made the call sees it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp

from tests.simulators.ultravox import UltravoxServer


class Browser:
    """``join_url`` is all that it was given."""

    def __init__(self, ultravox: UltravoxServer, join_url: str) -> None:
        self.call_id = join_url.split("/calls/")[1].split("/")[0]
        self._ultravox = ultravox
        self._call = ultravox.calls[self.call_id]
        assert self._call.request["medium"] == {"webRtc": {}}
        assert self._call.joined_at is None, "a call is joined once"
        self._call.join(asyncio.get_running_loop().time())
        self._said = ultravox.minutes.setdefault(self.call_id, [])

    def says(self, text: str) -> None:
        self._said.append({"role": "MESSAGE_ROLE_USER", "text": text, "medium": "MESSAGE_MEDIUM_VOICE"})

    def hears(self, text: str) -> None:
        self._said.append({"role": "MESSAGE_ROLE_AGENT", "text": text, "medium": "MESSAGE_MEDIUM_VOICE"})

    async def makes_the_agent_use(self, name: str, arguments: dict[str, Any]) -> str:
        """What the function told the model: Ultravox asks for it by HTTP, as the call's request says."""
        [tool] = [
            selected["temporaryTool"]
            for selected in self._call.request["selectedTools"]
            if selected["temporaryTool"]["modelToolName"] == name
        ]
        assert {parameter["location"] for parameter in tool["dynamicParameters"]} <= {"PARAMETER_LOCATION_BODY"}
        about = {"toolName": name, "invocationId": f"i{len(self._said)}"}
        self._said.append({"role": "MESSAGE_ROLE_TOOL_CALL", "text": json.dumps(arguments), **about})
        http = tool["http"]
        async with (
            aiohttp.ClientSession() as session,
            session.request(http["httpMethod"], http["baseUrlPattern"], json=arguments) as answer,
        ):
            text = await answer.text()
            self._said.append({"role": "MESSAGE_ROLE_TOOL_RESULT", "text": text, **about})
            if answer.headers.get("X-Ultravox-Response-Type") == "hang-up":
                self._end("agent_hangup")
            return text

    def leaves(self) -> None:
        self._end("hangup")

    async def webhook(self, secret: str) -> int:
        """Ultravox tells of the end where the request wanted it: the status that is answered."""
        ended = self._call.request["callbacks"]["ended"]
        assert ended["secrets"] == [secret]
        return await self._ultravox.send_webhook(ended["url"], self.call_id, secret)

    def _end(self, reason: str) -> None:
        self._call.ended_at, self._call.end_reason = asyncio.get_running_loop().time(), reason
