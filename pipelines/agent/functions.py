"""``functions`` and ``keys`` of an agent: what its model may do, and with whose credentials."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, model_validator

from pipelines.agent.parameter_rules import parameter_problems
from pipelines.agent.rest_rules import (
    PLACEHOLDER,
    header_problem,
    key_problem,
    mcp_problems,
    rest_problems,
    split_url,
)
from pipelines.agent.strict import Problem, Strict, nearest, refuse
from pipelines.agent.telephone import target
from pipelines.keys import keys_problem

LONGEST_NAME = 64
_NAME = rf"^[a-zA-Z0-9_-]{{1,{LONGEST_NAME}}}$"

MOST_PARAMETERS = 100
"""Of one function."""

TRANSFER_PARAMETERS = ("number", "callerId", "operation", "transferPrompt", "consultFeedback", "forceBridged")


class Parameter(Strict):
    """One parameter of a function. ``source`` says who fills it in: the model (``generated``), the definition
    (``static``: the text in ``from``), or the call (``metadata``: the path in ``from``)."""

    type: Literal["string", "number", "integer", "boolean", "array", "object"] = "string"
    description: str | None = None
    location: Literal["path", "query", "body", "header"] | None = Field(default=None, alias="in")
    required: bool = False
    enum: list[Any] | None = Field(default=None, min_length=1)
    source: Literal["generated", "static", "metadata"] = "generated"
    origin: Any = Field(default=None, alias="from")
    default: Any = None
    items: dict[str, Any] | None = None
    properties: dict[str, Any] | None = None
    format: str | None = None
    pattern: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    max_length: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _has_origin(self) -> Self:
        if self.source == "static" and "origin" not in self.model_fields_set:
            raise refuse("is static; write its value as from")
        if self.source == "metadata" and not (isinstance(self.origin, str) and self.origin):
            raise refuse("is taken from metadata; write the path of the value as from")
        for problem in parameter_problems(self):
            raise refuse(problem)
        return self


def _not_too_many(value: Any) -> Any:
    """Before each of them is looked at, which takes its time."""
    if isinstance(value, dict | list) and len(value) > MOST_PARAMETERS:
        raise refuse(f"has to have at most {MOST_PARAMETERS} parameters")
    return value


_FEW = BeforeValidator(_not_too_many)


class InputSchema(Strict):
    """The parameters of a function by their names."""

    type: Literal["object"] = "object"
    properties: Annotated[dict[str, Parameter], BeforeValidator(_not_too_many)] = Field(
        default={}, max_length=MOST_PARAMETERS
    )
    required: Annotated[list[str], BeforeValidator(_not_too_many)] = Field(default=[], max_length=MOST_PARAMETERS)

    @model_validator(mode="after")
    def _required_exist(self) -> Self:
        for name in self.required:
            if name not in self.properties:
                raise refuse(f"requires {name!r}, which is none of its properties")
        return self


Platform = Literal[
    "hangup", "transfer", "transfer_status", "metadata", "pause_recording", "resume_recording", "dtmf",
    "accept_transfer", "reject_transfer",
]  # fmt: skip


class Function(Strict):
    """A function that the model may call. ``rest`` asks a URL, ``stub`` answers with ``result``, ``client`` is left to
    whoever watches the call, ``builtin`` is one of ours (``platform``), ``python`` one of those who run the service
    (``python`` is its name there, if that is another one). ``mcp`` stands for a server's ``tools``: those whose names
    match a pattern."""

    name: str = Field(pattern=_NAME)
    description: str = ""
    implementation: Literal["rest", "stub", "client", "builtin", "python", "mcp"]
    platform: Platform | None = None
    python: str | None = Field(default=None, pattern=r"^[a-zA-Z0-9_.-]{1,64}$")
    tools: list[str] | None = Field(default=None, min_length=1, max_length=64)
    url: str | None = Field(default=None, max_length=4000)
    method: Literal["get", "post", "put", "delete"] = "get"
    key: str | None = None
    result: str | None = None
    redact: bool = False
    timeout: float | None = Field(default=None, gt=0, le=60)
    sequential: bool = False
    survives_interruption: bool = False
    max_calls: int | None = Field(default=None, ge=1, le=1000)
    input_schema: InputSchema = Field(default=InputSchema(), alias="input_schema")

    @model_validator(mode="after")
    def _rules(self) -> Self:
        match self.implementation:
            case "rest":
                self._rest()
            case "builtin":
                self._builtin()
            case "mcp":
                self._mcp()
            case "stub" | "client" | "python":
                pass
        if self.implementation != "mcp" and self.tools is not None:
            raise refuse(f"has tools, which only an MCP server has; its implementation is {self.implementation}")
        if self.implementation != "python" and self.python is not None:
            raise refuse(f"names a function in Python, but its implementation is {self.implementation}")
        if self.implementation != "builtin" and self.platform is not None:
            raise refuse(f"has a platform, which only a builtin has; its implementation is {self.implementation}")
        return self

    @property
    def parameters(self) -> dict[str, Parameter]:
        return self.input_schema.properties

    @property
    def target_origins(self) -> set[str]:
        """The names of the metadata that say where it leads: to which host, or to whose telephone."""
        names: set[str] = set()
        if self.implementation == "rest":
            names = set(PLACEHOLDER.findall(split_url(self.url or "")[1]))
        elif self.platform == "transfer":
            names = {"number", "callerId"}
        targets = [parameter for name, parameter in self.parameters.items() if name in names]
        return {str(one.origin).split(".", 1)[0] for one in targets if one.source == "metadata"}

    def _rest(self) -> None:
        for problem in rest_problems(self):
            raise refuse(problem)

    def _mcp(self) -> None:
        for problem in mcp_problems(self):
            raise refuse(problem)

    def _builtin(self) -> None:
        names = set(self.parameters)
        match self.platform:
            case None | "accept_transfer" | "reject_transfer":  # those are of the agent that asks whoever is rung
                raise refuse(
                    "is a builtin; write its platform: hangup, transfer, transfer_status, metadata, pause_recording, "
                    "resume_recording or dtmf"
                )
            case "hangup" | "transfer_status" | "pause_recording" | "resume_recording":
                if names:
                    raise refuse(f"takes no parameters, for {self.platform} has none; take out {_and(names)}")
            case "metadata":
                if names != {"keys"}:
                    raise refuse("has to have exactly one parameter, keys, for its platform is metadata")
            case "dtmf":
                self._dtmf(names)
            case "transfer":
                self._transfer(names)

    def _dtmf(self, names: set[str]) -> None:
        if names != {"digits"}:
            raise refuse("has to have exactly one parameter, digits, for its platform is dtmf")
        digits = self.parameters["digits"]
        if digits.type != "string":
            raise refuse("has digits that are no string; a key may be * or #, and the first one 0")
        for value in (digits.origin if digits.source == "static" else None, digits.default, *(digits.enum or ())):
            wrong = keys_problem(value) if isinstance(value, str) else None
            if wrong is not None:
                raise refuse(f"has digits that cannot be pressed: {value!r} {wrong}")

    def _transfer(self, names: set[str]) -> None:
        if "number" not in names:
            raise refuse("is a transfer; give it a parameter number")
        if self.parameters["number"].source == "generated":
            raise refuse("lets the model make up the number to transfer to; its source has to be static or metadata")
        for name in names - set(TRANSFER_PARAMETERS):
            meant = nearest(name, TRANSFER_PARAMETERS)
            raise refuse(
                f"is a transfer, which has no parameter {name!r}; "
                + (f"did you mean {meant}?" if meant else f"known are {', '.join(TRANSFER_PARAMETERS)}.")
            )
        prompt = self.parameters.get("transferPrompt")
        if prompt and prompt.source != "static":
            raise refuse("has a transferPrompt that is not static")
        number = self.parameters["number"]
        if number.source == "static" and target(str(number.origin)) is None:
            raise refuse("transfers to something that is no number; write one such as +442080996945, or a SIP address")
        operation = self.parameters.get("operation")
        if operation and operation.source == "static" and operation.origin not in ("blind", "consultative"):
            raise refuse("has an operation that is neither blind nor consultative")


class Key(Strict):
    """A credential for ``rest`` functions. Write-only: the API never gives it back."""

    name: str = Field(min_length=1, max_length=64)
    location: Literal["basic", "bearer", "header", "path", "query"] = Field(alias="in")
    value: SecretStr | None = None
    header: str | None = None
    username: str | None = None
    password: SecretStr | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        needed = {"basic": ("username", "password"), "header": ("header", "value")}.get(self.location, ("value",))
        missing = [name for name in needed if not getattr(self, name)]
        if missing:
            raise refuse(f"is for {self.location}, and needs {_and(missing)}")
        problem = header_problem(self.header) if self.location == "header" and self.header else None
        if problem is not None:
            raise refuse(problem)
        return self

    def reveal(self) -> dict[str, Any]:
        """As sent, secrets included: for the store, which encrypts it."""
        sent = self.as_sent()
        for name in ("value", "password"):
            secret: SecretStr | None = getattr(self, name)
            if secret is not None:
                sent[name] = secret.get_secret_value()
        return sent


def cross_check(functions: list[Function], keys: list[Key]) -> list[Problem]:
    """What is wrong between the parts: names given twice, and keys that are asked for and not there."""
    found: list[Problem] = []
    known = [key.name for key in keys]
    names = [function.name for function in functions]
    found += [Problem(f"functions[{i}].name", f"{n!r} is there twice") for i, n in enumerate(names) if n in names[:i]]
    found += [Problem(f"keys[{i}].name", f"{n!r} is there twice") for i, n in enumerate(known) if n in known[:i]]
    for i, function in enumerate(functions):
        if function.key is not None and function.key not in known:
            meant = nearest(function.key, known)
            hint = f"did you mean {meant}?" if meant else "add it to keys."
            found.append(Problem(f"functions[{i}].key", f"names {function.key!r}, which is not among keys; {hint}"))
        elif function.key is not None and function.implementation == "rest":
            problem = key_problem(function, keys[known.index(function.key)])
            if problem is not None:
                found.append(Problem(f"functions[{i}].key", problem))
        elif (
            function.implementation == "mcp"
            and function.key is not None
            and keys[known.index(function.key)].location in ("path", "query")
        ):
            found.append(Problem(f"functions[{i}].key", f"names {function.key!r}, which does not go into a header"))
    return found


def _and(names: set[str] | list[str]) -> str:
    return " and ".join(sorted(names))
