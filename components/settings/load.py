"""Reads the settings from the configuration of a stack."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Final

import pulumi
from pulumi.runtime import get_config_env, is_config_secret
from pulumi.runtime.config import CONFIG
from pydantic import ValidationError

from components import rules
from components.model.written import JSON, decoded, from_json
from components.rules import Problem
from components.settings.messages import SettingsError, full_key, lines_of
from components.settings.record import RECORD, ran
from components.settings.schema import KEYS, StackSettings, as_switch


def load(config: pulumi.Config, stack: str) -> StackSettings:
    """Return the settings of ``stack`` from all keys of the project, also undeclared ones: the engine passes both.

    Raises ``SettingsError``.
    """
    prefix = f"{config.name}:"
    keys = sorted(key for key in {*CONFIG.get(), *get_config_env()} if key.startswith(prefix))
    encrypted = [key for key in keys if is_config_secret(key)]
    if encrypted:
        # What is encrypted arrives in clear: nothing of it may reach a message or the state.
        remedy = "is encrypted, but settings hold no secrets; put the values into Secrets Manager, name them under"
        raise SettingsError(stack, [f"{key}: {remedy} secrets, and set this key again in clear" for key in encrypted])
    return parse(
        {key.removeprefix(prefix): decoded(config.require(key.removeprefix(prefix))) for key in keys},
        stack=stack,
        ran=ran(Path(RECORD)),
        region=pulumi.Config("aws").get("region"),
    )


def parse(
    values: Mapping[str, object],
    *,
    stack: str,
    ran: Mapping[str, Mapping[str, Collection[str]]] | None = None,
    region: str | None = None,
) -> StackSettings:
    """Return the settings in ``values``, which are as in a stack file, keys without ``hueshift:``.

    ``ran`` is what staging has run, by service, to which production is held; None for no such check. ``region`` is
    where the stack is, None where that is not known.

    Raises ``SettingsError`` with all problems. pydantic judges a whole only when its parts are right, so when one is
    wrong a second, lenient pass, without unknown keys and rules about single values, reaches the rules about several.
    """
    if lines := {f"{full_key(where)}: {reason}" for where, reason in _unreadable(values)}:
        raise SettingsError(stack, sorted(lines))
    environment = values.get("environment")
    if environment is None or environment == "":  # "" is the default that Pulumi.yaml states
        environment = stack
    stated = as_switch(values.get("production"))
    production = stated is not False
    if isinstance(environment, str) and rules.environment_problem(environment) is None:
        production = rules.is_production(environment, stated if isinstance(stated, bool) else None)
        if stated is None and (reason := rules.production_problem(environment)) is not None:
            lines.add(f"{full_key('production')}: {reason}")
    known = {"environment": environment, "production": production if stated is None else stated}
    for lenient in (False, True):
        try:
            settings = KEYS.validate_python(
                {"loadBalancer": {}, "alerts": {}, **values, **known},
                extra="ignore" if lenient else None,
                context={"production": production, "lenient": lenient, "ran": ran, "region": region},
            )
        except ValidationError as error:
            for details in error.errors(include_url=False):
                lines.update(lines_of(details))
        else:
            if not lines:
                return settings
    raise SettingsError(stack, sorted(lines))


def _unreadable(values: Mapping[str, object]) -> Iterator[Problem]:
    """Return what is no text that can be judged, anywhere in the values; reasons do not repeat values."""
    for key, value in values.items():
        if (reason := rules.text_problem(key)) is not None:
            yield Problem(key, f"its name {reason}")
        if isinstance(value, str) and value.startswith(JSON):
            try:
                from_json(value)
            except ValueError as error:
                remedy = "a shell takes quotes away: put single ones around the whole, or write it in the stack file"
                yield Problem(key, f"is no JSON ({error}); {remedy}")
        else:
            yield from _unreadable_text(key, value, 0)


_DEPTH: Final = 20
"""Levels of what the settings know; below that everything is refused for what it is."""


def _unreadable_text(path: str, value: object, depth: int) -> Iterator[Problem]:
    if isinstance(value, str):
        # The value of a variable may have several lines, and so may what a container is told.
        lines = any(part in path for part in (".env.", ".podTemplate."))
        if (reason := rules.text_problem(value, lines=lines)) is not None:
            yield Problem(path, reason)
    elif isinstance(value, Mapping) and depth < _DEPTH:
        for key, child in value.items():
            if (reason := rules.text_problem(str(key))) is not None:
                yield Problem(f"{path}.{key}", f"its name {reason}")
            yield from _unreadable_text(f"{path}.{key}", child, depth + 1)
    elif isinstance(value, list) and depth < _DEPTH:
        for place, child in enumerate(value):
            yield from _unreadable_text(f"{path}[{place}]", child, depth + 1)
