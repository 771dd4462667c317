"""The viewer: pages for people, and what other people's pages take from them."""

from flask import Flask

from stamp_service.web.viewer import assets, embedding, one_alert, one_object, searching, status
from stamp_service.web.viewer.pages import blueprint, failure_page

__all__ = ["failure_page", "install"]

_ROOMS = (searching, one_alert, one_object, status, embedding)


def install(app: Flask) -> None:
    """Give an application the viewer.

    Parameters
    ----------
    app : flask.Flask
        The application.
    """
    # Views register with the pages' blueprint when their modules are imported.
    assert all(room.__name__ for room in _ROOMS)
    status.install(app)
    app.register_blueprint(assets.blueprint)
    app.register_blueprint(embedding.blueprint)
    app.register_blueprint(blueprint)
