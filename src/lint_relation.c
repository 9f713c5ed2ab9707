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
#include "catalog/partition.h"
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

/* A LintRelation begins so. */
typedef struct LintRelationKey
{
	const char *schema;			/* both live as long as the lint */
	const char *name;
} LintRelationKey;

StaticAssertDecl(offsetof(LintRelation, schema) == offsetof(LintRelationKey, schema) &&
				 offsetof(LintRelation, name) == offsetof(LintRelationKey, name),
				 "a relation is its own key");

/* A name: of the relation that is its key, or one that the script has made free. */
typedef struct LintRelationEntry
{
	const LintRelationKey *key;
	uint32		hash;
	char		status;
	bool		is_free;
} LintRelationEntry;

static inline uint32
relation_name_hash(const char *name)
{
	return hash_bytes((const unsigned char *) name, strlen(name));
}

#define SH_PREFIX		lint_names_to
#define SH_ELEMENT_TYPE	LintRelationEntry
#define SH_KEY_TYPE		const LintRelationKey *
#define SH_KEY			key
#define SH_HASH_KEY(tb, key)	relation_name_hash((key)->name)
#define SH_EQUAL(tb, a, b)	(strcmp((a)->name, (b)->name) == 0 && strcmp((a)->schema, (b)->schema) == 0)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, a)	(a)->hash
#define SH_SCOPE		static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* The entry of a name, which is used before another one is entered; or NULL. */
static LintRelationEntry *
relation_entry(Lint *lint, const char *schema, const char *name)
{
	LintRelationKey key = {schema, name};

	return lint->relations == NULL ? NULL : lint_names_to_lookup(lint->relations, &key);
}

/* The relation of an entry; NULL: none has its name. */
static LintRelation *
relation_of(const LintRelationEntry *entry)
{
	return entry->is_free ? NULL : (LintRelation *) unconstify(LintRelationKey *, entry->key);
}

/* The entry of a relation's name, from now on its own. */
static LintRelationEntry *
relation_enter(Lint *lint, LintRelation *rel)
{
	const LintRelationKey *key = (const LintRelationKey *) rel;
	uint32		hash = relation_name_hash(rel->name);
	bool		found;
	LintRelationEntry *entry;

	if (lint->relations == NULL)
		lint->relations = lint_names_to_create(lint->context, 12, NULL);
	rel->bucket = hash % LINT_NAME_BUCKETS;
	entry = lint_names_to_insert_hash(lint->relations, key, hash, &found);
	if (found && !entry->is_free)
		relation_of(entry)->has_name = false;
	entry->key = key;
	entry->is_free = false;
	rel->has_name = true;
	return entry;
}

/* Its name is free from now on, and may be changed. */
static void
relation_leave(Lint *lint, LintRelation *rel)
{
	LintRelationKey *key = lint_alloc(lint, sizeof(LintRelationKey));
	LintRelationEntry *entry = relation_enter(lint, rel);

	key->schema = rel->schema;
	key->name = rel->name;
	entry->key = key;
	entry->is_free = true;
	rel->has_name = false;
}

/* A copy of a schema's name; mostly it is the one that was asked for last. */
const char *
lint_kept_schema(Lint *lint, const char *schema)
{
	if (lint->kept_schema == NULL || strcmp(lint->kept_schema, schema) != 0)
		lint->kept_schema = lint_strdup(lint, schema);
	return lint->kept_schema;
}

/* The name of a relation means something else from now on. */
static void
relation_name_changes(Lint *lint, const LintRelation *rel)
{
	lint->names[rel->bucket]++;
	lint->name_changes++;
	for (int i = 0; i < LINT_FOUND; i++)
	{
		if (strcmp(lint->found[i].name, rel->name) == 0)
			lint->found[i].name[0] = '\0';
	}
}

/* Counts on whenever its name, or any one, may mean something else. */
static int
relation_name_age(Lint *lint, const LintRelation *rel)
{
	return lint->paths + lint->names[rel->bucket];
}

/* ---- the search_path */

/* To be called when search_path or the schemas have changed. */
void
lint_path_reset(Lint *lint)
{
	lint->path = NIL;
	lint->name_changes++;
	lint->last_schema = NULL;
	for (int i = 0; i < LINT_FOUND; i++)
		lint->found[i].name[0] = '\0';
	lint->last_call = NIL;
	lint->paths++;
	lint->stale = true;
}

/* The schema in the catalogs, if the caller may use it; else InvalidOid. */
static Oid
relation_schema_oid(Lint *lint, const char *name)
{
	Oid			oid;

	if (strcmp(name, LINT_TEMP) == 0)
		return LookupNamespaceNoError(LINT_TEMP);
	oid = lint_schema_named(lint, name);
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
		else if (!lint_schema_is_new(lint, name) &&
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

bool
lint_path_has(Lint *lint, const char *schema)
{
	ListCell   *lc;

	foreach(lc, lint_path(lint))
	{
		if (strcmp(lfirst(lc), schema) == 0)
			return true;
	}
	return false;
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

typedef struct LintOidEntry
{
	Oid			oid;
	char		status;
	LintRelation *rel;
} LintOidEntry;

#define SH_PREFIX		lint_oids_to
#define SH_ELEMENT_TYPE	LintOidEntry
#define SH_KEY_TYPE		Oid
#define SH_KEY			oid
#define SH_HASH_KEY(tb, key)	murmurhash32(key)
#define SH_EQUAL(tb, a, b)	((a) == (b))
#define SH_SCOPE		static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* The relation of the catalogs that was met under that oid, or NULL. */
static LintRelation *
relation_met(Lint *lint, Oid oid)
{
	LintOidEntry *met = lint->relations_by_oid == NULL ? NULL :
		lint_oids_to_lookup(lint->relations_by_oid, oid);

	return met == NULL ? NULL : met->rel;
}

/* A row of pg_class, met for the first time. */
static LintRelation *
relation_from_catalog(Lint *lint, HeapTuple tuple, const char *schema)
{
	Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);
	LintRelation *rel = lint_alloc(lint, sizeof(LintRelation));
	bool		found;

	rel->schema = lint_kept_schema(lint, schema);
	rel->name = lint_strdup(lint, NameStr(form->relname));
	rel->oid = form->oid;
	rel->namespace = form->relnamespace;
	rel->relkind = form->relkind;
	rel->persistence = form->relpersistence;
	rel->has_children = form->relhassubclass;
	rel->is_partition = form->relispartition;
	rel->attnum = MaxHeapAttributeNumber;
	rel->made_step = -1;
	(void) relation_enter(lint, rel);
	if (lint->relations_by_oid == NULL)
		lint->relations_by_oid = lint_oids_to_create(lint->context, 12, NULL);
	lint_oids_to_insert(lint->relations_by_oid, rel->oid, &found)->rel = rel;
	return rel;
}

/* The relation of that name in that schema, or NULL. */
LintRelation *
lint_relation_at(Lint *lint, const char *schema, const char *name)
{
	LintRelationEntry *entry = relation_entry(lint, schema, name);
	Oid			namespace;
	HeapTuple	tuple;
	LintRelation *rel;

	rel = entry == NULL ? NULL : relation_of(entry);
	if (entry != NULL && (rel == NULL || rel->is_new))
		return rel;
	if (lint_schema_is_new(lint, schema))
		return rel;
	if (lint->last_schema == NULL || strcmp(lint->last_schema, schema) != 0)
	{
		lint->last_schema_oid = relation_schema_oid(lint, schema);
		lint->last_schema = lint_strdup(lint, schema);
	}
	namespace = lint->last_schema_oid;

	/* What lint has met on another way has this name for those who may use it. */
	if (entry != NULL)
		return OidIsValid(namespace) ? rel : NULL;
	if (!OidIsValid(namespace) || lint_name_is_absent(lint, LINT_NAMES_RELATION, name))
		return NULL;
	tuple = SearchSysCache2(RELNAMENSP, CStringGetDatum(name), ObjectIdGetDatum(namespace));
	if (!HeapTupleIsValid(tuple))
	{
		lint_name_missed(lint, LINT_NAMES_RELATION);
		return NULL;
	}

	/*
	 * The session's own schema goes by one name here; what was met before has
	 * another name by now.
	 */
	rel = (isTempNamespace(namespace) && strcmp(schema, LINT_TEMP) != 0) ||
		relation_met(lint, ((Form_pg_class) GETSTRUCT(tuple))->oid) != NULL ? NULL :
		relation_from_catalog(lint, tuple, schema);
	ReleaseSysCache(tuple);
	return rel;
}

/*
 * The relation that the catalogs have under that oid, or NULL: there is none, or
 * the script has dropped it.
 */
LintRelation *
lint_relation_by_oid(Lint *lint, Oid oid)
{
	LintRelation *rel = relation_met(lint, oid);
	HeapTuple	tuple;
	Form_pg_class form;
	char	   *schema;

	if (rel != NULL)
		return rel->has_name ? rel : NULL;
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(oid));
	if (!HeapTupleIsValid(tuple))
		return NULL;
	form = (Form_pg_class) GETSTRUCT(tuple);
	schema = lint_schema_name(lint, form->relnamespace);

	/* Where the name is known, it is another relation's. */
	if (schema != NULL && relation_entry(lint, schema, NameStr(form->relname)) == NULL)
		rel = relation_from_catalog(lint, tuple, schema);
	ReleaseSysCache(tuple);
	return rel;
}

/* Whether the script has dropped a relation of the catalogs. */
bool
lint_is_gone(Lint *lint, Oid oid)
{
	LintRelation *rel = relation_met(lint, oid);

	if (rel != NULL)
		return rel->gone;
	return lint->schemas != NULL && lint_schema_name(lint, get_rel_namespace(oid)) == NULL;
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

/* Whether a bare name is looked for in this schema before any other. */
static bool
relation_is_first(Lint *lint, const char *schema, const char *name)
{
	ListCell   *lc;

	foreach(lc, lint_path(lint))
	{
		if (strcmp(lfirst(lc), "pg_catalog") != 0 || strncmp(name, "pg_", 3) == 0)
			return strcmp(lfirst(lc), schema) == 0;
	}
	return false;
}

/* Mostly the same as just now: the rules ask, then the state; and of two tables at most. */
static LintRelation *
relation_find_again(Lint *lint, const char *schema, const char *name)
{
	LintFound  *found;

	for (int i = 0; i < LINT_FOUND; i++)
	{
		found = &lint->found[i];
		if (found->name[0] != '\0' && strcmp(found->name, name) == 0 &&
			strcmp(found->schema, schema == NULL ? "" : schema) == 0)
			return found->rel;
	}
	found = &lint->found[lint->next_found];
	lint->next_found = (lint->next_found + 1) % LINT_FOUND;
	found->name[0] = '\0';
	found->rel = relation_find(lint, schema, name);
	strlcpy(found->schema, schema == NULL ? "" : schema, NAMEDATALEN);
	strlcpy(found->name, name, NAMEDATALEN);
	return found->rel;
}

/* The relation that a statement means, or NULL: unknown. */
LintRelation *
lint_relation(Lint *lint, const RangeVar *name)
{
	if (name == NULL || name->relname == NULL)
		return NULL;
	if (name != lint->target)
		return relation_find_again(lint, name->schemaname, name->relname);

	/* The statement's own is asked for again and again. */
	if (!lint->target_known || lint->target_changes != lint->name_changes)
	{
		lint->target_rel = relation_find_again(lint, name->schemaname, name->relname);
		lint->target_changes = lint->name_changes;
		lint->target_known = true;
	}
	return lint->target_rel;
}

/* The same for a list of String nodes. */
LintRelation *
lint_relation_named(Lint *lint, List *names)
{
	int			n = list_length(names);

	if (n == 0)
		return NULL;
	return relation_find_again(lint, n > 1 ? strVal(list_nth(names, n - 2)) : NULL,
							   strVal(llast(names)));
}

/* The relation that has the name which a statement would make, or NULL. */
LintRelation *
lint_relation_to_make(Lint *lint, const RangeVar *name)
{
	const char *schema;

	/* The rules ask, then the state. */
	if (lint->absent == name && lint->absent_statement == lint->statement &&
		lint->absent_changes == lint->name_changes)
		return NULL;
	schema = name->schemaname != NULL ? name->schemaname :
		name->relpersistence == RELPERSISTENCE_TEMP ? LINT_TEMP : relation_create_schema(lint);
	if (schema != NULL)
	{
		LintRelation *rel = lint_relation_at(lint, schema, name->relname);

		if (rel != NULL)
			return rel;
	}
	lint->absent = name;
	lint->absent_statement = lint->statement;
	lint->absent_changes = lint->name_changes;
	return NULL;
}

/*
 * Notes that the script makes a relation; what had the name before is replaced.
 * The name lives as long as the lint, temporary relations have the schema pg_temp.
 */
LintRelation *
lint_relation_make_at(Lint *lint, const char *schema, char *name, char persistence,
					  char relkind)
{
	LintRelation *rel = lint_alloc(lint, sizeof(LintRelation));

	rel->schema = lint_kept_schema(lint, schema);
	rel->name = name;
	rel->relkind = relkind;
	rel->persistence = persistence;
	rel->is_new = true;
	rel->have_constraints = rel->have_indexes = true;
	rel->made_step = lint->step;
	(void) relation_enter(lint, rel);
	relation_name_changes(lint, rel);
	return rel;
}

/* The same by the name that a statement gives it; NULL: it would be made nowhere. */
LintRelation *
lint_relation_make(Lint *lint, const RangeVar *name, char relkind)
{
	const char *schema = name->schemaname;
	char		persistence = name->relpersistence;

	if (schema == NULL)
		schema = persistence == RELPERSISTENCE_TEMP ? LINT_TEMP : relation_create_schema(lint);
	if (schema == NULL)
		return NULL;
	if (strcmp(schema, LINT_TEMP) == 0)
	{
		persistence = RELPERSISTENCE_TEMP;
		if (!lint->has_temp)
		{
			lint->has_temp = true;
			lint_path_reset(lint);
		}
	}
	return lint_relation_make_at(lint, schema, lint_strdup(lint, name->relname), persistence,
								 relkind);
}

void
lint_relation_drop(Lint *lint, LintRelation *rel)
{
	LintRelationEntry *entry = relation_entry(lint, rel->schema, rel->name);

	relation_name_changes(lint, rel);
	if (entry == NULL || relation_of(entry) == rel)
		relation_leave(lint, rel);
	rel->gone = true;
	lint->lost_relations = lint->lost_relations || OidIsValid(rel->oid);
}

/* The transaction ends: ON COMMIT DROP. */
void
lint_relations_commit(Lint *lint)
{
	ListCell   *lc;

	foreach(lc, lint->until_commit)
	{
		if (!((LintRelation *) lfirst(lc))->gone)
			lint_relation_drop(lint, lfirst(lc));
	}
	lint->until_commit = NIL;
}

/* ALTER ... RENAME or SET SCHEMA; either may be NULL: as it is. */
void
lint_relation_move(Lint *lint, LintRelation *rel, const char *schema, const char *name)
{
	relation_name_changes(lint, rel);
	relation_leave(lint, rel);
	if (schema != NULL)
		rel->schema = lint_kept_schema(lint, schema);
	if (name != NULL)
		rel->name = lint_strdup(lint, name);
	(void) relation_enter(lint, rel);
	relation_name_changes(lint, rel);
}

/* Whether its bare name finds it, or would if it were still there. */
static bool
relation_is_visible(Lint *lint, LintRelation *rel)
{
	ListCell   *lc;

	if (!rel->gone)
	{
		/* What was made where new things go is found there before anything else. */
		if (rel->is_new && rel->has_name && lint->create_schema == NULL &&
			relation_is_first(lint, rel->schema, rel->name))
			return true;
		return relation_find(lint, NULL, rel->name) == rel;
	}
	foreach(lc, lint_path(lint))
	{
		if (strcmp(lfirst(lc), rel->schema) == 0)
			return true;
	}
	return false;
}

/*
 * quote_identifier(), which asks of each name whether it is a keyword. Those with a
 * digit are none, and many of a large script's names are numbered.
 */
static const char *
relation_quote(const char *name)
{
	bool		digit = false;
	bool		plain = !quote_all_identifiers && (*name == '_' || (*name >= 'a' && *name <= 'z'));

	for (const char *c = name; plain && *c != '\0'; c++)
	{
		digit = digit || (*c >= '0' && *c <= '9');
		plain = *c == '_' || (*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9');
	}
	return plain && digit ? name : quote_identifier(name);
}

/* What messages call it: qualified where its bare name would not find it. */
char *
lint_relation_label(Lint *lint, LintRelation *rel)
{
	int			age = relation_name_age(lint, rel);

	if (rel->label == NULL || rel->label_age != age)
	{
		const char *label = relation_is_visible(lint, rel) ?
			relation_quote(rel->name) : quote_qualified_identifier(rel->schema, rel->name);

		/* The same text at the same place: messages are known by it. */
		if (rel->label == NULL || strcmp(rel->label, label) != 0)
			rel->label = lint_keep_text(lint, label);
		rel->label_age = age;
	}
	return rel->label;
}

/* Whether it was there before the script, for others to see. */
bool
lint_is_old(const LintRelation *rel)
{
	return rel != NULL && !rel->is_new && rel->persistence != RELPERSISTENCE_TEMP;
}

/*
 * Whether it is an old table, partitioned table or matview that held rows when
 * the script began: others use it, and wait for its locks.
 */
bool
lint_is_used(Lint *lint, LintRelation *rel)
{
	if (!lint_is_old(rel))
		return false;
	if (rel->relkind != RELKIND_RELATION && rel->relkind != RELKIND_PARTITIONED_TABLE &&
		rel->relkind != RELKIND_MATVIEW)
		return false;
	return !lint_size(lint, rel)->empty;
}

/* The same, and the script has not emptied it. */
bool
lint_has_rows(Lint *lint, LintRelation *rel)
{
	return lint_is_used(lint, rel) && !rel->emptied;
}

/* Every relation that the script has met, in the current context. */
List *
lint_relations(Lint *lint)
{
	lint_names_to_iterator i;
	LintRelationEntry *entry;
	List	   *result = NIL;

	if (lint->relations == NULL)
		return NIL;
	lint_names_to_start_iterate(lint->relations, &i);
	while ((entry = lint_names_to_iterate(lint->relations, &i)) != NULL)
	{
		if (!entry->is_free)
			result = lappend(result, relation_of(entry));
	}
	return result;
}

/* The default partition of a table that was there before; NULL: none, or it is gone. */
LintRelation *
lint_default_partition(Lint *lint, LintRelation *parent)
{
	Oid			oid = parent == NULL || parent->is_new || parent->relkind != RELKIND_PARTITIONED_TABLE ?
		InvalidOid : get_default_partition_oid(parent->oid);
	LintRelation *rel = OidIsValid(oid) ? lint_relation_by_oid(lint, oid) : NULL;

	return rel != NULL && !rel->gone && !rel->detached ? rel : NULL;
}
