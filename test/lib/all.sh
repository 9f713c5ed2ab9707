#!/bin/bash
# all.sh [NAME ...]: what "make test-all" does: "make test" on this machine, and
# then on each PostgreSQL that Debian has and this machine does not, in a root
# of its own that debootstrap makes from the mirror of this machine's apt:
# PostgreSQL 15 of bookworm, 17 of trixie, 18 of sid.
#
# NAMEs are tests, as for "make test"; TEST_ON='17 18' takes some versions only.
# TEST_MINUTES=N bounds the time: this machine's own version is tested whole, the
# others share what is left of N minutes. What is not begun by then is skipped.
#
# A root stays, with what the tests installed there, and is used again; remove it
# for one with newer packages. It is ROOTS/SUITE/root, where ROOTS is
# TAPMIG_ROOTS, else tapmig/roots in XDG_CACHE_HOME, else build/roots. Objects
# and logs of its tests are in build/roots/SUITE/build.
#
# In the root the checkout is mounted read-only as /checkout. The mounts and the
# processes are in namespaces of their own, which end with them, so that
# nothing is left mounted whatever ends this script.
#
# Last lines: what became of each version, and the counts of all of them. A
# version that could not be tried is named with the reason and counted as
# skipped, as is each file of tests that was not begun. Exit 0 only when nothing
# failed and something passed.

set -uo pipefail

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
TESTS=$*
ROOTS=${TAPMIG_ROOTS:-${XDG_CACHE_HOME:+$XDG_CACHE_HOME/tapmig/roots}}
ROOTS=${ROOTS:-$TOP/build/roots}
until=
passed=0 failed=0 skipped=0
verdicts=()

# count MAJOR LOG: adds up the counts' line of a run.
count() {
  local line good bad left cut

  line=$(grep -E '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$2" | tail -n 1)
  cut=$(grep -c ' skipped: no time is left$' "$2")
  if [ -z "$line" ]; then
    line='0 passed, 1 failed, 0 skipped'
    verdicts+=("PostgreSQL $1: FAILED, the run has no end; 1 failed")
  elif [[ $line == *' 0 failed'* ]]; then
    verdicts+=("PostgreSQL $1: $line")
  else
    verdicts+=("PostgreSQL $1: FAILED; $line")
  fi
  if [ "$cut" -gt 0 ]; then
    verdicts[-1]+=", $cut files of tests among them for want of time (TEST_MINUTES=$TEST_MINUTES)"
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

# seconds_left MORE: until the time for this version is over, and MORE; at least 1,
# as "timeout" needs.
seconds_left() {
  local seconds=86400

  [ -z "$until" ] || seconds=$((until - $(date +%s) + $1))
  echo $((seconds > 1 ? seconds : 1))
}

# make_root SUITE: the root, with what the tests need; or a word on why there is
# none, and false. Two at once take turns.
make_root() {
  local dir=$ROOTS/$1 uri reason status=0

  if ! mkdir -p "$dir" || ! exec 8>"$dir/lock"; then
    echo "cannot write to $dir"
    return 1
  elif ! flock -w "$(seconds_left 0)" 8; then
    echo "another run is making the root"
    return 1
  fi
  if [ ! -d "$dir/root" ]; then
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
    # What debootstrap mounts and starts ends with it, however that comes.
    rm -rf --one-file-system "$dir/new"
    mkdir -p "$dir/new"
    echo "Making a root of Debian $1 in ${dir#"$TOP"/}/root" >&2
    if ! timeout --foreground -s KILL "$(seconds_left 0)" \
      unshare --mount --pid --fork --mount-proc --kill-child -- \
      debootstrap --variant=minbase --include=make,ca-certificates "$1" "$dir/new" "$uri" \
      >"$dir/debootstrap.log" 2>&1 </dev/null; then
      reason=$(grep '^E: ' "$dir/debootstrap.log" | tail -n 1)
      echo "debootstrap of $1 failed: ${reason:-see ${dir#"$TOP"/}/debootstrap.log}"
      rm -rf --one-file-system "$dir/new"
      return 1
    fi
    # What can be made again need not be on the disk before the next package is.
    echo force-unsafe-io >"$dir/new/etc/dpkg/dpkg.cfg.d/unsafe-io"
    # A mirror whose age this machine's apt lets pass
    apt-config dump | grep -E '^Acquire::Check-(Valid-Until|Date) ' >"$dir/new/etc/apt/apt.conf.d/99tapmig"
    mv "$dir/new" "$dir/root"
  fi
  # dpkg first: an earlier run may have been ended in the middle of it.
  in_root "$(seconds_left 0)" "$1" sh -c '
    export DEBIAN_FRONTEND=noninteractive
    { dpkg --configure -a && apt-get -q check; } || apt-get -q -y -f install
    bash test/lib/packages.sh test && apt-get -q clean' \
    >"$dir/packages.log" 2>&1 </dev/null || status=$?
  if [ "$(seconds_left 0)" -lt 60 ]; then
    echo "no time is left for it, which went into its root (TEST_MINUTES=$TEST_MINUTES)"
    return 1
  elif [ "$status" != 0 ]; then
    reason=$(grep '^E: ' "$dir/packages.log" | tail -n 1)
    echo "the tests' packages could not be installed: ${reason:-see ${dir#"$TOP"/}/packages.log}"
    return 1
  fi
}

# in_root SECONDS SUITE COMMAND: runs it in the root, in /checkout, no longer than
# that. The shell inside stays, as the process 1 that has to reap the orphans; all
# of them end with unshare, which obeys no other signal than KILL.
in_root() {
  local seconds=$1 root=$ROOTS/$2/root build=$TOP/build/roots/$2/build
  shift 2

  mkdir -p "$build" "$root/checkout"
  cp -L /etc/resolv.conf /etc/hosts "$root/etc/" 2>/dev/null
  # shellcheck disable=SC2016 # the inner shell's
  timeout --foreground -s KILL "$seconds" unshare --mount --pid --fork --kill-child -- sh -c '
    set -e
    top=$1 root=$2 build=$3
    shift 3
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    mount --rbind /sys "$root/sys"
    mount --bind "$top" "$root/checkout"
    mount -o remount,bind,ro "$root/checkout"
    mount --bind "$build" "$root/checkout/build"
    set +e
    env -u PG_CONFIG -u PG_MAJOR -u TMPDIR -u MAKEFLAGS -u MFLAGS -u MAKELEVEL \
      PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
      chroot "$root" sh -c "cd /checkout && exec \"\$@\"" sh "$@"
    exit $?' sh "$TOP" "$root" "$build" "$@"
}

mkdir -p "$TOP/build"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
here=$(bash "$TOP/test/lib/packages.sh" major)
end=
[ -z "${TEST_MINUTES:-}" ] || end=$(($(date +%s) + TEST_MINUTES * 60))

if wanted "$here"; then
  echo "==== PostgreSQL $here, this machine"
  make -C "$TOP" --no-print-directory test TESTS="$TESTS" </dev/null 2>&1 | tee "$log"
  count "$here" "$log"
fi
others=()
for pair in 15:bookworm 17:trixie 18:sid; do
  if [ "${pair%%:*}" != "$here" ] && wanted "${pair%%:*}"; then others+=("$pair"); fi
done
for i in "${!others[@]}"; do
  major=${others[i]%%:*} suite=${others[i]#*:}
  if [ -n "$end" ]; then
    # Its share of what is left
    now=$(date +%s)
    until=$((now + (end - now) / (${#others[@]} - i)))
  fi
  echo "==== PostgreSQL $major, in a root of Debian $suite"
  if [ "$(id -u)" != 0 ]; then
    skip "$major" "a root needs root"
  elif ! unshare --mount --pid --fork true 2>/dev/null; then
    skip "$major" "this machine gives no mount namespace"
  elif [ "$(seconds_left 0)" -lt 120 ]; then
    skip "$major" "no time is left for it (TEST_MINUTES=$TEST_MINUTES)"
  elif ! reason=$(make_root "$suite"); then
    skip "$major" "$reason"
  else
    TEST_UNTIL=$until in_root "$(seconds_left 600)" "$suite" \
      make --no-print-directory test TESTS="$TESTS" </dev/null 2>&1 | tee "$log"
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
