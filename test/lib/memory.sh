#!/bin/bash
# memory.sh [NAME ...]: what "make test-memory" does: tests whose servers run
# under valgrind, on a PostgreSQL of its own that tells valgrind about its
# memory contexts (USE_VALGRIND). Any error of valgrind is a failure; those
# that PostgreSQL itself knows of are suppressed by its own list. Without a NAME:
# all of test/sql and test/specs, and t/721_memory_tour.pl, which goes through the
# worker, a cancel and another try.

set -uo pipefail

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
# shellcheck source-path=SCRIPTDIR source=own_server.sh
. "$TOP/test/lib/own_server.sh"

own_server valgrind "assertions, for valgrind" CPPFLAGS=-DUSE_VALGRIND
if [ $# = 0 ]; then
  for file in "$TOP"/test/sql/*.sql "$TOP"/test/specs/*.spec; do
    set -- "$@" "$(basename "$file")"
  done
  set -- "$@" 721_memory_tour.pl
fi
export HOUSE_VALGRIND=${OWN_PG_CONFIG%/pg/bin/pg_config}/valgrind.supp
export PG_TEST_TIMEOUT_DEFAULT=${PG_TEST_TIMEOUT_DEFAULT:-3600} PGISOLATIONTIMEOUT=${PGISOLATIONTIMEOUT:-3600}
PG_CONFIG=$OWN_PG_CONFIG exec bash "$TOP/test/lib/run.sh" "$@"
