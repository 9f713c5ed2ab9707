#!/bin/bash
# lint.sh [STATEMENTS]: what does lint cost beside reading the script?
#
# On a throw-away server, scripts of STATEMENTS (20,000) statements of one kind,
# and a usual one of six, read by tapmig.statements and linted by tapmig.lint,
# in turn, nine rounds; the medians, and lint's own part as a share of reading.
# tapmig.statements also returns a row a statement, which is counted as reading.

set -uo pipefail

# shellcheck source-path=SCRIPTDIR source=bench.sh
. "$(dirname "${BASH_SOURCE[0]}")/bench.sh"

statements=${1:-20000}
rounds=9
kinds=(
  "INSERT INTO t (id, a) VALUES (%d, 1)"
  "UPDATE t SET a = 1 WHERE id = %d"
  "COMMENT ON TABLE t IS ''%d''"
  "CREATE TABLE fresh%d (id bigint PRIMARY KEY, name text NOT NULL DEFAULT '''', at timestamptz DEFAULT now())"
  "CREATE INDEX i%d ON fresh (name, at)"
  "ALTER TABLE fresh ADD CONSTRAINT c%d CHECK (id > 0)"
  "ALTER TABLE t ALTER a SET (n_distinct = %d)"
)
usual="ALTER TABLE t ADD COLUMN note text;
ALTER TABLE t ADD COLUMN at timestamptz DEFAULT now();
CREATE INDEX t_a ON t (a);
UPDATE t SET note = 'x' WHERE id < 100;
ALTER TABLE t ALTER COLUMN a TYPE bigint;
ALTER TABLE t ALTER COLUMN a SET NOT NULL;"

# Measures :script; prints the line of one kind.
measure() {
  {
    cat kind.head
    printf '%s\n' '\o /dev/null'
    for ((round = 1; round <= rounds; round++)); do
      cat <<'SQL'
\timing on
SELECT count(*) FROM tapmig.statements(:'script');
SELECT count(*) FROM tapmig.lint(:'script');
\timing off
SQL
    done
  } >kind.sql
  bench_time psql -X -q -v ON_ERROR_STOP=1 -f "$RUN/work/kind.sql"
  sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p' <<<"$bench_out" | paste - - >kind.ms
  [ "$(wc -l <kind.ms)" = "$rounds" ] || house_die "$1: not measured"
  read_ms=$(cut -f 1 kind.ms | bench_median)
  lint_ms=$(cut -f 2 kind.ms | bench_median)
  printf '%-58.58s %10.2f %10.2f %8s\n' "$1" "$read_ms" "$lint_ms" \
    "$(awk "BEGIN { printf \"%.2f\", ($lint_ms - $read_ms) / $read_ms }")"
}

bench_begin
bench_database lint
house_run psql -X -q -c 'CREATE TABLE t (id int PRIMARY KEY, a int)' \
  -c 'INSERT INTO t SELECT g, g FROM generate_series(1, 20000) g' || exit 1

printf '%-58s %10s %10s %8s\n' "$statements statements" 'read, ms' 'lint, ms' share
for kind in "${kinds[@]}"; do
  printf 'SELECT string_agg(format(%s, g), E%s) AS script FROM generate_series(1, %d) g \\gset\n' \
    "'${kind//%d/%s}'" "';\\n'" "$statements" >kind.head
  measure "$kind"
done
printf "SELECT %s AS script \\\\gset\n" "\$x\$$usual\$x\$" >kind.head
measure 'a usual script of six statements on a table with rows'
