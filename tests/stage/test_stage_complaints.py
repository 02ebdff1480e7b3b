"""What users of other tools complained about, where no other test here has it; each names the complaint."""

import json
import os
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from data_sets import data_set, tree
from hurting_proxy import HurtingProxy
from mrc_cli.errors import ServiceError
from mrc_stage import archive, manifest, objects, preparing, sources, staging
from mrc_stage.manifest import Entry, Manifest
from mrc_stage.objects import Bucket, Location
from s3_server import S3Server
from testcluster import programs


class StubServer:
    """An HTTP server on loopback."""

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class QuietHandler(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def test_a_rotated_token_of_pod_identity_is_read_again(
    bucket: Bucket, server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """VictoriaMetrics 9280, doris 66554."""
    tokens: list[str] = []

    class Agent(QuietHandler):
        def do_GET(self) -> None:
            tokens.append(self.headers["Authorization"])
            keys = {"AccessKeyId": "test", "SecretAccessKey": "testsecret", "Token": None}
            self.answer(200, json.dumps(keys | {"Expiration": "2099-01-01T00:00:00Z"}).encode())

    original = data_set(tmp_path / "original", 300, 20_000)
    preparing.prepare(bucket, sources.local(original))
    agent, proxy, token = StubServer(Agent), HurtingProxy(server.port, 1.0, ("expired",)), tmp_path / "token"
    proxy.spared, proxy.limit = 3, 1
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", agent.url)
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
    token.write_text("one")
    try:
        reader = Bucket(bucket.where)
        assert reader.find("manifest.json")
        token.write_text("two")
        staging.stage(reader, tmp_path / "out", 0, 1, replace=False)
    finally:
        proxy.stop()
        agent.stop()
    assert proxy.counts == {"expired": 1}
    assert tokens == ["one", "two"]
    assert tree(tmp_path / "out") == tree(original)


@pytest.fixture
def elsewhere() -> Iterator[StubServer]:
    """A bucket of eu-west-1 with one object: requests for another region get a 301 without Location."""

    class Redirecting(QuietHandler):
        def do_GET(self) -> None:
            if "/eu-west-1/s3/" not in self.headers["Authorization"]:
                code = b"<Error><Code>PermanentRedirect</Code><Message>elsewhere</Message></Error>"
                self.answer(301, code, x_amz_bucket_region="eu-west-1", Content_Type="application/xml")
            elif "list-type" in self.path:
                entry = b"<Contents><Key>a.jpg</Key><Size>4</Size><ETag>x</ETag></Contents>"
                self.answer(200, b"<ListBucketResult>" + entry + b"</ListBucketResult>")
            else:
                self.answer(200, b"data", ETag="x")

        do_HEAD = do_GET

    running = StubServer(Redirecting)
    yield running
    running.stop()


@pytest.fixture
def foreign(elsewhere: StubServer, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """That bucket as a client of us-east-1 sees it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", elsewhere.url)
    return Bucket(Location("far", ""))


def test_the_region_of_a_bucket_is_found(foreign: Bucket) -> None:
    """arrow-rs-object-store 224."""
    version = foreign.find("a.jpg")
    assert version and version.size == 4
    assert foreign.read("a.jpg", version, 0, 4) == b"data"


def test_the_region_of_a_bucket_is_found_for_a_list(foreign: Bucket) -> None:
    """aws-cli 564."""
    assert [key for key, _ in foreign.objects()] == ["a.jpg"]


def test_a_server_of_another_region_is_followed_or_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same with versitygw, whose answer is AuthorizationHeaderMalformed."""
    server = S3Server(programs.build("versitygw"), tmp_path, region="eu-west-1")
    try:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        (tmp_path / "buckets" / "far").mkdir()
        (tmp_path / "buckets" / "far" / "a.jpg").write_bytes(b"data")
        reader = Bucket(Location("far", ""))
        try:
            assert [key for key, _ in reader.objects()] == ["a.jpg"]
        except ServiceError as error:
            assert "eu-west-1" in str(error)
    finally:
        server.stop()


def test_more_than_a_thousand_objects_are_all_listed(
    bucket: Bucket, server: S3Server, tmp_path: Path
) -> None:
    """s5cmd 276, 487: an answer has a thousand keys at most."""
    directory = server.buckets / bucket.where.bucket / bucket.where.prefix
    directory.mkdir()
    names = [f"{number:05}.jpg" for number in range(2100)]
    for name in names:
        (directory / name).touch()
    assert [key for key, _ in bucket.objects()] == names


def test_an_archive_with_64_bit_sizes_and_offsets_arrives(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """zip64, as archives of more than 4 GiB or 65,535 files have it; here from lower limits."""
    original = data_set(tmp_path / "original", 50)
    with monkeypatch.context() as lower:
        lower.setattr(zipfile, "ZIP64_LIMIT", 1000)
        lower.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 10)
        with zipfile.ZipFile(tmp_path / "data.zip", "w") as packed:
            for path in sorted(original.rglob("*")):
                packed.write(path, path.relative_to(original).as_posix())
    content = (tmp_path / "data.zip").read_bytes()
    assert b"PK\x06\x06" in content and b"PK\x06\x07" in content, "end records of zip64"

    preparing.prepare(bucket, sources.local(tmp_path / "data.zip"))
    staging.stage(bucket, tmp_path / "out", 0, 1, replace=False)

    assert tree(tmp_path / "out") == tree(original)


def test_members_beyond_4_gib_arrive(bucket: Bucket, server: S3Server, tmp_path: Path) -> None:
    """The archive has a hole of 5 GiB, so that it is small on the disk, and the offsets need 64 bits."""
    original = data_set(tmp_path / "original", 5)
    path = server.buckets / bucket.where.bucket / bucket.where.prefix / "far.zip"
    path.parent.mkdir()
    with path.open("wb") as file:
        file.seek(5 << 30)
        with zipfile.ZipFile(file, "w") as packed:
            for name in tree(original):
                packed.write(original / name, name)
    os.setxattr(path, "user.etag", b"etag")  # where versitygw looks for it
    version = bucket.find("far.zip")
    assert version and version.size > 5 << 30
    read = archive.read_directory(bucket.ranged("far.zip", version))
    assert all(member.start >= 5 << 30 for member in read.members)
    entry = Entry(
        key="far.zip",
        source="",
        size=version.size,
        sha256="",
        etag=version.etag,
        archive=True,
        directory=read.digest,
    )
    manifest.write(bucket, Manifest(entries=[entry]))

    staging.stage(bucket, tmp_path / "out", 0, 1, replace=False)

    assert tree(tmp_path / "out") == tree(original)


def test_archives_are_staged_without_a_list(bucket: Bucket, tmp_path: Path) -> None:
    """mountpoint-s3 714, 953: archives are read without a list."""
    original = data_set(tmp_path / "original", 5)
    preparing.prepare(bucket, sources.local(original))

    class NoList(objects.Bucket):
        def objects(self) -> Iterator[tuple[str, objects.Version]]:
            raise AssertionError("listed")

    staging.stage(NoList(bucket.where), tmp_path / "out", 0, 1, replace=False)
    assert tree(tmp_path / "out") == tree(original)
