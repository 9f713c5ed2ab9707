#!/bin/bash
# ledger_growth.sh [VERSIONS]: does tapmig stay as fast as its ledger grows?
#
# On a throw-away server, with VERSIONS (10,000) migrations of one statement:
# time for each thousand of tapmig.apply, of tapmig.plan for all of them, and of
# "tapmig up" with nothing to do.

set -uo pipefail

# shellcheck source-path=SCRIPTDIR source=bench.sh
. "$(dirname "${BASH_SOURCE[0]}")/bench.sh"

versions=${1:-10000}
batch=$((versions < 10 ? 1 : versions / 10))

bench_begin
bench_database growth
bench_files "$versions" "$RUN/work/migrations"

echo "tapmig.apply, one call a transaction, one session a batch"
printf '%12s %12s\n' "versions" "ms a call"
first='' last=''
for ((from = 1; from <= versions; from += batch)); do
  to=$((from + batch - 1 < versions ? from + batch - 1 : versions))
  bench_calls "SELECT tapmig.apply(%s, %s, 'bench');" "$from" "$to" >"$RUN/work/calls.sql"
  bench_time psql -X -q -o /dev/null -v ON_ERROR_STOP=1 -f "$RUN/work/calls.sql"
  last=$(bench_divide "$bench_ms" $((to - from + 1)))
  first=${first:-$last}
  printf '%12s %12s\n' "$to" "$last"
done
printf 'last batch / first batch: %s\n\n' "$(bench_divide "$last" "$first")"

cat >"$RUN/work/plan.sql" <<'SQL'
\o /dev/null
SELECT tapmig.version_key('1');
SELECT array_agg(version || '_bench' ORDER BY version) AS versions,
       array_agg(encode(checksum, 'hex') ORDER BY version) AS checksums
  FROM tapmig.schema_migrations \gset
\timing on
SQL
for _ in 1 2 3 4 5 6; do
  cat <<'SQL'
SELECT count(*), count(*) FILTER (WHERE action <> 'none')
  FROM tapmig.plan(:'versions', :'checksums');
SQL
done >>"$RUN/work/plan.sql"
house_run psql -X -q -v ON_ERROR_STOP=1 -f "$RUN/work/plan.sql" >"$RUN/plan.out" || exit 1
plan=$(sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p' "$RUN/plan.out" | tail -n 5 | bench_median)
echo "tapmig.plan of $versions files, $versions in the ledger, nothing to do: $plan ms (median of 5)"

for _ in 1 2 3; do
  bench_time tapmig up --dir "$RUN/work/migrations"
  [ -z "$bench_out" ] || house_die "tapmig up found something to do: $bench_out"
  echo "$bench_ms"
done >"$RUN/up.out"
echo "tapmig up of $versions files, nothing to do: $(bench_median <"$RUN/up.out") ms (median of 3)"

verify=$(house_run psql -X -A -t -q -c '\timing on' -c 'SELECT count(*) FROM tapmig.verify()')
echo "tapmig.verify of $versions versions: $(sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p' <<<"$verify") ms, problems: $(head -n 1 <<<"$verify")"
