"""AppConfig beyond moto's applications, profiles and versions: environments, strategies, deployments and sessions.

Its minutes are CloudWatch's here, which tests can make shorter. A deployment reaches everybody at once: a strategy that
grows is refused. The rules are those of the API reference (AppConfig, AppConfig Data) and of the user guide.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

from moto.appconfig import urls
from moto.appconfig.exceptions import AppNotFoundException
from moto.appconfig.models import (
    AppConfigBackend,
    Application,
    ConfigurationProfile,
    HostedConfigurationVersion,
    appconfig_backends,
)
from moto.appconfig.responses import AppConfigResponse
from moto.cloudwatch.models import cloudwatch_backends
from moto.core.exceptions import JsonRESTError
from moto.core.responses import BaseResponse
from moto.iam.exceptions import NotFoundException
from moto.iam.models import iam_backends
from moto.moto_api._internal import mock_random

from sandbox.aws import events
from sandbox.aws.cloudwatch import CloudWatch

FLAGS: Final = "AWS.AppConfig.FeatureFlags"
_MONITORS: Final = 5
_SPREAD: Final = 1.0
"""Seconds of the clock for which a deployment without duration is DEPLOYING, and one that goes back ROLLING_BACK."""
_REVERT: Final = 72 * 3600
"""Seconds for which a complete deployment can be reverted (StopDeployment, AllowRevert)."""
_VERSIONS: Final = 100
"""Hosted versions of a profile."""
_OPEN: Final = ("DEPLOYING", "BAKING", "ROLLING_BACK")
_POLL: Final = 60
"""Seconds between two questions of a session that asked for no other (StartConfigurationSession)."""
_SHORTEST_POLL: Final = 15
_LONGEST_POLL: Final = 86_400


class RefusedError(JsonRESTError):
    """What a call is refused for."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}Exception", message)
        self.code = {"ResourceNotFound": HTTPStatus.NOT_FOUND, "Conflict": HTTPStatus.CONFLICT}.get(kind, self.code)


def _missing(what: str, name: str) -> RefusedError:
    return RefusedError("ResourceNotFound", f"{what} {name} could not be found")


def _stamp(moment: float) -> str:
    return f"{datetime.fromtimestamp(CloudWatch.clock.real(moment), UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"


@dataclass
class Deployment:
    """One version of a profile on its way to an environment, and back. Times are of the clock."""

    number: int
    profile: ConfigurationProfile
    version: HostedConfigurationVersion
    strategy: dict[str, Any]
    description: str | None
    begun: float
    state: str = "DEPLOYING"
    ended: float | None = None
    log: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.until = self.begun + _SPREAD
        self.happened("DEPLOYMENT_STARTED", "USER", "Deployment started", self.begun)

    def happened(self, kind: str, by: str, text: str, at: float) -> None:
        """Note an event; the newest is told first."""
        self.log.insert(0, {"EventType": kind, "TriggeredBy": by, "Description": text, "OccurredAt": _stamp(at)})

    def settle(self, now: float) -> None:
        """Bring the state to this moment."""
        if self.state == "DEPLOYING" and now >= self.until:
            at, bake = self.until, self.strategy["FinalBakeTimeInMinutes"]
            self.happened("PERCENTAGE_UPDATED", "APPCONFIG", "Configuration available to 100.00% of clients", at)
            self.state, self.until = "BAKING", at + 60 * bake
            if bake:
                self.happened("BAKE_TIME_STARTED", "APPCONFIG", f"Deployment bake time started for {bake} minutes", at)
        if self.state == "BAKING" and now >= self.until:
            self._end("COMPLETE", "DEPLOYMENT_COMPLETED", "APPCONFIG", "Deployment completed")
        if self.state == "ROLLING_BACK" and now >= self.until:
            self._end("ROLLED_BACK", "ROLLBACK_COMPLETED", "APPCONFIG", "Rollback completed")

    def _end(self, state: str, kind: str, by: str, text: str) -> None:
        self.state, self.ended = state, self.until
        self.happened(kind, by, text, self.until)

    def back(self, by: str, text: str, now: float) -> None:
        """Go back to what was before."""
        self.state, self.until = "ROLLING_BACK", now + _SPREAD
        self.happened("ROLLBACK_STARTED", by, text, now)

    def revert(self, now: float) -> None:
        self.until = now
        self._end("REVERTED", "REVERT_COMPLETED", "USER", "Revert completed")

    @property
    def live(self) -> bool:
        """Whether clients are given it, if it is the newest of its profile that is."""
        return self.state in ("BAKING", "COMPLETE")

    def summary(self) -> dict[str, Any]:
        """Return it as DeploymentSummary has it."""
        told = {
            "DeploymentNumber": self.number,
            "ConfigurationProfileId": self.profile.id,
            "ConfigurationName": self.profile.name,
            "ConfigurationVersion": str(self.version.version),
            **{key: self.strategy[key] for key in ("DeploymentDurationInMinutes", "GrowthType", "GrowthFactor")},
            "FinalBakeTimeInMinutes": self.strategy["FinalBakeTimeInMinutes"],
            "State": self.state,
            "PercentageComplete": 100.0 if self.live else 0.0,
            "StartedAt": _stamp(self.begun),
            "CompletedAt": None if self.ended is None else _stamp(self.ended),
        }
        return {key: value for key, value in told.items() if value is not None}


@dataclass
class Environment:
    """Of an application: what watches over its deployments, of which one runs at a time."""

    application: str
    name: str
    description: str | None
    monitors: list[dict[str, str]]
    id: str = field(default_factory=lambda: mock_random.get_random_hex(7))
    deployments: list[Deployment] = field(default_factory=list)

    def settled(self) -> list[Deployment]:
        """Return its deployments as of now, the newest first."""
        for deployment in self.deployments:
            deployment.settle(CloudWatch.clock.now())
        return self.deployments[::-1]

    def open(self) -> Deployment | None:
        return next((each for each in self.settled() if each.state in _OPEN), None)

    def live(self, profile: str) -> HostedConfigurationVersion | None:
        """Return what the clients of a profile are given."""
        return next((each.version for each in self.settled() if each.profile.id == profile and each.live), None)

    def told(self) -> dict[str, Any]:
        last = self.settled()[0].state if self.deployments else "COMPLETE"
        state = {"COMPLETE": "READY_FOR_DEPLOYMENT", "BAKING": "DEPLOYING"}.get(last, last)
        return {
            "ApplicationId": self.application,
            "Id": self.id,
            "Name": self.name,
            **({"Description": self.description} if self.description is not None else {}),
            "State": state,
            "Monitors": self.monitors,
        }


@dataclass
class Session:
    """Of one client: what it was told last, and when it may ask again."""

    environment: Environment
    profile: ConfigurationProfile
    every: int
    asked: datetime | None = None
    told: HostedConfigurationVersion | None = None


class AppConfig(AppConfigBackend):
    """Keeps what moto has not; deletes nothing that something still needs."""

    __module__ = AppConfigBackend.__module__

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.environments: dict[str, Environment] = {}
        self.strategies: dict[str, dict[str, Any]] = {}
        self.sessions: dict[str, Session] = {}
        """By the token with which the next question must come."""

    def application(self, name: str) -> Application:
        """Return an application by its id or its name."""
        found = [each for each in self.applications.values() if name in (each.id, each.name)]
        if not found:
            raise AppNotFoundException
        return found[0]

    def profile(self, application: Application, name: str) -> ConfigurationProfile:
        """Return a profile by its id or its name."""
        for each in application.config_profiles.values():
            if name in (each.id, each.name):
                return each
        raise _missing("Configuration profile", name)

    def environment(self, application: Application, name: str) -> Environment:
        """Return an environment by its id or its name."""
        for each in self.environments.values():
            if each.application == application.id and name in (each.id, each.name):
                return each
        raise _missing("Environment", name)

    def strategy(self, identifier: str) -> dict[str, Any]:
        if identifier not in self.strategies:
            raise _missing("Deployment strategy", identifier)
        return self.strategies[identifier]

    def delete_application(self, app_id: str) -> None:
        application = self.get_application(app_id)
        within = any(each.application == app_id for each in self.environments.values())
        if within or application.config_profiles:
            raise RefusedError("BadRequest", "The application has environments or configuration profiles")
        super().delete_application(app_id)

    def delete_configuration_profile(self, app_id: str, config_profile_id: str) -> None:
        if self.get_configuration_profile(app_id, config_profile_id).config_versions:
            raise RefusedError("Conflict", "The configuration profile has hosted configuration versions")
        super().delete_configuration_profile(app_id, config_profile_id)

    def delete_hosted_configuration_version(self, app_id: str, config_profile_id: str, version: int) -> None:
        self.get_hosted_configuration_version(app_id, config_profile_id, version)
        super().delete_hosted_configuration_version(app_id, config_profile_id, version)

    def monitors(self, given: list[dict[str, str]]) -> list[dict[str, str]]:
        """Return what may watch over deployments: an alarm, and a role that AppConfig may take for asking it."""
        if len(given) > _MONITORS:
            raise RefusedError("BadRequest", f"An environment has at most {_MONITORS} monitors")
        for monitor in given:
            if not re.fullmatch(r"arn:aws:cloudwatch:[a-z0-9-]+:\d{12}:alarm:.+", monitor["AlarmArn"]):
                raise RefusedError("BadRequest", f"{monitor['AlarmArn']} is no ARN of an alarm")
            try:
                role = iam_backends[self.account_id]["aws"].get_role_by_arn(monitor.get("AlarmRoleArn", ""))
            except NotFoundException as error:
                raise RefusedError("BadRequest", "The role of a monitor does not exist") from error
            if "appconfig.amazonaws.com" not in json.dumps(role.assume_role_policy_document):
                raise RefusedError("BadRequest", f"AppConfig cannot assume {role.arn}")
        return given

    def start(self, environment: Environment, profile: ConfigurationProfile, given: Mapping[str, Any]) -> Deployment:
        """Begin a deployment; one whose alarm fires already goes back at once."""
        if environment.open():
            raise RefusedError("Conflict", "The environment has a deployment in progress")
        strategy, wanted = self.strategy(given["DeploymentStrategyId"]), str(given["ConfigurationVersion"])
        version = next((each for each in profile.config_versions.values() if str(each.version) == wanted), None)
        if version is None:
            raise _missing("Configuration version", wanted)
        number, now = len(environment.deployments) + 1, CloudWatch.clock.now()
        made = Deployment(number, profile, version, strategy, given.get("Description"), now)
        environment.deployments.append(made)
        for monitor in environment.monitors:
            self.watch(environment, monitor["AlarmArn"])
        return made

    def stop(self, environment: Environment, number: int, *, revert: bool) -> Deployment:
        """Take a deployment back. A complete one only if asked to, within 72 hours, and only the last."""
        found = next((each for each in environment.settled() if each.number == number), None)
        if found is None:
            raise _missing("Deployment", str(number))
        now = CloudWatch.clock.now()
        if found.state == "DEPLOYING" or (revert and found.state == "BAKING"):
            found.back("USER", "Rollback initiated by a user", now)
        elif (
            revert
            and found.state == "COMPLETE"
            and number == len(environment.deployments)
            and now < found.until + _REVERT
        ):
            found.revert(now)
        else:
            raise RefusedError("BadRequest", f"Deployment {number} is {found.state} and cannot be stopped")
        return found

    def watch(self, environment: Environment, arn: str) -> None:
        """Take the open deployment back if this monitor's alarm fires, or does not know (user guide, monitoring)."""
        alarm = cloudwatch_backends[self.account_id][arn.split(":")[3]].alarms.get(arn.split(":", 6)[6])
        if alarm is None or alarm.state_value == "OK" or not alarm.actions_enabled:
            return
        open_ = environment.open()
        if open_ and open_.state != "ROLLING_BACK":
            open_.back("CLOUDWATCH_ALARM", f"Rollback initiated by CloudWatch alarm {arn}", CloudWatch.clock.now())

    def session(self, session: Session) -> str:
        """Return the token of a session's next question."""
        token = mock_random.get_random_hex(64)
        self.sessions[token] = session
        return token


def _changed(account: str, event: Mapping[str, Any]) -> None:
    backend = appconfig_backends[account][event["region"]]
    assert isinstance(backend, AppConfig)
    (arn,) = event["resources"]
    for environment in backend.environments.values():
        if any(monitor["AlarmArn"] == arn for monitor in environment.monitors):
            backend.watch(environment, arn)


def problems(content: str | bytes) -> Iterator[str]:
    """Return why content is none of a profile of feature flags, as far as hueshift's goes; other things are refused."""
    try:
        whole = json.loads(content)
        version, flags, values = whole["version"], whole["flags"], whole.get("values", {})
    except (ValueError, TypeError, KeyError):
        yield "the content is no JSON object with version, flags and values"
        return
    if version != "1" or whole.keys() - {"version", "flags", "values"}:
        yield 'version is not "1", or there are other keys'
    for name in values.keys() - flags.keys():
        yield f"{name} has values and is no flag"
    for name, flag in flags.items():
        if not re.fullmatch(r"[a-z][A-Za-z\d_-]{0,63}", name) or not flag.get("name"):
            yield f"{name} has no name, or is none"
        if flag.keys() - {"name", "description", "attributes", "_deprecation"}:
            yield f"{name}: unknown keys"
        value = values.get(name, {"enabled": False})
        if not isinstance(value.get("enabled"), bool):
            yield f"{name}: enabled is not true or false"
        attributes = flag.get("attributes", {})
        for each in value.keys() - {"enabled", "_createdAt", "_updatedAt", *attributes}:
            yield f"{name}: {each} is no attribute"
        for each, attribute in attributes.items():
            yield from (
                f"{name}.{each} {reason}" for reason in _attribute(attribute.get("constraints", {}), value.get(each))
            )


def _attribute(constraints: Mapping[str, Any], value: object) -> Iterator[str]:
    kind = constraints.get("type")
    known = {"number": (int, float), "boolean": (bool,), "string": (str,)}
    if kind not in known:
        yield f"has the type {kind}"
    elif value is None:
        if constraints.get("required"):
            yield "is required"
    elif not isinstance(value, known[kind]) or (kind == "number" and isinstance(value, bool)):
        yield f"is no {kind}"
    elif isinstance(value, int | float) and not constraints.get("minimum", value) <= value <= constraints.get(
        "maximum", value
    ):
        yield "is out of range"


class Answers(AppConfigResponse):
    """The calls that moto lacks, and what it leaves out of those that it has."""

    @property
    def _known(self) -> AppConfig:
        backend = self.appconfig_backend
        assert isinstance(backend, AppConfig)
        return backend

    def _application(self) -> Application:
        return self._known.application(self._get_param("ApplicationId"))

    def _environment(self) -> Environment:
        return self._known.environment(self._application(), self._get_param("EnvironmentId"))

    def _tagged(self, kind: str, identifier: str, within: str = "") -> None:
        place = f"arn:aws:appconfig:{self.region}:{self.current_account}:{within}{kind}/{identifier}"
        self._known.tag_resource(place, self._get_param("Tags") or {})

    def create_application(self) -> str:
        made = self._known.create_application(
            self._get_param("Name"), self._get_param("Description"), self._get_param("Tags") or {}
        )
        return json.dumps(made.to_json())

    def list_applications(self) -> str:
        return json.dumps({"Items": [each.to_json() for each in self._known.applications.values()]})

    def create_environment(self) -> str:
        application, name = self._application(), self._get_param("Name")
        made = Environment(
            application.id,
            name,
            self._get_param("Description"),
            self._known.monitors(self._get_param("Monitors") or []),
        )
        self._known.environments[made.id] = made
        self._tagged("environment", made.id, f"application/{application.id}/")
        return json.dumps(made.told())

    def get_environment(self) -> str:
        return json.dumps(self._environment().told())

    def update_environment(self) -> str:
        found = self._environment()
        found.name = self._get_param("Name") or found.name
        if (description := self._get_param("Description")) is not None:
            found.description = description
        if (monitors := self._get_param("Monitors")) is not None:
            found.monitors = self._known.monitors(monitors)
        return json.dumps(found.told())

    def delete_environment(self) -> str:
        found = self._environment()
        if found.open():
            raise RefusedError("Conflict", "The environment has a deployment in progress")
        del self._known.environments[found.id]
        return "{}"

    def list_environments(self) -> str:
        application = self._application()
        found = [each.told() for each in self._known.environments.values() if each.application == application.id]
        return json.dumps({"Items": found})

    def create_deployment_strategy(self) -> str:
        names = ("Name", "Description", "DeploymentDurationInMinutes", "GrowthType", "GrowthFactor", "ReplicateTo")
        given = {name: self._get_param(name) for name in names}
        given["GrowthType"] = given["GrowthType"] or "LINEAR"
        given["FinalBakeTimeInMinutes"] = self._get_param("FinalBakeTimeInMinutes") or 0
        if given["DeploymentDurationInMinutes"] or float(given["GrowthFactor"]) != 100:
            raise RefusedError("BadRequest", "here only strategies without a duration are served, with a growth of 100")
        if any(each["Name"] == given["Name"] for each in self._known.strategies.values()):
            raise RefusedError("BadRequest", f"A deployment strategy is named {given['Name']}")
        made = {"Id": mock_random.get_random_hex(7), **{key: each for key, each in given.items() if each is not None}}
        self._known.strategies[made["Id"]] = made
        self._tagged("deploymentstrategy", made["Id"])
        return json.dumps(made)

    def get_deployment_strategy(self) -> str:
        return json.dumps(self._known.strategy(self._get_param("DeploymentStrategyId")))

    def update_deployment_strategy(self) -> str:
        found = self._known.strategy(self._get_param("DeploymentStrategyId"))
        for name in ("Description", "FinalBakeTimeInMinutes"):
            if (value := self._get_param(name)) is not None:
                found[name] = value
        return json.dumps(found)

    def delete_deployment_strategy(self) -> str:
        del self._known.strategies[self._known.strategy(self._get_param("DeploymentStrategyId"))["Id"]]
        return "{}"

    def list_deployment_strategies(self) -> str:
        return json.dumps({"Items": list(self._known.strategies.values())})

    def create_hosted_configuration_version(self) -> tuple[str, dict[str, Any]]:
        profile = self._known.profile(self._application(), self._get_param("ConfigurationProfileId"))
        if len(profile.config_versions) >= _VERSIONS:
            raise RefusedError("ServiceQuotaExceeded", f"The profile has {_VERSIONS} versions; delete one or more")
        latest, body = self.headers.get("Latest-Version-Number"), self.body
        if latest is not None and int(latest) != max(profile.config_versions, default=0):
            raise RefusedError("Conflict", f"The latest version is not {latest}")
        if profile._type == FLAGS and (found := list(problems(body))):  # noqa: SLF001
            raise RefusedError("BadRequest", "; ".join(found))
        return super().create_hosted_configuration_version()

    def list_hosted_configuration_versions(self) -> str:
        profile = self._known.profile(self._application(), self._get_param("ConfigurationProfileId"))
        found = [
            {
                "ApplicationId": profile.application_id,
                "ConfigurationProfileId": profile.id,
                "VersionNumber": each.version,
                "ContentType": each.content_type,
                **({"Description": each.description} if each.description else {}),
            }
            for each in sorted(profile.config_versions.values(), key=lambda one: one.version, reverse=True)
        ]
        return json.dumps({"Items": found})

    def start_deployment(self) -> str:
        profile = self._known.profile(self._application(), self._get_param("ConfigurationProfileId"))
        given = {
            name: self._get_param(name) for name in ("DeploymentStrategyId", "ConfigurationVersion", "Description")
        }
        return self._told(self._known.start(self._environment(), profile, given))

    def get_deployment(self) -> str:
        number = int(self._get_param("DeploymentNumber"))
        for each in self._environment().settled():
            if each.number == number:
                return self._told(each)
        raise _missing("Deployment", str(number))

    def list_deployments(self) -> str:
        return json.dumps({"Items": [each.summary() for each in self._environment().settled()]})

    def stop_deployment(self) -> str:
        revert = self.headers.get("Allow-Revert", "").lower() == "true"
        number = int(self._get_param("DeploymentNumber"))
        return self._told(self._known.stop(self._environment(), number, revert=revert))

    def _told(self, deployment: Deployment) -> str:
        environment = self._environment()
        return json.dumps(
            {
                **deployment.summary(),
                "ApplicationId": environment.application,
                "EnvironmentId": environment.id,
                "DeploymentStrategyId": deployment.strategy["Id"],
                "ConfigurationLocationUri": "hosted",
                "Description": deployment.description or "",
                "EventLog": deployment.log,
            }
        )


class Data(BaseResponse):
    """The two calls of services, each with the token of the answer before."""

    def __init__(self) -> None:
        super().__init__(service_name="appconfigdata")

    @property
    def _known(self) -> AppConfig:
        backend = appconfig_backends[self.current_account][self.region]
        assert isinstance(backend, AppConfig)
        return backend

    def start_configuration_session(self) -> str:
        known = self._known
        application = known.application(self._get_param("ApplicationIdentifier"))
        every = int(self._get_param("RequiredMinimumPollIntervalInSeconds") or _POLL)
        if not _SHORTEST_POLL <= every <= _LONGEST_POLL:
            raise RefusedError("BadRequest", f"The interval is {_SHORTEST_POLL} to {_LONGEST_POLL} seconds")
        session = Session(
            known.environment(application, self._get_param("EnvironmentIdentifier")),
            known.profile(application, self._get_param("ConfigurationProfileIdentifier")),
            every,
        )
        return json.dumps({"InitialConfigurationToken": known.session(session)})

    def get_latest_configuration(self) -> tuple[int, dict[str, Any], bytes]:
        """Answer with nothing if nothing has changed for this session. A token is good for one question."""
        known, now = self._known, datetime.now(UTC)
        token = self._get_param("configuration_token")
        session = known.sessions.get(token)
        if session is None:
            raise RefusedError("BadRequest", "The configuration token is not valid")
        if session.asked and (now - session.asked).total_seconds() < session.every:
            raise RefusedError("BadRequest", "Request too early")
        live = session.environment.live(session.profile.id)
        if live is None:
            raise _missing("A deployed configuration of", session.profile.name)
        del known.sessions[token]
        content = b"" if live is session.told else _given(live, session.profile)
        session.asked, session.told = now, live
        headers = {
            "Next-Poll-Configuration-Token": known.session(session),
            "Next-Poll-Interval-In-Seconds": str(session.every),
            "Content-Type": live.content_type,
        }
        return int(HTTPStatus.OK), headers, content


def _given(version: HostedConfigurationVersion, profile: ConfigurationProfile) -> bytes:
    """Return what clients get: of feature flags the values, of those that are off nothing else."""
    content: Any = version.content  # text or bytes, as it came
    if profile._type != FLAGS:  # noqa: SLF001
        return content if isinstance(content, bytes) else str(content).encode()
    values = json.loads(content).get("values", {})
    return json.dumps(
        {
            name: {key: each for key, each in value.items() if not key.startswith("_")}
            if value["enabled"]
            else {"enabled": False}
            for name, value in values.items()
        }
    ).encode()


def fill() -> None:
    """Put the subclasses in moto's place, add the paths of the calls, and hear of alarms."""
    appconfig_backends.backend = AppConfig
    application = "{0}/applications/(?P<ApplicationId>[^/]+)"
    environment = f"{application}/environments/(?P<EnvironmentId>[^/]+)"
    paths = (
        *urls.url_paths,
        f"{application}/environments$",
        f"{environment}$",
        f"{environment}/deployments$",
        f"{environment}/deployments/(?P<DeploymentNumber>[^/]+)$",
        "{0}/deploymentstrategies$",
        "{0}/deploymentstrategies/(?P<DeploymentStrategyId>[^/]+)$",
        "{0}/deployementstrategies/(?P<DeploymentStrategyId>[^/]+)$",  # the API's own spelling, of DELETE
        "{0}/tags/(?P<ResourceArn>.+)$",
    )
    for path in paths:
        urls.url_paths[path] = Answers().dispatch
    urls.url_bases.append(r"https?://appconfigdata\.(.+)\.amazonaws\.com")
    urls.url_paths["{0}/configurationsessions$"] = Data().dispatch
    urls.url_paths["{0}/configuration$"] = Data().dispatch
    if _changed not in events.HEARD:
        events.HEARD.append(_changed)
