#!/bin/bash
# lint.sh [STATEMENTS]: what does lint cost beside reading the script?
#
# On a throw-away server, scripts of STATEMENTS (20,000) statements of one kind,
# and a usual one of six, read by tapmig.statements and linted by tapmig.lint,
# in turn, nine rounds; the medians, and lint's own part as a share of reading.
# tapmig.statements also returns a row a statement, which is counted as reading.
#
# %d is the number of the statement; t is a table with rows, fresh is not there,
# and old%o is one of 1,000 tables that are: each is looked at for the first time
# once in twenty statements, which costs more than all the others together.

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
  "CREATE TABLE IF NOT EXISTS fresh%d (id bigint PRIMARY KEY, other bigint REFERENCES t)"
  "CREATE INDEX i%d ON fresh (name, at)"
  "CREATE INDEX i%d ON t (a)"
  "CREATE VIEW v%d AS SELECT id, a FROM t WHERE id > %d"
  "CREATE TRIGGER c%d AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()"
  "CREATE FUNCTION f%d(i int) RETURNS int LANGUAGE sql AS ''SELECT \$1''"
  "CREATE OR REPLACE FUNCTION f%d() RETURNS int LANGUAGE sql SECURITY DEFINER AS ''SELECT 1''"
  "CREATE TYPE e%d AS ENUM (''a'', ''b'')"
  "GRANT SELECT ON v%d TO PUBLIC"
  "DROP TABLE IF EXISTS gone%d"
  "DROP VIEW IF EXISTS gone%d"
  "DROP FUNCTION IF EXISTS f%d(int)"
  "DROP TRIGGER IF EXISTS c%d ON t"
  "ALTER TABLE fresh ADD CONSTRAINT c%d CHECK (id > 0)"
  "ALTER TABLE t ADD CONSTRAINT c%d CHECK (id > %d)"
  "ALTER TABLE t ALTER a SET (n_distinct = %d)"
  "ALTER TABLE t ALTER a SET DEFAULT %d"
  "ALTER TABLE t ALTER COLUMN a TYPE varchar(%d)"
  "ALTER TABLE t ADD COLUMN c%d text"
  "ALTER TABLE t ADD COLUMN IF NOT EXISTS c%d int NOT NULL DEFAULT 0"
  "ALTER TABLE t DROP COLUMN IF EXISTS c%d"
  "ALTER TABLE old%o ADD COLUMN c%d text"
  "INSERT INTO old%o (id, a) VALUES (%d, 1)"
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
for ((n = 0; n < 1000; n++)); do
  echo "CREATE TABLE old$n (id int PRIMARY KEY, a int);"
done >old.sql
house_run psql -X -q -1 -v ON_ERROR_STOP=1 -f "$RUN/work/old.sql" || exit 1

printf '%-58s %10s %10s %8s\n' "$statements statements" 'read, ms' 'lint, ms' share
for kind in "${kinds[@]}"; do
  format=${kind//%d/%1\$s}
  format=${format//%o/%2\$s}
  printf 'SELECT string_agg(format(%s, g, g %% 1000), E%s) AS script FROM generate_series(1, %d) g \\gset\n' \
    "'$format'" "';\\n'" "$statements" >kind.head
  measure "$kind"
done
printf "SELECT %s AS script \\\\gset\n" "\$x\$$usual\$x\$" >kind.head
measure 'a usual script of six statements on a table with rows'
