"""Jupyter's token and certificate over upgrades, and when the pod is restarted."""

import base64
from copy import deepcopy
from typing import Any

import pytest
from cluster_lookup import owned, render_live
from rendering import CHARTS, Object
from server_charts import ALONE, SUBCHART, WAYS, Server, server

both_ways = pytest.mark.parametrize("way", WAYS)
RESTART = "mask-rcnn/secrets-sha256"


def upgraded(live: list[Object], way: str, **values: Any) -> Server:
    """What an upgrade renders while the cluster holds these objects."""
    own: dict[str, Any] = {"image": "lab:1", **values}
    if way == SUBCHART:
        own = {"maskrcnn": {"image": "trainer:1"}, "jupyter": {**own, "enabled": True}}
    chart = CHARTS / ("maskrcnn" if way == SUBCHART else "jupyter")
    rendered = render_live([owned(item, "demo") for item in live], chart, own)
    return Server(
        [item for item in rendered if item["metadata"]["labels"]["app.kubernetes.io/name"] == "jupyter"], ""
    )


def secrets(rendered: Server) -> list[Object]:
    return [deepcopy(item) for item in rendered.objects if item["kind"] == "Secret"]


def restart(rendered: Server) -> str:
    """What restarts the pod when it changes."""
    return str(rendered.deployment["spec"]["template"]["metadata"]["annotations"][RESTART])


@both_ways
def test_an_upgrade_keeps_token_certificate_and_pod(way: str) -> None:
    before = server("jupyter", way)
    after = upgraded(secrets(before), way)
    assert after.secrets == before.secrets
    assert after.deployment == before.deployment


def test_an_upgrade_that_changes_the_image_keeps_them_too() -> None:
    before = server("jupyter")
    after = upgraded(secrets(before), ALONE, image="lab:2")
    assert after.secrets == before.secrets
    assert after.container["image"] == "lab:2"


@both_ways
def test_a_release_that_is_gone_gets_new_ones(way: str) -> None:
    before = server("jupyter", way)
    after = upgraded([], way)
    assert set(after.secrets) == set(before.secrets)
    assert all(after.secrets[name] != content for name, content in before.secrets.items())
    assert restart(after) != restart(before)


@pytest.mark.parametrize("key", ["token", "tls.crt", "tls.key"])
def test_what_was_changed_by_hand_stays_and_restarts_the_pod(key: str) -> None:
    before = server("jupyter")
    live = secrets(before)
    (changed,) = (item for item in live if key in item["data"])
    changed["data"][key] = base64.b64encode(b"by hand").decode()
    after = upgraded(live, ALONE)
    assert after.secrets[changed["metadata"]["name"]][key] == b"by hand"
    assert restart(after) != restart(before)


@pytest.mark.parametrize("key", ["token", "tls.crt", "tls.key"])
def test_what_is_missing_in_a_secret_is_generated_again(key: str) -> None:
    live = secrets(server("jupyter"))
    (changed,) = (item for item in live if key in item["data"])
    del changed["data"][key]
    name = changed["metadata"]["name"]
    kept = next(item["metadata"]["name"] for item in live if item is not changed)
    after, before = upgraded(live, ALONE).secrets, Server(live, "").secrets
    assert set(after[name]) == {*before[name], key}
    assert all(after[name].values())
    assert after[kept] == before[kept]


def test_a_secret_of_the_user_s_restarts_the_pod_when_it_changes() -> None:
    def secret(version: str, token: str) -> Object:
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "mine", "namespace": "kubeflow", "uid": "u", "resourceVersion": version},
            "data": {"token": base64.b64encode(token.encode()).decode()},
        }

    def restart_hash(version: str, token: str) -> str:
        certificate = secrets(server_with_certificate)
        return restart(upgraded([secret(version, token), *certificate], ALONE, token_secret="mine"))

    server_with_certificate = server("jupyter", token_secret="mine")
    assert restart_hash("1", "short") == restart_hash("1", "short")
    assert restart_hash("1", "short") != restart_hash("2", "short")
    # The hash does not depend on the content, from which a short token could be guessed.
    assert restart_hash("1", "short") == restart_hash("1", "other")
