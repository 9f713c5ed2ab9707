/*
 * rehearsal_watch.c
 *		Looks on while a script is rehearsed.
 *
 * After each statement it notes what is newly locked, scanned or in another
 * file, by oid only: what the oids are is looked up when all is rolled back and
 * the catalogs are again as they were. No single signal shows a rewrite. The
 * event trigger does not fire for all of them; a new relfilenode is also what
 * TRUNCATE leaves, which its object access hook shows. A scan that only verifies
 * shows in the counters of sequential scans.
 *
 * A timer looks whether a lock that blocks writers has been held for too long,
 * and cancels the statement then. Its handler reads the lock lists, in the
 * middle of whatever the backend was doing; see rehearsal_tick() for why it may.
 * While it is armed SIGINT passes through here, so that the user's own cancel
 * is never taken for the limit's.
 *
 * State: one watch at a time (a script cannot rehearse), in static variables
 * which are put back by rehearsal_watch_end() on every way out.
 */
#include "postgres.h"

#include <math.h>
#include <signal.h>

#include "access/htup_details.h"
#include "access/table.h"
#include "access/genam.h"
#include "access/transam.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "executor/instrument.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/pgstat_internal.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "held_locks.h"
#include "rehearsal.h"
#include "rehearsal_internal.h"

/* The modes that conflict with ROW EXCLUSIVE, which INSERT and its kin take. */
#define BLOCKS_WRITERS \
	(LOCKBIT_ON(ShareLock) | LOCKBIT_ON(ShareRowExclusiveLock) | \
	 LOCKBIT_ON(ExclusiveLock) | LOCKBIT_ON(AccessExclusiveLock))

/* More relations than these are not listed one by one. */
#define TOUCHED_MAX		64

/* The longest time between two looks at the locks held. */
#define TICK_MAX_MS		20

/* A relation that is locked: an entry of a hash table. */
typedef struct RehearsalSeen
{
	Oid			relation;		/* key */
	LOCKMASK	modes;
	bool		made;			/* by the script */
	bool		rewritable;		/* a table or materialized view */
	Oid			relfilenode;	/* last seen; InvalidOid: not looked at */
	PgStat_TableStatus *counters;	/* NULL: its scans are not counted */
	PgStat_Counter scans;		/* last seen */
	PgStat_Counter rows_read;	/* by them */
	int			fact;			/* the last one about it, -1: none */
} RehearsalSeen;

/* Scans that the counters had before the script began. */
typedef struct RehearsalScans
{
	Oid			relation;
	PgStat_Counter scans;
	PgStat_Counter rows_read;
} RehearsalScans;

typedef struct RehearsalState
{
	RehearsalWatch watch;
	MemoryContext context;		/* of all that is here */
	HeldLocksWatch *locks;
	instr_time	began;
	int64		wal_bytes;		/* at the statement's start */
	bool		in_statement;

	HTAB	   *seen;			/* of RehearsalSeen */
	RehearsalSeen **counted;	/* those with counters */
	int			n_counted;
	int			max_counted;
	Oid			touched[TOUCHED_MAX];	/* the caches' news of relations */
	int			n_touched;		/* beyond TOUCHED_MAX: of all */
	RehearsalScans *old_scans;	/* by oid */
	int			n_old_scans;
	Oid		   *truncated;		/* by the statement under way */
	int			n_truncated;
	int			max_truncated;
	int			max_facts;

	/* Read by the handlers; changed with interrupts held only. */
	Oid		   *exempt;			/* by oid: made by the script, or locked before */
	int			n_exempt;
	int			max_exempt;
	int			limit_ms;
	TimestampTz free_at;		/* when no lock that counts was held */
	struct sigaction interrupt; /* the handler of SIGINT before ours */
	volatile sig_atomic_t limit_hit;
	volatile sig_atomic_t cancelled;	/* somebody else wants to cancel */
} RehearsalState;

/* Not in a memory context: a FATAL error frees those, and handlers still run. */
static RehearsalState storage;
static RehearsalState *volatile state = NULL;
static TimeoutId tick_timeout = MAX_TIMEOUTS;
static object_access_hook_type previous_object_access_hook = NULL;

/* Since the try began, in whole microseconds. */
static double
rehearsal_now_ms(void)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, state->began);
	return rint(INSTR_TIME_GET_MICROSEC(now)) / 1000;
}

/* Adds an oid to the sorted list of relations that the limit does not see. */
static void
rehearsal_exempt(Oid relation)
{
	int			i = state->n_exempt;

	if (i == state->max_exempt)
	{
		Oid		   *old = state->exempt;
		Oid		   *new = MemoryContextAllocHuge(state->context,
												 2 * i * sizeof(Oid));

		memcpy(new, old, i * sizeof(Oid));
		HOLD_INTERRUPTS();
		state->exempt = new;
		RESUME_INTERRUPTS();
		state->max_exempt = 2 * i;
		pfree(old);
	}

	HOLD_INTERRUPTS();
	for (; i > 0 && state->exempt[i - 1] > relation; i--)
		state->exempt[i] = state->exempt[i - 1];
	state->exempt[i] = relation;
	state->n_exempt++;
	RESUME_INTERRUPTS();
}

static int
rehearsal_compare_oids(const void *a, const void *b)
{
	Oid			x = *(const Oid *) a;
	Oid			y = *(const Oid *) b;

	return x < y ? -1 : x > y;
}

static bool
rehearsal_is_exempt(Oid relation)
{
	return bsearch(&relation, state->exempt, state->n_exempt, sizeof(Oid),
				   rehearsal_compare_oids) != NULL;
}

/* Notes what the script makes, and what it truncates. */
static void
rehearsal_object_access(ObjectAccessType access, Oid class_id, Oid object_id,
						int sub_id, void *arg)
{
	if (previous_object_access_hook)
		previous_object_access_hook(access, class_id, object_id, sub_id, arg);

	if (state == NULL || class_id != RelationRelationId || sub_id != 0)
		return;
	if (access == OAT_POST_CREATE)
		rehearsal_exempt(object_id);
	else if (access == OAT_TRUNCATE)
	{
		if (state->n_truncated == state->max_truncated)
		{
			state->max_truncated *= 2;
			state->truncated = repalloc_huge(state->truncated,
											 state->max_truncated * sizeof(Oid));
		}
		state->truncated[state->n_truncated++] = object_id;
	}
}

/* Called once, by _PG_init. */
void
rehearsal_install_hooks(void)
{
	previous_object_access_hook = object_access_hook;
	object_access_hook = rehearsal_object_access;
}

static bool
rehearsal_counts(const LOCKTAG *tag)
{
	return !rehearsal_is_exempt((Oid) tag->locktag_field2);
}

/*
 * The timer: a signal handler. It may read the lock lists since it does so only
 * where the backend holds no lightweight lock and is not about to take or free
 * one, which both hold interrupts off, as the caller of this handler does once;
 * and it does not wait for a lightweight lock. Where it cannot look it leaves
 * that to the next tick.
 */
static void
rehearsal_tick(void)
{
	TimestampTz now;
	bool		found;

	if (state == NULL || InterruptHoldoffCount != 1 || CritSectionCount != 0 ||
		!held_locks_look(BLOCKS_WRITERS, rehearsal_counts, &found))
		return;

	now = GetCurrentTimestamp();
	if (!found)
		state->free_at = now;
	else if (TimestampDifferenceExceeds(state->free_at, now, state->limit_ms))
	{
		/* Each tick again, since a script may catch query_canceled. */
		state->limit_hit = true;
		InterruptPending = true;
		QueryCancelPending = true;
	}
}

/* SIGINT: a cancel, statement_timeout, or the lock_timeout that is an error of its own. */
static void
rehearsal_interrupt(int signo)
{
	int			save_errno = errno;

	if (state != NULL)
	{
		if (!get_timeout_indicator(LOCK_TIMEOUT, false))
			state->cancelled = true;
		if (state->interrupt.sa_handler != SIG_DFL && state->interrupt.sa_handler != SIG_IGN)
			state->interrupt.sa_handler(signo);
	}
	errno = save_errno;
}

static void
rehearsal_arm(int limit_ms)
{
	struct sigaction action;
	int			tick_ms = Max(1, Min(TICK_MAX_MS, limit_ms / 10));

	if (limit_ms == 0)
		return;
	state->limit_ms = limit_ms;
	if (tick_timeout == MAX_TIMEOUTS)
		tick_timeout = RegisterTimeout(USER_TIMEOUT, rehearsal_tick);
	sigaction(SIGINT, NULL, &state->interrupt);
	action = state->interrupt;
	action.sa_handler = rehearsal_interrupt;
	sigaction(SIGINT, &action, NULL);
	enable_timeout_every(tick_timeout,
						 TimestampTzPlusMilliseconds(GetCurrentTimestamp(), tick_ms),
						 tick_ms);
}

static void
rehearsal_disarm(void)
{
	struct sigaction action;

	if (state->limit_ms == 0)
		return;
	disable_timeout(tick_timeout, false);
	sigaction(SIGINT, NULL, &action);
	if (action.sa_handler == rehearsal_interrupt)
		sigaction(SIGINT, &state->interrupt, NULL);

	/* Takes back what the limit has asked for, and nobody else. */
	if (state->limit_hit)
	{
		QueryCancelPending = false;
		if (state->cancelled)
			InterruptPending = QueryCancelPending = true;
	}
}

/*
 * The counters last from one transaction to the next until they are sent: what
 * they have now is not the script's.
 */
static void
rehearsal_read_old_scans(void)
{
	Relation	rel = table_open(RelationRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(rel, ClassOidIndexId, true, NULL, 0, NULL);
	int			max = 16;
	HeapTuple	tuple;

	state->old_scans = palloc(max * sizeof(RehearsalScans));
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_class class = (Form_pg_class) GETSTRUCT(tuple);
		PgStat_EntryRef *ref;
		RehearsalScans *old;

		CHECK_FOR_INTERRUPTS();
		if (class->oid < FirstNormalObjectId ||
			(class->relkind != RELKIND_RELATION && class->relkind != RELKIND_MATVIEW &&
			 class->relkind != RELKIND_INDEX))
			continue;
		ref = pgstat_fetch_pending_entry(PGSTAT_KIND_RELATION, MyDatabaseId, class->oid);
		if (ref == NULL)
			continue;
		if (state->n_old_scans == max)
		{
			max *= 2;
			state->old_scans = repalloc_huge(state->old_scans, max * sizeof(RehearsalScans));
		}
		old = &state->old_scans[state->n_old_scans++];
		old->relation = class->oid;
		old->scans = COMPAT_NUMSCANS((PgStat_TableStatus *) ref->pending);
		old->rows_read = COMPAT_TUPLES_RETURNED((PgStat_TableStatus *) ref->pending);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	qsort(state->old_scans, state->n_old_scans, sizeof(RehearsalScans),
		  rehearsal_compare_oids);
}

/* A relation's definition or file has changed, or any's (InvalidOid). */
static void
rehearsal_touched(Datum arg, Oid relation)
{
	if (state == NULL)
		return;
	if (!OidIsValid(relation))
		state->n_touched = TOUCHED_MAX + 1;
	else if (relation >= FirstNormalObjectId && state->n_touched <= TOUCHED_MAX)
	{
		if (state->n_touched < TOUCHED_MAX)
			state->touched[state->n_touched] = relation;
		state->n_touched++;
	}
}

/* The relation's fact in the statement under way, made where there is none. */
static RehearsalFact *
rehearsal_fact(RehearsalSeen *seen)
{
	RehearsalWatch *watch = &state->watch;
	RehearsalFact *fact;

	if (seen->fact >= 0 && watch->facts[seen->fact].statement == watch->last)
		return &watch->facts[seen->fact];
	if (watch->n_facts == state->max_facts)
	{
		state->max_facts *= 2;
		watch->facts = repalloc_huge(watch->facts, state->max_facts * sizeof(RehearsalFact));
	}
	seen->fact = watch->n_facts++;
	fact = &watch->facts[seen->fact];
	memset(fact, 0, sizeof(*fact));
	fact->statement = watch->last;
	fact->relation = seen->relation;
	for (int i = 0; i < state->n_truncated && !fact->truncated; i++)
		fact->truncated = state->truncated[i] == seen->relation;
	return fact;
}

/*
 * Notes where a relation's scans are counted. look: the relation may be opened;
 * its counters are made then, so that they need not be looked for again.
 */
static void
rehearsal_find_counters(RehearsalSeen *seen, bool look)
{
	const RehearsalScans *old;
	PgStat_EntryRef *ref;
	Relation	rel = look ? RelationIdGetRelation(seen->relation) : NULL;

	if (rel != NULL)
	{
		char		relkind = rel->rd_rel->relkind;

		seen->rewritable = relkind == RELKIND_RELATION || relkind == RELKIND_MATVIEW;
		if (!seen->rewritable && relkind != RELKIND_INDEX)
		{
			RelationClose(rel);
			return;
		}
		/* As relation_open() does: a lock alone has not made the counters ready. */
		pgstat_init_relation(rel);
		if (rel->pgstat_info == NULL && rel->pgstat_enabled)
			pgstat_assoc_relation(rel);
		RelationClose(rel);
	}

	ref = pgstat_fetch_pending_entry(PGSTAT_KIND_RELATION, MyDatabaseId, seen->relation);
	if (ref == NULL)
		return;
	seen->counters = ref->pending;
	old = bsearch(&seen->relation, state->old_scans, state->n_old_scans,
				  sizeof(RehearsalScans), rehearsal_compare_oids);
	if (old != NULL)
	{
		seen->scans = old->scans;
		seen->rows_read = old->rows_read;
	}
	if (state->n_counted == state->max_counted)
	{
		state->max_counted *= 2;
		state->counted = repalloc_huge(state->counted,
									   state->max_counted * sizeof(RehearsalSeen *));
	}
	state->counted[state->n_counted++] = seen;
}

/* Notes a lock. */
static void
rehearsal_note_lock(const HeldLock *lock, bool look)
{
	RehearsalSeen *seen;
	bool		found;

	seen = hash_search(state->seen, &lock->relation, HASH_ENTER, &found);
	if (!found)
	{
		memset((char *) seen + sizeof(Oid), 0, sizeof(*seen) - sizeof(Oid));
		seen->fact = -1;
		seen->made = rehearsal_is_exempt(lock->relation);
		if (!seen->made)
			rehearsal_find_counters(seen, look);
	}
	if (!seen->made && (lock->modes & ~seen->modes))
	{
		rehearsal_fact(seen)->modes |= lock->modes & ~seen->modes;
		seen->modes |= lock->modes;
		/* Nothing but ACCESS EXCLUSIVE lets a file be exchanged. */
		if (look && (seen->modes & LOCKBIT_ON(AccessExclusiveLock)))
			rehearsal_touched((Datum) 0, seen->relation);
	}
}

/* Notes a relation's file, where it may be another one. */
static void
rehearsal_note_file(RehearsalSeen *seen)
{
	HeapTuple	tuple;
	Oid			relfilenode;

	if (seen == NULL || !seen->rewritable || seen->made ||
		!(seen->modes & LOCKBIT_ON(AccessExclusiveLock)))
		return;
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(seen->relation));
	if (!HeapTupleIsValid(tuple))
		return;					/* dropped */
	relfilenode = ((Form_pg_class) GETSTRUCT(tuple))->relfilenode;
	ReleaseSysCache(tuple);
	if (relfilenode != seen->relfilenode)
	{
		rehearsal_fact(seen)->relfilenode = relfilenode;
		seen->relfilenode = relfilenode;
	}
}

static void
rehearsal_note_files(void)
{
	/* The look-ups may bring news of their own: the list may grow meanwhile. */
	for (int i = 0; i < state->n_touched && state->n_touched <= TOUCHED_MAX; i++)
		rehearsal_note_file(hash_search(state->seen, &state->touched[i], HASH_FIND, NULL));

	if (state->n_touched > TOUCHED_MAX)
	{
		HASH_SEQ_STATUS all;
		RehearsalSeen *seen;

		hash_seq_init(&all, state->seen);
		while ((seen = hash_seq_search(&all)) != NULL)
			rehearsal_note_file(seen);
	}
	state->n_touched = 0;
}

/*
 * Notes what the statement under way has done; look: the catalogs may be read,
 * which is not so after an error. It costs the statement little more than a look
 * at the modes and the counters of what is locked.
 */
static void
rehearsal_note(bool look)
{
	HeldLock   *locks;
	int			n = held_locks_news(state->locks, &locks);

	for (int i = 0; i < n; i++)
	{
		if (locks[i].relation >= FirstNormalObjectId)
			rehearsal_note_lock(&locks[i], look);
	}
	for (int i = 0; i < state->n_counted; i++)
	{
		RehearsalSeen *seen = state->counted[i];
		RehearsalFact *fact;

		if (COMPAT_NUMSCANS(seen->counters) == seen->scans)
			continue;
		fact = rehearsal_fact(seen);
		fact->scans = COMPAT_NUMSCANS(seen->counters) - seen->scans;
		fact->rows_read = COMPAT_TUPLES_RETURNED(seen->counters) - seen->rows_read;
		seen->scans = COMPAT_NUMSCANS(seen->counters);
		seen->rows_read = COMPAT_TUPLES_RETURNED(seen->counters);
	}
	if (look)
		rehearsal_note_files();
	state->n_truncated = 0;
}

/*
 * Makes a watch; what it gathers is in the current memory context, which has to
 * outlive the subtransaction. Whatever happens then, rehearsal_watch_end() has
 * to follow. The result holds until the next call.
 */
RehearsalWatch *
rehearsal_watch_begin(int n_statements)
{
	RehearsalState *new = &storage;
	HASHCTL		control = {0};
	RehearsalWatch *watch = &new->watch;

	Assert(state == NULL);
	memset(new, 0, sizeof(*new));
	new->context = CurrentMemoryContext;
	new->locks = held_locks_watch();
	control.keysize = sizeof(Oid);
	control.entrysize = sizeof(RehearsalSeen);
	control.hcxt = CurrentMemoryContext;
	new->seen = hash_create("tapmig rehearsal locks", 256, &control,
							HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	watch->costs = MemoryContextAllocExtended(CurrentMemoryContext,
											  Max(n_statements, 1) * sizeof(RehearsalCost),
											  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	watch->last = -1;
	new->max_facts = new->max_counted = new->max_truncated = new->max_exempt = 64;
	watch->facts = palloc(new->max_facts * sizeof(RehearsalFact));
	new->counted = palloc(new->max_counted * sizeof(RehearsalSeen *));
	new->truncated = palloc(new->max_truncated * sizeof(Oid));
	new->exempt = palloc(new->max_exempt * sizeof(Oid));
	watch->n_before = held_locks_read(&watch->before);
	state = new;
	return watch;
}

/* What was there before the first statement is no statement's. */
static void
rehearsal_forget_facts(void)
{
	HASH_SEQ_STATUS all;
	RehearsalSeen *seen;

	hash_seq_init(&all, state->seen);
	while ((seen = hash_seq_search(&all)) != NULL)
		seen->fact = -1;
	state->watch.n_facts = 0;
}

/*
 * Begins to look on. limit_ms: tapmig.rehearse_limit, 0 for none. Counters that
 * the server doesn't keep (track_counts) show no scans.
 */
void
rehearsal_watch_arm(int limit_ms)
{
	static bool registered = false;

	if (!registered)
	{
		CacheRegisterRelcacheCallback(rehearsal_touched, (Datum) 0);
		registered = true;
	}
	rehearsal_read_old_scans();
	rehearsal_note(true);
	rehearsal_forget_facts();
	for (int i = 0; i < state->watch.n_before; i++)
	{
		if (state->watch.before[i].modes & BLOCKS_WRITERS)
			rehearsal_exempt(state->watch.before[i].relation);
	}
	INSTR_TIME_SET_CURRENT(state->began);
	state->free_at = GetCurrentTimestamp();
	rehearsal_arm(limit_ms);
}

/* Statement index begins. */
void
rehearsal_watch_before(int index)
{
	RehearsalWatch *watch = &state->watch;

	watch->last = index;
	watch->costs[index].ran = true;
	state->in_statement = true;
	state->wal_bytes = pgWalUsage.wal_bytes;
	watch->costs[index].start_ms = rehearsal_now_ms();
}

static void
rehearsal_end_statement(int index, bool look)
{
	RehearsalCost *cost = &state->watch.costs[index];

	cost->end_ms = rehearsal_now_ms();
	cost->wal_bytes = pgWalUsage.wal_bytes - state->wal_bytes;
	state->in_statement = false;
	rehearsal_note(look);
}

/* It has ended without an error. Raises 57014 where it took no notice of the limit. */
void
rehearsal_watch_after(int index)
{
	rehearsal_end_statement(index, true);

	/* It caught the cancel, and went on: what it did then is not what it does. */
	if (state->limit_hit && !state->cancelled)
	{
		state->watch.unfinished = true;
		ereport(ERROR,
				(errcode(ERRCODE_QUERY_CANCELED),
				 errmsg("canceling statement due to tapmig.rehearse_limit")));
	}
}

/*
 * Ends the look-out: after the last statement, or in a PG_CATCH block before the
 * subtransaction is rolled back, with the error's code. Sets watch->cut where
 * the error is the limit's; then what the statement had done so far is noted.
 */
void
rehearsal_watch_end(bool failed, int sqlerrcode)
{
	RehearsalWatch *watch = &state->watch;

	rehearsal_disarm();
	watch->cut = failed && state->limit_hit && !state->cancelled &&
		sqlerrcode == ERRCODE_QUERY_CANCELED;
	PG_TRY();
	{
		if (watch->cut && state->in_statement)
		{
			watch->unfinished = true;
			rehearsal_end_statement(watch->last, false);
		}
		watch->end_ms = rehearsal_now_ms();
	}
	PG_FINALLY();
	{
		state = NULL;
	}
	PG_END_TRY();
}
