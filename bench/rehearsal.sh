#!/bin/bash
# rehearsal.sh [STATEMENTS]: what does measuring cost?
#
# On a throw-away server, scripts of STATEMENTS (1,000) small statements of one
# kind, five rounds each: rehearsed, and run by tapmig.apply and rolled back, in
# turn; the medians, and the ratio of rehearsed to run.

set -uo pipefail

# shellcheck source-path=SCRIPTDIR source=bench.sh
. "$(dirname "${BASH_SOURCE[0]}")/bench.sh"

statements=${1:-1000}
rounds=5
kinds=(
  'SELECT %d'
  'INSERT INTO t VALUES (%d, 1)'
  'CREATE TABLE fresh%d (i int)'
  'ALTER TABLE t ALTER a SET DEFAULT %d'
  'ALTER TABLE many%d ALTER a SET NOT NULL'
  'LOCK TABLE many%d'
)

bench_begin
bench_database rehearsal
cat >tables.sql <<SQL
ALTER DATABASE rehearsal SET tapmig.rehearse_limit = 0;
CREATE TABLE t (id int PRIMARY KEY, a int);
SELECT format('CREATE TABLE many%s (id int PRIMARY KEY, a int)', g) FROM generate_series(1, $statements) g \gexec
SQL
house_run psql -X -q -f "$RUN/work/tables.sql" || exit 1

printf '%-45s %12s %12s %8s\n' "$statements statements" 'run, ms' 'rehearsed, ms' ratio
for kind in "${kinds[@]}"; do
  {
    printf 'SELECT string_agg(format(%s, g), E%s) AS script FROM generate_series(1, %d) g \\gset\n' \
      "'${kind//%d/%s}'" "';\\n'" "$statements"
    printf '%s\n' '\o /dev/null'
    for ((round = 1; round <= rounds; round++)); do
      cat <<'SQL'
\timing on
SELECT count(*) FROM tapmig.rehearse(:'script');
\timing off
BEGIN;
\timing on
SELECT tapmig.apply('1', :'script');
ROLLBACK;
SQL
    done
  } >kind.sql
  bench_time psql -X -q -v ON_ERROR_STOP=1 -f "$RUN/work/kind.sql"
  # A rehearsal rolls back as well.
  sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p' <<<"$bench_out" |
    awk 'NR % 3 == 1 { r = $1 } NR % 3 == 2 { a = $1 } NR % 3 == 0 { print r, a + $1 }' >kind.ms
  [ "$(wc -l <kind.ms)" = "$rounds" ] || house_die "$kind: not measured"
  rehearsed=$(cut -d ' ' -f 1 kind.ms | bench_median)
  run=$(cut -d ' ' -f 2 kind.ms | bench_median)
  printf '%-45s %12.1f %12.1f %8s\n' "$kind" "$run" "$rehearsed" "$(bench_divide "$rehearsed" "$run")"
done
