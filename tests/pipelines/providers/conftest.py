"""Which tests there are beside those that always run."""

from __future__ import annotations

import os

collect_ignore = [] if os.environ.get("TRUNKLINE_SMART_TURN_MODEL") else ["test_smart_turn_model.py"]
"""The weights of Smart Turn are no part of the project: who has them (and onnxruntime) sets the variable, and
`pytest tests/pipelines/providers/test_smart_turn_model.py` tests them as well."""
