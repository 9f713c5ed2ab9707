/*
 * migration_lock.c
 *		The lock of a track, and every wait for it.
 *
 * One heavyweight lock per database, installation of the extension and track,
 * taken for the transaction.  Its tag is an advisory lock's with a fourth field
 * that no SQL function can produce, so nobody takes or frees it by accident.
 *
 * Nobody sleeps in the lock manager for it.  A sleeper holds a snapshot as a
 * rule, CREATE INDEX CONCURRENTLY waits for old snapshots, and where the
 * build's session holds this lock that is a cycle which no deadlock detector
 * sees.  So a waiter tries, pauses on its latch, and tries again; a caller that
 * can do without a snapshot says so, and then none is held during the pause.
 *
 * A waiter that ends early, by an error or an interrupt, leaves nothing behind.
 */
#include "postgres.h"

#include <math.h>

#include "access/xact.h"
#include "catalog/objectaccess.h"
#include "common/hashfn.h"
#include "common/pg_prng.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "storage/sinvaladt.h"
#include "utils/backend_status.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "compat.h"
#include "errors.h"
#include "migration_lock.h"

/* SQL's advisory locks have 1 or 2 here. */
#define MIGRATION_LOCK_FIELD4 3
#define MIGRATION_LOCK_SCRIPT_FIELD4 4

/* Milliseconds.  The longest pause keeps fifty waiters at a try per millisecond. */
#define MIGRATION_LOCK_FIRST_PAUSE 2.0
#define MIGRATION_LOCK_LONGEST_PAUSE 50.0
#define MIGRATION_LOCK_PAUSE_GROWTH 1.5
#define MIGRATION_LOCK_NOTICE_EVERY 10000.0

/* How much of the holder's pg_stat_activity text a message repeats, in bytes. */
#define MIGRATION_LOCK_ACTIVITY_BYTES 200

/* The pid of a holder that is a prepared transaction. */
#define MIGRATION_LOCK_PREPARED 0

/*
 * The track enters as a hash: two tracks of one database may share a lock,
 * which costs a wait and never correctness.
 */
static void
migration_lock_tag(LOCKTAG *tag, Oid extension, const char *track)
{
	SET_LOCKTAG_ADVISORY(*tag,
						 MyDatabaseId,
						 extension,
						 hash_bytes((const unsigned char *) track, strlen(track)),
						 MIGRATION_LOCK_FIELD4);
}

/*
 * Find a holder; this process counts as one only where self.  *pid is
 * MIGRATION_LOCK_PREPARED for a prepared transaction.  What it says may be out
 * of date at once.
 */
static bool
migration_lock_find_holder(const LOCKTAG *tag, bool self, int *pid)
{
	VirtualTransactionId *vxids;
	int			count;
	LockData   *locks;

	vxids = GetLockConflicts(tag, ExclusiveLock, &count);
	for (int i = 0; i < count; i++)
	{
		PGPROC	   *proc = COMPAT_VXID_GET_PROC(vxids[i]);

		/* A prepared transaction keeps the id of the session that made it. */
		if (proc != NULL && COMPAT_PROC_LXID(proc) == vxids[i].localTransactionId &&
			proc->pid != 0 && proc->pid != MyProcPid)
		{
			*pid = proc->pid;
			return true;
		}
	}

	/*
	 * A session-level holder between two transactions, a prepared transaction
	 * and this process show only in the whole table.
	 */
	locks = GetLockStatusData();
	for (int i = 0; i < locks->nelements; i++)
	{
		const LockInstanceData *lock = &locks->locks[i];

		if (memcmp(&lock->locktag, tag, sizeof(LOCKTAG)) == 0 &&
			(lock->holdMask & LOCKBIT_ON(ExclusiveLock)) != 0 &&
			(self || lock->pid != MyProcPid))
		{
			*pid = lock->pid;
			return true;
		}
	}

	return false;
}

/* A duration for a message; ms in milliseconds. */
static char *
migration_lock_duration(double ms)
{
	if (ms < 1000)
		return psprintf("%.0f ms", ms);
	return psprintf("%g s", rint(ms / 100) / 10);
}

/*
 * Who holds the lock, as a sentence without its full stop, in the current
 * memory context; NULL when nobody does any more.
 */
static char *
migration_lock_describe_holder(const LOCKTAG *tag)
{
	StringInfoData text;
	int			pid;

	if (!migration_lock_find_holder(tag, false, &pid))
		return NULL;
	if (pid == MIGRATION_LOCK_PREPARED)
		return pstrdup("A prepared transaction holds it; pg_prepared_xacts shows which are there to commit or roll back");

	initStringInfo(&text);
	appendStringInfo(&text, "Process %d", pid);

	/* The status entries are copied once per transaction unless told so. */
	pgstat_clear_backend_activity_snapshot();
	for (int i = 1; i <= pgstat_fetch_stat_numbackends(); i++)
	{
		const LocalPgBackendStatus *local = COMPAT_BEENTRY_BY_INDEX(i);
		const PgBackendStatus *entry;
		char	   *user;

		if (local == NULL || local->backendStatus.st_procpid != pid)
			continue;
		entry = &local->backendStatus;

		user = GetUserNameFromId(entry->st_userid, true);
		appendStringInfo(&text, " (user \"%s\", application \"%s\")",
						 user != NULL ? user : "",
						 entry->st_appname != NULL ? entry->st_appname : "");

		appendStringInfoString(&text, " holds it");
		if (entry->st_xact_start_timestamp != 0)
			appendStringInfo(&text, " in a transaction since %s",
							 timestamptz_to_str(entry->st_xact_start_timestamp));

		/* Its text is others' business only where tapmig wrote it. */
		if (entry->st_activity_raw != NULL &&
			strncmp(entry->st_activity_raw, "tapmig ", strlen("tapmig ")) == 0)
		{
			char	   *activity = pgstat_clip_activity(entry->st_activity_raw);

			appendStringInfo(&text, ": %.*s",
							 pg_mbcliplen(activity, strlen(activity),
										  MIGRATION_LOCK_ACTIVITY_BYTES),
							 activity);
		}
		pgstat_clear_backend_activity_snapshot();
		return text.data;
	}
	pgstat_clear_backend_activity_snapshot();

	appendStringInfoString(&text, " holds it");
	return text.data;
}

static void
migration_lock_notify(const LOCKTAG *tag, const char *track, double waited_ms)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "tapmig lock notice",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	char	   *holder = migration_lock_describe_holder(tag);

	/* The client may not read: the holder must not wait for a snapshot meanwhile. */
	InvalidateCatalogSnapshot();
	if (holder != NULL)
		ereport(NOTICE,
				(errmsg("still waiting for the migration lock of track \"%s\" after %s",
						track, migration_lock_duration(waited_ms)),
				 errdetail("%s.", holder)));

	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}

static void
migration_lock_give_up(const LOCKTAG *tag, const char *track, int timeout_ms, bool early)
{
	char	   *holder = migration_lock_describe_holder(tag);

	if (early)
		ereport(ERROR,
				(errcode(TAPMIG_ERRCODE_BUSY),
				 errmsg("track \"%s\" is in a step that may wait for this transaction's snapshot", track),
				 holder != NULL ? errdetail("%s.", holder) : 0,
				 errhint("Roll back and run it again, or CALL tapmig.run at top level, which waits without a snapshot.")));
	ereport(ERROR,
			(errcode(TAPMIG_ERRCODE_BUSY),
			 timeout_ms == 0 ?
			 errmsg("another session holds the migration lock of track \"%s\"", track) :
			 errmsg("could not get the migration lock of track \"%s\" within %s",
					track, migration_lock_duration(timeout_ms)),
			 holder != NULL ? errdetail("%s.", holder) : 0,
			 errhint("Run it again when the lock is free, or raise tapmig.wait_timeout.")));
}

/* For a wait that promised to hold no snapshot. */
static void
migration_lock_drop_snapshot(void)
{
	InvalidateCatalogSnapshot();
	if (ActiveSnapshotSet() || TransactionIdIsValid(MyProc->xmin))
		elog(ERROR, "a snapshot is held while waiting for the migration lock");
}

/*
 * Take the lock for the current transaction if that takes no wait.
 *
 * extension is tapmig's oid in pg_extension.  Returns whether the transaction
 * has the lock now; taking it again is harmless.  In a subtransaction that
 * rolls back, the lock goes with it.
 */
bool
migration_lock_try(Oid extension, const char *track)
{
	LOCKTAG		tag;

	migration_lock_tag(&tag, extension, track);
	return LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

/*
 * Take the lock for the session if that takes no wait; it is held until the
 * process ends. In a transaction. Returns whether the session has it now.
 */
bool
migration_lock_try_session(Oid extension, const char *track)
{
	LOCKTAG		tag;

	migration_lock_tag(&tag, extension, track);
	return LockAcquire(&tag, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL;
}

/*
 * What migration_lock_keep() keeps, and the transaction that has it for itself
 * too. They live as long as the process.
 */
static LOCKTAG migration_lock_kept;
static LocalTransactionId migration_lock_kept_in = InvalidLocalTransactionId;
static object_access_hook_type migration_lock_previous_hook = NULL;

/*
 * The session's lock can be freed by a function only, so the transaction takes
 * the lock for itself before its first one: not for a subtransaction, whose
 * rollback gives locks back and not those that a function freed.
 */
static void
migration_lock_object_access(ObjectAccessType access, Oid class_id, Oid object_id,
							 int sub_id, void *arg)
{
	if (migration_lock_previous_hook)
		migration_lock_previous_hook(access, class_id, object_id, sub_id, arg);

	if (access == OAT_FUNCTION_EXECUTE && TopTransactionResourceOwner != NULL &&
		migration_lock_kept_in != COMPAT_PROC_LXID(MyProc))
	{
		ResourceOwner owner = CurrentResourceOwner;

		/* Held by the session still: a count, and no wait. */
		CurrentResourceOwner = TopTransactionResourceOwner;
		(void) LockAcquire(&migration_lock_kept, ExclusiveLock, false, true);
		CurrentResourceOwner = owner;
		migration_lock_kept_in = COMPAT_PROC_LXID(MyProc);
	}
}

/*
 * While the transaction has the lock still, the session takes it back. At an
 * abort as well, whose callbacks run before the locks are released; that cannot
 * fail, since a lock which is held already is only counted.
 */
static void
migration_lock_at_end(XactEvent event, void *arg)
{
	if (event != XACT_EVENT_PRE_COMMIT && event != XACT_EVENT_ABORT)
		return;
	if (COMPAT_LOCK_HELD_BY_ME(&migration_lock_kept, ExclusiveLock))
		(void) LockAcquire(&migration_lock_kept, ExclusiveLock, true, true);
	else if (event == XACT_EVENT_PRE_COMMIT)
		elog(ERROR, "the worker lost the migration lock");
}

/*
 * From now on this process has the lock until it ends, whatever a script does
 * between: pg_advisory_unlock_all() frees what the session holds. For a process
 * that lives for one script only; it has the session's lock.
 */
void
migration_lock_keep(Oid extension, const char *track)
{
	migration_lock_tag(&migration_lock_kept, extension, track);
	migration_lock_previous_hook = object_access_hook;
	object_access_hook = migration_lock_object_access;
	RegisterXactCallback(migration_lock_at_end, NULL);
}

/*
 * Take the lock on storing one script's text for the current transaction, if
 * that takes no wait. Tracks that apply the same script at the same time would
 * wait for each other in the unique index otherwise.
 */
bool
migration_lock_try_script(Oid extension, const unsigned char *checksum, int len)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, extension, hash_bytes(checksum, len),
						 MIGRATION_LOCK_SCRIPT_FIELD4);
	return LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

/*
 * Take the lock for the current transaction, waiting for it.
 *
 * timeout_ms is the longest wait in milliseconds; 0: one try; -1: no end.
 * Under MIGRATION_LOCK_WITHOUT_SNAPSHOT the caller has no snapshot, and the
 * catalog snapshot is dropped before each pause.  Every ten seconds a NOTICE
 * says who holds the lock. give_up, where it isn't NULL, is asked before each
 * pause, with arg, whether waiting is of no use.
 *
 * Errors: TM004 at the end of the time or on giving up, whatever an interrupt raises, and an
 * internal one where the caller has a snapshot that it promised not to have.
 */
void
migration_lock_acquire(Oid extension, const char *track, int timeout_ms,
					   MigrationLockWait how, MigrationLockGiveUp give_up, void *arg)
{
	LOCKTAG		tag;
	instr_time	start;
	double		pause = MIGRATION_LOCK_FIRST_PAUSE;
	double		next_notice = MIGRATION_LOCK_NOTICE_EVERY;

	migration_lock_tag(&tag, extension, track);
	INSTR_TIME_SET_CURRENT(start);

	/* Also where the lock is free, so that a broken promise always shows. */
	if (how == MIGRATION_LOCK_WITHOUT_SNAPSHOT)
		migration_lock_drop_snapshot();

	while (!migration_lock_try(extension, track))
	{
		instr_time	now;
		double		waited;
		double		this_pause;

		INSTR_TIME_SET_CURRENT(now);
		INSTR_TIME_SUBTRACT(now, start);
		waited = INSTR_TIME_GET_MILLISEC(now);

		if (timeout_ms >= 0 && waited >= timeout_ms)
			migration_lock_give_up(&tag, track, timeout_ms, false);
		if (give_up != NULL && give_up(arg))
			migration_lock_give_up(&tag, track, timeout_ms, true);
		if (waited >= next_notice)
		{
			migration_lock_notify(&tag, track, waited);
			next_notice = waited + MIGRATION_LOCK_NOTICE_EVERY;
		}

		/* Jitter: waiters that came together must not poll together. */
		this_pause = pause * (0.5 + 0.5 * pg_prng_double(&pg_global_prng_state));
		if (timeout_ms >= 0)
			this_pause = Min(this_pause, timeout_ms - waited);
		pause = Min(pause * MIGRATION_LOCK_PAUSE_GROWTH, MIGRATION_LOCK_LONGEST_PAUSE);

		if (how == MIGRATION_LOCK_WITHOUT_SNAPSHOT)
			migration_lock_drop_snapshot();
		migration_lock_pause((long) this_pause + 1);
	}
}

/*
 * Whether another process, or a prepared transaction, holds the lock.  *pid is
 * its process id, 0 for a prepared transaction; untouched when nobody holds it.
 * The answer may be out of date at once.  Works in recovery, where nobody does.
 */
bool
migration_lock_holder(Oid extension, const char *track, int *pid)
{
	LOCKTAG		tag;

	migration_lock_tag(&tag, extension, track);
	return migration_lock_find_holder(&tag, false, pid);
}

/* The same where this process counts too. */
bool
migration_lock_any_holder(Oid extension, const char *track, int *pid)
{
	LOCKTAG		tag;

	migration_lock_tag(&tag, extension, track);
	return migration_lock_find_holder(&tag, true, pid);
}

/*
 * Pause for up to ms milliseconds; shorter when the latch is set meanwhile.
 * Errors: whatever an interrupt raises.
 */
void
migration_lock_pause(long ms)
{
	(void) WaitLatch(MyLatch,
					 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 ms,
					 PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}
