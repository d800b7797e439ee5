"""What is released together, and how, as the stack file says it; read unjudged, but for what a release goes by."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from components.model import ALARM_PERIOD, ALARM_PERIODS, Color, color_host
from components.rules import is_production
from components.rules.steps import Freezes, Strategy, StrategyError, freezes, seconds, strategy
from components.spec import Health, Protocol, StrategyKind, Timing
from hueshift.report import RefusedError, unknown
from hueshift.stack import Place, Wished, copying, running

T = TypeVar("T")

_STEPPED: Final = ("steps", "smoke", "gates", "compare", "patience")
"""The keys of services.<name>.strategy that a release goes by."""
_SEEN: Final = 60
"""Seconds of a bake that Prometheus needs in production to see what happens in it."""


@dataclass(frozen=True, kw_only=True)
class Unit:
    """The services that share an ``activeColor`` key: they are released, and go back, together."""

    name: str
    """Of the service, where that has a key of its own; else of the environment, whose services follow the stack's."""
    place: Place
    services: Mapping[str, Wished]

    @property
    def old(self) -> Color:
        """The color that the stack file trusts."""
        return next(iter(self.services.values())).active

    def said(self, service: str, *path: str) -> Any:  # noqa: ANN401 - what YAML holds
        """Return what the stack file says at a path below a service, None if nothing."""
        found: Any = self.place.values["services"][service]
        for key in path:
            found = found.get(key) if isinstance(found, Mapping) else None
        return found

    @property
    def held(self) -> list[str]:
        """Why nothing of the unit is released or parked now: an experiment, or copies that the idle color gets."""
        return [
            running(wished, self.place.name) if wished.experiment else copying(wished, self.place.name)
            for wished in self.services.values()
            if wished.experiment or wished.copied
        ]

    @property
    def production(self) -> bool:
        """Whether users meet it."""
        stated = {"true": True, "false": False}.get(str(self.place.values.get("production")).lower())
        return is_production(self.place.environment, stated)

    @property
    def releases(self) -> Mapping[str, Any]:
        """The stack's key ``releases``."""
        found = self.place.values.get("releases") or {}
        if not isinstance(found, Mapping):
            raise RefusedError(f"hueshift:releases must be a mapping with prometheus, zone or freeze; got {found!r}")
        return found

    @property
    def prometheus(self) -> str | None:
        """Where it can be asked from here."""
        found = self.releases.get("prometheus")
        if found is not None and not str(found).startswith(("http://", "https://")):
            raise RefusedError(f"hueshift:releases.prometheus must be a URL such as http://HOST:9090; got {found!r}")
        return str(found).rstrip("/") if found else None

    @property
    def measured(self) -> bool:
        """Whether Prometheus can be asked for the requests of all its services."""
        told = (self.said(service, "metrics", "enabled") is not False for service in self.services)
        return self.prometheus is not None and all(told)

    @property
    def freezes(self) -> Freezes:
        """When nothing goes forward. Raises ``RefusedError`` if that is wrong."""
        return _judged("hueshift:releases", lambda: freezes(self._freeze, zone=str(self.releases.get("zone", "UTC"))))

    @property
    def _freeze(self) -> list[object]:
        found = self.releases.get("freeze") or []
        if not isinstance(found, list):
            raise RefusedError(f"hueshift:releases.freeze must be a list; got {found!r}")
        return found

    @property
    def keep_old(self) -> int:
        """Seconds that the color which lost its traffic stays as it is: the longest that a service asks for."""
        return max(self._time(service, "keepOld", Timing.keep_old) for service in self.services)

    def stepped(self, service: str) -> Strategy:
        """Return a service's strategy. Raises ``RefusedError`` if it is wrong."""
        said = self.said(service, "strategy") or {}
        data = {key: said[key] for key in _STEPPED if key in said} if isinstance(said, Mapping) else {}
        grpc = self.said(service, "protocol") == Protocol.GRPC
        least = 0 if not self.production else _SEEN if self.measured else ALARM_PERIOD * ALARM_PERIODS
        return _judged(
            f"hueshift:services.{service}.strategy",
            lambda: strategy(
                data,
                bake=self._time(service, "bake", Timing.bake),
                least_bake=least,
                production=self.production,
                # A method of gRPC is not asked by GET; the load balancer's own check of it is a signal, too.
                health_path=None if grpc else str(self.said(service, "health", "path") or Health.path),
            ),
        )

    def _time(self, service: str, key: str, default: int) -> int:
        return int(seconds(self.said(service, "timing", key)) or default)

    def url(self, service: str, color: Color) -> str:
        """Return where a color is reached whatever the weights."""
        front = self.place.values.get("loadBalancer") or {}
        return f"https://{color_host(color, self.services[service].host)}:{front.get('testListenerPort', 8443)}"

    def kind(self, service: str) -> StrategyKind:
        """Return how a service is released."""
        said = self.said(service, "strategy", "kind")
        return StrategyKind(said) if said in {*StrategyKind} else StrategyKind.BLUE_GREEN


def _judged(key: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except StrategyError as error:
        raise RefusedError("\n  ".join(f"{key}.{place}: {reason}" for place, reason in error.problems)) from None


def units(place: Place) -> Iterator[Unit]:
    """Yield the units of a stack."""
    services = place.services
    following = {name: wished for name, wished in services.items() if not wished.own}
    if following:
        if (alone := services.get(place.environment)) and alone.own:
            raise RefusedError(
                f"{alone.name} has an activeColor of its own, and is called as the environment: rename it"
            )
        yield Unit(name=place.environment, place=place, services=following)
    for name, wished in services.items():
        if wished.own:
            yield Unit(name=name, place=place, services={name: wished})


def unit_of(place: Place, service: str | None) -> Unit:
    """Return the unit of a service; without one that of the services which follow the stack's key.

    Raises ``RefusedError`` if there is none, or several.
    """
    found = list(units(place))
    if service is not None:
        unit = next((unit for unit in found if service in unit.services), None)
        if unit is None:
            raise unknown(f"service of {place.name}", service, list(place.services))
        return unit
    if len(found) == 1:
        return found[0]
    following = [unit for unit in found if not all(wished.own for wished in unit.services.values())]
    if following:
        return following[0]
    raise RefusedError(f"name one of the services with --service; there are: {', '.join(place.services) or 'none'}")
