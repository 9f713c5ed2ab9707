/*
 * migration.c
 *		Applies a script: the order of events of apply and run.
 *
 * Both first look the version up without the lock: what is applied stays
 * applied, and need not wait for whoever is migrating. Else they take the
 * track's lock, look again with a snapshot that is younger than the lock, run
 * the script and record it, all in one transaction.
 *
 * apply does so in the caller's transaction and lets errors pass. run is at top
 * level: it commits first, so that it waits without a snapshot, runs the script
 * in a subtransaction of a transaction of its own, and commits. An error in it
 * is caught to record the attempt: the subtransaction's abort unwinds what the
 * script left open in the executor and SPI, after which SPI_rollback() ends the
 * transaction as a ROLLBACK in a procedure does.
 *
 * Lock order: the migration lock, then what the script takes, then the rows of
 * the ledger.
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "errors.h"
#include "executor.h"
#include "migration.h"
#include "shape.h"

typedef struct Migration
{
	Request    *request;
	Shape	   *shape;			/* NULL until read */
	bool		top_level;		/* run, with a transaction of its own */
	bool		trying;			/* an error now is a failed try of the script */
	TimestampTz started_at;
} Migration;

const char *
migration_outcome_name(MigrationOutcome outcome)
{
	return outcome == MIGRATION_APPLIED ? "applied" :
		outcome == MIGRATION_SKIPPED ? "skipped" : "registered";
}

/*
 * Looks the version up. True when it is in force, and nothing is to be run:
 * the same content, a difference in layout only, or registered without a
 * script. Errors: TM001 for other content. locked: whether the caller holds the
 * migration lock; without it a difference in layout is left to the next call.
 */
static bool
migration_is_in_force(Migration *migration, bool locked)
{
	Request    *request = migration->request;
	LedgerRow  *row = ledger_find(&request->identity, request->track, &request->version);
	bytea	   *fingerprint;
	char	   *replaced_by;
	char	   *why_not;

	if (row == NULL)
	{
		replaced_by = ledger_replaced_by(&request->identity, request->track,
										 &request->version);
		if (replaced_by == NULL)
			return false;
		ereport(NOTICE,
				(errmsg("migration %s is a part of %s, which is applied",
						request->version.label, replaced_by)));
		return true;
	}
	if (row->checksum == NULL || request_matches(row, request->checksum))
		return true;

	fingerprint = request_fingerprint_or_null(request, &why_not);
	if (!request_same_fingerprint(row, fingerprint))
		request_raise_changed(request, row);
	if (!locked)
		return false;

	ledger_note_layout(&request->identity, request->track, &request->version,
					   request->checksum);
	ereport(NOTICE,
			(errmsg("migration %s differs from what was %s in layout or comments only",
					request->version.label, row->kind)));
	return true;
}

/* 40001 where the script would run on data older than the track's last event. */
static void
migration_check_snapshot(const Request *request)
{
	if (ledger_is_stale(&request->identity, request->track))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize migration %s: another one was applied since this transaction began",
						request->version.label),
				 errdetail("The script would run on data from before it."),
				 errhint("Roll back and try again, in a new transaction.")));
}

static void
migration_check_requires(const Request *request)
{
	const ScriptDirectives *d = &request->script->directives;
	ListCell   *lc;

	foreach(lc, d->requires)
	{
		Version		version;

		version_parse(lfirst(lc), &version);
		if (ledger_find(&request->identity, request->track, &version) == NULL &&
			ledger_replaced_by(&request->identity, request->track, &version) == NULL)
			ereport(ERROR,
					(errcode(TAPMIG_ERRCODE_MISSING),
					 errmsg("migration %s requires %s, which is not applied",
							request->version.label, version.text),
					 errhint("Apply %s first.", version.text)));
	}
	foreach(lc, d->compensates)
	{
		Version		version;

		version_parse(lfirst(lc), &version);
		if (ledger_find(&request->identity, request->track, &version) == NULL &&
			ledger_replaced_by(&request->identity, request->track, &version) == NULL)
			ereport(WARNING,
					(errmsg("migration %s compensates %s, which is not applied",
							request->version.label, version.text)));
	}
}

/*
 * Whether all parts of a squash are in force, so that it is registered only.
 * False when none is. Errors: TM002 for some. What lies within a range is not
 * known here, so that a range counts by its ends.
 */
static bool
migration_is_squashed(const Request *request)
{
	bool		all = true;
	bool		any = false;
	char	   *missing = NULL;
	char	   *present = NULL;
	ListCell   *lc;

	if (request->script->directives.replaces == NIL)
		return false;
	foreach(lc, request->script->directives.replaces)
	{
		char	   *item = lfirst(lc);
		char	   *dots = strstr(item, "..");
		Version		first,
					last;
		bool		has_first,
					has_last;
		int			n;

		version_parse(dots ? pnstrdup(item, dots - item) : item, &first);
		version_parse(dots ? dots + 2 : item, &last);
		ledger_count_range(&request->identity, request->track, first.key, last.key,
						   &has_first, &has_last, &n);
		if (n > 0)
		{
			any = true;
			present = item;
		}
		if (!has_first || !has_last)
		{
			all = false;
			missing = has_first ? last.text : first.text;
		}
	}
	if (all)
		return true;
	if (any)
		ereport(ERROR,
				(errcode(TAPMIG_ERRCODE_OUT_OF_ORDER),
				 errmsg("some of the migrations that %s replaces are applied, and some are not",
						request->version.label),
				 errdetail("Applied: some of %s; not applied: %s.", present, missing),
				 errhint("Apply the rest of them first, from a release that still has their files.")));
	return false;
}

/* Whether the version is lower than the highest applied one. */
static bool
migration_is_out_of_order(const Request *request)
{
	char	   *highest;
	char	   *key = ledger_highest(&request->identity, request->track, &highest);

	if (key == NULL || version_compare_keys(request->version.key, key) > 0)
		return false;
	if (request->settings.out_of_order == SETTINGS_ALLOW)
		return true;
	ereport(request->settings.out_of_order == SETTINGS_ERROR ? ERROR : WARNING,
			(errcode(TAPMIG_ERRCODE_OUT_OF_ORDER),
			 errmsg("migration %s comes after %s, which is applied",
					request->version.label, highest),
			 errdetail("It has the lower version: it was written, or merged, later."),
			 request->settings.out_of_order == SETTINGS_ERROR ?
			 errhint("Give it a number above %s, or SET tapmig.out_of_order = warn.", highest) :
			 errhint("It is applied all the same, and marked out_of_order.")));
	return true;
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
	if (migration->top_level)
		return pstrdup("This version of tapmig runs transactional scripts only: run the statement by hand, then SELECT tapmig.register(version, script).");
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
				 errhint("CALL tapmig.run(%s, script) at top level, with autocommit on, or begin the transaction with them.",
						 quote_literal_cstr(migration->request->version.text))));
}

static void
migration_record(const Migration *migration, const char *kind, bool out_of_order)
{
	const Request *request = migration->request;
	const ScriptDirectives *d = &request->script->directives;
	LedgerEntry entry = {0};

	entry.track = request->track;
	entry.version = &request->version;
	entry.kind = kind;
	entry.source = request->source;
	entry.why = d->why;
	entry.checksum = request->checksum;
	entry.fingerprint = request_fingerprint(request);
	entry.statements = request->script->n_statements;
	entry.elapsed_us = GetCurrentTimestamp() - migration->started_at;
	entry.out_of_order = out_of_order;
	entry.directives = d->all;
	entry.script = d->store && request->settings.store_sql ?
		pnstrdup(request->sql, request->len) : NULL;
	ledger_record(&request->identity, &entry);
}

/* Reads and parses the script, and obeys its transaction options. */
static void
migration_read(Migration *migration)
{
	Request    *request = migration->request;
	ListCell   *lc;

	migration->trying = true;
	request_read_script(request);
	migration->shape = shape_read(request->script);
	shape_check(request->script, migration->shape);
	migration->trying = false;

	foreach(lc, request->script->notices)
		ereport(NOTICE, (errmsg("%s", (char *) lfirst(lc))));
	if (migration->shape->lone_commit >= 0)
		ereport(NOTICE,
				(errmsg("COMMIT on line %d has no BEGIN and is ignored",
						request->script->statements[migration->shape->lone_commit].line)));
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

	migration_check_snapshot(request);
	migration_check_requires(request);
	if (migration_is_squashed(request))
	{
		migration_record(migration, "registered", false);
		return MIGRATION_REGISTERED;
	}
	out_of_order = migration_is_out_of_order(request);
	if (migration->shape->kind == SHAPE_STEPWISE)
		shape_refuse_stepwise(request->script, migration->shape->stepwise_at,
							  migration->shape->stepwise_what,
							  migration_stepwise_hint(migration));
	if (migration->shape->runs == 0)
		ereport(WARNING,
				(errmsg("migration %s is empty", request->version.label),
				 errdetail("Its script has no statement that does anything; it is recorded all the same.")));

	options.track = request->track;
	options.register_hint = migration_call(request, "SELECT tapmig.register(%s)");
	options.stepwise_hint = migration_stepwise_hint(migration);
	options.lock_timeout_ms = d->lock_timeout_ms >= 0 ?
		d->lock_timeout_ms : request->settings.lock_timeout_ms;
	options.check_deferred = migration->top_level;

	migration->trying = true;
	executor_run(request->script, migration->shape, &options);
	migration_record(migration, "applied", out_of_order);
	return MIGRATION_APPLIED;
}

/*
 * tapmig.apply: applies the script in the caller's transaction, which holds the
 * migration lock until it ends. what: the function that was called, for errors.
 */
MigrationOutcome
migration_apply(Request *request, const char *what)
{
	Migration  *migration = palloc0(sizeof(Migration));

	migration->request = request;
	request_check_can_write(what);
	if (migration_is_in_force(migration, false))
		return MIGRATION_SKIPPED;

	request_lock(request, MIGRATION_LOCK_WITH_SNAPSHOT);
	if (migration_is_in_force(migration, true))
		return MIGRATION_SKIPPED;
	migration->started_at = GetCurrentTimestamp();
	migration_read(migration);
	migration_obey_options(migration);
	return migration_execute(migration);
}

/* One try of run, in a transaction that has no snapshot yet; commits. */
static MigrationOutcome
migration_try(Migration *migration)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	MigrationOutcome outcome = MIGRATION_SKIPPED;

	migration_read(migration);
	migration_obey_options(migration);

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	if (!migration_is_in_force(migration, true))
		outcome = migration_execute(migration);
	ReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;

	SPI_commit();
	return outcome;
}

/*
 * Ends the transaction after an error, in a PG_CATCH block: down to the nest
 * level given, so that no SPI connection but the procedure's own is left, and
 * then as a ROLLBACK in a procedure. Returns the error, in the context given.
 */
static ErrorData *
migration_roll_back(MemoryContext context, int level)
{
	ErrorData  *edata;

	MemoryContextSwitchTo(context);
	edata = CopyErrorData();
	FlushErrorState();
	while (GetCurrentTransactionNestLevel() > level)
		RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	SPI_rollback();
	return edata;
}

/* Records a failed try in a transaction of its own; never fails itself. */
static void
migration_record_attempt(const Migration *migration, const ErrorData *edata)
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
		ledger_record_attempt(&request->identity, &attempt);
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		SPI_commit();
	}
	PG_CATCH();
	{
		ErrorData  *second = migration_roll_back(context, level);

		ereport(WARNING,
				(errmsg("the failed attempt could not be recorded: %s", second->message)));
	}
	PG_END_TRY();
}

/*
 * tapmig.run at top level: CALL in autocommit mode. The caller is connected to
 * SPI as a nonatomic procedure, and the current memory context outlives a
 * commit.
 */
MigrationOutcome
migration_run(Request *request)
{
	MemoryContext context = CurrentMemoryContext;
	Migration  *migration = palloc0(sizeof(Migration));
	MigrationOutcome outcome = MIGRATION_SKIPPED;
	int			level;

	migration->request = request;
	migration->top_level = true;
	request_check_can_write("tapmig.run");
	if (migration_is_in_force(migration, false))
		return MIGRATION_SKIPPED;

	/* Gives up the snapshot, and what the lookup held. */
	SPI_commit();
	request_lock(request, MIGRATION_LOCK_WITHOUT_SNAPSHOT);
	migration->started_at = GetCurrentTimestamp();
	level = GetCurrentTransactionNestLevel();

	PG_TRY();
	{
		outcome = migration_try(migration);
	}
	PG_CATCH();
	{
		ErrorData  *edata = migration_roll_back(context, level);

		if (migration->trying)
			migration_record_attempt(migration, edata);
		ReThrowError(edata);
	}
	PG_END_TRY();
	return outcome;
}
