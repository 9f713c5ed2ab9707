/*
 * retry.c
 *		lock_timeout shared by the waits of a try, and the next try.
 *
 * A statement that waits for a strong lock keeps everybody else waiting behind
 * it, and so does a transaction that has one and waits for the next. So the
 * waits of a try share one lock_timeout, from the first lock on that blocks
 * writers; without one each wait has it for itself, as in any session.
 *
 * PostgreSQL reads lock_timeout when a wait begins, and nothing can be asked
 * then. A timer that ticks while a try runs looks whether this process waits,
 * for what, and since when. It writes what is left into the setting, where the
 * next wait finds it, and keeps the lock's tag: when the error of an expiry can
 * be caught, core has forgotten what it waited for.
 *
 * The caller rolls the try back before it asks for the report, which needs a
 * transaction, reads catalogs and takes snapshots of its own. The pause needs
 * none of it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "tcop/utility.h"
#include "utils/backend_status.h"
#include "utils/guc_tables.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "errors.h"
#include "held_locks.h"
#include "migration_lock.h"
#include "retry.h"
#include "retry_internal.h"

/*
 * Milliseconds. Fifty looks a lock_timeout, and no more than twenty a second:
 * each wakes the process, and so cuts a pause of vacuum_cost_delay short. Where
 * the waits share nothing, as in VACUUM, it is enough to see each of them.
 */
#define RETRY_TICKS 50
#define RETRY_TICKS_APART 3
#define RETRY_SHORTEST_TICK 5
#define RETRY_LONGEST_TICK 50
#define RETRY_LONGEST_TICK_APART 1000

/* Milliseconds by which many short waits may exceed what they share. */
#define RETRY_GRACE 250

/* Ten pauses take half a minute together. */
#define RETRY_FIRST_PAUSE 200.0
#define RETRY_PAUSE_GROWTH 1.6
#define RETRY_LONGEST_PAUSE 30000.0

/* Held locks read, after which only a try that has waited reads them. */
#define RETRY_LOCKS_READ 200000

struct Retry
{
	const char *label;
	bool		managed;		/* the script runs under tapmig's lock_timeout */
	int			lock_retries;
	int			retry_work_ms;
	int			tries;			/* ended by an expiry or a deadlock */
	instr_time	began;
	double		pause_ms;
	double		this_pause_ms;	/* with its jitter */
	ExecutorObserver observer;
	RetryAfter	after;			/* called behind the watch, with after_arg; or NULL */
	void	   *after_arg;

	/* What the watch has seen of the try that ended. */
	double		waited_ms;
	RetryWait	wait;			/* the last one of the statement */
	double		wait_ms;
	bool		expired;		/* it lasted for as long as it was given */
	bool		used_up;		/* the waits of the try, together, have */
};

/*
 * The try that is watched, for the timer. Stopped on every way out of a try, by
 * retry_end().
 */
static struct
{
	volatile bool active;
	volatile bool managed;		/* lock_timeout is ours to change */
	volatile bool strong;		/* a lock that blocks writers is held */
	volatile bool unsure;		/* or may be: a utility statement has run */
	GucSource	source;			/* of lock_timeout, as it was found */
	int			nominal_ms;
	volatile int written_ms;	/* what lock_timeout was made */
	int			tick_ms;
	int64		locks_read;

	RetryWait	wait;			/* under way, or the last one of the statement */
	volatile int given_ms;		/* the lock_timeout that it began with */
	volatile double wait_ms;

	TimestampTz last_tick;
	volatile double used_ms;	/* by the waits that share */
	volatile double waited_ms;	/* by all but the last one */
}			watch;

static TimeoutId retry_timeout = MAX_TIMEOUTS;
static struct config_generic *retry_setting = NULL;
static ProcessUtility_hook_type retry_previous_utility = NULL;

static bool
retry_blocks_writers(LOCKMODE mode)
{
	return DoLockModesConflict(mode, RowExclusiveLock);
}

/* Whether nobody but tapmig has set lock_timeout since the script began. */
static bool
retry_owns_setting(void)
{
	return watch.managed && LockTimeout == watch.written_ms &&
		retry_setting->source == PGC_S_INTERACTIVE;
}

static void
retry_write_setting(void)
{
	int			shortest = 3 * watch.tick_ms;
	int			grace = Min(watch.nominal_ms / 2, RETRY_GRACE);
	int			left = watch.nominal_ms - (int) watch.used_ms;

	if (!retry_owns_setting())
		return;

	/* Long enough to be seen; a try of very many waits is cut all the same. */
	if (left < shortest)
		left = left > -grace ? shortest : 1;
	left = Min(left, watch.nominal_ms);
	watch.written_ms = left;
	LockTimeout = left;
}

/* Adds the last wait to those before it. */
static void
retry_close_wait(void)
{
	watch.waited_ms += watch.wait_ms;
	watch.wait_ms = 0;
}

/*
 * Who holds what this process waits for. To be asked while it does: as soon as
 * it gives up, those who queued behind it hold the lock as well.
 *
 * In a signal handler no lightweight lock can be taken, so the list is read as
 * it is. The lock itself stays as long as this process waits for it. An entry
 * may be taken out of the list or be another lock's meanwhile: its memory is
 * shared memory still, and myLock tells. So this may miss somebody, or name one
 * who has just gone, and the report asks the lock table again.
 */
static void
retry_note_holders(LOCK *lock)
{
	CompatLockLink *list = COMPAT_LOCK_LIST(lock);
	CompatLockLink *link = list->next;
	int			n = 0;

	while (link != NULL && link != list && n < RETRY_HOLDERS_MAX)
	{
		PROCLOCK   *proclock = (PROCLOCK *) ((char *) link - offsetof(PROCLOCK, lockLink));

		link = link->next;
		if (proclock->tag.myLock != lock)
			break;
		if (proclock->tag.myProc != MyProc &&
			held_locks_conflict(proclock->holdMask, watch.wait.mode))
			watch.wait.holders[n++] = proclock->tag.myProc->pid;
	}
	watch.wait.n_holders = n;
}

/*
 * The timer's handler, in a signal handler. It reads this process's own entry;
 * a lock that it waits for, or has just been granted, stays where it is.
 */
static void
retry_tick(void)
{
	TimestampTz now = GetCurrentTimestamp();
	double		since_tick_ms = (now - watch.last_tick) / 1000.0;
	LOCK	   *lock;
	TimestampTz start;
	LOCKMODE	mode;

	/* First of all: a process that ends has no entry any more. */
	if (!watch.active)
		return;
	watch.last_tick = now;
	lock = MyProc->waitLock;
	start = (TimestampTz) pg_atomic_read_u64(&MyProc->waitStart);
	mode = MyProc->waitLockMode;
	if (lock == NULL || start == 0)
		return;
	if (start != watch.wait.since)
	{
		retry_close_wait();
		watch.wait.since = start;
		watch.wait.tag = lock->tag;
		watch.wait.mode = mode;
		watch.given_ms = LockTimeout;
	}
	retry_note_holders(lock);
	watch.wait_ms = Max(0, (now - start) / 1000.0);

	/*
	 * A wait's end is not seen, nor is every short wait. So each tick that finds
	 * one stands for the time since the tick before: too much for one wait, too
	 * little for another, and right for many.
	 */
	if (watch.strong || watch.unsure ||
		(lock->tag.locktag_type == LOCKTAG_RELATION && retry_blocks_writers(mode)))
		watch.used_ms += Min(since_tick_ms, Max(watch.tick_ms, watch.wait_ms));
	retry_write_setting();
}

/*
 * Nobody catches the end of the process in the middle of a try, and the timer
 * would tick on while the process gives up its entry.
 */
static void
retry_at_exit(int code, Datum arg)
{
	watch.active = false;
	disable_timeout(retry_timeout, false);
}

/* Whether a lock is held that keeps writers from a relation that others know. */
static bool
retry_holds_strong(void)
{
	HeldLock   *locks;
	int			n = held_locks_read(&locks);
	bool		found = false;

	watch.locks_read += n;
	for (int i = 0; i < n && !found; i++)
	{
		Relation	relation;

		if (!retry_blocks_writers(held_locks_strongest(locks[i].modes)))
			continue;
		relation = RelationIdGetRelation(locks[i].relation);
		found = relation == NULL || relation->rd_createSubid == InvalidSubTransactionId;
		if (relation != NULL)
			RelationClose(relation);
	}
	pfree(locks);
	return found;
}

/* Looks whether the try holds a strong lock now, as long as that is not too dear. */
static void
retry_look_at_locks(void)
{
	if (!watch.managed || watch.strong)
		return;
	watch.unsure = watch.locks_read >= RETRY_LOCKS_READ;
	if (!watch.unsure)
		watch.strong = retry_holds_strong();
}

/* A block may run many, and wait for rows between them. */
static void
retry_utility(PlannedStmt *statement, const char *text, bool read_only_tree,
			  ProcessUtilityContext context, ParamListInfo params,
			  QueryEnvironment *environment, DestReceiver *dest,
			  QueryCompletion *completion)
{
	(retry_previous_utility ? retry_previous_utility : standard_ProcessUtility)
		(statement, text, read_only_tree, context, params, environment, dest, completion);
	if (watch.active)
		retry_look_at_locks();
}

/* Called once, by _PG_init. */
void
retry_install_hooks(void)
{
	retry_previous_utility = ProcessUtility_hook;
	ProcessUtility_hook = retry_utility;
}

static int
retry_choose_tick(void)
{
	int			timeout = LockTimeout > 0 ? LockTimeout : DeadlockTimeout;
	int			tick = watch.managed ? timeout / RETRY_TICKS : timeout / RETRY_TICKS_APART;

	return Max(Min(tick, watch.managed ? RETRY_LONGEST_TICK : RETRY_LONGEST_TICK_APART),
			   RETRY_SHORTEST_TICK);
}

static void
retry_before_statement(int index, void *arg)
{
	Retry	   *retry = arg;
	int			tick;

	/* The setting is the executor's, made before the first statement. */
	if (!watch.active)
	{
		watch.nominal_ms = LockTimeout;
		watch.written_ms = LockTimeout;
		watch.source = retry_setting->source;
		watch.managed = retry->managed && LockTimeout > 0;

		/* A SET of the script's is told from ours by it. */
		if (watch.managed)
			retry_setting->source = PGC_S_INTERACTIVE;
		watch.last_tick = GetCurrentTimestamp();
		watch.active = true;

		/* The transaction may hold one from before. */
		retry_look_at_locks();
	}
	retry_close_wait();
	watch.wait.since = 0;

	/* Finer for a timeout that has become shorter. */
	tick = retry_choose_tick();
	if (tick != watch.tick_ms)
	{
		watch.tick_ms = tick;
		enable_timeout_every(retry_timeout,
							 TimestampTzPlusMilliseconds(GetCurrentTimestamp(), tick),
							 tick);
	}
}

static void
retry_after_statement(int index, void *arg)
{
	Retry	   *retry = arg;

	if (watch.managed && !watch.strong && watch.wait.since != 0)
	{
		watch.strong = retry_holds_strong();
		watch.unsure = false;
		if (!watch.strong)
		{
			/* What was waited for kept nobody else waiting. */
			watch.used_ms = 0;
			retry_write_setting();
		}
	}
	if (retry->after != NULL)
		retry->after(index, retry->after_arg);
}

/*
 * What a script needs to be tried more than once. settings: of the call, read
 * at its entry; label: the migration's, for messages; after: what else is to
 * look on when a statement has ended, with after_arg, or NULL. The result is in
 * the current memory context.
 */
Retry *
retry_create(const Settings *settings, const char *label, RetryAfter after,
			 void *after_arg)
{
	Retry	   *retry = palloc0(sizeof(Retry));

	retry->label = label;
	retry->lock_retries = settings->lock_retries;
	retry->retry_work_ms = settings->retry_work_ms;
	retry->pause_ms = RETRY_FIRST_PAUSE;
	retry->observer.before = retry_before_statement;
	retry->observer.after = retry_after_statement;
	retry->observer.arg = retry;
	retry->after = after;
	retry->after_arg = after_arg;

	if (retry_timeout == MAX_TIMEOUTS)
	{
		retry_timeout = RegisterTimeout(USER_TIMEOUT, retry_tick);
		before_shmem_exit(retry_at_exit, 0);
	}
	if (retry_setting == NULL)
		retry_setting = &executor_lock_timeout()->gen;
	return retry;
}

/*
 * A try begins. managed: lock_timeout is tapmig's when its first statement
 * begins, and not the session's or the script's own. Whoever calls this calls
 * retry_end(), also after an error.
 */
void
retry_begin(Retry *retry, bool managed)
{
	memset(&watch, 0, sizeof(watch));
	retry->managed = managed;
	retry->wait.since = 0;
	retry->waited_ms = 0;
	INSTR_TIME_SET_CURRENT(retry->began);
}

/* What the executor is to tell of the try's statements. */
const ExecutorObserver *
retry_observer(Retry *retry)
{
	return &retry->observer;
}

/*
 * The lock_timeout for what the try still has to do after its statements, in
 * milliseconds: what they have left of it. 0: the session's.
 */
int
retry_left_ms(const Retry *retry)
{
	return retry->managed && watch.active ? watch.written_ms : 0;
}

/*
 * The try has ended, with all of its work or by an error; then this is called
 * before anything is rolled back.
 */
void
retry_end(Retry *retry, bool failed)
{
	if (!watch.active)
		return;
	disable_timeout(retry_timeout, false);
	watch.active = false;

	/* The expiry came between two ticks. */
	if (failed && watch.wait.since != 0)
		watch.wait_ms = Max(0, (GetCurrentTimestamp() - watch.wait.since) / 1000.0);
	if (retry_owns_setting())
		LockTimeout = watch.nominal_ms;
	if (watch.managed && retry_setting->source == PGC_S_INTERACTIVE)
		retry_setting->source = watch.source;
	retry->wait = watch.wait;
	retry->wait_ms = watch.wait_ms;
	retry->expired = watch.wait_ms >= watch.given_ms;
	retry->used_up = watch.managed && watch.used_ms >= watch.nominal_ms;
	retry_close_wait();

	/* Short waits are not all in the one, and long ones of rows not in the other. */
	retry->waited_ms = Max(watch.waited_ms, watch.used_ms);
}

/* Whether an error is a lock's expiry, or a deadlock. */
bool
retry_is_blocked(const ErrorData *edata)
{
	return edata->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ||
		edata->sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED;
}

/* Whether the last wait that was seen is the one that expired. */
static bool
retry_has_expired(const Retry *retry)
{
	return retry->wait.since != 0 && retry->expired;
}

/* Whether it was, in a worker, for the session that waits for the worker's end. */
static bool
retry_waited_for_caller(const Retry *retry)
{
	if (MyBgworkerEntry == NULL || !retry_has_expired(retry))
		return false;
	for (int i = 0; i < retry->wait.n_holders; i++)
	{
		if (retry->wait.holders[i] == MyBgworkerEntry->bgw_notify_pid)
			return true;
	}
	return false;
}

/* What the try ran into, as a message's middle: "waited 5 s for ..." */
static char *
retry_what(const Retry *retry, const ErrorData *edata)
{
	if (edata->sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED)
		return pstrdup("met a deadlock");
	if (!retry_has_expired(retry) && retry->used_up)
		return psprintf("waited %s for one lock after the other",
						retry_duration(retry->waited_ms));
	if (!retry_has_expired(retry))
		return pstrdup("did not get a lock at once (NOWAIT)");
	if (retry->used_up && retry->wait_ms < retry->waited_ms / 2)
		return psprintf("waited %s for one lock after the other, at last for %s",
						retry_duration(retry->waited_ms),
						retry_lock_name(&retry->wait.tag, retry->wait.mode));
	return psprintf("waited %s for %s", retry_duration(retry->wait_ms),
					retry_lock_name(&retry->wait.tag, retry->wait.mode));
}

/* Who stood in its way, and what core's own error says of a deadlock. */
static char *
retry_detail(const Retry *retry, const ErrorData *edata)
{
	char	   *blockers = retry->wait.since != 0 ? retry_blockers(&retry->wait) : NULL;
	bool		deadlock = edata->sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED;

	if (!deadlock && !retry_has_expired(retry))
		return edata->message;
	if (blockers == NULL)
		blockers = pstrdup("Nobody holds it any more.");
	if (deadlock && edata->detail != NULL)
		return psprintf("%s\n%s", edata->detail, blockers);
	return blockers;
}

/*
 * Reports the expiry or deadlock that ended a try: its (sub)transaction has been
 * rolled back, and the current one may read catalogs. Returns whether another
 * try is due, said in a NOTICE; else edata is turned into TM005. why_not: why
 * there can be no other try, as a sentence and with a next action, or NULL.
 */
bool
retry_report(Retry *retry, ErrorData *edata, const char *why_not)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "tapmig blockers", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	char	   *what = retry_what(retry, edata);
	char	   *detail = retry_detail(retry, edata);
	instr_time	now;
	double		work_ms;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, retry->began);
	work_ms = INSTR_TIME_GET_MILLISEC(now) - retry->waited_ms;
	retry->tries++;

	if (why_not == NULL && retry_waited_for_caller(retry))
		why_not = "It was rolled back. The session that called it holds the lock, and waits for its end: release it there before the CALL (SELECT pg_advisory_unlock_all()), and run it again.";
	else if (why_not == NULL && retry->tries > retry->lock_retries)
		why_not = psprintf("It was tried %d %s, and rolled back. Run it again when the table is less busy, end who blocks it (SELECT pg_terminate_backend(pid)), or raise tapmig.lock_retries.",
						   retry->tries, retry->tries == 1 ? "time" : "times");
	else if (why_not == NULL && work_ms >= retry->retry_work_ms)
		why_not = psprintf("It was rolled back. It had worked for %s, so that it is not begun again by itself: run it again when the table is less busy, or raise tapmig.retry_work.",
						   retry_duration(work_ms));
	if (why_not != NULL)
	{
		MemoryContextSwitchTo(caller);
		edata->sqlerrcode = TAPMIG_ERRCODE_BLOCKED;
		edata->message = psprintf("migration %s is blocked: it %s", retry->label, what);
		edata->detail = pstrdup(detail);
		edata->hint = pstrdup(why_not);
		MemoryContextDelete(context);
		return false;
	}

	/* Jitter: two that met must not meet again. */
	if (retry->tries > 1)
		retry->pause_ms = Min(retry->pause_ms * RETRY_PAUSE_GROWTH, RETRY_LONGEST_PAUSE);
	retry->this_pause_ms = retry->pause_ms *
		(0.75 + 0.5 * pg_prng_double(&pg_global_prng_state));
	ereport(NOTICE,
			(errmsg("migration %s %s and was rolled back; try %d of %d follows in %s",
					retry->label, what, retry->tries + 1, retry->lock_retries + 1,
					retry_duration(retry->this_pause_ms)),
			 errdetail_internal("%s", detail),
			 edata->context != NULL ? errcontext_msg("%s", edata->context) : 0));
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return true;
}

/*
 * Waits until the next try is due. The caller holds no snapshot where it can do
 * without. Errors: whatever an interrupt raises.
 */
void
retry_pause(const Retry *retry)
{
	char	   *activity = psprintf("tapmig %s: waits to try again", retry->label);
	instr_time	start;

	pgstat_report_activity(STATE_RUNNING, activity);
	pfree(activity);
	INSTR_TIME_SET_CURRENT(start);
	for (;;)
	{
		instr_time	now;
		double		left;

		INSTR_TIME_SET_CURRENT(now);
		INSTR_TIME_SUBTRACT(now, start);
		left = retry->this_pause_ms - INSTR_TIME_GET_MILLISEC(now);
		if (left <= 0)
			break;
		migration_lock_pause((long) left + 1);
	}
	pgstat_report_activity(STATE_RUNNING, debug_query_string);
}
