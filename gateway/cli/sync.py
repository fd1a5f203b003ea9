"""``trunkline numbers sync``: one run of what the service does by itself, or what it would do."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import click

from gateway.cli.database import in_store
from gateway.cli.flags import BAD_SETTINGS
from gateway.provisioning import Place, Run, api_of, place_of, preview, sync
from gateway.settings import Settings
from jambonz.provisioning.steps import sentence
from jambonz.rest import Refused, Unavailable
from store import Store

NO_JAMBONZ = "JAMBONZ_SERVER is not set: numbers are local, and there is nothing to bring up to date"
BUSY = "a running service is at it just now; try again in a minute"


def synchronise(settings: Settings, *, dry_run: bool, as_json: bool) -> None:
    place = place_of(settings)
    if not isinstance(place, Place):
        click.echo(place or NO_JAMBONZ, err=True)
        sys.exit(BAD_SETTINGS)

    async def work(store: Store) -> Run:
        api = api_of(place)
        try:
            if not dry_run:
                return await sync(store, place, api)
            planned = await preview(store, place, api)
            return Run("done", planned, list(planned.problems))
        except (Unavailable, Refused) as error:
            return Run("unavailable", problems=[f"Jambonz: {error}"])
        finally:
            await api.close()

    run = in_store(settings, work)
    if run.outcome == "busy":
        run.problems.append(BUSY)
    steps = run.plan.steps if dry_run else run.done
    _show([sentence(step) for step in steps], run, dry_run=dry_run, as_json=as_json)
    sys.exit(0 if run.outcome == "done" and (dry_run or not run.problems) else 1)


def _show(steps: Sequence[str], run: Run, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"dryRun": dry_run, "outcome": run.outcome, "steps": steps, "problems": run.problems}))
        return
    for step in steps:
        click.echo(f"would {step}" if dry_run else step)
    for problem in run.problems:
        click.echo(f"problem: {problem}", err=True)
    if run.outcome == "done" and not steps and not run.problems:
        click.echo("Jambonz is as it should be")
