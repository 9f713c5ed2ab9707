/*
 * lint_rules_drop.c
 *		Rules of lint: what a DROP takes with it, or what stands in its way.
 *
 * Follows pg_depend as findDependentObjects() does, without its locks: an object
 * that depends normally is dropped by CASCADE only, one that belongs to another
 * goes with that. What the script has dropped before is left out. Tables and
 * columns that CASCADE takes are the room data_loss's to report, which knows
 * whether they hold anything.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_func.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "lint_internal.h"

/* How many objects a message names. */
#define DROP_NAMED_MAX 5

/* An object that a DROP reaches. */
typedef struct DropReached
{
	ObjectAddress object;
	bool		owned;			/* it is a target, or goes with what it belongs to */
} DropReached;

typedef struct DropWalk
{
	LintCheck  *c;
	List	   *reached;		/* DropReached */
	Oid			schema;			/* of DROP SCHEMA: what is in it is no surprise */
} DropWalk;

/* ---- the dependents */

/* Whether the script has dropped an object before, as far as it is followed. */
static bool
drop_is_gone(LintCheck *c, const ObjectAddress *object)
{
	Lint	   *lint = c->lint;
	HeapTuple	tuple;
	LintRelation *rel;
	LintColumn *column;
	bool		gone;

	switch (object->classId)
	{
		case RelationRelationId:
			if (lint_is_gone(lint, object->objectId))
				return true;
			rel = object->objectSubId == 0 ? NULL : lint_relation_by_oid(lint, object->objectId);
			column = rel == NULL ? NULL : lint_column_numbered(lint, rel, object->objectSubId);
			return column != NULL && column->name == NULL;
		case ConstraintRelationId:
			tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(object->objectId));
			if (!HeapTupleIsValid(tuple))
				return true;
			rel = OidIsValid(((Form_pg_constraint) GETSTRUCT(tuple))->conrelid) ?
				lint_relation_by_oid(lint, ((Form_pg_constraint) GETSTRUCT(tuple))->conrelid) : NULL;
			gone = OidIsValid(((Form_pg_constraint) GETSTRUCT(tuple))->conrelid) &&
				(rel == NULL || rel->gone);
			if (rel != NULL && !gone)
			{
				ListCell   *lc;

				foreach(lc, lint_constraints(lint, rel))
				{
					if (((LintConstraint *) lfirst(lc))->oid == object->objectId)
						gone = ((LintConstraint *) lfirst(lc))->gone;
				}
			}
			ReleaseSysCache(tuple);
			return gone;
		case ProcedureRelationId:
			return lint->lost_functions;
		case PolicyRelationId:
		case TriggerRelationId:
			return lint->lost_parts;
		default:
			return false;
	}
}

/*
 * A view's or materialized view's own rule stands for the view, a generated
 * column's expression for the column.
 */
static ObjectAddress
drop_owner(ObjectAddress object)
{
	Relation	pg_rewrite;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	if (object.classId == AttrDefaultRelationId)
	{
		ObjectAddress column = GetAttrDefaultColumnAddress(object.objectId);

		return OidIsValid(column.objectId) &&
			get_attgenerated(column.objectId, column.objectSubId) != '\0' ? column : object;
	}
	if (object.classId != RewriteRelationId)
		return object;
	pg_rewrite = table_open(RewriteRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_rewrite_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(object.objectId));
	scan = systable_beginscan(pg_rewrite, RewriteOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		Oid			relation = ((Form_pg_rewrite) GETSTRUCT(tuple))->ev_class;
		char		kind = get_rel_relkind(relation);

		if (kind == RELKIND_VIEW || kind == RELKIND_MATVIEW)
			ObjectAddressSet(object, RelationRelationId, relation);
	}
	systable_endscan(scan);
	table_close(pg_rewrite, AccessShareLock);
	return object;
}

static bool
drop_is_in_schema(const ObjectAddress *object, Oid schema)
{
	switch (object->classId)
	{
		case RelationRelationId:
			return get_rel_namespace(object->objectId) == schema;
		case ProcedureRelationId:
			return get_func_namespace(object->objectId) == schema;
		default:
			return false;
	}
}

static void
drop_reach(DropWalk *walk, ObjectAddress object, bool owned)
{
	DropReached *reached;
	ListCell   *lc;

	if (drop_is_gone(walk->c, &object))
		return;
	if (OidIsValid(walk->schema) && drop_is_in_schema(&object, walk->schema))
		owned = true;
	foreach(lc, walk->reached)
	{
		reached = lfirst(lc);
		if (reached->object.classId == object.classId && reached->object.objectId == object.objectId &&
			(reached->object.objectSubId == object.objectSubId || reached->object.objectSubId == 0))
		{
			reached->owned = reached->owned || owned;
			return;
		}
	}
	reached = palloc(sizeof(DropReached));
	reached->object = object;
	reached->owned = owned;
	walk->reached = lappend(walk->reached, reached);
}

/* Adds what depends on an object that was reached. */
static void
drop_follow(DropWalk *walk, const ObjectAddress *object)
{
	Relation	pg_depend = table_open(DependRelationId, AccessShareLock);
	ScanKeyData keys[3];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(object->classId));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(object->objectId));
	ScanKeyInit(&keys[2], Anum_pg_depend_refobjsubid, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(object->objectSubId));
	scan = systable_beginscan(pg_depend, DependReferenceIndexId, true, NULL,
							  object->objectSubId == 0 ? 2 : 3, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);
		ObjectAddress dependent;

		CHECK_FOR_INTERRUPTS();
		ObjectAddressSubSet(dependent, form->classid, form->objid, form->objsubid);
		dependent = drop_owner(dependent);
		/* A part of it, which is there because the whole is. */
		if (dependent.classId == object->classId && dependent.objectId == object->objectId &&
			(object->objectSubId == 0 || dependent.objectSubId == object->objectSubId))
			continue;
		drop_reach(walk, dependent, form->deptype != DEPENDENCY_NORMAL ||
				   object->classId == NamespaceRelationId);
	}
	systable_endscan(scan);
	table_close(pg_depend, AccessShareLock);
}

/*
 * The objects that only CASCADE drops with the targets: a list of
 * ObjectAddress, in the current context. schema: of DROP SCHEMA, or InvalidOid.
 */
static List *
drop_victims(LintCheck *c, List *targets, Oid schema)
{
	DropWalk	walk = {c, NIL, schema};
	List	   *result = NIL;
	ListCell   *lc;

	lint_analysis(c->lint);
	foreach(lc, targets)
		drop_reach(&walk, *(ObjectAddress *) lfirst(lc), true);
	for (int i = 0; i < list_length(walk.reached); i++)
		drop_follow(&walk, &((DropReached *) list_nth(walk.reached, i))->object);
	foreach(lc, walk.reached)
	{
		DropReached *reached = lfirst(lc);

		if (!reached->owned)
			result = lappend(result, &reached->object);
	}
	return result;
}

/* What it is called; NULL: no such thing any more. */
static char *
drop_name(const ObjectAddress *object)
{
	HeapTuple	tuple;
	char	   *name = NULL;

	if (object->classId == RelationRelationId)
	{
		char		kind = get_rel_relkind(object->objectId);

		if (object->objectSubId > 0)
		{
			char	   *column = get_attname(object->objectId, object->objectSubId, true);

			if (get_attgenerated(object->objectId, object->objectSubId) != '\0')
				return psprintf("generated column %s", column);
			return psprintf(kind == RELKIND_COMPOSITE_TYPE ? "attribute %s of type %s" : "column %s of %s",
							column, get_rel_name(object->objectId));
		}
		if (kind == RELKIND_VIEW || kind == RELKIND_MATVIEW)
			return psprintf("%s %s", kind == RELKIND_VIEW ? "view" : "materialized view",
							get_rel_name(object->objectId));
	}
	if (object->classId == ConstraintRelationId)
	{
		tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(object->objectId));
		if (!HeapTupleIsValid(tuple))
			return NULL;
		if (((Form_pg_constraint) GETSTRUCT(tuple))->contype == CONSTRAINT_FOREIGN)
			name = psprintf("foreign key %s of %s",
							NameStr(((Form_pg_constraint) GETSTRUCT(tuple))->conname),
							get_rel_name(((Form_pg_constraint) GETSTRUCT(tuple))->conrelid));
		ReleaseSysCache(tuple);
	}
	return name != NULL ? name : getObjectDescription(object, true);
}

/* "view a, function b() and 3 more"; NULL: nothing. */
static char *
drop_names(List *victims)
{
	StringInfoData buf;
	int			n = 0;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, victims)
	{
		char	   *name = drop_name(lfirst(lc));

		if (name != NULL && n++ < DROP_NAMED_MAX)
			appendStringInfo(&buf, "%s%s", buf.len > 0 ? ", " : "", name);
	}
	if (n > DROP_NAMED_MAX)
		appendStringInfo(&buf, " and %d more", n - DROP_NAMED_MAX);
	return n == 0 ? NULL : buf.data;
}

/* ---- the targets */

static List *
drop_add(List *targets, Oid class, Oid object, int column)
{
	ObjectAddress *address = palloc(sizeof(ObjectAddress));

	ObjectAddressSubSet(*address, class, object, column);
	return OidIsValid(object) ? lappend(targets, address) : targets;
}

/* What a DROP names, as far as it was there before the script. */
static List *
drop_targets(LintCheck *c, Oid *schema)
{
	DropStmt   *stmt = (DropStmt *) c->node;
	List	   *targets = NIL;
	ListCell   *lc;

	if (c->cmd != NULL)
	{
		LintColumn *column = c->cmd->subtype != AT_DropColumn ? NULL :
			lint_column(c->lint, c->rel, c->cmd->name);
		LintConstraint *con = c->cmd->subtype != AT_DropConstraint ? NULL :
			lint_constraint(c->lint, c->rel, c->cmd->name);

		if (column != NULL && !column->is_new)
			targets = drop_add(targets, RelationRelationId, c->rel->oid, column->attnum);
		if (con != NULL)
			targets = drop_add(targets, ConstraintRelationId, con->oid, 0);
		return targets;
	}
	foreach(lc, stmt->objects)
	{
		LintRelation *rel;
		Oid			type;
		int32		typmod;
		Oid			function;

		switch (stmt->removeType)
		{
			case OBJECT_TABLE:
			case OBJECT_VIEW:
			case OBJECT_MATVIEW:
			case OBJECT_SEQUENCE:
			case OBJECT_FOREIGN_TABLE:
				rel = lint_relation_named(c->lint, lfirst(lc));
				if (rel != NULL)
					targets = drop_add(targets, RelationRelationId, rel->oid, 0);
				break;
			case OBJECT_TYPE:
			case OBJECT_DOMAIN:
				if (lint_type(c->lint, lfirst_node(TypeName, lc), &type, &typmod))
					targets = drop_add(targets, TypeRelationId, type, 0);
				break;
			case OBJECT_FUNCTION:
			case OBJECT_PROCEDURE:
			case OBJECT_ROUTINE:
			case OBJECT_AGGREGATE:
				if (lint_name_is_absent(c->lint, LINT_NAMES_FUNCTION,
										strVal(llast(lfirst_node(ObjectWithArgs, lc)->objname))))
					break;
				lint_analysis(c->lint);
				function = LookupFuncWithArgs(stmt->removeType, lfirst_node(ObjectWithArgs, lc), true);
				if (!OidIsValid(function))
					lint_name_missed(c->lint, LINT_NAMES_FUNCTION);
				targets = drop_add(targets, ProcedureRelationId, function, 0);
				break;
			case OBJECT_SCHEMA:
				*schema = get_namespace_oid(strVal(lfirst(lc)), true);
				targets = drop_add(targets, NamespaceRelationId, *schema, 0);
				break;
			case OBJECT_EXTENSION:
				targets = drop_add(targets, ExtensionRelationId,
								   get_extension_oid(strVal(lfirst(lc)), true), 0);
				break;
			default:
				break;
		}
	}
	return targets;
}

/*
 * What keeps the server from a DROP without CASCADE, as "view a, view b"; NULL:
 * nothing, or not known.
 */
char *
lint_drop_refused_by(LintCheck *c)
{
	Oid			schema = InvalidOid;
	List	   *targets;

	if (c->cmd == NULL && ((DropStmt *) c->node)->removeType == OBJECT_SCHEMA)
		return NULL;			/* the script may have emptied it */
	targets = drop_targets(c, &schema);
	return targets == NIL ? NULL : drop_names(drop_victims(c, targets, schema));
}

/* ---- CASCADE */

/* Whether code can tell that it is gone: a constraint or a default is not missed. */
static bool
drop_is_used(const ObjectAddress *object)
{
	return object->classId == RelationRelationId || object->classId == ProcedureRelationId ||
		object->classId == TypeRelationId;
}

/* A table, or a column with values of its own. */
static bool
drop_is_data(const ObjectAddress *object)
{
	char		kind;

	if (object->classId != RelationRelationId)
		return false;
	kind = get_rel_relkind(object->objectId);
	return (kind == RELKIND_RELATION || kind == RELKIND_PARTITIONED_TABLE) &&
		(object->objectSubId == 0 ||
		 get_attgenerated(object->objectId, object->objectSubId) == '\0');
}

/* Notes what the statement takes with it; judged when the step ends. */
static void
drop_note(LintCheck *c, List *victims)
{
	ListCell   *lc;

	foreach(lc, victims)
	{
		ObjectAddress *object = lfirst(lc);
		char	   *name = drop_is_data(object) ? NULL : drop_name(object);
		LintCascade *cascade;

		if (name == NULL)
			continue;
		cascade = lint_alloc(c->lint, sizeof(LintCascade));
		cascade->name = lint_strdup(c->lint, name);
		cascade->used = drop_is_used(object);
		cascade->statement = c->lint->statement;
		if (object->classId == RelationRelationId && object->objectSubId == 0)
			cascade->rel = lint_relation_by_oid(c->lint, object->objectId);
		c->lint->cascades = lint_append(c->lint, c->lint->cascades, cascade);
	}
}

/* One finding for a statement: what it took with it and the step has not made anew. */
static void
drop_judge(LintCheck *c)
{
	ListCell   *lc;
	ListCell   *next;

	foreach(lc, c->lint->cascades)
	{
		LintCascade *first = lfirst(lc);
		StringInfoData names;
		bool		used = false;
		int			n = 0;

		if (first->told)
			continue;
		initStringInfo(&names);
		for_each_cell(next, c->lint->cascades, lc)
		{
			LintCascade *cascade = lfirst(next);

			if (cascade->statement != first->statement)
				break;
			cascade->told = true;
			if (cascade->rel != NULL &&
				lint_relation_at(c->lint, cascade->rel->schema, cascade->rel->name) != NULL)
				continue;
			used = used || cascade->used;
			if (n++ < DROP_NAMED_MAX)
				appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "", cascade->name);
		}
		if (n > DROP_NAMED_MAX)
			appendStringInfo(&names, " and %d more", n - DROP_NAMED_MAX);
		if (n > 0)
			lint_find_at(c, first->statement, used ? LINT_ERROR : LINT_WARNING, NULL, NoLock, names.data);
	}
	c->lint->cascades = NIL;
}

static void
check_cascade(LintCheck *c)
{
	Oid			schema = InvalidOid;
	DropBehavior behavior;
	List	   *targets;

	if (c->node == NULL)
	{
		drop_judge(c);
		return;
	}
	behavior = c->cmd != NULL ? c->cmd->behavior : castNode(DropStmt, c->node)->behavior;
	if (behavior != DROP_CASCADE || (c->cmd != NULL && !lint_is_old(c->rel)))
		return;
	targets = drop_targets(c, &schema);
	if (targets != NIL)
		drop_note(c, drop_victims(c, targets, schema));
}

const LintRule lint_rules_drop[] = {
	{"drop-cascade", LINT_ALWAYS_ERROR,
		{{T_DropStmt, LINT_ANY}, {T_AlterTableStmt, AT_DropColumn}, {T_AlterTableStmt, AT_DropConstraint},
		{LINT_END_OF_STEP, LINT_ANY}}, check_cascade,
		"go with it by CASCADE",
	"Drop each by its name, without CASCADE, so that nothing goes unseen."},
	{NULL, 0, {{0, 0}}, NULL, NULL, NULL}
};
