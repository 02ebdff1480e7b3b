"""All commands of mrc-values that ask a cluster."""

import subprocess
from collections.abc import Mapping, Sequence

from preflights import P4D, given
from testcluster.charts import CHARTS
from testcluster.client import Client
from values_tool import PROGRAM

CHART = str(CHARTS / "maskrcnn")


def every_command(user: Client, job: str = "demo") -> dict[str, list[str]]:
    """Their arguments by their first words, for a user and a job."""
    watching = ("status", "wait", "logs", "logs -f", "open tensorboard", "delete")
    namespace = f"--namespace={user.namespace}"
    values = job_values(user)
    watchers = {words: [words.split()[0], job, *words.split()[1:], namespace] for words in watching}
    return watchers | {
        "list": ["list"],
        "install": ["install", "another", CHART, *values],
        "upgrade": ["upgrade", job, CHART, *values],
        "plan": ["plan", CHART, "--fs=auto", "--node-group=p4d", "--nodes=2"],
    }


def job_values(user: Client) -> list[str]:
    """The values of a job in the user's namespace, as flags."""
    return given(user, P4D, "tensorboard.enabled=false")


def all_at_once(
    user: Client, commands: Mapping[str, Sequence[str]]
) -> dict[str, "subprocess.CompletedProcess[str]"]:
    """How programs end that are started together."""
    running = {
        words: subprocess.Popen(
            [PROGRAM, *arguments],
            env=user.cluster.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for words, arguments in commands.items()
    }
    ended = {}
    for words, process in running.items():
        out, err = process.communicate(timeout=120)
        ended[words] = subprocess.CompletedProcess(process.args, process.returncode, out, err)
    return ended
