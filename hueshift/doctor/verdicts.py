"""What the doctor thinks of what it found: each function takes plain facts and returns one verdict."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

from components.rules import subnets_problem

OLDEST: Final = (1, 30)
"""The first Kubernetes whose API server keeps ``preStop.sleep`` (KEP-3960, on by default)."""
GATE: Final = "elbv2.k8s.aws/pod-readiness-gate-inject"
"""The label of namespaces whose pods the load balancer controller gives a readiness gate."""
_WEBHOOK: Final = "mpod.elbv2.k8s.aws"


class Verdict(NamedTuple):
    """Of one check."""

    said: str
    """What was found."""
    remedy: str | None = None
    """The command or key that mends it; None if all is well."""


class Subnet(NamedTuple):
    """One of the load balancer's."""

    id: str
    vpc: str
    zone: str


def engine(found: str, wanted: str) -> Verdict:
    """Judge the version that ``pulumi version`` prints: the SDK's own, or a newer one."""
    if _numbers(found) < _numbers(wanted):
        return Verdict(
            f"pulumi {found}, but the program is written for {wanted}",
            f"curl -fsSL https://get.pulumi.com | sh -s -- --version {wanted}",
        )
    return Verdict(f"pulumi {found}")


def packages(found: Mapping[str, str | None], wanted: Mapping[str, str]) -> Verdict:
    """Judge the installed versions of what ``requirements.txt`` pins; None is not installed."""
    other = [f"{name} {found[name] or 'none'} ({each})" for name, each in wanted.items() if found[name] != each]
    if other:
        return Verdict(f"not as in requirements.txt: {', '.join(other)}", "tools/venv.sh")
    return Verdict(f"{len(wanted)} as in requirements.txt")


def plugins(found: Collection[tuple[str, str]], wanted: Mapping[str, str]) -> Verdict:
    """Judge the plugins by name and version; one that is missing is downloaded by the first update."""
    missing = [f"{name} {version}" for name, version in wanted.items() if (name, version) not in found]
    there = [f"{name} {version}" for name, version in wanted.items() if (name, version) in found]
    later = [f"to be downloaded by the next update: {', '.join(missing)}"] if missing else []
    return Verdict("; ".join([*filter(None, [", ".join(there)]), *later]))


def credentials(arn: str, account: str, *, allowed: Sequence[str], forbidden: Sequence[str]) -> Verdict:
    """Judge whom AWS takes the caller for, by ``aws:allowedAccountIds`` and ``aws:forbiddenAccountIds``."""
    if (allowed and account not in allowed) or account in forbidden:
        which = f"aws:allowedAccountIds has {', '.join(allowed)}" if allowed else "aws:forbiddenAccountIds has it"
        return Verdict(f"{arn} is of account {account}, but {which}", "export AWS_PROFILE=… # one of that account")
    return Verdict(arn if allowed else f"{arn}; no aws:allowedAccountIds refuses another account")


def region(name: str | None, *, known: bool) -> Verdict:
    """Judge the region of the stack or, if its file has none, of the environment."""
    if name is None:
        return Verdict("none, neither in the stack file nor in the environment", "pulumi config set aws:region …")
    if not known:
        return Verdict(f"AWS has no region {name}", "pulumi config set aws:region …")
    return Verdict(name)


def permissions(refused: Mapping[str, str], asked: Collection[str]) -> Verdict:
    """Judge the harmless reads by action; those that AWS refused, with its code."""
    if refused:
        which = ", ".join(f"{action} ({code})" for action, code in refused.items())
        return Verdict(f"refused: {which}", "attach docs/roles/read.json to the role: docs/roles.md")
    return Verdict(f"may {', '.join(asked)}; what it may change was not tried")


def key(alias: str, state: str, *, stack: str) -> Verdict:
    """Judge the KMS key of the stack's secrets, by the state that KMS gives it."""
    if state != "Enabled":
        return Verdict(f"{alias} is {state}", f"aws kms enable-key --key-id {alias}, or cancel its deletion first")
    return Verdict(f"{alias} decrypts the data key of {stack}")


def passphrase(*, given: bool) -> Verdict:
    """Judge whether a stack whose secrets have a passphrase can be updated."""
    if not given:
        return Verdict(
            "the stack has a passphrase, and neither PULUMI_CONFIG_PASSPHRASE nor …_FILE is set",
            "export PULUMI_CONFIG_PASSPHRASE=…, or give the stack a key: docs/state.md",
        )
    return Verdict("a passphrase, which is set and was not tried")


def server(found: str) -> Verdict:
    """Judge the version of the API server, such as ``v1.31.2-eks-7f9249a``."""
    if _numbers(found)[:2] < OLDEST:
        return Verdict(
            f"Kubernetes {found}: it drops preStop.sleep, and pods stop while requests still arrive",
            f"aws eks update-cluster-version --name … --kubernetes-version {'.'.join(map(str, OLDEST))} or newer",
        )
    return Verdict(f"Kubernetes {found}")


def served(missing: Collection[str], wanted: Mapping[str, str]) -> Verdict:
    """Judge which of the wanted kinds the cluster lacks; ``wanted`` says by kind who brings it."""
    if missing:
        which = "; ".join(f"{kind}, of {wanted[kind]}" for kind in missing)
        return Verdict(f"not served: {which}", "docs/cluster.md says what to install")
    return Verdict(", ".join(wanted))


def webhook(configurations: Sequence[Mapping[str, Any]]) -> Verdict:
    """Judge the webhook that gives pods their readiness gate, of all MutatingWebhookConfigurations."""
    for configuration in configurations:
        for place, each in enumerate(configuration.get("webhooks", [])):
            if each["name"] != _WEBHOOK:
                continue
            name, policy = configuration["metadata"]["name"], each.get("failurePolicy", "Fail")
            if policy != "Fail":
                patch = f'[{{"op": "replace", "path": "/webhooks/{place}/failurePolicy", "value": "Fail"}}]'
                return Verdict(
                    f"{name}: failurePolicy {policy}: pods that start while the controller is away get no gate",
                    f"kubectl patch mutatingwebhookconfiguration {name} --type json --patch '{patch}'",
                )
            return Verdict(f"{name}: failurePolicy Fail")
    return Verdict(
        f"no webhook {_WEBHOOK}: no pod gets a readiness gate",
        "docs/cluster.md says how the load balancer controller is installed",
    )


def namespaces(labels: Mapping[str, Mapping[str, str] | None]) -> Verdict:
    """Judge the labels of the services' namespaces, None where one is not there yet."""
    for name, found in labels.items():
        if found is not None and found.get(GATE) != "enabled":
            return Verdict(
                f"{name} has {GATE}={found.get(GATE, '')}: its pods get no readiness gate",
                f"kubectl label namespace {name} --overwrite {GATE}=enabled",
            )
    new = [name for name, found in labels.items() if found is None]
    return Verdict(f"made by the next update: {', '.join(new)}" if new else ", ".join(labels))


def store(conditions: Sequence[Mapping[str, str]] | None, name: str) -> Verdict:
    """Judge the ClusterSecretStore by its conditions; None if it is not there."""
    look = f"kubectl describe clustersecretstore {name}"
    if conditions is None:
        return Verdict(
            f"no ClusterSecretStore {name}: pods wait for their secrets", "docs/cluster.md says which to create"
        )
    ready = next((each for each in conditions if each.get("type") == "Ready"), {})
    if ready.get("status") != "True":
        return Verdict(f"ClusterSecretStore {name} is not ready: {ready.get('reason', 'no status yet')}", look)
    return Verdict(f"ClusterSecretStore {name} is ready")


def policies(arguments: Sequence[str] | None) -> Verdict:
    """Judge the arguments of the VPC CNI's containers; None if the cluster has another CNI."""
    if arguments is None:
        return Verdict("no daemonset aws-node; whether another CNI enforces network policies is not known")
    if "--enable-network-policy=true" not in arguments:
        return Verdict(
            "the VPC CNI does not enforce network policies",
            "aws eks update-addon --cluster-name … --addon-name vpc-cni "
            """--configuration-values '{"enableNetworkPolicy": "true"}'""",
        )
    return Verdict("enforced by the VPC CNI")


def subnets(found: Sequence[Subnet], *, vpc: str, ids: Sequence[str]) -> Verdict:
    """Judge the load balancer's subnets: all there, in the VPC, each in a zone of its own, two or more."""
    fix = "pulumi config set --path network.subnetIds …, one for each zone"
    if missing := sorted(set(ids) - {each.id for each in found}):
        return Verdict(f"not in this account and region: {', '.join(missing)}", fix)
    if (reason := subnets_problem([each.id for each in found])) is not None:
        return Verdict(reason, fix)
    zones: dict[str, str] = {}
    for each in found:
        if each.vpc != vpc:
            return Verdict(f"{each.id} is in {each.vpc}, not in {vpc}", fix)
        if each.zone in zones:
            return Verdict(f"{zones[each.zone]} and {each.id} are both in {each.zone}", fix)
        zones[each.zone] = each.id
    return Verdict(f"{len(found)} in {vpc}: {', '.join(sorted(zones))}")


def certificate(arn: str, status: str, names: Sequence[str], hosts: Sequence[str]) -> Verdict:
    """Judge a certificate by its status in ACM and the names that it has, which may begin with ``*.``."""
    fix = f"aws acm request-certificate --validation-method DNS --domain-name … for {' '.join(hosts)}; then set "
    fix += "loadBalancer.certificateArn"
    if status != "ISSUED":
        return Verdict(f"{arn} is {status}", f"aws acm describe-certificate --certificate-arn {arn}")
    if missing := [host for host in hosts if not any(_covers(name.lower(), host.lower()) for name in names)]:
        return Verdict(f"{arn} covers {', '.join(names)}, but not {', '.join(missing)}", fix)
    return Verdict(f"issued, covers {', '.join(hosts)}")


def zone(name: str, public: Collection[str]) -> Verdict:
    """Judge whether the public hosted zones, with the dot at their end, have that of ``dns.zone``."""
    if f"{name}." not in public:
        return Verdict(
            f"no public hosted zone {name} in this account",
            f'aws route53 create-hosted-zone --name {name} --caller-reference "$(date +%s)"; then delegate it',
        )
    return Verdict(f"{name}; certificates are made in it; whether it is delegated was not asked")


def _covers(name: str, host: str) -> bool:
    """Whether a name of a certificate is that of a host; a star stands for one label (RFC 6125)."""
    return name == host or (name.startswith("*.") and host.partition(".")[2] == name.removeprefix("*."))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(each) for each in re.findall(r"\d+", version)[:3])
