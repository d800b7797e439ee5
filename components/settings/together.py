"""Rules about several settings of a stack."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from components import model, rules, spec
from components.model import Color
from components.rules import Problem
from components.rules.advice import unknown_key
from components.spec import Cluster, Dns, IdentityKind, Protocol, Registry, Service


class Surroundings(NamedTuple):
    """What of the stack a service must fit."""

    dns: Dns | None
    certified: bool
    """Whether a certificate is given for every host."""
    cluster: Cluster
    registry: Registry
    production: bool
    ran: Mapping[str, Mapping[str, Collection[str]]] | None
    """The digests that staging ran, by service, with what there is evidence of; None where nobody keeps a record."""
    evidence: Collection[str]
    """What there must be evidence of."""
    region: str | None
    """Where the stack is, if that is known."""
    internal: bool
    """Whether only private networks reach the load balancer."""
    uptime_listeners: int
    """Topics and subscriptions that hear of what is asked from outside."""


def stack_problems(services: Mapping[str, Service], stack: Surroundings) -> Iterator[Problem]:
    """Yield what is wrong between services; keys relative to ``services``."""
    routed = [host for service in services.values() for route in service.routes for host in route.hosts]
    further = rules.further_hosts(routed, [service.host for service in services.values()])
    reason = rules.services_problem(len(services), certificates_issued=not stack.certified, further=len(further))
    if reason is not None:
        yield Problem("", reason)
    cohorts = {name: len(it.experiment.conditions) if it.experiment else 0 for name, it in services.items()}
    more = sum(len(it.routes) * (1 + (len(it.colors) > 1) + cohorts[name]) for name, it in services.items())
    if reason := rules.room_problem(len(services), cohort_rules=sum(cohorts.values()), route_rules=more):
        yield Problem("", reason)
    yield from _routes_problems(services)
    hosts: dict[str, str] = {}
    bands: dict[int, str] = {}
    for name, service in services.items():
        for host in (service.host, *(model.color_host(color, service.host) for color in Color)):
            # What is no host is refused for that; a message should not repeat it.
            if rules.host_problem(service.host) is None and (owner := hosts.setdefault(host, name)) != name:
                yield Problem(f"{name}.host", f"{host!r} already leads to {owner}; give each service a host of its own")
        if (owner := bands.setdefault(service.priority_band, name)) != name:
            yield Problem(
                f"{name}.priorityBand",
                f"{service.priority_band} is the band of {owner} too; set this key for the newer of the two services, "
                f"{model.BANDS.start} to {model.BANDS.stop - 1}",
            )


def _routes_problems(services: Mapping[str, Service]) -> Iterator[Problem]:
    """Yield what is wrong between routes of several services."""
    claims = [
        rules.Claim(
            name,
            service.priority_band,
            {
                "host": rules.parts([service.host], (), (), {}),
                **{f"routes[{place}]": route.parts for place, route in enumerate(service.routes)},
            },
        )
        for name, service in services.items()
    ]
    yield from rules.claims_problems(claims)
    owners = {
        model.color_host(color, service.host): name
        for name, service in services.items()
        for color in Color
        if rules.host_problem(service.host) is None
    }
    # By an experiment's percent, and not by its seconds: its times may be none here.
    sticky = [
        claim
        for claim, service in zip(claims, services.values(), strict=True)
        if (service.experiment and service.experiment.percent) or service.timing.stickiness
    ]
    for name, service in services.items():
        for place, route in enumerate(service.routes):
            for host in route.hosts:
                if (owner := owners.get(host, name)) != name:
                    yield Problem(
                        f"{name}.routes[{place}].hosts", f"{host} is where testers reach {owner}; leave it out"
                    )
    for place, one in enumerate(sticky):
        for two in sticky[:place]:
            if any(
                not mine.host or not its.host or mine.host == its.host
                for ours in one.parts.values()
                for theirs in two.parts.values()
                for mine in ours
                for its in theirs
            ):
                yield Problem(
                    one.service,
                    f"shares a host with {two.service}, and both keep clients with their color by the load balancer's "
                    "cookie, of which a host has one; set timing.stickiness to 0 for one, and tell its experiment by "
                    "a header or a cookie",
                )


def _protocol_problems(service: Service) -> Iterator[Problem]:
    """Yield what speaks another protocol than a service's pods; keys relative to the service."""
    spoken, usual = service.protocol, spec.Health()
    if spoken is Protocol.HTTP1:
        return
    if service.shadow:
        yield Problem("shadow", f"copies requests by HTTP/1.1, and protocol is {spoken}; remove it")
    if service.uptime.enabled:
        yield Problem(
            "uptime.enabled",
            f"true, but Route 53 asks by HTTP/1.1, which the load balancer answers with 464 for {spoken}; set to false",
        )
    if spoken is not Protocol.GRPC:
        return
    if service.metrics.enabled:
        yield Problem(
            "metrics.enabled", "true, but Prometheus asks by HTTP/1.1, and the port speaks gRPC alone; set to false"
        )
    if reason := rules.method_problem(service.health_path):
        yield Problem("health.path", reason)
    paths = {"livenessPath": (service.health.liveness_path, usual.liveness_path)}
    paths["startupPath"] = (service.health.startup_path, usual.startup_path)
    for key, (path, unset) in paths.items():
        if path != unset:
            yield Problem(f"health.{key}", "is asked of no pod that speaks gRPC: its health service is; remove it")
    for place, check in enumerate(service.strategy.smoke or ()):
        if "command" not in check:
            yield Problem(f"strategy.smoke[{place}]", "asks by GET, and the pods speak gRPC; give it a command")


def _route_problems(service: Service) -> Iterator[Problem]:
    """Yield what of a service's routes contradicts its other settings; keys relative to the service."""
    if reason := rules.slots_problem([route.place for route in service.routes]):
        yield Problem("routes", reason)
    if service.routes and service.experiment and service.experiment.percent:
        yield Problem(
            "experiment.percent",
            f"{service.experiment.percent}, but by the load balancer's cookie a client keeps its color on one host "
            "alone, and routes lead here from others; tell the cohort by header or cookie, or remove routes",
        )
    for place, route in enumerate(service.routes):
        if reason := rules.own_hosts_problem(route.hosts, own=service.host):
            yield Problem(f"routes[{place}].hosts", reason)
        before: list[tuple[str, Sequence[str]]] = []
        if len(service.colors) > 1:
            before.append(("that of the canary's header", ["true"]))
        if service.experiment:
            before += [("those of the experiment's cohort", values) for _, values in service.experiment.conditions]
        if rules.rule_problem(route.values) is None:  # what is too much alone is refused for that
            found = (rules.rule_problem(route.values, besides=values, what=what) for what, values in before)
            if reason := next(filter(None, found), None):
                yield Problem(f"routes[{place}]", reason)


def timing_problems(service: Service, idle_timeout: int | None, needed_idle_timeout: int | None) -> Iterator[Problem]:
    """Yield what is wrong between the times of a service; both idle timeouts None where that key is wrong."""
    timing, health = service.timing, service.health
    if idle_timeout is not None and needed_idle_timeout is not None:
        reason = spec.timing_problem(
            timing,
            idle_timeout=idle_timeout,
            needed_idle_timeout=needed_idle_timeout,
            alarm=service.alerts.minutes * model.ALARM_PERIOD,
        )
        if reason is not None:
            yield Problem("timing", reason)
    if (reason := spec.interval_problem(health.interval, timeout=health.timeout)) is not None:
        yield Problem("health.interval", reason)
    reason = spec.await_problem(
        timing.await_timeout,
        health=health,
        strategy=service.strategy,
        replicas=service.replicas,
        grace_period=timing.grace_period,
    )
    if reason is not None:
        yield Problem("timing.awaitTimeout", reason)


_CRON_JOB: Final = 52
"""Characters of a CronJob's name, to which 11 are added for each Job (Kubernetes, CronJob)."""


def service_problems(name: str, service: Service, environment: str) -> Iterator[Problem]:
    """Yield what is wrong between the settings of one service; keys relative to the service."""
    if service.active_color not in service.colors:
        yield Problem(
            "activeColor", f"{service.active_color} runs nothing; set it to {next(iter(service.colors), 'blue')}"
        )
    if len(service.colors) == 1 and service.canary_weight:
        yield Problem("canaryWeight", f"{service.canary_weight}, but there is no second color; set it to 0")
    if service.experiment:
        if len(service.colors) == 1:
            yield Problem("experiment", "has no second color to be the variant; remove it")
        if reason := rules.experiment_canary_problem(service.experiment.name, service.canary_weight):
            yield Problem("canaryWeight", reason)
        variant = service.colors.get(service.active_color.other)
        if variant and variant.parked:
            yield Problem(
                f"colors.{service.active_color.other}.parked",
                f"true, but it is the variant of the experiment {service.experiment.name}; set parked to false",
            )
    yield from _route_problems(service)
    yield from _protocol_problems(service)
    if service.shadow:
        idle = service.active_color.other
        if len(service.colors) == 1:
            yield Problem("shadow", "has no second color to send copies to; remove it")
        elif reason := rules.shadow_problem(
            service.copied,
            canary_weight=service.canary_weight,
            experiment=service.experiment.name if service.experiment else None,
            parked=idle if idle in service.colors and service.colors[idle].parked else None,
        ):
            yield Problem("shadow.percent", reason)
    for color, settings in service.colors.items():
        parked = rules.parked_problem(color, active=service.active_color, canary_weight=service.canary_weight)
        if settings.parked and parked is not None:
            yield Problem(f"colors.{color}.parked", parked)
        for entry in service.secrets:
            # What is no name of an entry is refused for that; a message should not repeat it.
            known = rules.entry_problem(entry) is None
            if known and entry not in settings.secret_versions and not settings.parked:
                yield Problem(
                    f"colors.{color}.secretVersions.{entry}",
                    "is required while the color runs, or a rotation changes what it runs with; "
                    f"`hueshift secrets status` says which to pin of {model.secret_name(environment, name, entry)}",
                )
        for entry, version in settings.secret_versions.items():
            if entry not in service.secrets:
                entries = [name for name in service.secrets if rules.entry_problem(name) is None]
                yield Problem(f"colors.{color}.secretVersions.{entry}", unknown_key(entry, entries))
            elif reason := rules.secret_version_problem(version, external=service.secrets[entry].source is not None):
                yield Problem(f"colors.{color}.secretVersions.{entry}", reason)
    owners = dict.fromkeys((name for color in service.colors for name in service.env_of(color)), "env")
    for entry, variables in service.secrets.items():
        for variable in variables.keys:
            if (
                rules.env_name_problem(variable) is None
                and (owner := owners.setdefault(variable, f"secrets.{entry}")) != f"secrets.{entry}"
            ):
                yield Problem(f"secrets.{entry}.keys", f"{variable} is set by {owner} too; name it once")
    for color in service.colors:
        if reason := rules.variables_problem(service.env_of(color)):
            yield Problem(f"colors.{color}.env", f"with env of the service {reason}")
    own = {f"colors.{color}.env": release.env for color, release in service.colors.items()}
    for place, values in {"env": service.env, **own}.items():
        for variable, value in values.items():
            reason = rules.plaintext_secret_problem(variable, value, known=service.not_secrets)
            if reason is not None and rules.env_name_problem(variable) is None:
                yield Problem(f"{place}.{variable}", reason)
    yield from _template_problems(service, owners)
    for called, workload in service.workloads.items():
        longest = max(len(f"{name}-{color}-{called}") for color in Color)
        if workload.schedule is not None and longest > _CRON_JOB and rules.entry_problem(called) is None:
            yield Problem(
                f"workloads.{called}",
                f"makes a CronJob with a name of {longest} characters; allowed are {_CRON_JOB}: shorten it",
            )
    stated = service.migration.image or tuple(service.migration.command) != spec.Migrations.command
    if stated and not any(release.schema for release in service.colors.values()):
        yield Problem("migration", "runs nothing, for no color names a schema; set colors.<color>.schema, or remove it")
    if (reason := rules.maximum_problem(service.replicas.max, minimum=service.replicas.min)) is not None:
        yield Problem("replicas.max", reason)


def _templates(service: Service) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the place and content of every template of a service."""
    yield "podTemplate", service.pod_template.overlay
    for color, release in service.colors.items():
        yield f"colors.{color}.podTemplate", release.pod_template.overlay


def _template_problems(service: Service, owners: Mapping[str, str]) -> Iterator[Problem]:
    """Yield what of a service's templates contradicts its other settings; ``owners`` say who sets a variable."""
    known = {name for name, owner in owners.items() if owner == "env"}
    for place, template in _templates(service):
        for variable in rules.template_variables(template):
            key = f"{place}.{variable.path}"
            if variable.container == rules.APP and variable.name in owners:
                yield Problem(key, f"is set by {owners[variable.name]} too; name it once")
            if variable.value is None:
                continue
            known.add(variable.name)
            reason = rules.plaintext_secret_problem(variable.name, variable.value, known=service.not_secrets)
            if reason is not None and rules.env_name_problem(variable.name) is None:
                yield Problem(key, reason)
        for path, number in rules.template_ports(template):
            if number == service.port:
                yield Problem(f"{place}.{path}", "is where the service itself listens, which port says; remove it here")
    yield from rules.not_secrets_problems(service.not_secrets, env=known)


def _route_hosts_problems(service: Service, stack: Surroundings) -> Iterator[Problem]:
    """Yield which hosts of its routes can have no record, or no certificate."""
    if stack.dns is None or rules.host_problem(stack.dns.zone) is not None:
        return
    for place, route in enumerate(service.routes):
        for host in route.hosts:
            pattern = "*" in host or "?" in host
            if rules.route_host_problem(host) is not None:
                continue
            if pattern and not stack.certified:
                reason: str | None = (
                    f"{host!r} is a pattern, and certificates are issued for names; name its hosts, or give a "
                    "loadBalancer.certificateArn"
                )
            elif pattern and not (host.startswith("*.") and host.count("*") == 1 and "?" not in host):
                reason = f"{host!r} can have no record in dns.zone; name its hosts, or *. and a name"
            else:
                reason = rules.zone_problem(host.removeprefix("*."), zone=stack.dns.zone)
                reason = reason or (None if stack.certified else rules.certificate_problem(host))
            if reason is not None:
                yield Problem(f"routes[{place}].hosts", reason)


def fit_problems(name: str, service: Service, stack: Surroundings) -> Iterator[Problem]:
    """Yield what of a service does not fit the rest of the stack; keys relative to the service."""
    if stack.dns and rules.host_problem(service.host) is None and rules.host_problem(stack.dns.zone) is None:
        outside = rules.zone_problem(service.host, zone=stack.dns.zone)
        if reason := outside or (None if stack.certified else rules.certificate_problem(service.host)):
            yield Problem("host", reason)
    yield from _route_hosts_problems(service, stack)
    if service.policy_arns and stack.cluster.name is None and stack.cluster.identity is IdentityKind.POD_IDENTITY:
        yield Problem("policyArns", "needs the name of the EKS cluster; set cluster.name")
    if service.policy_arns and stack.cluster.oidc_provider_arn is None and stack.cluster.identity is IdentityKind.IRSA:
        yield Problem("policyArns", "needs the cluster's OpenID Connect provider; set cluster.oidcProviderArn")
    yield from rules.uptime_problems(
        enabled=service.uptime.enabled,
        internal=stack.internal,
        production=stack.production,
        listeners=stack.uptime_listeners,
    )
    if (reason := spec.downtime_problem(service.strategy, production=stack.production)) is not None:
        yield Problem("strategy.kind", reason)
    if (reason := spec.surge_problem(service.strategy)) is not None:
        yield Problem("strategy.maxSurge", reason)
    for entry, secret in service.secrets.items():
        for key, value in (("rotation", secret.rotation), ("replicaRegions", secret.replica_regions)):
            if secret.source and value:
                yield Problem(
                    f"secrets.{entry}.{key}", "is the business of the store that source names; remove it here"
                )
        if stack.region in secret.replica_regions:
            yield Problem(f"secrets.{entry}.replicaRegions", f"{stack.region} is where the entry is; name others")
    for place, template in _templates(service):
        for path, image in rules.template_images(template):
            if reason := rules.image_problem(image, production=stack.production):
                yield Problem(f"{place}.{path}", reason.replace(repr(image), rules.shown(image)))
    for color, release in service.colors.items():
        if release.build and name not in stack.registry.repositories:
            yield Problem(f"colors.{color}.build", "has nowhere to push to; name the service in registry.repositories")
        named = release.image and rules.image_problem(release.image, production=True) is None
        if stack.production and stack.ran is not None and release.image and named:
            there = stack.ran.get(name, {})
            needed = [each for each in stack.evidence if each != "migration" or release.schema]
            reason = rules.untried_problem(release.image, service=name, ran=there)
            reason = reason or rules.unproven_problem(release.image, service=name, ran=there, needed=needed)
            if reason is not None:
                yield Problem(f"colors.{color}.image", reason)
