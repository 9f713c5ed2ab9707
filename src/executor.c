/*
 * executor.c
 *		Runs the statements of a script inside the current transaction.
 *
 * Each statement goes through a portal of its own, as exec_simple_query() has
 * it, but not as top level: what cannot run in a transaction block refuses
 * itself with 25001, and a COMMIT inside of a DO or CALL with 2D000. The worker
 * then runs such a statement alone, as top level. A portal, and not SPI, since
 * core computes the position of an error in a function's body from the active
 * portal's text, which then is the statement's.
 *
 * Every setting that the script changes is restored when it ends; on error the
 * (sub)transaction's abort does that. In the worker, whose session is the
 * script's own, they stay for the next step. Nothing here begins or ends a
 * transaction, but for what a statement that runs alone does itself. The flag that
 * a script is running, and what RESET gives lock_timeout, are put back on every
 * way out; which transaction one has run in goes with that transaction.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "commands/prepare.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/analyze.h"
#include "replication/slot.h"
#include "storage/proc.h"
#include "tcop/dest.h"
#include "tcop/pquery.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/backend_status.h"
#include "utils/guc.h"
#include "utils/guc_tables.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"

#include "compat.h"
#include "copy_inline.h"
#include "errors.h"
#include "executor.h"

/* Bytes from which on it counts that a statement is kept as text and trees. */
#define EXECUTOR_LARGE (1024 * 1024)

typedef struct ExecutorState
{
	Script *script;
	const Shape *shape;
	const ExecutorOptions *options;
	MemoryContext context;		/* outlives the statements */
	int			index;			/* statement under way */
	bool		at_end;			/* deferred constraints are being checked */
	bool		fixed;			/* RESET gives lock_timeout the script's, not ... */
	int			reset_ms;		/* ... this, the session's default */
	List	   *prepared;		/* names of the statements that it prepared */
} ExecutorState;

static bool in_script = false;

/*
 * The transaction that a script has run in, and the first of its subtransactions
 * that one has; their numbers grow.
 */
static LocalTransactionId script_transaction = InvalidLocalTransactionId;
static SubTransactionId script_subtransaction = InvalidSubTransactionId;
static object_access_hook_type previous_object_access_hook = NULL;

/* Whether a script is running in this backend. */
bool
executor_in_script(void)
{
	return in_script;
}

/*
 * Whether one has run in the current transaction, and was not rolled back: what it
 * has deferred may be about to run.
 */
bool
executor_has_run(void)
{
	return script_transaction != InvalidLocalTransactionId &&
		script_transaction == COMPAT_PROC_LXID(MyProc);
}

static void
executor_note_run(void)
{
	if (executor_has_run())
		return;
	script_transaction = COMPAT_PROC_LXID(MyProc);
	script_subtransaction = GetCurrentSubTransactionId();
}

static void
executor_at_subtransaction(SubXactEvent event, SubTransactionId id,
						   SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB && id <= script_subtransaction)
		script_transaction = InvalidLocalTransactionId;
}

/* A script may reach DROP EXTENSION tapmig through DO or DROP OWNED as well. */
static void
executor_object_access(ObjectAccessType access, Oid class_id, Oid object_id,
					   int sub_id, void *arg)
{
	if (previous_object_access_hook)
		previous_object_access_hook(access, class_id, object_id, sub_id, arg);

	if (in_script && access == OAT_DROP && class_id == ExtensionRelationId)
	{
		char	   *name = get_extension_name(object_id);

		if (name != NULL && strcmp(name, "tapmig") == 0)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("a migration cannot drop the extension tapmig"),
					 errhint("Run DROP EXTENSION tapmig by hand, outside of a migration.")));
	}
}

/* Called once, by _PG_init. */
void
executor_install_hooks(void)
{
	previous_object_access_hook = object_access_hook;
	object_access_hook = executor_object_access;
	RegisterSubXactCallback(executor_at_subtransaction, NULL);
}

static void
executor_errcontext(void *arg)
{
	ExecutorState *state = arg;
	const ScriptStatement *s;
	int			position = geterrposition();
	int			line = 0;

	if (position > 0)
		errposition(0);
	if (state->at_end)
	{
		if (state->script->label != NULL)
			errcontext("migration %s, deferred constraints at the end of the script",
					   state->script->label);
		return;
	}
	s = &state->script->statements[state->index];
	if (s->copy_line > 0 && copy_inline_line() > 0)
		line = s->copy_line + (int) copy_inline_line() - 1;
	script_errcontext(state->script, state->index, position, line);
}

static void
executor_report_activity(const ExecutorState *state)
{
	char	   *activity = psprintf("tapmig %s/%s: statement %d of %d",
									state->options->track,
									state->script->label ? state->script->label : "",
									state->index + 1, state->script->n_statements);

	pgstat_report_activity(STATE_RUNNING, activity);
	pfree(activity);
}

/*
 * Runs one statement through a portal; its results are discarded. parsing: the
 * context that raw is in, to be given back as soon as it can be; or NULL.
 */
static void
executor_run_portal(RawStmt *raw, const char *text, bool top_level, MemoryContext parsing)
{
	MemoryContext context = CurrentMemoryContext;
	bool		snapshot = analyze_requires_snapshot(raw);
	CommandTag	tag = CreateCommandTag(raw->stmt);
	List	   *queries;
	List	   *plans;
	Portal		portal;
	DestReceiver *receiver;
	QueryCompletion completion;

	if (snapshot)
		PushActiveSnapshot(GetTransactionSnapshot());
	if (parsing != NULL)
		MemoryContextSwitchTo(parsing);
	queries = pg_analyze_and_rewrite_fixedparams(raw, text, NULL, 0, NULL);
	MemoryContextSwitchTo(context);
	if (parsing != NULL)
	{
		queries = copyObject(queries);
		MemoryContextDelete(parsing);
	}
	plans = pg_plan_queries(queries, text, CURSOR_OPT_PARALLEL_OK, NULL);
	if (snapshot)
		PopActiveSnapshot();

	portal = CreateNewPortal();
	portal->visible = false;
	PortalDefineQuery(portal, NULL, text, tag, plans, NULL);
	PortalStart(portal, NULL, 0, InvalidSnapshot);
	receiver = CreateDestReceiver(DestNone);
	(void) compat_portal_run(portal, FETCH_ALL, top_level, receiver, receiver, &completion);
	receiver->rDestroy(receiver);
	PortalDrop(portal, false);
}

static void
executor_run_statement(ExecutorState *state)
{
	const ScriptStatement *s = &state->script->statements[state->index];
	char	   *text = script_statement_text(state->script, state->index);
	MemoryContext context = CurrentMemoryContext;
	MemoryContext parsing = NULL;
	List	   *parsed;
	RawStmt    *raw;
	char	   *prepared = NULL;

	if (s->end - s->start >= EXECUTOR_LARGE)
		MemoryContextSwitchTo(parsing = AllocSetContextCreate(context, "tapmig parsing",
															  ALLOCSET_DEFAULT_SIZES));
	parsed = pg_parse_query(text);
	MemoryContextSwitchTo(context);

	/* The split was made under the settings that the script was expected to set. */
	if (list_length(parsed) != 1)
		ereport(ERROR,
				(errcode(TAPMIG_ERRCODE_NOT_UNDERSTOOD),
				 errmsg("the script changed how its own text is read"),
				 errdetail("This is one statement before the script runs, and %d now.",
						   list_length(parsed)),
				 errhint("Set standard_conforming_strings with a plain SET in the script.")));
	raw = linitial_node(RawStmt, parsed);
	if (IsA(raw->stmt, PrepareStmt))
		prepared = MemoryContextStrdup(state->context, ((PrepareStmt *) raw->stmt)->name);

	if (s->copy_line > 0)
	{
		PushActiveSnapshot(GetTransactionSnapshot());
		(void) copy_inline(castNode(CopyStmt, raw->stmt), text,
						   state->script->text + s->copy_start,
						   s->copy_end - s->copy_start);
		PopActiveSnapshot();
	}
	else
		executor_run_portal(raw, text, false, parsing);
	CommandCounterIncrement();

	if (prepared != NULL)
	{
		MemoryContextSwitchTo(state->context);
		state->prepared = lappend(state->prepared, prepared);
		MemoryContextSwitchTo(context);
	}
}

/* No rollback takes back what a script has prepared: another try would meet it. */
static void
executor_forget_prepared(ExecutorState *state)
{
	ListCell   *lc;

	foreach(lc, state->prepared)
		DropPreparedStatement(lfirst(lc), false);
	list_free_deep(state->prepared);
	state->prepared = NIL;
}

/* The setting lock_timeout. */
struct config_int *
executor_lock_timeout(void)
{
	static struct config_int *setting = NULL;

	if (setting == NULL)
	{
		int			n;
		struct config_generic **settings = compat_guc_variables(&n);

		for (int i = 0; i < n && setting == NULL; i++)
		{
			if (strcmp(settings[i]->name, "lock_timeout") == 0)
				setting = (struct config_int *) settings[i];
		}
		if (setting == NULL)
			elog(ERROR, "there is no setting lock_timeout");
	}
	return setting;
}

/*
 * Sets lock_timeout until the nest level ends; RESET goes back to it until
 * executor_release_lock_timeout(), since no level and no rollback knows of that.
 */
static void
executor_fix_lock_timeout(ExecutorState *state)
{
	struct config_int *setting = executor_lock_timeout();
	char		value[32];

	snprintf(value, sizeof(value), "%d", state->options->lock_timeout_ms);
	(void) set_config_option("lock_timeout", value, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	state->reset_ms = setting->reset_val;
	state->fixed = true;
	setting->reset_val = state->options->lock_timeout_ms;
}

static void
executor_release_lock_timeout(ExecutorState *state)
{
	if (state->fixed)
		executor_lock_timeout()->reset_val = state->reset_ms;
	state->fixed = false;
}

/*
 * In the worker no client's command has armed the script's statement_timeout. To be
 * called before what counts as a statement; whoever calls it disarms it.
 */
void
executor_arm_timeout(void)
{
	if (StatementTimeout > 0)
		enable_timeout_after(STATEMENT_TIMEOUT, StatementTimeout);
	else
		disable_timeout(STATEMENT_TIMEOUT, false);
}

static void
executor_run_statements(ExecutorState *state, int from, int to)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "tapmig statement",
												  ALLOCSET_DEFAULT_SIZES);
	const ExecutorObserver *observer = state->options->observer;
	bool		in_worker = state->options->in_worker;
	bool		read_only = state->shape->read_only == 1 && !in_worker;
	bool		was_read_only = XactReadOnly;
	int			nest = in_worker ? 0 : NewGUCNestLevel();
	ErrorContextCallback callback;

	if (state->options->lock_timeout_ms > 0 && !in_worker)
		executor_fix_lock_timeout(state);

	/*
	 * From 16 on this setting cannot be given back at the end of a nest level.
	 * An error's rollback puts the variable back.
	 */
	if (read_only)
		XactReadOnly = true;

	callback.callback = executor_errcontext;
	callback.arg = state;
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	for (state->index = from; state->index < to; state->index++)
	{
		MemoryContext old;

		CHECK_FOR_INTERRUPTS();
		if (state->shape->statements[state->index].role != SHAPE_RUN)
			continue;
		executor_report_activity(state);
		if (in_worker)
			executor_arm_timeout();
		if (observer != NULL)
			observer->before(state->index, observer->arg);
		old = MemoryContextSwitchTo(context);
		executor_run_statement(state);
		MemoryContextSwitchTo(old);
		if (observer != NULL)
			observer->after(state->index, observer->arg);
		MemoryContextReset(context);
	}

	/* The context of a NOTICE, or of a caught error, left its line there. */
	state->at_end = true;
	state->script->error_line = 0;
	if (state->options->check_deferred)
	{
		ConstraintsSetStmt *immediate = makeNode(ConstraintsSetStmt);

		immediate->constraints = NIL;
		immediate->deferred = false;
		AfterTriggerSetState(immediate);
	}

	error_context_stack = callback.previous;
	if (in_worker)
		disable_timeout(STATEMENT_TIMEOUT, false);
	else
	{
		AtEOXact_GUC(false, nest);
		if (read_only)
			XactReadOnly = was_read_only;
		pgstat_report_activity(STATE_RUNNING, debug_query_string);
	}
	MemoryContextDelete(context);
}

/*
 * Runs one text as top level, in the transaction that the caller has begun and
 * that the statement may commit. state->index names it in errors.
 */
static void
executor_run_top_level(ExecutorState *state, const char *sql)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "tapmig statement",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	ErrorContextCallback callback;
	List	   *parsed;

	callback.callback = executor_errcontext;
	callback.arg = state;
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	executor_report_activity(state);
	executor_arm_timeout();
	if (state->options->observer != NULL)
		state->options->observer->before(state->index, state->options->observer->arg);
	parsed = pg_parse_query(sql);
	executor_run_portal(linitial_node(RawStmt, parsed), sql, true, NULL);
	if (TransactionBlockStatusCode() != 'I')
		elog(ERROR, "a statement left a transaction block open");
	MemoryContextSwitchTo(old);

	error_context_stack = callback.previous;
	MemoryContextDelete(context);
}

/*
 * Whether a statement runs a query. A function in one cannot commit wherever it
 * runs: alone it would be refused again. (25001 is another matter: a function
 * that makes a replication slot wants a transaction which has not written.)
 */
static bool
executor_is_query(const char *command)
{
	static const char *const queries[] = {
		"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "COPY", "EXECUTE", "EXPLAIN",
		"SELECT INTO", "CREATE TABLE AS", "CREATE MATERIALIZED VIEW", "REFRESH MATERIALIZED VIEW"
	};

	for (int i = 0; i < (int) lengthof(queries); i++)
	{
		if (strcmp(command, queries[i]) == 0)
			return true;
	}
	return false;
}

/*
 * Whether a transaction was to be ended within a function: then the statement is
 * refused wherever it runs. The context tells, where PL/pgSQL's is in English:
 * what a block reaches by CALL or DO may end a transaction, and nothing else.
 */
static bool
executor_is_within_query(const ErrorData *edata)
{
	static const char frame[] = "PL/pgSQL function ";
	static const char own[] = "migration ";
	const char *line = edata->context;
	bool		innermost = true;

	/* Behind the executor's own line it is about who called tapmig. */
	while (line != NULL && strncmp(line, own, sizeof(own) - 1) != 0)
	{
		const char *end = strchr(line, '\n');
		size_t		len = end != NULL ? (size_t) (end - line) : strlen(line);

		if (strncmp(line, frame, sizeof(frame) - 1) == 0)
		{
			if (!innermost && strncmp(line + len - 8, " at CALL", 8) != 0 &&
				strncmp(line + len - 6, " at DO", 6) != 0)
				return true;
			innermost = false;
		}
		line = end != NULL ? end + 1 : NULL;
	}
	return false;
}

/*
 * Whether a statement that cannot run in a transaction block was run by a function
 * or block, in which nothing is top level: there it is refused wherever that runs.
 */
static bool
executor_is_never_top_level(const ErrorData *edata, const char *command)
{
	return edata->funcname != NULL &&
		strcmp(edata->funcname, "PreventInTransactionBlock") == 0 &&
		(executor_is_query(command) || strcmp(command, "DO") == 0 || strcmp(command, "CALL") == 0);
}

/* Whether a transaction's option was to be set too late, by set_config() or a block. */
static bool
executor_is_option(const ErrorData *edata)
{
	return edata->funcname != NULL &&
		(strcmp(edata->funcname, "call_enum_check_hook") == 0 ||
		 strcmp(edata->funcname, "call_bool_check_hook") == 0);
}

/*
 * Whether the script raised it itself, or another server did: then its code says
 * nothing of the shape.
 */
static bool
executor_is_raised(const ErrorData *edata)
{
	return edata->funcname != NULL &&
		(strcmp(edata->funcname, "exec_stmt_raise") == 0 ||
		 strcmp(edata->funcname, "dblink_res_error") == 0 ||
		 strcmp(edata->funcname, "pgfdw_report_error") == 0);
}

/*
 * Adds the next action to an error that PostgreSQL leaves without one, and
 * turns the server's own refusals of the transaction's shape into TM003.
 */
static void
executor_help(const ExecutorState *state, ErrorData *edata)
{
	const ExecutorOptions *options = state->options;
	const char *command = state->at_end ? "" : state->shape->statements[state->index].command;

	script_clip_message(edata);
	switch (executor_is_raised(edata) ? 0 : edata->sqlerrcode)
	{
		case ERRCODE_ACTIVE_SQL_TRANSACTION:
			if (strcmp(command, "SET") == 0 || executor_is_option(edata))
				return;
			if (edata->sqlerrcode == ERRCODE_ACTIVE_SQL_TRANSACTION &&
				options->refusal != NULL && executor_is_never_top_level(edata, command))
			{
				if (edata->hint == NULL && !options->in_worker)
					edata->hint = pstrdup("The server refuses it inside of DO, functions and EXECUTE: write the statement itself into the script.");
				return;
			}
			/* FALLTHROUGH */
		case ERRCODE_INVALID_TRANSACTION_TERMINATION:
			if (edata->sqlerrcode == ERRCODE_INVALID_TRANSACTION_TERMINATION &&
				options->refusal != NULL &&
				(executor_is_query(command) || executor_is_within_query(edata)))
			{
				if (edata->hint == NULL && !options->in_worker)
					edata->hint = pstrdup("A query or function cannot call what commits: make the function a procedure and CALL it, or write its statements into the script.");
				return;
			}
			/* FALLTHROUGH */
		case ERRCODE_UNSAFE_NEW_ENUM_VALUE_USAGE:
			if (options->refusal != NULL && !state->at_end)
			{
				options->refusal->index = state->index;
				options->refusal->sqlstate = edata->sqlerrcode;
				return;
			}
			if (edata->detail == NULL)
				edata->detail = psprintf("The server refuses statement %d on line %d inside of a transaction block.",
										 state->index + 1,
										 state->script->statements[state->index].line);
			edata->sqlerrcode = TAPMIG_ERRCODE_WRONG_SHAPE;
			edata->hint = options->stepwise_hint ? pstrdup(options->stepwise_hint) : NULL;
			return;
	}

	if (edata->hint != NULL)
		return;
	switch (edata->sqlerrcode)
	{
		case ERRCODE_DUPLICATE_TABLE:
		case ERRCODE_DUPLICATE_COLUMN:
		case ERRCODE_DUPLICATE_OBJECT:
		case ERRCODE_DUPLICATE_FUNCTION:
			if (options->register_hint)
				edata->hint = psprintf("If the migration was applied by hand, record it: %s",
									   options->register_hint);
			break;
		case ERRCODE_INSUFFICIENT_PRIVILEGE:
			edata->hint = psprintf("The script runs with the rights of role \"%s\": grant it what is missing, or run as a role that has it.",
								   GetUserNameFromId(GetUserId(), true));
			break;
		case ERRCODE_LOCK_NOT_AVAILABLE:
			edata->hint = pstrdup("Nothing was changed. Run it again when the table is less busy, or give it longer with -- tapmig: lock_timeout=30s.");
			break;
	}
}

/* How a call of the executor runs its part of the script. */
typedef enum ExecutorPart
{
	EXECUTOR_RANGE,				/* statements from .. to, in one transaction */
	EXECUTOR_TOP_LEVEL			/* `sql`, for the statement `from` */
} ExecutorPart;

static void
executor_run_part(Script *script, const Shape *shape, const ExecutorOptions *options,
				  ExecutorPart part, int from, int to, const char *sql)
{
	MemoryContext context = CurrentMemoryContext;
	ExecutorState *state = palloc0(sizeof(ExecutorState));

	Assert(!in_script);
	state->script = script;
	state->shape = shape;
	state->options = options;
	state->index = from;
	state->context = context;

	in_script = true;
	executor_note_run();
	PG_TRY();
	{
		if (part == EXECUTOR_RANGE)
			executor_run_statements(state, from, to);
		else
			executor_run_top_level(state, sql);

		/* It may have committed: what it left in this transaction is the script's still. */
		executor_note_run();
	}
	PG_CATCH();
	{
		ErrorData  *edata;

		in_script = false;
		executor_release_lock_timeout(state);
		executor_forget_prepared(state);
		if (!options->in_worker)
			pgstat_report_activity(STATE_RUNNING, debug_query_string);
		MemoryContextSwitchTo(context);
		edata = CopyErrorData();
		FlushErrorState();
		executor_help(state, edata);
		ReThrowError(edata);
	}
	PG_END_TRY();
	in_script = false;
	executor_release_lock_timeout(state);
	list_free_deep(state->prepared);
	pfree(state);
}

/*
 * Runs all statements of a script whose shape is transactional, in the current
 * (sub)transaction, with an active snapshot or without. Errors keep what
 * PostgreSQL says of them, with the script's line in their context; the
 * caller's (sub)transaction is then to be aborted.
 */
void
executor_run(Script *script, const Shape *shape, const ExecutorOptions *options)
{
	executor_run_part(script, shape, options, EXECUTOR_RANGE, 0,
					  script->n_statements, NULL);
}

/* The same for the statements from .. to - 1, one transactional step. */
void
executor_run_range(Script *script, const Shape *shape, int from, int to,
				   const ExecutorOptions *options)
{
	executor_run_part(script, shape, options, EXECUTOR_RANGE, from, to, NULL);
}

/*
 * Runs one statement as top level, in the bare transaction that the caller has
 * begun; the statement may commit it and begin others. The current memory
 * context outlives them.
 */
void
executor_run_alone(Script *script, const Shape *shape, int index,
				   const ExecutorOptions *options)
{
	executor_run_part(script, shape, options, EXECUTOR_TOP_LEVEL, index, index + 1,
					  script_statement_text(script, index));
}

/* The same for another text, run on behalf of a statement: a repair. */
void
executor_run_sql(Script *script, const Shape *shape, int index, const char *sql,
				 const ExecutorOptions *options)
{
	executor_run_part(script, shape, options, EXECUTOR_TOP_LEVEL, index, index + 1, sql);
}

/*
 * To be called where an error is caught behind which more is run. A replication
 * slot that was being made is dropped by core's own handler at top level, and by
 * nothing else.
 */
void
executor_release_slot(void)
{
	if (MyReplicationSlot != NULL)
		ReplicationSlotRelease();
}
