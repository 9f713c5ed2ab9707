#!/bin/sh
#
# entrypoint.sh PROGRAM [ARGUMENT ...]: a container's start that waits until the
# migration that the program needs is applied, then becomes the program.
#
#   TAPMIG_VERSION    the version that must be there, such as 036
#   TAPMIG_TIMEOUT    how long to wait for it; 5min by default. 0: not at all
#   DATABASE_URL, or PGHOST, PGUSER ...   the connection, as for tapmig
#
# Exits 6 when the version is not there in time, 3 when there is no connection,
# 143 when it is told to end: the platform starts the container again, and the
# old release serves on.
#
# Reading is enough: any role that may connect may ask, on a standby too.

set -u

if [ $# = 0 ] || [ -z "${TAPMIG_VERSION:-}" ]; then
	echo 'entrypoint.sh: set TAPMIG_VERSION to the version that the program needs, and name the program' >&2
	exit 2
fi

# In the background: a shell that is process 1 would not see a signal before
# the wait is over.
child=
stopped=
trap 'stopped=143; [ -z "$child" ] || kill -TERM "$child" 2>/dev/null' TERM INT HUP
case ${TAPMIG_TIMEOUT:=5min} in
0) tapmig require "$TAPMIG_VERSION" & ;;
*) tapmig wait "$TAPMIG_VERSION" --timeout "$TAPMIG_TIMEOUT" & ;;
esac
child=$!
if [ -n "$stopped" ]; then kill -TERM "$child" 2>/dev/null; fi
while :; do
	wait "$child"
	status=$?
	kill -0 "$child" 2>/dev/null || break
done
trap - TERM INT HUP
[ -z "$stopped" ] || exit "$stopped"
[ "$status" = 0 ] || exit "$status"
exec "$@"
