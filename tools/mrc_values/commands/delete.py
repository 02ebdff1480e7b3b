"""mrc-values delete"""

from typing import TYPE_CHECKING

from mrc_cli.terminal import say

from mrc_values.arguments import Context, Kubeconfig, Name, Namespace

if TYPE_CHECKING:
    from mrc_values.cluster.releases import Release


def delete(
    name: Name, namespace: Namespace = None, context: Context = None, kubeconfig: Kubeconfig = None
) -> None:
    """Delete a release with its pods and services; logs, checkpoints and data are kept.

    A running job is stopped; installing it again with the same values resumes from the newest checkpoint.

    Example: mrc-values delete maskrcnn

    Exit code: 0 when deleted; 1 when the release does not exist; 3 when the cluster cannot be reached or
    denies the request.
    """
    from mrc_values.cluster import client, releases

    cluster = client.connect(context, kubeconfig)
    helm = releases.helm(cluster, namespace or cluster.namespace, kubeconfig)
    release = helm.release(name)
    if release is None:
        raise helm.not_found(name)
    kept = _kept(release)
    helm.uninstall(name)
    for line in kept:
        say(f"kept: {line}")
    if any(line.startswith("the run") for line in kept):
        say("mrc-values install with the same values resumes from the newest checkpoint.")


def _kept(release: "Release") -> list[str]:
    from mrc_values.cluster.kept import kept_after_delete

    return kept_after_delete(str(release.get("manifest", "")))
