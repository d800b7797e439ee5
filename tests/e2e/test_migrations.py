"""Expand, deploy, backfill, contract: what is taken away too early is refused, and no request notices any of it."""

import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import jwt
import psycopg
import pytest

from app import migrate
from app.schemas import Schemas
from sandbox import fakes, images
from tests.e2e import cloud

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]

NEWEST = "127.0.0.1:5000/shop:1.6.0"
DATABASE = fakes.SECRET_VALUES["MIGRATION_DATABASE_URL"]


def schema() -> str:
    """Return the revision that the database is at."""
    with psycopg.connect(DATABASE) as connection:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    assert row is not None
    return str(row[0])


def jobs() -> dict[str, str]:
    """Return the migrations that ran, each with what tells one run from another."""
    listed = json.loads(cloud.kubectl("get", "jobs", "-o", "json"))["items"]
    return {job["metadata"]["name"]: job["metadata"]["uid"] for job in listed}


def served(color: str) -> str:
    """Return the version that a color's own host answers with."""
    return cloud.curl(f"https://{color}.{cloud.HOST}:8443/")[1]["x-version"]


def add_item(color: str) -> int:
    """Write a row without a note through one color; return the status."""
    token = jwt.encode({"exp": time.time() + 60}, fakes.SECRET_VALUES["JWT_SECRET"], algorithm="HS256")
    url = f"https://{color}.{cloud.HOST}:8443/items"
    return cloud.curl(url, "--header", f"authorization: Bearer {token}", "--data", '{"name": "lamp"}')[0]


def release(color: str, version: str, schema_: str) -> None:
    """Configure another release of a color."""
    for key, value in (("image", f"127.0.0.1:5000/shop:{version}"), ("version", version), ("schema", schema_)):
        path = f"hueshift:services.shop.colors.{color}.{key}"
        cloud.pulumi("config", "set", "--path", path, value, "--type", "string")


def failed_update() -> str:
    """Run an update that must fail; return what it said."""
    done = cloud.pulumi("up", "--yes", "--skip-preview", check=False)
    assert done.returncode != 0, done.stdout
    return done.stdout + done.stderr


def go_back(target: str, place: Path) -> str:
    """Take the schema back as docs/operations.md says, by a copy of a Job; return the copy's log."""
    job = json.loads(cloud.kubectl("get", "job", f"shop-migrate-{target}", "-o", "json"))
    template = job["spec"]["template"]
    labels = template["metadata"]["labels"]
    template["metadata"]["labels"] = {k: v for k, v in labels.items() if "job-name" not in k and "controller" not in k}
    template["spec"]["containers"][0] |= {
        "image": NEWEST,
        "command": ["python3", "-m", "app.migrate", "--back", target],
    }
    copy = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "shop-migrate-back"},
        "spec": {"backoffLimit": 0, "template": template},
    }
    place.write_text(json.dumps(copy))
    cloud.kubectl("create", "-f", str(place))
    cloud.kubectl("wait", "--for=condition=complete", "--timeout=60s", "job/shop-migrate-back")
    return cloud.kubectl("logs", "job/shop-migrate-back")


def is_live(color: str) -> bool:
    """Return whether that color answers users."""
    return cloud.curl(f"https://{cloud.HOST}/")[1]["x-color"] == color


def settles(at: str, blue: str, green: str) -> None:
    """Wait until the schema is at that revision and each color answers with that version: the load balancer lags."""
    expected = (at, blue, green)
    cloud.wait_until(f"{expected}", lambda: (schema(), served("blue"), served("green")) == expected, 15)


@pytest.fixture
def restored() -> Iterator[None]:
    """Leave stack and schema as they were, wherever the test ended."""
    images.build_and_push(NEWEST.rpartition(":")[2])
    with cloud.stack_file():
        try:
            yield
        finally:
            migrate.back(DATABASE, "0002", Schemas({"green": "0002"}, {}))
            cloud.kubectl("delete", "job", "shop-migrate-back", "--ignore-not-found")


@pytest.mark.usefixtures("restored")
def test_a_contraction_waits_for_every_color_and_for_the_backfill_and_nobody_notices(tmp_path: Path) -> None:
    settles("0002", "1.4.0", "1.5.0")
    load = cloud.Load(400, rate=50)
    try:
        # Expanded: the version before goes on writing.
        assert add_item("blue") == 201

        # Too early: blue, which is live, still writes items without a note.
        release("green", "1.6.0", "0003")
        said = failed_update()
        assert "0003 contracts" in said
        assert "blue is configured for schema 0001" in said
        settles("0002", "1.4.0", "1.5.0")
        assert add_item("blue") == 201

        # Blue moves on in the same update; it is there, pods and all, before the contraction runs, which now fails.
        release("blue", "1.5.0", "0002")
        said = failed_update()
        assert 'column \\"note\\" of relation \\"items\\" contains null values' in said
        runs = cloud.kubectl("logs", "--selector", "batch.kubernetes.io/job-name=shop-migrate-0003", "--tail", "-1")
        assert "contains null values" in runs
        settles("0002", "1.5.0", "1.5.0")

        # Prepared: the same configuration passes, and the failed run needs no mending by hand.
        assert "every item has a note" in cloud.kubectl(
            "exec", "deployment/shop-blue", "--", "python3", "-m", "app.backfill"
        )
        cloud.update()
        settles("0003", "1.5.0", "1.6.0")
        assert (add_item("blue"), add_item("green")) == (201, 201)
        assert cloud.update() == {}

        # There and back again: no Job runs again.
        ran = jobs()
        assert set(ran) == {"shop-migrate-0002", "shop-migrate-0003"}
        for color in ("green", "blue"):
            cloud.configure("activeColor", color)
            cloud.update()
            cloud.wait_until(f"{color} answers", partial(is_live, color))
        assert jobs() == ran

        # The way back of the schema itself: every color first, then the Job's copy.
        release("green", "1.5.0", "0002")
        cloud.update()
        assert "going back" in go_back("0002", tmp_path / "job.json")
        settles("0002", "1.5.0", "1.5.0")
    finally:
        answers = load.stop()
    assert [answer for answer in answers if answer.code != 200] == []
