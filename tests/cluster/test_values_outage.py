"""The API server goes while mrc-values waits, as when a control plane is upgraded, or falls silent."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from every_command import CHART, all_at_once, every_command, job_values
from preflights import P4D, program
from releases import end_launcher, install
from testcluster.charts import ready_cluster
from testcluster.client import Client, until
from testcluster.supervisor import STOPPED
from values_tool import command, eventually
from watched_job import dashboard, fetched, launcher_log, running_launchers, started


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A user of a cluster that no other module suffers with."""
    with ready_cluster(tmp_path_factory.mktemp("outage"), {"cpu": 1, "p4d": 2}) as cluster:
        yield Client(cluster, "kubeflow")


@dataclass(frozen=True)
class Watched:
    """What a program that went on printed, and how it ended."""

    code: int
    out: list[str]
    err: str


@dataclass(frozen=True)
class Outage:
    """The API server is away: the programs that were at work, and the commands that were tried meanwhile."""

    went_on: dict[str, Watched]
    tried: dict[str, "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def outage(alone: Client, tmp_path_factory: pytest.TempPathFactory) -> Outage:
    """A job runs and another one waits for its room; the API server goes and comes; the first job ends."""
    install(alone, "demo", "maskrcnn", P4D)
    alone.running("demo")
    log = launcher_log(alone, tmp_path_factory.mktemp("logs"))
    log.write("one")
    programs = {
        "wait": started(alone, "wait", "demo"),
        "logs": started(alone, "logs", "demo", "-f"),
        "install": started(alone, "install", "next", CHART, "--wait", *job_values(alone)),
    }
    heard = {name: [next(iter(process.stdout or ()))] for name, process in programs.items()}
    heard["install"] += read_to(programs["install"], "waiting, ")
    with alone.cluster.without("kube-apiserver"):
        heard["wait"] += read_to(programs["wait"], "Waiting for it.")
        heard["install"] += read_to(programs["install"], "Waiting for it.")
        tried = {words: command(alone, *arguments) for words, arguments in every_command(alone).items()}
    eventually(lambda: answers(alone), "the API server")
    heard["wait"] += read_to(programs["wait"], "running, ")
    log.write("two")
    until(lambda: launcher_ended(alone, "demo"), "the launcher's end")
    return Outage(ended(programs, heard), tried)


def launcher_ended(user: Client, job: str) -> bool:
    """Ends a job's launcher well; raises CommandFailed while the API server does not answer."""
    end_launcher(user, job, 0)
    return True


def read_to(process: "subprocess.Popen[str]", words: str) -> list[str]:
    """Lines that a program prints, to the first with these words."""
    lines = []
    for line in process.stdout or ():
        lines.append(line)
        if words in line:
            return lines
    raise AssertionError(f"no {words!r} in {lines}")


def ended(
    programs: "Mapping[str, subprocess.Popen[str]]", heard: Mapping[str, list[str]]
) -> dict[str, Watched]:
    """Waits for programs of which some lines are heard already."""
    watched = {}
    for name, process in programs.items():
        out, err = process.communicate(timeout=120)
        watched[name] = Watched(process.returncode, [*heard[name], *out.splitlines(keepends=True)], err)
    return watched


def answers(user: Client) -> bool:
    """Whether the API server takes connections."""
    config = yaml.safe_load(user.cluster.kubeconfig.read_text())
    server = urlsplit(config["clusters"][0]["cluster"]["server"])
    try:
        socket.create_connection((server.hostname, server.port), timeout=5).close()
    except OSError:
        return False
    return True


def test_wait_says_so_and_goes_on(outage: Outage) -> None:
    reported_and_continued(outage.went_on["wait"], "cannot be reached (Connection refused)")


def reported_and_continued(waited: Watched, reason: str) -> None:
    assert (waited.code, waited.err) == (0, "")
    away = [number for number, line in enumerate(waited.out) if line.endswith("Waiting for it.\n")]
    assert reason in waited.out[away[0]]
    assert waited.out[away[-1] + 1] == waited.out[0] == "running, 2 of 2 workers ready\n"
    assert waited.out[-1] == "finished\n"


def test_logs_go_on_and_lose_nothing(outage: Outage) -> None:
    followed = outage.went_on["logs"]
    assert (followed.code, followed.out) == (0, ["one\n", "two\n"])
    assert "Waiting for it." in followed.err


def test_an_install_that_waits_goes_on(outage: Outage) -> None:
    installed = outage.went_on["install"]
    assert installed.code == 0
    assert installed.out[-1].startswith("running, ")
    assert "Traceback" not in installed.err


def test_every_command_says_that_the_cluster_cannot_be_reached(outage: Outage) -> None:
    assert len(outage.tried) == 10
    for words, done in outage.tried.items():
        assert (done.returncode, done.stdout) == (3, ""), words
        assert "cannot be reached (Connection refused). Check the network or VPN" in done.stderr, words
        assert len(done.stderr.splitlines()) == 1, words


def test_every_command_says_that_a_server_takes_connections_and_is_silent(
    alone: Client, tmp_path: Path
) -> None:
    config = yaml.safe_load(alone.cluster.kubeconfig.read_text())
    with socket.create_server(("127.0.0.1", 0), backlog=100) as silent:
        config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{silent.getsockname()[1]}"
        path = tmp_path / "kubeconfig"
        path.write_text(yaml.safe_dump(config))
        commands = every_command(alone).items()
        tried = all_at_once(alone, {words: [*argv, f"--kubeconfig={path}"] for words, argv in commands})
    all_without_an_answer(tried)


def all_without_an_answer(tried: "Mapping[str, subprocess.CompletedProcess[str]]") -> None:
    assert len(tried) == 10
    for words, done in tried.items():
        assert (done.returncode, done.stdout) == (3, ""), words
        (line,) = done.stderr.splitlines()
        assert "no answer in time, to " in line, words
        assert "Check the network or VPN" in line, words


@pytest.fixture(scope="module")
def freeze(alone: Client, outage: Outage, tmp_path_factory: pytest.TempPathFactory) -> Outage:
    """The job that waited for room runs; the API server is stopped and continued; the job ends."""
    until(lambda: len(running_launchers(alone, "next")) == 1, "a launcher")
    dashboard(alone)
    log = launcher_log(alone, tmp_path_factory.mktemp("logs"), "next")
    log.write("one")
    programs = {
        "wait": started(alone, "wait", "next"),
        "logs": started(alone, "logs", "next", "-f"),
        "open": started(alone, "open", "demo", "tensorboard"),
    }
    heard = {name: [next(iter(process.stdout or ()))] for name, process in programs.items()}
    with alone.cluster.frozen("kube-apiserver"), ThreadPoolExecutor() as beside:
        beside.submit(fetched, heard["open"][0].strip(), seconds=60)
        tried = all_at_once(alone, every_command(alone))
        heard["wait"] += read_to(programs["wait"], "Waiting for it.")
    heard["wait"] += read_to(programs["wait"], "running, ")
    log.write("two")
    until(lambda: launcher_ended(alone, "next"), "the launcher's end")
    programs["open"].send_signal(signal.SIGINT)
    return Outage(ended(programs, heard), tried)


def test_every_command_says_that_a_stopped_server_does_not_answer(freeze: Outage) -> None:
    all_without_an_answer(freeze.tried)


def test_wait_goes_on_when_a_stopped_server_does(freeze: Outage) -> None:
    reported_and_continued(freeze.went_on["wait"], "no answer in time")


def test_logs_lose_nothing_over_a_stopped_server(freeze: Outage) -> None:
    followed = freeze.went_on["logs"]
    assert (followed.code, followed.out) == (0, ["one\n", "two\n"])
    assert "no answer in time" in followed.err


def test_open_says_why_a_page_does_not_come_from_behind_a_stopped_server(freeze: Outage) -> None:
    opened = freeze.went_on["open"]
    assert opened.code == 0
    assert "no answer in time" in opened.err


def test_an_api_server_that_goes_while_helm_installs_is_told_and_a_second_try_succeeds(
    alone: Client, tmp_path: Path
) -> None:
    stopped = alone.cluster.directory / STOPPED
    helm = tmp_path / "helm"
    away = f"echo kube-apiserver > {stopped}; sleep 2"
    helm.write_text(f'#!/bin/sh\n[ "$1" != install ] || {{ {away}; }}\nexec {alone.cluster.bin}/helm "$@"\n')
    helm.chmod(0o755)
    install = ["install", "late", CHART, *job_values(alone)]
    done = program(alone, *install, PATH=f"{tmp_path}:{alone.cluster.environment['PATH']}")
    stopped.unlink()
    assert done.returncode == 3
    assert "connection refused" in done.stderr
    assert "mrc-values: helm install late failed; see its output above." in done.stderr
    assert "Traceback" not in done.stderr
    until(lambda: bool(alone.names("namespace")), "the API server")
    again = program(alone, *install)
    assert again.returncode == 0, again.stderr


def test_an_api_server_that_stops_while_helm_installs_is_told(alone: Client, tmp_path: Path) -> None:
    server = alone.cluster.pid("kube-apiserver")
    helm = tmp_path / "helm"
    stop = f"kill -STOP {server}"
    helm.write_text(f'#!/bin/sh\n[ "$1" != install ] || {stop}\nexec {alone.cluster.bin}/helm "$@"\n')
    helm.chmod(0o755)
    try:
        path = f"{tmp_path}:{alone.cluster.environment['PATH']}"
        done = program(alone, "install", "frozen", CHART, *job_values(alone), PATH=path)
    finally:
        os.kill(server, signal.SIGCONT)
    assert done.returncode == 3
    assert "mrc-values: helm install frozen failed; see its output above." in done.stderr
    assert "TLS handshake timeout" in done.stderr
    assert "Traceback" not in done.stderr
