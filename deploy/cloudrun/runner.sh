#!/bin/sh
#
# runner.sh [ARGUMENT ...]: tapmig in a container that runs once, such as a
# Cloud Run job. Waits for the database, then runs tapmig with the arguments;
# without any: "tapmig up". What happens goes to standard output, one JSON
# object a line, with the fields that Cloud Logging reads (time, severity,
# message) and event, migration, exit where they apply.
#
#   DATABASE_URL, or PGHOST, PGUSER ...   the connection, as for tapmig
#   TAPMIG_DIR        the directory of the migrations; /migrations by default
#   TAPMIG_REVISION   goes into the ledger's source
#   RUNNER_WAIT       seconds to wait for the database; 60 by default
#   RUNNER_RETRIES    further tries when the server is busy or the tables are
#                     locked (tapmig's exit code 7); 5 by default
#   RUNNER_PAUSE      seconds before the first of them, doubled each time up to
#                     60; 5 by default
#
# Exit code: tapmig's. Nothing but exit code 7 is tried again, and that not where
# it means "outside of --window": the next scheduled run does that. A connection
# that cannot be had by waiting (wrong password, no such database, tapmig not
# installed, a broken URI) fails at once.
#
# TERM, INT and HUP go to tapmig as TERM: the server finishes the statement
# under way, the exit code is 143, and the next run goes on from there.
#
# A message of the server has several lines. They belong together, so a message
# is held back until the next one begins, or until a tick of one to two
# seconds has passed without a further line of it.
#
# Runs under dash, busybox sh and bash.

set -u
unset LC_ALL LANGUAGE
LC_MESSAGES=C
export LC_MESSAGES
umask 077

nl='
'
child=
stopped=

# ------------------------------------------------------------------ JSON lines

# emit SEVERITY EVENT MESSAGE [FIELD VALUE]... Values are strings, but for exit.
# Bytes that are no UTF-8 become U+FFFD; what is longer than a log entry may be
# is cut. od writes numbers only, so that no value can pass for a field.
emit() {
	now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
	printf '= time\n= severity %s\n= event %s\n= message\n' "$1" "$2" | {
		cat
		printf '%s' "$3" | od -An -v -tu1
		shift 3
		while [ $# -gt 1 ]; do
			printf '= %s\n' "$1"
			printf '%s' "$2" | od -An -v -tu1
			shift 2
		done
	} | now=$now LC_ALL=C awk '
	$1 == "=" {
		write()
		name = $2
		printf "%s\"%s\":", (NR == 1 ? "{" : ","), name
		if (name == "time") printf "\"%s\"", ENVIRON["now"]
		else if (NF == 3) printf "\"%s\"", $3
		open = (name != "time" && NF < 3)
		n = 0
		next
	}
	{ for (i = 1; i <= NF; i++) byte[++n] = $i + 0 }
	END { write(); print "}" }
	function write(  i, quote, limit) {
		if (!open) return
		limit = 60000
		quote = (name == "exit" ? "" : "\"")
		printf "%s", quote
		for (i = 1; i <= n && i <= limit; ) i += put(i)
		if (i <= n) printf " ... (cut)"
		printf "%s", quote
	}
	# Writes the character at i; returns its number of bytes.
	function put(i,  b, more, low, high, k) {
		b = byte[i]
		if (b == 34) { printf "\\\""; return 1 }
		if (b == 92) { printf "\\\\"; return 1 }
		if (b == 10) { printf "\\n"; return 1 }
		if (b == 9) { printf "\\t"; return 1 }
		if (b < 32 || b == 127) { printf "\\u%04x", b; return 1 }
		if (b < 128) { printf "%c", b; return 1 }
		# What may follow: neither overlong forms nor surrogates nor above U+10FFFF
		low = 128; high = 191
		if (b >= 194 && b <= 223) more = 1
		else if (b >= 224 && b <= 239) {
			more = 2
			if (b == 224) low = 160
			if (b == 237) high = 159
		}
		else if (b >= 240 && b <= 244) {
			more = 3
			if (b == 240) low = 144
			if (b == 244) high = 143
		}
		for (k = 1; k <= more; k++) {
			if (i + k > n || byte[i + k] < low || byte[i + k] > high) more = 0
			low = 128; high = 191
		}
		if (!more) { printf "\\ufffd"; return 1 }
		for (k = 0; k <= more; k++) printf "%c", byte[i + k]
		return more + 1
	}'
}

# emit with a next step: SEVERITY EVENT MESSAGE HINT [FIELD VALUE]...
advise() {
	severity=$1 event=$2 message=$3 hint=$4
	shift 4
	emit "$severity" "$event" "$message${nl}HINT:  $hint" "$@"
}

# ------------------------------------------------------- what tapmig has to say

# Sets severity and migration from the first line of a message:
# "[migration: ]SEVERITY:  text". What has none is the runner's own last word.
classify() {
	severity=ERROR migration='' shortest=$1
	for word in DEBUG LOG INFO NOTICE WARNING ERROR FATAL PANIC; do
		case $1 in
		"$word:  "*) before='' ;;
		*": $word:  "*) before=${1%%": $word:  "*} ;;
		*) continue ;;
		esac
		if [ "${#before}" -lt "${#shortest}" ]; then
			shortest=$before
			migration=$before
			case $word in
			LOG) severity=INFO ;;
			FATAL | PANIC) severity=ERROR ;;
			*) severity=$word ;;
			esac
		fi
	done
	case $1 in
	terminated* | interrupted*) severity=WARNING migration='' ;;
	'connection to server'* | 'error: '*) migration='' ;;
	esac
}

flush() {
	[ -n "$pending" ] || return 0
	classify "${pending%%"$nl"*}"
	if [ -n "$migration" ]; then
		emit "$severity" message "$pending" migration "$migration"
	else
		emit "$severity" message "$pending"
	fi
	pending='' ticked=''
}

# Reads the lines of both streams; those of standard output, and the ticks,
# carry the token.
relay() {
	pending='' ticked=''
	while IFS= read -r line || [ -n "$line" ]; do
		case $line in
		"$token tick")
			if [ -n "$ticked" ]; then flush; else ticked=yes; fi
			;;
		"$token out "*)
			flush
			line=${line#"$token out "}
			case $line in
			'applied '* | 'registered '*)
				migration=${line#* }
				emit INFO "${line%% *}" "$line" migration "${migration% (*}"
				;;
			*) emit INFO output "$line" ;;
			esac
			;;
		'tapmig: '*)
			flush
			pending=${line#tapmig: }
			case $pending in
			*' loses data, by its own word, and is for '*' only: it is '*) : >"$tmp/closed" ;;
			esac
			;;
		*)
			# No longer than emit writes
			if [ "${#pending}" -lt 70000 ]; then pending=$pending${pending:+$nl}$line; fi
			ticked=''
			;;
		esac
	done
	flush
}

# Runs tapmig and relays what it says; sets rc. Not in the foreground, so that
# a signal is obeyed at once.
run_tapmig() {
	rm -f "$tmp/said" "$tmp/closed"
	relay <"$tmp/lines" &
	relay_pid=$!
	while IFS= read -r line || [ -n "$line" ]; do
		: >"$tmp/said"
		printf '%s\n' "$token out $line"
	done <"$tmp/out" >"$tmp/lines" &
	# It outlives neither us nor tapmig.
	while kill -0 "$$" 2>/dev/null && sleep 1 >/dev/null; do
		printf '%s\n' "$token tick"
	done >"$tmp/lines" 2>/dev/null &
	ticker_pid=$!
	tapmig "$@" </dev/null >"$tmp/out" 2>"$tmp/lines" &
	child=$!
	wait_for "$child"
	child=
	kill "$ticker_pid" 2>/dev/null
	while kill -0 "$relay_pid" 2>/dev/null; do wait "$relay_pid" 2>/dev/null; done
}

# A trapped signal ends a wait early; it may also come before the child was known.
wait_for() {
	if [ -n "$stopped" ]; then kill -TERM "$1" 2>/dev/null; fi
	while :; do
		wait "$1" 2>/dev/null
		rc=$?
		kill -0 "$1" 2>/dev/null || break
	done
}

pause() {
	[ -z "$stopped" ] || return 0
	sleep "$1" &
	child=$!
	wait_for "$child"
	child=
}

# --------------------------------------------------------------------- signals

# shellcheck disable=SC2317,SC2329 # called by the trap
on_signal() {
	stopped=yes
	if [ -n "$child" ]; then kill -TERM "$child" 2>/dev/null; fi
}

end_if_stopped() {
	[ -n "$stopped" ] || return 0
	emit WARNING terminated "terminated while it waited; nothing is under way" exit 143
	exit 143
}

# ---------------------------------------------------------------- the database

hint_for() {
	case $1 in
	*'onnection refused'* | *'o such file or directory'*)
		hint='Nothing listens there. Is the server up, and is this its address (DATABASE_URL, or PGHOST and PGPORT)? Does it listen on that address (listen_addresses), and does a firewall let this container through? A Cloud Run job reaches a private address only with VPC egress.'
		;;
	*'translate host name'*)
		hint='The name is not known here. Correct the host in DATABASE_URL or PGHOST; a private name needs the VPC of its DNS zone.'
		;;
	*'authentication failed'* | *'no password supplied'*)
		hint='Correct the user or the password in DATABASE_URL, or PGUSER and PGPASSWORD.'
		;;
	*'pg_hba.conf'*)
		hint='On the server: add a line for this user, database and address to pg_hba.conf, and reload.'
		;;
	*'psql is not installed'*)
		hint='The image must hold psql; see its Dockerfile.'
		;;
	*'tapmig is not installed'*)
		hint='On the server: install the extension; in this database, as a superuser: CREATE EXTENSION tapmig.'
		;;
	*'" does not exist'*)
		hint='Create it on the server, or correct the name in DATABASE_URL, or PGDATABASE and PGUSER.'
		;;
	*)
		hint='Check the address (DATABASE_URL, or PGHOST and PGPORT), the way to it (VPC egress, firewall) and the server'"'"'s log.'
		;;
	esac
}

# Waits until a session of tapmig's works: the plan of no files, which leaves no
# error in the server's log. Whatever else is wrong than the connection, tapmig
# will say when it is run.
wait_for_database() {
	began=$(date +%s)
	next=1
	last=
	while :; do
		PGCONNECT_TIMEOUT=${PGCONNECT_TIMEOUT:-10} \
			tapmig plan --dir "$tmp/none" </dev/null >"$tmp/probe" 2>&1 &
		child=$!
		wait_for "$child"
		child=
		end_if_stopped
		[ "$rc" = 3 ] || return 0
		cause=$(sed -e '/^HINT:  /,$d' -e 's/^tapmig: //' "$tmp/probe")
		hint_for "$cause"
		waits=
		case $cause in
		*'authentication failed'* | *'no password supplied'* | *'pg_hba.conf'* | *'" does not exist'* | \
			*'not permitted to log in'* | *'permission denied for database'*) ;;
		*'connection to server'* | *'translate host name'* | *'connection was lost'*) waits=yes ;;
		esac
		if [ -z "$waits" ]; then
			advise ERROR failed "$cause" "$hint" exit 3
			exit 3
		fi
		waited=$(($(date +%s) - began))
		if [ "$waited" -ge "$longest" ] && { [ -n "$last" ] || [ "$longest" = 0 ]; }; then
			advise ERROR failed "no connection to the database in $waited s: $cause" "$hint" exit 3
			exit 3
		fi
		if [ "$cause" != "$last" ]; then emit INFO waiting "waiting for the database, $longest s at most: $cause"; fi
		last=$cause
		pause "$next"
		end_if_stopped
		next=$((next < 5 ? next + 1 : 5))
	done
}

# ------------------------------------------------------------------------ main

number() {
	case $2 in
	'' | *[!0-9]* | ????????*)
		emit ERROR failed "$1 is not a number of seconds or tries: $2" exit 2
		exit 2
		;;
	esac
}

case ${1:-} in
'' | -*) set -- up "$@" ;;
esac
longest=${RUNNER_WAIT:-60}
retries=${RUNNER_RETRIES:-5}
seconds=${RUNNER_PAUSE:-5}
number RUNNER_WAIT "$longest"
number RUNNER_RETRIES "$retries"
number RUNNER_PAUSE "$seconds"
TAPMIG_DIR=${TAPMIG_DIR:-/migrations}
export TAPMIG_DIR

# The probe connects to where the command will.
option=
for argument in "$@"; do
	if [ "$option" = --db ]; then DATABASE_URL=$argument; fi
	case $argument in
	--db=*) DATABASE_URL=${argument#--db=} ;;
	esac
	option=$argument
done
if [ -n "${DATABASE_URL:-}" ]; then export DATABASE_URL; fi

if ! command -v tapmig >/dev/null; then
	advise ERROR failed 'tapmig is not in PATH' 'The image must hold bin/tapmig; see its Dockerfile.' exit 3
	exit 3
fi
tmp=$(mktemp -d "${TMPDIR:-/tmp}/runner.XXXXXX") || tmp=
if [ -z "$tmp" ] || ! mkfifo "$tmp/lines" "$tmp/out" || ! mkdir "$tmp/none"; then
	advise ERROR failed 'cannot make temporary files' 'Let TMPDIR name a directory that this user can write to.' exit 2
	exit 2
fi
trap 'rm -rf "$tmp"' EXIT
trap on_signal TERM INT HUP
token=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')

emit INFO start "$(tapmig --version): $1"
wait_for_database

try=0
while :; do
	run_tapmig "$@"
	if [ "$rc" != 7 ] || [ -e "$tmp/closed" ] || [ -n "$stopped" ] || [ "$try" -ge "$retries" ]; then break; fi
	try=$((try + 1))
	emit WARNING busy "busy or blocked: try $((try + 1)) of $((retries + 1)) in $seconds s"
	pause "$seconds"
	end_if_stopped
	seconds=$((seconds < 30 ? seconds * 2 : 60))
done

case $rc in
0)
	if [ -e "$tmp/said" ]; then nothing=''; else nothing=', nothing was to be done'; fi
	emit INFO 'done' "tapmig $1: done$nothing" exit 0
	;;
1) advise ERROR failed "tapmig $1: a migration failed" \
	'The message before this one has the cause, the line and what to do. Run this again; where the script is at fault, correct the file and deploy it first.' exit 1 ;;
2) advise ERROR failed "tapmig $1: called wrongly, or a file cannot be read" \
	"The message before this one says what. The directory of the migrations is $TAPMIG_DIR." exit 2 ;;
3) advise ERROR failed "tapmig $1: the connection failed or was lost" \
	'Each migration is recorded whole or not at all: run this again.' exit 3 ;;
4) advise ERROR failed "tapmig $1: the migrations and the database do not fit together; nothing was guessed" \
	'The message before this one says what. tapmig status shows all of it.' exit 4 ;;
5) advise ERROR failed "tapmig $1: schema.sql and the schema differ" \
	'The messages before this one show where, and what to do.' exit 5 ;;
6)
	case $1 in
	promote) advise ERROR failed 'tapmig promote: not everything was promoted' \
		'The messages before this one say what waits, for what and how long. Run this again then.' exit 6 ;;
	*) advise ERROR failed "tapmig $1: a version is not applied" 'Run the migrations first.' exit 6 ;;
	esac
	;;
7)
	if [ -e "$tmp/closed" ]; then
		advise ERROR failed "tapmig $1: outside of its window; what is before that migration is in, and nothing was lost" \
			'The message before this one has the window and the time of the server. Run this again in the window.' exit 7
	else
		advise ERROR failed "tapmig $1: still busy or blocked after $((try + 1)) tries" \
			'The message before this one says by whom. Run this again when they are done.' exit 7
	fi
	;;
143 | 130) emit WARNING terminated "tapmig $1: terminated" exit "$rc" ;;
*) emit ERROR failed "tapmig $1: exit code $rc" exit "$rc" ;;
esac
exit "$rc"
