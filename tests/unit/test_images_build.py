"""mrc-images before a registry is involved: the table, the tag, the builder's failures."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from mrc_cli.errors import ServiceError, UsageError, UserError
from mrc_images import commands, revision, table
from mrc_images.builders import Buildah, reason, stream
from mrc_images.cli import app
from typer.testing import CliRunner

ROOT = Path(__file__).parents[2]


def git(directory: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run(["git", *identity, *arguments], cwd=directory, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with one commit and the tag v9.1; the working directory is inside."""
    (tmp_path / revision.MARK.parent).mkdir(parents=True)
    (tmp_path / revision.MARK).write_text("FROM scratch\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message=one")
    git(tmp_path, "tag", "v9.1")
    monkeypatch.chdir(tmp_path / "containers")
    return tmp_path


def test_the_dockerfiles_of_the_table_exist_and_bases_come_first() -> None:
    for image in table.IMAGES:
        assert (ROOT / image.dockerfile).is_file()
        order = table.with_bases([image, image])
        assert order[-1] == image and len(order) == len({item.name for item in order})
    assert [image.name for image in table.with_bases([table.find("viz")])] == ["train-cpu", "viz"]


def test_images_that_share_a_repository_have_different_tags() -> None:
    pushed = [(repo.name, image.suffix) for image in table.IMAGES for repo in image.repositories]
    assert len(pushed) == len(set(pushed))


def test_every_value_of_the_table_is_one_of_the_chart() -> None:
    for image in table.IMAGES:
        for repository in image.repositories:
            for chart, value in repository.values.items():
                directory, *names = ROOT / "charts" / chart, *value.split(".")
                if (directory / "charts" / names[0]).exists():
                    directory = directory / "charts" / names.pop(0)
                content: Any = yaml.safe_load((directory / "values.yaml").read_text())
                for name in names:
                    content = content[name]
                assert isinstance(content, str), (chart, value)


def test_an_unknown_image_gets_a_suggestion() -> None:
    with pytest.raises(UsageError, match="Did you mean train-gpu"):
        table.find("train_gpu")


def test_every_script_of_the_tutorial_builds_and_pushes_an_image_of_the_table() -> None:
    for directory in ("container", "container-viz", "container-optimized", "container-optimized-viz"):
        script = ROOT / directory / "build_tools/build_and_push.sh"
        words = script.read_text().split()
        name = words[words.index("build") + 1]
        assert words[words.index("push") + 1] == name
        assert table.find(name) and script.stat().st_mode & 0o111


def test_the_tag_is_git_describe(checkout: Path) -> None:
    assert revision.checkout() == checkout
    assert revision.tag(checkout) == "v9.1"
    git(checkout, "commit", "--quiet", "--allow-empty", "--message=two")
    assert revision.tag(checkout).startswith("v9.1-1-g")


def test_a_tag_without_changes_only(checkout: Path) -> None:
    (checkout / "new").write_text("x")
    with pytest.raises(UserError, match=r"not committed \(new\)") as error:
        revision.tag(checkout)
    assert "\n" not in str(error.value)
    assert revision.tag(checkout, force=True) == "v9.1-dirty"


def test_outside_of_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="Change into"):
        revision.checkout()


def test_another_platform_is_rejected_with_the_reason() -> None:
    with pytest.raises(UsageError, match="x86-64"):
        commands.build(["viz", "--platform=linux/arm64"])


def test_the_list_names_the_value_of_each_image() -> None:
    lines = CliRunner().invoke(app, ["list"]).stdout.splitlines()
    assert any(
        "train-gpu" in line and "mask-rcnn-optimized" in line and "maskrcnn.image" in line for line in lines
    )


# Messages of buildah 1.28, docker 27 and ECR.
@pytest.mark.parametrize(
    ("line", "error", "words"),
    [
        ("write /var/tmp/storage: no space left on device", UserError, "disk is full"),
        ("tag invalid: The image tag 'v1' already exists in the 'a' repository", UserError, "not moved"),
        ("denied: Your authorization token has expired. Reauthenticate", ServiceError, "has expired"),
        ("unauthorized: authentication required", ServiceError, "rejects the login"),
        ("denied: User: arn:aws:iam::1:user/a is not authorized to perform", ServiceError, "denies"),
        ("dial tcp 10.0.0.1:443: connect: connection refused", ServiceError, "network"),
        ("dial tcp: lookup registry.example.com: no such host", ServiceError, "network"),
    ],
)
def test_a_failure_is_one_line_with_the_reason(line: str, error: type[UserError], words: str) -> None:
    raised = reason("buildah push", ["Copying blob 1", line, "subprocess exited with status 1"])
    assert type(raised) is error
    assert words in str(raised) and line in str(raised) and "\n" not in str(raised)


def test_the_line_of_the_program_that_failed_is_reported() -> None:
    lines = ["E: Unable to locate package foo", 'Error: building at STEP "RUN apt-get": exit status 100']
    assert str(reason("buildah bud", lines)).endswith("failed: E: Unable to locate package foo")


@pytest.mark.skipif(not shutil.which("buildah"), reason="needs buildah")
@pytest.mark.skipif(os.getuid() != 0, reason="buildah needs root, or a set-up for other users")
def test_buildah_builds_for_amd64_with_the_arguments_under_the_name(tmp_path: Path) -> None:
    (tmp_path / "Containerfile").write_text("FROM scratch\nARG MARK=none\nLABEL mark=${MARK}\n")
    name = f"localhost/test-images-build:{os.getpid()}"
    try:
        Buildah().build("Containerfile", name, {"MARK": "given"}, tmp_path)
        built = Buildah().find(name)
        label = ["buildah", "inspect", "--type=image", '--format={{index .OCIv1.Config.Labels "mark"}}', name]
        assert subprocess.run(label, capture_output=True, text=True).stdout.strip() == "given"
        assert built and built.architecture == "amd64"
    finally:
        subprocess.run(["buildah", "rmi", name], capture_output=True)


def test_an_end_from_outside_ends_the_program_too() -> None:
    code = (
        "from mrc_cli.command import end_on_sigterm\n"
        "from mrc_images import builders\n"
        "end_on_sigterm()\n"
        "builders.stream('sh', '-c', 'echo $$; exec sleep 600')\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        pid = process.stderr.readline().strip()
        process.terminate()
        assert process.wait() == 143
    assert not Path(f"/proc/{pid}").exists()


def test_output_is_shown_while_the_program_runs(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match=r"^sh -c: failed: bad$"):
        stream("sh", "-c", "echo good; echo bad >&2; exit 3")
    assert capfd.readouterr().err.splitlines() == ["good", "bad"]
