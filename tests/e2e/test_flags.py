"""Feature flags under load: who sees one, an alarm that takes a step back, and off in seconds."""

import json
import time
from collections.abc import Iterator
from functools import partial

import boto3
import jwt
import pytest
import yaml

from app.flags import INTERVAL, part
from components.service.feature_flags import ALARMS
from sandbox import fakes, paths
from tests.e2e import cloud
from tests.e2e.cloud import HOST, Load

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600), pytest.mark.incremental]

SOON = INTERVAL + 15
"""Seconds until every pod has asked again, and some for what is between."""
USERS = [f"user-{number}" for number in range(40)]
ALARM = "sandbox-shop-blue-errors"


@pytest.fixture(scope="module", autouse=True)
def flagged() -> Iterator[None]:
    """Give the service a flag, and its pods a way to AppConfig, while these tests run."""
    with cloud.stack_file() as file:
        content = yaml.safe_load(file.read_text())
        shop = content["config"]["hueshift:services"]["shop"]
        shop["flags"] = {"checkout": {"description": "Short checkout", "owner": "team-shop", "expires": "2099-06-01"}}
        # On EKS the pod's role has the key, and the SDK knows the endpoint.
        shop["env"] |= {
            "AWS_ENDPOINT_URL_APPCONFIGDATA": paths.AWS_FOR_PODS,
            "AWS_DEFAULT_REGION": paths.REGION,
            "AWS_ACCESS_KEY_ID": "sandbox",
            "AWS_SECRET_ACCESS_KEY": "sandbox",
        }
        shop["notSecrets"] = ["AWS_SECRET_ACCESS_KEY"]
        shop["egress"].append({"cidr": f"{paths.HOST_IP}/32", "ports": [int(paths.AWS_FOR_PODS.rpartition(":")[2])]})
        file.write_text(yaml.safe_dump(content, sort_keys=False))
        cloud.update()
        try:
            yield
        finally:
            empty()


def empty() -> None:
    """Delete what AppConfig keeps of the content, as a person does before the last flag of a service goes."""
    api = boto3.client("appconfig")
    for application in api.list_applications()["Items"]:
        for environment in api.list_environments(ApplicationId=application["Id"])["Items"]:
            within = {"ApplicationId": application["Id"], "EnvironmentId": environment["Id"]}
            for deployment in api.list_deployments(**within)["Items"]:
                if deployment["State"] in {"DEPLOYING", "BAKING"}:
                    number = deployment["DeploymentNumber"]
                    api.stop_deployment(**within, DeploymentNumber=number, AllowRevert=True)
                    time.sleep(2)
        for profile in api.list_configuration_profiles(ApplicationId=application["Id"])["Items"]:
            place = {"ApplicationId": application["Id"], "ConfigurationProfileId": profile["Id"]}
            for version in api.list_hosted_configuration_versions(**place)["Items"]:
                api.delete_hosted_configuration_version(**place, VersionNumber=version["VersionNumber"])


def flags(*arguments: str, check: bool = True) -> str:
    done = cloud.run("hueshift", "flags", *arguments, "--stack", "sandbox", check=check)
    return done.stdout + done.stderr


def seen(user: str, color: str, **claims: object) -> bool | None:
    """Return whether a user of this color sees the flag; None where the pod that answers knows of none."""
    content = {"sub": user, "exp": time.time() + 600, **claims}
    token = jwt.encode(content, fakes.SECRET_VALUES["JWT_SECRET"], algorithm="HS256")
    headers = ["--header", f"authorization: Bearer {token}"]
    if color == "green":
        headers += ["--header", "x-canary: true"]
    status, answered, body = cloud.curl(f"https://{HOST}/flags", *headers)
    assert (status, answered["x-color"]) == (200, color)
    found: bool | None = json.loads(body)["flags"].get("checkout")
    return found


def shown(expected: bool, user: str, color: str, **claims: object) -> bool:
    return bool(seen(user, color, **claims)) is expected


def everywhere(percent: int, *, internal: bool) -> float:
    """Wait until every pod of both colors shows the flag to so many; return how long it took, in seconds."""
    began = time.monotonic()
    expected = {user: part("checkout", user) < percent for user in USERS}
    for color in ("blue", "green"):
        for user, sees in expected.items():
            cloud.wait_until(f"{user} of {color} sees the flag: {sees}", partial(shown, sees, user, color), SOON)
        colleague = partial(shown, internal, "colleague", color, internal=True)
        cloud.wait_until(f"a colleague in {color} sees the flag: {internal}", colleague, SOON)
    return time.monotonic() - began


def quiet() -> bool:
    """Whether every alarm that watches the flags is OK."""
    names = [f"sandbox-shop-{color}-{alarm}" for color in ("blue", "green") for alarm in ALARMS]
    alarms = boto3.client("cloudwatch").describe_alarms(AlarmNames=names)["MetricAlarms"]
    return [alarm["StateValue"] for alarm in alarms] == ["OK"] * 4


@pytest.fixture(autouse=True)
def under_load() -> Iterator[None]:
    """Send requests all the while, of which none may fail."""
    load = Load(limit=500, rate=50)
    yield
    assert [answer for answer in load.stop() if answer.code != 200] == []


def test_a_step_shows_the_flag_to_its_share_of_the_users_and_to_colleagues_in_both_colors() -> None:
    everywhere(0, internal=False)
    cloud.wait_until("no alarm fires that tests before may have left", quiet, 240)
    flags("set", "shop", "checkout", "--percent", "25", "--internal")
    everywhere(25, internal=True)
    refused = cloud.run(
        "hueshift", "flags", "set", "shop", "checkout", "--percent", "50", "--stack", "sandbox", check=False
    )
    assert refused.returncode != 0
    assert "hueshift flags off" in refused.stdout + refused.stderr


def test_an_alarm_takes_the_step_back_without_anybody() -> None:
    boto3.client("cloudwatch").set_alarm_state(AlarmName=ALARM, StateValue="ALARM", StateReason="a test")
    everywhere(0, internal=False)
    assert ALARM in flags("status")


def test_off_is_everywhere_within_seconds_though_a_step_is_still_watched() -> None:
    cloud.wait_until("the alarm is over", quiet, 240)
    flags("set", "shop", "checkout", "--percent", "100")
    everywhere(100, internal=True)
    flags("off", "shop", "checkout")
    assert everywhere(0, internal=False) < SOON
    assert cloud.pulumi("preview", "--expect-no-changes", "--refresh").returncode == 0
