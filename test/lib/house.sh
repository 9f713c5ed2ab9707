# shellcheck shell=bash
# house.sh: a private copy of PostgreSQL with the extension in it, and a
# throw-away server. To be sourced by a bash script that then calls
#
#   house_begin WHAT      packages for WHAT (demo, test), a run directory, traps
#   house_build           compiles; a warning is an error
#   house_install         the private copy, with the extension
#   house_valgrind FILE   from here on each server runs under valgrind, with the
#                         suppressions of FILE; its messages are in $RUN/work/valgrind
#   house_server          initdb and start; sets PGHOST, PGPORT, PGUSER, PGDATABASE
#   house_run COMMAND     as the server's user, killable, without a terminal
#   house_foreground COMMAND   the same, with the terminal
#
# The system's installation and clusters are only read. PostgreSQL refuses to
# run as root, so that root's servers run as "nobody" (TAPMIG_RUN_AS: another).
# That user may not be able to reach the checkout: all that it reads is copied
# to the run directory. That of tests is in memory, below /dev/shm, where there is
# enough of it; any other is under build/ where the user can reach it, else in /tmp.
# PG_TEST_BASE=DIRECTORY: tests run there. Whatever ends the script, its servers
# are stopped and the directory is removed.
#
# Sets: TOP the checkout; RUN the run directory, with pg (the private copy), tree
# (a copy of the checkout), home; SOCKETS a short path for unix sockets;
# BINDIR the private copy's programs; PGXS_TEST PostgreSQL's test programs.

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
RUN=
SOCKETS=
BINDIR=
# shellcheck disable=SC2034 # read by run.sh
PGXS_TEST=
HOUSE_CHILD=
HOUSE_OBJECTS=
HOUSE_AS=()

house_die() {
  echo "$*" >&2
  exit 1
}

house_begin() {
  # Neither the caller's make nor its database is meant for what runs in here.
  local name
  unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES DATABASE_URL CDPATH
  for name in "${!PG@}" "${!TAPMIG_@}"; do
    case $name in
      PG_CONFIG | PG_MAJOR | PG_TEST_* | PGISOLATIONTIMEOUT | PGXS_TEST) ;;
      *) unset "$name" ;;
    esac
  done
  export LC_ALL=C.UTF-8 LANG=C.UTF-8
  umask 022

  case $TOP in
    *[[:space:]]*) house_die "PostgreSQL's make files do not bear white space in a path: $TOP" ;;
  esac
  bash "$TOP/test/lib/packages.sh" "$1" || exit 1
  house_pg_config

  trap house_end EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP

  local as=$HOUSE_RUN_AS
  if [ "$(id -u)" = 0 ]; then
    HOUSE_AS=(setpriv "--reuid=$(id -u "$as")" "--regid=$(id -g "$as")" --clear-groups --)
  fi

  mkdir -p "$TOP/build"
  local base
  base=$(house_base "$1")
  SOCKETS=$(mktemp -d "${base:-/tmp}/tapmig.XXXXXX") || exit 1
  chmod 755 "$SOCKETS"
  if [ -z "$base" ]; then
    RUN=$(mktemp -d "$TOP/build/run.XXXXXX")
    chmod 755 "$RUN"
  fi
  if [ -n "$base" ] || ! "${HOUSE_AS[@]}" test -r "$RUN/."; then
    [ -n "$base" ] || rmdir "$RUN"
    RUN=$SOCKETS/run
    mkdir "$RUN"
  fi
  mkdir "$RUN/home" "$RUN/tree" "$RUN/work" "$SOCKETS/tmp"
  tar -C "$TOP" --exclude=./build --exclude=./.git --exclude='*.o' --exclude='*.so' \
    --exclude='./tapmig--*.sql' -cf - . | tar -C "$RUN/tree" --no-same-owner -xf -
  chmod -R a+rX "$RUN/tree"
  house_own "$RUN/home" "$RUN/work" "$SOCKETS" "$SOCKETS/tmp"
  cd "$RUN/work" || exit 1
}

# house_base WHAT: where the run directory goes, nothing for build/. The tests make
# and remove some hundred data directories, of 1,000 files each, and take
# 2 GB; where speed is measured the disk is a part of it.
house_base() {
  local kb=8000000

  if [ -n "${PG_TEST_BASE:-}" ]; then
    echo "$PG_TEST_BASE"
  elif [ "$1" = test ] && [ -w /dev/shm ] &&
    awk '$2 == "/dev/shm" && $3 == "tmpfs" && $4 !~ /noexec/ { is = 1 } END { exit !is }' /proc/mounts &&
    [ "$(df -Pk /dev/shm | awk 'END { print $4 }')" -gt "$kb" ] &&
    [ "$(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo)" -gt "$kb" ]; then
    echo /dev/shm
  fi
}

house_own() {
  [ "${#HOUSE_AS[@]}" = 0 ] || chown -R "$HOUSE_RUN_AS" "$@"
}

house_pg_config() {
  local major pgxs

  if [ -z "${HOUSE_PG_CONFIG:-}" ]; then
    major=$(bash "$TOP/test/lib/packages.sh" major)
    HOUSE_PG_CONFIG=/usr/lib/postgresql/$major/bin/pg_config
    [ -x "$HOUSE_PG_CONFIG" ] || HOUSE_PG_CONFIG=pg_config
  fi
  command -v "$HOUSE_PG_CONFIG" >/dev/null || house_die "there is no $HOUSE_PG_CONFIG"
  pgxs=$("$HOUSE_PG_CONFIG" --pgxs)
  [ -r "$pgxs" ] || house_die "PostgreSQL's build files are missing: $pgxs"
  # shellcheck disable=SC2034
  PGXS_TEST=${pgxs%/makefiles/pgxs.mk}/test
}

# Root's servers run as nobody, who owns nothing; the tests' databases are then
# owned by that name.
HOUSE_RUN_AS=${TAPMIG_RUN_AS:-nobody}
HOUSE_PG_CONFIG=${PG_CONFIG:-}

# Compiles the copy of the tree, which has no objects of another "make", into a
# directory under build/ that is kept, one for each PostgreSQL: the next time only
# what changed is compiled. Two runs at once take turns.
house_build() {
  local log=$RUN/build.log

  HOUSE_OBJECTS=$TOP/build/objects-$("$HOUSE_PG_CONFIG" --version | cut -d ' ' -f 2)-$("$HOUSE_PG_CONFIG" | cksum | cut -d ' ' -f 1)

  exec 9>"$TOP/build/lock"
  flock 9
  mkdir -p "$HOUSE_OBJECTS/src"
  # Not newer than a source file that is gone
  rm -f "$HOUSE_OBJECTS/tapmig.so"
  if ! house_make -j"$(nproc)" all >"$log" 2>&1; then
    cat "$log" >&2
    return 1
  fi
  if grep -i 'warning:' "$log" >&2; then
    return 1
  fi
}

# A PostgreSQL that was built in its source tree sets no VPATH by itself.
house_make() {
  make -C "$HOUSE_OBJECTS" -f "$RUN/tree/Makefile" VPATH="$RUN/tree" \
    PG_CONFIG="$HOUSE_PG_CONFIG" WERROR=-Werror "$@" 9>&-
}

# An installation finds its share and lib directories from where its programs
# are, so that a copy under another prefix works.
house_install() {
  local dir

  for dir in --bindir --pkglibdir --sharedir; do
    dir=$("$HOUSE_PG_CONFIG" "$dir")
    [ -d "$RUN/pg$dir" ] && continue
    mkdir -p "$RUN/pg$dir"
    cp -R --preserve=mode,timestamps,links "$dir/." "$RUN/pg$dir/"
  done
  BINDIR=$RUN/pg$("$HOUSE_PG_CONFIG" --bindir)
  house_make install DESTDIR="$RUN/pg" >"$RUN/install.log" 2>&1 || {
    cat "$RUN/install.log" >&2
    return 1
  }
  flock -u 9
  export PATH=$BINDIR:$PATH
}

# In place of the private copy's postgres, so that the servers of TAP tests run
# under valgrind as well; what initdb does with it does not.
house_valgrind() {
  mkdir "$RUN/work/valgrind"
  cp "$1" "$RUN/valgrind.supp"
  chmod a+r "$RUN/valgrind.supp"
  house_own "$RUN/work/valgrind"
  mv "$BINDIR/postgres" "$BINDIR/postgres.real"
  cat >"$BINDIR/postgres" <<END
#!/bin/sh
case "\$*" in
  *--boot* | *--single* | *--describe-config* | -V | --version | *' -C '* | '-C '*) exec "$BINDIR/postgres.real" "\$@" ;;
esac
exec valgrind --quiet --leak-check=no --num-callers=40 --trace-children=yes --trace-children-skip='*/sh,*/bash' \\
  --error-markers=VALGRINDBEGIN,VALGRINDEND --fullpath-after= --suppressions="$RUN/valgrind.supp" \\
  --log-file="$RUN/work/valgrind/%p.log" "$BINDIR/postgres.real" "\$@"
END
  chmod 755 "$BINDIR/postgres"
}

house_server() {
  export PGHOST=$SOCKETS PGPORT=5432 PGUSER=postgres PGDATABASE=postgres

  house_run initdb -D "$RUN/work/data" -U postgres -A trust --no-sync \
    --encoding=UTF8 --locale=C >"$RUN/initdb.log" 2>&1 ||
    house_die "$(cat "$RUN/initdb.log")"
  cat >>"$RUN/work/data/postgresql.conf" <<END
listen_addresses = ''
unix_socket_directories = '$SOCKETS'
fsync = off
max_connections = 100
max_prepared_transactions = 10
END
  # There is no hurry under valgrind.
  [ ! -d "$RUN/work/valgrind" ] ||
    printf '%s\n' "tapmig.rehearse_limit = '10min'" >>"$RUN/work/data/postgresql.conf"
  house_run pg_ctl -D "$RUN/work/data" -l "$RUN/work/server.log" -w start >"$RUN/start.log" 2>&1 ||
    house_die "$(cat "$RUN/start.log" "$RUN/work/server.log")"
}

# In the background, so that a signal is obeyed at once; in a session of its
# own, so that the whole of it can be ended; with the default signals again,
# which a shell's background commands do not have.
house_run() {
  local status=0

  setsid env --default-signal=INT,QUIT HOME="$RUN/home" TMPDIR="$SOCKETS/tmp" \
    "${HOUSE_AS[@]}" "$@" </dev/null 9>&- &
  HOUSE_CHILD=$!
  wait "$HOUSE_CHILD" || status=$?
  # What it left behind; servers have a session of their own.
  kill -TERM -- "-$HOUSE_CHILD" 2>/dev/null
  HOUSE_CHILD=
  return "$status"
}

house_foreground() {
  HOME=$RUN/home TMPDIR=$SOCKETS/tmp "${HOUSE_AS[@]}" "$@" 9>&-
}

house_end() {
  local pidfile pid pids=()

  trap '' INT TERM HUP
  if [ -n "$HOUSE_CHILD" ]; then
    kill -TERM -- "-$HOUSE_CHILD" 2>/dev/null
  fi
  if [ -n "$RUN" ]; then
    # Servers of ours, the tests' too: they have left their caller's session.
    while IFS= read -r pidfile; do
      pid=$(head -n 1 "$pidfile" 2>/dev/null)
      case $pid in
        '' | *[!0-9]*) ;;
        *)
          # A server works in its data directory: a stale file may name a stranger.
          if [ "$(readlink "/proc/$pid/cwd")" = "$(dirname "$pidfile")" ]; then
            kill -QUIT "$pid" 2>/dev/null && pids+=("$pid")
          fi
          ;;
      esac
    done < <(find "$RUN" "$SOCKETS" -name postmaster.pid 2>/dev/null)
    for _ in $(seq 100); do
      for pid in "${pids[@]}"; do
        kill -0 "$pid" 2>/dev/null && sleep 0.1 && continue 2
      done
      break
    done
    rm -rf "$RUN"
  fi
  [ -z "$SOCKETS" ] || rm -rf "$SOCKETS"
}
