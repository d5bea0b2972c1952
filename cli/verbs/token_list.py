"""`neopro token list`: who has a token."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from cli.database import with_database
from cli.flags import Flag
from cli.output import Output
from control_plane.store.tokens import Token, list_tokens


def token_list(*, config: Path | None = None, json: Flag = False) -> None:
    """List personal tokens, on the server's own machine; their texts are not known to it.

    Parameters
    ----------
    config
        The server's settings.
    json
        Print them as JSON.
    """
    tokens = asyncio.run(with_database(config, list_tokens))
    output, now = Output(json), datetime.now(UTC)
    output.data([_data(token) for token in tokens])
    output.table(
        ("NAME", "OWNER", "SCOPES", "MADE", "UNTIL", "LAST USED", "STATE"),
        [
            (
                token.name,
                token.owner_name or "",
                ",".join(token.scopes),
                f"{token.created_at:%Y-%m-%d}",
                f"{token.expires_at:%Y-%m-%d}",
                f"{token.last_used_at:%Y-%m-%d %H:%M}" if token.last_used_at else "never",
                _state(token, now),
            )
            for token in tokens
        ],
    )


def _data(token: Token) -> dict[str, object]:
    own = {key: value for key, value in token._asdict().items() if not key.startswith("owner")}
    return {**own, "owner": token.owner_name}


def _state(token: Token, now: datetime) -> str:
    if token.revoked_at:
        return "revoked"
    if token.owner_disabled_at:
        return "owner disabled"
    return "expired" if token.expires_at <= now else "live"
