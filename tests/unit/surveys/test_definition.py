"""Ids, keys and permissions of a survey."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from stamp_service.errors import RequestError
from stamp_service.surveys import KINDS, load_surveys

SURVEYS = load_surveys()
ARABIC_DIGITS = "\u0661\u0662\u0663\u0664"
FULLWIDTH_DIGITS = "\uff11\uff12\uff13"

HOSTILE = [
    "",
    " ",
    ".",
    "..",
    "/",
    "../x",
    "../../etc/passwd",
    "..\\x",
    "%2e%2e",
    "%2e%2e%2fx",
    "1/2",
    "1\\2",
    "1%00",
    "1\x00",
    "\x001",
    "123\n",
    "123\r\n",
    "\n123",
    "123 ",
    " 123",
    "+123",
    "-123",
    "1e5",
    "0x10",
    "1_000",
    "1.5",
    "9" * 10_000,
    "1" * 129,
    ARABIC_DIGITS,
    FULLWIDTH_DIGITS,
    "1" + ARABIC_DIGITS,
    "1\u00b2",
    "null",
    "None",
    "nan",
    str(2**63),
    str(2**64 - 1),
    "ZTF20aaelulu\n",
    "ztf20AAELULU",
    "{alert_id}",
    "$(id)",
    "*",
]


# Well-formed where the id is text.
HARMLESS = {("atlas", "alert", str(2**63)), ("atlas", "object", "-123"), ("atlas", "object", "1_000")}
ALERT_IDS = [(s, text) for s in SURVEYS.values() for text in HOSTILE if (s.name, "alert", text) not in HARMLESS]
OBJECT_IDS = [
    (s, text)
    for s in SURVEYS.values()
    for text in HOSTILE
    if (len(text) > 32 or not (text.isascii() and text.isalnum())) and (s.name, "object", text) not in HARMLESS
]


def _name(value):
    return repr(value[:12]) if isinstance(value, str) else value.name


@pytest.mark.parametrize(("survey", "text"), ALERT_IDS, ids=_name)
def test_no_survey_takes_a_hostile_alert_id(survey, text):
    assert not survey.alert_id.matches(text)
    with pytest.raises(RequestError) as caught:
        survey.check_alert_id(text, "candid")
    assert caught.value.parameter == "candid"
    assert str(caught.value) == f"candid is not a {survey.name} alert id"


@pytest.mark.parametrize(("survey", "text"), OBJECT_IDS, ids=_name)
def test_no_survey_takes_a_hostile_object_id(survey, text):
    assert not survey.object_id.matches(text)
    with pytest.raises(RequestError, match=f"^oid is not a {survey.name} object id$") as caught:
        survey.check_object_id(text, "oid")
    assert caught.value.parameter == "oid"


@given(
    text=st.text(st.characters(max_codepoint=0x3000) | st.sampled_from("./\\%\x00\n0123456789ZTF"), max_size=24)
)
def test_whatever_matches_is_harmless_in_a_key_and_a_path(text):
    for survey in SURVEYS.values():
        for identifier in (survey.alert_id, survey.object_id):
            if identifier.matches(text):
                assert text.isascii()
                assert all(letter.isalnum() or letter in "_-" for letter in text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ztf", "820128985515010010"),
        ("ztf", str(2**63 - 1)),
        ("ztf", "1"),
        ("atlas", "01a59897o0020c_000002"),
        ("atlas", "1159021351515010001"),
        ("lsst", "7912941781254298"),
    ],
)
def test_ids_come_back_unchanged(name, text):
    assert SURVEYS[name].check_alert_id(text) == text


@pytest.mark.parametrize(
    ("name", "text"),
    [("ztf", "ZTF20aaelulu"), ("atlas", "1010240020045410432"), ("atlas", "ATLAS20abc"), ("lsst", "0")],
)
def test_object_ids_come_back_unchanged(name, text):
    assert SURVEYS[name].check_object_id(text) == text


def test_ids_of_the_real_alerts_match(shared_data):
    names = {
        "ztf": [file.stem.split("_")[-1] for file in (shared_data / "alerts" / "ztf").glob("*.avro")],
        "atlas": [file.stem for file in (shared_data / "alerts" / "atlas").glob("*.avro")],
        "lsst": [file.stem for file in (shared_data / "alerts" / "lsst").glob("*.wire")]
        + [file.stem.split("src")[-1] for file in (shared_data / "alerts" / "lsst_elasticc").glob("*.avro")],
    }
    assert {survey: len(ids) for survey, ids in names.items()} == {"ztf": 34, "atlas": 10, "lsst": 11}
    for survey, ids in names.items():
        assert [text for text in ids if not SURVEYS[survey].alert_id.matches(text)] == []


@pytest.mark.parametrize(
    ("template", "alert_id", "object_id", "key"),
    [
        ("{alert_id:reversed}.avro", "820128985515010010", None, "010010515589821028.avro"),
        (
            "v2/alerts/{alert_id:.6}/{alert_id}.avro.gz",
            "7912941781254298",
            None,
            "v2/alerts/791294/7912941781254298.avro.gz",
        ),
        ("v2/alerts/{alert_id:.6}/{alert_id}.avro.gz", "42", None, "v2/alerts/42/42.avro.gz"),
        ("{object_id}_{alert_id}.avro", "17", "5", "5_17.avro"),
        ("{object_id:reversed}/{alert_id}", "17", "56", "65/17"),
    ],
)
def test_keys_follow_their_template(template, alert_id, object_id, key):
    assert _with(key=template).object_key(alert_id, object_id) == key


def test_a_key_that_needs_an_object_id_says_so():
    with pytest.raises(RequestError, match="object id is needed") as caught:
        _with(key="{object_id}_{alert_id}.avro").object_key("17")
    assert caught.value.parameter == "object_id"


@pytest.mark.parametrize(
    "template",
    ["", "x", "{object_id}", "{alert_id", "{alert_id}}", "{alert_id:upper}", "{alert_id}{x}", "{}{alert_id}"],
)
def test_a_wrong_key_template_is_refused(template):
    with pytest.raises(ValidationError, match="key template"):
        _with(key=template)


def test_the_built_in_keys_are_the_deployments():
    assert SURVEYS["ztf"].object_key("123") == "321.avro"
    assert SURVEYS["atlas"].object_key("01a59897o0020c_000002") == "200000_c0200o79895a10.avro"
    assert SURVEYS["lsst"].object_key("7912941781254298") == "v2/alerts/791294/7912941781254298.avro.gz"


@pytest.mark.parametrize(
    ("template", "key", "ids"),
    [
        ("{alert_id}.avro", "123.avro", ("123", None)),
        ("{alert_id:reversed}.avro", "321.avro", ("123", None)),
        ("v2/{alert_id:.2}/{alert_id}.avro.gz", "v2/12/123.avro.gz", ("123", None)),
        ("v2/{alert_id:.2}/{alert_id}.avro.gz", "v2/13/123.avro.gz", None),
        ("{object_id}_{alert_id}.avro", "ZTF18acuwwpp_123.avro", ("123", "ZTF18acuwwpp")),
        ("{object_id:.3}/{alert_id}", "ZTF/123", None),
        ("{alert_id}.avro", "packed/ztf/packs/20190401/x.avro", None),
        ("{alert_id}.avro", "123.avro\n", None),
        ("{alert_id}.avro", "abc.avro", None),
        ("{alert_id:.2}", "12", None),
    ],
)
def test_a_key_is_read_back(template, key, ids):
    assert _with(key=template).read_key(key) == ids


def test_keys_of_all_surveys_are_read_back():
    for name, alert_id in {"ztf": "1105522281015015000", "atlas": "01a59897o0020c_000002", "lsst": "7912"}.items():
        assert SURVEYS[name].read_key(SURVEYS[name].object_key(alert_id)) == (alert_id, None)
        assert SURVEYS[name].object_key(alert_id).startswith(SURVEYS[name].key_prefix)


def test_kinds_keep_their_order():
    survey = SURVEYS["ztf"]
    assert survey.kinds == KINDS == ("science", "template", "difference")
    without = {kind: survey.cutouts[kind] for kind in ("difference", "science")}
    assert survey.model_copy(update={"cutouts": without}).kinds == ("science", "difference")


@pytest.mark.parametrize("survey", SURVEYS.values(), ids=_name)
def test_cutout_roots_are_top_level_fields(survey):
    assert survey.cutout_roots == {"cutoutScience", "cutoutTemplate", "cutoutDifference"}


@pytest.mark.parametrize(
    ("name", "key_configured", "permissions"),
    [
        ("ztf", True, {"stamps", "metadata", "packets"}),
        ("lsst", True, {"stamps", "metadata", "packets"}),
        ("atlas", True, {"stamps"}),
        ("atlas", False, {"stamps", "metadata", "packets"}),
    ],
)
def test_anonymous_readers_have_what_the_survey_allows(name, key_configured, permissions):
    assert SURVEYS[name].access.without_token(key_configured=key_configured) == permissions


def test_a_survey_without_an_exception_allows_the_same_without_keys():
    access = SURVEYS["atlas"].access.model_copy(update={"anonymous_without_key": None})
    assert access.without_token(key_configured=False) == {"stamps"}


def _with(**changes):
    survey = SURVEYS["ztf"]
    return type(survey).model_validate(survey.model_dump() | changes)
