"""What decides reaches nothing: the parts of a release that plan, judge and decide, in a process of their own."""

import subprocess
import sys

LOADED = "import hueshift.release.{}, sys; print(*sorted({{name.split('.')[0] for name in sys.modules}} & set({})))"
OUTSIDE = (
    "asyncio",
    "boto3",
    "botocore",
    "http",
    "pulumi",
    "pydantic",
    "rich",
    "socket",
    "subprocess",
    "typer",
    "urllib3",
)


def loaded(module: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(module, OUTSIDE)], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_what_plans_judges_and_decides_loads_nothing_that_could_reach_the_world() -> None:
    assert loaded("plan, hueshift.release.judge, hueshift.release.drive") == ""
    assert "botocore" in loaded("store")
