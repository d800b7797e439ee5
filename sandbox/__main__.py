"""`python -m sandbox`: bring the local cloud up, say what it serves, take it down."""

import fcntl
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import boto3
import requests
import typer
import yaml
from rich.console import Console
from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from components.model import Color
from hueshift.report import RefusedError
from hueshift.secrets.bootstrap import MAKE_CONTAINERS
from hueshift.stack import place
from hueshift.traffic import live
from hueshift.traffic.balancer import weights
from sandbox import controllers, environment, fakes, images, paths, processes, programs, prometheus
from sandbox import engine as engines
from sandbox.steps import Step, StepError, Steps
from sandbox.world import lost

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="The local cloud: real engine, node and proxy on one machine.",
)
console = Console(highlight=False)
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a machine to read.")]

STACK = "sandbox"
VERSIONS = ("1.4.0", "1.5.0")
"""The two builds of the reference service that Pulumi.sandbox.yaml names."""

_OWN = (*prometheus.PROCESSES, controllers.EXTERNAL_SECRETS, controllers.LOAD_BALANCER, "aws")
"""The processes on this machine that `up` starts; ``aws`` starts Envoy."""


@app.command()
def up() -> None:
    """Bring everything up, to a served URL with blue and green behind it. Reuses what is there."""
    steps = Steps(console)
    with _alone():
        with steps.step("machine") as step:
            _machine(step)
        if engines.outdated():
            _clear(steps, "another version of this project has made it")
        with steps.step("engine and plugins") as step:
            engine = engines.find()
            parts = [*engines.parts(engine), *(programs.NODE if paths.OWN_NODE else ()), *programs.CONTROLLERS]
            missing = programs.missing(parts)
            step.note = str(engine)
        _build(steps, missing)
        with steps.step("plugins in place"):
            built = programs.folders(parts)
            engines.install(engine, built)
        variables = environment.variables(engine)
        os.environ.update(variables)
        os.environ[processes.MARK] = str(paths.STATE)
        if orphans := processes.sweep(*_OWN, "envoy"):
            console.print(f"[dim]stopped {len(orphans)} processes that a killed run left[/]")
        if reason := _lost():
            _clear(steps, reason)
        if not _world_file().exists():
            processes.stop(*_OWN)  # they may know a cluster or an account that is no more
        with steps.step("Kubernetes node") as step:
            _node(step)
        with steps.step("AWS APIs and Envoy") as step:
            cloud = _aws()
            step.note = f"{paths.AWS_ENDPOINT}, network {cloud['vpcId']}"
        with steps.step("controllers"):
            _controllers(built, str(cloud["vpcId"]))
        with steps.step("Prometheus") as step:
            _prometheus(built[prometheus.OPERATOR])
            step.note = paths.PROMETHEUS_URL
        with steps.step("images") as step:
            digests = [images.build_and_push(version) for version in VERSIONS]
            step.note = ", ".join(
                f"shop {v} {d.rpartition(':')[2][:12]}" for v, d in zip(VERSIONS, digests, strict=True)
            )
        with steps.step("stack: secrets") as step:
            _stacks()
            if not _secrets():
                _pulumi("up", "--yes", "--skip-preview", *(f"--target={urn}" for urn in MAKE_CONTAINERS))
            empty = [arn for arn, has_value in _secrets().items() if not has_value]
            for arn in empty:
                boto3.client("secretsmanager").put_secret_value(
                    SecretId=arn,
                    ClientRequestToken=fakes.SECRET_VERSION,
                    SecretString=json.dumps(fakes.SECRET_VALUES),
                )
            step.note = f"{len(empty)} values put, none through Pulumi"
        with steps.step("stack: pulumi up") as step:
            _pulumi("up", "--yes", "--skip-preview")
            outputs = _outputs()
            step.note = f"{len(_resources())} resources"
        _world_file().write_text(json.dumps(_world()))
        steps.keep()
    _screen(outputs)


@app.command()
def down() -> None:
    """Stop and remove what `up` started, nothing else."""
    with _alone(), Steps(console).step("local cloud removed"):
        _end()  # processes and node are found where the folder was deleted by hand, too
    shutil.rmtree(paths.STATE)


@app.command()
def status(*, as_json: Json = False) -> None:
    """Show what runs and what the stack serves. Exit status 1 if a part is missing."""
    running = {name: processes.running(name) for name in ("envoy", *reversed(_OWN))}
    try:
        os.environ.update(environment.variables(engines.settled()))
        world = _world()
    except FileNotFoundError:
        world = {"account": "", "cluster": ""}
    parts = {"node": bool(world["cluster"]), **running}
    recorded = json.loads(_world_file().read_text()) if _world_file().exists() else None
    whole = all(parts.values()) and world == recorded
    if as_json:
        typer.echo(json.dumps({"running": parts, "whole": whole}))
        raise typer.Exit(0 if whole else 1)
    for name, runs in parts.items():
        console.print(f"{name:<26}{'running' if runs else 'not running'}")
    if whole:
        _screen(_outputs())
    else:
        console.print("the local cloud is incomplete: `make sandbox` repairs it")
    raise typer.Exit(0 if whole else 1)


@app.command()
def env() -> None:
    """Print the exports with which `pulumi`, `kubectl` and `aws` use the local cloud: eval "$(make -s sandbox-env)"."""
    try:
        engine = engines.settled()
    except FileNotFoundError as error:
        typer.echo(error, err=True)
        raise typer.Exit(1) from None
    for name, value in environment.variables(engine).items():
        typer.echo(f"export {name}={shlex.quote(value)}")


@contextmanager
def _alone() -> Iterator[None]:
    """Hold the state directory: two runs at once would build two worlds."""
    paths.STATE.mkdir(parents=True, exist_ok=True)
    with (paths.STATE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.print(f"[red]✗[/] another run holds {paths.STATE / 'lock'}; wait for it to end")
            raise typer.Exit(1) from None
        yield


def _machine(step: Step) -> None:
    if not paths.OWN_NODE:
        step.note = f"the cluster of {paths.KUBECONFIG}"
        return
    check = subprocess.run([paths.ROOT / "sandbox/node/up.sh", "--check"], capture_output=True, text=True, check=False)
    if check.returncode:
        raise StepError((check.stderr or check.stdout).strip())


def _lost() -> str:
    """Return why the world must be rebuilt; empty if it need not be."""
    checkpoint = json.loads(_checkpoint().read_text())["checkpoint"]["latest"] if _checkpoint().exists() else {}
    return lost(
        state=paths.PULUMI_STATE.exists(),
        recorded=json.loads(_world_file().read_text()) if _world_file().exists() else None,
        living=_world(),
        pending=bool(checkpoint.get("pending_operations")),
    )


def _checkpoint() -> Path:
    """Return where the file backend keeps the stack's state."""
    return paths.PULUMI_STATE / f".pulumi/stacks/hueshift/{STACK}.json"


def _world() -> dict[str, str]:
    """Return the ids of the running account and cluster; an empty id if one does not answer."""
    try:
        account = requests.get(f"{paths.AWS_ENDPOINT}/_hueshift/health", timeout=3).json()["id"]
    except (requests.RequestException, ValueError):
        account = ""
    cluster = (
        subprocess.run(
            ["kubectl", "get", "namespace", "kube-system", "--request-timeout=3s", "-o", "jsonpath={.metadata.uid}"],
            capture_output=True,
            text=True,
            check=False,
        ).stdout
        if shutil.which("kubectl")
        else ""
    )
    return {"account": account, "cluster": cluster}


def _world_file() -> Path:
    return paths.STATE / "world.json"


def _node(step: Step) -> None:
    if not paths.OWN_NODE:
        step.note = "given by HUESHIFT_KUBECONFIG"
        return
    unmarked = {name: value for name, value in os.environ.items() if name != processes.MARK}  # it keeps its own pid
    step.run([paths.ROOT / "sandbox/node/up.sh", paths.NODE], paths.LOGS / "node.log", unmarked)
    step.note = f"KUBECONFIG={paths.KUBECONFIG.relative_to(paths.ROOT)}"


def _aws() -> dict[str, object]:
    if not processes.running("aws"):
        processes.start("aws", [sys.executable, "-m", "sandbox.aws"], os.environ)
    answer: dict[str, object] = _await("aws", f"{paths.AWS_ENDPOINT}/_hueshift/health").json()
    if problems := answer.get("problems"):
        raise StepError(f"the load balancer has problems: {problems}", log=paths.LOGS / "aws.log")
    return answer


def _build(steps: Steps, missing: list[str]) -> None:
    """Build what is missing; print first what, and how long it takes."""
    if missing:
        minutes = sum(programs.MINUTES[part] for part in missing)
        console.print(
            f"to be built once, from Go modules, about {minutes:.0f} minutes on two idle cores: {', '.join(missing)}",
            soft_wrap=True,
        )
    for part in missing:
        with steps.step(f"build {part}") as step:
            programs.build(step, part)


def _controllers(built: dict[str, Path], vpc: str) -> None:
    for name in (controllers.LOAD_BALANCER, controllers.EXTERNAL_SECRETS):
        controllers.install(built[name] / "crds", controllers.objects(name, built[name]))
    for name, (command, variables) in controllers.commands(built, vpc).items():
        processes.ensure(name, command, {**os.environ, **variables})
    _await(controllers.LOAD_BALANCER, paths.LOAD_BALANCER_CONTROLLER)
    _await(controllers.EXTERNAL_SECRETS, paths.EXTERNAL_SECRETS)


def _prometheus(program: Path) -> None:
    controllers.install(program / "crds", prometheus.objects())
    for name, command in prometheus.commands(program).items():
        processes.ensure(name, command, os.environ)
    _await("prometheus", f"{paths.PROMETHEUS_URL}/-/ready")


def _await(name: str, url: str, seconds: float = 60) -> requests.Response:
    """Return the first successful answer of a started process; fail as soon as the process has ended."""
    try:
        for attempt in Retrying(
            stop=stop_after_delay(seconds),
            wait=wait_fixed(0.1),
            retry=retry_if_exception_type(requests.RequestException),
        ):
            with attempt:
                if not processes.running(name):
                    raise StepError(f"{name} has ended", log=paths.LOGS / f"{name}.log")
                answer = requests.get(url, timeout=3)
                answer.raise_for_status()
    except RetryError:
        raise StepError(f"{name} does not answer at {url}", log=paths.LOGS / f"{name}.log") from None
    return answer


def _stacks() -> None:
    """Create a stack for every stack file, so that every preview works; select the local cloud's."""
    paths.PULUMI_STATE.mkdir(parents=True, exist_ok=True)
    for lock in paths.PULUMI_STATE.glob(".pulumi/locks/**/*.json"):
        if not Path(f"/proc/{json.loads(lock.read_text())['pid']}").exists():
            lock.unlink()  # of an engine that was killed
    known = {stack["name"] for stack in json.loads(_run("pulumi", "stack", "ls", "--json"))}
    for file in sorted(paths.ROOT.glob("Pulumi.*.yaml")):
        if (name := file.suffixes[-2].lstrip(".")) not in known:
            # By default `init` would use a passphrase instead of the provider in the file.
            provider = yaml.safe_load(file.read_text()).get("secretsprovider", "default")
            _run("pulumi", "stack", "init", name, "--no-select", "--secrets-provider", provider)
    _run("pulumi", "stack", "select", STACK)


def _secrets() -> dict[str, bool]:
    """Return the stack's secret containers by ARN, and whether each has the value that the stack file pins."""
    client = boto3.client("secretsmanager")
    containers = [resource["id"] for resource in _resources() if resource["type"] == "aws:secretsmanager/secret:Secret"]
    return {
        arn: fakes.SECRET_VERSION in client.describe_secret(SecretId=arn).get("VersionIdsToStages", {})
        for arn in containers
    }


def _resources() -> list[dict[str, str]]:
    deployment = json.loads(_run("pulumi", "stack", "export", "--stack", STACK))["deployment"]
    return list(deployment.get("resources", []))


def _outputs() -> dict[str, Any]:
    outputs: dict[str, Any] = json.loads(_run("pulumi", "stack", "output", "--json", "--stack", STACK))
    return outputs


def _pulumi(*arguments: str) -> None:
    log = paths.LOGS / "pulumi.log"
    with log.open("ab") as sink:
        command = ["pulumi", *arguments, "--stack", STACK, "--non-interactive"]
        if subprocess.run(command, stdout=sink, stderr=sink, cwd=paths.ROOT, check=False).returncode:
            raise StepError(
                f"`{shlex.join(command)}` failed", log=log, remedy='eval "$(make -s sandbox-env)", then run it by hand'
            )


def _run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, cwd=paths.ROOT, check=True).stdout


def _clear(steps: Steps, reason: str) -> None:
    """Stop a lost world and delete its stacks' state."""
    with steps.step("clear a lost world") as step:
        step.note = reason
        _end()
        shutil.rmtree(paths.PULUMI_STATE, ignore_errors=True)
        _world_file().unlink(missing_ok=True)


def _end() -> None:
    processes.sweep()
    if paths.OWN_NODE:
        subprocess.run([paths.ROOT / "sandbox/node/down.sh", paths.NODE], capture_output=True, check=True)


def _screen(outputs: dict[str, Any]) -> None:
    """Print what is served and what to try next."""
    authority = paths.CA_CERTIFICATE.relative_to(paths.ROOT)
    for name, service in outputs["services"].items():
        console.print(f"\n[bold]{service['url']}[/]   curl --cacert {authority} {service['url']}", soft_wrap=True)
        found: Mapping[Color, int] = {}
        try:
            found = weights(place(STACK), name)
            if not live.same(found, {Color(color): weight for color, weight in service["weights"].items()}):
                console.print(f"  moved since the last update: the state says: {live.shown(service['weights'])}")
        except RefusedError as error:
            console.print(f"  {error}", soft_wrap=True)
        for color in map(Color, service["weights"]):
            weight = found.get(color, 0) if found else None
            share = "     ?" if weight is None else f"{weight:>4} %"
            bar = f"[{color}]{'█' * ((weight or 0) // 5):<20}[/]"
            console.print(
                f"  {color:<6}{share}  {bar}  {service['versions'][color]:<8} {service['testUrls'][color]}",
                soft_wrap=True,
            )
    console.print('\ntry next, after  eval "$(make -s sandbox-env)"')
    console.print(
        "  pulumi config set canaryWeight 10 && pulumi up     # a canary: a tenth of the requests", soft_wrap=True
    )
    console.print("  pulumi config set activeColor green && pulumi up   # the flip; blue rolls it back", soft_wrap=True)
    console.print("  pulumi preview --diff                              # what an update would change", soft_wrap=True)


if __name__ == "__main__":
    app(prog_name="python -m sandbox")
