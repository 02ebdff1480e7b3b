"""What jupyter and tensorboard have in common, alone and as sub-charts of maskrcnn."""

import re
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from maskrcnn_chart import run
from mrc_values.check import check
from mrc_values.helm import RenderError, render
from rendering import CHARTS, NEWEST, OLDEST, VERSION, Object, check_object, objects, only, render_objects
from server_charts import ALONE, SUBCHART, WAYS, server

BOTH = ("jupyter", "tensorboard")
PATH = {ALONE: "", SUBCHART: "{}."}
AWS = "service.beta.kubernetes.io/aws-load-balancer"

both = pytest.mark.parametrize("chart", BOTH)
both_ways = pytest.mark.parametrize("way", WAYS)


@both
@both_ways
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_every_object_is_valid_for_kubernetes(chart: str, way: str, version: str) -> None:
    rendered = server(chart, way, service={"type": "LoadBalancer"}, global_={"source_cidr": "192.0.2.0/24"})
    for item in rendered.objects:
        check_object(item, version)


@both
def test_the_chart_renders_the_same_alone_and_as_a_sub_chart(chart: str) -> None:
    alone, sub = server(chart, ALONE), server(chart, SUBCHART)
    assert alone.service == sub.service
    if chart == "tensorboard":  # Jupyter's pod differs in the hash of a token
        assert alone.deployment == sub.deployment


@both
@both_ways
def test_a_service_is_reached_within_the_cluster_alone(chart: str, way: str) -> None:
    service = server(chart, way).service
    assert service["spec"]["type"] == "ClusterIP"
    assert "annotations" not in service["metadata"]
    assert not {"loadBalancerSourceRanges", "allocateLoadBalancerNodePorts"} & set(service["spec"])


@both
@both_ways
@pytest.mark.parametrize(
    ("cidr", "ranges"),
    [
        ("203.0.113.0/24", ["203.0.113.0/24"]),
        ("203.0.113.0/24, 198.51.100.7/32,", ["203.0.113.0/24", "198.51.100.7/32"]),
        ("2001:db8::/32", ["2001:db8::/32"]),
    ],
)
def test_a_load_balancer_allows_the_networks_of_source_cidr(
    chart: str, way: str, cidr: str, ranges: list[str]
) -> None:
    service = server(chart, way, service={"type": "LoadBalancer"}, global_={"source_cidr": cidr}).service
    assert service["spec"]["loadBalancerSourceRanges"] == ranges
    assert service["spec"]["allocateLoadBalancerNodePorts"] is False
    assert service["metadata"]["annotations"] == {
        f"{AWS}-type": "external",
        f"{AWS}-nlb-target-type": "ip",
        f"{AWS}-scheme": "internal",
    }


@both
@both_ways
@pytest.mark.parametrize("cidr", ["0.0.0.0/0", "fc00::/7", "10.0.0.0/8"])
def test_a_public_network_is_allowed_on_request_and_a_private_one_without(
    chart: str, way: str, cidr: str
) -> None:
    global_ = {"source_cidr": cidr} | ({"allow_public": True} if cidr == "0.0.0.0/0" else {})
    service = server(chart, way, service={"type": "LoadBalancer"}, global_=global_).service
    assert service["spec"]["loadBalancerSourceRanges"] == [cidr]


@both
@both_ways
def test_annotations_of_the_user_take_precedence_on_a_service(chart: str, way: str) -> None:
    service = {"type": "LoadBalancer", "annotations": {f"{AWS}-type": "nlb", "owner": "vision"}}
    service_object = server(chart, way, service=service, global_={"source_cidr": "192.0.2.0/24"}).service
    annotations = service_object["metadata"]["annotations"]
    assert (annotations[f"{AWS}-type"], annotations["owner"]) == ("nlb", "vision")


@both
@both_ways
def test_an_ingress_leads_to_the_service_for_the_networks_of_source_cidr(chart: str, way: str) -> None:
    ingress = {
        "enabled": True,
        "class_name": "alb",
        "hosts": ["a.example.com", "b.example.com"],
        "tls_secret": "tls",
        "annotations": {"alb.ingress.kubernetes.io/scheme": "internet-facing"},
    }
    cidr = "192.0.2.0/24, 198.51.100.7/32"
    rendered = server(chart, way, ingress=ingress, global_={"source_cidr": cidr})
    item = only(rendered.objects, "Ingress")
    check_object(item)
    assert item["spec"]["ingressClassName"] == "alb"
    assert item["spec"]["tls"] == [{"secretName": "tls", "hosts": ingress["hosts"]}]
    assert [rule["host"] for rule in item["spec"]["rules"]] == ingress["hosts"]
    (port,) = rendered.service["spec"]["ports"]
    for rule in item["spec"]["rules"]:
        (path,) = rule["http"]["paths"]
        assert path["backend"]["service"] == {
            "name": rendered.service["metadata"]["name"],
            "port": {"name": port["name"]},
        }
    annotations = item["metadata"]["annotations"]
    assert annotations["alb.ingress.kubernetes.io/inbound-cidrs"] == "192.0.2.0/24,198.51.100.7/32"
    assert annotations["alb.ingress.kubernetes.io/scheme"] == "internet-facing"


@both
@both_ways
def test_a_network_policy_admits_the_peers_of_the_user_to_the_port(chart: str, way: str) -> None:
    peer = {"namespaceSelector": {"matchLabels": {"team": "vision"}}}
    rendered = server(chart, way, network_policy=True, network_peers=[peer])
    policy = only(rendered.objects, "NetworkPolicy")
    check_object(policy)
    spec = policy["spec"]
    assert spec["podSelector"]["matchLabels"] == rendered.deployment["spec"]["selector"]["matchLabels"]
    (port,) = rendered.container["ports"]
    assert spec["ingress"] == [{"from": [peer], "ports": [{"port": port["name"]}]}]


@both
@both_ways
@pytest.mark.parametrize("exposed", [{"service": {"type": "LoadBalancer"}}, {"ingress": {"enabled": True}}])
def test_a_network_policy_admits_the_networks_of_a_load_balancer(
    chart: str, way: str, exposed: dict[str, Any]
) -> None:
    global_ = {"source_cidr": "192.0.2.0/24, 198.51.100.7/32"}
    rendered = server(chart, way, network_policy=True, global_=global_, **exposed)
    (rule,) = only(rendered.objects, "NetworkPolicy")["spec"]["ingress"]
    assert [peer["ipBlock"]["cidr"] for peer in rule["from"]] == ["192.0.2.0/24", "198.51.100.7/32"]


@both
@both_ways
def test_a_network_policy_without_peers_admits_nobody(chart: str, way: str) -> None:
    # Without source_cidr in effect: a rule with an empty list of peers would admit everybody.
    rendered = server(chart, way, network_policy=True, global_={"source_cidr": "192.0.2.0/24"})
    assert only(rendered.objects, "NetworkPolicy")["spec"]["ingress"] == []


@both
@both_ways
def test_an_ingress_without_hosts_takes_every_host(chart: str, way: str) -> None:
    rendered = server(chart, way, ingress={"enabled": True}, global_={"source_cidr": "192.0.2.0/24"})
    (rule,) = only(rendered.objects, "Ingress")["spec"]["rules"]
    assert set(rule) == {"http"}


@both
@both_ways
def test_a_load_balancer_faces_the_internet_on_request(chart: str, way: str) -> None:
    service = {"type": "LoadBalancer", "scheme": "internet-facing"}
    service_object = server(chart, way, service=service, global_={"source_cidr": "192.0.2.0/24"}).service
    assert service_object["metadata"]["annotations"][f"{AWS}-scheme"] == "internet-facing"


NOBODY = (
    "{path}service.type: a LoadBalancer requires global.source_cidr, which is empty. "
    "Set it to the networks that may connect, for example 203.0.113.0/24, or {path}service.type to ClusterIP"
)
NULL = "{path}%s is null but requires a value. Set it, or remove it to use the default"
REJECTED: list[tuple[dict[str, Any], str]] = [
    ({"service": {"type": "LoadBalancer"}}, NOBODY),
    ({"service": {"type": "LoadBalancer"}, "global_": {"source_cidr": " , "}}, NOBODY),
    *(
        (
            {"service": {"type": "LoadBalancer"}, "global_": {"source_cidr": cidr}},
            f"global.source_cidr: {wrong} is not a network. "
            "Write it as 203.0.113.0/24, and separate several networks by commas",
        )
        for cidr, wrong in [
            ("203.0.113.7", "203.0.113.7"),
            ("203.0.113.0/33", "203.0.113.0/33"),
            ("192.0.2.0/24,office", "office"),
            ("256.0.2.0/24", "256.0.2.0/24"),
            ("2001:db8::/129", "2001:db8::/129"),
            ("0.0.0.0/0 ::/0", "0.0.0.0/0 ::/0"),
        ]
    ),
    *(
        (
            {**exposed, "global_": {"source_cidr": cidr}},
            f"global.source_cidr: {public} is a public network. Set it to the addresses of your office or "
            "VPN, or set global.allow_public to true",
        )
        for exposed in ({"service": {"type": "LoadBalancer"}}, {"ingress": {"enabled": True}})
        for cidr, public in [
            ("192.0.2.0/24,0.0.0.0/0", "0.0.0.0/0"),
            ("128.0.0.0/1", "128.0.0.0/1"),
            ("::/0", "::/0"),
        ]
    ),
    (
        {"ingress": {"enabled": True}},
        "{path}ingress.enabled: an Ingress requires global.source_cidr, which is empty. Set it to the "
        "networks that may connect, for example 203.0.113.0/24, or {path}ingress.enabled to false",
    ),
    (
        {"global_": {"shared_fs": "fsx", "shared_pvc": "tensorpack-efs-gp-bursting"}},
        "global.shared_pvc: tensorpack-efs-gp-bursting is the default claim of efs, "
        "but global.shared_fs is fsx. "
        'Set global.shared_pvc to "" or to a claim of fsx',
    ),
    (
        {"namespace": "vision"},
        "global.namespace: the release is in namespace vision, but its objects are in kubeflow. Run helm "
        'with --namespace kubeflow, or set global.namespace to "" to create them in vision',
    ),
    *(
        ({name: None}, NULL % name)
        for name in ("port", "target_port", "image_pull_policy", "run_as_user", "run_as_group", "service")
    ),
    ({"service": {"type": None}}, NULL % "service.type"),
]


@both
@both_ways
@pytest.mark.parametrize(("values", "message"), REJECTED, ids=str)
def test_a_template_names_the_rejected_value_and_the_fix(
    chart: str, way: str, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(RenderError) as error:
        server(chart, way, **values)
    assert error.value.message == message.format(path=PATH[way].format(chart))


@both
def test_a_null_global_value_is_one_line(chart: str) -> None:
    for null in ({"shared_fs": None}, None):
        with pytest.raises(RenderError) as error:
            render(CHARTS / chart, {"image": "x:1", "global": null}, "demo")
        assert error.value.message.startswith("global.shared_fs is null but requires a value. Set it")


@both
def test_alone_a_name_that_no_chart_shares_is_rejected(chart: str) -> None:
    with pytest.raises(RenderError) as error:
        server(chart, ALONE, global_={"shard_fs": "fsx"})
    assert error.value.message == (
        "global.shard_fs: unknown value. Known values: namespace, shared_fs, shared_pvc, source_cidr, "
        "allow_public, common_labels, common_annotations"
    )


@both
def test_in_a_parent_of_the_user_s_more_may_be_shared(chart: str, tmp_path: Path) -> None:
    (tmp_path / "Chart.yaml").write_text(
        f"apiVersion: v2\nname: all\nversion: 1.0.0\ndependencies: [{{name: {chart}, version: {VERSION}}}]\n"
    )
    (tmp_path / "values.yaml").write_text("global: {team: vision, shared_fs: fsx}\n")
    (tmp_path / "charts").mkdir()
    (tmp_path / "charts" / chart).symlink_to(CHARTS / chart)
    (deployment,) = (
        item for item in render_objects(tmp_path, {chart: {"image": "x:1"}}) if item["kind"] == "Deployment"
    )
    assert deployment["metadata"]["name"] == f"demo-{chart}"
    assert "tensorpack-fsx" in str(deployment)


SCHEMA_REFUSES: list[tuple[dict[str, Any], str]] = [
    ({"imgae": "x"}, "'imgae' not allowed"),
    ({"port": "80"}, "/port"),
    ({"target_port": 70000}, "/target_port"),
    ({"name": "Board_1"}, "/name"),
    ({"image": "a b"}, "/image"),
    ({"image_pull_policy": "Sometimes"}, "/image_pull_policy"),
    ({"service": {"type": "NodePort"}}, "/service/type"),
    ({"service": {"scheme": "public"}}, "/service/scheme"),
    ({"service": {"cidr": "192.0.2.0/24"}}, "'cidr' not allowed"),
    ({"run_as_user": 0}, "/run_as_user"),
    ({"tolerations": [{"keys": "a"}]}, "'keys' not allowed"),
    ({"resources": {"memory": "2Gi"}}, "'memory' not allowed"),
]


@both
@pytest.mark.parametrize("switch", [None, True, False], ids=["alone", "enabled", "disabled"])
@pytest.mark.parametrize(("values", "place"), SCHEMA_REFUSES, ids=str)
def test_the_schema_names_the_position_of_a_rejected_value(
    chart: str, switch: bool | None, values: dict[str, Any], place: str
) -> None:
    with pytest.raises(RenderError) as error:
        if switch is None:
            server(chart, ALONE, **values)
        else:
            inner = {"image": "x:1", "enabled": switch, **values}
            render(CHARTS / "maskrcnn", {"maskrcnn": {"image": "t:1"}, chart: inner}, "demo")
    assert "values don't meet the specifications of the schema" in error.value.message
    assert place in error.value.message


@both
@both_ways
@pytest.mark.parametrize("release", ["demo", "0-digit", "dots.in.it", "x" * 53, "1" * 53])
@pytest.mark.parametrize("name", ["", "n" * 63])
def test_names_of_any_release_are_legal(chart: str, way: str, release: str, name: str) -> None:
    for item in server(chart, way, release=release, name=name).objects:
        assert re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", item["metadata"]["name"])
        check_object(item)


@both
@pytest.mark.parametrize(
    ("way", "release", "values", "name"),
    [
        (ALONE, "demo", {}, "demo-{chart}"),
        (ALONE, "{chart}", {}, "{chart}"),
        (ALONE, "demo", {"name": "look"}, "demo-look"),
        (ALONE, "look", {"name": "look"}, "look"),
        (SUBCHART, "demo", {}, "demo-{chart}"),
        # The job of such a release has a service of that name.
        (SUBCHART, "{chart}", {}, "{chart}-{chart}"),
    ],
)
def test_objects_are_called_after_the_release(
    chart: str, way: str, release: str, values: dict[str, Any], name: str
) -> None:
    rendered = server(chart, way, release=release.format(chart=chart), **values)
    for item in (rendered.service, rendered.deployment):
        assert item["metadata"]["name"] == name.format(chart=chart)


def everything(release: str) -> list[Object]:
    values = {"maskrcnn": {"image": "t:1"}, "jupyter": {"image": "lab:1", "enabled": True}}
    return objects(render(CHARTS / "maskrcnn", values, release))


def test_two_releases_share_no_name() -> None:
    names = [
        {(item["kind"], item["metadata"]["name"]) for item in everything(release)}
        for release in ("one", "other")
    ]
    assert len(names[0]) == len(names[1]) == 8
    assert not names[0] & names[1]


def test_no_selector_matches_the_pods_of_another_object() -> None:
    rendered = everything("one") + everything("other")
    rendered += render_objects(CHARTS / "jupyter", {"image": "lab:1"}, "jupyter")
    rendered += render_objects(CHARTS / "tensorboard", {}, "tensorboard")
    pods, selectors = [], []
    for item in rendered:
        name = item["metadata"]["name"]
        if item["kind"] == "Deployment":
            pods.append((name, item["spec"]["template"]["metadata"]["labels"]))
            selectors.append((name, item["spec"]["selector"]["matchLabels"]))
        elif item["kind"] == "MPIJob":
            replicas = item["spec"]["mpiReplicaSpecs"].values()
            pods += [(name, replica["template"]["metadata"]["labels"]) for replica in replicas]
        elif item["kind"] == "Service":
            selectors.append((name, item["spec"]["selector"]))
    assert len(selectors) == 12
    for selected, selector in selectors:
        assert {name for name, labels in pods if selector.items() <= labels.items()} == {selected}


@both
def test_a_newer_chart_version_alone_does_not_restart_the_pod(chart: str) -> None:
    labels = server(chart).deployment["spec"]["template"]["metadata"]["labels"]
    assert set(labels) == {f"app.kubernetes.io/{part}" for part in ("name", "instance", "component")}


@both
@both_ways
def test_ports_are_found_by_name(chart: str, way: str) -> None:
    rendered = server(chart, way, port=8443, target_port=9999)
    (port,) = rendered.service["spec"]["ports"]
    (exposed,) = rendered.container["ports"]
    assert (port["port"], exposed["containerPort"]) == (8443, 9999)
    assert port["targetPort"] == exposed["name"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert rendered.container[probe]["httpGet"]["port"] == exposed["name"]


def test_both_can_be_enabled_and_disabled() -> None:
    values = {"maskrcnn": {"image": "t:1"}}
    kinds = sorted(item["kind"] for item in objects(render(CHARTS / "maskrcnn", values, "demo")))
    assert kinds == ["Deployment", "MPIJob", "Pod", "Service"]
    values["tensorboard"] = {"enabled": False}  # type: ignore[dict-item]
    kinds = sorted(item["kind"] for item in objects(render(CHARTS / "maskrcnn", values, "demo")))
    assert kinds == ["MPIJob", "Pod"]


def test_the_job_is_the_same_with_and_without_them() -> None:
    jobs = [next(item for item in everything("demo") if item["kind"] == "MPIJob"), run(image="t:1").job]
    assert jobs[0] == jobs[1]


def test_notes_of_a_training_name_what_is_enabled() -> None:
    def notes(**values: Any) -> str:
        return render(CHARTS / "maskrcnn", {"maskrcnn": {"image": "t:1"}, **values}, "demo")[
            "maskrcnn/templates/NOTES.txt"
        ]

    tensorboard_command = "kubectl port-forward --namespace kubeflow service/demo-tensorboard 6006:80"
    jupyter_command = "kubectl port-forward --namespace kubeflow service/demo-jupyter 8888:443"
    assert tensorboard_command in notes()
    assert jupyter_command not in notes()
    both = notes(jupyter={"enabled": True, "image": "lab:1"})
    assert tensorboard_command in both
    assert jupyter_command in both
    assert "TensorBoard, at" not in notes(tensorboard={"enabled": False})


COMMON = CHARTS / "common"
LINKED = sorted(
    link for link in CHARTS.glob("*/*/common") if link.is_symlink() and not link.parent.parent.is_symlink()
)


@pytest.mark.parametrize("link", LINKED, ids=lambda link: str(link.relative_to(CHARTS)))
def test_what_charts_share_is_linked_from_one_place(link: Path) -> None:
    assert link.resolve() == COMMON / link.parent.name


TRAINS_THE_SAME = {("maskrcnn-optimized", "maskrcnn"), ("sagemaker", "maskrcnn")}
"""Charts that render the trainer's settings from the values of another one, with its templates."""


def test_no_chart_links_into_another_except_for_the_trainers_settings_and_sub_charts() -> None:
    links = [path for path in CHARTS.rglob("*") if path.is_symlink()]
    for link in links:
        chart, place = link.relative_to(CHARTS).parts[:2]
        target = link.resolve().relative_to(CHARTS).parts[0]
        assert target == "common" or place == "charts" or (chart, target) in TRAINS_THE_SAME


@pytest.mark.parametrize(("one", "other"), list(combinations(("maskrcnn", *BOTH), 2)))
def test_no_two_charts_define_one_template(one: str, other: str) -> None:
    def defined(chart: str) -> set[str]:
        files = (CHARTS / chart / "templates").glob("*.tpl")
        return {name for file in files for name in re.findall(r'define "([^"]+)"', file.read_text())}

    assert not defined(one) & defined(other)
    assert {name.split(".")[0] for name in defined(other)} == {other}


@pytest.mark.parametrize(
    ("text", "findings"),
    [
        (
            "jupyter: {enabled: true, image: 'a:1', prot: 443}",
            ["1:40: error MRC003 jupyter.prot: unknown key in jupyter. Did you mean port?"],
        ),
        (
            "tensorboard: {enabled: false, port: '80'}",
            ['1:37: error MRC004 tensorboard.port: "80" is not an integer. Write it without quotes: 80.'],
        ),
        (
            "global: {shared_fs: s3}",
            [
                '1:21: error MRC004 global.shared_fs: "s3" is not one of "efs", "fsx". File system of logs '
                'and checkpoints, mounted in the pods as /efs or /fsx. For example "fsx".'
            ],
        ),
        (
            "maskrcnn: {data_fs: fsx, data_pvc: pv-fsx}\n"
            "jupyter: {enabled: true, image: 'a:1', data_fs: fsx}",
            [
                "2:1: warning MRC033 jupyter.data_pvc: the data set of the training job is on the claim "
                "pv-fsx. Set it to pv-fsx."
            ],
        ),
        (
            "jupyter: {log_dir: logs}",
            [
                "1:11: info MRC008 jupyter.log_dir: is deprecated. "
                "Remove it. It has no effect: the server shows the whole file system."
            ],
        ),
    ],
)
def test_mrc_values_finds_a_mistake_once(tmp_path: Path, text: str, findings: list[str]) -> None:
    base, file = tmp_path / "base.yaml", tmp_path / "values.yaml"
    base.write_text("maskrcnn: {image: 'registry.example.com/a:1', node_group: p4d}\n")
    file.write_text(f"{text}\n")
    result = check(CHARTS / "maskrcnn", [base, file])
    lines = [str(finding) for finding in result.findings if finding.position.file == str(file)]
    assert [line.removeprefix(f"{file}:") for line in lines] == findings


@both
def test_mrc_values_validates_the_chart_alone(chart: str) -> None:
    program = Path(sys.executable).with_name("mrc-values")

    def validate(*flags: str) -> tuple[int, str]:
        command: list[str | Path] = [program, "validate", CHARTS / chart, *flags]
        result = subprocess.run(command, capture_output=True, text=True)
        return result.returncode, result.stdout

    assert validate("--set", "image=x:1")[0] == 0
    code, text = validate("--set", "image=x:1,service.type=LoadBalancer")
    assert code == 1
    assert "error MRC006 service.type: a LoadBalancer requires global.source_cidr" in text


def test_a_missing_image_of_jupyter_is_one_finding(tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(
        "maskrcnn: {image: 'registry.example.com/a:1', node_group: p4d}\njupyter: {enabled: true}\n"
    )
    errors = [f for f in check(CHARTS / "maskrcnn", [file]).findings if f.severity == "error"]
    assert [(finding.path, finding.message) for finding in errors] == [(("jupyter", "image"), "is not set.")]
