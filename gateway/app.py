"""The service put together, top to bottom."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import structlog
from aiohttp import web

from gateway import api, metrics, playground
from gateway.admission import Admission
from gateway.api import messages
from gateway.auth import ensure_admin_key
from gateway.call_hooks import CallHooks
from gateway.callbacks import Callbacks
from gateway.caretaker import Caretaker
from gateway.clients import Clients
from gateway.dialler import Dialler
from gateway.elsewhere import Elsewhere
from gateway.equipment import Equipment
from gateway.factory import ProviderFactory
from gateway.feed import Feeds
from gateway.forgetting import Forgetting
from gateway.joining import Joining
from gateway.keys import (
    APPLICATIONS,
    CLIENTS,
    CREW,
    FEEDS,
    JOINING,
    LEASES,
    PROGRESS,
    PROVISIONER,
    RECORDINGS,
    SETTINGS,
    STOPPING,
    STORE,
    SWITCHBOARD,
)
from gateway.leases import Leases
from gateway.outside import Outside
from gateway.progress import Progress
from gateway.provisioner import Provisioner
from gateway.provisioning import Paced, Place, api_of, place_of, sync
from gateway.recorder import Recorder
from gateway.recordings.keeper import Recordings
from gateway.recordings.places import place_at
from gateway.routes import close_sockets, jambonz_routes, service_routes
from gateway.settings import Settings, is_loopback
from gateway.surroundings import PipelineFactory, Surroundings
from gateway.switchboard import Switchboard
from gateway.ticker import Ticker
from gateway.workers import switching
from gateway.workers.crew import Crew
from gateway.workers.routing import mark
from jambonz.rest import RestApi
from pipelines.tools.addresses import Guard, parse_networks
from store import Store

log = structlog.get_logger(__name__)


def create_app(settings: Settings, factory: PipelineFactory | None = None, crew: Crew | None = None) -> web.Application:
    """``factory`` makes the pipelines of calls; the one of the providers in ``settings``, unless a test has another.
    ``crew`` are the workers, where this is one of several."""
    app = web.Application(middlewares=[switching.switching(crew)] if crew else [])
    if crew is not None:
        app[CREW] = crew
        app.add_routes([*switching.routes(crew), web.post(messages.WORKER_PATH, messages.from_worker)])
    app[SETTINGS] = settings
    app[PROGRESS] = Progress()
    app[APPLICATIONS], app[STOPPING] = set(), asyncio.Event()
    app.on_shutdown.append(close_sockets)
    api.setup(app)
    app.add_routes(jambonz_routes())
    app.add_routes(service_routes())
    app.add_routes(playground.routes())

    async def running(app: web.Application) -> AsyncIterator[None]:
        store = await Store.open(settings.database, data_dir=settings.data_dir, **settings.credentials)
        equipment = Equipment.of(settings)
        providers = factory or await ProviderFactory.open(settings, equipment)
        clients = Clients(store)
        elsewhere = Elsewhere(store, app[PROGRESS], clients.wake)
        recorder = Recorder(store, is_watched=elsewhere.is_watched)
        admission, leases = Admission(store), Leases(store)
        caretaker = Caretaker(store, admission, leases, clients.revive)
        provisioner, jambonz, dialler = _provisioning(settings, store)
        if (unguarded := open_to_all(settings)) is not None:
            log.warning("webhooks are believed unsigned", reason=unguarded)
        app[PROVISIONER] = provisioner
        outside = Outside(Guard(parse_networks(settings.tool_networks or "")))
        hooks, callbacks = CallHooks(outside), Callbacks(outside)
        recordings = await _recordings(settings, store)
        elsewhere.asking.answer("recording", recordings.on_asked)
        elsewhere.asking.answer("message", partial(messages.on_asked, app))
        working = (recorder, admission, elsewhere, clients, recordings, Forgetting(store, settings.retention_days))
        beside = [asyncio.create_task(part.run(), name=type(part).__name__) for part in working]
        metrics.workers.inc()
        try:
            await caretaker.start()
            beside.append(asyncio.create_task(caretaker.run(), name="Caretaker"))
            new_key = await ensure_admin_key(store, settings)
            if new_key is not None:
                await asyncio.to_thread(_show_key, new_key)
            app[STORE] = store
            app[FEEDS] = Feeds(store, recorder, app[PROGRESS], elsewhere)
            app[CLIENTS] = clients
            app[LEASES] = leases
            app[RECORDINGS] = recordings
            around = Surroundings(
                providers,
                recorder,
                app[PROGRESS],
                Ticker(),
                store.find_agent,
                hooks,
                recordings,
                store.numbers.lines,
                clients,
                mark=mark(crew.slot) if crew is not None else "",
                callbacks=callbacks,
            )
            app[SWITCHBOARD] = Switchboard(
                store,
                admission,
                around,
                max_calls=settings.calls_at_once,
                secrets=[settings.jambonz_webhook_secret.get_secret_value()] if settings.jambonz_webhook_secret else [],
                api=jambonz,
                dialler=dialler,
            )
            app[JOINING] = Joining(store, app[SWITCHBOARD], around, elsewhere.asking, equipment)
            if crew is not None:
                crew.desk = app[SWITCHBOARD]
            beside.append(asyncio.create_task(provisioner.run(), name="Provisioner"))
            yield
            await app[SWITCHBOARD].live.drain(0)
            await asyncio.gather(hooks.close(), callbacks.close(), clients.close(), recordings.close())
            await recorder.close()  # after what these have noted
            await leases.close()
            await caretaker.leave()
        finally:
            metrics.workers.dec()
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            if jambonz is not None:
                await jambonz.close()
            await elsewhere.asking.close()
            if crew is not None:
                await crew.close()
            await admission.close()
            await outside.close()
            await providers.close()
            await equipment.close()
            await store.close()

    app.cleanup_ctx.append(running)
    return app


def open_to_all(settings: Settings) -> str | None:
    """What whoever runs the service may not have meant to be open; None where there is nothing."""
    if settings.jambonz_webhook_secret is None and not is_loopback(settings.host):
        return f"whoever reaches {settings.host} can post webhooks: set JAMBONZ_WEBHOOK_SECRET"
    return None


def _provisioning(settings: Settings, store: Store) -> tuple[Provisioner, RestApi | None, Dialler | None]:
    """Without a Jambonz it has nothing to do, and nobody is rung."""
    place = place_of(settings)
    if not isinstance(place, Place):
        if place is not None:
            log.warning("numbers are local", reason=place)
        return Provisioner(None), None, None
    api = api_of(place)
    paced, dialler = Paced(api), Dialler(api, place.account_sid, place.public_url)
    return Provisioner(lambda rest: sync(store, place, paced, rest=rest)), api, dialler


async def _recordings(settings: Settings, store: Store) -> Recordings:
    """Raises :class:`~gateway.recordings.places.PlaceError` where they can be put nowhere."""
    place = await asyncio.to_thread(place_at, settings.recordings_at, settings.s3_endpoint)
    return Recordings(store.recordings, settings.data_dir / "recording", place)


def _show_key(key: str) -> None:
    """Once, to people, and to nothing that keeps it."""
    print(f"\nThe first API key, shown this once (the database keeps only its hash):\n\n    {key}\n", flush=True)  # noqa: T201
