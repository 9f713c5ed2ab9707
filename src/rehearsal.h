/*
 * rehearsal.h
 *		Runs a script for real, measures it, and rolls it back.
 */
#ifndef TAPMIG_REHEARSAL_H
#define TAPMIG_REHEARSAL_H

#include "storage/lockdefs.h"

/* One statement, and one relation that it locked, scanned or rewrote. */
typedef struct RehearsalRow
{
	int			statement;		/* from 1 */
	int			line;
	const char *command;
	bool		measured;		/* false: it cannot be rehearsed; what follows is null */
	double		elapsed_ms;
	int64		wal_bytes;
	const char *relation;		/* NULL: none; what follows is null */
	LOCKMODE	lock;			/* NoLock: none beyond those that were held */
	const char *lock_mode;		/* the same as "ACCESS EXCLUSIVE", or NULL */
	double		held_ms;		/* -1: not known, or no lock */
	int			rewritten;		/* -1: not known */
	int			scanned;		/* -1: not known */
} RehearsalRow;

extern void rehearsal_install_hooks(void);
extern int	rehearsal_run(const char *sql, size_t len, RehearsalRow **rows);

#endif							/* TAPMIG_REHEARSAL_H */
