"""Whether the account and the cluster that live are those that the stack's state describes."""

from collections.abc import Mapping

World = Mapping[str, str]
"""The ids of the emulated account and of the cluster; an empty one where it does not answer."""


def lost(*, state: bool, recorded: World | None, living: World, pending: bool) -> str:
    """Return why the world must be rebuilt; empty if it need not be.

    ``state`` says whether a stack has been made at all, ``recorded`` the world that the last whole
    `make sandbox` has left, ``pending`` whether an update of the stack ended in the middle of an operation.
    """
    if not state:
        return ""
    if recorded is None:
        return "an earlier run was ended before its stack was whole"
    if recorded != living:
        return "the emulated account or the cluster is not the one that the stack's state describes"
    if pending:
        return "an update of the stack was killed, and what it was making is unknown"
    return ""
