"""Checks whether a cluster can run a release, before Helm is called."""

from collections.abc import Callable, Iterator

from mrc_cli import findings
from mrc_cli.findings import Finding, Position, parse_dotted

from mrc_values.cluster.client import Cluster, Forbidden
from mrc_values.cluster.preflight.claims import claims_can_be_mounted
from mrc_values.cluster.preflight.nodes import nodes_are_enough
from mrc_values.cluster.preflight.operator import (
    jobs_are_known,
    queue_exists,
    version_is_taken,
)
from mrc_values.cluster.preflight.planned import ClusterReader, PlannedRelease, Problem, not_checked
from mrc_values.cluster.preflight.quota import quota_is_enough
from mrc_values.cluster.preflight.rights import names_exist, namespaces_exist, user_may_create
from mrc_values.cluster.preflight.run import no_live_run_is_ended, run_is_new
from mrc_values.cluster.preflight.staged import data_is_staged
from mrc_values.cluster.preflight.zones import workers_share_a_zone
from mrc_values.rules import CLUSTER_RULES

Check = Callable[[PlannedRelease, ClusterReader], Iterator[Problem]]

CHECKS: tuple[Check, ...] = (
    version_is_taken,
    jobs_are_known,
    namespaces_exist,
    user_may_create,
    run_is_new,
    no_live_run_is_ended,
    claims_can_be_mounted,
    data_is_staged,
    nodes_are_enough,
    workers_share_a_zone,
    quota_is_enough,
    names_exist,
    queue_exists,
)


def preflight(cluster: Cluster, planned: PlannedRelease) -> list[Finding]:
    """Findings about the cluster, each at the value that causes it.

    What the user is not allowed to read is not checked, with a warning. Raises ClusterError when the cluster
    cannot be reached.
    """
    reader = ClusterReader(cluster)
    result: list[Finding] = []
    for check in CHECKS:
        try:
            for problem in check(planned, reader):
                result.append(_finding(problem, cluster, planned))
        except Forbidden as error:
            unread = not_checked(check.__name__.replace("_", " "), error)
            result.append(_finding(unread, cluster, planned))
    return findings.sort(result)


def _finding(problem: Problem, cluster: Cluster, planned: PlannedRelease) -> Finding:
    path = parse_dotted(problem.name)
    position = planned.values.position(path) if path else Position(f"cluster {cluster.context}")
    severity = problem.severity or CLUSTER_RULES[problem.rule].severity
    return Finding(position, severity, problem.rule, path, problem.message, problem.fix)
