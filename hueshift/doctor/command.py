"""`hueshift doctor`: what an update of a stack needs, asked one by one before it is needed."""

import os
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import typer
from botocore.exceptions import BotoCoreError, ClientError

from components.context.aws_session import session
from components.model import color_host, decoded, namespace
from hueshift.doctor import facts, verdicts
from hueshift.doctor.verdicts import Verdict
from hueshift.report import Json, RefusedError, StackName, emit, explained, reported
from hueshift.stack import Place, load, place
from hueshift.stack_yaml import read, section

if TYPE_CHECKING:
    import boto3

    from components.settings import StackSettings

OK: Final = "ok"
WRONG: Final = "wrong"
SKIPPED: Final = "skipped"
STORE: Final = "aws-secrets-manager"
"""The ClusterSecretStore that the program's ExternalSecrets name."""


class Line(NamedTuple):
    """What is printed of one check."""

    check: str
    status: str
    said: str
    remedy: str | None


def doctor(*, stack: StackName = None, as_json: Json = False) -> None:
    """Say of each thing that an update needs whether it is there, or what mends it. Changes nothing.

    Asked of AWS, the cluster, the engine and the state, with the login and the kubeconfig that an update would use.

    Exit status: 0 all is well; 1 something is wrong.
    """
    with reported():
        there = place(stack)
        lines = []
        for line in Doctor(there).examine():
            lines.append(line)
            if not as_json:
                below = " " * 24
                typer.echo(f"{line.status:<9}{line.check:<15}{line.said}".replace("\n", f"\n{below}"))
                if line.remedy:
                    typer.echo(f"{below}mend it: {line.remedy}")
        if as_json:
            emit({"stack": there.name, "checks": [line._asdict() for line in lines]})
        if wrong := [line.check for line in lines if line.status == WRONG]:
            raise RefusedError(f"{there.name} is not ready: {', '.join(wrong)}")


class Doctor:
    """Examines one stack; what a check has found is there for those after it."""

    def __init__(self, there: Place) -> None:
        self._there = there
        self._content = read(there.file)
        self._keys = {
            key: decoded(value)
            for file in (there.folder / "Pulumi.yaml", there.file)
            for key, value in section(read(file), "config", file).items()
            if ":" in key
        }
        self._ended: dict[str, str] = {}
        self._account = ""

    @cached_property
    def _settings(self) -> "StackSettings":
        return load(self._there.name).settings

    def examine(self) -> Iterator[Line]:
        """Yield a line for each check, in an order in which each finds what it needs."""
        name = self._there.name
        pins = facts.pins(self._there.folder)
        providers = {each.removeprefix("pulumi-"): version for each, version in pins.items() if "pulumi-" in each}
        providers.pop("policy", None)
        yield self._line("packages", lambda: verdicts.packages(facts.installed(pins), pins), "tools/venv.sh")
        install = "curl -fsSL https://get.pulumi.com | sh"
        yield self._line("engine", lambda: verdicts.engine(self._engine(), pins["pulumi"]), install)
        yield self._line(
            "plugins",
            lambda: verdicts.plugins(facts.plugins(self._there.folder), providers),
            "pulumi plugin install",
            "engine",
        )
        yield self._line("stack file", self._stack_file, f"change {self._there.file.name}: docs/reference")
        yield self._line("region", self._region, "pulumi config set aws:region …")
        yield self._line("credentials", self._credentials, "aws sso login, or export AWS_PROFILE=…", "region")
        yield self._line(
            "permissions",
            lambda: verdicts.permissions(facts.refusals(self._aws), facts.READS),
            "docs/roles.md",
            "credentials",
        )
        yield self._line("state", self._state, f"pulumi login …, pulumi stack init {name} …: docs/state.md", "engine")
        yield self._line(
            "state key", self._key, "aws sso login; docs/state.md says which key, docs/roles/read.json which rights"
        )
        yield self._line("network", self._network, "give the role docs/roles/read.json", "stack file", "credentials")
        yield self._line(
            "certificate", self._certificate, "set loadBalancer.certificateArn", "stack file", "credentials"
        )
        yield self._line(
            "kubeconfig", self._kubeconfig, "aws eks update-kubeconfig --name …", "stack file", "credentials"
        )
        yield self._line("kubernetes", self._kubernetes, "kubectl cluster-info", "kubeconfig")
        for check, ask in (
            ("controllers", self._controllers),
            ("webhook", self._webhook),
            ("namespaces", self._namespaces),
            ("secret store", self._store),
            ("policies", self._policies),
        ):
            yield self._line(check, ask, "ask as somebody who may: docs/doctor.md#rights", "kubernetes")

    def _line(self, check: str, ask: Callable[[], Verdict], remedy: str, *needs: str) -> Line:
        """Return what a check says; ``remedy`` is for when it cannot be asked."""
        from components.settings import SettingsError  # late: it takes a second to import

        if missing := [need for need in needs if self._ended[need] != OK]:
            line = Line(check, SKIPPED, f"not asked: first mend {', '.join(missing)}", None)
        else:
            try:
                found = ask()
            except (RefusedError, BotoCoreError, ClientError) as error:
                found = Verdict(explained(error), remedy)
            except SettingsError as error:
                found = Verdict(str(error), remedy)
            line = Line(check, WRONG if found.remedy else OK, *found)
        self._ended[check] = line.status
        return line

    def _key_of(self, name: str) -> str | None:
        """Return a provider's key of the stack file, if it is text and not encrypted."""
        found = self._keys.get(name)
        return found if isinstance(found, str) and found else None

    @cached_property
    def _aws(self) -> "boto3.Session":
        return self._there.aws()

    @property
    def _kubectl(self) -> facts.Kubectl:
        return facts.Kubectl(
            self._there.folder,
            context=self._key_of("kubernetes:context"),
            kubeconfig=self._key_of("kubernetes:kubeconfig"),
        )

    def _engine(self) -> str:
        return facts.answered("pulumi", "version", folder=self._there.folder).strip().removeprefix("v")

    def _stack_file(self) -> Verdict:
        return Verdict(f"{self._there.file.name}, with {', '.join(self._settings.services) or 'no service'}")

    def _region(self) -> Verdict:
        aws = session(region=self._there.region, profile=self._there.profile, roles=None)
        return verdicts.region(aws.region_name, known=aws.region_name is not None and facts.known(aws))

    def _credentials(self) -> Verdict:
        sts: Any = self._aws.client("sts")
        found = sts.get_caller_identity()
        self._account = found["Account"]
        allowed, forbidden = (self._accounts(f"aws:{word}AccountIds") for word in ("allowed", "forbidden"))
        return verdicts.credentials(found["Arn"], self._account, allowed=allowed, forbidden=forbidden)

    def _accounts(self, key: str) -> list[str]:
        found = self._keys.get(key)
        return [str(each) for each in found] if isinstance(found, list) else []

    def _state(self) -> Verdict:
        made = self._there.state().get("deployment", {}).get("resources") or []
        return Verdict(f"stack {self._there.name}, {len(made)} resources")

    def _key(self) -> Verdict:
        provider, encrypted = (self._content.get(word) for word in ("secretsprovider", "encryptedkey"))
        if isinstance(provider, str) and provider.startswith("awskms://") and isinstance(encrypted, str):
            state = facts.key_state(provider, encrypted)
            return verdicts.key(facts.kms_key(provider)[0], state, stack=self._there.name)
        if self._content.get("encryptionsalt"):
            given = {"PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"} & os.environ.keys()
            return verdicts.passphrase(given=bool(given))
        return Verdict("the backend's own; no key was asked")

    def _network(self) -> Verdict:
        spec = self._settings.network
        if spec.stack_reference is not None:
            return Verdict(f"of the stack {spec.stack_reference}, which the next preview asks")
        vpc, wanted, found = facts.subnets(self._aws, spec)
        return verdicts.subnets(found, vpc=vpc, ids=wanted)

    def _certificate(self) -> Verdict:
        settings = self._settings
        arn = settings.load_balancer.certificate_arn
        if arn is None:
            name = settings.dns.zone if settings.dns else ""  # the settings ask for one of the two
            return verdicts.zone(name, facts.public_zones(self._aws))
        hosts = [
            host
            for service in settings.services.values()
            for host in (
                service.host,
                *(color_host(color, service.host) for color in service.colors),
                *(host for route in service.routes for host in route.hosts),
            )
        ]
        return verdicts.certificate(arn, *facts.certificate(self._aws, arn), hosts)

    def _kubeconfig(self) -> Verdict:
        from components.context.cluster import ClusterError, confirm  # as above

        name = self._settings.cluster.name
        if name is None:
            return Verdict("not compared: no cluster.name refuses another cluster")
        region = self._there.region
        try:
            confirm(
                name,
                account=self._account,
                region=region,
                provider=lambda word: self._key_of(f"kubernetes:{word}"),
                files=os.environ.get("KUBECONFIG"),
            )
        except ClusterError as error:
            where = f" --region {region}" if region else ""
            return Verdict(str(error), f"aws eks update-kubeconfig --name {name}{where}")
        return Verdict(f"leads to {name}")

    def _kubernetes(self) -> Verdict:
        return verdicts.server(self._kubectl.ask("version", "--output=json")["serverVersion"]["gitVersion"])

    def _controllers(self) -> Verdict:
        kinds = dict(KINDS)
        settings = self._settings
        if self._has_secrets:
            kinds["external-secrets.io/v1/externalsecrets"] = "External Secrets 0.16 or newer"
        if settings.prometheus.enabled:
            kinds |= dict.fromkeys(facts.OPERATOR, "the Prometheus Operator, or prometheus.enabled: false")
        return verdicts.served(self._kubectl.lacks(kinds), kinds)

    @property
    def _has_secrets(self) -> bool:
        return any(service.secrets for service in self._settings.services.values())

    def _webhook(self) -> Verdict:
        return verdicts.webhook(self._kubectl.get("mutatingwebhookconfigurations")["items"])

    def _namespaces(self) -> Verdict:
        settings = self._settings
        labels: dict[str, Mapping[str, str] | None] = {}
        for service in settings.services:
            name = namespace(settings.environment, service)
            found = self._kubectl.get("namespace", name)
            labels[name] = found["metadata"].get("labels", {}) if found else None
        return verdicts.namespaces(labels)

    def _store(self) -> Verdict:
        if not self._has_secrets:
            return Verdict("not needed: no service has secrets")
        found = self._kubectl.get("clustersecretstore", STORE)
        return verdicts.store(found.get("status", {}).get("conditions", []) if found else None, STORE)

    def _policies(self) -> Verdict:
        found = self._kubectl.get("daemonset", "aws-node", "--namespace=kube-system")
        containers = found["spec"]["template"]["spec"]["containers"] if found else None
        return verdicts.policies(
            None if containers is None else [arg for each in containers for arg in each.get("args", [])]
        )


KINDS: Final = {
    "elbv2.k8s.aws/v1beta1/targetgroupbindings": "the AWS Load Balancer Controller",
    "metrics.k8s.io/v1beta1/pods": "metrics-server",
}
"""By kind who brings it, for every stack."""
