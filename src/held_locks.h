/*
 * held_locks.h
 *		The locks that this backend holds, on relations and advisory ones.
 */
#ifndef TAPMIG_HELD_LOCKS_H
#define TAPMIG_HELD_LOCKS_H

#include "storage/lock.h"

typedef struct HeldLock
{
	Oid			database;		/* InvalidOid: a shared catalog */
	Oid			relation;
	LOCKMASK	modes;			/* all that are held, LOCKBIT_ON(mode) each */
} HeldLock;

typedef struct HeldLocksWatch HeldLocksWatch;

/* An advisory lock. */
typedef struct HeldAdvisory
{
	LOCKTAG		tag;
	LOCKMASK	modes;
} HeldAdvisory;

extern int	held_locks_read(HeldLock **locks);
extern HeldLocksWatch *held_locks_watch(void);
extern int	held_locks_news(HeldLocksWatch *watch, HeldLock **news);
extern int	held_locks_read_advisory(HeldAdvisory **locks);
extern void held_locks_free_advisory(const HeldAdvisory *kept, int n_kept);
extern bool held_locks_look(LOCKMASK modes, bool (*counts) (const LOCKTAG *tag),
							bool *found);
extern LOCKMODE held_locks_strongest(LOCKMASK modes);
extern bool held_locks_conflict(LOCKMASK modes, LOCKMODE wanted);

#endif							/* TAPMIG_HELD_LOCKS_H */
