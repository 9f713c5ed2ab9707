#!/bin/bash
# memory.sh [MEGABYTES]: how much memory does a large script take?
#
# On a throw-away server, scripts of MEGABYTES (100): many INSERTs, COPY with its
# data, and one INSERT of one literal. For each the peak of the session's own
# memory (without the shared buffers that it touched) when it is sent to length(),
# and to tapmig.apply(), as psql sends it; and what the second takes more than the
# first, in sizes of the script.

set -uo pipefail

# shellcheck source-path=SCRIPTDIR source=bench.sh
. "$(dirname "${BASH_SOURCE[0]}")/bench.sh"

megabytes=${1:-100} n=0

# peak CALL SCRIPT: kB of a session that sends the script to CALL
peak() {
  {
    printf '%s\n' 'SELECT pg_backend_pid() AS pid \gset' '\o /dev/null'
    printf '%s' "$1\$script\$"
    cat "$2"
    # shellcheck disable=SC2016 # a dollar quote; the shell that psql starts
    printf '%s\n' '$script$);' '\o' '\setenv BACKEND :pid' \
      '\! awk "/^VmHWM/ { n += \$2 } /^RssShmem|^RssFile/ { n -= \$2 } END { print n }" /proc/$BACKEND/status'
  } >"$RUN/work/call.sql"
  house_own "$RUN/work/call.sql"
  house_run psql -X -q -A -t -v ON_ERROR_STOP=1 -f "$RUN/work/call.sql" || exit 1
}

bench_begin
bench_database memory
house_run psql -X -q -c 'CREATE TABLE big (t text)' || exit 1
megabytes=$megabytes perl -e '
  my $rows = 1000 * $ENV{megabytes};
  sub row { join "", map { chr 97 + rand 26 } 1 .. 980 }
  open my $inserts, ">", "inserts.sql" or die $!;
  open my $copy, ">", "copy.sql" or die $!;
  print $copy "COPY big FROM stdin;\n";
  for (1 .. $rows) {
    my $row = row();
    print $inserts "INSERT INTO big VALUES (\x27$row\x27);\n";
    print $copy "$row\n";
  }
  print $copy "\\.\n";
  open my $literal, ">", "literal.sql" or die $!;
  print $literal "INSERT INTO big VALUES (\x27", (map { row() } 1 .. $rows), "\x27);\n";'

printf '%-10s %10s %12s %12s %8s\n' script 'MB' 'length, MB' 'apply, MB' 'times'
for script in inserts copy literal; do
  size=$(($(wc -c <"$RUN/work/$script.sql") / 1000))
  length=$(peak 'SELECT length(' "$RUN/work/$script.sql")
  n=$((n + 1))
  apply=$(peak "SELECT tapmig.apply('$n', " "$RUN/work/$script.sql")
  printf '%-10s %10s %12s %12s %8s\n' "$script" $((size / 1000)) $((length * 1024 / 1000000)) \
    $((apply * 1024 / 1000000)) "$(bench_divide $(((apply - length) * 1024 / 1000)) "$size")"
done
