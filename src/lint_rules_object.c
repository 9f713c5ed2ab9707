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
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_func.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
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
	foreach(lc, lint_dependents(c->lint, TypeRelationId, domain))
	{
		ObjectAddress *object = &((LintDependent *) lfirst(lc))->object;

		if (object->classId == RelationRelationId && object->objectSubId > 0)
		{
			LintRelation *rel = lint_relation_by_oid(c->lint, object->objectId);
			LintColumn *column = rel == NULL || rel->gone ? NULL :
				lint_column_numbered(c->lint, rel, object->objectSubId);

			/* The script may have dropped the column, or given it another type. */
			if (column != NULL && column->name != NULL &&
				column->type == get_atttype(rel->oid, column->attnum))
				users = list_append_unique_ptr(users, rel);
		}
		else if (object->classId == TypeRelationId && get_typtype(object->objectId) == TYPTYPE_DOMAIN)
			users = domain_users(c, object->objectId, users);
	}
	return users;
}

/* Whether SET NOT NULL finds it so. */
static bool
domain_is_not_null(LintCheck *c, List *names, Oid type)
{
	LintType   *known = lint_type_of_script(c->lint, names);
	HeapTuple	tuple;
	bool		result;

	if (known != NULL && known->has_not_null)
		return known->not_null;
	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	if (!HeapTupleIsValid(tuple))
		return false;
	result = ((Form_pg_type) GETSTRUCT(tuple))->typnotnull;
	ReleaseSysCache(tuple);
	return result;
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
	if (stmt->subtype == 'O' && domain_is_not_null(c, stmt->typeName, type))
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

/* Looking through a statement for a value that an enum has got just before. */
typedef struct LabelWalk
{
	LintCheck  *c;
	LintType   *type;			/* NULL: any; only `seen` is wanted */
	bool		seen;			/* some new value stands there as a constant */
	Oid			oid;			/* of the enum; InvalidOid: unknown */
	bool		constant;		/* the value stands there as a constant ... */
	bool		cast;			/* ... with the enum's name */
	bool		column;			/* some table of the statement has such a column */
} LabelWalk;

static bool
is_enum_name(LabelWalk *walk, const TypeName *name)
{
	return walk->type != NULL && name != NULL && name->names != NIL &&
		strcmp(strVal(llast(name->names)), walk->type->name) == 0;
}

/* Whether a relation has a column of the enum, of an array of it or a domain over it. */
static bool
has_enum_column(LabelWalk *walk, LintRelation *rel)
{
	HeapTuple	tuple;
	int			n;

	if (rel == NULL)
		return false;
	if (rel->is_new || !OidIsValid(walk->oid))
		return rel->open_columns || rel->relkind == RELKIND_VIEW || rel->has_labels;
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(rel->oid));
	if (!HeapTupleIsValid(tuple))
		return false;
	n = ((Form_pg_class) GETSTRUCT(tuple))->relnatts;
	ReleaseSysCache(tuple);
	for (AttrNumber i = 1; i <= n; i++)
	{
		Oid			type = get_atttype(rel->oid, i);
		Oid			element;

		if (!OidIsValid(type))
			continue;			/* dropped */
		type = getBaseType(type);
		element = get_element_type(type);
		if (type == walk->oid || (OidIsValid(element) && getBaseType(element) == walk->oid))
			return true;
	}
	return false;
}

static bool
label_walker(Node *node, void *arg)
{
	LabelWalk  *walk = arg;

	if (node == NULL)
		return false;
	if (IsA(node, A_Const))
	{
		const char *text = !((A_Const *) node)->isnull && IsA(&((A_Const *) node)->val, String) ?
			strVal(&((A_Const *) node)->val) : NULL;

		if (text != NULL && walk->type == NULL)
			walk->seen = walk->seen || lint_names_may_have(&walk->c->lint->label_names, text);
		else if (text != NULL && strcmp(text, walk->type->label) == 0)
			walk->constant = true;
		return false;
	}
	if (IsA(node, TypeCast))
	{
		bool		before = walk->constant;

		walk->constant = false;
		(void) label_walker(((TypeCast *) node)->arg, arg);
		if (walk->constant && is_enum_name(walk, ((TypeCast *) node)->typeName))
			walk->cast = true;
		walk->constant = walk->constant || before;
		return false;
	}
	if (IsA(node, RangeVar))
	{
		if (walk->type != NULL && has_enum_column(walk, lint_relation(walk->c->lint, (RangeVar *) node)))
			walk->column = true;
		return false;
	}
	return raw_expression_tree_walker(node, label_walker, arg);
}

/* Whether the value is meant somewhere in there, by a statement about rel. */
static bool
uses_label(LabelWalk *walk, Node *node, LintRelation *rel)
{
	walk->constant = walk->cast = walk->column = false;
	(void) label_walker(node, walk);
	return walk->cast ||
		(walk->constant && (walk->column || has_enum_column(walk, rel)));
}

/* Whether a column's definition has the value: all that is in it is of the column's type. */
static bool
column_uses_label(LabelWalk *walk, ColumnDef *def, LintRelation *rel)
{
	ListCell   *lc;

	foreach(lc, def->constraints)
	{
		Constraint *con = lfirst(lc);

		if (!IsA(con, Constraint))
			continue;
		if (uses_label(walk, con->raw_expr, rel) ||
			(walk->constant && is_enum_name(walk, def->typeName)))
			return true;
	}
	return false;
}

static bool
table_uses_label(LabelWalk *walk, CreateStmt *stmt)
{
	bool		has_column = false;
	ListCell   *lc;

	foreach(lc, stmt->tableElts)
	{
		ColumnDef  *def = lfirst(lc);

		has_column = has_column || (IsA(def, ColumnDef) && is_enum_name(walk, def->typeName));
		if (IsA(def, ColumnDef) && column_uses_label(walk, def, NULL))
			return true;
	}
	foreach(lc, stmt->tableElts)
	{
		if (IsA(lfirst(lc), Constraint) &&
			(uses_label(walk, ((Constraint *) lfirst(lc))->raw_expr, NULL) ||
			 (walk->constant && has_column)))
			return true;
	}
	return stmt->partbound != NULL && stmt->inhRelations != NIL &&
		uses_label(walk, (Node *) stmt->partbound->listdatums,
				   lint_relation(walk->c->lint, linitial(stmt->inhRelations)));
}

static bool
alter_uses_label(LabelWalk *walk, AlterTableStmt *stmt, LintRelation *rel)
{
	ListCell   *lc;

	foreach(lc, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);
		ColumnDef  *def = (ColumnDef *) cmd->def;

		switch (cmd->subtype)
		{
			case AT_ColumnDefault:
				if (uses_label(walk, cmd->def, rel))
					return true;
				break;
			case AT_AddColumn:
				if (column_uses_label(walk, def, rel))
					return true;
				break;
			case AT_AlterColumnType:
				if (uses_label(walk, def->raw_default, rel) ||
					(walk->constant && is_enum_name(walk, def->typeName)))
					return true;
				break;
			case AT_AddConstraint:
				if (uses_label(walk, ((Constraint *) cmd->def)->raw_expr, rel))
					return true;
				break;
			default:
				break;
		}
	}
	return false;
}

/* Whether the server meets the value as one of the enum when it runs the statement. */
static bool
statement_uses_label(LabelWalk *walk, Node *node, LintRelation *rel)
{
	switch (nodeTag(node))
	{
		case T_SelectStmt:
		case T_InsertStmt:
		case T_UpdateStmt:
		case T_DeleteStmt:
			return uses_label(walk, node, rel);
		case T_ViewStmt:
			return uses_label(walk, ((ViewStmt *) node)->query, NULL);
		case T_CreateTableAsStmt:
			return uses_label(walk, ((CreateTableAsStmt *) node)->query, NULL);
		case T_IndexStmt:
			return uses_label(walk, ((IndexStmt *) node)->whereClause, rel);
		case T_CreateTrigStmt:
			return uses_label(walk, ((CreateTrigStmt *) node)->whenClause, rel);
		case T_CreatePolicyStmt:
			return uses_label(walk, ((CreatePolicyStmt *) node)->qual, rel) ||
				uses_label(walk, ((CreatePolicyStmt *) node)->with_check, rel);
		case T_CreateDomainStmt:
			{
				CreateDomainStmt *stmt = (CreateDomainStmt *) node;
				ListCell   *lc;

				foreach(lc, stmt->constraints)
				{
					if (uses_label(walk, lfirst_node(Constraint, lc)->raw_expr, NULL) ||
						(walk->constant && is_enum_name(walk, stmt->typeName)))
						return true;
				}
				return false;
			}
		case T_CreateStmt:
			return table_uses_label(walk, (CreateStmt *) node);
		case T_AlterTableStmt:
			return alter_uses_label(walk, (AlterTableStmt *) node, rel);
		default:
			return false;
	}
}

static void
check_enum_use(LintCheck *c)
{
	LabelWalk	any = {0};
	ListCell   *lc;

	/* Many new values and many rows: most statements have none of them. */
	any.c = c;
	(void) statement_uses_label(&any, c->node, c->rel);
	if (!any.seen)
		return;
	foreach(lc, c->lint->labels)
	{
		LintType   *type = lfirst(lc);
		LabelWalk	walk = {0};
		int32		typmod;

		if (type->made_step != c->lint->step)
			continue;
		walk.c = c;
		walk.type = type;
		lint_analysis(c->lint);
		if (!lint_type(c->lint, makeTypeNameFromNameList(type->schema == NULL ?
														 list_make1(makeString(type->name)) :
														 list_make2(makeString(type->schema), makeString(type->name))),
					   &walk.oid, &typmod))
			walk.oid = InvalidOid;
		if (!statement_uses_label(&walk, c->node, c->rel))
			continue;
		lint_find(c, c->rel, NoLock, psprintf("'%s' of enum %s is used in the transaction that adds it",
											  type->label, type->name));
		c->lint->cuts = true;
	}
}

/* ---- triggers */

static void
check_create_trigger(LintCheck *c)
{
	lint_find(c, c->rel, ShareRowExclusiveLock,
			  lint_concat("trigger ", castNode(CreateTrigStmt, c->node)->trigname));
}

static void
check_drop_trigger(LintCheck *c)
{
	ListCell   *lc;

	/* Those that go with their function: drop-cascade has noted them. */
	foreach(lc, ((DropStmt *) c->node)->removeType == OBJECT_TRIGGER ? NIL : c->lint->cascades)
	{
		LintCascade *cascade = lfirst(lc);

		if (cascade->statement != c->lint->statement)
			continue;
		if (cascade->use != NULL && lint_use_is_trigger(cascade->use))
			lint_find(c, lint_use_table(cascade->use), AccessExclusiveLock, cascade->name);
		else if (cascade->object.classId == TriggerRelationId)
			lint_find(c, lint_table_with(c->lint, &cascade->object), AccessExclusiveLock, cascade->name);
	}
	if (((DropStmt *) c->node)->removeType != OBJECT_TRIGGER)
		return;
	foreach(lc, castNode(DropStmt, c->node)->objects)
	{
		const char *name;
		LintRelation *rel = lint_table_of_part(c->lint, lfirst(lc), &name);
		Oid			class;

		if (lint_has_rows(c->lint, rel) &&
			OidIsValid(lint_part(c->lint, OBJECT_TRIGGER, rel, name, &class)))
			lint_find(c, rel, AccessExclusiveLock, psprintf("trigger %s", name));
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
	HeapTuple	tuple;
	bool		found = false;

	if (rel->policies != NIL || !OidIsValid(rel->oid))
		return rel->policies != NIL;
	lint_analysis(c->lint);
	pg_policy = table_open(PolicyRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_policy_polrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(rel->oid));
	scan = systable_beginscan(pg_policy, PolicyPolrelidPolnameIndexId, true, NULL, 1, &key);
	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
		found = !lint_object_is_gone(c->lint, PolicyRelationId, ((Form_pg_policy) GETSTRUCT(tuple))->oid);
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
		foreach(lc, c->lint->secures ? lint_relations(c->lint) : NIL)
		{
			LintRelation *rel = lfirst(lc);

			if (rel->rls_since > 0 && lint_is_old(rel) && !has_policy(c, rel))
				lint_find_at(c, rel->rls_since - 1, LINT_ERROR, rel, AccessExclusiveLock,
							 "row security without a policy hides all rows from all but the owner");
		}
		return;
	}
	if (IsA(c->node, DropStmt))
	{
		foreach(lc, ((DropStmt *) c->node)->objects)
		{
			const char *name;
			LintRelation *rel = lint_table_of_part(c->lint, lfirst(lc), &name);
			Oid			class;

			if (lint_has_rows(c->lint, rel) &&
				OidIsValid(lint_part(c->lint, ((DropStmt *) c->node)->removeType, rel, name, &class)))
				lint_find(c, rel, AccessExclusiveLock, name);
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

		if (!lint_schema_is_new(c->lint, from) && lint_schema_exists(c->lint, from))
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

/* ---- functions with their owner's rights */

/* Whether options of CREATE or ALTER FUNCTION set search_path. */
static bool
sets_path(List *options, bool *definer)
{
	bool		sets = false;
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *def = lfirst_node(DefElem, lc);

		if (strcmp(def->defname, "security") == 0)
			*definer = boolVal(def->arg);
		else if (strcmp(def->defname, "set") == 0)
		{
			VariableSetStmt *set = castNode(VariableSetStmt, def->arg);

			if (set->name != NULL && strcmp(set->name, "search_path") == 0 &&
				(set->kind == VAR_SET_VALUE || set->kind == VAR_SET_CURRENT))
				sets = true;
		}
	}
	return sets;
}

/* Whether options of ALTER FUNCTION say SECURITY INVOKER. */
static bool
sets_invoker(List *options)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *def = lfirst_node(DefElem, lc);

		if (strcmp(def->defname, "security") == 0)
			return !boolVal(def->arg);
	}
	return false;
}

/* Whether some function of that name has a search_path of its own in the catalogs. */
static bool
has_path(ObjectWithArgs *function, ObjectType type)
{
	Oid			oid = LookupFuncWithArgs(type, function, true);
	HeapTuple	tuple = OidIsValid(oid) ? SearchSysCache1(PROCOID, ObjectIdGetDatum(oid)) : NULL;
	bool		found = false;
	bool		isnull;
	Datum		value;

	if (!HeapTupleIsValid(tuple))
		return false;
	value = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_proconfig, &isnull);
	if (!isnull)
	{
		Datum	   *settings;
		int			n;

		deconstruct_array(DatumGetArrayTypeP(value), TEXTOID, -1, false, TYPALIGN_INT,
						  &settings, NULL, &n);
		for (int i = 0; i < n; i++)
			found = found || strncmp(TextDatumGetCString(settings[i]), "search_path=", 12) == 0;
	}
	ReleaseSysCache(tuple);
	return found;
}

/* Whether names mean the same function, as far as they say in which schema it is. */
static bool
is_definer(const LintDefiner *definer, List *names)
{
	int			n = list_length(names);

	return strcmp(definer->name, strVal(llast(names))) == 0 &&
		(n < 2 || definer->schema == NULL || strcmp(definer->schema, strVal(list_nth(names, n - 2))) == 0);
}

/* Forgets the functions of that name: they have a search_path now, or are gone. */
static void
forget_definers(Lint *lint, List *names)
{
	ListCell   *lc;

	if (!lint_names_may_have(&lint->definer_names, strVal(llast(names))))
		return;
	foreach(lc, lint->definers)
	{
		if (is_definer(lfirst(lc), names))
			lint->definers = foreach_delete_current(lint->definers, lc);
	}
}

/* ALTER FUNCTION ... RENAME or SET SCHEMA; schema, name: what changes, else NULL. */
static void
rename_definers(Lint *lint, List *names, const char *schema, const char *name)
{
	ListCell   *lc;

	if (!lint_names_may_have(&lint->definer_names, strVal(llast(names))))
		return;
	foreach(lc, lint->definers)
	{
		LintDefiner *definer = lfirst(lc);

		if (!is_definer(definer, names))
			continue;
		if (schema != NULL)
			definer->schema = lint_strdup(lint, schema);
		if (name != NULL)
			definer->name = lint_strdup(lint, name);
		lint_names_add(lint, &lint->definer_names, definer->name);
	}
}

static void
note_definer(Lint *lint, List *names)
{
	LintDefiner *definer = lint_alloc(lint, sizeof(LintDefiner));
	int			n = list_length(names);

	definer->schema = n < 2 ? NULL : lint_strdup(lint, strVal(list_nth(names, n - 2)));
	definer->name = lint_strdup(lint, strVal(llast(names)));
	definer->told = lint_strdup(lint, NameListToString(names));
	definer->statement = lint->statement;
	lint->definers = lint_append(lint, lint->definers, definer);
	lint_names_add(lint, &lint->definer_names, definer->name);
}

static void
check_definer(LintCheck *c)
{
	bool		definer = false;
	ListCell   *lc;

	if (c->node == NULL)
	{
		foreach(lc, c->lint->definers)
		{
			LintDefiner *found = lfirst(lc);

			lint_find_at(c, found->statement, LINT_WARNING, NULL, NoLock,
						 lint_concat("function ", found->told));
		}
	}
	else if (IsA(c->node, CreateFunctionStmt))
	{
		CreateFunctionStmt *stmt = (CreateFunctionStmt *) c->node;

		/* A new definition takes the place of the one before. */
		if (stmt->replace)
			forget_definers(c->lint, stmt->funcname);

		/* BEGIN ATOMIC: its names were looked up when it was made. */
		if (!sets_path(stmt->options, &definer) && definer && stmt->sql_body == NULL)
			note_definer(c->lint, stmt->funcname);
	}
	else if (IsA(c->node, RenameStmt))
		rename_definers(c->lint, castNode(ObjectWithArgs, ((RenameStmt *) c->node)->object)->objname,
						NULL, ((RenameStmt *) c->node)->newname);
	else if (IsA(c->node, AlterObjectSchemaStmt))
	{
		AlterObjectSchemaStmt *stmt = (AlterObjectSchemaStmt *) c->node;

		if (stmt->object != NULL && IsA(stmt->object, ObjectWithArgs))
			rename_definers(c->lint, ((ObjectWithArgs *) stmt->object)->objname, stmt->newschema, NULL);
	}
	else if (IsA(c->node, AlterFunctionStmt))
	{
		AlterFunctionStmt *stmt = (AlterFunctionStmt *) c->node;

		lint_analysis(c->lint);
		if (sets_path(stmt->actions, &definer) || sets_invoker(stmt->actions))
			forget_definers(c->lint, stmt->func->objname);
		else if (definer && !has_path(stmt->func, stmt->objtype))
			note_definer(c->lint, stmt->func->objname);
	}
	else
	{
		foreach(lc, castNode(DropStmt, c->node)->objects)
			forget_definers(c->lint, lfirst_node(ObjectWithArgs, lc)->objname);
	}
}

const LintRule lint_rules_object[] = {
	{"domain-add-constraint", LINT_SCAN, {{T_AlterDomainStmt, LINT_ANY}}, check_domain,
		"while every row of every table with the domain is checked: whoever writes waits",
	"A CHECK of the tables instead, added NOT VALID and validated in a later script."},
	{"enum-rename-value", LINT_ALWAYS_ERROR, {{T_AlterEnumStmt, LINT_ANY}}, check_enum_rename,
		"code that runs still uses the old value",
	"ADD VALUE, move code and rows over, and leave the old value alone."},
	{"enum-add-value-use-same-tx", LINT_ALWAYS_WARNING, {{LINT_BEFORE_STATEMENT, LINT_ANY}}, check_enum_use,
		"the server refuses that, so that tapmig.run ends the transaction before it, and tapmig.apply refuses the script",
	"Use the value in a later script."},
	{"create-trigger", LINT_HOLD, {{T_CreateTrigStmt, LINT_ANY}}, check_create_trigger,
		"to make a trigger: whoever writes waits until the transaction ends",
	"Keep it in a script of its own."},
	{"drop-trigger", LINT_HOLD,
		{{T_DropStmt, OBJECT_TRIGGER}, {T_DropStmt, OBJECT_FUNCTION}, {T_DropStmt, OBJECT_ROUTINE},
		{T_DropStmt, OBJECT_SCHEMA}, {T_DropStmt, OBJECT_EXTENSION}}, check_drop_trigger,
		"to drop a trigger: reads and writes wait until the transaction ends",
	"Keep it in a script of its own."},
	{"disable-trigger", LINT_ALWAYS_WARNING,
		{{T_AlterTableStmt, AT_DisableTrig}, {T_AlterTableStmt, AT_DisableTrigAll},
		{T_AlterTableStmt, AT_DisableTrigUser}}, check_disable_trigger,
		"and what the triggers keep true is not kept for anybody",
	"SET LOCAL session_replication_role = replica switches them off for this transaction alone (superusers)."},
	{"rls-policy-rule-owner-changes", LINT_HOLD,
		{{T_AlterTableStmt, AT_DisableRowSecurity}, {T_AlterTableStmt, AT_ChangeOwner},
		{T_CreatePolicyStmt, LINT_ANY}, {T_AlterPolicyStmt, LINT_ANY}, {T_RuleStmt, LINT_ANY},
		{T_DropStmt, OBJECT_POLICY}, {T_DropStmt, OBJECT_RULE}, {LINT_END_OF_SCRIPT, LINT_ANY}},
		check_access,
		"to change who sees what: reads and writes wait until the transaction ends",
	"ENABLE ROW LEVEL SECURITY and its policies in one script, which does nothing else."},
	{"privilege-widening", LINT_ALWAYS_WARNING,
		{{T_CreateFunctionStmt, LINT_ANY}, {T_AlterFunctionStmt, LINT_ANY}, {T_DropStmt, OBJECT_FUNCTION},
		{T_DropStmt, OBJECT_PROCEDURE}, {T_DropStmt, OBJECT_ROUTINE}, {T_RenameStmt, OBJECT_FUNCTION},
		{T_AlterObjectSchemaStmt, LINT_ANY}, {LINT_END_OF_SCRIPT, LINT_ANY}},
		check_definer,
		"SECURITY DEFINER without a search_path of its own: who calls it chooses what its names mean, with its owner's rights",
	"SET search_path = pg_catalog, pg_temp in its definition, and names with their schemas."},
	{"rename-or-set-schema", LINT_ALWAYS_ERROR,
		{{T_RenameStmt, OBJECT_SCHEMA}, {T_AlterObjectSchemaStmt, LINT_ANY}}, check_schema,
		"code that runs still uses the old name",
	"Leave it where it is, or put a view of the old name into the old schema in the same script."},
	{NULL, 0, {{0, 0}}, NULL, NULL, NULL}
};
