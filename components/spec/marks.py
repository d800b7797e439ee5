"""What a key of a stack file says of itself beside its type: which values it takes and why, and one example.

A key is one field of a class of this package, declared like this::

    interval: Annotated[int, Between(5, 300, "what a target group takes")] = 10
    \"\"\"Seconds between two checks.\"\"\"

The settings judge by it, and the reference, the schema of stack files and `Pulumi.yaml` are made from it.
"""

import ast
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

from components.rules import Problem


class Facts(NamedTuple):
    """What the value of a key may depend on beside itself."""

    production: bool
    region: str | None
    """Where the stack is, if that is known."""


class Judge:
    """A mark that refuses values."""

    def problem(self, value: Any, facts: Facts) -> str | None:  # noqa: ANN401 - of the key's type, and never None
        """Return why a value is refused."""
        raise NotImplementedError

    @property
    def allowed(self) -> str:
        """The values it takes, in few words; empty where only a sentence says it."""
        return ""

    @property
    def why(self) -> str:
        """The reason; may be empty."""
        return ""

    @property
    def keywords(self) -> Mapping[str, object]:
        """The same in JSON Schema, as far as that can say it."""
        return {}


@dataclass(frozen=True)
class Between(Judge):
    """Both ends included."""

    least: int
    most: int
    why: str = ""

    def problem(self, value: int, _: Facts) -> str | None:
        within = self.least <= value <= self.most
        return None if within else f"{value} is out of range; allowed are {self.allowed}"

    @property
    def allowed(self) -> str:
        return f"{self.least} to {self.most}"

    @property
    def keywords(self) -> Mapping[str, object]:
        return {"minimum": self.least, "maximum": self.most}


@dataclass(frozen=True)
class Like(Judge):
    """Text of a pattern, in which a word and a digit are of ASCII; no pattern may take longer than in proportion."""

    pattern: str
    form: str
    """What is allowed, for people."""
    limit: int = 2048

    def problem(self, value: str, _: Facts) -> str | None:
        if len(value) <= self.limit and re.fullmatch(self.pattern, value, re.ASCII):
            return None
        return f"{value!r} has the wrong form; allowed is {self.form}"

    @property
    def allowed(self) -> str:
        return self.form

    @property
    def keywords(self) -> Mapping[str, object]:
        return {"pattern": f"^({self.pattern})$", "maxLength": self.limit}


@dataclass(frozen=True)
class Rule(Judge):
    """A predicate of `rules`, whose description says what is allowed and why."""

    predicate: Callable[..., str | None]
    by_environment: bool = False
    """Whether production is held to more; the predicate is then told."""

    def problem(self, value: object, facts: Facts) -> str | None:
        return self.predicate(value, production=facts.production) if self.by_environment else self.predicate(value)

    @property
    def why(self) -> str:
        said = inspect.cleandoc(self.predicate.__doc__ or "").partition("\n\n")[0].replace("\n", " ")
        refused = said.removeprefix("Return why ")
        needed = refused.removeprefix("this is no ").removeprefix("this is not ")
        return needed if needed != refused else refused.partition(": ")[2] or refused


@dataclass(frozen=True)
class Here(Judge):
    """The ARN of what AWS takes from the stack's own region alone."""

    why: str = "AWS takes it from the stack's own region alone"

    def problem(self, arn: str, facts: Facts) -> str | None:
        if facts.region is None or arn.split(":")[3] == facts.region:
            return None
        return f"{arn!r} is not in the region of the stack; name one in {facts.region}"


@dataclass(frozen=True)
class Words:
    """Of a list in which an item may come twice, as in a command; all others name each thing once."""


@dataclass(frozen=True)
class Beside:
    """A rule about a key and another that stands before it in the same class, which the predicate is given too."""

    predicate: Callable[..., Iterable[Problem]]
    other: str
    otherwise: object
    """What stands for the other where that is refused itself."""


@dataclass(frozen=True)
class Unset:
    """What a key is that the stack file leaves out, where that depends on others; the settings fill it in."""

    meaning: str


@dataclass(frozen=True, eq=False)
class Example:
    """One value, of a key without a default."""

    value: object


def arn(service: str, resource: str, *, region: str = "[a-z0-9-]+") -> Like:
    """Return the form of an ARN of one service; ``resource`` is a pattern."""
    example = re.sub(r"\(.*?\)|\[.*?\]", "…", resource).replace("+", "").replace("…", "<name>")
    return Like(rf"arn:aws[a-z-]*:{service}:{region}:([0-9]{{12}}|aws):{resource}", f"arn:aws:{service}:…:{example}")


@cache
def meanings(spec: type) -> Mapping[str, str]:
    """Return what the string below each field of a class says of it, in one line; a field without one is left out."""
    found = {}
    (body,) = (
        node.body
        for node in _tree(inspect.getfile(spec)).body
        if isinstance(node, ast.ClassDef) and node.name == spec.__name__
    )
    for field, said in pairwise(body):
        match field, said:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = " ".join(text.split())
    return found


@cache
def _tree(file: str) -> ast.Module:
    with open(file, encoding="utf-8") as source:  # noqa: PTH123 - imported by every update
        return ast.parse(source.read())
