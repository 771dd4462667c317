"""Where the schemas of wire-format packets come from: a folder, and a schema registry.

The packet carries only a number. In the folder, `{number}.avsc` is a whole schema, and Rubin's own files
are found by their layout: 900 is version 9.0, `lsst.v9_0.alert.avsc` with its parts `lsst.v9_0.diaSource.avsc`
and so on beside it.
"""

import os
import re
import secrets
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit, urlunsplit

import orjson

from stamp_service.errors import NotFound, PacketCorrupt, StoreUnavailable, TooLarge
from stamp_service.packets.schema import Schema, assemble_schema, full_name, read_schema, rubin_namespace
from stamp_service.remote.processes import PerProcess
from stamp_service.remote.retries import persist
from stamp_service.settings import Settings
from stamp_service.stores.fetching import Fetcher
from stamp_service.stores.hosts import HostRules, host_of

_SUFFIX = ".avsc"
_FILE_STEM = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_MAX_ANSWER_BYTES = 4 * 1024 * 1024
_CONNECT_TIMEOUT_S, _READ_TIMEOUT_S, _TOTAL_TIMEOUT_S = 3.0, 10.0, 15.0
_ATTEMPTS = 2
# How long an unknown number is believed to stay unknown, and how many are remembered.
_ABSENCE_LASTS_S = 30.0
_MAX_ABSENT = 1024


class SchemaSource(Protocol):
    """Something that knows schemas by number."""

    def schema(self, schema_id: int) -> Schema:
        """Find a schema.

        Parameters
        ----------
        schema_id : int
            Its number, as in a packet.

        Returns
        -------
        Schema
            The schema as parsed JSON, self-contained.

        Raises
        ------
        NotFound
            If there is none of this number.
        StoreUnavailable
            If the source could not be asked.
        """
        ...


class FolderSchemas:
    """Schemas in a folder of `.avsc` files; each is read once.

    Parameters
    ----------
    folder : pathlib.Path
        The folder; it need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[int, Schema] = {}

    def schema(self, schema_id: int) -> Schema:
        """Find a schema.

        Parameters
        ----------
        schema_id : int
            Its number.

        Returns
        -------
        Schema
            The schema, self-contained.

        Raises
        ------
        NotFound
            If the folder has none of this number.
        StoreUnavailable
            If its files cannot be read.
        """
        known = self._known.get(schema_id)
        if known is None:
            try:
                known = self._known[schema_id] = self._read(schema_id)
            except (OSError, PacketCorrupt) as error:
                raise StoreUnavailable(f"schema {schema_id} in the schema folder cannot be read") from error
        return known

    def _read(self, schema_id: int) -> Schema:
        whole = self._folder / f"{schema_id}{_SUFFIX}"
        if whole.is_file():
            return read_schema(whole.read_bytes())
        namespace = rubin_namespace(schema_id)
        if not (self._folder / f"{namespace}.alert{_SUFFIX}").is_file():
            raise NotFound(f"there is no schema {schema_id}")
        parts = sorted(self._folder.glob(f"{namespace}.*{_SUFFIX}"))
        return assemble_schema([read_schema(part.read_bytes()) for part in parts], f"{namespace}.alert")


class RegistrySchemas:
    """Schemas of a Confluent schema registry; what was found is kept for ever, since it never changes.

    Parameters
    ----------
    url : str
        Address of the registry, with user and password where it asks for them.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._auth = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
        self._url = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))
        self._rules = HostRules([host_of(url)])
        self._fetcher = PerProcess(
            lambda: Fetcher("the schema registry", self._rules, _CONNECT_TIMEOUT_S, _READ_TIMEOUT_S)
        )
        self._known: dict[int, Schema] = {}
        self._absent: dict[int, float] = {}
        self._lock = threading.Lock()

    def schema(self, schema_id: int) -> Schema:
        """Find a schema.

        Parameters
        ----------
        schema_id : int
            Its number.

        Returns
        -------
        Schema
            The schema.

        Raises
        ------
        NotFound
            If the registry has none of this number.
        StoreUnavailable
            If it could not be asked.
        """
        known = self._known.get(schema_id)
        if known is not None:
            return known
        absent = NotFound(f"there is no schema {schema_id}")
        if self._absent.get(schema_id, 0.0) > time.monotonic():
            raise absent
        found = self._ask(schema_id)
        if found is None:
            self._note_absence(schema_id)
            raise absent
        self._known[schema_id] = found
        return found

    def _note_absence(self, schema_id: int) -> None:
        with self._lock:
            if len(self._absent) >= _MAX_ABSENT:
                self._absent.clear()
            self._absent[schema_id] = time.monotonic() + _ABSENCE_LASTS_S

    def _ask(self, schema_id: int) -> Schema | None:
        deadline = time.monotonic() + _TOTAL_TIMEOUT_S
        url = f"{self._url.rstrip('/')}/schemas/ids/{schema_id}"
        nonsense = StoreUnavailable("the schema registry answered with something that is not a schema")
        try:
            answer = persist(
                lambda _: self._fetcher().fetch(
                    url, self._rules, limit_bytes=_MAX_ANSWER_BYTES, deadline=deadline, auth=self._auth
                ),
                _ATTEMPTS,
                deadline,
            )
            body: Any = orjson.loads(answer.body)
        except (TooLarge, ValueError) as error:
            raise nonsense from error
        # A proxy's 404 is HTML; the registry's is JSON, and only that one means that there is no such schema.
        if not isinstance(body, dict) or answer.status not in {200, 404}:
            raise nonsense
        if answer.status == 404 or body.get("schemaType", "AVRO") != "AVRO":
            return None
        try:
            return read_schema(str(body["schema"]).encode())
        except (KeyError, PacketCorrupt) as error:
            raise nonsense from error

    def close(self) -> None:
        """Close this process's connections."""
        fetcher = self._fetcher.take()
        if fetcher is not None:
            fetcher.close()


class SchemaChain:
    """Several sources, asked in order.

    Parameters
    ----------
    sources : sequence of SchemaSource
        The sources.
    """

    def __init__(self, sources: Sequence[SchemaSource]) -> None:
        self._sources = tuple(sources)

    def schema(self, schema_id: int) -> Schema:
        """Find a schema.

        Parameters
        ----------
        schema_id : int
            Its number.

        Returns
        -------
        Schema
            From the first source that has it.

        Raises
        ------
        NotFound
            If every source said that it has none of this number.
        StoreUnavailable
            If one could not be asked and no other has it.
        """
        failure: StoreUnavailable | None = None
        for source in self._sources:
            try:
                return source.schema(schema_id)
            except NotFound:
                continue
            except StoreUnavailable as error:
                failure = failure or error
        raise failure or NotFound(f"there is no schema {schema_id}")


def open_schemas(settings: Settings) -> SchemaChain:
    """Make the sources that the settings name: the folder, then the registry.

    Parameters
    ----------
    settings : Settings
        The settings.

    Returns
    -------
    SchemaChain
        The sources.
    """
    sources: list[SchemaSource] = [FolderSchemas(settings.schemas_path)]
    if settings.schema_registry_url:
        sources.append(RegistrySchemas(settings.schema_registry_url))
    return SchemaChain(sources)


def import_schema(file: Path, folder: Path) -> str:
    """Copy a schema file into the folder that `FolderSchemas` reads, under the name by which it is found.

    Parameters
    ----------
    file : pathlib.Path
        An `.avsc` file.
    folder : pathlib.Path
        The folder; made if it does not exist.

    Returns
    -------
    str
        The file's name there: its own if that is a number, otherwise the type's full name.

    Raises
    ------
    PacketCorrupt
        If it is not a schema of a named type.
    StoreUnavailable
        If it cannot be copied.
    """
    try:
        text = file.read_bytes()
        name = _name_file(file, read_schema(text))
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f"{secrets.token_hex(8)}.part"
        try:
            with part.open("xb") as copy:
                copy.write(text)
                copy.flush()
                os.fsync(copy.fileno())
            part.replace(folder / name)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise StoreUnavailable("the schema could not be copied into the schema folder") from error
    return name


def _name_file(file: Path, schema: Schema) -> str:
    record = schema[-1] if isinstance(schema, list) and schema else schema
    if not isinstance(record, dict):
        raise PacketCorrupt("the schema is not that of a named type")
    stem = full_name(record, "")
    if _FILE_STEM.fullmatch(stem) is None:
        raise PacketCorrupt("the schema's name is malformed")
    return f"{file.stem if file.stem.isdecimal() else stem}{_SUFFIX}"


def import_schemas(files: Iterable[Path], folder: Path) -> dict[Path, str | None]:
    """Copy schema files, and say which were refused.

    Parameters
    ----------
    files : iterable of pathlib.Path
        `.avsc` files.
    folder : pathlib.Path
        The folder that `FolderSchemas` reads.

    Returns
    -------
    dict of pathlib.Path to str or None
        Why each was refused; None for those that were copied.
    """
    outcomes: dict[Path, str | None] = {}
    for file in files:
        try:
            import_schema(file, folder)
            outcomes[file] = None
        except (PacketCorrupt, StoreUnavailable) as error:
            outcomes[file] = str(error)
    return outcomes
