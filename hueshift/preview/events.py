"""Reads the engine's events: resources an update would touch, diagnostics and policy violations.

Pure, so that tests need no engine.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from hueshift.preview.report import Op, Violation

STACK: Final = "pulumi:pulumi:Stack"
SECRET: Final = "[secret]"
UNKNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""The engine writes this for text that is unknown until the update (``UnknownStringValue`` in its SDK)."""
_STEP: Final = re.compile(r'\["((?:[^"\\]|\\.)*)"\]|\[(\d+)\]|([^.\[\]]+)')
_NOISE: Final = ("an unhandled error occurred: program exited", "preview failed")
_COUNTED: Final = ("create", "update", "replace", "delete", "import")
"""Steps that this module tells of and the engine's summary counts."""
_QUIET: Final = frozenset(
    {
        *("same", "refresh", "read", "read-replacement", "discard", "discard-replaced"),
        *("create-replacement", "import-replacement", "delete-replaced", "remove-pending-replace"),
    }
)
"""Steps that change nothing, and the parts of a replacement (``deploy.StepOp`` of the engine)."""
_LONG: Final = 160
"""Characters shown of one value: enough for an image with its digest, too few for a policy document."""


@dataclass(kw_only=True)
class Resource:
    """One resource, as the events describe it."""

    urn: str
    ops: list[str] = field(default_factory=list)
    """In the order of the events; a replacement has several."""
    id: str = ""
    """Provider ID; empty before the resource exists."""
    old: Mapping[str, Any] = field(default_factory=dict)
    new: Mapping[str, Any] = field(default_factory=dict)
    diff: Mapping[str, Any] = field(default_factory=dict)
    keys: Sequence[str] = ()
    drift: Sequence[str] = ()
    """Properties that a refresh found to differ from the state."""

    @property
    def name(self) -> str:
        """Logical name."""
        return self.urn.rpartition("::")[2]

    @property
    def type(self) -> str:
        """Type token, without those of its parents."""
        return self.urn.split("::")[2].rpartition("$")[2]

    @property
    def parent(self) -> str:
        """URN of the parent; empty without one."""
        return str(self.new.get("parent") or self.old.get("parent") or "")

    @property
    def op(self) -> Op | None:
        """What happens to it; None if nothing does."""
        for op in (Op.REPLACE, Op.CREATE, Op.UPDATE, Op.DELETE):
            if op in self.ops:
                return op
        return Op.IMPORT if self.imported else None

    @property
    def imported(self) -> bool:
        """Whether the program takes it over."""
        return "import" in self.ops

    @property
    def missing(self) -> bool:
        """Whether a refresh found that it is no longer there; a replacement creates by another step."""
        return "refresh" in self.ops and "create" in self.ops

    @property
    def is_provider(self) -> bool:
        """Whether it is a provider and so not a cloud resource."""
        return self.type.startswith("pulumi:providers:")


@dataclass(frozen=True, kw_only=True)
class Events:
    """The events of one preview, sorted by what they tell."""

    resources: Mapping[str, Resource]
    """By URN."""
    outputs: Mapping[str, Mapping[str, Any]]
    """The stack's outputs, ``old`` and ``new``."""
    policies: int
    """Number of policies evaluated."""
    violations: Sequence[Violation]
    warnings: Sequence[str]
    errors: Sequence[str]
    summary: Mapping[str, int] | None = None
    """How many steps of each kind the engine counts at its end; None if it came to none."""


def collect(events: Iterable[Mapping[str, Any]]) -> Events:
    """Return the content of the events that ``pulumi preview --json`` streams."""
    resources: dict[str, Resource] = {}
    outputs: dict[str, Mapping[str, Any]] = {"old": {}, "new": {}}
    warnings: list[str] = []
    errors: list[str] = []
    violations: list[Violation] = []
    evaluated: set[str] = set()
    summary: Mapping[str, int] | None = None
    for event in events:
        if resource := event.get("resourcePreEvent"):
            _note(resources, resource["metadata"])
        elif done := event.get("resOutputsEvent"):
            if done["metadata"]["type"] == STACK:
                outputs = {key: (done["metadata"].get(key) or {}).get("outputs") or {} for key in outputs}
            elif done["metadata"]["op"] == "refresh":
                _refreshed(resources, done["metadata"])
        elif "summaryEvent" in event:
            summary = event["summaryEvent"].get("resourceChanges") or {}
        elif (message := event.get("diagnosticEvent")) and message["severity"] in ("warning", "error"):
            (errors if message["severity"] == "error" else warnings).append(_message(message))
        elif found := event.get("policyEvent"):
            violations.append(_violation(found))
        for kind in ("policyAnalyzeSummaryEvent", "policyAnalyzeStackSummaryEvent"):
            evaluated |= set((event.get(kind) or {}).get("passed") or ())
    causes = [error for error in errors if not error.startswith(_NOISE)]
    return Events(
        resources=resources,
        outputs=outputs,
        policies=len(evaluated | {violation.policy for violation in violations}),
        violations=sorted(violations, key=lambda violation: (violation.policy, violation.resource, violation.problem)),
        warnings=list(dict.fromkeys(warnings)),
        errors=causes or ([] if any(violation.mandatory for violation in violations) else errors),
        summary=summary,
    )


def incomplete(events: Events) -> str | None:
    """Return why the events are not all of a preview; None if they are.

    The engine ends each preview with a summary of its steps (``SummaryEvent`` in ``sdk/go/common/apitype/events.go``).
    """
    if events.summary is None:
        return "the engine ended without a summary: this is no whole preview; run it again"
    if strange := sorted(op for op, number in events.summary.items() if number and op not in {*_COUNTED, *_QUIET}):
        return f"the engine plans steps that this hueshift does not understand: {', '.join(strange)}"
    ours = Counter(op for resource in events.resources.values() for op in resource.ops)
    for op in _COUNTED:
        if ours[op] != (theirs := events.summary.get(op, 0)):
            return f"the engine counts {theirs} resources to {op} and told of {ours[op]}; run the preview again"
    return None


def _note(resources: dict[str, Resource], step: Mapping[str, Any]) -> None:
    resource = resources.setdefault(step["urn"], Resource(urn=step["urn"]))
    resource.ops.append(step["op"])
    resource.old = step.get("old") or resource.old
    resource.new = step.get("new") or resource.new
    resource.id = resource.old.get("id") or resource.new.get("id") or ""
    # A refresh step before the program's own step has a diff of another kind: the last one counts.
    resource.diff = step.get("detailedDiff") or {key: {} for key in step.get("diffs") or ()} or resource.diff
    resource.keys = step.get("keys") or resource.keys


def _refreshed(resources: dict[str, Resource], step: Mapping[str, Any]) -> None:
    """Note what a refresh found to differ, as the engine tells it."""
    resource = resources.setdefault(step["urn"], Resource(urn=step["urn"]))
    resource.drift = sorted(step.get("detailedDiff") or ())


def _message(event: Mapping[str, Any]) -> str:
    text = str(event["message"]).strip()
    name = str(event.get("urn") or "").rpartition("::")[2]
    return f"{name}: {text}" if name and not text.startswith(name) else text


def _violation(event: Mapping[str, Any]) -> Violation:
    remedy, _, problem = str(event["message"]).strip().partition("\n")
    return Violation(
        policy=event["policyName"],
        mandatory=event["enforcementLevel"] == "mandatory",
        resource=str(event.get("resourceUrn") or "").rpartition("::")[2],
        problem=problem.strip(),
        remedy=remedy.strip(),
    )


def at(values: object, path: str) -> Any:  # noqa: ANN401 - what JSON holds
    """Return the value at a path such as ``spec.containers[0].labels["a.b/c"]``; None if there is none.

    A path into a secret returns the secret's mask, and a path into an unknown value returns unknown.
    """
    for match in _STEP.finditer(path):
        if values in (SECRET, UNKNOWN):
            break
        quoted, index, plain = match.groups()
        if index is not None:
            values = values[int(index)] if isinstance(values, list) and int(index) < len(values) else None
        else:
            values = values.get(quoted or plain) if isinstance(values, dict) else None
    return values


def text_of(value: object) -> str | None:
    """Return a value as one line of text, cut where it is long; None for None."""
    if value is None:
        return None
    text = value if isinstance(value, str) and "\n" not in value else json.dumps(value, ensure_ascii=False)
    text = text.replace(UNKNOWN, "(known after the update)")
    return text if len(text) <= _LONG else f"{text[: _LONG - 1]}…"
