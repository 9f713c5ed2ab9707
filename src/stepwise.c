/*
 * stepwise.c
 *		Runs a stepwise script, step after step; in the worker.
 *
 * A transactional step and the word that it is done are one transaction. A
 * statement that cannot run in a transaction block has "running" committed
 * before it and "done" after it, so that whoever finds "running" knows to look
 * for its effect. The last word is the ledger's row, in the transaction of the
 * last "done".
 *
 * The migration lock is the session's, for the worker's whole life; each
 * transaction takes it too, and the session's is retaken before each commit,
 * since a script may call pg_advisory_unlock_all().
 *
 * Begins and ends its own transactions; there is none at entry nor at the end.
 * What outlives them is in the memory context that is current at entry.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "admission.h"
#include "data_loss.h"
#include "executor.h"
#include "held_locks.h"
#include "index_repair.h"
#include "retry.h"
#include "self_wait.h"
#include "session_settings.h"
#include "shape.h"
#include "stepwise.h"
#include "stepwise_internal.h"

void
stepwise_begin(Stepwise *s)
{
	/* Builds would wait for their own snapshot; a script may have RESET it. */
	DefaultXactIsoLevel = XACT_READ_COMMITTED;
	DefaultXactReadOnly = false;
	DefaultXactDeferrable = false;
	self_wait_reset();
	StartTransactionCommand();
	MemoryContextSwitchTo(s->context);
	if (!migration_lock_try(s->request->identity.extension, s->request->track))
		elog(ERROR, "the worker lost the migration lock");
}

void
stepwise_commit(Stepwise *s)
{
	CommitTransactionCommand();
	MemoryContextSwitchTo(s->context);
}

/*
 * All that precedes the first step, in a transaction: admission, reading,
 * resuming. Returns whether there is something to run; else s->outcome is set.
 */
static bool
stepwise_prepare(Stepwise *s)
{
	Request    *request = s->request;

	StartTransactionCommand();
	MemoryContextSwitchTo(s->context);
	if (!migration_lock_try_session(request->identity.extension, request->track))
	{
		CommitTransactionCommand();
		MemoryContextSwitchTo(s->context);
		s->outcome = STEPWISE_LOST_RACE;
		return false;
	}
	migration_lock_keep(request->identity.extension, request->track);
	s->started_at = GetCurrentTimestamp();
	if (admission_is_in_force(request, true))
	{
		stepwise_commit(s);
		s->outcome = STEPWISE_SKIPPED;
		return false;
	}

	request_read_script(request);
	if (request->script->directives.lock_timeout_ms >= 0)
		s->options.lock_timeout_ms = request->script->directives.lock_timeout_ms;
	s->shape = shape_read(request->script);
	shape_check(request->script, s->shape);
	stepwise_describe_steps(s);
	admission_check_requires(request);
	if (admission_is_squashed(request))
	{
		request_record(request, "registered", false, s->started_at);
		stepwise_commit(s);
		s->outcome = STEPWISE_REGISTERED;
		return false;
	}
	s->out_of_order = admission_is_out_of_order(request);
	stepwise_resume(s, ledger_find_attempt(&request->identity, request->track,
										   &request->version));
	if (s->first_cut != 0 && s->progress.n_cuts == 0 &&
		abs(s->first_cut) <= request->script->n_statements)
		stepwise_cut(s, s->first_cut);
	ledger_begin_attempt(&request->identity, request->track, &request->version,
						 request->checksum, s->started_at, &s->progress);
	stepwise_commit(s);
	ledger_attempt_written(&s->progress);
	s->begun = true;

	/* The settings of the session, then those of the finished steps. */
	stepwise_begin(s);
	if (s->options.lock_timeout_ms > 0)
		session_settings_fix("lock_timeout", psprintf("%d", s->options.lock_timeout_ms));
	s->baseline = session_settings_capture();
	session_settings_restore(s->progress.settings);
	stepwise_commit(s);
	return true;
}

/*
 * Errors when an index that the script builds CONCURRENTLY is INVALID: each was
 * looked at when its step ended, but a step may be done by a human's word.
 */
static void
stepwise_check_indexes(const Stepwise *s)
{
	PushActiveSnapshot(GetTransactionSnapshot());
	for (int i = 0; i < s->request->script->n_statements; i++)
	{
		if (strcmp(s->shape->statements[i].command, "CREATE INDEX") == 0)
			index_repair_check(stepwise_parse(s, i));
	}
	PopActiveSnapshot();
}

/* The script is done: the ledger's row, and the attempt's end. */
static void
stepwise_record(Stepwise *s)
{
	Request    *request = s->request;
	LedgerAttempt end = {0};

	stepwise_check_indexes(s);
	end.outcome = "applied";
	ledger_end_attempt(&request->identity, s->progress.id, &end);
	request_record(request, "applied", s->out_of_order, s->started_at);
}

/*
 * In the transaction of a step's end: it is done, and with the last one all is.
 * Returns how far the script is, which is true once the transaction has
 * committed: see stepwise_advance().
 */
static LedgerProgress
stepwise_step_done(Stepwise *s, int step)
{
	LedgerProgress next;

	(void) stepwise_known_fingerprint(s, step);
	next = s->progress;
	next.steps_done = step;
	next.step_running = 0;
	next.settings = session_settings_changes(s->baseline);
	ledger_update_attempt(&s->request->identity, &next);
	ledger_attempt_written(&next);
	if (step == s->shape->steps)
		stepwise_record(s);
	return next;
}

static void
stepwise_advance(Stepwise *s, const LedgerProgress *next)
{
	s->progress = *next;
	s->marked = false;
	s->has_run = false;
}

/* Gives a step's transaction, which has no snapshot yet, the script's options. */
static bool
stepwise_obey_options(Stepwise *s, int from, int to)
{
	static const char *const levels[] = {
		"read uncommitted", "read committed", "repeatable read", "serializable"
	};
	int			isolation;
	int			read_only;
	int			deferrable;

	shape_options(s->request->script, s->shape, from, to,
				  &isolation, &read_only, &deferrable);
	if (isolation >= 0)
		(void) set_config_option("transaction_isolation", levels[isolation],
								 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL,
								 true, 0, false);
	if (deferrable >= 0)
		(void) set_config_option("transaction_deferrable", deferrable ? "on" : "off",
								 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL,
								 true, 0, false);
	return read_only == 1;
}

/* As migration has it: IF NOT EXISTS skips over an INVALID index. */
static void
stepwise_after_statement(int index, void *arg)
{
	Stepwise   *s = arg;

	if (strcmp(s->shape->statements[index].command, "CREATE INDEX") == 0)
		index_repair_check_statement(s->request->script, index);
}

/*
 * Begins a try of a transactional step. lock_timeout is tapmig's to share among
 * its waits, unless an earlier step has SET another one.
 */
static void
stepwise_begin_try(Stepwise *s)
{
	bool		managed = s->options.lock_timeout_ms > 0 &&
		LockTimeout == s->options.lock_timeout_ms;

	retry_begin(s->retry, managed);

	/* What is left of it goes with the transaction. */
	if (managed)
		(void) set_config_option("lock_timeout",
								 GetConfigOptionByName("lock_timeout", NULL, false),
								 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL,
								 true, 0, false);
}

/* Ends the transaction after an error, in a PG_CATCH block. */
static void
stepwise_abort(Stepwise *s)
{
	disable_timeout(STATEMENT_TIMEOUT, false);
	self_wait_fail();
	FlushErrorState();
	executor_release_slot();
	AbortCurrentTransaction();
	MemoryContextSwitchTo(s->context);
}

/* Behind stepwise_abort(), frees the advisory locks that the try took for the session. */
static void
stepwise_free_advisory(Stepwise *s)
{
	if (s->advisory != NULL)
		held_locks_free_advisory(s->advisory, s->n_advisory);
}

/*
 * After an error in a try, in a PG_CATCH block. Where it is that a lock could
 * not be had, ends the transaction and waits until another try is due; why_not:
 * why there can be none. Errors: the one that there was, or TM005.
 */
static void
stepwise_try_again(Stepwise *s, const char *why_not)
{
	ErrorData  *edata;
	bool		again;

	retry_end(s->retry, true);
	MemoryContextSwitchTo(s->context);
	edata = CopyErrorData();
	if (!retry_is_blocked(edata))
		PG_RE_THROW();
	stepwise_abort(s);

	stepwise_free_advisory(s);
	stepwise_begin(s);
	again = retry_report(s->retry, edata, why_not);
	stepwise_commit(s);
	if (!again)
		ReThrowError(edata);
	retry_pause(s->retry);
}

/*
 * A transactional step. Returns false where it is to be run anew: the server
 * refused one of its statements and the script was cut there, or a lock could
 * not be had.
 */
static bool
stepwise_run_transactional(Stepwise *s, int step, int from, int to)
{
	volatile bool refused = false;

	s->refusal.index = -1;
	PG_TRY();
	{
		LedgerProgress next;

		stepwise_begin(s);
		s->n_advisory = held_locks_read_advisory(&s->advisory);

		/* Read only is the script's part; the word that it is done is written. */
		XactReadOnly = stepwise_obey_options(s, from, to);
		stepwise_begin_try(s);
		executor_run_range(s->request->script, s->shape, from, to, &s->options);
		XactReadOnly = false;

		/* The step's locks are held still: a wait for the ledger is one of its. */
		next = stepwise_step_done(s, step);
		retry_end(s->retry, false);
		stepwise_commit(s);
		stepwise_advance(s, &next);
		pfree(s->advisory);
		s->advisory = NULL;
	}
	PG_CATCH();
	{
		bool		alone = s->refusal.sqlstate != ERRCODE_UNSAFE_NEW_ENUM_VALUE_USAGE;

		refused = true;

		/* One that begins its step already can't be helped by a cut before it. */
		if (s->refusal.index < 0 || (!alone && s->refusal.index == from))
			stepwise_try_again(s, NULL);
		else
		{
			retry_end(s->retry, true);
			MemoryContextSwitchTo(s->context);
			stepwise_abort(s);
			stepwise_free_advisory(s);

			/* Digests need a resource owner. */
			stepwise_begin(s);
			stepwise_cut(s, alone ? -(s->refusal.index + 1) : s->refusal.index + 1);
			stepwise_commit(s);
		}
	}
	PG_END_TRY();
	return !refused;
}

static void
stepwise_set_lock_timeout(Stepwise *s, const char *value)
{
	stepwise_begin(s);
	SetConfigOption("lock_timeout", value, PGC_USERSET, PGC_S_SESSION);
	stepwise_commit(s);
}

/*
 * Runs one text at top level: sql, or the statement itself where that is NULL.
 * is_step: with it the step's work is done. CONCURRENTLY goes without
 * lock_timeout, which would count its waits for snapshots; at the session's
 * level, since it commits in its middle.
 */
void
stepwise_run_top_level(Stepwise *s, int index, const char *sql, bool is_step)
{
	bool		concurrently = s->shape->statements[index].concurrently;
	char	   *lock_timeout = GetConfigOptionByName("lock_timeout", NULL, false);

	if (concurrently)
		stepwise_set_lock_timeout(s, "0");
	stepwise_begin(s);
	if (sql != NULL)
		executor_run_sql(s->request->script, s->shape, index, sql, &s->options);
	else
	{
		if (strcmp(s->shape->statements[index].command, "CREATE SUBSCRIPTION") == 0)
			self_wait_watch_slot(castNode(CreateSubscriptionStmt, stepwise_parse(s, index)->stmt));
		executor_run_alone(s->request->script, s->shape, index, &s->options);
		self_wait_forget_slot();
	}
	stepwise_commit_statement(s, index);
	s->has_run = is_step;
	disable_timeout(STATEMENT_TIMEOUT, false);
	if (concurrently)
		stepwise_set_lock_timeout(s, lock_timeout);
}

/*
 * DISCARD ALL, as the manual says what it does: run as it is, it would free the
 * migration lock together with the script's advisory locks.
 */
static void
stepwise_discard_all(Stepwise *s, int index)
{
	static const char *const parts[] = {
		"CLOSE ALL",
		"SET SESSION AUTHORIZATION DEFAULT",
		"RESET ALL",
		"DEALLOCATE ALL",
		"UNLISTEN *",
		"SELECT pg_catalog.pg_advisory_unlock_all()",
		"DISCARD PLANS",
		"DISCARD TEMP",
		"DISCARD SEQUENCES"
	};

	for (int i = 0; i < (int) lengthof(parts); i++)
		stepwise_run_top_level(s, index, parts[i], i == (int) lengthof(parts) - 1);
}

/* Before what the next step does outside of a transaction: it is under way. */
void
stepwise_mark_running(Stepwise *s)
{
	int			step = s->progress.steps_done + 1;

	if (s->progress.step_running == step)
		return;
	stepwise_begin(s);
	s->progress.step_running = step;
	s->marked = true;
	(void) stepwise_known_fingerprint(s, step);
	ledger_update_attempt(&s->request->identity, &s->progress);
	stepwise_commit(s);
	ledger_attempt_written(&s->progress);
}

/* A statement that cannot run in a transaction block. */
static void
stepwise_run_nontransactional(Stepwise *s, int step, int index)
{
	if (!stepwise_repair(s, index, s->progress.step_running == step))
		return;
	stepwise_mark_running(s);
	if (strcmp(s->shape->statements[index].command, "DISCARD ALL") == 0)
		stepwise_discard_all(s, index);
	else
		stepwise_run_top_level(s, index, NULL, true);
}

/*
 * A statement that failed is known to have ended. What an earlier attempt left
 * behind is not known all the same, and stays a human's to decide; and one that
 * has run, where only that could not be written, is judged by its effect.
 */
static void
stepwise_forget_running(Stepwise *s)
{
	if (s->marked && !s->has_run)
	{
		s->progress.step_running = 0;
		s->marked = false;
	}
}

/*
 * A step of one statement that runs alone, until its locks could be had. When it
 * has run, only the look at its effect and the word that it is done are tried
 * again: a second build would find its own index.
 */
static void
stepwise_try_nontransactional(Stepwise *s, int step, int index)
{
	char	   *lock_timeout = GetConfigOptionByName("lock_timeout", NULL, false);

	PG_TRY();
	{
		LedgerProgress next;

		retry_begin(s->retry, false);
		s->options.observer->before(index, s->options.observer->arg);
		if (!s->has_run)
			stepwise_run_nontransactional(s, step, index);
		s->has_run = true;
		stepwise_ask_repair(s, index, false, NULL);
		next = stepwise_step_done(s, step);
		stepwise_commit(s);
		retry_end(s->retry, false);
		stepwise_advance(s, &next);
	}
	PG_CATCH();
	{
		stepwise_try_again(s, stepwise_is_block(s, index) && !s->has_run ?
						   "What it had committed by then stays, so that it is not begun again by itself." :
						   NULL);

		stepwise_forget_running(s);
		stepwise_set_lock_timeout(s, lock_timeout);
	}
	PG_END_TRY();
}

static void
stepwise_run_steps(Stepwise *s)
{
	bool		resumed = s->progress.steps_done > 0;

	s->loss = data_loss_create(&s->request->settings, s->request->script);

	/* A human's word may have finished the last step. */
	if (s->progress.steps_done >= s->shape->steps)
	{
		stepwise_begin(s);
		stepwise_record(s);
		stepwise_commit(s);
	}
	while (s->progress.steps_done < s->shape->steps)
	{
		int			step = s->progress.steps_done + 1;
		int			from;
		int			to;
		int			alone;

		CHECK_FOR_INTERRUPTS();
		stepwise_range(s, step, &from, &to);
		alone = stepwise_alone(s, from, to);
		if (s->retry == NULL || step != s->retry_step)
			s->retry = retry_create(&s->request->settings, s->request->version.label,
									stepwise_after_statement, s);
		s->retry_step = step;
		s->options.observer = retry_observer(s->retry);
		data_loss_begin(s->loss, false);
		if (alone >= 0)
			stepwise_try_nontransactional(s, step, alone);
		else
			(void) stepwise_run_transactional(s, step, from, to);
	}
	data_loss_end(s->loss);

	/* It is applied: whoever cancels comes too late, and nothing has failed. */
	s->begun = false;
	HOLD_CANCEL_INTERRUPTS();
	if (!resumed)
		data_loss_finish(s->loss);
	RESUME_CANCEL_INTERRUPTS();
	QueryCancelPending = false;
}

/* Writes how the attempt ended, in a transaction of its own. */
static void
stepwise_end_attempt(Stepwise *s, const ErrorData *edata)
{
	LedgerAttempt end = {0};

	end.outcome = ERRCODE_TO_CATEGORY(edata->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION ?
		"interrupted" : "failed";
	end.sqlstate = unpack_sql_state(edata->sqlerrcode);
	end.message = edata->message;
	end.detail = edata->detail;
	end.line = s->request->script->error_line;
	StartTransactionCommand();
	MemoryContextSwitchTo(s->context);

	if (strcmp(end.outcome, "failed") == 0 && s->marked)
	{
		stepwise_forget_running(s);
		ledger_update_attempt(&s->request->identity, &s->progress);
	}
	ledger_end_attempt(&s->request->identity, s->progress.id, &end);
	CommitTransactionCommand();
	MemoryContextSwitchTo(s->context);
}

/*
 * The attempt failed, or was interrupted from outside. A second cancel, or the
 * script's lock_timeout, must not keep that from being recorded; a termination
 * may, and the next run finds that no process is left. Never fails itself, so
 * that the error that there is reaches the caller.
 */
static void
stepwise_record_failure(Stepwise *s, const ErrorData *edata)
{
	PG_TRY();
	{
		HOLD_CANCEL_INTERRUPTS();
		stepwise_end_attempt(s, edata);
		RESUME_CANCEL_INTERRUPTS();
	}
	PG_CATCH();
	{
		ErrorData  *second;

		/* The error has ended the hold. */
		MemoryContextSwitchTo(s->context);
		second = CopyErrorData();
		FlushErrorState();
		AbortCurrentTransaction();
		MemoryContextSwitchTo(s->context);
		ereport(WARNING,
				(errmsg("the end of the attempt could not be recorded: %s", second->message)));
	}
	PG_END_TRY();
	QueryCancelPending = false;
}

/* What is done stays done: say so behind the error's own hint. */
static void
stepwise_help(const Stepwise *s, ErrorData *edata)
{
	int			done = s->progress.steps_done;
	int			from;
	int			to;
	int			alone;
	char	   *next;

	stepwise_range(s, done + 1, &from, &to);
	alone = stepwise_alone(s, from, to);
	if (alone >= 0 && stepwise_is_block(s, alone))
		next = psprintf("%d of its %d steps are done. What this block had committed stays as well, and the next run begins the block anew: see to it that it can.",
						done, s->progress.steps);
	else if (done == 0)
		next = pstrdup("No step of it is done. Run it again: what the failed one may have left is cleared away first.");
	else
		next = psprintf("%d of its %d steps are done, and stay: run it again to go on with step %d.",
						done, s->progress.steps, done + 1);

	/* Begun by an earlier attempt, whose end is not known. */
	if (s->progress.step_running == done + 1 && !s->marked)
		next = psprintf("Step %d was interrupted earlier: if it took effect then, SELECT tapmig.step_done(%s, %d, why), and run it again. %s",
						done + 1, quote_literal_cstr(s->request->version.text), done + 1, next);

	/* What is no setting has not outlived the session that made it. */
	if (s->resumed > 0 && (edata->sqlerrcode == ERRCODE_UNDEFINED_TABLE ||
						   edata->sqlerrcode == ERRCODE_UNDEFINED_PSTATEMENT ||
						   edata->sqlerrcode == ERRCODE_UNDEFINED_CURSOR))
		next = psprintf("If it was a temporary table, prepared statement or cursor of the first %d steps, it went with its session: make it again behind these. %s",
						s->resumed, next);

	/* A statement that was alone and is refused all the same. */
	if (edata->sqlerrcode == ERRCODE_ACTIVE_SQL_TRANSACTION && edata->funcname != NULL &&
		strcmp(edata->funcname, "PreventInTransactionBlock") == 0)
		next = psprintf("The server refuses it inside of DO, functions and EXECUTE: write the statement itself into the script. %s",
						next);
	if (edata->sqlerrcode == ERRCODE_INVALID_TRANSACTION_TERMINATION)
		next = psprintf("The server refuses COMMIT and ROLLBACK in functions and queries, in blocks with EXCEPTION, and in procedures with SET or SECURITY DEFINER: take it out of these. %s",
						next);
	if (edata->hint != NULL && edata->hint[0] != '\0')
		next = psprintf("%s%s %s", edata->hint,
						edata->hint[strlen(edata->hint) - 1] == '.' ? "" : ".", next);
	edata->hint = next;
}

/*
 * Runs a script to its end, from the step on that an earlier attempt left
 * unfinished. first_cut: where the server's refusal cut it in the caller, from
 * 1, negative where the statement runs alone; 0: nowhere. Errors: those of the script, and what admission raises; the
 * attempt is recorded by then.
 */
StepwiseOutcome
stepwise_run(Request *request, int first_cut)
{
	Stepwise   *s = palloc0(sizeof(Stepwise));

	s->outcome = STEPWISE_APPLIED;
	s->first_cut = first_cut;
	s->request = request;
	s->context = CurrentMemoryContext;
	s->refusal.index = -1;
	s->options.track = request->track;
	s->options.register_hint = psprintf("SELECT tapmig.register(%s)",
										quote_literal_cstr(request->version.text));
	s->options.check_deferred = true;
	s->options.in_worker = true;
	s->options.refusal = &s->refusal;
	s->options.lock_timeout_ms = request->settings.lock_timeout_ms;

	self_wait_start();
	PG_TRY();
	{
		if (stepwise_prepare(s))
			stepwise_run_steps(s);
	}
	PG_CATCH();
	{
		ErrorData  *edata;

		MemoryContextSwitchTo(s->context);
		edata = CopyErrorData();
		self_wait_explain(edata);
		stepwise_abort(s);
		QueryCancelPending = false;
		if (s->begun)
		{
			stepwise_record_failure(s, edata);
			stepwise_help(s, edata);
		}
		ReThrowError(edata);
	}
	PG_END_TRY();
	return s->outcome;
}
