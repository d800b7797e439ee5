"""What is called when every tenth of a second counts imports nothing that takes long, in a fresh process."""

import pytest

from tests.support.balancers import World

pytestmark = pytest.mark.slow

COLD = """
import sys
from hueshift.traffic.balancer import Balancer
late, moved = {"pulumi", "pydantic", "boto3", "rich"}, []
move = Balancer.move
def moving(*given):
    moved.append(sorted(late & set(sys.modules)))
    return move(*given)
Balancer.move = moving
from hueshift.cli import main
sys.argv = ["hueshift", "rollback", "--stack", "staging"]
main()
print(moved)
"""


def test_before_the_rule_is_moved_nothing_is_imported_that_takes_long(world: World) -> None:
    world.move(blue=50, green=50)
    done = world.python(COLD)
    assert done.stdout == "[[]]\n", done.stderr
    assert world.live() == {"blue": 100, "green": 0}


def test_to_offer_the_parts_to_a_shell_imports_none_of_them(world: World) -> None:
    code = (
        "import atexit, os, sys\nfrom hueshift.cli import main\n"
        "atexit.register(lambda: print([name for name in sys.modules if name.startswith('hueshift.')]))\n"
        "os.environ |= {'_HUESHIFT_COMPLETE': 'complete_bash', 'COMP_WORDS': 'hueshift ', 'COMP_CWORD': '1'}\n"
        "sys.argv = ['hueshift']\nmain()\n"
    )
    done = world.python(code)
    assert done.stdout.splitlines()[-1] == "['hueshift.cli']", done.stderr
    assert "preview" in done.stdout.splitlines()


@pytest.mark.parametrize("words", [["--help"], ["status", "--stack", "staging"]])
def test_help_and_status_import_neither_the_engines_sdk_nor_pydantic(world: World, words: list[str]) -> None:
    code = (
        "import atexit, sys\nfrom hueshift.cli import main\n"
        "atexit.register(lambda: print(sorted({'pulumi', 'pydantic'} & set(sys.modules))))\n"
        f"sys.argv = ['hueshift', *{words!r}]\nmain()\n"
    )
    done = world.python(code)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "[]"), done.stderr
