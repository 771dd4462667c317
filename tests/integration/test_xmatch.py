"""Cross-matches with the CDS, HATS catalogues and files: the same question, the same answer."""

import io
import os
import threading
import warnings

import numpy as np
import pytest
from astropy.table import Table
from click.testing import CliRunner

from stamp_service.cli import main
from stamp_service.errors import ConfigurationError, NotFound, RequestError, StoreTimeout, StoreUnavailable
from stamp_service.settings import Settings, environment_names
from stamp_service.stores import open_local
from stamp_service.xmatch import NamedCatalogues, get_alerts_ra_dec, get_xmatches
from stamp_service.ztf_archive import nights_folder
from tests.integration.services.cds_xmatch import running_cds
from tests.integration.services.ztf_archive import make_night
from tests.unit.xmatch.brute_force import brute_force, crowd, pairs

ENTRIES = [
    ("00000000+0000000", 0.0, 0.0, 14.5),
    ("00000000+9000000", 12.0, 90.0, None),
    ("12000000+4500000", 180.0, 45.0, 12.25),
    ("12000001+4500001", 180.0005, 45.0005, 13.5),
]
ALERTS = Table(
    {
        "alert_id": [2**53 + 1, 2, 3, 4, 5],
        "ra": [359.9999, 200.0, 180.0002, np.nan, 90.0],
        "dec": [0.0, 89.9999, 45.0, 1.0, 1.0],
        "note": ["wrap", "pole", "two", "nowhere", "alone"],
    }
)


@pytest.fixture
def cds():
    with running_cds(list(ENTRIES)) as server:
        yield server


@pytest.fixture
def settings(cds, tmp_path) -> Settings:
    return Settings(data_dir=tmp_path / "data", demo=False, xmatch_url=cds.url, xmatch_timeout_s=5)


@pytest.fixture
def local(tmp_path) -> Table:
    """The CDS's catalogue as a table of our own."""
    names, ra, dec, magnitudes = zip(*ENTRIES, strict=True)
    return Table(
        {
            "2MASS": list(names),
            "RAJ2000": list(ra),
            "DEJ2000": list(dec),
            "Jmag": np.ma.masked_invalid([np.nan if value is None else value for value in magnitudes]),
        }
    )


def test_the_cds_and_a_table_say_the_same(cds, settings, local):
    asked = get_xmatches(ALERTS, settings=settings)
    here = get_xmatches(ALERTS, local)
    names = ["angDist", "alert_id", "ra", "dec", "note", "2MASS", "RAJ2000", "DEJ2000", "Jmag"]
    assert asked.colnames == here.colnames == names
    assert asked["note"].tolist() == here["note"].tolist() == ["wrap", "pole", "two", "two"]
    assert asked["alert_id"].tolist() == here["alert_id"].tolist() == [2**53 + 1, 2, 3, 3]
    assert asked["2MASS"].tolist() == here["2MASS"].tolist()
    assert asked["angDist"].tolist() == pytest.approx(here["angDist"].tolist(), abs=1e-5)
    assert asked["Jmag"].mask.tolist() == [False, True, False, False]
    assert asked["angDist"].unit == "arcsec"
    assert cds.uploads == [4]
    assert cds.requests == ["POST /xmatch/api/v1/sync"]


def test_positions_are_sent_in_pieces(cds, settings):
    assert len(get_xmatches(ALERTS, settings=settings, chunk_rows=3)) == 4
    assert cds.uploads == [3, 1]


def test_a_piece_with_too_many_matches_is_halved(cds, settings):
    cds.max_rows = 2
    assert len(get_xmatches(ALERTS, settings=settings)) == 4
    assert cds.uploads == [4, 2, 2]
    cds.max_rows = 1
    with pytest.raises(RequestError, match="more matches than the service gives"):
        get_xmatches(ALERTS, settings=settings)


def test_a_busy_service_is_asked_again(cds, settings):
    cds.statuses = [503, 429, 500]
    assert len(get_xmatches(ALERTS, settings=settings)) == 4
    assert len(cds.requests) == 4


def test_a_service_that_stays_busy_is_unavailable(cds, settings):
    cds.statuses = [503] * 9
    with pytest.raises(StoreUnavailable, match="failed with status 503"):
        get_xmatches(ALERTS, settings=settings)


def test_a_ban_is_not_asked_away(cds, settings):
    cds.statuses = [403]
    with pytest.raises(StoreUnavailable, match="does not let this machine ask"):
        get_xmatches(ALERTS, settings=settings)
    assert len(cds.requests) == 1


def test_a_page_instead_of_a_table_is_no_answer(cds, settings):
    cds.body = b"<html>proxy</html>"
    with pytest.raises(StoreUnavailable, match="no VOTable"):
        get_xmatches(ALERTS, settings=settings)


@pytest.mark.parametrize("row", ["99", "one"])
def test_rows_that_were_not_sent_are_no_answer(cds, settings, row):
    answer = io.BytesIO()
    Table({"angDist": [0.1], "stamp_row": [int(row) if row.isdecimal() else row]}).write(answer, format="votable")
    cds.body = answer.getvalue()
    with pytest.raises(StoreUnavailable, match="the CDS XMatch service answered with"):
        get_xmatches(ALERTS, settings=settings)


def test_a_service_that_hangs_is_given_up(cds, settings):
    cds.pause = threading.Event()
    quick = settings.model_copy(update={"xmatch_timeout_s": 0.2})
    with pytest.raises(StoreTimeout):
        get_xmatches(ALERTS, settings=quick)


def test_a_service_that_is_away_is_unavailable(settings):
    away = settings.model_copy(update={"xmatch_url": "http://127.0.0.1:1/xmatch/api/v1/sync"})
    with pytest.raises(StoreUnavailable, match="connection to the CDS XMatch service failed"):
        get_xmatches(ALERTS, settings=away)


def test_a_catalogue_that_the_cds_lacks_is_a_wrong_question(settings):
    with pytest.raises(RequestError, match="it may have no catalogue vizier:no/such"):
        get_xmatches(ALERTS, "vizier:no/such", settings=settings)
    with pytest.raises(RequestError, match="180 arcsec at most"):
        get_xmatches(ALERTS, max_distance_arcsec=181, settings=settings)


def test_simbad_is_asked_by_its_name_and_not_for_files_called_like_it(local, tmp_path, monkeypatch):
    with running_cds(list(ENTRIES)) as server:
        server.name = "simbad"
        asking = Settings(demo=False, xmatch_url=server.url, xmatch_timeout_s=5)
        from_simbad = get_xmatches(ALERTS, "simbad", settings=asking)
        local.write(tmp_path / "simbad_stars.csv")
        monkeypatch.chdir(tmp_path)
        from_file = get_xmatches(ALERTS, "simbad_stars.csv", settings=asking)
    assert list(from_simbad["2MASS"]) == list(from_file["2MASS"])
    assert server.uploads == [4]


def test_without_positions_nobody_is_asked(cds, settings):
    assert get_xmatches(ALERTS[3:4], settings=settings).colnames == ["angDist", *ALERTS.colnames]
    assert cds.requests == []


def write_hats(folder, catalogue: Table, rows_per_partition: int):
    """Write a HATS catalogue with lsdb's own writer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lsdb = pytest.importorskip("lsdb")
        frame = catalogue.to_pandas()
        made = lsdb.from_dataframe(
            frame, ra_column="ra", dec_column="dec", partition_rows=rows_per_partition, margin_threshold=None
        )
        made.write_catalog(folder, catalog_name="tiny", overwrite=True)
    return folder


@pytest.mark.filterwarnings("ignore::DeprecationWarning:(dask|distributed|lsdb|hats|pandas|nested_pandas)")
def test_a_hats_catalogue_and_a_table_say_the_same(tmp_path):
    rng = np.random.default_rng(3)
    dec = np.degrees(np.arcsin(rng.uniform(-1, 1, 3000)))
    catalogue = Table({"ra": rng.uniform(0, 360, 3000), "dec": dec, "id": np.arange(3000)})
    catalogue["ra"][:6], catalogue["dec"][:6] = [0, 90, 45, 0, 180, 270], [0, 0, 0, 90, -90, 0.00001]
    catalogue["name"] = [f"star {number}" for number in range(3000)]
    alerts = Table({"alert_id": np.arange(1006), "ra": np.empty(1006), "dec": np.empty(1006)})
    alerts["ra"] = (catalogue["ra"][:1006] + rng.normal(0, 1e-3, 1006)) % 360
    alerts["dec"] = np.clip(catalogue["dec"][:1006] + rng.normal(0, 1e-3, 1006), -90, 90)
    alerts["ra"][1005] = np.nan
    hats = get_xmatches(alerts, write_hats(tmp_path / "tiny", catalogue, 200), 10)
    here = get_xmatches(alerts, catalogue, 10)
    assert len(here) > 900
    assert hats.colnames == here.colnames
    for name in here.colnames:
        assert hats[name].tolist() == here[name].tolist()
    assert len(get_xmatches(alerts[:0], tmp_path / "tiny", 10)) == 0
    assert get_xmatches(alerts[:0], tmp_path / "tiny", 10).colnames == here.colnames


def test_positions_of_local_alerts(shared_data, tmp_path):
    settings = Settings(data_dir=tmp_path / "data", demo=False)
    with pytest.raises(NotFound):
        get_alerts_ra_dec(settings=settings)
    files = sorted((shared_data / "alerts/ztf").glob("2475*.avro"))[:5]
    nights_folder(settings).mkdir(parents=True)
    night = nights_folder(settings) / "ztf_public_20230701.tar.gz"
    night.write_bytes(make_night({file.name: file.read_bytes() for file in files}))
    table = get_alerts_ra_dec(tmp_path / "radec.csv", 3, settings=settings)
    lines = (tmp_path / "radec.csv").read_text().splitlines()
    assert lines[0] == "alert_id,ra,dec"
    assert [line.split(",")[0] for line in lines[1:]] == [file.stem for file in files[:3]]
    assert len(get_alerts_ra_dec(max_alerts=0, settings=settings)) == 5
    assert get_xmatches(tmp_path / "radec.csv", table)["alert_id"].tolist() == table["alert_id"].tolist()


def test_catalogues_by_name(cds, settings, local, tmp_path):
    path = tmp_path / "stars.ecsv"
    local.write(path, format="ascii.ecsv")
    named = NamedCatalogues(
        settings.model_copy(update={"catalogues": {"stars": str(path), "2mass": "vizier:II/246/out"}})
    )
    assert named.names() == ["stars", "2mass"]
    stars, two_mass = (named.matches(name, 180.0002, 45.0, 5) for name in named.names())
    assert stars.colnames == two_mass.colnames == ["angDist", "2MASS", "RAJ2000", "DEJ2000", "Jmag"]
    assert stars["2MASS"].tolist() == two_mass["2MASS"].tolist() == ["12000000+4500000", "12000001+4500001"]
    # A file that changes is read again; one that goes away is not the reader's fault.
    local[:1].write(path, format="ascii.ecsv", overwrite=True)
    assert len(named.matches("stars", 180.0002, 45.0, 5)) == 0
    path.unlink()
    with pytest.raises(StoreUnavailable, match="the catalogue stars could not be read"):
        named.matches("stars", 180.0002, 45.0, 5)
    for name in ("../stars.ecsv", str(path), "vizier:I/355/gaiadr3", "http://127.0.0.1/", ""):
        with pytest.raises(RequestError, match="not one of those that are configured: stars, 2mass"):
            named.matches(name, 180.0002, 45.0, 5)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:(dask|distributed|lsdb|hats|pandas|nested_pandas)")
def test_a_hats_catalogue_that_is_away_is_not_the_readers_fault(settings):
    catalogues = {"gaia": "http://127.0.0.1:1/hats/gaia"}
    named = NamedCatalogues(settings.model_copy(update={"catalogues": catalogues}))
    with pytest.raises(StoreUnavailable, match="the catalogue gaia could not be read"):
        named.matches("gaia", 180.0, 45.0, 5)


def test_a_catalogue_that_is_none_stops_the_start(settings, tmp_path):
    with pytest.raises(ConfigurationError, match="STAMP_CATALOGUES: stars is not a catalogue"):
        NamedCatalogues(settings.model_copy(update={"catalogues": {"stars": str(tmp_path / "gone.csv")}}))


@pytest.fixture
def run(monkeypatch, settings):
    """Type a command."""
    for name in list(os.environ):
        if name.upper().startswith("STAMP_") or name in environment_names():
            monkeypatch.delenv(name)
    monkeypatch.setenv("STAMP_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("STAMP_XMATCH_URL", settings.xmatch_url)

    def type_in(*words: object):
        return CliRunner().invoke(main, [str(word) for word in words])

    return type_in


def test_the_command(run, local, tmp_path, shared_data, settings, surveys):
    ALERTS.write(tmp_path / "alerts.csv", format="ascii.csv")
    printed = run("xmatch", tmp_path / "alerts.csv")
    assert printed.exit_code == 0
    assert Table.read(printed.output.splitlines(), format="ascii.csv")["note"].tolist() == [
        "wrap",
        "pole",
        "two",
        "two",
    ]
    local.write(tmp_path / "stars.fits")
    written = run(
        "xmatch", tmp_path / "alerts.csv", "--catalogue", tmp_path / "stars.fits", "-o", tmp_path / "m.fits"
    )
    assert written.output.startswith("4 matches in ")
    assert len(Table.read(tmp_path / "m.fits")) == 4
    assert run("xmatch", tmp_path / "alerts.csv", "-o", tmp_path / "m.doc").exit_code == 2
    assert "there is no alert on this machine" in run("xmatch").output
    packet = shared_data / "alerts/ztf/820128985515010010.avro"
    open_local(settings).put(surveys["ztf"], packet.stem, packet.read_bytes())
    assert run("xmatch").output.startswith("angDist,alert_id,ra,dec")


def test_what_cannot_be_written_is_said(run, local, tmp_path):
    ALERTS.write(tmp_path / "alerts.csv", format="ascii.csv")
    local["flags"] = np.zeros((len(local), 3), dtype=int)
    local.write(tmp_path / "stars.fits")
    words = ("xmatch", tmp_path / "alerts.csv", "--catalogue", tmp_path / "stars.fits")
    printed = run(*words)
    assert printed.stderr == "left out, because CSV has one value per row: flags\n"
    assert len(Table.read(printed.stdout.splitlines(), format="ascii.csv")) == 4
    refused = run(*words, "-o", tmp_path / "nowhere" / "m.csv")
    assert refused.exit_code == 2
    assert "there is no folder" in refused.output
    (tmp_path / "full.csv").symlink_to("/dev/full")
    assert "could not be written" in run(*words, "-o", tmp_path / "full.csv").output


def test_it_is_brute_force_on_a_billion_pairs():
    rng = np.random.default_rng(5)
    dec = np.degrees(np.arcsin(rng.uniform(-1, 1, 20_000)))
    centres = np.stack([rng.uniform(0, 360, 20_000), dec], axis=1)
    centres[:40] = [[0, 90], [0, -90], [0, 0], [360, 45]] * 10
    first, second = crowd(rng, 10_000, centres), crowd(rng, 100_000, centres)
    found = get_xmatches(first, second, 5)
    assert pairs(found) == brute_force(first, second, 5)
    assert len(found) > 10_000
