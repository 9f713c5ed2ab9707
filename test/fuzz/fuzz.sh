#!/bin/bash
# fuzz.sh [--seconds N] [--seed N] [--encoding NAME] [FILE...]: what "make fuzz" does:
# libFuzzer in a backend of a throw-away server, on the reading of scripts. Without
# FILEs it tries every script that it finds whole, and then made-up ones for N
# seconds (600); with FILEs, only these: an input that was found earlier.
#
# Scripts: PostgreSQL's regression suite and contrib's from Debian's source
# package (FUZZ_SOURCE=/path: another source tree), the installed extensions'
# install scripts, tapmig's own tests and test/fuzz/corpus. What is interesting is
# kept in build/fuzz/corpus-ENCODING and used again, what is wrong in build/fuzz/found.

set -uo pipefail

# shellcheck source-path=SCRIPTDIR source=../lib/house.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/house.sh"
# shellcheck source-path=SCRIPTDIR source=../lib/own_server.sh
. "$TOP/test/lib/own_server.sh"

seconds=600 seed=$RANDOM encoding=UTF8 files=()
while [ $# -gt 0 ]; do
  case $1 in
    --seconds) seconds=$2; shift 2 ;;
    --seed) seed=$2; shift 2 ;;
    --encoding) encoding=$2; shift 2 ;;
    --*) echo "usage: make fuzz ARGS='[--seconds N] [--seed N] [--encoding NAME] [FILE...]'" >&2; exit 2 ;;
    *) files+=("$(realpath "$1")"); shift ;;
  esac
done

house_begin fuzz
major=$(bash "$TOP/test/lib/packages.sh" major)
kept=$TOP/build/fuzz
dir=$RUN/work/fuzz
source=${FUZZ_SOURCE:-$kept/source}
mkdir -p "$kept/corpus-$encoding" "$kept/found" "$dir/seeds" "$dir/whole" "$dir/found"

echo "== build"
house_build && house_install || exit 1
bash "$TOP/test/fuzz/build.sh" "$RUN/tree" "$HOUSE_PG_CONFIG" "$kept/objects" || exit 1
cp "$kept/objects/tapmig_fuzz.so" "$dir/"

if [ "${#files[@]}" = 0 ]; then
  echo "== scripts"
  [ -d "$source" ] || own_server_fetch "$kept" "$major" >"$kept/fetch.log" 2>&1 </dev/null ||
    echo "without PostgreSQL's source, apt gets none: $(grep '^E: ' "$kept/fetch.log" | tail -n 1)"
  for file in "$source"/src/test/regress/sql/*.sql "$source"/src/test/isolation/specs/*.sql "$source"/contrib/*/*.sql "$source"/contrib/*/sql/*.sql \
    "$source"/src/pl/*/sql/*.sql "$(dirname "$BINDIR")"/share/*/extension/*.sql "$("$HOUSE_PG_CONFIG" --sharedir)"/extension/*--*.sql \
    "$RUN"/tree/test/sql/*.sql "$RUN"/tree/test/fixtures/*.sql "$RUN"/tree/test/fixtures/*/*.sql "$RUN"/tree/test/fuzz/corpus/*; do
    [ ! -f "$file" ] || files+=("$file")
  done
  perl "$RUN/tree/test/fuzz/corpus.pl" "$dir/seeds" "${files[@]}" || exit 1
  cp "$RUN"/tree/test/fuzz/corpus/* "$dir/seeds/"
else
  seconds=0
fi
for i in "${!files[@]}"; do
  cp "${files[i]}" "$dir/whole/$i-$(basename "${files[i]}")"
done
cp -R "$kept/corpus-$encoding" "$dir/corpus"
chmod -R a+rX "$dir"
house_own -R "$dir"

house_server
house_run createdb --template=template0 --encoding="$encoding" --locale=C fuzz || exit 1
PGDATABASE=fuzz
house_run psql -Xqf "$RUN/tree/test/fuzz/setup.sql" || exit 1
house_run psql -Xqc "CREATE FUNCTION tapmig_fuzz(log text, VARIADIC arguments text[]) RETURNS int AS '$dir/tapmig_fuzz.so' LANGUAGE C" || exit 1

# fuzz LOG ARGUMENT...: false where something was found.
fuzz() {
  local log=$dir/$1 sql="SELECT tapmig_fuzz('$dir/$1', VARIADIC ARRAY['-artifact_prefix=$dir/found/', '-rss_limit_mb=0', '-timeout=600', '-report_slow_units=600', '-print_final_stats=1'"
  shift

  for argument; do
    sql+=", '$argument'"
  done
  PGOPTIONS='-c client_min_messages=error -c log_min_messages=fatal' house_run psql -Xqc "$sql])" >"$RUN/fuzz.out" 2>&1
  [ -f "$log" ] || { cat "$RUN/fuzz.out" >&2; return 1; }
  # An error that nobody caught ends the server's process: it says which.
  grep -q 'FUZZ: end' "$log" || cat "$RUN/fuzz.out" >&2
  grep -E 'FUZZ: (broken|end)|^stat::number_of|^#.*(INITED|DONE)|ERROR: |SUMMARY' "$log"
  ! grep -q 'FUZZ: broken' "$log" && grep -q 'FUZZ: end' "$log" && [ -z "$(ls -A "$dir/found")" ]
}

status=0
echo "== ${#files[@]} scripts, whole"
mapfile -t whole < <(printf '%s\n' "$dir"/whole/*)
fuzz whole.log "${whole[@]}" || status=1
if [ "$status" = 0 ] && [ "$seconds" -gt 0 ]; then
  echo "== $seconds s in $encoding, seed $seed"
  fuzz fuzz.log "-seed=$seed" "-max_total_time=$seconds" -max_len=4000 "$dir/corpus" "$dir/seeds" || status=1
fi
cp -n "$dir"/corpus/* "$kept/corpus-$encoding/" 2>/dev/null
cp "$dir"/*.log "$kept/"
for file in "$dir"/found/*; do
  [ -f "$file" ] || continue
  cp "$file" "$kept/found/"
  echo "found: build/fuzz/found/$(basename "$file"); again: make fuzz ARGS='--encoding $encoding build/fuzz/found/$(basename "$file")'"
  status=1
done
[ "$status" = 0 ] || tail -n 40 "$dir"/*.log | cut -c 1-2000
exit "$status"
