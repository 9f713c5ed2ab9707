/*
 * ledger.h
 *		The only room that touches tapmig's tables.
 */
#ifndef TAPMIG_LEDGER_H
#define TAPMIG_LEDGER_H

#include "common/sha2.h"
#include "datatype/timestamp.h"
#include "fmgr.h"
#include "nodes/execnodes.h"
#include "utils/jsonb.h"

#include "version.h"

/*
 * What pg_extension says of tapmig, and who calls: read at each entry, since a
 * stepwise script may SET the latter in its worker.
 */
typedef struct LedgerIdentity
{
	Oid			extension;
	Oid			owner;
	Oid			session_user;
	Oid			user;
	char	   *application;	/* NULL: none; in the context of the entry */
} LedgerIdentity;

/* One version in force, as far as callers need it. In the caller's context. */
typedef struct LedgerRow
{
	char	   *version;
	char	   *name;			/* may be NULL */
	char	   *kind;			/* "applied" or "registered" */
	char	   *applied_by;
	char	   *source;
	TimestampTz applied_at;
	bytea	   *checksum;		/* NULL where no script was given */
	bytea	   *fingerprint;	/* NULL likewise */
	bytea	  **also;			/* other checksums that count as the same */
	int			n_also;
} LedgerRow;

/* What the ledger says of a version. In the caller's context. */
typedef struct LedgerSight
{
	LedgerRow  *row;			/* NULL: it is not in force */
	char	   *replaced_by;	/* then: the squash in force that replaces it, or NULL */
	char	   *highest;		/* then: the highest version in force above it, or NULL */
	uint64		completed;		/* see ledger_is_unchanged() */
} LedgerSight;

/* A version that is about to be recorded. NULL is SQL NULL. */
typedef struct LedgerEntry
{
	const char *track;
	const Version *version;
	const char *kind;			/* "applied" or "registered"; also the event */
	const char *source;			/* NULL: 'manual' */
	const char *why;
	bytea	   *checksum;
	bytea	   *fingerprint;
	int			statements;		/* -1: NULL */
	int64		elapsed_us;		/* -1: NULL */
	bool		out_of_order;
	Jsonb	   *directives;
	const TimestampTz *applied_at;	/* NULL: now */
	const text *script;			/* to keep in tapmig.scripts, or NULL */
} LedgerEntry;

/* A failed try of a transactional script under run. */
typedef struct LedgerAttempt
{
	const char *track;
	const Version *version;
	bytea	   *checksum;
	TimestampTz started_at;
	const char *outcome;		/* "failed" */
	const char *sqlstate;
	const char *message;
	const char *detail;
	int			line;			/* 0: NULL */
} LedgerAttempt;

/* How far a stepwise script is. */
typedef struct LedgerProgress
{
	int64		id;				/* of the attempt */
	const char *outcome;		/* as recorded */
	int			steps;
	int			steps_done;
	int			step_running;	/* 0: none */
	bytea	  **fingerprints;	/* of all steps; NULL: not needed yet */
	Jsonb	   *settings;		/* what they SET: {"name": "value"}; may be NULL */
	char	   *by_user;		/* session_user of an attempt that was found */
	int		   *cuts;			/* see tapmig.attempts.cuts */
	int			n_cuts;
	bool		described;		/* the attempt's row has these fingerprints and cuts */
	int			kept_steps;		/* so many of the first are as in its main columns */
	int			kept_cuts;
} LedgerProgress;

/* One row of tapmig.plan. */
typedef struct LedgerPlanRow
{
	char	   *version;
	char	   *name;
	const char *state;
	const char *action;
	char	   *detail;
} LedgerPlanRow;

extern void ledger_install_hooks(void);
extern void ledger_identify(LedgerIdentity *identity);
extern void ledger_check_identity(const LedgerIdentity *identity);

/* Reads; they see what is committed now, whatever the transaction's snapshot. */
extern void ledger_look(const char *track, const Version *version, LedgerSight *sight);
extern bool ledger_is_unchanged(const LedgerSight *sight);
extern LedgerRow *ledger_find(const char *track,
							  const Version *version);
extern char *ledger_highest_above(const char *track, const char *key);
extern char *ledger_replaced_by(const char *track,
								const Version *version);
extern void ledger_count_range(const LedgerIdentity *id, const char *track,
							   const char *first_key, const char *last_key,
							   bool *first, bool *last, int *n);
extern bool ledger_is_stale(const char *track);
extern char *ledger_script(bytea *checksum);
extern bool ledger_shows_scripts(const LedgerIdentity *id);
extern LedgerPlanRow *ledger_plan(const LedgerIdentity *id, const char *track,
								  const char **files, const char **checksums,
								  int n_files, bool stop_out_of_order, int *n_rows);

/* Writes; the caller holds the track's migration lock. */
extern void ledger_record(const LedgerIdentity *id, const LedgerEntry *entry);
extern void ledger_note_layout(const LedgerIdentity *id, const char *track,
							   const Version *version, bytea *checksum);
extern void ledger_accept(const LedgerIdentity *id, const char *track,
						  const Version *version, bytea *checksum,
						  bytea *fingerprint, const text *script, const char *why);
extern void ledger_withdraw(const LedgerIdentity *id, const char *track,
							const Version *version, const char *why);
extern void ledger_record_attempt(const LedgerIdentity *id,
								  const LedgerAttempt *attempt);

/* Attempts of stepwise scripts: ledger_attempt.c. */
extern LedgerProgress *ledger_find_attempt(const LedgerIdentity *id, const char *track,
										   const Version *version);
extern void ledger_begin_attempt(const LedgerIdentity *id, const char *track,
								 const Version *version, bytea *checksum,
								 TimestampTz started_at, LedgerProgress *progress);
extern void ledger_attempt_written(LedgerProgress *progress);
extern void ledger_update_attempt(const LedgerIdentity *id,
								  const LedgerProgress *progress);
extern void ledger_end_attempt(const LedgerIdentity *id, int64 attempt,
							   const LedgerAttempt *end);
extern void ledger_interrupt_attempt(const LedgerIdentity *id, const char *track,
									 const Version *version, int pid,
									 const LedgerAttempt *end);

extern int	ledger_nontransactional_pid(const LedgerIdentity *id, const char *track);
extern void ledger_close_attempts(const LedgerIdentity *id, const char *track,
								  const Version *version);
extern void ledger_note_event(const LedgerIdentity *id, const char *track,
							  const Version *version, const char *event,
							  const char *why);

/* verify(): fills the tuplestore of rsinfo. */
extern void ledger_verify(const LedgerIdentity *id, bytea *head,
						  ReturnSetInfo *rsinfo);

/* Triggers, called through sqlapi. */
extern Datum ledger_trigger_insert(PG_FUNCTION_ARGS);
extern Datum ledger_trigger_refuse(PG_FUNCTION_ARGS);

#endif							/* TAPMIG_LEDGER_H */
