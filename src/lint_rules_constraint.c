/*
 * lint_rules_constraint.c
 *		Rules of lint: constraints of tables.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_index.h"
#include "catalog/pg_partitioned_table.h"
#include "catalog/pg_publication.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "lint_internal.h"

static Constraint *
added_constraint(LintCheck *c, ConstrType type)
{
	Constraint *con = (Constraint *) c->cmd->def;

	return con != NULL && IsA(con, Constraint) && con->contype == type ? con : NULL;
}

static bool
is_checked(Constraint *con)
{
	return !con->skip_validation && COMPAT_IS_ENFORCED(con);
}

/* ---- CHECK */

static void
check_check(LintCheck *c)
{
	Constraint *con = added_constraint(c, CONSTR_CHECK);

	if (con != NULL && is_checked(con))
		lint_find(c, c->rel, AccessExclusiveLock, NULL);
}

static void
check_volatile(LintCheck *c)
{
	Constraint *con = added_constraint(c, CONSTR_CHECK);

	if (con != NULL && con->raw_expr != NULL && c->rel->oid != InvalidOid &&
		lint_check_is_mutable(c->lint, c->rel, con->raw_expr))
		lint_find(c, c->rel, NoLock,
				  con->conname == NULL ? "a CHECK" : psprintf("CHECK %s", con->conname));
}

/* The constraint that ALTER CONSTRAINT makes ENFORCED, or NOT ENFORCED; NULL: none. */
static LintConstraint *
altered_constraint(LintCheck *c, bool enforced)
{
	LintConstraint *con = NULL;

	if (COMPAT_ALTERS_ENFORCED(c->cmd->def) && COMPAT_ALTERED_ENFORCED(c->cmd->def) == enforced)
		con = lint_constraint(c->lint, c->rel, COMPAT_ALTERED_NAME(c->cmd->def));
	return con != NULL && con->enforced != enforced ? con : NULL;
}

static void
check_not_enforced(LintCheck *c)
{
	List	   *constraints = NIL;
	ListCell   *lc;

	if (!COMPAT_HAS_NOT_ENFORCED)
		return;
	if (c->cmd != NULL && c->cmd->subtype == AT_AlterConstraint)
	{
		if (altered_constraint(c, false) != NULL)
			lint_find(c, c->rel, NoLock, "NOT ENFORCED");
		return;
	}
	if (c->cmd != NULL)
		constraints = list_make1(c->cmd->def);
	else
	{
		foreach(lc, castNode(CreateStmt, c->node)->tableElts)
		{
			constraints = lappend(constraints, lfirst(lc));
			if (IsA(lfirst(lc), ColumnDef))
				constraints = list_concat(constraints, ((ColumnDef *) lfirst(lc))->constraints);
		}
	}
	foreach(lc, constraints)
	{
		Constraint *con = lfirst(lc);

		if (IsA(con, Constraint) && !COMPAT_IS_ENFORCED(con) &&
			(con->contype == CONSTR_CHECK || con->contype == CONSTR_FOREIGN))
			lint_find(c, c->rel, NoLock, "NOT ENFORCED");
	}
}

/* ---- foreign keys */

/* ALTER CONSTRAINT ... ENFORCED: as if the key were added, but readers wait too. */
static void
check_key_enforced(LintCheck *c)
{
	LintConstraint *con = altered_constraint(c, true);
	LintRelation *other = con == NULL ? NULL : lint_relation_by_oid(c->lint, con->other_table);

	if (con != NULL)
		lint_find(c, c->rel, AccessExclusiveLock, other == NULL ? NULL :
				  psprintf("ENFORCED; SHARE ROW EXCLUSIVE on %s", lint_relation_label(c->lint, other)));
}

static void
check_key(LintCheck *c)
{
	Constraint *con;
	LintRelation *other;

	if (c->cmd->subtype == AT_AlterConstraint)
	{
		check_key_enforced(c);
		return;
	}
	con = added_constraint(c, CONSTR_FOREIGN);
	if (con == NULL || !is_checked(con))
		return;
	other = lint_relation(c->lint, con->pktable);
	lint_find(c, c->rel, ShareRowExclusiveLock, other == NULL ? NULL :
			  psprintf("%s is locked likewise", lint_relation_label(c->lint, other)));
}

static void
check_key_partitioned(LintCheck *c)
{
	Constraint *con = added_constraint(c, CONSTR_FOREIGN);

	if (con != NULL && con->skip_validation && COMPAT_IS_ENFORCED(con) &&
		!COMPAT_PARTITIONED_NOT_VALID_KEYS && c->rel->relkind == RELKIND_PARTITIONED_TABLE)
		lint_find(c, c->rel, NoLock, "a NOT VALID foreign key on a partitioned table");
}

/* Each foreign key that a CREATE TABLE or ALTER TABLE ADD CONSTRAINT makes. */
static List *
made_keys(LintCheck *c)
{
	List	   *result = NIL;
	ListCell   *lc;
	ListCell   *in;

	if (c->cmd != NULL)
		return added_constraint(c, CONSTR_FOREIGN) == NULL ? NIL : list_make1(c->cmd->def);
	if (c->known != NULL)
		return c->known;
	foreach(lc, castNode(CreateStmt, c->node)->tableElts)
	{
		Node	   *element = lfirst(lc);

		if (IsA(element, Constraint) && ((Constraint *) element)->contype == CONSTR_FOREIGN)
			result = lappend(result, element);
		if (!IsA(element, ColumnDef))
			continue;
		foreach(in, ((ColumnDef *) element)->constraints)
		{
			if (IsA(lfirst(in), Constraint) &&
				((Constraint *) lfirst(in))->contype == CONSTR_FOREIGN)
				result = lappend(result, lfirst(in));
		}
	}
	c->known = result;
	return result;
}

static void
check_key_locks(LintCheck *c)
{
	List	   *keys = made_keys(c);
	List	   *seen = NIL;
	ListCell   *lc;

	if (keys == NIL)
		return;
	if (IsA(c->node, CreateStmt) && ((CreateStmt *) c->node)->if_not_exists &&
		lint_relation_to_make(c->lint, ((CreateStmt *) c->node)->relation) != NULL)
		return;
	foreach(lc, keys)
	{
		Constraint *con = lfirst(lc);
		LintRelation *other = lint_relation(c->lint, con->pktable);

		if (other == NULL || other == c->rel || list_member_ptr(seen, other))
			continue;
		/* fk-not-not-valid says so where the keys are checked. */
		if (c->cmd != NULL && is_checked(con) && lint_has_rows(c->lint, c->rel))
			continue;
		seen = lappend(seen, other);
		lint_find(c, other, ShareRowExclusiveLock, NULL);
	}
}

static void
check_key_several(LintCheck *c)
{
	LintRelation *first = NULL;
	int			step = -1;
	ListCell   *lc;

	foreach(lc, c->lint->foreign_keys)
	{
		LintForeignKey *key = lfirst(lc);

		if (key->other == NULL || key->other == key->rel || !lint_has_rows(c->lint, key->other))
			continue;
		if (step != key->step)
		{
			step = key->step;
			first = key->other;
		}
		else if (first != NULL && first != key->other)
		{
			lint_find_at(c, key->statement,
						 lint_is_large(c->lint, key->other) || lint_is_large(c->lint, first) ?
						 LINT_WARNING : LINT_NOTICE, key->other, ShareRowExclusiveLock,
						 psprintf("%s is locked since an earlier foreign key",
								  lint_relation_label(c->lint, first)));
			first = NULL;		/* once a step */
		}
	}
}

/* Whether some index begins with just these columns, in any order. */
static bool
key_has_index(LintCheck *c, LintForeignKey *key)
{
	int			n = list_length(key->keys);
	ListCell   *lc;

	foreach(lc, lint_indexes(c->lint, key->rel))
	{
		LintIndex  *index = lfirst(lc);
		bool		all = !index->gone && index->valid && !index->partial &&
			list_length(index->keys) >= n;

		for (int i = 0; all && i < n; i++)
			all = list_member_int(key->keys, list_nth_int(index->keys, i));
		if (all)
			return true;
	}
	return false;
}

static void
check_key_index(LintCheck *c)
{
	StringInfoData detail;
	ListCell   *lc;

	initStringInfo(&detail);
	foreach(lc, c->lint->foreign_keys)
	{
		LintForeignKey *key = lfirst(lc);

		if (key->constraint->gone || key->rel->gone || key->rel->open_columns || list_member_int(key->keys, 0) ||
			key->rel->relkind == RELKIND_FOREIGN_TABLE || key_has_index(c, key))
			continue;
		resetStringInfo(&detail);
		appendBinaryStringInfo(&detail, "foreign key (", strlen("foreign key ("));
		appendStringInfoString(&detail, key->columns);
		appendBinaryStringInfo(&detail, ") of ", strlen(") of "));
		appendStringInfoString(&detail, lint_relation_label(c->lint, key->rel));
		lint_find_at(c, key->statement,
					 lint_has_rows(c->lint, key->rel) ? LINT_WARNING : LINT_NOTICE, key->rel, NoLock,
					 detail.data);
	}
}

static void
check_set_null(LintCheck *c)
{
	ListCell   *lc;
	ListCell   *name;

	/* A new table's columns are known once it is made: see the end of the script. */
	foreach(lc, made_keys(c))
	{
		Constraint *con = lfirst(lc);
		List	   *keys = con->fk_attrs;

		if (con->fk_del_action == FKCONSTR_ACTION_SETNULL && con->fk_del_set_cols != NIL)
			keys = con->fk_del_set_cols;
		else if (con->fk_del_action != FKCONSTR_ACTION_SETNULL &&
				 con->fk_upd_action != FKCONSTR_ACTION_SETNULL)
			continue;
		if (c->cmd != NULL)
		{
			foreach(name, keys)
			{
				LintColumn *column = lint_column(c->lint, c->rel, strVal(lfirst(name)));

				if (column != NULL && column->not_null)
					lint_find(c, c->rel, NoLock, psprintf("column %s", column->name));
			}
			continue;
		}
		foreach(name, ((CreateStmt *) c->node)->tableElts)
		{
			ColumnDef  *def = lfirst(name);
			ListCell   *key;
			bool		is_key;

			if (!IsA(def, ColumnDef) || (lint_constraint_of(def, CONSTR_NOTNULL) == NULL &&
										 lint_constraint_of(def, CONSTR_PRIMARY) == NULL))
				continue;
			is_key = keys == NIL && list_member_ptr(def->constraints, con);
			foreach(key, keys)
				is_key = is_key || strcmp(strVal(lfirst(key)), def->colname) == 0;
			if (is_key)
				lint_find(c, NULL, NoLock, psprintf("column %s", def->colname));
		}
	}
}

/* ---- VALIDATE, NOT NULL */

static void
check_validate_same(LintCheck *c)
{
	LintConstraint *con = lint_constraint(c->lint, c->rel, c->cmd->name);
	LOCKMODE	held;

	if (con == NULL || con->validated)
		return;
	held = lint_held_before(c->lint, c->rel, ShareRowExclusiveLock) ? c->rel->held :
		con->is_new && con->made_step == c->lint->step ?
		(con->type == CONSTRAINT_FOREIGN ? ShareRowExclusiveLock : AccessExclusiveLock) :
		c->lint->alter_lock >= ShareRowExclusiveLock ? c->lint->alter_lock : NoLock;
	if (held != NoLock)
		lint_find(c, c->rel, held, NULL);
}

static void
check_validate(LintCheck *c)
{
	LintConstraint *con = lint_constraint(c->lint, c->rel, c->cmd->name);

	if (con == NULL || con->validated || (con->is_new && con->made_step == c->lint->step) ||
		lint_held_before(c->lint, c->rel, ShareRowExclusiveLock) ||
		c->lint->alter_lock >= ShareRowExclusiveLock)
		return;
	if (lint_has_rows(c->lint, c->rel))
		lint_find(c, c->rel, ShareUpdateExclusiveLock, NULL);
}

static void
check_not_null(LintCheck *c)
{
	Constraint *con = c->cmd->subtype == AT_SetNotNull ? NULL : added_constraint(c, CONSTR_NOTNULL);
	LintColumn *column;

	if (c->cmd->subtype != AT_SetNotNull && (con == NULL || con->skip_validation))
		return;
	column = lint_column(c->lint, c->rel, con == NULL ? c->cmd->name : strVal(linitial(con->keys)));
	if (!lint_has_rows(c->lint, c->rel) || column == NULL ||
		lint_is_not_null(c->lint, c->rel, column))
		return;
	if (column->not_null)
	{
		ListCell   *lc;

		/* attnotnull says so even where the constraint is NOT VALID. */
		foreach(lc, lint_constraints(c->lint, c->rel))
		{
			LintConstraint *known = lfirst(lc);

			if (known->type == COMPAT_CONSTRAINT_NOTNULL && !known->validated && !known->gone &&
				list_member_int(known->keys, column->attnum))
				lint_find(c, c->rel, AccessExclusiveLock,
						  psprintf("VALIDATE CONSTRAINT %s would do with SHARE UPDATE EXCLUSIVE",
								   known->name));
		}
		return;
	}
	if (!lint_not_null_proven(c->lint, c->rel, column))
		lint_find(c, c->rel, AccessExclusiveLock, psprintf("column %s", column->name));
}

/* ---- unique constraints */

static void
check_primary(LintCheck *c)
{
	Constraint *con = added_constraint(c, CONSTR_PRIMARY);

	if (con != NULL && con->indexname == NULL)
		lint_find(c, c->rel, AccessExclusiveLock, NULL);
}

/* The first of these columns that may hold nulls as far as known; NULL: none. */
static LintColumn *
nullable_column(LintCheck *c, List *columns)
{
	ListCell   *lc;

	foreach(lc, columns)
	{
		LintColumn *column = lfirst(lc);

		if (column != NULL && !lint_not_null_proven(c->lint, c->rel, column))
			return column;
	}
	return NULL;
}

static void
check_primary_nullable(LintCheck *c)
{
	Constraint *con = added_constraint(c, CONSTR_PRIMARY);
	List	   *columns = NIL;
	LintColumn *column;
	ListCell   *lc;

	if (con == NULL || con->indexname != NULL)
		return;
	/* The children have no part in the index, but in NOT NULL. */
	c->lint->inherit = castNode(AlterTableStmt, c->node)->relation->inh;
	if (!lint_has_rows(c->lint, c->rel))
		return;
	foreach(lc, con->keys)
		columns = lappend(columns, lint_column(c->lint, c->rel, strVal(lfirst(lc))));
	column = nullable_column(c, columns);
	if (column != NULL)
		lint_find(c, c->rel, AccessExclusiveLock, psprintf("column %s", column->name));
}

static void
check_primary_using(LintCheck *c)
{
	Constraint *con = added_constraint(c, CONSTR_PRIMARY);
	List	   *columns = NIL;
	LintColumn *column;
	ListCell   *lc;
	ListCell   *key;

	if (con == NULL || con->indexname == NULL)
		return;
	c->lint->inherit = castNode(AlterTableStmt, c->node)->relation->inh;
	if (!lint_has_rows(c->lint, c->rel))
		return;
	foreach(lc, lint_indexes(c->lint, c->rel))
	{
		LintIndex  *index = lfirst(lc);

		if (index->gone || index->name == NULL || strcmp(index->name, con->indexname) != 0)
			continue;
		foreach(key, index->keys)
			columns = lappend(columns, lint_column_numbered(c->lint, c->rel, lfirst_int(key)));
	}
	column = nullable_column(c, columns);
	if (column != NULL)
		lint_find(c, c->rel, AccessExclusiveLock, psprintf("column %s", column->name));
}

static void
check_unique(LintCheck *c)
{
	Constraint *con = added_constraint(c, CONSTR_UNIQUE);

	if (con != NULL && con->indexname == NULL)
		lint_find(c, c->rel, AccessExclusiveLock, NULL);
}

static void
check_exclusion(LintCheck *c)
{
	if (added_constraint(c, CONSTR_EXCLUSION) != NULL)
		lint_find(c, c->rel, AccessExclusiveLock, NULL);
}

/* ---- keys of partitioned tables */

/* The columns of a partition key that are not among these; NULL: all are. */
static char *
partition_key_outside(LintCheck *c, LintRelation *rel, PartitionSpec *spec, List *keys)
{
	List	   *wanted = NIL;
	ListCell   *lc;
	ListCell   *key;

	if (spec != NULL)
	{
		foreach(lc, spec->partParams)
		{
			PartitionElem *element = lfirst_node(PartitionElem, lc);

			if (element->name == NULL)
				return pstrdup("an expression");
			wanted = lappend(wanted, element->name);
		}
	}
	else
	{
		HeapTuple	tuple = SearchSysCache1(PARTRELID, ObjectIdGetDatum(rel->oid));
		Form_pg_partitioned_table form;

		if (!HeapTupleIsValid(tuple))
			return NULL;
		form = (Form_pg_partitioned_table) GETSTRUCT(tuple);
		for (int i = 0; i < form->partnatts; i++)
		{
			LintColumn *column = form->partattrs.values[i] == 0 ? NULL :
				lint_column_numbered(c->lint, rel, form->partattrs.values[i]);

			if (form->partattrs.values[i] != 0 && (column == NULL || column->name == NULL))
				continue;
			wanted = lappend(wanted, column == NULL ? NULL : column->name);
		}
		ReleaseSysCache(tuple);
	}
	foreach(lc, wanted)
	{
		bool		found = false;

		if (lfirst(lc) == NULL)
			return pstrdup("an expression");
		foreach(key, keys)
			found = found || strcmp(strVal(lfirst(key)), lfirst(lc)) == 0;
		if (!found)
			return lfirst(lc);
	}
	return NULL;
}

static void
partition_key_judge(LintCheck *c, LintRelation *rel, PartitionSpec *spec, Constraint *con,
					List *keys)
{
	char	   *outside;

	if ((con->contype != CONSTR_PRIMARY && con->contype != CONSTR_UNIQUE) ||
		con->indexname != NULL)
		return;
	outside = partition_key_outside(c, rel, spec, keys);
	if (outside != NULL)
		lint_find(c, rel, NoLock,
				  psprintf("a %s constraint without %s, by which the table is partitioned",
						   con->contype == CONSTR_PRIMARY ? "PRIMARY KEY" : "UNIQUE", outside));
}

/* The same of what stands in a column's definition. */
static void
partition_key_judge_column(LintCheck *c, LintRelation *rel, PartitionSpec *spec, ColumnDef *def)
{
	ListCell   *lc;

	foreach(lc, def->constraints)
	{
		if (IsA(lfirst(lc), Constraint))
			partition_key_judge(c, rel, spec, lfirst(lc), list_make1(makeString(def->colname)));
	}
}

static void
check_partition_key(LintCheck *c)
{
	CreateStmt *stmt;
	ListCell   *lc;

	if (c->cmd != NULL)
	{
		ColumnDef  *def = (ColumnDef *) c->cmd->def;

		if (c->rel->relkind != RELKIND_PARTITIONED_TABLE ||
			(c->rel->partition_by == NULL && !OidIsValid(c->rel->oid)))
			return;
		if (IsA(def, Constraint))
			partition_key_judge(c, c->rel, c->rel->partition_by, (Constraint *) def,
								((Constraint *) def)->keys);
		else if (!c->cmd->missing_ok || lint_column(c->lint, c->rel, def->colname) == NULL)
			partition_key_judge_column(c, c->rel, c->rel->partition_by, def);
		return;
	}
	if (IsA(c->node, IndexStmt))
	{
		IndexStmt  *index = (IndexStmt *) c->node;
		List	   *keys = NIL;
		char	   *outside;

		if (!index->unique || index->concurrent || c->rel == NULL ||
			c->rel->relkind != RELKIND_PARTITIONED_TABLE)
			return;
		foreach(lc, index->indexParams)
		{
			if (lfirst_node(IndexElem, lc)->name != NULL)
				keys = lappend(keys, makeString(lfirst_node(IndexElem, lc)->name));
		}
		outside = partition_key_outside(c, c->rel, c->rel->partition_by, keys);
		if (outside != NULL)
			lint_find(c, c->rel, NoLock, psprintf("a unique index without %s, by which the table is partitioned",
												  outside));
		return;
	}
	stmt = castNode(CreateStmt, c->node);
	if (stmt->partspec == NULL)
		return;
	foreach(lc, stmt->tableElts)
	{
		ColumnDef  *def = lfirst(lc);

		if (IsA(def, Constraint))
			partition_key_judge(c, NULL, stmt->partspec, lfirst(lc),
								((Constraint *) lfirst(lc))->keys);
		else if (IsA(def, ColumnDef))
			partition_key_judge_column(c, NULL, stmt->partspec, def);
	}
}

/* ---- DROP CONSTRAINT */

/* Whether a CHECK says no more than that columns that are NOT NULL are so. */
static bool
constraint_is_idle(LintCheck *c, LintConstraint *con)
{
	bool		was = con->validated;
	bool		idle;

	if (con->type != CONSTRAINT_CHECK || con->stored == NULL)
		return false;
	con->validated = false;		/* it must not prove itself */
	idle = lint_implied(c->lint, c->rel, make_ands_implicit((Expr *) stringToNode(con->stored)));
	con->validated = was;
	return idle;
}

static void
check_drop(LintCheck *c)
{
	LintConstraint *con = lint_constraint(c->lint, c->rel, c->cmd->name);
	LintRelation *other;

	if (con == NULL || con->is_new || !lint_is_old(c->rel))
		return;
	if (constraint_is_idle(c, con))
		return;
	other = con->type == CONSTRAINT_FOREIGN && OidIsValid(con->other_table) ?
		lint_relation_by_oid(c->lint, con->other_table) : NULL;
	if (other != NULL && other != c->rel && lint_has_rows(c->lint, other) &&
		!lint_has_rows(c->lint, c->rel))
		lint_find(c, other, AccessExclusiveLock, psprintf("constraint %s", con->name));
	else
		lint_find(c, c->rel, AccessExclusiveLock, other == NULL || other == c->rel ?
				  psprintf("constraint %s", con->name) :
				  psprintf("constraint %s; %s is locked likewise", con->name,
						   lint_relation_label(c->lint, other)));
}

static void
check_drop_identity(LintCheck *c)
{
	LintConstraint *con = lint_constraint(c->lint, c->rel, c->cmd->name);
	HeapTuple	tuple;
	char		identity;
	List	   *publications;
	ListCell   *lc;

	if (con == NULL || con->type != CONSTRAINT_PRIMARY || !lint_is_old(c->rel))
		return;
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(c->rel->oid));
	if (!HeapTupleIsValid(tuple))
		return;
	identity = ((Form_pg_class) GETSTRUCT(tuple))->relreplident;
	ReleaseSysCache(tuple);
	if (identity != REPLICA_IDENTITY_DEFAULT)
		return;
	lint_analysis(c->lint);
	publications = list_concat(GetRelationPublications(c->rel->oid), GetAllTablesPublications());
	publications = list_concat(publications,
							   GetSchemaPublications(get_rel_namespace(c->rel->oid)));
	foreach(lc, publications)
	{
		Publication *publication = GetPublication(lfirst_oid(lc));

		if (publication->pubactions.pubupdate || publication->pubactions.pubdelete)
		{
			lint_find(c, c->rel, NoLock, psprintf("%s is in publication %s, and its primary key is its replica identity",
												  lint_relation_label(c->lint, c->rel), publication->name));
			return;
		}
	}
}

#define ON_ADD	{T_AlterTableStmt, AT_AddConstraint}
#define ON_ALTER	{T_AlterTableStmt, AT_AlterConstraint}

const LintRule lint_rules_constraint[] = {
	{"check-not-not-valid", LINT_SCAN, {ON_ADD}, check_check,
		"while every row is checked: reads and writes wait",
	"ADD CONSTRAINT ... NOT VALID now, VALIDATE CONSTRAINT in a later script."},
	{"check-volatile-expression", LINT_ALWAYS_WARNING, {ON_ADD}, check_volatile,
		"it calls what is not immutable, so that rows which passed may fail when they are restored",
	"Use immutable functions only, or a trigger."},
	{"constraint-not-enforced", LINT_ALWAYS_WARNING, {ON_ADD, ON_ALTER, {T_CreateStmt, LINT_ANY}},
		check_not_enforced,
		"no row, old or new, is ever checked",
	"NOT VALID leaves out the old rows only."},
	{"fk-not-not-valid", LINT_SCAN, {ON_ADD, ON_ALTER}, check_key,
		"while every row is looked up: whoever writes waits",
	"ADD CONSTRAINT ... NOT VALID now, VALIDATE CONSTRAINT in a later script."},
	{"fk-not-valid-on-partitioned", LINT_ALWAYS_ERROR, {ON_ADD}, check_key_partitioned,
		"the server refuses it before version 18",
	"Add the key to each partition NOT VALID and validate it there, then to the parent."},
	{"fk-locks-referenced-table", LINT_HOLD, {ON_ADD, {T_CreateStmt, LINT_ANY}}, check_key_locks,
		"to refer to it, until the transaction ends: whoever writes waits",
	"Keep the script short; one referenced table a script."},
	{"fk-multiple-in-one-tx", LINT_HOLD, {{LINT_END_OF_SCRIPT, LINT_ANY}}, check_key_several,
		"is the second referenced table that this transaction locks",
	"One referenced table a script."},
	{"fk-missing-index", LINT_ALWAYS_WARNING, {{LINT_END_OF_SCRIPT, LINT_ANY}}, check_key_index,
		"no index begins with its columns, so that each DELETE of a referenced row reads the whole table",
	"CREATE INDEX CONCURRENTLY on the referencing columns."},
	{"fk-set-null-on-not-null", LINT_ALWAYS_WARNING, {ON_ADD, {T_CreateStmt, LINT_ANY}}, check_set_null,
		"SET NULL on a column that is NOT NULL makes every DELETE of a referenced row fail",
	"Make the column nullable, or use CASCADE or RESTRICT."},
	{"validate-in-same-transaction", LINT_SCAN, {{T_AlterTableStmt, AT_ValidateConstraint}},
		check_validate_same,
		"is held while every row is checked: NOT VALID has bought nothing",
	"VALIDATE CONSTRAINT in a later script."},
	{"validate-constraint-scan", LINT_ALWAYS_NOTICE, {{T_AlterTableStmt, AT_ValidateConstraint}},
		check_validate,
		"while every row is checked: reads and writes go on, other DDL and VACUUM wait",
	"Nothing better; do it in a script of its own, without statement_timeout."},
	{"set-not-null-scan", LINT_SCAN, {{T_AlterTableStmt, AT_SetNotNull}, ON_ADD}, check_not_null,
		"while every row is checked: reads and writes wait",
	"ADD CONSTRAINT ... CHECK (col IS NOT NULL) NOT VALID, VALIDATE CONSTRAINT in a later script, then SET NOT NULL: it reads nothing."},
	{"add-pk-no-using-index", LINT_SCAN, {ON_ADD}, check_primary,
		"while its index is built: reads and writes wait",
	"CREATE UNIQUE INDEX CONCURRENTLY, then ADD PRIMARY KEY USING INDEX."},
	{"add-pk-nullable-columns", LINT_SCAN, {ON_ADD}, check_primary_nullable,
		"while every row is read once more, to see that it is not null",
	"Make the columns NOT NULL first, by a validated CHECK (col IS NOT NULL)."},
	{"add-pk-using-index-nullable", LINT_SCAN, {ON_ADD}, check_primary_using,
		"while every row is read, to see that it is not null",
	"Make the columns NOT NULL first, by a validated CHECK (col IS NOT NULL)."},
	{"add-unique-no-using-index", LINT_SCAN, {ON_ADD}, check_unique,
		"while its index is built: reads and writes wait",
	"CREATE UNIQUE INDEX CONCURRENTLY, then ADD CONSTRAINT ... UNIQUE USING INDEX."},
	{"add-exclusion-constraint", LINT_SCAN, {ON_ADD}, check_exclusion,
		"while its index is built and every row is checked: reads and writes wait",
	"No way is quick: a new table with the constraint, or a quiet hour."},
	{"partition-key-missing-in-pk", LINT_ALWAYS_ERROR,
		{ON_ADD, {T_AlterTableStmt, AT_AddColumn}, {T_CreateStmt, LINT_ANY},
		{T_IndexStmt, LINT_ANY}}, check_partition_key,
		"the server refuses it",
	"Take the partition key's columns into the constraint."},
	{"drop-constraint", LINT_HOLD, {{T_AlterTableStmt, AT_DropConstraint}}, check_drop,
		"to drop a constraint: reads and writes wait, and what it kept out may come in",
	"Look who relies on it; keep it in a script of its own."},
	{"drop-pk-breaks-replication", LINT_ALWAYS_ERROR, {{T_AlterTableStmt, AT_DropConstraint}},
		check_drop_identity,
		"UPDATE and DELETE on it will fail",
	"ALTER TABLE ... REPLICA IDENTITY USING INDEX first."},
	{NULL, 0, {{0, 0}}, NULL, NULL, NULL}
};
