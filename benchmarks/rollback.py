"""How long `hueshift rollback` takes, from the start of its process until it has read the new weights back.

    .venv/bin/python benchmarks/rollback.py [RUNS] [SHARE]

Each run is a new process against moto on loopback, with two balancers and three services; two go back together.
SHARE of the calls (0 to 1) are answered as AWS does when it is busy. Prints milliseconds: least, median, most.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.balancers import World, served


def once(world: World, share: float) -> float:
    """Return seconds until both services are said to be back, each of which is said when its rule is read back."""
    for service in ("shop", "orders"):
        world.move(service, blue=50, green=50)
    command = [sys.executable, "-m", "hueshift", "rollback", "--stack", "staging"]
    world.server.behave(share=share)
    begun = ended = time.monotonic()
    with subprocess.Popen(
        command, cwd=world.folder, env=world.environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as process:
        for line in process.stderr or ():
            if "has all traffic" in line:
                ended = time.monotonic()
    world.server.behave(share=0)
    assert process.returncode == 0
    assert world.live() == world.live("orders") == {"blue": 100, "green": 0}
    return ended - begun


def main() -> None:
    """Run it."""
    runs, share = int([*sys.argv, "10"][1]), float([*sys.argv, "10", "0"][2 if len(sys.argv) > 2 else -1])
    with tempfile.TemporaryDirectory() as folder, served() as cloud:
        world = cloud.begun(Path(folder) / "project")
        once(world, 0)  # byte code and caches
        taken = [once(world, share) for _ in range(runs)]
    low, middle, high = (f"{seconds * 1000:.0f}" for seconds in (min(taken), median(taken), max(taken)))
    print(f"{runs} runs, {share:.0%} of the calls throttled: {low} · {middle} · {high} ms")  # noqa: T201


if __name__ == "__main__":
    main()
