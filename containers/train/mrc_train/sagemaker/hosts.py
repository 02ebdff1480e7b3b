"""Several hosts: the first runs mpirun over ssh, the others serve it, and all end with its exit code."""

import os
import socket
import subprocess
import time
from collections.abc import Callable

from mrc_cli.errors import UserError
from mrc_cli.terminal import say

from mrc_train.sagemaker import messages, ssh
from mrc_train.sagemaker.job import Job
from mrc_train.sagemaker.programs import Ended
from mrc_train.sagemaker.rendezvous import Server, post
from mrc_train.sagemaker.stop import StopSignal

TIMEOUT_VARIABLE = "LAUNCH_TIMEOUT"
"""Seconds that hosts wait for one another; the same variable as in a launcher pod."""

DEFAULT_TIMEOUT = 600.0

SILENCE_TIMEOUT = 15.0
"""Seconds without an answer after which the first host counts as gone."""

FAREWELL_SECONDS = 10.0
"""How long the first host waits until the others have heard the result."""


class Stopped(Exception):
    """SIGTERM arrived before the training began."""


def lead(job: Job, token: str, stop: StopSignal, train: Callable[[str], Ended]) -> Ended:
    """The first host's part: gather the others, train, tell them the result.

    Args:
        train: trains on all hosts, given the ssh command that reaches them.

    Raises:
        UserError: when a host does not arrive in time.
    """
    others = job.hosts[1:]
    ssh.prepare()
    server = Server(_address(job.host), token, others, ssh.make_key("client"))
    server.start()
    try:
        _await_hosts(server, stop)
        ended = train(_await_ssh(server, stop))
    except Stopped:
        ended = Ended(0, "")
    except UserError as error:
        ended = Ended(error.exit_code, f"train: error: {error}")
        say(ended.reason)
    server.finish(ended)
    deadline = time.monotonic() + FAREWELL_SECONDS
    while server.told != set(server.keys) and time.monotonic() < deadline:
        time.sleep(0.1)
    return ended


def follow(job: Job, token: str, stop: StopSignal) -> Ended:
    """Another host's part: exchange keys, serve ssh, and end as the job does.

    Raises:
        UserError: when the first host does not answer or does not recognize this one.
    """
    ssh.prepare()
    key = ssh.make_key("host")
    try:
        client_key = _join(job, token, key, stop)
    except Stopped:
        return Ended(0, "")
    server = ssh.serve(client_key, socket.gethostbyname(job.first))
    say(f"train: {job.host} is ready for {job.first}")
    try:
        return _await_result(job, token, server)
    finally:
        server.terminate()
        server.wait()


def _timeout() -> float:
    text = os.environ.get(TIMEOUT_VARIABLE, "")
    return float(text) if text.isdecimal() else DEFAULT_TIMEOUT


def _address(host: str) -> str:
    """This host's address between the hosts; its name may take a moment to resolve."""
    deadline = time.monotonic() + _timeout()
    while True:
        try:
            return socket.gethostbyname(host)
        except OSError as error:
            if time.monotonic() > deadline:
                raise UserError(f"{host}, this host's own name, does not resolve: {error.strerror}") from None
            time.sleep(0.5)


def _await_hosts(server: Server, stop: StopSignal) -> None:
    timeout = _timeout()
    deadline = time.monotonic() + timeout
    while missing := [host for host in server.others if host not in server.keys]:
        if stop.requested:
            raise Stopped
        if time.monotonic() > deadline:
            strangers = ""
            if server.rejected:
                strangers = (
                    f"; rejected messages with another token from {', '.join(sorted(server.rejected))}"
                )
            raise UserError(f"{', '.join(missing)} did not arrive within {timeout:.0f} s{strangers}")
        time.sleep(0.2)


def _await_ssh(server: Server, stop: StopSignal) -> str:
    """The ssh command for mpirun, once every host answers it."""
    command = ssh.client(server.keys)
    timeout = _timeout()
    deadline = time.monotonic() + timeout
    for host in server.others:
        while problem := ssh.problem(command, host):
            if stop.requested:
                raise Stopped
            if time.monotonic() > deadline:
                raise UserError(f"{host} does not answer ssh within {timeout:.0f} s: {problem}")
            time.sleep(0.2)
    return command


def _join(job: Job, token: str, key: str, stop: StopSignal) -> str:
    """Send this host's key to the first host until it answers; returns the key of its ssh client."""
    timeout = _timeout()
    deadline = time.monotonic() + timeout
    while True:
        if stop.requested:
            raise Stopped
        try:
            status, body = post(job.first, "/join", messages.pack(token, "join", host=job.host, key=key))
            break
        except OSError as error:
            if time.monotonic() > deadline:
                reason = error.strerror or error
                raise UserError(f"{job.first} did not answer within {timeout:.0f} s: {reason}") from None
            time.sleep(0.5)
    if status == 403:
        raise UserError(f"{job.first} has another mrc_job_token than {job.host}; start the job again")
    if status != 200:
        raise UserError(f"{job.first} rejected {job.host}: another host has that name (status {status})")
    content = messages.unpack(token, "welcome", body)
    if content is None or content["host"] != job.host:
        raise UserError(f"what answers as {job.first} has another mrc_job_token than {job.host}")
    return str(content["key"])


def _await_result(job: Job, token: str, server: "subprocess.Popen[bytes]") -> Ended:
    heard = time.monotonic()
    while True:
        if server.poll() is not None:
            raise UserError(f"sshd on {job.host} ended with code {server.returncode}; its lines are above")
        try:
            status, body = post(job.first, "/result", messages.pack(token, "ask", host=job.host))
        except OSError as error:
            if time.monotonic() - heard > SILENCE_TIMEOUT:
                raise UserError(f"{job.first} is gone: {error.strerror or error}") from None
            time.sleep(1)
            continue
        heard = time.monotonic()
        if status == 200 and (content := messages.unpack(token, "result", body)):
            return Ended(int(content["code"]), str(content["reason"]))
        if status != 202:
            raise UserError(f"{job.first} does not answer this job's messages any more (status {status})")
