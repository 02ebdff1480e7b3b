"""The chart mpijob on a cluster that has the CRD or the namespace already."""

from typing import Any

import helm_python
import pytest
from cluster_lookup import owned, render_live
from rendering import CHARTS, Object, only, render_objects

CHART = CHARTS / "mpijob"
INSTALLED = render_objects(CHART, {}, "mpijob")
CRD, NAMESPACE = only(INSTALLED, "CustomResourceDefinition"), only(INSTALLED, "Namespace")


def kinds(live: list[Object], values: dict[str, Any] | None = None, release: str = "mpijob") -> set[str]:
    """Kinds of the objects that a release has on a cluster that holds those of ``live``."""
    return {item["kind"] for item in render_live(live, CHART, values or {}, release)}


def test_on_an_empty_cluster_the_release_has_both() -> None:
    assert {"CustomResourceDefinition", "Namespace"} <= kinds([])


def test_an_upgrade_keeps_the_releases_own_objects() -> None:
    # An object that an upgrade leaves out is deleted, unless it is marked to be kept.
    live = [owned(CRD, "mpijob"), owned(NAMESPACE, "mpijob")]
    assert {"CustomResourceDefinition", "Namespace"} <= kinds(live)


OTHERS = ["by hand", "another release's", "a release's of that name elsewhere"]


@pytest.mark.parametrize(
    "live", [NAMESPACE, owned(NAMESPACE, "other"), owned(NAMESPACE, "mpijob", "kubeflow")], ids=OTHERS
)
def test_an_existing_namespace_is_used_unchanged(live: Object) -> None:
    created = kinds([live])
    assert "Namespace" not in created
    assert {"CustomResourceDefinition", "Deployment"} <= created


@pytest.mark.parametrize(
    ("live", "whose"),
    [
        (CRD, "owned by no release"),
        (owned(CRD, "other"), "owned by the release default/other"),
        (owned(CRD, "mpijob", "kubeflow"), "owned by the release kubeflow/mpijob"),
    ],
    ids=OTHERS,
)
def test_an_existing_crd_is_not_changed(live: Object, whose: str) -> None:
    with pytest.raises(helm_python.HelmError) as error:
        kinds([live])
    output = str(error.value)
    assert f"crd.create: the CRD mpijobs.kubeflow.org already exists, {whose}. Set crd.create to" in output
    assert (
        "meta.helm.sh/release-name=mpijob meta.helm.sh/release-namespace=default && kubectl label" in output
    )


def test_with_crd_create_false_an_existing_crd_is_used() -> None:
    created = kinds([CRD], {"crd": {"create": False}})
    assert "CustomResourceDefinition" not in created
    assert "Deployment" in created
