"""The provider protocol of the engine, so that a stand-in is only a set of `Resource` classes.

The engine starts ``pulumi-resource-NAME ENGINE_ADDRESS``, reads a port from the first line of standard output and
speaks ``pulumirpc.ResourceProvider`` to it (pulumi/pulumi, ``proto/pulumi/provider.proto``, 3.230). What the messages
mean is taken from the engine's own client, ``sdk/go/common/resource/plugin/provider_plugin.go``.
"""
# ruff: noqa: ARG002 - gRPC and the base class fix the arguments

import contextlib
import contextvars
import json
import os
import re
import secrets
import signal
import sys
import threading
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc  # type: ignore[import-untyped]
from google.protobuf import any_pb2, empty_pb2, struct_pb2
from pulumi.runtime.proto import (
    engine_pb2,
    engine_pb2_grpc,
    plugin_pb2,
    provider_pb2,
    provider_pb2_grpc,
    status_pb2,
)

Properties = dict[str, Any]
"""Plain Python values under the engine's camelCase keys; secrets unwrapped, `UNKNOWN` where a preview cannot know."""


class Unknown:
    """The type of `UNKNOWN`."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()
"""A value that is not known in a preview; compare with ``is``."""


class CheckFailure(Exception):  # noqa: N818 - the protocol's name
    """An input is wrong: the engine shows the property and the reason, and does nothing."""

    def __init__(self, property: str, reason: str) -> None:  # noqa: A002 - the protocol's name
        super().__init__(f"{property}: {reason}")
        self.property = property
        self.reason = reason


class PartialFailure(Exception):  # noqa: N818 - the protocol's name
    """The object exists but is not ready: the engine keeps it, with the reasons, and tries an update the next time."""

    def __init__(
        self,
        id: str,  # noqa: A002
        outputs: Properties,
        reasons: list[str],
        inputs: Properties | None = None,
    ) -> None:
        super().__init__("; ".join(reasons))
        self.id = id
        self.outputs = outputs
        self.reasons = reasons
        self.inputs = inputs
        """The live inputs, of a read."""


class Cancelled(Exception):  # noqa: N818 - says what happened
    """The user interrupted the engine while a handler was waiting."""


class Resource(ABC):
    """What the stand-in knows of one type; one instance serves all resources of that type, from many threads."""

    arguments: frozenset[str] | None = frozenset()
    """Every top-level input that is supported; any other is refused by name. None takes whatever comes."""

    secret_outputs: frozenset[str] = frozenset()
    """Top-level outputs that are secret even where no input was."""

    default_timeout: float = 600.0
    """Seconds handed to a handler when the program sets no custom timeout."""

    def check(self, name: str, old: Properties | None, new: Properties) -> Properties:
        """Complete and validate the inputs, or raise `CheckFailure`.

        `name` is the logical name; `old` the inputs in the state, from which a generated name is kept.
        """
        return new

    def comparable(self, inputs: Properties) -> Properties:
        """Give the inputs as they count in a comparison: without what may change and mean nothing."""
        return inputs

    def replaces(self, old: Properties, new: Properties) -> set[str]:
        """Give the property paths (``name``, ``spec.selector``, ``rules[*].port``) whose change forces replacement.

        A path that the diff does not touch has no effect, so the answer may be the same for every call.
        """
        return set()

    def deletes_first(self, old: Properties, new: Properties) -> bool:
        """Tell whether a replacement must delete the old object before it creates the new one."""
        return False

    def replaces_unchanged(self, id: str, inputs: Properties) -> set[str]:  # noqa: A002
        """Give paths to be shown as the cause of a replacement that no change of the inputs asks for."""
        return set()

    @abstractmethod
    def preview(self, inputs: Properties, state: Properties | None) -> Properties:
        """Give the outputs of a create (`state` None) or an update; what a preview cannot know is `UNKNOWN`."""

    @abstractmethod
    def create(self, inputs: Properties, timeout: float) -> tuple[str, Properties]:
        """Create the object and give its ID and outputs; `timeout` in seconds.

        Raises `PartialFailure` if it exists but did not become ready.
        """

    @abstractmethod
    def read(self, id: str, inputs: Properties | None) -> tuple[Properties, Properties] | None:  # noqa: A002
        """Give inputs and outputs as they live, or None if the object is gone.

        With `inputs` (refresh) the inputs given back hold the live values of the arguments set there; without (import,
        ``get``) all that is not a default.

        Raises `PartialFailure`, with the live inputs, if it lives but is not ready.
        """

    @abstractmethod
    def update(self, id: str, state: Properties, old: Properties, new: Properties, timeout: float) -> Properties:  # noqa: A002
        """Bring the object from the inputs `old` to `new` and give its outputs; `state` is the old outputs.

        Raises `PartialFailure` if it was changed but did not become ready.
        """

    @abstractmethod
    def delete(self, id: str, state: Properties, timeout: float) -> None:  # noqa: A002
        """Delete the object and wait until it is gone; an object already gone is success."""


Function = Callable[[Properties], Properties]


@dataclass(frozen=True)
class Provider:
    """A stand-in: its name and version as the official plugin's, and what it supports."""

    name: str
    version: str
    resources: Mapping[str, Resource]
    """By type token, ``aws:lb/listenerRule:ListenerRule``."""
    functions: Mapping[str, Function] = field(default_factory=dict)
    """By token, ``aws:index/getCallerIdentity:getCallerIdentity``."""
    secret_answers: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By token, what of a function's answer is secret even where no argument was."""
    configure: Callable[[Properties], None] = lambda _: None
    """Takes the provider's configuration, nested values decoded, before any other handler runs."""
    factory: Callable[[str], Resource | None] | None = None
    """Gives the resource for a type token that `resources` lacks, or None; may raise with a better reason."""
    arguments: frozenset[str] | None = None
    """Every configuration key that is supported; any other is refused by name. None takes whatever comes."""


# --- values ---------------------------------------------------------------------------------------------------------

# Special keys and sentinels of the wire format: pulumi/pulumi sdk/go/common/resource/{sig,plugin/rpc.go}.
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"
_UNKNOWN_STRING = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_UNKNOWNS = frozenset(
    {
        _UNKNOWN_STRING,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # boolean
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # number
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # array
        "030794c1-ac77-496b-92df-f27374a8bd58",  # asset
        "e48ece36-62e2-4504-bad9-02848725956a",  # archive
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # object
    }
)


@dataclass(frozen=True)
class _Secret:
    value: Any


def _decode(value: struct_pb2.Value) -> Any:  # noqa: ANN401
    match value.WhichOneof("kind"):
        case "string_value":
            return UNKNOWN if value.string_value in _UNKNOWNS else value.string_value
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "bool_value":
            return value.bool_value
        case "list_value":
            return [_decode(item) for item in value.list_value.values]
        case "struct_value":
            members = value.struct_value.fields
            if _SIGNATURE in members and members[_SIGNATURE].string_value == _SECRET:
                return _Secret(_decode(members["value"]))
            return _decode_struct(value.struct_value)
        case _:
            return None


def _decode_struct(struct: struct_pb2.Struct) -> Properties:
    """Decode, in a stable order; a null member and an absent one mean the same to the engine, so nulls are left out."""
    decoded = {key: _decode(struct.fields[key]) for key in sorted(struct.fields)}
    return {key: value for key, value in decoded.items() if value is not None}


def _encode(value: Any) -> struct_pb2.Value:  # noqa: ANN401
    match value:
        case None:
            return struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)
        case Unknown():
            return struct_pb2.Value(string_value=_UNKNOWN_STRING)
        case _Secret():
            members = {_SIGNATURE: struct_pb2.Value(string_value=_SECRET), "value": _encode(value.value)}
            return struct_pb2.Value(struct_value=struct_pb2.Struct(fields=members))
        case bool():
            return struct_pb2.Value(bool_value=value)
        case int() | float():
            return struct_pb2.Value(number_value=value)
        case str():
            return struct_pb2.Value(string_value=value)
        case Mapping():
            return struct_pb2.Value(struct_value=_encode_struct(value))
        case list() | tuple():
            return struct_pb2.Value(list_value=struct_pb2.ListValue(values=[_encode(item) for item in value]))
        case _:
            raise TypeError(f"a provider cannot hand a {type(value).__name__} to the engine: {value!r}")


def _encode_struct(value: Mapping[str, Any]) -> struct_pb2.Struct:
    return struct_pb2.Struct(fields={key: _encode(member) for key, member in value.items()})


def reveal(value: Any) -> Any:  # noqa: ANN401
    """Give the value with every secret in it unwrapped."""
    match value:
        case _Secret():
            return reveal(value.value)
        case dict():
            return {key: reveal(member) for key, member in value.items()}
        case list():
            return [reveal(item) for item in value]
        case _:
            return value


def _holds_secret(value: Any) -> bool:  # noqa: ANN401
    match value:
        case _Secret():
            return True
        case dict():
            return any(map(_holds_secret, value.values()))
        case list():
            return any(map(_holds_secret, value))
        case _:
            return False


def conceal(value: Any, like: Any) -> Any:  # noqa: ANN401
    """Make secret in `value` what is secret in `like`, member by member.

    A list is secret as a whole if any item of its model is: an API may give items back in another order.
    """
    if isinstance(value, dict) and isinstance(like, dict):
        return {key: conceal(member, like.get(key)) for key, member in value.items()}
    return _Secret(value) if _holds_secret(like) and not isinstance(value, _Secret) else value


def is_known(value: Any) -> bool:  # noqa: ANN401
    """Tell whether no `UNKNOWN` is in the value, at any depth."""
    match value:
        case Unknown():
            return False
        case dict():
            return all(map(is_known, value.values()))
        case list():
            return all(map(is_known, value))
        case _:
            return True


def autoname(logical: str, length: int = 7, separator: str = "-") -> str:
    """Give the logical name with `length` random hexadecimal digits, as Pulumi names what a program leaves unnamed."""
    return f"{logical}{separator}{secrets.token_hex((length + 1) // 2)[:length]}"


# --- differences ----------------------------------------------------------------------------------------------------

Path_ = tuple[str | int, ...]
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SEGMENT = re.compile(r"""\.?([^.\[\]"]+)|\[(\d+|\*)\]|\["((?:[^"\\]|\\.)*)"\]""")


def path_text(path: Path_) -> str:
    """Write a path the way the engine reads it: ``actions[0].forward``, ``metadata.annotations["a/b"]``."""
    text = ""
    for segment in path:
        if isinstance(segment, int):
            text += f"[{segment}]"
        elif _PLAIN_KEY.fullmatch(segment):
            text += f".{segment}" if text else segment
        else:
            text += "[" + json.dumps(segment) + "]"
    return text


def parse_path(text: str) -> Path_:
    """Read what `path_text` writes; ``[*]`` stands for any index."""
    segments: list[str | int] = []
    position = 0
    while position < len(text):
        match = _SEGMENT.match(text, position)
        if match is None:
            raise ValueError(f"not a property path: {text!r}")
        name, index, quoted = match.groups()
        if name is not None:
            segments.append(name)
        elif index is not None:
            segments.append("*" if index == "*" else int(index))
        else:
            segments.append(json.loads(f'"{quoted}"'))
        position = match.end()
    return tuple(segments)


def differences(old: Any, new: Any, path: Path_ = ()) -> Iterator[tuple[Path_, str]]:  # noqa: ANN401
    """Give each path that differs, with ADD, DELETE or UPDATE; members and items are compared one by one."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            if key not in old:
                yield (*path, key), "ADD"
            elif key not in new:
                yield (*path, key), "DELETE"
            else:
                yield from differences(old[key], new[key], (*path, key))
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            if index >= len(old):
                yield (*path, index), "ADD"
            elif index >= len(new):
                yield (*path, index), "DELETE"
            else:
                yield from differences(old[index], new[index], (*path, index))
    elif type(old) is not type(new) or old != new:
        yield path, "UPDATE"


def _touches(changed: Path_, forcing: Path_) -> bool:
    """Tell whether one of the paths lies at, above or below the other."""
    return all(
        theirs in ("*", ours) or (ours == "*" and isinstance(theirs, int))
        for ours, theirs in zip(changed, forcing, strict=False)
    )


# --- the call that is being served ----------------------------------------------------------------------------------

_urn: contextvars.ContextVar[str] = contextvars.ContextVar("urn", default="")
_engine: engine_pb2_grpc.EngineStub | None = None
_ignored: contextvars.ContextVar[tuple[str, ...]] = contextvars.ContextVar("ignored", default=())
_cancelled = threading.Event()


def ignored() -> tuple[str, ...]:
    """Give the paths of the resource's option `ignore_changes`, while it is updated."""
    return _ignored.get()


def say(message: str, *, severity: str = "info", lasting: bool = False) -> None:
    """Show a line at the resource that is being handled; unless `lasting`, the next one takes its place.

    `severity` is ``debug``, ``info``, ``warning`` or ``error``; an error makes the whole operation fail. A `lasting`
    line is also in the list of messages at the end.
    """
    if _engine is None:
        return
    request = engine_pb2.LogRequest(
        severity=engine_pb2.LogSeverity.Value(severity.upper()), message=message, urn=_urn.get(), ephemeral=not lasting
    )
    with contextlib.suppress(grpc.RpcError):  # a progress line is never worth a failure
        _engine.Log(request)


def pause(seconds: float) -> None:
    """Sleep while waiting for something; raises `Cancelled` if the user interrupts the engine."""
    if _cancelled.wait(seconds):
        raise Cancelled("interrupted while waiting")


# --- the service ----------------------------------------------------------------------------------------------------

_BUGS = (ArithmeticError, AssertionError, AttributeError, LookupError, NameError, NotImplementedError, TypeError)


class _RefusedError(Exception):
    """A type, function or argument that the stand-in does not have."""


class _NotReadyError(Exception):
    def __init__(self, detail: provider_pb2.ErrorResourceInitFailed) -> None:
        super().__init__("; ".join(detail.reasons))
        self.detail = detail


class _Servicer(provider_pb2_grpc.ResourceProviderServicer):
    def __init__(self, provider: Provider) -> None:
        self.provider = provider

    # Lookups

    def _unsupported(self, what: str) -> str:
        return (
            f"stand-in provider {self.provider.name}: {what} is not supported; install the official plugin "
            f"(pulumi plugin install resource {self.provider.name} {self.provider.version}) to use it"
        )

    def _resource(self, urn: str) -> tuple[Resource, str]:
        """Give the handler and the logical name."""
        qualified, _, name = urn.split("::", 2)[2].partition("::")
        token = qualified.rsplit("$", 1)[-1]
        found = self.provider.resources.get(token)
        if found is None and self.provider.factory is not None:
            found = self.provider.factory(token)
        if found is None:
            raise _RefusedError(self._unsupported(f"the resource type {token}"))
        return found, name

    @contextlib.contextmanager
    def _serving(self, context: grpc.ServicerContext, urn: str, call: str) -> Iterator[None]:
        """Turn what a handler raises into what the engine understands."""
        _urn.set(urn)
        _ignored.set(())
        try:
            yield
        except Exception as error:
            if log := os.environ.get("HUESHIFT_PROVIDER_LOG"):
                with Path(log).open("a", encoding="utf-8") as file:
                    file.write(
                        f"{time.strftime('%FT%T')} {self.provider.name} {call} {urn}\n{traceback.format_exc()}\n"
                    )
            if isinstance(error, _NotReadyError):
                self._abort_not_ready(context, error)
            if isinstance(error, CheckFailure):
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            if isinstance(error, _BUGS):
                where = traceback.extract_tb(error.__traceback__)[-1]
                context.abort(
                    grpc.StatusCode.UNKNOWN,
                    f"stand-in provider {self.provider.name} failed in {call}: {type(error).__name__}: {error} "
                    f"({Path(where.filename).name}:{where.lineno})",
                )
            # Of the codes, Unknown and Internal make the engine keep the operation as pending; after these it knows
            # that nothing was done.
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error) or type(error).__name__)

    @staticmethod
    def _abort_not_ready(context: grpc.ServicerContext, error: "_NotReadyError") -> None:
        detail = any_pb2.Any()
        detail.Pack(error.detail)
        code = grpc.StatusCode.UNKNOWN
        status = status_pb2.Status(code=code.value[0], message=str(error), details=[detail])
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(code, str(error))

    # About the plugin

    def Handshake(
        self, request: provider_pb2.ProviderHandshakeRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ProviderHandshakeResponse:
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True)

    def GetPluginInfo(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        return plugin_pb2.PluginInfo(version=self.provider.version)

    def GetSchema(
        self, request: provider_pb2.GetSchemaRequest, context: grpc.ServicerContext
    ) -> provider_pb2.GetSchemaResponse:
        schema = {"name": self.provider.name, "version": self.provider.version}
        return provider_pb2.GetSchemaResponse(schema=json.dumps(schema))

    def Attach(self, request: plugin_pb2.PluginAttach, context: grpc.ServicerContext) -> empty_pb2.Empty:
        _connect(request.address)
        return empty_pb2.Empty()

    def Cancel(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> empty_pb2.Empty:
        _cancelled.set()
        return empty_pb2.Empty()

    # Configuration

    def CheckConfig(
        self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext
    ) -> provider_pb2.CheckResponse:
        allowed = self.provider.arguments
        failures = []
        if allowed is not None:
            own = allowed | {"version", "pluginDownloadURL", "__internal"}
            failures = [
                provider_pb2.CheckFailure(property=key, reason=self._unsupported(f"the configuration key {key}"))
                for key in sorted(set(request.news) - own)
            ]
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def DiffConfig(self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        old, new = (reveal(_decode_struct(struct)) for struct in (request.old_inputs, request.news))
        return _diff_response(list(differences(old, new)), set())

    def Configure(
        self, request: provider_pb2.ConfigureRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ConfigureResponse:
        with self._serving(context, request.urn, "Configure"):
            given = reveal(_decode_struct(request.args))
            self.provider.configure(
                {key: _decode_config(value) for key, value in given.items() if key not in ("version", "__internal")}
            )
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    # Resources

    def Check(self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext) -> provider_pb2.CheckResponse:
        with self._serving(context, request.urn, "Check"):
            resource, name = self._resource(request.urn)
            given = _decode_struct(request.news)
            old = reveal(_decode_struct(request.olds)) if request.olds.fields else None
            if resource.arguments is not None and (extra := sorted(given.keys() - resource.arguments)):
                failures = [
                    provider_pb2.CheckFailure(property=key, reason=self._unsupported(f"the argument {key}"))
                    for key in extra
                ]
                return provider_pb2.CheckResponse(inputs=request.news, failures=failures)
            try:
                inputs = resource.check(name, old, reveal(given))
            except CheckFailure as failure:
                failed = provider_pb2.CheckFailure(property=failure.property, reason=failure.reason)
                return provider_pb2.CheckResponse(inputs=request.news, failures=[failed])
            return provider_pb2.CheckResponse(inputs=_encode_struct(conceal(inputs, given)))

    def Diff(self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        with self._serving(context, request.urn, "Diff"):
            resource, _ = self._resource(request.urn)
            old, new = (reveal(_decode_struct(struct)) for struct in (request.old_inputs, request.news))
            changed = list(differences(resource.comparable(old), resource.comparable(new)))
            forcing = resource.replaces(old, new) if changed else set()
            unchanged = resource.replaces_unchanged(request.id, new)
            paths = {path for path, _ in changed}
            changed += [(parse_path(path), "UPDATE") for path in sorted(unchanged) if parse_path(path) not in paths]
            response = _diff_response(changed, forcing | unchanged)
            if response.replaces:
                response.deleteBeforeReplace = resource.deletes_first(old, new)
            return response

    def Create(self, request: provider_pb2.CreateRequest, context: grpc.ServicerContext) -> provider_pb2.CreateResponse:
        with self._serving(context, request.urn, "Create"):
            resource, _ = self._resource(request.urn)
            given = _decode_struct(request.properties)
            inputs = reveal(given)
            if request.preview:
                return provider_pb2.CreateResponse(
                    properties=self._outputs(resource, resource.preview(inputs, None), given)
                )
            with self._not_ready(resource, given):
                identity, outputs = resource.create(inputs, request.timeout or resource.default_timeout)
            return provider_pb2.CreateResponse(id=identity, properties=self._outputs(resource, outputs, given))

    def Update(self, request: provider_pb2.UpdateRequest, context: grpc.ServicerContext) -> provider_pb2.UpdateResponse:
        with self._serving(context, request.urn, "Update"):
            resource, _ = self._resource(request.urn)
            given = _decode_struct(request.news)
            state, old, new = (
                reveal(value) for value in (_decode_struct(request.olds), _decode_struct(request.old_inputs), given)
            )
            _ignored.set(tuple(request.ignoreChanges))
            if request.preview:
                return provider_pb2.UpdateResponse(
                    properties=self._outputs(resource, resource.preview(new, state), given)
                )
            with self._not_ready(resource, given):
                outputs = resource.update(request.id, state, old, new, request.timeout or resource.default_timeout)
            return provider_pb2.UpdateResponse(properties=self._outputs(resource, outputs, given))

    def Read(self, request: provider_pb2.ReadRequest, context: grpc.ServicerContext) -> provider_pb2.ReadResponse:
        with self._serving(context, request.urn, "Read"):
            resource, _ = self._resource(request.urn)
            known, state = _decode_struct(request.inputs), _decode_struct(request.properties)
            with self._not_ready(resource, {**state, **known}, read=True):
                found = resource.read(request.id, reveal(known) if request.inputs.fields else None)
            if found is None:
                return provider_pb2.ReadResponse()
            inputs, live = found
            return provider_pb2.ReadResponse(
                id=request.id,
                inputs=self._outputs(resource, inputs, {**state, **known}),
                properties=self._outputs(resource, live, {**state, **known}),
            )

    def Delete(self, request: provider_pb2.DeleteRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        with self._serving(context, request.urn, "Delete"):
            resource, _ = self._resource(request.urn)
            state = reveal(_decode_struct(request.properties))
            resource.delete(request.id, state, request.timeout or resource.default_timeout)
        return empty_pb2.Empty()

    def Invoke(self, request: provider_pb2.InvokeRequest, context: grpc.ServicerContext) -> provider_pb2.InvokeResponse:
        with self._serving(context, "", f"Invoke {request.tok}"):
            function = self.provider.functions.get(request.tok)
            if function is None:
                raise _RefusedError(self._unsupported(f"the function {request.tok}"))
            given = _decode_struct(request.args)
            try:
                answer: Any = function(reveal(given))
            except CheckFailure as failure:
                failed = provider_pb2.CheckFailure(property=failure.property, reason=failure.reason)
                return provider_pb2.InvokeResponse(failures=[failed])
            secret = answer.keys() if _holds_secret(given) else self.provider.secret_answers.get(request.tok, ())
            answer = {key: _Secret(value) if key in secret else value for key, value in answer.items()}
            response = provider_pb2.InvokeResponse()
            getattr(response, "return").CopyFrom(_encode_struct(answer))
            return response

    @staticmethod
    def _outputs(resource: Resource, outputs: Properties, given: Properties) -> struct_pb2.Struct:
        return _encode_struct(conceal(outputs, {**given, **_all_secret(resource)}))

    @contextlib.contextmanager
    def _not_ready(self, resource: Resource, like: Properties, *, read: bool = False) -> Iterator[None]:
        try:
            yield
        except PartialFailure as error:
            outputs = self._outputs(resource, error.outputs, like)
            # 3.230 takes the outputs from `inputs` and the inputs from `properties` (parseError gives them in another
            # order than its callers take them). Where no inputs are wanted, the outputs in both are right either way.
            live = self._outputs(resource, error.inputs or {}, like) if read else outputs
            raise _NotReadyError(
                provider_pb2.ErrorResourceInitFailed(
                    id=error.id, reasons=error.reasons, inputs=outputs, properties=live
                )
            ) from error


def _all_secret(resource: Resource) -> dict[str, _Secret]:
    return {key: _Secret(None) for key in resource.secret_outputs}


def _decode_config(value: Any) -> Any:  # noqa: ANN401
    """Undo the SDKs' habit of sending what is not a string in a provider's configuration as JSON."""
    if isinstance(value, str) and (value in ("true", "false") or value[:1] in ("{", "[")):
        with contextlib.suppress(ValueError):
            return json.loads(value)
    return value


def _diff_response(changed: list[tuple[Path_, str]], forcing: set[str]) -> provider_pb2.DiffResponse:
    forced = [parse_path(path) for path in forcing]
    response = provider_pb2.DiffResponse(
        changes=provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE,
        diffs=sorted({str(path[0]) for path, _ in changed}),
        hasDetailedDiff=True,
    )
    replaces = set()
    for path, kind in changed:
        replace = any(_touches(path, force) for force in forced)
        if replace:
            replaces.add(str(path[0]))
        name = f"{kind}_REPLACE" if replace else kind
        response.detailedDiff[path_text(path)].CopyFrom(
            provider_pb2.PropertyDiff(kind=provider_pb2.PropertyDiff.Kind.Value(name), inputDiff=True)
        )
    response.replaces.extend(sorted(replaces))
    return response


# --- the process ----------------------------------------------------------------------------------------------------

_OPTIONS = (("grpc.max_receive_message_length", 400 << 20), ("grpc.max_send_message_length", 400 << 20))


def _connect(address: str) -> None:
    global _engine
    _engine = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address, options=_OPTIONS))


def start(provider: Provider, address: str = "127.0.0.1:0") -> tuple[grpc.Server, int]:
    """Start serving and give the server with its port."""
    # A handler that waits for a rollout holds its thread for minutes, and the engine sets no bound on parallel calls.
    server = grpc.server(futures.ThreadPoolExecutor(256), options=_OPTIONS)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(_Servicer(provider), server)
    port = server.add_insecure_port(address)
    server.start()
    return server, port


def serve(provider: Provider) -> None:
    """Serve until the engine ends or ends the plugin; the first argument of the process is the engine's address."""
    engine = os.getppid()
    # The engine's word to end, once it is done: there is nothing to put in order, and it waits.
    signal.signal(signal.SIGINT, lambda *_: os._exit(0))
    if len(sys.argv) > 1:
        _connect(sys.argv[1])
    _, port = start(provider)
    print(port, flush=True)  # noqa: T201 - the protocol: the engine reads the port from the first line
    while os.getppid() == engine:  # a killed engine takes nobody down
        time.sleep(1)
    os._exit(0)
