/*
 * lint_schema.c
 *		The schemas that a script makes, drops or renames, and what is in them.
 *
 * What it does to them lies over what the catalogs have, as for relations.
 */
#include "postgres.h"

#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"

#include "lint_internal.h"

/* What a name means that the script has made, dropped or given to a schema. */
typedef struct LintSchemaEntry
{
	char		name[NAMEDATALEN];
	bool		is_new;			/* made by the script */
	Oid			oid;			/* else the one of the catalogs; InvalidOid: none */
} LintSchemaEntry;

static LintSchemaEntry *
schema_entry(Lint *lint, const char *name, bool enter)
{
	LintSchemaEntry *entry;
	bool		found;

	if (lint->schemas == NULL)
	{
		HASHCTL		ctl;

		if (!enter)
			return NULL;
		ctl.keysize = NAMEDATALEN;
		ctl.entrysize = sizeof(LintSchemaEntry);
		ctl.hcxt = lint->context;
		lint->schemas = hash_create("tapmig lint schemas", 16, &ctl,
									HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	}
	entry = hash_search(lint->schemas, name, enter ? HASH_ENTER : HASH_FIND, &found);
	if (enter && !found)
	{
		entry->is_new = false;
		entry->oid = InvalidOid;
	}
	return entry;
}

/* The schema of the catalogs that has this name now; InvalidOid: none. */
Oid
lint_schema_named(Lint *lint, const char *name)
{
	LintSchemaEntry *entry = schema_entry(lint, name, false);
	Oid			oid;

	if (entry != NULL)
		return entry->oid;
	if (lint_name_is_absent(lint, LINT_NAMES_SCHEMA, name))
		return InvalidOid;
	oid = get_namespace_oid(name, true);
	if (!OidIsValid(oid))
		lint_name_missed(lint, LINT_NAMES_SCHEMA);
	return oid;
}

/* What a schema of the catalogs is called now; NULL: the script has dropped it. */
char *
lint_schema_name(Lint *lint, Oid schema)
{
	char	   *name = isTempNamespace(schema) ? LINT_TEMP : get_namespace_name(schema);
	LintSchemaEntry *entry = name == NULL ? NULL : schema_entry(lint, name, false);
	HASH_SEQ_STATUS status;

	if (entry == NULL || entry->oid == schema)
		return name;
	name = NULL;
	hash_seq_init(&status, lint->schemas);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (entry->oid == schema)
			name = pstrdup(entry->name);
	}
	return name;
}

/* The relations that the script has met in a schema. */
static List *
schema_relations(Lint *lint, const char *schema)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, lint_relations(lint))
	{
		if (strcmp(((LintRelation *) lfirst(lc))->schema, schema) == 0)
			result = lappend(result, lfirst(lc));
	}
	return result;
}

/* The script makes a schema. */
void
lint_schema_make(Lint *lint, const char *name)
{
	LintSchemaEntry *entry = schema_entry(lint, name, true);

	entry->is_new = true;
	entry->oid = InvalidOid;
	lint_path_reset(lint);
}

/* The script drops a schema, and what is in it. */
void
lint_schema_drop(Lint *lint, const char *name)
{
	LintSchemaEntry *entry;
	ListCell   *lc;

	if (!lint_schema_exists(lint, name))
		return;
	foreach(lc, schema_relations(lint, name))
		lint_relation_drop(lint, lfirst(lc));
	entry = schema_entry(lint, name, true);
	entry->is_new = false;
	entry->oid = InvalidOid;
	lint->lost_relations = true;
	lint_path_reset(lint);
}

/* ALTER SCHEMA ... RENAME: its relations go along. */
void
lint_schema_rename(Lint *lint, const char *from, const char *to)
{
	LintSchemaEntry *old;
	LintSchemaEntry *new;
	Oid			oid = lint_schema_named(lint, from);
	ListCell   *lc;

	if (!lint_schema_exists(lint, from))
		return;
	foreach(lc, schema_relations(lint, from))
		lint_relation_move(lint, lfirst(lc), to, NULL);
	new = schema_entry(lint, to, true);
	old = schema_entry(lint, from, true);
	new->is_new = old->is_new;
	new->oid = oid;
	old->is_new = false;
	old->oid = InvalidOid;
	lint_path_reset(lint);
}

bool
lint_schema_is_new(Lint *lint, const char *name)
{
	LintSchemaEntry *entry = schema_entry(lint, name, false);

	return entry != NULL && entry->is_new;
}

/* Whether there is a schema of that name at this statement. */
bool
lint_schema_exists(Lint *lint, const char *name)
{
	return lint_schema_is_new(lint, name) || OidIsValid(lint_schema_named(lint, name));
}

/* ---- what is in one */

/* A relation that stands in a schema's way by itself; NULL: an index goes with its table. */
static char *
schema_relation_text(Lint *lint, LintRelation *rel)
{
	const char *kind;

	switch (rel->relkind)
	{
		case RELKIND_VIEW:
			kind = "view";
			break;
		case RELKIND_MATVIEW:
			kind = "materialized view";
			break;
		case RELKIND_SEQUENCE:
			kind = "sequence";
			break;
		case RELKIND_FOREIGN_TABLE:
			kind = "foreign table";
			break;
		case RELKIND_COMPOSITE_TYPE:
			kind = "type";
			break;
		case RELKIND_RELATION:
		case RELKIND_PARTITIONED_TABLE:
			kind = "table";
			break;
		default:
			return NULL;
	}
	return psprintf("%s %s", kind, lint_relation_label(lint, rel));
}

/*
 * Whether the script has dropped an object of the catalogs, or moved it. An
 * extension stands for what belongs to it.
 */
static bool
schema_object_left(Lint *lint, const ObjectAddress *object)
{
	char	   *name;

	if (lint_object_is_gone(lint, object->classId, object->objectId) ||
		OidIsValid(getExtensionOfObject(object->classId, object->objectId)))
		return true;
	if (object->classId == TypeRelationId)
		return lint_type_is_moved(lint, object->objectId);
	if (object->classId != ProcedureRelationId)
		return false;
	name = get_func_name(object->objectId);
	return name == NULL || lint_names_may_have(&lint->renamed_functions, name);
}

static int
schema_compare_texts(const ListCell *a, const ListCell *b)
{
	return strcmp(lfirst(a), lfirst(b));
}

/*
 * What keeps the server from dropping a schema without CASCADE, in words: relations,
 * functions, types, collations, extensions. Other kinds are not followed.
 */
List *
lint_schema_content(Lint *lint, const char *schema)
{
	Oid			oid = lint_schema_named(lint, schema);
	List	   *found = NIL;
	const char *function;
	ListCell   *lc;

	foreach(lc, OidIsValid(oid) ? lint_dependents(lint, NamespaceRelationId, oid) : NIL)
	{
		ObjectAddress *object = &((LintDependent *) lfirst(lc))->object;
		LintRelation *rel = object->classId != RelationRelationId ? NULL :
			lint_relation_by_oid(lint, object->objectId);
		char	   *text = NULL;

		CHECK_FOR_INTERRUPTS();
		if (object->classId == RelationRelationId)
		{
			if (rel != NULL && !rel->gone && strcmp(rel->schema, schema) == 0 && !schema_object_left(lint, object))
				text = schema_relation_text(lint, rel);
		}
		else if ((object->classId == ProcedureRelationId || object->classId == TypeRelationId ||
				  object->classId == CollationRelationId || object->classId == ExtensionRelationId) &&
				 !schema_object_left(lint, object))
			text = getObjectDescription(object, true);
		if (text != NULL)
			found = lappend(found, text);
	}
	foreach(lc, schema_relations(lint, schema))
	{
		LintRelation *rel = lfirst(lc);
		char	   *text = OidIsValid(rel->oid) && rel->namespace == oid ? NULL : schema_relation_text(lint, rel);

		if (text != NULL && !rel->gone)
			found = lappend(found, text);
	}
	function = lint_function_in(lint, schema);
	if (function != NULL)
		found = lappend(found, psprintf("function %s", function));
	list_sort(found, schema_compare_texts);
	return found;
}
