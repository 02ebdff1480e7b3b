"""mrc-values install"""

from mrc_values.arguments import (
    Chart,
    Context,
    DryRun,
    Kubeconfig,
    Name,
    Namespace,
    SetFiles,
    SetJsons,
    Sets,
    SetStrings,
    ValuesFiles,
    Wait,
    chart_directory,
    flags,
)


def install(
    name: Name,
    chart: Chart = None,
    values: ValuesFiles = None,
    sets: Sets = None,
    set_string: SetStrings = None,
    set_file: SetFiles = None,
    set_json: SetJsons = None,
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

    directory = chart_directory(chart)
    settings = flags(sets, set_string, set_file, set_json)
    deploy(
        Deployment("install", name, directory, values or [], settings, namespace, context, kubeconfig),
        wait=wait,
        dry_run=dry_run,
    )
