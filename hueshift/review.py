"""`hueshift review`: writes the stack file of a review, a small copy of another environment for one pull request."""

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import typer

from components.model import Color, decoded
from components.spec import Service
from hueshift.report import Json, RefusedError, console, emit, reported, unknown
from hueshift.stack import Stack, load
from hueshift.stack_yaml import read, write

PREFIX: Final = "review-"
"""Prefix of every review's name: ``pipeline/review.sh`` and its role accept no other."""

STORE: Final = "aws-secrets-manager"
"""The ClusterSecretStore that docs/cluster.md requires."""

LEFT_OUT: Final = ("registry", "environment", "production", "activeColor", "canaryWeight")
LEFT_OUT_OF_SERVICE: Final = ("activeColor", "canaryWeight", "experiment", "expectsTraffic", "shadow")
LEFT_OUT_OF_COLOR: Final = ("minReplicas",)


def review(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of the review, such as review-42.")],
    *,
    source: Annotated[str, typer.Option("--from", help="The stack to copy.", metavar="STACK")] = "staging",
    service: Annotated[str | None, typer.Option(help="The service that the pull request changes.")] = None,
    image: Annotated[str | None, typer.Option(help="The image that it runs.", metavar="REPOSITORY@DIGEST")] = None,
    version: Annotated[str | None, typer.Option(help="The image's version.")] = None,
    schema: Annotated[str | None, typer.Option(help="The schema that the image needs, if any.")] = None,
    as_json: Json = False,
) -> None:
    """Write the stack file of a review.

    Every service runs the version that serves users by the other stack's file, in one color with one pod, at
    SERVICE.NAME.ZONE. --service, --image and --version replace the image of one service. Its alarms notify nobody.
    Secret values come from review/SERVICE/ENTRY in Secrets Manager, which all reviews share.
    """
    with reported():
        if not re.fullmatch(rf"{PREFIX}[a-z0-9-]+", name):
            raise RefusedError(
                f"invalid review name {name!r}: must be {PREFIX!r} followed by lowercase letters, digits or hyphens, "
                f"e.g. {PREFIX}42"
            )
        place = load(source)
        if place.settings.production:
            raise RefusedError(f"{source} is production; reviews copy another stack: name it with --from")
        if place.settings.dns is None:
            raise RefusedError(
                f"{place.file.name} has no DNS zone for the review's hosts; "
                f"set it: pulumi config set --path hueshift:dns.zone ZONE --stack {source}"
            )
        if service is not None and service not in place.settings.services:
            raise unknown(f"service of {source}", service, list(place.settings.services))
        changed = {"image": image, "version": version, "schema": schema}
        if len({bool(service), bool(image), bool(version)}) > 1 or (schema and not image):
            raise RefusedError("--service, --image and --version must be given together; --schema only with them")
        zone = f"{name}.{place.settings.dns.zone}"
        content = read(place.file)
        asked = {key: value for key, value in changed.items() if value}
        content["config"] = _config(content["config"], place, zone, {service: asked})
        _write(place, name, content)
        if as_json:
            urls = {key: f"https://{key}.{zone}" for key in place.settings.services}
            emit({"stack": name, "from": place.name, "urls": urls})
            return
        out = console()
        out.print(f"Pulumi.{name}.yaml, from {place.file.name}; do not commit it")
        for key, settings in place.settings.services.items():
            runs = version if key == service else settings.colors[_serving(settings)].version
            entries = ", ".join(f"review/{key}/{entry}" for entry in settings.secrets)
            out.print(f"  {key} {runs}: https://{key}.{zone}, one pod" + (f", secrets of {entries}" if entries else ""))
        out.print("  left out: alarm notifications, image repositories, access logs, web ACL, deletion protection")


def _config(
    config: Mapping[str, Any], place: Stack, zone: str, changed: Mapping[str | None, Mapping[str, str]]
) -> dict[str, Any]:
    """Return the configuration of the review; ``changed`` has, by service, keys that replace the other stack's."""
    own = f"{place.project}:"
    kept: dict[str, Any] = {
        key if ":" in key else f"{own}{key}": decoded(value)
        for key, value in copy.deepcopy(dict(config)).items()
        if key.removeprefix(own) not in LEFT_OUT
    }
    kept[f"{own}production"] = False
    if owner := kept.pop(f"{own}alerts", {}).get("owner"):
        kept[f"{own}alerts"] = {"owner": owner}
    balancer = kept.setdefault(f"{own}loadBalancer", {})
    balancer.pop("certificateArn", None)
    balancer.update(deletionProtection=False, accessLogs=False, waf=False)
    hosts = {service.host: f"{name}.{zone}" for name, service in place.settings.services.items()}
    for name, service in kept[f"{own}services"].items():
        serving = _serving(place.settings.services[name])
        runs = {**service["colors"][serving], **changed.get(name, {})}
        for key in LEFT_OUT_OF_COLOR:
            runs.pop(key, None)
        for entry, wanted in service.get("secrets", {}).items():
            if "source" not in wanted:
                source = {"store": STORE, "path": f"review/{name}/{entry}"}
                service["secrets"][entry] = {"keys": wanted["keys"], "source": source}
                runs["secretVersions"] = {**runs.get("secretVersions", {}), entry: "AWSCURRENT"}
        idle = {} if len(service["colors"]) == 1 else {"green": {**copy.deepcopy(runs), "parked": True}}
        service.update(
            host=f"{name}.{zone}",
            colors={"blue": runs, **idle},
            replicas={**service.get("replicas", {}), "min": 1, "max": 1},
        )
        for key in LEFT_OUT_OF_SERVICE:
            service.pop(key, None)
        if routes := _routes(service.pop("routes", []), hosts):
            service["routes"] = routes
    return kept


def _routes(routes: Sequence[Mapping[str, Any]], hosts: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the routes as a review has them: on the review's hosts of the services, and on no other.

    A host that is none of a service has no name of its own here, and would be taken from the other stack. What a route
    says is changed, and with it the slot that it would get: each has one by its place, so that no two have the same.
    """
    moved = [
        {**route, **({"hosts": [hosts[host] for host in route["hosts"] if host in hosts]} if "hosts" in route else {})}
        for route in routes
    ]
    kept = [route for route in moved if route.get("hosts") != []]
    return [{**route, "slot": slot} for slot, route in enumerate(kept, 1)]


def _serving(settings: Service) -> Color:
    """Return the color that users meet by the stack file; the one color there is, where a service has no other."""
    return settings.active_color if settings.active_color in settings.colors else next(iter(settings.colors))


def _write(place: Stack, name: str, content: Mapping[str, Any]) -> None:
    """Write the file; restore the previous one if the settings refuse the new one."""
    file = place.folder / f"Pulumi.{name}.yaml"
    before = file.read_bytes() if file.exists() else None
    file.write_text(write(content), encoding="utf-8")
    try:
        load(name)
    except Exception:
        if before is None:
            file.unlink()
        else:
            file.write_bytes(before)
        raise
