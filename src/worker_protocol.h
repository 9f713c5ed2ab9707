/*
 * worker_protocol.h
 *		What a caller of tapmig.run shares with the worker that it launched.
 *
 * One dynamic shared memory segment a launch. The caller writes everything but
 * `outcome` before it registers the worker; the worker writes `outcome` before
 * it ends, and its messages to the queue. The caller reads the outcome only
 * after the worker has ended.
 *
 * A session keeps the library that it has loaded, and its worker loads the one that
 * is there now: the segment's magic number is that of their version.
 */
#ifndef TAPMIG_WORKER_PROTOCOL_H
#define TAPMIG_WORKER_PROTOCOL_H

#include "common/hashfn.h"

#include "settings.h"

/* Entries of the segment's table of contents. */
#define WORKER_KEY_SHARED 1
#define WORKER_KEY_STRINGS 2	/* version, track, source; each with its NUL */
#define WORKER_KEY_SCRIPT 3
#define WORKER_KEY_LIBRARIES 4
#define WORKER_KEY_GUC 5
#define WORKER_KEY_QUEUE 6
#define WORKER_KEY_RESETS 7		/* see session_settings_resets() */

#define WORKER_QUEUE_SIZE 65536

static inline uint64
worker_magic(void)
{
	return (UINT64CONST(0x7461706d) << 32) |
		hash_bytes((const unsigned char *) TAPMIG_VERSION, strlen(TAPMIG_VERSION));
}

/* Milliseconds after which a queue that nobody reads is given up. */
#define WORKER_QUEUE_PATIENCE 60000

typedef struct WorkerShared
{
	Oid			database;
	Oid			authenticated_user;
	char		session_user[NAMEDATALEN];
	char		role[NAMEDATALEN];	/* "none", or what SET ROLE set */
	Settings	settings;		/* without track, which is a pointer */
	bool		has_source;
	Size		script_len;
	int			first_cut;		/* see stepwise_run() */
	int			outcome;		/* StepwiseOutcome, -1: none; worker */
} WorkerShared;

#endif							/* TAPMIG_WORKER_PROTOCOL_H */
