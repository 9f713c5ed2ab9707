/*
 * retry_blockers.c
 *		Who stands in the way of a lock, for a message.
 *
 * Reads the lock table and the backends' status entries once. What it says may
 * be out of date at once: it is for a human who wants to know whom to ask. The
 * current transaction may read catalogs; prepared transactions are asked for by
 * SQL, which takes a snapshot for its time.
 *
 * Of another role's session it tells what pg_stat_activity would: everybody may
 * know of its user and application; state, age and text are for members of the
 * role and of pg_read_all_stats.
 */
#include "postgres.h"

#include <math.h>

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/acl.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "held_locks.h"
#include "retry_internal.h"

/* A blocker more than these is counted only. */
#define RETRY_BLOCKERS_SHOWN 5

/* How much of a blocker's query a message repeats, in bytes. */
#define RETRY_QUERY_BYTES 80

/* A duration for a message; ms in milliseconds. */
char *
retry_duration(double ms)
{
	if (ms < 1000)
		return psprintf("%.0f ms", ms);
	if (ms < 120 * 1000)
		return psprintf("%g s", rint(ms / 100) / 10);
	if (ms < 120.0 * 60 * 1000)
		return psprintf("%.0f min", ms / 60000);
	return psprintf("%.0f h", ms / 3600000);
}

/* A lock's mode as the manual writes it: "ACCESS EXCLUSIVE". */
static const char *
retry_mode_name(LOCKMODE mode)
{
	static const char *const names[] = {
		"no lock", "ACCESS SHARE", "ROW SHARE", "ROW EXCLUSIVE",
		"SHARE UPDATE EXCLUSIVE", "SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE",
		"ACCESS EXCLUSIVE"
	};

	return mode >= 0 && mode < (int) lengthof(names) ? names[mode] : "a lock";
}

static char *
retry_modes_name(LOCKMASK modes)
{
	StringInfoData text;

	initStringInfo(&text);
	for (LOCKMODE mode = AccessExclusiveLock; mode > NoLock; mode--)
	{
		if (modes & LOCKBIT_ON(mode))
			appendStringInfo(&text, "%s%s", text.len > 0 ? ", " : "", retry_mode_name(mode));
	}
	return text.data;
}

/* What a lock is on. */
static char *
retry_object_name(const LOCKTAG *tag)
{
	StringInfoData text;
	char	   *name;

	if (tag->locktag_type == LOCKTAG_RELATION &&
		(name = get_rel_name(tag->locktag_field2)) != NULL)
	{
		char	   *schema = RelationIsVisible(tag->locktag_field2) ? NULL :
			get_namespace_name(get_rel_namespace(tag->locktag_field2));

		return quote_qualified_identifier(schema, name);
	}
	initStringInfo(&text);
	DescribeLockTag(&text, tag);
	return text.data;
}

/* A lock as a message has it: "ACCESS EXCLUSIVE on agents". */
char *
retry_lock_name(const LOCKTAG *tag, LOCKMODE mode)
{
	if (tag->locktag_type == LOCKTAG_TRANSACTION)
		return psprintf("transaction %u, which has a row or key that it needs",
						tag->locktag_field1);
	return psprintf("%s on %s", retry_mode_name(mode), retry_object_name(tag));
}

/* The transaction id of whoever has that local one, or 0. */
static TransactionId
retry_find_xid(const LockData *locks, const LockInstanceData *whose)
{
	for (int i = 0; i < locks->nelements; i++)
	{
		const LockInstanceData *lock = &locks->locks[i];

		if (lock->locktag.locktag_type == LOCKTAG_TRANSACTION && lock->pid == whose->pid &&
			COMPAT_LOCK_SAME_TRANSACTION(lock, whose) &&
			(lock->holdMask & LOCKBIT_ON(ExclusiveLock)))
			return (TransactionId) lock->locktag.locktag_field1;
	}
	return InvalidTransactionId;
}

static void
retry_describe_prepared(StringInfo text, TransactionId xid)
{
	static const char *const query =
	"SELECT pg_catalog.format('Prepared transaction %L of user \"%s\", prepared at %s,', gid, owner, prepared)"
	" FROM pg_catalog.pg_prepared_xacts WHERE transaction OPERATOR(pg_catalog.=) $1";
	Oid			types[] = {XIDOID};
	Datum		values[] = {TransactionIdGetDatum(xid)};
	char	   *found = NULL;

	PushActiveSnapshot(GetTransactionSnapshot());
	SPI_connect();
	if (SPI_execute_with_args(query, 1, types, values, NULL, true, 1) == SPI_OK_SELECT &&
		SPI_processed == 1)
		found = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	appendStringInfoString(text, found ? found :
						   "A prepared transaction (pg_prepared_xacts shows it)");
	SPI_finish();
	PopActiveSnapshot();
}

static const char *
retry_state_name(BackendState state)
{
	switch (state)
	{
		case STATE_RUNNING:
			return "active";
		case STATE_IDLE:
			return "idle";
		case STATE_IDLEINTRANSACTION:
			return "idle in transaction";
		case STATE_IDLEINTRANSACTION_ABORTED:
			return "idle in transaction (aborted)";
		case STATE_FASTPATH:
			return "fastpath function call";
		default:
			return "state unknown";
	}
}

/* The status entry of a process, or NULL; valid until the snapshot is cleared. */
static const PgBackendStatus *
retry_find_entry(int pid)
{
	for (int i = 1; i <= pgstat_fetch_stat_numbackends(); i++)
	{
		const LocalPgBackendStatus *local = COMPAT_BEENTRY_BY_INDEX(i);

		if (local != NULL && local->backendStatus.st_procpid == pid)
			return &local->backendStatus;
	}
	return NULL;
}

static void
retry_describe_autovacuum(StringInfo text, const PGPROC *proc)
{
	if (proc != NULL && (proc->statusFlags & PROC_VACUUM_FOR_WRAPAROUND))
		appendStringInfoString(text, " (autovacuum to prevent wraparound, which does not step aside)");
	else
		appendStringInfo(text, " (autovacuum, which steps aside for who has waited for deadlock_timeout, %s)",
						 retry_duration(DeadlockTimeout));
}

/* Who it is, as far as the current user may know; *query: its text, or NULL. */
static void
retry_describe_process(StringInfo text, int pid, char **query)
{
	const PgBackendStatus *entry = retry_find_entry(pid);
	char	   *user;

	*query = NULL;
	appendStringInfo(text, "Process %d", pid);
	if (entry == NULL)
		return;
	if (entry->st_backendType == B_AUTOVAC_WORKER)
	{
		retry_describe_autovacuum(text, BackendPidGetProc(pid));
		return;
	}

	user = GetUserNameFromId(entry->st_userid, true);
	appendStringInfo(text, " (user \"%s\", application \"%s\"", user ? user : "",
					 entry->st_appname ? entry->st_appname : "");
	if (has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS) ||
		has_privs_of_role(GetUserId(), entry->st_userid))
	{
		appendStringInfo(text, ", %s", retry_state_name(entry->st_state));
		if (entry->st_xact_start_timestamp != 0)
			appendStringInfo(text, ", its transaction open for %s",
							 retry_duration((GetCurrentTimestamp() -
											 entry->st_xact_start_timestamp) / 1000.0));
		if (entry->st_activity_raw != NULL && entry->st_activity_raw[0] != '\0')
			*query = pgstat_clip_activity(entry->st_activity_raw);
	}
	appendStringInfoChar(text, ')');
}

/* A query on one line, cut to what a message can carry. */
static void
retry_append_query(StringInfo text, char *query)
{
	int			len = pg_mbcliplen(query, strlen(query), RETRY_QUERY_BYTES);

	for (char *p = query; p < query + len; p++)
	{
		if (*p == '\n' || *p == '\r' || *p == '\t')
			*p = ' ';
	}
	appendStringInfo(text, "; its query: %.*s%s", len, query,
					 query[len] != '\0' ? "..." : "");
}

static void
retry_describe(StringInfo text, const LockData *locks, const LockInstanceData *lock)
{
	char	   *query = NULL;

	if (text->len > 0)
		appendStringInfoChar(text, '\n');
	if (lock->pid == 0)
		retry_describe_prepared(text, retry_find_xid(locks, lock));
	else
		retry_describe_process(text, lock->pid, &query);

	/* A waiter stands in the way as well: the queue is not jumped. */
	if (lock->holdMask != 0)
		appendStringInfo(text, " holds %s", retry_modes_name(lock->holdMask));
	else
		appendStringInfo(text, " waits for %s", retry_mode_name(lock->waitLockMode));
	if (lock->locktag.locktag_type == LOCKTAG_RELATION)
		appendStringInfo(text, " on %s", retry_object_name(&lock->locktag));
	if (query != NULL)
		retry_append_query(text, query);
	else
		appendStringInfoChar(text, '.');
}

/* Whether it was seen to hold the lock during the wait. */
static bool
retry_was_holder(const RetryWait *wait, int pid)
{
	/* None was seen, or not all could be remembered. */
	if (wait->n_holders == 0 || wait->n_holders == RETRY_HOLDERS_MAX)
		return true;
	for (int i = 0; i < wait->n_holders; i++)
	{
		if (wait->holders[i] == pid)
			return true;
	}
	return false;
}

static bool
retry_is_blocker(const RetryWait *wait, const LockInstanceData *lock, bool waiting)
{
	if (memcmp(&lock->locktag, &wait->tag, sizeof(LOCKTAG)) != 0 || lock->pid == MyProcPid)
		return false;
	if (!waiting)
		return held_locks_conflict(lock->holdMask, wait->mode) &&
			retry_was_holder(wait, lock->pid);

	/* It came to the queue before. */
	return !held_locks_conflict(lock->holdMask, wait->mode) &&
		lock->waitLockMode != NoLock && lock->waitStart <= wait->since &&
		DoLockModesConflict(lock->waitLockMode, wait->mode);
}

/*
 * Who holds, or waits for, what kept this process waiting: a line each, in the
 * current memory context; NULL when nobody does any more.
 */
char *
retry_blockers(const RetryWait *wait)
{
	LockData   *locks = GetLockStatusData();
	StringInfoData text;
	int			found = 0;

	initStringInfo(&text);
	pgstat_clear_backend_activity_snapshot();
	for (int waiting = 0; waiting <= 1; waiting++)
	{
		for (int i = 0; i < locks->nelements; i++)
		{
			if (!retry_is_blocker(wait, &locks->locks[i], waiting == 1))
				continue;
			if (++found <= RETRY_BLOCKERS_SHOWN)
				retry_describe(&text, locks, &locks->locks[i]);
		}
	}
	pgstat_clear_backend_activity_snapshot();
	if (found > RETRY_BLOCKERS_SHOWN)
		appendStringInfo(&text, "\nAnd %d more.", found - RETRY_BLOCKERS_SHOWN);
	return found > 0 ? text.data : NULL;
}
