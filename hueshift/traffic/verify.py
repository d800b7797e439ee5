"""`hueshift verify`: a service tried as its users reach it."""

import time
from typing import Annotated, Final

import typer

from components.model import canary_color
from components.spec import Service
from hueshift.report import Json, RefusedError, StackName, emit, reported, unknown
from hueshift.stack import load
from hueshift.traffic.answers import NAMELESS, REQUESTS, Answer, ask, checked

SETTLE: Final = 60.0
"""Seconds for which some nodes of the load balancer may still answer by the weights of before."""
THERE: Final = ("strict-transport-security", "content-security-policy")
EXACT: Final = {"x-content-type-options": "nosniff", "x-frame-options": "DENY"}
"""Headers that every answer has to have."""


def verify(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="A service of the stack.", show_default=False)],
    *,
    stack: StackName = None,
    as_json: Json = False,
) -> None:
    """Try a service as its users reach it.

    By its health path: the version that the stack file gives the active color, if answers say theirs in x-version; the
    security headers; plain HTTP sent to HTTPS; and the header that leads to the newer version. CURL_OPTIONS has further
    arguments of curl, such as --cacert FILE.
    """
    with reported():
        place = load(stack)
        settings = place.settings.services.get(service)
        if settings is None:
            raise unknown(f"service of {place.name}", service, list(place.settings.services))
        if all(settings.shares.values()):
            raise RefusedError(
                f"a canary or an experiment of {service} runs in {place.name}, and its users meet two versions; finish "
                "it: set canaryWeight to 0, or remove experiment"
            )
        versions = {color: release.version for color, release in settings.colors.items()}
        parked = [color for color, release in settings.colors.items() if release.parked]
        color = settings.active_color
        canary = canary_color(versions, parked=parked, active=color) or color
        url, deploy = f"https://{settings.host}", f"deploy it: pulumi up --stack {place.name}"
        page = f"{url}{settings.health_path}"
        answer, known = _settled(url, settings, versions[color], deploy)
        for name in THERE:
            if not answer.headers.get(name):
                raise RefusedError(f"{page} answers without {name}")
        left = place.settings.load_balancer.headers_from_services
        for name, value in EXACT.items():
            if name in left and answer.headers.get(name):
                continue
            if (said := answer.headers.get(name, "")) != value:
                raise RefusedError(f"{page} answers {name}: {said!r}, and should {value}")
        known &= checked(url, settings, "--header", "x-canary: true").is_of(versions[canary], deploy)
        plain = ask(f"http://{settings.host}/").has(301)
        if not (target := plain.headers.get("location", "")).startswith("https://"):
            raise RefusedError(f"{plain.url} leads to {target!r}, and not to HTTPS")
        if as_json:
            answered = versions[color] if known else None
            emit({"stack": place.name, "service": service, "color": color, "version": answered, "url": url})
        else:
            typer.echo(f"{service} {versions[color]} serves its users as {color} in {place.name}: {url}")
            if not known:
                typer.echo(NAMELESS)


def _settled(url: str, service: Service, version: str, mend: str) -> tuple[Answer, bool]:
    """Return the last of so many answers in a row by a version, and whether all of them said theirs.

    Raises ``RefusedError`` if there are none in time.
    """
    until, right, known = time.monotonic() + SETTLE, 0, True
    while True:
        answer = checked(url, service)
        try:
            known &= answer.is_of(version, mend)
        except RefusedError:
            if time.monotonic() >= until:
                raise
            right, known = 0, True
            time.sleep(1)
            continue
        right += 1
        if right == REQUESTS:
            return answer, known
