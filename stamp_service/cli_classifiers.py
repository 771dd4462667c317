"""The commands of the classifiers: `stamp-service classify` and `stamp-service classifier`."""

import csv
import io
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Literal, get_args

import click
import orjson
from tqdm import tqdm

from stamp_service.alert_ingestion import open_sources
from stamp_service.classifiers import Classification, OnnxClassifier, open_model, open_models, running_of
from stamp_service.classifiers.conversion import DEFAULT_VERSION, Normalisation, convert
from stamp_service.errors import NotFound, PacketCorrupt, RequestError, TooLarge
from stamp_service.index import open_index
from stamp_service.lake.lakes import open_lakes
from stamp_service.packets import recognise
from stamp_service.resolver import AnyAlert, Resolver
from stamp_service.settings import Settings, load_settings
from stamp_service.sources import open_sources as open_stores_and_lakes
from stamp_service.stores import SchemaSource, open_schemas
from stamp_service.surveys import Survey, Surveys, load_surveys
from stamp_service.times import MJD_EPOCH

Form = Literal["table", "json", "csv"]

# Alerts that are read before they are classified: enough for all threads, and soon on the screen.
_BATCH = 256
_PAGE = 1000
# Stores answer slowly, so several packets are on their way at once.
_THREADS = 8


@click.group()
def classifier() -> None:
    """Stamp classifiers: make model directories."""


@dataclass(slots=True)
class _House:
    """What alerts are read with, and how many could not be."""

    settings: Settings
    surveys: Surveys
    schemas: SchemaSource
    refused: int = field(default=0)

    def refuse(self, what: str, reason: str) -> None:
        self.refused += 1
        tqdm.write(f"refused {what}: {reason}", file=sys.stderr)


@click.command()
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@click.option("--model", "model_name", required=True, help="A model directory, or the name of a model.")
@click.option("--object", "object_name", metavar="SURVEY/ID", help="The alerts of an object.")
@click.option("--survey", "survey_name", help="All alerts of a survey, or those of a time.")
@click.option("--since", help="With --survey: from when on, as a date (2026-01-31) or an MJD.")
@click.option("--until", help="With --survey: before when.")
@click.option("--rules", is_flag=True, help="Apply the rules around the model as well.")
@click.option("--json", "form", flag_value="json", help="One JSON object for each alert, a line each.")
@click.option("--csv", "form", flag_value="csv", help="A table with a column for each class.")
@click.pass_context
def classify(
    context: click.Context,
    *,
    sources: tuple[str, ...],
    model_name: str,
    object_name: str | None,
    survey_name: str | None,
    since: str | None,
    until: str | None,
    rules: bool,
    form: Form | None,
) -> None:
    """Classify the alerts of each SOURCE, of an object, or of a time, with a model.

    A SOURCE is a file of a packet, a folder with all that is in it, an archive of packets (.tar.gz, .tar), the
    date of a downloaded night (2018-06-26), `store` for all that is in the stores, or `store:SURVEY`.

    An alert that cannot be classified has a reason. Exit status 1 if something could not be read.
    """
    if sum(map(bool, (sources, object_name, survey_name))) != 1:
        raise click.UsageError("give one of SOURCE, --object and --survey")
    if (since or until) and not survey_name:
        raise click.UsageError("--since and --until go with --survey")
    settings = load_settings()
    house = _House(settings, load_surveys(settings.surveys_dir), open_schemas(settings))
    model = _open_model(model_name, settings)
    if sources:
        alerts, total = _from_sources(house, sources)
    else:
        alerts, total = _from_index(house, object_name, survey_name, _mjd(since), _mjd(until)), None
    write = _WRITERS[form or "table"](model)
    with tqdm(total=total, unit="alert", disable=None, leave=False) as bar:
        while batch := list(islice(alerts, _BATCH)):
            text = write(model.classify(batch, rules=rules))
            with bar.external_write_mode():
                click.echo(text, nl=False)
            bar.update(len(batch))
    context.exit(1 if house.refused else 0)


def _open_model(name: str, settings: Settings) -> OnnxClassifier:
    folder = Path(name)
    if folder.is_dir():
        return open_model(folder, running_of(settings))
    return open_models(settings).named(name, "--model")


def _mjd(text: str | None) -> float | None:
    """Read a time, UTC where it does not say."""
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        pass
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise RequestError(f"{text} is neither a date nor an MJD") from None
    return (time.replace(tzinfo=time.tzinfo or UTC) - MJD_EPOCH) / timedelta(days=1)


def _from_sources(house: _House, words: Sequence[str]) -> tuple[Iterator[AnyAlert], int | None]:
    """Read alerts as `ingest` does; gives how many there are, where that is known."""
    found = open_sources(words, house.settings, house.surveys)

    def read() -> Iterator[AnyAlert]:
        for source in found:
            for packet, name in source.read(house.refuse):
                try:
                    yield recognise(house.surveys, packet, house.schemas, house.settings.max_packet_bytes)
                except (PacketCorrupt, TooLarge) as error:
                    house.refuse(name, str(error))

    counts = [source.count for source in found]
    return read(), None if None in counts else sum(count or 0 for count in counts)


def _from_index(
    house: _House, object_name: str | None, survey_name: str | None, since: float | None, until: float | None
) -> Iterator[AnyAlert]:
    """Read the alerts that the index names."""
    settings = house.settings
    stores = open_stores_and_lakes(settings, house.surveys, open_lakes(settings, house.surveys))
    with (
        closing(open_index(settings)) as index,
        closing(Resolver(stores, house.schemas, max_packet_bytes=settings.max_packet_bytes)) as resolver,
    ):
        if object_name is not None:
            name, _, object_id = object_name.partition("/")
            survey = house.surveys.named(name, "--object")
            object_id = survey.check_object_id(object_id, "--object")
            yield from _fetch(
                house, resolver, survey, (one.alert_id for one in index.alerts_of(survey.name, object_id))
            )
            return
        survey = house.surveys.named(survey_name or "", "--survey")
        after, more = None, True
        while more:
            page = index.search(survey.name, since_mjd=since, until_mjd=until, limit=_PAGE, after=after)
            yield from _fetch(house, resolver, survey, (one.alert_id for one in page.alerts))
            after, more = page.after, page.after is not None


def _fetch(house: _House, resolver: Resolver, survey: Survey, alert_ids: Iterable[str]) -> Iterator[AnyAlert]:
    def fetch(alert_id: str) -> AnyAlert | None:
        try:
            return resolver.alert(survey, alert_id)
        except (NotFound, PacketCorrupt, TooLarge) as error:
            house.refuse(f"{survey.name} alert {alert_id}", str(error))
            return None

    with ThreadPoolExecutor(_THREADS) as pool:
        yield from filter(None, pool.map(fetch, alert_ids))


Writer = Callable[[Sequence[Classification]], str]


def _write_table(model: OnnxClassifier) -> Writer:
    columns = " ".join(f"{name:>9}" for name in model.classes)
    title = (
        f"{model.name} {model.version}: {model.definition.description}\n" if model.definition.description else ""
    )
    heading = iter([f"{title}{'alert':22} {'object':14} {columns}\n"])

    def write(found: Sequence[Classification]) -> str:
        rows = []
        for one in found:
            said = one.reason
            if one.probabilities is not None:
                said = " ".join(f"{one.probabilities[name]:9.4f}" for name in model.classes)
            rows.append(f"{one.alert_id:22} {one.object_id or '-':14} {said}\n")
        return "".join([next(heading, ""), *rows])

    return write


def _write_json(model: OnnxClassifier) -> Writer:
    def line(one: Classification) -> bytes:
        values = asdict(one)
        del values["rule"]
        return orjson.dumps(
            {"model": model.name, "version": model.version} | values, option=orjson.OPT_APPEND_NEWLINE
        )

    return lambda found: b"".join(map(line, found)).decode()


def _write_csv(model: OnnxClassifier) -> Writer:
    heading = iter([["model", "version", "alert_id", "object_id", *model.classes, "reason"]])

    def write(found: Sequence[Classification]) -> str:
        file = io.StringIO()
        rows = csv.writer(file, lineterminator="\n")
        rows.writerows(heading)
        for one in found:
            values = [(one.probabilities or {}).get(name) for name in model.classes]
            rows.writerow([model.name, model.version, one.alert_id, one.object_id, *values, one.reason])
        return file.getvalue()

    return write


_WRITERS: dict[Form, Callable[[OnnxClassifier], Writer]] = {
    "table": _write_table,
    "json": _write_json,
    "csv": _write_csv,
}


@classifier.command("convert")
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.option("--to", "target", required=True, type=click.Path(path_type=Path), help="The directory to make.")
@click.option("--name", help="What the model is called; as the directory by default.")
@click.option("--version", default=DEFAULT_VERSION, show_default=True, help="Its version.")
@click.option("--checkpoint", help="Which checkpoint, where SOURCE has several.")
@click.option("--normalisation", type=click.Choice(get_args(Normalisation)), help="Of the stamps of a Keras file.")
@click.option("--replace", is_flag=True, help="Replace a model directory that is there.")
def convert_model(
    source: Path,
    target: Path,
    *,
    name: str | None,
    version: str,
    checkpoint: str | None,
    normalisation: Normalisation | None,
    replace: bool,
) -> None:
    """Make a model directory out of SOURCE.

    SOURCE is a folder or a zip archive with a TensorFlow 1 checkpoint of one of ALeRCE's stamp classifiers in it,
    such as the model.zip of their releases, or a Keras HDF5 file of a real/bogus network, such as braai's. What it
    is, is seen from its content. How the stamps of a Keras file are normalised is not written in it: that is known
    for the published files, taken from names such as d6_m9, which is then said, and asked for otherwise.
    """
    made = convert(
        source,
        target,
        name=name,
        version=version,
        checkpoint=checkpoint,
        normalisation=normalisation,
        replace=replace,
    )
    click.echo(f"{made.name} {made.version}: {', '.join(made.classes)}")
    click.echo(made.description)
