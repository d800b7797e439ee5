"""Every command on the pages for operators, run as it stands there on a production stack that the pages make.

Only names are put in the place of names: of the environment, of hosts and images, of what a person would look up.
The tests run in this order, each on what the one before has left.
"""

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import boto3
import psycopg
import pytest
import requests
import yaml
from psycopg import sql

from sandbox import ca, fakes, images, paths
from tests.e2e import cloud
from tests.support.pages import Block, commands
from tests.support.shell import Shell

pytestmark = [pytest.mark.e2e, pytest.mark.incremental, pytest.mark.timeout(240)]

ENVIRONMENT = "ops-production"
NAMESPACE = f"{ENVIRONMENT}-shop"
HOST = "shop.ops.example.com"
DATABASE = "ops"
SCHEMAS = {"1.5.0": "0002", "1.6.0": "0003"}
"""What each version needs."""
NOWHERE = "9.9.9"
"""A version whose image is in no registry."""
VALUES = {
    key: value.removesuffix("/shop") + f"/{DATABASE}" if key.endswith("URL") else value
    for key, value in fakes.SECRET_VALUES.items()
}
NOT_HERE = {
    "dig +short shop.example.com      # addresses of the load balancer": "no name server knows the local cloud",
    "dig +short CAA example.com": "no name server knows the local cloud",
    "dig +short NS example.com": "no name server knows the local cloud",
    "aws eks update-kubeconfig --name production": "the local cloud's cluster is not one of EKS",
}
"""Blocks that cannot run here, each with the reason."""


class Desk:
    """Where an operator sits: a clean clone, a shell in the local cloud, and the pages."""

    def __init__(self, folder: Path, digests: dict[str, str], certificate: str) -> None:
        self.folder = folder
        self.ran: set[str] = set()
        """The text of each block that was run."""
        self.digests = digests
        self._certificate = certificate

    def shell(self, text: str, *, fails: bool = False) -> str:
        """Run a script as it is written; return its standard output and error."""
        done = self._shell.script(text, check=False)
        told = done.stdout + done.stderr
        assert (done.returncode != 0) == fails, f"{text}\nended with {done.returncode}\n{told}"
        return told

    @property
    def _shell(self) -> Shell:
        """A shell in which pulumi asks nothing and shows no preview first."""
        variables = {
            "CURL_HOME": str(self.folder.parent),
            "PULUMI_OPTION_YES": "true",
            "PULUMI_OPTION_SKIP_PREVIEW": "true",
            "PULUMI_OPTION_COLOR": "never",
        }
        return Shell(folder=self.folder, variables=variables)

    def text(self, block: Block, **names: str) -> str:
        """Return the block with the names of here."""
        text = block.text.replace("production", ENVIRONMENT).replace(f"-traffic-{ENVIRONMENT}", "-traffic-production")
        version = next((version for version in SCHEMAS if version in text), "1.6.0")
        for name, value in (
            {
                "example.com": HOST.partition(".")[2],
                "REPOSITORY@sha256:DIGEST": self.digests[version],
                "ARN": self._certificate,
            }
            | names
        ).items():
            text = re.sub(rf"\b{re.escape(name)}\b", value, text)
        return text

    def run(self, page: str, heading: str, *numbers: int, fails: bool = False, **names: str) -> str:
        """Run the blocks under a heading, or those of them with these numbers, from 0; return what was told."""
        found = [block for block in commands() if (block.page, block.heading) == (page, heading)]
        assert found, f"no block under {heading} in {page}"
        told = ""
        for number in numbers or range(len(found)):
            told += self.shell(self.text(found[number], **names), fails=fails)
            self.ran.add(found[number].text)
        return told

    def begun(self, text: str) -> AbstractContextManager[subprocess.Popen[bytes]]:
        """Start a script, and kill what is left of it at the end."""
        return self._shell.started("bash", "-c", text)

    @property
    def file(self) -> Path:
        """The stack file."""
        return self.folder / f"Pulumi.{ENVIRONMENT}.yaml"

    def edit(self, **values: object) -> None:
        """Set keys of the stack, without its file being judged."""
        content = yaml.safe_load(self.file.read_text())
        content["config"] |= {f"hueshift:{key}": value for key, value in values.items()}
        self.file.write_text(yaml.safe_dump(content))

    def service(self) -> dict[str, Any]:
        """Return what the stack file says of the service."""
        found: dict[str, Any] = yaml.safe_load(self.file.read_text())["config"]["hueshift:services"]["shop"]
        return found

    def give(self, color: str, **values: object) -> None:
        """Set keys of a color."""
        shop = self.service()
        shop["colors"][color] |= values
        self.edit(services={"shop": shop})

    def release(self, color: str, version: str) -> None:
        """Give a color another version."""
        self.give(color, image=self.digests[version], version=version, schema=SCHEMAS.get(version, "0002"))

    @cached_property
    def resources(self) -> list[dict[str, Any]]:
        """The resources of the stack that stay the same from the first update on."""
        found: list[dict[str, Any]] = json.loads(self.shell("pulumi stack export"))["deployment"]["resources"]
        return found

    @cached_property
    def groups(self) -> dict[str, str]:
        """The target groups by color."""
        arns = [resource["id"] for resource in self.resources if resource["type"] == "aws:lb/targetGroup:TargetGroup"]
        return {color: arn for color in ("blue", "green") for arn in arns if f"-{color}-" in arn}

    @cached_property
    def rule(self) -> str:
        """The production rule."""
        (arn,) = [item["id"] for item in self.resources if item["urn"].endswith("::shop-traffic-production")]
        return str(arn)

    def pending(self) -> list[dict[str, Any]]:
        """Return what an update is at, or was at when it was cut off."""
        done = cloud.run("pulumi", "stack", "export", cwd=self.folder, check=False)
        if done.returncode:
            return []  # a running update is just writing its state
        found: list[dict[str, Any]] = json.loads(done.stdout)["deployment"].get("pending_operations") or []
        return found

    def waits_for(self, operation: str, kind: str) -> bool:
        """Return whether an update is at a resource of this kind."""
        return any(
            (item["type"], item["resource"]["type"].rpartition(":")[2]) == (operation, kind) for item in self.pending()
        )


def stack_file(digests: dict[str, str], certificate: str, topic: str) -> str:
    """Return a small production stack: both colors run the first version."""
    here = cloud.stack_config()
    color = {"image": digests["1.5.0"], "version": "1.5.0", "schema": SCHEMAS["1.5.0"]}
    shop = here["hueshift:services"]["shop"]
    config = {
        "aws:region": paths.REGION,
        "hueshift:network": here["hueshift:network"],
        "hueshift:loadBalancer": {"certificateArn": certificate, "testListenerCidrs": ["127.0.0.0/8"]},
        "hueshift:alerts": {"topicArns": [topic], "onCall": "the test", "owner": "team-shop"},
        "hueshift:logs": {"retentionDays": 30},
        "hueshift:services": {"shop": shop | {"host": HOST, "env": {}, "colors": {"blue": color, "green": {**color}}}},
    }
    return yaml.safe_dump({"config": config}, sort_keys=False)


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """Lend a database of its own, with the roles that the sandbox's has."""
    server = f"postgresql://postgres:not-a-secret@{paths.NODE_IP}:{paths.POSTGRES_PORT}"

    def execute(where: str, *statements: sql.Composed) -> None:
        with psycopg.connect(f"{server}/{where}", autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    name = sql.Identifier(DATABASE)
    drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name)
    execute("postgres", drop, sql.SQL("CREATE DATABASE {} OWNER shop_migrate").format(name))
    given = "ALTER DEFAULT PRIVILEGES FOR ROLE shop_migrate GRANT {} TO shop"
    rights = ("SELECT, INSERT, UPDATE, DELETE ON TABLES", "USAGE, SELECT ON SEQUENCES")
    execute(DATABASE, *(sql.SQL(given).format(sql.SQL(right)) for right in rights))
    yield f"{server}/{DATABASE}"
    execute("postgres", drop)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, database: str) -> Iterator[Desk]:  # noqa: ARG001 (its place)
    """Yield a clean clone with the file of a stack that does not exist yet; whatever a test leaves is taken away."""
    forget_secrets()
    folder = cloud.clone(tmp_path_factory.mktemp("operations") / "project")
    digests = {version: images.build_and_push(version) for version in SCHEMAS}
    digests[NOWHERE] = f"{images.REPOSITORY}@sha256:{'0' * 64}"
    record = [{"version": version, "digest": image.partition("@")[2]} for version, image in digests.items()]
    (folder / "releases.json").write_text(json.dumps({"shop": record}))
    leaf, key = certificate()
    acm, sns = boto3.client("acm"), boto3.client("sns")
    arn = acm.import_certificate(Certificate=leaf, PrivateKey=key)["CertificateArn"]
    topic = sns.create_topic(Name=ENVIRONMENT)["TopicArn"]
    (folder / f"Pulumi.{ENVIRONMENT}.yaml").write_text(stack_file(digests, arn, topic))
    (folder / "values.json").write_text(json.dumps(VALUES))
    (folder / "cert.pem").write_bytes(leaf)
    (folder / "chain.pem").write_bytes(paths.CA_CERTIFICATE.read_bytes())
    (folder / "key.pem").write_bytes(key)
    desk = Desk(folder, digests, arn)
    desk.shell(f"pulumi stack init {ENVIRONMENT} --no-select")
    try:
        yield desk
    finally:
        clean(desk)
        acm.delete_certificate(CertificateArn=arn)
        sns.delete_topic(TopicArn=topic)


def certificate() -> tuple[bytes, bytes]:
    return ca.issue([HOST, f"*.{HOST}"])


def clean(desk: Desk) -> None:
    """Take away what a failed test has left, and what AWS keeps for a while."""
    stacks = json.loads(desk.shell("pulumi stack ls --json"))
    if any(stack["name"] == ENVIRONMENT for stack in stacks):
        name = f"--stack {ENVIRONMENT}"
        balancers = boto3.client("elbv2")
        for balancer in balancers.describe_load_balancers()["LoadBalancers"]:
            if balancer["DNSName"] == desk.shell(f"pulumi stack output loadBalancer {name} || true").strip():
                balancers.modify_load_balancer_attributes(
                    LoadBalancerArn=balancer["LoadBalancerArn"],
                    Attributes=[{"Key": "deletion_protection.enabled", "Value": "false"}],
                )
        script = f"""pulumi cancel {name} || true
            pulumi state unprotect --all {name} || true
            pulumi destroy {name} || true
            for bucket in $(pulumi stack export {name} | jq -r '.deployment.resources[]?
                | select(.type == "aws:s3/bucket:Bucket").id'); do aws s3 rm --recursive "s3://$bucket"; done
            pulumi destroy {name}
            pulumi stack rm {name}"""
        desk.shell(script)
    forget_secrets()


def forget_secrets() -> None:
    """Take away the containers that Secrets Manager keeps for a while, and whose names are taken so long."""
    secrets = boto3.client("secretsmanager")
    kept = secrets.list_secrets(IncludePlannedDeletion=True, Filters=[{"Key": "name", "Values": [ENVIRONMENT]}])
    for secret in kept["SecretList"]:
        secrets.delete_secret(SecretId=secret["ARN"], ForceDeleteWithoutRecovery=True)


def alarms(*colors: str) -> set[str]:
    """Return the states that the gate reads of the colors."""
    names = [f"{ENVIRONMENT}-shop-{color}{alarm}" for color in colors for alarm in ("", "-canary-errors")]
    client = boto3.client("cloudwatch")
    found = client.describe_alarms(AlarmNames=names, AlarmTypes=["CompositeAlarm", "MetricAlarm"])
    return {str(alarm["StateValue"]) for alarm in (*found["CompositeAlarms"], *found["MetricAlarms"])}


def wait_until_known(*colors: str) -> None:
    """Wait until the gate knows the colors to be well."""
    with cloud.fast_minutes():
        cloud.wait_until("the alarms know their colors", lambda: alarms(*colors) == {"OK"}, 120)


def kubectl(*words: str) -> str:
    return cloud.run("kubectl", "--namespace", NAMESPACE, *words).stdout


def pods(color: str) -> list[str]:
    """Return the names of a color's pods that are not about to end."""
    listed = json.loads(kubectl("get", "pods", "-l", f"hueshift.dev/color={color}", "-o", "json"))["items"]
    return [pod["metadata"]["name"] for pod in listed if "deletionTimestamp" not in pod["metadata"]]


def served(desk: Desk, host: str = HOST, port: int = 443) -> tuple[str, str]:
    """Return color and version of one answer."""
    told = desk.shell(f"curl --silent --fail --output /dev/null --dump-header - https://{host}:{port}/").lower()
    headers = dict(line.split(": ", 1) for line in told.split("\n") if ": " in line)
    return headers["x-color"].strip(), headers["x-version"].strip()


def schema(database: str) -> str:
    """Return the revision that the database is at."""
    with psycopg.connect(database) as connection:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    assert row is not None
    return str(row[0])


def healthy(desk: Desk, color: str) -> int:
    """Return how many targets of a color are healthy."""
    targets = boto3.client("elbv2").describe_target_health(TargetGroupArn=desk.groups[color])
    return sum(target["TargetHealth"]["State"] == "healthy" for target in targets["TargetHealthDescriptions"])


def wait_until_whole(desk: Desk, color: str) -> None:
    cloud.wait_until(f"{color} has its pods", lambda: healthy(desk, color) == 2)


def action(desk: Desk) -> Any:  # noqa: ANN401 (boto3's own types differ between reading and writing)
    """Return what the production rule does, as the load balancer has it."""
    return boto3.client("elbv2").describe_rules(RuleArns=[desk.rule])["Rules"][0]["Actions"][0]


def weights(desk: Desk) -> dict[str, int]:
    """Return the weights that the load balancer has."""
    shares = {group["TargetGroupArn"]: group["Weight"] for group in action(desk)["ForwardConfig"]["TargetGroups"]}
    return {color: shares[arn] for color, arn in desk.groups.items()}


def move(desk: Desk, **shares: int) -> None:
    """Give the rule other weights behind the stack."""
    targets = [{"TargetGroupArn": desk.groups[color], "Weight": share} for color, share in shares.items()]
    moved = action(desk)
    moved["ForwardConfig"]["TargetGroups"] = targets
    moved.pop("TargetGroupArn", None)
    boto3.client("elbv2").modify_rule(RuleArn=desk.rule, Actions=[moved])


# The first stack


def test_an_environment_is_made_from_nothing(desk: Desk) -> None:
    told = desk.run("first-stack", "Make it", 0)
    assert "✅ hueshift-readiness" in told
    assert "[mandatory]" not in told
    assert desk.run("first-stack", "Make it", 1).count("all there") == 2
    desk.run("first-stack", "Make it", 2)

    addresses = requests.get(f"{paths.AWS_ENDPOINT}/_hueshift/health", timeout=5).json()["loadBalancers"]
    name = desk.shell("pulumi stack output loadBalancer").partition(".")[0].removeprefix("internal-")
    address = next(address for balancer, address in addresses.items() if name.startswith(balancer))
    hosts = "\n".join(f'connect-to = "{host}::{address}:"' for host in (HOST, f"blue.{HOST}", f"green.{HOST}"))
    (desk.folder.parent / ".curlrc").write_text(f'cacert = "{paths.CA_CERTIFICATE}"\n{hosts}\n')
    assert '"blue": 100' in desk.run("first-stack", "See that it serves")
    assert served(desk) == ("blue", "1.5.0")


# Operations


def test_a_look_shows_what_is_served(desk: Desk) -> None:
    desk.run("operations", "Operations")
    told = desk.run("operations", "Look")
    assert f"https://{HOST}" in told
    assert told.count("hueshift.dev/color=blue") >= 2


def test_a_new_image_reaches_the_idle_color_alone_and_takes_out_of_the_schema_what_no_color_uses(
    desk: Desk, database: str
) -> None:
    blue = pods("blue")
    assert "every item has a note" in desk.run("schema", "Take something out")
    desk.run("operations", "New image on the idle color")
    cloud.wait_until("green answers with 1.6.0", lambda: served(desk, f"green.{HOST}", 8443) == ("green", "1.6.0"))
    assert served(desk) == ("blue", "1.5.0")
    assert pods("blue") == blue
    assert schema(database) == "0003"


def test_a_canary_changes_weights_and_nothing_else(desk: Desk) -> None:
    wait_until_known("blue", "green")
    wait_until_whole(desk, "green")
    assert "1 updated" in desk.run("operations", "Canary")
    assert weights(desk) == {"blue": 90, "green": 10}


def test_a_flip_changes_weights_and_nothing_else(desk: Desk) -> None:
    assert "1 updated" in desk.run("operations", "Flip", 0)
    assert weights(desk) == {"blue": 0, "green": 100}
    cloud.wait_until("green answers", lambda: "x-color: green" in desk.run("operations", "Flip", 1))
    desk.run("operations", "Flip", 2)
    assert "activeColor" not in desk.service()


def test_in_an_emergency_traffic_moves_without_pulumi_and_pulumi_takes_it_over(desk: Desk) -> None:
    told = desk.run("operations", "Emergency without Pulumi", 0, 1)
    assert told.count("healthy") == 2
    assert weights(desk) == {"blue": 100, "green": 0}
    cloud.wait_until("blue answers", lambda: served(desk)[0] == "blue")
    desk.run("operations", "Emergency without Pulumi", 2)


def test_the_way_back_is_open_for_the_weights_alone_and_for_everything(desk: Desk) -> None:
    before = desk.service()
    desk.edit(services={"shop": before | {"env": {"GREETING": "hello"}}}, activeColor="green")
    running = pods("blue") + pods("green")
    assert "1 updated" in desk.run("operations", "Roll back", 2)
    assert weights(desk) == {"blue": 0, "green": 100}
    assert pods("blue") + pods("green") == running, "what else waits in the stack file"

    desk.edit(services={"shop": before})
    told = desk.run("operations", "Roll back", 0)
    assert f"blue has all traffic of shop in {ENVIRONMENT}, and users get 1.5.0" in told
    assert "state: knows the weights" in told
    assert weights(desk) == {"blue": 100, "green": 0}
    cloud.wait_until("blue answers", lambda: served(desk) == ("blue", "1.5.0"))
    desk.run("operations", "Roll back", 1)
    desk.shell("pulumi preview --expect-no-changes")


def test_a_parked_color_gives_up_its_pods_and_gets_them_back(desk: Desk) -> None:
    move(desk, blue=80, green=20)
    told = desk.run("operations", "Park", 0, fails=True)
    assert "green would be parked while the load balancer gives it 20 of 100 parts of the traffic" in told
    assert pods("green")
    move(desk, blue=100, green=0)
    desk.run("operations", "Park", 0)
    cloud.wait_until("green has no pods", lambda: pods("green") == [])
    assert weights(desk) == {"blue": 100, "green": 0}
    desk.run("operations", "Park", 1)
    assert pods("green")


def test_a_new_value_restarts_one_color(desk: Desk) -> None:
    blue, green = pods("blue"), pods("green")
    assert desk.run("operations", "New value of a secret").count("all there") == 2
    assert pods("blue") == blue
    assert not set(pods("green")) & set(green)


def test_the_schema_is_taken_back_once_no_color_needs_it(desk: Desk, database: str) -> None:
    desk.release("green", "1.5.0")
    desk.shell("pulumi up")
    assert "going back" in desk.run("schema", "Take the schema back")
    assert schema(database) == "0002"


# Maintenance


def status(desk: Desk) -> str:
    """Return the status of one answer to a user."""
    return desk.shell(f"curl --silent --output /dev/null --write-out '%{{http_code}}' https://{HOST}/")


def test_a_maintenance_page_is_put_on_and_an_update_that_would_move_traffic_names_it(desk: Desk) -> None:
    desk.run("maintenance", "Put it on", 0)
    cloud.wait_until("users see the page", lambda: status(desk) == "503")
    assert "Back in an hour" in desk.run("maintenance", "Put it on", 1)
    assert served(desk, f"blue.{HOST}", 8443)[0] == "blue"
    desk.edit(canaryWeight=10)
    assert "and fixed-response, but the state says" in desk.shell("pulumi up", fails=True)
    assert status(desk) == "503"
    desk.edit(canaryWeight=0)


def test_an_update_takes_a_maintenance_page_off_and_so_does_what_was_kept(desk: Desk) -> None:
    assert "1 updated" in desk.run("maintenance", "Take it off")
    cloud.wait_until("blue answers", lambda: status(desk) == "200")
    assert weights(desk) == {"blue": 100, "green": 0}
    desk.run("maintenance", "Put it on", 0)
    cloud.wait_until("users see the page", lambda: status(desk) == "503")
    desk.run("maintenance", "Take it off without Pulumi")
    cloud.wait_until("blue answers", lambda: status(desk) == "200")
    desk.shell("pulumi refresh")
    desk.shell("pulumi preview --expect-no-changes")


# An `up` that ended badly


def test_traffic_for_a_color_without_pods_and_traffic_that_somebody_moved_are_refused_and_mended(desk: Desk) -> None:
    kubectl("scale", "deployment", "shop-green", "--replicas=0")  # the autoscaler leaves none alone
    cloud.wait_until("green has no healthy target", lambda: healthy(desk, "green") == 0)
    move(desk, blue=80, green=20)
    desk.edit(canaryWeight=50)
    told = desk.shell("pulumi up", fails=True)
    assert "healthy targets, and needs 2" in told
    assert "somebody else moved the traffic" in told
    assert weights(desk) == {"blue": 80, "green": 20}
    assert f"{ENVIRONMENT}-shop-green-canary-errors" in desk.run("ended-badly", "Refused by the gate")
    kubectl("scale", "deployment", "shop-green", "--replicas=2")
    told = desk.run("ended-badly", "Moved by somebody else")
    assert "20" in told
    assert weights(desk) == {"blue": 100, "green": 0}


def test_a_violation_is_refused_with_the_key_that_mends_it(desk: Desk) -> None:
    before = desk.file.read_text()
    balancer = yaml.safe_load(before)["config"]["hueshift:loadBalancer"]
    desk.edit(loadBalancer=balancer | {"accessLogs": False})
    told = desk.run("ended-badly", "Refused by the policy pack", fails=True)
    assert "[mandatory]  careful-load-balancer" in told
    assert "loadBalancer.accessLogs: true" in told
    desk.file.write_text(before)


def nothing_but_running() -> bool:
    """Return whether every pod runs, or has done its work: none ends, and none waits for its image."""
    pods = kubectl("get", "pods", "--no-headers").splitlines()
    return all({"Running", "Completed"} & set(pod.split()) for pod in pods)


def test_an_update_that_waits_for_a_color_locks_the_stack_and_is_looked_at_and_ended(desk: Desk) -> None:
    before = desk.service()["colors"]
    desk.release("green", NOWHERE)
    desk.give("green", secretVersions=before["blue"]["secretVersions"])
    with desk.begun("exec pulumi up") as update:
        cloud.wait_until("the update waits for green", lambda: desk.waits_for("updating", "Deployment"))
        cloud.wait_until("its image is not there", lambda: "ImagePull" in kubectl("get", "pods"))
        assert "the stack is currently locked by 1 lock" in desk.shell("pulumi up", fails=True)
        assert "pulumi up" in desk.run("ended-badly", "Locked")
        told = desk.run("ended-badly", "A color that does not become ready", 0)
        assert "ImagePullBackOff" in told or "ErrImagePull" in told
        assert served(desk)[0] == "blue"
        update.send_signal(signal.SIGINT)
        assert update.wait(60) != 0

    desk.give("green", **before["green"])
    desk.shell("pulumi up --refresh")
    cloud.wait_until("the pods without an image are gone", nothing_but_running)
    desk.run("ended-badly", "A color that does not become ready", 2)
    desk.run("ended-badly", "A color that does not become ready", 1)
    cloud.wait_until("green answers with 1.5.0", lambda: served(desk, f"green.{HOST}", 8443) == ("green", "1.5.0"))
    assert len(kubectl("get", "externalsecrets", "-l", "hueshift.dev/color=green", "-o", "name").split()) == 1


def test_an_update_that_was_killed_is_mended(desk: Desk) -> None:
    before = desk.file.read_text()
    desk.give("green", secretVersions={"app": "00000000-0000-4000-8000-00000000dead"})
    with desk.begun("exec pulumi up") as update:
        cloud.wait_until("a creation is pending", lambda: desk.waits_for("creating", "ExternalSecret"))
        cloud.kill(update)
    assert "the stack is currently locked by 1 lock" in desk.shell("pulumi up", fails=True)
    desk.run("ended-badly", "An interrupted up", 0)
    (name,) = (
        item["resource"]["inputs"]["metadata"]["name"]
        for item in desk.pending()
        if item["resource"]["type"].endswith("ExternalSecret")
    )
    assert kubectl("get", "externalsecret", name), "of which the state knows nothing"
    told = desk.run("ended-badly", "An interrupted up", 1)
    assert f"{NAMESPACE}/{name}" in told
    assert desk.pending() == []
    desk.file.write_text(before)
    desk.run("ended-badly", "An interrupted up", 2)
    assert name not in kubectl("get", "externalsecrets", "-o", "name")
    assert served(desk)[0] == "blue"


def test_a_migration_that_failed_changes_nothing_and_runs_again_when_it_is_mended(desk: Desk, database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("INSERT INTO items (name) VALUES ('lamp')")
    desk.release("green", "1.6.0")
    assert "contains null values" in desk.shell("pulumi up", fails=True)
    assert "contains null values" in desk.run("ended-badly", "A migration that failed", 0)
    assert schema(database) == "0002"
    desk.run("schema", "Take something out")
    desk.run("ended-badly", "A migration that failed", 1)
    assert schema(database) == "0003"
    cloud.wait_until("green answers with 1.6.0", lambda: served(desk, f"green.{HOST}", 8443) == ("green", "1.6.0"))


# Alerts


SHOWN = {
    "canary-errors": r"green-canary-errors|OK|INSUFFICIENT_DATA|ALARM",
    "certificate": "Expire date:",
    "cpu": "shop-green",
    "errors": r'"status": 5\d\d',
    "guard-failed": "",
    "latency-p95": "green-latency-p95",
    "latency-p99": "deleted",
    "load-balancer-errors": "shop-migrate",
    "memory": "restarted",
    "moving": "OK|INSUFFICIENT_DATA|ALARM",
    "no-metrics": r"(?m)^shop ",
    "restarts": '"exitCode":0',
    "too-few": "shop-green",
    "traffic": r"^200\n",
    "traffic-drop": "x-color: green",
    "unhealthy": "healthy",
    "uptime": r"^200\n",
    "README": "",
}
"""What each page lets one see."""


def fail_once(desk: Desk, database: str) -> None:
    """Let green answer one request with 5xx."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("ALTER TABLE items RENAME TO elsewhere")
        desk.shell(f"curl --silent https://green.{HOST}:8443/items")
        connection.execute("ALTER TABLE elsewhere RENAME TO items")


def restarted() -> str:
    """Return a pod of green whose container has ended once and runs again; end one if there is none."""

    def counts() -> dict[str, int]:
        listed = json.loads(kubectl("get", "pods", "-l", "hueshift.dev/color=green", "-o", "json"))["items"]
        return {
            pod["metadata"]["name"]: status["restartCount"]
            for pod in listed
            for status in pod["status"].get("containerStatuses", [])
            if "deletionTimestamp" not in pod["metadata"] and status["ready"]
        }

    ended = ""

    def again() -> bool:
        nonlocal ended
        there, restarts = pods("green"), counts()
        # Once more if need be: where there are too many pods, the autoscaler takes away the one that is not ready.
        if ended not in there and restarts.keys() == set(there) and not any(restarts.values()):
            ended = there[0]
            kubectl("exec", ended, "--", "python3", "-c", "import os; os.kill(1, 15)")
        return any(restarts.values())

    cloud.wait_until("a container of green runs again", again, 120)
    return next(name for name, count in counts().items() if count)


def asked_of_prometheus(query: str) -> list[Any]:
    answer = requests.get(f"{paths.PROMETHEUS_URL}/api/v1/query", params={"query": query}, timeout=5).json()
    assert answer["status"] == "success", answer
    found: list[Any] = answer["data"]["result"]
    return found


@pytest.mark.parametrize("page", SHOWN)
def test_the_commands_of_an_alert_show_what_the_page_says(page: str, desk: Desk, database: str) -> None:
    names = {"POD": pods("green")[0]}
    if page == "errors":
        fail_once(desk, database)
    if page in ("restarts", "unhealthy"):
        names["POD"] = restarted()
    told = ""
    for block in commands():
        if block.page != page or block.text in desk.ran or block.text in NOT_HERE:
            continue
        text = desk.text(block, **names)
        if block.language == "promql":
            cloud.wait_until(f"{text} has an answer", partial(asked_of_prometheus, text))
        else:
            told += desk.shell(text)
        desk.ran.add(block.text)
    assert re.search(SHOWN[page], told), told


# The end


def test_an_environment_is_taken_away(desk: Desk) -> None:
    desk.run("first-stack", "The end of an environment", 0)
    assert "BucketNotEmpty" in desk.run("first-stack", "The end of an environment", 1, fails=True)
    desk.run("first-stack", "The end of an environment", 2)
    assert ENVIRONMENT not in desk.shell("pulumi stack ls")
    assert cloud.run("kubectl", "get", "namespace", NAMESPACE, check=False).returncode != 0


def test_no_command_was_left_out(desk: Desk) -> None:
    there = {block.text: f"{block.page}: {block.heading}" for block in commands()}
    assert len(there) > 60
    assert [where for text, where in there.items() if text not in desk.ran and text not in NOT_HERE] == []
    assert [text for text in NOT_HERE if text not in there] == [], "the table names what is on no page"
