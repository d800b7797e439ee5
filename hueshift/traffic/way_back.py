"""Which color is the way back of a service, and whether it may have the traffic: decisions without any call."""

from collections.abc import Callable, Mapping

from components.model import Color, newer
from hueshift.report import RefusedError
from hueshift.stack import Wished
from hueshift.traffic.live import shown


def back(
    wished: Wished,
    live: Mapping[Color, int],
    *,
    to: str | None,
    served: Callable[[Color], bool | None],
    force: bool,
) -> Color:
    """Return the color that gets all traffic of a service.

    Where both colors have traffic, or an experiment runs, it is the one that the stack file trusts. Where one color has
    all of it and the file trusts the other, a release or a way back has come so far, and it is the one with the older
    version. Where file and load balancer agree, it is the other color, if that is older. ``to`` names it by version
    instead.

    ``served`` says whether what a color runs has ever been trusted by the stack file; None if that is not known.

    Raises ``RefusedError`` if there is no such color, or, unless ``force``, if it never had the service's users.
    """
    name, versions = wished.name, wished.versions
    if len(wished.colors) < 2:
        (color,) = wished.colors
        raise RefusedError(
            f"{name} has one color and no other to go back to; it is updated in place: "
            f"give {color} its old image and version, then pulumi up"
        )
    color = _chosen(wished, live, to)
    if force or color is wished.active or live.get(color) == 100 or _alike(wished):
        return color
    later = newer(versions, active=color.other) is color
    known = served(color)
    if later and (to is None or not known):
        raise RefusedError(
            f"{name}: {color} runs {versions[color]}, which is no older than {color.other}'s {versions[color.other]}, "
            f"so it is no way back, and {shown(live)} stays; to give it the traffic: hueshift flip {name} {color}, or, "
            f"without the gate, hueshift rollback --service {name} --to {versions[color]} --force"
        )
    if known is False:
        raise RefusedError(
            f"{name}: {color} runs {versions[color]}, and no commit of the stack file gave it the traffic: it never "
            f"had users, so it is no way back, and {shown(live)} stays; if it shall have them: "
            f"hueshift rollback --service {name} --to {versions[color]} --force"
        )
    return color


def _chosen(wished: Wished, live: Mapping[Color, int], to: str | None) -> Color:
    versions, trusted = wished.versions, wished.active
    if to is not None:
        named = [color for color in wished.colors if versions[color] == to]
        if not named:
            runs = ", ".join(f"{color} {version}" for color, version in versions.items())
            raise RefusedError(
                f"{wished.name}: no color runs {to!r} ({runs}); give the idle one its image first: "
                f"hueshift image set {wished.name} IMAGE --version {to} --older, then pulumi up"
            )
        if len(named) == 1:
            return named[0]
    everything = next((color for color, share in live.items() if share == 100), None)
    if everything is None or wished.experiment:
        return trusted
    if everything is trusted:
        return trusted.other
    return trusted if _alike(wished) else newer(versions, active=trusted).other


def _alike(wished: Wished) -> bool:
    """Whether both colors run the same version of the same image."""
    one, other = wished.colors.values()
    return all(one.get(key) == other.get(key) for key in ("version", "image"))
