"""What holds for every component, checked over all of them; each scan ends with a count, so that none passes empty."""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass

import pytest

from components.model import Color, color_alarms, tokens
from tests.support.engine import Engine
from tests.support.program import ROOT, STACKS, unchanged
from tests.support.sources import MODULES, component_classes, tree

NETWORK = {"boto3", "botocore", "http", "httpx", "requests", "socket", "subprocess", "urllib", "urllib3", "kubernetes"}


def class_node(component: type) -> ast.ClassDef:
    name = component.__module__.removeprefix("components.")
    return next(node for node in tree(name).body if isinstance(node, ast.ClassDef) and node.name == component.__name__)


def constructor(component: type) -> ast.FunctionDef:
    return next(
        node for node in class_node(component).body if isinstance(node, ast.FunctionDef) and node.name == "__init__"
    )


def calls(node: ast.AST, name: str) -> list[ast.Call]:
    """Return the calls, in a part of the source, of what ends with that name."""
    return [call for call in ast.walk(node) if isinstance(call, ast.Call) and ast.unparse(call.func).endswith(name)]


def type_token(argument: ast.expr) -> object:
    """Return a constructor's type token: a literal, or one of the table that commands share."""
    if isinstance(argument, ast.Attribute) and ast.unparse(argument.value) == "tokens":
        return getattr(tokens, argument.attr)
    return ast.literal_eval(argument)


def imported(name: str) -> Iterator[str]:
    """Yield the names of all modules that a module imports, for type checkers only excepted."""
    ignored = {
        id(inner)
        for node in ast.walk(tree(name))
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree(name)):
        if id(node) in ignored:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


# The sources


def test_there_are_components() -> None:
    assert len(component_classes()) >= 9


@pytest.mark.parametrize("name", component_classes())
def test_the_type_token_says_module_and_class(name: str) -> None:
    component = component_classes()[name]
    (call,) = calls(constructor(component), "super().__init__")
    stem = component.__module__.rpartition(".")[2]
    assert type_token(call.args[0]) == f"hueshift:{stem}:{name}"
    assert [ast.unparse(argument) for argument in call.args[1:]] == ["name", "None", "opts"]


@pytest.mark.parametrize("name", component_classes())
def test_outputs_are_registered_once_and_last(name: str) -> None:
    component = component_classes()[name]
    assert len(calls(class_node(component), "register_outputs")) == 1
    assert ast.unparse(constructor(component).body[-1]).startswith("self.register_outputs(")


@pytest.mark.parametrize("name", component_classes())
def test_a_component_takes_name_args_and_opts_and_its_args_are_frozen_and_by_keyword(name: str) -> None:
    component = component_classes()[name]
    parameters = inspect.signature(component).parameters
    assert list(parameters) == ["name", "args", "opts"]
    args = getattr(inspect.getmodule(component), f"{name}Args")
    assert parameters["args"].annotation in (args, args.__name__)
    assert is_dataclass(args)
    assert args.__dataclass_params__.frozen  # type: ignore[union-attr]
    assert all(field.kw_only for field in fields(args))
    assert len(fields(args)) <= 11, "what belongs together is handed on together: a spec, a context"


def test_options_of_children_name_their_parent_and_are_never_merged_with_the_components() -> None:
    seen = 0
    for name in MODULES:
        assert not calls(tree(name), "merge"), f"{name}: merge lets the component's own parent and aliases win"
        for call in calls(tree(name), "ResourceOptions"):
            seen += 1
            assert "parent" in {keyword.arg for keyword in call.keywords}, f"{name}:{call.lineno}"
    assert seen >= 15


def test_only_the_settings_know_pydantic() -> None:
    users = {name for name in MODULES if any(item.split(".")[0].startswith("pydantic") for item in imported(name))}
    assert {name.split(".")[0] for name in users} == {"settings"}


def test_only_the_gate_the_guard_of_parking_and_their_session_reach_the_network() -> None:
    users = {name for name in MODULES if any(item.split(".")[0] in NETWORK for item in imported(name))}
    assert users == {"context.aws_session", "traffic.gate", "traffic.parking"}


def test_only_the_settings_read_the_stacks_configuration_and_nobody_the_environment() -> None:
    readers = {
        name
        for name in MODULES
        if any(
            ast.unparse(node).endswith("pulumi.Config") for node in ast.walk(tree(name)) if isinstance(node, ast.expr)
        )
    }
    assert readers == {"settings.load"}
    for name in MODULES:
        assert not {"os", "os.environ", "dotenv"} & set(imported(name)), name


def test_model_rules_and_the_gates_decision_know_nothing_of_pulumi_and_nobody_but_the_program_knows_the_settings() -> (
    None
):
    ours = {
        name: {item for item in imported(name) if item.split(".")[0] in ("components", "pulumi")} for name in MODULES
    }
    pure = {
        "model": ("components.model",),
        "rules": ("components.model", "components.rules"),
        "spec": ("components.model", "components.rules", "components.spec"),
    }
    for package, allowed in pure.items():
        found = {item for name, items in ours.items() if name.startswith(f"{package}.") for item in items} - {
            "components"
        }
        assert found
        assert all(item.startswith(allowed) for item in found), package
    assert all(item.startswith(("components.model", "components.rules")) for item in ours["traffic.decision"])
    assert {
        name.split(".")[0]
        for name, items in ours.items()
        if any(item.startswith("components.settings") for item in items)
    } == {"settings"}


def test_nothing_is_made_and_nothing_is_judged_inside_apply() -> None:
    users = {name for name in MODULES if calls(tree(name), "apply")}
    # One of the values that ACM gives is picked there: no resource, no judgement.
    assert users == {"edge.dns"}, "what an apply does is missing from the preview"


def test_the_program_is_wiring_whose_only_choice_is_given_or_made() -> None:
    wiring = ast.parse((ROOT / "__main__.py").read_text())
    statements = (ast.Import, ast.ImportFrom, ast.Assign, ast.Expr)
    assert [ast.unparse(node) for node in wiring.body if not isinstance(node, statements)] == []
    logic = (ast.IfExp, ast.Compare, ast.BinOp, ast.UnaryOp, ast.Lambda, ast.Subscript, ast.NamedExpr)
    assert [ast.unparse(node) for node in ast.walk(wiring) if isinstance(node, logic)] == []
    assert [node for node in ast.walk(wiring) if isinstance(node, ast.comprehension) and node.ifs] == []
    choices = [node for node in ast.walk(wiring) if isinstance(node, ast.BoolOp)]
    assert choices
    for choice in choices:
        given, made = choice.values
        assert isinstance(choice.op, ast.Or)
        assert ast.unparse(given).startswith("settings.")
        assert isinstance(made, ast.Attribute)
        assert isinstance(made.value, ast.Call)
        assert ast.unparse(made.value.func) in component_classes()


# What the sources register

SOMETIMES = {
    "hueshift:alert_topic:AlertTopic",
    "hueshift:dns:AliasRecords",
    "hueshift:dns:Certificates",
    "hueshift:identity:WorkloadIdentity",
    "hueshift:image:Image",
    "hueshift:image:ImageRepository",
    "hueshift:log_bucket:LogBucket",
    "hueshift:log_groups:LogGroups",
    "hueshift:mirror:Mirror",
    "hueshift:uptime:Uptime",
    "hueshift:web_acl:WebAcl",
}
"""What a stack has only if its settings ask for it."""

each_stack = pytest.mark.parametrize("stack", ["production", pytest.param("staging", marks=pytest.mark.slow)])
"""The third, of the local cloud, has nothing that these have not."""


@each_stack
def test_every_resource_has_a_component_for_parent_and_begins_with_its_name(stack: str) -> None:
    registrations = unchanged(stack).registrations
    roots = {r.type for r in registrations.values() if r.parent not in registrations}
    assert roots - SOMETIMES == {
        "hueshift:dashboard:Dashboard",
        "hueshift:edge:Edge",
        "hueshift:encryption_key:EncryptionKey",
        "hueshift:guard:Guard",
        "hueshift:private_bucket:PrivateBucket",
        "hueshift:service:BlueGreenService",
    }
    seen = 0
    for registration in registrations.values():
        if parent := registrations.get(registration.parent):
            seen += 1
            assert not parent.custom
            # The load balancer bears the name of the edge that it is the heart of.
            assert registration.name.startswith(f"{parent.name}-") or (registration.name, parent.name) == ("edge",) * 2
    assert seen > 50


@each_stack
def test_every_component_is_used_and_its_token_has_one_class(stack: str) -> None:
    used = {r.type for r in unchanged(stack).registrations.values() if not r.custom}
    declared = {f"hueshift:{c.__module__.rpartition('.')[2]}:{name}" for name, c in component_classes().items()}
    assert declared - SOMETIMES <= used <= declared


def test_the_tokens_and_names_that_commands_read_are_those_that_the_program_registers() -> None:
    shared = {value for value in vars(tokens).values() if isinstance(value, str) and value.startswith("hueshift:")}
    registrations = unchanged("staging").registrations
    assert set() < shared <= {r.type for r in registrations.values()}
    services = {r.name for r in registrations.values() if r.type == tokens.SERVICE}
    rules = {
        r.name
        for r in registrations.values()
        if r.name.endswith(tokens.PRODUCTION_RULE) and registrations[r.parent].type == tokens.TRAFFIC_SPLIT
    }
    assert rules == {f"{service}{tokens.PRODUCTION_RULE}" for service in services} != set()
    alarms = {r.inputs.get("name") or r.inputs.get("alarmName") for r in registrations.values() if "Alarm" in r.type}
    assert {
        name for service in services for color in Color for name in color_alarms("staging", service, color)
    } <= alarms


def test_what_not_every_stack_has_some_stack_file_shows() -> None:
    used = {r.type for stack in STACKS for r in unchanged(stack).registrations.values()}
    # What a developer's own stack would build, and what takes an image of Envoy.
    assert SOMETIMES - used == {"hueshift:image:Image", "hueshift:mirror:Mirror"}


@each_stack
def test_every_component_registers_its_outputs(stack: str) -> None:
    engine = unchanged(stack)
    registered = {urn for urn in engine.outputs if urn in engine.registrations}
    assert registered == {r.urn for r in engine.registrations.values() if not r.custom}


@each_stack
def test_every_aws_resource_carries_the_tags_of_what_it_belongs_to(stack: str) -> None:
    engine, seen = unchanged(stack), 0
    for registration in engine.registrations.values():
        if not registration.type.startswith("aws:") or not _takes_tags(registration.type):
            continue
        seen += 1
        tags = registration.inputs["tags"]
        assert (tags["environment"], tags["managed-by"]) == (stack, "pulumi")
        lineage = _lineage(engine, registration.urn)
        for service in (name for type_, name in lineage if type_ == "hueshift:service:BlueGreenService"):
            assert tags["service"] == service
        if color := re.search(r"-(blue|green)(-|$)", registration.name):
            assert tags["color"] == color[1]
    assert seen > 20


@each_stack
def test_every_object_in_the_cluster_carries_the_labels_of_what_it_belongs_to(stack: str) -> None:
    engine, seen = unchanged(stack), 0
    for registration in engine.registrations.values():
        if not registration.type.startswith("kubernetes:"):
            continue
        seen += 1
        labels = registration.inputs["metadata"]["labels"]
        assert labels["app.kubernetes.io/part-of"] == "hueshift"
        assert labels["app.kubernetes.io/managed-by"] == "pulumi"
        assert labels["hueshift.dev/environment"] == stack
        lineage = _lineage(engine, registration.urn)
        if "hueshift:dashboard:Dashboard" in dict(lineage):
            continue  # of all services
        (service,) = [name for type_, name in lineage if type_ == "hueshift:service:BlueGreenService"]
        assert labels["app.kubernetes.io/name"] == service
        if color := re.search(r"-(blue|green)(-|$)", registration.name):
            assert labels["hueshift.dev/color"] == color[1]
    assert seen > 20


@each_stack
def test_physical_names_fit_and_what_may_be_replaced_has_none(stack: str) -> None:
    for registration in unchanged(stack).registrations.values():
        if registration.type.startswith("kubernetes:"):
            assert len(registration.inputs["metadata"].get("name", registration.name)) <= 63
        if registration.type in ("aws:lb/targetGroup:TargetGroup", "aws:lb/loadBalancer:LoadBalancer"):
            assert len(registration.name) + len("-1234567") <= 32
        if registration.type.startswith(("aws:lb/", "aws:ec2/")):
            assert "name" not in registration.inputs
        if registration.type.startswith("aws:cloudwatch/") and "EventTarget" not in registration.type:
            # Fixed: the gate and the composites know an alarm by its name, the roles a rule, Fluent Bit a log group,
            # and nothing of any forces a replacement.
            name = next(
                registration.inputs[key] for key in ("name", "alarmName", "dashboardName") if key in registration.inputs
            )
            assert name.removeprefix("/hueshift/").startswith(f"{stack}-")
            assert len(name) <= 255


def _takes_tags(type_: str) -> bool:
    """Return whether AWS lets a resource of this type have tags, as the SDK's class says."""
    package, _, name = type_.removeprefix("aws:").partition("/")
    return hasattr(getattr(importlib.import_module(f"pulumi_aws.{package}"), name.partition(":")[2]), "tags")


def _lineage(engine: Engine, urn: str) -> list[tuple[str, str]]:
    """Return type and name of each ancestor."""
    found = []
    while urn := engine.registrations[urn].parent:
        if urn not in engine.registrations:
            break
        found.append((engine.registrations[urn].type, engine.registrations[urn].name))
    return found
