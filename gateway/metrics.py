"""What the service counts and times, for Prometheus. Labels are closed lists: never a call's or an agent's id.

With ``PROMETHEUS_MULTIPROC_DIR`` in the environment before this module is imported, every process writes its share
there, and any of them answers for all.
"""

from __future__ import annotations

import os

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

CONTENT_TYPE = CONTENT_TYPE_LATEST

_TURN_BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.2, 1.5, 2.0, 3.0, 5.0, 10.0)
_CALL_BUCKETS = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
_LAG_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)

calls_active = Gauge("trunkline_calls_active", "Calls under way.", multiprocess_mode="livesum")
calls_started = Counter("trunkline_calls_started", "Calls taken.")
calls_ended = Counter("trunkline_calls_ended", "Calls that were taken and are over, by how they ended.", ["reason"])
calls_declined = Counter("trunkline_calls_declined", "Calls not taken.", ["reason"])
calls_placed = Counter("trunkline_calls_placed", "Calls that were placed, by what became of the ringing.", ["outcome"])
answers = Counter("trunkline_answers", "Who has answered calls that were placed.", ["by"])
calls_without_store = Counter("trunkline_calls_without_store", "Calls answered as before while the database was away.")
call_seconds = Histogram("trunkline_call_seconds", "How long calls lasted.", buckets=_CALL_BUCKETS)
turn_seconds = Histogram(
    "trunkline_turn_seconds",
    "From the end of the caller's speech to each part of the answer: its transcript, the decision that the turn is "
    "over, the model's first token, the voice's first sound, and the first sound at the caller's ear.",
    ["part"],
    buckets=_TURN_BUCKETS,
)
barge_ins = Counter("trunkline_barge_ins", "Times the caller spoke over the agent.", ["outcome"])
barge_in_seconds = Histogram(
    "trunkline_barge_in_seconds",
    "From the caller's onset to the agent being told to be silent.",
    buckets=(0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.15, 0.2, 0.3, 0.5, 1.0),
)
guesses = Counter("trunkline_guesses", "Answers prepared before the turn was certainly over.", ["outcome"])
underruns = Counter("trunkline_underruns", "Gaps in the middle of a phrase at the caller's ear.", ["cause"])
underrun_seconds = Counter("trunkline_underrun_seconds", "How long they lasted together.")
provider_errors = Counter("trunkline_provider_errors", "Failures of providers.", ["part", "provider", "kind"])
functions_stray = Gauge(
    "trunkline_functions_stray",
    "Runs of functions in Python that go on past their time.",
    ["function"],
    multiprocess_mode="livesum",
)
functions_refused = Counter(
    "trunkline_functions_refused", "Functions in Python not run: too many runs of them go on.", ["function"]
)
circuits_opened = Counter(
    "trunkline_circuits_opened",
    "Providers not asked for a while: they failed again and again.",
    ["part", "provider"],
)
fallbacks = Counter("trunkline_fallbacks", "Calls that somebody else went on with, by who.", ["kind"])
transfers = Counter("trunkline_transfers", "Transfers that are over, by how.", ["operation", "by", "outcome"])
watchdogs = Counter("trunkline_watchdogs", "Silence where there should have been none, by what was missing.", ["what"])
model_notes = Counter("trunkline_model_notes", "What realtime models did, or was done for them.", ["what"])
tool_calls = Counter("trunkline_tool_calls", "Tools run.")
tool_seconds = Histogram(
    "trunkline_tool_seconds",
    "How long functions took, by their implementation and what became of them.",
    ["kind", "outcome"],
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
usage = Counter("trunkline_usage", "What providers report to have been used.", ["part", "provider", "unit"])
hooks_refused = Counter("trunkline_hooks_refused", "Webhooks refused.", ["hook", "reason"])
applications_refused = Counter(
    "trunkline_applications_refused", "Jambonz's application sockets that were refused, or closed by us.", ["reason"]
)
applications_reconnected = Counter(
    "trunkline_applications_reconnected", "Application sockets that took the place of one that was lost."
)
application_errors = Counter("trunkline_application_errors", "What Jambonz says it could not do, on those sockets.")
legs_refused = Counter("trunkline_legs_refused", "Media sockets refused.", ["reason"])
sockets_lost = Counter(
    "trunkline_sockets_lost", "Media sockets lost in the middle of calls, by whether the caller came back.", ["outcome"]
)
recordings = Counter("trunkline_recordings", "Recordings of calls, by what became of them.", ["outcome"])
events_lost = Counter("trunkline_events_lost", "Events of calls that could not be stored.")
calls_deleted = Counter("trunkline_calls_deleted", "Calls that were kept for long enough.")
call_hooks = Counter("trunkline_call_hooks", "Webhooks at the start and end of calls.", ["hook", "outcome"])
callbacks = Counter("trunkline_callbacks", "Events of calls, posted to the agent's callbackUrl.", ["outcome"])
watchers_closed = Counter("trunkline_watchers_closed", "Progress sockets that we closed, by why.", ["reason"])
reaped = Counter("trunkline_reaped", "Freed because a lease was over, or nobody had it, by what.", ["what"])
renewals_failed = Counter("trunkline_renewals_failed", "Times this process could not renew its lease.")
places_settled = Counter("trunkline_places_settled", "Places of calls that were held and that no call had.")
provisioning_runs = Counter(
    "trunkline_provisioning_runs", "Times Jambonz was brought to what the database wants, by how it went.", ["outcome"]
)
provisioning_retries = Counter("trunkline_provisioning_retries", "Of them, those that were begun again at once.")
provisioning_steps = Counter("trunkline_provisioning_steps", "Changes made in Jambonz, or not.", ["outcome"])
workers = Gauge("trunkline_workers", "Processes of this service.", multiprocess_mode="livesum")
workers_restarted = Counter("trunkline_workers_restarted", "Workers started in place of one that was gone.")
workers_passed = Counter("trunkline_workers_passed", "What came to one worker and was another's.", ["what"])
workers_unreached = Counter("trunkline_workers_unreached", "Times a worker could not reach another.", ["reason"])
loop_lag = Histogram(
    "trunkline_loop_lag_seconds", "How late the ticker of the audio came.", buckets=_LAG_BUCKETS
)  # fmt: skip


def render() -> bytes:
    """The text that Prometheus reads; of all processes, where there are several. Reads files then: not on the loop."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
