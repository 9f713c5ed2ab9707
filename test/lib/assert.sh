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
# machine's may have no source packages. The version that the machine has is
# preferred, then the newest; a mirror need not have what its lists name.
fetch() {
  local file parts=$1/parts options version versions

  rm -rf "$parts" "$1/source"
  mkdir -p "$parts" "$1/source" "$1/state/lists/partial" "$1/cache/archives/partial"
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
    [ ! -r "$file" ] || sed 's/^Types: *deb *$/Types: deb-src/; s/^deb /deb-src /' "$file" >"$parts/${file##*/}"
  done
  options=(-q -o "Dir::State=$1/state" -o Dir::State::status=/var/lib/dpkg/status -o "Dir::Cache=$1/cache"
    -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$parts" -o APT::Sandbox::User=root)
  cd "$1" || return 1
  # One source that cannot be had need not be the one that has it.
  apt-get "${options[@]}" update
  mapfile -t versions < <({
    dpkg-query -W -f='${source:Version}\n' "postgresql-$2"
    apt-cache "${options[@]}" showsrc "postgresql-$2" | sed -n 's/^Version: //p' | sort -rV
  } 2>/dev/null)
  for version in "${versions[@]}"; do
    rm -f postgresql-*
    if apt-get "${options[@]}" source --download-only "postgresql-$2=$version"; then
      tar -xf postgresql-*.orig.tar.* -C source --strip-components=1 && return
    fi
  done
  [ "${#versions[@]}" -gt 0 ] || echo "E: not among the sources"
  return 1
}

# With what the tests use of the server, the contrib modules' libraries too.
# PostgreSQL makes its headers only in a make that no other make has called.
build() {
  unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES
  cd "$1/source" &&
    ./configure --prefix="$1/pg" --enable-cassert --enable-debug --enable-tap-tests --with-openssl \
      --with-uuid=e2fs --with-icu --with-libxml --with-libxslt --with-lz4 --with-zstd \
      --without-readline CFLAGS='-O1 -g' &&
    make -s -j"$(nproc)" && make -s -C contrib -j"$(nproc)" &&
    make -s install DESTDIR="$1/new" && make -s -C contrib install DESTDIR="$1/new"
}

bash "$TOP/test/lib/packages.sh" assert || exit 1
major=$(bash "$TOP/test/lib/packages.sh" major)
dir=$TOP/build/assert/$major
mkdir -p "$dir"

# Two at once take turns.
exec 8>"$dir/lock"
flock 8
if [ ! -x "$dir/pg/bin/pg_config" ]; then
  echo "== PostgreSQL $major with assertions, built once in ${dir#"$TOP"/}"
  (fetch "$dir" "$major") >"$dir/fetch.log" 2>&1 </dev/null ||
    die "apt gets no source of postgresql-$major: $(grep '^E: ' "$dir/fetch.log" | tail -n 1)"
  rm -rf "$dir/new"
  (build "$dir") >"$dir/build.log" 2>&1 </dev/null || die "$(tail -n 20 "$dir/build.log")"
  # Whole, or not there
  mv "$dir/new$dir/pg" "$dir/pg"
  rm -rf "$dir/new" "$dir/source"
fi
exec 8>&-

PG_CONFIG=$dir/pg/bin/pg_config exec bash "$TOP/test/lib/run.sh" "$@"
