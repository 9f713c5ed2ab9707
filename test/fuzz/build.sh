#!/bin/bash
# build.sh TREE PG_CONFIG DIR: builds DIR/tapmig_fuzz.so, tapmig with libFuzzer in
# it, out of the checkout TREE for the PostgreSQL of PG_CONFIG. Needs clang and
# its runtime; CLANG=name takes another one.

set -euo pipefail

tree=$1 pg_config=$2 dir=$3
flags=()

# The server's own clang comes with its development files.
clang=${CLANG:-$("$pg_config" --configure | sed -n "s/.*'CLANG=\([^']*\)'.*/\1/p")}
for clang in $clang clang; do
  ! runtime=$("$clang" --print-file-name="libclang_rt.fuzzer_no_main-$(uname -m).a" 2>/dev/null) ||
    [ ! -f "$runtime" ] || break
  runtime=
done
if [ -z "$runtime" ]; then
  echo "there is no clang with libFuzzer here (Debian: clang and libclang-rt-dev)" >&2
  exit 1
fi

mkdir -p "$dir"
cd "$dir"
flags=(-c -std=gnu11 -O1 -g -fPIC -fno-strict-aliasing -fwrapv -fno-omit-frame-pointer
  -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers -Wno-ignored-attributes
  -D_GNU_SOURCE "-DTAPMIG_VERSION=\"fuzz\"" -I"$tree/src" -I"$tree/test/fuzz"
  -isystem "$("$pg_config" --includedir-server)" -I"$("$pg_config" --includedir)/internal" -I"$("$pg_config" --pkgincludedir)/internal")
watched=(-fsanitize=fuzzer-no-link,undefined -fno-sanitize=alignment,function,vptr -fsanitize-trap=undefined)

# One compiler a processor
{
  printf "%s\n" "$tree"/src/*.c | sed -E "s,^.*/(script|shape|version|lint)[^/]*$,watched &,; t; s/^/plain /"
  printf '%s\n' "$tree"/test/fuzz/*.c | sed 's/^/plain /'
} | xargs -P "$(nproc)" -L 1 bash -c '
  clang=$1 n=$2
  shift 2
  args=("${@:1:$n}") rest=("${@:$n+1}")
  file=${rest[-1]} kind=${rest[-2]}
  [ "$kind" = watched ] && args+=("${rest[@]::${#rest[@]}-2}")
  exec "$clang" "${args[@]}" -o "$(basename "$file" .c).o" "$file"' sh "$clang" "${#flags[@]}" "${flags[@]}" "${watched[@]}"

# psql'"'"'s splitter is made for programs: see fuzz_psql.c.
ar x "$("$pg_config" --libdir)/libpgfeutils.a" psqlscan.o 2>/dev/null ||
  ar x "$("$pg_config" --pkglibdir)/libpgfeutils.a" psqlscan.o 2>/dev/null ||
  ar x "$(dirname "$("$pg_config" --pgxs)")/../../libpgfeutils.a" psqlscan.o
objcopy --redefine-sym stdin=fuzz_stdin --redefine-sym stdout=fuzz_stdout --redefine-sym stderr=fuzz_stderr \
  psqlscan.o psql_scan.o
rm psqlscan.o
"$clang" -shared -o tapmig_fuzz.so ./*.o "$runtime" -Wl,--version-script="$tree/src/exports.map" \
  -Wl,--no-undefined-version -lstdc++ -lm -lpthread -ldl 2>link.log || { cat link.log >&2; exit 1; }
