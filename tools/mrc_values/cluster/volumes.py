"""Creating static volumes and their claims where they do not exist."""

from collections.abc import Iterable, Iterator

from mrc_cli.errors import UserError

from mrc_values.cluster import client
from mrc_values.cluster.client import Cluster
from mrc_values.cluster.objects import Object, name, text


def create_missing(cluster: Cluster, objects: Iterable[Object]) -> Iterator[str]:
    """Create volumes and claims; yields what was done about each of them.

    Raises:
        UserError: for a volume of that name on another file system. Kubernetes allows no change of it.
    """
    for item in objects:
        is_claim = item["kind"] == "PersistentVolumeClaim"
        resource = client.CLAIMS if is_claim else client.VOLUMES
        namespace = text(item, "metadata", "namespace") or None
        title = f"{item['kind']} {f'{namespace}/' if namespace else ''}{name(item)}"
        live = cluster.find(resource, name(item), namespace)
        if live is None:
            cluster.create(resource, item, namespace)
            yield f"{title}: created."
            continue
        if not is_claim:
            _check_same(item, live, title)
        yield f"{title}: exists."


def _check_same(wanted: Object, live: Object, title: str) -> None:
    handle, other = (text(item, "spec", "csi", "volumeHandle") for item in (wanted, live))
    if handle == other:
        return
    claim = wanted["spec"]["claimRef"]
    raise UserError(
        f"{title}: is on {other or 'another file system'}, but Terraform built {handle}. Delete "
        "it and its claim, which keeps the data: "
        f"kubectl delete pvc {claim['name']} --namespace {claim['namespace']} && "
        f"kubectl delete pv {name(wanted)}"
    )
