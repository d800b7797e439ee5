"""`hueshift smoke`: the idle color tried through its test URL, before it gets any traffic."""

import time
from typing import Annotated, Final

import typer

from components.model import Color, color_host
from components.spec import Protocol, Service
from hueshift.report import Json, RefusedError, StackName, emit, reported, unknown
from hueshift.stack import Stack, load
from hueshift.traffic.answers import NAMELESS, REQUESTS, ask, checked
from hueshift.traffic.balancer import PATIENCE, Balancer, Rule
from hueshift.traffic.live import disagreement, idle

WAIT: Final = 180
"""Seconds for the autoscaler to bring the pods after an update; before that a flip is refused."""


def smoke(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="A service of the stack.", show_default=False)],
    *,
    stack: StackName = None,
    as_json: Json = False,
) -> None:
    """Try the idle color of a service through its test URL.

    It is the color that is idle by the stack file and by the load balancer. Once it has all of its healthy targets it
    must be live, ready, and answer twenty requests without an error; of gRPC those are calls of its health check. An
    answer that says its version, in x-version, must say that of the stack file. CURL_OPTIONS has further arguments of
    curl, such as --cacert FILE.
    """
    with reported():
        place = load(stack)
        balancer = Balancer(place, patience=PATIENCE)
        settings, rule, color = idle_color(place, balancer, service)
        group = rule.group(color)
        if group is None:
            raise RefusedError(
                f"the production rule of {service} names no target group of {color}; pulumi up --refresh"
            )
        wanted, begun = settings.replicas.min, time.monotonic()
        while (count := balancer.healthy_of(group)) < wanted:
            if time.monotonic() - begun > WAIT:
                raise RefusedError(
                    f"{color} of {service} has {count} healthy targets after {WAIT} s, and needs {wanted}; look: "
                    f"kubectl get pods --namespace {place.environment}-{service}"
                )
            time.sleep(1)
        url = f"https://{color_host(color, settings.host)}:{place.settings.load_balancer.test_listener_port}"
        version = settings.colors[color].version
        called = settings.protocol is Protocol.GRPC
        if not called:
            ask(f"{url}{settings.health.liveness_path}").has(200)
        checked(url, settings)
        known = True
        for number in range(1, REQUESTS + 1):
            answer = checked(url, settings) if called else ask(f"{url}/")
            if answer.status >= 500:
                raise RefusedError(f"request {number} of {REQUESTS} to {url}/ is answered {answer.status}")
            known &= answer.is_of(version, f"{place.file.name} says so; deploy it: pulumi up --stack {place.name}")
        if as_json:
            answered = version if known else None
            emit({"stack": place.name, "service": service, "color": color, "version": answered, "url": url})
        else:
            said = f"{url}, {REQUESTS} requests without an error"
            typer.echo(f"{service} {version} is live and ready as {color} in {place.name}: {said}")
            if not known:
                typer.echo(NAMELESS)


def idle_color(place: Stack, balancer: Balancer, name: str) -> tuple[Service, Rule, Color]:
    """Return a service with its rule and the color that is idle by the stack file and by the load balancer.

    Raises ``RefusedError`` if there is none, the two differ, or it is parked.
    """
    service = place.settings.services.get(name)
    if service is None:
        raise unknown(f"service of {place.name}", name, list(place.settings.services))
    if len(service.colors) < 2:
        raise RefusedError(f"{name} has one color, and no idle one to try")
    rule = balancer.rules([place.service(name)])[name]
    if problem := disagreement(place, name, rule.live):
        raise RefusedError(f"which color of {name} is idle cannot be told: {problem}")
    color = idle(rule.live)
    if service.colors[color].parked:
        raise RefusedError(f"{color} of {name} is parked; give it an image: hueshift image set {name}")
    return service, rule, color
