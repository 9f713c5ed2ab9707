/*
 * worker_protocol.h
 *		What a caller of tapmig.run shares with the worker that it launched.
 *
 * One dynamic shared memory segment a launch. The caller writes everything but
 * `outcome` before it registers the worker; the worker writes `outcome` before
 * it ends, and its messages to the queue. The caller reads the outcome only
 * after the worker has ended.
 */
#ifndef TAPMIG_WORKER_PROTOCOL_H
#define TAPMIG_WORKER_PROTOCOL_H

#include "settings.h"

#define WORKER_MAGIC 0x7461706d

/* Entries of the segment's table of contents. */
#define WORKER_KEY_SHARED 1
#define WORKER_KEY_STRINGS 2	/* version, track, source; each with its NUL */
#define WORKER_KEY_SCRIPT 3
#define WORKER_KEY_LIBRARIES 4
#define WORKER_KEY_GUC 5
#define WORKER_KEY_QUEUE 6
#define WORKER_KEY_RESETS 7		/* see session_settings_resets() */

#define WORKER_QUEUE_SIZE 65536

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
