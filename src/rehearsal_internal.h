/*
 * rehearsal_internal.h
 *		What the files of the room share.
 */
#ifndef TAPMIG_REHEARSAL_INTERNAL_H
#define TAPMIG_REHEARSAL_INTERNAL_H

#include "storage/lock.h"

#include "held_locks.h"

/* What a statement did to a relation that it did not make. */
typedef struct RehearsalFact
{
	int			statement;		/* its index */
	Oid			relation;		/* as the lock manager names it: an index is one too */
	LOCKMASK	modes;			/* newly taken */
	Oid			relfilenode;	/* a file that was not seen before, or InvalidOid */
	bool		truncated;
	int64		scans;			/* sequential scans, or an index's */
	int64		rows_read;		/* by them */
} RehearsalFact;

/* A statement's time and write-ahead log. */
typedef struct RehearsalCost
{
	double		start_ms;		/* since the try began */
	double		end_ms;
	int64		wal_bytes;
	bool		ran;
} RehearsalCost;

/* One try. */
typedef struct RehearsalWatch
{
	RehearsalCost *costs;		/* as many as the script has statements */
	RehearsalFact *facts;		/* by statement */
	int			n_facts;
	HeldLock   *before;	/* the locks that were there before */
	int			n_before;
	int			last;			/* the last statement that began, -1: none */
	bool		cut;			/* the limit was reached */
	bool		unfinished;		/* in the midst of the last statement */
	double		end_ms;			/* end of the try */
} RehearsalWatch;

extern RehearsalWatch *rehearsal_watch_begin(int n_statements);
extern void rehearsal_watch_arm(int limit_ms);
extern void rehearsal_watch_before(int index);
extern void rehearsal_watch_after(int index);
extern void rehearsal_watch_end(bool failed, int sqlerrcode);

#endif							/* TAPMIG_REHEARSAL_INTERNAL_H */
