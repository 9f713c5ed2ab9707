#!/bin/bash
# all.sh [NAME ...]: what "make test-all" does: "make test" on this machine, and
# then on each PostgreSQL that Debian has and this machine does not, in a root
# of its own that debootstrap makes from the mirror of this machine's apt:
# PostgreSQL 15 of bookworm, 17 of trixie, 18 of sid.
#
# NAMEs are tests, as for "make test"; TEST_ON='17 18' takes some versions only.
# A root stays in build/roots/SUITE/root with what the tests installed there, and
# is used again; remove it for one with newer packages. Its own build directory,
# with objects and test-logs, is build/roots/SUITE/build.
#
# In the root the checkout is mounted read-only as /checkout. The mounts and the
# processes are in namespaces of their own, which end with them, so that
# nothing is left mounted whatever ends this script.
#
# Last lines: what became of each version, and the counts of all of them. A
# version that could not be tried is named with the reason and counted as
# skipped. Exit 0 only when nothing failed and something passed.

set -uo pipefail

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
TESTS=$*
ROOTS=$TOP/build/roots
passed=0 failed=0 skipped=0
verdicts=()

# count MAJOR LOG: adds up the counts' line of a run.
count() {
  local line good bad left

  line=$(grep -E '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$2" | tail -n 1)
  if [ -z "$line" ]; then
    line='0 passed, 1 failed, 0 skipped'
    verdicts+=("PostgreSQL $1: FAILED, the run has no end; 1 failed")
  elif [[ $line == *' 0 failed'* ]]; then
    verdicts+=("PostgreSQL $1: $line")
  else
    verdicts+=("PostgreSQL $1: FAILED; $line")
  fi
  read -r good bad left < <(tr -cd '0-9 \n' <<<"$line")
  passed=$((passed + good)) failed=$((failed + bad)) skipped=$((skipped + left))
}

skip() {
  echo "Skipped: PostgreSQL $1: $2"
  verdicts+=("PostgreSQL $1: SKIPPED, $2")
  skipped=$((skipped + 1))
}

wanted() {
  [ -z "${TEST_ON:-}" ] || [[ " $TEST_ON " == *" $1 "* ]]
}

# The mirror of Debian that this machine's apt takes its packages from
mirror() {
  # shellcheck disable=SC2016 # apt's own variables
  apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
    sed -n 's/^Debian Debian //p' | head -n 1
}

# make_root SUITE: the root; or a word on why there is none, and false.
make_root() {
  local dir=$ROOTS/$1 uri reason

  [ ! -d "$dir/root" ] || return 0
  if ! bash "$TOP/test/lib/packages.sh" roots >&2; then
    echo "there is no debootstrap"
    return 1
  fi
  uri=$(mirror)
  if [ -z "$uri" ]; then
    apt-get update -q >/dev/null 2>&1 </dev/null
    uri=$(mirror)
  fi
  if [ -z "$uri" ]; then
    echo "this machine's apt names no mirror of Debian"
    return 1
  fi

  # Renamed when it is whole, so that an interrupted one is not taken for a root.
  rm -rf "$dir/new"
  mkdir -p "$dir/new"
  echo "Making a root of Debian $1 in ${dir#"$TOP"/}/root" >&2
  if ! debootstrap --variant=minbase --include=make,ca-certificates "$1" "$dir/new" "$uri" \
    >"$dir/debootstrap.log" 2>&1 </dev/null; then
    reason=$(grep '^E: ' "$dir/debootstrap.log" | tail -n 1)
    echo "debootstrap of $1 failed: ${reason:-see ${dir#"$TOP"/}/debootstrap.log}"
    rm -rf "$dir/new"
    return 1
  fi
  mv "$dir/new" "$dir/root"
}

# in_root SUITE COMMAND: runs it in the root, in /checkout. The shell inside
# stays, as the process 1 that has to reap the orphans.
in_root() {
  local dir=$ROOTS/$1
  shift

  mkdir -p "$dir/build" "$dir/root/checkout"
  cp -L /etc/resolv.conf /etc/hosts "$dir/root/etc/" 2>/dev/null
  # shellcheck disable=SC2016 # the inner shell's
  unshare --mount --pid --fork --kill-child -- sh -c '
    set -e
    top=$1 dir=$2
    shift 2
    mount -t proc proc "$dir/root/proc"
    mount --rbind /dev "$dir/root/dev"
    mount --rbind /sys "$dir/root/sys"
    mount --bind "$top" "$dir/root/checkout"
    mount -o remount,bind,ro "$dir/root/checkout"
    mount --bind "$dir/build" "$dir/root/checkout/build"
    set +e
    env -u PG_CONFIG -u PG_MAJOR -u TMPDIR -u MAKEFLAGS -u MFLAGS -u MAKELEVEL \
      PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
      chroot "$dir/root" sh -c "cd /checkout && exec \"\$@\"" sh "$@"
    exit $?' sh "$TOP" "$dir" "$@"
}

mkdir -p "$ROOTS"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
here=$(bash "$TOP/test/lib/packages.sh" major)

if wanted "$here"; then
  echo "==== PostgreSQL $here, this machine"
  make -C "$TOP" --no-print-directory test TESTS="$TESTS" </dev/null 2>&1 | tee "$log"
  count "$here" "$log"
fi
for pair in 15:bookworm 17:trixie 18:sid; do
  major=${pair%%:*} suite=${pair#*:}
  if [ "$major" = "$here" ] || ! wanted "$major"; then
    continue
  fi
  echo "==== PostgreSQL $major, in a root of Debian $suite"
  if [ "$(id -u)" != 0 ]; then
    skip "$major" "a root needs root"
  elif ! unshare --mount --pid --fork true 2>/dev/null; then
    skip "$major" "this machine gives no mount namespace"
  elif ! reason=$(make_root "$suite"); then
    skip "$major" "$reason"
  else
    in_root "$suite" make --no-print-directory test TESTS="$TESTS" </dev/null 2>&1 | tee "$log"
    count "$major" "$log"
  fi
done

echo
if [ "${#verdicts[@]}" = 0 ]; then
  echo "TEST_ON='$TEST_ON' names none of the versions 15, 17 and 18."
  failed=1
fi
printf '%s\n' "${verdicts[@]}"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
