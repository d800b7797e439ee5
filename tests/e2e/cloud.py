"""What the tests on the local cloud do to it: the plain `pulumi` and `kubectl`, the stack file, requests, load."""

import base64
import fcntl
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
import requests
import yaml

from sandbox import paths
from tests.support.shell import Shell

HOST = "shop.localhost"
NAMESPACE = "sandbox-shop"
RATE = 600
"""Requests a second: above the 300 asked for, and half of what the two cores of CI can serve."""
FAST = 10
"""How many minutes of CloudWatch pass in one where a test has asked for that. No more: Envoy tells response times every
five seconds, and a minute without any looks fast."""

_CLOCK = paths.STATE / "clock.lock"


def run(
    *command: str | Path, check: bool = True, cwd: Path = paths.ROOT, text: str | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a command as a person would after `eval "$(make -s sandbox-env)"`; ``text`` is its standard input."""
    return Shell(folder=cwd).run(*command, check=check, text=text, **variables)


def pulumi(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run `pulumi … --stack sandbox`."""
    return run("pulumi", *arguments, "--stack", "sandbox", "--non-interactive", check=check)


def update() -> dict[str, int]:
    """Run `pulumi up`; return the number of resources by operation."""
    pulumi("up", "--yes", "--skip-preview")
    return {name: count for name, count in last_update()["resourceChanges"].items() if name != "same"}


def last_update() -> dict[str, Any]:
    """Return the newest entry of the stack's history."""
    entry: dict[str, Any] = json.loads(pulumi("stack", "history", "--json", "--page-size", "1").stdout)[0]
    return entry


def state() -> list[dict[str, Any]]:
    """Return the resources of the stack's state."""
    found: list[dict[str, Any]] = json.loads(pulumi("stack", "export").stdout)["deployment"]["resources"]
    return found


def output(name: str) -> str:
    """Return an output of the stack."""
    return pulumi("stack", "output", name).stdout.strip()


def kubectl(*arguments: str) -> str:
    """Run kubectl in the service's namespace and return what it printed."""
    return run("kubectl", "--namespace", NAMESPACE, *arguments).stdout


def pods(color: str) -> list[dict[str, Any]]:
    """Return the color's pods that are not about to end."""
    listed = json.loads(kubectl("get", "pods", "-l", f"hueshift.dev/color={color}", "-o", "json"))["items"]
    return [pod for pod in listed if "deletionTimestamp" not in pod["metadata"] and pod["status"]["phase"] == "Running"]


@contextmanager
def fast_minutes(times: int = FAST) -> Iterator[None]:
    """Let ten minutes of CloudWatch pass in one, for what runs beside this as well: until nobody asks for it."""

    def set_scale(scale: int) -> None:
        clock = f"{paths.AWS_ENDPOINT}/_hueshift/alarm-time"
        requests.put(clock, json={"scale": scale}, timeout=5).raise_for_status()

    with _CLOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        set_scale(times)
        try:
            yield
        finally:
            with suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                set_scale(1)


@contextmanager
def own_minutes() -> Iterator[None]:
    """Let nobody make CloudWatch's minutes pass faster meanwhile."""
    with _CLOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def clone(folder: Path) -> Path:
    """Return a clean clone of this checkout's last commit, a sample repository with the same Python environment."""
    run("git", "clone", "--quiet", str(paths.ROOT), str(folder))
    (folder / ".venv").symlink_to((paths.ROOT / ".venv").resolve())
    return folder


@contextmanager
def stack_file() -> Iterator[Path]:
    """Lend out Pulumi.sandbox.yaml; afterwards it is as it was, and the stack follows it."""
    file = paths.ROOT / "Pulumi.sandbox.yaml"
    before = file.read_text()
    try:
        yield file
    finally:
        if file.read_text() != before:
            file.write_text(before)
            update()


def kill(update: "subprocess.Popen[Any]") -> None:
    """End an update of the engine and all that it has started, none of which can do anything about it.

    Not while the state is being written: the backend of files writes one in two steps, as none in a bucket does.
    """

    def signal_all(number: signal.Signals) -> None:
        for pid in run("ps", "-o", "pid=", "--sid", str(update.pid)).stdout.split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), number)

    signal_all(signal.SIGSTOP)
    while list(paths.PULUMI_STATE.rglob("*.tmp")):
        signal_all(signal.SIGCONT)
        time.sleep(0.01)
        signal_all(signal.SIGSTOP)
    signal_all(signal.SIGKILL)
    update.wait()


def configure(path: str, value: object) -> None:
    """Set one configuration value with `pulumi config set --path`."""
    pulumi("config", "set", "--path", f"hueshift:{path}", str(value))


def curl(url: str, *arguments: str) -> tuple[int, dict[str, str], str]:
    """Return status, headers (names in lower case) and body of one request through the load balancer."""
    done = run("curl", "--silent", "--show-error", "--include", "--cacert", str(paths.CA_CERTIFICATE), *arguments, url)
    head, _, body = done.stdout.replace("\r\n", "\n").partition("\n\n")
    status, *lines = head.splitlines()
    headers = dict(line.split(": ", 1) for line in lines if ": " in line)
    return int(status.split()[1]), {name.lower(): value for name, value in headers.items()}, body


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One request of the load generator."""

    at: float
    """When it was sent, in seconds since the epoch."""
    seconds: float
    code: int
    """The status; 0 where no answer came."""
    color: str
    version: str
    error: str


class Load:
    """A constant rate of requests over keep-alive connections, from `start` until `stop`."""

    def __init__(
        self, limit: float, headers: Mapping[str, str] | None = None, rate: int = RATE, host: str = HOST
    ) -> None:
        """Attack for at most ``limit`` seconds."""
        vegeta = Path(run(str(paths.ROOT / "sandbox/go/build.sh"), "vegeta").stdout.strip()) / "vegeta"
        self._vegeta = str(vegeta)
        self._results = tempfile.NamedTemporaryFile(suffix=".bin", dir=paths.STATE)  # noqa: SIM115 (lives as long as the load)
        extra = [f"-header={name}: {value}" for name, value in (headers or {}).items()]
        command = [
            self._vegeta, "attack", f"-rate={rate}", f"-duration={limit:.0f}s", "-keepalive", "-connections=50",
            "-max-connections=50", "-timeout=10s", "-http2=false", f"-root-certs={paths.CA_CERTIFICATE}",
            f"-connect-to={host}:443:127.0.0.1:443", f"-output={self._results.name}", *extra,
        ]  # fmt: skip
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True)
        assert self._process.stdin is not None
        self._process.stdin.write(f"GET https://{host}/\n")
        self._process.stdin.close()

    def stop(self) -> list[Answer]:
        """End the load and return every request in the order of sending."""
        self._process.send_signal(2)
        self._process.wait(30)
        with subprocess.Popen(
            [self._vegeta, "encode", "--to", "json", self._results.name], stdout=subprocess.PIPE, text=True
        ) as encoder:
            assert encoder.stdout is not None
            answers = [_answer(json.loads(line)) for line in encoder.stdout]
        return sorted(answers, key=lambda answer: answer.at)


def _answer(result: dict[str, Any]) -> Answer:
    headers = {name.lower(): values[0] for name, values in (result["headers"] or {}).items()}
    body = base64.b64decode(result["body"] or "").decode(errors="replace")
    return Answer(
        at=datetime.fromisoformat(result["timestamp"]).timestamp(),
        seconds=result["latency"] / 1e9,
        code=result["code"],
        color=headers.get("x-color", ""),
        version=headers.get("x-version", ""),
        error=result["error"] or (body if result["code"] != 200 else ""),
    )


def wait_until(condition: str, holds: Callable[[], object], seconds: float = 60) -> None:
    """Wait until ``holds()`` is true, else fail naming the condition."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not so within {seconds:.0f} s: {condition}"
        time.sleep(0.2)


def live_weights() -> dict[str, int]:
    """Return the weights of the production rule as the load balancer has them, by target group ARN."""
    client = boto3.client("elbv2")
    listeners = client.describe_listeners(LoadBalancerArn=load_balancer()["LoadBalancerArn"])["Listeners"]
    for listener in listeners:
        for rule in client.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]:
            hosts = [condition.get("HostHeaderConfig", {}).get("Values") for condition in rule["Conditions"]]
            if hosts == [[HOST]]:
                groups = rule["Actions"][0]["ForwardConfig"]["TargetGroups"]
                return {group["TargetGroupArn"]: group["Weight"] for group in groups}
    raise AssertionError("the load balancer has no production rule")


def committed() -> dict[str, Any]:
    """Return Pulumi.sandbox.yaml as committed: a test that runs beside may have changed the file."""
    content: dict[str, Any] = yaml.safe_load(run("git", "show", "HEAD:Pulumi.sandbox.yaml").stdout)
    return content


def stack_config() -> dict[str, Any]:
    """Return the configuration of Pulumi.sandbox.yaml as committed."""
    config: dict[str, Any] = committed()["config"]
    return config


def load_balancer() -> dict[str, Any]:
    """Return the load balancer of the sandbox's own stack, the first there was, as the API describes it."""
    known = requests.get(f"{paths.AWS_ENDPOINT}/_hueshift/health", timeout=5).json()["loadBalancers"]
    (name,) = [name for name, address in known.items() if address == "127.0.0.1"]
    (balancer,) = boto3.client("elbv2").describe_load_balancers(Names=[name])["LoadBalancers"]
    return dict(balancer)


def cluster_name() -> str:
    """Return what the kubeconfig calls the cluster."""
    return str(yaml.safe_load(paths.KUBECONFIG.read_text())["clusters"][0]["name"])


def stack_file_for_here(stack: str, folder: Path, **load_balancer: object) -> Path:
    """Return a copy of a stack file for the account, network, cluster and zone of here, with further settings."""
    text = (paths.ROOT / f"Pulumi.{stack}.yaml").read_text().replace("staging.example.com", "example.com")
    content = yaml.safe_load(text.replace("example.com", "sandbox.example.com"))
    here = stack_config()["hueshift:network"]
    content["config"]["hueshift:network"] |= {key: here[key] for key in ("vpcId", "subnetIds")}
    content["config"]["hueshift:loadBalancer"] |= load_balancer
    content["config"] |= {"aws:allowedAccountIds": [paths.ACCOUNT]}
    content["config"]["hueshift:cluster"]["name"] = cluster_name()
    file = folder / f"Pulumi.{stack}.yaml"
    file.write_text(yaml.safe_dump(content))
    return file
