"""The framework of the stand-in providers, called the way the engine calls it: over gRPC, in this process."""
# ruff: noqa: A002, ANN401, ARG002 - the signatures of the base class

import json
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import pytest
from google.protobuf import empty_pb2, struct_pb2
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, status_pb2

from sandbox import paths
from sandbox.engine import STAND_INS
from sandbox.providers import plugin
from sandbox.providers.plugin import UNKNOWN, CheckFailure, PartialFailure, Properties, Provider, Resource

URN = "urn:pulumi:s::p::parent:index:Parent$toy:index/thing:Thing::web"
SECRET = {plugin._SIGNATURE: plugin._SECRET}


class Thing(Resource):
    arguments = frozenset({"name", "size", "tags", "rules", "password", "note"})
    secret_outputs = frozenset({"token"})

    def check(self, name: str, old: Properties | None, new: Properties) -> Properties:
        if new.get("size") == 13:
            raise CheckFailure("size", "13 is unlucky")
        return {"name": (old or {}).get("name", f"{name}-1"), **new}

    def comparable(self, inputs: Properties) -> Properties:
        return {key: value for key, value in inputs.items() if key != "note"}

    def replaces(self, old: Properties, new: Properties) -> set[str]:
        return {"name", "rules[*].port"}

    def deletes_first(self, old: Properties, new: Properties) -> bool:
        return True

    def preview(self, inputs: Properties, state: Properties | None) -> Properties:
        return {**inputs, "arn": UNKNOWN if state is None else state["arn"]}

    def create(self, inputs: Properties, timeout: float) -> tuple[str, Properties]:
        if inputs.get("size") == 1:
            raise PartialFailure("id-1", {**inputs, "arn": "arn:1"}, ["no pods", "bad image"])
        if inputs.get("size") == 2:
            raise RuntimeError("An error occurred (Throttling): slow down")
        if inputs.get("size") == 3:
            raise KeyError("LoadBalancers")
        assert type(inputs.get("size", 0)) is int
        return "id-1", {**inputs, "arn": "arn:1", "token": "t", "timeout": timeout}

    def read(self, id: str, inputs: Properties | None) -> tuple[Properties, Properties] | None:
        if id == "gone":
            return None
        if id == "sick":
            raise PartialFailure(id, {"arn": "arn:1"}, ["not ready"], {"size": 5})
        return (inputs or {"name": "found"}), {"password": "hunter2", "arn": "arn:1"}

    def update(self, id: str, state: Properties, old: Properties, new: Properties, timeout: float) -> Properties:
        return {**new, "arn": state["arn"], "ignored": list(plugin.ignored())}

    def delete(self, id: str, state: Properties, timeout: float) -> None:
        pass


def echo(arguments: Properties) -> Properties:
    return {"said": arguments["word"]}


@pytest.fixture(scope="module")
def engine() -> Iterator[provider_pb2_grpc.ResourceProviderStub]:
    """The engine's end of the wire."""
    provider = Provider(
        "toy",
        "1.2.3",
        {"toy:index/thing:Thing": Thing()},
        {"toy:index:echo": echo, "toy:index:token": echo},
        secret_answers={"toy:index:token": frozenset({"said"})},
        arguments=frozenset({"region"}),
    )
    server, port = plugin.start(provider)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield provider_pb2_grpc.ResourceProviderStub(channel)
    server.stop(None)


def struct(value: Properties) -> struct_pb2.Struct:
    return plugin._encode_struct(value)


def plain(value: struct_pb2.Struct) -> Any:
    """The wire's own shape, secrets and all."""
    return MessageToDict(value)


def refused(call: Callable[[], object]) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value


def diff(engine: provider_pb2_grpc.ResourceProviderStub, old: Properties, new: Properties) -> provider_pb2.DiffResponse:
    response: provider_pb2.DiffResponse = engine.Diff(
        provider_pb2.DiffRequest(urn=URN, id="id-1", old_inputs=struct(old), news=struct(new))
    )
    return response


def kinds(response: provider_pb2.DiffResponse) -> dict[str, str]:
    return {path: provider_pb2.PropertyDiff.Kind.Name(one.kind) for path, one in response.detailedDiff.items()}


def test_a_changed_weight_is_told_by_its_full_path(engine: provider_pb2_grpc.ResourceProviderStub) -> None:
    old = {"rules": [{"groups": [{"weight": 90}, {"weight": 10}]}]}
    new = {"rules": [{"groups": [{"weight": 40}, {"weight": 60}]}]}
    response = diff(engine, old, new)
    assert kinds(response) == {"rules[0].groups[0].weight": "UPDATE", "rules[0].groups[1].weight": "UPDATE"}
    assert list(response.diffs) == ["rules"]
    assert not response.replaces


def test_added_and_removed_members_and_items_are_told_apart(engine: provider_pb2_grpc.ResourceProviderStub) -> None:
    old, new = {"a/b": "1", "c": "2", "list": [1, 2]}, {"c": "2", "d": "3", "list": [1]}
    response = diff(engine, {"tags": old}, {"tags": new})
    assert kinds(response) == {'tags["a/b"]': "DELETE", "tags.d": "ADD", "tags.list[1]": "DELETE"}


def test_an_item_that_comes_with_a_forcing_member_replaces(engine: provider_pb2_grpc.ResourceProviderStub) -> None:
    assert kinds(diff(engine, {"rules": []}, {"rules": [{"port": 80}]})) == {"rules[0]": "ADD_REPLACE"}


def test_no_difference_is_no_change(engine: provider_pb2_grpc.ResourceProviderStub) -> None:
    same = {"size": 5, "tags": {"a": "b"}, "rules": [{"port": 80}]}
    assert diff(engine, same, same).changes == provider_pb2.DiffResponse.DIFF_NONE


def test_a_change_of_what_does_not_count_is_no_change(engine: provider_pb2_grpc.ResourceProviderStub) -> None:
    assert diff(engine, {"note": "a"}, {"note": "b"}).changes == provider_pb2.DiffResponse.DIFF_NONE


def test_a_forcing_path_with_any_index_replaces_and_only_there(engine: provider_pb2_grpc.ResourceProviderStub) -> None:
    old, new = {"rules": [{"port": 80, "x": 1}], "size": 4}, {"rules": [{"port": 81, "x": 2}], "size": 5}
    response = diff(engine, old, new)
    assert kinds(response) == {"rules[0].port": "UPDATE_REPLACE", "rules[0].x": "UPDATE", "size": "UPDATE"}
    assert list(response.replaces) == ["rules"]
    assert response.deleteBeforeReplace


def test_a_value_that_becomes_unknown_counts_as_changed(engine: provider_pb2_grpc.ResourceProviderStub) -> None:
    assert kinds(diff(engine, {"size": 4, "name": "a"}, {"size": UNKNOWN, "name": UNKNOWN})) == {
        "size": "UPDATE",
        "name": "UPDATE_REPLACE",
    }


def test_an_unsupported_argument_is_refused_by_name(engine: provider_pb2_grpc.ResourceProviderStub) -> None:
    response = engine.Check(provider_pb2.CheckRequest(urn=URN, news=struct({"size": 1, "colour": "red"})))
    [failure] = response.failures
    assert failure.property == "colour"
    assert "the argument colour is not supported" in failure.reason
    assert "pulumi plugin install resource toy 1.2.3" in failure.reason


def test_a_check_failure_names_the_property(engine: provider_pb2_grpc.ResourceProviderStub) -> None:
    response = engine.Check(provider_pb2.CheckRequest(urn=URN, news=struct({"size": 13})))
    assert [(one.property, one.reason) for one in response.failures] == [("size", "13 is unlucky")]


def test_a_check_keeps_the_generated_name_and_the_secrets(engine: provider_pb2_grpc.ResourceProviderStub) -> None:
    news = struct({"password": plugin._Secret("hunter2")})
    response = engine.Check(provider_pb2.CheckRequest(urn=URN, olds=struct({"name": "web-7"}), news=news))
    assert plain(response.inputs) == {"name": "web-7", "password": {**SECRET, "value": "hunter2"}}


@pytest.mark.parametrize(
    "urn",
    ["urn:pulumi:s::p::toy:index/other:Other::web", "urn:pulumi:s::p::a:b:C$toy:index/other:Other::web"],
)
def test_an_unsupported_type_is_refused_by_name(engine: provider_pb2_grpc.ResourceProviderStub, urn: str) -> None:
    error = refused(lambda: engine.Check(provider_pb2.CheckRequest(urn=urn)))
    assert "stand-in provider toy: the resource type toy:index/other:Other is not supported" in error.details()


def test_an_unsupported_function_is_refused_by_name(engine: provider_pb2_grpc.ResourceProviderStub) -> None:
    error = refused(lambda: engine.Invoke(provider_pb2.InvokeRequest(tok="toy:index:shout")))
    assert "the function toy:index:shout is not supported" in error.details()


def test_an_unsupported_configuration_key_is_refused_by_name(engine: provider_pb2_grpc.ResourceProviderStub) -> None:
    response = engine.CheckConfig(
        provider_pb2.CheckRequest(news=struct({"region": "x", "version": "1", "profile": "y"}))
    )
    assert [one.property for one in response.failures] == ["profile"]


def test_the_answer_to_a_secret_question_is_secret(engine: provider_pb2_grpc.ResourceProviderStub) -> None:
    response = engine.Invoke(
        provider_pb2.InvokeRequest(tok="toy:index:echo", args=struct({"word": plugin._Secret("psst")}))
    )
    assert plain(getattr(response, "return")) == {"said": {**SECRET, "value": "psst"}}


def test_what_a_function_calls_secret_is_secret_whatever_was_asked(
    engine: provider_pb2_grpc.ResourceProviderStub,
) -> None:
    for token, said in (("echo", "psst"), ("token", {**SECRET, "value": "psst"})):
        response = engine.Invoke(provider_pb2.InvokeRequest(tok=f"toy:index:{token}", args=struct({"word": "psst"})))
        assert plain(getattr(response, "return")) == {"said": said}


def test_what_went_in_secret_comes_out_secret_at_its_depth(engine: provider_pb2_grpc.ResourceProviderStub) -> None:
    inputs = {"tags": {"a": "x", "b": plugin._Secret("y")}, "rules": [{"k": plugin._Secret("z")}]}
    response = engine.Create(provider_pb2.CreateRequest(urn=URN, properties=struct(inputs), timeout=30))
    assert plain(response.properties) == {
        "arn": "arn:1",
        "timeout": 30.0,
        "tags": {"a": "x", "b": {**SECRET, "value": "y"}},
        "rules": {**SECRET, "value": [{"k": "z"}]},
        "token": {**SECRET, "value": "t"},
    }


def test_a_read_makes_secret_again_what_the_state_has_secret(engine: provider_pb2_grpc.ResourceProviderStub) -> None:
    state = struct({"password": plugin._Secret("old")})
    response = engine.Read(
        provider_pb2.ReadRequest(urn=URN, id="id-1", properties=state, inputs=struct({"name": "found"}))
    )
    assert plain(response.properties)["password"] == {**SECRET, "value": "hunter2"}


def test_what_is_gone_reads_as_no_id(engine: provider_pb2_grpc.ResourceProviderStub) -> None:
    assert engine.Read(provider_pb2.ReadRequest(urn=URN, id="gone")).id == ""


def test_a_preview_marks_the_unknown_the_engines_way_and_has_no_id(
    engine: provider_pb2_grpc.ResourceProviderStub,
) -> None:
    response = engine.Create(provider_pb2.CreateRequest(urn=URN, properties=struct({"size": UNKNOWN}), preview=True))
    assert response.id == ""
    assert plain(response.properties) == {"arn": plugin._UNKNOWN_STRING, "size": plugin._UNKNOWN_STRING}


def test_an_update_sees_which_changes_the_program_ignores(engine: provider_pb2_grpc.ResourceProviderStub) -> None:
    def update(*ignored: str) -> Any:
        request = provider_pb2.UpdateRequest(
            urn=URN, id="id-1", olds=struct({"arn": "arn:1"}), news=struct({"size": 4}), ignoreChanges=ignored
        )
        return plain(engine.Update(request).properties)["ignored"]

    assert update("spec.replicas") == ["spec.replicas"]
    assert update() == []


def test_an_api_error_reaches_the_engine_in_its_own_words_and_leaves_nothing_pending(
    engine: provider_pb2_grpc.ResourceProviderStub,
) -> None:
    error = refused(lambda: engine.Create(provider_pb2.CreateRequest(urn=URN, properties=struct({"size": 2}))))
    assert error.details() == "An error occurred (Throttling): slow down"
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION


def test_a_fault_of_a_handler_says_what_and_where(
    engine: provider_pb2_grpc.ResourceProviderStub, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUESHIFT_PROVIDER_LOG", str(tmp_path / "log"))
    error = refused(lambda: engine.Create(provider_pb2.CreateRequest(urn=URN, properties=struct({"size": 3}))))
    assert "failed in Create: KeyError: 'LoadBalancers' (test_provider_plugin.py:" in error.details()
    assert "Traceback" not in error.details()
    assert "Traceback" in (tmp_path / "log").read_text()


def init_failure(error: grpc.RpcError) -> provider_pb2.ErrorResourceInitFailed:
    [raw] = [value for key, value in error.trailing_metadata() if key == "grpc-status-details-bin"]
    failure = provider_pb2.ErrorResourceInitFailed()
    assert status_pb2.Status.FromString(raw).details[0].Unpack(failure)
    return failure


def test_an_unready_object_is_handed_over_with_its_reasons(engine: provider_pb2_grpc.ResourceProviderStub) -> None:
    inputs = struct({"size": 1, "password": plugin._Secret("hunter2")})
    failure = init_failure(refused(lambda: engine.Create(provider_pb2.CreateRequest(urn=URN, properties=inputs))))
    assert (failure.id, list(failure.reasons)) == ("id-1", ["no pods", "bad image"])
    # Whichever of the two the engine takes for the outputs.
    assert plain(failure.inputs) == plain(failure.properties)
    assert plain(failure.inputs)["password"] == {**SECRET, "value": "hunter2"}


def test_a_read_of_an_unready_object_hands_over_outputs_and_inputs_in_the_order_that_the_engine_takes_them(
    engine: provider_pb2_grpc.ResourceProviderStub,
) -> None:
    failure = init_failure(refused(lambda: engine.Read(provider_pb2.ReadRequest(urn=URN, id="sick"))))
    assert (plain(failure.inputs), plain(failure.properties)) == ({"arn": "arn:1"}, {"size": 5})


def test_configuration_that_an_sdk_sends_as_text_is_decoded() -> None:
    given = {"a": "true", "b": '[{"s3": "http://x"}]', "c": "123456789012", "d": "{not json"}
    assert {key: plugin._decode_config(value) for key, value in given.items()} == {
        "a": True,
        "b": [{"s3": "http://x"}],
        "c": "123456789012",
        "d": "{not json",
    }


known = st.recursive(
    st.booleans() | st.integers(-(2**50), 2**50) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), known | st.just(UNKNOWN)))
def test_values_survive_the_wire(value: Properties) -> None:
    assert plugin._decode_struct(struct_pb2.Struct.FromString(struct(value).SerializeToString())) == value


def test_whole_numbers_stay_whole_on_the_wire() -> None:
    decoded = plugin._decode_struct(struct({"weight": 90, "share": 0.5}))
    assert [type(decoded[key]) for key in ("weight", "share")] == [int, float]


def test_a_null_is_as_good_as_absent() -> None:
    assert plugin._decode_struct(struct({"a": None, "b": {"c": None}})) == {"b": {}}


@given(st.lists(st.integers(0, 99) | st.text(min_size=1), min_size=1).filter(lambda path: isinstance(path[0], str)))
def test_paths_are_read_as_they_are_written(path: list[str | int]) -> None:
    assert plugin.parse_path(plugin.path_text(tuple(path))) == tuple(path)


@given(known, known)
def test_a_difference_is_found_exactly_where_values_differ(old: Any, new: Any) -> None:
    differ = json.dumps(old, sort_keys=True) != json.dumps(new, sort_keys=True)
    assert bool(list(plugin.differences(old, new))) == differ


def test_generated_names_are_the_logical_name_with_digits() -> None:
    name = plugin.autoname("web", 8)
    assert name.startswith("web-")
    assert len(name) == len("web-") + 8
    assert name != plugin.autoname("web", 8)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["aws", "docker", "kubernetes"])
def test_a_stand_in_tells_its_port_and_ends_without_a_word_when_the_engine_says_so(name: str) -> None:
    with subprocess.Popen(
        [STAND_INS / f"pulumi-resource-{name}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        address = f"127.0.0.1:{int(process.stdout.readline())}"
        with grpc.insecure_channel(address) as channel:
            told = provider_pb2_grpc.ResourceProviderStub(channel).GetPluginInfo(empty_pb2.Empty())
        assert re.fullmatch(r"\d+\.\d+\.\d+", told.version)
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 0
        assert process.communicate() == ("", "")


@pytest.mark.slow
def test_the_python_beside_the_language_host_lists_the_packages_that_pip_lists() -> None:
    def listed(python: Path) -> set[tuple[str, str, str]]:
        done = subprocess.run(
            [python, "-m", "pip", "list", "-v", "--format", "json"], capture_output=True, text=True, check=True
        )
        return {
            (re.sub(r"[-_.]+", "-", item["name"]).lower(), item["version"], str(Path(item["location"]).resolve()))
            for item in json.loads(done.stdout)
        }

    assert listed(STAND_INS / "python3") == listed(paths.ROOT / ".venv/bin/python3")


def test_the_python_beside_the_language_host_does_all_else_as_the_checkouts_own() -> None:
    words = ["-c", "import sys; print(sys.prefix, *sys.argv[1:])", "a b", "c"]
    done = subprocess.run([STAND_INS / "python3", *words], capture_output=True, text=True, check=True)
    assert done.stdout == f"{paths.ROOT / '.venv'} a b c\n"
