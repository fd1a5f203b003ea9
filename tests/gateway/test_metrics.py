from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from prometheus_client import REGISTRY, Gauge
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

from gateway import metrics

LABELS = {
    "operation",
    "by",
    "reason",
    "part",
    "outcome",
    "cause",
    "provider",
    "kind",
    "what",
    "unit",
    "hook",
    "function",
}
"""What calls are told apart by: closed lists all, and the names of providers and of functions of those who run the
service."""

ROOT = Path(__file__).parent.parent.parent


def ours() -> dict[str, MetricWrapperBase]:
    return {name: value for name, value in vars(metrics).items() if isinstance(value, MetricWrapperBase)}


def test_every_name_is_ours_and_every_label_is_bounded() -> None:
    assert len(ours()) > 15
    for name, metric in ours().items():
        assert metric._name.startswith("trunkline_"), name
        assert set(metric._labelnames) <= LABELS, name
        assert metric._documentation.endswith("."), name


def test_durations_are_histograms_in_seconds() -> None:
    for metric in ours().values():
        if metric._type == "histogram":
            assert metric._name.endswith("_seconds"), metric._name


def test_what_is_now_goes_with_the_process_that_had_it() -> None:
    gauges = [metric for metric in ours().values() if isinstance(metric, Gauge)]
    assert gauges
    assert {gauge._multiprocess_mode for gauge in gauges} == {"livesum"}


def test_what_is_served_can_be_read() -> None:
    metrics.calls_declined.labels("full").inc()
    families = {family.name: family for family in text_string_to_metric_families(metrics.render().decode())}
    assert {metric._name for metric in ours().values()} <= set(families)
    assert metrics.CONTENT_TYPE.startswith("text/plain")
    [declined] = [s for s in families["trunkline_calls_declined"].samples if s.labels == {"reason": "full"}
                  and s.name.endswith("_total")]  # fmt: skip
    assert declined.value == REGISTRY.get_sample_value("trunkline_calls_declined_total", {"reason": "full"})


def run(code: str, directory: Path) -> str:
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(directory)}
    done = subprocess.run(
        [sys.executable, "-c", f"from gateway import metrics\n{code}"],
        env=environment, cwd=ROOT, capture_output=True, text=True, timeout=100, check=True,
    )  # fmt: skip
    return done.stdout


def test_one_process_answers_for_all(tmp_path: Path) -> None:
    work = "metrics.calls_started.inc(2); metrics.turn_seconds.labels('heard').observe(0.4); metrics.calls_active.inc()"
    run(work, tmp_path)
    told = run(f"{work}\nprint(metrics.render().decode())", tmp_path)
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(told)
        for sample in family.samples
    }
    assert samples["trunkline_calls_started_total",] == 4
    assert samples["trunkline_turn_seconds_count", "heard"] == 2
    assert samples["trunkline_turn_seconds_bucket", "0.4", "heard"] == 2
    assert samples["trunkline_calls_active",] >= 1
    assert "pid" not in told, "processes are not told apart"
