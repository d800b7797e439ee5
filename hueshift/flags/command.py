"""`hueshift flags`: who sees a feature flag, and turning one off at once."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final

import typer

from components.rules import day
from hueshift.flags import content
from hueshift.flags.appconfig import AppConfig
from hueshift.flags.content import Deployment, Shown, changed, only, shown, taken_back, under_way, watched_until
from hueshift.report import Json, RefusedError, StackName, emit, reported, unknown
from hueshift.stack import Place, Wished, place

MOST: Final = 100
"""Percent."""

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Show who sees which feature flag, show one to more users, and turn one off at once.",
)

Service = Annotated[str, typer.Argument(metavar="SERVICE", help="A service of the stack.", show_default=False)]
Flag = Annotated[str, typer.Argument(metavar="FLAG", help="A flag of the service.", show_default=False)]


@dataclass(frozen=True, kw_only=True)
class Found:
    """What is known of the flags of one service."""

    service: str
    declared: Mapping[str, Mapping[str, Any]]
    """What the stack file says of each."""
    given: content.Content
    """What the pods are given."""
    open: Deployment | None
    """Which lets no other begin."""
    back: Deployment | None
    """The newest deployment, if it was taken back."""
    reason: str
    """Why it was."""

    @property
    def names(self) -> list[str]:
        """Every flag that the stack file or the content has."""
        return sorted({*self.declared, *self.given["flags"]})

    def as_json(self) -> Mapping[str, Any]:
        """Return it for a machine."""
        return {
            "flags": {
                name: {
                    **asdict(shown(self.given, name)),
                    "declared": name in self.declared,
                    "owner": self.declared.get(name, {}).get("owner"),
                    "expires": self.declared.get(name, {}).get("expires"),
                }
                for name in self.names
            },
            "deployment": self.open
            and {
                "number": self.open["DeploymentNumber"],
                "state": self.open["State"],
                "watchedUntil": watched_until(self.open).isoformat(),
            },
            "takenBack": self.back and {"number": self.back["DeploymentNumber"], "reason": self.reason},
        }

    def lines(self, stack: str) -> Iterator[str]:
        """Yield it for a person."""
        yield f"{stack}/{self.service}"
        for name in self.names:
            said = self.declared.get(name)
            whose = (
                f"{said.get('owner')}, until {said.get('expires')}" if said else "not in the stack file: nobody owns it"
            )
            yield f"  {name:<24}{shown(self.given, name)!s:<48}{whose}"
        if self.open:
            yield f"  {_watched(self.open)}; at once: hueshift flags off {self.service} FLAG --stack {stack}"
        if self.back:
            yield f"  deployment {self.back['DeploymentNumber']} was taken back: {self.reason}"


def _watched(open_: Deployment) -> str:
    number, until = open_["DeploymentNumber"], watched_until(open_)
    if open_["State"] == "ROLLING_BACK":
        return f"deployment {number} is being taken back"
    return f"an alarm takes deployment {number} back until {until.astimezone(UTC):%H:%M} UTC, and no other can begin"


@app.command()
def status(
    *,
    service: Annotated[str | None, typer.Option(help="One service alone.", metavar="S")] = None,
    stack: StackName = None,
    as_json: Json = False,
) -> None:
    """Show who sees each flag, whose it is, and whether its last step is still watched or was taken back."""
    with reported():
        there = place(stack)
        asked = [there.service(service)] if service else list(there.services.values())
        flagged = [wished for wished in asked if wished.flags]
        if not flagged:
            whose = service or f"no service of {there.name}"
            raise RefusedError(f"{whose} has {'no' if service else 'any'} flags; docs/flags.md says how to make one")
        found = [_found(AppConfig(there, wished.name), wished) for wished in flagged]
        if as_json:
            emit({"stack": there.name, "services": {item.service: item.as_json() for item in found}})
        else:
            typer.echo("\n".join(line for item in found for line in item.lines(there.name)))


def _found(appconfig: AppConfig, wished: Wished) -> Found:
    deployments, given = appconfig.now()
    back = taken_back(deployments)
    return Found(
        service=wished.name,
        declared=wished.flags,
        given=given,
        open=under_way(deployments),
        back=back,
        reason=appconfig.reason(back) if back else "",
    )


@app.command(name="set")
def set_(
    service: Service,
    flag: Flag,
    *,
    percent: Annotated[float, typer.Option(help="Of the users, 0 to 100.", metavar="N", show_default=False)],
    internal: Annotated[
        bool | None,
        typer.Option("--internal/--no-internal", help="Whether internal users see it too. Default: as it is."),
    ] = None,
    stack: StackName = None,
    as_json: Json = False,
) -> None:
    """Show a flag to so many of the users, in all pods within seconds; alarms take it back for the next half hour.

    Who has seen it goes on to see it when the percent grows.
    """
    with reported():
        there = place(stack)
        wished = there.service(service)
        if flag not in wished.flags:
            raise unknown(f"flag of {service}", flag, list(wished.flags))
        if not 0 <= percent <= MOST:
            raise RefusedError(f"--percent {percent:g} is out of range; allowed are 0 to {MOST}")
        appconfig = AppConfig(there, service)
        deployments, given = appconfig.now()
        if open_ := under_way(deployments):
            raise RefusedError(f"{service}: {_watched(open_)}; {_off(there, service, flag)} takes it back at once")
        before = shown(given, flag)
        after = Shown(enabled=True, percent=percent, internal=before.internal if internal is None else internal)
        if not (percent or after.internal):
            raise RefusedError(f"0 % without internal users is nobody; turn it off: {_off(there, service, flag)}")
        if after == before:
            raise RefusedError(f"{flag} of {service} is {before} already; nothing was changed")
        appconfig.watched()
        _warn(wished.flags[flag], flag)
        if content.live(deployments, appconfig.profile) is None:
            # What is taken back needs something before it, or pods would go on with what they read.
            given = changed(given, flag, replace(after, enabled=False))
            appconfig.wait(appconfig.deploy(given, "off", "No flag is on"))
        begun = appconfig.deploy(
            changed(only(given, wished.flags), flag, after), "step", f"{flag}: {after}, before: {before}"
        )
        appconfig.wait(begun)
        appconfig.tidy()
        until = watched_until(begun).astimezone(UTC)
        if as_json:
            emit({**_asked(there, service, flag), **asdict(after), "watchedUntil": until.isoformat()})
            return
        typer.echo(f"{flag} of {service} is {after}; before it was {before}")
        typer.echo(
            f"the alarms of both colors take it back until {until:%H:%M} UTC; at once: {_off(there, service, flag)}"
        )


@app.command()
def off(service: Service, flag: Flag, *, stack: StackName = None, as_json: Json = False) -> None:
    """Turn a flag off for everybody.

    If it is on, a step that is still watched is taken back first, whichever flag it was of.
    """
    with reported():
        there = place(stack)
        appconfig = AppConfig(there, service)
        deployments, given = appconfig.now()
        known = sorted({*given["flags"], *(there.services[service].flags if service in there.services else ())})
        if flag not in known:
            raise unknown(f"flag of {service}", flag, known)
        before = left = shown(given, flag)
        open_ = under_way(deployments)
        if open_ and (before.enabled or open_["State"] == "VALIDATING"):
            appconfig.stop(open_, _progress)
            _, given = appconfig.now()
            left = shown(given, flag)
        if left.enabled:
            # All else stays as it is, even what the stack file no longer has: this is no time to tidy up.
            with appconfig.unwatched():
                begun = appconfig.deploy(changed(given, flag, replace(left, enabled=False)), "off", f"{flag}: off")
                _progress(f"deployment {begun['DeploymentNumber']} turns it off")
                appconfig.wait(begun)
        if as_json:
            emit({**_asked(there, service, flag), "enabled": False, "changed": before.enabled})
            return
        typer.echo(f"{flag} of {service} is off" + (f"; before it was {before}" if before.enabled else " already"))


def _progress(line: str) -> None:
    typer.echo(line, err=True)


def _asked(there: Place, service: str, flag: str) -> Mapping[str, Any]:
    return {"stack": there.name, "service": service, "flag": flag}


def _off(there: Place, service: str, flag: str) -> str:
    return f"hueshift flags off {service} {flag} --stack {there.name}"


def _warn(said: Mapping[str, Any], flag: str) -> None:
    last: date | None = day(str(said.get("expires")))
    if last and last <= datetime.now(UTC).date():
        _progress(f"warning: {flag} expired on {last}; {said.get('owner')} is to remove it from the code")
