/*
 * index_repair.c
 *		INVALID indexes, and the effects of interrupted steps.
 *
 * A CONCURRENTLY statement that fails or is interrupted leaves its pieces
 * behind: an INVALID index, a transient one of REINDEX, a detach that is
 * pending.  PostgreSQL's own answer to the next try is "already exists" or,
 * behind IF NOT EXISTS, success over an index that nothing uses.  This room
 * says what a step's statement finds before it runs, and whether an index is
 * valid behind it.
 *
 * It only reads: the caller runs what is to be run, each at top level.
 * Everything happens in the caller's transaction.  The strongest lock taken is
 * ACCESS SHARE, on the table of a CREATE INDEX, after the check of ownership
 * that CREATE INDEX itself begins with.
 *
 * An index that somebody builds at this moment is INVALID too, and nothing in
 * the catalogs tells it from the remains of a build.  So an index that is to be
 * dropped is only named here; the caller takes the lock that every concurrent
 * build holds from its beginning to its end, asks index_repair_still_invalid(),
 * and judges again.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "commands/tablecmds.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parser.h"
#include "storage/lmgr.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "index_repair.h"
#include "index_repair_internal.h"
#include "script.h"

/* The statement, clipped, for a message. */
static char *
index_repair_statement_text(const RawStmt *raw, const char *sql)
{
	const char *start = sql + Max(raw->stmt_location, 0);

	return script_excerpt(start,
						  start + (raw->stmt_len > 0 ? (size_t) raw->stmt_len
								   : strlen(start)));
}

/* An INVALID index is to be dropped, by the verdict RUN. */
void
index_repair_drop(const IndexRepairIndex *index, IndexRepair *repair)
{
	repair->verdict = INDEX_REPAIR_RUN;
	repair->first = list_make1(psprintf("DROP INDEX CONCURRENTLY %s",
										index->qualified));
	repair->table = index->definition.table;
	repair->index = index->oid;
	repair->notice = psprintf("dropping the invalid index %s, which an earlier try left behind",
							  index->qualified);
}

/* The effect of an interrupted step is there. `what` says it. */
static void
index_repair_found_done(IndexRepair *repair, char *what)
{
	repair->verdict = INDEX_REPAIR_DONE;
	repair->notice = psprintf("%s: the interrupted step took effect", what);
}

/*
 * The columns' names, joined as CREATE INDEX without a name joins them; stmt
 * is transformed.
 */
static char *
index_repair_joined_columns(const IndexStmt *stmt)
{
	List	   *names = NIL;
	StringInfoData buf;
	ListCell   *cell;

	initStringInfo(&buf);
	foreach(cell, list_concat_copy(stmt->indexParams, stmt->indexIncludingParams))
	{
		IndexElem  *element = lfirst_node(IndexElem, cell);
		char	   *original = element->indexcolname != NULL ? element->indexcolname :
			element->name != NULL ? element->name : pstrdup("expr");
		char	   *name = original;
		ListCell   *other = list_head(names);
		int			number = 0;

		while (other != NULL)
		{
			if (strcmp(name, lfirst(other)) == 0)
			{
				char	   *digits = psprintf("%d", ++number);

				name = psprintf("%.*s%s",
								pg_mbcliplen(original, strlen(original),
											 NAMEDATALEN - 1 - strlen(digits)),
								original, digits);
				other = list_head(names);
			}
			else
				other = lnext(names, other);
		}
		names = lappend(names, name);
		if (buf.len < NAMEDATALEN)
			appendStringInfo(&buf, "%s%s", buf.len > 0 ? "_" : "", name);
	}
	return buf.data;
}

/*
 * CREATE INDEX CONCURRENTLY without a name: the index of an earlier try has a
 * name that PostgreSQL chose. stmt is transformed.
 */
static void
index_repair_judge_unnamed(const IndexStmt *stmt,
						   const IndexRepairDefinition *wanted,
						   bool interrupted, IndexRepair *repair)
{
	char	   *table = get_rel_name(wanted->table);
	char	   *columns = index_repair_joined_columns(stmt);
	ListCell   *cell;

	foreach(cell, index_repair_indexes_of(wanted->table))
	{
		IndexRepairIndex index;

		if (!index_repair_read_index(lfirst_oid(cell), &index) ||
			!index_repair_is_made_of(index.name, table, columns, "idx") ||
			index_repair_differences(wanted, &index.definition) != NULL)
			continue;
		if (!index.valid && index.bound == NULL)
		{
			index_repair_drop(&index, repair);
			return;
		}
		if (index.valid && index.immediate && interrupted)
			index_repair_found_done(repair,
									psprintf("index %s is there and valid",
											 index.qualified));
	}
}

/*
 * The name of a CREATE INDEX CONCURRENTLY stands for an index, or another
 * relation, that is not what the statement defines.
 */
static void
index_repair_raise_other(const RawStmt *raw, const char *sql, Oid relation,
						 const IndexRepairIndex *index, const char *differences)
{
	if (index == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 errmsg("relation \"%s\" already exists", get_rel_name(relation)),
				 errdetail("It is not an index, and IF NOT EXISTS would skip over it."),
				 errhint("Give the index another name.")));
	else if (index->valid)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 errmsg("index \"%s\" already exists with another definition",
						index->name),
				 errdetail("They differ in: %s.\nThere is: %s\nThe script has: %s",
						   differences, index_repair_definition_text(index),
						   index_repair_statement_text(raw, sql)),
				 errhint("Give the new index another name, or drop or rename the one that is there.")));
	else
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 errmsg("an invalid index \"%s\" already exists with another definition",
						index->name),
				 errdetail("They differ in: %s.\nThere is: %s\nThe script has: %s",
						   differences, index_repair_definition_text(index),
						   index_repair_statement_text(raw, sql)),
				 errhint("If nobody is building it and nothing needs it, DROP INDEX CONCURRENTLY %s; then run the migration again.",
						 index->qualified)));
}

/* CREATE INDEX CONCURRENTLY. */
static void
index_repair_judge_create(const RawStmt *raw, const char *sql, bool interrupted,
						  IndexRepair *repair)
{
	IndexStmt  *stmt = copyObject(castNode(IndexStmt, raw->stmt));
	IndexRepairDefinition wanted;
	IndexRepairIndex index;
	Oid			table;
	Oid			existing = InvalidOid;
	bool		is_index = false;
	char	   *differences;

	if (!stmt->concurrent)
		return;
	table = RangeVarGetRelidExtended(stmt->relation, AccessShareLock,
									 RVR_MISSING_OK,
									 RangeVarCallbackOwnsRelation, NULL);
	if (!OidIsValid(table))
		return;

	/*
	 * PostgreSQL refuses it on partitioned tables, and does it in one
	 * transaction on temporary ones.
	 */
	if ((get_rel_relkind(table) != RELKIND_RELATION &&
		 get_rel_relkind(table) != RELKIND_MATVIEW) ||
		get_rel_persistence(table) == RELPERSISTENCE_TEMP)
		return;

	if (stmt->idxname != NULL)
	{
		existing = get_relname_relid(stmt->idxname, get_rel_namespace(table));
		if (!OidIsValid(existing))
			return;
		is_index = index_repair_read_index(existing, &index);
		if (!is_index)
		{
			if (stmt->if_not_exists && get_rel_name(existing) != NULL)
				index_repair_raise_other(raw, sql, existing, NULL, NULL);
			return;
		}
	}

	if (!index_repair_read_statement(stmt, table, sql, &wanted))
		return;
	if (!is_index)
	{
		index_repair_judge_unnamed(stmt, &wanted, interrupted, repair);
		return;
	}

	differences = index_repair_differences(&wanted, &index.definition);
	if (differences == NULL && !index.immediate)
		differences = "deferrability";

	if (index.valid)
	{
		if (differences == NULL && interrupted)
			index_repair_found_done(repair,
									psprintf("index %s is there and valid",
											 index.qualified));
		else if (differences != NULL && stmt->if_not_exists)
			index_repair_raise_other(raw, sql, existing, &index, differences);
		return;
	}

	if (differences != NULL)
		index_repair_raise_other(raw, sql, existing, &index, differences);
	if (index.bound != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("invalid index \"%s\" cannot be dropped and built anew",
						index.name),
				 errdetail("It %s.", index.bound),
				 errhint("REINDEX INDEX CONCURRENTLY %s makes it valid; then run the migration again.",
						 index.qualified)));
	index_repair_drop(&index, repair);
}

/* DROP INDEX CONCURRENTLY. */
static void
index_repair_judge_drop(DropStmt *stmt, bool interrupted, IndexRepair *repair)
{
	ListCell   *cell;

	if (!interrupted || !stmt->concurrent || stmt->removeType != OBJECT_INDEX)
		return;
	foreach(cell, stmt->objects)
	{
		RangeVar   *name = makeRangeVarFromNameList(lfirst_node(List, cell));

		if (OidIsValid(RangeVarGetRelid(name, NoLock, true)))
			return;
	}
	index_repair_found_done(repair, pstrdup("nothing is left to be dropped"));
}

/* Whether a table is a partition of another one, and is being detached. */
static bool
index_repair_find_link(Oid partition, Oid parent, bool *pending)
{
	Relation	rel = table_open(InheritsRelationId, AccessShareLock);
	bool		found = false;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_inherits_inhrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(partition));
	scan = systable_beginscan(rel, InheritsRelidSeqnoIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_inherits form = (Form_pg_inherits) GETSTRUCT(tuple);

		if (form->inhparent == parent)
		{
			found = true;
			*pending = form->inhdetachpending;
		}
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

/* ALTER TABLE ... DETACH PARTITION ... CONCURRENTLY. */
static void
index_repair_judge_detach(AlterTableStmt *stmt, bool interrupted,
						  IndexRepair *repair)
{
	AlterTableCmd *command;
	PartitionCmd *detach;
	Oid			parent;
	Oid			partition;
	char	   *parent_name;
	char	   *partition_name;
	bool		pending = false;

	if (list_length(stmt->cmds) != 1)
		return;
	command = linitial_node(AlterTableCmd, stmt->cmds);
	if (command->subtype != AT_DetachPartition)
		return;
	detach = castNode(PartitionCmd, command->def);
	if (!detach->concurrent)
		return;

	parent = RangeVarGetRelid(stmt->relation, NoLock, true);
	partition = RangeVarGetRelid(detach->name, NoLock, true);
	if (!OidIsValid(parent) || !OidIsValid(partition))
		return;
	parent_name = index_repair_qualified_name(parent);
	partition_name = index_repair_qualified_name(partition);
	if (parent_name == NULL || partition_name == NULL)
		return;

	if (!index_repair_find_link(partition, parent, &pending))
	{
		if (interrupted)
			index_repair_found_done(repair,
									psprintf("%s is no partition of %s any more",
											 partition_name, parent_name));
	}
	else if (pending)
	{
		repair->verdict = INDEX_REPAIR_FINALIZE;
		repair->first = list_make1(psprintf("ALTER TABLE %s DETACH PARTITION %s FINALIZE",
											parent_name, partition_name));
		repair->notice = psprintf("finishing the interrupted detach of %s from %s",
								  partition_name, parent_name);
	}
}

/*
 * Say what a non-transactional statement finds, before it runs.
 *
 * raw is its tree, left as it is; sql the text that raw was parsed from.
 * interrupted: an earlier attempt began this very step and never finished it.
 * Runs in the caller's transaction, under an active snapshot. Fills repair;
 * its strings are in the current memory context, which this may fill with
 * more.
 *
 * Errors: 42P07 when the name of a CREATE INDEX CONCURRENTLY stands for an
 * INVALID index with another table or definition, or behind IF NOT EXISTS for
 * any relation that isn't that index; 55000 when an INVALID index is in the way
 * that can't be dropped, or that REINDEX TABLE CONCURRENTLY will not touch.
 * Where the statement itself is faulty, PostgreSQL's own.
 */
void
index_repair_judge(RawStmt *raw, const char *sql, bool interrupted,
				   IndexRepair *repair)
{
	memset(repair, 0, sizeof(*repair));
	repair->verdict = INDEX_REPAIR_RUN;

	switch (nodeTag(raw->stmt))
	{
		case T_IndexStmt:
			index_repair_judge_create(raw, sql, interrupted, repair);
			break;
		case T_DropStmt:
			index_repair_judge_drop((DropStmt *) raw->stmt, interrupted, repair);
			break;
		case T_ReindexStmt:
			index_repair_judge_reindex((ReindexStmt *) raw->stmt, repair);
			break;
		case T_AlterTableStmt:
			index_repair_judge_detach((AlterTableStmt *) raw->stmt, interrupted,
									  repair);
			break;
		default:
			break;
	}
}

/*
 * Whether an index is still there and INVALID, to be asked once the caller
 * holds SHARE UPDATE EXCLUSIVE on its table, in any transaction.
 *
 * CREATE and DROP INDEX CONCURRENTLY let go of that lock before they commit
 * their last change, so one that isn't committed yet is waited for.
 */
bool
index_repair_still_invalid(Oid index)
{
	for (;;)
	{
		Relation	rel = table_open(IndexRelationId, AccessShareLock);
		TransactionId wait_for = InvalidTransactionId;
		bool		invalid = false;
		SnapshotData dirty;
		ScanKeyData key;
		SysScanDesc scan;
		HeapTuple	tuple;

		CHECK_FOR_INTERRUPTS();
		InitDirtySnapshot(dirty);
		ScanKeyInit(&key, Anum_pg_index_indexrelid, BTEqualStrategyNumber,
					F_OIDEQ, ObjectIdGetDatum(index));
		scan = systable_beginscan(rel, IndexRelidIndexId, true, &dirty, 1, &key);
		while (!TransactionIdIsValid(wait_for) &&
			   HeapTupleIsValid(tuple = systable_getnext(scan)))
		{
			Form_pg_index form = (Form_pg_index) GETSTRUCT(tuple);

			invalid = !(form->indisvalid && form->indisready && form->indislive);
			wait_for = TransactionIdIsValid(dirty.xmin) ? dirty.xmin : dirty.xmax;
		}
		systable_endscan(scan);
		table_close(rel, AccessShareLock);

		if (!TransactionIdIsValid(wait_for))
			return invalid;
		XactLockTableWait(wait_for, NULL, NULL, XLTW_None);
	}
}

/* The index that a statement built, or found, is not valid. */
void
index_repair_raise_invalid(const IndexRepairIndex *index, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("index \"%s\" is still invalid", index->name),
			 errdetail("The statement ended without an error, but no query uses this index."),
			 errhint("%s", hint)));
}

/*
 * Raise 55000 when an index that the statement names is INVALID now, after it
 * ran with success; 42P07 when IF NOT EXISTS of CONCURRENTLY skipped over an
 * index of another table. For CREATE INDEX CONCURRENTLY or IF NOT EXISTS, and
 * REINDEX INDEX or TABLE CONCURRENTLY; others, an index without a name, and a
 * partitioned table's, which is INVALID until its parts are attached, pass. Runs in a transaction of the
 * caller's, after the statement's own; takes no lock on a table.
 */
void
index_repair_check(RawStmt *raw)
{
	if (IsA(raw->stmt, IndexStmt))
	{
		IndexStmt  *stmt = (IndexStmt *) raw->stmt;
		IndexRepairIndex index;
		Oid			table;

		if ((!stmt->concurrent && !stmt->if_not_exists) || stmt->idxname == NULL)
			return;
		table = RangeVarGetRelid(stmt->relation, NoLock, true);
		if (!OidIsValid(table) ||
			!index_repair_read_index(get_relname_relid(stmt->idxname,
													   get_rel_namespace(table)),
									 &index))
			return;
		if (index.definition.table != table && !stmt->concurrent)
			return;
		if (index.definition.table != table)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_TABLE),
					 errmsg("index \"%s\" is on another table", index.name),
					 errdetail("There is: %s", index_repair_definition_text(&index)),
					 errhint("Give the new index another name, or drop or rename the one that is there.")));
		if (!index.valid && get_rel_relkind(index.oid) == RELKIND_INDEX)
			index_repair_raise_invalid(&index, stmt->concurrent ?
									   "Run the migration again: unless somebody else is building it, it is dropped and built anew." :
									   "A build CONCURRENTLY that failed has left it, and IF NOT EXISTS has skipped over it. Write CONCURRENTLY here as well, and it is dropped and built anew; or DROP INDEX it first.");
	}
	else if (IsA(raw->stmt, ReindexStmt))
		index_repair_check_reindex((ReindexStmt *) raw->stmt);
}

/*
 * The same for a statement of a script that has just run in the current
 * transaction.
 */
void
index_repair_check_statement(Script *script, int index)
{
	PushActiveSnapshot(GetTransactionSnapshot());
	index_repair_check(linitial_node(RawStmt,
									 raw_parser(script_statement_text(script, index),
												RAW_PARSE_DEFAULT)));
	PopActiveSnapshot();
}
