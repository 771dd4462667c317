"""Index pages, names and sizes."""

import pytest

from stamp_service.errors import RequestError, StoreUnavailable
from stamp_service.ztf_archive.releases import EMPTY_BYTES, Release, is_release_name, parse_index, release_name
from tests.integration.services.ztf_archive import EMPTY_NIGHT, apache_size, index_page


def test_the_archives_page_is_read_newest_first():
    sizes = {"ztf_public_20180601.tar.gz": 880388608, "ztf_public_20180602.tar.gz": EMPTY_BYTES}
    sizes |= {"ztf_public_20180626.tar.gz": 5 * 2**30, "ztf_public_20181129.tar.gz": 22 * 2**20}
    assert parse_index(index_page(sizes)) == [
        Release("ztf_public_20181129.tar.gz", 22 * 2**20),
        Release("ztf_public_20180626.tar.gz", 5 * 2**30),
        Release("ztf_public_20180602.tar.gz", EMPTY_BYTES),
        Release("ztf_public_20180601.tar.gz", 840 * 2**20),
    ]


def test_an_empty_night_is_told_by_its_size():
    assert len(EMPTY_NIGHT) == EMPTY_BYTES
    assert Release("ztf_public_20180602.tar.gz", 44).is_empty
    assert not Release("ztf_public_20180602.tar.gz", 45).is_empty
    assert not Release("ztf_public_20180602.tar.gz", None).is_empty


def test_other_servers_pages_are_read_too():
    page = """<TABLE><tr><td valign=top><IMG SRC=x><td><A HREF="./ztf_public_20190101.tar.gz">ztf_pub..&gt;</A>
    <td align=right>2019-01-02 10:00<td align=right> 1.5M<td>&nbsp;
    <tr><td><a href="https://elsewhere.example/alerts/ztf_public_20190102.tar.gz?x=1">no</a><td>3</tr>
    <tr><td><a href="/alerts/public/ztf_public_20190103%2Etar%2Egz">n</a></td><td>-</td></tr>"""
    assert parse_index(page) == [
        Release("ztf_public_20190103.tar.gz", None),
        Release("ztf_public_20190101.tar.gz", 1572864),
    ]


def test_an_index_without_nights_is_empty_and_another_page_is_none():
    assert parse_index(index_page({})) == []
    with pytest.raises(StoreUnavailable, match="not its index"):
        parse_index("<html><body>We are moving house.</body></html>")


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "  0 "), (44, " 44 "), (972, "972 "), (1024, "1.0K"), (10 * 1024, " 10K"), (880388608, "840M")],
)
def test_sizes_are_written_as_apache_does(size, text):
    assert apache_size(size) == text


@pytest.mark.parametrize(
    "name",
    ["../ztf_public_20180626.tar.gz", "ztf_public_2018062.tar.gz", "ztf_public_20180626.tar.gz.part", "٢٠١٨٠٦٢٦"],
)
def test_other_names_are_no_nights(name):
    assert not is_release_name(name)


def test_a_date_names_its_night():
    assert release_name(2018, 6, 5) == "ztf_public_20180605.tar.gz"
    with pytest.raises(RequestError):
        release_name(2018, 2, 30)
