"""OpenAPI from the code: views say what they take and give, the document is read off the application."""

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import orjson
from flask import Flask, Response, request
from pydantic import BaseModel, ValidationError
from werkzeug.routing import AnyConverter, BaseConverter, Rule

from stamp_service import __version__
from stamp_service.errors import RequestError
from stamp_service.surveys import Surveys
from stamp_service.surveys.definition import MAX_ID_LENGTH

View = Callable[..., Response]
Model = TypeVar("Model", bound=BaseModel)
_ATTRIBUTE = "__stamp_operation__"
_PATH_VARIABLE = re.compile(r"<(?:[^:<>]*:)?([a-z_]+)>")
_SKIPPED_METHODS = frozenset({"OPTIONS"})


@dataclass(frozen=True, slots=True)
class Operation:
    """What a view takes and gives.

    Parameters
    ----------
    summary : str
        One line.
    produces : mapping of str to dict
        JSON schema of the body by media type; empty where the body is bytes.
    query : type of pydantic.BaseModel, optional
        The query parameters.
    body : type of pydantic.BaseModel, optional
        The JSON body.
    form : dict, optional
        JSON schema of a multipart form.
    failures : tuple of int
        Statuses that the view may answer with besides success.
    secured : bool
        Whether a bearer token may be needed.
    error_schema : str
        Name of the component that describes error bodies.
    error_media_type : str
        Media type of error bodies.
    statuses : tuple of int
        Statuses of success.
    """

    summary: str
    produces: Mapping[str, Mapping[str, Any]]
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    form: Mapping[str, Any] | None = None
    failures: tuple[int, ...] = ()
    secured: bool = False
    error_schema: str = "Problem"
    error_media_type: str = "application/problem+json"
    statuses: tuple[int, ...] = (200,)


def read_query() -> dict[str, str]:
    """Read the query parameters; `request.args` would take five times as long.

    Returns
    -------
    dict of str to str
        The first value of each name.
    """
    text = request.query_string.decode(errors="replace")
    return dict(reversed(parse_qsl(text, keep_blank_values=True)))


def read_json() -> object:
    """Read a JSON body, whatever its content type says.

    Returns
    -------
    object
        What it holds.

    Raises
    ------
    RequestError
        If it is not JSON.
    """
    try:
        return orjson.loads(request.get_data())
    except orjson.JSONDecodeError:
        raise RequestError("the body is not JSON") from None


def parse(model: type[Model], values: object) -> Model:
    """Validate values that came from outside.

    Parameters
    ----------
    model : type of pydantic.BaseModel
        What they must be.
    values : object
        Query parameters or a decoded body.

    Returns
    -------
    pydantic.BaseModel
        The validated values.

    Raises
    ------
    RequestError
        If they do not fit; names the first parameter to blame.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        parameter = ".".join(str(part) for part in first["loc"]) or None
        raise RequestError(f"{parameter or 'the body'}: {first['msg']}", parameter) from None


def describe(operation: Operation) -> Callable[[View], View]:
    """Document a view and hand it its query parameters, validated, as `query`.

    Parameters
    ----------
    operation : Operation
        What the view takes and gives.

    Returns
    -------
    callable
        A decorator.
    """

    def decorate(view: View) -> View:
        @functools.wraps(view)
        def parsed(**kwargs: object) -> Response:
            if operation.query is not None:
                kwargs["query"] = parse(operation.query, read_query())
            return view(**kwargs)

        setattr(parsed, _ATTRIBUTE, operation)
        return parsed

    return decorate


class Components:
    """The named schemas of a document, gathered while its paths are written."""

    def __init__(self) -> None:
        self.schemas: dict[str, Any] = {
            "Problem": _object(
                {
                    "type": {"type": "string"},
                    "title": {"type": "string"},
                    "status": {"type": "integer"},
                    "detail": {"type": "string"},
                    "code": {"type": "string"},
                    "parameter": {"type": "string"},
                    "request_id": {"type": "string"},
                },
                required=["title", "status", "detail", "code"],
            ),
            "Message": _object(
                {"message": {"type": "string"}, "errors": {"type": "object"}, "request_id": {"type": "string"}},
                required=["message"],
            ),
            "Detail": _object(
                {"detail": {"type": "string"}, "request_id": {"type": "string"}}, required=["detail"]
            ),
            "StampClassifier": _object(
                {"status": {"const": "ERROR"}, "content": {"type": "string"}, "request_id": {"type": "string"}},
                required=["status", "content"],
            ),
            "Fink": _object(
                {"status": {"const": "error"}, "text": {"type": "string"}, "request_id": {"type": "string"}},
                required=["status", "text"],
            ),
        }

    def add(self, model: type[BaseModel]) -> dict[str, Any]:
        """Add a model's schema and those it refers to.

        Parameters
        ----------
        model : type of pydantic.BaseModel
            The model.

        Returns
        -------
        dict
            A reference to it.
        """
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        self.schemas.update(schema.pop("$defs", {}))
        self.schemas[model.__name__] = schema
        return {"$ref": f"#/components/schemas/{model.__name__}"}


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required}


def _path_schema(name: str, converter: BaseConverter | None, surveys: Surveys) -> dict[str, Any]:
    if name == "survey":
        return {"type": "string", "enum": list(surveys)}
    if isinstance(converter, AnyConverter):
        return {"type": "string", "enum": sorted(converter.items)}
    return {"type": "string", "minLength": 1, "maxLength": MAX_ID_LENGTH}


def _parameters(rule: Rule, operation: Operation, surveys: Surveys) -> list[dict[str, Any]]:
    converters: Mapping[str, BaseConverter] = rule._converters
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": _path_schema(name, converters.get(name), surveys)}
        for name in _PATH_VARIABLE.findall(rule.rule)
    ]
    if operation.query is None:
        return parameters
    schema = operation.query.model_json_schema(ref_template="#/components/schemas/{model}")
    required = schema.get("required", [])
    for name, value in schema["properties"].items():
        # `null` cannot be said in a query string: optional is what it means there.
        options = [option for option in value.get("anyOf", []) if option.get("type") != "null"]
        kept = {key: item for key, item in value.items() if key not in {"anyOf", "title", "description"}}
        if kept.get("default", "") is None:
            del kept["default"]
        parameters.append(
            {
                "name": name,
                "in": "query",
                "required": name in required,
                "description": value.get("description", ""),
                "schema": (options[0] | kept) if len(options) == 1 else kept,
            }
        )
    return parameters


def _responses(operation: Operation) -> dict[str, Any]:
    content = {media: {"schema": dict(schema)} if schema else {} for media, schema in operation.produces.items()}
    responses: dict[str, Any] = {
        str(status): {"description": "Success", "content": content} for status in operation.statuses
    }
    error = {
        "description": "Error",
        "content": {
            operation.error_media_type: {"schema": {"$ref": f"#/components/schemas/{operation.error_schema}"}}
        },
    }
    return responses | {str(status): error for status in operation.failures}


def _entry(rule: Rule, operation: Operation, surveys: Surveys, components: Components) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "summary": operation.summary,
        "tags": [rule.endpoint.partition(".")[0]],
        "parameters": _parameters(rule, operation, surveys),
        "responses": _responses(operation),
    }
    if operation.body is not None:
        content: dict[str, Any] = {"application/json": {"schema": components.add(operation.body)}}
        entry["requestBody"] = {"required": True, "content": content}
    if operation.form is not None:
        content = {"multipart/form-data": {"schema": dict(operation.form)}}
        entry["requestBody"] = {"required": True, "content": content}
    if operation.secured:
        entry["security"] = [{}, {"bearer": []}]
    return entry


def document(app: Flask, surveys: Surveys) -> dict[str, Any]:
    """Describe every documented route of an application.

    Parameters
    ----------
    app : flask.Flask
        The application.
    surveys : Surveys
        The surveys that paths may name.

    Returns
    -------
    dict
        An OpenAPI 3.1 document.
    """
    components = Components()
    paths: dict[str, dict[str, Any]] = {}
    for rule in app.url_map.iter_rules():
        operation: Operation | None = getattr(app.view_functions[rule.endpoint], _ATTRIBUTE, None)
        if operation is None:
            continue
        path = _PATH_VARIABLE.sub(r"{\1}", rule.rule)
        entry = _entry(rule, operation, surveys, components)
        for method in sorted((rule.methods or set()) - _SKIPPED_METHODS):
            name = re.sub(r"[^A-Za-z0-9]+", "-", f"{method.lower()}-{rule.endpoint}-{path}")
            paths.setdefault(path, {})[method.lower()] = entry | {"operationId": name.strip("-")}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Stamp Service",
            "version": __version__,
            "description": "Alert packets, metadata and stamps of sky surveys.",
        },
        "servers": [{"url": "/"}],
        "paths": dict(sorted(paths.items(), key=lambda path: (not path[0].startswith("/v1/"), path[0]))),
        "components": {
            "schemas": components.schemas,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }
