"""Where the application keeps what all its handlers need: typed keys."""

from __future__ import annotations

import asyncio

from aiohttp import web

from gateway.application import ApplicationSocket
from gateway.auth import Doorkeeper
from gateway.catalogue import Catalogue
from gateway.clients import Clients
from gateway.feed import Feeds
from gateway.joining import Joining
from gateway.leases import Leases
from gateway.progress import Progress
from gateway.provisioner import Provisioner
from gateway.recordings.keeper import Recordings
from gateway.settings import Settings
from gateway.switchboard import Switchboard
from gateway.workers.crew import Crew
from store import Store
from store.accounts import Identity

SETTINGS = web.AppKey("settings", Settings)
STORE = web.AppKey("store", Store)
CATALOGUE = web.AppKey("catalogue", Catalogue)
PROGRESS = web.AppKey("progress", Progress)
FEEDS = web.AppKey("feeds", Feeds)
CLIENTS = web.AppKey("clients", Clients)
JOINING = web.AppKey("joining", Joining)
LEASES = web.AppKey("leases", Leases)
PROVISIONER = web.AppKey("provisioner", Provisioner)
RECORDINGS = web.AppKey("recordings", Recordings)
SWITCHBOARD = web.AppKey("switchboard", Switchboard)
APPLICATIONS = web.AppKey("applications", set[ApplicationSocket])
"""Jambonz's application sockets that are open."""

STOPPING = web.AppKey("stopping", asyncio.Event)
"""The calls are over, and so is what tells of them."""

DOORKEEPER = web.AppKey("doorkeeper", Doorkeeper)
CREW = web.AppKey("crew", Crew)
"""Only where this process is one of several workers."""

IDENTITY = web.RequestKey("identity", Identity)
"""Whom a request under /api acts for, and what it may do."""
