"""What other people's pages take: the web component, and oEmbed."""

from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import orjson
from flask import Blueprint, Response, current_app, request, send_from_directory
from pydantic import BaseModel, Field
from werkzeug.exceptions import HTTPException

from stamp_service.errors import NotFound, RequestError, Unauthenticated
from stamp_service.web.answers import ask
from stamp_service.web.errors import Failure, Row, problem
from stamp_service.web.openapi import parse
from stamp_service.web.services import services
from stamp_service.web.viewer.assets import FOLDER, edition
from stamp_service.web.viewer.cards import Card, Room, alert_card, object_card

# Its failures are for programs: problem details, and not pages.
blueprint = Blueprint("embedding", __name__)

# Pages name the component without a version, so a new one has to reach them soon.
_KEPT_S = 300
_OEMBED_KEPT_S = 3600
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class OembedQuery(BaseModel):
    """What oEmbed asks; see https://oembed.com, section 2.2."""

    url: str = Field(max_length=2000, pattern="^https?://", description="Address of an alert's or object's page.")
    format: str = Field("json", max_length=32, description="Only `json`.")
    maxwidth: int | None = Field(None, ge=1, description="The most pixels of the picture's width.")
    maxheight: int | None = Field(None, ge=1, description="The most pixels of its height.")


@blueprint.get("/embed/alert-stamps.js")
def component() -> Response:
    """Answer with the web component."""
    response = send_from_directory(
        FOLDER / "embed", "alert-stamps.js", mimetype="text/javascript", max_age=_KEPT_S, etag=edition()
    )
    response.headers["Cache-Control"] = f"public, max-age={_KEPT_S}"
    return response


@blueprint.get("/oembed")
def oembed() -> Response:
    """Answer with what a page that links to one of ours may show: a picture, or its title alone."""
    query = parse(OembedQuery, request.args.to_dict())
    if query.format != "json":
        body, media_type = problem(Failure(Row(501, "not-implemented"), "only format=json is there", "format"))
        return Response(orjson.dumps(body), 501, mimetype=media_type)
    card = _card_of(query.url, Room(query.maxwidth, query.maxheight))
    response = Response(orjson.dumps(_described(card)), mimetype="application/json")
    response.headers["Cache-Control"] = f"public, max-age={_OEMBED_KEPT_S}"
    return response


def _card_of(url: str, room: Room) -> Card:
    """Find the page that an address is of, and make its card.

    What the answer calls this service is what the question called it, and that has to be the host that was asked.
    So a shared cache, which keeps answers by the address that was asked for, has none with another host's name.
    """
    parts = _split(url)
    endpoint, arguments = _route(parts)
    origin = f"{parts.scheme}://{request.host}"
    try:
        card = _CARDS[endpoint](arguments, origin, dict(parse_qsl(parts.query)), room)
    except (KeyError, RequestError):
        raise NotFound("there is no such page of an alert or object here") from None
    if card is None:
        raise Unauthenticated("not everybody may see this")
    return card


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise NotFound("url is no address") from None
    if parts.netloc.lower().removesuffix(_DEFAULT_PORTS[parts.scheme]) != request.host.lower():
        raise NotFound("url is not of this service")
    return parts


def _route(parts: SplitResult) -> tuple[str, dict[str, Any]]:
    """Ask the routes themselves whose address it is."""
    path = unquote(parts.path)
    if not path.startswith(f"{request.script_root}/"):
        return "", {}
    try:
        endpoint, arguments = current_app.url_map.bind(request.host).match(path.removeprefix(request.script_root))
    except HTTPException:
        return "", {}
    return endpoint, dict(arguments)


def _alert(arguments: dict[str, str], origin: str, view: dict[str, str], room: Room) -> Card | None:
    question = ask(arguments["survey"], arguments["alert_id"], "stamps")
    alert = services().resolver.alert(question.survey, question.alert_id)
    return alert_card(question, alert, origin, view, room)


def _object(arguments: dict[str, str], origin: str, _: dict[str, str], room: Room) -> Card | None:
    here = services()
    survey = here.surveys.named(arguments["survey"])
    object_id = survey.check_object_id(arguments["object_id"])
    here.access.check(survey, "metadata", request.headers.get("Authorization"))
    return object_card(survey, object_id, here.index.alerts_of(survey.name, object_id), origin, room)


_CARDS = {"viewer.alert": _alert, "viewer.object": _object}


def _described(card: Card) -> dict[str, Any]:
    """Write a card as oEmbed has it.

    `photo` is shown by everybody; the HTML of `rich` is thrown away, or stripped, by those who do not know us.
    """
    described: dict[str, Any] = {
        "version": "1.0",
        "type": "link",
        "title": f"{card.title} · {card.description}",
        "provider_name": "Stamp Service",
        "provider_url": card.home_url,
        "cache_age": _OEMBED_KEPT_S,
    }
    if card.picture is not None:
        size = {"width": card.picture.width, "height": card.picture.height}
        described |= {"type": "photo", "url": card.picture.url, **size}
        described |= {"thumbnail_url": card.picture.url} | {f"thumbnail_{name}": px for name, px in size.items()}
    return described
