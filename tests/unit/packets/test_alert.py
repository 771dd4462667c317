"""Alerts: the id that was asked for is the one in the packet, and surveys know their own."""

import pytest

from stamp_service.errors import CutoutAbsent, PacketCorrupt, StoreUnavailable, TooLarge
from stamp_service.packets import Packet, Summary, frame_ocf, open_alert, recognise, write_ocf, write_wire
from stamp_service.surveys import Survey, Surveys

CANDID = "1234567890123456789"


@pytest.fixture
def ztf(surveys):
    return surveys["ztf"]


def test_an_alert_is_read_as_its_survey_says(ztf, ztf_packet):
    data = ztf_packet()
    alert = open_alert(ztf, CANDID, data)
    assert alert.cutout("science") == b"science"
    assert alert.cutout("difference") == b"difference"
    assert alert.object_id == "ZTF26abcdefg"
    assert alert.kinds() == ("science", "difference")
    assert alert.cutouts() == {"science": b"science", "difference": b"difference"}
    assert alert.record() == {
        "objectId": "ZTF26abcdefg",
        "candid": int(CANDID),
        "candidate": {"jd": 2461000.5, "fid": 2, "ra": 10.5, "dec": -20.25, "magpsf": 17.5},
    }
    assert alert.packet.data is data


def test_a_summary_in_one_pass(ztf, ztf_packet):
    alert = open_alert(ztf, CANDID, ztf_packet())
    assert alert.summary() == Summary(61000.0, 10.5, -20.25, "r", 17.5, None)


def test_an_outline_holds_the_whole_packet_against_its_schema(ztf, ztf_packet, ztf_schema, ztf_record):
    assert open_alert(ztf, CANDID, ztf_packet()).outline() == (
        Summary(61000.0, 10.5, -20.25, "r", 17.5, None),
        ("science", "difference"),
    )
    body = Packet.parse(write_ocf(ztf_schema, ztf_record)).body()
    longer = open_alert(ztf, CANDID, frame_ocf(ztf_schema, body + b"\0"))
    assert longer.summary().magnitude == 17.5
    with pytest.raises(PacketCorrupt, match=f"{CANDID}: the packet goes on"):
        longer.outline()


def test_a_summary_of_what_is_not_said(ztf, ztf_packet, ztf_record):
    unknown = ztf_record["candidate"] | {"jd": float("nan"), "fid": 9, "ra": float("inf"), "magpsf": None}
    summary = open_alert(ztf, CANDID, ztf_packet(candidate=unknown)).summary()
    assert summary == Summary(None, None, -20.25, "9", None, None)


def test_an_absent_cutout_is_told_from_a_corrupt_packet(ztf, ztf_packet):
    alert = open_alert(ztf, CANDID, ztf_packet())
    with pytest.raises(CutoutAbsent, match=f"{CANDID}.*template"):
        alert.cutout("template")
    with pytest.raises(CutoutAbsent, match="science"):
        open_alert(ztf, CANDID, ztf_packet(cutoutScience={"stampData": b""})).cutout("science")


def test_a_kind_that_the_survey_never_publishes(ztf, ztf_packet):
    without = ztf.model_copy(update={"cutouts": {"science": ztf.cutouts["science"]}})
    alert = open_alert(without, CANDID, ztf_packet())
    assert alert.kinds() == ("science",)
    with pytest.raises(CutoutAbsent, match="no difference"):
        alert.cutout("difference")


@pytest.mark.parametrize(
    "read",
    [
        lambda alert: alert.cutout("science"),
        lambda alert: alert.cutouts(),
        lambda alert: alert.kinds(),
        lambda alert: alert.record(),
        lambda alert: alert.summary(),
        lambda alert: alert.outline(),
        lambda alert: alert.object_id,
    ],
)
def test_a_packet_of_another_alert_is_corrupt(ztf, ztf_packet, read):
    alert = open_alert(ztf, "42", ztf_packet())
    for _ in range(2):
        with pytest.raises(PacketCorrupt, match="42"):
            read(alert)


def test_errors_name_the_alert(ztf, ztf_packet):
    with pytest.raises(PacketCorrupt, match=f"ztf alert {CANDID}: "):
        open_alert(ztf, CANDID, b"nothing")
    with pytest.raises(TooLarge, match=f"ztf alert {CANDID}: "):
        open_alert(ztf, CANDID, ztf_packet(), max_bytes=50)
    with pytest.raises(PacketCorrupt, match=f"ztf alert {CANDID}: "):
        open_alert(ztf, CANDID, ztf_packet()[:-40])


def test_a_damaged_body_names_the_alert(ztf, ztf_schema, ztf_record, one_schema):
    data = write_wire(ztf_schema, 1, ztf_record)[:-4]
    alert = open_alert(ztf, CANDID, data, one_schema(1, ztf_schema))
    assert alert.cutout("science") == b"science"
    for read in (lambda: alert.cutout("difference"), alert.record):
        with pytest.raises(PacketCorrupt, match=CANDID):
            read()


def test_a_cutout_that_is_not_bytes(ztf, ztf_schema, ztf_record):
    fields = [
        field | ({"type": {"type": "record", "name": "text", "fields": [{"name": "stampData", "type": "string"}]}})
        if field["name"] == "cutoutScience"
        else field
        for field in ztf_schema["fields"]
        if field["name"] not in {"cutoutTemplate", "cutoutDifference"}
    ]
    data = write_ocf(ztf_schema | {"fields": fields}, ztf_record | {"cutoutScience": {"stampData": "text"}})
    with pytest.raises(PacketCorrupt, match="science cutout is not bytes"):
        open_alert(ztf, CANDID, data).cutout("science")


def test_an_object_id_that_is_none_of_the_surveys(ztf, ztf_packet):
    alert = open_alert(ztf, CANDID, ztf_packet(objectId="../../etc"))
    assert alert.cutout("science") == b"science"
    with pytest.raises(PacketCorrupt, match=CANDID):
        _ = alert.object_id


# Recognition


def test_surveys_recognise_their_own(surveys, ztf_packet):
    alert = recognise(surveys, ztf_packet())
    assert (alert.survey.name, alert.alert_id, alert.cutout("science")) == ("ztf", CANDID, b"science")


@pytest.mark.parametrize(
    "changes",
    [
        {"objectId": "ATLAS1"},
        {"objectId": "ZTF26abcdefg\n"},
        {"objectId": ""},
        {"candid": 0},
        {"candid": -5},
    ],
)
def test_ids_that_do_not_fit_are_not_recognised(surveys, ztf_packet, changes):
    with pytest.raises(PacketCorrupt, match="not an alert of ztf, atlas, lsst"):
        recognise(surveys, ztf_packet(**changes))


def retyped(schema, name, kind):
    """Give a field of a schema another type, or none."""
    kept = [field for field in schema["fields"] if field["name"] != name or kind is not None]
    return schema | {"fields": [field | {"type": kind} if field["name"] == name else field for field in kept]}


def test_an_id_of_another_avro_type_is_not_recognised(surveys, ztf_schema, ztf_record):
    data = write_ocf(retyped(ztf_schema, "candid", "string"), ztf_record | {"candid": CANDID})
    with pytest.raises(PacketCorrupt, match="not an alert"):
        recognise(surveys, data)
    boolean = write_ocf(retyped(ztf_schema, "candid", "boolean"), ztf_record | {"candid": True})
    with pytest.raises(PacketCorrupt, match="not an alert"):
        recognise(surveys, boolean)


@pytest.mark.parametrize("name", ["objectId", "candid", "candidate"])
def test_what_lacks_a_part_is_not_recognised(surveys, ztf_schema, ztf_record, name):
    data = write_ocf(retyped(ztf_schema, name, None), ztf_record)
    with pytest.raises(PacketCorrupt, match="not an alert"):
        recognise(surveys, data)


LSST = {
    "type": "record",
    "name": "alert",
    "namespace": "lsst.v9_0",
    "fields": [
        {"name": "diaSourceId", "type": "long"},
        {
            "name": "diaSource",
            "type": {
                "type": "record",
                "name": "diaSource",
                "fields": [
                    {"name": "diaObjectId", "type": ["null", "long"]},
                    {"name": "ra", "type": "double"},
                    {"name": "dec", "type": "double"},
                    {"name": "midpointMjdTai", "type": "double"},
                    {"name": "band", "type": ["null", "string"]},
                    {"name": "psfFlux", "type": ["null", "float"]},
                ],
            },
        },
        {
            "name": "diaObject",
            "type": [
                "null",
                {"type": "record", "name": "diaObject", "fields": [{"name": "diaObjectId", "type": "long"}]},
            ],
        },
        {"name": "cutoutScience", "type": ["null", "bytes"]},
    ],
}


@pytest.mark.parametrize(
    ("dia_object", "source_object", "expected"),
    [({"diaObjectId": 77}, 5, "77"), (None, 5, "5"), (None, None, None), (None, 0, "0")],
)
def test_lsst_object_ids_fall_through_nulls(surveys, one_schema, dia_object, source_object, expected):
    record = {
        "diaSourceId": 900,
        "diaSource": {
            "diaObjectId": source_object,
            "ra": 1.5,
            "dec": -2.5,
            "midpointMjdTai": 61000.25,
            "band": "y",
            "psfFlux": 12.5,
        },
        "diaObject": dia_object,
        "cutoutScience": b"fits",
    }
    alert = recognise(surveys, write_wire(LSST, 900, record), one_schema(900, LSST))
    assert (alert.survey.name, alert.alert_id, alert.object_id) == ("lsst", "900", expected)
    assert alert.summary() == Summary(61000.25, 1.5, -2.5, "y", None, 12.5)
    assert alert.kinds() == ("science",)


def test_an_outage_of_the_registry_is_no_fault_of_the_packet(surveys, ztf_schema, ztf_record):
    class Down:
        def schema(self, schema_id: int):
            raise StoreUnavailable("the schema registry does not answer")

    data = write_wire(ztf_schema, 1, ztf_record)
    for read in (
        lambda: recognise(surveys, data, Down()),
        lambda: open_alert(surveys["ztf"], CANDID, data, Down()),
    ):
        with pytest.raises(StoreUnavailable):
            read()


def test_a_survey_of_the_user_is_recognised_too(surveys, ztf: Survey, ztf_packet):
    alert_id = ztf.alert_id.model_copy(update={"type": "text", "pattern": "[0-9]+"})
    object_id = ztf.object_id.model_copy(update={"pattern": "MINE[0-9]+"})
    mine = ztf.model_copy(update={"name": "mine", "alert_id": alert_id, "object_id": object_id})
    both = Surveys([*surveys.values(), mine])
    assert recognise(both, ztf_packet(objectId="MINE7")).survey.name == "mine"
    assert recognise(both, ztf_packet()).survey.name == "ztf"
