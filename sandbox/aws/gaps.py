"""Where moto lacks a behaviour that the product or the controllers rely on: small subclasses of its backends.

``sandbox/README.md`` lists them. Everything else is moto's.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from moto.ec2.exceptions import DependencyViolationError
from moto.ec2.models import EC2Backend, ec2_backends
from moto.elbv2.exceptions import DuplicateLoadBalancerName, ELBClientError, TargetGroupNotFoundError, ValidationError
from moto.elbv2.models import (
    ELBv2Backend,
    FakeAction,
    FakeHealthStatus,
    FakeListener,
    FakeLoadBalancer,
    FakeTargetGroup,
    elbv2_backends,
)
from moto.route53.models import Route53Backend, route53_backends

from sandbox.aws import (
    certificates,
    cloudwatch,
    keys,
    log_delivery,
    pod_identity,
    registry,
    secrets_manager,
    subscriptions,
    waf,
)
from sandbox.aws.envoy import Host
from sandbox.aws.translate import cluster_name, groups_of

Target = tuple[str, int]

_HEAVIEST = 999
"""Of a target group in a forward action (TargetGroupTuple)."""


class Elbv2(ELBv2Backend):
    """Refuses what the API refuses; keeps targets by address *and* port, drains them, tells their health from Envoy."""

    __module__ = ELBv2Backend.__module__  # moto finds a backend's paths beside its module

    observe: Callable[[], Mapping[str, Mapping[Target, Host]]] = staticmethod(dict)
    """Each cluster's hosts; set by the server."""

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self._draining: dict[tuple[str, Target], float] = {}

    def create_load_balancer(self, name: str, *args: Any, **kwargs: Any) -> FakeLoadBalancer:  # noqa: ANN401
        """A second one of the same name is refused; AWS would give back the first if nothing differed."""
        if any(balancer.name == name for balancer in self.load_balancers.values()):
            raise DuplicateLoadBalancerName
        return super().create_load_balancer(name, *args, **kwargs)

    def delete_load_balancer(self, arn: str) -> None:
        balancer = self.load_balancers.get(arn)
        if balancer and str(balancer.attrs["deletion_protection.enabled"]).lower() == "true":
            raise ELBClientError(
                "OperationNotPermitted",
                f"Load balancer '{arn}' cannot be deleted because deletion protection is enabled",
            )
        super().delete_load_balancer(arn)

    def create_listener(
        self,
        load_balancer_arn: str,
        protocol: str,
        port: str,
        ssl_policy: str,
        certificate: str | None,
        actions: list[dict[str, Any]],
        alpn_policy: list[str] | None = None,
        tags: list[dict[str, str]] | None = None,
    ) -> FakeListener:
        balancer = self.load_balancers.get(load_balancer_arn)
        if balancer and any(int(listener.port) == int(port) for listener in balancer.listeners.values()):
            raise ELBClientError(
                "DuplicateListener", f"A listener already exists on this port for this load balancer '{balancer.arn}'"
            )
        if protocol == "HTTPS" and not certificate:
            raise ValidationError("A certificate must be specified for HTTPS listeners")
        if certificate:
            certificates.refuse_unusable(self.account_id, self.region_name, certificate)
        return super().create_listener(
            load_balancer_arn, protocol, port, ssl_policy, certificate, actions, alpn_policy, tags
        )

    def modify_listener(self, arn: str, *args: Any, **kwargs: Any) -> FakeListener:  # noqa: ANN401
        """Another default certificate leaves the further ones alone."""
        given = kwargs.get("certificates", args[3] if len(args) > 3 else None)
        for certificate in given or []:
            certificates.refuse_unusable(self.account_id, self.region_name, certificate["CertificateArn"])
        further = self.describe_listener_certificates(arn)[1:]
        listener = super().modify_listener(arn, *args, **kwargs)
        listener.certificates = [*listener.certificates[:1], *further]
        return listener

    def add_listener_certificates(self, arn: str, added: list[dict[str, Any]]) -> list[str]:
        """One that is there already is not added again."""
        further = self.describe_listener_certificates(arn)[1:]
        for certificate in added:
            certificates.refuse_unusable(self.account_id, self.region_name, certificate["CertificateArn"])
        new = [certificate for certificate in added if certificate["CertificateArn"] not in further]
        return super().add_listener_certificates(arn, new)

    def remove_listener_certificates(self, arn: str, removed: list[dict[str, Any]]) -> None:
        """The default one is not among the further ones, and stays."""
        (listener,) = self.describe_listeners(None, [arn])
        default, further = listener.certificates[:1], listener.certificates[1:]
        gone = {certificate["CertificateArn"] for certificate in removed}
        if gone.intersection(default) - set(further):
            raise ELBClientError("OperationNotPermitted", "Default certificate cannot be deleted")
        listener.certificates = [*default, *(certificate for certificate in further if certificate not in gone)]

    def modify_load_balancer_attributes(self, arn: str, attrs: dict[str, Any]) -> dict[str, Any]:
        """Logs are switched on only if they can be written."""
        if balancer := self.load_balancers.get(arn):
            log_delivery.deliver(arn, balancer.attrs, attrs)
        return super().modify_load_balancer_attributes(arn, attrs)

    def _validate_actions(self, actions: list[FakeAction]) -> None:
        super()._validate_actions(actions)
        for weight in groups_of(action.data for action in actions).values():
            if not 0 <= weight <= _HEAVIEST:
                raise ValidationError(f"Weight '{weight}' must be between 0 and {_HEAVIEST}")

    def register_targets(self, target_group_arn: str, instances: list[Any]) -> None:
        group = self._group(target_group_arn)
        for address, port in _targets(group, instances):
            self._draining.pop((group.arn, (address, port)), None)
            group.targets[f"{address}:{port}"] = {"Id": address, "Port": port}

    def deregister_targets(self, target_group_arn: str, instances: list[dict[str, Any]]) -> None:
        """A target that is not registered is no error: "the action returns successfully" (API reference)."""
        group = self._group(target_group_arn)
        delay = float(str(group.attributes["deregistration_delay.timeout_seconds"]))
        for given in instances:
            for target in registered(group):
                if target[0] == given["Id"] and int(given.get("Port") or target[1]) == target[1]:
                    del group.targets[f"{target[0]}:{target[1]}"]
                    self._draining[group.arn, target] = time.monotonic() + delay

    def describe_target_health(self, target_group_arn: str, targets: list[dict[str, Any]]) -> list[FakeHealthStatus]:
        group = self._group(target_group_arn)
        now = time.monotonic()
        self._draining = {key: until for key, until in self._draining.items() if until > now}
        draining = [target for arn, target in self._draining if arn == group.arn]
        used = group.arn in self.groups_in_use()
        hosts = self.observe().get(cluster_name(group.arn), {})
        answer = []
        for target in _targets(group, targets) if targets else [*registered(group), *draining]:
            state, reason, description = target_health(
                registered=target in registered(group), draining=target in draining, used=used, host=hosts.get(target)
            )
            check = str(group.health_check_port)
            check = str(target[1]) if check == "traffic-port" else check
            answer.append(FakeHealthStatus(target[0], str(target[1]), check, state, reason, description))
        return answer

    def groups_in_use(self) -> set[str]:
        """The groups that some rule names; only they are health-checked."""
        return {
            arn
            for balancer in self.load_balancers.values()
            for listener in balancer.listeners.values()
            for rule in listener.rules.values()
            for arn in groups_of(action.data for action in rule.actions)
        }

    def _group(self, arn: str) -> FakeTargetGroup:
        if arn not in self.target_groups:
            raise TargetGroupNotFoundError
        return self.target_groups[arn]


class Ec2(EC2Backend):
    """Security groups that cannot be deleted while a load balancer uses them."""

    __module__ = EC2Backend.__module__

    def delete_security_group(self, name: str | None = None, group_id: str | None = None) -> None:
        balancers = elbv2_backends[self.account_id][self.region_name].load_balancers.values()
        if group_id and any(group_id in (balancer.security_groups or []) for balancer in balancers):
            raise DependencyViolationError(f"resource {group_id} has a dependent object")
        super().delete_security_group(name, group_id)


class Route53(Route53Backend):
    """Takes one change of records at a time: moto writes the whole list back, and a change made meanwhile was lost."""

    __module__ = Route53Backend.__module__

    _changing = threading.Lock()

    def change_resource_record_sets(self, zoneid: str, change_list: list[dict[str, Any]]) -> None:
        with self._changing:
            super().change_resource_record_sets(zoneid, change_list)


def fill() -> None:
    """Puts the subclasses in moto's place; before its first request."""
    FakeLoadBalancer.VALID_ATTRS |= {"health_check_logs.s3.bucket", "health_check_logs.s3.prefix"}
    elbv2_backends.backend = Elbv2
    ec2_backends.backend = Ec2
    route53_backends.backend = Route53
    for part in (certificates, cloudwatch, keys, pod_identity, registry, secrets_manager, subscriptions, waf):
        part.fill()


def registered(group: FakeTargetGroup) -> list[Target]:
    """A group's registered addresses and ports, oldest first."""
    return [(target["Id"], int(target["Port"])) for target in group.targets.values()]


def _targets(group: FakeTargetGroup, given: Iterable[Mapping[str, Any]]) -> list[Target]:
    return [(target["Id"], int(target.get("Port") or group.port)) for target in given]


def target_health(
    *, registered: bool, draining: bool, used: bool, host: Host | None
) -> tuple[str, str | None, str | None]:
    """State, reason code and description of a target, as the API model words them (TargetHealth)."""
    if draining:
        return "draining", "Target.DeregistrationInProgress", "Target deregistration is in progress"
    if not registered:
        return "unused", "Target.NotRegistered", "Target is not registered to the target group"
    if not used:
        return (
            "unused",
            "Target.NotInUse",
            "Target group is not configured to receive traffic from the load balancer",
        )
    if host is None:
        return "initial", "Elb.RegistrationInProgress", "Target registration is in progress"
    if host.pending:
        return "initial", "Elb.InitialHealthChecking", "Initial health checks in progress"
    if host.healthy:
        return "healthy", None, None
    if host.timeout:
        return "unhealthy", "Target.Timeout", "Request timed out"
    return "unhealthy", "Target.FailedHealthChecks", "Health checks failed"
