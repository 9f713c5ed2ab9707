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
#include "catalog/pg_collation.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_language.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_publication.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "commands/proclang.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_func.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
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
	HTAB	   *known;			/* the same by their addresses */
} DropWalk;

/* ---- the dependents */

/* The rows of pg_depend that say what an object depends on, or what depends on it. */
static SysScanDesc
drop_scan(Relation pg_depend, const ObjectAddress *object, bool dependents)
{
	ScanKeyData keys[3];

	ScanKeyInit(&keys[0], dependents ? Anum_pg_depend_refclassid : Anum_pg_depend_classid,
				BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(object->classId));
	ScanKeyInit(&keys[1], dependents ? Anum_pg_depend_refobjid : Anum_pg_depend_objid,
				BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(object->objectId));
	ScanKeyInit(&keys[2], dependents ? Anum_pg_depend_refobjsubid : Anum_pg_depend_objsubid,
				BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(object->objectSubId));
	return systable_beginscan(pg_depend, dependents ? DependReferenceIndexId : DependDependerIndexId,
							  true, NULL, object->objectSubId == 0 ? 2 : 3, keys);
}

/* What may have happened to a column. */
typedef enum DropChange
{
	DROP_COLUMN,
	DROP_TYPE,					/* it has another one, or is dropped */
	DROP_DEFAULT				/* likewise */
} DropChange;

/*
 * Whether the script has done that to a column, by its own table or by one that
 * this inherits from: ALTER TABLE goes down.
 */
static bool
drop_is_changed(LintCheck *c, Oid relation, AttrNumber number, DropChange change)
{
	LintRelation *rel = lint_relation_by_oid(c->lint, relation);
	LintColumn *column;
	char	   *name = get_attname(relation, number, true);
	ObjectAddress object;
	Relation	pg_depend;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found = false;

	check_stack_depth();
	if (rel == NULL || name == NULL)
		return true;
	column = lint_column_numbered(c->lint, rel, number);
	if (column == NULL || column->name == NULL ||
		(change != DROP_COLUMN && column->type != get_atttype(relation, number)) ||
		(change == DROP_DEFAULT && column->new_default))
		return true;

	ObjectAddressSet(object, RelationRelationId, relation);
	pg_depend = table_open(DependRelationId, AccessShareLock);
	scan = drop_scan(pg_depend, &object, false);
	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);
		AttrNumber	above;

		if (form->objsubid != 0 || form->refclassid != RelationRelationId || form->refobjsubid != 0)
			continue;
		above = get_attnum(form->refobjid, name);
		found = above > 0 && drop_is_changed(c, form->refobjid, above, change);
	}
	systable_endscan(scan);
	table_close(pg_depend, AccessShareLock);
	return found;
}

/* Whether the table or column that it belongs to has been dropped. */
static bool
drop_owner_is_gone(LintCheck *c, const ObjectAddress *object)
{
	Relation	pg_depend;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		gone = false;

	/* Mostly nothing was. */
	if (!c->lint->lost_relations && !c->lint->lost_columns)
		return false;
	pg_depend = table_open(DependRelationId, AccessShareLock);
	scan = drop_scan(pg_depend, object, false);
	while (!gone && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);

		if (form->refclassid == RelationRelationId && form->objsubid == 0 &&
			form->deptype != DEPENDENCY_NORMAL)
			gone = lint_is_gone(c->lint, form->refobjid) ||
				(form->refobjsubid > 0 &&
				 drop_is_changed(c, form->refobjid, form->refobjsubid, DROP_COLUMN));
	}
	systable_endscan(scan);
	table_close(pg_depend, AccessShareLock);
	return gone;
}

/* Whether a constraint is one that the script has dropped. */
static bool
drop_constraint_is_gone(LintCheck *c, Oid constraint)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	LintRelation *rel;
	Oid			table;
	ListCell   *lc;

	if (!HeapTupleIsValid(tuple))
		return true;
	table = ((Form_pg_constraint) GETSTRUCT(tuple))->conrelid;
	ReleaseSysCache(tuple);
	if (!OidIsValid(table))
		return false;			/* a domain's */
	rel = lint_relation_by_oid(c->lint, table);
	if (rel == NULL || rel->gone)
		return true;
	foreach(lc, lint_constraints(c->lint, rel))
	{
		if (((LintConstraint *) lfirst(lc))->oid == constraint)
			return ((LintConstraint *) lfirst(lc))->gone;
	}
	return false;
}

/* The schema that an object is in by itself; InvalidOid: none. */
static Oid
drop_schema_of(const ObjectAddress *object)
{
	HeapTuple	tuple;
	Oid			schema;

	if (object->classId == ProcedureRelationId)
		return get_func_namespace(object->objectId);
	if (object->classId != TypeRelationId)
		return InvalidOid;
	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(object->objectId));
	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	schema = ((Form_pg_type) GETSTRUCT(tuple))->typnamespace;
	ReleaseSysCache(tuple);
	return schema;
}

/* Whether it went with its schema; lint_is_gone() knows that of relations. */
static bool
drop_schema_is_gone(LintCheck *c, const ObjectAddress *object)
{
	Oid			schema = c->lint->schemas == NULL ? InvalidOid : drop_schema_of(object);

	return OidIsValid(schema) && lint_schema_name(c->lint, schema) == NULL;
}

/* Whether the script has dropped an object before, as far as it is followed. */
static bool
drop_is_gone(LintCheck *c, const ObjectAddress *object)
{
	ObjectAddress column;

	if (lint_object_is_gone(c->lint, object->classId, object->objectId) ||
		drop_schema_is_gone(c, object))
		return true;
	switch (object->classId)
	{
		case RelationRelationId:
			if (lint_is_gone(c->lint, object->objectId))
				return true;
			if (object->objectSubId > 0)
				return drop_is_changed(c, object->objectId, object->objectSubId, DROP_COLUMN);
			break;
		case ConstraintRelationId:
			return drop_constraint_is_gone(c, object->objectId);
		case AttrDefaultRelationId:
			column = GetAttrDefaultColumnAddress(object->objectId);
			return lint_is_gone(c->lint, column.objectId) ||
				drop_is_changed(c, column.objectId, column.objectSubId, DROP_DEFAULT);
		default:
			break;
	}
	return drop_owner_is_gone(c, object);
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

static DropReached *
drop_find(DropWalk *walk, const ObjectAddress *object, bool enter, bool *found)
{
	return hash_search(walk->known, object, enter ? HASH_ENTER : HASH_FIND, found);
}

static void
drop_reach(DropWalk *walk, ObjectAddress object, bool owned)
{
	DropReached *reached;
	ObjectAddress whole = object;
	bool		found;

	whole.objectSubId = 0;
	reached = drop_find(walk, &whole, false, &found);
	if (reached == NULL && object.objectSubId != 0)
		reached = drop_find(walk, &object, false, &found);
	if (reached == NULL)
	{
		if (drop_is_gone(walk->c, &object))
			return;
		reached = drop_find(walk, &object, true, &found);
		reached->owned = false;
		walk->reached = lappend(walk->reached, reached);
	}
	reached->owned = reached->owned || owned;
}

/*
 * Whether a column has another type or no expression by now, or a view, function, trigger or
 * policy another definition. A function's signature is the one it had.
 */
static bool
drop_no_longer_depends(DropWalk *walk, const ObjectAddress *on, const ObjectAddress *dependent,
					   Oid class)
{
	LintRelation *rel;
	LintColumn *column;

	if (dependent->classId != RelationRelationId)
		return (dependent->classId != ProcedureRelationId || on->classId != TypeRelationId) &&
			lint_object_is_changed(walk->c->lint, dependent->classId, dependent->objectId);
	if (on->classId == TypeRelationId && dependent->objectSubId > 0)
		return drop_is_changed(walk->c, dependent->objectId, dependent->objectSubId, DROP_TYPE);
	rel = class != RewriteRelationId && class != AttrDefaultRelationId ? NULL :
		lint_relation_by_oid(walk->c->lint, dependent->objectId);
	if (rel == NULL || class == RewriteRelationId)
		return rel != NULL && rel->replaced;
	column = lint_column_numbered(walk->c->lint, rel, dependent->objectSubId);
	return column != NULL && column->generated == '\0';	/* DROP EXPRESSION */
}

/* Adds what depends on an object that was reached. */
static void
drop_follow(DropWalk *walk, const ObjectAddress *object)
{
	Relation	pg_depend = table_open(DependRelationId, AccessShareLock);
	SysScanDesc scan = drop_scan(pg_depend, object, true);
	HeapTuple	tuple;

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
		if (drop_no_longer_depends(walk, object, &dependent, form->classid))
			continue;
		drop_reach(walk, dependent, form->deptype != DEPENDENCY_NORMAL ||
				   object->classId == NamespaceRelationId);
	}
	systable_endscan(scan);
	table_close(pg_depend, AccessShareLock);
}

/* A relation that belongs to what is dropped, but for indexes. */
static bool
drop_is_content(const DropReached *reached)
{
	char		kind = reached->object.classId != RelationRelationId || reached->object.objectSubId != 0 ? '\0' :
		get_rel_relkind(reached->object.objectId);

	return reached->owned && kind != '\0' && kind != RELKIND_INDEX &&
		kind != RELKIND_PARTITIONED_INDEX && kind != RELKIND_TOASTVALUE;
}

/*
 * The objects that only CASCADE drops with the targets: a list of DropReached,
 * in the current context. all: and the relations that belong to them.
 */
static List *
drop_victims(LintCheck *c, List *targets, bool all)
{
	DropWalk	walk = {c, NIL, NULL};
	HASHCTL		control;
	List	   *result = NIL;
	ListCell   *lc;

	lint_analysis(c->lint);
	control.keysize = sizeof(ObjectAddress);
	control.entrysize = sizeof(DropReached);
	control.hcxt = CurrentMemoryContext;
	walk.known = hash_create("tapmig lint: reached by a DROP", 32, &control,
							 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	foreach(lc, targets)
		drop_reach(&walk, *(ObjectAddress *) lfirst(lc), true);
	for (int i = 0; i < list_length(walk.reached); i++)
		drop_follow(&walk, &((DropReached *) list_nth(walk.reached, i))->object);
	foreach(lc, walk.reached)
	{
		DropReached *reached = lfirst(lc);
		ObjectAddress whole = reached->object;
		bool		found = false;

		/* A column goes with its table, which may have been reached later. */
		whole.objectSubId = 0;
		if (reached->object.objectSubId != 0)
			(void) drop_find(&walk, &whole, false, &found);
		if (!found && (!reached->owned || (all && drop_is_content(reached))))
			result = lappend(result, reached);
	}
	return result;
}

/* What a relation of the catalogs is called at this statement. */
char *
lint_label_of(Lint *lint, Oid relation)
{
	LintRelation *rel = lint_relation_by_oid(lint, relation);
	char	   *name = get_rel_name(relation);

	if (rel != NULL)
		return lint_relation_label(lint, rel);
	return name == NULL ? pstrdup("?") : unconstify(char *, quote_identifier(name));
}

/* What it is called; NULL: no such thing any more. */
static char *
drop_name(LintCheck *c, const ObjectAddress *object)
{
	HeapTuple	tuple;
	char	   *name = NULL;

	if (object->classId == RelationRelationId)
	{
		char		kind = get_rel_relkind(object->objectId);

		if (object->objectSubId > 0)
		{
			const char *column = get_attname(object->objectId, object->objectSubId, true);

			if (column == NULL)
				return NULL;
			column = quote_identifier(column);
			if (get_attgenerated(object->objectId, object->objectSubId) != '\0')
				return psprintf("generated column %s", column);
			return psprintf(kind == RELKIND_COMPOSITE_TYPE ? "attribute %s of type %s" : "column %s of %s",
							column, lint_label_of(c->lint, object->objectId));
		}
		if (kind == RELKIND_VIEW || kind == RELKIND_MATVIEW)
			return psprintf("%s %s", kind == RELKIND_VIEW ? "view" : "materialized view",
							lint_label_of(c->lint, object->objectId));
	}
	if (object->classId == ConstraintRelationId)
	{
		tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(object->objectId));
		if (!HeapTupleIsValid(tuple))
			return NULL;
		if (((Form_pg_constraint) GETSTRUCT(tuple))->contype == CONSTRAINT_FOREIGN)
			name = psprintf("foreign key %s of %s",
							quote_identifier(NameStr(((Form_pg_constraint) GETSTRUCT(tuple))->conname)),
							lint_label_of(c->lint, ((Form_pg_constraint) GETSTRUCT(tuple))->conrelid));
		ReleaseSysCache(tuple);
	}
	return name != NULL ? name : getObjectDescription(object, true);
}

/* A foreign key of the script. */
static char *
drop_key_name(LintCheck *c, const LintForeignKey *key)
{
	const char *table = lint_relation_label(c->lint, key->rel);

	return key->constraint->name == NULL ? psprintf("a foreign key of %s", table) :
		psprintf("foreign key %s of %s", quote_identifier(key->constraint->name), table);
}

/* "view a, function b() and 3 more"; NULL: nothing. Some of the names may be NULL. */
static char *
drop_join(List *names)
{
	StringInfoData buf;
	int			n = 0;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, names)
	{
		if (lfirst(lc) != NULL && n++ < DROP_NAMED_MAX)
			appendStringInfo(&buf, "%s%s", buf.len > 0 ? ", " : "", (char *) lfirst(lc));
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

/* The columns that go with a parent's: those that the children have from it alone. */
static List *
drop_add_inherited(LintCheck *c, List *targets)
{
	ListCell   *lc;

	foreach(lc, lint_children(c->lint, c->rel))
	{
		if (lint_column_is_inherited(lfirst_oid(lc), c->cmd->name))
			targets = drop_add(targets, RelationRelationId, lfirst_oid(lc),
							   get_attnum(lfirst_oid(lc), c->cmd->name));
	}
	return targets;
}

/* What a DROP names, as far as it was there before the script. */
static List *
drop_targets(LintCheck *c)
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
		{
			targets = drop_add(targets, RelationRelationId, c->rel->oid, column->attnum);
			if (c->lint->inherit)
				targets = drop_add_inherited(c, targets);
		}
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
			case OBJECT_INDEX:
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
										strVal(llast(lfirst_node(ObjectWithArgs, lc)->objname))) ||
					lint_names_may_have(&c->lint->renamed_functions,
										strVal(llast(lfirst_node(ObjectWithArgs, lc)->objname))))
					break;
				lint_analysis(c->lint);
				function = LookupFuncWithArgs(stmt->removeType, lfirst_node(ObjectWithArgs, lc), true);
				if (!OidIsValid(function))
					lint_name_missed(c->lint, LINT_NAMES_FUNCTION);
				targets = drop_add(targets, ProcedureRelationId, function, 0);
				break;
			case OBJECT_SCHEMA:
				targets = drop_add(targets, NamespaceRelationId,
								   lint_schema_named(c->lint, strVal(lfirst(lc))), 0);
				break;
			case OBJECT_COLLATION:
				lint_analysis(c->lint);
				targets = drop_add(targets, CollationRelationId,
								   get_collation_oid(lfirst_node(List, lc), true), 0);
				break;
			case OBJECT_FOREIGN_SERVER:
				targets = drop_add(targets, ForeignServerRelationId,
								   get_foreign_server_oid(strVal(lfirst(lc)), true), 0);
				break;
			case OBJECT_FDW:
				targets = drop_add(targets, ForeignDataWrapperRelationId,
								   get_foreign_data_wrapper_oid(strVal(lfirst(lc)), true), 0);
				break;
			case OBJECT_LANGUAGE:
				targets = drop_add(targets, LanguageRelationId,
								   get_language_oid(strVal(lfirst(lc)), true), 0);
				break;
			case OBJECT_PUBLICATION:
				targets = drop_add(targets, PublicationRelationId,
								   get_publication_oid(strVal(lfirst(lc)), true), 0);
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

/* The foreign keys that the script has given other tables, to one that DROP TABLE names. */
static List *
drop_keys(LintCheck *c)
{
	List	   *tables = NIL;
	List	   *result = NIL;
	ListCell   *lc;

	if (c->cmd != NULL || ((DropStmt *) c->node)->removeType != OBJECT_TABLE || c->lint->foreign_keys == NIL)
		return NIL;
	foreach(lc, ((DropStmt *) c->node)->objects)
		tables = lappend(tables, lint_relation_named(c->lint, lfirst(lc)));
	foreach(lc, c->lint->foreign_keys)
	{
		LintForeignKey *key = lfirst(lc);

		if (key->other != NULL && list_member_ptr(tables, key->other) && !key->constraint->gone &&
			!key->rel->gone && !list_member_ptr(tables, key->rel))
			result = lappend(result, key);
	}
	return result;
}

/* Notes what a DROP takes away that is no relation; errors as in the analysis. */
void
lint_note_drop(Lint *lint, DropStmt *stmt)
{
	LintCheck	c = {0};
	ListCell   *lc;

	c.lint = lint;
	c.node = (Node *) stmt;
	foreach(lc, drop_targets(&c))
	{
		ObjectAddress *object = lfirst(lc);
		LintRelation *rel = object->classId != TypeRelationId ? NULL :
			lint_relation_by_oid(lint, get_typ_typrelid(object->objectId));

		/* A composite type is a relation. */
		if (rel != NULL)
			lint_relation_drop(lint, rel);
		lint_object_drop(lint, object->classId, object->objectId);
	}
}

/*
 * What keeps the server from a DROP without CASCADE, as "view a, view b"; NULL:
 * nothing, or not known.
 */
char *
lint_drop_refused_by(LintCheck *c)
{
	List	   *names = NIL;
	List	   *targets;
	ListCell   *lc;

	if (c->cmd == NULL && ((DropStmt *) c->node)->removeType == OBJECT_SCHEMA)
	{
		foreach(lc, ((DropStmt *) c->node)->objects)
			names = list_concat(names, lint_schema_content(c->lint, strVal(lfirst(lc))));
		return drop_join(names);
	}
	targets = drop_targets(c);
	foreach(lc, targets == NIL ? NIL : drop_victims(c, targets, false))
		names = lappend(names, drop_name(c, &((DropReached *) lfirst(lc))->object));
	foreach(lc, drop_keys(c))
		names = lappend(names, drop_key_name(c, lfirst(lc)));
	foreach(lc, lint_uses_of_dropped(c, NIL, false))
		names = lappend(names, lint_use_name(c->lint, lfirst(lc)));
	return drop_join(names);
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

/* A constraint of a table that the script may make anew. */
static void
drop_note_constraint(LintCheck *c, LintCascade *cascade, Oid constraint)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	Oid			table;
	ListCell   *lc;

	if (!HeapTupleIsValid(tuple))
		return;
	table = ((Form_pg_constraint) GETSTRUCT(tuple))->conrelid;
	ReleaseSysCache(tuple);
	cascade->key_of = OidIsValid(table) ? lint_relation_by_oid(c->lint, table) : NULL;
	foreach(lc, cascade->key_of == NULL ? NIL : lint_constraints(c->lint, cascade->key_of))
	{
		if (((LintConstraint *) lfirst(lc))->oid == constraint)
			cascade->key = lfirst(lc);
	}
}

/* Whether it is there again: a relation or a constraint of that name. */
static bool
drop_is_made_anew(LintCheck *c, LintCascade *cascade)
{
	if (cascade->rel != NULL)
		return lint_relation_at(c->lint, cascade->rel->schema, cascade->rel->name) != NULL;
	return cascade->key != NULL && cascade->key->name != NULL &&
		lint_constraint(c->lint, cascade->key_of, cascade->key->name) != NULL;
}

/* name NULL: not to be told */
static LintCascade *
drop_add_cascade(LintCheck *c, const char *name)
{
	LintCascade *cascade = lint_alloc(c->lint, sizeof(LintCascade));

	cascade->name = name == NULL ? NULL : lint_strdup(c->lint, name);
	cascade->statement = c->lint->statement;
	c->lint->cascades = lint_append(c->lint, c->lint->cascades, cascade);
	return cascade;
}

/* Notes what the statement takes with it; judged when the step ends. */
static void
drop_note(LintCheck *c, List *victims)
{
	ListCell   *lc;

	foreach(lc, victims)
	{
		DropReached *reached = lfirst(lc);
		ObjectAddress *object = &reached->object;
		LintCascade *cascade = drop_add_cascade(c, reached->owned || drop_is_data(object) ? NULL :
												drop_name(c, object));

		cascade->object = *object;
		cascade->used = drop_is_used(object);
		if (object->classId == RelationRelationId && object->objectSubId == 0)
			cascade->rel = lint_relation_by_oid(c->lint, object->objectId);
		else if (object->classId == ConstraintRelationId)
			drop_note_constraint(c, cascade, object->objectId);
	}
}

/* The same of what the script has made itself: no code uses it yet. */
static void
drop_note_uses(LintCheck *c, List *victims)
{
	List	   *relations = NIL;
	ListCell   *lc;

	foreach(lc, victims)
	{
		const ObjectAddress *object = &((DropReached *) lfirst(lc))->object;
		LintRelation *rel = object->classId != RelationRelationId || object->objectSubId != 0 ? NULL :
			lint_relation_by_oid(c->lint, object->objectId);

		if (rel != NULL)
			relations = lappend(relations, rel);
	}
	foreach(lc, drop_keys(c))
	{
		LintForeignKey *key = lfirst(lc);
		LintCascade *cascade = drop_add_cascade(c, drop_key_name(c, key));

		cascade->key_of = key->rel;
		cascade->key = key->constraint;
	}
	foreach(lc, lint_uses_of_dropped(c, relations, true))
	{
		LintUse    *use = lfirst(lc);
		LintCascade *cascade = drop_add_cascade(c, lint_use_name(c->lint, use));

		cascade->use = use;
		cascade->rel = lint_use_relation(use);
		cascade->used = lint_is_old(cascade->rel);
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
			if (cascade->name == NULL || drop_is_made_anew(c, cascade))
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
	DropBehavior behavior;
	List	   *targets;
	List	   *victims = NIL;

	if (c->node == NULL)
	{
		drop_judge(c);
		return;
	}
	behavior = c->cmd != NULL ? c->cmd->behavior : castNode(DropStmt, c->node)->behavior;
	if (behavior != DROP_CASCADE || (c->cmd != NULL && !lint_is_old(c->rel)))
		return;
	targets = drop_targets(c);
	if (targets != NIL)
	{
		victims = drop_victims(c, targets, c->cmd == NULL &&
							   castNode(DropStmt, c->node)->removeType == OBJECT_SCHEMA);
		drop_note(c, victims);
	}
	drop_note_uses(c, victims);
}

const LintRule lint_rules_drop[] = {
	{"drop-cascade", LINT_ALWAYS_ERROR,
		{{T_DropStmt, LINT_ANY}, {T_AlterTableStmt, AT_DropColumn}, {T_AlterTableStmt, AT_DropConstraint},
		{LINT_END_OF_STEP, LINT_ANY}}, check_cascade,
		"dropped along by CASCADE",
	"Drop each by its name, without CASCADE, so that nothing goes unseen."},
	{NULL, 0, {{0, 0}}, NULL, NULL, NULL}
};
