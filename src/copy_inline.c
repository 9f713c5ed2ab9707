/*
 * copy_inline.c
 *		COPY ... FROM stdin whose data stand in the script.
 *
 * The data go through COPY's own reader by BeginCopyFrom()'s data callback, so
 * that options, types, triggers and error messages are COPY's own.  What
 * DoCopy() checks before it can't be called for anything but the client's
 * connection or a file, so the same checks are made here.
 *
 * Works in the caller's transaction, under the snapshot that the caller made
 * active.  The callback has no argument of its own: what it reads from stands
 * in a static pointer, which a call sets and puts back, also on an error.
 *
 * ProcessUtility() isn't passed through, so a ProcessUtility_hook doesn't see
 * the statement. The executor's hooks see an INSERT: those that look at the rights
 * expect that one of the others has seen the statement (pgaudit's would crash).
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "access/xact.h"
#include "commands/copy.h"
#include "commands/copyfrom_internal.h"
#include "executor/executor.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"

#include "compat.h"
#include "copy_inline.h"
#include "errors.h"

/* What a running copy_inline() reads from. */
typedef struct CopyInlineSource
{
	const char *data;
	size_t		len;
	size_t		read;
	CopyFromState cstate;		/* NULL until COPY has begun */
	uint64		stray;			/* line of an end marker that is not alone, or 0 */
} CopyInlineSource;

static CopyInlineSource *copy_inline_current = NULL;

/* COPY's data callback: 0 is the end. */
static int
copy_inline_read(void *outbuf, int minread, int maxread)
{
	CopyInlineSource *source = copy_inline_current;
	size_t		n = Min(source->len - source->read, (size_t) maxread);

	memcpy(outbuf, source->data + source->read, n);
	source->read += n;
	return (int) n;
}

/*
 * An end marker that the script's own end of the data is not, since it isn't
 * alone on its line: up to 17 the server ends the row there, or the data, and
 * nothing tells that a value was cut or that rows are missing.  From 18 on it
 * refuses all but those of CSV, which it doesn't know any more.
 */
static void
copy_inline_refuse_marker(CopyInlineSource *source, uint64 line)
{
	source->stray = line;
	ereport(ERROR,
			(errcode(ERRCODE_BAD_COPY_FILE_FORMAT),
			 errmsg("end-of-copy marker is not alone on its line"),
			 errdetail("To COPY the data would end there, and not at the \\. below them."),
			 errhint("Put \\. on a line of its own; in a value a backslash is written as two.")));
}

/* Looks for one in data of the text format; one with text behind it COPY refuses itself. */
static void
copy_inline_check_markers(CopyInlineSource *source)
{
	const char *end = source->data + source->len;
	const char *p = source->data;

	while ((p = memchr(p, '\\', end - p)) != NULL && end - p >= 2)
	{
		if (p[1] == '.' && (end - p == 2 || p[2] == '\n' || p[2] == '\r'))
		{
			uint64		line = 1;

			for (const char *q = source->data; (q = memchr(q, '\n', p - q)) != NULL; q++)
				line++;
			copy_inline_refuse_marker(source, line);
		}
		p += 2;
	}
}

/*
 * The WHERE clause, ready for BeginCopyFrom().  Like DoCopy(): a generated
 * column isn't computed yet when the clause is.
 */
static Node *
copy_inline_transform_where(ParseState *pstate, Relation rel,
							ParseNamespaceItem *nsitem, Node *raw)
{
	Node	   *where;
	Bitmapset  *columns = NULL;
	int			i = -1;

	addNSItemToQuery(pstate, nsitem, false, true, true);
	where = transformExpr(pstate, raw, EXPR_KIND_COPY_WHERE);
	where = coerce_to_boolean(pstate, where, "WHERE");
	assign_expr_collations(pstate, where);

	pull_varattnos(where, 1, &columns);
	if (bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, columns))
	{
		columns = bms_add_range(columns,
								1 - FirstLowInvalidHeapAttributeNumber,
								RelationGetNumberOfAttributes(rel) -
								FirstLowInvalidHeapAttributeNumber);
		columns = bms_del_member(columns, 0 - FirstLowInvalidHeapAttributeNumber);
	}
	while ((i = bms_next_member(columns, i)) >= 0)
	{
		AttrNumber	attno = i + FirstLowInvalidHeapAttributeNumber;

		if (attno > 0 &&
			TupleDescAttr(RelationGetDescr(rel), attno - 1)->attgenerated)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
					 errmsg("generated columns are not supported in COPY FROM WHERE conditions"),
					 errdetail("Column \"%s\" is a generated column.",
							   get_attname(RelationGetRelid(rel), attno, false))));
	}

	where = eval_const_expressions(NULL, where);
	where = (Node *) canonicalize_qual((Expr *) where, false);
	return (Node *) make_ands_implicit((Expr *) where);
}

/*
 * The options for BeginCopyFrom(): the statement's, with the server's encoding
 * in place of its own or of the client's.  Sets whether the format is CSV.
 */
static List *
copy_inline_options(ParseState *pstate, List *options, bool *csv)
{
	CopyFormatOptions checked = {0};
	List	   *result = NIL;
	ListCell   *cell;

	/* As written first, so that a wrong ENCODING is an error here too. */
	ProcessCopyOptions(pstate, &checked, true, options);
	if (checked.binary)
		ereport(ERROR,
				(errcode(TAPMIG_ERRCODE_NOT_UNDERSTOOD),
				 errmsg("COPY with inline data cannot be in binary format"),
				 errdetail("A script is text in the server's encoding."),
				 errhint("Use the text or the CSV format.")));
	*csv = checked.csv_mode;

	foreach(cell, options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, "encoding") != 0)
			result = lappend(result, option);
	}
	return lappend(result,
				   makeDefElem("encoding",
							   (Node *) makeString(pstrdup(GetDatabaseEncodingName())),
							   -1));
}

/*
 * Begins a statement of the executor that has a plan of nothing; it checks the
 * rights. To be ended by copy_inline_executor_end().
 */
static QueryDesc *
copy_inline_executor_start(ParseState *pstate, CompatPermissions *permissions)
{
	PlannedStmt *plan = makeNode(PlannedStmt);
	QueryDesc  *query;

	plan->commandType = CMD_INSERT;
	plan->canSetTag = true;
	plan->planTree = (Plan *) makeNode(Result);
	plan->rtable = pstate->p_rtable;
	COMPAT_PLAN_PERMISSIONS(plan, permissions);
	plan->stmt_location = -1;
	/* A registered snapshot would be in the way of COPY FREEZE. */
	query = CreateQueryDesc(plan, pstate->p_sourcetext, InvalidSnapshot, InvalidSnapshot,
							None_Receiver, NULL, NULL, 0);
	/* COPY queues and fires its triggers itself. */
	ExecutorStart(query, EXEC_FLAG_SKIP_TRIGGERS);
	return query;
}

static void
copy_inline_executor_end(QueryDesc *query, uint64 rows)
{
	query->estate->es_processed = rows;
	ExecutorFinish(query);
	ExecutorEnd(query);
	FreeQueryDesc(query);
}

/* The copying itself, behind all checks. */
static uint64
copy_inline_feed(ParseState *pstate, Relation rel, Node *where, List *columns,
				 List *options, bool csv, const char *data, size_t len)
{
	CopyInlineSource source = {data, len, 0, NULL, 0};
	CopyInlineSource *outer = copy_inline_current;
	volatile uint64 rows = 0;

	copy_inline_current = &source;
	PG_TRY();
	{
		if (!csv)
			copy_inline_check_markers(&source);
		source.cstate = BeginCopyFrom(pstate, rel, where, NULL, false,
									  copy_inline_read, columns, options);
		rows = CopyFrom(source.cstate);
		if (source.read < source.len ||
			source.cstate->input_buf_index < source.cstate->input_buf_len)
			copy_inline_refuse_marker(&source, source.cstate->cur_lineno);
		EndCopyFrom(source.cstate);
	}
	PG_FINALLY();
	{
		copy_inline_current = outer;
	}
	PG_END_TRY();

	return rows;
}

/*
 * Run COPY ... FROM stdin in the current transaction on data from memory.
 *
 * stmt is the parsed statement, left as it is; query its text, for the
 * positions of errors; data and len are the bytes of its lines, without the
 * "\." line, valid in the server's encoding or else an error of COPY's.  A
 * snapshot is active.  Memory is taken from the current context.
 *
 * Returns the number of rows copied.  Errors: COPY's own, TM009 for the
 * binary format, and 22P04 for an end marker that is not alone on its line.
 */
uint64
copy_inline(CopyStmt *stmt, const char *query, const char *data, size_t len)
{
	ParseState *pstate;
	Relation	rel;
	ParseNamespaceItem *nsitem;
	CompatPermissions *permissions;
	Node	   *where = NULL;
	List	   *options;
	ListCell   *cell;
	bool		csv;
	uint64		rows;
	QueryDesc  *executor;

	if (!stmt->is_from || stmt->filename != NULL || stmt->relation == NULL)
		elog(ERROR, "not a COPY FROM stdin");

	PreventCommandIfParallelMode("COPY FROM");

	pstate = make_parsestate(NULL);
	pstate->p_sourcetext = query;

	rel = table_openrv(stmt->relation, RowExclusiveLock);
	nsitem = addRangeTableEntryForRelation(pstate, rel, RowExclusiveLock,
										   NULL, false, false);
	permissions = COMPAT_NSITEM_PERMISSIONS(nsitem);
	permissions->requiredPerms = ACL_INSERT;

	/* The raw tree is the caller's; transforming it could change it. */
	if (stmt->whereClause != NULL)
		where = copy_inline_transform_where(pstate, rel, nsitem,
											copyObject(stmt->whereClause));

	foreach(cell, CopyGetAttnums(RelationGetDescr(rel), rel, stmt->attlist))
	{
		permissions->insertedCols =
			bms_add_member(permissions->insertedCols,
						   lfirst_int(cell) - FirstLowInvalidHeapAttributeNumber);
	}

	/* The executor would call it an INSERT. */
	if (XactReadOnly && !rel->rd_islocaltemp)
		PreventCommandIfReadOnly("COPY FROM");
	executor = copy_inline_executor_start(pstate, permissions);

	if (check_enable_rls(RelationGetRelid(rel), InvalidOid, false) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("COPY FROM not supported with row-level security"),
				 errhint("Use INSERT statements instead.")));

	options = copy_inline_options(pstate, stmt->options, &csv);

	rows = copy_inline_feed(pstate, rel, where, stmt->attlist, options, csv,
							data, len);

	copy_inline_executor_end(executor, rows);
	table_close(rel, NoLock);
	free_parsestate(pstate);
	return rows;
}

/*
 * The 1-based line of its data that the running copy_inline() is at, counting
 * a header line; 0 when none runs or when the error at hand isn't about a line
 * (an option, a constraint that is checked behind the last row).  For error
 * context callbacks.
 */
uint64
copy_inline_line(void)
{
	CopyInlineSource *source = copy_inline_current;

	if (source != NULL && source->stray > 0)
		return source->stray;
	if (source == NULL || source->cstate == NULL)
		return 0;

	/* COPY has its own callback in place just while it is about its lines. */
	for (ErrorContextCallback *callback = error_context_stack;
		 callback != NULL; callback = callback->previous)
	{
		if (callback->callback == CopyFromErrorCallback &&
			callback->arg == source->cstate)
			return source->cstate->cur_lineno;
	}
	return 0;
}
