"""Tests against the schema of examples/migrations."""

import pytest


def names(connection):
    with connection.cursor() as cursor:
        cursor.execute("SELECT hostname FROM agents WHERE hostname LIKE 'test-%'")
        return [name for (name,) in cursor]


def test_every_migration_is_applied(connection):
    with connection.cursor() as cursor:
        cursor.execute("SELECT tapmig.require(max(version)) FROM tapmig.schema_migrations")
        cursor.execute("SELECT count(*) FROM tapmig.schema_migrations")
        assert cursor.fetchone()[0] > 0


@pytest.mark.parametrize("name", ["test-1", "test-2"])
def test_nothing_of_another_test_is_seen(connection, name):
    assert names(connection) == []
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO agents (agent_id, hostname, region_id, release)"
            " SELECT 900000, %s, region_id, release FROM agents LIMIT 1",
            (name,),
        )
    connection.commit()
    assert names(connection) == [name]
