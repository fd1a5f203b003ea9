"""Sound, and nothing else: typed audio, framing, G.711, resampling, voice activity, WAV and playout.

Everything here is pure: bytes and the time go in, bytes and events come out. Nothing imports asyncio or a socket.
"""
