# shellcheck shell=bash
# own_server.sh: a PostgreSQL of this machine's major version, built here from
# Debian's source package by the machine's own apt sources. To be sourced.
#
#   own_server NAME WORDS [CONFIGURE ARGUMENT...]
#       in build/NAME/MAJOR, once; sets OWN_PG_CONFIG to its pg_config. WORDS say
#       what is special about it. The directory stays; remove it for a newer one.
#
# The caller has TOP, the checkout.

OWN_PG_CONFIG=

own_server_die() {
  echo "$*" >&2
  echo "0 passed, 1 failed, 0 skipped"
  exit 1
}

# own_server_fetch DIR MAJOR: the unpacked source in DIR/source, without Debian's
# patches: with them the server would take its libraries from the system's
# installation. apt's lists are our own: the machine's may have no source packages.
# The version that the machine has is preferred, then the newest; a mirror need not
# have what its lists name.
own_server_fetch() {
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
own_server_build() {
  local dir=$1
  shift

  unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES
  cd "$dir/source" &&
    ./configure --prefix="$dir/pg" --enable-cassert --enable-debug --enable-tap-tests --with-openssl \
      --with-uuid=e2fs --with-icu --with-libxml --with-libxslt --with-lz4 --with-zstd \
      --without-readline CFLAGS='-O1 -g' "$@" &&
    make -s -j"$(nproc)" && make -s -C contrib -j"$(nproc)" &&
    make -s install DESTDIR="$dir/new" && make -s -C contrib install DESTDIR="$dir/new" &&
    cp src/tools/valgrind.supp "$dir/new/"
}

own_server() {
  local major dir name=$1 words=$2
  shift 2

  bash "$TOP/test/lib/packages.sh" "$name" || exit 1
  major=$(bash "$TOP/test/lib/packages.sh" major)
  dir=$TOP/build/$name/$major
  mkdir -p "$dir"
  OWN_PG_CONFIG=$dir/pg/bin/pg_config

  # Two at once take turns.
  exec 8>"$dir/lock"
  flock 8
  if [ -x "$OWN_PG_CONFIG" ]; then
    exec 8>&-
    return 0
  fi
  echo "== PostgreSQL $major with $words, built once in ${dir#"$TOP"/}"
  (own_server_fetch "$dir" "$major") >"$dir/fetch.log" 2>&1 </dev/null ||
    own_server_die "apt gets no source of postgresql-$major: $(grep '^E: ' "$dir/fetch.log" | tail -n 1)"
  rm -rf "$dir/new"
  (own_server_build "$dir" "$@") >"$dir/build.log" 2>&1 </dev/null ||
    own_server_die "$(tail -n 20 "$dir/build.log")"
  # Whole, or not there
  mv "$dir/new/valgrind.supp" "$dir/valgrind.supp"
  mv "$dir/new$dir/pg" "$dir/pg"
  rm -rf "$dir/new" "$dir/source"
  exec 8>&-
}
