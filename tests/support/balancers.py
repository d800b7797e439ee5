"""A project with one stack, and the load balancer that serves it: moto behind HTTP on loopback.

It is a process of its own (`python -m tests.support.balancers`): in this one other tests give moto other behaviour.
"""

import io
import json
import logging
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import requests
import yaml
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from typer.testing import CliRunner, Result
from werkzeug.serving import make_server

from components.model import RouteKind
from hueshift.cli import app
from tests.support.program import ROOT

if TYPE_CHECKING:
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client
    from mypy_boto3_elbv2.type_defs import ActionUnionTypeDef

PULUMI = """#!/bin/sh
echo "$*" >>"$CALLED"
case "$*" in
*"config set"* | *"config rm"*) [ -z "$NO_BACKEND" ] || { echo "error: no backend" >&2; exit 1; } ;;
*"stack export"*) cat "$STATE" ;;
*"stack output"*) [ -z "$NO_BACKEND" ] || { echo "error: no backend" >&2; exit 1; }; echo '{}' ;;
"preview "*) [ -z "$MORE" ] || exit 1; echo '{"summaryEvent": {}}' ;;
"up "*) [ -z "$LOCKED" ] || { echo "error: the stack is currently locked by 1 lock" >&2; exit 255; } ;;
*) echo "error: unexpected $*" >&2; exit 1 ;;
esac
case "$2 $3" in "config set" | "config rm") exec "$PYTHON" "$SET" "$@" ;; esac
"""
CURL = """#!/bin/sh
echo "curl $*" >>"$CALLED"
version=${VERSION:-1.4.0}
case "$*" in
*http://*) printf 'HTTP/1.1 301 Moved\\r\\nlocation: %s://shop/\\r\\n' "${TO:-https}" ;;
*)
    case "$*" in *x-canary* | *green.shop*) version=${CANARY:-1.5.0} ;; esac
    case "$*" in *$FAILS*) [ -z "$FAILS" ] || status=503 ;; esac
    printf 'HTTP/1.1 %s OK\\r\\n' "${status:-200}"
    [ -n "$NAMELESS" ] || printf 'X-Version: %s\\r\\n' "$version"
    printf '%s: x\\r\\n' strict-transport-security content-security-policy
    printf 'x-content-type-options: nosniff\\r\\nx-frame-options: %s\\r\\n' "${FRAME:-DENY}"
    ;;
esac
"""
"""Answers as shop does while blue serves 1.4.0 and the header leads to green's 1.5.0."""
SET = '''"""What `pulumi config set --path` and `rm` do to a stack file, as far as the commands use them."""
import sys, yaml
words = sys.argv[1:]
stack, (key, *value) = words[words.index("--stack") + 1], words[words.index("--") + 1:]
content = yaml.safe_load(open(f"Pulumi.{stack}.yaml"))
name, *path = key.split(":", 1)[1].split(".")
place, name = (content["config"], f"hueshift:{name}") if not path else (content["config"][f"hueshift:{name}"], name)
for part in path[:-1]:
    place = place[part]
if value:
    (text,) = value
    place[path[-1] if path else name] = text if "--plaintext" in words or "--type" in words else int(text)
else:
    del place[path[-1] if path else name]
open(f"Pulumi.{stack}.yaml", "w").write(yaml.safe_dump(content, sort_keys=False))
'''


class Throttled:
    """moto's server, of whose calls to the load balancer a share is answered as AWS does when it is busy."""

    def __init__(self) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._behaviour: dict[str, Any] = {"share": 0, "refused": None}
        self._actions: list[str] = []
        self._random = random.Random(1)

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/behaviour":
            if environ["REQUEST_METHOD"] == "PUT":
                self._behaviour = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
                self._actions.clear()
            start("200 OK", [("Content-Type", "application/json")])
            return [json.dumps(self._actions).encode()]
        if environ["REQUEST_METHOD"] == "POST" and "/elasticloadbalancing/" in environ.get("HTTP_AUTHORIZATION", ""):
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            environ["wsgi.input"] = io.BytesIO(body)
            action = dict(part.split("=", 1) for part in body.decode().split("&"))["Action"]
            self._actions.append(action)
            refused = self._behaviour["refused"]
            code = refused[1] if refused and refused[0] == action else None
            if code is None and self._random.random() < self._behaviour["share"]:
                code = "Throttling"
            if code:
                start("400 Bad Request", [("Content-Type", "text/xml")])
                return [
                    f"<ErrorResponse><Error><Code>{code}</Code><Message>x</Message></Error></ErrorResponse>".encode()
                ]
        answer: Iterable[bytes] = self._moto(environ, start)
        return answer


@dataclass(frozen=True)
class Server:
    """The process that answers for the load balancer."""

    endpoint: str

    def behave(self, *, share: float = 0, refused: tuple[str, str] | None = None) -> None:
        """Throttle a share of the calls, refuse an action for good with a code, and forget the calls so far."""
        requests.put(f"{self.endpoint}/behaviour", json={"share": share, "refused": refused}, timeout=5)

    @property
    def actions(self) -> list[str]:
        """The calls to the load balancer since it was told how to behave."""
        found: list[str] = requests.get(f"{self.endpoint}/behaviour", timeout=5).json()
        return found


@dataclass
class World:
    """The project, and what stands around it."""

    folder: Path
    server: Server
    elb: "ElasticLoadBalancingv2Client"
    rules: Mapping[str, str]
    """By service."""
    groups: Mapping[tuple[str, str], str]
    """By service and color."""

    @property
    def file(self) -> Path:
        return self.folder / "Pulumi.staging.yaml"

    @property
    def config(self) -> dict[str, Any]:
        found: dict[str, Any] = yaml.safe_load(self.file.read_text())["config"]
        return found

    def begun(self, folder: Path) -> "World":
        """Return the world as each test finds it, with a project in a new folder: blue has everything, by two pods."""
        self.server.behave()
        for (service, _), group in self.groups.items():
            targets: Any = [{"Id": f"172.31.0.{last}", "Port": 8080} for last in (1, 2)]
            self.elb.register_targets(TargetGroupArn=group, Targets=targets)
            self.move(service, blue=100, green=0)
        folder.mkdir()
        _project(folder, self.rules)
        return replace(self, folder=folder)

    def change(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Change the configuration in the stack file."""
        content = yaml.safe_load(self.file.read_text())
        change(content["config"])
        self.file.write_text(yaml.safe_dump(content, sort_keys=False))

    def live(self, service: str = "shop") -> dict[str, int]:
        """Return the weights that the load balancer has."""
        (forward,) = self.actions(service)
        arns = {arn: color for (owner, color), arn in self.groups.items() if owner == service}
        return {arns[each["TargetGroupArn"]]: each["Weight"] for each in forward["ForwardConfig"]["TargetGroups"]}

    def actions(self, service: str = "shop") -> Sequence[Any]:
        return self.elb.describe_rules(RuleArns=[self.rules[service]])["Rules"][0]["Actions"]

    def move(self, service: str = "shop", *, sticky: bool = False, **weights: int) -> None:
        """Give a rule weights behind the stack."""
        targets: Any = [
            {"TargetGroupArn": self.groups[service, color], "Weight": weight} for color, weight in weights.items()
        ]
        config: Any = {
            "TargetGroups": targets,
            "TargetGroupStickinessConfig": {"Enabled": sticky, "DurationSeconds": 60},
        }
        self.act(service, {"Type": "forward", "ForwardConfig": config})

    def act(self, service: str, *actions: "ActionUnionTypeDef") -> None:
        """Let a rule do something else."""
        self.elb.modify_rule(RuleArn=self.rules[service], Actions=actions)

    @contextmanager
    def route(self, *, blue: int, green: int) -> Iterator[Callable[[], dict[str, int]]]:
        """Give shop a route, whose rule has these weights; what is yielded reads them."""
        production = self.elb.describe_rules(RuleArns=[self.rules["shop"]])["Rules"][0]
        targets: Any = [
            {"TargetGroupArn": self.groups["shop", color], "Weight": weight}
            for color, weight in (("blue", blue), ("green", green))
        ]
        config: Any = {"TargetGroups": targets, "TargetGroupStickinessConfig": {"Enabled": False}}
        arn = self.elb.create_rule(
            ListenerArn=self.rules["shop"].replace(":listener-rule/", ":listener/").rpartition("/")[0],
            Priority=int(production["Priority"]) - 20 + RouteKind.PRODUCTION,
            Conditions=[{"Field": "host-header", "HostHeaderConfig": {"Values": ["www.example.com"]}}],
            Actions=[{"Type": "forward", "ForwardConfig": config}],
        )["Rules"][0]["RuleArn"]

        def live() -> dict[str, int]:
            (forward,) = self.elb.describe_rules(RuleArns=[arn])["Rules"][0]["Actions"]
            colors = {group: color for (_, color), group in self.groups.items()}
            return {colors[each["TargetGroupArn"]]: each["Weight"] for each in forward["ForwardConfig"]["TargetGroups"]}

        try:
            yield live
        finally:
            self.elb.delete_rule(RuleArn=arn)

    def empty(self, service: str, color: str) -> None:
        """Take a color's targets away."""
        group = self.groups[service, color]
        targets = self.elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        self.elb.deregister_targets(TargetGroupArn=group, Targets=[target["Target"] for target in targets])

    def commit(self, message: str = "Change") -> None:
        for words in (["init", "--quiet"], ["add", "--force", self.file.name], ["commit", "--quiet", "-m", message]):
            subprocess.run(
                ["git", "-c", "user.name=somebody", "-c", "user.email=somebody@example.com", *words],
                cwd=self.folder,
                check=True,
                capture_output=True,
            )

    @property
    def called(self) -> list[str]:
        """How pulumi was called."""
        file = self.folder / "called"
        return file.read_text().splitlines() if file.exists() else []

    @property
    def environment(self) -> dict[str, str]:
        return {
            "HOME": str(self.folder),
            "PATH": f"{self.folder}/bin:{os.environ['PATH']}",
            "AWS_ENDPOINT_URL": self.server.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "CALLED": str(self.folder / "called"),
            "STATE": str(self.folder / "state.json"),
            "SET": str(self.folder / "set.py"),
            "PYTHON": sys.executable,
            "PYTHONPATH": str(ROOT),
        }

    def alarm(self, name: str) -> None:
        """Let an alarm be on."""
        session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="eu-west-1")
        client = session.client("cloudwatch", endpoint_url=self.server.endpoint)
        client.put_metric_alarm(
            AlarmName=name, MetricName="m", Namespace="n", Statistic="Sum", Period=60, EvaluationPeriods=1,
            Threshold=1, ComparisonOperator="GreaterThanThreshold",
        )  # fmt: skip
        client.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="test")

    def run(self, *words: str, **variables: str) -> Result:
        """Run the command in the project."""
        with chdir(self.folder):
            return CliRunner().invoke(app, list(words), env={**self.environment, **variables})

    def python(self, code: str) -> subprocess.CompletedProcess[str]:
        """Run a piece of Python in a fresh process."""
        return subprocess.run(
            [sys.executable, "-c", code],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )


@contextmanager
def served() -> Iterator[World]:
    """Serve the load balancer of shop and orders, which follow the stack's activeColor, and pricing, with its own."""
    command = [sys.executable, "-m", "tests.support.balancers"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield _made(Server(process.stdout.readline().strip()))
        finally:
            process.terminate()


def _made(server: Server) -> World:
    endpoint = server.endpoint
    session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="eu-west-1")
    elb = session.client("elbv2", endpoint_url=endpoint)
    ec2 = session.client("ec2", endpoint_url=endpoint)
    subnets = ec2.describe_subnets()["Subnets"][:2]
    vpc, names = subnets[0]["VpcId"], [subnet["SubnetId"] for subnet in subnets]
    rules: dict[str, str] = {}
    groups: dict[tuple[str, str], str] = {}
    listeners = []
    for name in ("another", "edge-alb-1a2b3c4"):
        balancer = elb.create_load_balancer(Name=name, Subnets=names)["LoadBalancers"][0]["LoadBalancerArn"]
        refuse: Any = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]
        for port in (443, 8443):
            listener = elb.create_listener(LoadBalancerArn=balancer, Protocol="HTTP", Port=port, DefaultActions=refuse)[
                "Listeners"
            ][0]
            listeners.append(listener["ListenerArn"])
    for number, service in enumerate(("shop", "orders", "pricing"), 1):
        for color in ("blue", "green"):
            group = elb.create_target_group(
                Name=f"{service}-{color}-1a2b3c4", Protocol="HTTP", Port=80, VpcId=vpc, TargetType="ip",
                Tags=[{"Key": "service", "Value": service}, {"Key": "color", "Value": color}],
            )["TargetGroups"][0]["TargetGroupArn"]  # fmt: skip
            groups[service, color] = group
        weights: Any = [
            {"TargetGroupArn": groups[service, color], "Weight": weight}
            for color, weight in (("blue", 100), ("green", 0))
        ]
        config: Any = {"TargetGroups": weights, "TargetGroupStickinessConfig": {"Enabled": False}}
        host = {"Field": "host-header", "HostHeaderConfig": {"Values": [f"{service}.example.com"]}}
        header = {
            "Field": "http-header",
            "HttpHeaderConfig": {"HttpHeaderName": "x-canary", "Values": ["true"]},
        }
        for offset, conditions in ((10, [host, header]), (20, [host])):
            made = elb.create_rule(
                ListenerArn=listeners[2],
                Priority=100 * number + offset,
                Conditions=conditions,  # type: ignore[arg-type]
                Actions=[{"Type": "forward", "ForwardConfig": config}],
            )
            rules[service] = made["Rules"][0]["RuleArn"]
    return World(Path(), server, elb, rules, groups)


def _project(folder: Path, rules: Mapping[str, str]) -> None:
    (folder / "Pulumi.yaml").write_text((ROOT / "Pulumi.yaml").read_text())
    digest = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/x@sha256:"
    services = {
        service: {
            "host": f"{service}.example.com",
            "port": 8080,
            "colors": {
                "blue": {"image": f"{digest}{'1' * 64}", "version": "1.4.0"},
                "green": {"image": f"{digest}{'2' * 64}", "version": "1.5.0"},
            },
        }
        for service in rules
    }
    services["pricing"]["activeColor"] = "blue"
    here = yaml.safe_load((ROOT / "Pulumi.sandbox.yaml").read_text())["config"]
    content = {
        "config": {
            **{key: here[key] for key in ("aws:region", "hueshift:network", "hueshift:loadBalancer")},
            "hueshift:activeColor": "blue",
            "hueshift:services": services,
        }
    }
    (folder / "Pulumi.staging.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    resources = [
        {"type": "aws:lb/listenerRule:ListenerRule", "urn": f"urn::{name}-traffic-production", "id": arn}
        for name, arn in rules.items()
    ]
    (folder / "state.json").write_text(json.dumps({"deployment": {"resources": resources}}))
    (folder / "set.py").write_text(SET)
    (folder / "bin").mkdir()
    (folder / "bin/pulumi").write_text(PULUMI)
    (folder / "bin/pulumi").chmod(0o755)
    (folder / "bin/curl").write_text(CURL)
    (folder / "bin/curl").chmod(0o755)
    (folder / "pipeline").mkdir()
    (folder / "pipeline/keep.sh").write_text('#!/bin/sh\necho "kept: $*"\n[ -z "$NO_PUSH" ]\n')
    (folder / "pipeline/keep.sh").chmod(0o755)


def _main() -> None:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, Throttled(), threaded=True)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)  # noqa: T201 - whoever started it reads this
    server.serve_forever()


if __name__ == "__main__":
    _main()
