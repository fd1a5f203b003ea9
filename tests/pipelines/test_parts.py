from __future__ import annotations

import json
from typing import Any

import pytest

from pipelines.json_text import json_object
from pipelines.parts import ToolCall


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ('{"day": 3, "at": 1.5, "more": {"b": true}}', {"day": 3, "at": 1.5, "more": {"b": True}}),
        ('{"amount": 1e999, "list": [1, -1e999, {"x": NaN}], "to": Infinity}',
         {"amount": "inf", "list": [1, "-inf", {"x": "nan"}], "to": "inf"}),
        ('{"a":' * 700 + "1" + "}" * 700, None),
    ],
    ids=["as it is", "infinite", "too deep"],
)  # fmt: skip
def test_what_a_tool_is_called_with_can_be_told_to_others(written: str, kept: Any) -> None:
    arguments = json_object(written)
    assert arguments is not None
    call = ToolCall("1", "pay", arguments)
    assert kept is None or call.arguments == kept
    json.dumps(call.arguments, allow_nan=False)
