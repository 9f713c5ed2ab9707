/*
 * stepwise_repair.c
 *		What a step of one statement has index_repair judge and clear away.
 *
 * In transactions of its own, before the statement runs and after it; errors
 * have the statement's place. A repair runs under a lock that the session holds,
 * which is given back on every way out.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "parser/parser.h"
#include "storage/lmgr.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"

#include "index_repair.h"
#include "stepwise_internal.h"

/* The tree of a statement, in the current memory context. */
RawStmt *
stepwise_parse(const Stepwise *s, int index)
{
	return linitial_node(RawStmt, raw_parser(script_statement_text(s->request->script, index),
											 RAW_PARSE_DEFAULT));
}

typedef struct StepwisePlace
{
	Stepwise   *s;
	int			index;
} StepwisePlace;

static void
stepwise_errcontext(void *arg)
{
	StepwisePlace *place = arg;

	if (geterrposition() > 0)
		errposition(0);
	script_errcontext(place->s->request->script, place->index, 0, 0);
}

/* Errors are about that statement, until error_context_stack is put back. */
static void
stepwise_push_place(StepwisePlace *place, ErrorContextCallback *callback)
{
	callback->callback = stepwise_errcontext;
	callback->arg = place;
	callback->previous = error_context_stack;
	error_context_stack = callback;
}

/* Commits what a statement left, with its place in an error. */
void
stepwise_commit_statement(Stepwise *s, int index)
{
	StepwisePlace place = {s, index};
	ErrorContextCallback callback;

	stepwise_push_place(&place, &callback);
	stepwise_commit(s);
	error_context_stack = callback.previous;
}

/* Asks index_repair about a statement, before or after it ran. */
void
stepwise_ask_repair(Stepwise *s, int index, bool interrupted, IndexRepair *repair)
{
	StepwisePlace place = {s, index};
	ErrorContextCallback callback;

	stepwise_push_place(&place, &callback);
	stepwise_begin(s);
	PushActiveSnapshot(GetTransactionSnapshot());
	if (repair != NULL)
		index_repair_judge(stepwise_parse(s, index),
						   script_statement_text(s->request->script, index),
						   interrupted, repair);
	else
		index_repair_check(stepwise_parse(s, index));
	PopActiveSnapshot();
	if (repair != NULL)
		stepwise_commit(s);
	error_context_stack = callback.previous;
}

/* Runs what a repair asks for; the caller gives the session's lock back. */
static void
stepwise_run_locked_repair(Stepwise *s, int index, const IndexRepair *repair,
						   const LOCKTAG *tag, volatile bool *locked)
{
	bool		needed = true;
	ListCell   *lc;

	if (OidIsValid(repair->table))
	{
		stepwise_begin(s);
		executor_arm_timeout();
		(void) LockAcquire(tag, ShareUpdateExclusiveLock, true, false);
		*locked = true;
		disable_timeout(STATEMENT_TIMEOUT, false);
		needed = !OidIsValid(repair->index) || index_repair_still_invalid(repair->index);
		stepwise_commit(s);
	}
	if (!needed)
		return;
	if (repair->notice != NULL)
		ereport(NOTICE, (errmsg("%s", repair->notice)));

	/* It is the step's own work: who is interrupted behind it must find it done. */
	if (repair->verdict == INDEX_REPAIR_FINALIZE)
		stepwise_mark_running(s);
	foreach(lc, repair->first)
		stepwise_run_top_level(s, index, lfirst(lc),
							   repair->verdict == INDEX_REPAIR_FINALIZE);
}

/*
 * Runs what a repair asks for, under the lock that it names: somebody may be
 * building that index by hand, so wait for that and look again.
 */
static void
stepwise_run_repair(Stepwise *s, int index, const IndexRepair *repair)
{
	LOCKTAG		tag;
	volatile bool locked = false;

	SET_LOCKTAG_RELATION(tag, MyDatabaseId, repair->table);
	PG_TRY();
	{
		stepwise_run_locked_repair(s, index, repair, &tag, &locked);
	}
	PG_CATCH();
	{
		if (locked)
			(void) LockRelease(&tag, ShareUpdateExclusiveLock, true);
		PG_RE_THROW();
	}
	PG_END_TRY();
	if (locked)
		(void) LockRelease(&tag, ShareUpdateExclusiveLock, true);
}

/*
 * Clears away what an earlier try of the statement left, one index after the
 * other. Returns false where the statement itself need not run any more.
 */
bool
stepwise_repair(Stepwise *s, int index, bool interrupted)
{
	for (;;)
	{
		IndexRepair repair = {0};

		CHECK_FOR_INTERRUPTS();
		stepwise_ask_repair(s, index, interrupted, &repair);
		if (repair.first == NIL && repair.notice != NULL)
			ereport(NOTICE, (errmsg("%s", repair.notice)));
		if (repair.first == NIL)
			return repair.verdict == INDEX_REPAIR_RUN;
		stepwise_run_repair(s, index, &repair);
		if (repair.verdict == INDEX_REPAIR_FINALIZE)
			return false;
	}
}
