"""How the time of a preview grows with the number of services.

Needs the local cloud: `eval "$(make -s sandbox-env)"; .venv/bin/python benchmarks/preview.py`. Each figure is the
median of three previews of a new stack, in which every resource is created: the most that a preview can be asked.
Nothing is applied.
"""

import copy
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
COUNTS = (1, 2, 5, 10, 20)
ROUNDS = 3
STACK = "many"


def config(count: int) -> dict[str, object]:
    """Return the sandbox's configuration with ``count`` services like its own."""
    values = yaml.safe_load((ROOT / "Pulumi.sandbox.yaml").read_text())
    services = values["config"]["hueshift:services"]
    shop = services.pop("shop")
    for number in range(1, count + 1):
        service = copy.deepcopy(shop)
        services[f"shop-{number}"] = {**service, "host": f"shop-{number}.localhost", "priorityBand": number}
    return dict(values)


def pulumi(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `pulumi` on the stack of this measurement."""
    command = ["pulumi", *arguments, "--stack", STACK, "--non-interactive"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def main() -> int:
    """Print a row for each number of services."""
    subprocess.run(["pulumi", "stack", "init", STACK, "--no-select"], cwd=ROOT, capture_output=True, check=False)
    sys.stdout.write("| services | resources | preview |\n| --- | --- | --- |\n")
    try:
        for count in COUNTS:
            with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
                yaml.safe_dump(config(count), file)
                file.flush()
                seconds = []
                for _ in range(ROUNDS):
                    started = time.monotonic()
                    done = pulumi("preview", "--config-file", file.name)
                    seconds.append(time.monotonic() - started)
                    if done.returncode:
                        sys.stderr.write(done.stdout[-3000:] + done.stderr[-1000:])
                        return 1
            created = next(line.split()[1] for line in done.stdout.splitlines() if "to create" in line)
            sys.stdout.write(f"| {count} | {created} | {statistics.median(seconds):.1f} s |\n")
            sys.stdout.flush()
    finally:
        pulumi("stack", "rm", "--yes", "--preserve-config")
    return 0


if __name__ == "__main__":
    sys.exit(main())
