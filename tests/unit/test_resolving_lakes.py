"""The resolver with lakes among a survey's sources: their turn, what is kept, and packets they do not have."""

from collections import Counter

import pytest

from stamp_service.errors import AlertNotFound, StoreUnavailable
from stamp_service.packets import open_alert, write_ocf
from stamp_service.resolver import Resolver
from stamp_service.settings import Settings
from stamp_service.sources import open_sources
from stamp_service.stores import MemoryStore
from stamp_service.surveys import KINDS, Surveys
from tests.unit.lake.registered import House, Row, cutout

ROW = Row(1)
SCHEMA = {
    "type": "record",
    "name": "alert",
    "fields": [{"name": "objectId", "type": "string"}, {"name": "candid", "type": "long"}],
}


def packet_of(candid):
    return write_ocf(SCHEMA, {"objectId": ROW.object_id, "candid": candid})


class Named(MemoryStore):
    """A store in memory that may be down."""

    def __init__(self, name, ztf, *candids, down=False):
        super().__init__()
        self.name, self.writable, self.down = name, True, down
        self.asked = 0
        for candid in candids:
            self.put(ztf, str(candid), packet_of(candid))

    def get(self, survey, alert_id, object_id=None):
        self.asked += 1
        if self.down:
            raise StoreUnavailable(f"{self.name} is down")
        return super().get(survey, alert_id, object_id)


class Counting:
    """An observer."""

    def __init__(self):
        self.asked, self.written = [], []

    def store_asked(self, store, outcome, seconds):
        self.asked.append((store, outcome))

    def cache_asked(self, *, hit):
        pass

    def indexed(self, outcome, alerts):
        raise AssertionError("there is no index")

    def written_back(self, outcome):
        self.written.append(outcome)


@pytest.fixture
def house(tmp_path, surveys):
    """A registered lake with alerts 1 and 2."""
    made = House(tmp_path, surveys)
    made.write("a.parquet", ROW, Row(2))
    made.add()
    yield made
    made.close()


@pytest.fixture
def ztf(surveys):
    return surveys["ztf"]


@pytest.fixture
def observer():
    return Counting()


@pytest.fixture
def resolve(house, observer):
    """Make resolvers of ZTF over some stores, and the lakes where `None` stands."""
    made = []

    def make(*sources, **options):
        ordered = [house.lakes if source is None else source for source in sources]
        made.append(Resolver({"ztf": ordered}, observer=observer, **options))
        return made[-1]

    yield make
    for resolver in made:
        resolver.close()


def test_an_alert_that_only_a_lake_has(resolve, observer, ztf):
    alert = resolve(Named("a", ztf), None, Named("b", ztf)).alert(ztf, "1")
    assert (alert.alert_id, alert.object_id) == ("1", ROW.object_id)
    assert alert.cutouts() == {kind: cutout(ROW, kind) for kind in KINDS}
    assert observer.asked == [("a", "absent"), ("lake:fink", "hit")]


def test_a_store_in_front_comes_first_and_one_behind_last(resolve, observer, ztf):
    resolver = resolve(Named("a", ztf, 1), None, Named("b", ztf, 3))
    assert resolver.alert(ztf, "1").packet
    assert resolver.alert(ztf, "3").packet
    assert observer.asked == [("a", "hit"), ("a", "absent"), ("lake:fink", "absent"), ("b", "hit")]


def test_absent_means_lakes_too(resolve, observer, ztf):
    with pytest.raises(AlertNotFound):
        resolve(Named("a", ztf), None).alert(ztf, "9")
    assert observer.asked == [("a", "absent"), ("lake:fink", "absent")]


def test_a_lake_that_is_away_makes_absence_unavailable(house, resolve, observer, ztf):
    house.root.rename(house.root.with_name("away"))
    (house.catalogue.folder / "fink").rename(house.root.with_name("gone"))
    with pytest.raises(StoreUnavailable):
        resolve(Named("a", ztf), None).alert(ztf, "1")
    assert observer.asked == [("a", "absent"), ("lake:fink", "unavailable")]


def test_a_lake_answers_when_a_store_is_down(resolve, observer, ztf):
    resolver = resolve(Named("a", ztf, down=True), None)
    assert resolver.alert(ztf, "2").alert_id == "2"
    with pytest.raises(StoreUnavailable, match="a is down"):
        resolver.alert(ztf, "9")


def test_the_object_has_to_be_the_alerts(resolve, ztf):
    resolver = resolve(None)
    assert resolver.alert(ztf, "1", ROW.object_id)
    with pytest.raises(AlertNotFound, match="does not belong"):
        resolver.alert(ztf, "1", "ZTF18zzzzzzz")


class TestPackets:
    def test_are_not_in_lakes(self, resolve, ztf):
        with pytest.raises(AlertNotFound, match="in a lake, without its packet"):
            resolve(Named("a", ztf), None).packet(ztf, "1")

    def test_are_looked_for_behind_lakes(self, resolve, ztf):
        first = Named("a", ztf)
        resolver = resolve(first, None, Named("b", ztf, 1))
        assert resolver.packet(ztf, "1") == packet_of(1)

    def test_of_a_store_that_is_down_are_unavailable(self, resolve, ztf):
        with pytest.raises(StoreUnavailable):
            resolve(Named("a", ztf), None, Named("b", ztf, down=True)).packet(ztf, "1")

    def test_go_into_stores(self, resolve, ztf):
        store = Named("a", ztf)
        assert resolve(None, store).put(open_alert(ztf, "5", packet_of(5))) is True
        assert store.get(ztf, "5") == packet_of(5)
        with pytest.raises(StoreUnavailable):
            resolve(None).put(open_alert(ztf, "5", packet_of(5)))


def test_what_a_lake_had_is_neither_written_back_nor_cached(resolve, observer, ztf):
    first = Named("a", ztf)
    resolver = resolve(first, None, cache_bytes=10**6)
    for _ in range(2):
        resolver.alert(ztf, "1")
    resolver.close()
    assert observer.written == []
    assert first.asked == 2


def test_what_stood_behind_a_lake_is_written_back(resolve, observer, ztf):
    first = Named("a", ztf)
    resolver = resolve(first, None, Named("b", ztf, 3))
    resolver.alert(ztf, "3")
    resolver.close()
    assert observer.written == ["ok"]
    assert first.get(ztf, "3") == packet_of(3)


def test_names_and_health(house, resolve, ztf):
    resolver = resolve(Named("a", ztf), None, Named("b", ztf))
    assert resolver.store_names(ztf) == ["a", "lake:fink", "b"]
    assert resolver.check() == {"a": None, "lake:fink": None, "b": None}
    house.root.rename(house.root.with_name("away"))
    assert Counter(problem is None for problem in resolver.check().values()) == {True: 2, False: 1}
    assert resolver.check()["lake:fink"]


class TestSources:
    def survey(self, ztf, *stores):
        return Surveys([ztf.model_copy(update={"stores": stores})])

    def test_stand_in_the_surveys_order(self, house, ztf, tmp_path):
        settings = Settings(data_dir=tmp_path / "data", mars_url="http://127.0.0.1:1/api")
        for stores in (("archive", "lake", "mars"), ("lake", "mars", "archive"), ("mars", "lake"), ("lake",)):
            sources = open_sources(settings, self.survey(ztf, *stores), house.lakes)["ztf"]
            words = {"local": "archive", "mars": "mars"}
            found = ["lake" if source is house.lakes else words[source.name] for source in sources]
            assert found == list(stores)

    def test_may_lack_mars_and_lakes(self, house, ztf, tmp_path):
        settings = Settings(data_dir=tmp_path / "data")
        assert open_sources(settings, self.survey(ztf, "lake", "mars"), house.lakes)["ztf"] == (house.lakes,)
        (local,) = open_sources(settings, self.survey(ztf, "archive"), house.lakes)["ztf"]
        assert local.name == "local"
