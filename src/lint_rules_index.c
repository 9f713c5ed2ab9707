/*
 * lint_rules_index.c
 *		Rules of lint: indexes, and what cannot run in a transaction block.
 */
#include "postgres.h"

#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/pg_class.h"
#include "commands/defrem.h"
#include "utils/lsyscache.h"

#include "lint_internal.h"

static bool
index_is_partitioned(const LintRelation *rel)
{
	return rel != NULL && (rel->relkind == RELKIND_PARTITIONED_TABLE ||
						   rel->relkind == RELKIND_PARTITIONED_INDEX);
}

/* Whether CREATE INDEX IF NOT EXISTS finds its name taken. */
static bool
index_is_there(LintCheck *c, IndexStmt *stmt)
{
	return stmt->if_not_exists && stmt->idxname != NULL && c->rel != NULL &&
		lint_relation_at(c->lint, c->rel->schema, stmt->idxname) != NULL;
}

static void
check_create(LintCheck *c)
{
	IndexStmt  *stmt = castNode(IndexStmt, c->node);

	if (!stmt->concurrent && !index_is_there(c, stmt) && !index_is_partitioned(c->rel))
		lint_find(c, c->rel, ShareLock, NULL);
}

static void
check_fanout(LintCheck *c)
{
	IndexStmt  *stmt = castNode(IndexStmt, c->node);

	if (!stmt->concurrent && !index_is_there(c, stmt) &&
		index_is_partitioned(c->rel))
		lint_find(c, c->rel, ShareLock, NULL);
}

/* The table of an index; NULL: no such thing. */
static LintRelation *
index_table(LintCheck *c, LintRelation *index)
{
	Oid			table;

	if (index != NULL && index->table != NULL)
		return index->table;
	if (!lint_is_old(index) || (index->relkind != RELKIND_INDEX &&
								index->relkind != RELKIND_PARTITIONED_INDEX))
		return NULL;
	table = IndexGetRelation(index->oid, true);
	return OidIsValid(table) ? lint_relation_by_oid(c->lint, table) : NULL;
}

static void
check_drop(LintCheck *c)
{
	DropStmt   *stmt = castNode(DropStmt, c->node);
	ListCell   *lc;

	foreach(lc, stmt->objects)
	{
		LintRelation *index = lint_relation_named(c->lint, lfirst(lc));
		LintRelation *table = index_table(c, index);

		if (stmt->concurrent || table == NULL || index->relkind == RELKIND_PARTITIONED_INDEX ||
			OidIsValid(get_index_constraint(index->oid)))
			continue;
		lint_find(c, table, AccessExclusiveLock,
				  psprintf("index %s", lint_relation_label(c->lint, index)));
	}
}

static void
check_backing(LintCheck *c)
{
	ListCell   *lc;

	foreach(lc, castNode(DropStmt, c->node)->objects)
	{
		LintRelation *index = lint_relation_named(c->lint, lfirst(lc));
		Oid			constraint = index_table(c, index) == NULL ? InvalidOid :
			get_index_constraint(index->oid);

		if (OidIsValid(constraint))
			lint_find(c, index_table(c, index), NoLock,
					  psprintf("DROP INDEX %s, which belongs to constraint %s",
							   lint_relation_label(c->lint, index),
							   get_constraint_name(constraint)));
	}
}

/* An index of a partition that is a part of the whole table's. */
static void
check_part(LintCheck *c)
{
	ListCell   *lc;
	ListCell   *above;

	foreach(lc, castNode(DropStmt, c->node)->objects)
	{
		LintRelation *index = lint_relation_named(c->lint, lfirst(lc));
		LintRelation *table = index_table(c, index);

		if (table == NULL || index->is_new || !index->is_partition || OidIsValid(get_index_constraint(index->oid)))
			continue;
		foreach(above, lint_parents(c->lint, index))
			lint_find(c, table, NoLock, psprintf("DROP INDEX %s, which is a part of index %s",
												 lint_relation_label(c->lint, index),
												 lint_relation_label(c->lint, lfirst(above))));
	}
}

static bool
has_index(LintCheck *c, LintRelation *table)
{
	ListCell   *lc;

	foreach(lc, lint_indexes(c->lint, table))
	{
		if (!((LintIndex *) lfirst(lc))->gone)
			return true;
	}
	return false;
}

static void
check_reindex(LintCheck *c)
{
	ReindexStmt *stmt = castNode(ReindexStmt, c->node);
	LintRelation *table = c->rel;

	lint_analysis(c->lint);
	if (shape_option_is_true(stmt->params, "concurrently"))
		return;
	switch (stmt->kind)
	{
		case REINDEX_OBJECT_INDEX:
			table = index_table(c, c->rel);
			break;
		case REINDEX_OBJECT_TABLE:
			if (table != NULL && table->relkind != RELKIND_PARTITIONED_TABLE &&
				!has_index(c, table))
				return;
			break;
		case REINDEX_OBJECT_SYSTEM:
			return;
		case REINDEX_OBJECT_SCHEMA:
		case REINDEX_OBJECT_DATABASE:
			lint_find_at(c, c->lint->statement, LINT_WARNING, NULL, ShareLock,
						 "on one table after the other");
			return;
	}
	if (table != NULL)
		lint_find(c, table, ShareLock, NULL);
}

static void
check_partitioned(LintCheck *c)
{
	ListCell   *lc;

	if (IsA(c->node, IndexStmt))
	{
		if (((IndexStmt *) c->node)->concurrent && index_is_partitioned(c->rel))
			lint_find(c, c->rel, NoLock, "CREATE INDEX CONCURRENTLY on a partitioned table");
		return;
	}
	if (!castNode(DropStmt, c->node)->concurrent)
		return;
	foreach(lc, ((DropStmt *) c->node)->objects)
	{
		LintRelation *index = lint_relation_named(c->lint, lfirst(lc));

		if (index_is_partitioned(index))
			lint_find(c, index, NoLock, "DROP INDEX CONCURRENTLY of a partitioned index");
	}
}

/* Whether the statement is the COMMIT that ends a block. */
static bool
is_commit(LintCheck *c)
{
	return c->node != NULL && IsA(c->node, TransactionStmt) &&
		((TransactionStmt *) c->node)->kind == TRANS_STMT_COMMIT;
}

static void
find_outside(LintCheck *c, LintLevel level)
{
	ListCell   *lc;

	foreach(lc, c->lint->outside)
	{
		LintOutside *outside = lfirst(lc);

		lint_find_at(c, outside->statement, level, outside->rel, NoLock,
					 psprintf("%s %sbetween BEGIN and COMMIT", outside->what,
							  level == LINT_NOTICE ? "alone " : ""));
	}
	c->lint->outside = NIL;
}

/* Nothing else is in the block: it holds nothing together. */
static void
check_alone_in_transaction(LintCheck *c)
{
	if (is_commit(c) && c->lint->block_runs == 1)
		find_outside(c, LINT_NOTICE);
}

static void
check_in_transaction(LintCheck *c)
{
	if (c->node == NULL || IsA(c->node, TransactionStmt))
	{
		/* Without COMMIT tapmig refuses the script: nothing is taken apart. */
		if (is_commit(c))
			find_outside(c, LINT_WARNING);
		else if (c->node == NULL || ((TransactionStmt *) c->node)->kind == TRANS_STMT_ROLLBACK)
			find_outside(c, LINT_ERROR);
	}
	else if (c->lint->in_block && c->lint->shape->kind == SHAPE_STEPWISE)
	{
		LintOutside *outside = lint_alloc(c->lint, sizeof(LintOutside));

		outside->what = lint_strdup(c->lint, psprintf("%s%s", c->lint->shape->command,
													  c->lint->shape->concurrently ? " CONCURRENTLY" : ""));
		outside->rel = c->rel;
		outside->statement = c->lint->statement;
		c->lint->outside = lint_append(c->lint, c->lint->outside, outside);
	}
}

static void
check_after_lock(LintCheck *c)
{
	IndexStmt  *stmt = castNode(IndexStmt, c->node);

	if (!stmt->concurrent && !index_is_there(c, stmt) &&
		lint_held_before(c->lint, c->rel, AccessExclusiveLock))
		lint_find(c, c->rel, AccessExclusiveLock,
				  psprintf("held since statement %d", c->rel->held_since + 1));
}

const LintRule lint_rules_index[] = {
	{"index-create-not-concurrent", LINT_SCAN, {{T_IndexStmt, LINT_ANY}}, check_create,
		"while the index is built: whoever writes waits",
	"CREATE INDEX CONCURRENTLY, in a script for tapmig.run."},
	{"index-create-partitioned-fanout", LINT_SCAN, {{T_IndexStmt, LINT_ANY}}, check_fanout,
		"and on every partition until all their indexes are built: whoever writes waits",
	"CREATE INDEX ON ONLY the parent, CREATE INDEX CONCURRENTLY on each partition, then ALTER INDEX ... ATTACH PARTITION."},
	{"index-drop-not-concurrent", LINT_HOLD, {{T_DropStmt, OBJECT_INDEX}}, check_drop,
		"to drop an index of it: reads and writes wait, and it waits behind them",
	"DROP INDEX CONCURRENTLY, in a script for tapmig.run."},
	{"drop-constraint-backing-index", LINT_ALWAYS_ERROR, {{T_DropStmt, OBJECT_INDEX}}, check_backing,
		"the server refuses it",
	"ALTER TABLE ... DROP CONSTRAINT drops both."},
	{"drop-constraint-backing-index", LINT_ALWAYS_ERROR, {{T_DropStmt, OBJECT_INDEX}}, check_part,
		"the server refuses it",
	"DROP INDEX of the whole table's index drops all of its parts."},
	{"index-reindex-not-concurrent", LINT_SCAN, {{T_ReindexStmt, LINT_ANY}}, check_reindex,
		"while its index is built anew: writes wait, and so do reads that are planned meanwhile, with whatever index",
	"REINDEX ... CONCURRENTLY, in a script for tapmig.run."},
	{"index-concurrently-on-partitioned", LINT_ALWAYS_ERROR,
		{{T_IndexStmt, LINT_ANY}, {T_DropStmt, OBJECT_INDEX}}, check_partitioned,
		"the server refuses it",
	"Per partition: CREATE INDEX ON ONLY the parent, CREATE INDEX CONCURRENTLY on each partition, ALTER INDEX ... ATTACH PARTITION."},
	{"concurrently-in-transaction", LINT_ALWAYS_NOTICE, {{T_TransactionStmt, LINT_ANY}},
		check_alone_in_transaction,
		"tapmig.run leaves them out and runs it by itself, where psql fails",
	"Leave BEGIN and COMMIT out."},
	{"concurrently-in-transaction", LINT_ALWAYS_WARNING,
		{{LINT_AFTER_STATEMENT, LINT_ANY}, {T_TransactionStmt, LINT_ANY}, {LINT_END_OF_SCRIPT, LINT_ANY}},
		check_in_transaction,
		"it cannot run in a transaction block, so that tapmig.run ends the transaction before it, and what that did stays when it fails",
	"Put it outside of BEGIN and COMMIT, or into a script of its own."},
	{"index-in-tx-after-exclusive-lock", LINT_SCAN, {{T_IndexStmt, LINT_ANY}}, check_after_lock,
		"is held while the index is built: nobody reads either",
	"Build the index in a script of its own, CONCURRENTLY."},
	{NULL, 0, {{0, 0}}, NULL, NULL, NULL}
};
