#!/bin/bash
# assert.sh [NAME ...]: what "make test-assert" does: "make test" on a PostgreSQL
# of its own with assertions (--enable-cassert), which fails where the
# extension breaks one of the server's rules without a visible effect.
#
# The server is built from Debian's source package of the major version that
# this machine has, by the machine's own apt sources, in build/assert/MAJOR,
# which stays; remove it for a newer one.

set -uo pipefail

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)

die() {
  echo "$*" >&2
  echo "0 passed, 1 failed, 0 skipped"
  exit 1
}

# fetch DIR MAJOR: the unpacked source in DIR/source. apt's lists are our own: the
# machine's may have no source packages.
fetch() {
  local file parts=$1/parts options

  mkdir -p "$parts" "$1/state/lists/partial" "$1/cache/archives/partial"
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*; do
    [ ! -r "$file" ] || sed 's/^Types: *deb *$/Types: deb-src/; s/^deb /deb-src /' "$file" >"$parts/${file##*/}"
  done
  options=(-q -o "Dir::State=$1/state" -o Dir::State::status=/var/lib/dpkg/status -o "Dir::Cache=$1/cache"
    -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$parts" -o APT::Sandbox::User=root)
  rm -rf "$1"/postgresql-* "$1/source"
  apt-get "${options[@]}" update &&
    (cd "$1" && apt-get "${options[@]}" source "postgresql-$2") &&
    mv "$1"/postgresql-*/ "$1/source"
}

build() {
  cd "$1/source" &&
    ./configure --prefix="$1/pg" --enable-cassert --enable-debug --enable-tap-tests \
      --with-openssl --with-uuid=e2fs --without-icu --without-readline CFLAGS='-O1 -g' &&
    make -j"$(nproc)" && make -C contrib -j"$(nproc)" &&
    make install DESTDIR="$1/new" && make -C contrib install DESTDIR="$1/new"
}

bash "$TOP/test/lib/packages.sh" assert || exit 1
major=$(bash "$TOP/test/lib/packages.sh" major)
dir=$TOP/build/assert/$major
mkdir -p "$dir"

if [ ! -x "$dir/pg/bin/pg_config" ]; then
  echo "== PostgreSQL $major with assertions, built once in ${dir#"$TOP"/}"
  fetch "$dir" "$major" >"$dir/fetch.log" 2>&1 </dev/null ||
    die "apt gets no source of postgresql-$major: $(grep '^E: ' "$dir/fetch.log" | tail -n 1)"
  rm -rf "$dir/new"
  (build "$dir") >"$dir/build.log" 2>&1 </dev/null || die "$(tail -n 20 "$dir/build.log")"
  # Whole, or not there
  mv "$dir/new$dir/pg" "$dir/pg"
  rm -rf "$dir/new" "$dir/source"
fi

PG_CONFIG=$dir/pg/bin/pg_config exec bash "$TOP/test/lib/run.sh" "$@"
