/*
 * lint_catalog.c
 *		What the catalogs say of a relation: columns, constraints, indexes,
 *		children, dependents; and how large it is.
 *
 * Read when a rule asks, and kept for the rest of the script, which changes
 * these lists as it goes. A size needs the relation's file: its lock is tried
 * (ACCESS SHARE, without waiting) and given back at once; where it can't be had
 * the figures of pg_class must do. All of it runs in the subtransaction of
 * lint_analysis().
 */
#include "postgres.h"

#include <sys/stat.h>

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/indexing.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "common/hashfn.h"
#include "common/relpath.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "optimizer/plancat.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "lint_internal.h"

/* Tables of so many pages are counted; of larger ones so many are looked at. */
#define LINT_COUNT_PAGES	8
#define LINT_PROBE_PAGES	64

/* With more partitions than this, pg_class is believed where it knows. */
#define LINT_OPEN_PARTITIONS	16

/* ---- columns */

/* More columns of a relation than this are found by a hash of their names. */
#define LINT_LISTED_COLUMNS 32

/* Columns of a relation that are looked up one by one; then all are read. */
#define LINT_SINGLE_COLUMNS 2

typedef struct LintColumnEntry
{
	const char *name;			/* lives as long as the state */
	LintColumn *column;
	uint32		hash;
	char		status;
} LintColumnEntry;

#define SH_PREFIX		lint_columns_of
#define SH_ELEMENT_TYPE	LintColumnEntry
#define SH_KEY_TYPE		const char *
#define SH_KEY			name
#define SH_HASH_KEY(tb, key)	hash_bytes((const unsigned char *) (key), strlen(key))
#define SH_EQUAL(tb, a, b)	(strcmp(a, b) == 0)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, a)	(a)->hash
#define SH_SCOPE		static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

static bool
column_is_named(const LintColumn *column, const char *name)
{
	return column->name != NULL && strcmp(column->name, name) == 0;
}

/* The first one of a name keeps it. */
static void
column_enter_name(LintRelation *rel, LintColumn *column)
{
	LintColumnEntry *entry;
	bool		found;

	if (column->name == NULL)
		return;
	entry = lint_columns_of_insert(rel->column_names, column->name, &found);
	if (!found || !column_is_named(entry->column, column->name))
		entry->column = column;
}

/* Notes the name of a column that is in the list. */
static void
column_note_name(Lint *lint, LintRelation *rel, LintColumn *column)
{
	ListCell   *lc;

	if (rel->column_names != NULL)
	{
		column_enter_name(rel, column);
		return;
	}
	if (list_length(rel->columns) <= LINT_LISTED_COLUMNS)
		return;
	rel->column_names = lint_columns_of_create(lint->context, LINT_LISTED_COLUMNS * 2, NULL);
	foreach(lc, rel->columns)
		column_enter_name(rel, lfirst(lc));
}

static LintColumn *
column_listed(LintRelation *rel, const char *name)
{
	LintColumnEntry *entry;
	ListCell   *lc;

	if (rel->column_names != NULL)
	{
		entry = lint_columns_of_lookup(rel->column_names, name);
		return entry != NULL && column_is_named(entry->column, name) ? entry->column : NULL;
	}
	foreach(lc, rel->columns)
	{
		if (column_is_named(lfirst(lc), name))
			return lfirst(lc);
	}
	return NULL;
}

static LintColumn *
column_listed_number(LintRelation *rel, AttrNumber attnum, int n)
{
	for (int i = 0; i < n; i++)
	{
		LintColumn *column = list_nth(rel->columns, i);

		if (column->attnum == attnum)
			return column;
	}
	return NULL;
}

/* A column of the catalogs; listed: how many of the list may be the same one. */
static LintColumn *
catalog_column(Lint *lint, LintRelation *rel, Form_pg_attribute att, int listed)
{
	LintColumn *column;

	if (att->attisdropped)
		return NULL;
	column = column_listed_number(rel, att->attnum, listed);
	if (column != NULL)
		return column;
	column = lint_alloc(lint, sizeof(LintColumn));
	column->name = lint_strdup(lint, NameStr(att->attname));
	column->attnum = att->attnum;
	column->type = att->atttypid;
	column->typmod = att->atttypmod;
	column->collation = att->attcollation;
	column->not_null = att->attnotnull;
	column->has_default = att->atthasdef || att->attidentity != '\0';
	column->generated = att->attgenerated;
	rel->columns = lint_append(lint, rel->columns, column);
	column_note_name(lint, rel, column);
	return column;
}

static void
catalog_columns(Lint *lint, LintRelation *rel)
{
	int			listed = list_length(rel->columns);
	Relation	pg_attribute = table_open(AttributeRelationId, AccessShareLock);
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_attribute_attrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(rel->oid));
	scan = systable_beginscan(pg_attribute, AttributeRelidNumIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		(void) catalog_column(lint, rel, (Form_pg_attribute) GETSTRUCT(tuple), listed);
	systable_endscan(scan);
	table_close(pg_attribute, AccessShareLock);
	rel->have_columns = true;
}

/*
 * The column of that name as it is now, or NULL. A new relation's columns are
 * believed to be what statements call them.
 */
LintColumn *
lint_column(Lint *lint, LintRelation *rel, const char *name)
{
	LintColumn *column = column_listed(rel, name);
	HeapTuple	tuple;

	if (column != NULL)
		return column;
	if (rel->is_new)
		return lint_column_add(lint, rel, name);
	if (rel->have_columns)
		return NULL;
	if (++rel->column_lookups > LINT_SINGLE_COLUMNS)
	{
		catalog_columns(lint, rel);
		return column_listed(rel, name);
	}
	tuple = SearchSysCacheAttName(rel->oid, name);
	if (!HeapTupleIsValid(tuple))
		return NULL;
	column = catalog_column(lint, rel, (Form_pg_attribute) GETSTRUCT(tuple),
							list_length(rel->columns));
	ReleaseSysCache(tuple);

	/* The script has renamed or dropped the one that had this name. */
	return column != NULL && column_is_named(column, name) ? column : NULL;
}

LintColumn *
lint_column_numbered(Lint *lint, LintRelation *rel, AttrNumber attnum)
{
	LintColumn *column = column_listed_number(rel, attnum, list_length(rel->columns));
	HeapTuple	tuple;

	if (column != NULL || rel->is_new || rel->have_columns || attnum > MaxHeapAttributeNumber)
		return column;
	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(rel->oid), Int16GetDatum(attnum));
	if (!HeapTupleIsValid(tuple))
		return NULL;
	column = catalog_column(lint, rel, (Form_pg_attribute) GETSTRUCT(tuple), 0);
	ReleaseSysCache(tuple);
	return column;
}

/* A column that the script makes; its type is left unknown. */
LintColumn *
lint_column_add(Lint *lint, LintRelation *rel, const char *name)
{
	LintColumn *column = lint_alloc(lint, sizeof(LintColumn));

	column->name = lint_strdup(lint, name);
	column->attnum = ++rel->attnum;
	column->typmod = -1;
	column->is_new = true;
	rel->columns = lint_append(lint, rel->columns, column);
	column_note_name(lint, rel, column);
	return column;
}

void
lint_column_rename(Lint *lint, LintRelation *rel, LintColumn *column, const char *name)
{
	lint_use_rename_column(lint, rel, column->name, name);
	column->name = lint_strdup(lint, name);
	column_note_name(lint, rel, column);
}

/* ---- constraints */

static List *
catalog_numbers(Lint *lint, HeapTuple tuple, int attribute, TupleDesc desc)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, attribute, desc, &isnull);
	ArrayType  *array;
	int16	   *numbers;
	List	   *result = NIL;

	if (isnull)
		return NIL;
	/* Never null, so the data begin behind the plain header. */
	array = DatumGetArrayTypeP(value);
	numbers = (int16 *) ((char *) array + ARR_OVERHEAD_NONULLS(1));
	for (int i = 0; ARR_NDIM(array) == 1 && i < ARR_DIMS(array)[0]; i++)
		result = lint_append_number(lint, result, numbers[i]);
	return result;
}

static LintConstraint *
catalog_constraint(Lint *lint, HeapTuple tuple, TupleDesc desc)
{
	Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);
	LintConstraint *constraint = lint_alloc(lint, sizeof(LintConstraint));
	bool		isnull;
	Datum		value;

	constraint->name = lint_strdup(lint, NameStr(form->conname));
	constraint->oid = form->oid;
	constraint->type = form->contype;
	constraint->validated = form->convalidated;
	constraint->enforced = COMPAT_FORM_ENFORCED(form);
	constraint->made_step = -1;
	constraint->index = form->conindid;
	constraint->other_table = form->confrelid;
	constraint->keys = catalog_numbers(lint, tuple, Anum_pg_constraint_conkey, desc);
	constraint->other_keys = catalog_numbers(lint, tuple, Anum_pg_constraint_confkey, desc);
	value = heap_getattr(tuple, Anum_pg_constraint_conbin, desc, &isnull);
	if (!isnull)
		constraint->stored = lint_strdup(lint, TextDatumGetCString(value));
	return constraint;
}

/* The relation's constraints, the script's among them; some may be gone. */
List *
lint_constraints(Lint *lint, LintRelation *rel)
{
	Relation	pg_constraint;
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple	tuple;

	if (rel->have_constraints)
		return rel->constraints;
	rel->have_constraints = true;

	lint_analysis(lint);
	pg_constraint = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_constraint_conrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(rel->oid));
	scan = systable_beginscan(pg_constraint, ConstraintRelidTypidNameIndexId, true,
							  NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		rel->constraints = lint_append(lint, rel->constraints,
									   catalog_constraint(lint, tuple,
														  RelationGetDescr(pg_constraint)));
	systable_endscan(scan);
	table_close(pg_constraint, AccessShareLock);
	return rel->constraints;
}

LintConstraint *
lint_constraint(Lint *lint, LintRelation *rel, const char *name)
{
	ListCell   *lc;

	foreach(lc, lint_constraints(lint, rel))
	{
		LintConstraint *constraint = lfirst(lc);

		if (!constraint->gone && constraint->name != NULL &&
			strcmp(constraint->name, name) == 0)
			return constraint;
	}
	return NULL;
}

/*
 * The name that the server chooses for a CHECK or a foreign key, unless that is
 * taken, as ChooseConstraintName() makes it; NULL: not known. keys: the columns of
 * a foreign key; expression: of a CHECK, analyzed.
 */
char *
lint_constraint_name(Lint *lint, LintRelation *rel, Constraint *con, List *keys,
					 Node *expression)
{
	const char *columns = NULL;
	const char *name;

	if (con->contype == CONSTR_FOREIGN)
		columns = lint_join(keys, "_");
	else if (con->contype == CONSTR_CHECK && expression != NULL)
	{
		Bitmapset  *attributes = NULL;
		int			member;
		LintColumn *column;

		pull_varattnos(expression, 1, &attributes);
		if (bms_get_singleton_member(attributes, &member))
		{
			column = lint_column_numbered(lint, rel, member + FirstLowInvalidHeapAttributeNumber);
			if (column != NULL && column->name != NULL)
				columns = column->name;
		}
	}
	else
		return NULL;
	name = lint_object_name(lint, rel->name, columns, con->contype == CONSTR_FOREIGN ? "fkey" : "check");
	return lint_constraint(lint, rel, name) != NULL ? NULL : lint_strdup(lint, name);
}

/* What depends on an object: a list of LintDependent, in the current context. */
List *
lint_dependents(Lint *lint, Oid class, Oid object)
{
	List	   *result = NIL;
	Relation	pg_depend;
	SysScanDesc scan;
	ScanKeyData keys[2];
	HeapTuple	tuple;

	lint_analysis(lint);
	pg_depend = table_open(DependRelationId, AccessShareLock);
	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(class));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(object));
	scan = systable_beginscan(pg_depend, DependReferenceIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);
		LintDependent *dependent = palloc(sizeof(LintDependent));

		CHECK_FOR_INTERRUPTS();
		dependent->column = form->refobjsubid;
		ObjectAddressSubSet(dependent->object, form->classid, form->objid, form->objsubid);
		result = lappend(result, dependent);
	}
	systable_endscan(scan);
	table_close(pg_depend, AccessShareLock);
	return result;
}

/* The same of a relation and its columns; read once. */
static List *
catalog_dependents(Lint *lint, LintRelation *rel)
{
	MemoryContext old;

	if (!rel->have_dependents)
	{
		old = MemoryContextSwitchTo(lint->context);
		rel->dependents = lint_dependents(lint, RelationRelationId, rel->oid);
		MemoryContextSwitchTo(old);
		rel->have_dependents = true;
	}
	return rel->dependents;
}

/* What depends on a column: a list of LintDependent, in the current context. */
List *
lint_column_dependents(Lint *lint, LintRelation *rel, int column)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, catalog_dependents(lint, rel))
	{
		if (((LintDependent *) lfirst(lc))->column == column)
			result = lappend(result, lfirst(lc));
	}
	return result;
}

/* The foreign keys of the catalogs that refer to a table: their oids. */
List *
lint_keys_to(Lint *lint, LintRelation *table)
{
	MemoryContext old;
	List	   *result = NIL;
	ListCell   *lc;

	if (table->have_keys_to)
		return table->keys_to;
	foreach(lc, catalog_dependents(lint, table))
	{
		ObjectAddress *object = &((LintDependent *) lfirst(lc))->object;
		HeapTuple	tuple;

		if (object->classId != ConstraintRelationId)
			continue;
		tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(object->objectId));
		if (!HeapTupleIsValid(tuple))
			continue;
		if (((Form_pg_constraint) GETSTRUCT(tuple))->contype == CONSTRAINT_FOREIGN &&
			((Form_pg_constraint) GETSTRUCT(tuple))->confrelid == table->oid)
			result = list_append_unique_oid(result, object->objectId);
		ReleaseSysCache(tuple);
	}
	old = MemoryContextSwitchTo(lint->context);
	table->keys_to = list_copy(result);
	MemoryContextSwitchTo(old);
	table->have_keys_to = true;
	return table->keys_to;
}

/* The tables of a composite type that were there before the script: LintRelation. */
List *
lint_typed_tables(Lint *lint, LintRelation *type)
{
	Oid			oid = get_rel_type_id(type->oid);
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, lint_dependents(lint, TypeRelationId, oid))
	{
		ObjectAddress *object = &((LintDependent *) lfirst(lc))->object;
		LintRelation *rel = object->classId == RelationRelationId && object->objectSubId == 0 ?
			lint_relation_by_oid(lint, object->objectId) : NULL;
		HeapTuple	tuple;

		if (rel == NULL || rel->gone || rel->untyped)
			continue;
		tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(rel->oid));
		if (!HeapTupleIsValid(tuple))
			continue;
		if (((Form_pg_class) GETSTRUCT(tuple))->reloftype == oid)
			result = list_append_unique_ptr(result, rel);
		ReleaseSysCache(tuple);
	}
	return result;
}
/* ---- indexes */

static LintIndex *
catalog_index(Lint *lint, HeapTuple tuple)
{
	Form_pg_index form = (Form_pg_index) GETSTRUCT(tuple);
	char	   *name = get_rel_name(form->indexrelid);
	LintIndex  *index = lint_alloc(lint, sizeof(LintIndex));

	index->oid = form->indexrelid;
	index->name = name == NULL ? NULL : lint_strdup(lint, name);
	index->valid = form->indisvalid;
	index->unique = form->indisunique;
	index->partial = !heap_attisnull(tuple, Anum_pg_index_indpred, NULL);
	for (int i = 0; i < form->indnkeyatts; i++)
		index->keys = lint_append_number(lint, index->keys, form->indkey.values[i]);
	return index;
}

/* The relation's indexes, the script's among them; some may be gone. */
List *
lint_indexes(Lint *lint, LintRelation *rel)
{
	Relation	pg_index;
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple	tuple;

	if (rel->have_indexes)
		return rel->indexes;
	rel->have_indexes = true;

	lint_analysis(lint);
	pg_index = table_open(IndexRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_index_indrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(rel->oid));
	scan = systable_beginscan(pg_index, IndexIndrelidIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		rel->indexes = lint_append(lint, rel->indexes, catalog_index(lint, tuple));
	systable_endscan(scan);
	table_close(pg_index, AccessShareLock);
	return rel->indexes;
}

/* ---- sizes */

/* The oids of all that inherits from it, at any depth. */
List *
lint_children(Lint *lint, LintRelation *rel)
{
	List	   *all;
	ListCell   *lc;

	if (!OidIsValid(rel->oid) ||
		(rel->relkind != RELKIND_PARTITIONED_TABLE && !rel->has_children))
		return NIL;
	lint_analysis(lint);
	all = list_delete_oid(find_all_inheritors(rel->oid, NoLock, NULL), rel->oid);
	foreach(lc, lint->sizes_age > 0 ? all : NIL)
	{
		LintRelation *child = lint_relation_by_oid(lint, lfirst_oid(lc));

		if (child == NULL || child->gone || child->detached)
			all = foreach_delete_current(all, lc);
	}
	return all;
}

/* The parents of a relation of the catalogs, unless the script has taken it from them. */
List *
lint_parents(Lint *lint, LintRelation *rel)
{
	List	   *result = NIL;
	Relation	pg_inherits;
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple	tuple;

	if (rel->is_new || rel->detached)
		return NIL;
	lint_analysis(lint);
	pg_inherits = table_open(InheritsRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_inherits_inhrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(rel->oid));
	scan = systable_beginscan(pg_inherits, InheritsRelidSeqnoIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		LintRelation *parent = lint_relation_by_oid(lint, ((Form_pg_inherits) GETSTRUCT(tuple))->inhparent);

		if (parent != NULL && !parent->gone)
			result = lappend(result, parent);
	}
	systable_endscan(scan);
	table_close(pg_inherits, AccessShareLock);
	return result;
}

/* A relation has lost its rows or its parent: the parent's are to be counted anew. */
void
lint_size_changes(Lint *lint, LintRelation *child)
{
	if (child->is_new || child->has_no_parent)
		return;
	if (!child->is_partition)
	{
		lint_analysis(lint);
		child->has_no_parent = !has_superclass(child->oid);
		if (child->has_no_parent)
			return;
	}
	lint->sizes_age++;
}

/*
 * Rows that are visible in some pages of a table, from one on; -1: not known.
 * With first_only it stops at one.
 */
static double
size_count(Relation rel, BlockNumber from, BlockNumber pages, bool first_only)
{
	double		rows = 0;
	ItemPointerData first;
	ItemPointerData last;
	Snapshot	snapshot;
	TableScanDesc scan;
	TupleTableSlot *slot;

	if (rel->rd_tableam == NULL || rel->rd_tableam->scan_set_tidrange == NULL)
		return -1;
	/* Not the transaction's: the script may still choose its isolation level. */
	snapshot = RegisterSnapshot(GetCatalogSnapshot(RelationGetRelid(rel)));
	slot = table_slot_create(rel, NULL);
	ItemPointerSet(&first, from, 1);
	ItemPointerSet(&last, from + pages - 1, MaxOffsetNumber);
	scan = table_beginscan_tidrange(rel, snapshot, &first, &last);
	while (table_scan_getnextslot_tidrange(scan, ForwardScanDirection, slot))
	{
		rows++;
		if (first_only)
			break;
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	UnregisterSnapshot(snapshot);
	return rows;
}

/*
 * Adds one relation with storage to a size, from its file. A small table is
 * counted; else pg_class knows how many rows a page has, or some pages do.
 */
static void
size_add_open(LintSize *size, Relation relation)
{
	BlockNumber pages = RelationGetNumberOfBlocks(relation);
	double		tuples = relation->rd_rel->reltuples;
	bool		known = tuples > 0 && relation->rd_rel->relpages > 0;
	double		counted;

	size->bytes += (double) pages * BLCKSZ;
	if (pages == 0)
		return;
	if (pages <= LINT_COUNT_PAGES)
		counted = size_count(relation, 0, pages, false);
	else if (known)
		counted = size_count(relation, 0, 1, true);
	else
	{
		/* The first ones and the last full ones; old rows may be shorter. */
		counted = size_count(relation, 0, LINT_COUNT_PAGES / 2, false);
		if (counted > 0)
			counted += size_count(relation, pages - 1 - LINT_COUNT_PAGES / 2,
								  LINT_COUNT_PAGES / 2, false);
	}
	if (counted == 0 && pages > 1)
	{
		/* Nothing alive there: look a little further. */
		counted = size_count(relation, 0, Min(pages, LINT_PROBE_PAGES), true);
		if (counted == 0 && pages > LINT_PROBE_PAGES)
			counted = -1;
	}
	if (counted == 0)
		return;
	size->empty = false;
	if (counted > 0 && pages <= LINT_COUNT_PAGES)
		size->rows += counted;
	else if (known)
		size->rows += tuples / relation->rd_rel->relpages * pages;
	else if (counted > 1)
		size->rows += counted / LINT_COUNT_PAGES * pages;
	else
		size->rows += (double) pages * (BLCKSZ - SizeOfPageHeaderData) /
			(MAXALIGN(get_rel_data_width(relation, NULL)) +
			 MAXALIGN(SizeofHeapTupleHeader) + sizeof(ItemIdData));
}

/* The same from pg_class; false where that doesn't know. */
static bool
size_add_known(LintSize *size, Oid oid, bool only_if_known)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(oid));
	Form_pg_class form;
	bool		known;

	if (!HeapTupleIsValid(tuple))
		return true;
	form = (Form_pg_class) GETSTRUCT(tuple);
	known = !RELKIND_HAS_STORAGE(form->relkind) || form->reltuples > 0;
	if (RELKIND_HAS_STORAGE(form->relkind) && (known || !only_if_known))
	{
		size->bytes += (double) form->relpages * BLCKSZ;
		size->rows += Max(form->reltuples, 0);
		if (form->reltuples != 0 || form->relpages > 0)
			size->empty = false;
	}
	ReleaseSysCache(tuple);
	return known;
}

/*
 * Whether a table that is locked has no pages, as far as its row in pg_class tells
 * where its file is: large schemas have many empty tables, and to open them all
 * costs ten times as much. rel NULL: nothing is known.
 */
static bool
size_is_zero(const LintRelation *rel)
{
	HeapTuple	tuple;
	Form_pg_class form;
	struct stat file;
	bool		zero;

	if (rel == NULL || rel->relkind != RELKIND_RELATION)
		return false;

	/* By the name, under which the row was found: it is at hand. */
	tuple = SearchSysCache2(RELNAMENSP, CStringGetDatum(rel->name), ObjectIdGetDatum(rel->namespace));
	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_class) GETSTRUCT(tuple);
	zero = form->oid == rel->oid && form->relkind == RELKIND_RELATION && !form->relisshared &&
		form->relpersistence != RELPERSISTENCE_TEMP && form->relam == HEAP_TABLE_AM_OID &&
		OidIsValid(form->relfilenode) &&
		stat(COMPAT_FILE_PATH(OidIsValid(form->reltablespace) ? form->reltablespace :
							  MyDatabaseTableSpace, MyDatabaseId, form->relfilenode), &file) == 0 &&
		file.st_size == 0;
	ReleaseSysCache(tuple);
	return zero;
}

/* relkind '\0': to be looked up; rel: the same relation, where it is known, or NULL. */
static void
size_add(LintSize *size, Oid oid, char relkind, const LintRelation *rel, bool believe)
{
	Relation	relation;

	if (believe && size_add_known(size, oid, true))
		return;
	if (relkind == '\0')
		relkind = get_rel_relkind(oid);
	if (!RELKIND_HAS_STORAGE(relkind))
		return;
	if (!ConditionalLockRelationOid(oid, AccessShareLock))
	{
		/* Somebody works on it; so it is in use. */
		size_add_known(size, oid, false);
		size->empty = false;
		return;
	}
	relation = size_is_zero(rel) ? NULL : try_relation_open(oid, NoLock);
	if (relation != NULL)
	{
		if (!RELATION_IS_OTHER_TEMP(relation))
			size_add_open(size, relation);
		relation_close(relation, NoLock);
	}
	UnlockRelationOid(oid, AccessShareLock);
}

/* Whether a relation's children count: the statement means them, or it has no rows of its own. */
static bool
size_is_of_all(Lint *lint, LintRelation *rel)
{
	return lint->inherit || rel->relkind == RELKIND_PARTITIONED_TABLE;
}

/*
 * The relation's size, read once: with its children where the statement under
 * way means them, and always for a partitioned table.
 */
const LintSize *
lint_size(Lint *lint, LintRelation *rel)
{
	static const LintSize nothing = {0, 0, true};
	LintSizes  *sizes = rel->sizes;
	List	   *children;
	ListCell   *lc;

	if (!OidIsValid(rel->oid))
		return &nothing;
	if (sizes == NULL || (rel->n_children > 0 && sizes->age != lint->sizes_age))
	{
		if (sizes == NULL)
			sizes = rel->sizes = lint_alloc(lint, sizeof(LintSizes));
		memset(sizes, 0, sizeof(LintSizes));
		sizes->age = lint->sizes_age;
		sizes->alone.empty = sizes->with_children.empty = true;
		lint_analysis(lint);
		children = lint_children(lint, rel);
		rel->n_children = list_length(children);
		size_add(&sizes->alone, rel->oid, rel->relkind, rel, false);
		sizes->with_children = sizes->alone;
		foreach(lc, children)
		{
			LintRelation *child = lint->sizes_age == 0 ? NULL :
				lint_relation_by_oid(lint, lfirst_oid(lc));

			CHECK_FOR_INTERRUPTS();
			if (child != NULL && child->emptied)
				continue;
			size_add(&sizes->with_children, lfirst_oid(lc), '\0', child,
					 rel->n_children > LINT_OPEN_PARTITIONS);
		}
	}
	return size_is_of_all(lint, rel) ? &sizes->with_children : &sizes->alone;
}

static char *
size_bytes_text(double bytes)
{
	static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB", "PB"};
	int			unit = 0;

	while (bytes >= 10240 && unit < (int) lengthof(units) - 1)
	{
		bytes /= 1024;
		unit++;
	}
	return psprintf("%.0f %s", bytes, units[unit]);
}

static char *
size_count_text(double n, const char *one)
{
	if (n >= 9999500)
		return psprintf("%.0f M %ss", n / 1000000, one);
	if (n >= 99950)
		return psprintf("%.0f k %ss", n / 1000, one);
	return psprintf("%.0f %s%s", n, one,
					n == 1 ? "" : strcmp(one, "index") == 0 ? "es" : "s");
}

/* "12 GB, 41 M rows, 3 indexes", of an old relation; lives as long as the lint. */
char *
lint_size_text(Lint *lint, LintRelation *rel)
{
	const LintSize *size = lint_size(lint, rel);
	bool		all = size_is_of_all(lint, rel);
	char	  **text = &rel->sizes->texts[all ? 1 : 0];
	const char *children = "";
	int			n_indexes = 0;
	ListCell   *lc;

	if (*text != NULL)
		return *text;
	foreach(lc, lint_indexes(lint, rel))
		n_indexes += OidIsValid(((LintIndex *) lfirst(lc))->oid);
	if (rel->n_children > 0 && all)
		children = psprintf("%s, ", size_count_text(rel->n_children,
													rel->relkind == RELKIND_PARTITIONED_TABLE ?
													"partition" : "child table"));
	*text = lint_keep_text(lint, psprintf("%s%s, %s, %s", children, size_bytes_text(size->bytes),
										  size_count_text(size->rows, "row"),
										  size_count_text(n_indexes, "index")));
	return *text;
}
