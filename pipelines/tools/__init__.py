"""What the agent can do: its functions, their parameters, and what comes of them. One :class:`Toolbox` for each call,
whatever its model."""

from pipelines.tools.toolbox import Toolbox, ToolResult

__all__ = ["ToolResult", "Toolbox"]
