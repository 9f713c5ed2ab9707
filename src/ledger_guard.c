/*
 * ledger_guard.c
 *		Keeps a script's hands off the ledger, whoever runs it.
 *
 * The triggers of ledger_trigger.c refuse a script's writes. A superuser's script
 * could put them out of action first, or put its own code where the ledger's
 * runs: another trigger, a rule, a policy, an expression of an index or of
 * statistics, a foreign key's action, a function of tapmig's. So the schema tapmig
 * is closed to a script's DDL, and its tables to writes whatever their triggers
 * say, in the server's hooks: this catches what DO, a function or EXECUTE does as
 * well.
 *
 * The ledger's own writes run as its owner, and so would a trigger of a role that
 * was given no more than the right to make one on its tables: it is refused.
 *
 * What a script leaves in its transaction (a deferred trigger, a cursor WITH HOLD)
 * runs when the script has ended; until the transaction ends the tables stay
 * closed. Not guarded are the system catalogs themselves: a superuser's script
 * that writes those can do anything.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "commands/extension.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "parser/parse_relation.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "compat.h"
#include "executor.h"
#include "ledger_internal.h"

static object_access_hook_type previous_object_access = NULL;
static ProcessUtility_hook_type previous_utility = NULL;
static ExecutorCheckPerms_hook_type previous_check_permissions = NULL;

/* Whether that is the schema of tapmig's own objects. */
static bool
guard_is_schema(Oid schema)
{
	return OidIsValid(schema) && schema == get_namespace_oid("tapmig", true);
}

static void
guard_refuse_change(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("a migration cannot change tapmig's own objects"),
			 errhint("Do it by hand, outside of a migration.")));
}

/*
 * 55000 where a script is running, or has run in this transaction, for what
 * writes the ledger's tables by other means than tapmig's functions.
 */
void
ledger_refuse_script(void)
{
	if (executor_in_script())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a migration script must not write tapmig's own tables"),
				 errhint("If the script is a dump, make it with pg_dump -N tapmig.")));
	if (executor_has_run())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("tapmig's own tables can't be written by hand in a transaction that has run a migration"),
				 errdetail("It might be the migration that writes them: by a deferred trigger, for example."),
				 errhint("COMMIT first.")));
}

/* The table of a trigger that was just made, which no catalog cache has yet. */
static Oid
guard_trigger_table(Oid trigger)
{
	Relation	rel = table_open(TriggerRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			table;

	ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(trigger));
	scan = systable_beginscan(rel, TriggerOidIndexId, true, SnapshotSelf, 1, &key);
	tuple = systable_getnext(scan);
	table = HeapTupleIsValid(tuple) ? ((Form_pg_trigger) GETSTRUCT(tuple))->tgrelid :
		InvalidOid;
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return table;
}

static void
guard_object_access(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id, void *arg)
{
	if (previous_object_access)
		previous_object_access(access, class_id, object_id, sub_id, arg);
	if (access == OAT_TRUNCATE && (executor_in_script() || executor_has_run()) &&
		guard_is_schema(get_rel_namespace(object_id)))
	{
		if (ledger_is_append_only(get_rel_name(object_id)))
			ledger_raise_append_only("TRUNCATE", get_rel_name(object_id));
		ledger_refuse_script();
	}
	if (!executor_in_script())
		return;

	/*
	 * A foreign key that refers to the ledger, too: what it does to the referring
	 * rows, and their triggers do, would be done in the ledger's own DELETE.
	 */
	if (access == OAT_POST_CREATE && class_id == TriggerRelationId &&
		guard_is_schema(get_rel_namespace(guard_trigger_table(object_id))))
		guard_refuse_change();
	if (access != OAT_POST_ALTER)
		return;

	if (class_id == ExtensionRelationId ? object_id == get_extension_oid("tapmig", true) :
		class_id == NamespaceRelationId ? guard_is_schema(object_id) :
		class_id == ProcedureRelationId ? guard_is_schema(get_func_namespace(object_id)) :
		class_id == RelationRelationId && !((ObjectAccessPostAlter *) arg)->is_internal &&
		guard_is_schema(get_rel_namespace(object_id)))
		guard_refuse_change();
}

static void
guard_relation(const RangeVar *relation)
{
	Oid			oid = relation == NULL ? InvalidOid :
		RangeVarGetRelid(relation, NoLock, true);

	if (OidIsValid(oid) && guard_is_schema(get_rel_namespace(oid)))
		guard_refuse_change();
}

/* A child's rows would be the ledger's, and no trigger would see them come. */
static void
guard_parents(const List *parents)
{
	ListCell   *lc;

	foreach(lc, parents)
		guard_relation(lfirst_node(RangeVar, lc));
}

static void
guard_alter_table(const AlterTableStmt *statement)
{
	ListCell   *lc;

	guard_relation(statement->relation);
	foreach(lc, statement->cmds)
	{
		AlterTableCmd *command = lfirst_node(AlterTableCmd, lc);

		if (command->subtype == AT_AddInherit)
			guard_relation(castNode(RangeVar, command->def));
		else if (command->subtype == AT_AttachPartition)
			guard_relation(castNode(PartitionCmd, command->def)->name);
	}
}

/* Of DROP, the names: those of triggers and the like stand behind their table's. */
static void
guard_drop(const DropStmt *statement)
{
	int			behind = 0;
	ListCell   *lc;

	switch (statement->removeType)
	{
		case OBJECT_TRIGGER:
		case OBJECT_RULE:
		case OBJECT_POLICY:
			behind = 1;
			break;
		case OBJECT_INDEX:
			break;
		default:				/* members of the extension: the server refuses */
			return;
	}
	foreach(lc, statement->objects)
	{
		List	   *name = lfirst_node(List, lc);

		if (list_length(name) > behind)
			guard_relation(makeRangeVarFromNameList(list_truncate(list_copy(name),
																  list_length(name) - behind)));
	}
}

/* Something new in the schema of that name; NULL: in the first of search_path. */
static void
guard_new(const char *schema)
{
	List	   *path = schema == NULL ? fetch_search_path(false) : NIL;

	if (schema != NULL ? strcmp(schema, "tapmig") == 0 :
		path != NIL && guard_is_schema(linitial_oid(path)))
		guard_refuse_change();
	list_free(path);
}

static void
guard_new_relation(const RangeVar *relation)
{
	if (relation->relpersistence != RELPERSISTENCE_TEMP)
		guard_new(relation->schemaname);
}

static void
guard_new_name(const List *names)
{
	char	   *schema;
	char	   *name;

	DeconstructQualifiedName((List *) names, &schema, &name);
	guard_new(schema);
}

/* Their place, which is the first table's where they have no name, and the tables. */
static void
guard_statistics(const CreateStatsStmt *statement)
{
	ListCell   *lc;

	if (statement->defnames != NIL)
		guard_new_name(statement->defnames);
	foreach(lc, statement->relations)
	{
		if (IsA(lfirst(lc), RangeVar))
			guard_relation(lfirst_node(RangeVar, lc));
	}
}

static void
guard_statement(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_AlterTableStmt:
			guard_alter_table((AlterTableStmt *) statement);
			break;
		case T_CreateStmt:
		case T_CreateForeignTableStmt:	/* begins like it */
			guard_new_relation(((CreateStmt *) statement)->relation);
			guard_parents(((CreateStmt *) statement)->inhRelations);
			break;
		case T_CreateTableAsStmt:
			guard_new_relation(((CreateTableAsStmt *) statement)->into->rel);
			break;
		case T_CreateSeqStmt:
			guard_new_relation(((CreateSeqStmt *) statement)->sequence);
			break;
		case T_CompositeTypeStmt:
			guard_new_relation(((CompositeTypeStmt *) statement)->typevar);
			break;
		case T_CreateDomainStmt:
			guard_new_name(((CreateDomainStmt *) statement)->domainname);
			break;
		case T_CreateEnumStmt:
			guard_new_name(((CreateEnumStmt *) statement)->typeName);
			break;
		case T_CreateRangeStmt:
			guard_new_name(((CreateRangeStmt *) statement)->typeName);
			break;
		case T_DefineStmt:
			guard_new_name(((DefineStmt *) statement)->defnames);
			break;
		case T_CreateFunctionStmt:
			guard_new_name(((CreateFunctionStmt *) statement)->funcname);
			break;
		case T_AlterObjectSchemaStmt:
			guard_new(((AlterObjectSchemaStmt *) statement)->newschema);
			break;
		case T_AlterObjectDependsStmt:	/* what is dropped with another extension */
			guard_relation(((AlterObjectDependsStmt *) statement)->relation);
			break;
		case T_IndexStmt:
			guard_relation(((IndexStmt *) statement)->relation);
			break;
		case T_CreateStatsStmt: /* ANALYZE runs its expressions as the owner */
			guard_statistics((CreateStatsStmt *) statement);
			break;
		case T_CreateOpClassStmt:
			guard_new_name(((CreateOpClassStmt *) statement)->opclassname);
			break;
		case T_CreateOpFamilyStmt:
			guard_new_name(((CreateOpFamilyStmt *) statement)->opfamilyname);
			break;
		case T_CreateConversionStmt:
			guard_new_name(((CreateConversionStmt *) statement)->conversion_name);
			break;
		case T_CreateTrigStmt:
			guard_relation(((CreateTrigStmt *) statement)->relation);
			break;
		case T_RuleStmt:
			guard_relation(((RuleStmt *) statement)->relation);
			break;
		case T_CreatePolicyStmt:
			guard_relation(((CreatePolicyStmt *) statement)->table);
			break;
		case T_AlterPolicyStmt:
			guard_relation(((AlterPolicyStmt *) statement)->table);
			break;
		case T_RenameStmt:
			guard_relation(((RenameStmt *) statement)->relation);
			break;
		case T_AlterSeqStmt:
			guard_relation(((AlterSeqStmt *) statement)->sequence);
			break;
		case T_ViewStmt:
			guard_new_relation(((ViewStmt *) statement)->view);
			break;
		case T_DropStmt:
			guard_drop((DropStmt *) statement);
			break;
		default:
			break;
	}
}

static void
guard_utility(PlannedStmt *statement, const char *text, bool read_only_tree,
			  ProcessUtilityContext context, ParamListInfo params,
			  QueryEnvironment *environment, DestReceiver *dest,
			  QueryCompletion *completion)
{
	if (executor_in_script())
		guard_statement(statement->utilityStmt);
	(previous_utility ? previous_utility : standard_ProcessUtility)
		(statement, text, read_only_tree, context, params, environment, dest, completion);
}

static void
guard_write(Oid table, AclMode permissions)
{
	const char *name = get_rel_name(table);

	if ((permissions & ACL_INSERT) == 0 && ledger_is_append_only(name))
		ledger_raise_append_only((permissions & ACL_UPDATE) ? "UPDATE" : "DELETE", name);
	ledger_refuse_script();
}

/* Who may make triggers on a table beside its owner, for a message; NULL: nobody. */
static char *
guard_trigger_makers(Relation rel)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(RelationGetRelid(rel)));
	char	   *makers = NULL;
	bool		none;
	Datum		datum = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_relacl, &none);
	Acl		   *acl = none ? NULL : DatumGetAclPCopy(datum);

	for (int i = 0; acl != NULL && i < ACL_NUM(acl); i++)
	{
		/* As ACL_DAT() has it, without its comparison of signed and unsigned. */
		AclItem    *item = (AclItem *) ((char *) acl + ARR_OVERHEAD_NONULLS(1)) + i;
		const char *name = item->ai_grantee == ACL_ID_PUBLIC ? "PUBLIC" :
			quote_identifier(GetUserNameFromId(item->ai_grantee, false));

		if (item->ai_grantee != rel->rd_rel->relowner &&
			(ACLITEM_GET_PRIVS(*item) & ACL_TRIGGER) != 0)
			makers = makers == NULL ? pstrdup(name) : psprintf("%s, %s", makers, name);
	}
	ReleaseSysCache(tuple);
	return makers;
}

/*
 * Before a write, which runs as the tables' owner where it is the ledger's own or
 * a view's: so would a trigger that somebody made with no more than the right to
 * make one.
 */
static void
guard_triggers(Oid table)
{
	Relation	rel = table_open(table, NoLock);

	for (int i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
	{
		const Trigger *trigger = &rel->trigdesc->triggers[i];
		char	   *makers;

		if (trigger->tgisinternal || trigger->tgenabled == TRIGGER_DISABLED ||
			guard_is_schema(get_func_namespace(trigger->tgfoid)))
			continue;
		makers = guard_trigger_makers(rel);
		if (makers != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("trigger \"%s\" on tapmig.%s would run with the rights of the extension's owner",
							trigger->tgname, RelationGetRelationName(rel)),
					 errdetail("Others than the owner may create triggers there: %s.", makers),
					 errhint("Drop it unless the owner made it, and REVOKE TRIGGER ON tapmig.%s FROM %s.",
							 RelationGetRelationName(rel), makers)));
	}
	table_close(rel, NoLock);
}

/* INSERT, UPDATE, DELETE, MERGE and COPY FROM all ask for their rights. */
static bool
guard_check_permissions(COMPAT_CHECK_PERMISSIONS_ARGUMENTS)
{
	ListCell   *lc;

	foreach(lc, range_table)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		/* SELECT FOR UPDATE needs UPDATE as well, and takes a weaker lock. */
		if (rte->rtekind != RTE_RELATION || rte->rellockmode < RowExclusiveLock ||
			!guard_is_schema(get_rel_namespace(rte->relid)))
			continue;
		if (!ledger_is_writing() && (executor_in_script() || executor_has_run()))
			guard_write(rte->relid, COMPAT_REQUIRED_PERMISSIONS(rte));
		guard_triggers(rte->relid);
	}
	return previous_check_permissions == NULL ||
		previous_check_permissions(COMPAT_PASS_CHECK_PERMISSIONS);
}

/* Called once, by _PG_init. */
void
ledger_install_hooks(void)
{
	ledger_watch_names();
	previous_object_access = object_access_hook;
	object_access_hook = guard_object_access;
	previous_utility = ProcessUtility_hook;
	ProcessUtility_hook = guard_utility;
	previous_check_permissions = ExecutorCheckPerms_hook;
	ExecutorCheckPerms_hook = guard_check_permissions;
}
