#!/bin/bash
# compare.sh [SCRIPTS [ROUNDS]]: what does tapmig cost beside other ways to do the
# same?
#
# On a throw-away server, SCRIPTS (1,000) migrations of each kind, each way, ROUNDS
# (5) times, in turn, each round begun by another, each in a new database; the
# median of each way, and its ratio to EXECUTE and INSERT in PL/pgSQL, the least that
# a ledger can be. A way that starts a process for each script takes a tenth of them.
# Twice: with fsync, and with fsync and synchronous_commit off.
#
# No database is dropped: ext4 looks through the inodes of files that were deleted in
# the last minutes for each file that it makes, and CREATE TABLE made after a DROP
# DATABASE of such tables takes up to seven times as long, whichever the way.
# A round of 1,000 tables takes 25 MB a way.
#
# KINDS, WAYS and DURABILITY of the environment leave some out:
# KINDS='select table mix' WAYS='psql plpgsql files sqitch dbmate apply run up again'
# DURABILITY='on off'

set -uo pipefail

# shellcheck source-path=SCRIPTDIR source=bench.sh
. "$(dirname "${BASH_SOURCE[0]}")/bench.sh"

scripts=${1:-1000}
rounds=${2:-5}
declare -A title=(
  [psql]="(a) psql, one session: BEGIN, script, INSERT, COMMIT"
  [plpgsql]="(b) PL/pgSQL: EXECUTE, INSERT of version and time"
  [files]="(c) one psql a file, INSERT of version and time"
  [sqitch]="(d) sqitch deploy"
  [dbmate]="(d) dbmate up"
  [apply]="(e) SELECT tapmig.apply(...), one session"
  [run]="    CALL tapmig.run(...), one session"
  [up]="(f) tapmig up"
  [again]="    tapmig up again, with nothing to do"
)

# The least ledger, for the ways that have none.
make_ledger() {
  cat >"$RUN/work/ledger.sql" <<'SQL'
CREATE TABLE ledger (version text PRIMARY KEY, applied_at timestamptz NOT NULL);
CREATE FUNCTION bare_apply(v text, script text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE script;
  INSERT INTO ledger VALUES (v, clock_timestamp());
  RETURN 'applied';
END $$;
SQL
}

# How many scripts a way takes of them.
share() {
  case $1 in
  files | sqitch | dbmate) echo $((scripts < 10 ? scripts : scripts / 10)) ;;
  *) echo "$scripts" ;;
  esac
}

# Makes what the ways take, once for a kind.
make_inputs() {
  local kind=$1 way some

  mkdir -p "$RUN/work/$kind"
  some=$(share files)
  for way in psql plpgsql apply run; do
    perl "$BENCH/scripts.pl" "$kind" "$scripts" $way >"$RUN/work/$kind/$way.sql" || exit 1
  done
  mkdir "$RUN/work/$kind/files" "$RUN/work/$kind/some" "$RUN/work/$kind/sqitch"
  perl "$BENCH/scripts.pl" "$kind" "$scripts" files "$RUN/work/$kind/files" || exit 1
  perl "$BENCH/scripts.pl" "$kind" "$some" files "$RUN/work/$kind/some" || exit 1
  perl "$BENCH/scripts.pl" "$kind" "$some" sqitch "$RUN/work/$kind/sqitch" || exit 1
  mkdir "$RUN/work/$kind/dbmate"
  for way in "$RUN/work/$kind/some"/*; do
    { echo '-- migrate:up'; cat "$way"; } >"$RUN/work/$kind/dbmate/${way##*/}"
  done
  house_own "$RUN/work/$kind"
}

# Runs one way, times it, checks that all of it is there.
run_way() {
  local kind=$1 way=$2 here=$RUN/work/$1 there n

  n=$(share "$way")
  case $way in
  psql | plpgsql | files) house_run psql -X -q -f "$RUN/work/ledger.sql" || exit 1 ;;
  esac
  case $way in
  psql | plpgsql | apply | run)
    bench_time psql -X -q -o /dev/null -v ON_ERROR_STOP=1 -f "$here/$way.sql"
    ;;
  files)
    # shellcheck disable=SC2016 # the inner shell's
    bench_time sh -c 'for file in "$1"/*; do
      name=${file##*/}
      psql -X -q -o /dev/null -v ON_ERROR_STOP=1 -1 -f "$file" \
        -c "INSERT INTO ledger VALUES ('\''${name%%_*}'\'', clock_timestamp())" || exit
    done' sh "$here/some"
    ;;
  sqitch)
    bench_time sqitch --chdir "$here/sqitch" deploy "db:pg:$PGDATABASE"
    ;;
  dbmate)
    bench_time dbmate --no-dump-schema -d "$here/dbmate" \
      -u "postgres://$PGUSER@/$PGDATABASE?host=$PGHOST&port=$PGPORT" up
    ;;
  up | again)
    bench_time tapmig up --dir "$here/files"
    if [ "$way" = again ]; then
      bench_time tapmig up --dir "$here/files"
      [ -z "$bench_out" ] || house_die "tapmig up found something to do: $bench_out"
    fi
    ;;
  esac
  case $way in
  psql | plpgsql | files) there=$(house_run psql -X -A -t -c 'SELECT count(*) FROM ledger') ;;
  sqitch) there=$(house_run psql -X -A -t -c 'SELECT count(*) FROM sqitch.changes') ;;
  dbmate) there=$(house_run psql -X -A -t -c 'SELECT count(*) FROM schema_migrations') ;;
  *) there=$(house_run psql -X -A -t -c \
    "SELECT count(*) FROM tapmig.schema_migrations WHERE kind = 'applied' AND statements = 1") ;;
  esac
  [ "$there" = "$n" ] || house_die "$way: $there of $n are there"
}

set_durability() {
  PGDATABASE=postgres house_run psql -X -q -c "ALTER SYSTEM SET fsync = $1" \
    -c "ALTER SYSTEM SET synchronous_commit = $1" -c 'SELECT pg_reload_conf()' >/dev/null || exit 1
}

BENCH=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bench_note=
bench_begin
make_ledger
read -r -a kinds <<<"${KINDS:-select table mix}"
read -r -a durabilities <<<"${DURABILITY:-on off}"
for way in ${WAYS:-psql plpgsql files sqitch dbmate apply run up again}; do
  case $way in
  sqitch | dbmate) command -v "$way" >/dev/null || { echo "$way is not installed: left out"; continue; } ;;
  esac
  ways+=("$way")
done

for kind in "${kinds[@]}"; do
  make_inputs "$kind"
  for durable in "${durabilities[@]}"; do
    set_durability "$durable"
    for ((round = 1; round <= rounds; round++)); do
      for ((turn = 0; turn < ${#ways[@]}; turn++)); do
        way=${ways[(round + turn) % ${#ways[@]}]}
        bench_database "bench_${kind}_${durable}_${round}_$way"
        run_way "$kind" "$way"
        echo "$bench_ms $(share "$way")" >>"$RUN/work/$kind.$durable.$way"
      done
    done
    base=
    [ ! -e "$RUN/work/$kind.$durable.plpgsql" ] ||
      base=$(awk '{ printf "%.4f\n", $1 / $2 }' "$RUN/work/$kind.$durable.plpgsql" | bench_median)
    printf '\n%-9s fsync %-4s %s scripts, median of %s rounds\n' "$kind" "$durable" "$scripts" "$rounds"
    printf '%-56s %10s %12s %8s\n' '' ms 'ms a script' ratio
    for way in "${ways[@]}"; do
      each=$(awk '{ printf "%.4f\n", $1 / $2 }' "$RUN/work/$kind.$durable.$way" | bench_median)
      total=$(cut -d ' ' -f 1 "$RUN/work/$kind.$durable.$way" | bench_median)
      printf '%-56s %10s %12.3f %8s\n' "${title[$way]}" "$total" "$each" \
        "$([ -z "$base" ] || [ "$way" = again ] || bench_divide "$each" "$base")"
    done
  done
done
