"""mrc-values install"""

from mrc_values.arguments import (
    Chart,
    ChartVersion,
    Context,
    DryRun,
    Given,
    Kubeconfig,
    Name,
    Namespace,
    Wait,
    chart_directory,
    takes_values,
)


@takes_values
def install(
    name: Name,
    given: Given,
    chart: Chart = None,
    version: ChartVersion = None,
    namespace: Namespace = None,
    wait: Wait = False,
    dry_run: DryRun = False,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Check the values and the cluster, then install a release.

    Runs `validate`, then a preflight that checks the operator, claims, nodes and free GPUs, quota,
    permissions and more (see the rules from MRC100 on in `mrc-values rules`). Errors prevent the install,
    warnings do not. The result is an ordinary Helm release, which `helm list` shows.

    Example: mrc-values install maskrcnn charts/maskrcnn -f values.yaml --wait

    Exit code: 0 installed, 1 findings or the release already exists, 2 wrong usage, 3 the cluster could not
    be reached or denied a request.
    """
    from mrc_values.deployment import Deployment, deploy

    directory = chart_directory(chart, version)
    deploy(
        Deployment("install", name, directory, given, namespace, context, kubeconfig),
        wait=wait,
        dry_run=dry_run,
    )
