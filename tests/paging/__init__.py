"""How long a page of ``GET /api/calls`` takes with a million calls stored: ``python -m tests.paging``."""
