"""The server's settings: typed, from the environment, as SageMaker and Kubernetes pass them."""

import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from mrc_cli.errors import UsageError
from mrc_cli.suggestions import nearest
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, PydanticUndefined

PREFIX = "MRC_SERVE_"
_CPU_MAX = Path("/sys/fs/cgroup/cpu.max")


def available_cpus() -> int:
    """CPUs that this process may use: its affinity, cut by the container's limit and rounded up."""
    cpus = len(os.sched_getaffinity(0))
    try:
        quota, period = _CPU_MAX.read_text().split()
        return max(1, min(cpus, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # cgroup v1, or "max": no limit
        return cpus


class Settings(BaseModel):
    """Everything that can be set; each field's alias is the name of its environment variable."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    model: Annotated[
        Path, Field(alias="MRC_SERVE_MODEL", description="exported model, or the run's directory")
    ] = Path("/opt/ml/model")
    host: Annotated[str, Field(alias="MRC_SERVE_HOST", description="address to listen on")] = "127.0.0.1"
    port: Annotated[int, Field(alias="MRC_SERVE_PORT", ge=0, le=65535, description="port; 0: any")] = 8080
    workers: Annotated[
        int,
        Field(
            alias="MODEL_SERVER_WORKERS",
            ge=1,
            le=256,
            default_factory=available_cpus,
            description="images that are processed at the same time, by one model; default: one per CPU",
        ),
    ]
    timeout: Annotated[
        float,
        Field(
            alias="MODEL_SERVER_TIMEOUT",
            gt=0,
            le=3600,
            description="seconds within which a request is answered, or rejected with status 503",
        ),
    ] = 55.0
    queue: Annotated[
        int,
        Field(alias="MRC_SERVE_QUEUE", ge=1, le=10_000, description="requests that may wait for a worker"),
    ] = 16
    max_body: Annotated[
        int, Field(alias="MRC_SERVE_MAX_BODY", ge=1024, description="bytes of a request's body")
    ] = 6 * 1024 * 1024
    max_pixels: Annotated[
        int,
        Field(alias="MRC_SERVE_MAX_PIXELS", ge=1024, le=2**30, description="width times height of an image"),
    ] = 25_000_000
    body_timeout: Annotated[
        float,
        Field(
            alias="MRC_SERVE_BODY_TIMEOUT", gt=0, description="seconds within which the body has to arrive"
        ),
    ] = 20.0


def from_environment(environment: Mapping[str, str], **arguments: Any) -> Settings:
    """Settings from variables; arguments that are not None take precedence over them.

    An empty variable counts as unset.

    Raises:
        UsageError: for a value of the wrong type or range, and for an unknown ``MRC_SERVE_`` variable.
    """
    names = {field.alias: name for name, field in Settings.model_fields.items() if field.alias}
    for name in environment:
        if name.startswith(PREFIX) and name not in names:
            near = nearest(name, names)
            hint = f"did you mean {near}?" if near else "mrc-serve --help lists the variables"
            raise UsageError(f"{name}: unknown variable; {hint}")
    given: dict[str, Any] = {names[name]: environment[name] for name in names if environment.get(name)}
    given |= {name: value for name, value in arguments.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        problem = error.errors()[0]
        raise UsageError(f"{_name(problem)}: {problem['input']!r}: {problem['msg'].lower()}") from None


def _name(problem: ErrorDetails) -> str:
    """The variable that a problem is about; pydantic names the alias or the field, whichever was given."""
    field = Settings.model_fields.get(str(problem["loc"][0]))
    return str(field.alias if field else problem["loc"][0])


def described() -> Iterator[str]:
    """A line for each variable, for the help."""
    for field in Settings.model_fields.values():
        default = "" if field.default is PydanticUndefined else f" [default: {field.default}]"
        yield f"  {field.alias:<24}{field.description}{default}"
