"""Group roles without a login: what a sink needs, and what a reader needs, and nothing more.

Roles are the cluster's: another database's migration may have made them. A user who may not make them
(managed services) leaves them out; once an administrator has made them, `sigstream migrate` grants the rest.
"""

from collections.abc import Iterable, Mapping
from typing import Any

WRITER = "sigstream_writer"
"""For the sink's user: rows come and change, and are never deleted."""
READER = "sigstream_reader"
"""For people and programs that read."""
ROLES = (WRITER, READER)

RIGHTS = (
    *((WRITER, "signals", right) for right in ("SELECT", "INSERT", "UPDATE")),
    *((WRITER, table, "SELECT") for table in ("signals_latest", "alembic_version")),
    *((READER, table, "SELECT") for table in ("signals", "signals_latest")),
)
"""Role, table, right."""
MISSING = """
    SELECT role, "table", "right", to_regrole(role) IS NOT NULL AS exists
    FROM unnest($1::text[], $2::text[], $3::text[]) AS wanted (role, "table", "right")
    WHERE CASE WHEN to_regrole(role) IS NULL THEN true
               ELSE NOT has_table_privilege(role, "table", "right") END
"""
"""Which of RIGHTS are not given."""

_CREATE = tuple(f"CREATE ROLE {role} NOLOGIN" for role in ROLES)
_GRANT = (
    # Merges go through a temporary table; PUBLIC has this unless it was revoked.
    f"GRANT CONNECT, TEMPORARY ON DATABASE %1$I TO {WRITER}",
    f"GRANT CONNECT ON DATABASE %1$I TO {READER}",
    f"GRANT USAGE ON SCHEMA %2$I TO {WRITER}, {READER}",
    f"GRANT SELECT, INSERT, UPDATE ON signals TO {WRITER}",
    f"GRANT SELECT ON signals_latest, alembic_version TO {WRITER}",
    f"GRANT SELECT ON signals, signals_latest TO {READER}",
)
_REVOKE = tuple(
    f"REVOKE ALL ON {what} FROM {role}"
    for role in ROLES
    for what in ("signals, signals_latest, alembic_version", "SCHEMA %2$I", "DATABASE %1$I")
)


def _each(statements: Iterable[str]) -> str:
    """One statement that runs all, and passes over what exists, is missing, or is not ours to do."""
    listed = ", ".join(f"'{statement}'" for statement in statements)
    return f"""
        DO $$
        DECLARE step text;
        BEGIN
            FOREACH step IN ARRAY ARRAY[{listed}] LOOP
                BEGIN
                    EXECUTE format(step, current_database(), current_schema());
                EXCEPTION
                    -- internal_error: two at once on one object, whose rights the other one gives too.
                    WHEN duplicate_object OR unique_violation OR undefined_object OR insufficient_privilege
                      OR internal_error
                    THEN RAISE NOTICE '%: %', step, SQLERRM;
                END;
            END LOOP;
        END $$
    """


GRANT = _each((*_CREATE, *_GRANT))
"""Makes the roles and grants what they need; as often as one likes."""
REVOKE = _each(_REVOKE)
"""Takes back the grants; the roles stay, as other databases may use them."""


def advice(missing: Mapping[str, Any]) -> str:
    """What an administrator does about a row of MISSING."""
    if not missing["exists"]:
        role = missing["role"]
        return (
            f"role {role} is missing, and this user may not make it: have an administrator run "
            f"`CREATE ROLE {role} NOLOGIN`, then run `sigstream migrate` again"
        )
    return (
        "this user may not give a right: have the table's owner run "
        f"`GRANT {missing['right']} ON {missing['table']} TO {missing['role']}`"
    )
