/*
 * lint_truncate.c
 *		What a TRUNCATE of the script empties.
 *
 * Follows ExecuteTruncate() and heap_truncate_find_FKs(), without their locks, by
 * the foreign keys as the script finds them.
 */
#include "postgres.h"

#include "catalog/heap.h"
#include "catalog/pg_constraint.h"

#include "lint_internal.h"

static void
truncate_empty(Lint *lint, LintRelation *rel)
{
	lint_hold(lint, rel, AccessExclusiveLock);
	rel->emptied = true;
	lint_size_changes(lint, rel);
	rel->filled = false;
}

/* A parent is emptied alone: its children keep what they have. */
static void
truncate_empty_only(Lint *lint, LintRelation *rel)
{
	LintSize   *all;
	LintSize   *alone;

	(void) lint_size(lint, rel);
	if (rel->n_children == 0)
	{
		truncate_empty(lint, rel);
		return;
	}
	lint_hold(lint, rel, AccessExclusiveLock);
	all = &rel->sizes->with_children;
	alone = &rel->sizes->alone;
	all->empty = all->empty || all->bytes == alone->bytes;
	all->rows -= alone->rows;
	all->bytes -= alone->bytes;
	alone->rows = alone->bytes = 0;
	rel->sizes->texts[0] = rel->sizes->texts[1] = NULL;
	alone->empty = true;
	rel->filled = false;
}

/* Whether the script has dropped the foreign keys of a table to any of these. */
static bool
truncate_keys_are_gone(Lint *lint, LintRelation *rel, List *tables)
{
	bool		gone = false;
	ListCell   *lc;

	foreach(lc, lint_constraints(lint, rel))
	{
		LintConstraint *con = lfirst(lc);

		if (con->type != CONSTRAINT_FOREIGN || !list_member_oid(tables, con->other_table))
			continue;
		if (!con->gone)
			return false;
		gone = true;
	}
	return gone;
}

/* The old tables that refer to any of these, and that CASCADE so empties too. */
static List *
truncate_referring(Lint *lint, List *tables)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, heap_truncate_find_FKs(tables))
	{
		LintRelation *rel = lint_relation_by_oid(lint, lfirst_oid(lc));

		if (rel != NULL && !rel->gone && !truncate_keys_are_gone(lint, rel, tables))
			result = lappend_oid(result, rel->oid);
	}
	foreach(lc, lint->foreign_keys)
	{
		LintForeignKey *key = lfirst(lc);

		if (!key->constraint->gone && !key->rel->gone && key->other != NULL &&
			OidIsValid(key->rel->oid) && list_member_oid(tables, key->other->oid))
			result = list_append_unique_oid(result, key->rel->oid);
	}
	return list_difference_oid(result, tables);
}

/* TRUNCATE: what it names, what inherits from that, and what CASCADE reaches. */
void
lint_follow_truncate(Lint *lint, TruncateStmt *stmt)
{
	List	   *tables = NIL;
	List	   *only = NIL;
	List	   *more;
	ListCell   *lc;

	foreach(lc, stmt->relations)
	{
		LintRelation *rel = lint_relation(lint, lfirst(lc));

		if (rel == NULL)
			continue;
		if (lfirst_node(RangeVar, lc)->inh)
		{
			truncate_empty(lint, rel);
			tables = list_concat_unique_oid(tables, lint_children(lint, rel));
		}
		else
		{
			truncate_empty_only(lint, rel);
			only = lappend_oid(only, rel->oid);
		}
		if (OidIsValid(rel->oid))
			tables = list_append_unique_oid(tables, rel->oid);
	}
	if (stmt->behavior == DROP_CASCADE && tables != NIL)
	{
		lint_analysis(lint);
		while ((more = truncate_referring(lint, tables)) != NIL)
			tables = list_concat(tables, more);
	}
	foreach(lc, list_difference_oid(tables, only))
	{
		LintRelation *rel = lint_relation_by_oid(lint, lfirst_oid(lc));

		if (rel != NULL)
			truncate_empty(lint, rel);
	}
}
