"""Who calls: the claims of a bearer token that this service's key has signed."""

from typing import Any

import jwt
from starlette.exceptions import HTTPException
from starlette.requests import Request


def claims(request: Request, secret: str) -> dict[str, Any]:
    """Return what the token says. Raises 401 unless it is valid and has an end."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    try:
        if scheme.lower() != "bearer":
            raise jwt.InvalidTokenError
        return jwt.decode(token, secret, algorithms=["HS256"], options={"require": ["exp"]})
    except jwt.InvalidTokenError:
        raise HTTPException(401, "a valid bearer token is needed", {"www-authenticate": "Bearer"}) from None
