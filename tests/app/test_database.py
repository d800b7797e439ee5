"""The migrations and what the service does with the table, on a real PostgreSQL."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import jwt
import psycopg
import pytest
from alembic.command import downgrade, upgrade
from alembic.config import Config as Alembic
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.exc import IntegrityError, ProgrammingError
from starlette.testclient import TestClient

from app import backfill, database, migrate, service
from app.schemas import MigrationError, NotYetError, Schemas
from sandbox import paths
from tests.support.app_service import SECRET, config, lines

pytestmark = pytest.mark.slow

NOBODY = 65534
"""PostgreSQL refuses to run as root."""


def alembic() -> Alembic:
    config = Alembic()
    config.set_main_option("script_location", str(paths.ROOT / "app/migrations"))
    return config


PHASES = {
    script.revision: script.module.phase for script in [*ScriptDirectory.from_config(alembic()).walk_revisions()][::-1]
}
REVISIONS = list(PHASES)


def installation() -> Path | None:
    """Return the root below which PostgreSQL 15 lies: this machine's, or the package cache of the local cloud."""
    cache = Path(os.environ.get("HUESHIFT_CACHE") or Path.home() / ".cache/hueshift")
    roots = (Path("/"), *cache.glob("deb-*/root"))
    return next((root for root in roots if (root / "usr/lib/postgresql/15/bin/initdb").exists()), None)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Yield a PostgreSQL of this test file, on a socket in a temporary directory; the URL without its database."""
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
    """Yield an empty database."""
    with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
        admin.execute("CREATE DATABASE shop")
    yield f"{server}/shop"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
        admin.execute("DROP DATABASE shop WITH (FORCE)")


def columns(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT column_name, is_nullable FROM information_schema.columns WHERE table_name = 'items'"
            " ORDER BY ordinal_position"
        )
        # The first three are mandatory from the start.
        return [f"{name} NOT NULL" if null == "NO" and place > 2 else name for place, (name, null) in enumerate(rows)]


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
        with pytest.raises(MigrationError, match="stayed locked for all 10 attempts"):
            migrate.migrate(url, "0002")
    assert columns(url) == ["id", "name", "created_at"]


def test_every_revision_has_a_way_back_and_forth_again(url: str) -> None:
    def alembic_to(go: Callable[[Alembic, str], None], revision: str) -> None:
        with create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url)).connect() as connection:
            (configuration := alembic()).attributes["connection"] = connection
            go(configuration, revision)

    for revision in REVISIONS:
        before = columns(url)
        alembic_to(upgrade, revision)
        after = columns(url)
        assert after != before
        alembic_to(downgrade, "-1")
        assert columns(url) == before
        alembic_to(upgrade, revision)
        assert columns(url) == after


def test_revisions_are_four_digits_in_one_line_in_the_order_of_their_numbers() -> None:
    assert [f"{number:04}" for number in range(1, len(REVISIONS) + 1)] == REVISIONS


def test_a_revision_that_expands_suits_the_code_before_it(capsys: pytest.CaptureFixture[str]) -> None:
    """The other color still runs on the schema before: nothing is dropped, renamed, retyped or made mandatory."""
    judged = []
    for before, revision in pairwise(["base", *REVISIONS]):
        upgrade(alembic(), f"{before}:{revision}", sql=True)
        narrowing = [
            statement
            for statement in capsys.readouterr().out.upper().split(";")
            if any(word in statement for word in (" DROP ", " RENAME ", " TYPE ", " SET NOT NULL"))
            or ("ADD COLUMN" in statement and "NOT NULL" in statement and "DEFAULT" not in statement)
        ]
        judged.append(PHASES[revision])
        assert bool(narrowing) == (PHASES[revision] == "contract"), (revision, narrowing)
    assert judged == ["expand", "expand", "contract"]


ALL_AT_2 = Schemas({"blue": "0002", "green": "0003"}, {"blue": "0002", "green": "0002"})
"""What 0003 asks for."""


@pytest.mark.parametrize(
    ("schemas", "reason"),
    [
        (
            replace(ALL_AT_2, declared={"blue": "0001", "green": "0003"}),
            "0003 contracts: it removes what code before schema 0002 uses; nothing has changed. blue is configured "
            "for schema 0001: set its image and schema to a version with 0002 or later",
        ),
        (
            replace(ALL_AT_2, running={"blue": "0001", "green": "0002"}),
            "pods of blue still run with schema 0001: they are being replaced, or it must be parked or brought to a "
            "version with 0002 first",
        ),
        (replace(ALL_AT_2, running={}), "no color's pods were ready yet, so what they need is not known"),
        (replace(ALL_AT_2, declared={}), "DECLARED_SCHEMAS, which tells what each color needs, is not set"),
        (Schemas({}, {}), "DECLARED_SCHEMAS, which tells what each color needs, is not set"),
    ],
)
def test_a_contraction_is_refused_before_anything_is_changed_while_it_is_not_known_to_hurt_nobody(
    url: str, schemas: Schemas, reason: str
) -> None:
    migrate.migrate(url, "0001")
    with pytest.raises(MigrationError) as refused:
        migrate.migrate(url, "0003", schemas)
    assert reason in str(refused.value)
    assert columns(url) == ["id", "name", "created_at"]


@pytest.mark.parametrize(
    "schemas", [ALL_AT_2, replace(ALL_AT_2, running={"blue": "none", "green": "0002"})], ids=["moved on", "parked"]
)
def test_a_contraction_goes_through_when_no_color_needs_what_it_takes(url: str, schemas: Schemas) -> None:
    migrate.migrate(url, "0002")
    assert migrate.migrate(url, "0003", schemas) == "0003"
    assert columns(url)[-1] == "note NOT NULL"


def test_only_pods_that_are_being_replaced_are_worth_waiting_for(url: str) -> None:
    migrate.migrate(url, "0002")
    for running in ({"blue": "0001", "green": "0002"}, {}):
        with pytest.raises(NotYetError):
            migrate.migrate(url, "0003", replace(ALL_AT_2, running=running))
    with pytest.raises(MigrationError) as refused:
        migrate.migrate(url, "0003", Schemas({"blue": "0001", "green": "0003"}, {"blue": "0001", "green": "0001"}))
    assert not isinstance(refused.value, NotYetError)
    assert "blue is configured for schema 0001" in str(refused.value)
    assert "pods of green still run with schema 0001" in str(refused.value)
    assert "pods of blue" not in str(refused.value)


def test_an_expansion_asks_for_no_color(url: str) -> None:
    migrate.migrate(url, "0001")
    assert migrate.migrate(url, "0002") == "0002"


def test_a_contraction_of_an_empty_database_takes_nothing_from_anybody(url: str) -> None:
    assert migrate.migrate(url, "0003") == "0003"


def test_the_first_run_is_whole_or_nothing(url: str, tmp_path: Path) -> None:
    place = copied(tmp_path)
    file = place / "versions/0003_item_note_always.py"
    file.write_text(file.read_text().replace('"items", "note", nullable=False', '"items", "nothing", nullable=False'))
    with pytest.raises(ProgrammingError):
        migrate.migrate(url, "0003", place=place)
    assert columns(url) == []


def test_code_whose_columns_were_taken_is_not_let_onto_the_database(url: str) -> None:
    migrate.migrate(url, "0003")
    with pytest.raises(MigrationError, match="code of schema 0001 no longer runs on this database: 0003 took"):
        migrate.migrate(url, "0001")
    assert migrate.migrate(url, "0002") == "0003"


def test_a_version_that_does_not_know_the_contraction_is_kept_off_all_the_same(url: str, tmp_path: Path) -> None:
    migrate.migrate(url, "0003")
    old = copied(tmp_path)
    (old / "versions/0003_item_note_always.py").unlink()
    with pytest.raises(MigrationError, match="no longer runs on this database"):
        migrate.migrate(url, "0001", place=old)
    assert migrate.migrate(url, "0002", place=old) == "0003"


def test_a_contraction_that_was_not_prepared_fails_whole(url: str) -> None:
    migrate.migrate(url, "0002")
    with psycopg.connect(url) as connection:
        connection.execute("INSERT INTO items (name) SELECT 'lamp' FROM generate_series(1, 2500)")
    with pytest.raises(IntegrityError, match='column "note" of relation "items" contains null values'):
        migrate.migrate(url, "0003", ALL_AT_2)
    assert columns(url)[-1] == "note"
    assert backfill.backfill(url) == 2500
    assert backfill.backfill(url) == 0
    assert migrate.migrate(url, "0003", ALL_AT_2) == "0003"


def test_the_way_back_is_refused_while_a_color_needs_more(url: str) -> None:
    migrate.migrate(url, "0003")
    with pytest.raises(MigrationError, match="green needs 0003; bring every color to a version with 0002"):
        migrate.back(url, "0002", ALL_AT_2)
    with pytest.raises(MigrationError, match="DECLARED_SCHEMAS, which tells what each color needs, is not set"):
        migrate.back(url, "0002")
    both = Schemas({"blue": "0002", "green": "0002"}, {"blue": "0002", "green": "none"})
    assert migrate.back(url, "0002", both) == "0002"
    assert columns(url)[-1] == "note"
    assert migrate.back(url, "0002", both) == "0002"
    assert migrate.migrate(url, "0003", both) == "0003"


def copied(directory: Path) -> Path:
    """Return a copy of the revisions that a test may edit."""
    shutil.copytree(migrate.MIGRATIONS, directory / "migrations", ignore=shutil.ignore_patterns("__pycache__"))
    return directory / "migrations"


@pytest.mark.parametrize("journal", [True, False])
def test_an_applied_revision_that_was_edited_is_refused_by_name(url: str, tmp_path: Path, *, journal: bool) -> None:
    migrate.migrate(url, "0001")
    if not journal:  # a database from before there was one: what the first run finds counts
        with psycopg.connect(url) as connection:
            connection.execute("DROP TABLE migration_log")
        migrate.migrate(url, "0002")
    place = copied(tmp_path)
    file = place / "versions/0001_items.py"
    file.write_text(file.read_text() + "\n")
    for target in ("0001", "0002"):
        with pytest.raises(MigrationError, match="0001_items\\.py was edited after it was applied"):
            migrate.migrate(url, target, place=place)
    file.write_text(file.read_text()[:-1])
    assert migrate.migrate(url, "0002", place=place) == "0002"


def test_a_revision_that_was_not_applied_yet_may_be_mended(url: str, tmp_path: Path) -> None:
    migrate.migrate(url, "0001")
    place = copied(tmp_path)
    file = place / "versions/0002_item_note.py"
    file.write_text(file.read_text() + "\n")
    assert migrate.migrate(url, "0002", place=place) == "0002"


@pytest.mark.parametrize(
    ("declaration", "reason"),
    [
        ("", "its phase is none; write phase"),
        ('phase = "expanding"', "its phase is expanding; write phase"),
        ('phase = "expand"\nunused_since = "0001"', "unused_since is of a revision that contracts"),
        ('phase = "contract"', "it contracts, and its unused_since is None;"),
        ('phase = "contract"\nunused_since = "0002"', "it contracts, and its unused_since is 0002;"),
        ('phase = "contract"\nunused_since = "0000"', "it contracts, and its unused_since is 0000;"),
        ('phase = "contract"\nunused_since = 1', "it contracts, and its unused_since is 1;"),
    ],
)
def test_a_revision_whose_phase_is_missing_or_wrong_is_refused_by_name(
    tmp_path: Path, declaration: str, reason: str
) -> None:
    place = copied(tmp_path)
    file = place / "versions/0002_item_note.py"
    file.write_text(file.read_text().replace('phase = "expand"', declaration))
    with pytest.raises(MigrationError, match=re.escape(f"0002_item_note.py: {reason}")) as refused:
        migrate.migrate("postgresql://nobody@127.0.0.1:1/none", "0001", place=place)
    assert "0002_item_note.py" in str(refused.value)


def test_what_the_colors_need_is_read_from_the_environment() -> None:
    env = {"DECLARED_SCHEMAS": "blue=0001 green=0002", "RUNNING_SCHEMA_BLUE": "none", "RUNNING_SCHEMA_GREEN": "0002"}
    told = Schemas({"blue": "0001", "green": "0002"}, {"blue": "none", "green": "0002"})
    assert Schemas.read(env) == told
    assert Schemas.read({}) == Schemas({}, {})


@pytest.mark.parametrize(
    "env", [{"DECLARED_SCHEMAS": "blue"}, {"DECLARED_SCHEMAS": "blue=none"}, {"RUNNING_SCHEMA_X": ""}]
)
def test_what_nobody_can_understand_is_refused(env: dict[str, str]) -> None:
    with pytest.raises(MigrationError, match="a schema has four digits"):
        Schemas.read(env)


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
        (["--forth", "0001"], "postgresql://u:hunter2@127.0.0.1:1/shop", "usage"),
        (["0042"], "postgresql://u:hunter2@127.0.0.1:1/shop", "revision 0042 is unknown; this version knows 0001"),
        (["0002"], "postgresql://u:hunter2@127.0.0.1:1/shop", "Connection refused"),
        (["0002"], "mysql://u:hunter2@db/shop", "DATABASE_URL must be postgresql://"),
        (["0002"], "", "DATABASE_URL must be postgresql://"),
    ],
)
def test_the_command_fails_with_the_reason_and_without_the_password(
    arguments: list[str], database_url: str, reason: str
) -> None:
    code, entries = command(*arguments, DATABASE_URL=database_url)
    assert code == (migrate.TRY_AGAIN if reason == "Connection refused" else 1)
    assert reason in entries[-1]["message"]
    assert "hunter2" not in json.dumps(entries)


def test_the_command_takes_the_colors_from_the_environment_and_says_which_is_in_the_way(url: str) -> None:
    told = {"DATABASE_URL": url, "DECLARED_SCHEMAS": "blue=0001 green=0003", "RUNNING_SCHEMA_BLUE": "0001"}
    assert command("0002", **told)[0] == 0
    code, entries = command("0003", **told)
    assert (code, entries[-1]["level"]) == (1, "critical")
    assert "blue is configured for schema 0001" in entries[-1]["message"]
    assert command("0003", **told | {"DECLARED_SCHEMAS": "blue=0002 green=0003"})[0] == migrate.TRY_AGAIN
    assert command("--back", "0001", **told)[1][-1]["message"].startswith("migration failed: green needs 0003")


def settled(client: TestClient) -> int:
    """Return the readiness status once it has had the time to change."""
    deadline = time.monotonic() + 2
    while True:
        status: int = client.get("/health/ready").status_code
        if status == 200 or time.monotonic() > deadline:
            return status
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("version", "schema", "ready"), [("1.4.0", "0001", 200), ("1.5.0", "0001", 503), ("1.6.0", "0002", 503)]
)
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


def test_the_contracted_schema_suits_the_version_before_and_no_older_one(url: str) -> None:
    migrate.migrate(url, "0003")
    token = jwt.encode({"sub": "test", "exp": time.time() + 60}, SECRET, algorithm="HS256")
    headers = {"authorization": f"Bearer {token}"}
    for version, status in (("1.4.0", 503), ("1.5.0", 201), ("1.6.0", 201)):
        with TestClient(service.build(config(DATABASE_URL=url, APP_VERSION=version))) as client:
            assert settled(client) == 200
            assert client.post("/items", json={"name": "lamp"}, headers=headers).status_code == status


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"name": ""}', b'{"name": 1}', b'{"name": "a", "id": 7}'])
def test_an_item_that_is_none_is_refused(url: str, body: bytes) -> None:
    token = jwt.encode({"exp": time.time() + 60}, SECRET, algorithm="HS256")
    with TestClient(service.build(config(DATABASE_URL=url))) as client:
        answer = client.post("/items", content=body, headers={"authorization": f"Bearer {token}"})
    assert answer.status_code == 422


@pytest.mark.parametrize(("version", "schema"), [("1.4.0", "0001"), ("1.5.1", "0002"), ("1.6.0", "0003")])
def test_each_version_states_the_schema_it_needs(version: str, schema: str) -> None:
    assert database.needed_revision(version) == schema
