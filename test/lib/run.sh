#!/bin/bash
# run.sh [NAME ...]: what "make test" does. NAMEs, with or without their ending,
# choose tests of test/sql, test/specs and test/t; without any all are run.
#
# Last line: N passed, N failed, N skipped. What is counted: the build without
# a warning, shellcheck, each file of test/sql and test/specs, each single
# assertion of test/t. Exit 0 only when nothing failed and something passed.
# After a failure build/test-logs has the servers' and the tests' logs.

set -uo pipefail

# shellcheck source-path=SCRIPTDIR source=house.sh
. "$(dirname "${BASH_SOURCE[0]}")/house.sh"

passed=0 failed=0 skipped=0
sql_tests=() spec_tests=() tap_tests=()

count() {
  passed=$((passed + $1))
  failed=$((failed + $2))
  skipped=$((skipped + $3))
  printf -- '-- %s: %s passed, %s failed, %s skipped\n\n' "$4" "$1" "$2" "$3"
}

# What valgrind says of the servers: no word is right. Those of other messages
# than errors (a stack that was switched) have no marker.
count_valgrind() {
  local errors ours logs

  logs=$(find "$RUN/work/valgrind" -name '*.log' | wc -l)
  errors=$(find "$RUN/work/valgrind" -name '*.log' -exec cat '{}' + | grep -c VALGRINDBEGIN)
  ours=$(find "$RUN/work/valgrind" -name '*.log' -exec cat '{}' + |
    awk '/VALGRINDBEGIN/ { ours = 0 } /\/tree\/src\// { ours = 1 } /VALGRINDEND/ { n += ours } END { print n + 0 }')
  echo "== valgrind: $errors errors in $logs processes, $ours of them through tapmig"
  find "$RUN/work/valgrind" -name '*.log' -exec cat '{}' + | head -c 100000
  if [ "$logs" = 0 ]; then
    echo "no server ran under valgrind"
    errors=1
  fi
  count "$((errors == 0))" "$((errors > 0))" 0 valgrind
}

finish() {
  [ ! -d "$RUN/work/valgrind" ] || count_valgrind
  if [ "$failed" -gt 0 ] && [ -d "$RUN/work" ]; then
    rm -rf "$TOP/build/test-logs"
    mkdir -p "$TOP/build/test-logs"
    (cd "$RUN/work" && find . \( -name '*.log' -o -name 'regress_log_*' -o -name 'regression.*' \
      -o -path '*/results/*.out' \) -exec cp --parents '{}' "$TOP/build/test-logs/" ';')
    echo "Logs of this run: build/test-logs"
  fi
  if [ "$passed" = 0 ] && [ "$failed" = 0 ]; then
    echo "No test was run."
    failed=1
  fi
  echo "$passed passed, $failed failed, $skipped skipped"
  [ "$failed" = 0 ] || exit 1
  exit 0
}

# choose DIRECTORY SUFFIX: the names of its tests that are wanted, in order.
choose() {
  local path name wanted

  for path in "$TOP/test/$1"/*"$2"; do
    [ -e "$path" ] || continue
    name=$(basename "$path" "$2")
    if [ "${#names[@]}" = 0 ]; then
      echo "$name"
      continue
    fi
    for wanted in "${names[@]}"; do
      if [ "$wanted" = "$name" ] || [ "$wanted" = "$name$2" ]; then
        echo "$name"
        break
      fi
    done
  done
}

names=("$@")
for i in "${!names[@]}"; do
  names[i]=$(basename "${names[i]}")
done
mapfile -t sql_tests < <(choose sql .sql)
mapfile -t spec_tests < <(choose specs .spec)
mapfile -t tap_tests < <(choose t .pl)
for name in "${names[@]}"; do
  case " ${sql_tests[*]/%/.sql} ${spec_tests[*]/%/.spec} ${tap_tests[*]/%/.pl} " in
    *" $name "* | *" $name.sql "* | *" $name.spec "* | *" $name.pl "*) ;;
    *)
      echo "There is no test named $name in test/sql, test/specs or test/t."
      echo "0 passed, 1 failed, 0 skipped"
      exit 1
      ;;
  esac
done
for name in "${sql_tests[@]}"; do
  case " ${spec_tests[*]} " in
    *" $name "*) house_die "test/sql/$name.sql and test/specs/$name.spec would share expected/$name.out" ;;
  esac
done

house_begin test

echo "== build, a warning is an error"
if house_build && house_install; then
  count 1 0 0 build
else
  count 0 1 0 build
  finish
fi
[ -z "${HOUSE_VALGRIND:-}" ] || house_valgrind "$HOUSE_VALGRIND"

if [ "${#names[@]}" = 0 ]; then
  echo "== shellcheck"
  if command -v shellcheck >/dev/null; then
    mapfile -t scripts < <(cd "$RUN/tree" && {
      find . -name '*.sh'
      # Scripts without an ending
      find .ci bin deploy examples test -type f ! -name '*.*' -exec grep -lE '^#!.*\b(ba|da)?sh$' '{}' +
    } | sort -u)
    if (cd "$RUN/tree" && shellcheck -x "${scripts[@]}"); then
      count 1 0 0 "shellcheck of ${#scripts[@]} scripts"
    else
      count 0 1 0 "shellcheck of ${#scripts[@]} scripts"
    fi
  else
    echo "there is no shellcheck here"
    count 0 0 1 shellcheck
  fi
fi

# regress TITLE PROGRAM TESTS...
# Up to PostgreSQL 15 expected files are looked for below the output directory,
# later below the current one: they are the same here.
regress() {
  local title=$1 program=$2 dir=$RUN/work/$1 log=$RUN/work/$1.log status=0 good bad ran
  shift 2

  echo "== $title"
  mkdir "$dir"
  cp -R "$RUN/tree/expected" "$dir/expected"
  house_own "$dir"
  cd "$dir" || exit 1
  house_run "$program" --inputdir="$RUN/tree/test" --outputdir=. --bindir="$BINDIR" \
    --host="$PGHOST" --port="$PGPORT" --user="$PGUSER" --dbname="tapmig_$title" \
    --load-extension=tapmig "$@" >"$log" 2>&1 || status=$?
  cd "$RUN/work" || exit 1

  # "test x ... ok 5 ms" up to 15, "ok 1 - x 5 ms" later
  good=$(grep -cE '^(test +[^ ]+ +\.\.\. ok|ok +[0-9]+)' "$log")
  bad=$(grep -cE '^(test +[^ ]+ +\.\.\. (FAILED|failed)|not ok +[0-9]+)' "$log")
  ran=$((good + bad))
  grep -E '^(test |ok |not ok )' "$log"
  if [ "$ran" -lt $# ] || { [ "$status" != 0 ] && [ "$bad" = 0 ]; }; then
    # Something other than a difference
    cat "$log"
    tail -n 30 "$RUN/work/server.log"
    bad=$((bad + ($# > ran ? $# - ran : 1)))
  fi
  # Under valgrind a NOTICE of a wait comes that never came, a timeout ends another
  # statement: what an output says is for "make test" to judge, unless the server ended.
  if [ -n "${HOUSE_VALGRIND:-}" ] && [ "$ran" = $# ] && [ "$bad" -gt 0 ] &&
    ! grep -qE '^\+.*(server closed the connection|connection to server was lost)' "$dir/regression.diffs"; then
    head -c 200000 "$dir/regression.diffs"
    echo "$bad went through with another output, which is not judged here"
    count "$good" 0 "$bad" "$title"
    return
  elif [ -s "$dir/regression.diffs" ]; then
    head -c 200000 "$dir/regression.diffs"
  fi
  count "$good" "$bad" 0 "$title"
}

if [ $((${#sql_tests[@]} + ${#spec_tests[@]})) -gt 0 ]; then
  house_server
fi
if [ "${#sql_tests[@]}" -gt 0 ]; then
  regress regress "$PGXS_TEST/regress/pg_regress" "${sql_tests[@]}"
fi
if [ "${#spec_tests[@]}" -gt 0 ]; then
  # Seconds after which a step that nobody frees is cancelled
  export PGISOLATIONTIMEOUT=${PGISOLATIONTIMEOUT:-90}
  regress isolation "$PGXS_TEST/isolation/pg_isolation_regress" "${spec_tests[@]}"
fi

if [ "${#tap_tests[@]}" -gt 0 ]; then
  echo "== TAP"
  unset PGHOST PGPORT PGUSER PGDATABASE
  mkdir "$RUN/work/tap"
  house_own "$RUN/work/tap"
  export PG_REGRESS=$PGXS_TEST/regress/pg_regress
  export PERL5LIB=$PGXS_TEST/perl:$RUN/tree/test/perl
  export TESTDIR=$RUN/work/tap TESTDATADIR=$RUN/work/tap/tmp_check TESTLOGDIR=$RUN/work/tap/tmp_check/log
  export TAPMIG_TOP=$RUN/tree TAPMIG_BIN=$BINDIR/tapmig
  tap_files=()
  for name in "${tap_tests[@]}"; do
    tap_files+=("$RUN/tree/test/t/$name.pl")
  done
  cd "$TESTDIR" || exit 1
  house_run perl "$RUN/tree/test/lib/tap.pl" counts "${tap_files[@]}"
  cd "$RUN/work" || exit 1
  if read -r good bad left <"$RUN/work/tap/counts"; then
    count "$good" "$bad" "$left" TAP
  else
    count 0 1 0 TAP
  fi
fi

finish
