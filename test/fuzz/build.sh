#!/bin/bash
# build.sh TREE PG_CONFIG DIR: builds DIR/tapmig_fuzz.so, tapmig with libFuzzer in
# it, out of the checkout TREE for the PostgreSQL of PG_CONFIG. Needs clang with
# its runtime library; CLANG=name takes that one.

set -euo pipefail

tree=$1 pg_config=$2 dir=$3

# The server's own clang comes with its development files.
runtime=
for clang in ${CLANG:-$("$pg_config" --configure | sed -n "s/.*'CLANG=\([^']*\)'.*/\1/p") clang}; do
  runtime=$("$clang" --print-file-name="libclang_rt.fuzzer_no_main-$(uname -m).a" 2>/dev/null) || continue
  [ ! -f "$runtime" ] || break
  # From LLVM 19 on the machine is in the directory's name.
  runtime=$("$clang" --print-file-name=libclang_rt.fuzzer_no_main.a)
  [ ! -f "$runtime" ] || break
  runtime=
done
if [ -z "$runtime" ]; then
  echo "there is no clang with libFuzzer here (Debian: clang and libclang-rt-dev)" >&2
  exit 1
fi

mkdir -p "$dir"
cd "$dir"
rm -f tapmig_fuzz.so psql_scan.o
flags=(-std=gnu11 -O1 -g -fPIC -fno-strict-aliasing -fwrapv -fno-omit-frame-pointer
  -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers -Wno-ignored-attributes
  -D_GNU_SOURCE '-DTAPMIG_VERSION="fuzz"' "-I$tree/src" "-I$tree/test/fuzz"
  -isystem "$("$pg_config" --includedir-server)" "-I$("$pg_config" --includedir)/internal"
  "-I$("$pg_config" --pkgincludedir)/internal")

headers=$(find "$tree/src" "$tree/test/fuzz" \( -name '*.h' -o -name build.sh \) -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d ' ' -f 2-)
objects=()
for file in "$tree"/src/*.c "$tree"/test/fuzz/*.c; do
  name=$(basename "$file" .c)
  objects+=("$name.o")
  if [ "$name.o" -nt "$file" ] && [ "$name.o" -nt "$headers" ]; then
    continue
  fi
  # libFuzzer follows the branches of what reads scripts.
  case $name in
    script* | shape | version | lint*)
      watched=('-fsanitize=fuzzer-no-link,undefined' '-fno-sanitize=alignment,function,vptr' -fsanitize-trap=undefined)
      ;;
    *) watched=() ;;
  esac
  "$clang" "${flags[@]}" "${watched[@]}" -c -o "$name.o" "$file" &
  while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do
    wait -n
  done
done
while [ -n "$(jobs -p)" ]; do
  wait -n
done

# psql's splitter is made for programs: see fuzz_psql.c.
for library in "$("$pg_config" --libdir)" "$("$pg_config" --pkglibdir)"; do
  [ ! -f "$library/libpgfeutils.a" ] || ar x "$library/libpgfeutils.a" psqlscan.o
done
objcopy --redefine-sym stdin=fuzz_stdin --redefine-sym stdout=fuzz_stdout --redefine-sym stderr=fuzz_stderr \
  --redefine-sym pg_valid_server_encoding_id=fuzz_valid_server_encoding_id \
  psqlscan.o psql_scan.o
rm psqlscan.o
"$clang" -shared -o tapmig_fuzz.so "${objects[@]}" psql_scan.o "$runtime" "-Wl,--version-script=$tree/src/exports.map" \
  -lstdc++ -lm -lpthread -ldl
