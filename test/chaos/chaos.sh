#!/bin/bash
# chaos.sh [boundaries] [--rounds N] [--seed N] ...: what "make chaos" does:
# test/chaos/chaos.pl, or boundaries.pl, on a private copy of PostgreSQL.
# ARGS="--rounds 20" hands options on. Exit 0 only when each round held.
# build/chaos-logs has the logs of a failure.

set -uo pipefail

# shellcheck source-path=SCRIPTDIR source=../lib/house.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/house.sh"

program=chaos
if [ "${1:-}" = boundaries ]; then
  program=boundaries
  shift
fi
house_begin test
house_build || exit 1
house_install || exit 1

mkdir "$RUN/work/tap"
house_own "$RUN/work/tap"
export PG_REGRESS=$PGXS_TEST/regress/pg_regress
# The caller's own directories come last: for a PostgreSQL without test modules
export PERL5LIB=$PGXS_TEST/perl:$RUN/tree/test/perl${PERL5LIB:+:$PERL5LIB}
export TESTDIR=$RUN/work/tap TESTDATADIR=$RUN/work/tap/tmp_check TESTLOGDIR=$RUN/work/tap/tmp_check/log
export TAPMIG_TOP=$RUN/tree TAPMIG_BIN=$BINDIR/tapmig
cd "$TESTDIR" || exit 1
status=0
house_run perl "$RUN/tree/test/chaos/$program.pl" "$@" || status=$?
if [ "$status" != 0 ]; then
  rm -rf "$TOP/build/chaos-logs"
  mkdir -p "$TOP/build/chaos-logs"
  cp -R "$TESTDIR/tmp_check/log/." "$TOP/build/chaos-logs/"
  echo "Logs of this run: build/chaos-logs"
fi
exit "$status"
