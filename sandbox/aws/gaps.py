"""Where moto lacks a behaviour that the product or the controllers rely on: small subclasses of its backends.

``sandbox/README.md`` lists them. Everything else is moto's.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import DependencyViolationError, InvalidSubnetIdError
from moto.ec2.models import EC2Backend, ec2_backends
from moto.ec2.models.subnets import Subnet
from moto.elbv2.exceptions import (
    DuplicateLoadBalancerName,
    ELBClientError,
    InvalidConfigurationRequest,
    LoadBalancerNotFoundError,
    SubnetNotFoundError,
    TargetGroupNotFoundError,
    ValidationError,
)
from moto.elbv2.models import (
    AvailabilityZone,
    ELBv2Backend,
    FakeAction,
    FakeHealthStatus,
    FakeListener,
    FakeListenerRule,
    FakeLoadBalancer,
    FakeRule,
    FakeTargetGroup,
    elbv2_backends,
)
from moto.elbv2.responses import ELBV2Response
from moto.route53.models import Route53Backend, route53_backends

from sandbox.aws import (
    appconfig,
    buckets,
    certificates,
    cloudwatch,
    elb_limits,
    events,
    iam,
    keys,
    log_delivery,
    networking,
    pod_identity,
    queries,
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

    def create_load_balancer(
        self,
        name: str,
        security_groups: list[str],
        subnet_ids: list[str],
        subnet_mappings: list[dict[str, str]] | None = None,
        scheme: str = "internet-facing",
        loadbalancer_type: str | None = None,
        ip_address_type: str = "ipv4",
        tags: list[dict[str, str]] | None = None,
    ) -> FakeLoadBalancer:
        """Refuse a second one of the same name; AWS would return the first if nothing differed."""
        if any(balancer.name == name for balancer in self.load_balancers.values()):
            raise DuplicateLoadBalancerName
        elb_limits.name(name)
        elb_limits.tags(tags or [])
        subnets = self._subnets(subnet_ids, subnet_mappings or [], loadbalancer_type)
        self._refuse_foreign_groups(security_groups, subnets[0].vpc_id)
        return super().create_load_balancer(
            name, security_groups, subnet_ids, subnet_mappings, scheme, loadbalancer_type, ip_address_type, tags
        )

    def set_subnets(
        self, arn: str, subnets: list[str], subnet_mappings: list[dict[str, Any]]
    ) -> list[AvailabilityZone]:
        if balancer := self.load_balancers.get(arn):
            self._subnets(subnets, subnet_mappings, balancer.type)
        return super().set_subnets(arn, subnets, subnet_mappings)

    def set_security_groups(self, arn: str, sec_groups: list[str]) -> None:
        if balancer := self.load_balancers.get(arn):
            self._refuse_foreign_groups(sec_groups, balancer.vpc_id)
        super().set_security_groups(arn, sec_groups)

    def _subnets(self, ids: list[str], mappings: list[dict[str, Any]], kind: str | None) -> list[Subnet]:
        try:
            found = [self.ec2_backend.get_subnet(one) for one in [*ids, *(each["SubnetId"] for each in mappings)]]
        except InvalidSubnetIdError:
            raise SubnetNotFoundError from None
        if not found:
            raise SubnetNotFoundError
        if kind in {None, "application"}:
            elb_limits.subnets(found)
        return found

    def _refuse_foreign_groups(self, ids: list[str], vpc: str) -> None:
        for one in ids:
            group = self.ec2_backend.get_security_group_from_id(one)
            if group is None:
                raise ELBClientError("InvalidSecurityGroup", f"Security group '{one}' does not exist")
            if group.vpc_id != vpc:
                raise InvalidConfigurationRequest("One or more security groups are invalid")

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
        elb_limits.tags(tags or [])
        if balancer:
            elb_limits.listeners(balancer)
            elb_limits.groups(self.users(), balancer, actions)
            self._refuse_versions(protocol, actions)
        return super().create_listener(
            load_balancer_arn, protocol, port, ssl_policy, certificate, actions, alpn_policy, tags
        )

    def modify_listener(
        self,
        arn: str,
        port: str | None = None,
        protocol: str | None = None,
        ssl_policy: str | None = None,
        given: list[dict[str, Any]] | None = None,
        actions: list[dict[str, Any]] | None = None,
    ) -> FakeListener:
        """Change the default certificate without touching the further ones."""
        elb_limits.one_certificate(given or [])
        for certificate in given or []:
            certificates.refuse_unusable(self.account_id, self.region_name, certificate["CertificateArn"])
        (listener,) = self.describe_listeners(None, [arn])
        if actions:
            self._validate_actions([FakeAction(action) for action in actions])
            elb_limits.groups(self.users(), self._balancer(arn), actions, listener._default_rule[0])  # noqa: SLF001
            self._refuse_versions(protocol or listener.protocol, actions)
        further = listener.certificates[1:]
        super().modify_listener(arn, port, protocol, ssl_policy, given or [], actions or [])
        listener.certificates = [*listener.certificates[:1], *further]
        return listener

    def add_listener_certificates(self, arn: str, added: list[dict[str, Any]]) -> list[str]:
        """Add certificates that are not there yet."""
        elb_limits.one_certificate(added)
        (listener,) = self.describe_listeners(None, [arn])
        for certificate in added:
            certificates.refuse_unusable(self.account_id, self.region_name, certificate["CertificateArn"])
        new = [one["CertificateArn"] for one in added if one["CertificateArn"] not in listener.certificates[1:]]
        elb_limits.certificates(self._balancer(arn), len(new))
        listener.certificates = [*listener.certificates, *new]
        return listener.certificates

    def create_rule(
        self,
        listener_arn: str,
        conditions: list[dict[str, Any]],
        priority: int,
        actions: list[dict[str, Any]],
        tags: list[dict[str, str]] | None = None,
    ) -> FakeListenerRule:
        (listener,) = self.describe_listeners(None, [listener_arn])
        balancer = self._balancer(listener_arn)
        elb_limits.tags(tags or [])
        elb_limits.conditions(conditions)
        elb_limits.rules(balancer, int(priority))
        elb_limits.groups(self.users(), balancer, actions)
        self._refuse_versions(listener.protocol, actions)
        return super().create_rule(listener_arn, conditions, priority, actions, tags)

    def modify_rule(self, rule_arn: str, conditions: list[dict[str, Any]], actions: list[dict[str, Any]]) -> FakeRule:
        (rule,) = self.describe_rules(None, [rule_arn])
        elb_limits.ordinary(rule, "modified")
        elb_limits.conditions(conditions)
        elb_limits.groups(self.users(), self._balancer(rule.listener_arn), actions, rule)
        (listener,) = self.describe_listeners(None, [rule.listener_arn])
        self._refuse_versions(listener.protocol, actions)
        return super().modify_rule(rule_arn, conditions, actions)

    def delete_rule(self, arn: str) -> None:
        (rule,) = self.describe_rules(None, [arn])
        elb_limits.ordinary(rule, "deleted")
        super().delete_rule(arn)

    def _refuse_versions(self, protocol: str, actions: list[dict[str, Any]]) -> None:
        """Refuse what needs TLS to say which protocol is spoken behind a listener without it."""
        for arn in groups_of(actions):
            group = self.target_groups.get(arn)
            version = str(group.protocol_version or "HTTP1") if group else "HTTP1"
            if protocol == "HTTP" and version != "HTTP1":
                raise InvalidConfigurationRequest(
                    f"Listener protocol 'HTTP' is not supported with a target group with the protocol-version "
                    f"'{version}'"
                )

    def _balancer(self, listener: str) -> FakeLoadBalancer:
        found = next((one for one in self.load_balancers.values() if listener in one.listeners), None)
        if found is None:
            raise LoadBalancerNotFoundError
        return found

    def create_target_group(self, name: str, **kwargs: Any) -> FakeTargetGroup:  # noqa: ANN401
        elb_limits.tags(kwargs.get("tags") or [])
        version = kwargs.get("protocol_version") or "HTTP1"
        elb_limits.version(version, kwargs.get("matcher") or {})
        if version == "GRPC":
            kwargs["matcher"] = kwargs.get("matcher") or {"GrpcCode": "12"}
            kwargs["healthcheck_path"] = kwargs.get("healthcheck_path") or "/AWS.ALB/healthcheck"
        return super().create_target_group(name, **kwargs)

    def add_tags(self, resource_arns: list[str], tags: list[dict[str, str]]) -> None:
        for arn in resource_arns:
            self._get_resource_by_arn(arn)
            elb_limits.tags(tags, self.tagging_service.get_tag_dict_for_resource(arn))
        for arn in resource_arns:
            self.tagging_service.tag_resource(arn, tags)

    def describe_target_groups(self, *args: Any, **kwargs: Any) -> Iterable[FakeTargetGroup]:  # noqa: ANN401
        """Return each with the load balancer that uses it now."""
        users = self.users()
        for group in self.target_groups.values():
            group.load_balancer_arns = [users[group.arn].arn] if group.arn in users else []
        return super().describe_target_groups(*args, **kwargs)

    def remove_listener_certificates(self, arn: str, removed: list[dict[str, Any]]) -> None:
        """Remove further certificates; the default one is not among them."""
        (listener,) = self.describe_listeners(None, [arn])
        default, further = listener.certificates[:1], listener.certificates[1:]
        gone = {certificate["CertificateArn"] for certificate in removed}
        if gone.intersection(default) - set(further):
            raise ELBClientError("OperationNotPermitted", "Default certificate cannot be deleted")
        listener.certificates = [*default, *(certificate for certificate in further if certificate not in gone)]

    def modify_load_balancer_attributes(self, arn: str, attrs: dict[str, Any]) -> dict[str, Any]:
        """Switch access logs on only if they can be written."""
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
        if group.target_type == "ip":
            for given in instances:
                elb_limits.address(given["Id"], given.get("AvailabilityZone"), self._zone(group, given["Id"]))
        for address, port in _targets(group, instances):
            self._draining.pop((group.arn, (address, port)), None)
            group.targets[f"{address}:{port}"] = {"Id": address, "Port": port}

    def deregister_targets(self, target_group_arn: str, instances: list[dict[str, Any]]) -> None:
        """Ignore targets that are not registered: "the action returns successfully" (API reference)."""
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
        user = self.users().get(group.arn)
        hosts = self.observe().get(cluster_name(group.arn), {})
        answer: list[FakeHealthStatus] = []
        for target in _targets(group, targets) if targets else [*registered(group), *draining]:
            state, reason, description = target_health(
                registered=target in registered(group),
                draining=target in draining,
                used=user is not None,
                enabled=user is None or self._reaches(user, group, target),
                host=hosts.get(target),
            )
            check = str(group.health_check_port)
            check = str(target[1]) if check == "traffic-port" else check
            zone = (self._zone(group, target[0]) or "all") if group.target_type == "ip" else None
            answer.append(_Health(target, check, zone, state, reason, description))
        return answer

    def receiving(self, group: FakeTargetGroup) -> list[Target]:
        """Return the targets in the load balancer's zones; others get neither requests nor health checks."""
        user = self.users().get(group.arn)
        return [target for target in registered(group) if user is None or self._reaches(user, group, target)]

    def _reaches(self, balancer: FakeLoadBalancer, group: FakeTargetGroup, target: Target) -> bool:
        zone = self._zone(group, target[0])
        return zone is None or zone in {subnet.availability_zone for subnet in balancer.subnets}

    def _zone(self, group: FakeTargetGroup, address: str) -> str | None:
        """Return the zone of the group's VPC whose subnet has the address; every zone serves a target that none has."""
        if group.target_type != "ip":
            return None
        try:
            parsed = ip_address(address)
        except ValueError:
            return None
        subnets = self.ec2_backend.describe_subnets(filters={"vpc-id": [group.vpc_id]})
        return next((subnet.availability_zone for subnet in subnets if parsed in subnet.cidr), None)

    def users(self) -> dict[str, FakeLoadBalancer]:
        """Return each group that some rule names, with its load balancer; only these groups are health-checked."""
        return {
            arn: balancer
            for balancer in self.load_balancers.values()
            for listener in balancer.listeners.values()
            for rule in listener.rules.values()
            for arn in groups_of(action.data for action in rule.actions)
        }

    def _group(self, arn: str) -> FakeTargetGroup:
        if arn not in self.target_groups:
            raise TargetGroupNotFoundError
        return self.target_groups[arn]


class _Health(FakeHealthStatus):
    """With the zone of the target, as AWS answers of addresses."""

    def __init__(self, target: Target, check: str, zone: str | None, *health: str | None) -> None:
        state, *why = health
        super().__init__(target[0], str(target[1]), check, str(state), *why)
        self._zone = zone

    @property
    def target(self) -> dict[str, str]:
        return {**super().target, **({"AvailabilityZone": self._zone} if self._zone else {})}


class Ec2(EC2Backend):
    """Security groups that cannot be deleted while something uses them."""

    __module__ = EC2Backend.__module__

    def delete_security_group(self, name: str | None = None, group_id: str | None = None) -> None:
        balancers = elbv2_backends[self.account_id][self.region_name].load_balancers.values()
        if group_id and any(group_id in (balancer.security_groups or []) for balancer in balancers):
            raise DependencyViolationError(f"resource {group_id} has a dependent object")
        if group_id:
            networking.refuse_used(self, group_id)
        super().delete_security_group(name, group_id)


class Route53(Route53Backend):
    """Takes one change of records at a time: moto writes the whole list back, and a change made meanwhile was lost."""

    __module__ = Route53Backend.__module__

    _changing = threading.Lock()

    def change_resource_record_sets(self, zoneid: str, change_list: list[dict[str, Any]]) -> None:
        with self._changing:
            super().change_resource_record_sets(zoneid, change_list)


_create_listener = ELBV2Response.create_listener


def _one_certificate(self: ELBV2Response) -> ActionResult:
    """Refuse several certificates, of which moto takes the first."""
    elb_limits.one_certificate(self._get_param("Certificates", []))
    return _create_listener(self)


_modify_target_group = ELBV2Response.modify_target_group


def _grpc_code(self: ELBV2Response) -> ActionResult:
    """Take a matcher of gRPC, which moto passes over, and refuse one that the group's protocol version has not."""
    matcher = self._get_param("Matcher") or {}
    group = self.elbv2_backend.target_groups.get(self._get_param("TargetGroupArn"))
    if group is not None:
        elb_limits.version(str(group.protocol_version or "HTTP1"), matcher)
    answer = _modify_target_group(self)
    if group is not None and "GrpcCode" in matcher:
        group.matcher = {"GrpcCode": matcher["GrpcCode"]}
    return answer


def fill() -> None:
    """Put the subclasses in moto's place; before its first request."""
    ELBV2Response.create_listener = _one_certificate  # type: ignore[method-assign]
    ELBV2Response.modify_target_group = _grpc_code  # type: ignore[method-assign]
    FakeLoadBalancer.VALID_ATTRS |= {"health_check_logs.s3.bucket", "health_check_logs.s3.prefix"}
    elbv2_backends.backend = Elbv2
    ec2_backends.backend = Ec2
    route53_backends.backend = Route53
    for part in (
        appconfig,
        buckets,
        certificates,
        cloudwatch,
        events,
        iam,
        keys,
        networking,
        pod_identity,
        queries,
        registry,
        secrets_manager,
        subscriptions,
        waf,
    ):
        part.fill()


def registered(group: FakeTargetGroup) -> list[Target]:
    """Return a group's registered addresses and ports, oldest first."""
    return [(target["Id"], int(target["Port"])) for target in group.targets.values()]


def _targets(group: FakeTargetGroup, given: Iterable[Mapping[str, Any]]) -> list[Target]:
    return [(target["Id"], int(target.get("Port") or group.port)) for target in given]


def target_health(
    *, registered: bool, draining: bool, used: bool, enabled: bool, host: Host | None
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
    if not enabled:
        return (
            "unused",
            "Target.NotInUse",
            "Target is in an Availability Zone that is not enabled for the load balancer",
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
