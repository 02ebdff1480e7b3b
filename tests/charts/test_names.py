"""Names of what the operator creates stay within Kubernetes' limits, whatever the release is called."""

import re
from typing import Any

import pytest
from maskrcnn_chart import check_job, run

DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")  # RFC 1035, which the operator asks for

RELEASES = [
    "demo",
    "a",
    "0-starts-with-a-digit",
    "dots.are.allowed.in.releases",
    "x" * 53,
    "nine-and-forty-characters-of-a-release-name-xyz-1",
    "1" * 53,
    "a" + "-" * 51 + "b",
    "null",
    "true",
    "1e3",
]


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize(
    "values", [{}, {"run": "second"}, {"name": "n" * 63}, {"name": "ab", "run": "r" * 40}]
)
def test_pods_and_services_of_any_release_have_legal_names(release: str, values: dict[str, Any]) -> None:
    rendered = run(release=release, **values)
    check_job(rendered.job)
    name = rendered.name
    for derived in (
        name,
        f"{name}-worker-9999999",
        f"{name}-launcher-xxxxx",
        f"{name}-config",
        f"{name}-ssh",
    ):
        assert DNS_LABEL.fullmatch(derived), derived
        assert len(derived) <= 63, derived


def test_long_names_that_differ_stay_different() -> None:
    long = "a-release-with-a-name-of-fifty-three-characters-abcde"
    names = {run(release=long).name, run(release=long[:-1] + "x").name}
    names |= {run(release=long, run="1").name, run(release=long, run="2").name}
    assert len(names) == 4


def test_two_releases_of_one_namespace_have_nothing_in_common() -> None:
    one, other = run(release="one"), run(release="other")
    assert one.name != other.name
    assert one.env["RUN_DIR"] != other.env["RUN_DIR"]


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({}, "demo"),
        ({"run": "lr-02"}, "demo-lr-02"),
        ({"name": "maskrcnn"}, "maskrcnn"),
        ({"run": ""}, "demo"),
    ],
)
def test_short_names_are_kept_as_they_are(values: dict[str, Any], name: str) -> None:
    assert run(**values).name == name
