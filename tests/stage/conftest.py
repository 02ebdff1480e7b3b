"""Fixtures of the tests of staging."""

import shutil

import pytest
from mrc_stage.objects import Bucket, Location
from s3_server import S3Server
from testcluster import programs


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A running versitygw."""
    if not shutil.which("go"):
        pytest.skip("needs Go, to build versitygw")
    running = S3Server(programs.build("versitygw"), tmp_path_factory.mktemp("s3"))
    yield running
    running.stop()


_numbers = iter(range(1000))


@pytest.fixture
def bucket(server, monkeypatch):
    """A new, empty bucket on the server, with a prefix."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    made = Bucket(Location(f"bucket-{next(_numbers)}", "photos/"))
    made.client.create_bucket(Bucket=made.where.bucket)
    return made
