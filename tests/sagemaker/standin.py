"""A strict stand-in of SageMaker: every request is checked against botocore's description of the API.

Names are taken once, states follow one another, and errors have the service's texts. A training job runs the
real program ``train`` with its hyperparameters, on data in a local directory; an endpoint is a real server.
"""

import hashlib
import io
import json
import re
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import botocore.session
import training_containers as containers

MODEL = botocore.session.get_session().get_service_model("sagemaker")
ACCOUNT, REGION = "123456789012", "us-west-2"
MAX_BODY = 6291456

Body = dict[str, Any]
Answer = tuple[int, dict[str, str], bytes]


class Rejected(Exception):
    """An error answer: its code and message."""

    def __init__(self, message: str, code: str = "ValidationException") -> None:
        super().__init__(message)
        self.code = code


class SageMaker:
    """The resources of one account.

    Attributes:
        data: directory that stands for the channel train of all jobs.
        server: host and port of what answers for endpoints; None: nothing does.
        deny: operations that answer AccessDeniedException.
        broken: error code of all answers, such as ExpiredTokenException; empty for none.
        fail_endpoints: whether new endpoint states end in failure.
        asynchronous_bucket: where asynchronous endpoints store their answers.
    """

    def __init__(self, directory: Path, data: Path) -> None:
        self.directory = directory
        self.data = data
        self.server: tuple[str, int] | None = None
        self.deny: set[str] = set()
        self.broken = ""
        self.fail_endpoints = False
        self.asynchronous_bucket = "detections"
        self.calls: list[str] = []
        self._stored: dict[str, dict[str, Body]] = {}
        self._jobs: dict[str, Any] = {}
        self._lock = threading.RLock()

    def answer(self, operation: str, body: Body) -> Body:
        """The answer to a request. Raises Rejected."""
        with self._lock:
            self.calls.append(operation)
            if operation in self.deny:
                arn = f"arn:aws:iam::{ACCOUNT}:user/test"
                raise Rejected(
                    f"User: {arn} is not authorized to perform: sagemaker:{operation}",
                    "AccessDeniedException",
                )
            if self.broken:
                raise Rejected("The request cannot be answered.", self.broken)
            problems = list(violations(MODEL.operation_model(operation).input_shape, body, ""))
            if problems:
                raise Rejected(f"{len(problems)} validation errors detected: {'; '.join(problems)}")
            handler: Callable[[Body], Body] = getattr(self, f"_{operation}")
            return handler(body)

    def close(self) -> None:
        """End all training jobs."""
        for process in self._jobs.values():
            process.kill()
            process.wait()

    def _arn(self, kind: str, name: str) -> str:
        return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{kind}/{name.lower()}"

    def _get(self, kind: str, name: str) -> Body:
        try:
            return self._stored[kind][name]
        except KeyError:
            text = "Requested resource not found." if kind == "training-job" else f"Could not find {kind}"
            raise Rejected(f'{text} "{self._arn(kind, name)}".') from None

    def _new(self, kind: str, name: str, body: Body) -> str:
        taken = self._stored.setdefault(kind, {})
        if name in taken:
            raise Rejected(
                f'Cannot create already existing {kind} "{self._arn(kind, name)}".', "ResourceInUse"
            )
        taken[name] = {**body, "CreationTime": time.time(), "LastModifiedTime": time.time()}
        return self._arn(kind, name)

    def _CreateTrainingJob(self, body: Body) -> Body:
        name = body["TrainingJobName"]
        arn = self._new("training-job", name, body)
        if not body["OutputDataConfig"]["S3OutputPath"].startswith("s3://"):
            raise Rejected("The S3 output path must start with s3://")
        root = containers.lay_out(self.directory / name, self.data, body.get("HyperParameters", {}))
        self._jobs[name] = containers.start(root)
        threading.Thread(target=self._jobs[name].communicate, daemon=True).start()
        return {"TrainingJobArn": arn}

    def _DescribeTrainingJob(self, body: Body) -> Body:
        job = self._get("training-job", body["TrainingJobName"])
        self._update_job(body["TrainingJobName"], job)
        return {"TrainingJobArn": self._arn("training-job", job["TrainingJobName"]), **_public(job)}

    def _update_job(self, name: str, job: Body) -> None:
        code = self._jobs[name].poll()
        stopping = job.get("_stopping", False)
        if code is None:
            status = "Stopping" if stopping else "InProgress"
            job |= {"TrainingJobStatus": status, "SecondaryStatus": "Stopping" if stopping else "Training"}
            return
        status = "Stopped" if stopping else "Completed" if code == 0 else "Failed"
        job |= {"TrainingJobStatus": status, "SecondaryStatus": status}
        path = job["OutputDataConfig"]["S3OutputPath"].rstrip("/")
        job["ModelArtifacts"] = {"S3ModelArtifacts": f"{path}/{name}/output/model.tar.gz"}
        if status == "Failed":
            text = (self.directory / name / "output" / "failure").read_text()
            job["FailureReason"] = f"AlgorithmError: {text}, exit code: {code}"

    def _StopTrainingJob(self, body: Body) -> Body:
        job = self._get("training-job", body["TrainingJobName"])
        self._update_job(body["TrainingJobName"], job)
        if job["TrainingJobStatus"] != "InProgress":
            raise Rejected(f"The training job is in status {job['TrainingJobStatus']}.")
        job["_stopping"] = True
        self._jobs[body["TrainingJobName"]].terminate()
        return {}

    def model_archive(self, name: str) -> bytes:
        """The job's model.tar.gz."""
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w:gz") as archive:
            archive.add(self.directory / name / "model", ".")
        return data.getvalue()

    def _CreateModel(self, body: Body) -> Body:
        return {"ModelArn": self._new("model", body["ModelName"], body)}

    def _DescribeModel(self, body: Body) -> Body:
        return _public(self._get("model", body["ModelName"]))

    def _DeleteModel(self, body: Body) -> Body:
        self._get("model", body["ModelName"])
        del self._stored["model"][body["ModelName"]]
        return {}

    def _CreateEndpointConfig(self, body: Body) -> Body:
        for variant in body["ProductionVariants"]:
            self._get("model", variant["ModelName"])
            if "AcceleratorType" in variant:
                raise Rejected("Elastic Inference is no longer available.")
        return {"EndpointConfigArn": self._new("endpoint-config", body["EndpointConfigName"], body)}

    def _DescribeEndpointConfig(self, body: Body) -> Body:
        return _public(self._get("endpoint-config", body["EndpointConfigName"]))

    def _DeleteEndpointConfig(self, body: Body) -> Body:
        self._get("endpoint-config", body["EndpointConfigName"])
        del self._stored["endpoint-config"][body["EndpointConfigName"]]
        return {}

    def _CreateEndpoint(self, body: Body) -> Body:
        self._get("endpoint-config", body["EndpointConfigName"])
        arn = self._new("endpoint", body["EndpointName"], body)
        self._get("endpoint", body["EndpointName"]).update(EndpointStatus="Creating", EndpointArn=arn)
        return {"EndpointArn": arn}

    def _DescribeEndpoint(self, body: Body) -> Body:
        endpoint = self._get("endpoint", body["EndpointName"])
        answer = _public(endpoint)
        reason = "The primary container for production variant AllTraffic did not pass the ping health check."
        if endpoint["EndpointStatus"] == "Creating":
            endpoint["EndpointStatus"] = "Failed" if self.fail_endpoints else "InService"
        elif endpoint["EndpointStatus"] == "Updating":
            endpoint["EndpointStatus"] = "InService"
            if self.fail_endpoints:
                endpoint["EndpointConfigName"] = endpoint["_before"]
        if self.fail_endpoints and answer["EndpointStatus"] in ("Creating", "Updating"):
            endpoint["FailureReason"] = reason
        return answer

    def _UpdateEndpoint(self, body: Body) -> Body:
        endpoint = self._get("endpoint", body["EndpointName"])
        self._get("endpoint-config", body["EndpointConfigName"])
        if endpoint["EndpointStatus"] != "InService":
            raise Rejected(f'Cannot update in-progress endpoint "{endpoint["EndpointArn"]}".')
        endpoint.pop("FailureReason", None)
        endpoint |= {
            "_before": endpoint["EndpointConfigName"],
            "EndpointConfigName": body["EndpointConfigName"],
            "EndpointStatus": "Updating",
        }
        return {"EndpointArn": endpoint["EndpointArn"]}

    def _DeleteEndpoint(self, body: Body) -> Body:
        self._get("endpoint", body["EndpointName"])
        del self._stored["endpoint"][body["EndpointName"]]
        return {}

    def invoke(self, endpoint: str, body: bytes, headers: dict[str, str]) -> Answer:
        """What InvokeEndpoint answers: status, headers and body. The endpoint's server has the last word."""
        if len(body) > MAX_BODY:
            return _runtime_error(413, "ValidationError", f"The body has more than {MAX_BODY} bytes")
        return self._ask(endpoint, body, headers)

    def _ask(self, endpoint: str, body: bytes, headers: dict[str, str]) -> Answer:
        """The answer of an endpoint's server, as InvokeEndpoint passes it on."""
        try:
            self._get("endpoint", endpoint)
        except Rejected:
            return _runtime_error(
                400, "ValidationError", f"Endpoint {endpoint} of account {ACCOUNT} not found."
            )
        assert self.server
        connection = HTTPConnection(*self.server, timeout=60)
        try:
            connection.request("POST", "/invocations", body, headers)
            answer = connection.getresponse()
            data = answer.read()
        except OSError as error:
            return _runtime_error(424, "ModelError", f"Received server error (0) from primary: {error}")
        finally:
            connection.close()
        if answer.status >= 400:
            side = "client" if answer.status < 500 else "server"
            message = f"Received {side} error ({answer.status}) from primary with message {data[:200]!r}"
            more = {
                "OriginalStatusCode": answer.status,
                "OriginalMessage": data.decode(errors="replace")[:500],
            }
            return _runtime_error(424, "ModelError", message, **more)
        return 200, {"Content-Type": answer.headers["Content-Type"] or ""}, data

    def invoke_asynchronously(self, endpoint: str, source: str, headers: dict[str, str]) -> Answer:
        """What InvokeEndpointAsync answers, once the server's answer to the object in S3 is stored there."""
        import boto3

        s3 = boto3.client("s3")
        bucket, _, key = source.removeprefix("s3://").partition("/")
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        status, _, data = self._ask(endpoint, body, headers)
        if status != 200:
            return status, {}, data
        answer = f"answers/{hashlib.sha256(source.encode()).hexdigest()[:16]}.out"
        s3.put_object(Bucket=self.asynchronous_bucket, Key=answer, Body=data)
        headers = {"X-Amzn-SageMaker-OutputLocation": f"s3://{self.asynchronous_bucket}/{answer}"}
        return 202, {**headers, "Content-Type": "application/json"}, b'{"InferenceId": "1"}'


def _runtime_error(status: int, code: str, message: str, **more: Any) -> Answer:
    headers = {"x-amzn-ErrorType": code, "Content-Type": "application/json"}
    return status, headers, json.dumps({"Message": message, **more}).encode()


def _public(body: Body) -> Body:
    return {name: value for name, value in body.items() if not name.startswith("_") and name != "Tags"}


def violations(shape: Any, value: Any, path: str) -> Iterator[str]:
    """What the service says about a request that its description does not allow."""
    kind, limits = shape.type_name, shape.metadata

    def bad(why: str) -> str:
        return f"Value '{value}' at '{path.lstrip('.')}' failed to satisfy constraint: {why}"

    if kind == "structure":
        for name in shape.required_members:
            if name not in value:
                yield f"Value null at '{path}.{name}' failed to satisfy constraint: Member must not be null"
        for name, inner in value.items():
            if name in shape.members:
                yield from violations(shape.members[name], inner, f"{path}.{name[0].lower()}{name[1:]}")
    elif kind == "list":
        if not limits.get("min", 0) <= len(value) <= limits.get("max", 1e9):
            yield bad("Member must have a length within the limits")
        for number, inner in enumerate(value, start=1):
            yield from violations(shape.member, inner, f"{path}.{number}.member")
    elif kind == "map":
        if len(value) > limits.get("max", 1e9):
            yield bad("Member must have a length within the limits")
        for name, inner in value.items():
            yield from violations(shape.key, name, f"{path}.key")
            yield from violations(shape.value, inner, f"{path}.{name}")
    elif kind == "string":
        if not limits.get("min", 0) <= len(value) <= limits.get("max", 1e9):
            yield bad("Member must have a length within the limits")
        if limits.get("enum") and value not in limits["enum"]:
            yield bad("Member must satisfy enum value set")
        pattern = limits.get("pattern", "")
        if pattern and "\\p{" not in pattern and not re.fullmatch(pattern, value, re.DOTALL):
            yield bad(f"Member must satisfy regular expression pattern: {pattern}")
    elif kind in ("integer", "long", "float") and not (
        limits.get("min", -1e18) <= value <= limits.get("max", 1e18)
    ):
        yield bad("Member must have a value within the limits")


@contextmanager
def serving(service: SageMaker) -> Iterator[str]:
    """The stand-in on a free port of this machine; its URL, for AWS_ENDPOINT_URL_SAGEMAKER and …_RUNTIME."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path.endswith("/async-invocations"):
                prefix = "X-Amzn-SageMaker-"
                given = {name: self.headers[prefix + name] for name in ("Content-Type", "Accept")}
                location = self.headers[f"{prefix}InputLocation"]
                self._answer(*service.invoke_asynchronously(self.path.split("/")[2], location, given))
                return
            if self.path.startswith("/endpoints/"):
                given = {
                    name: self.headers[name] for name in ("Content-Type", "Accept") if name in self.headers
                }
                self._answer(*service.invoke(self.path.split("/")[2], body, given))
                return
            kind = {"Content-Type": "application/x-amz-json-1.1"}
            try:
                operation = self.headers["X-Amz-Target"].partition(".")[2]
                # The scope of the signature: key, day, region, service.
                region = self.headers["Authorization"].split("/")[2]
                if region != REGION:
                    raise Rejected("Requested resource not found.")
                self._answer(200, kind, json.dumps(service.answer(operation, json.loads(body))).encode())
            except Rejected as error:
                text = json.dumps({"__type": error.code, "message": str(error)})
                self._answer(400, kind, text.encode())

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        service.close()
