"""The definition of an agent: what people send to the API, and what a call runs on."""

from pipelines.agent.definition import AgentDefinition
from pipelines.agent.functions import Function, InputSchema, Key, Parameter
from pipelines.agent.modelname import HANDLERS, PROVIDERS, ModelName, number_pool
from pipelines.agent.options import AgentOptions, Greeting
from pipelines.agent.strict import Problem, Strict, nearest, problems, sentence

__all__ = [
    "HANDLERS",
    "PROVIDERS",
    "AgentDefinition",
    "AgentOptions",
    "Function",
    "Greeting",
    "InputSchema",
    "Key",
    "ModelName",
    "Parameter",
    "Problem",
    "Strict",
    "nearest",
    "number_pool",
    "problems",
    "sentence",
]
