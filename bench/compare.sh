#!/bin/bash
# compare.sh [SCRIPTS]: what does tapmig cost beside the barest ways to do the
# same?
#
# On a throw-away server, SCRIPTS (1,000) scripts of one statement, five ways,
# five rounds each in a new database, in turn; the median of each way, and its
# ratio to EXECUTE and INSERT in PL/pgSQL, the least that a ledger can be.

set -uo pipefail

# shellcheck source-path=SCRIPTDIR source=bench.sh
. "$(dirname "${BASH_SOURCE[0]}")/bench.sh"

scripts=${1:-1000}
rounds=5
ways=(psql plpgsql apply run runner)
declare -A title=(
  [psql]="psql, one session, a transaction each, no ledger"
  [plpgsql]="PL/pgSQL: EXECUTE, INSERT of version and time"
  [apply]="SELECT tapmig.apply(...)"
  [run]="CALL tapmig.run(...)"
  [runner]="tapmig up"
)

bench_begin
cd "$RUN/work" || exit 1
bench_files "$scripts" "$RUN/work/migrations"
bench_calls "BEGIN; SELECT 1 /* %s %s */; COMMIT;" 1 "$scripts" >psql.sql
bench_calls "SELECT bare_apply(%s, %s);" 1 "$scripts" >plpgsql.sql
bench_calls "SELECT tapmig.apply(%s, %s, 'bench');" 1 "$scripts" >apply.sql
bench_calls "CALL tapmig.run(%s, %s, 'bench');" 1 "$scripts" >run.sql
cat >bare.sql <<'SQL'
CREATE TABLE bare_ledger (version text PRIMARY KEY, applied_at timestamptz NOT NULL);
CREATE FUNCTION bare_apply(v text, script text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE script;
  INSERT INTO bare_ledger VALUES (v, clock_timestamp());
  RETURN 'applied';
END $$;
SQL

for ((round = 1; round <= rounds; round++)); do
  for way in "${ways[@]}"; do
    bench_database "${way}_$round"
    if [ "$way" = plpgsql ]; then
      house_run psql -X -q -f "$RUN/work/bare.sql" || exit 1
    fi
    if [ "$way" = runner ]; then
      bench_time tapmig up --dir "$RUN/work/migrations"
    else
      bench_time psql -X -q -o /dev/null -v ON_ERROR_STOP=1 -f "$RUN/work/$way.sql"
    fi
    case $way in
      psql) there=$scripts ;;
      plpgsql) there=$(house_run psql -X -A -t -c 'SELECT count(*) FROM bare_ledger') ;;
      *) there=$(house_run psql -X -A -t -c \
        "SELECT count(*) FROM tapmig.schema_migrations WHERE kind = 'applied' AND statements = 1") ;;
    esac
    [ "$there" = "$scripts" ] || house_die "$way: $there of $scripts are there"
    echo "$bench_ms" >>"$way.ms"
  done
done

base=$(bench_median <plpgsql.ms)
printf '%s scripts, median of %s rounds\n\n' "$scripts" "$rounds"
printf '%-52s %8s %12s %8s\n' "" "ms" "ms a script" "ratio"
for way in "${ways[@]}"; do
  ms=$(bench_median <"$way.ms")
  printf '%-52s %8s %12s %8s\n' "${title[$way]}" "$ms" \
    "$(bench_divide "$ms" "$scripts")" "$(bench_divide "$ms" "$base")"
done
