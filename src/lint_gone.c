/*
 * lint_gone.c
 *		What a script drops or makes anew that is no relation: functions, types,
 *		triggers, policies, rules and the like.
 *
 * Relations, columns and constraints of the script have a state of their own;
 * here is what the catalogs alone know. A DROP of what is not there is followed
 * by nothing. Looking for it may raise errors: they end the subtransaction of
 * lint_analysis().
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_publication.h"
#include "catalog/pg_publication_rel.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/policy.h"
#include "commands/trigger.h"
#include "rewrite/rewriteSupport.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "lint_internal.h"

typedef struct LintObjectKey
{
	Oid			class;
	Oid			object;
} LintObjectKey;

typedef struct LintObjectEntry
{
	LintObjectKey key;
	bool		gone;			/* else it has another definition */
} LintObjectEntry;

static LintObjectEntry *
gone_entry(Lint *lint, Oid class, Oid object, bool enter)
{
	LintObjectKey key = {class, object};
	LintObjectEntry *entry;
	bool		found;

	if (lint->objects == NULL)
	{
		HASHCTL		ctl;

		if (!enter)
			return NULL;
		ctl.keysize = sizeof(LintObjectKey);
		ctl.entrysize = sizeof(LintObjectEntry);
		ctl.hcxt = lint->context;
		lint->objects = hash_create("tapmig lint objects", 64, &ctl,
									HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	entry = hash_search(lint->objects, &key, enter ? HASH_ENTER : HASH_FIND, &found);
	if (enter && !found)
		entry->gone = false;
	return entry;
}

/* The script drops an object of the catalogs. */
void
lint_object_drop(Lint *lint, Oid class, Oid object)
{
	if (OidIsValid(object))
		gone_entry(lint, class, object, true)->gone = true;
}

bool
lint_object_is_gone(Lint *lint, Oid class, Oid object)
{
	LintObjectEntry *entry = gone_entry(lint, class, object, false);

	return entry != NULL && entry->gone;
}

/* Whether a function's name is one that CREATE OR REPLACE FUNCTION was given. */
static bool
gone_function_is_replaced(Lint *lint, Oid function)
{
	char	   *name;

	if (lint->replaced_functions.slots == NULL)
		return false;
	name = get_func_name(function);
	return name == NULL || lint_names_may_have(&lint->replaced_functions, name);
}

/*
 * Whether the script has dropped an object or given it another definition, so
 * that it need not depend any more on what it did.
 */
bool
lint_object_is_changed(Lint *lint, Oid class, Oid object)
{
	HeapTuple	tuple;
	Oid			publication;

	if (gone_entry(lint, class, object, false) != NULL)
		return true;
	if (class == ProcedureRelationId)
		return gone_function_is_replaced(lint, object);
	if (class != PublicationRelRelationId || lint->objects == NULL)
		return false;
	tuple = SearchSysCache1(PUBLICATIONREL, ObjectIdGetDatum(object));
	if (!HeapTupleIsValid(tuple))
		return true;
	publication = ((Form_pg_publication_rel) GETSTRUCT(tuple))->prpubid;
	ReleaseSysCache(tuple);
	return gone_entry(lint, PublicationRelationId, publication, false) != NULL;
}

/*
 * The trigger, policy or rule of a table of the catalogs, as far as it is there:
 * InvalidOid else.
 */
Oid
lint_part(Lint *lint, ObjectType type, LintRelation *rel, const char *name, Oid *class)
{
	Oid			object = InvalidOid;

	*class = type == OBJECT_TRIGGER ? TriggerRelationId :
		type == OBJECT_POLICY ? PolicyRelationId : RewriteRelationId;
	if (rel == NULL || rel->is_new ||
		(type == OBJECT_TRIGGER && lint_name_is_absent(lint, LINT_NAMES_TRIGGER, name)))
		return InvalidOid;
	lint_analysis(lint);
	switch (type)
	{
		case OBJECT_TRIGGER:
			object = get_trigger_oid(rel->oid, name, true);
			if (!OidIsValid(object))
				lint_name_missed(lint, LINT_NAMES_TRIGGER);
			break;
		case OBJECT_POLICY:
			object = get_relation_policy_oid(rel->oid, name, true);
			break;
		default:
			object = get_rewrite_oid(rel->oid, name, true);
			break;
	}
	return OidIsValid(object) && !lint_object_is_gone(lint, *class, object) ? object : InvalidOid;
}

/* The table that a DROP TRIGGER, POLICY or RULE names; *name: its last name. */
LintRelation *
lint_table_of_part(Lint *lint, List *names, const char **name)
{
	*name = strVal(llast(names));
	return lint_relation_named(lint, list_truncate(list_copy(names), list_length(names) - 1));
}

/* DROP TRIGGER, POLICY or RULE: its table is locked where it is there. */
void
lint_drop_part(Lint *lint, ObjectType type, List *names)
{
	const char *name;
	LintRelation *rel = lint_table_of_part(lint, names, &name);
	Oid			class;
	Oid			object = lint_part(lint, type, rel, name, &class);
	ListCell   *lc;

	lint_use_end(type, rel, name);
	if (type == OBJECT_POLICY && rel != NULL)
	{
		foreach(lc, rel->policies)
		{
			if (strcmp(lfirst(lc), name) == 0)
				rel->policies = foreach_delete_current(rel->policies, lc);
		}
	}
	if (!OidIsValid(object))
		return;
	lint_object_drop(lint, class, object);
	lint_hold(lint, rel, AccessExclusiveLock);
}

/* A trigger, policy or rule gets another definition. */
static void
gone_replace_part(Lint *lint, ObjectType type, LintRelation *rel, const char *name)
{
	Oid			class;
	Oid			object = lint_part(lint, type, rel, name, &class);

	if (OidIsValid(object))
		(void) gone_entry(lint, class, object, true);
}

/* What a statement gives another definition, or drops by ALTER. */
void
lint_follow_replace(Lint *lint, Node *node)
{
	switch (nodeTag(node))
	{
		case T_CreateFunctionStmt:
			if (((CreateFunctionStmt *) node)->replace)
				lint_names_add(lint, &lint->replaced_functions,
							   strVal(llast(((CreateFunctionStmt *) node)->funcname)));
			break;
		case T_CreateTrigStmt:
			if (((CreateTrigStmt *) node)->replace)
				gone_replace_part(lint, OBJECT_TRIGGER,
								  lint_relation(lint, ((CreateTrigStmt *) node)->relation),
								  ((CreateTrigStmt *) node)->trigname);
			break;
		case T_RuleStmt:
			if (((RuleStmt *) node)->replace)
				gone_replace_part(lint, OBJECT_RULE,
								  lint_relation(lint, ((RuleStmt *) node)->relation),
								  ((RuleStmt *) node)->rulename);
			break;
		case T_AlterPolicyStmt:
			gone_replace_part(lint, OBJECT_POLICY,
							  lint_relation(lint, ((AlterPolicyStmt *) node)->table),
							  ((AlterPolicyStmt *) node)->policy_name);
			break;
		case T_AlterPublicationStmt:
			{
				Oid			publication = get_publication_oid(((AlterPublicationStmt *) node)->pubname, true);

				if (OidIsValid(publication))
					(void) gone_entry(lint, PublicationRelationId, publication, true);
				break;
			}
		default:
			break;
	}
}

/* The table that a trigger, policy or default belongs to; NULL: none that is there. */
LintRelation *
lint_table_with(Lint *lint, const ObjectAddress *object)
{
	Relation	pg_depend;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			table = InvalidOid;

	lint_analysis(lint);
	pg_depend = table_open(DependRelationId, AccessShareLock);
	ScanKeyInit(&keys[0], Anum_pg_depend_classid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(object->classId));
	ScanKeyInit(&keys[1], Anum_pg_depend_objid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(object->objectId));
	scan = systable_beginscan(pg_depend, DependDependerIndexId, true, NULL, 2, keys);
	while (!OidIsValid(table) && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);

		if (form->refclassid == RelationRelationId && form->deptype == DEPENDENCY_AUTO)
			table = form->refobjid;
	}
	systable_endscan(scan);
	table_close(pg_depend, AccessShareLock);
	return OidIsValid(table) ? lint_relation_by_oid(lint, table) : NULL;
}

/* What has gone by CASCADE with a statement. */
void
lint_object_cascade(Lint *lint, const ObjectAddress *object)
{
	LintRelation *rel;
	LintColumn *column;

	if (object->classId != RelationRelationId)
	{
		if (object->classId == TriggerRelationId || object->classId == PolicyRelationId ||
			object->classId == AttrDefaultRelationId || object->classId == RewriteRelationId)
			lint_hold(lint, lint_table_with(lint, object), AccessExclusiveLock);
		lint_object_drop(lint, object->classId, object->objectId);
		return;
	}
	rel = lint_relation_by_oid(lint, object->objectId);
	if (rel == NULL || rel->gone)
		return;
	if (object->objectSubId == 0)
	{
		if (rel->relkind == RELKIND_INDEX || rel->relkind == RELKIND_PARTITIONED_INDEX)
			lint_index_drop(lint, rel);
		else
		{
			lint_hold(lint, rel, AccessExclusiveLock);
			lint_index_drop_all(lint, rel);
		}
		if (!rel->gone)
			lint_relation_drop(lint, rel);
		return;
	}
	column = lint_column_numbered(lint, rel, object->objectSubId);
	if (column != NULL && column->name != NULL)
	{
		lint_hold(lint, rel, AccessExclusiveLock);
		lint_column_drop(lint, rel, column);
	}
}
