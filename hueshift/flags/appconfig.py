"""The flags of one service in AWS AppConfig: asked, written and deployed."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from botocore.config import Config
from botocore.exceptions import ClientError

from components.model import flag_strategy, flags_application
from hueshift.flags.content import EMPTY, Content, Deployment, live, under_way
from hueshift.report import RefusedError
from hueshift.stack import Place

_PATIENCE: Final = 120
"""Seconds for a deployment to all pods, or its way back: both take AppConfig some seconds."""
_SOON: Final = Config(connect_timeout=3, read_timeout=10)
_KEPT: Final = 50
"""Versions of the content."""
_PAUSE: Final = 1.0
"""Seconds between two looks."""


class AppConfig:
    """The environment and the profile of a service, which bear its name."""

    def __init__(self, there: Place, service: str) -> None:
        """Find them. Raises ``RefusedError`` if an update has not made them yet."""
        self._api: Any = there.client("appconfig", _SOON)
        self._there, self._service = there, service
        application = self._id("list_applications", flags_application(there.environment))
        within = {"ApplicationId": application}
        self._environment = {**within, "EnvironmentId": self._id("list_environments", service, **within)}
        self.profile = self._id("list_configuration_profiles", service, **within)
        self._profile = {**within, "ConfigurationProfileId": self.profile}

    def deployments(self) -> Sequence[Deployment]:
        """Return those of the environment, the newest first."""
        return self._listed("list_deployments", **self._environment)

    def reason(self, deployment: Deployment) -> str:
        """Return why AppConfig took a deployment back."""
        whole = self._api.get_deployment(**self._environment, DeploymentNumber=deployment["DeploymentNumber"])
        events = (each for each in whole["EventLog"] if each["EventType"] == "ROLLBACK_STARTED")
        return str(next((each.get("Description", "") for each in events), "no reason is told"))

    def content(self, deployment: Deployment | None) -> Content:
        """Return what a deployment gives to the pods; of none, no flag."""
        if deployment is None:
            return EMPTY
        number = int(deployment["ConfigurationVersion"])
        try:
            answer = self._api.get_hosted_configuration_version(**self._profile, VersionNumber=number)
        except ClientError as error:
            if error.response["Error"].get("Code") == "ResourceNotFoundException":  # somebody has deleted the version
                return EMPTY
            raise
        found: Content = json.loads(answer["Content"].read())
        return found

    def deploy(self, content: Content, kind: str, why: str) -> Deployment:
        """Store a version of the content and begin its deployment.

        Raises ``RefusedError`` if somebody else was faster; then nothing has changed for anybody.
        """
        strategy = self._id("list_deployment_strategies", flag_strategy(self._there.environment, kind))
        versions = self._versions()
        latest = {"LatestVersionNumber": max(each["VersionNumber"] for each in versions)} if versions else {}
        try:
            version = self._api.create_hosted_configuration_version(
                **self._profile, **latest, Content=json.dumps(content).encode(), ContentType="application/json"
            )["VersionNumber"]
            begun: Deployment = self._api.start_deployment(
                **self._environment,
                ConfigurationProfileId=self.profile,
                ConfigurationVersion=str(version),
                DeploymentStrategyId=strategy,
                Description=why,
            )
        except ClientError as error:
            if error.response["Error"].get("Code") == "ConflictException":
                raise RefusedError(
                    f"somebody else has changed the flags of {self._service} meanwhile; look, and try again: "
                    f"hueshift flags status --stack {self._there.name}"
                ) from None
            raise
        return begun

    def watched(self) -> None:
        """Refuse a step that nothing would take back, or that AppConfig would take back at once.

        An alarm that does not know is one that fires, for it (user guide, Monitoring deployments).
        """
        monitors = self._api.get_environment(**self._environment)["Monitors"]
        names = [each["AlarmArn"].split(":", 6)[6] for each in monitors]
        if not names:
            raise RefusedError(
                f"{self._service}: no alarm watches its flags; an update with --refresh puts them back: "
                f"pulumi up --refresh --stack {self._there.name}"
            )
        cloudwatch: Any = self._there.client("cloudwatch", _SOON)
        alarms = cloudwatch.describe_alarms(AlarmNames=names)["MetricAlarms"]
        states = {alarm["AlarmName"]: alarm["StateValue"] for alarm in alarms}
        for name in names:
            if name not in states:
                raise RefusedError(
                    f"there is no alarm {name}, which is to watch the flags of {self._service}: pulumi up --refresh "
                    f"--stack {self._there.name}"
                )
            if states[name] != "OK":
                raise RefusedError(
                    f"{name} is {states[name]}: AppConfig would take the step back at once; wait until it is OK"
                )

    @contextmanager
    def unwatched(self) -> Iterator[None]:
        """Take the alarms away meanwhile: AppConfig takes back what begins while one fires, an "off" as well."""
        monitors = self._api.get_environment(**self._environment)["Monitors"]
        self._api.update_environment(**self._environment, Monitors=[])
        try:
            yield
        finally:
            self._api.update_environment(**self._environment, Monitors=monitors)

    def stop(self, open_: Deployment, say: Callable[[str], None]) -> None:
        """Take back the step that is under way, or wait for what nobody watches: it turns another flag off."""
        number, watched = open_["DeploymentNumber"], open_["FinalBakeTimeInMinutes"] > 0
        say(f"deployment {number} is taken back" if watched else f"waits for deployment {number}")

        def ended() -> bool:
            now = under_way(self.deployments())
            if now is None or now["DeploymentNumber"] != number:
                return True
            if watched and now["State"] in ("DEPLOYING", "BAKING"):
                try:
                    self._api.stop_deployment(**self._environment, DeploymentNumber=number, AllowRevert=True)
                except ClientError as error:
                    # It may have ended by itself since it was listed.
                    if error.response["Error"].get("Code") != "BadRequestException":
                        raise
            return False

        self._wait(ended, f"the end of deployment {number}")

    def tidy(self) -> None:
        """Delete the oldest versions, of which a profile takes a hundred; an "off" would fail for one too many."""
        given = live(self.deployments(), self.profile)
        versions = sorted(each["VersionNumber"] for each in self._versions())
        for number in versions[:-_KEPT]:
            if given is None or number != int(given["ConfigurationVersion"]):
                self._api.delete_hosted_configuration_version(**self._profile, VersionNumber=number)

    def wait(self, begun: Deployment) -> None:
        """Wait until a deployment is given to all pods. Raises ``RefusedError`` if it was taken back."""
        number = begun["DeploymentNumber"]

        def ended() -> bool:
            found = next(each for each in self.deployments() if each["DeploymentNumber"] == number)
            if found["State"] not in ("VALIDATING", "DEPLOYING", "BAKING", "COMPLETE"):
                raise RefusedError(f"AppConfig took deployment {number} back: {self.reason(found)}")
            return bool(found["State"] in ("BAKING", "COMPLETE"))

        self._wait(ended, f"deployment {number} to reach all pods")

    def now(self) -> tuple[Sequence[Deployment], Content]:
        """Return the deployments, and what the pods are given."""
        deployments = self.deployments()
        return deployments, self.content(live(deployments, self.profile))

    def _wait(self, holds: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not holds():
            if time.monotonic() > deadline:
                raise RefusedError(
                    f"AppConfig needs more than {_PATIENCE} s for {what}; look again: hueshift flags status "
                    f"--stack {self._there.name}"
                )
            time.sleep(_PAUSE)

    def _listed(self, operation: str, **given: str) -> Sequence[Mapping[str, Any]]:
        pages = self._api.get_paginator(operation).paginate(**given)
        return [each for page in pages for each in page["Items"]]

    def _versions(self) -> Sequence[Mapping[str, Any]]:
        return self._listed("list_hosted_configuration_versions", **self._profile)

    def _id(self, operation: str, name: str, **given: str) -> str:
        found = [str(each["Id"]) for each in self._listed(operation, **given) if each["Name"] == name]
        if not found:
            what = operation.removeprefix("list_").replace("_", " ")
            raise RefusedError(
                f"AppConfig has none of its {what} called {name}: an update makes it, pulumi up --stack "
                f"{self._there.name}"
            )
        return found[0]
