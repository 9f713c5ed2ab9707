"""A migrated database of its own for every test.

Once a session `tapmig up` builds a template database; each test gets a clone of
it, which takes a fraction of a second whatever the migrations take. What a test
commits, no other test sees. Works with pytest-xdist: its workers share one
template. All databases are dropped at the end.

    DATABASE_URL, or PGHOST, PGUSER ...   a server with the extension, and a role
                                          that may create databases and it
    TAPMIG_DIR                            the directory of the migrations
"""

import os
import pathlib
import subprocess
import uuid

import psycopg2
import psycopg2.extensions
import pytest

MIGRATIONS = os.environ.get("TAPMIG_DIR") or str(pathlib.Path(__file__).parent.parent / "migrations")
RUN = "TAPMIG_TEST_RUN"


def dsn(database):
    return psycopg2.extensions.make_dsn(os.environ.get("DATABASE_URL", ""), dbname=database)


def execute(database, *statements):
    """Runs statements with autocommit; returns the rows of the last one."""
    connection = psycopg2.connect(dsn(database))
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def template_name():
    return "test_" + os.environ[RUN]


def drop_template():
    name = template_name()
    if execute("postgres", f"SELECT 1 FROM pg_database WHERE datname = '{name}'"):
        execute("postgres", f"ALTER DATABASE {name} IS_TEMPLATE false", f"DROP DATABASE {name} WITH (FORCE)")


def pytest_configure(config):
    # Workers inherit the name from the process that starts them.
    if not hasattr(config, "workerinput"):
        os.environ[RUN] = uuid.uuid4().hex[:12]


def pytest_unconfigure(config):
    if not hasattr(config, "workerinput"):
        try:
            drop_template()
        except psycopg2.OperationalError:
            pass  # No server: then there was none for the tests either.


@pytest.fixture(scope="session")
def migrated_template():
    """The name of a database with all migrations, to which nobody connects."""
    name = template_name()
    admin = psycopg2.connect(dsn("postgres"))
    try:
        admin.autocommit = True
        with admin.cursor() as cursor:
            # Freed with the connection: the other workers wait for the first.
            cursor.execute("SELECT pg_advisory_lock(hashtext(%s))", (name,))
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s AND datistemplate", (name,))
            if cursor.fetchone() is None:
                drop_template()
                cursor.execute(f"CREATE DATABASE {name}")
                execute(name, "CREATE EXTENSION IF NOT EXISTS tapmig")
                up = subprocess.run(
                    ["tapmig", "up", "--dir", MIGRATIONS],
                    env={**os.environ, "DATABASE_URL": dsn(name)},
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                )
                if up.returncode != 0:
                    pytest.fail(f"tapmig up: exit code {up.returncode}\n{up.stderr}", pytrace=False)
                # A database that is connected to cannot be cloned.
                cursor.execute(f"ALTER DATABASE {name} WITH IS_TEMPLATE true ALLOW_CONNECTIONS false")
    finally:
        admin.close()
    return name


@pytest.fixture
def database(migrated_template):
    """The connection string of a new database with all migrations."""
    name = migrated_template + "_" + uuid.uuid4().hex[:12]
    execute("postgres", f"CREATE DATABASE {name} TEMPLATE {migrated_template}")
    yield dsn(name)
    execute("postgres", f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def connection(database):
    """A connection to it."""
    connection = psycopg2.connect(database)
    yield connection
    connection.close()
