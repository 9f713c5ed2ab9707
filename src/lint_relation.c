/*
 * lint_relation.c
 *		Names to relations, as a script finds them at one of its statements.
 *
 * What the script has made, dropped or renamed so far lies over what the
 * catalogs have. A name is looked up along the search_path that the script
 * has set, in the schemas that it has made too, with the caller's rights. The
 * catalogs are read through the syscache: no relation is opened or locked
 * here, and what is not there is unknown, no error.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "lint_internal.h"

/* The schema that stands for the session's own, whatever its number. */
#define LINT_TEMP "pg_temp"

typedef struct LintRelationKey
{
	char		schema[NAMEDATALEN];
	char		name[NAMEDATALEN];
} LintRelationKey;

/* rel is NULL where the script has made the name free. */
typedef struct LintRelationEntry
{
	LintRelationKey key;
	LintRelation *rel;
} LintRelationEntry;

static uint32
relation_hash(const void *key, Size size)
{
	const LintRelationKey *k = key;

	return hash_bytes((const unsigned char *) k->name, strlen(k->name));
}

static int
relation_match(const void *a, const void *b, Size size)
{
	const LintRelationKey *x = a;
	const LintRelationKey *y = b;

	return strcmp(x->name, y->name) != 0 || strcmp(x->schema, y->schema) != 0;
}

static LintRelationEntry *
relation_entry(Lint *lint, const char *schema, const char *name, bool enter)
{
	LintRelationKey key;
	bool		found;
	LintRelationEntry *entry;

	strlcpy(key.schema, schema, NAMEDATALEN);
	strlcpy(key.name, name, NAMEDATALEN);
	if (lint->relations == NULL)
	{
		HASHCTL		ctl;

		ctl.keysize = sizeof(LintRelationKey);
		ctl.entrysize = sizeof(LintRelationEntry);
		ctl.hcxt = lint->context;
		ctl.hash = relation_hash;
		ctl.match = relation_match;
		lint->relations = hash_create("tapmig lint", 64, &ctl,
									  HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
	}
	entry = hash_search(lint->relations, &key, enter ? HASH_ENTER : HASH_FIND, &found);
	if (enter && !found)
		entry->rel = NULL;
	return entry;
}

static bool
relation_in(List *names, const char *name)
{
	ListCell   *lc;

	foreach(lc, names)
	{
		if (strcmp(lfirst(lc), name) == 0)
			return true;
	}
	return false;
}

/* ---- the search_path */

/* To be called when search_path or the schemas have changed. */
void
lint_path_reset(Lint *lint)
{
	lint->path = NIL;
	lint->last_schema = NULL;
	lint->last_found = NULL;
	lint->last_call = NIL;
	lint->names++;
	lint->stale = true;
}

/* The schema in the catalogs, if the caller may use it; else InvalidOid. */
static Oid
relation_schema_oid(Lint *lint, const char *name)
{
	Oid			oid;

	if (strcmp(name, LINT_TEMP) == 0)
		return LookupNamespaceNoError(LINT_TEMP);
	if (relation_in(lint->gone_schemas, name) || lint_name_is_absent(lint, LINT_NAMES_SCHEMA, name))
		return InvalidOid;
	oid = get_namespace_oid(name, true);
	return OidIsValid(oid) && COMPAT_SCHEMA_IS_USABLE(oid, lint->role) ? oid : InvalidOid;
}

/* The names of the schemas that are searched, in order. */
List *
lint_path(Lint *lint)
{
	MemoryContext old;
	char	   *setting;
	List	   *names;
	List	   *path = NIL;
	bool		temp = false;
	bool		catalog = false;
	ListCell   *lc;

	if (lint->path != NIL)
		return lint->path;

	old = MemoryContextSwitchTo(lint->context);
	lint->path_create = NULL;
	setting = pstrdup(lint->path_setting);
	if (!SplitIdentifierString(setting, ',', &names))
		names = NIL;
	foreach(lc, names)
	{
		char	   *name = lfirst(lc);

		if (strcmp(name, "$user") == 0)
			name = GetUserNameFromId(lint->role, true);
		if (name == NULL)
			continue;
		if (strcmp(name, LINT_TEMP) == 0)
			temp = true;
		else if (!relation_in(lint->new_schemas, name) &&
				 !OidIsValid(relation_schema_oid(lint, name)))
			continue;
		if (strcmp(name, "pg_catalog") == 0)
			catalog = true;
		path = lappend(path, name);
		if (lint->path_create == NULL)
			lint->path_create = name;
	}
	if (!catalog)
		path = lcons("pg_catalog", path);
	if (!temp && (lint->has_temp || OidIsValid(LookupNamespaceNoError(LINT_TEMP))))
		path = lcons(LINT_TEMP, path);
	lint->path = path;
	MemoryContextSwitchTo(old);
	return path;
}

/* The same as a value of search_path, in the current context. */
char *
lint_path_text(Lint *lint)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, lint_path(lint))
		appendStringInfo(&buf, "%s%s", buf.len > 0 ? ", " : "", quote_identifier(lfirst(lc)));
	return buf.data;
}

/* Where an unqualified new object goes; NULL: nowhere. */
static const char *
relation_create_schema(Lint *lint)
{
	if (lint->create_schema != NULL)
		return lint->create_schema;
	(void) lint_path(lint);
	return lint->path_create;
}

/*
 * Splits a possibly qualified name of a new object; *schema is NULL where it
 * would be made nowhere.
 */
void
lint_schema_of(Lint *lint, List *names, const char **schema, const char **name)
{
	*name = strVal(llast(names));
	*schema = list_length(names) > 1 ? strVal(list_nth(names, list_length(names) - 2)) :
		relation_create_schema(lint);
}

/* ---- relations */

/* A row of pg_class, met for the first time. */
static LintRelation *
relation_from_catalog(Lint *lint, HeapTuple tuple, const char *schema)
{
	Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);
	LintRelation *rel = lint_alloc(lint, sizeof(LintRelation));

	rel->schema = lint_strdup(lint, schema);
	rel->name = lint_strdup(lint, NameStr(form->relname));
	rel->oid = form->oid;
	rel->relkind = form->relkind;
	rel->persistence = form->relpersistence;
	rel->attnum = MaxHeapAttributeNumber;
	rel->made_step = -1;
	relation_entry(lint, schema, rel->name, true)->rel = rel;
	return rel;
}

/* The relation of that name in that schema, or NULL. */
LintRelation *
lint_relation_at(Lint *lint, const char *schema, const char *name)
{
	LintRelationEntry *entry = relation_entry(lint, schema, name, false);
	Oid			namespace;
	HeapTuple	tuple;
	LintRelation *rel;

	if (entry != NULL && (entry->rel == NULL || entry->rel->is_new))
		return entry->rel;
	if (relation_in(lint->new_schemas, schema))
		return entry == NULL ? NULL : entry->rel;
	if (lint->last_schema == NULL || strcmp(lint->last_schema, schema) != 0)
	{
		lint->last_schema_oid = relation_schema_oid(lint, schema);
		lint->last_schema = lint_strdup(lint, schema);
	}
	namespace = lint->last_schema_oid;

	/* What lint has met on another way has this name for those who may use it. */
	if (entry != NULL)
		return OidIsValid(namespace) ? entry->rel : NULL;
	if (!OidIsValid(namespace) || lint_name_is_absent(lint, LINT_NAMES_RELATION, name))
		return NULL;
	tuple = SearchSysCache2(RELNAMENSP, CStringGetDatum(name), ObjectIdGetDatum(namespace));
	if (!HeapTupleIsValid(tuple))
		return NULL;

	/* The session's own schema goes by one name here. */
	rel = isTempNamespace(namespace) && strcmp(schema, LINT_TEMP) != 0 ? NULL :
		relation_from_catalog(lint, tuple, schema);
	ReleaseSysCache(tuple);
	return rel;
}

/* The relation that the catalogs have under that oid, or NULL. */
LintRelation *
lint_relation_by_oid(Lint *lint, Oid oid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(oid));
	Form_pg_class form;
	char	   *schema;
	LintRelationEntry *entry;
	LintRelation *rel = NULL;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	form = (Form_pg_class) GETSTRUCT(tuple);
	schema = isTempNamespace(form->relnamespace) ? pstrdup(LINT_TEMP) :
		get_namespace_name(form->relnamespace);
	entry = schema == NULL ? NULL : relation_entry(lint, schema, NameStr(form->relname), false);
	if (entry != NULL && (entry->rel == NULL || entry->rel->oid != oid))
	{
		/* The script has moved or dropped it: rare enough to search for. */
		HASH_SEQ_STATUS status;

		hash_seq_init(&status, lint->relations);
		while ((entry = hash_seq_search(&status)) != NULL)
		{
			if (entry->rel != NULL && entry->rel->oid == oid)
				rel = entry->rel;
		}
	}
	else if (entry != NULL)
		rel = entry->rel;
	else if (schema != NULL)
		rel = relation_from_catalog(lint, tuple, schema);
	ReleaseSysCache(tuple);
	return rel;
}

static LintRelation *
relation_find(Lint *lint, const char *schema, const char *name)
{
	ListCell   *lc;

	if (schema != NULL)
		return lint_relation_at(lint, schema, name);
	if (lint->create_schema != NULL)
	{
		LintRelation *rel = lint_relation_at(lint, lint->create_schema, name);

		if (rel != NULL)
			return rel;
	}
	foreach(lc, lint_path(lint))
	{
		LintRelation *rel;

		/* Its relations all begin so; a miss in the syscache is dear. */
		if (strcmp(lfirst(lc), "pg_catalog") == 0 && strncmp(name, "pg_", 3) != 0)
			continue;
		rel = lint_relation_at(lint, lfirst(lc), name);
		if (rel != NULL)
			return rel;
	}
	return NULL;
}

/* The relation that a statement means, or NULL: unknown. */
LintRelation *
lint_relation(Lint *lint, const RangeVar *name)
{
	LintRelation *rel;

	if (name == NULL || name->relname == NULL)
		return NULL;

	/* Mostly the same as just now: the rules ask, then the state. */
	rel = lint->last_found;
	if (rel != NULL && strcmp(rel->name, name->relname) == 0 &&
		(name->schemaname == NULL ? lint->last_unqualified : strcmp(rel->schema, name->schemaname) == 0))
		return rel;
	rel = relation_find(lint, name->schemaname, name->relname);
	lint->last_found = rel;
	lint->last_unqualified = name->schemaname == NULL;
	return rel;
}

/* The same for a list of String nodes. */
LintRelation *
lint_relation_named(Lint *lint, List *names)
{
	int			n = list_length(names);

	if (n == 0)
		return NULL;
	return relation_find(lint, n > 1 ? strVal(list_nth(names, n - 2)) : NULL,
						 strVal(llast(names)));
}

/* Notes that the script makes a relation; what had the name before is replaced. */
LintRelation *
lint_relation_make(Lint *lint, const RangeVar *name, char relkind)
{
	const char *schema = name->schemaname;
	bool		temp = name->relpersistence == RELPERSISTENCE_TEMP;
	LintRelation *rel;

	if (schema == NULL)
		schema = temp ? LINT_TEMP : relation_create_schema(lint);
	if (schema == NULL)
		return NULL;
	if (strcmp(schema, LINT_TEMP) == 0 && !lint->has_temp)
	{
		lint->has_temp = true;
		lint_path_reset(lint);
	}
	lint->last_found = NULL;
	lint->names++;
	rel = lint_alloc(lint, sizeof(LintRelation));
	rel->schema = lint_strdup(lint, schema);
	rel->name = lint_strdup(lint, name->relname);
	rel->relkind = relkind;
	rel->persistence = strcmp(schema, LINT_TEMP) == 0 ? RELPERSISTENCE_TEMP : name->relpersistence;
	rel->is_new = true;
	rel->have_constraints = rel->have_indexes = rel->have_size = true;
	rel->alone.empty = rel->with_children.empty = true;
	rel->made_step = lint->step;
	relation_entry(lint, schema, name->relname, true)->rel = rel;
	return rel;
}

void
lint_relation_drop(Lint *lint, LintRelation *rel)
{
	LintRelationEntry *entry = relation_entry(lint, rel->schema, rel->name, true);

	lint->last_found = NULL;
	lint->names++;
	if (entry->rel == rel || entry->rel == NULL)
		entry->rel = NULL;
	rel->gone = true;
	if (OidIsValid(rel->oid))
	{
		MemoryContext old = MemoryContextSwitchTo(lint->context);

		lint->gone_oids = lappend_oid(lint->gone_oids, rel->oid);
		MemoryContextSwitchTo(old);
	}
}

/* ALTER ... RENAME or SET SCHEMA; either may be NULL: as it is. */
void
lint_relation_move(Lint *lint, LintRelation *rel, const char *schema, const char *name)
{
	lint->last_found = NULL;
	lint->names++;
	relation_entry(lint, rel->schema, rel->name, true)->rel = NULL;
	if (schema != NULL)
		rel->schema = lint_strdup(lint, schema);
	if (name != NULL)
		rel->name = lint_strdup(lint, name);
	relation_entry(lint, rel->schema, rel->name, true)->rel = rel;
}

/* What messages call it: qualified where its bare name would not find it. */
char *
lint_relation_label(Lint *lint, LintRelation *rel)
{
	if (rel->label == NULL || rel->label_names != lint->names)
	{
		rel->label = lint_strdup(lint, rel->gone || relation_find(lint, NULL, rel->name) == rel ?
								 quote_identifier(rel->name) :
								 quote_qualified_identifier(rel->schema, rel->name));
		rel->label_names = lint->names;
	}
	return rel->label;
}

/* Whether it was there before the script, for others to see. */
bool
lint_is_old(const LintRelation *rel)
{
	return rel != NULL && !rel->is_new && rel->persistence != RELPERSISTENCE_TEMP;
}

/* Whether it is an old table, partitioned table or matview that holds rows. */
bool
lint_has_rows(Lint *lint, LintRelation *rel)
{
	if (!lint_is_old(rel))
		return false;
	if (rel->relkind != RELKIND_RELATION && rel->relkind != RELKIND_PARTITIONED_TABLE &&
		rel->relkind != RELKIND_MATVIEW)
		return false;
	if (rel->emptied)
		return false;
	return !lint_size(lint, rel)->empty;
}

/* Every relation that the script has met, in the current context. */
List *
lint_relations(Lint *lint)
{
	HASH_SEQ_STATUS status;
	LintRelationEntry *entry;
	List	   *result = NIL;

	if (lint->relations == NULL)
		return NIL;
	hash_seq_init(&status, lint->relations);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (entry->rel != NULL)
			result = lappend(result, entry->rel);
	}
	return result;
}
