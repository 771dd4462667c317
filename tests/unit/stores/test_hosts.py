"""Addresses from outside: which are asked and which are refused."""

import pytest

from stamp_service.stores.hosts import HostRules, Refused, host_of, is_public

RULES = HostRules(["mars.example.org", "*.amazonaws.com", "::1"])


@pytest.mark.parametrize(
    "url",
    [
        "https://mars.example.org/packets/1.avro",
        "http://mars.example.org:9000/1.avro?a=b&c=%2F",
        "https://MARS.example.ORG/1.avro",
        "https://bucket.s3.amazonaws.com/1.avro?X-Amz-Signature=0",
        "https://bucket.s3.us-west-2.amazonaws.com:443/1.avro",
        "http://bucket.s3.amazonaws.com:80/1.avro",
        "http://[::1]:8080/1.avro",
    ],
)
def test_what_is_listed_may_be_asked(url):
    assert RULES.check(url).lower().startswith(url.lower()[:20])


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://mars.example.org/1.avro",
        "gopher://mars.example.org/",
        "//mars.example.org/1.avro",
        "mars.example.org/1.avro",
        "https:///1.avro",
        "https://",
        "",
        "javascript:alert(1)",
        "http://127.0.0.1/",
        "http://localhost/",
        "http://169.254.169.254/latest/meta-data",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::]/",
        "https://evil.example.org/",
        "https://mars.example.org.evil.com/",
        "https://evil.com/mars.example.org",
        "https://evil.com#mars.example.org",
        "https://evil.com?mars.example.org",
        "https://xmars.example.org/",
        "https://amazonaws.com/",
        "https://evilamazonaws.com/",
        "https://amazonaws.com.evil.com/",
        "https://bucket.s3.amazonaws.com./1.avro",
        "https://mars.example.org@evil.com/",
        "https://mars.example.org:443@evil.com/",
        "https://user@mars.example.org/1.avro",
        "https://user:password@bucket.s3.amazonaws.com/1.avro",
        "https://evil.com\\@mars.example.org/",
        "https://mars.example.org\\.evil.com/",
        "https://evil.com\t.mars.example.org/",
        "https://mars.example.org/\r\nHost: evil.com",
        " https://mars.example.org/1.avro",
        "https://mars.example.org/a b",
        "https://mars。example.org/",
        "https://\u2100mars.example.org/",
        "https://bucket.s3.amazonaws.com:22/1.avro",
        "https://bucket.s3.amazonaws.com:80/1.avro",
        "https://mars.example.org:99999/1.avro",
        "https://mars.example.org:port/1.avro",
        "http://[::1/",
        "http://[::1%25eth0]/",
        "https://mars.example.org/" + "a" * 5000,
    ],
)
def test_everything_else_is_refused(url):
    with pytest.raises(Refused) as caught:
        RULES.check(url)
    assert "evil" not in str(caught.value)


def test_what_is_asked_is_what_was_understood():
    assert RULES.check("HTTPS://Mars.Example.org/a/../b") == "https://mars.example.org/b"


def test_only_names_of_the_list_may_be_private():
    assert RULES.is_named("mars.example.org")
    assert RULES.is_named("[::1]")
    assert not RULES.is_named("bucket.s3.amazonaws.com")
    assert not RULES.is_named("127.0.0.1")


def test_no_rules_allow_nothing():
    with pytest.raises(Refused):
        HostRules([]).check("https://mars.example.org/")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://mars.example.org:9000/api?x=1", "mars.example.org"),
        ("http://[::1]:80/", "::1"),
        ("http://user:secret@MARS/", "mars"),
        ("", ""),
    ],
)
def test_host_of_an_address(url, host):
    assert host_of(url) == host


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "52.216.1.1", "2600:1f18::1", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_public_addresses(address):
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "2001:db8::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "2002:7f00:1::",
        "2002:a00:1::1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "2001:0:4136:e378:8000:63bf:80ff:fffe",
    ],
)
def test_special_addresses_are_not_public(address):
    assert not is_public(address)
