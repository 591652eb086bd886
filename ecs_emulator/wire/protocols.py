"""The wire: HTTP requests into parameters and answers into HTTP, by botocore's own models.

JSON (ecs, application-autoscaling, dynamodb, secretsmanager, cloudwatch) and query/XML
(elasticloadbalancing, sts). Protocols: https://smithy.io/2.0/aws/protocols/
"""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from html import escape
from typing import Any
from urllib.parse import parse_qsl

from botocore.loaders import Loader
from botocore.model import (
    ListShape,
    MapShape,
    OperationModel,
    ServiceModel,
    Shape,
    StructureShape,
)
from botocore.validate import ParamValidator, ValidationErrors

from ecs_emulator.api.ecs.descriptions import Known
from ecs_emulator.ground.errors import ApiError, EmulatorError
from ecs_emulator.wire.query import from_query, members

SERVICES = (
    "ecs",
    "application-autoscaling",
    "elbv2",
    "stepfunctions",
    "sts",
    "dynamodb",
    "secretsmanager",
    "cloudwatch",
    "sns",
    "events",
)
_ERROR_NAMESPACES = {"dynamodb": "com.amazonaws.dynamodb.v20120810#"}
"""https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html"""
_CREDENTIAL = re.compile(r"Credential=([^/,]+)/\d*/[^/]*/([^/]+)/")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """A request as it came in; header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """An answer as it goes out."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """A request understood: which operation of which service, with what, signed by which key."""

    service: str
    model: OperationModel
    parameters: Mapping[str, Any]
    access_key: str | None
    json_version: str | None

    @property
    def operation(self) -> str:
        """The operation's name."""
        return self.model.name


@cache
def service_model(service: str) -> ServiceModel:
    """Return botocore's model of a service."""
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


@cache
def _operation(service: str, name: str) -> OperationModel:
    model = service_model(service)
    if name not in model.operation_names:
        raise EmulatorError(f"There is no operation {name!r} in {service}.")
    return model.operation_model(name)


def decode(request: HttpRequest) -> Decoded:
    """Understand a request. Raises EmulatorError for what no emulated service has."""
    access_key, scope = _signature(request.headers)
    target = request.headers.get("x-amz-target")
    if target is not None:
        prefix, _, name = target.rpartition(".")
        service = _service_by("targetPrefix", prefix)
        model = _operation(service, name)
        parameters = _from_json(request.body, model)
        version = request.headers.get("content-type", "").rpartition("-")[2] or "1.1"
    else:
        fields = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
        service = _service_by("signingName", scope)
        model = _operation(service, fields.pop("Action", ""))
        parameters = from_query(fields, model)
        version = None
    return Decoded(
        service=service,
        model=model,
        parameters=parameters,
        access_key=access_key,
        json_version=version,
    )


def _from_json(body: bytes, model: OperationModel) -> dict[str, Any]:
    try:
        decoded = json.loads(body or b"{}")
    except ValueError:
        decoded = None
    if not isinstance(decoded, dict):
        raise EmulatorError("The request's body is no JSON object.")
    if _has_blobs(model.service_model.service_name) and model.input_shape is not None:
        return dict(_with_bytes(decoded, model.input_shape))
    return decoded


@cache
def _has_blobs(service: str) -> bool:
    model = service_model(service)
    return any(model.shape_for(name).type_name == "blob" for name in model.shape_names)


def _with_bytes(value: Any, shape: Shape) -> Any:  # noqa: ANN401  anything that JSON has
    """Return the value with its blobs, base64 in JSON, as bytes; what fits no shape as it is."""
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        members = shape.members
        return {
            name: _with_bytes(each, members[name]) if name in members else each
            for name, each in value.items()
        }
    if isinstance(shape, MapShape) and isinstance(value, dict):
        return {name: _with_bytes(each, shape.value) for name, each in value.items()}
    if isinstance(shape, ListShape) and isinstance(value, list):
        return [_with_bytes(each, shape.member) for each in value]
    is_blob = shape.type_name == "blob" and isinstance(value, str)
    return base64.b64decode(value) if is_blob else value


def _signature(headers: Mapping[str, str]) -> tuple[str | None, str]:
    found = _CREDENTIAL.search(headers.get("authorization", ""))
    return (found[1], found[2]) if found else (None, "")


def _service_by(key: str, value: str) -> str:
    for service in SERVICES:
        metadata = service_model(service).metadata
        known = metadata.get(key) or (metadata["endpointPrefix"] if key == "signingName" else None)
        if known == value:
            return service
    raise EmulatorError(f"No emulated service has the {key} {value!r}.")


# -- checking -----------------------------------------------------------------------------------


_PLAIN = {
    ("string", str),
    ("integer", int),
    ("boolean", bool),
    ("timestamp", int),  # epoch seconds
    ("timestamp", float),
}
"""Values that botocore's validator allows where nothing more is demanded: quickly seen."""


class _AnswerValidator(ParamValidator):
    """Checks an answer; a description that is shown again and again only once."""

    def _validate(self, params: object, shape: Shape, errors: ValidationErrors, name: str) -> None:
        if isinstance(params, Known) and params.checked:
            return
        if not shape.metadata and (shape.type_name, type(params)) in _PLAIN:
            return
        super()._validate(params, shape, errors, name)  # type: ignore[misc]
        if isinstance(params, Known) and not errors.has_errors():
            params.checked = True

    def _validate_string(
        self, param: object, shape: Shape, errors: ValidationErrors, name: str
    ) -> None:
        super()._validate_string(param, shape, errors, name)  # type: ignore[misc]
        allowed = shape.metadata.get("enum")
        if allowed and param not in allowed:
            errors.report(name, "invalid type", param=param, valid_types=allowed)


def complaint_about(decoded: Decoded) -> str | None:
    """Return what is wrong with a request by its model, or None."""
    shape = decoded.model.input_shape
    if shape is None:
        return None
    errors = ParamValidator().validate(decoded.parameters, shape)
    return errors.generate_report() if errors.has_errors() else None


def check_answer(decoded: Decoded, answer: Mapping[str, Any]) -> None:
    """Raise EmulatorError for an answer that the service's model does not allow."""
    shape = decoded.model.output_shape
    if shape is None:
        return
    errors = _AnswerValidator().validate(answer, shape)
    if errors.has_errors():
        report = errors.generate_report()
        raise EmulatorError(f"{decoded.operation} answered against its model: {report}")


# -- answering ----------------------------------------------------------------------------------


def encode_answer(decoded: Decoded, answer: Mapping[str, Any], request_id: str) -> HttpAnswer:
    """Encode an answer that has been checked."""
    if decoded.json_version is not None:
        return _json(decoded, 200, answer, request_id)
    name = decoded.operation
    shape = decoded.model.output_shape
    inner = "".join(members(shape, answer)) if isinstance(shape, StructureShape) else ""
    result = f"<{name}Result>{inner}</{name}Result>"
    meta = f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
    return _xml(decoded, 200, f"{name}Response", inner=result + meta, request_id=request_id)


def encode_error(decoded: Decoded, error: ApiError, request_id: str) -> HttpAnswer:
    """Encode an error as the service's protocol has it."""
    if decoded.json_version is not None:
        kind = _ERROR_NAMESPACES.get(decoded.service, "") + error.code
        body = {"__type": kind, "message": error.message, **error.details}
        return _json(decoded, error.status, body, request_id, error_code=error.code)
    side = "Sender" if error.status < 500 else "Receiver"  # noqa: PLR2004  HTTP's own boundary
    inner = (
        f"<Error><Type>{side}</Type><Code>{escape(error.code)}</Code>"
        f"<Message>{escape(error.message)}</Message></Error><RequestId>{request_id}</RequestId>"
    )
    return _xml(decoded, error.status, "ErrorResponse", inner=inner, request_id=request_id)


def dump(body: object) -> bytes:
    """Return JSON, with bytes in base64 and instants in epoch seconds."""
    return json.dumps(body, default=_plain).encode()


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime):
        return value.timestamp()
    raise TypeError(f"JSON has nothing for {value!r}.")


def _json(
    decoded: Decoded,
    status: int,
    body: Mapping[str, Any],
    request_id: str,
    *,
    error_code: str | None = None,
) -> HttpAnswer:
    headers = {
        "Content-Type": f"application/x-amz-json-{decoded.json_version}",
        "x-amzn-RequestId": request_id,
    }
    if error_code and decoded.model.service_model.is_query_compatible:
        headers["x-amzn-query-error"] = f"{error_code};Sender"
    return HttpAnswer(status=status, body=dump(body), headers=headers)


def _xml(decoded: Decoded, status: int, root: str, *, inner: str, request_id: str) -> HttpAnswer:
    namespace = decoded.model.service_model.metadata.get("xmlNamespace", "")
    body = f'<{root} xmlns="{namespace}">{inner}</{root}>'
    headers = {"Content-Type": "text/xml", "x-amzn-RequestId": request_id}
    return HttpAnswer(status=status, body=body.encode(), headers=headers)
