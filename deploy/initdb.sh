#!/bin/sh
#
# Runs once in a new cluster of the official PostgreSQL image, as the image's
# files in /docker-entrypoint-initdb.d do: the extension goes into POSTGRES_DB,
# and into template1 for the databases that are created later.
#
# In a subshell: where the execute bit was lost, the image reads this file into
# its own shell.

(
	set -eu
	user=${POSTGRES_USER:-postgres}
	for database in template1 "${POSTGRES_DB:-$user}"; do
		PGDATABASE=$database psql -X -q -v ON_ERROR_STOP=1 -U "$user" \
			-c 'CREATE EXTENSION IF NOT EXISTS tapmig'
	done
)
