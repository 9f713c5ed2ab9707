/*
 * lint_type.c
 *		Names of types: what the catalogs have, what the script has made.
 *
 * A type that the script makes is not in the catalogs yet, so that little more
 * than its name is known. Looking up a type may raise an error: it runs in the
 * subtransaction of lint_analysis().
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/indexing.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "parser/parse_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "lint_internal.h"

/* ---- the catalogs' */

/* Where a plain name of a type is kept, whatever its modifiers; NULL: it is not plain. */
static LintTypeName *
type_name_kept(Lint *lint, const TypeName *name)
{
	int			n = list_length(name->names);
	const char *schema = n == 2 ? strVal(linitial(name->names)) : "";
	const char *last;			/* of the names */
	LintTypeName *kept;

	if (n < 1 || n > 2 || name->setof || name->pct_type || name->typemod != -1 ||
		name->arrayBounds != NIL)
		return NULL;
	if (lint->last_type == name && lint->last_type_statement == lint->statement)
		return lint->last_type_kept;
	last = strVal(llast(name->names));
	kept = lint->last_type_kept;
	if (kept == NULL || strcmp(kept->name, last) != 0)
		kept = &lint->type_names[hash_bytes((const unsigned char *) last, strlen(last)) % LINT_TYPE_NAMES];
	if (kept->paths != lint->paths || strcmp(kept->name, last) != 0 || strcmp(kept->schema, schema) != 0)
	{
		strlcpy(kept->schema, schema, NAMEDATALEN);
		strlcpy(kept->name, last, NAMEDATALEN);
		kept->paths = lint->paths;
		kept->type = InvalidOid;
	}
	lint->last_type = name;
	lint->last_type_statement = lint->statement;
	lint->last_type_kept = kept;
	return kept;
}

/* A name that a type of the catalogs has got by the script, or given up. */
typedef struct LintRenamedType
{
	char	   *schema;
	char	   *name;
	Oid			type;			/* InvalidOid: given up */
} LintRenamedType;

static void
type_note_renamed(Lint *lint, const char *schema, const char *name, Oid type)
{
	LintRenamedType *renamed = lint_alloc(lint, sizeof(LintRenamedType));
	MemoryContext old = MemoryContextSwitchTo(lint->context);

	renamed->schema = pstrdup(schema);
	renamed->name = pstrdup(name);
	renamed->type = type;
	lint->renamed_types = lcons(renamed, lint->renamed_types);
	MemoryContextSwitchTo(old);
}

/* ALTER TYPE ... RENAME or SET SCHEMA; schema, name: what changes, else NULL. */
void
lint_type_rename(Lint *lint, List *names, Oid type, const char *schema, const char *name)
{
	const char *old_name = strVal(llast(names));
	HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	char	   *old_schema;

	if (!HeapTupleIsValid(tuple))
		return;
	old_schema = list_length(names) > 1 ? strVal(list_nth(names, list_length(names) - 2)) :
		lint_schema_name(lint, ((Form_pg_type) GETSTRUCT(tuple))->typnamespace);
	ReleaseSysCache(tuple);
	if (old_schema == NULL)
		return;
	type_note_renamed(lint, old_schema, old_name, InvalidOid);
	type_note_renamed(lint, schema != NULL ? schema : old_schema, name != NULL ? name : old_name, type);
	lint_path_reset(lint);
}

/* Whether the script has given a type of the catalogs another name or schema. */
bool
lint_type_is_moved(Lint *lint, Oid type)
{
	ListCell   *lc;

	foreach(lc, lint->renamed_types)
	{
		if (((LintRenamedType *) lfirst(lc))->type == type)
			return true;
	}
	return false;
}

/* What a name means by the script's renames; NULL: they say nothing of it. */
static LintRenamedType *
type_renamed(Lint *lint, const TypeName *name)
{
	int			n = list_length(name->names);
	const char *schema = n > 1 ? strVal(list_nth(name->names, n - 2)) : NULL;
	ListCell   *lc;

	foreach(lc, n == 0 || name->pct_type ? NIL : lint->renamed_types)
	{
		LintRenamedType *renamed = lfirst(lc);

		if (strcmp(renamed->name, strVal(llast(name->names))) == 0 &&
			(schema == NULL || strcmp(renamed->schema, schema) == 0))
			return renamed;
	}
	return NULL;
}

/*
 * What the one modifier of a type of the server's own means, where it is a number,
 * as typenameTypeMod() has it; false: it is not as simple.
 */
static bool
type_modifier(const LintTypeName *kept, const TypeName *name, int32 *typmod)
{
	A_Const    *value = linitial(name->typmods);
	char		text[12];
	Datum		datum = CStringGetDatum(text);

	if (list_length(name->typmods) != 1 || !IsA(value, A_Const) || value->isnull ||
		!IsA(&value->val, Integer) || !OidIsValid(kept->typmodin) || kept->typmodin >= FirstNormalObjectId)
		return false;
	pg_ltoa(intVal(&value->val), text);
	*typmod = DatumGetInt32(OidFunctionCall1(kept->typmodin,
											 PointerGetDatum(construct_array(&datum, 1, CSTRINGOID, -2,
																			 false, TYPALIGN_CHAR))));
	return true;
}

static void
type_note_known(Lint *lint, const TypeName *name, Oid type, int32 typmod)
{
	lint->known_type = name;
	lint->known_type_statement = lint->statement;
	lint->known_type_oid = type;
	lint->known_typmod = typmod;
}

/* The type of a name, false where there is none (yet). */
bool
lint_type(Lint *lint, TypeName *name, Oid *type, int32 *typmod)
{
	LintTypeName *kept = type_name_kept(lint, name);
	LintRenamedType *renamed = type_renamed(lint, name);
	TypeName	by_oid;
	TypeName   *wanted = name;
	Oid			typmodin;
	Type		tuple;

	if (renamed != NULL)
	{
		*type = renamed->type;
		*typmod = -1;
		return OidIsValid(*type) && name->arrayBounds == NIL;
	}

	/* Also one that is not plain: the rules ask, then the state. */
	if (lint->known_type == name && lint->known_type_statement == lint->statement)
	{
		*type = lint->known_type_oid;
		*typmod = lint->known_typmod;
		return true;
	}
	if (kept != NULL && OidIsValid(kept->type))
	{
		if (lint_object_is_gone(lint, TypeRelationId, kept->type))
			return false;
		if (name->typmods == NIL)
		{
			*type = kept->type;
			*typmod = -1;
			return true;
		}

		/* What remains to be asked is what its modifiers mean. */
		lint_analysis(lint);
		if (type_modifier(kept, name, typmod))
		{
			*type = kept->type;
			type_note_known(lint, name, *type, *typmod);
			return true;
		}
		by_oid = *name;
		by_oid.names = NIL;
		by_oid.typeOid = kept->type;
		wanted = &by_oid;
	}
	else if (name->names != NIL && !name->pct_type &&
		lint_name_is_absent(lint, LINT_NAMES_TYPE, strVal(llast(name->names))))
		return false;
	lint_analysis(lint);
	tuple = LookupTypeName(NULL, wanted, typmod, true);
	if (tuple == NULL)
	{
		lint_name_missed(lint, LINT_NAMES_TYPE);
		return false;
	}
	*type = typeTypeId(tuple);
	typmodin = ((Form_pg_type) GETSTRUCT(tuple))->typmodin;
	ReleaseSysCache(tuple);
	if (wanted == name &&
		(!get_typisdefined(*type) || lint_object_is_gone(lint, TypeRelationId, *type)))
		return false;
	type_note_known(lint, name, *type, *typmod);
	if (kept != NULL && wanted == name)
	{
		kept->typmodin = typmodin;
		kept->plain = get_typtype(*type) != TYPTYPE_DOMAIN && get_typdefault(*type) == NULL;
		kept->collation = get_typcollation(*type);
		kept->type = *type;
	}
	return true;
}

/* The same without modifiers; InvalidOid: there is none (yet). */
Oid
lint_type_oid(Lint *lint, TypeName *name)
{
	Oid			type;
	int32		typmod;

	return lint_type(lint, name, &type, &typmod) ? type : InvalidOid;
}

/* Whether a type that lint_type() has found is neither a domain nor has a default. */
bool
lint_type_is_plain(Lint *lint, TypeName *name, Oid type)
{
	const LintTypeName *kept = type_name_kept(lint, name);

	if (kept != NULL && kept->type == type)
		return kept->plain;
	return get_typtype(type) != TYPTYPE_DOMAIN && get_typdefault(type) == NULL;
}

/* The collation of a type that lint_type() has found. */
Oid
lint_type_collation(Lint *lint, TypeName *name, Oid type)
{
	const LintTypeName *kept = type_name_kept(lint, name);

	return kept != NULL && kept->type == type ? kept->collation : get_typcollation(type);
}

/* Whether a column's type is serial or one of its kin, as the server decides. */
bool
lint_is_serial(const TypeName *name)
{
	return OidIsValid(lint_serial_type(name));
}

/* The type that it stands for; InvalidOid: it is none of them. */
Oid
lint_serial_type(const TypeName *name)
{
	static const char *const serials[] = {"serial", "serial4", "bigserial", "serial8", "smallserial",
	"serial2"};
	static const Oid types[] = {INT4OID, INT4OID, INT8OID, INT8OID, INT2OID, INT2OID};

	if (name == NULL || list_length(name->names) != 1 || name->pct_type ||
		(*strVal(linitial(name->names)) != 's' && *strVal(linitial(name->names)) != 'b'))
		return InvalidOid;
	for (int i = 0; i < (int) lengthof(serials); i++)
	{
		if (strcmp(strVal(linitial(name->names)), serials[i]) == 0)
			return types[i];
	}
	return InvalidOid;
}

/* ---- the script's */

/* What the script has made or changed under a name, in whatever schema. */
typedef struct LintTypesEntry
{
	char		name[NAMEDATALEN];
	List	   *types;			/* LintType, but for those with a label */
	bool		has_labels;
} LintTypesEntry;

static LintTypesEntry *
types_named(Lint *lint, const char *name)
{
	return lint->types == NULL ? NULL : hash_search(lint->types, name, HASH_FIND, NULL);
}

/* Whether an enum of that name has got a value by the script. */
bool
lint_type_has_labels(Lint *lint, const char *name)
{
	LintTypesEntry *entry = types_named(lint, name);

	return entry != NULL && entry->has_labels;
}

static void
type_note(Lint *lint, LintType *type)
{
	LintTypesEntry *entry;
	bool		found;

	if (lint->types == NULL)
	{
		HASHCTL		ctl;

		ctl.keysize = NAMEDATALEN;
		ctl.entrysize = sizeof(LintTypesEntry);
		ctl.hcxt = lint->context;
		lint->types = hash_create("tapmig lint types", 64, &ctl,
								  HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	}
	entry = hash_search(lint->types, type->name, HASH_ENTER, &found);
	if (!found)
	{
		entry->types = NIL;
		entry->has_labels = false;
	}
	if (type->label == NULL)
		entry->types = lint_append(lint, entry->types, type);
	else
	{
		entry->has_labels = true;
		lint->labels = lint_append(lint, lint->labels, type);
		lint_names_add(lint, &lint->label_names, type->label);
	}
}

/* The type that the script has made or changed under that name, or NULL. */
LintType *
lint_type_of_script(Lint *lint, List *names)
{
	const char *name = strVal(llast(names));
	const char *schema = list_length(names) > 1 ?
		strVal(list_nth(names, list_length(names) - 2)) : NULL;
	LintTypesEntry *entry = types_named(lint, name);
	LintType   *found = NULL;
	ListCell   *lc;

	foreach(lc, entry == NULL ? NIL : entry->types)
	{
		LintType   *type = lfirst(lc);

		if (schema == NULL || type->schema == NULL || strcmp(type->schema, schema) == 0)
			found = type;
	}
	return found;
}

/* Whether there is a type of that name at this statement: of the catalogs, or made by the script. */
bool
lint_type_is_there(Lint *lint, TypeName *name)
{
	return OidIsValid(lint_type_oid(lint, name)) ||
		(name->names != NIL && lint_type_of_script(lint, name->names) != NULL);
}

/* Notes that the script makes or changes a type; label: gives it that value. */
LintType *
lint_type_add(Lint *lint, List *names, const char *label)
{
	LintType   *type = lint_alloc(lint, sizeof(LintType));
	const char *schema;
	const char *name;

	lint_schema_of(lint, names, &schema, &name);
	type->schema = schema == NULL ? NULL : lint_strdup(lint, schema);
	type->name = lint_strdup(lint, name);
	type->label = label == NULL ? NULL : lint_strdup(lint, label);
	type->made_step = lint->step;
	type_note(lint, type);
	return type;
}

/* ---- domains */

/* CREATE DOMAIN */
void
lint_domain_create(Lint *lint, CreateDomainStmt *stmt)
{
	LintType   *type = lint_type_add(lint, stmt->domainname, NULL);
	ListCell   *lc;

	type->is_new = true;
	foreach(lc, stmt->constraints)
	{
		Constraint *constraint = lfirst_node(Constraint, lc);

		if (constraint->contype == CONSTR_CHECK || constraint->contype == CONSTR_NOTNULL)
			type->constrained = true;
	}
	type->constrained = type->constrained || lint_domain_is_constrained(lint, stmt->typeName);
	foreach(lc, stmt->constraints)
	{
		Constraint *constraint = lfirst_node(Constraint, lc);

		if (constraint->contype == CONSTR_DEFAULT)
			type->volatile_default = lint_default_is_volatile(lint, constraint->raw_expr, InvalidOid, -1);
	}
}

/* ALTER DOMAIN */
void
lint_domain_alter(Lint *lint, AlterDomainStmt *stmt)
{
	LintType   *type = lint_type_of_script(lint, stmt->typeName);

	if (strchr("CONX", stmt->subtype) == NULL)
		return;
	if (type == NULL)
		type = lint_type_add(lint, stmt->typeName, NULL);
	if (stmt->subtype == 'C')
		type->constrained = true;
	else if (stmt->subtype == 'X')
	{
		type->constrained = false;
		type->relaxed++;
	}
	else
	{
		type->has_not_null = true;
		type->not_null = stmt->subtype == 'O';
	}
}

/* Whether a domain of the catalogs is NOT NULL; *n: how many CHECKs it has of its own. */
static bool
domain_checks(Oid domain, int *n)
{
	HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(domain));
	bool		not_null = HeapTupleIsValid(tuple) && ((Form_pg_type) GETSTRUCT(tuple))->typnotnull;
	Relation	pg_constraint = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	*n = 0;
	ScanKeyInit(&key, Anum_pg_constraint_contypid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(domain));
	scan = systable_beginscan(pg_constraint, ConstraintTypidIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		*n += ((Form_pg_constraint) GETSTRUCT(tuple))->contype == CONSTRAINT_CHECK;
	systable_endscan(scan);
	table_close(pg_constraint, AccessShareLock);
	return not_null;
}

/* Whether a column of that type must be checked in every row: a domain with constraints. */
bool
lint_domain_is_constrained(Lint *lint, TypeName *name)
{
	LintType   *made = name->names == NIL ? NULL : lint_type_of_script(lint, name->names);
	Oid			type;
	int32		typmod;
	bool		not_null;
	int			checks;

	if (made != NULL && (made->constrained || made->not_null))
		return name->arrayBounds == NIL;
	if (!lint_type(lint, name, &type, &typmod) || lint_type_is_plain(lint, name, type) ||
		get_typtype(type) != TYPTYPE_DOMAIN || !DomainHasConstraints(type))
		return false;
	if (made == NULL)
		return true;

	/* The script has dropped one, or all of them. */
	not_null = domain_checks(type, &checks);
	return checks > made->relaxed || (not_null && !made->has_not_null) ||
		(!made->has_not_null && made->relaxed == 0);
}
