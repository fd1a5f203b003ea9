"""``python -m gateway`` is ``trunkline``."""

from gateway.cli import main

main()
