/*
 * lint_rules_object.c
 *		Rules of lint: domains, enums, triggers, policies, schemas.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_func.h"
#include "utils/acl.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "lint_internal.h"

/* ---- domains and enums */

/* Adds the relations with a column of the domain, or of one over it. */
static List *
domain_users(LintCheck *c, Oid domain, List *users)
{
	ListCell   *lc;

	check_stack_depth();
	foreach(lc, lint_dependents(c->lint, TypeRelationId, domain, -1))
	{
		ObjectAddress *object = lfirst(lc);

		if (object->classId == RelationRelationId && object->objectSubId > 0)
		{
			LintRelation *rel = lint_relation_by_oid(c->lint, object->objectId);

			if (rel != NULL && !rel->gone)
				users = list_append_unique_ptr(users, rel);
		}
		else if (object->classId == TypeRelationId && get_typtype(object->objectId) == TYPTYPE_DOMAIN)
			users = domain_users(c, object->objectId, users);
	}
	return users;
}

static void
check_domain(LintCheck *c)
{
	AlterDomainStmt *stmt = castNode(AlterDomainStmt, c->node);
	Constraint *con = (Constraint *) stmt->def;
	Oid			type;
	int32		typmod;
	ListCell   *lc;

	if (stmt->subtype != 'C' && stmt->subtype != 'O' && stmt->subtype != 'V')
		return;
	if (stmt->subtype == 'C' && con != NULL && IsA(con, Constraint) && con->skip_validation)
		return;
	if (!lint_type(c->lint, makeTypeNameFromNameList(stmt->typeName), &type, &typmod))
		return;
	foreach(lc, domain_users(c, type, NIL))
		lint_find(c, lfirst(lc), ShareLock, psprintf("domain %s", strVal(llast(stmt->typeName))));
}

/* Whether an enum is there that this script has not made. */
static bool
is_old_type(LintCheck *c, List *names)
{
	LintType   *made = lint_type_of_script(c->lint, names);
	Oid			type;
	int32		typmod;

	return (made == NULL || !made->is_new) &&
		lint_type(c->lint, makeTypeNameFromNameList(names), &type, &typmod);
}

static void
check_enum_rename(LintCheck *c)
{
	AlterEnumStmt *stmt = castNode(AlterEnumStmt, c->node);

	if (stmt->oldVal != NULL && is_old_type(c, stmt->typeName))
		lint_find(c, NULL, NoLock, psprintf("value '%s' of %s becomes '%s'", stmt->oldVal,
											strVal(llast(stmt->typeName)), stmt->newVal));
}

static bool
label_walker(Node *node, void *label)
{
	if (node == NULL)
		return false;
	if (IsA(node, A_Const))
		return !((A_Const *) node)->isnull && IsA(&((A_Const *) node)->val, String) &&
			strcmp(strVal(&((A_Const *) node)->val), label) == 0;
	return raw_expression_tree_walker(node, label_walker, label);
}

/* Whether a statement has the label as a constant, where rows or defaults are made. */
static bool
uses_label(Node *node, char *label)
{
	ListCell   *lc;

	switch (nodeTag(node))
	{
		case T_SelectStmt:
		case T_InsertStmt:
		case T_UpdateStmt:
		case T_DeleteStmt:
			return label_walker(node, label);
		case T_IndexStmt:
			return label_walker(((IndexStmt *) node)->whereClause, label);
		case T_AlterTableStmt:
			foreach(lc, ((AlterTableStmt *) node)->cmds)
			{
				AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);
				ColumnDef  *def = (ColumnDef *) cmd->def;
				Constraint *con = NULL;

				if (cmd->subtype == AT_ColumnDefault && label_walker(cmd->def, label))
					return true;
				if (cmd->subtype == AT_AddColumn)
					con = lint_constraint_of(def, CONSTR_DEFAULT);
				else if (cmd->subtype == AT_AddConstraint)
					con = (Constraint *) cmd->def;
				else if (cmd->subtype == AT_AlterColumnType && label_walker(def->raw_default, label))
					return true;
				if (con != NULL && label_walker(con->raw_expr, label))
					return true;
			}
			return false;
		default:
			return false;
	}
}

static void
check_enum_use(LintCheck *c)
{
	ListCell   *lc;

	foreach(lc, c->lint->types)
	{
		LintType   *type = lfirst(lc);

		if (type->label == NULL || type->made_step != c->lint->step)
			continue;
		lint_analysis(c->lint);
		if (uses_label(c->node, type->label))
			lint_find(c, c->rel, NoLock, psprintf("'%s' of enum %s is used in the transaction that adds it",
												  type->label, type->name));
	}
}

/* ---- triggers */

static void
check_create_trigger(LintCheck *c)
{
	lint_find(c, c->rel, ShareRowExclusiveLock,
			  psprintf("trigger %s", castNode(CreateTrigStmt, c->node)->trigname));
}

static void
check_drop_trigger(LintCheck *c)
{
	ListCell   *lc;

	foreach(lc, castNode(DropStmt, c->node)->objects)
	{
		List	   *names = lfirst(lc);
		LintRelation *rel = lint_relation_named(c->lint,
												list_truncate(list_copy(names), list_length(names) - 1));

		if (!lint_has_rows(c->lint, rel))
			continue;
		lint_analysis(c->lint);
		if (OidIsValid(get_trigger_oid(rel->oid, strVal(llast(names)), true)))
			lint_find(c, rel, AccessExclusiveLock, psprintf("trigger %s", strVal(llast(names))));
	}
}

static void
check_disable_trigger(LintCheck *c)
{
	bool		all = c->cmd->subtype == AT_DisableTrigAll;

	if (lint_is_old(c->rel))
		lint_find_at(c, c->lint->statement, all ? LINT_ERROR : LINT_WARNING, c->rel,
					 ShareRowExclusiveLock, all ? "foreign keys are not checked either" : NULL);
}

/* ---- row security, rules, owners */

static bool
has_policy(LintCheck *c, LintRelation *rel)
{
	Relation	pg_policy;
	SysScanDesc scan;
	ScanKeyData key;
	bool		found;

	if (rel->has_policy || !OidIsValid(rel->oid))
		return rel->has_policy;
	lint_analysis(c->lint);
	pg_policy = table_open(PolicyRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_policy_polrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(rel->oid));
	scan = systable_beginscan(pg_policy, PolicyPolrelidPolnameIndexId, true, NULL, 1, &key);
	found = HeapTupleIsValid(systable_getnext(scan));
	systable_endscan(scan);
	table_close(pg_policy, AccessShareLock);
	return found;
}

static void
check_access(LintCheck *c)
{
	HeapTuple	tuple;
	bool		secured;
	Oid			owner;
	ListCell   *lc;

	if (c->node == NULL)
	{
		/* Row security that was enabled: is there a policy by now? */
		foreach(lc, lint_relations(c->lint))
		{
			LintRelation *rel = lfirst(lc);

			if (rel->rls_since > 0 && lint_is_old(rel) && !has_policy(c, rel))
				lint_find_at(c, rel->rls_since - 1, LINT_ERROR, rel, AccessExclusiveLock,
							 "row security without a policy hides all rows from all but the owner");
		}
		return;
	}
	if (!lint_is_old(c->rel))
		return;
	if (c->cmd == NULL)
	{
		lint_find(c, c->rel, AccessExclusiveLock, NULL);
		return;
	}
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(c->rel->oid));
	if (!HeapTupleIsValid(tuple))
		return;
	secured = ((Form_pg_class) GETSTRUCT(tuple))->relrowsecurity;
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	if (c->cmd->subtype == AT_DisableRowSecurity)
	{
		if (secured || c->rel->rls_since > 0)
			lint_find_at(c, c->lint->statement, LINT_ERROR, c->rel, AccessExclusiveLock,
						 "without row security all rows are open to all who may read the table");
		return;
	}
	lint_analysis(c->lint);
	if (get_rolespec_oid(c->cmd->newowner, true) != owner)
		lint_find(c, c->rel, AccessExclusiveLock, "another owner has other rights");
}

/* ---- schemas */

static void
check_schema(LintCheck *c)
{
	AlterObjectSchemaStmt *stmt;
	List	   *name = NIL;

	if (IsA(c->node, RenameStmt))
	{
		char	   *from = ((RenameStmt *) c->node)->subname;
		ListCell   *lc;

		foreach(lc, c->lint->new_schemas)
		{
			if (strcmp(lfirst(lc), from) == 0)
				return;
		}
		if (OidIsValid(get_namespace_oid(from, true)))
			lint_find(c, NULL, NoLock, psprintf("schema %s becomes %s", from,
												((RenameStmt *) c->node)->newname));
		return;
	}
	stmt = castNode(AlterObjectSchemaStmt, c->node);
	switch (stmt->objectType)
	{
		case OBJECT_TABLE:
		case OBJECT_VIEW:
		case OBJECT_MATVIEW:
		case OBJECT_SEQUENCE:
		case OBJECT_FOREIGN_TABLE:
			if (lint_is_old(c->rel))
				lint_find(c, c->rel, AccessExclusiveLock,
						  psprintf("%s moves to schema %s", c->rel->name, stmt->newschema));
			return;
		case OBJECT_TYPE:
		case OBJECT_DOMAIN:
			name = (List *) stmt->object;
			if (!is_old_type(c, name))
				return;
			break;
		case OBJECT_FUNCTION:
		case OBJECT_PROCEDURE:
		case OBJECT_ROUTINE:
			lint_analysis(c->lint);
			name = castNode(ObjectWithArgs, stmt->object)->objname;
			if (!OidIsValid(LookupFuncWithArgs(stmt->objectType, (ObjectWithArgs *) stmt->object, true)))
				return;
			break;
		default:
			return;
	}
	lint_find(c, NULL, NoLock, psprintf("%s moves to schema %s", strVal(llast(name)),
										stmt->newschema));
}

const LintRule lint_rules_object[] = {
	{"domain-add-constraint", LINT_SCAN, {{T_AlterDomainStmt, LINT_ANY}}, check_domain,
		"while every row of every table with the domain is checked: whoever writes waits",
	"A CHECK of the tables instead, added NOT VALID and validated in a later script."},
	{"enum-rename-value", LINT_ALWAYS_ERROR, {{T_AlterEnumStmt, LINT_ANY}}, check_enum_rename,
		"code that runs still uses the old value",
	"ADD VALUE, move code and rows over, and leave the old value alone."},
	{"enum-add-value-use-same-tx", LINT_ALWAYS_ERROR, {{LINT_AFTER_STATEMENT, LINT_ANY}}, check_enum_use,
		"the server refuses it, so that tapmig.run ends the transaction before it and tapmig.apply refuses the script",
	"Use the value in a later script."},
	{"create-trigger", LINT_HOLD, {{T_CreateTrigStmt, LINT_ANY}}, check_create_trigger,
		"to make a trigger: whoever writes waits until the transaction ends",
	"Keep it in a script of its own."},
	{"drop-trigger", LINT_HOLD, {{T_DropStmt, OBJECT_TRIGGER}}, check_drop_trigger,
		"to drop a trigger: reads and writes wait until the transaction ends",
	"Keep it in a script of its own."},
	{"disable-trigger", LINT_ALWAYS_WARNING,
		{{T_AlterTableStmt, AT_DisableTrig}, {T_AlterTableStmt, AT_DisableTrigAll},
		{T_AlterTableStmt, AT_DisableTrigUser}}, check_disable_trigger,
		"and what the triggers keep true is not kept for anybody",
	"SET LOCAL session_replication_role = replica switches them off for this transaction alone (superusers)."},
	{"rls-policy-rule-owner-changes", LINT_HOLD,
		{{T_AlterTableStmt, AT_DisableRowSecurity}, {T_AlterTableStmt, AT_ChangeOwner},
		{T_CreatePolicyStmt, LINT_ANY}, {T_RuleStmt, LINT_ANY}, {LINT_END_OF_SCRIPT, LINT_ANY}},
		check_access,
		"to change who sees what: reads and writes wait until the transaction ends",
	"ENABLE ROW LEVEL SECURITY and its policies in one script, which does nothing else."},
	{"rename-or-set-schema", LINT_ALWAYS_ERROR,
		{{T_RenameStmt, OBJECT_SCHEMA}, {T_AlterObjectSchemaStmt, LINT_ANY}}, check_schema,
		"code that runs still uses the old name",
	"Leave it where it is, or put a view of the old name into the old schema in the same script."},
	{NULL, 0, {{0, 0}}, NULL, NULL, NULL}
};
