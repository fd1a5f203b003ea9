"""Recordings of calls: written as a stream while the call lasts, sealed, then put where they belong."""
