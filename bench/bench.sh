# shellcheck shell=bash
# bench.sh: what the measurements share; to be sourced. Over test/lib/house.sh.
#
#   bench_begin               builds, starts a throw-away server
#   bench_database NAME       a new database with tapmig, from now on PGDATABASE
#   bench_files N DIR         N migrations of one statement each
#   bench_calls FORMAT A B    a line for each of them: version and script, as literals
#   bench_time COMMAND        sets bench_ms and bench_out (its standard output)
#   bench_divide A B          A / B, two digits
#   bench_median              of the numbers on standard input

# shellcheck source-path=SCRIPTDIR source=../test/lib/house.sh
. "$(dirname "${BASH_SOURCE[0]}")/../test/lib/house.sh"

# Statement number N: as little work as a statement can be, so that what is
# measured is what stands around it.
bench_format='SELECT %d;\n'

bench_begin() {
  house_begin demo
  house_build || exit 1
  house_install || exit 1
  house_server
  export PSQLRC=/dev/null
  cd "$RUN/work" || exit 1
  printf 'PostgreSQL %s, %s processors%s\n\n' \
    "$(house_run psql -X -A -t -c 'SHOW server_version')" "$(nproc)" "${bench_note-, fsync off}"
}

bench_database() {
  PGDATABASE=postgres house_run psql -X -q -c "CREATE DATABASE $1" || exit 1
  export PGDATABASE=$1
  house_run psql -X -q -c 'CREATE EXTENSION tapmig' || exit 1
}

bench_files() {
  mkdir "$2"
  n=$1 dir=$2 format=$bench_format perl -e '
    for my $i (1 .. $ENV{n}) {
      open my $f, ">", sprintf("%s/%05d_bench.sql", $ENV{dir}, $i) or die $!;
      printf $f $ENV{format} =~ s/\\n/\n/r, $i;
    }'
  house_own "$2"
}

bench_calls() {
  call=$1 from=$2 to=$3 format=$bench_format perl -e '
    for my $i ($ENV{from} .. $ENV{to}) {
      my $script = sprintf $ENV{format} =~ s/\\n/\n/r, $i;
      printf "$ENV{call}\n", sprintf("\x27%05d_bench\x27", $i), "\x27$script\x27";
    }'
}

# shellcheck disable=SC2034 # for the caller
bench_time() {
  local from

  from=$(date +%s%N)
  house_run "$@" >"$RUN/time.out" || house_die "$1 failed: $(tail -n 5 "$RUN/time.out")"
  bench_ms=$((($(date +%s%N) - from) / 1000000))
  bench_out=$(<"$RUN/time.out")
}

bench_divide() {
  awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f\n", a / b }'
}

bench_median() {
  sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}
