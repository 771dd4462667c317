"""Who may have what: bearer tokens and the surveys' own rules.

A token's `surveys` claim maps survey names (or `*`) to permissions:
`{"exp": …, "surveys": {"atlas": ["stamps", "metadata", "packets"]}}`. A token only ever adds to what anonymous
readers have.
"""

import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt

from stamp_service.errors import AccessDenied, ConfigurationError, Unauthenticated
from stamp_service.settings import Settings
from stamp_service.surveys import PERMISSIONS, Permission, Survey

_PUBLIC_KEY_ALGORITHMS = ("RS256", "ES256")
# A token is seen thousands of times; verifying a signature costs as much as drawing a stamp.
_REMEMBERED_TOKENS = 1024


@dataclass(frozen=True, slots=True)
class Grant:
    """What a verified token gives, and until when.

    Parameters
    ----------
    expires_s : float
        Seconds since the epoch.
    surveys : mapping of str to frozenset of str
        Permissions by survey name; `*` stands for every survey.
    """

    expires_s: float
    surveys: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def permissions(self, survey: str) -> frozenset[str]:
        """Permissions for one survey.

        Parameters
        ----------
        survey : str
            The survey's name.

        Returns
        -------
        frozenset of str
            What the token allows there.
        """
        return self.surveys.get(survey, frozenset()) | self.surveys.get("*", frozenset())


class Access:
    """Verifies tokens and answers who may have what.

    Parameters
    ----------
    settings : Settings
        Keys, audience and issuer of reading tokens, and the writing tokens.

    Raises
    ------
    ConfigurationError
        If the JWKS file cannot be read.
    """

    def __init__(self, settings: Settings) -> None:
        self._secret = settings.jwt_secret.get_secret_value() if settings.jwt_secret else None
        self._keys = _read_jwks(settings.jwt_jwks_file) if settings.jwt_jwks_file else None
        self._audience = settings.jwt_audience
        self._issuer = settings.jwt_issuer
        self._write_tokens = [token.get_secret_value().encode() for token in settings.write_tokens]
        self._grants: dict[str, Grant] = {}

    @property
    def key_configured(self) -> bool:
        """Whether reading tokens can be verified at all."""
        return self._secret is not None or self._keys is not None

    @property
    def writable(self) -> bool:
        """Whether anybody may write."""
        return bool(self._write_tokens)

    def is_public(self, survey: Survey, permission: Permission) -> bool:
        """Say whether anonymous readers have a permission.

        Parameters
        ----------
        survey : Survey
            The survey asked about.
        permission : str
            `stamps`, `metadata` or `packets`.

        Returns
        -------
        bool
            True if no token is needed.
        """
        return permission in survey.access.without_token(key_configured=self.key_configured)

    def check(self, survey: Survey, permission: Permission, authorization: str | None) -> bool:
        """Let a reader pass, or raise.

        Parameters
        ----------
        survey : Survey
            The survey asked about.
        permission : str
            `stamps`, `metadata` or `packets`.
        authorization : str or None
            The request's `Authorization` header.

        Returns
        -------
        bool
            Whether everybody may have it, that is, whether shared caches may keep the answer.

        Raises
        ------
        Unauthenticated
            If a token is needed and missing, or one was given that is invalid or expired.
        AccessDenied
            If the token does not allow this.
        """
        grant = self._grant(authorization)
        if self.is_public(survey, permission):
            return True
        if grant is None:
            raise Unauthenticated(f"{survey.name} {permission} need a token")
        if permission not in grant.permissions(survey.name):
            raise AccessDenied(f"this token does not allow {survey.name} {permission}")
        return False

    def check_writer(self, authorization: str | None) -> None:
        """Let a writer pass, or raise.

        Parameters
        ----------
        authorization : str or None
            The request's `Authorization` header.

        Raises
        ------
        Unauthenticated
            If there is no bearer token.
        AccessDenied
            If it is not one of the writing tokens.
        """
        token = _bearer(authorization)
        if token is None:
            raise Unauthenticated("writing needs a token")
        # No short cut: comparing with every token takes the same time for any guess.
        matches = [hmac.compare_digest(token.encode(), known) for known in self._write_tokens]
        if not any(matches):
            raise AccessDenied("this token does not allow writing")

    def _grant(self, authorization: str | None) -> Grant | None:
        if authorization is None or not self.key_configured:
            return None
        token = _bearer(authorization)
        if token is None:
            return None
        grant = self._grants.get(token)
        if grant is None:
            grant = self._verify(token)
            if len(self._grants) >= _REMEMBERED_TOKENS:
                self._grants.clear()
            self._grants[token] = grant
        if grant.expires_s <= time.time():
            raise Unauthenticated("the token has expired")
        return grant

    def _verify(self, token: str) -> Grant:
        try:
            key, algorithms = self._key_for(jwt.get_unverified_header(token))
            claims = jwt.decode(
                token,
                key,
                algorithms=algorithms,
                audience=self._audience,
                issuer=self._issuer,
                options={"require": ["exp"], "verify_aud": self._audience is not None},
            )
        except jwt.ExpiredSignatureError:
            raise Unauthenticated("the token has expired") from None
        except (jwt.PyJWTError, ValueError, TypeError):
            raise Unauthenticated("the token is not valid") from None
        return Grant(float(claims["exp"]), _granted_surveys(claims))

    def _key_for(self, header: Mapping[str, Any]) -> tuple[Any, list[str]]:
        """Choose the key by what is configured; the token only picks among keys of its own algorithm."""
        algorithm = header.get("alg")
        if algorithm == "HS256" and self._secret is not None:
            return self._secret, ["HS256"]
        if algorithm in _PUBLIC_KEY_ALGORITHMS and self._keys is not None:
            for key in self._keys.keys:
                if key.algorithm_name == algorithm and header.get("kid") in {None, key.key_id}:
                    return key.key, [algorithm]
        raise jwt.InvalidKeyError("no key for this token")


def _bearer(authorization: str | None) -> str | None:
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def _granted_surveys(claims: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    surveys = claims.get("surveys")
    if not isinstance(surveys, dict):
        return {}
    return {
        str(survey): frozenset(PERMISSIONS) & {str(item) for item in granted}
        for survey, granted in surveys.items()
        if isinstance(granted, list)
    }


def _read_jwks(path: Path) -> jwt.PyJWKSet:
    try:
        return jwt.PyJWKSet.from_dict(json.loads(path.read_bytes()))
    except (OSError, ValueError, jwt.PyJWTError, AttributeError, TypeError):
        raise ConfigurationError(f"STAMP_JWT_JWKS_FILE: {path} is not a readable JWKS file") from None
