"""Arguments as tables: types, defaults, ranges, what forces replacement, and the names the AWS API uses.

The tables hold what the schemas of the Terraform AWS provider say (hashicorp/terraform-provider-aws,
``internal/service/*``), from which the official Pulumi provider is made; names are those of the ``pulumi_aws`` package.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sandbox.providers.plugin import UNKNOWN, CheckFailure, Properties

JSON: Final = "json"
"""A document: two texts that mean the same are the same value."""
MAP: Final = "map"
"""Free keys with text values."""
PAIRS: Final = "pairs"
"""The same, as the API's list of ``{Name, Value}``."""


@dataclass(frozen=True, kw_only=True)
class Arg:
    """One argument, or one member of a block."""

    type: type | str = str
    """``str``, ``int``, ``float``, ``bool``, `JSON`, `MAP`, `PAIRS`; ignored where `fields` is set."""
    fields: "Schema | None" = None
    """The members, if it is a block."""
    partial: bool = False
    """The official provider's block has members that this one refuses by name."""
    empty: bool = False
    """A block without members says something, too."""
    many: bool = False
    """A list of such values."""
    ordered: bool = False
    """The order of the list means something; otherwise it is kept as the program has it."""
    key: str = ""
    """The member that identifies a block in an unordered list."""
    default: Any = None
    required: bool = False
    computed: bool = False
    """The API sets it where the program does not, and leaving it out later changes nothing."""
    replace: bool = False
    """A change needs a new object."""
    stored: bool = True
    """The API gives it back."""
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    """Bounds of a number, or of the length of a text."""
    pattern: str = ""
    api: str = ""
    """The API's name where it is not the Pascal case of ours."""


Schema = Mapping[str, Arg]


def pascal(name: str) -> str:
    return name[:1].upper() + name[1:]


# --- what a program gives -------------------------------------------------------------------------------------------


def complete(schema: Schema, given: Properties, at: str = "") -> Properties:
    """Coerce and validate every value and fill in the defaults, at any depth.

    Raises `CheckFailure` with the path of the first wrong value.
    """
    for key in given:
        if key not in schema:
            raise CheckFailure(at + key, f"the stand-in does not support it; it knows {', '.join(sorted(schema))}")
    result: Properties = {}
    for key, arg in schema.items():
        value = given.get(key)
        if value is None:
            value = arg.default
        if value is not None:
            result[key] = _complete(arg, value, at + key)
        elif arg.required:
            raise CheckFailure(at + key, "missing required argument")
    return result


def _complete(arg: Arg, value: Any, at: str) -> Any:  # noqa: ANN401
    if value is UNKNOWN:
        return value
    if not arg.many:
        return _one(arg, value, at)
    if not isinstance(value, list):
        raise CheckFailure(at, f"a list is wanted, got {value!r}")
    return [_one(arg, item, f"{at}[{index}]") for index, item in enumerate(value)]


def _one(arg: Arg, value: Any, at: str) -> Any:  # noqa: ANN401
    if value is UNKNOWN:
        return value
    if arg.fields is not None:
        if not isinstance(value, dict):
            raise CheckFailure(at, f"an object is wanted, got {value!r}")
        return complete(arg.fields, value, at + ".")
    value = _coerce(arg, value, at)
    if arg.choices and value not in arg.choices:
        raise CheckFailure(at, f"one of {', '.join(arg.choices)} is wanted, got {value!r}")
    if arg.pattern and not re.fullmatch(arg.pattern, value):
        raise CheckFailure(at, f"{value!r} does not match {arg.pattern}")
    size, what = (len(value), "length ") if isinstance(value, str) else (value, "")
    if isinstance(size, int | float):
        if arg.low is not None and size < arg.low:
            raise CheckFailure(at, f"{what}{size} is less than {arg.low}")
        if arg.high is not None and size > arg.high:
            raise CheckFailure(at, f"{what}{size} is more than {arg.high}")
    return value


def _coerce(arg: Arg, value: Any, at: str) -> Any:  # noqa: ANN401
    """Convert as the official provider does: numbers and booleans from text and back, never silently losing any."""
    wanted = arg.type
    if wanted in (MAP, PAIRS):
        if isinstance(value, dict):
            return {key: item if item is UNKNOWN else text(item) for key, item in value.items()}
    elif wanted is bool:
        if isinstance(value, bool):
            return value
        if value in ("true", "false"):
            return value == "true"
    elif wanted in (int, float):
        if isinstance(value, int | float) and not isinstance(value, bool) and (wanted is float or value == int(value)):
            return value
        if isinstance(value, str) and re.fullmatch(r"-?\d+" if wanted is int else r"-?\d+(\.\d+)?", value):
            return int(value) if "." not in value else float(value)
    elif wanted == JSON:
        if isinstance(value, dict):  # a policy as an object of the SDK
            return json.dumps(value)
        if isinstance(value, str) and (not value or _parsed(value) is not None):
            return value
    elif isinstance(value, str | int | float):
        return text(value)
    name = wanted if isinstance(wanted, str) else wanted.__name__
    raise CheckFailure(at, f"{name} is wanted, got {value!r}")


def text(value: Any) -> str:  # noqa: ANN401
    return str(value).lower() if isinstance(value, bool) else str(value)


def _parsed(document: Any) -> Any:  # noqa: ANN401
    try:
        return json.loads(document)
    except (TypeError, ValueError):
        return None


# --- what lives, as the program would write it ----------------------------------------------------------------------


def same(arg: Arg, one: Any, other: Any) -> bool:  # noqa: ANN401
    if one is UNKNOWN or other is UNKNOWN:
        return False
    return one == other or (arg.type == JSON and _parsed(one) is not None and _parsed(one) == _parsed(other))


def align(arg: Arg, live: Any, wanted: Any, *, whole: bool) -> Any:  # noqa: ANN401
    """Give `live` in the order and spelling of `wanted`, so that only what differs in meaning differs.

    With `whole` all that lives is given; without, only the members that `wanted` has: what the program left to the API
    is no drift. Items that `wanted` lacks are always given.
    """
    if live is None or live is UNKNOWN or wanted is None or wanted is UNKNOWN:
        return live
    if same(arg, live, wanted):
        return wanted
    if arg.many:
        return _align_list(arg, live, wanted, whole=whole) if isinstance(wanted, list) else live
    return _align_one(arg, live, wanted, whole=whole)


def _align_one(arg: Arg, live: Any, wanted: Any, *, whole: bool) -> Any:  # noqa: ANN401
    if arg.fields is None or not isinstance(wanted, dict) or live is UNKNOWN:
        return wanted if same(arg, live, wanted) else live
    result = {}
    for key, member in arg.fields.items():
        value = align(member, live.get(key), wanted.get(key), whole=whole)
        if value is None and not member.stored:
            value = wanted.get(key)
        if value is not None and (whole or key in wanted):
            result[key] = value
    return result


def _align_list(arg: Arg, live: list[Any], wanted: list[Any], *, whole: bool) -> list[Any]:
    left = list(live)
    if arg.ordered:
        places = left[: len(wanted)]
        left = left[len(wanted) :]
    else:
        places = []
        for model in wanted:
            match = next((item for item in left if _matches(arg, item, model)), None)
            if match is not None:
                left.remove(match)
            places.append(match)
        # What has no counterpart takes the place of what is gone: one changed item is one difference.
        places = [left.pop(0) if item is None and left else item for item in places]
    aligned = [
        _align_one(arg, item, model, whole=whole)
        for item, model in zip(places, wanted, strict=False)
        if item is not None
    ]
    return aligned + left


def _matches(arg: Arg, item: Any, model: Any) -> bool:  # noqa: ANN401
    if arg.fields is None or not isinstance(model, dict) or item is UNKNOWN:
        return same(arg, item, model)
    if arg.key:
        return bool(item.get(arg.key) == model.get(arg.key))
    return bool(_align_one(arg, item, model, whole=False) == model)


def keep(schema: Schema, new: Properties, old: Properties | None) -> Properties:
    """Give `new` in the order and spelling of `old`, and with what `old` has of `Arg.computed`: no change in either."""
    if old is None:
        return new
    kept = {
        key: align(schema[key], value, old[key], whole=True) if key in schema and key in old else value
        for key, value in new.items()
    }
    _carry(schema, kept, old)
    return kept


def _carry(schema: Schema, new: Properties, old: Properties) -> None:
    for key, arg in schema.items():
        if key not in new:
            if arg.computed and key in old:
                new[key] = old[key]
        elif not arg.many and isinstance(new[key], dict) and isinstance(old.get(key), dict) and arg.fields:
            _carry(arg.fields, new[key], old[key])


# --- to and from the API --------------------------------------------------------------------------------------------


def to_api(schema: Schema, values: Properties) -> dict[str, Any]:
    """Give the members of `values` that the schema has as the API names and nests them."""
    return {
        arg.api or pascal(key): _to_api(arg, values[key]) for key, arg in schema.items() if values.get(key) is not None
    }


def _to_api(arg: Arg, value: Any) -> Any:  # noqa: ANN401
    if arg.many:
        return [_to_api_one(arg, item) for item in value]
    return _to_api_one(arg, value)


def _to_api_one(arg: Arg, value: Any) -> Any:  # noqa: ANN401
    if arg.fields is not None:
        return to_api(arg.fields, value)
    if arg.type == PAIRS:
        return [{"Name": name, "Value": item} for name, item in value.items()]
    return value


def from_api(schema: Schema, answer: Mapping[str, Any]) -> Properties:
    """Give what the API answered under our names; what the schema does not know is left out, and so are empty lists."""
    result: Properties = {}
    for key, arg in schema.items():
        value = answer.get(arg.api or pascal(key))
        if value is None or (isinstance(value, list | dict) and not value and not arg.empty):
            continue
        if arg.many:
            result[key] = [_from_api_one(arg, item) for item in value]
        else:
            result[key] = _from_api_one(arg, value)
    return result


def _from_api_one(arg: Arg, value: Any) -> Any:  # noqa: ANN401
    if arg.fields is not None:
        return from_api(arg.fields, value)
    if arg.type == PAIRS:
        return {pair["Name"]: pair["Value"] for pair in value}
    if arg.type in (int, float) and isinstance(value, str | int | float) and not isinstance(value, bool):
        number = float(value)
        return int(number) if number.is_integer() else number
    if arg.type is str and isinstance(value, int | bool):
        return text(value)
    return value


def flat(schema: Schema, values: Properties, prefix: str = "") -> dict[str, Any]:
    """Give every value that is no block by its dotted path: ``stickiness.enabled``."""
    result: dict[str, Any] = {}
    for key, arg in schema.items():
        value = values.get(key)
        if arg.fields is not None and isinstance(value, dict):
            result |= flat(arg.fields, value, f"{prefix}{key}.")
        elif arg.fields is not None and isinstance(value, list):  # a block that the SDK calls a list, of one
            for item in value:
                result |= flat(arg.fields, item, f"{prefix}{key}.")
        elif value is not None:
            result[prefix + key] = value
    return result


def nest(schema: Schema, values: Mapping[str, Any], prefix: str = "") -> Properties:
    """The way back from `flat`; values may be texts, as attributes of a load balancer are."""
    result: Properties = {}
    for key, arg in schema.items():
        if arg.fields is not None:
            block = nest(arg.fields, values, f"{prefix}{key}.")
            if block:
                result[key] = [block] if arg.many else block
        elif (value := values.get(prefix + key)) is not None and value != "":
            result[key] = _coerce(arg, value, prefix + key)
    return result
