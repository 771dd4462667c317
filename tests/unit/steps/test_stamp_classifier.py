"""What the stamp classifier makes of messages: which alerts it takes, what it says of them, and in which form."""

import json
from datetime import UTC, datetime
from io import BytesIO

import fastavro
import pytest
from prometheus_client import CollectorRegistry

from stamp_service.classifiers.conversion import convert
from stamp_service.demo import demo_alerts
from stamp_service.errors import ConfigurationError
from stamp_service.packets import write_ocf
from stamp_service.settings import load_settings
from stamp_service.steps import Message, open_stamp_classifier_step
from tests.pipeline_messages import pipeline_message, read_packet
from tests.unit.classifiers.graphs import CLASSES, linear_graph, write_model

GRAPH = linear_graph({"stamps": ["n", 63, 63, 3]}, 5)
KINDS = ("science", "template", "difference")
STAMPS = [{"input": "stamps", "kinds": KINDS, "shape": (63, 63), "normalisation": "minmax"}]
RULES = {"asteroid": {"class_name": "asteroid"}, "supernova": {"class_name": "SN"}}
TOPICS = {"consumer_server": "nowhere:1", "consumer_group_id": "group", "consumer_topics": ("alerts",)}


def messages_of(*values: bytes | None) -> list[Message]:
    return [Message("alerts", 0, offset, value) for offset, value in enumerate(values)]


def decoded(packet: bytes) -> dict:
    return next(fastavro.reader(BytesIO(packet)))


def unpacked(output) -> dict:
    (record,) = fastavro.reader(BytesIO(output.value))
    return record


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write_model(folder / "small", GRAPH, version="2.1", stamps=STAMPS, rules=RULES)
    return folder


@pytest.fixture
def open_step(surveys, model_dir):
    """Open a step; gives it with what Prometheus sees of it."""

    def make(**settings):
        registry = CollectorRegistry()
        defaults = {"model_dir": model_dir, "model_name": "small", "producer_topic": "results"} | TOPICS
        return open_stamp_classifier_step(load_settings(**(defaults | settings)), surveys, registry), registry

    return make


@pytest.fixture(scope="module")
def packets() -> list[bytes]:
    """Alerts of different objects."""
    found = {alert.object_id: alert.packet for alert in demo_alerts("ztf", seed=3, objects=8)}
    return list(found.values())


def taken(step, *values: bytes | None):
    """What becomes of messages: the objects, and the refusals."""
    processed = step.process(messages_of(*values))
    return [item.value for item in processed.items if item.value is not None], processed.refused


def changed(packet: bytes, **values: object) -> bytes:
    """The same packet with other values in its candidate."""
    reader = fastavro.reader(BytesIO(packet))
    record = next(reader)
    record["candidate"] |= values
    return write_ocf(reader.writer_schema, record)


def test_packets_and_messages_of_the_pipeline_are_classified_alike_and_as_published(
    open_step, shared_data, tmp_path
):
    classes = convert(shared_data / "models" / "best_model_so_far", tmp_path / "so_far").classes
    golden = json.loads((shared_data / "models" / "golden_ztf.json").read_text())
    step, _ = open_step(model_dir=tmp_path, model_name="so_far")
    first: dict[str, tuple[bytes, dict]] = {}
    for file in sorted((shared_data / "alerts" / "ztf").glob("*.avro")):
        alert = read_packet(file)
        first.setdefault(alert["objectId"], (file.read_bytes(), alert))
    packets, _ = taken(step, *(packet for packet, _ in first.values()))
    messages, _ = taken(step, *(pipeline_message(alert) for _, alert in first.values()))
    assert len(packets) >= 12
    assert [(found.candid, found.probabilities) for found in packets] == [
        (found.candid, found.probabilities) for found in messages
    ]
    assert [f"AL{found.aid}" for found in packets] == [found.aid for found in messages]
    for found in packets:
        if 1.0 not in found.probabilities.values():  # the asteroid rule
            expected = {name: golden[found.candid][name] for name in classes}
            assert found.probabilities == pytest.approx(expected, abs=2e-6)


def test_atlas_in_both_forms(open_step, shared_data, tmp_path):
    graph = linear_graph({"stamps": ["n", 61, 61, 2], "numbers": ["n", 5]}, 5)
    numbers = [
        {"name": "isdiffpos", "fields": ["candidate.isdiffpos"], "categories": {"t": 1, "f": -1}},
        {"name": "mag", "fields": ["candidate.Mag"]},
        {"name": "airmass", "card": "AIRMASS"},
        {"name": "ra", "derived": "ra", "std": 90},
        {"name": "dec", "derived": "dec", "std": 90},
    ]
    stamps = [
        {"input": "stamps", "kinds": ["science", "difference"], "shape": [61, 61], "normalisation": "minmax"}
    ]
    metadata = {"input": "numbers", "features": numbers}
    write_model(tmp_path / "atlas", graph, survey="atlas", stamps=stamps, metadata=metadata)
    step, _ = open_step(model_dir=tmp_path, model_name="atlas", classifier_strategy="ATLAS")
    files = sorted((shared_data / "alerts" / "atlas").glob("*.avro"))
    packets, none = taken(step, *(file.read_bytes() for file in files))
    messages, none_either = taken(step, *(pipeline_message(read_packet(file), "ATLAS") for file in files))
    assert len(packets) > 3
    assert none == none_either == []
    assert [found.probabilities for found in packets] == [found.probabilities for found in messages]


def test_the_earliest_alert_of_an_object_is_classified(open_step, packets):
    step, registry = open_step()
    jd = decoded(packets[0])["candidate"]["jd"]
    late, early, middle = (changed(packets[0], jd=jd + days) for days in (0.2, -0.5, 0.1))
    # The first of two of the same time.
    twin = pipeline_message(decoded(packets[1]), aid="twin", candid="1")
    other = pipeline_message(decoded(packets[2]), aid="twin", candid="2", mjd=decoded(twin)["mjd"])
    objects, refused = taken(step, late, early, twin, middle, other)
    alone, _ = taken(step, early)
    assert refused == []
    assert [found.candid for found in objects] == [alone[0].candid, "1"]
    assert objects[0].probabilities == alone[0].probabilities
    left_out = {"step": "stamp-classifier", "reason": "later"}
    assert registry.get_sample_value("stamp_step_left_out_total", left_out) == 3


def test_rules_decide_and_take_out(open_step, packets, tmp_path):
    step, _ = open_step()
    plain = {"isdiffpos": "t", "ssdistnr": None, "sgscore1": 0.0}
    (of_model,), _ = taken(step, changed(packets[0], **plain))
    (of_rule,), _ = taken(step, changed(packets[0], ssdistnr=1.5))
    assert 0 < max(of_model.probabilities.values()) < 1
    assert of_rule.probabilities == {"AGN": 0, "SN": 0, "VS": 0, "asteroid": 1, "bogus": 0}
    # What this model says of the alert is taken for a supernova, so that the rule has something to decide.
    write_model(tmp_path / "ruled", GRAPH, stamps=STAMPS, rules={"supernova": {"class_name": of_model.best}})
    step, registry = open_step(model_dir=tmp_path, model_name="ruled")
    negative = changed(packets[0], **(plain | {"isdiffpos": "f"}))
    assert taken(step, negative) == ([], [])
    (kept,), _ = taken(step, changed(packets[0], **plain))
    assert kept.probabilities == of_model.probabilities
    left_out = {"step": "stamp-classifier", "reason": "rule"}
    assert registry.get_sample_value("stamp_step_left_out_total", left_out) == 1


def test_bad_alerts_are_refused_and_take_no_others_with_them(open_step, packets):
    step, _ = open_step()
    alert = decoded(packets[0])
    stamps = {kind: alert[f"cutout{kind.capitalize()}"]["stampData"] for kind in KINDS}
    bad = {
        "nothing": None,
        "rubbish": b"rubbish",
        "cut short": packets[0][:-2000],
        "no stamps": pipeline_message(alert, stamps=dict.fromkeys(stamps)),
        "damaged stamp": pipeline_message(alert, aid="b", stamps=stamps | {"science": stamps["science"][:99]}),
        "no object": pipeline_message(alert, aid=""),
        "no time": pipeline_message(alert, aid="c", mjd=float("nan")),
        "a number too large": changed(packets[1], jd=float("inf")),
        "other record": write_ocf({"type": "record", "name": "a", "fields": []}, {}),
    }
    good = packets[2:6]
    processed = step.process(messages_of(*good[:2], *bad.values(), *good[2:]))
    objects = [item.value for item in processed.items]
    alone, _ = taken(step, *good)
    assert [found.probabilities for found in objects] == [found.probabilities for found in alone]
    reasons = {refusal.message.offset - 2: refusal.reason for refusal in processed.refused}
    assert sorted(reasons) == list(range(len(bad)))
    assert all("/" not in reason and len(reason) > 10 for reason in reasons.values())


def test_alerts_of_other_surveys_are_passed_over(open_step, packets, surveys):
    step, registry = open_step()
    other = next(iter(demo_alerts("atlas", objects=1))).packet
    of_pipeline = pipeline_message(decoded(packets[0]), sid="ATLAS")
    unsaid = pipeline_message(decoded(packets[0]), sid="sid", tid="tid")
    processed = step.process(messages_of(other, of_pipeline, unsaid))
    assert [item.value is None for item in processed.items] == [True, True, False]
    assert processed.refused == []
    left_out = {"step": "stamp-classifier", "reason": "other_survey"}
    assert registry.get_sample_value("stamp_step_left_out_total", left_out) == 2


def test_what_is_sent(open_step, packets):
    step, registry = open_step(scribe_topic="scribe", metrics_topic="metrics", model_version="1.0.7")
    before = datetime.now(UTC)
    processed = step.process(messages_of(*packets))
    outputs = list(step.outputs(processed.items))
    objects = [item.value for item in processed.items if item.value is not None]
    count = len(objects)
    assert count >= 5
    assert [output.topic for output in outputs] == ["results"] * count + ["scribe"] * count + ["metrics"]
    for found, result, command in zip(objects, outputs, outputs[count:], strict=False):
        assert found.aid.startswith("ZTF")
        assert result.key == found.aid.encode()
        record = unpacked(result)
        assert (
            before
            <= record.pop("brokerPublishTimestamp").replace(microsecond=999999)
            <= datetime.now(UTC).replace(microsecond=999999)
        )
        assert record == {
            "aid": found.aid,
            "classifications": [
                {"class_name": name, "probability": found.probabilities[name]} for name in CLASSES
            ],
            "classifier_name": "small",
            "classifier_version": "1.0.7",
        }
        assert json.loads(unpacked(command)["payload"]) == {
            "collection": "object",
            "type": "update_probabilities",
            "criteria": {"_id": found.aid},
            "data": {"classifier_name": "small", "classifier_version": "1.0.7", **found.probabilities},
            "options": {"upsert": True, "set_on_insert": True},
        }
    metrics = json.loads(outputs[-1].value)
    assert metrics["class"] == {found.aid: found.best for found in objects}
    assert metrics["candid"] == [found.candid for found in objects]
    received, sent = (datetime.fromisoformat(metrics[f"timestamp_{what}"]) for what in ("received", "sent"))
    assert before <= received <= sent <= datetime.now(UTC)
    assert metrics["execution_time"] == pytest.approx((sent - received).total_seconds())
    for name in CLASSES:
        labels = {"step": "stamp-classifier", "class": name}
        seen = sum(found.best == name for found in objects)
        assert (registry.get_sample_value("stamp_step_objects_total", labels) or 0) == seen


def test_the_schemas_say_what_alerce_reads(open_step, packets):
    step, _ = open_step(scribe_topic="scribe")
    result, command = step.outputs(step.process(messages_of(packets[0])).items)
    schema = fastavro.reader(BytesIO(result.value)).writer_schema
    fields = {field["name"]: field["type"] for field in schema["fields"]}
    assert list(fields) == [
        "aid",
        "classifications",
        "classifier_name",
        "classifier_version",
        "brokerPublishTimestamp",
    ]
    assert fields["brokerPublishTimestamp"] == ["null", {"type": "long", "logicalType": "timestamp-millis"}]
    assert [field["type"] for field in fields["classifications"]["items"]["fields"]] == ["string", "double"]
    assert fastavro.reader(BytesIO(command.value)).writer_schema["fields"] == [
        {"name": "payload", "type": "string"}
    ]


def test_nothing_is_sent_where_nothing_was_classified(open_step):
    step, _ = open_step(scribe_topic="scribe", metrics_topic="metrics")
    assert list(step.outputs(step.process(messages_of(b"rubbish")).items)) == []


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"model_name": None}, "MODEL_NAME is not set"),
        ({"model_name": "other"}, "MODEL_NAME is not one of demo, small"),
        ({"classifier_strategy": "ATLAS"}, "CLASSIFIER_STRATEGY is ATLAS, and model small is for ztf"),
        ({"producer_topic": None}, "neither PRODUCER_TOPIC_FORMAT nor PRODUCER_TOPIC names a topic"),
        ({"producer_topic_format": "nightly"}, "PRODUCER_TOPIC_FORMAT needs %s"),
    ],
)
def test_a_step_says_what_it_lacks(open_step, settings, reason):
    with pytest.raises(ConfigurationError, match=reason):
        open_step(**settings)


def test_the_strategy_is_written_in_any_case(open_step):
    for name in ("ZTF", "ztf"):
        open_step(classifier_strategy=name)


def test_a_model_that_does_not_match_its_checksum_is_not_used(open_step, tmp_path):
    write_model(tmp_path / "small", GRAPH)
    graph = tmp_path / "small" / "model.onnx"
    graph.write_bytes(graph.read_bytes().replace(b"linear", b"Linear"))
    with pytest.raises(ConfigurationError, match=r"is not the file that model\.toml was written for"):
        open_step(model_dir=tmp_path)


def test_the_demonstration_classifies_what_the_demo_makes(open_step, packets):
    step, _ = open_step(model_dir=None, model_name="demo")
    objects, refused = taken(step, *packets)
    assert refused == []
    assert len(objects) >= 5
    assert all(sum(found.probabilities.values()) == pytest.approx(1) for found in objects)
