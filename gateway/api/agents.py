"""``/agents``: definitions as JSON, kept and given back as they were sent, without their secrets."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from aiohttp import web
from typing_extensions import TypedDict

from gateway.api.calls import AgentCallsPage, AgentCallsQuery, agent_call_view
from gateway.api.errors import invalid, not_found
from gateway.api.operations import Operations, owner_of, read_json, read_query, store_of, validated
from gateway.api.shapes import Like, Window, iso
from pipelines.agent import AgentDefinition, AgentOptions, Function, Problem, nearest
from pipelines.agent.options import Recording
from pipelines.agent.secrets import OF_METADATA, OF_OPTIONS, OF_RECORDING, take_out
from pipelines.functions import registered
from store import Listener
from store.agents import Agent

operations = Operations("Agents", "agents")

READ_ONLY = ("id", "organisationId", "userId", "listeners", "createdAt", "updatedAt")
"""Fields of an answer that a client may send back with its changes; they change nothing."""


class AgentView(TypedDict):
    id: str
    organisationId: str
    userId: str | None
    name: str | None
    description: str | None
    modelName: str
    prompt: str
    options: Annotated[dict[str, Any], Like(AgentOptions)]
    functions: list[Annotated[dict[str, Any], Like(Function)]]
    createdAt: str | None
    updatedAt: str | None


class AgentListenerView(TypedDict):
    id: str
    agentId: str
    type: str
    number: str | None
    registrationId: str | None
    websocket: bool
    streamLog: bool
    metadata: dict[str, Any]
    recording: Annotated[dict[str, Any], Like(Recording)] | None
    agentLimit: int | None
    createdAt: str | None


class AgentWithListeners(AgentView):
    listeners: list[AgentListenerView]


class AgentSummaryView(TypedDict):
    id: str
    name: str | None
    description: str | None
    modelName: str
    createdAt: str | None
    updatedAt: str | None


class AgentsPage(TypedDict):
    agents: list[AgentSummaryView]
    next: int | Literal[False]


class AgentsQuery(Window):
    search: str = ""
    search_field: Literal["all", "name", "model"] = "all"


@operations.add("POST", "/agents", body=(AgentDefinition,), answer=AgentView, errors=(400,))
async def create_agent(request: web.Request) -> web.Response:
    """Define an agent."""
    body = _without_read_only(await read_json(request))
    definition = await asyncio.to_thread(_read, body)  # a long one takes its time, which is that of the calls
    return web.json_response(_view(await store_of(request).agents.create(owner_of(request), definition)))


@operations.add("GET", "/agents", query=AgentsQuery, answer=AgentsPage, errors=(400,))
async def list_agents(request: web.Request) -> web.Response:
    """List agents, the one changed last first."""
    query = read_query(request, AgentsQuery)
    rows = await store_of(request).agents.list(
        owner_of(request), query.page, search=query.search.strip(), field=query.search_field
    )
    shown, following = query.split(rows)
    views: list[AgentSummaryView] = [
        {
            "id": row.id,
            "name": row.name,
            "description": row.description,
            "modelName": row.model_name,
            "createdAt": iso(row.created_at),
            "updatedAt": iso(row.updated_at),
        }
        for row in shown
    ]
    return web.json_response(AgentsPage(agents=views, next=following if following is not None else False))


@operations.add("GET", "/agents/{agentId}", answer=AgentWithListeners, errors=(404,))
async def get_agent(request: web.Request) -> web.Response:
    """Read an agent and its listeners. Its secrets are never given back."""
    owner, agent_id, store = owner_of(request), request.match_info["agentId"], store_of(request)
    agent = await store.agents.get(owner, agent_id)
    if agent is None:
        raise not_found("agent", agent_id)
    listeners = await store.listeners.list(owner, agent_id=agent_id)
    return web.json_response(AgentWithListeners(**_view(agent), listeners=[_listener_view(row) for row in listeners]))


@operations.add("PUT", "/agents/{agentId}", body=(AgentDefinition,), partial=True, answer=AgentView, errors=(400, 404))
async def update_agent(request: web.Request) -> web.Response:
    """Replace those fields of an agent that are sent; the others, keys too, stay as they are.

    What is never given back of the options (hashKey of a callHook, key of recording) stays where it is left out, and
    goes with null.
    """
    agent_id = request.match_info["agentId"]
    changes = AgentDefinition.in_api_spelling(_without_read_only(await read_json(request)))

    def change(stored: dict[str, Any]) -> AgentDefinition:
        return _read({**stored, **changes}).keeping_secrets(stored)

    agent = await store_of(request).agents.update(owner_of(request), agent_id, change)
    if agent is None:
        raise not_found("agent", agent_id)
    return web.json_response(_view(agent))


@operations.add("DELETE", "/agents/{agentId}", errors=(404,))
async def delete_agent(request: web.Request) -> web.Response:
    """Delete an agent and its listeners; their numbers are free again."""
    agent_id = request.match_info["agentId"]
    if not await store_of(request).agents.delete(owner_of(request), agent_id):
        raise not_found("agent", agent_id)
    return web.Response()


@operations.add(
    "GET",
    "/agents/{agentId}/calls",
    query=AgentCallsQuery,
    answer=AgentCallsPage,
    errors=(400, 404),
    scope="calls:read",
)
async def list_agent_calls(request: web.Request) -> web.Response:
    """List an agent's calls, the newest first."""
    query = read_query(request, AgentCallsQuery)
    owner, agent_id, store = owner_of(request), request.match_info["agentId"], store_of(request)
    if await store.agents.get(owner, agent_id) is None:
        raise not_found("agent", agent_id)
    shown, following = query.split(await store.calls.of_agent(owner, agent_id, query.page, query.period))
    return web.json_response(
        AgentCallsPage(
            calls=[agent_call_view(call) for call in shown], next=following if following is not None else False
        )
    )


def _without_read_only(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in READ_ONLY}


def _read(body: dict[str, Any]) -> AgentDefinition:
    """With functions in Python that there are. Raises 400."""
    definition = validated(AgentDefinition, body)
    problems = []
    for i, one in enumerate(definition.functions):
        name = one.python or one.name
        if one.implementation == "python" and registered.get(name) is None:
            meant = nearest(name, registered.names)
            hint = f"did you mean {meant}?" if meant else "those who run the service name them in TRUNKLINE_FUNCTIONS."
            problems.append(
                Problem(f"functions[{i}]", f"is {name!r} in Python, which this service does not have; {hint}")
            )
    if problems:
        raise invalid(problems)
    return definition


def _view(agent: Agent) -> AgentView:
    sent = agent.definition
    return {
        "id": agent.id,
        "organisationId": agent.owner.organisation_id,
        "userId": agent.owner.user_id,
        "name": sent.get("name"),
        "description": sent.get("description"),
        "modelName": sent["modelName"],
        "prompt": sent["prompt"],
        "options": take_out(sent.get("options", {}), OF_OPTIONS)[0],
        "functions": sent.get("functions", []),
        "createdAt": iso(agent.created_at),
        "updatedAt": iso(agent.updated_at),
    }


def _listener_view(listener: Listener) -> AgentListenerView:
    recording = listener.options.recording
    return {
        "id": listener.id,
        "agentId": listener.agent_id,
        "type": listener.type,
        "number": listener.number,
        "registrationId": listener.registration_id,
        "websocket": listener.options.websocket,
        "streamLog": listener.options.stream_log,
        "metadata": take_out(listener.options.metadata, OF_METADATA)[0],
        "recording": recording if recording is None else take_out(recording, OF_RECORDING)[0],
        "agentLimit": listener.options.agent_limit,
        "createdAt": iso(listener.created_at),
    }
