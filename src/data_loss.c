/*
 * data_loss.c
 *		Watches a script for statements that lose rows' values.
 *
 * A statement is looked at when the server is about to run it, wherever it comes
 * from: the script itself, DO, a function, EXECUTE. So what earlier statements
 * made or emptied simply is in the catalogs. What a DROP takes with it is told by
 * the server, object by object (OAT_DROP), while all of it is still there.
 * TRUNCATE and ALTER COLUMN TYPE are looked at before they begin, under the locks
 * that they would take next; DELETE when its plan has been set up and not run yet.
 *
 * What was made by the script, or in its transaction, and temporary tables are
 * nobody's loss. The watch covers one script at a time, and only while the
 * executor runs it: the hooks do nothing else. It ends with its memory at the
 * latest, so that an error which nobody catches leaves nothing behind.
 *
 * Runs in the script's transaction and takes no lock that the statement would
 * not take.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/heap.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "commands/extension.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "nodes/plannodes.h"
#include "parser/parsetree.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "compat.h"
#include "data_loss_internal.h"
#include "executor.h"

/* A table (column 0) or a column that the script has made. */
typedef struct DataLossCreated
{
	Oid			relation;
	int32		column;
} DataLossCreated;

static DataLoss *watched = NULL;
static object_access_hook_type previous_object_access = NULL;
static ProcessUtility_hook_type previous_utility = NULL;
static ExecutorStart_hook_type previous_start = NULL;

/* The watch over the script that is running, or NULL. */
static DataLoss *
data_loss_watch(void)
{
	return watched != NULL && executor_in_script() ? watched : NULL;
}

static bool
data_loss_is_created(const DataLoss *loss, Oid relation, AttrNumber column)
{
	DataLossCreated key = {relation, column};

	return hash_search(loss->created, &key, HASH_FIND, NULL) != NULL;
}

/* Whether values of a relation, or of a column unless that is 0, can be lost. */
bool
data_loss_is_watched(const DataLoss *loss, Relation relation, AttrNumber column)
{
	if (relation->rd_rel->relkind != RELKIND_RELATION &&
		relation->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		return false;
	if (relation->rd_rel->relpersistence == RELPERSISTENCE_TEMP ||
		relation->rd_createSubid != InvalidSubTransactionId ||
		data_loss_is_created(loss, RelationGetRelid(relation), 0))
		return false;

	/* The ledger's tables guard themselves, with errors of their own. */
	if (getExtensionOfObject(RelationRelationId, RelationGetRelid(relation)) ==
		get_extension_oid("tapmig", false))
		return false;

	/* A generated column's values are those of others. */
	return column == 0 ||
		(!data_loss_is_created(loss, RelationGetRelid(relation), column) &&
		 TupleDescAttr(RelationGetDescr(relation), column - 1)->attgenerated == '\0');
}

/*
 * Notes an object that the statement under way takes away or changes. The result
 * lives as long as the statement.
 */
DataLossObject *
data_loss_touch(DataLoss *loss, DataLossKind kind, Relation relation, AttrNumber column)
{
	MemoryContext old = MemoryContextSwitchTo(loss->statement);
	DataLossObject *object = palloc0(sizeof(DataLossObject));

	object->kind = kind;
	data_loss_name(relation, column, object);
	loss->pending = lappend(loss->pending, object);
	MemoryContextSwitchTo(old);
	return object;
}

/* Looks at a table, or a column unless that is 0, whose values all go. */
static void
data_loss_take(DataLoss *loss, DataLossKind kind, Relation relation, AttrNumber column)
{
	DataLossProbe probe = {0};

	if (!data_loss_is_watched(loss, relation, column))
		return;
	if (relation->rd_rel->relkind == RELKIND_RELATION)
		data_loss_look(loss, relation, column != 0,
					   column != 0 ? data_loss_has_value : data_loss_any_row,
					   &column, &probe);

	/* A parent is named instead of its children. */
	if (probe.lost || relation->rd_rel->relhassubclass)
		data_loss_touch(loss, kind, relation, column)->probe = probe;
}

static void
data_loss_note_created(DataLoss *loss, Oid relation, int column)
{
	DataLossCreated key = {relation, column};

	(void) hash_search(loss->created, &key, HASH_ENTER, NULL);
}

static void
data_loss_drop(DataLoss *loss, Oid relation_id, int column)
{
	char		kind = get_rel_relkind(relation_id);
	Relation	relation;

	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
		return;
	relation = table_open(relation_id, NoLock);
	data_loss_take(loss, DATA_LOSS_DROP, relation, column);
	table_close(relation, NoLock);
}

static void
data_loss_object_access(ObjectAccessType access, Oid class_id, Oid object_id,
						int sub_id, void *arg)
{
	DataLoss   *loss = data_loss_watch();

	if (previous_object_access)
		previous_object_access(access, class_id, object_id, sub_id, arg);
	if (loss == NULL || class_id != RelationRelationId)
		return;
	if (access == OAT_POST_CREATE)
		data_loss_note_created(loss, object_id, sub_id);

	/* Internal: the server's own, such as a rewritten table's transient one. */
	else if (access == OAT_DROP && loss->depth > 0 &&
			 !(((ObjectAccessDrop *) arg)->dropflags & PERFORM_DELETION_INTERNAL))
		data_loss_drop(loss, object_id, sub_id);
}

/* The tables of a TRUNCATE, locked as it would lock them. */
static List *
data_loss_truncated(TruncateStmt *statement)
{
	List	   *relations = NIL;
	ListCell   *lc;

	foreach(lc, statement->relations)
	{
		RangeVar   *name = lfirst(lc);
		Oid			relation = RangeVarGetRelid(name, NoLock, true);

		/* Nobody's lock is waited for with less than the right to TRUNCATE. */
		if (!OidIsValid(relation) ||
			pg_class_aclcheck(relation, GetUserId(), ACL_TRUNCATE) != ACLCHECK_OK)
			return NIL;
		relation = RangeVarGetRelid(name, AccessExclusiveLock, true);
		if (!OidIsValid(relation))
			return NIL;
		relations = list_append_unique_oid(relations, relation);
		if (name->inh)
			relations = list_concat_unique_oid(relations,
											   find_all_inheritors(relation, AccessExclusiveLock, NULL));
	}
	while (statement->behavior == DROP_CASCADE)
	{
		List	   *more = heap_truncate_find_FKs(relations);

		if (more == NIL)
			break;
		foreach(lc, more)
			LockRelationOid(lfirst_oid(lc), AccessExclusiveLock);
		relations = list_concat_unique_oid(relations, more);
	}
	return relations;
}

static void
data_loss_before_truncate(DataLoss *loss, TruncateStmt *statement)
{
	ListCell   *lc;

	foreach(lc, data_loss_truncated(statement))
	{
		Relation	relation = try_relation_open(lfirst_oid(lc), NoLock);

		if (relation == NULL)
			continue;
		data_loss_take(loss, DATA_LOSS_TRUNCATE, relation, 0);
		relation_close(relation, NoLock);
	}
}

/*
 * A statement begins. One within another one, of a DO block, is reported by
 * itself: returns what the other one has noted, for its end.
 */
static List *
data_loss_begin_statement(DataLoss *loss)
{
	List	   *outer = loss->pending;

	if (outer != NIL)
		loss->waiting++;
	loss->pending = NIL;
	loss->spent_ms = 0;
	loss->depth++;
	return outer;
}

/* It has ended, or failed: what it has noted is forgotten. */
static void
data_loss_end_statement(DataLoss *loss, List *outer)
{
	loss->pending = outer;
	loss->depth--;
	if (outer != NIL)
		loss->waiting--;
	else if (loss->waiting == 0)
		MemoryContextReset(loss->statement);
}

static void
data_loss_next_utility(PlannedStmt *statement, const char *text, bool read_only_tree,
					   ProcessUtilityContext context, ParamListInfo params,
					   QueryEnvironment *environment, DestReceiver *dest,
					   QueryCompletion *completion)
{
	(previous_utility ? previous_utility : standard_ProcessUtility)
		(statement, text, read_only_tree, context, params, environment, dest, completion);
}

static void
data_loss_utility(PlannedStmt *statement, const char *text, bool read_only_tree,
				  ProcessUtilityContext context, ParamListInfo params,
				  QueryEnvironment *environment, DestReceiver *dest,
				  QueryCompletion *completion)
{
	DataLoss   *loss = data_loss_watch();
	List	   *outer;

	if (loss == NULL)
	{
		data_loss_next_utility(statement, text, read_only_tree, context, params, environment,
							   dest, completion);
		return;
	}

	outer = data_loss_begin_statement(loss);
	PG_TRY();
	{
		if (IsA(statement->utilityStmt, TruncateStmt))
			data_loss_before_truncate(loss, (TruncateStmt *) statement->utilityStmt);
		else if (IsA(statement->utilityStmt, AlterTableStmt))
			data_loss_before_alter(loss, (AlterTableStmt *) statement->utilityStmt, text);
		data_loss_report(loss);
		data_loss_next_utility(statement, text, read_only_tree, context, params, environment,
							   dest, completion);
		data_loss_report(loss);
	}
	PG_CATCH();
	{
		data_loss_end_statement(loss, outer);
		PG_RE_THROW();
	}
	PG_END_TRY();
	data_loss_end_statement(loss, outer);
}

/* Whether a plan brings the rows of its tables without leaving any out. */
static bool
data_loss_brings_all(Plan *plan)
{
	ListCell   *lc;

	check_stack_depth();
	if (plan == NULL || plan->qual != NIL)
		return false;
	switch (nodeTag(plan))
	{
		case T_SeqScan:
		case T_FunctionScan:
		case T_ValuesScan:
		case T_CteScan:
			return true;
		case T_ForeignScan:
			/* Conditions that the other server looks at are to be checked again here. */
			return ((ForeignScan *) plan)->fdw_recheck_quals == NIL;
		case T_SubqueryScan:
			return data_loss_brings_all(((SubqueryScan *) plan)->subplan);
		case T_IndexScan:
			return ((IndexScan *) plan)->indexqual == NIL;
		case T_Append:
			foreach(lc, ((Append *) plan)->appendplans)
			{
				if (!data_loss_brings_all(lfirst(lc)))
					return false;
			}
			return true;
		case T_Result:
			return plan->lefttree != NULL && ((Result *) plan)->resconstantqual == NULL &&
				data_loss_brings_all(plan->lefttree);
		case T_NestLoop:
			return ((NestLoop *) plan)->join.joinqual == NIL &&
				data_loss_brings_all(plan->lefttree) && data_loss_brings_all(plan->righttree);
		case T_Material:
			return data_loss_brings_all(plan->lefttree);
		default:
			return false;
	}
}

/* Whether a plan reads each row of these tables, whatever it joins them with. */
static bool
data_loss_reads_all(Plan *plan, List *tables)
{
	ListCell   *lc;

	check_stack_depth();
	if (plan == NULL)
		return true;
	switch (nodeTag(plan))
	{
		case T_SeqScan:
		case T_IndexScan:
		case T_IndexOnlyScan:
		case T_BitmapHeapScan:
		case T_TidScan:
		case T_TidRangeScan:
			return !list_member_int(tables, ((Scan *) plan)->scanrelid) ||
				(plan->qual == NIL &&
				 (IsA(plan, SeqScan) || (IsA(plan, IndexScan) && ((IndexScan *) plan)->indexqual == NIL)));
		case T_SubqueryScan:
			return data_loss_reads_all(((SubqueryScan *) plan)->subplan, tables);
		case T_Append:
			foreach(lc, ((Append *) plan)->appendplans)
			{
				if (!data_loss_reads_all(lfirst(lc), tables))
					return false;
			}
			return true;
		default:
			return data_loss_reads_all(plan->lefttree, tables) &&
				data_loss_reads_all(plan->righttree, tables);
	}
}

/* Whether the first actions of MERGE for such rows delete all that come. */
static bool
data_loss_actions_delete(List *actions, bool matched)
{
	ListCell   *lc;

	foreach(lc, actions)
	{
		MergeAction *action = lfirst_node(MergeAction, lc);

		if (!(matched ? COMPAT_IS_MATCHED(action) : COMPAT_IS_NOT_MATCHED_BY_SOURCE(action)))
			continue;
		if (action->commandType != CMD_DELETE)
			return false;
		if (action->qual == NULL)
			return true;
	}
	return false;
}

/* Whether a MERGE deletes all rows of its target. */
static bool
data_loss_merge_deletes_all(ModifyTable *modify)
{
	bool		unmatched = true;
	ListCell   *lc;

	foreach(lc, modify->mergeActionLists)
	{
		if (!data_loss_actions_delete(lfirst(lc), true))
			return false;
		unmatched = unmatched && data_loss_actions_delete(lfirst(lc), false);
	}
	return unmatched ? data_loss_reads_all(outerPlan(modify), modify->resultRelations) :
		data_loss_brings_all(outerPlan(modify));
}

/* A ModifyTable of the plan: when it deletes all rows, looks at its tables. */
static void
data_loss_delete(DataLoss *loss, PlannedStmt *statement, Plan *plan)
{
	ModifyTable *modify = (ModifyTable *) plan;
	bool		merges = plan != NULL && IsA(plan, ModifyTable) && modify->operation == CMD_MERGE;
	List	   *tables;
	ListCell   *lc;

	if (plan == NULL || !IsA(plan, ModifyTable) ||
		!(merges ? data_loss_merge_deletes_all(modify) :
		  modify->operation == CMD_DELETE && data_loss_brings_all(outerPlan(plan))))
		return;
	tables = list_copy(modify->resultRelations);
	if (modify->rootRelation > 0)
		tables = list_append_unique_int(tables, modify->rootRelation);
	foreach(lc, tables)
	{
		Relation	relation = table_open(rt_fetch(lfirst_int(lc), statement->rtable)->relid,
										  RowExclusiveLock);

		data_loss_take(loss, merges ? DATA_LOSS_MERGE : DATA_LOSS_DELETE, relation, 0);
		table_close(relation, NoLock);
	}
}

/* Collects the queries of WITH that a part of a plan reads, also one through another. */
static bool
data_loss_note_read(PlanState *state, void *arg)
{
	Bitmapset **read = arg;

	if (IsA(state, CteScanState))
	{
		int			query = ((CteScan *) state->plan)->ctePlanId;

		if (!bms_is_member(query, *read))
		{
			*read = bms_add_member(*read, query);
			(void) data_loss_note_read(((CteScanState *) state)->cteplanstate, arg);
		}
	}
	return planstate_tree_walker(state, data_loss_note_read, arg);
}

/* The queries of WITH whose rows an INSERT of the statement takes. */
static Bitmapset *
data_loss_inserted(QueryDesc *query)
{
	List	   *states = lappend(list_copy(query->estate->es_subplanstates), query->planstate);
	Bitmapset  *read = NULL;
	ListCell   *lc;

	foreach(lc, states)
	{
		PlanState  *state = lfirst(lc);

		if (state != NULL && IsA(state, ModifyTableState) &&
			((ModifyTableState *) state)->operation == CMD_INSERT)
			(void) data_loss_note_read(outerPlanState(state), &read);
	}
	list_free(states);
	return read;
}

/* A plan that deletes: all of its deletions. */
static void
data_loss_before_delete(DataLoss *loss, QueryDesc *query)
{
	List	   *outer = data_loss_begin_statement(loss);

	PG_TRY();
	{
		PlannedStmt *statement = query->plannedstmt;
		Bitmapset  *inserted = data_loss_inserted(query);
		ListCell   *lc;

		data_loss_delete(loss, statement, statement->planTree);

		/* WITH gone AS (DELETE ... RETURNING ...) INSERT ... FROM gone moves the rows. */
		foreach(lc, statement->subplans)
		{
			if (!bms_is_member(foreach_current_index(lc) + 1, inserted))
				data_loss_delete(loss, statement, lfirst(lc));
		}
		bms_free(inserted);
		data_loss_report(loss);
	}
	PG_CATCH();
	{
		data_loss_end_statement(loss, outer);
		PG_RE_THROW();
	}
	PG_END_TRY();
	data_loss_end_statement(loss, outer);
}

static void
data_loss_start(QueryDesc *query, int flags)
{
	PlannedStmt *statement = query->plannedstmt;
	DataLoss   *loss;

	/* It checks the caller's rights; no row is touched by it. */
	if (previous_start)
		previous_start(query, flags);
	else
		standard_ExecutorStart(query, flags);
	loss = data_loss_watch();
	if (loss != NULL && !(flags & EXEC_FLAG_EXPLAIN_ONLY) &&
		(statement->commandType == CMD_DELETE || statement->commandType == CMD_MERGE ||
		 statement->hasModifyingCTE))
		data_loss_before_delete(loss, query);
}

/* Called once, by _PG_init. */
void
data_loss_install_hooks(void)
{
	previous_object_access = object_access_hook;
	object_access_hook = data_loss_object_access;
	previous_utility = ProcessUtility_hook;
	ProcessUtility_hook = data_loss_utility;
	previous_start = ExecutorStart_hook;
	ExecutorStart_hook = data_loss_start;
}

static void
data_loss_forget(void *arg)
{
	if (watched == arg)
		watched = NULL;
}

static ScriptName *
data_loss_copy_name(const ScriptName *name)
{
	ScriptName *copy = palloc0(sizeof(ScriptName));

	copy->text = pstrdup(name->text);
	copy->n = name->n;
	for (int i = 0; i < name->n; i++)
		copy->parts[i] = pstrdup(name->parts[i]);
	return copy;
}

/*
 * What a script needs to be watched. settings: of the call, read at its entry.
 * The result is in the current memory context and needs neither of them: each
 * try reads the script anew.
 */
DataLoss *
data_loss_create(const Settings *settings, const Script *script)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "tapmig data loss",
												  ALLOCSET_SMALL_SIZES);
	DataLoss   *loss = MemoryContextAllocZero(context, sizeof(DataLoss));
	MemoryContextCallback *callback = MemoryContextAlloc(context, sizeof(MemoryContextCallback));
	MemoryContext old = MemoryContextSwitchTo(context);
	HASHCTL		control = {0};
	ListCell   *lc;

	loss->context = context;
	loss->statement = AllocSetContextCreate(context, "tapmig data loss of a statement",
											ALLOCSET_SMALL_SIZES);
	loss->label = script->label != NULL ? pstrdup(script->label) : "";
	loss->policy = settings->data_loss;
	foreach(lc, script->directives.loses)
	{
		DataLossListed *listed = palloc0(sizeof(DataLossListed));

		listed->name = data_loss_copy_name(lfirst(lc));
		loss->listed = lappend(loss->listed, listed);
	}
	control.keysize = sizeof(DataLossCreated);
	control.entrysize = sizeof(DataLossCreated);
	control.hcxt = context;
	loss->created = hash_create("tapmig data loss: made by the script", 64, &control,
								HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	callback->func = data_loss_forget;
	callback->arg = loss;
	MemoryContextRegisterResetCallback(context, callback);
	MemoryContextSwitchTo(old);
	return loss;
}

/*
 * The watch begins, and lasts until data_loss_end(), which is to be called after
 * an error too. Called before each try of a script or of a step of it; anew: what
 * an earlier try has done was rolled back, and nothing of the script is done.
 */
void
data_loss_begin(DataLoss *loss, bool anew)
{
	ListCell   *lc;

	loss->pending = NIL;
	loss->depth = loss->waiting = 0;
	MemoryContextReset(loss->statement);
	loss->said = list_concat(loss->said, loss->said_now);
	loss->said_now = NIL;
	if (anew)
	{
		HASH_SEQ_STATUS status;
		DataLossCreated *created;

		hash_seq_init(&status, loss->created);
		while ((created = hash_seq_search(&status)) != NULL)
			(void) hash_search(loss->created, created, HASH_REMOVE, NULL);
		foreach(lc, loss->listed)
			((DataLossListed *) lfirst(lc))->lost = false;
	}

	/* Nothing would be said. */
	watched = loss->policy == SETTINGS_ALLOW && loss->listed == NIL ? NULL : loss;
}

/* The watch ends, with the script or by an error. */
void
data_loss_end(DataLoss *loss)
{
	data_loss_forget(loss);
}

/*
 * The script is done: warns of what it lists and has not lost. Not for one that
 * an earlier attempt has begun, since that may have lost it.
 */
void
data_loss_finish(const DataLoss *loss)
{
	ListCell   *lc;

	foreach(lc, loss->listed)
	{
		const DataLossListed *listed = lfirst(lc);

		if (listed->lost)
			continue;
		ereport(WARNING,
				(errmsg("migration %s lists %s as lost, and it is not",
						loss->label, listed->name->text),
				 errdetail("No row's value was lost there: there was none, nothing of that name was dropped, emptied or narrowed, or the script had made it itself."),
				 errhint("Correct the name in \"-- tapmig: loses=%s\", or leave it out.",
						 listed->name->text)));
	}
}
