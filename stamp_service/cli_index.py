"""The `stamp-service index` commands."""

import sys
import time
from collections import Counter
from contextlib import closing

import click
from tqdm import tqdm

from stamp_service.index import AlertIndex, open_index
from stamp_service.rebuilding import rebuild
from stamp_service.settings import Settings, load_settings
from stamp_service.stores import ListedStore, listed_stores, open_schemas, open_stores
from stamp_service.surveys import Survey, load_surveys


@click.group()
def index() -> None:
    """Look after the index: which alerts there are, by object, time and position."""


@index.command("rebuild")
@click.argument("survey_names", metavar="[SURVEY]...", nargs=-1)
@click.option("--all", "known_too", is_flag=True, help="Read what is in the index again, too.")
@click.pass_context
def rebuild_index(context: click.Context, survey_names: tuple[str, ...], known_too: bool) -> None:
    """Enter the alerts that are in the stores of surveys, of all if none is named, and not in the index.

    The service may run meanwhile. A command that was stopped is simply given again. What is in the index stays,
    and is read again with `--all` only: after the survey's definition changed, for instance. Exit status 1 if
    anything was refused.
    """
    settings = load_settings()
    surveys = load_surveys(settings.surveys_dir)
    chosen = [surveys.named(name, "SURVEY") for name in survey_names] or list(surveys.values())
    stores = open_stores(settings, surveys)
    listed = {survey.name: listed_stores(survey, stores[survey.name]) for survey in chosen}
    refused = 0
    with closing(open_index(settings)) as found:
        for survey in chosen:
            for store in listed[survey.name]:
                refused += _rebuild(found, store, survey, settings, known_too=known_too)
    for opened in {id(store): store for ordered in stores.values() for store in ordered}.values():
        opened.close()
    context.exit(1 if refused else 0)


def _rebuild(found: AlertIndex, store: ListedStore, survey: Survey, settings: Settings, *, known_too: bool) -> int:
    """Go through a store, and say how it went; gives how many were refused."""
    counts, kinds = Counter[str](), Counter[str]()
    title = f"{survey.name} ({store.name})"
    started_s = time.monotonic()
    with tqdm(desc=title, unit="alert", disable=None, leave=False) as bar:
        for part in rebuild(
            found,
            store,
            survey,
            open_schemas(settings),
            max_packet_bytes=settings.max_packet_bytes,
            known_too=known_too,
        ):
            counts.update(entered=part.entered, known=part.known, refused=len(part.refused))
            for refusal in part.refused:
                kinds[refusal.kind] += 1
                tqdm.write(f"refused {survey.name} {refusal.alert_id}: {refusal.reason}", file=sys.stderr)
            bar.update(part.entered + part.known + len(part.refused))
    rate = counts.total() / max(time.monotonic() - started_s, 1e-3)
    parts = [f"entered {counts['entered']}"]
    parts += [f"{counts['known']} were there already"] if counts["known"] else []
    if counts["refused"]:
        reasons = "; ".join(f"{count}: {kind}" for kind, count in kinds.most_common())
        parts.append(f"refused {counts['refused']} ({reasons})")
    click.echo(f"{title}: {', '.join(parts)}; {rate:.0f} alerts/s")
    return counts["refused"]
