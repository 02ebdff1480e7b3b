"""AWS on loopback: MiniStack, and what its version 1.5 lacks: EKS Pod Identity, FSx (fsx.py), and a login
for ECR with the registry's address here.

Runs in an environment of its own (see conftest.py), as ``uvicorn stand_in:app``.
"""

import base64
import json
import re
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import fsx
from ministack.app import app as ministack  # type: ignore[import-not-found]

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

ECR_LOGIN = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"
PATH = re.compile("/clusters/(?P<cluster>[^/]+)/pod-identity-associations(?:/(?P<id>[^/]+))?")

_associations: dict[tuple[str, str], dict[str, Any]] = {}


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """The ASGI application."""
    http = scope["type"] == "http"
    match = PATH.fullmatch(scope["path"]) if http else None
    target = dict(scope["headers"]).get(b"x-amz-target", b"").decode() if http else ""
    if match:
        status, answer = _answer(scope["method"], match["cluster"], match["id"], await _body(receive))
    elif target.startswith(fsx.TARGET):
        status, answer = fsx.answer(target.removeprefix(fsx.TARGET), await _body(receive))
    elif target == ECR_LOGIN:
        status, answer = 200, _login(dict(scope["headers"])[b"host"].decode())
    else:
        await ministack(scope, receive, send)
        return
    headers = [(b"content-type", b"application/json")]
    if status == 404:
        headers.append((b"x-amzn-errortype", b"ResourceNotFoundException"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


def _answer(method: str, cluster: str, name: str | None, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    if name is None and method == "GET":
        return 200, {"associations": [one for (of, _), one in _associations.items() if of == cluster]}
    if name is None:
        name = f"a-{uuid.uuid4().hex[:17]}"
        arn = f"arn:aws:eks:us-west-2:000000000000:podidentityassociation/{cluster}/{name}"
        given = {key: body[key] for key in ("namespace", "serviceAccount", "roleArn")}
        times = {"createdAt": time.time(), "modifiedAt": time.time()}
        association = {"clusterName": cluster, "associationId": name, "associationArn": arn, **given, **times}
        _associations[cluster, name] = association | {"tags": body.get("tags", {})}
    elif (cluster, name) not in _associations:
        return 404, {"message": f"{name}: not found"}
    association = _associations[cluster, name]
    if method == "DELETE":
        del _associations[cluster, name]
    return 200, {"association": association}


def _login(host: str) -> dict[str, Any]:
    token = base64.b64encode(b"AWS:test").decode()
    data = {"authorizationToken": token, "expiresAt": time.time() + 3600, "proxyEndpoint": f"http://{host}"}
    return {"authorizationData": [data]}


async def _body(receive: Receive) -> dict[str, Any]:
    content = b""
    while True:
        message = await receive()
        content += message.get("body", b"")
        if not message.get("more_body"):
            return json.loads(content) if content else {}
