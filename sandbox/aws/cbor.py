"""Smithy RPC v2 with CBOR, which newer AWS SDKs speak to CloudWatch, over the JSON protocol, which is all moto knows.

The protocol (smithy.io, smithy-rpc-v2-cbor): ``POST /service/SERVICE/operation/NAME`` with the header
``smithy-protocol: rpc-v2-cbor``; every answer carries that header, one of an operation without output nothing else, an
error the members ``__type`` and ``message``. botocore's serializers and parsers are driven from the other side here;
they know from the model which members are timestamps (tag 1) and which are floats.
"""

import io
import json
import re
from collections.abc import Iterable
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.exceptions import ParamValidationError
from botocore.model import DenormalizedStructureBuilder, OperationModel, OperationNotFoundError, ServiceModel, Shape
from botocore.parsers import ResponseParserError, RpcV2CBORParser, create_parser
from botocore.serialize import RpcV2CBORSerializer, create_serializer
from botocore.validate import ParamValidator
from werkzeug.wrappers import Response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PROTOCOL = "rpc-v2-cbor"
_TARGET = "GraniteServiceVersion20100801"
_PATH = re.compile(rf"/service/{_TARGET}/operation/(\w+)")
_KEPT = ("x-amzn-query-error", "x-amzn-requestid")
"""Headers of moto's answer that the protocol has, too."""


class Translation:
    """A WSGI application: what comes in CBOR for CloudWatch goes to another one in JSON, the rest as it is."""

    def __init__(self, application: "WSGIApplication") -> None:
        self._application = application

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = _PATH.fullmatch(environ["PATH_INFO"])
        if not path or environ.get("HTTP_SMITHY_PROTOCOL") != PROTOCOL:
            return self._application(environ, start_response)
        status, headers, body = self._answer(environ, path[1])
        kind = [("Content-Type", "application/cbor")] if body else []
        own = [("smithy-protocol", PROTOCOL), ("Content-Length", str(len(body))), *kind]
        start_response(f"{status.value} {status.phrase}", [*own, *headers])
        return [body]

    def _answer(self, environ: "WSGIEnvironment", name: str) -> tuple[HTTPStatus, list[tuple[str, str]], bytes]:
        try:
            operation = _model().operation_model(name)
        except OperationNotFoundError:
            said = f"CloudWatch has no operation {name}"
            return HTTPStatus.NOT_FOUND, [], _error({"__type": "UnknownOperationException", "message": said})
        try:
            request = _request(operation, environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
        except ParamValidationError as error:
            return HTTPStatus.BAD_REQUEST, [], _error({"__type": "ValidationException", "message": str(error)})
        except (ResponseParserError, ValueError, TypeError, MemoryError, OverflowError) as error:
            said = f"the body is no CBOR: {error!r}"  # a length beyond all memory, among others
            return HTTPStatus.BAD_REQUEST, [], _error({"__type": "SerializationException", "message": said})
        told = Response.from_app(self._application, _asked(environ, operation, request), buffered=True)
        status, kept = HTTPStatus(told.status_code), [(key, told.headers[key]) for key in _KEPT if key in told.headers]
        if status >= HTTPStatus.BAD_REQUEST:
            return status, kept, _error(json.loads(told.data))
        if operation.output_shape is None:
            return status, kept, b""
        answer = create_parser("json").parse(
            {"status_code": told.status_code, "headers": {}, "body": told.data}, operation.output_shape
        )
        answer.pop("ResponseMetadata")
        return status, kept, _encode(answer, operation.output_shape)


@cache
def _model() -> ServiceModel:
    model: ServiceModel = botocore.session.Session().get_service_model("cloudwatch")
    return model


def _request(operation: OperationModel, body: bytes) -> bytes:
    """Return the JSON body that asks the same; what the model does not know is refused, not left out."""
    decoder = RpcV2CBORParser()
    given = decoder.parse_data_item(decoder.get_peekable_stream_from_bytes(body)) if body else {}
    assert operation.input_shape  # each of CloudWatch's operations has one
    if (report := ParamValidator().validate(given, operation.input_shape)).has_errors():
        raise ParamValidationError(report=report.generate_report())
    serialized = create_serializer("json").serialize_to_request(given, operation)
    content: bytes = serialized["body"]
    return content


def _asked(environ: "WSGIEnvironment", operation: OperationModel, body: bytes) -> "WSGIEnvironment":
    """Return the request with this JSON body instead."""
    return {
        **{key: value for key, value in environ.items() if not key.startswith("HTTP_SMITHY")},
        "PATH_INFO": "/",
        "REQUEST_URI": "/",
        "RAW_URI": "/",
        "CONTENT_TYPE": "application/x-amz-json-1.0",
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_ACCEPT": "application/json",
        "HTTP_X_AMZ_TARGET": f"{_TARGET}.{operation.name}",
        "wsgi.input": io.BytesIO(body),
    }


def _encode(value: dict[str, Any], shape: Shape) -> bytes:
    encoded = bytearray()
    RpcV2CBORSerializer()._serialize_data_item(encoded, value, shape)  # type: ignore[attr-defined]  # noqa: SLF001
    return bytes(encoded)


def _error(members: dict[str, Any]) -> bytes:
    """Return an error as CBOR; its values are texts only, as in all errors of CloudWatch's alarms."""
    texts = {key: value for key, value in members.items() if isinstance(value, str)}
    shape = DenormalizedStructureBuilder().with_members({key: {"type": "string"} for key in texts}).build_model()
    return _encode(texts, shape)
