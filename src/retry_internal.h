/*
 * retry_internal.h
 *		Shared by the files of the room retry; nobody else includes it.
 */
#ifndef TAPMIG_RETRY_INTERNAL_H
#define TAPMIG_RETRY_INTERNAL_H

#include "datatype/timestamp.h"
#include "storage/lock.h"

/* A holder more than these is not remembered. */
#define RETRY_HOLDERS_MAX 64

/* A wait for a lock, as it was seen while it lasted. */
typedef struct RetryWait
{
	LOCKTAG		tag;
	LOCKMODE	mode;
	TimestampTz since;			/* 0: none */
	int			n_holders;		/* whose locks conflict with it */
	int			holders[RETRY_HOLDERS_MAX]; /* process ids; 0: a prepared transaction */
} RetryWait;

extern char *retry_lock_name(const LOCKTAG *tag, LOCKMODE mode);
extern char *retry_blockers(const RetryWait *wait);
extern char *retry_duration(double ms);

#endif							/* TAPMIG_RETRY_INTERNAL_H */
