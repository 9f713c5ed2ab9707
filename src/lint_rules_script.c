/*
 * lint_rules_script.c
 *		Rules of lint: what statements of a script do to each other, rows that
 *		are changed in bulk, and what lint cannot see into.
 */
#include "postgres.h"

#include <ctype.h>
#include <limits.h>

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "commands/proclang.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/syscache.h"

#include "lint_internal.h"

/* ---- transactions and locks */

static void
check_control(LintCheck *c)
{
	const char *what;

	if (c->node == NULL)
	{
		if (c->lint->in_block)
			lint_find(c, NULL, NoLock, "BEGIN without COMMIT");
		return;
	}
	switch (castNode(TransactionStmt, c->node)->kind)
	{
		case TRANS_STMT_ROLLBACK:
			what = "ROLLBACK";
			break;
		case TRANS_STMT_SAVEPOINT:
			what = "SAVEPOINT";
			break;
		case TRANS_STMT_RELEASE:
			what = "RELEASE";
			break;
		case TRANS_STMT_ROLLBACK_TO:
			what = "ROLLBACK TO";
			break;
		case TRANS_STMT_PREPARE:
			what = "PREPARE TRANSACTION";
			break;
		default:
			return;
	}
	lint_find(c, NULL, NoLock, what);
}

static void
check_lock(LintCheck *c)
{
	LockStmt   *stmt = castNode(LockStmt, c->node);
	ListCell   *lc;

	if (stmt->mode < ShareLock)
		return;
	foreach(lc, stmt->relations)
		lint_find(c, lint_relation(c->lint, lfirst(lc)), stmt->mode, NULL);
}

/* A table that others use and an earlier statement has locked so; NULL: none. */
static LintRelation *
locked_before(LintCheck *c, LOCKMODE from, LOCKMODE to)
{
	ListCell   *lc;

	foreach(lc, c->lint->held)
	{
		LintRelation *rel = lfirst(lc);

		if (lint_held_before(c->lint, rel, from) && rel->held <= to && lint_is_used(c->lint, rel))
			return rel;
	}
	return NULL;
}

static char *
taken_by(LintRelation *rel)
{
	static const char text[] = "it was taken by statement ";
	char	   *result = palloc(sizeof(text) + 12);

	memcpy(result, text, sizeof(text));
	pg_ltoa(rel->held_since + 1, result + sizeof(text) - 1);
	return result;
}

static void
check_after_exclusive(LintCheck *c)
{
	LintRelation *rel;

	if (!c->lint->slow)
		return;
	rel = locked_before(c, AccessExclusiveLock, AccessExclusiveLock);

	/* Of the statement's own table other rules say so. */
	if (rel != NULL && rel != c->rel)
		lint_find_at(c, c->lint->statement, lint_was_large(c->lint, rel) ? LINT_WARNING : LINT_NOTICE,
					 rel, AccessExclusiveLock, taken_by(rel));
}

static void
check_after_write_block(LintCheck *c)
{
	LintRelation *rel;

	if (!c->lint->slow || locked_before(c, AccessExclusiveLock, AccessExclusiveLock) != NULL)
		return;
	rel = locked_before(c, ShareLock, ExclusiveLock);
	if (rel != NULL)
		lint_find(c, rel, rel->held, taken_by(rel));
}

static void
check_wide(LintCheck *c)
{
	LintRelation *first = NULL;
	LintRelation *last = NULL;
	bool		large = false;
	ListCell   *lc;

	foreach(lc, c->lint->held)
	{
		LintRelation *rel = lfirst(lc);

		if (rel->held != AccessExclusiveLock || !lint_is_used(c->lint, rel))
			continue;
		large = large || lint_was_large(c->lint, rel);
		if (first == NULL || rel->held_since < first->held_since)
			first = rel;
		if (last == NULL || rel->held_since > last->held_since)
			last = rel;
	}
	if (first == NULL || first->held_since == last->held_since)
		return;
	lint_find_at(c, last->held_since, large ? LINT_WARNING : LINT_NOTICE, last, AccessExclusiveLock,
				 psprintf("%s is locked since statement %d", lint_relation_label(c->lint, first),
						  first->held_since + 1));
}

static void
check_timeout(LintCheck *c)
{
	LintRelation *found = NULL;
	ListCell   *lc;

	if (c->lint->no_timeout == INT_MAX)
		return;
	foreach(lc, c->lint->held)
	{
		LintRelation *rel = lfirst(lc);

		if (rel->held >= ShareLock && rel->held_since > c->lint->no_timeout && lint_is_used(c->lint, rel) &&
			(found == NULL || rel->held_since < found->held_since))
			found = rel;
	}
	if (found != NULL)
		lint_find_at(c, found->held_since, LINT_WARNING, found, found->held, NULL);
}

/* ---- rows in bulk */

/* Whether a condition is true for every row, as far as the text shows. */
bool
lint_is_always_true(Node *where)
{
	if (where == NULL)
		return true;
	if (IsA(where, A_Const))
		return !((A_Const *) where)->isnull && IsA(&((A_Const *) where)->val, Boolean) &&
			boolVal(&((A_Const *) where)->val);
	if (IsA(where, A_Expr))
	{
		A_Expr	   *e = (A_Expr *) where;

		return e->kind == AEXPR_OP && list_length(e->name) == 1 &&
			strcmp(strVal(linitial(e->name)), "=") == 0 &&
			e->lexpr != NULL && IsA(e->lexpr, A_Const) && equal(e->lexpr, e->rexpr);
	}
	return false;
}

static Node *
where_of(LintCheck *c)
{
	return IsA(c->node, UpdateStmt) ? ((UpdateStmt *) c->node)->whereClause :
		((DeleteStmt *) c->node)->whereClause;
}

/* Whether UPDATE or DELETE joins another table, so that all rows need not be meant. */
static bool
has_join(LintCheck *c)
{
	return IsA(c->node, UpdateStmt) ? ((UpdateStmt *) c->node)->fromClause != NIL :
		((DeleteStmt *) c->node)->usingClause != NIL;
}

/* The queries of its WITH, where it has one. */
static List *
queries_of_with(Node *node)
{
	WithClause *with = IsA(node, SelectStmt) ? ((SelectStmt *) node)->withClause :
		IsA(node, InsertStmt) ? ((InsertStmt *) node)->withClause :
		IsA(node, UpdateStmt) ? ((UpdateStmt *) node)->withClause :
		((DeleteStmt *) node)->withClause;

	return with == NULL ? NIL : with->ctes;
}

static void
check_where(LintCheck *c)
{
	LintCheck	inner = *c;
	ListCell   *lc;

	foreach(lc, queries_of_with(c->node))
	{
		inner.node = lfirst_node(CommonTableExpr, lc)->ctequery;
		if (!IsA(inner.node, UpdateStmt) && !IsA(inner.node, DeleteStmt))
			continue;
		inner.rel = lint_relation(c->lint, IsA(inner.node, UpdateStmt) ?
								  ((UpdateStmt *) inner.node)->relation : ((DeleteStmt *) inner.node)->relation);
		check_where(&inner);
	}
	if (!IsA(c->node, UpdateStmt) && !IsA(c->node, DeleteStmt))
		return;
	if (has_join(c) || !lint_is_always_true(where_of(c)) || !lint_has_rows(c->lint, c->rel) ||
		lint_is_bare_parent(c->lint, c->rel))
		return;
	c->lint->slow = true;
	lint_find(c, c->rel, RowExclusiveLock, NULL);
}

static void
check_backfill(LintCheck *c)
{
	char	   *since;

	if (!lint_held_before(c->lint, c->rel, AccessExclusiveLock) || !lint_has_rows(c->lint, c->rel))
		return;
	since = taken_by(c->rel);
	if (!has_join(c) && lint_is_always_true(where_of(c)))
		lint_find(c, c->rel, AccessExclusiveLock, since);
	else if (lint_is_large(c->lint, c->rel))
		lint_find_at(c, c->lint->statement, LINT_WARNING, c->rel, AccessExclusiveLock, since);
}

/* ---- what lint cannot see into */

/* The end of a comment or a quoted text that begins here; the same place: neither does. */
static const char *
behind_quiet(const char *p, char before)
{
	const char *end;

	if (p[0] == '-' && p[1] == '-')
		return p + strcspn(p, "\n");
	if (p[0] == '/' && p[1] == '*')
	{
		end = strstr(p + 2, "*/");
		return end == NULL ? p + strlen(p) : end + 2;
	}
	if (*p == '\'' || *p == '"')
	{
		for (end = p + 1; *end != '\0' && *end != *p; end++)
		{
			if (*end == '\\' && *p == '\'' && (before == 'e' || before == 'E') && end[1] != '\0')
				end++;
		}
		return *end == '\0' ? end : end + 1;
	}
	if (*p == '$' && !isalnum((unsigned char) before) && before != '_')
	{
		size_t		tag = 1;

		while (isalnum((unsigned char) p[tag]) || p[tag] == '_')
			tag++;
		if (p[tag] == '$' && !isdigit((unsigned char) p[1]))
		{
			char	   *quote = pnstrdup(p, tag + 1);

			end = strstr(p + tag + 1, quote);
			return end == NULL ? p + strlen(p) : end + tag + 1;
		}
	}
	return p;
}

static bool
is_one_of(const char *word, size_t length, const char *const *words)
{
	for (; *words != NULL; words++)
	{
		if (strlen(*words) == length && pg_strncasecmp(word, *words, length) == 0)
			return true;
	}
	return false;
}

static const char *const ddl_words[] = {"alter", "create", "drop", "truncate", "execute", "reindex",
"cluster", "lock", NULL};

/* Whether a text in SQL or PL/pgSQL has a command of DDL, or runs what lint can't read. */
static bool
has_ddl(const char *text)
{
	static const char *const openers[] = {"begin", "then", "else", "loop", NULL};
	bool		begins = true;	/* a command does so here */
	char		before = '\0';

	for (const char *p = text; *p != '\0';)
	{
		const char *end = behind_quiet(p, before);

		if (end == p && (isalpha((unsigned char) *p) || *p == '_'))
		{
			while (isalnum((unsigned char) *end) || *end == '_' || *end == '$' || IS_HIGHBIT_SET(*end))
				end++;
			if ((begins || pg_strncasecmp(p, "execute", end - p) == 0) && is_one_of(p, end - p, ddl_words))
				return true;
			begins = is_one_of(p, end - p, openers);
		}
		else if (end == p)
		{
			if (!isspace((unsigned char) *p))
				begins = *p == ';' || (*p == '>' && before == '>');
			end++;
		}
		before = end[-1];
		p = end;
	}
	return false;
}

/* The same for another language, which may pass it on as a text. */
static bool
may_have_ddl(const char *text)
{
	char	   *lower = asc_tolower(text, strlen(text));

	for (const char *const *word = ddl_words; *word != NULL; word++)
	{
		if (strstr(lower, *word) != NULL)
			return true;
	}
	return false;
}

/* Whether some function of users of that name has DDL in its text. */
static bool
function_has_ddl(LintCheck *c, List *names)
{
	LintFunction *made = NULL;
	const char *source;
	const char *name;			/* of its language */
	int			n;
	Bitmapset  *made_for = NULL;
	FuncCandidateList first;
	FuncCandidateList candidate;

	while ((source = lint_function_source(c->lint, names, &made, &name, &n)) != NULL)
	{
		made_for = bms_add_member(made_for, n);
		if (strcmp(name, "sql") == 0 || strcmp(name, "plpgsql") == 0 ? has_ddl(source) : may_have_ddl(source))
			return true;
	}
	if (lint_name_is_absent(c->lint, LINT_NAMES_FUNCTION, strVal(llast(names))))
		return false;
	lint_analysis(c->lint);
	first = FuncnameGetCandidates(names, -1, NIL, false, false, false, true);
	if (first == NULL)
		lint_name_missed(c->lint, LINT_NAMES_FUNCTION);
	for (candidate = first; candidate != NULL; candidate = candidate->next)
	{
		HeapTuple	tuple;
		bool		isnull;
		bool		found;
		Oid			language;
		Datum		body;

		/* CREATE OR REPLACE: as good as the same. */
		if (candidate->oid < FirstNormalObjectId || bms_is_member(candidate->nargs, made_for) ||
			lint_object_is_gone(c->lint, ProcedureRelationId, candidate->oid))
			continue;
		tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(candidate->oid));
		if (!HeapTupleIsValid(tuple))
			continue;
		body = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_prosrc, &isnull);
		language = ((Form_pg_proc) GETSTRUCT(tuple))->prolang;
		found = !isnull && (language == SQLlanguageId || language == get_language_oid("plpgsql", true) ?
							has_ddl(TextDatumGetCString(body)) : may_have_ddl(TextDatumGetCString(body)));
		ReleaseSysCache(tuple);
		if (found)
			return true;
	}
	return false;
}

static void
check_call(LintCheck *c, List *names)
{
	MemoryContext old;

	/* Large scripts call one function again and again: setval. */
	if (c->lint->last_call != NIL && equal(c->lint->last_call, names))
		return;
	if (function_has_ddl(c, names))
	{
		lint_find(c, NULL, NoLock, psprintf("function %s", strVal(llast(names))));
		return;
	}
	old = MemoryContextSwitchTo(c->lint->context);
	c->lint->last_call = copyObject(names);
	MemoryContextSwitchTo(old);
}

/* Each function that a statement calls. */
static bool
call_walker(Node *node, void *arg)
{
	if (node == NULL)
		return false;
	if (IsA(node, FuncCall))
		check_call(arg, ((FuncCall *) node)->funcname);
	return raw_expression_tree_walker(node, call_walker, arg);
}

/* SELECT f(constants), and nothing else: its function; NIL else. */
static List *
only_call(SelectStmt *stmt)
{
	FuncCall   *call;
	ListCell   *lc;

	if (list_length(stmt->targetList) != 1 || stmt->fromClause != NIL || stmt->withClause != NULL ||
		stmt->whereClause != NULL)
		return NIL;
	call = (FuncCall *) linitial_node(ResTarget, stmt->targetList)->val;
	if (call == NULL || !IsA(call, FuncCall) || call->agg_filter != NULL || call->agg_order != NIL)
		return NIL;
	foreach(lc, call->args)
	{
		if (!IsA(lfirst(lc), A_Const))
			return NIL;
	}
	return call->funcname;
}

/* SELECT of constants and nothing else: it has nothing to look for. */
static bool
only_constants(SelectStmt *stmt)
{
	ListCell   *lc;

	if (stmt->op != SETOP_NONE || stmt->distinctClause != NIL || stmt->intoClause != NULL ||
		stmt->fromClause != NIL || stmt->whereClause != NULL || stmt->groupClause != NIL ||
		stmt->havingClause != NULL || stmt->windowClause != NIL || stmt->valuesLists != NIL ||
		stmt->sortClause != NIL || stmt->limitOffset != NULL || stmt->limitCount != NULL ||
		stmt->lockingClause != NIL || stmt->withClause != NULL)
		return false;
	foreach(lc, stmt->targetList)
	{
		if (!IsA(lfirst_node(ResTarget, lc)->val, A_Const))
			return false;
	}
	return true;
}

static void
check_opaque(LintCheck *c)
{
	const char *text = NULL;
	bool		foreign = false;
	ListCell   *lc;

	if (IsA(c->node, DoStmt))
	{
		foreach(lc, ((DoStmt *) c->node)->args)
		{
			DefElem    *def = lfirst_node(DefElem, lc);

			if (strcmp(def->defname, "as") == 0)
				text = strVal(def->arg);
			else if (strcmp(strVal(def->arg), "plpgsql") != 0)
				foreign = true;
		}
		if (text != NULL && (foreign ? may_have_ddl(text) : has_ddl(text)))
			lint_find(c, NULL, NoLock, "DO");
	}
	else if (IsA(c->node, CallStmt))
	{
		List	   *names = ((CallStmt *) c->node)->funccall->funcname;

		if (function_has_ddl(c, names))
			lint_find(c, NULL, NoLock, psprintf("CALL %s", strVal(llast(names))));
	}
	else
	{
		List	   *names = only_call((SelectStmt *) c->node);

		if (names != NIL)
		{
			check_call(c, names);
			return;
		}
		if (only_constants((SelectStmt *) c->node))
			return;
		lint_analysis(c->lint);
		(void) call_walker(c->node, c);
	}
}

const LintRule lint_rules_script[] = {
	{"transaction-control", LINT_ALWAYS_ERROR,
		{{T_TransactionStmt, LINT_ANY}, {LINT_END_OF_SCRIPT, LINT_ANY}}, check_control,
		"tapmig refuses it: a script is applied whole or not at all",
	"Take it out."},
	{"lock-table", LINT_HOLD, {{T_LockStmt, LINT_ANY}}, check_lock,
		"by LOCK TABLE, until the transaction ends",
	"Take the weakest mode that will do, and keep the script short."},
	{"statement-after-access-exclusive", LINT_HOLD, {{LINT_AFTER_STATEMENT, LINT_ANY}},
		check_after_exclusive,
		"is held while this statement runs: reads and writes wait longer",
	"Put what takes long before it, or into a script of its own."},
	{"statement-after-write-block", LINT_ALWAYS_NOTICE, {{LINT_AFTER_STATEMENT, LINT_ANY}},
		check_after_write_block,
		"is held while this statement runs: writes wait longer",
	"Put what takes long before it, or into a script of its own."},
	{"wide-lock-window", LINT_HOLD, {{LINT_END_OF_STEP, LINT_ANY}}, check_wide,
		"while another table is locked so too: what waits for either waits for both",
	"One table a script."},
	{"missing-lock-timeout", LINT_ALWAYS_WARNING, {{LINT_END_OF_STEP, LINT_ANY}}, check_timeout,
		"without lock_timeout: whoever comes later queues behind it",
	"Leave lock_timeout to tapmig.lock_timeout, or set one above 0."},
	{"dml-without-where", LINT_HOLD,
		{{T_UpdateStmt, LINT_ANY}, {T_DeleteStmt, LINT_ANY}, {T_SelectStmt, LINT_ANY}, {T_InsertStmt, LINT_ANY}},
		check_where,
		"on every row: they stay locked until the transaction ends, and are written anew",
	"In batches, outside of the migration."},
	{"ddl-and-backfill-same-tx", LINT_SCAN, {{T_UpdateStmt, LINT_ANY}, {T_DeleteStmt, LINT_ANY}},
		check_backfill,
		"is held while rows are changed: reads and writes wait",
	"Change the rows in a later script, in batches."},
	{"opaque-ddl", LINT_ALWAYS_NOTICE,
		{{T_DoStmt, LINT_ANY}, {T_CallStmt, LINT_ANY}, {T_SelectStmt, LINT_ANY}}, check_opaque,
		"its text has DDL, which lint cannot judge",
	"See what it locks and rewrites: tapmig.rehearse."},
	{NULL, 0, {{0, 0}}, NULL, NULL, NULL}
};
