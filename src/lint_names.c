/*
 * lint_names.c
 *		Which names the catalogs do not have.
 *
 * Large scripts are full of names that aren't there: of all that they make, and
 * of DROP ... IF EXISTS. To look for one in vain costs more than to parse the
 * statement. So once a script has missed as many names as a catalog has pages,
 * which costs the same as to read them, the catalog is read as a whole. Kept are
 * the hashes of its names: what is not among them need not be looked for. The
 * same sets of hashes keep other searches short.
 *
 * What others commit after that is not seen, no more than what they commit after
 * the lint.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "lint_internal.h"

/* So many names are missed before the size of the catalog is asked for. */
#define NAMES_FREE_LOOKUPS 16

typedef struct NamesCatalog
{
	Oid			catalog;
	AttrNumber	name;
} NamesCatalog;

static const NamesCatalog names_catalogs[] = {
	[LINT_NAMES_RELATION] = {RelationRelationId, Anum_pg_class_relname},
	[LINT_NAMES_FUNCTION] = {ProcedureRelationId, Anum_pg_proc_proname},
	[LINT_NAMES_TYPE] = {TypeRelationId, Anum_pg_type_typname},
	[LINT_NAMES_SCHEMA] = {NamespaceRelationId, Anum_pg_namespace_nspname},
	[LINT_NAMES_TRIGGER] = {TriggerRelationId, Anum_pg_trigger_tgname},
};

static uint32
names_hash(const char *name)
{
	uint32		hash = hash_bytes((const unsigned char *) name, strlen(name));

	return hash == 0 ? 1 : hash;	/* 0 is a free slot */
}

/* The slot of a hash, or the free one where it belongs. */
static uint32 *
names_slot(const LintNames *names, uint32 hash)
{
	uint32		i = hash & names->mask;

	while (names->slots[i] != 0 && names->slots[i] != hash)
		i = (i + 1) & names->mask;
	return &names->slots[i];
}

static void
names_make_slots(Lint *lint, LintNames *names, uint32 n)
{
	names->slots = MemoryContextAllocExtended(lint->context, n * sizeof(uint32),
											  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	names->mask = n - 1;
}

/* Adds a name to a set, which begins as zeros. */
void
lint_names_add(Lint *lint, LintNames *names, const char *name)
{
	uint32		hash = names_hash(name);
	uint32	   *slot;

	if (names->slots == NULL)
		names_make_slots(lint, names, 256);
	else if (names->used >= names->mask / 2)
	{
		uint32	   *old = names->slots;
		uint32		n = names->mask + 1;

		names_make_slots(lint, names, n * 2);
		for (uint32 i = 0; i < n; i++)
		{
			if (old[i] != 0)
				*names_slot(names, old[i]) = old[i];
		}
		pfree(old);
	}
	slot = names_slot(names, hash);
	if (*slot == 0)
		names->used++;
	*slot = hash;
}

/* Whether a set may have a name; false: it does not. */
bool
lint_names_may_have(const LintNames *names, const char *name)
{
	return names->slots != NULL && *names_slot(names, names_hash(name)) != 0;
}

/* Reads the catalog, unless that would cost more than the look-ups did. */
static void
names_read(Lint *lint, LintNames *names, const NamesCatalog *which)
{
	Relation	catalog = table_open(which->catalog, AccessShareLock);
	LintNames	found = {0};
	SysScanDesc scan;
	HeapTuple	tuple;

	if (names->pages == 0)
		names->pages = RelationGetNumberOfBlocks(catalog);
	if (names->missed <= names->pages)
	{
		table_close(catalog, AccessShareLock);
		return;
	}
	scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		Datum		name = heap_getattr(tuple, which->name, RelationGetDescr(catalog), &isnull);

		CHECK_FOR_INTERRUPTS();
		lint_names_add(lint, &found, NameStr(*DatumGetName(name)));
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	*names = found;
}

/*
 * Whether no object of that kind has that name, in no schema. To be asked before
 * the name is looked up; false: look it up, and tell lint_name_missed().
 */
bool
lint_name_is_absent(Lint *lint, LintNamesKind kind, const char *name)
{
	const LintNames *names = &lint->catalog_names[kind];

	return names->slots != NULL && !lint_names_may_have(names, name);
}

/* A name was looked up in vain. */
void
lint_name_missed(Lint *lint, LintNamesKind kind)
{
	LintNames  *names = &lint->catalog_names[kind];

	if (names->slots == NULL && ++names->missed > Max(names->pages, NAMES_FREE_LOOKUPS))
		names_read(lint, names, &names_catalogs[kind]);
}
