"""Synthetic alerts: reproducible, true to the schemas, and of a sky that could be."""

import gzip
import io
import itertools
import json
import math
import warnings
from collections import Counter, defaultdict
from dataclasses import replace

import fastavro
import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from stamp_service.demo import DEMO_SURVEYS, demo_alerts, demo_schemas, fill
from stamp_service.demo.events import make_event
from stamp_service.demo.lsst import CAMERA as LSST_CAMERA
from stamp_service.demo.schemas import nested_schema
from stamp_service.demo.sky import Scene, Star, View, draw_scene, expose, point_source
from stamp_service.demo.ztf import CAMERA as ZTF_CAMERA
from stamp_service.packets import assemble_schema, recognise
from stamp_service.stores import MemoryStore
from tests.synthetic import synthetic

ALERTS = {name: synthetic(name) for name in DEMO_SURVEYS}
EVERYTHING = [alert for alerts in ALERTS.values() for alert in alerts]


class Schemas:
    """The demo's schemas by number."""

    def schema(self, schema_id):
        assert schema_id == 900
        return assemble_schema(list(demo_schemas().values()), "lsst.v9_0.alert")


@pytest.fixture(scope="module")
def opened(surveys):
    """Every synthetic alert as the service reads it, by survey."""
    return {
        name: [recognise(surveys, alert.packet, Schemas()) for alert in alerts] for name, alerts in ALERTS.items()
    }


def pixels(cutout):
    """Decode a cutout with nothing of ours."""
    data = gzip.decompress(cutout) if cutout.startswith(b"\x1f\x8b") else cutout
    with fits.open(io.BytesIO(data)) as hdus:
        return np.asarray(hdus[0].data, dtype=float)


def shape_of(avro_type):
    """Reduce a parsed schema to names and types."""
    if isinstance(avro_type, list):
        return sorted((shape_of(branch) for branch in avro_type), key=str)
    if not isinstance(avro_type, dict):
        return avro_type
    if avro_type["type"] == "array":
        return ["array", shape_of(avro_type["items"])]
    if avro_type["type"] == "record":
        return [avro_type["name"], [(field["name"], shape_of(field["type"])) for field in avro_type["fields"]]]
    return avro_type["type"]


def parsed(schema):
    """Resolve names as AVRO does."""
    return fastavro.parse_schema(json.loads(json.dumps(schema)))


# What it is made of


def test_the_same_seed_gives_the_same_bytes():
    for name, alerts in ALERTS.items():
        assert tuple(demo_alerts(name)) == alerts


def test_another_seed_gives_another_sky():
    for name, alerts in ALERTS.items():
        others = list(demo_alerts(name, seed=18))
        assert len(others) == len(alerts)
        assert not {alert.packet for alert in others} & {alert.packet for alert in alerts}


def test_more_objects_do_not_change_the_first():
    assert tuple(itertools.islice(demo_alerts("ztf", objects=100), 17)) == ALERTS["ztf"]


@pytest.mark.parametrize("name", DEMO_SURVEYS)
def test_ids_are_the_surveys_and_occur_once(name, surveys):
    alerts = list(demo_alerts(name, objects=10))
    assert max(Counter(alert.alert_id for alert in alerts).values()) == 1
    assert all(surveys[name].alert_id.matches(alert.alert_id) for alert in alerts)
    assert all(alert.object_id is None or surveys[name].object_id.matches(alert.object_id) for alert in alerts)


@pytest.mark.parametrize("name", DEMO_SURVEYS)
def test_every_packet_is_recognised_and_says_the_same(name, opened):
    for demo, alert in zip(ALERTS[name], opened[name], strict=True):
        assert (alert.survey.name, alert.alert_id, alert.object_id) == (name, demo.alert_id, demo.object_id)
        alert.packet.check()
        summary = alert.summary()
        assert 61_000 <= summary.time_mjd < 61_100
        assert 0 <= summary.ra_deg < 360
        assert abs(summary.dec_deg) < 90
        assert summary.band in "ugrizyco"
        assert (summary.magnitude is None) == (name == "lsst")


@pytest.mark.parametrize("name", DEMO_SURVEYS)
def test_an_object_has_several_alerts_in_order_of_time(name, opened):
    times = defaultdict(list)
    for alert in opened[name]:
        times[alert.object_id].append(alert.summary().time_mjd)
    assert max(len(seen) for seen in times.values()) == 6
    assert all(seen == sorted(seen) for object_id, seen in times.items() if object_id)


def test_histories_grow(opened):
    records = [alert.record() for alert in opened["ztf"] if alert.object_id == "ZTF25demoaaa"]
    for earlier, later in itertools.pairwise(records):
        known = {old["candid"] for old in later["prv_candidates"]}
        assert earlier["candid"] in known
        assert all(old["jd"] < later["candidate"]["jd"] for old in later["prv_candidates"])
    assert any(old["candid"] is None for old in records[0]["prv_candidates"]), "limits from before"
    assert len(records[-1]["fp_hists"]) == len(records[-1]["prv_candidates"])
    lsst = [alert.record() for alert in opened["lsst"]][:6]
    assert [len(record["prvDiaSources"] or []) for record in lsst] == [0, 1, 2, 3, 4, 5]
    assert [record["diaObject"]["nDiaSources"] for record in lsst] == [1, 2, 3, 4, 5, 6]


def test_an_asteroid_has_no_object_but_an_orbit(opened):
    record = opened["lsst"][10].record()
    assert opened["lsst"][10].object_id is None
    assert record["diaObject"] is None
    assert record["MPCORB"]["e"] == pytest.approx(0.11)
    assert record["ssSource"]["ssObjectId"] == record["diaSource"]["ssObjectId"]


# What the surveys publish


def test_the_schemas_of_ztf_are_the_real_ones(shared_data):
    with (shared_data / "alerts" / "ztf" / "2695378462115010012.avro").open("rb") as file:
        real = fastavro.reader(file).writer_schema
    assert shape_of(parsed(nested_schema("ztf.alert"))) == shape_of(real)


def test_the_schemas_of_atlas_are_the_real_ones(shared_data):
    folder = shared_data / "alerts" / "atlas"
    with (folder / "01a59897o0020c_000002.avro").open("rb") as file:
        real = fastavro.reader(file).writer_schema
    assert shape_of(parsed(nested_schema("atlas.alert"))) == shape_of(real)
    with (folder / "02a59543o0040o_006230.avro").open("rb") as file:
        without_template = [field["name"] for field in fastavro.reader(file).writer_schema["fields"]]
    ours = nested_schema("atlas.alert", without=["cutoutTemplate"])
    assert [field["name"] for field in ours["fields"]] == without_template


def test_the_schemas_of_lsst_are_the_real_ones(shared_data):
    folder = shared_data / "alerts" / "lsst" / "schema"
    ours = demo_schemas()
    assert set(ours) == {file.name for file in folder.iterdir()}
    for file in folder.iterdir():
        real, made = json.loads(file.read_text()), ours[file.name]
        assert (made["name"], made["namespace"]) == (real["name"], real["namespace"])
        for theirs, mine in zip(real["fields"], made["fields"], strict=True):
            assert mine == {key: theirs[key] for key in ("name", "type", "default") if key in theirs}


def test_schemas_hold_no_texts():
    assert '"doc"' not in json.dumps([nested_schema("ztf.alert"), nested_schema("atlas.alert"), demo_schemas()])


def test_packets_are_framed_as_published(opened):
    assert all(alert.packet.format == "ocf" and alert.packet.codec == "null" for alert in opened["ztf"])
    assert all(alert.packet.startswith(b"\x00\x00\x00\x03\x84") for alert in ALERTS["lsst"])


def test_ztf_cutouts_are_gzipped_and_some_have_what_chips_do_to_them(opened):
    cutouts = [alert.cutouts() for alert in opened["ztf"]]
    assert all(cutout.startswith(b"\x1f\x8b") for each in cutouts for cutout in each.values())
    shapes = Counter(pixels(each["science"]).shape for each in cutouts)
    assert shapes == {(63, 63): 16, (47, 63): 1}
    assert sum(np.isnan(pixels(each["science"])).any() for each in cutouts) == 1
    assert sum((pixels(each["template"]) < -1e38).any() for each in cutouts) == 1


def test_atlas_cutouts_are_gzipped_or_plain_masked_and_may_lack_a_template(opened):
    cutouts = [alert.cutouts() for alert in opened["atlas"]]
    assert {each["science"].startswith(b"\x1f\x8b") for each in cutouts} == {True, False}
    assert Counter("template" in each for each in cutouts) == {True: 10, False: 7}
    fields = {
        "cutoutTemplate" in [field["name"] for field in alert.packet.schema["fields"]] for alert in opened["atlas"]
    }
    assert fields == {True, False}
    assert all(pixels(each["science"]).shape == (61, 61) for each in cutouts)
    masked = [(pixels(each["difference"]) == -31415).sum() for each in cutouts]
    assert 0 < sum(count > 0 for count in masked) < len(cutouts)
    for each in cutouts:
        file = each["difference"]
        header = fits.Header.fromstring((gzip.decompress(file) if file[:1] == b"\x1f" else file)[:2880].decode())
        assert 0.04 <= header["PA"] <= 0.3
        assert header["MASKVAL"] == -31415


def test_lsst_cutouts_have_three_hdus_and_a_wcs_without_ctype(opened):
    turns = set()
    for alert in opened["lsst"]:
        with fits.open(io.BytesIO(alert.cutout("science"))) as hdus:
            assert [hdu.name for hdu in hdus] == ["PRIMARY", "UNCERT", "PSFIMAGE"]
            assert [hdu.data.shape for hdu in hdus] == [(30, 30), (30, 30), (41, 41)]
            assert hdus["PSFIMAGE"].data.sum() == pytest.approx(1)
            assert (hdus["UNCERT"].data > 0).all()
            header = hdus[0].header
            assert "CTYPE1" not in header
            turns.add(round(math.degrees(math.atan2(header["PC2_1"], header["PC2_2"]))))
    assert len(turns) > 10, "each visit is turned another way"


def test_files_are_valid_fits(opened):
    for alert in (alerts[0] for alerts in opened.values()):
        for cutout in alert.cutouts().values():
            data = gzip.decompress(cutout) if cutout.startswith(b"\x1f\x8b") else cutout
            with fits.open(io.BytesIO(data)) as hdus, warnings.catch_warnings():
                warnings.simplefilter("error")
                hdus.verify("exception")


# What the sky looks like


@pytest.mark.parametrize("name", DEMO_SURVEYS)
def test_a_supernova_rises_and_fades_and_is_not_in_the_template(name, opened):
    alerts = opened[name][:6]
    light = []
    for alert in alerts:
        difference = pixels(alert.cutout("difference"))
        ny, nx = difference.shape
        light.append(difference[ny // 2 - 2 : ny // 2 + 3, nx // 2 - 2 : nx // 2 + 3].sum())
    assert np.argmax(light) == 2
    assert light[0] < light[1] < light[2] > light[3] > light[4] > light[5]
    noise = np.std(pixels(alerts[2].cutout("difference"))[:8])
    assert light[2] > 50 * noise


@pytest.mark.parametrize("name", DEMO_SURVEYS)
def test_the_difference_is_science_minus_template(name, opened):
    alert = opened[name][10 if name != "atlas" else 2]
    images = {kind: pixels(cutout) for kind, cutout in alert.cutouts().items()}
    blank = np.s_[: len(images["science"]) // 5]
    residual = (
        images["science"] - np.median(images["science"]) - images["template"] + np.median(images["template"])
    )
    ny, nx = residual.shape
    middle = np.s_[ny // 2 - 3 : ny // 2 + 4, nx // 2 - 3 : nx // 2 + 4]
    assert images["difference"][middle].sum() == pytest.approx(residual[middle].sum(), rel=0.4)
    assert abs(np.median(images["difference"][blank])) < np.std(images["difference"][blank])


def test_a_variable_star_goes_both_ways():
    signs = set()
    for alert in demo_alerts("ztf", objects=12):
        record = next(iter(fastavro.reader(io.BytesIO(alert.packet))))
        if record["candidate"]["distnr"] < 0.1 and record["candidate"]["sgscore1"] > 0.5:
            signs.add(record["candidate"]["isdiffpos"])
    assert signs == {"t", "f"}


def test_stars_move_behind_an_asteroid(opened):
    first, second = (pixels(alert.cutout("science")) for alert in opened["ztf"][10:12])
    middle = np.s_[29:34, 29:34]
    assert first[middle].max() == pytest.approx(second[middle].max(), rel=0.5)
    first[middle] = second[middle] = np.nan
    ratio = np.corrcoef(first[np.isfinite(first)], second[np.isfinite(second)])[0, 1]
    assert ratio < 0.3


def test_a_point_source_has_its_light_and_its_width():
    view = View(ZTF_CAMERA, seeing_px=3.0)
    image = point_source(view, 31.0, 31.0)
    assert image.sum() == pytest.approx(1, rel=0.03)
    assert image[31, 31] == image.max()
    # Half the peak, half the seeing away.
    assert np.interp(1.5, [1, 2], [image[31, 32], image[31, 33]]) == pytest.approx(image.max() / 2, rel=0.1)


def test_east_is_left_and_north_is_where_row_0_says():
    star = Star(east=15.0, north=10.0, magnitude=15.0)
    for row0, up in (("top", -1), ("bottom", 1)):
        view = View(replace(ZTF_CAMERA, row0=row0), 2.5)
        row, column = np.unravel_index(np.argmax(draw_scene(view, Scene((star,)))), (63, 63))
        assert column == 31 - round(15 / 1.01)
        assert row == 31 + up * round(10 / 1.01)


@pytest.mark.parametrize("turn", [0.0, 0.6, 2.5, 4.0])
def test_stars_are_where_the_wcs_says(turn):
    rng = np.random.default_rng(1)
    star = Star(east=1.4, north=-0.8, magnitude=18.0)
    view = View(LSST_CAMERA, 3.6, turn, dither_px=(0.3, -0.2))
    image = expose(rng, view, Scene((star,)), change=0.0).science
    x, y = view.pixel(star.east, star.north)
    assert np.unravel_index(np.argmax(image), image.shape) == (round(y), round(x))
    scale_deg = LSST_CAMERA.scale_arcsec / 3600
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [150.0, 2.0]
    wcs.wcs.crpix = [15 + 0.3 + 1, 15 - 0.2 + 1]
    wcs.wcs.pc = scale_deg * np.array(view.matrix)
    ra_deg, dec_deg = wcs.wcs_pix2world([[x, y]], 0)[0]
    assert (ra_deg - 150.0) * math.cos(math.radians(2.0)) * 3600 == pytest.approx(star.east, abs=0.01)
    assert (dec_deg - 2.0) * 3600 == pytest.approx(star.north, abs=0.01)


def test_every_kind_of_object_occurs():
    events = [make_event(np.random.default_rng(index), ZTF_CAMERA, index) for index in range(5)]
    assert [event.name for event in events] == ["supernova", "variable", "asteroid", "flare", "artefact"]
    assert [len(event.visits) for event in events] == [6, 4, 3, 3, 1]


# A store filled with it


def test_a_store_is_filled_once(surveys, tmp_path):
    store = MemoryStore()
    stores = dict.fromkeys(surveys, store)
    assert fill(stores, surveys, tmp_path / "schemas") == len(EVERYTHING)
    assert fill({"lsst": store}, surveys, tmp_path / "schemas") == 0
    for alert in EVERYTHING:
        assert store.get(surveys[alert.survey], alert.alert_id) == alert.packet
    assert {file.name for file in (tmp_path / "schemas").iterdir()} == set(demo_schemas())


def test_schemas_that_are_there_stay(surveys, tmp_path):
    mine = tmp_path / "lsst.v9_0.alert.avsc"
    mine.write_text("mine")
    fill({}, surveys, tmp_path)
    assert mine.read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 6


def test_a_survey_of_the_users_own_is_left_alone(surveys, tmp_path):
    ztf = surveys["ztf"]
    own = ztf.model_copy(update={"alert_id": ztf.alert_id.model_copy(update={"pattern": "x[0-9]+"})})
    changed = type(surveys)([own])
    assert fill({"ztf": MemoryStore()}, changed, tmp_path) == 0
