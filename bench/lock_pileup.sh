#!/bin/bash
# lock_pileup.sh [SECONDS]: what does an application feel while a migration
# waits for its lock?
#
# On a throw-away server, an application (pgbench, four clients, 400 updates a
# second) works on a table that a long report reads in a transaction of SECONDS
# (10). In the meantime a migration adds a column to it: by psql, and by tapmig
# at three values of tapmig.lock_timeout. Prints the latency of the application's transactions,
# from when they were due, and how long the migration took.

set -uo pipefail

# shellcheck source-path=SCRIPTDIR source=bench.sh
. "$(dirname "${BASH_SOURCE[0]}")/bench.sh"

seconds=${1:-10}
case $seconds in '' | *[!0-9]*) house_die "usage: lock_pileup.sh [SECONDS]" ;; esac
ddl='ALTER TABLE accounts ADD COLUMN note text'

# In the background, without the bookkeeping of house_run.
pileup_start() {
  HOME="$RUN/home" "${HOUSE_AS[@]}" "$@" </dev/null >>"$RUN/background.log" 2>&1 9>&- &
}

pileup_wait() {
  until [ "$(house_run psql -X -A -t -c "SELECT count(*) FROM pg_stat_activity WHERE $1")" -ge "$2" ]; do :; done
}

# pileup NAME TITLE COMMAND...: a round, in a database of its own
pileup() {
  local name=$1 title=$2

  shift 2
  bench_database "$name"
  house_run psql -X -q -c 'CREATE TABLE accounts (id int PRIMARY KEY, n int) WITH (fillfactor = 50)' \
    -c 'INSERT INTO accounts SELECT i, 0 FROM generate_series(1, 10000) i' || exit 1
  pileup_start pgbench -n -c 4 -R 400 -T $((seconds + 10)) -f "$RUN/work/application.sql" \
    -l --log-prefix="$RUN/work/$name" "$name"
  application=$!
  pileup_wait "datname = '$name' AND application_name = 'pgbench'" 4
  pileup_start psql -X -d "$name" -c 'BEGIN' -c 'SELECT count(*) FROM accounts' \
    -c "SELECT pg_sleep($seconds)" -c 'COMMIT'
  report=$!
  pileup_wait "datname = '$name' AND query LIKE 'SELECT pg_sleep%' AND state = 'active'" 1
  bench_time "$@"
  wait "$report" "$application" || house_die "$(tail -n 5 "$RUN/background.log")"

  # client, transaction, µs since it was due, script, seconds, µs, of it late
  cat "$RUN/work/$name".* | awk '{ print $3 / 1000 }' | sort -n |
    awk -v title="$title" -v ms="$bench_ms" '{ v[NR] = $1 } END {
      printf "%-40s %8.1f %8.0f %8.0f %12.1f\n", title, v[int(NR / 2)], v[int(NR * 0.99)], v[NR], ms / 1000 }'
}

bench_begin
# shellcheck disable=SC2016 # psql's and pgbench's own
cat >"$RUN/work/application.sql" <<'SQL'
\set id random(1, 10000)
UPDATE accounts SET n = n + 1 WHERE id = :id;
SQL
printf 'a report of %s s, 400 transactions a second\n\n' "$seconds"
printf '%-40s %8s %8s %8s %12s\n' "" "p50 ms" "p99 ms" "max ms" "migration s"
pileup with_psql "psql" psql -X -q -c "$ddl"
export PGOPTIONS="-c client_min_messages=warning"
pileup with_tapmig "tapmig, lock_timeout 5 s (default)" psql -X -q -o /dev/null -c "CALL tapmig.run('1', '$ddl')"
for timeout in 1s 200ms; do
  pileup "with_tapmig_$timeout" "tapmig, lock_timeout $timeout" env PGOPTIONS="$PGOPTIONS -c tapmig.lock_timeout=$timeout" \
    psql -X -q -o /dev/null -c "CALL tapmig.run('1', '$ddl')"
done
