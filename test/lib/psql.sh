#!/bin/bash
# psql.sh: what "make psql" does: psql in a throw-away server with the
# extension, which is gone when psql ends. Standard input may be a script.

set -uo pipefail

# shellcheck source-path=SCRIPTDIR source=house.sh
. "$(dirname "${BASH_SOURCE[0]}")/house.sh"

here=$PWD
house_begin demo
house_build || exit 1
house_install || exit 1
house_server
house_run psql -q -c 'CREATE EXTENSION tapmig' || exit 1
[ ! -t 0 ] || echo "A throw-away server, superuser postgres. In another terminal: psql -h $PGHOST -U postgres"
# The directory that psql was started in, for \i, where the server's user can
# reach it.
if (cd "$here" && "${HOUSE_AS[@]}" test -r .) 2>/dev/null; then
  cd "$here" || exit 1
fi
# Ctrl-C is psql's own.
trap : INT
house_foreground psql
