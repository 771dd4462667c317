"""Which stores the settings open for which survey."""

import pytest

from stamp_service.errors import ConfigurationError
from stamp_service.settings import Settings
from stamp_service.stores import LocalStore, MarsStore, S3Store, open_local, open_stores
from stamp_service.surveys import Surveys


def open_names(surveys, tmp_path, **values):
    stores = open_stores(Settings(data_dir=tmp_path, **values), surveys)
    return {name: [store.name for store in ordered] for name, ordered in stores.items()}


def test_everything_is_local_with_nothing_set(surveys, tmp_path):
    assert open_names(surveys, tmp_path) == {"ztf": ["local"], "atlas": ["local"], "lsst": ["local"]}
    assert (tmp_path / "alerts").is_dir()


def test_a_bucket_replaces_the_directory(surveys, tmp_path):
    names = open_names(surveys, tmp_path, ztf_bucket_name="a", buckets={"lsst": "c"})
    assert names == {"ztf": ["s3"], "atlas": ["local"], "lsst": ["s3"]}


def test_no_directory_is_made_that_nothing_is_kept_in(surveys, tmp_path):
    buckets = {"ztf_bucket_name": "a", "atlas_bucket_name": "b", "lsst_bucket_name": "c"}
    open_names(surveys, tmp_path / "data", **buckets)
    assert not (tmp_path / "data").exists()


def test_mars_comes_second_for_surveys_that_name_it(surveys, tmp_path):
    names = open_names(surveys, tmp_path, mars_url="https://mars.example.org/", ztf_bucket_name="a")
    assert names == {"ztf": ["s3", "mars"], "atlas": ["local", "mars"], "lsst": ["local"]}


def test_surveys_share_stores(surveys, tmp_path):
    settings = Settings(
        data_dir=tmp_path, mars_url="https://mars.example.org/", ztf_bucket_name="a", lsst_bucket_name="b"
    )
    stores = open_stores(settings, surveys)
    assert stores["ztf"][0] is stores["lsst"][0]
    assert stores["ztf"][1] is stores["atlas"][1]
    assert [type(store) for store in (*stores["ztf"], *stores["atlas"])] == [
        S3Store,
        MarsStore,
        LocalStore,
        MarsStore,
    ]


def test_packed_surveys_have_the_other_store_behind(surveys, tmp_path):
    names = open_names(
        surveys, tmp_path, packed_surveys=("ztf", "atlas"), ztf_bucket_name="a", mars_url="https://m.org/"
    )
    assert names == {"ztf": ["packed", "s3", "mars"], "atlas": ["packed", "local", "mars"], "lsst": ["local"]}


def test_a_packed_survey_must_exist(surveys, tmp_path):
    with pytest.raises(ConfigurationError, match="STAMP_PACKED_SURVEYS names lss, which is no survey"):
        open_names(surveys, tmp_path, packed_surveys=("lss",))


def test_the_order_is_the_surveys(surveys, tmp_path):
    survey = surveys["ztf"].model_copy(update={"stores": ("mars", "archive")})
    names = open_names(Surveys([survey]), tmp_path, mars_url="https://mars.example.org/")
    assert names == {"ztf": ["mars", "local"]}


def test_a_survey_without_any_store_stops_the_start(surveys, tmp_path):
    survey = surveys["ztf"].model_copy(update={"stores": ("mars",)})
    with pytest.raises(ConfigurationError, match="MARS_URL"):
        open_names(Surveys([survey]), tmp_path)


def test_the_local_store_is_the_one_that_surveys_use(surveys, tmp_path):
    settings = Settings(data_dir=tmp_path)
    open_local(settings).put(surveys["ztf"], "1", b"packet")
    assert open_stores(settings, surveys)["ztf"][0].get(surveys["ztf"], "1") == b"packet"
