#!/bin/bash
# packages.sh demo|test|fuzz|assert|valgrind|roots
#
# Sees to the Debian packages that a demo or a test run needs, or the build of a
# server with assertions, or roots of other Debians. Installs what is missing
# when started by root or where sudo asks for no password; else prints the line
# to run and fails. What is installed already is not touched. No
# service is started and no database cluster is created by it.
#
# An entry "package=command" is content with the command, wherever it is from.

set -euo pipefail

packages_demo() {
  local pg=$1

  printf '%s\n' make=make gcc=gcc libc6-dev perl \
    "postgresql-$pg" "postgresql-client-$pg" "postgresql-server-dev-$pg"
}

packages_test() {
  packages_demo "$1"
  printf '%s\n' binutils=nm shellcheck=shellcheck libipc-run-perl libdbd-pg-perl \
    python3=python3 python3-psycopg2 nodejs=node npm=npm pgbouncer git=git \
    chromium=chromium fonts-dejavu-core \
    busybox=busybox python3-pytest python3-pytest-xdist python3-yaml python3-jsonschema build-essential debhelper \
    postgresql-server-dev-all clang=clang libclang-rt-dev
}

packages_fuzz() {
  packages_test "$1"
}

packages_assert() {
  packages_test "$1"
  printf '%s\n' bison=bison flex=flex pkg-config=pkg-config libssl-dev uuid-dev zlib1g-dev \
    libicu-dev libxml2-dev libxslt1-dev liblz4-dev libzstd-dev
}

packages_valgrind() {
  packages_assert "$1"
  echo valgrind=valgrind
}

packages_roots() {
  echo debootstrap=debootstrap
}

# The PostgreSQL that this Debian brings.
packages_pg_major() {
  local VERSION_CODENAME=

  # shellcheck disable=SC1091
  [ ! -r /etc/os-release ] || . /etc/os-release
  case ${PG_MAJOR:-$VERSION_CODENAME} in
    trixie) echo 17 ;;
    forky | sid) echo 18 ;;
    [0-9]*) echo "$PG_MAJOR" ;;
    *) echo 15 ;;
  esac
}

packages_installed() {
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

packages_missing() {
  local entry

  for entry; do
    case $entry in
      *=*) command -v "${entry#*=}" >/dev/null && continue ;;
    esac
    packages_installed "${entry%%=*}" || printf '%s\n' "${entry%%=*}"
  done
}

# As root. The two files of ours are there only while apt-get runs: without them
# Debian would create and start a cluster on port 5432, and start pgbouncer.
packages_install() {
  local conf=/etc/postgresql-common/createcluster.d policy=/usr/sbin/policy-rc.d
  local bouncer='' status=0 path

  made=()                       # read by the trap, after this function's end

  for path in /etc/postgresql-common "$conf"; do
    if [ ! -d "$path" ]; then
      mkdir "$path"
      made=("$path" "${made[@]}")
    fi
  done
  if [ ! -e "$conf/tapmig-build.conf" ]; then
    echo 'create_main_cluster = false' >"$conf/tapmig-build.conf"
    made=("$conf/tapmig-build.conf" "${made[@]}")
  fi
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    made=("$policy" "${made[@]}")
  fi
  # Whatever ends this, the machine is left as it should be.
  trap 'packages_tidy "${made[@]}"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP

  packages_installed pgbouncer || bouncer=1
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q </dev/null || echo "apt-get update failed; trying with the lists that are there" >&2
  apt-get install -q -y --no-install-recommends "$@" </dev/null || status=$?
  # Not at the next boot either, when it was not there before.
  if [ -n "$bouncer" ] && [ -d /run/systemd/system ] && packages_installed pgbouncer; then
    systemctl disable --now pgbouncer >/dev/null 2>&1 || true
  fi
  return "$status"
}

packages_tidy() {
  local path

  for path; do
    if [ -d "$path" ]; then
      rmdir "$path" 2>/dev/null || true
    else
      rm -f "$path"
    fi
  done
}

packages_ensure() {
  local missing

  if ! command -v dpkg-query >/dev/null; then
    echo "This is not Debian: make, gcc, PostgreSQL with its development files and what the tests use must be there already." >&2
    return 0
  fi
  mapfile -t missing < <(packages_missing "$@")
  [ "${#missing[@]}" -gt 0 ] || return 0

  if [ "$(id -u)" = 0 ]; then
    echo "Installing ${missing[*]}"
    (packages_install "${missing[@]}") >&2
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    echo "Installing ${missing[*]}"
    sudo -n bash "${BASH_SOURCE[0]}" install "${missing[@]}" >&2
  else
    cat >&2 <<END
These Debian packages are missing, and this user may not install them. Run

  sudo apt-get update && sudo apt-get install -y --no-install-recommends ${missing[*]}

and then the same command again. (Debian creates and starts a database cluster
with postgresql unless one is there: see create_main_cluster in pg_createcluster(1).)
END
    return 1
  fi
}

case ${1:-} in
  demo | test | fuzz | assert | valgrind | roots)
    # With a PostgreSQL of one's own (PG_CONFIG) none of Debian's is asked for.
    mapfile -t wanted < <("packages_$1" "$(packages_pg_major)" |
      if [ -n "${PG_CONFIG:-}" ]; then grep -v '^postgresql-'; else cat; fi)
    packages_ensure "${wanted[@]}"
    ;;
  major) packages_pg_major ;;
  install)
    shift
    packages_install "$@"
    ;;
  *)
    echo "usage: packages.sh demo|test|fuzz|assert|valgrind|roots|major" >&2
    exit 2
    ;;
esac
