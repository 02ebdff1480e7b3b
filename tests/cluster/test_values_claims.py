"""Why a job waits for its claims, with the real volume controller and scheduler."""

import preflights
from testcluster.client import Client, Object
from values_tool import reason_named, submit


def claim(user: Client, **spec: object) -> Object:
    """The claim ``own``."""
    made = preflights.claim("own")
    return made | {"spec": made["spec"] | spec}


def volume(user: Client, **spec: object) -> Object:
    """A volume for the claim ``own``."""
    holder = {"namespace": user.namespace, "name": "own"}
    made = preflights.volume(f"own-{user.namespace}", "efs.csi.aws.com", holder)
    return made | {"spec": made["spec"] | spec}


def submit_with_own_claim(user: Client) -> None:
    submit(user, "demo", "maskrcnn.node_group=p4d", "global.shared_pvc=own")


def test_a_claim_without_volume_and_class_is_named(user: Client) -> None:
    user.apply(claim(user))
    submit_with_own_claim(user)
    assert "there is no volume for the claim own" in reason_named(user, "demo", "claim-no-volume").text


def test_a_claim_of_a_volume_that_does_not_exist_is_named(user: Client) -> None:
    user.apply(claim(user, volumeName="nothing"))
    submit_with_own_claim(user)
    assert "waits for its volume nothing" in reason_named(user, "demo", "claim-no-volume").text


def test_a_missing_storage_class_is_named(user: Client) -> None:
    user.apply(claim(user, storageClassName="fast"))
    submit_with_own_claim(user)
    assert "the storage class fast" in reason_named(user, "demo", "storage-class-missing").text


def test_a_driver_that_creates_no_volume_is_named(user: Client) -> None:
    name = f"efs-{user.namespace}"
    kind = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name}}
    user.apply(kind | {"provisioner": "efs.csi.aws.com"}, claim(user, storageClassName=name))
    submit_with_own_claim(user)
    assert "the storage driver efs.csi.aws.com" in reason_named(user, "demo", "claim-provisioner").text


def test_a_different_access_mode_of_the_volume_is_named(user: Client) -> None:
    # Kubernetes compares them only where the volume names no claim.
    other_mode = volume(user, accessModes=["ReadWriteOnce"], claimRef=None)
    user.apply(other_mode, claim(user, volumeName=f"own-{user.namespace}"))
    submit_with_own_claim(user)
    assert (
        "an access mode that its volume does not have" in reason_named(user, "demo", "claim-access-mode").text
    )


def test_a_claim_whose_volume_was_deleted_is_named(user: Client) -> None:
    user.apply(volume(user), claim(user, volumeName=f"own-{user.namespace}"))
    user.wait("pvc/own", "jsonpath={.status.phase}=Bound")
    user.kubectl("delete", "pv", f"own-{user.namespace}", "--wait=false")
    user.kubectl("patch", "pv", f"own-{user.namespace}", '--patch={"metadata":{"finalizers":null}}')
    user.wait("pvc/own", "jsonpath={.status.phase}=Lost")
    submit_with_own_claim(user)
    assert f"lost its volume own-{user.namespace}" in reason_named(user, "demo", "claim-lost").text


def test_a_claim_that_is_being_deleted_is_named(user: Client) -> None:
    user.apply(volume(user), claim(user, volumeName=f"own-{user.namespace}"))
    user.wait("pvc/own", "jsonpath={.status.phase}=Bound")
    user.kubectl("patch", "pvc", "own", '--patch={"metadata":{"finalizers":["test/keep"]}}')
    user.kubectl("delete", "pvc", "own", "--wait=false")
    submit_with_own_claim(user)
    assert "own is being deleted" in reason_named(user, "demo", "claim-deleted").text
    user.kubectl("patch", "pvc", "own", '--patch={"metadata":{"finalizers":null}}')


def test_a_volume_of_another_zone_is_named(user: Client) -> None:
    zone = {"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["mars-1a"]}
    affinity = {"required": {"nodeSelectorTerms": [{"matchExpressions": [zone]}]}}
    user.apply(volume(user, nodeAffinity=affinity), claim(user, volumeName=f"own-{user.namespace}"))
    submit_with_own_claim(user)
    assert "only be used on other nodes" in reason_named(user, "demo", "volume-zone").text


def test_a_claim_for_one_pod_is_named(user: Client) -> None:
    mode = ["ReadWriteOncePod"]
    user.apply(
        volume(user, accessModes=mode), claim(user, accessModes=mode, volumeName=f"own-{user.namespace}")
    )
    submit_with_own_claim(user)
    assert "ReadWriteOncePod" in reason_named(user, "demo", "claim-one-pod").text
