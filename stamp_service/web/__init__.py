"""The HTTP service: the only room that knows Flask."""

from stamp_service.web.application import create_app

__all__ = ["create_app"]
