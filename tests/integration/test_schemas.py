"""Schema sources: a folder in Rubin's layout, and a registry."""

import json
import socket
import time

import pytest

from stamp_service.errors import NotFound, PacketCorrupt, StoreTimeout
from stamp_service.packets import open_alert
from stamp_service.settings import Settings
from stamp_service.stores import (
    FolderSchemas,
    RegistrySchemas,
    SchemaChain,
    import_schema,
    import_schemas,
    open_schemas,
)
from tests.contracts.store import assert_unavailable
from tests.integration.services.faults import hang, http

SOURCE = {
    "type": "record",
    "name": "diaSource",
    "namespace": "lsst.v7_4",
    "fields": [{"name": "id", "type": "long"}],
}
ALERT = {
    "type": "record",
    "name": "alert",
    "namespace": "lsst.v7_4",
    "fields": [
        {"name": "diaSourceId", "type": "long"},
        {"name": "diaSource", "type": "lsst.v7_4.diaSource"},
        {"name": "prv", "type": ["null", {"type": "array", "items": "diaSource"}]},
    ],
}
WHOLE = {"type": "record", "name": "thing", "fields": [{"name": "a", "type": "int"}]}
UNKNOWN = http(404, b'{"error_code":40403,"message":"Schema not found"}')


def found(schema, **more):
    return http(200, json.dumps({"schema": json.dumps(schema), **more}).encode())


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "schemas"
    folder.mkdir()
    (folder / "lsst.v7_4.alert.avsc").write_text(json.dumps(ALERT))
    (folder / "lsst.v7_4.diaSource.avsc").write_text(json.dumps(SOURCE))
    (folder / "17.avsc").write_text(json.dumps(WHOLE))
    return folder


class TestFolder:
    def test_puts_named_parts_together(self, folder):
        schema = FolderSchemas(folder).schema(704)
        assert schema["name"] == "alert"
        assert schema["namespace"] == "lsst.v7_4"
        assert schema["fields"][1]["type"]["fields"] == SOURCE["fields"]
        assert schema["fields"][2]["type"][1]["items"] == "lsst.v7_4.diaSource"

    def test_finds_whole_schemas_by_number(self, folder):
        assert FolderSchemas(folder).schema(17) == WHOLE

    @pytest.mark.parametrize("schema_id", [0, 1, 703, 740, 7004, 2**31])
    def test_knows_no_others(self, folder, schema_id):
        with pytest.raises(NotFound):
            FolderSchemas(folder).schema(schema_id)

    def test_need_not_exist(self, tmp_path):
        with pytest.raises(NotFound):
            FolderSchemas(tmp_path / "none").schema(900)

    def test_reads_a_schema_once(self, folder):
        schemas = FolderSchemas(folder)
        schemas.schema(17)
        (folder / "17.avsc").unlink()
        assert schemas.schema(17) == WHOLE

    def test_sees_a_schema_that_comes_later(self, folder):
        schemas = FolderSchemas(folder)
        with pytest.raises(NotFound):
            schemas.schema(18)
        (folder / "18.avsc").write_text(json.dumps(WHOLE))
        assert schemas.schema(18) == WHOLE

    @pytest.mark.parametrize("text", ["not JSON", "1", '{"type": "record"'])
    def test_that_cannot_be_read_is_unavailable(self, folder, text):
        (folder / "17.avsc").write_text(text)
        assert_unavailable(lambda: FolderSchemas(folder).schema(17), says="schema 17")

    def test_without_a_part_is_unavailable(self, folder):
        (folder / "lsst.v7_4.diaSource.avsc").unlink()
        assert_unavailable(lambda: FolderSchemas(folder).schema(704), says="schema 704")

    def test_opens_a_real_packet(self, shared_data, surveys):
        schemas = FolderSchemas(shared_data / "alerts/lsst/schema")
        packet = (shared_data / "alerts/lsst/7912941781254298.wire").read_bytes()
        alert = open_alert(surveys["lsst"], "7912941781254298", packet, schemas)
        assert alert.kinds() == ("science", "template", "difference")


class TestImport:
    def test_copies_under_the_name_by_which_it_is_found(self, folder, tmp_path):
        into = tmp_path / "data" / "schemas"
        for number, file in enumerate(sorted(folder.iterdir())):
            odd = tmp_path / (file.name if file.stem.isdecimal() else f"part {number}.avsc")
            odd.write_bytes(file.read_bytes())
            import_schema(odd, into)
        assert {file.name for file in into.iterdir()} == {file.name for file in folder.iterdir()}
        assert FolderSchemas(into).schema(704)
        assert FolderSchemas(into).schema(17) == WHOLE

    def test_replaces(self, folder, tmp_path):
        (folder / "17.avsc").write_text(json.dumps(WHOLE | {"doc": "new"}))
        import_schema(folder / "17.avsc", tmp_path / "into")
        (folder / "17.avsc").write_text(json.dumps(WHOLE))
        import_schema(folder / "17.avsc", tmp_path / "into")
        assert FolderSchemas(tmp_path / "into").schema(17) == WHOLE

    @pytest.mark.parametrize(
        "schema",
        ["int", [], 5, {"type": "array", "items": "int"}, {"type": "record", "name": "../../x", "fields": []}],
    )
    def test_refuses_what_is_no_schema_of_a_named_type(self, tmp_path, schema):
        (tmp_path / "a.avsc").write_text(json.dumps(schema))
        with pytest.raises(PacketCorrupt):
            import_schema(tmp_path / "a.avsc", tmp_path / "into")
        assert not (tmp_path / "into").exists()
        assert not (tmp_path.parent / "x.avsc").exists()

    def test_says_what_was_refused_and_why(self, folder, tmp_path):
        (folder / "bad.avsc").write_text("not JSON")
        files = [folder / "17.avsc", folder / "bad.avsc", folder / "missing.avsc"]
        outcomes = import_schemas(files, tmp_path / "into")
        assert outcomes[files[0]] is None
        assert "JSON" in outcomes[files[1]]
        assert outcomes[files[2]]
        assert [file.name for file in (tmp_path / "into").iterdir()] == ["17.avsc"]


class TestRegistry:
    @pytest.fixture
    def open_registry(self):
        opened = []

        def open_one(url):
            opened.append(RegistrySchemas(url))
            return opened[-1]

        yield open_one
        for registry in opened:
            registry.close()

    @pytest.mark.parametrize("end", ["", "/", "/registry", "/registry/"])
    def test_asks_by_number(self, fault_server, open_registry, end):
        server = fault_server(found(WHOLE))
        assert open_registry(server.url + end).schema(900) == WHOLE
        path = f"{end.rstrip('/')}/schemas/ids/900"
        assert server.requests[0].startswith(f"GET {path} HTTP/1.1")

    def test_asks_once_for_what_it_has(self, fault_server, open_registry):
        server = fault_server(found(WHOLE), http(500))
        registry = open_registry(server.url)
        assert registry.schema(900) == registry.schema(900) == WHOLE
        assert len(server.requests) == 1

    def test_believes_for_a_while_that_there_is_none(self, fault_server, open_registry, monkeypatch):
        server = fault_server(UNKNOWN, found(WHOLE))
        registry = open_registry(server.url)
        for _ in range(3):
            with pytest.raises(NotFound):
                registry.schema(900)
        assert len(server.requests) == 1
        later = time.monotonic() + 60
        monkeypatch.setattr(time, "monotonic", lambda: later)
        assert registry.schema(900) == WHOLE

    def test_remembers_a_bounded_number_of_absent_ones(self, fault_server, open_registry):
        registry = open_registry(fault_server(UNKNOWN).url)
        for schema_id in range(3000):
            registry._note_absence(schema_id)
        assert len(registry._absent) <= 1024

    def test_sends_its_password_to_itself_alone_and_shows_it_to_nobody(self, fault_server, open_registry):
        server = fault_server(found(WHOLE), http(403, b"{}"))
        registry = open_registry(server.url.replace("//", "//reader:s%40cret@"))
        registry.schema(1)
        assert "authorization: basic cmvhzgvyonnay3jlda==" in server.requests[0].lower()
        error = assert_unavailable(lambda: registry.schema(2))
        assert "reader" not in str(error)

    @pytest.mark.parametrize(
        "answer",
        [
            http(404, b"<html>nginx</html>"),
            http(200, b"<html>nginx</html>"),
            http(401, b'{"error_code":401}'),
            http(403, b'{"error_code":403}'),
            http(500, b'{"error_code":50001}'),
            http(200, b"{}"),
            http(200, b"[]"),
            http(200, b'{"schema": "not JSON"}'),
            http(302, headers={"Location": "http://localhost:1/"}),
            http(200, b"{", announced=2**40),
        ],
    )
    def test_other_answers_are_unavailable(self, fault_server, open_registry, answer):
        registry = open_registry(fault_server(answer).url)
        assert_unavailable(lambda: registry.schema(900), says="schema registry")

    def test_other_kinds_of_schemas_are_none(self, fault_server, open_registry):
        registry = open_registry(fault_server(found(WHOLE, schemaType="PROTOBUF")).url)
        with pytest.raises(NotFound):
            registry.schema(900)

    def test_nobody_listens(self, open_registry):
        registry = open_registry("http://127.0.0.1:1")
        assert_unavailable(lambda: registry.schema(900), says="schema registry")

    def test_trouble_that_passes(self, fault_server, open_registry):
        assert open_registry(fault_server(http(503), found(WHOLE)).url).schema(900) == WHOLE


class Source:
    def __init__(self, outcome):
        self.outcome = outcome

    def schema(self, schema_id):
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


class TestChain:
    ABSENT, DOWN, LATE = NotFound("none"), StoreTimeout("late"), WHOLE

    def test_asks_in_order(self):
        assert SchemaChain([Source(self.ABSENT), Source({"a": 1}), Source({"b": 2})]).schema(1) == {"a": 1}

    def test_absent_only_if_all_say_so(self):
        with pytest.raises(NotFound):
            SchemaChain([Source(self.ABSENT), Source(self.ABSENT)]).schema(1)
        with pytest.raises(NotFound):
            SchemaChain([]).schema(1)

    @pytest.mark.parametrize("order", [1, -1])
    def test_unavailable_if_one_could_not_be_asked_and_no_other_has_it(self, order):
        sources = [Source(self.ABSENT), Source(self.DOWN)][::order]
        assert_unavailable(lambda: SchemaChain(sources).schema(1), kind=StoreTimeout)
        assert SchemaChain([*sources, Source(WHOLE)]).schema(1) == WHOLE

    def test_is_the_folder_and_then_the_registry(self, folder, fault_server, tmp_path):
        server = fault_server(found({"type": "record", "name": "other", "fields": []}))
        settings = Settings(data_dir=tmp_path, schema_registry_url=server.url)
        schemas = open_schemas(settings)
        assert schemas.schema(17) == WHOLE
        assert server.requests == []
        assert schemas.schema(18)["name"] == "other"

    def test_is_the_folder_alone_without_a_registry(self, folder, tmp_path):
        with pytest.raises(NotFound):
            open_schemas(Settings(data_dir=tmp_path)).schema(18)


def test_a_silent_registry_times_out(fault_server, monkeypatch):
    settimeout = socket.socket.settimeout
    shorter = lambda self, seconds: settimeout(self, None if seconds is None else min(seconds, 0.2))  # noqa: E731 - as short as it is
    monkeypatch.setattr(socket.socket, "settimeout", shorter)
    registry = RegistrySchemas(fault_server(hang()).url)
    assert_unavailable(lambda: registry.schema(900), kind=StoreTimeout)
    registry.close()
