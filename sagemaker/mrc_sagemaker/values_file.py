"""A values file of the charts from objects of ACK's SageMaker controller.

The chart renders the same objects from it, with what it has for every job besides: the trainer's metric
definitions, communication settings in the environment, and hashes in the names of model and configuration.
"""

import copy
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mrc_cli.errors import UserError
from mrc_train.sagemaker import hyperparameters
from mrc_train.sagemaker.job import DATA_CHANNELS, WEIGHTS_CHANNEL
from mrc_values.catalogue import Catalogue

from mrc_sagemaker.ack import OPERATIONS, REGION, Object

_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
"""Names that the chart takes as they are, up to these lengths."""

_MAX_JOB = 48
_MAX_ENDPOINT = 54

_CPU_FAMILIES = re.compile(r"ml\.[cmrt][0-9]")

_CHECKPOINTS = "/opt/ml/checkpoints"

_NOTHING: tuple[Any, ...] = (None, "", [], {})


@dataclass
class Values:
    """A values file so far.

    Attributes:
        content: by section and name.
        lost: what the charts have no value for: the field and what to do.
    """

    content: dict[str, Any] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    _given: dict[str, Any] = field(default_factory=dict)

    def put(self, path: str, value: Any, where: str) -> None:
        """Set a value unless it is nothing. What another object has otherwise at this path is lost."""
        if path in self._given:
            if self._given[path] != value:
                one, other = (text or "nothing" for text in (value, self._given[path]))
                self.lost.append(f"{where}: {one}, but {path} is {other}; the charts have one value for both")
            return
        self._given[path] = value
        if value not in _NOTHING:
            self.overwrite(path, value)

    def overwrite(self, path: str, value: Any) -> None:
        """Set a value, also to null or an empty one, in place of the chart's default."""
        *sections, name = path.split(".")
        here = self.content
        for section in sections:
            here = here.setdefault(section, {})
        here[name] = value


class _Fields:
    """The fields of an object. Those that nobody takes have no counterpart."""

    def __init__(self, where: str, content: Mapping[str, Any]) -> None:
        self.where = where
        self._content = copy.deepcopy(dict(content))

    def take(self, path: str, default: Any = None) -> Any:
        *parents, name = path.split(".")
        here: Any = self._content
        for parent in parents:
            here = here.get(parent, {})
        return here.pop(name, default)

    def left(self) -> list[str]:
        return [
            f"{self.where}: {path}: the charts have no value for it" for path in _leaves(self._content, "")
        ]


def values_file(objects: Iterable[Object], catalogue: Catalogue) -> Values:
    """The values for a training job and an endpoint.

    Args:
        catalogue: of the chart sagemaker.

    Raises:
        UserError: when there are several training jobs or endpoints.
    """
    values = Values()
    by_kind: dict[str, Object] = {}
    for item in objects:
        kind, name = item["kind"], item["metadata"]["name"]
        first = by_kind.setdefault(kind, item)
        if first is item:
            continue
        if kind in ("TrainingJob", "Endpoint"):
            raise UserError(
                f"{kind} {first['metadata']['name']} and {name}: one values file describes one of them; "
                "convert them one by one"
            )
        values.lost.append(
            f"{kind} {name}: the charts have one; only {first['metadata']['name']} is converted"
        )
    for kind in OPERATIONS:
        if kind in by_kind:
            _add(values, kind, by_kind[kind], catalogue)
    if "TrainingJob" not in by_kind:
        values.lost.append(
            "no TrainingJob: the chart needs one as well. Convert its manifest in the same command, or set "
            "maskrcnn.image, maskrcnn.node_group, sagemaker.data and sagemaker.output_s3_uri"
        )
    if "Endpoint" in by_kind:
        values.overwrite("sagemaker.endpoint.enabled", True)
    values.content = dict(sorted(values.content.items()))
    return values


def _add(values: Values, kind: str, item: Object, catalogue: Catalogue) -> None:
    metadata = item["metadata"]
    where = f"{kind} {metadata['name']}"
    annotations = dict(metadata.get("annotations", {}))
    values.put("sagemaker.region", annotations.pop(REGION, None), f"{where}: region")
    namespace = metadata.get("namespace", "")
    values.put("global.namespace", namespace, f"{where}: namespace")
    if not namespace:
        values.overwrite("global.namespace", "")  # the release's, in place of the chart's default
    spec = _Fields(where, item["spec"])
    tags = {tag["key"]: tag["value"] for tag in spec.take("tags", [])}
    values.put("sagemaker.tags", tags or None, f"{where}: tags")
    if kind == "TrainingJob":
        _training_job(values, spec, catalogue)
    elif kind == "Model":
        _model(values, spec)
    elif kind == "EndpointConfig":
        _configuration(values, spec)
    else:
        _name(values, "sagemaker.endpoint.name", spec.take("endpointName"), _MAX_ENDPOINT, spec.where)
        spec.take("endpointConfigName")
    values.lost += [f"{where}: {name}: the charts have no value for it" for name in annotations]
    values.lost += spec.left()


def _training_job(values: Values, spec: _Fields, catalogue: Catalogue) -> None:
    put, where = values.put, spec.where
    _name(values, "maskrcnn.name", spec.take("trainingJobName"), _MAX_JOB, where)
    put("maskrcnn.image", spec.take("algorithmSpecification.trainingImage"), where)
    put("sagemaker.role", spec.take("roleARN"), where)
    put("sagemaker.output_s3_uri", spec.take("outputDataConfig.s3OutputPath"), where)
    if spec.take("algorithmSpecification.metricDefinitions"):
        values.lost.append(f"{where}: metricDefinitions: the chart has those of the trainer's log instead")
    mode = spec.take("algorithmSpecification.trainingInputMode", "File")
    for channel in spec.take("inputDataConfig", []):
        _channel(values, _Fields(f"{where}: channel {channel['channelName']}", channel), mode)
    given = spec.take("hyperParameters", {})
    ranks = _hosts(values, spec, catalogue, given)
    _hyperparameters(values, given, where, catalogue)
    put("maskrcnn.env", spec.take("environment"), where)
    put("sagemaker.volume_gib", spec.take("resourceConfig.volumeSizeInGB"), where)
    put("sagemaker.max_run_seconds", spec.take("stoppingCondition.maxRuntimeInSeconds"), where)
    put("sagemaker.max_wait_seconds", spec.take("stoppingCondition.maxWaitTimeInSeconds"), where)
    put("sagemaker.spot", spec.take("enableManagedSpotTraining") or None, where)
    for name in ("enableNetworkIsolation", "enableInterContainerTrafficEncryption"):
        if spec.take(name):
            values.lost.append(f"{where}: {name}: the charts have no value for it")
    _checkpoints(values, spec)
    _network(values, spec)
    if not ranks:
        values.lost.append(
            f"{where}: set maskrcnn.gpus_per_node to the GPUs of a host, and gpus to those of all"
        )


def _hosts(values: Values, spec: _Fields, catalogue: Catalogue, given: dict[str, Any]) -> int:
    """Instance type and count as values; the ranks of a host, 0 if they are not known."""
    where = spec.where
    instance_type = str(spec.take("resourceConfig.instanceType", ""))
    count = int(spec.take("resourceConfig.instanceCount", 1))
    groups = catalogue.node_groups.values()
    group = next((group for group in groups if f"ml.{group.instance_type}" == instance_type), None)
    if group:
        values.put("maskrcnn.node_group", group.name, where)
    else:
        values.put("sagemaker.instance_type", instance_type, where)
    cpu = bool(_CPU_FAMILIES.match(instance_type))
    values.put("maskrcnn.device", "cpu" if cpu else None, where)
    text = given.pop(hyperparameters.RANKS_PER_HOST, "0")
    ranks = int(text) if text.isdecimal() else 0
    ranks = ranks or (group.gpus if group else int(cpu))
    values.put("maskrcnn.gpus", count * (ranks or 1), where)
    values.put("maskrcnn.gpus_per_node", ranks or 1, where)
    return ranks


def _channel(values: Values, channel: _Fields, job_mode: str) -> None:
    name = channel.take("channelName")
    s3 = "dataSource.s3DataSource"
    uri = channel.take(f"{s3}.s3URI")
    for path, only in (
        (f"{s3}.s3DataType", "S3Prefix"),
        (f"{s3}.s3DataDistributionType", "FullyReplicated"),
        ("compressionType", "None"),
        ("recordWrapperType", "None"),
        ("dataSource.fileSystemDataSource.fileSystemAccessMode", "ro"),
    ):
        if (given := channel.take(path, only)) != only:
            values.lost.append(f"{channel.where}: {path} is {given}; the chart has {only} only")
    mode = channel.take("inputMode", job_mode)
    if mode not in ("File", "FastFile"):
        values.lost.append(f"{channel.where}: input mode {mode}; the trainer reads files: File or FastFile")
        mode = "File"
    if name in DATA_CHANNELS:
        values.put("sagemaker.data.s3_uri", uri, channel.where)
        values.put("sagemaker.data.input_mode", mode if uri else None, channel.where)
        system = "dataSource.fileSystemDataSource"
        values.put("sagemaker.data.file_system_id", channel.take(f"{system}.fileSystemID"), channel.where)
        values.put("sagemaker.data.file_system_type", channel.take(f"{system}.fileSystemType"), channel.where)
        values.put("sagemaker.data.directory", channel.take(f"{system}.directoryPath"), channel.where)
    elif name == WEIGHTS_CHANNEL and uri:
        values.put("sagemaker.weights_s3_uri", uri, channel.where)
    else:
        values.lost.append(f"{channel.where}: the chart has the channels train and {WEIGHTS_CHANNEL} only")
        return
    values.lost += channel.left()


def _hyperparameters(values: Values, given: Mapping[str, str], where: str, catalogue: Catalogue) -> None:
    """The trainer's settings under the charts' names; what the chart would pass besides is unset."""
    rows = {row.key: row for row in catalogue.trainer_settings}
    extra = []
    for row in rows.values():
        values.overwrite(f"maskrcnn.{row.name}", "" if row.is_path else None)
    for setting in _accepted(values, given, where):
        setting_row = rows.get(setting.key)
        if setting_row and not (setting_row.is_path and setting.value.startswith("/")):
            text = setting.value
            values.overwrite(f"maskrcnn.{setting_row.name}", int(text) if text.isdecimal() else text)
        else:
            extra.append(f"{setting.key}={setting.value}")
    values.overwrite("maskrcnn.extra_config", extra)


def _accepted(values: Values, given: Mapping[str, str], where: str) -> list[hyperparameters.Setting]:
    """The settings of the trainer among the hyperparameters; the others become values of their own, or are
    lost."""
    accepted: dict[str, hyperparameters.Setting] = {}
    for name, text in given.items():
        try:
            parsed = hyperparameters.arguments({name: text})
        except UserError as error:
            values.lost.append(f"{where}: {error}")
            continue
        if name in hyperparameters.ENVIRONMENT:
            values.put(f"maskrcnn.{name}", parsed.environment[hyperparameters.ENVIRONMENT[name]], where)
        if parsed.token:
            values.put("sagemaker.job_token", parsed.token, where)
        if parsed.load:
            values.lost.append(
                f"{where}: hyperparameter {hyperparameters.LOAD}: set backbone_weights instead"
            )
        for setting in parsed.settings:
            if setting.key in accepted:
                values.lost.append(
                    f"{where}: hyperparameters {accepted[setting.key].name} and {setting.name} both set "
                    f"{setting.key}; the former is kept"
                )
            accepted.setdefault(setting.key, setting)
    return list(accepted.values())


def _checkpoints(values: Values, spec: _Fields) -> None:
    uri = spec.take("checkpointConfig.s3URI")
    path = spec.take("checkpointConfig.localPath", _CHECKPOINTS)
    if path != _CHECKPOINTS:
        values.lost.append(
            f"{spec.where}: checkpointConfig.localPath is {path}; the trainer has {_CHECKPOINTS}"
        )
    if not uri:
        return
    parent, _, last = uri.rstrip("/").rpartition("/")
    if last == values.content["maskrcnn"].get("name"):
        values.put("sagemaker.checkpoints_s3_uri", parent, spec.where)
        return
    values.put("sagemaker.checkpoints_s3_uri", uri, spec.where)
    values.lost.append(
        f"{spec.where}: checkpointConfig.s3URI is {uri}; the chart appends the job's name. Move checkpoints "
        "from which a job is to resume"
    )


def _network(values: Values, spec: _Fields) -> None:
    subnets, groups = spec.take("vpcConfig.subnets"), spec.take("vpcConfig.securityGroupIDs")
    values.put("sagemaker.subnets", subnets, f"{spec.where}: subnets")
    values.put("sagemaker.security_groups", groups, f"{spec.where}: security groups")


def _model(values: Values, spec: _Fields) -> None:
    spec.take("modelName")  # the chart's has a hash
    values.put("sagemaker.role", spec.take("executionRoleARN"), f"{spec.where}: role")
    endpoint = "sagemaker.endpoint"
    values.put(f"{endpoint}.image", spec.take("primaryContainer.image"), spec.where)
    values.put(f"{endpoint}.model_data_url", spec.take("primaryContainer.modelDataURL"), spec.where)
    values.put(f"{endpoint}.environment", spec.take("primaryContainer.environment"), spec.where)
    _network(values, spec)


def _configuration(values: Values, spec: _Fields) -> None:
    spec.take("endpointConfigName")
    first, *others = (
        _Fields(f"{spec.where}: variant {variant.get('variantName')}", variant)
        for variant in spec.take("productionVariants", [{}])
    )
    endpoint = "sagemaker.endpoint"
    first.take("modelName")
    if (name := first.take("variantName", "AllTraffic")) != "AllTraffic":
        values.lost.append(f"{first.where}: variantName is {name}; the chart has AllTraffic only")
    values.put(f"{endpoint}.instance_type", first.take("instanceType"), first.where)
    values.put(f"{endpoint}.instance_count", first.take("initialInstanceCount"), first.where)
    if not others:
        first.take("initialVariantWeight")  # all of the traffic, whatever it is
    answers = spec.take("asyncInferenceConfig.outputConfig.s3OutputPath")
    values.put(f"{endpoint}.async_output_s3_uri", answers, spec.where)
    values.lost += first.left()
    values.lost += [f"{other.where}: the chart has one variant" for other in others]


def _name(values: Values, path: str, name: str, limit: int, where: str) -> None:
    if _NAME.fullmatch(name) and len(name) <= limit:
        values.put(path, name, where)
        return
    values.lost.append(
        f"{where}: the name {name}: set {path} to at most {limit} lower-case letters, digits and hyphens"
    )


def _leaves(value: Any, path: str) -> Iterator[str]:
    """Paths of what is in a field; nothing for what is empty."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}" if path else name)
    elif value not in _NOTHING:
        yield path
