"""The shell scripts of the local cloud, as far as they can be tried without root and without a node."""

import hashlib
import json
import os
import runpy
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NODE = ROOT / "sandbox/node"
SCRIPTS = sorted([*ROOT.glob("sandbox/**/*.sh"), *ROOT.glob("tools/**/*.sh")])


def run(*command: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command with extra environment variables and keep what it prints."""
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **variables})


def common(script: str) -> subprocess.CompletedProcess[str]:
    """Run shell code that has read common.sh."""
    return run("bash", "-c", f". {NODE}/common.sh; {script}")


@pytest.fixture
def place() -> Iterator[Path]:
    """Yield an empty directory with a short name: sockets cannot lie deep."""
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


@pytest.fixture
def process(place: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a living process whose number a dead node of `place / "state"` left in its state directory."""
    (place / "state/cluster").mkdir(parents=True)
    with subprocess.Popen(["sleep", "60"]) as process:
        (place / "state/cluster/node.pid").write_text(str(process.pid))
        yield process
        process.kill()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: str(script.relative_to(ROOT)))
def test_shellcheck_finds_nothing(script: Path) -> None:
    shellcheck = Path(sys.executable).with_name("shellcheck")
    found = run(shellcheck, "--external-sources", f"--source-path={script.parent}", script)
    assert found.stdout == ""
    assert found.returncode == 0


def test_every_script_was_checked() -> None:
    names = {script.name for script in SCRIPTS}
    assert names >= {"common.sh", "up.sh", "down.sh", "node.sh", "packages.sh", "build.sh", "venv.sh"}


def test_the_scripts_and_the_python_parts_name_the_same_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HUESHIFT_HOST_IP", "HUESHIFT_NODE_IP", "HUESHIFT_REGISTRY"):
        monkeypatch.delenv(name, raising=False)
    paths = runpy.run_path(str(ROOT / "sandbox/paths.py"))
    shell = common(
        'echo "$host_ip" "$node_ip" "$pod_cidr" "$webhook_port" "$aws_port"; '
        'echo "$postgres_port" "127.0.0.1:$registry_port" "$zone" "$instance"'
    )
    assert shell.stdout.split() == [
        paths["HOST_IP"],
        paths["NODE_IP"],
        paths["POD_CIDR"],
        str(paths["WEBHOOK_PORT"]),
        paths["AWS_FOR_PODS"].rpartition(":")[2],
        str(paths["POSTGRES_PORT"]),
        paths["REGISTRY"],
        paths["ZONE"],
        paths["INSTANCE_ID"],
    ]


def test_a_machine_that_cannot_run_a_node_is_told_the_way_out_in_one_line(tmp_path: Path) -> None:
    for program in ("bash", "dirname", "basename", "uname", "grep", "realpath"):
        (tmp_path / program).symlink_to(str(shutil.which(program)))
    refused = run(NODE / "up.sh", "--check", PATH=str(tmp_path))
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert refused.stderr.startswith("this machine cannot run the local Kubernetes node: ")
    assert "HUESHIFT_KUBECONFIG=" in refused.stderr
    assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize("hidden", ["/run/x", "/var/lib/x/node", "/var/log/x", "/dev/shm/x"])
def test_a_state_directory_that_the_node_would_hide_is_refused(hidden: str) -> None:
    refused = run(NODE / "up.sh", hidden)
    assert refused.returncode == 1
    assert "choose another directory" in refused.stderr
    assert not Path(hidden).exists()


def test_a_state_directory_too_long_for_a_socket_is_refused() -> None:
    assert common(f"open_state /{'a' * 76}").returncode == 0
    refused = common(f"open_state /{'a' * 77}")
    assert refused.returncode == 1
    assert "too long a path" in refused.stderr
    # the kernel takes 108 bytes with the last one zero
    assert len(f"/{'a' * 76}/cluster/containerd.sock.ttrpc") <= 107


@pytest.mark.parametrize("script", ["up.sh", "down.sh", "load.sh"])
def test_a_script_without_a_state_directory_says_how_it_is_called(script: str) -> None:
    refused = run(NODE / script)
    assert refused.returncode == 1
    assert f"usage: {script}" in refused.stderr


def test_a_number_that_another_process_took_over_is_not_a_living_node(
    place: Path, process: subprocess.Popen[bytes]
) -> None:
    assert common(f"node_pid {place / 'state'}").returncode == 1
    assert process.poll() is None


def test_a_node_is_known_by_its_whole_state_directory_even_when_that_was_deleted(place: Path) -> None:
    node = ["unshare", "-c", "sleep 60; :", "/x/node.sh", str(place / "state2"), "tools"]
    with subprocess.Popen(node, executable="/bin/bash") as process:
        found = common(f"node_pid {place / 'state2'}"), common(f"node_pid {place / 'state'}")
        process.kill()
    assert found[0].stdout == f"{process.pid}\n"
    assert (found[1].returncode, found[1].stdout) == (1, "")


def test_taking_down_what_is_not_there_does_nothing(place: Path) -> None:
    done = run(NODE / "down.sh", place / "absent/state")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(place.iterdir()) == []


def test_an_image_cannot_be_loaded_into_a_dead_node(place: Path, process: subprocess.Popen[bytes]) -> None:
    refused = run(NODE / "load.sh", place / "state")
    assert refused.returncode == 1
    assert "run up.sh" in refused.stderr
    assert process.poll() is None


@pytest.mark.slow
@pytest.mark.timeout(600)  # the first compilation
def test_the_rules_of_network_policies_open_what_they_name_and_nothing_else() -> None:
    if why_not := run(NODE / "up.sh", "--check").stderr:
        pytest.skip(why_not)
    unpacked = run(NODE / "packages.sh", "node").stdout.strip()
    libraries = ":".join(str(path) for path in Path(unpacked).glob("**/lib/*-linux-gnu"))
    done = run(
        *(
            "go",
            "-C",
            ROOT / "sandbox/go/kubenode",
            "test",
            "-count=1",
            "-vet=off",
            "-trimpath",
            "-tags",
            "grpcnotrace",
            "-v",
        ),
        "./netpol",
        CGO_ENABLED="0",
        PATH=f"{unpacked}/usr/sbin:{os.environ['PATH']}",
        LD_LIBRARY_PATH=libraries,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "--- PASS: TestNftAcceptsTheRules" in done.stdout


def test_an_unknown_package_set_is_refused() -> None:
    refused = run(NODE / "packages.sh", "perl")
    assert refused.returncode == 1
    assert refused.stderr == "usage: packages.sh node|python\n"


def test_the_same_directory_makes_the_same_image(tmp_path: Path) -> None:
    digests = set()
    for name in ("first", "second"):
        root = tmp_path / name
        root.mkdir()
        (root / "program").write_text("content")
        os.utime(root / "program", (len(name), len(name)))
        made = run(NODE / "image.sh", "sandbox.local/x:1", root, tmp_path / f"{name}.tar", "/program", "-v")
        assert made.returncode == 0, made.stderr
        digests.add(hashlib.sha256((tmp_path / f"{name}.tar").read_bytes()).hexdigest())
    assert len(digests) == 1


def test_an_image_names_its_layer_by_its_true_digest(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "program").write_text("content")
    made = run(NODE / "image.sh", "sandbox.local/x:1", root, tmp_path / "image.tar", "/program", "-v")
    assert made.returncode == 0, made.stderr
    with tarfile.open(tmp_path / "image.tar") as archive:
        files = {name: archive.extractfile(name) for name in archive.getnames()}
        content = {name: file.read() for name, file in files.items() if file}
    manifest = json.loads(content["manifest.json"])[0]
    config = json.loads(content[manifest["Config"]])
    assert manifest["RepoTags"] == ["sandbox.local/x:1"]
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(content[manifest['Layers'][0]]).hexdigest()}"]
    assert config["config"]["Entrypoint"] == ["/program", "-v"]
