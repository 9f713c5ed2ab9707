/*
 * stepwise_internal.h
 *		Shared by the files of the room stepwise; nobody else includes it.
 */
#ifndef TAPMIG_STEPWISE_INTERNAL_H
#define TAPMIG_STEPWISE_INTERNAL_H

#include "data_loss.h"
#include "executor.h"
#include "held_locks.h"
#include "index_repair.h"
#include "retry.h"
#include "shape.h"
#include "stepwise.h"

typedef struct Stepwise
{
	Request    *request;
	MemoryContext context;		/* outlives the transactions */
	Shape	   *shape;
	LedgerProgress progress;
	int			room;			/* for fingerprints, and for cuts */
	int			room_cuts;
	int			resumed;		/* steps that an earlier attempt has done */
	bool		begun;			/* the attempt has a row, and has not ended */
	bool		marked;			/* this attempt's word is it that a step is running */
	bool		has_run;		/* its statement has; the word that it is done is left */
	bool		out_of_order;
	List	   *baseline;		/* settings that the script began with */
	TimestampTz started_at;
	ExecutorOptions options;
	ExecutorRefusal refusal;
	Retry	   *retry;			/* of the step that is tried */
	int			retry_step;
	HeldAdvisory *advisory;		/* what the session holds before a step's try, or NULL */
	int			n_advisory;
	DataLoss   *loss;
	StepwiseOutcome outcome;
	int			first_cut;		/* what the caller's own try has shown, 0: nothing */
} Stepwise;

/* stepwise.c */
extern void stepwise_begin(Stepwise *s);
extern void stepwise_commit(Stepwise *s);
extern void stepwise_run_top_level(Stepwise *s, int index, const char *sql,
								   bool is_step);
extern void stepwise_mark_running(Stepwise *s);

/* stepwise_steps.c */
extern void stepwise_range(const Stepwise *s, int step, int *from, int *to);
extern int	stepwise_alone(const Stepwise *s, int from, int to);
extern bool stepwise_is_block(const Stepwise *s, int index);
extern bytea *stepwise_known_fingerprint(Stepwise *s, int step);
extern void stepwise_describe_steps(Stepwise *s);
extern void stepwise_cut(Stepwise *s, int cut);
extern void stepwise_resume(Stepwise *s, const LedgerProgress *earlier);

/* stepwise_settings.c */
extern void stepwise_resume_settings(Stepwise *s, const char *user);

/* stepwise_repair.c */
extern RawStmt *stepwise_parse(const Stepwise *s, int index);
extern void stepwise_commit_statement(Stepwise *s, int index);
extern void stepwise_ask_repair(Stepwise *s, int index, bool interrupted,
								IndexRepair *repair);
extern bool stepwise_repair(Stepwise *s, int index, bool interrupted);

#endif							/* TAPMIG_STEPWISE_INTERNAL_H */
