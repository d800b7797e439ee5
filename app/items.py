"""The one resource of the service: `/items`, a table that the migrations make."""

from psycopg.rows import dict_row
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from app.config import Config
from app.database import Database
from app.tokens import claims

_NAME_MAX = 200


def routes(config: Config, database: Database) -> list[Route]:
    """Return the routes that read and write the table, in the columns this version knows."""
    # Columns are named, never `*`: the other color may have added some.
    columns = ("id", "name") if database.needs == "0001" else ("id", "name", "note")
    writable = columns[1:]
    listed = ", ".join(columns)

    async def read(_: Request) -> JSONResponse:
        async with database.pool.connection() as connection, connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(f"SELECT {listed} FROM items ORDER BY id DESC LIMIT 50")
            return JSONResponse({"items": await cursor.fetchall()})

    async def write(request: Request) -> JSONResponse:
        claims(request, config.jwt_secret)
        item = await _item(request, writable)
        async with database.pool.connection() as connection, connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(
                f"INSERT INTO items ({', '.join(writable)}) VALUES ({', '.join(['%s'] * len(writable))})"
                f" RETURNING {listed}",
                # Never NULL, which 0003 forbids.
                [item.get(column, "") for column in writable],
            )
            return JSONResponse(await cursor.fetchone(), status_code=201)

    async def items(request: Request) -> JSONResponse:
        return await (write if request.method == "POST" else read)(request)

    return [Route("/items", config.faults.around(items), methods=["GET", "POST"])]


async def _item(request: Request, writable: tuple[str, ...]) -> dict[str, str]:
    try:
        item = await request.json()
    except ValueError:
        item = None
    if (
        not isinstance(item, dict)
        or not item.get("name")
        or not set(item) <= set(writable)
        or not all(isinstance(value, str) and len(value) <= _NAME_MAX for value in item.values())
    ):
        raise HTTPException(422, f"expected {', '.join(writable)}: text of at most {_NAME_MAX} characters, name needed")
    return item
