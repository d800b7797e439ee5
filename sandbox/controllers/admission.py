"""The webhooks: readiness gates into new pods, and what a TargetGroupBinding is refused or given at creation.

They serve HTTPS on the one port of this machine that the node may reach. The API server
is told to refuse what they cannot look at (``failurePolicy: Fail``): the default, Ignore, lets a
pod through without its gate while they are away, and such a pod counts as ready before any
target is healthy, which is the outage that gates exist to prevent. Only pods in
namespaces that ask for gates, and bindings, depend on them.
"""

import base64
import json
import logging
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from sandbox import paths
from sandbox.controllers.cluster import SERVICE, TARGET_GROUP_BINDING, Cluster, Object, key_of
from sandbox.controllers.target_groups import gate, has_gate, selects

if TYPE_CHECKING:
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client

log = logging.getLogger("webhooks")

NAME = "hueshift-sandbox-elbv2"
INJECT_LABEL = "elbv2.k8s.aws/pod-readiness-gate-inject"
Patch = list[dict[str, Any]]
"""A JSON patch (RFC 6902)."""
_UNSUPPORTED = ("multiClusterTargetGroup", "iamRoleArnToAssume", "assumeRoleExternalId")


class RefusedError(Exception):
    """An object that must not be created; the text is what its creator is told."""


def configuration(ca: bytes) -> Object:
    """Return the MutatingWebhookConfiguration that sends pods and bindings here."""

    def webhook(what: str, group: str, version: str, resource: str) -> Object:
        return {
            "name": f"{what}.elbv2.k8s.aws",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Fail",
            "timeoutSeconds": 5,
            "rules": [
                {"apiGroups": [group], "apiVersions": [version], "resources": [resource], "operations": ["CREATE"]}
            ],
            "clientConfig": {
                "url": f"https://{paths.HOST_IP}:{paths.WEBHOOK_PORT}/{resource}",
                "caBundle": base64.b64encode(ca).decode(),
            },
        }

    pods = webhook("mpod", "", "v1", "pods")
    pods["namespaceSelector"] = {"matchLabels": {INJECT_LABEL: "enabled"}}
    bindings = webhook("mtargetgroupbinding", "elbv2.k8s.aws", "v1beta1", "targetgroupbindings")
    return {"metadata": {"name": NAME}, "webhooks": [pods, bindings]}


def inject(pod: Object, bindings: Iterable[Object], services: Mapping[str, Object]) -> Patch:
    """Return the patch that gives the pod a gate for each binding whose Service selects it.

    Bindings and Services that come later do not count: a pod's gates cannot change.
    """
    missing = []
    for binding in bindings:
        spec = binding["spec"]
        service = services.get(spec["serviceRef"]["name"])
        condition_type = gate(key_of(binding)[1])
        if spec.get("targetType") == "ip" and service and selects(service, pod) and not has_gate(pod, condition_type):
            missing.append({"conditionType": condition_type})
    gates = [*(pod["spec"].get("readinessGates") or []), *missing]
    return [{"op": "add", "path": "/spec/readinessGates", "value": gates}] if missing else []


def complete(binding: Object, group: Mapping[str, Any] | None, others: Iterable[Object]) -> Patch:
    """Return the patch that adds what the target group says of itself; refuse a binding that cannot work.

    ``group`` is what DescribeTargetGroups says of it, None when there is no such group;
    ``others`` are all bindings of the cluster.
    """
    spec = binding["spec"]
    if group is None:
        raise RefusedError(f"target group {spec.get('targetGroupARN') or spec.get('targetGroupName')!r} is not found")
    if unsupported := [name for name in _UNSUPPORTED if spec.get(name)]:
        raise RefusedError(f"spec.{unsupported[0]} is not supported by the local cloud")
    stated = {"targetGroupARN": group["TargetGroupArn"], "targetType": group["TargetType"]}
    stated["ipAddressType"] = group.get("IpAddressType", "ipv4")
    if "VpcId" in group:
        stated["vpcID"] = group["VpcId"]
    for name, value in stated.items():
        if spec.get(name, value) != value:
            raise RefusedError(f"spec.{name} is {spec[name]!r}, the target group's is {value!r}")
    if stated["targetType"] != "ip":
        raise RefusedError(
            f"spec.targetType {stated['targetType']!r} is not supported by the local cloud, only 'ip' is"
        )
    if spec.get("nodeSelector"):
        raise RefusedError("spec.nodeSelector cannot be set when targetType is 'ip'")
    for other in others:
        if other["spec"].get("targetGroupARN") == stated["targetGroupARN"] and key_of(other) != key_of(binding):
            namespace, name = key_of(other)
            raise RefusedError(
                f"target group {stated['targetGroupARN']} is already bound to TargetGroupBinding {namespace}/{name}"
            )
    return [{"op": "add", "path": f"/spec/{name}", "value": v} for name, v in stated.items() if name not in spec]


class Webhooks:
    """The server. It reads bindings and Services anew for each request: a cache that lags would cost a pod its gate."""

    def __init__(
        self,
        cluster: Cluster,
        elbv2: "ElasticLoadBalancingv2Client",
        address: tuple[str, int],
        certificate: tuple[bytes, bytes],
    ) -> None:
        """``certificate`` and its key are PEM, for the address."""
        self._server: ThreadingHTTPServer | None = None
        self._cluster = cluster
        self._elbv2 = elbv2
        self._address = address
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile(suffix=".pem") as file:  # ssl takes them from a file only
            file.write(b"".join(certificate))
            file.flush()
            self._tls.load_cert_chain(file.name)
        self._reviewers = {"/pods": self._pod, "/targetgroupbindings": self._binding}

    def start(self) -> None:
        """Serve in a thread of its own, from the moment the address exists: the node's cable may come later."""
        threading.Thread(target=self._run, name="webhooks", daemon=True).start()

    @property
    def port(self) -> int | None:
        """The port that it listens on, None while it cannot."""
        return self._server.server_port if self._server else None

    def _run(self) -> None:
        told = False
        while True:
            try:
                server = ThreadingHTTPServer(self._address, _handler(self._reviewers))
                break
            except OSError as error:
                if not told:
                    log.warning("cannot listen on %s:%d yet: %s", *self._address, error)
                told = True
                time.sleep(0.5)
        server.daemon_threads = True
        # The handshake is left to each request's thread: a silent client must not hold up the next one.
        server.socket = self._tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        self._server = server
        log.info("listening on %s:%d", *self._address)
        server.serve_forever()

    def _pod(self, pod: Object, namespace: str) -> Patch:
        bindings = self._cluster.items(TARGET_GROUP_BINDING, namespace)
        services = {key_of(s)[1]: s for s in self._cluster.items(SERVICE, namespace)} if bindings else {}
        return inject(pod, bindings, services)

    def _binding(self, binding: Object, namespace: str) -> Patch:
        binding["metadata"]["namespace"] = namespace
        spec = binding["spec"]
        missing = self._elbv2.exceptions.TargetGroupNotFoundException
        try:
            if "targetGroupARN" in spec:
                found = self._elbv2.describe_target_groups(TargetGroupArns=[spec["targetGroupARN"]])
            elif "targetGroupName" in spec:
                found = self._elbv2.describe_target_groups(Names=[spec["targetGroupName"]])
            else:
                raise RefusedError("either spec.targetGroupARN or spec.targetGroupName must be set")
        except missing:
            return complete(binding, None, [])
        return complete(binding, found["TargetGroups"][0], self._cluster.items(TARGET_GROUP_BINDING))


def review(body: Object, reviewer: Callable[[Object, str], Patch]) -> Object:
    """Answer an AdmissionReview with the reviewer's patch or refusal."""
    request = body["request"]
    answer: Object = {"uid": request["uid"], "allowed": True}
    try:
        patch = reviewer(request["object"], request["namespace"])
    except RefusedError as refusal:
        answer |= {"allowed": False, "status": {"code": 403, "message": str(refusal)}}
    else:
        if patch:
            log.info("%s in %s: %s", request["resource"]["resource"], request["namespace"], json.dumps(patch))
            answer |= {"patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(patch).encode()).decode()}
    return {"apiVersion": body["apiVersion"], "kind": body["kind"], "response": answer}


def _handler(reviewers: Mapping[str, Callable[[Object, str], Patch]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            try:
                status, answer = 200, review(body, reviewers[self.path.partition("?")[0]])
            except Exception as error:
                log.exception("%s cannot be answered", self.path)
                status, answer = 500, {"message": f"{type(error).__name__}: {error}"}
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """What is worth a line is logged by the reviewers."""

    return Handler
