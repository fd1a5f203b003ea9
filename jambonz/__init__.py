"""Jambonz: what its webhooks say, the verbs it is answered with, and the listen socket that carries a call's audio.

A call meets the modules in this order: :mod:`jambonz.signature` (is the webhook genuine), :mod:`jambonz.hooks` (what it
says), :mod:`jambonz.verbs` (the answer), :mod:`jambonz.listen` (the socket's protocol, pure) and :mod:`jambonz.leg`
(that protocol on an aiohttp WebSocket). All were written against jambonz 0.9.x.
"""
