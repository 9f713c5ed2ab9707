/*
 * shape.c
 *		Which statements can share a transaction, and which steps follow.
 *
 * Decided on the server's parse trees, before anything runs. The table of
 * statements that cannot run in a transaction block follows the callers of
 * PreventInTransactionBlock() (tcop/utility.c, commands/). What only the
 * catalogs or a run can tell (DO, CALL, DROP SUBSCRIPTION) is
 * SHAPE_DEPENDS: the server's refusal shows it.
 *
 * Each tree lives in a context that is reset before the next statement, unless
 * the visitor of shape_read_each() wants to keep it a little.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/defrem.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "errors.h"
#include "shape.h"

/* What a statement does to the transaction that it stands in. */
typedef enum ShapeControl
{
	CONTROL_NONE,
	CONTROL_BEGIN,
	CONTROL_COMMIT,
	CONTROL_COMMIT_AND_CHAIN
} ShapeControl;

typedef struct ShapeReader
{
	Script *script;
	Shape	   *shape;
	uint8	   *control;		/* ShapeControl of each statement */
	bool	   *neutral;		/* SET and RESET: may stand outside of the wrapper */
	int			index;			/* statement under way */
	bool		leading;		/* nothing but SET, RESET and BEGIN came so far */
	ShapeVisitor visitor;		/* may be NULL */
	void	   *visitor_arg;
} ShapeReader;

static void
shape_errcontext(void *arg)
{
	ShapeReader *reader = arg;
	int			position = geterrposition();

	if (position > 0)
		errposition(0);
	script_errcontext(reader->script, reader->index, position, 0);
}

static bool
shape_option_is_false(List *options, const char *name)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *def = lfirst_node(DefElem, lc);

		if (strcmp(def->defname, name) == 0)
			return !defGetBoolean(def);
	}
	return false;
}

/* Whether a statement's list of options has one that says yes. */
bool
shape_option_is_true(List *options, const char *name)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *def = lfirst_node(DefElem, lc);

		if (strcmp(def->defname, name) == 0)
			return defGetBoolean(def);
	}
	return false;
}

/* Whether the relation is there now, and partitioned; takes no lock. */
static bool
shape_is_partitioned(RangeVar *relation)
{
	Oid			schema = relation->schemaname == NULL ? InvalidOid :
		LookupNamespaceNoError(relation->schemaname);
	Oid			relid = relation->schemaname == NULL ? RelnameGetRelid(relation->relname) :
		OidIsValid(schema) ? get_relname_relid(relation->relname, schema) : InvalidOid;
	char		relkind = OidIsValid(relid) ? get_rel_relkind(relid) : '\0';

	return relkind == RELKIND_PARTITIONED_TABLE || relkind == RELKIND_PARTITIONED_INDEX;
}

/*
 * What the statement is called where it cannot run in a transaction block, or
 * NULL where it can; *kind is set to the shape.
 */
static const char *
shape_of(Node *node, ShapeKind *kind)
{
	*kind = SHAPE_STEPWISE;
	switch (nodeTag(node))
	{
		case T_IndexStmt:
			if (((IndexStmt *) node)->concurrent)
				return "CREATE INDEX CONCURRENTLY";
			break;
		case T_DropStmt:
			if (((DropStmt *) node)->concurrent)
				return "DROP INDEX CONCURRENTLY";
			break;
		case T_ReindexStmt:
			{
				ReindexStmt *stmt = (ReindexStmt *) node;

				if (shape_option_is_true(stmt->params, "concurrently"))
					return "REINDEX CONCURRENTLY";
				if (stmt->kind != REINDEX_OBJECT_INDEX && stmt->kind != REINDEX_OBJECT_TABLE)
					return "REINDEX of a schema or database";
				if (stmt->relation != NULL && shape_is_partitioned(stmt->relation))
					return "REINDEX of a partitioned relation";
				break;
			}
		case T_VacuumStmt:
			if (((VacuumStmt *) node)->is_vacuumcmd)
				return "VACUUM";
			break;
		case T_ClusterStmt:
			{
				ClusterStmt *stmt = (ClusterStmt *) node;

				if (stmt->relation == NULL)
					return "CLUSTER without a table";
				if (shape_is_partitioned(stmt->relation))
					return "CLUSTER of a partitioned table";
				break;
			}
		case T_AlterTableStmt:
			{
				ListCell   *lc;

				foreach(lc, ((AlterTableStmt *) node)->cmds)
				{
					AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);

					if (cmd->subtype == AT_DetachPartition &&
						((PartitionCmd *) cmd->def)->concurrent)
						return "ALTER TABLE ... DETACH PARTITION CONCURRENTLY";
				}
				break;
			}
		case T_AlterSystemStmt:
			return "ALTER SYSTEM";
		case T_CreatedbStmt:
			return "CREATE DATABASE";
		case T_DropdbStmt:
			return "DROP DATABASE";
		case T_AlterDatabaseStmt:
			{
				ListCell   *lc;

				foreach(lc, ((AlterDatabaseStmt *) node)->options)
				{
					if (strcmp(lfirst_node(DefElem, lc)->defname, "tablespace") == 0)
						return "ALTER DATABASE ... SET TABLESPACE";
				}
				break;
			}
		case T_CreateTableSpaceStmt:
			return "CREATE TABLESPACE";
		case T_DropTableSpaceStmt:
			return "DROP TABLESPACE";
		case T_CreateSubscriptionStmt:
			{
				List	   *options = ((CreateSubscriptionStmt *) node)->options;

				if (!shape_option_is_false(options, "connect") &&
					!shape_option_is_false(options, "create_slot"))
					return "CREATE SUBSCRIPTION that creates a slot";
				break;
			}
		case T_AlterSubscriptionStmt:
			{
				AlterSubscriptionStmt *stmt = (AlterSubscriptionStmt *) node;

				if (stmt->kind == ALTER_SUBSCRIPTION_REFRESH ||
					((stmt->kind == ALTER_SUBSCRIPTION_SET_PUBLICATION ||
					  stmt->kind == ALTER_SUBSCRIPTION_ADD_PUBLICATION ||
					  stmt->kind == ALTER_SUBSCRIPTION_DROP_PUBLICATION) &&
					 !shape_option_is_false(stmt->options, "refresh")))
					return "ALTER SUBSCRIPTION that refreshes";
				break;
			}
		case T_TransactionStmt:
			{
				TransactionStmtKind what = ((TransactionStmt *) node)->kind;

				if (what == TRANS_STMT_COMMIT_PREPARED)
					return "COMMIT PREPARED";
				if (what == TRANS_STMT_ROLLBACK_PREPARED)
					return "ROLLBACK PREPARED";
				break;
			}
		case T_DiscardStmt:
			if (((DiscardStmt *) node)->target == DISCARD_ALL)
				return "DISCARD ALL";
			break;
		case T_DoStmt:
		case T_CallStmt:
		case T_DropSubscriptionStmt:
			*kind = SHAPE_DEPENDS;
			return NULL;
		default:
			break;
	}
	*kind = SHAPE_TRANSACTIONAL;
	return NULL;
}

static void
shape_problem(ShapeReader *reader, ShapeProblem problem, int index)
{
	if (reader->shape->problem == SHAPE_FINE)
	{
		reader->shape->problem = problem;
		reader->shape->problem_at = index;
	}
}

/* Takes the options of BEGIN or SET TRANSACTION: a list of DefElem. */
static void
shape_take_options(Shape *shape, List *options)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *def = lfirst_node(DefElem, lc);
		A_Const    *value = (A_Const *) def->arg;

		if (strcmp(def->defname, "transaction_isolation") == 0)
		{
			const char *level = value->val.sval.sval;

			shape->isolation = strcmp(level, "serializable") == 0 ? XACT_SERIALIZABLE :
				strcmp(level, "repeatable read") == 0 ? XACT_REPEATABLE_READ :
				strcmp(level, "read committed") == 0 ? XACT_READ_COMMITTED :
				XACT_READ_UNCOMMITTED;
		}
		else if (strcmp(def->defname, "transaction_read_only") == 0)
			shape->read_only = value->val.ival.ival != 0;
		else if (strcmp(def->defname, "transaction_deferrable") == 0)
			shape->deferrable = value->val.ival.ival != 0;
	}
}

/* SET TRANSACTION. */
static bool
shape_is_options(const VariableSetStmt *set)
{
	return set->kind == VAR_SET_MULTI && strcmp(set->name, "TRANSACTION") == 0;
}

static ShapeRole
shape_of_set(ShapeReader *reader, VariableSetStmt *set)
{
	if (shape_is_options(set) && reader->leading)
	{
		shape_take_options(reader->shape, set->args);
		return SHAPE_OPTIONS;
	}
	reader->neutral[reader->index] = set->kind != VAR_SET_MULTI;
	if (set->name != NULL && pg_strcasecmp(set->name, "client_encoding") == 0)
		return SHAPE_WITHOUT_EFFECT;
	return SHAPE_RUN;
}

static void
shape_of_transaction(ShapeReader *reader, TransactionStmt *stmt)
{
	int			i = reader->index;

	switch (stmt->kind)
	{
		case TRANS_STMT_BEGIN:
		case TRANS_STMT_START:
			reader->control[i] = CONTROL_BEGIN;
			if (reader->leading)
				shape_take_options(reader->shape, stmt->options);
			break;
		case TRANS_STMT_COMMIT:
			reader->control[i] = stmt->chain ? CONTROL_COMMIT_AND_CHAIN : CONTROL_COMMIT;
			reader->shape->statements[i].chains = stmt->chain;
			break;
		case TRANS_STMT_ROLLBACK:
			shape_problem(reader, SHAPE_ROLLBACK, i);
			break;
		case TRANS_STMT_SAVEPOINT:
		case TRANS_STMT_RELEASE:
		case TRANS_STMT_ROLLBACK_TO:
			shape_problem(reader, SHAPE_SAVEPOINT, i);
			break;
		case TRANS_STMT_PREPARE:
			shape_problem(reader, SHAPE_PREPARE_TRANSACTION, i);
			break;
		case TRANS_STMT_COMMIT_PREPARED:
		case TRANS_STMT_ROLLBACK_PREPARED:
			break;
	}
}

static void
shape_of_statement(ShapeReader *reader, Node *node)
{
	Shape	   *shape = reader->shape;
	ShapeStatement *s = &shape->statements[reader->index];
	const char *what;

	s->command = CreateCommandName(node);
	s->role = SHAPE_RUN;
	s->chains = false;
	what = shape_of(node, &s->kind);
	s->cuts_before = s->cuts_after = what != NULL;
	s->concurrently = what != NULL && strstr(what, "CONCURRENTLY") != NULL;
	if (what != NULL && shape->stepwise_at < 0)
	{
		shape->stepwise_at = reader->index;
		shape->stepwise_what = what;
	}

	if (IsA(node, TransactionStmt))
		shape_of_transaction(reader, (TransactionStmt *) node);
	else if (IsA(node, VariableSetStmt))
		s->role = shape_of_set(reader, (VariableSetStmt *) node);
	else if (IsA(node, CopyStmt))
	{
		CopyStmt   *copy = (CopyStmt *) node;

		if (!copy->is_from && copy->filename == NULL && !copy->is_program)
			shape_problem(reader, SHAPE_COPY_TO_STDOUT, reader->index);
	}
	else if (IsA(node, DropStmt) && ((DropStmt *) node)->removeType == OBJECT_EXTENSION)
	{
		ListCell   *lc;

		foreach(lc, ((DropStmt *) node)->objects)
		{
			if (strcmp(strVal(lfirst(lc)), "tapmig") == 0)
				shape_problem(reader, SHAPE_DROPS_TAPMIG, reader->index);
		}
	}

	if (!IsA(node, VariableSetStmt) && reader->control[reader->index] != CONTROL_BEGIN)
		reader->leading = false;
}

static bool
shape_all_neutral(const ShapeReader *reader, int from, int to)
{
	for (int i = from; i < to; i++)
	{
		if (!reader->neutral[i] && reader->shape->statements[i].role != SHAPE_OPTIONS)
			return false;
	}
	return true;
}

/*
 * Decides what the script's own BEGIN and COMMIT are: the wrapper that runners
 * without transactions need, or cuts into several transactions.
 */
static void
shape_of_control(ShapeReader *reader)
{
	Shape	   *shape = reader->shape;
	int			n = reader->script->n_statements;
	int			begins = 0;
	int			commits = 0;
	int			first_begin = -1;
	int			last_begin = -1;
	int			first_commit = -1;
	int			last_commit = -1;
	int			cut;

	for (int i = 0; i < n; i++)
	{
		if (reader->control[i] == CONTROL_NONE)
			continue;
		shape->statements[i].role = SHAPE_WRAPPER;
		if (reader->control[i] == CONTROL_BEGIN)
		{
			begins++;
			last_begin = i;
			if (first_begin < 0)
				first_begin = i;
		}
		else
		{
			commits++;
			last_commit = i;
			if (first_commit < 0)
				first_commit = i;
		}
	}
	if (begins + commits == 0)
		return;

	if (last_begin > last_commit ||
		(last_commit >= 0 && reader->control[last_commit] == CONTROL_COMMIT_AND_CHAIN))
	{
		shape_problem(reader, SHAPE_BEGIN_WITHOUT_COMMIT, Max(last_begin, last_commit));
		return;
	}
	if (commits == 1 && shape_all_neutral(reader, last_commit + 1, n))
	{
		if (begins == 0)
		{
			shape->lone_commit = last_commit;
			return;
		}
		if (begins == 1 && shape_all_neutral(reader, 0, first_begin))
			return;
	}

	/* Name the statement that cuts: a COMMIT in the middle, else the BEGIN. */
	cut = first_commit;
	if (shape_all_neutral(reader, first_commit + 1, n))
		cut = first_begin;
	if (shape->stepwise_at < 0)
	{
		shape->stepwise_at = cut;
		shape->stepwise_what = reader->control[cut] == CONTROL_BEGIN ?
			"BEGIN behind other statements" : "COMMIT in the middle of the script";
	}
	for (int i = 0; i < n; i++)
	{
		if (reader->control[i] == CONTROL_NONE)
			continue;
		shape->statements[i].kind = SHAPE_STEPWISE;
		if (reader->control[i] == CONTROL_BEGIN)
			shape->statements[i].cuts_before = true;
		else
			shape->statements[i].cuts_after = true;
	}
}

/* Numbers the steps: a stepwise statement has one of its own. */
static void
shape_number_steps(Script *script, Shape *shape)
{
	int			step = 1;
	bool		used = false;	/* the step has a statement that runs */

	shape->runs = 0;
	shape->steps = 0;
	for (int i = 0; i < script->n_statements; i++)
	{
		ShapeStatement *s = &shape->statements[i];

		if (used && s->cuts_before)
		{
			step++;
			used = false;
		}
		s->step = step;
		if (s->role == SHAPE_RUN)
		{
			shape->runs++;
			shape->steps = step;
			used = true;
		}
		if (used && s->cuts_after)
		{
			step++;
			used = false;
		}
	}

	/* What stands behind the last step that runs something belongs to it. */
	for (int i = script->n_statements - 1; i >= 0; i--)
		shape->statements[i].step = Min(shape->statements[i].step, Max(shape->steps, 1));
}

/*
 * Where the options of the step that begins with a statement are to be looked
 * for: COMMIT AND CHAIN hands on those of the transaction that it ends.
 */
static int
shape_chain_begin(const Shape *shape, int from)
{
	while (from > 0 && shape->statements[from - 1].chains)
	{
		int			step = shape->statements[from - 1].step;

		while (from > 0 && shape->statements[from - 1].step == step)
			from--;
	}
	return from;
}

/*
 * The transaction options that BEGIN and SET TRANSACTION give to the step of
 * the statements from .. to - 1; -1: not given.
 */
void
shape_options(Script *script, const Shape *shape, int from, int to,
			  int *isolation, int *read_only, int *deferrable)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "tapmig shape",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Shape		options;
	bool		ran = false;	/* something in the transaction so far */

	options.isolation = options.read_only = options.deferrable = -1;
	for (int i = shape_chain_begin(shape, from); i < to; i++)
	{
		Node	   *node;

		ran = !shape->statements[i].chains && (ran || shape->statements[i].role == SHAPE_RUN);

		/* One that runs has its effect, but in the transaction that is handed on from. */
		if ((shape->statements[i].role != SHAPE_WRAPPER || shape->statements[i].chains) &&
			shape->statements[i].role != SHAPE_OPTIONS &&
			(i >= from || strcmp(shape->statements[i].command, "SET") != 0))
			continue;
		node = linitial_node(RawStmt, raw_parser(script_statement_text(script, i),
												 RAW_PARSE_DEFAULT))->stmt;
		if (IsA(node, TransactionStmt) && ((TransactionStmt *) node)->kind == TRANS_STMT_COMMIT)
		{
			/* The end of the step, or of an empty transaction before it. */
			if (ran)
				break;
			options.isolation = options.read_only = options.deferrable = -1;
		}
		else if (IsA(node, TransactionStmt))
			shape_take_options(&options, ((TransactionStmt *) node)->options);
		else if (shape_is_options(castNode(VariableSetStmt, node)))
			shape_take_options(&options, ((VariableSetStmt *) node)->args);
	}
	*isolation = options.isolation;
	*read_only = options.read_only;
	*deferrable = options.deferrable;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/*
 * Cuts the script before a statement, and behind it too where it has to run
 * alone, outside of a transaction block: what the server's refusal showed.
 */
void
shape_cut(Script *script, Shape *shape, int index, bool alone)
{
	ShapeStatement *s = &shape->statements[index];

	shape->kind = SHAPE_STEPWISE;
	s->cuts_before = true;
	if (alone)
	{
		s->kind = SHAPE_STEPWISE;
		s->cuts_after = true;
	}
	shape_number_steps(script, shape);
}

/* Adds what helps to a syntax error, and cuts its message to a sane length. */
static void
shape_help_syntax_error(Script *script, ErrorData *edata)
{
	script_clip_message(edata);
	if (edata->sqlerrcode == ERRCODE_SYNTAX_ERROR && edata->hint == NULL &&
		edata->message != NULL && strstr(edata->message, "\":\"") != NULL)
		edata->hint = pstrdup("Variables of psql (:name) are not expanded: write the value into the script.");
}

static void
shape_parse_all(ShapeReader *reader)
{
	Script *script = reader->script;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "tapmig shape",
												  ALLOCSET_DEFAULT_SIZES);

	for (int i = 0; i < script->n_statements; i++)
	{
		const ScriptStatement *s = &script->statements[i];
		MemoryContext old = MemoryContextSwitchTo(context);
		List	   *parsed;

		CHECK_FOR_INTERRUPTS();
		reader->index = i;
		script_obey_scanner_settings(s);
		parsed = raw_parser(script_statement_text(script, i), RAW_PARSE_DEFAULT);
		if (list_length(parsed) != 1)
			ereport(ERROR,
					(errcode(TAPMIG_ERRCODE_NOT_UNDERSTOOD),
					 errmsg("one statement to psql would be %d to the server", list_length(parsed)),
					 errdetail("A string ends before a command of psql and another begins on the next line: psql reads two strings, the server, which gets no command, reads one."),
					 errhint("Write the command before the statement, or the strings as one.")));
		shape_of_statement(reader, linitial_node(RawStmt, parsed)->stmt);
		MemoryContextSwitchTo(old);
		if (reader->visitor == NULL ||
			reader->visitor(reader->visitor_arg, i, linitial_node(RawStmt, parsed)->stmt,
							&reader->shape->statements[i]))
			MemoryContextReset(context);
	}
	if (reader->visitor != NULL)
		(void) reader->visitor(reader->visitor_arg, script->n_statements, NULL, NULL);
	MemoryContextDelete(context);
}

/*
 * Parses every statement of a script and finds its shape. The result lives in
 * the current memory context. Errors: what the parser raises, with the
 * script's line and column; nothing is run. A script that cannot run at all is
 * no error here: see shape_check().
 */
Shape *
shape_read(Script *script)
{
	return shape_read_each(script, NULL, NULL);
}

/*
 * The same, and shows each statement's tree to a visitor. What it is told of the
 * statement is what its tree alone says: neither step nor role are final.
 */
Shape *
shape_read_each(Script *script, ShapeVisitor visitor, void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	Shape	   *shape = palloc0(sizeof(Shape));
	int			n = Max(script->n_statements, 1);
	int			nest = NewGUCNestLevel();
	ErrorContextCallback callback;
	ShapeReader reader;
	ScriptSilence silence;

	shape->statements = MemoryContextAllocHuge(context, n * sizeof(ShapeStatement));
	shape->stepwise_at = -1;
	shape->problem_at = -1;
	shape->isolation = -1;
	shape->read_only = -1;
	shape->deferrable = -1;
	shape->lone_commit = -1;
	shape->steps = 0;

	memset(&reader, 0, sizeof(reader));
	reader.script = script;
	reader.shape = shape;
	reader.control = MemoryContextAllocHuge(context, n);
	memset(reader.control, CONTROL_NONE, n);
	reader.neutral = MemoryContextAllocHuge(context, n * sizeof(bool));
	memset(reader.neutral, 0, n * sizeof(bool));
	reader.leading = true;
	reader.visitor = visitor;
	reader.visitor_arg = arg;

	callback.callback = shape_errcontext;
	callback.arg = &reader;
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	/* The scanner's warnings are left to the pass that executes. */
	script_silence_scanner(&silence);
	PG_TRY();
	{
		shape_parse_all(&reader);
	}
	PG_CATCH();
	{
		ErrorData  *edata;

		script_end_silence(&silence);
		MemoryContextSwitchTo(context);
		edata = CopyErrorData();
		FlushErrorState();
		shape_help_syntax_error(script, edata);
		AtEOXact_GUC(false, nest);
		ReThrowError(edata);
	}
	PG_END_TRY();
	script_end_silence(&silence);

	error_context_stack = callback.previous;
	AtEOXact_GUC(false, nest);

	shape_of_control(&reader);
	shape_number_steps(reader.script, shape);
	shape->kind = shape->stepwise_at >= 0 ? SHAPE_STEPWISE : SHAPE_TRANSACTIONAL;
	pfree(reader.control);
	pfree(reader.neutral);
	return shape;
}

/*
 * Refuses a script that cannot run in any shape: TM003 for transaction control
 * that a script may not have, TM009 for COPY TO stdout, 55000 for a DROP
 * EXTENSION tapmig. Each error names the statement and its line.
 */
void
shape_check(Script *script, const Shape *shape)
{
	ShapeReader reader = {0};
	ErrorContextCallback callback;

	if (shape->problem == SHAPE_FINE)
		return;

	reader.script = script;
	reader.index = shape->problem_at;
	callback.callback = shape_errcontext;
	callback.arg = &reader;
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	switch (shape->problem)
	{
		case SHAPE_FINE:
			break;
		case SHAPE_BEGIN_WITHOUT_COMMIT:
			ereport(ERROR,
					(errcode(TAPMIG_ERRCODE_WRONG_SHAPE),
					 errmsg("the script begins a transaction that it does not commit"),
					 errdetail("The BEGIN on line %d has no COMMIT.",
							   script->statements[shape->problem_at].line),
					 errhint("Add the COMMIT, or take the BEGIN out: tapmig runs a script in a transaction of its own.")));
			break;
		case SHAPE_ROLLBACK:
			ereport(ERROR,
					(errcode(TAPMIG_ERRCODE_WRONG_SHAPE),
					 errmsg("a migration cannot contain ROLLBACK"),
					 errdetail("It would be recorded although nothing of it is there."),
					 errhint("Take it out; to try a script and roll it back, SELECT * FROM tapmig.rehearse(script).")));
			break;
		case SHAPE_SAVEPOINT:
			ereport(ERROR,
					(errcode(TAPMIG_ERRCODE_WRONG_SHAPE),
					 errmsg("a migration cannot contain SAVEPOINT, RELEASE or ROLLBACK TO"),
					 errdetail("A migration is applied whole or not at all."),
					 errhint("Use a DO block with an EXCEPTION clause for a part that may fail.")));
			break;
		case SHAPE_PREPARE_TRANSACTION:
			ereport(ERROR,
					(errcode(TAPMIG_ERRCODE_WRONG_SHAPE),
					 errmsg("a migration cannot contain PREPARE TRANSACTION"),
					 errdetail("Its record would commit at another moment than its effects."),
					 errhint("Take it out: tapmig commits a script together with its record.")));
			break;
		case SHAPE_COPY_TO_STDOUT:
			ereport(ERROR,
					(errcode(TAPMIG_ERRCODE_NOT_UNDERSTOOD),
					 errmsg("COPY TO stdout cannot be used in a migration"),
					 errdetail("The results of a migration's statements are discarded."),
					 errhint("Take the statement out.")));
			break;
		case SHAPE_DROPS_TAPMIG:
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("a migration cannot drop the extension tapmig"),
					 errdetail("The script's own record would go with it."),
					 errhint("Run DROP EXTENSION tapmig by hand, outside of a migration.")));
			break;
	}
	pg_unreachable();
}

/*
 * Raises TM003 for a statement that keeps the script from running as one
 * transaction; `what` names it.
 */
void
shape_refuse_stepwise(Script *script, int index, const char *what, const char *hint)
{
	ShapeReader reader = {0};
	ErrorContextCallback callback;

	reader.script = script;
	reader.index = index;
	callback.callback = shape_errcontext;
	callback.arg = &reader;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	ereport(ERROR,
			(errcode(TAPMIG_ERRCODE_WRONG_SHAPE),
			 errmsg("%s cannot run inside the transaction of a migration", what),
			 errdetail("Statement %d on line %d makes the script stepwise; nothing of it was run.",
					   index + 1, script->statements[index].line),
			 errhint("%s", hint)));
}

const char *
shape_kind_name(ShapeKind kind)
{
	return kind == SHAPE_TRANSACTIONAL ? "transactional" :
		kind == SHAPE_STEPWISE ? "stepwise" : "depends";
}
