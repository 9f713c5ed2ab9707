/*
 * held_locks.c
 *		The locks that this backend holds on relations, and its advisory ones.
 *
 * Reads this backend's own lists only, since GetLockStatusData() takes all
 * partition locks at once and copies everybody's locks, which is too dear to
 * be done after each statement of a long script. No transaction is needed, and
 * no state is kept.
 *
 * Order of the lightweight locks: the fast-path slots first, then partition
 * after partition, one at a time. Another backend may move one of our fast-path
 * locks to the shared table in between: it is then seen in both, never in none.
 * That is all that others do to our lists, and what they moved before the slots
 * were read is seen after it; so a list that is empty then needs no lock.
 */
#include "postgres.h"

#include "access/transam.h"
#include "miscadmin.h"
#include "storage/lwlock.h"
#include "storage/proc.h"

#include "compat.h"
#include "held_locks.h"

/* The modes of a fast-path slot: three bits, from AccessShareLock on. */
#define FAST_PATH_BITS	3
#define FAST_PATH_MASK	((1 << FAST_PATH_BITS) - 1)
#define FAST_PATH_FIRST	AccessShareLock

typedef struct HeldLocksList
{
	HeldLock   *locks;
	int			n;
	int			max;
} HeldLocksList;

/* What is known of the locks; see held_locks_news(). */
struct HeldLocksWatch
{
	PROCLOCK  **proclocks;		/* of relations, none of which is freed meanwhile */
	LOCKMASK   *modes;			/* what each of them had */
	int			n;
	int			max;
	PROCLOCK   *last[NUM_LOCK_PARTITIONS];	/* the last one known, or NULL */
	HeldLocksList news;
};

static void
held_locks_add(HeldLocksList *list, Oid database, Oid relation, LOCKMASK modes)
{
	if (list->n == list->max)
	{
		list->max *= 2;
		list->locks = repalloc_huge(list->locks, (Size) list->max * sizeof(HeldLock));
	}
	list->locks[list->n].database = database;
	list->locks[list->n].relation = relation;
	list->locks[list->n].modes = modes;
	list->n++;
}

static void
held_locks_read_fast_path(HeldLocksList *list)
{
	LWLockAcquire(&MyProc->fpInfoLock, LW_SHARED);
	for (int i = 0; i < COMPAT_FAST_PATH_SLOTS; i++)
	{
		LOCKMASK	modes = (COMPAT_FAST_PATH_BITS(MyProc, i) & FAST_PATH_MASK) << FAST_PATH_FIRST;

		if (modes != 0)
			held_locks_add(list, MyProc->databaseId, MyProc->fpRelId[i], modes);
	}
	LWLockRelease(&MyProc->fpInfoLock);
}

static void
held_locks_read_shared(HeldLocksList *list)
{
	for (int i = 0; i < NUM_LOCK_PARTITIONS; i++)
	{
		LWLock	   *partition = LockHashPartitionLockByIndex(i);
		PROCLOCK   *proclock;

		if (COMPAT_NO_PROCLOCKS(&MyProc->myProcLocks[i]))
			continue;
		LWLockAcquire(partition, LW_SHARED);
		COMPAT_FOREACH_PROCLOCK(proclock, &MyProc->myProcLocks[i])
		{
			const LOCKTAG *tag = &proclock->tag.myLock->tag;

			if (tag->locktag_type == LOCKTAG_RELATION && proclock->holdMask != 0 &&
				(tag->locktag_field1 == MyDatabaseId || tag->locktag_field1 == InvalidOid))
				held_locks_add(list, tag->locktag_field1, tag->locktag_field2,
							   proclock->holdMask);
		}
		LWLockRelease(partition);
	}
}

static int
held_locks_compare(const void *a, const void *b)
{
	const HeldLock *x = a;
	const HeldLock *y = b;

	if (x->relation != y->relation)
		return x->relation < y->relation ? -1 : 1;
	if (x->database != y->database)
		return x->database < y->database ? -1 : 1;
	return 0;
}

/*
 * Reads the locks on relations of this database and on shared catalogs that
 * this backend holds now, its session's as well as its transaction's.
 *
 * *locks is palloc'd in the current memory context, has one element a relation
 * and is sorted by the relation's oid; returns their number. A lock that is
 * being waited for is not held. Errors: none but out of memory.
 */
int
held_locks_read(HeldLock **locks)
{
	HeldLocksList list;
	int			n = 0;

	list.n = 0;
	list.max = 64;
	list.locks = palloc(list.max * sizeof(HeldLock));
	held_locks_read_fast_path(&list);
	held_locks_read_shared(&list);

	/* A relation may be in both places, with other modes in each. */
	qsort(list.locks, list.n, sizeof(HeldLock), held_locks_compare);
	for (int i = 0; i < list.n; i++)
	{
		if (n > 0 && held_locks_compare(&list.locks[n - 1], &list.locks[i]) == 0)
			list.locks[n - 1].modes |= list.locks[i].modes;
		else
			list.locks[n++] = list.locks[i];
	}
	*locks = list.locks;
	return n;
}

/*
 * Whether this backend holds one of the modes, all beyond RowExclusiveLock and
 * so in the shared table, on a relation that counts() agrees to. Returns false,
 * with *found untouched, where it would have to wait for a lightweight lock.
 *
 * Can be called in a signal handler as long as the code that was interrupted
 * holds no lightweight lock: it allocates nothing and raises nothing.
 */
bool
held_locks_look(LOCKMASK modes, bool (*counts) (const LOCKTAG *tag), bool *found)
{
	bool		any = false;

	for (int i = 0; i < NUM_LOCK_PARTITIONS && !any; i++)
	{
		LWLock	   *partition = LockHashPartitionLockByIndex(i);
		PROCLOCK   *proclock;

		if (!LWLockConditionalAcquire(partition, LW_SHARED))
			return false;
		COMPAT_FOREACH_PROCLOCK(proclock, &MyProc->myProcLocks[i])
		{
			const LOCKTAG *tag = &proclock->tag.myLock->tag;

			if (tag->locktag_type == LOCKTAG_RELATION &&
				(proclock->holdMask & modes) != 0 && counts(tag))
			{
				any = true;
				break;
			}
		}
		LWLockRelease(partition);
	}
	*found = any;
	return true;
}

/* Makes a watch in the current memory context, which knows of no lock yet. */
HeldLocksWatch *
held_locks_watch(void)
{
	HeldLocksWatch *watch = palloc0(sizeof(HeldLocksWatch));

	watch->max = 64;
	watch->proclocks = palloc(watch->max * sizeof(PROCLOCK *));
	watch->modes = palloc(watch->max * sizeof(LOCKMASK));
	watch->news.max = 64;
	watch->news.locks = palloc(watch->news.max * sizeof(HeldLock));
	return watch;
}

static void
held_locks_know(HeldLocksWatch *watch, PROCLOCK *proclock)
{
	if (watch->n == watch->max)
	{
		watch->max *= 2;
		watch->proclocks = repalloc_huge(watch->proclocks,
										 watch->max * sizeof(PROCLOCK *));
		watch->modes = repalloc_huge(watch->modes, watch->max * sizeof(LOCKMASK));
	}
	watch->proclocks[watch->n] = proclock;
	watch->modes[watch->n] = proclock->holdMask;
	watch->n++;
}

/*
 * The locks on this database's relations, system catalogs left out, that have
 * been added or strengthened since the last call, with all their modes; some of
 * them, and those in the fast path, are told again. *news is the watch's own
 * until the next call, in no order; returns their number.
 *
 * For many calls in a transaction that does not free such a lock between two of
 * them: a call looks at the known ones' modes, and walks through new ones only,
 * since a lock is appended to its partition's list.
 */
int
held_locks_news(HeldLocksWatch *watch, HeldLock **news)
{
	HeldLocksList *list = &watch->news;

	list->n = 0;
	held_locks_read_fast_path(list);

	/* Nobody but ourselves changes what we hold. */
	for (int i = 0; i < watch->n; i++)
	{
		PROCLOCK   *proclock = watch->proclocks[i];

		if (proclock->holdMask != watch->modes[i] && proclock->tag.myProc == MyProc)
		{
			held_locks_add(list, MyDatabaseId, proclock->tag.myLock->tag.locktag_field2,
						   proclock->holdMask);
			watch->modes[i] = proclock->holdMask;
		}
	}

	for (int i = 0; i < NUM_LOCK_PARTITIONS; i++)
	{
		LWLock	   *partition = LockHashPartitionLockByIndex(i);
		PROCLOCK   *last = NULL;
		PROCLOCK   *proclock;

		LWLockAcquire(partition, LW_SHARED);
		COMPAT_FOREACH_PROCLOCK_REVERSE(proclock, &MyProc->myProcLocks[i])
		{
			const LOCKTAG *tag = &proclock->tag.myLock->tag;

			if (proclock == watch->last[i])
				break;
			if (tag->locktag_type != LOCKTAG_RELATION || proclock->holdMask == 0 ||
				tag->locktag_field1 != MyDatabaseId ||
				tag->locktag_field2 < FirstNormalObjectId)
				continue;
			if (last == NULL)
				last = proclock;
			held_locks_know(watch, proclock);
			held_locks_add(list, tag->locktag_field1, tag->locktag_field2,
						   proclock->holdMask);
		}
		if (last != NULL)
			watch->last[i] = last;
		LWLockRelease(partition);
	}
	*news = list->locks;
	return list->n;
}

/*
 * Reads the advisory locks that this backend holds, its session's as well as
 * its transaction's. *locks is palloc'd in the current memory context; returns
 * their number.
 */
int
held_locks_read_advisory(HeldAdvisory **locks)
{
	int			max = 16;
	int			n = 0;

	*locks = palloc(max * sizeof(HeldAdvisory));
	for (int i = 0; i < NUM_LOCK_PARTITIONS; i++)
	{
		LWLock	   *partition = LockHashPartitionLockByIndex(i);
		PROCLOCK   *proclock;

		LWLockAcquire(partition, LW_SHARED);
		COMPAT_FOREACH_PROCLOCK(proclock, &MyProc->myProcLocks[i])
		{
			const LOCKTAG *tag = &proclock->tag.myLock->tag;

			if (tag->locktag_type != LOCKTAG_ADVISORY || proclock->holdMask == 0)
				continue;
			if (n == max)
			{
				max *= 2;
				*locks = repalloc_huge(*locks, max * sizeof(HeldAdvisory));
			}
			(*locks)[n].tag = *tag;
			(*locks)[n].modes = proclock->holdMask;
			n++;
		}
		LWLockRelease(partition);
	}
	return n;
}

/*
 * Frees every advisory lock of the session but those in kept. The transaction
 * must not hold any that is not among them.
 */
void
held_locks_free_advisory(const HeldAdvisory *kept, int n_kept)
{
	HeldAdvisory *locks;
	int			n = held_locks_read_advisory(&locks);

	for (int i = 0; i < n; i++)
	{
		LOCKMASK	modes = locks[i].modes;

		for (int j = 0; j < n_kept; j++)
		{
			if (memcmp(&kept[j].tag, &locks[i].tag, sizeof(LOCKTAG)) == 0)
				modes &= ~kept[j].modes;
		}
		for (LOCKMODE mode = AccessShareLock; mode <= AccessExclusiveLock; mode++)
		{
			while ((modes & LOCKBIT_ON(mode)) && COMPAT_LOCK_HELD_BY_ME(&locks[i].tag, mode) &&
				   LockRelease(&locks[i].tag, mode, true))
				CHECK_FOR_INTERRUPTS();
		}
	}
	pfree(locks);
}

/* The strongest of the modes, NoLock where there is none. */
LOCKMODE
held_locks_strongest(LOCKMASK modes)
{
	for (LOCKMODE mode = AccessExclusiveLock; mode > NoLock; mode--)
	{
		if (modes & LOCKBIT_ON(mode))
			return mode;
	}
	return NoLock;
}

/*
 * Whether one of the modes, held by another, keeps from that one. Can be called in
 * a signal handler.
 */
bool
held_locks_conflict(LOCKMASK modes, LOCKMODE wanted)
{
	for (LOCKMODE mode = AccessShareLock; mode <= AccessExclusiveLock; mode++)
	{
		if ((modes & LOCKBIT_ON(mode)) && DoLockModesConflict(mode, wanted))
			return true;
	}
	return false;
}
