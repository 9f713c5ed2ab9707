/*
 * lint_rules_table.c
 *		Rules of lint: tables as a whole, their storage, their partitions.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/tableam.h"
#include "catalog/index.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "commands/defrem.h"
#include "commands/tablecmds.h"
#include "commands/tablespace.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "lint_internal.h"

/* ---- storage */

static void
check_logged(LintCheck *c)
{
	bool		logged = c->cmd->subtype == AT_SetLogged;

	if (c->rel->relkind == RELKIND_RELATION &&
		c->rel->persistence == (logged ? RELPERSISTENCE_UNLOGGED : RELPERSISTENCE_PERMANENT))
		lint_find(c, c->rel, AccessExclusiveLock, logged ? NULL :
				  "an unlogged table is empty after a crash");
}

static void
check_access_method(LintCheck *c)
{
	const char *name = c->cmd->name != NULL ? c->cmd->name : default_table_access_method;
	HeapTuple	tuple;
	Oid			am;

	lint_analysis(c->lint);
	am = get_am_oid(name, true);
	if (!OidIsValid(c->rel->oid) || c->rel->relkind == RELKIND_PARTITIONED_TABLE || !OidIsValid(am))
		return;
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(c->rel->oid));
	if (!HeapTupleIsValid(tuple))
		return;
	if (((Form_pg_class) GETSTRUCT(tuple))->relam != am)
		lint_find(c, c->rel, AccessExclusiveLock, NULL);
	ReleaseSysCache(tuple);
}

static void
check_tablespace(LintCheck *c)
{
	Oid			to = get_tablespace_oid(c->cmd->name, true);
	Oid			from = OidIsValid(c->rel->oid) ? get_rel_tablespace(c->rel->oid) : InvalidOid;
	Oid			table;

	if (!OidIsValid(to) || !OidIsValid(c->rel->oid) || c->rel->relkind == RELKIND_PARTITIONED_TABLE)
		return;
	if (to == (OidIsValid(from) ? from : MyDatabaseTableSpace))
		return;
	if (c->rel->relkind == RELKIND_INDEX)
	{
		table = IndexGetRelation(c->rel->oid, true);
		if (OidIsValid(table) && lint_relation_by_oid(c->lint, table) != NULL)
			lint_find(c, lint_relation_by_oid(c->lint, table), AccessExclusiveLock,
					  psprintf("index %s", c->rel->name));
		return;
	}
	lint_find(c, c->rel, AccessExclusiveLock, NULL);
}

static void
check_vacuum(LintCheck *c)
{
	ListCell   *lc;
	bool		full = false;

	lint_analysis(c->lint);
	if (IsA(c->node, ClusterStmt))
	{
		if (((ClusterStmt *) c->node)->relation == NULL)
			lint_find_at(c, c->lint->statement, LINT_WARNING, NULL, AccessExclusiveLock,
						 "CLUSTER of every table that was clustered before");
		else
			lint_find(c, c->rel, AccessExclusiveLock, NULL);
		return;
	}
	foreach(lc, castNode(VacuumStmt, c->node)->options)
	{
		DefElem    *def = lfirst_node(DefElem, lc);

		if (strcmp(def->defname, "full") == 0)
			full = defGetBoolean(def);
	}
	if (!full)
		return;
	foreach(lc, ((VacuumStmt *) c->node)->rels)
		lint_find(c, lint_relation(c->lint, lfirst_node(VacuumRelation, lc)->relation),
				  AccessExclusiveLock, NULL);
	if (((VacuumStmt *) c->node)->rels == NIL)
		lint_find_at(c, c->lint->statement, LINT_ERROR, NULL, AccessExclusiveLock,
					 "VACUUM FULL of every table");
}

static void
check_autovacuum(LintCheck *c)
{
	ListCell   *lc;

	if (!lint_is_old(c->rel))
		return;
	lint_analysis(c->lint);
	foreach(lc, (List *) c->cmd->def)
	{
		DefElem    *def = lfirst_node(DefElem, lc);

		if (strcmp(def->defname, "autovacuum_enabled") == 0 && !defGetBoolean(def))
			lint_find(c, c->rel, NoLock, psprintf("autovacuum is switched off for %s",
												  lint_relation_label(c->lint, c->rel)));
	}
}

/* ---- materialized views, CREATE TABLE AS */

static void
check_refresh(LintCheck *c)
{
	RefreshMatViewStmt *stmt = castNode(RefreshMatViewStmt, c->node);
	bool		usable = false;
	ListCell   *lc;

	if (stmt->concurrent || stmt->skipData)
		return;
	if (c->rel != NULL)
		c->rel->emptied = false;	/* by this script or not: it is filled now */
	if (!lint_has_rows(c->lint, c->rel))
		return;
	foreach(lc, lint_indexes(c->lint, c->rel))
	{
		LintIndex  *index = lfirst(lc);

		if (index->unique && index->valid && !index->partial && !index->gone &&
			!list_member_int(index->keys, 0))
			usable = true;
	}
	lint_find(c, c->rel, AccessExclusiveLock, usable ? NULL :
			  "CONCURRENTLY needs a unique index on columns, which it has not");
}

static bool
is_populated(Oid oid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(oid));
	bool		result;

	if (!HeapTupleIsValid(tuple))
		return false;
	result = ((Form_pg_class) GETSTRUCT(tuple))->relispopulated;
	ReleaseSysCache(tuple);
	return result;
}

/* What the step has left unfilled, though it could be read before. */
static void
check_unfilled(LintCheck *c)
{
	ListCell   *lc;

	foreach(lc, c->lint->held)
	{
		LintRelation *rel = lfirst(lc);
		int			since = rel->unfilled_since;

		rel->unfilled_since = 0;
		if (since > 0 && !rel->gone && rel->relkind == RELKIND_MATVIEW && is_populated(rel->oid))
			lint_find_at(c, since - 1, LINT_ERROR, rel, AccessExclusiveLock, NULL);
	}
}

typedef struct SourceWalk
{
	LintCheck  *c;
	LintRelation *largest;
} SourceWalk;

static bool
source_walker(Node *node, void *arg)
{
	SourceWalk *walk = arg;

	if (node == NULL)
		return false;
	if (IsA(node, RangeVar))
	{
		LintRelation *rel = lint_relation(walk->c->lint, (RangeVar *) node);

		walk->c->lint->inherit = ((RangeVar *) node)->inh;
		if (rel != NULL && lint_is_large(walk->c->lint, rel) &&
			(walk->largest == NULL || lint_size(walk->c->lint, rel)->rows >
			 lint_size(walk->c->lint, walk->largest)->rows))
			walk->largest = rel;
		return false;
	}
	return raw_expression_tree_walker(node, source_walker, arg);
}

static void
check_with_data(LintCheck *c)
{
	CreateTableAsStmt *stmt = castNode(CreateTableAsStmt, c->node);
	SourceWalk	walk = {c, NULL};

	if (stmt->into->skipData || !IsA(stmt->query, SelectStmt) ||
		(stmt->if_not_exists && lint_relation_to_make(c->lint, stmt->into->rel) != NULL))
		return;
	lint_analysis(c->lint);
	source_walker(stmt->query, &walk);
	if (walk.largest == NULL)
		return;
	c->lint->inherit = true;
	c->lint->slow = true;
	lint_find(c, walk.largest, AccessShareLock, NULL);
}

/* ---- partitions */

static void
check_detach(LintCheck *c)
{
	PartitionCmd *part = castNode(PartitionCmd, c->cmd->def);
	bool		has_default;

	if (part->concurrent || !lint_has_rows(c->lint, c->rel))
		return;
	has_default = OidIsValid(c->rel->oid) && OidIsValid(get_default_partition_oid(c->rel->oid));
	lint_find(c, c->rel, AccessExclusiveLock,
			  psprintf("partition %s likewise%s", part->name->relname, has_default ?
					   "; CONCURRENTLY is not possible while there is a default partition" : ""));
}

/* Whether DROP TABLE names that relation. */
static bool
is_dropped_too(LintCheck *c, LintRelation *rel)
{
	ListCell   *lc;

	foreach(lc, castNode(DropStmt, c->node)->objects)
	{
		if (lint_relation_named(c->lint, lfirst(lc)) == rel)
			return true;
	}
	return false;
}

/* DROP TABLE of a partition alone. */
static void
check_drop_partition(LintCheck *c)
{
	ListCell   *lc;
	ListCell   *above;

	foreach(lc, castNode(DropStmt, c->node)->objects)
	{
		LintRelation *rel = lint_relation_named(c->lint, lfirst(lc));

		foreach(above, rel != NULL && rel->is_partition ? lint_parents(c->lint, rel) : NIL)
		{
			if (!is_dropped_too(c, lfirst(above)))
				lint_find(c, lfirst(above), AccessExclusiveLock,
						  psprintf("partition %s", lint_relation_label(c->lint, rel)));
		}
	}
}

/* Whether validated CHECKs speak of the columns by which a new parent is partitioned. */
static bool
is_checked_for(LintCheck *c, LintRelation *parent, LintRelation *child)
{
	ListCell   *lc;
	ListCell   *key;

	if (parent->partition_by == NULL)
		return false;
	foreach(key, parent->partition_by->partParams)
	{
		PartitionElem *element = lfirst_node(PartitionElem, key);
		LintColumn *column = element->name == NULL ? NULL :
			lint_column(c->lint, child, element->name);
		bool		found = false;

		foreach(lc, lint_constraints(c->lint, child))
		{
			LintConstraint *con = lfirst(lc);
			Bitmapset  *attributes = NULL;

			if (con->type != CONSTRAINT_CHECK || con->gone || !con->validated || column == NULL)
				continue;
			if (con->expression != NULL)
				pull_varattnos(con->expression, 1, &attributes);
			if (list_member_int(con->keys, column->attnum) ||
				bms_is_member(column->attnum - FirstLowInvalidHeapAttributeNumber, attributes))
				found = true;
		}
		if (!found)
			return false;
	}
	return true;
}

static void
check_attach(LintCheck *c)
{
	PartitionCmd *part = castNode(PartitionCmd, c->cmd->def);
	LintRelation *child = lint_relation(c->lint, part->name);
	List	   *qual;

	/* ALTER INDEX ... ATTACH PARTITION has no bounds. */
	if (part->bound == NULL || !lint_has_rows(c->lint, child))
		return;
	if (lint_partition_qual(c->lint, c->rel, child, part->bound, false, &qual))
	{
		if (qual == NIL || lint_implied(c->lint, child, qual))
			return;
	}
	else if (is_checked_for(c, c->rel, child))
		return;
	lint_find(c, child, AccessExclusiveLock,
			  psprintf("only SHARE UPDATE EXCLUSIVE on %s", lint_relation_label(c->lint, c->rel)));
}

static void
check_default(LintCheck *c)
{
	PartitionBoundSpec *bound;
	LintRelation *parent;
	LintRelation *rest;
	Oid			oid;
	List	   *qual;

	if (c->cmd != NULL)
	{
		bound = castNode(PartitionCmd, c->cmd->def)->bound;
		parent = c->rel;
	}
	else
	{
		bound = castNode(CreateStmt, c->node)->partbound;
		parent = bound == NULL ? NULL :
			lint_relation(c->lint, linitial(((CreateStmt *) c->node)->inhRelations));
	}
	if (bound == NULL || bound->is_default || parent == NULL || !OidIsValid(parent->oid) ||
		parent->relkind != RELKIND_PARTITIONED_TABLE)
		return;
	oid = get_default_partition_oid(parent->oid);
	rest = OidIsValid(oid) ? lint_relation_by_oid(c->lint, oid) : NULL;
	if (rest == NULL || rest->gone || rest->detached || !lint_has_rows(c->lint, rest))
		return;
	if (lint_partition_qual(c->lint, parent, rest, bound, true, &qual) &&
		(qual == NIL || lint_implied(c->lint, rest, qual)))
		return;
	lint_find(c, rest, AccessExclusiveLock, NULL);
}

static void
check_create_partition(LintCheck *c)
{
	CreateStmt *stmt = castNode(CreateStmt, c->node);
	LintRelation *parent;

	if (stmt->partbound == NULL ||
		(stmt->if_not_exists && lint_relation_to_make(c->lint, stmt->relation) != NULL))
		return;
	parent = lint_relation(c->lint, linitial(stmt->inhRelations));
	lint_find(c, parent, AccessExclusiveLock, NULL);
}

/* Whether a part of ALTER TABLE goes down to the partitions. */
static bool
goes_down(AlterTableCmd *cmd)
{
	switch (cmd->subtype)
	{
		case AT_AddColumn:
		case AT_DropColumn:
		case AT_AlterColumnType:
		case AT_ColumnDefault:
		case AT_SetNotNull:
		case AT_DropNotNull:
		case AT_DropConstraint:
		case AT_ValidateConstraint:
		case AT_AddConstraint:
		case AT_AlterConstraint:
			return true;
		default:
			return false;
	}
}

static void
check_fanout(LintCheck *c)
{
	List	   *cmds = castNode(AlterTableStmt, c->node)->cmds;
	bool		down = false;
	ListCell   *lc;

	if (c->rel == NULL || !c->lint->inherit || c->rel->relkind != RELKIND_PARTITIONED_TABLE ||
		!lint_has_rows(c->lint, c->rel))
		return;
	foreach(lc, cmds)
		down = down || goes_down(lfirst_node(AlterTableCmd, lc));
	(void) lint_size(c->lint, c->rel);
	if (!down || c->rel->n_children == 0)
		return;
	lint_analysis(c->lint);
	lint_find(c, c->rel, AlterTableGetLockLevel(cmds), NULL);
}

/* ---- DROP TABLE */

/* Whether the script has dropped a foreign key of the catalogs, or its table. */
static bool
is_dropped_key(LintCheck *c, Oid table, Oid key)
{
	LintRelation *rel = lint_relation_by_oid(c->lint, table);
	ListCell   *lc;

	foreach(lc, rel == NULL ? NIL : lint_constraints(c->lint, rel))
	{
		const LintConstraint *con = lfirst(lc);

		if (con->oid == key)
			return con->gone;
	}
	return true;
}

static void
find_referenced(LintCheck *c, Oid oid, LintRelation *rel, const char *how)
{
	LintRelation *other = OidIsValid(oid) ? lint_relation_by_oid(c->lint, oid) : NULL;

	if (other != NULL && !other->gone && other != rel && !is_dropped_too(c, other))
		lint_find(c, other, AccessExclusiveLock,
				  psprintf("%s %s", how, lint_relation_label(c->lint, rel)));
}

static void
check_drop(LintCheck *c)
{
	DropStmt   *stmt = castNode(DropStmt, c->node);
	ListCell   *lc;
	ListCell   *key;

	foreach(lc, stmt->objects)
	{
		LintRelation *rel = lint_relation_named(c->lint, lfirst(lc));

		if (rel == NULL || !OidIsValid(rel->oid))
			continue;
		foreach(key, lint_constraints(c->lint, rel))
		{
			LintConstraint *con = lfirst(key);

			if (con->type == CONSTRAINT_FOREIGN && !con->gone)
				find_referenced(c, con->other_table, rel, "it is referenced by");
		}
		if (stmt->behavior != DROP_CASCADE)
			continue;
		foreach(key, lint_keys_to(c->lint, rel))
		{
			HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(lfirst_oid(key)));
			Oid			other;

			if (!HeapTupleIsValid(tuple))
				continue;
			other = ((Form_pg_constraint) GETSTRUCT(tuple))->conrelid;
			ReleaseSysCache(tuple);
			if (is_dropped_key(c, other, lfirst_oid(key)))
				continue;
			find_referenced(c, other, rel, "it refers to");
		}
	}
}

/* A column goes, and with it its foreign keys. */
static void
check_drop_column(LintCheck *c)
{
	LintColumn *column = lint_column(c->lint, c->rel, c->cmd->name);
	ListCell   *lc;

	c->lint->inherit = false;
	foreach(lc, column == NULL ? NIL : lint_constraints(c->lint, c->rel))
	{
		const LintConstraint *con = lfirst(lc);
		LintRelation *other = con->type != CONSTRAINT_FOREIGN || con->gone || !OidIsValid(con->other_table) ||
			!list_member_int(con->keys, column->attnum) ? NULL : lint_relation_by_oid(c->lint, con->other_table);

		if (other != NULL && !other->gone && other != c->rel)
			lint_find(c, other, AccessExclusiveLock,
					  psprintf("column %s of %s refers to it", column->name, lint_relation_label(c->lint, c->rel)));
	}
}

const LintRule lint_rules_table[] = {
	{"set-logged-unlogged", LINT_SCAN,
		{{T_AlterTableStmt, AT_SetLogged}, {T_AlterTableStmt, AT_SetUnLogged}}, check_logged,
		"while it is rewritten: reads and writes wait",
	"A new table, filled in batches, that takes the old one's name."},
	{"set-access-method", LINT_SCAN, {{T_AlterTableStmt, AT_SetAccessMethod}}, check_access_method,
		"while it is rewritten: reads and writes wait",
	"A new table, filled in batches, that takes the old one's name."},
	{"set-tablespace", LINT_SCAN, {{T_AlterTableStmt, AT_SetTableSpace}}, check_tablespace,
		"while its files are copied: reads and writes wait",
	"pg_repack moves a table without that lock; an index: a new one, built CONCURRENTLY there."},
	{"vacuum-full-or-cluster", LINT_SCAN, {{T_VacuumStmt, LINT_ANY}, {T_ClusterStmt, LINT_ANY}},
		check_vacuum,
		"while it is rewritten: reads and writes wait",
	"Plain VACUUM, or pg_repack."},
	{"autovacuum-disabled", LINT_ALWAYS_WARNING, {{T_AlterTableStmt, AT_SetRelOptions}},
		check_autovacuum,
		"dead rows pile up until somebody remembers",
	"Tune autovacuum for the table instead."},
	{"refresh-matview-blocking", LINT_SCAN, {{T_RefreshMatViewStmt, LINT_ANY}}, check_refresh,
		"while it is filled: whoever reads it waits",
	"REFRESH MATERIALIZED VIEW CONCURRENTLY; it needs a unique index."},
	{"refresh-matview-blocking", LINT_ALWAYS_ERROR, {{LINT_END_OF_STEP, LINT_ANY}}, check_unfilled,
		"to empty it: from then on whoever reads it gets an error, until it is refreshed",
	"REFRESH MATERIALIZED VIEW CONCURRENTLY; to change it, make another one, and rename both in one script."},
	{"matview-or-ctas-with-data", LINT_ALWAYS_NOTICE, {{T_CreateTableAsStmt, LINT_ANY}},
		check_with_data,
		"while it is read; what the transaction has locked before stays locked",
	"WITH NO DATA, and fill it in a later script."},
	{"partition-detach-not-concurrent", LINT_HOLD, {{T_AlterTableStmt, AT_DetachPartition}},
		check_detach,
		"to detach a partition: reads and writes of the whole table wait",
	"DETACH PARTITION ... CONCURRENTLY, in a script for tapmig.run."},
	{"partition-detach-not-concurrent", LINT_HOLD, {{T_DropStmt, OBJECT_TABLE}}, check_drop_partition,
		"to drop a partition of it: reads and writes of the whole table wait",
	"DETACH PARTITION ... CONCURRENTLY first, in a script for tapmig.run."},
	{"partition-attach-scan", LINT_SCAN, {{T_AlterTableStmt, AT_AttachPartition}}, check_attach,
		"while every row is checked against the bounds",
	"A CHECK that says the same as the bounds, NOT NULL of the key included, added NOT VALID and validated before."},
	{"partition-default-scan", LINT_SCAN,
		{{T_AlterTableStmt, AT_AttachPartition}, {T_CreateStmt, LINT_ANY}}, check_default,
		"while it, the default partition, is searched for rows of the new one",
	"A CHECK on the default partition that keeps these rows out, added NOT VALID and validated before."},
	{"partition-create-of-locks-parent", LINT_HOLD, {{T_CreateStmt, LINT_ANY}}, check_create_partition,
		"to make a partition of it: reads and writes of the whole table wait",
	"CREATE TABLE ... (LIKE parent), then ATTACH PARTITION: it takes SHARE UPDATE EXCLUSIVE only."},
	{"partitioned-ddl-fanout", LINT_ALWAYS_NOTICE, {{T_AlterTableStmt, -3}}, check_fanout,
		"and the same on every partition; each counts against max_locks_per_transaction",
	"Where it can be done so: ON ONLY the parent, and partition after partition."},
	{"drop-table-locks-referenced", LINT_HOLD, {{T_DropStmt, OBJECT_TABLE}}, check_drop,
		"to drop a foreign key: its reads and writes wait, though another table is dropped",
	"Drop the foreign keys one by one first, each in a script of its own."},
	{"drop-table-locks-referenced", LINT_HOLD, {{T_AlterTableStmt, AT_DropColumn}}, check_drop_column,
		"to drop a foreign key: its reads and writes wait, though a column of another table is dropped",
	"Keep it in a script of its own."},
	{NULL, 0, {{0, 0}}, NULL, NULL, NULL}
};
