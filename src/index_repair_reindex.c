/*
 * index_repair_reindex.c
 *		What REINDEX CONCURRENTLY leaves behind, and what it leaves alone.
 *
 * An interrupted one leaves INVALID doubles of the indexes that it rebuilds,
 * NAME_ccnew before and NAME_ccold after the two were swapped, each followed by
 * a number where the name was taken.  It never takes up its own remains.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/catalog.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "storage/sinvaladt.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "compat.h"
#include "index_repair_internal.h"

static bool
index_repair_is_concurrent_reindex(ReindexStmt *stmt)
{
	bool		result = false;
	ListCell   *cell;

	foreach(cell, stmt->params)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, "concurrently") == 0)
			result = defGetBoolean(option);
	}
	return result;
}

/*
 * The leaves of what REINDEX INDEX or TABLE names: indexes or tables with
 * storage. NIL when there is no such thing.
 */
static List *
index_repair_reindexed(ReindexStmt *stmt)
{
	Oid			named = RangeVarGetRelid(stmt->relation, NoLock, true);
	List	   *result = NIL;
	ListCell   *cell;
	char		kind;

	if (!OidIsValid(named))
		return NIL;
	kind = get_rel_relkind(named);
	if (kind != RELKIND_PARTITIONED_INDEX && kind != RELKIND_PARTITIONED_TABLE)
		return list_make1_oid(named);
	foreach(cell, find_all_inheritors(named, NoLock, NULL))
	{
		kind = get_rel_relkind(lfirst_oid(cell));
		if (kind == RELKIND_INDEX || kind == RELKIND_RELATION ||
			kind == RELKIND_MATVIEW)
			result = lappend_oid(result, lfirst_oid(cell));
	}
	return result;
}

/* The table's own oid, and that of its TOAST table. */
static List *
index_repair_add_table(List *tables, Oid oid, Oid toast)
{
	tables = lappend_oid(tables, oid);
	return OidIsValid(toast) ? lappend_oid(tables, toast) : tables;
}

/* All tables of a schema, of the database where it is invalid. */
static List *
index_repair_tables_of(Oid schema)
{
	Relation	rel = table_open(RelationRelationId, AccessShareLock);
	TableScanDesc scan = table_beginscan_catalog(rel, 0, NULL);
	List	   *result = NIL;
	HeapTuple	tuple;

	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_class class = (Form_pg_class) GETSTRUCT(tuple);

		CHECK_FOR_INTERRUPTS();
		if ((class->relkind == RELKIND_RELATION ||
			 class->relkind == RELKIND_MATVIEW) &&
			(!OidIsValid(schema) || class->relnamespace == schema))
			result = index_repair_add_table(result, class->oid,
											class->reltoastrelid);
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	return result;
}

/*
 * Whether an index is what REINDEX CONCURRENTLY leaves behind: by its name the
 * new or the old one of another index, and that one's double. base: of this
 * one only, InvalidOid: of any on the table.
 */
static bool
index_repair_is_transient(const IndexRepairIndex *index, Oid base)
{
	ListCell   *cell;

	if (index_repair_label(index->name, "ccnew") == NULL &&
		index_repair_label(index->name, "ccold") == NULL)
		return false;

	foreach(cell, index_repair_indexes_of(index->definition.table))
	{
		IndexRepairIndex other;

		if (lfirst_oid(cell) == index->oid ||
			(OidIsValid(base) && lfirst_oid(cell) != base) ||
			!index_repair_read_index(lfirst_oid(cell), &other))
			continue;
		if (other.schema == index->schema &&
			(index_repair_is_made_of(index->name, other.name, NULL, "ccnew") ||
			 index_repair_is_made_of(index->name, other.name, NULL, "ccold")) &&
			index_repair_differences(&index->definition, &other.definition) == NULL)
			return true;
	}
	return false;
}

/*
 * Look among a table's indexes for remains of REINDEX CONCURRENTLY that the
 * current user can drop. True when one was found.
 */
static bool
index_repair_judge_remains(Oid table, Oid base, IndexRepair *repair)
{
	ListCell   *cell;

	/* Only a superuser can name an index of a TOAST table. */
	if (IsCatalogRelationOid(table) ||
		!COMPAT_OWNS_RELATION(table, GetUserId()) ||
		(IsToastNamespace(get_rel_namespace(table)) && !superuser()))
		return false;

	foreach(cell, index_repair_indexes_of(table))
	{
		IndexRepairIndex index;

		CHECK_FOR_INTERRUPTS();
		if (index_repair_read_index(lfirst_oid(cell), &index) &&
			!index.valid && index.bound == NULL &&
			index_repair_is_transient(&index, base))
		{
			index_repair_drop(&index, repair);
			return true;
		}
	}
	return false;
}

/*
 * Whether somebody could be building an index of the table: holds a lock that
 * a concurrent build holds, and isn't a VACUUM.
 */
static bool
index_repair_is_being_built(Oid table)
{
	LOCKTAG		tag;
	VirtualTransactionId *holders;
	int			n;

	SET_LOCKTAG_RELATION(tag, MyDatabaseId, table);
	holders = GetLockConflicts(&tag, ShareUpdateExclusiveLock, &n);
	for (int i = 0; i < n; i++)
	{
		PGPROC	   *proc = COMPAT_VXID_GET_PROC(holders[i]);

		if (proc != NULL && (proc->statusFlags & PROC_IN_VACUUM) == 0)
			return true;
	}
	return false;
}

/*
 * REINDEX TABLE CONCURRENTLY leaves an INVALID index as it is, with a WARNING.
 * Raise the error that the step ends with.
 */
static void
index_repair_check_skipped(Oid table)
{
	ListCell   *cell;

	foreach(cell, index_repair_indexes_of(table))
	{
		IndexRepairIndex index;

		if (!index_repair_read_index(lfirst_oid(cell), &index) || index.valid ||
			index_repair_is_transient(&index, InvalidOid))
			continue;

		/* In this order: a build that has just let go of its lock has ended. */
		if (index_repair_is_being_built(table) ||
			!index_repair_still_invalid(index.oid))
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("index \"%s\" is invalid, and REINDEX TABLE CONCURRENTLY skips over it",
						index.name),
				 errdetail("There is: %s", index_repair_definition_text(&index)),
				 errhint("REINDEX INDEX CONCURRENTLY %s, or DROP INDEX CONCURRENTLY it; then run the migration again.",
						 index.qualified)));
	}
}

/* The TOAST table of a table, or InvalidOid. */
static Oid
index_repair_toast_of(Oid table)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
	Oid			result = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		result = ((Form_pg_class) GETSTRUCT(tuple))->reltoastrelid;
		ReleaseSysCache(tuple);
	}
	return result;
}

/* REINDEX CONCURRENTLY. */
void
index_repair_judge_reindex(ReindexStmt *stmt, IndexRepair *repair)
{
	List	   *tables = NIL;
	Oid			schema = InvalidOid;
	ListCell   *cell;

	if (!index_repair_is_concurrent_reindex(stmt))
		return;

	switch (stmt->kind)
	{
		case REINDEX_OBJECT_INDEX:
			foreach(cell, index_repair_reindexed(stmt))
			{
				Oid			table = IndexGetRelation(lfirst_oid(cell), true);

				if (OidIsValid(table) &&
					index_repair_judge_remains(table, lfirst_oid(cell), repair))
					return;
			}
			return;

		case REINDEX_OBJECT_TABLE:
			foreach(cell, index_repair_reindexed(stmt))
				tables = index_repair_add_table(tables, lfirst_oid(cell),
												index_repair_toast_of(lfirst_oid(cell)));
			break;

		case REINDEX_OBJECT_SCHEMA:
			schema = get_namespace_oid(stmt->name, true);
			if (!OidIsValid(schema))
				return;
			tables = index_repair_tables_of(schema);
			break;

		case REINDEX_OBJECT_DATABASE:
			tables = index_repair_tables_of(InvalidOid);
			break;

		default:
			return;
	}

	foreach(cell, tables)
	{
		if (index_repair_judge_remains(lfirst_oid(cell), InvalidOid, repair))
			return;
	}

	/* What it would end with had better be known before hours of work. */
	if (stmt->kind == REINDEX_OBJECT_TABLE)
	{
		foreach(cell, index_repair_reindexed(stmt))
			index_repair_check_skipped(lfirst_oid(cell));
	}
}

/* The half of index_repair_check() that is about REINDEX. */
void
index_repair_check_reindex(ReindexStmt *stmt)
{
	ListCell   *cell;

	if (!index_repair_is_concurrent_reindex(stmt) ||
		(stmt->kind != REINDEX_OBJECT_INDEX && stmt->kind != REINDEX_OBJECT_TABLE))
		return;
	foreach(cell, index_repair_reindexed(stmt))
	{
		IndexRepairIndex index;

		if (stmt->kind == REINDEX_OBJECT_TABLE)
			index_repair_check_skipped(lfirst_oid(cell));
		else if (index_repair_read_index(lfirst_oid(cell), &index) &&
				 !index.valid)
			index_repair_raise_invalid(&index, "Run the migration again.");
	}
}
