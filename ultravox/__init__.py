"""Ultravox: a realtime model whose calls are made by REST and held over a socket of their own.

A call meets the modules in this order: :mod:`ultravox.calls` (what an agent means as a request),
:mod:`ultravox.rest` (the request), :mod:`ultravox.protocol` (the socket's messages, pure) and, when it is over,
:mod:`ultravox.webhook`. :mod:`ultravox.model` puts them together. Written against the API as of July 2026.
"""
