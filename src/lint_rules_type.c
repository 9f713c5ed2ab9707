/*
 * lint_rules_type.c
 *		Rules of lint: ALTER COLUMN TYPE, and what depends on a column.
 *
 * What ALTER COLUMN TYPE does follows ATPrepAlterColumnType(),
 * ATExecAlterColumnType() and CheckIndexCompatible(), which want the new type in
 * the catalogs and so cannot be asked themselves.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_am.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_index.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_publication_rel.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_type.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "lint_internal.h"

/* What an ALTER COLUMN TYPE does to a table that is there. */
typedef struct TypeChange
{
	LintColumn *column;
	Oid			type;
	int32		typmod;
	Oid			collation;
	bool		rewrites;
	bool		is_change;
} TypeChange;

static bool
find_type_change(LintCheck *c, TypeChange *change)
{
	ColumnDef  *def = castNode(ColumnDef, c->cmd->def);

	if (!lint_is_old(c->rel))
		return false;
	change->column = lint_column(c->lint, c->rel, c->cmd->name);
	if (change->column == NULL)
		return false;
	if (!lint_type(c->lint, def->typeName, &change->type, &change->typmod))
	{
		/* An enum or a domain of this script: nothing old coerces to it as it is. */
		change->type = InvalidOid;
		change->collation = InvalidOid;
		change->rewrites = lint_type_of_script(c->lint, def->typeName->names) != NULL;
		return change->rewrites;
	}
	if (!OidIsValid(change->column->type))
		return false;
	/* A collation that is not there, or not the type's, is an error. */
	if (def->collClause != NULL)
		lint_analysis(c->lint);
	change->collation = def->collClause == NULL ?
		lint_type_collation(c->lint, def->typeName, change->type) :
		GetColumnDefCollation(NULL, def, change->type);
	/* There is nothing of a virtual column in the rows. */
	change->rewrites = change->column->generated != COMPAT_GENERATED_VIRTUAL &&
		lint_change_rewrites(c->lint, change->column, def->raw_default, c->rel,
							 change->type, change->typmod);
	return true;
}

/* False: nothing can be said, or nothing happens. */
static bool
type_change(LintCheck *c, TypeChange *change)
{
	TypeChange *known = c->known;

	/* All rules of ALTER COLUMN TYPE ask the same. */
	if (known == NULL)
	{
		known = palloc0(sizeof(TypeChange));
		known->is_change = find_type_change(c, known);
		c->known = known;
	}
	*change = *known;
	return known->is_change;
}

static char *
change_detail(LintCheck *c, TypeChange *change)
{
	return psprintf("column %s%s", change->column->name, !OidIsValid(change->type) ? "" :
					psprintf(": %s to %s",
							 format_type_with_typemod(change->column->type, change->column->typmod),
							 format_type_with_typemod(change->type, change->typmod)));
}

static void
check_rewrite(LintCheck *c)
{
	TypeChange	change;

	if (type_change(c, &change) && change.rewrites)
		lint_find(c, c->rel, AccessExclusiveLock, change_detail(c, &change));
}

/* ---- indexes */

typedef enum IndexFate
{
	INDEX_KEPT,
	INDEX_REBUILT,
	INDEX_REBUILT_FOR_COLLATION
} IndexFate;

static bool
index_names_column(HeapTuple tuple, AttrNumber attnum, int attribute)
{
	bool		isnull;
	Datum		value = SysCacheGetAttr(INDEXRELID, tuple, attribute, &isnull);
	Bitmapset  *attributes = NULL;

	if (isnull)
		return false;
	pull_varattnos(stringToNode(TextDatumGetCString(value)), 1, &attributes);
	return bms_is_member(attnum - FirstLowInvalidHeapAttributeNumber, attributes);
}

/* What happens to an index when a column's type changes and the table is kept. */
static IndexFate
index_fate(Oid oid, TypeChange *change)
{
	AttrNumber	attnum = change->column->attnum;
	HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(oid));
	HeapTuple	class = SearchSysCache1(RELOID, ObjectIdGetDatum(oid));
	IndexFate	fate = INDEX_KEPT;
	Form_pg_index form;
	oidvector  *classes;
	oidvector  *collations;
	bool		isnull;
	bool		touched;
	Oid			am;

	if (!HeapTupleIsValid(tuple) || !HeapTupleIsValid(class))
		return INDEX_KEPT;		/* the end of the analysis lets go of the other */
	form = (Form_pg_index) GETSTRUCT(tuple);
	am = ((Form_pg_class) GETSTRUCT(class))->relam;
	classes = (oidvector *) DatumGetPointer(SysCacheGetAttr(INDEXRELID, tuple,
															Anum_pg_index_indclass, &isnull));
	collations = (oidvector *) DatumGetPointer(SysCacheGetAttr(INDEXRELID, tuple,
															   Anum_pg_index_indcollation, &isnull));

	touched = index_names_column(tuple, attnum, Anum_pg_index_indexprs) ||
		index_names_column(tuple, attnum, Anum_pg_index_indpred);
	for (int i = 0; i < form->indnatts; i++)
		touched = touched || form->indkey.values[i] == attnum;

	/* Expressions and predicates are not assessed, nor are invalid indexes. */
	if (touched && (!heap_attisnull(tuple, Anum_pg_index_indexprs, NULL) ||
					!heap_attisnull(tuple, Anum_pg_index_indpred, NULL) || !form->indisvalid))
		fate = INDEX_REBUILT;

	for (int i = 0; fate == INDEX_KEPT && i < form->indnkeyatts; i++)
	{
		Oid			opclass = classes->values[i];

		if (form->indkey.values[i] != attnum)
			continue;
		if (opclass == GetDefaultOpClass(change->column->type, am))
			opclass = GetDefaultOpClass(change->type, am);
		if (opclass != classes->values[i] ||
			(IsPolymorphicType(get_opclass_input_type(opclass)) && get_atttype(oid, i + 1) != change->type))
			fate = INDEX_REBUILT;
		else if (collations->values[i] == change->column->collation &&
				 collations->values[i] != change->collation)
			fate = INDEX_REBUILT_FOR_COLLATION;
	}
	ReleaseSysCache(tuple);
	ReleaseSysCache(class);
	return fate;
}

/* Whether an index has nothing to do with a column, by what is known of it already. */
static bool
index_is_apart(const LintIndex *index, AttrNumber attnum)
{
	return index->valid && !index->partial && !list_member_int(index->keys, 0) &&
		!list_member_int(index->keys, attnum);
}

/* The same of one that the script has made: a btree with the default operator class, as far as is known. */
static IndexFate
made_index_fate(const LintIndex *index, const TypeChange *change)
{
	if (!list_member_int(index->keys, change->column->attnum))
		return INDEX_KEPT;
	if (index->partial || list_member_int(index->keys, 0) ||
		GetDefaultOpClass(change->column->type, BTREE_AM_OID) != GetDefaultOpClass(change->type, BTREE_AM_OID))
		return INDEX_REBUILT;
	return change->column->collation != change->collation ? INDEX_REBUILT_FOR_COLLATION : INDEX_KEPT;
}

static void
find_index_fate(LintCheck *c, IndexFate fate)
{
	TypeChange	change;
	StringInfoData names;
	ListCell   *lc;

	if (!lint_has_rows(c->lint, c->rel) || !type_change(c, &change) || change.rewrites)
		return;
	names.len = 0;
	foreach(lc, lint_indexes(c->lint, c->rel))
	{
		LintIndex  *index = lfirst(lc);

		if (!index->gone && !index_is_apart(index, change.column->attnum) &&
			(OidIsValid(index->oid) ? index_fate(index->oid, &change) :
			 made_index_fate(index, &change)) == fate)
		{
			if (names.len == 0)
				initStringInfo(&names);
			appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "", index->name);
		}
	}
	if (names.len > 0)
		lint_find(c, c->rel, AccessExclusiveLock, names.data);
}

static void
check_index(LintCheck *c)
{
	find_index_fate(c, INDEX_REBUILT);
}

static void
check_collation(LintCheck *c)
{
	find_index_fate(c, INDEX_REBUILT_FOR_COLLATION);
}

/* ---- constraints */

static void
check_recheck(LintCheck *c)
{
	TypeChange	change;
	ListCell   *lc;

	if (!lint_has_rows(c->lint, c->rel) || !type_change(c, &change) || change.rewrites)
		return;
	foreach(lc, lint_constraints(c->lint, c->rel))
	{
		LintConstraint *con = lfirst(lc);

		if (con->type == CONSTRAINT_CHECK && !con->gone && con->validated &&
			list_member_int(con->keys, change.column->attnum))
			lint_find(c, c->rel, AccessExclusiveLock,
					  con->name == NULL ? NULL : psprintf("CHECK %s", con->name));
	}
}

/* The larger of two relations, or the one that has rows. */
static LintRelation *
larger(LintCheck *c, LintRelation *a, LintRelation *b)
{
	if (!lint_has_rows(c->lint, b))
		return a;
	return !lint_has_rows(c->lint, a) || lint_size(c->lint, b)->rows > lint_size(c->lint, a)->rows ? b : a;
}

static void
find_key(LintCheck *c, LintRelation *other, const char *name)
{
	LintRelation *target = other == NULL ? c->rel : larger(c, c->rel, other);

	lint_find(c, target, AccessExclusiveLock,
			  psprintf("foreign key %s; %s is locked likewise", name,
					   lint_relation_label(c->lint, target == c->rel && other != NULL ?
										   other : c->rel)));
}

/*
 * The other tables of a column's foreign keys, in both directions; names (may be
 * NULL): of the keys, likewise. In the current context.
 */
List *
lint_tables_by_keys(Lint *lint, LintRelation *rel, const char *column_name, List **names)
{
	LintColumn *column = lint_column(lint, rel, column_name);
	List	   *tables = NIL;
	ListCell   *lc;

	if (column == NULL || (rel->relkind != RELKIND_RELATION && rel->relkind != RELKIND_PARTITIONED_TABLE))
		return NIL;
	foreach(lc, lint_constraints(lint, rel))
	{
		LintConstraint *con = lfirst(lc);
		LintRelation *other;

		if (con->type != CONSTRAINT_FOREIGN || con->gone || con->name == NULL ||
			!list_member_int(con->keys, column->attnum))
			continue;
		other = OidIsValid(con->other_table) ? lint_relation_by_oid(lint, con->other_table) : NULL;
		if (other == NULL && con->is_new)
			continue;
		tables = lappend(tables, other);
		if (names != NULL)
			*names = lappend(*names, con->name);
	}
	foreach(lc, OidIsValid(rel->oid) ? lint_keys_to(lint, rel) : NIL)
	{
		HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(lfirst_oid(lc)));
		LintRelation *other;
		LintConstraint *con;

		if (!HeapTupleIsValid(tuple))
			continue;
		other = lint_relation_by_oid(lint, ((Form_pg_constraint) GETSTRUCT(tuple))->conrelid);
		con = other == NULL || other->gone || other == rel ? NULL :
			lint_constraint(lint, other, NameStr(((Form_pg_constraint) GETSTRUCT(tuple))->conname));
		ReleaseSysCache(tuple);
		if (con == NULL || !list_member_int(con->other_keys, column->attnum))
			continue;
		tables = lappend(tables, other);
		if (names != NULL)
			*names = lappend(*names, con->name);
	}
	return tables;
}

static void
check_key(LintCheck *c)
{
	TypeChange	change;
	List	   *names = NIL;
	ListCell   *table;
	ListCell   *name;

	if (!type_change(c, &change) || !change.rewrites)
		return;
	forboth(table, lint_tables_by_keys(c->lint, c->rel, c->cmd->name, &names), name, names)
		find_key(c, lfirst(table), lfirst(name));
}

/* Without a rewrite the keys are made anew too, though nothing is read. */
static void
check_key_lock(LintCheck *c)
{
	TypeChange	change;
	List	   *names = NIL;
	ListCell   *table;
	ListCell   *name;

	if ((type_change(c, &change) && change.rewrites) ||
		!lint_type_is_there(c->lint, castNode(ColumnDef, c->cmd->def)->typeName))
		return;
	c->lint->inherit = false;
	forboth(table, lint_tables_by_keys(c->lint, c->rel, c->cmd->name, &names), name, names)
	{
		if (lfirst(table) != NULL && lfirst(table) != c->rel)
			lint_find(c, lfirst(table), AccessExclusiveLock,
					  psprintf("foreign key %s", (char *) lfirst(name)));
	}
}

/* ---- dependents */

/* The relation that a rewrite rule belongs to. */
static Oid
rule_relation(Oid rule)
{
	Relation	pg_rewrite = table_open(RewriteRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			result = InvalidOid;

	ScanKeyInit(&key, Anum_pg_rewrite_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(rule));
	scan = systable_beginscan(pg_rewrite, RewriteOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		result = ((Form_pg_rewrite) GETSTRUCT(tuple))->ev_class;
	systable_endscan(scan);
	table_close(pg_rewrite, AccessShareLock);
	return result;
}

/* What an object that depends on a column is called where it stands in the way. */
static char *
dependent_in_the_way(LintCheck *c, const ObjectAddress *object, AttrNumber attnum)
{
	Oid			relation;
	LintRelation *rel;
	ObjectAddress column;

	switch (object->classId)
	{
		case RewriteRelationId:
			relation = rule_relation(object->objectId);
			rel = OidIsValid(relation) ? lint_relation_by_oid(c->lint, relation) : NULL;
			if (rel == NULL || rel->gone || rel->replaced ||
				lint_object_is_changed(c->lint, object->classId, object->objectId))
				return NULL;
			return psprintf("%s %s", get_rel_relkind(relation) == RELKIND_VIEW ? "view" :
							get_rel_relkind(relation) == RELKIND_MATVIEW ? "materialized view" :
							"a rule of", lint_label_of(c->lint, relation));
		case PolicyRelationId:
		case TriggerRelationId:
		case ProcedureRelationId:
		case PublicationRelRelationId:
			if (lint_object_is_changed(c->lint, object->classId, object->objectId))
				return NULL;
			break;
		case AttrDefaultRelationId:
			column = GetAttrDefaultColumnAddress(object->objectId);
			if (column.objectId == c->rel->oid && column.objectSubId != attnum &&
				lint_column_numbered(c->lint, c->rel, column.objectSubId) != NULL)
			{
				LintColumn *other = lint_column_numbered(c->lint, c->rel, column.objectSubId);

				return other->name == NULL || other->generated == '\0' ? NULL :
					psprintf("generated column %s", other->name);
			}
			return NULL;
		default:
			return NULL;
	}
	return getObjectDescription(object, true);
}

/* Adds the tables that are of the composite type, which ALTER TYPE asks CASCADE for. */
static List *
typed_in_the_way(LintCheck *c, List *names)
{
	ListCell   *lc;

	if (c->rel->relkind != RELKIND_COMPOSITE_TYPE || c->cmd->behavior == DROP_CASCADE)
		return names;
	foreach(lc, lint_typed_tables(c->lint, c->rel))
		names = lappend(names, psprintf("table %s", lint_relation_label(c->lint, lfirst(lc))));
	return names;
}

/*
 * Adds the stored columns of a type, or of one that contains it, as
 * find_composite_type_dependencies() looks for them.
 */
static List *
stored_in_the_way(LintCheck *c, Oid type, List *names)
{
	ListCell   *lc;

	check_stack_depth();
	foreach(lc, lint_dependents(c->lint, TypeRelationId, type))
	{
		ObjectAddress *object = &((LintDependent *) lfirst(lc))->object;
		LintRelation *rel;
		LintColumn *column;

		if (object->classId == TypeRelationId)
			names = stored_in_the_way(c, object->objectId, names);
		if (object->classId != RelationRelationId || object->objectSubId == 0)
			continue;
		rel = lint_relation_by_oid(c->lint, object->objectId);
		column = rel == NULL || rel->gone ? NULL :
			lint_column_numbered(c->lint, rel, object->objectSubId);
		if (column == NULL || column->name == NULL || column->type != get_atttype(rel->oid, column->attnum))
			continue;
		if (RELKIND_HAS_STORAGE(rel->relkind) || RELKIND_HAS_PARTITIONS(rel->relkind))
			names = lappend(names, psprintf("column %s of %s", column->name,
											lint_relation_label(c->lint, rel)));
		else if (OidIsValid(get_rel_type_id(rel->oid)))
			names = stored_in_the_way(c, get_rel_type_id(rel->oid), names);
	}
	return names;
}

static char *
joined(List *names)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, names)
		appendStringInfo(&buf, "%s%s", buf.len > 0 ? ", " : "", (char *) lfirst(lc));
	return buf.data;
}

/* DROP, of whatever it is, without CASCADE. */
static void
check_drop(LintCheck *c)
{
	List	   *tables;
	char	   *names;

	if ((c->cmd != NULL ? c->cmd->behavior : castNode(DropStmt, c->node)->behavior) == DROP_CASCADE ||
		(c->cmd != NULL && !lint_is_old(c->rel)))
		return;
	tables = c->cmd != NULL && c->cmd->subtype == AT_DropColumn ? typed_in_the_way(c, NIL) : NIL;
	names = tables != NIL ? joined(tables) : lint_drop_refused_by(c);
	if (names == NULL)
		return;
	lint_find(c, c->rel, NoLock,
			  c->cmd == NULL ? psprintf("what is dropped is used by %s", names) :
			  psprintf("%s %s is used by %s", c->cmd->subtype == AT_DropColumn ? "column" : "constraint",
					   c->cmd->name, names));
}

static void
check_dependents(LintCheck *c)
{
	LintColumn *column;
	List	   *names = NIL;
	TypeChange	change;
	ListCell   *lc;

	if (c->cmd != NULL && c->cmd->subtype == AT_AddColumn)
	{
		names = typed_in_the_way(c, NIL);
		if (names != NIL)
			lint_find(c, c->rel, NoLock, psprintf("type %s is used by %s",
												  lint_relation_label(c->lint, c->rel), joined(names)));
		return;
	}
	if (c->cmd == NULL || c->cmd->subtype != AT_AlterColumnType)
	{
		check_drop(c);
		return;
	}
	column = lint_is_old(c->rel) ? lint_column(c->lint, c->rel, c->cmd->name) : NULL;
	if (column == NULL || column->is_new)
		return;
	foreach(lc, lint_column_dependents(c->lint, c->rel, column->attnum))
	{
		char	   *name = dependent_in_the_way(c, &((LintDependent *) lfirst(lc))->object, column->attnum);
		ListCell   *known;

		foreach(known, names)
		{
			if (name != NULL && strcmp(lfirst(known), name) == 0)
				name = NULL;
		}
		if (name != NULL)
			names = lappend(names, name);
	}
	foreach(lc, lint_uses_of_column(c->lint, c->rel, column->name))
		names = lappend(names, lint_use_name(c->lint, lfirst(lc)));
	names = typed_in_the_way(c, names);

	/* What has no storage of its own is refused before it is known what it takes. */
	if (!RELKIND_HAS_STORAGE(c->rel->relkind) || (type_change(c, &change) && change.rewrites))
		names = stored_in_the_way(c, get_rel_type_id(c->rel->oid), names);
	if (names != NIL)
		lint_find(c, c->rel, NoLock, psprintf("column %s is used by %s", column->name, joined(names)));
}

#define ON_TYPE	{T_AlterTableStmt, AT_AlterColumnType}

const LintRule lint_rules_type[] = {
	{"alter-type-rewrite", LINT_SCAN, {ON_TYPE}, check_rewrite,
		"while it is rewritten, with all its indexes: reads and writes wait",
	"A new column, filled in batches and by a trigger, that takes the old one's place; or an unlimited type, where that needs no rewrite."},
	{"alter-type-index-rebuild", LINT_SCAN, {ON_TYPE}, check_index,
		"while indexes are built anew: reads and writes wait",
	"Drop these indexes first, CREATE INDEX CONCURRENTLY afterwards."},
	{"collation-change", LINT_SCAN, {ON_TYPE}, check_collation,
		"while indexes are built anew in the other order: reads and writes wait",
	"Drop these indexes first, CREATE INDEX CONCURRENTLY afterwards."},
	{"alter-type-check-rescan", LINT_SCAN, {ON_TYPE}, check_recheck,
		"while every row is checked again: reads and writes wait",
	"Drop the CHECK, alter the type, add the CHECK as NOT VALID, and VALIDATE it in a later script."},
	{"alter-type-fk-recheck", LINT_SCAN, {ON_TYPE}, check_key,
		"while a foreign key of the column is checked again",
	"A new column on both sides, with a key of its own, instead of the old ones."},
	{"alter-type-fk-recheck", LINT_HOLD, {ON_TYPE}, check_key_lock,
		"to make a foreign key anew, though another table is altered: reads and writes wait until the transaction ends",
	"Keep it in a script of its own."},
	{"alter-type-dependent-objects", LINT_ALWAYS_ERROR,
		{ON_TYPE, {T_AlterTableStmt, AT_AddColumn}, {T_AlterTableStmt, AT_DropColumn}, {T_AlterTableStmt, AT_DropConstraint},
		{T_DropStmt, LINT_ANY}}, check_dependents,
		"the server refuses it",
	"Drop what depends on the column first and make it anew afterwards, in the same script."},
	{NULL, 0, {{0, 0}}, NULL, NULL, NULL}
};
