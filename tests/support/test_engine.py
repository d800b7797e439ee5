"""The double itself: where the SDK's own mocks are lenient, it must not be."""

from collections.abc import Callable

import pulumi
import pytest
from pulumi_aws import cloudwatch, lb, secretsmanager, ssm
from pulumi_kubernetes import core

from tests.support.engine import UNKNOWN, Engine, Secret, in_stack


class Part(pulumi.ComponentResource):
    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hueshift:test:Part", name, None, opts)
        self.register_outputs({"color": "blue"})


def group(name: str, opts: pulumi.ResourceOptions | None = None, port: pulumi.Input[int] = 8080) -> lb.TargetGroup:
    return lb.TargetGroup(name, port=port, protocol="HTTP", vpc_id="vpc-1", opts=opts)


def run(program: Callable[[], object]) -> None:
    @in_stack
    async def stack() -> None:
        program()

    stack()


@pytest.mark.usefixtures("engine")
def test_a_urn_registered_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"duplicate resource URN .*::web"):
        run(lambda: (group("web"), group("web")))


@pytest.mark.usefixtures("engine")
def test_two_components_with_equally_named_children_are_one_identity() -> None:
    def program() -> None:
        for part in (Part("one"), Part("two")):
            group("child", pulumi.ResourceOptions(parent=part))

    with pytest.raises(ValueError, match="duplicate resource URN"):
        run(program)


@in_stack
async def test_a_urn_holds_the_whole_chain_of_parent_types(engine: Engine) -> None:
    inner = Part("inner", pulumi.ResourceOptions(parent=Part("outer")))
    group("web", pulumi.ResourceOptions(parent=inner))
    found = await engine.resource("web")
    assert found.urn.split("::")[2] == "hueshift:test:Part$hueshift:test:Part$aws:lb/targetGroup:TargetGroup"
    assert found.parent == (await engine.resource("inner")).urn


@in_stack
async def test_inputs_are_recorded_as_the_engine_sees_them_and_integers_stay_integers(engine: Engine) -> None:
    group("web", port=8080)
    inputs = await engine.inputs("web")
    assert inputs["vpcId"] == "vpc-1"
    assert inputs["port"] == 8080
    assert isinstance(inputs["port"], int)


@in_stack
async def test_options_are_recorded(engine: Engine) -> None:
    first = group("first")
    group("second", pulumi.ResourceOptions(depends_on=[first], protect=True, ignore_changes=["port"]))
    second = await engine.resource("second")
    assert second.waits_for == {(await engine.resource("first")).urn}
    assert second.request.protect
    assert list(second.request.ignoreChanges) == ["port"]


@in_stack
async def test_everything_that_must_exist_before_a_resource_is_found_through_any_number_of_steps(
    engine: Engine,
) -> None:
    first = group("first")
    second = group("second", pulumi.ResourceOptions(depends_on=[first]))
    group("third", pulumi.ResourceOptions(depends_on=[second]))
    names = {urn.split("::")[-1] for urn in engine.ancestry((await engine.resource("third")).urn)}
    assert names == {"first", "second"}


@in_stack
@pytest.mark.usefixtures("engine")
async def test_computed_properties_are_answered() -> None:
    created = group("web")
    assert "targetgroup/web" in str(await created.arn.future())
    config = core.v1.ConfigMap("settings", data={"A": "b"})
    assert await config.metadata.name.future() == "settings-x7k2"


@pytest.mark.usefixtures("engine")
def test_a_type_whose_computed_properties_nobody_stated_is_refused() -> None:
    with pytest.raises(AssertionError, match="does not say what aws:ssm/parameter:Parameter computes"):
        run(lambda: ssm.Parameter("motd", type="String", value="hello"))


@pytest.mark.usefixtures("engine")
def test_a_provider_function_without_an_answer_fails() -> None:
    with pytest.raises(AssertionError, match=r"getTargetGroup, to which this test has no answer"):
        run(lambda: lb.get_target_group(name="web"))


@in_stack
async def test_a_provider_function_is_answered_as_the_test_says(engine: Engine) -> None:
    engine.answers["aws:lb/getTargetGroup:getTargetGroup"] = {"port": 8080}
    found = lb.get_target_group_output(name="web")
    assert await found.apply(lambda group: group.port).future() == 8080


@in_stack
async def test_outputs_of_a_component_are_recorded(engine: Engine) -> None:
    Part("web")
    assert engine.outputs[(await engine.resource("web")).urn] == {"color": "blue"}


@in_stack
async def test_a_secret_input_is_marked(engine: Engine) -> None:
    secretsmanager.Secret("entry", description=pulumi.Output.secret("hush"))
    assert (await engine.inputs("entry"))["description"] == Secret("hush")


@in_stack
async def test_a_hook_can_be_called(engine: Engine) -> None:
    def refuse(args: pulumi.ResourceHookArgs) -> None:
        raise RuntimeError(f"{args.name} is not ready")

    hook = pulumi.ResourceHook("gate", refuse)
    group("web", pulumi.ResourceOptions(hooks=pulumi.ResourceHookBinding(before_update=[hook])))
    found = await engine.resource("web")
    assert list(found.request.hooks.before_update) == ["gate"]
    with pytest.raises(RuntimeError, match="web is not ready"):
        engine.hooks["gate"](pulumi.ResourceHookArgs(found.urn, "id", "web", found.type))


@in_stack
async def test_a_name_that_does_not_exist_is_reported_with_those_that_do(engine: Engine) -> None:
    group("web")
    with pytest.raises(AssertionError, match=r"0 resources are called 'wbe'.*registered: web$"):
        await engine.resource("wbe")


@in_stack
async def test_a_preview_knows_no_computed_property_but_the_chosen_name(preview: Engine) -> None:
    web = group("web")
    cloudwatch.MetricAlarm(
        "alarm", comparison_operator="GreaterThanThreshold", evaluation_periods=1, dimensions={"T": web.arn_suffix}
    )
    config = core.v1.ConfigMap("settings", data={"A": "b"})
    core.v1.ConfigMap("other", data={"NAME": config.metadata.name})
    assert (await preview.inputs("alarm"))["dimensions"] == {"T": UNKNOWN}
    assert (await preview.inputs("other"))["data"] == {"NAME": "settings-x7k2"}
