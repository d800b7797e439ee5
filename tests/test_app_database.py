"""The migrations and what the service does with the table, on a real PostgreSQL."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import psycopg
import pytest
from alembic.command import downgrade, upgrade
from alembic.config import Config as Alembic
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from starlette.testclient import TestClient

from app import database, migrate, service
from sandbox import paths
from tests.app_service import SECRET, config, lines

pytestmark = pytest.mark.slow

NOBODY = 65534
"""PostgreSQL refuses to run as root."""


def alembic() -> Alembic:
    config = Alembic()
    config.set_main_option("script_location", str(paths.ROOT / "app/migrations"))
    return config


REVISIONS = [script.revision for script in ScriptDirectory.from_config(alembic()).walk_revisions()][::-1]


def installation() -> Path | None:
    """Return the root below which PostgreSQL 15 lies: this machine's, or the package cache of the local cloud."""
    cache = Path(os.environ.get("HUESHIFT_CACHE") or Path.home() / ".cache/hueshift")
    roots = (Path("/"), *cache.glob("deb-*/root"))
    return next((root for root in roots if (root / "usr/lib/postgresql/15/bin/initdb").exists()), None)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A PostgreSQL of this test file, on a socket in a temporary directory; the URL without its database."""
    root = installation()
    if root is None:
        pytest.skip("no PostgreSQL 15 on this machine nor in the package cache (sandbox/node/packages.sh node)")
    program = root / "usr/lib/postgresql/15/bin"
    libraries = ":".join(map(str, (root / "usr/lib").glob("*-linux-gnu")))
    as_nobody: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": ()} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        if as_nobody:
            os.chown(directory, NOBODY, NOBODY)
        quiet: dict[str, Any] = {
            "cwd": directory,
            "env": {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": libraries, "LC_ALL": "C.UTF-8"},
            "stdout": subprocess.DEVNULL,
            "stderr": subprocess.DEVNULL,
            **as_nobody,
        }
        subprocess.run(
            [program / "initdb", "--no-sync", "-D", "data", "-U", "shop", "--auth=trust"], check=True, **quiet
        )
        settings = ("listen_addresses=", "fsync=off", f"unix_socket_directories={directory}")
        options = [part for setting in settings for part in ("-c", setting)]
        process = subprocess.Popen([program / "postgres", "-D", "data", *options], **quiet)
        try:
            url = f"postgresql://shop@{directory.replace('/', '%2F')}"
            deadline = time.monotonic() + 20
            while True:
                try:
                    psycopg.connect(f"{url}/postgres").close()
                    break
                except psycopg.OperationalError:
                    assert process.poll() is None
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
            yield url
        finally:
            process.terminate()
            process.wait()


@pytest.fixture
def url(server: str) -> Iterator[str]:
    """An empty database."""
    with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
        admin.execute("CREATE DATABASE shop")
    yield f"{server}/shop"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
        admin.execute("DROP DATABASE shop WITH (FORCE)")


def columns(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'items' ORDER BY ordinal_position"
        )
        return [row[0] for row in rows]


def command(*arguments: str, **environment: str) -> tuple[int, list[dict[str, Any]]]:
    done = subprocess.run(
        [sys.executable, "-m", "app.migrate", *arguments],
        env={"PATH": os.environ["PATH"], **environment},
        cwd=paths.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, lines(done.stdout)


def test_a_migration_stops_at_exactly_the_revision_it_was_given(url: str) -> None:
    assert migrate.migrate(url, "0001") == "0001"
    assert columns(url) == ["id", "name", "created_at"]
    assert migrate.migrate(url, "0002") == "0002"
    assert columns(url) == ["id", "name", "created_at", "note"]


def test_a_rollback_that_names_an_older_revision_changes_nothing(url: str) -> None:
    migrate.migrate(url, "0002")
    assert migrate.migrate(url, "0001") == "0002"
    assert "note" in columns(url)


def test_a_schema_that_a_newer_version_made_is_left_alone(url: str) -> None:
    migrate.migrate(url, "0002")
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0009'")
    assert migrate.migrate(url, "0002") == "0009"


def test_two_runs_at_once_do_the_work_once(url: str) -> None:
    with psycopg.connect(url) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", [migrate._LOCK_KEY])
        found: list[str] = []
        runs = [threading.Thread(target=lambda: found.append(migrate.migrate(url, "0002"))) for _ in range(2)]
        for run in runs:
            run.start()
        time.sleep(0.5)
        assert columns(url) == []
        holder.close()
    for run in runs:
        run.join()
    assert found == ["0002", "0002"]


def test_a_locked_table_is_not_queued_for_but_tried_again(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "_LOCK_TIMEOUT", "100ms")
    monkeypatch.setattr(migrate, "_PAUSE", 0.1)
    migrate.migrate(url, "0001")
    with psycopg.connect(url) as holder:
        holder.execute("LOCK TABLE items IN ACCESS SHARE MODE")
        release = threading.Timer(0.5, holder.close)
        release.start()
        assert migrate.migrate(url, "0002") == "0002"
        release.join()


def test_a_table_that_stays_locked_is_an_error_that_says_so(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "_LOCK_TIMEOUT", "50ms")
    monkeypatch.setattr(migrate, "_PAUSE", 0.0)
    migrate.migrate(url, "0001")
    with psycopg.connect(url) as holder:
        holder.execute("LOCK TABLE items IN ACCESS SHARE MODE")
        with pytest.raises(migrate.MigrationError, match="stayed locked for all 10 attempts"):
            migrate.migrate(url, "0002")
    assert columns(url) == ["id", "name", "created_at"]


def test_every_revision_has_a_way_back_to_the_one_before(url: str) -> None:
    before = []
    for revision in REVISIONS:
        before.append(columns(url))
        migrate.migrate(url, revision)
    for expected in reversed(before):
        with create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url)).connect() as connection:
            (backwards := alembic()).attributes["connection"] = connection
            downgrade(backwards, "-1")
        assert columns(url) == expected


def test_revisions_are_four_digits_in_one_line_in_the_order_of_their_numbers() -> None:
    assert [f"{number:04}" for number in range(1, len(REVISIONS) + 1)] == REVISIONS


def test_every_revision_only_expands(capsys: pytest.CaptureFixture[str]) -> None:
    """The other color still runs on the schema before: nothing is dropped, renamed, retyped or made mandatory."""
    upgrade(alembic(), "head", sql=True)
    for statement in capsys.readouterr().out.upper().split(";"):
        assert not any(word in statement for word in (" DROP ", " RENAME ", " TYPE ", " SET NOT NULL")), statement
        assert "ADD COLUMN" not in statement or "NOT NULL" not in statement or "DEFAULT" in statement, statement


def test_the_command_logs_json_and_exits_0_when_the_schema_is_there(url: str) -> None:
    for _ in range(2):
        code, entries = command("0002", DATABASE_URL=url)
        assert (code, entries[-1]["revision"]) == (0, "0002")


def test_the_migrations_own_role_comes_before_the_applications(url: str) -> None:
    unused = "postgresql://shop@127.0.0.1:1/shop"
    assert command("0001", MIGRATION_DATABASE_URL=url, DATABASE_URL=unused)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "database_url", "reason"),
    [
        ([], "postgresql://u:hunter2@127.0.0.1:1/shop", "usage"),
        (["0042"], "postgresql://u:hunter2@127.0.0.1:1/shop", "revision 0042 is unknown; this version knows 0001"),
        (["0002"], "postgresql://u:hunter2@127.0.0.1:1/shop", "Connection refused"),
        (["0002"], "mysql://u:hunter2@db/shop", "DATABASE_URL must be postgresql://"),
        (["0002"], "", "DATABASE_URL must be postgresql://"),
    ],
)
def test_the_command_exits_1_with_the_reason_and_without_the_password(
    arguments: list[str], database_url: str, reason: str
) -> None:
    code, entries = command(*arguments, DATABASE_URL=database_url)
    assert code == 1
    assert reason in entries[-1]["message"]
    assert "hunter2" not in json.dumps(entries)


def settled(client: TestClient) -> int:
    """Return the readiness status once it has had the time to change."""
    deadline = time.monotonic() + 2
    while True:
        status: int = client.get("/health/ready").status_code
        if status == 200 or time.monotonic() > deadline:
            return status
        time.sleep(0.05)


@pytest.mark.parametrize(("version", "schema", "ready"), [("1.4.0", "0001", 200), ("1.5.0", "0001", 503)])
def test_a_version_is_not_ready_on_a_schema_older_than_it_needs(
    url: str, version: str, schema: str, ready: int
) -> None:
    migrate.migrate(url, schema)
    with TestClient(service.build(config(DATABASE_URL=url, APP_VERSION=version))) as client:
        assert settled(client) == ready


def test_both_versions_read_and_write_the_expanded_schema(url: str) -> None:
    migrate.migrate(url, "0002")
    token = jwt.encode({"sub": "test", "exp": time.time() + 60}, SECRET, algorithm="HS256")
    headers = {"authorization": f"Bearer {token}"}
    with (
        TestClient(service.build(config(DATABASE_URL=url, APP_VERSION="1.4.0"))) as old,
        TestClient(service.build(config(DATABASE_URL=url, APP_VERSION="1.5.0"))) as new,
    ):
        assert settled(old) == settled(new) == 200
        assert old.post("/items", json={"name": "lamp"}, headers=headers).json() == {"id": 1, "name": "lamp"}
        noted = {"name": "desk", "note": "oak"}
        assert new.post("/items", json=noted, headers=headers).json() == {"id": 2, **noted}
        assert old.post("/items", json=noted, headers=headers).status_code == 422
        assert old.get("/items").json() == {"items": [{"id": 2, "name": "desk"}, {"id": 1, "name": "lamp"}]}
        assert new.get("/items").json()["items"][1] == {"id": 1, "name": "lamp", "note": None}


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"name": ""}', b'{"name": 1}', b'{"name": "a", "id": 7}'])
def test_an_item_that_is_none_is_refused(url: str, body: bytes) -> None:
    token = jwt.encode({"exp": time.time() + 60}, SECRET, algorithm="HS256")
    with TestClient(service.build(config(DATABASE_URL=url))) as client:
        answer = client.post("/items", content=body, headers={"authorization": f"Bearer {token}"})
    assert answer.status_code == 422


@pytest.mark.parametrize(("version", "schema"), [("1.4.0", "0001"), ("1.5.0", "0002"), ("1.6.0", "0002")])
def test_each_version_states_the_schema_it_needs(version: str, schema: str) -> None:
    assert database.needed_revision(version) == schema
