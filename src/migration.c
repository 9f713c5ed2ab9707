/*
 * migration.c
 *		Applies a script: the order of events of apply and run.
 *
 * Both first look the version up without the lock: what is applied stays
 * applied, and need not wait for whoever is migrating. Else they take the
 * track's lock, look again with a snapshot that is younger than the lock (unless
 * no transaction has ended in between), run the script and record it, in one
 * transaction.
 *
 * apply does so in the caller's transaction and lets errors pass. run is at top
 * level: it commits first, so that it waits without a snapshot, runs the script
 * in a subtransaction of a transaction of its own, and commits. An error in it
 * is caught to record the attempt: the subtransaction's abort unwinds what the
 * script left open in the executor and SPI, after which SPI_rollback() ends the
 * transaction as a ROLLBACK in a procedure does.
 *
 * A lock that could not be had, or a deadlock, ends a try and not the call: run
 * gives up its transaction and begins at the lock again, apply gives up the
 * subtransaction that its tries run in.
 *
 * A script that is not one transaction, by its text or by the server's refusal,
 * is given to a worker, after a commit or rollback that frees the lock.
 *
 * Lock order: the migration lock, then what the script takes, then the rows of
 * the ledger.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "commands/async.h"
#include "commands/prepare.h"
#include "commands/sequence.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "admission.h"
#include "data_loss.h"
#include "errors.h"
#include "executor.h"
#include "held_locks.h"
#include "index_repair.h"
#include "lint.h"
#include "migration.h"
#include "retry.h"
#include "shape.h"
#include "worker_launch.h"

typedef struct Migration
{
	Request    *request;
	Shape	   *shape;			/* NULL until read */
	const LintFindings *findings;	/* made while it was read, until they are told; or NULL */
	MemoryContext lint;			/* they are in */
	bool		top_level;		/* run, with a transaction of its own */
	bool		may_launch;		/* and called by the client itself: a worker may run it */
	bool		trying;			/* an error now is a failed try of the script */
	bool		needs_worker;	/* the script is, or turned out to be, stepwise */
	bool		try_again;		/* a lock could not be had: another try is due */
	Retry	   *retry;			/* NULL until the script's first try */
	HeldAdvisory *advisory;		/* the session's locks before a try */
	int			n_advisory;
	DataLoss   *loss;			/* likewise */
	ExecutorRefusal refusal;
	TimestampTz started_at;
} Migration;

const char *
migration_outcome_name(MigrationOutcome outcome)
{
	return outcome == MIGRATION_APPLIED ? "applied" :
		outcome == MIGRATION_SKIPPED ? "skipped" : "registered";
}

static char *
migration_call(const Request *request, const char *format)
{
	return psprintf(format, quote_literal_cstr(request->version.text));
}

/* How to send a script that is stepwise. */
static char *
migration_stepwise_hint(const Migration *migration)
{
	return migration_call(migration->request,
						  "CALL tapmig.run(%s, script) at top level, with autocommit on.");
}

static const char *
migration_isolation_name(int isolation)
{
	return isolation == XACT_SERIALIZABLE ? "serializable" :
		isolation == XACT_REPEATABLE_READ ? "repeatable read" :
		isolation == XACT_READ_COMMITTED ? "read committed" : "read uncommitted";
}

/*
 * Obeys the transaction options that the script begins with: run sets them,
 * since its transaction has no snapshot yet; apply only compares.
 */
static void
migration_obey_options(const Migration *migration)
{
	const Shape *shape = migration->shape;
	bool		differs;

	if (migration->top_level)
	{
		if (shape->isolation >= 0)
			(void) set_config_option("transaction_isolation",
									 migration_isolation_name(shape->isolation),
									 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL,
									 true, 0, false);
		if (shape->deferrable >= 0)
			(void) set_config_option("transaction_deferrable",
									 shape->deferrable ? "on" : "off",
									 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL,
									 true, 0, false);
		return;
	}
	differs = (shape->isolation >= 0 && shape->isolation != XactIsoLevel) ||
		(shape->deferrable >= 0 && (shape->deferrable != 0) != XactDeferrable) ||
		shape->read_only == 1;
	if (differs)
		ereport(ERROR,
				(errcode(TAPMIG_ERRCODE_WRONG_SHAPE),
				 errmsg("migration %s begins with transaction options that this transaction does not have",
						migration->request->version.label),
				 errdetail("A transaction's options cannot be changed once it has begun to work."),
				 errhint("CALL tapmig.run(%s, script) at top level, with autocommit on, or begin the transaction with them.",
						 quote_literal_cstr(migration->request->version.text))));
}

/* Whether lint is to look at the script in this try. */
static bool
migration_lints(const Request *request)
{
	return request->settings.lint != SETTINGS_ALLOW &&
		(!request->warned || request->settings.lint == SETTINGS_ERROR);
}

/*
 * The shape of a script. Lint looks at the trees that it is read from; what it finds
 * is told when the script is about to run.
 */
static Shape *
migration_read_shape(Migration *migration)
{
	Request    *request = migration->request;
	MemoryContext old;
	Lint	   *lint;
	Shape	   *shape;

	if (!migration_lints(request))
		return shape_read(request->script);
	migration->lint = AllocSetContextCreate(CurrentMemoryContext, "tapmig lint",
											ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(migration->lint);
	lint = lint_begin(request->script, &request->settings, NULL);
	MemoryContextSwitchTo(old);
	shape = shape_read_each(request->script, lint_statement, lint);
	MemoryContextSwitchTo(migration->lint);
	migration->findings = lint_end(lint);
	MemoryContextSwitchTo(old);
	return shape;
}

/* Reads and parses the script, and obeys its transaction options. */
static void
migration_read(Migration *migration)
{
	Request    *request = migration->request;
	ListCell   *lc;

	migration->trying = true;
	request_read_script(request);
	if (migration->shape == NULL)
	{
		Shape	   *shape = migration_read_shape(migration);

		shape_check(request->script, shape);
		migration->shape = shape;
	}
	migration->trying = false;

	if (request->warned)
		return;
	foreach(lc, request->script->notices)
		ereport(NOTICE, (errmsg("%s", (char *) lfirst(lc))));
	if (migration->shape->lone_commit >= 0)
		ereport(NOTICE,
				(errmsg("COMMIT on line %d has no BEGIN and is ignored",
						request->script->statements[migration->shape->lone_commit].line)));
}

/*
 * Whether an earlier run has finished some of the version's steps; or_begun: or
 * has begun one outside of a transaction, which may have taken effect.
 */
static bool
migration_has_steps_done(const Request *request, bool or_begun)
{
	LedgerProgress *progress = ledger_find_attempt(&request->identity, request->track,
												   &request->version);

	return progress != NULL &&
		(progress->steps_done > 0 || (or_begun && progress->step_running > 0)) &&
		strcmp(progress->outcome, "abandoned") != 0;
}

/*
 * What lint has to say of a script that is about to run. In a later try the
 * tables may have grown: what is an error then is one. Errors: TM007.
 */
static void
migration_lint(Migration *migration)
{
	Request    *request = migration->request;
	MemoryContext old;

	if (!migration_lints(request))
		return;
	if (migration->findings == NULL)
	{
		migration->lint = AllocSetContextCreate(CurrentMemoryContext, "tapmig lint",
												ALLOCSET_DEFAULT_SIZES);
		old = MemoryContextSwitchTo(migration->lint);
		migration->findings = lint_script(request->script, migration->shape, &request->settings);
		MemoryContextSwitchTo(old);
	}
	lint_report(request->script, migration->findings, &request->settings, request->warned);
	migration->findings = NULL;
	MemoryContextDelete(migration->lint);
}

/* IF NOT EXISTS skips over an INVALID index, and that would count as success. */
static void
migration_after_statement(int index, void *arg)
{
	Migration  *migration = arg;

	if (strcmp(migration->shape->statements[index].command, "CREATE INDEX") == 0)
		index_repair_check_statement(migration->request->script, index);
}

/*
 * Records what has run. The script's locks are held still, so that a wait for
 * the ledger's tables is one of the try's.
 */
static void
migration_record(Migration *migration, bool out_of_order)
{
	int			left = retry_left_ms(migration->retry);
	int			nest = NewGUCNestLevel();

	if (left > 0)
		(void) set_config_option("lock_timeout", psprintf("%d", left), PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	request_record(migration->request, "applied", out_of_order, migration->started_at);
	AtEOXact_GUC(false, nest);
}

/*
 * Runs and records a version that is not in force. The caller holds the lock,
 * has read the script, and its transaction is the one to run in.
 */
static MigrationOutcome
migration_execute(Migration *migration)
{
	Request    *request = migration->request;
	const ScriptDirectives *d = &request->script->directives;
	ExecutorOptions options;
	bool		out_of_order;

	admission_check_snapshot(request);
	admission_check_requires(request);
	if (admission_is_squashed(request))
	{
		request_record(request, "registered", false, migration->started_at);
		return MIGRATION_REGISTERED;
	}
	out_of_order = admission_is_out_of_order(request);
	if (!migration->may_launch && migration_has_steps_done(request, false))
		ereport(ERROR,
				(errcode(TAPMIG_ERRCODE_WRONG_SHAPE),
				 errmsg("migration %s has finished steps of an earlier run",
						request->version.label),
				 errhint("%s", migration_stepwise_hint(migration))));
	if (migration->shape->kind == SHAPE_STEPWISE)
		shape_refuse_stepwise(request->script, migration->shape->stepwise_at,
							  migration->shape->stepwise_what,
							  migration_stepwise_hint(migration));
	if (migration->shape->runs == 0 && !request->warned)
		ereport(WARNING,
				(errmsg("migration %s is empty", request->version.label),
				 errdetail("Its script has no statement that does anything; it is recorded all the same.")));

	migration_lint(migration);
	options.track = request->track;
	options.register_hint = migration_call(request, "SELECT tapmig.register(%s)");
	options.stepwise_hint = migration_stepwise_hint(migration);
	options.lock_timeout_ms = d->lock_timeout_ms >= 0 ?
		d->lock_timeout_ms : request->settings.lock_timeout_ms;
	options.check_deferred = migration->top_level;
	options.in_worker = false;
	options.refusal = migration->may_launch ? &migration->refusal : NULL;
	if (migration->retry == NULL)
		migration->retry = retry_create(&request->settings, request->version.label,
										migration_after_statement, migration);
	if (migration->loss == NULL)
		migration->loss = data_loss_create(&request->settings, request->script);
	options.observer = retry_observer(migration->retry);

	migration->trying = true;
	retry_begin(migration->retry, options.lock_timeout_ms > 0);
	data_loss_begin(migration->loss, true);
	executor_run(request->script, migration->shape, &options);
	data_loss_end(migration->loss);
	data_loss_finish(migration->loss);
	migration_record(migration, out_of_order);
	retry_end(migration->retry, false);
	return MIGRATION_APPLIED;
}

/* Whether the transaction holds a lock that could keep others waiting. */
static bool
migration_holds_strong(void)
{
	HeldLock   *locks;
	int			n = held_locks_read(&locks);
	bool		found = false;

	for (int i = 0; i < n && !found; i++)
		found = held_locks_strongest(locks[i].modes) > RowShareLock;
	pfree(locks);
	return found;
}

/*
 * Ends a try after an error, in a PG_CATCH block: down to the nest level given.
 * Returns the error, in the context given.
 */
static ErrorData *
migration_end_try(Migration *migration, MemoryContext context, int level)
{
	ErrorData  *edata;

	if (migration->loss != NULL)
		data_loss_end(migration->loss);
	if (migration->retry != NULL)
		retry_end(migration->retry, true);
	MemoryContextSwitchTo(context);
	edata = CopyErrorData();
	FlushErrorState();
	executor_release_slot();
	while (GetCurrentTransactionNestLevel() > level)
		RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	return edata;
}

/*
 * Whether another try is due, after one has been rolled back: the caller's
 * transaction may read catalogs. Else edata is what is to be raised.
 */
static bool
migration_tries_again(Migration *migration, ErrorData *edata, const char *why_not)
{
	if (!migration->trying || migration->retry == NULL || !retry_is_blocked(edata))
		return false;
	migration->request->warned = true;
	return retry_report(migration->retry, edata, why_not);
}

/*
 * The tries of apply, each in a subtransaction of the caller's transaction.
 * strong: that held locks before which a try that is rolled back doesn't free.
 */
static MigrationOutcome
migration_try_within(Migration *migration, bool strong)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	int			level = GetCurrentTransactionNestLevel();
	volatile MigrationOutcome outcome = MIGRATION_SKIPPED;

	migration->n_advisory = held_locks_read_advisory(&migration->advisory);
	for (;;)
	{
		migration->try_again = false;
		BeginInternalSubTransaction(NULL);
		MemoryContextSwitchTo(context);
		PG_TRY();
		{
			outcome = migration_execute(migration);
			ReleaseCurrentSubTransaction();
		}
		PG_CATCH();
		{
			ErrorData  *edata = migration_end_try(migration, context, level);

			CurrentResourceOwner = owner;
			migration->try_again = migration_tries_again(migration, edata,
														 strong ?
														 "It was rolled back. The transaction holds locks from before, so that it is not tried again here: ROLLBACK and begin anew, or CALL tapmig.run at top level." :
														 NULL);
			if (!migration->try_again)
				ReThrowError(edata);
			held_locks_free_advisory(migration->advisory, migration->n_advisory);
		}
		PG_END_TRY();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		if (!migration->try_again)
			return outcome;
		retry_pause(migration->retry);
	}
}

/*
 * tapmig.apply: applies the script in the caller's transaction, which holds the
 * migration lock until it ends. what: the function that was called, for errors.
 */
MigrationOutcome
migration_apply(Request *request, const char *what)
{
	Migration  *migration = palloc0(sizeof(Migration));
	bool		strong;

	migration->request = request;
	strong = migration_holds_strong();
	request_check_can_write(what);
	if (admission_is_in_force(request, false))
		return MIGRATION_SKIPPED;

	request_lock(request, MIGRATION_LOCK_WITH_SNAPSHOT);
	if (admission_is_in_force_now(request))
		return MIGRATION_SKIPPED;
	migration->started_at = GetCurrentTimestamp();
	migration_read(migration);
	migration_obey_options(migration);
	return migration_try_within(migration, strong);
}

static void
migration_commit_errcontext(void *arg)
{
	Migration  *migration = arg;

	errcontext("migration %s, commit", migration->request->version.label);
}

/*
 * One try of run, in a transaction that has no snapshot yet; commits. Sets
 * migration->needs_worker for a script that is not one transaction.
 */
static MigrationOutcome
migration_try(Migration *migration)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	MigrationOutcome outcome = MIGRATION_SKIPPED;
	ErrorContextCallback callback;

	migration_read(migration);
	if (migration->shape->kind == SHAPE_TRANSACTIONAL)
		migration_obey_options(migration);

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	if (!admission_is_in_force_now(migration->request))
	{
		migration->needs_worker = migration->may_launch &&
			(migration->shape->kind == SHAPE_STEPWISE ||
			 migration_has_steps_done(migration->request, true));
		if (migration->needs_worker)
			migration_lint(migration);
		else
			outcome = migration_execute(migration);
	}
	ReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;

	callback.callback = migration_commit_errcontext;
	callback.arg = migration;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	SPI_commit();
	error_context_stack = callback.previous;
	return outcome;
}

/*
 * Ends the transaction after an error, in a PG_CATCH block: down to the nest
 * level given, so that no SPI connection but the procedure's own is left, and
 * then as a ROLLBACK in a procedure. Returns the error, in the context given.
 */
static ErrorData *
migration_roll_back(Migration *migration, MemoryContext context, int level)
{
	ErrorData  *edata = migration_end_try(migration, context, level);

	SPI_rollback();
	return edata;
}

/*
 * Commits the word on a run that has ended with an error. It waits for no
 * synchronous standby: a cancel would have to be repeated to end that, and a
 * standby that lacks the word sees an interrupted run all the same.
 */
static void
migration_commit_word(void)
{
	if (synchronous_commit > SYNCHRONOUS_COMMIT_LOCAL_FLUSH)
		(void) set_config_option("synchronous_commit", "local", PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
	SPI_commit();
}

/*
 * Records a failed try in a transaction of its own; never fails itself. worker: the
 * process whose attempt it is, which may have been terminated and have left it as it
 * was; 0: the caller's own.
 */
static void
migration_record_attempt(Migration *migration, const ErrorData *edata, int worker)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	int			level = GetCurrentTransactionNestLevel();
	const Request *request = migration->request;
	LedgerAttempt attempt = {0};

	attempt.track = request->track;
	attempt.version = &request->version;
	attempt.checksum = request->checksum;
	attempt.started_at = migration->started_at;
	attempt.outcome = "failed";
	attempt.sqlstate = unpack_sql_state(edata->sqlerrcode);
	attempt.message = edata->message;
	attempt.detail = edata->detail;
	attempt.line = request->script ? request->script->error_line : 0;

	PG_TRY();
	{
		BeginInternalSubTransaction(NULL);
		MemoryContextSwitchTo(context);
		if (worker != 0)
			ledger_interrupt_attempt(&request->identity, request->track,
									 &request->version, worker, &attempt);
		else
			ledger_record_attempt(&request->identity, &attempt);
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		migration_commit_word();
	}
	PG_CATCH();
	{
		ErrorData  *second = migration_roll_back(migration, context, level);

		ereport(WARNING,
				(errmsg("the failed attempt could not be recorded: %s", second->message)));
	}
	PG_END_TRY();
}

/* Runs the script in a worker; the caller's transaction has nothing but itself. */
static StepwiseOutcome
migration_run_in_worker(Migration *migration)
{
	MemoryContext context = CurrentMemoryContext;
	Request    *request = migration->request;
	int			level = GetCurrentTransactionNestLevel();
	volatile StepwiseOutcome outcome = STEPWISE_LOST_RACE;
	int			first_cut = migration->refusal.index + 1;
	int			pid = 0;

	if (migration->refusal.sqlstate != ERRCODE_UNSAFE_NEW_ENUM_VALUE_USAGE)
		first_cut = -first_cut;

	PG_TRY();
	{
		outcome = worker_launch(request, first_cut, &pid);
	}
	PG_CATCH();
	{
		ErrorData  *edata = migration_roll_back(migration, context, level);

		/* A second cancel must not keep it from being recorded; an error ends the hold. */
		HOLD_CANCEL_INTERRUPTS();
		if (pid != 0)
			migration_record_attempt(migration, edata, pid);
		if (QueryCancelHoldoffCount > 0)
			RESUME_CANCEL_INTERRUPTS();
		ReThrowError(edata);
	}
	PG_END_TRY();
	return outcome;
}

/*
 * What DISCARD ALL does, but for the settings, which every script puts back, and
 * for the plans, which cost nothing but the time to make them again. The cursor
 * that is active, the CALL's own, stays.
 */
static void
migration_discard(void)
{
	PortalHashTableDeleteAll();
	DropAllPreparedStatements();
	Async_UnlistenAll();
	LockReleaseSession(USER_LOCKMETHOD);
	ResetTempTableNamespace();
	ResetSequenceCaches();
}

/*
 * tapmig.run at top level: CALL in autocommit mode. The caller is connected to
 * SPI as a nonatomic procedure, and the current memory context outlives a
 * commit. nested: a DO block or another procedure made the CALL; a stepwise
 * script is TM003 there.
 */
MigrationOutcome
migration_run(Request *request, bool nested)
{
	MemoryContext context = CurrentMemoryContext;
	Migration  *migration = palloc0(sizeof(Migration));
	volatile MigrationOutcome outcome = MIGRATION_SKIPPED;
	int			level;

	migration->request = request;
	migration->top_level = true;
	migration->may_launch = !nested;
	request_check_can_write("tapmig.run");
	/* A DO block or a procedure around it has cursors of its own. */
	if (request->settings.discard && !nested)
		migration_discard();
	if (admission_is_in_force(request, false))
		return MIGRATION_SKIPPED;

	migration->n_advisory = held_locks_read_advisory(&migration->advisory);
	for (;;)
	{
		/* Gives up the snapshot, and what the lookup held. */
		SPI_commit();
		migration->needs_worker = false;
		migration->refusal.index = -1;
		level = GetCurrentTransactionNestLevel();

		PG_TRY();
		{
			if (migration->try_again)
				retry_pause(migration->retry);
			migration->try_again = false;
			migration->trying = false;
			request_lock(request, MIGRATION_LOCK_WITHOUT_SNAPSHOT);
			migration->started_at = GetCurrentTimestamp();
			outcome = migration_try(migration);
		}
		PG_CATCH();
		{
			ErrorData  *edata = migration_roll_back(migration, context, level);

			migration->needs_worker = migration->refusal.index >= 0;
			if (!migration->needs_worker)
			{
				migration->try_again = migration_tries_again(migration, edata, NULL);
				if (!migration->try_again)
				{
					if (migration->trying)
						migration_record_attempt(migration, edata, 0);
					ReThrowError(edata);
				}
			}

			/* pg_advisory_lock() takes them for the session: the worker would wait for them. */
			held_locks_free_advisory(migration->advisory, migration->n_advisory);
		}
		PG_END_TRY();
		if (migration->try_again)
			continue;
		if (!migration->needs_worker)
			return outcome;
		request->warned = true;

		/* The lock went with the transaction: the worker takes it. */
		switch (migration_run_in_worker(migration))
		{
			case STEPWISE_LOST_RACE:
				break;
			case STEPWISE_APPLIED:
				return MIGRATION_APPLIED;
			case STEPWISE_SKIPPED:
				return MIGRATION_SKIPPED;
			case STEPWISE_REGISTERED:
				return MIGRATION_REGISTERED;
		}
	}
}
