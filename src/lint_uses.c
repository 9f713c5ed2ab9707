/*
 * lint_uses.c
 *		What a script makes that depends on something else: views, triggers, rules,
 *		policies, defaults, child tables.
 *
 * The catalogs know nothing of it, so that what it uses is read from its text:
 * relations and their columns, and functions of users. A later DROP asks what is in
 * its way, and with CASCADE, what goes along. A name of a column that may be that
 * of several tables counts for those of the catalogs that have such a column.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "lint_internal.h"

struct LintUse
{
	ObjectType	type;			/* of what depends: OBJECT_VIEW, OBJECT_TRIGGER, ... */
	LintRelation *user;			/* that, or its table */
	char	   *name;			/* of a trigger, rule, policy; of a default: its column's; NULL */
	LintRelation *used;			/* NULL: a function ... */
	char	   *function;		/* ... of this name ... */
	char	   *schema;			/* ... as it is written; NULL: without one */
	int			n_arguments;
	List	   *columns;		/* names of those of an old relation that it uses */
	bool		all_columns;
	int			statement;
	bool		gone;
};

/* ---- reading a text */

/* A relation of a query, by what its columns may be called. */
typedef struct UseTable
{
	LintRelation *rel;
	const char *name;
} UseTable;

typedef struct UseWalk
{
	Lint	   *lint;
	List	   *tables;			/* UseTable */
	List	   *with;			/* names of WITH */
	List	   *columns;		/* ColumnRef */
	List	   *functions;		/* FuncCall, of users' functions */
} UseWalk;

static bool
use_find_with(Node *node, void *arg)
{
	UseWalk    *walk = arg;

	if (node == NULL)
		return false;
	if (IsA(node, CommonTableExpr))
		walk->with = lappend(walk->with, ((CommonTableExpr *) node)->ctename);
	return raw_expression_tree_walker(node, use_find_with, arg);
}

static void
use_add_table(UseWalk *walk, LintRelation *rel, const char *name)
{
	UseTable   *table = palloc(sizeof(UseTable));

	table->rel = rel;
	table->name = name;
	walk->tables = lappend(walk->tables, table);
}

static bool
use_is_with(UseWalk *walk, const RangeVar *name)
{
	ListCell   *lc;

	foreach(lc, name->schemaname == NULL ? walk->with : NIL)
	{
		if (strcmp(lfirst(lc), name->relname) == 0)
			return true;
	}
	return false;
}

static bool
use_walker(Node *node, void *arg)
{
	UseWalk    *walk = arg;

	if (node == NULL)
		return false;
	if (IsA(node, RangeVar))
	{
		RangeVar   *name = (RangeVar *) node;
		LintRelation *rel = use_is_with(walk, name) ? NULL : lint_relation(walk->lint, name);

		if (rel != NULL)
			use_add_table(walk, rel, name->alias != NULL ? name->alias->aliasname : name->relname);
		return false;
	}
	if (IsA(node, ColumnRef))
		walk->columns = lappend(walk->columns, node);
	else if (IsA(node, FuncCall) &&
			 lint_function_is_users(walk->lint, strVal(llast(((FuncCall *) node)->funcname))))
		walk->functions = lappend(walk->functions, node);
	else if (IsA(node, JoinExpr))
	{
		ListCell   *lc;

		foreach(lc, ((JoinExpr *) node)->usingClause)
		{
			ColumnRef  *ref = makeNode(ColumnRef);

			ref->fields = list_make1(lfirst(lc));
			walk->columns = lappend(walk->columns, ref);
		}
	}
	return raw_expression_tree_walker(node, use_walker, arg);
}

static void
use_read(UseWalk *walk, Node *text)
{
	if (text == NULL)
		return;
	lint_analysis(walk->lint);
	(void) use_find_with(text, walk);
	(void) use_walker(text, walk);
}

/* ---- keeping it */

static LintUse *
use_add(Lint *lint, ObjectType type, LintRelation *user, const char *name)
{
	LintUse    *use = lint_alloc(lint, sizeof(LintUse));

	use->type = type;
	use->user = user;
	use->name = name == NULL ? NULL : lint_strdup(lint, name);
	use->statement = lint->statement;
	return use;
}

static LintUse *
use_add_relation(Lint *lint, ObjectType type, LintRelation *user, const char *name, LintRelation *used)
{
	LintUse    *use = use_add(lint, type, user, name);

	use->used = used;
	used->uses = lint_append(lint, used->uses, use);
	if (user != used)
		user->uses = lint_append(lint, user->uses, use);
	return use;
}

static void
use_add_column(Lint *lint, LintUse *use, const char *column)
{
	ListCell   *lc;

	foreach(lc, use->columns)
	{
		if (strcmp(lfirst(lc), column) == 0)
			return;
	}
	use->columns = lint_append(lint, use->columns, lint_strdup(lint, column));
}

/* The columns of an old table of the query that it names. */
static void
use_add_columns(UseWalk *walk, LintUse *use, const UseTable *table)
{
	ListCell   *lc;

	foreach(lc, walk->columns)
	{
		List	   *fields = lfirst_node(ColumnRef, lc)->fields;
		int			n = list_length(fields);
		const char *column = IsA(llast(fields), String) ? strVal(llast(fields)) : NULL;

		if (n > 1 && (!IsA(list_nth(fields, n - 2), String) || strcmp(strVal(list_nth(fields, n - 2)), table->name) != 0))
			continue;
		if (column == NULL)
			use->all_columns = true;
		else if (lint_column(walk->lint, table->rel, column) != NULL)
			use_add_column(walk->lint, use, column);
	}
}

/* Notes that something calls a function of a user. */
static void
use_add_function(Lint *lint, ObjectType type, LintRelation *user, const char *name, List *function, int n)
{
	LintUse    *use = use_add(lint, type, user, name);

	use->function = lint_strdup(lint, strVal(llast(function)));
	use->schema = list_length(function) < 2 ? NULL :
		lint_strdup(lint, strVal(list_nth(function, list_length(function) - 2)));
	use->n_arguments = n;
	user->uses = lint_append(lint, user->uses, use);
	lint_function_add_use(lint, use->function, use);
}

/* Notes what a text uses; user: what it belongs to. */
static void
use_note(UseWalk *walk, ObjectType type, LintRelation *user, const char *name)
{
	Lint	   *lint = walk->lint;
	List	   *seen = NIL;
	ListCell   *lc;

	foreach(lc, walk->tables)
	{
		const UseTable *table = lfirst(lc);
		LintUse    *use;

		if (table->rel->is_new && list_member_ptr(seen, table->rel))
			continue;
		seen = lappend(seen, table->rel);
		use = use_add_relation(lint, type, user, name, table->rel);
		if (!table->rel->is_new)
			use_add_columns(walk, use, table);
	}
	foreach(lc, walk->functions)
		use_add_function(lint, type, user, name, lfirst_node(FuncCall, lc)->funcname,
						 list_length(lfirst_node(FuncCall, lc)->args));
}

/* ---- what the statements say */

/* The definition that something had before counts no more: mostly the last one. */
static void
use_forget(ObjectType type, LintRelation *user, const char *name)
{
	bool		found = false;

	for (int i = list_length(user->uses) - 1; i >= 0; i--)
	{
		LintUse    *use = list_nth(user->uses, i);

		if (use->user == user && use->type == type &&
			(name == NULL || (use->name != NULL && strcmp(use->name, name) == 0)))
			use->gone = found = true;
		else if (found && name != NULL)
			break;
		if (use->gone && i == list_length(user->uses) - 1)
			user->uses = list_delete_last(user->uses);
	}
}

/* A view or materialized view of that query. */
void
lint_use_query(Lint *lint, LintRelation *view, Node *query)
{
	ObjectType	type = view->relkind == RELKIND_VIEW ? OBJECT_VIEW : OBJECT_MATVIEW;
	UseWalk		walk = {lint, NIL, NIL, NIL, NIL};

	use_forget(type, view, NULL);
	use_read(&walk, query);
	use_note(&walk, type, view, NULL);
}

/* The expression calls functions: a default, a CHECK. */
void
lint_use_expression(Lint *lint, ObjectType type, LintRelation *rel, const char *name, Node *expression)
{
	UseWalk		walk = {lint, NIL, NIL, NIL, NIL};

	if (expression == NULL || IsA(expression, A_Const))
		return;
	use_read(&walk, expression);
	walk.tables = NIL;
	use_note(&walk, type, rel, name);
}

/* A child table. */
void
lint_use_parent(Lint *lint, LintRelation *child, LintRelation *parent)
{
	if (child != NULL && parent != NULL)
		(void) use_add_relation(lint, OBJECT_TABLE, child, NULL, parent);
}

/* What OLD and NEW of a trigger or rule stand for; of a new table no column is asked for. */
static void
use_add_old_and_new(UseWalk *walk, LintRelation *rel)
{
	if (rel->is_new)
		return;
	use_add_table(walk, rel, "old");
	use_add_table(walk, rel, "new");
}

static void
use_follow_trigger(Lint *lint, CreateTrigStmt *stmt)
{
	LintRelation *rel = lint_relation(lint, stmt->relation);
	UseWalk		walk = {lint, NIL, NIL, NIL, NIL};
	ListCell   *lc;

	if (rel == NULL)
		return;
	if (stmt->replace)
		use_forget(OBJECT_TRIGGER, rel, stmt->trigname);
	use_read(&walk, stmt->whenClause);
	foreach(lc, stmt->columns)
	{
		ColumnRef  *ref = makeNode(ColumnRef);

		ref->fields = list_make1(lfirst(lc));
		walk.columns = lappend(walk.columns, ref);
	}
	use_add_old_and_new(&walk, rel);
	use_note(&walk, OBJECT_TRIGGER, rel, stmt->trigname);
	if (lint_function_is_users(lint, strVal(llast(stmt->funcname))))
		use_add_function(lint, OBJECT_TRIGGER, rel, stmt->trigname, stmt->funcname, 0);
}

static void
use_follow_rule(Lint *lint, RuleStmt *stmt)
{
	LintRelation *rel = lint_relation(lint, stmt->relation);
	UseWalk		walk = {lint, NIL, NIL, NIL, NIL};
	ListCell   *lc;

	if (rel == NULL)
		return;
	if (stmt->replace)
		use_forget(OBJECT_RULE, rel, stmt->rulename);
	use_add_old_and_new(&walk, rel);
	use_read(&walk, stmt->whereClause);
	foreach(lc, stmt->actions)
	{
		/* The one command in a rule that the walker does not know */
		if (!IsA(lfirst(lc), NotifyStmt))
			use_read(&walk, lfirst(lc));
	}
	use_note(&walk, OBJECT_RULE, rel, stmt->rulename);
}

static void
use_follow_policy(Lint *lint, const RangeVar *table, const char *name, Node *qual, Node *check)
{
	LintRelation *rel = lint_relation(lint, table);
	UseWalk		walk = {lint, NIL, NIL, NIL, NIL};

	if (rel == NULL)
		return;
	use_read(&walk, qual);
	use_read(&walk, check);
	if (!rel->is_new)
		use_add_table(&walk, rel, rel->name);
	use_note(&walk, OBJECT_POLICY, rel, name);
}

/* CREATE TRIGGER, RULE, POLICY; of ALTER POLICY, what it had before counts on. */
void
lint_use_part(Lint *lint, Node *node)
{
	if (IsA(node, CreateTrigStmt))
		use_follow_trigger(lint, (CreateTrigStmt *) node);
	else if (IsA(node, RuleStmt))
		use_follow_rule(lint, (RuleStmt *) node);
	else
		use_follow_policy(lint, castNode(CreatePolicyStmt, node)->table,
						  ((CreatePolicyStmt *) node)->policy_name,
						  ((CreatePolicyStmt *) node)->qual, ((CreatePolicyStmt *) node)->with_check);
}

/* It is dropped, or made anew: a trigger, rule or policy, the default of a column, a child's parent. */
void
lint_use_end(ObjectType type, LintRelation *user, const char *name)
{
	if (user != NULL)
		use_forget(type, user, name);
}

/* A child is none of that parent any more. */
void
lint_use_end_parent(LintRelation *child, LintRelation *parent)
{
	ListCell   *lc;

	foreach(lc, child->uses)
	{
		LintUse    *use = lfirst(lc);

		if (use->type == OBJECT_TABLE && use->user == child && use->used == parent)
			use->gone = true;
	}
}

/* A column has another name; what uses it follows. */
void
lint_use_rename_column(Lint *lint, LintRelation *rel, const char *from, const char *to)
{
	ListCell   *lc;
	ListCell   *column;

	foreach(lc, rel->uses)
	{
		LintUse    *use = lfirst(lc);

		foreach(column, use->used == rel ? use->columns : NIL)
		{
			if (strcmp(lfirst(column), from) == 0)
				lfirst(column) = lint_strdup(lint, to);
		}
	}
}

/* ---- what a DROP meets */

/* What it is called; as getObjectDescription() has it. */
char *
lint_use_name(Lint *lint, const LintUse *use)
{
	char	   *user = lint_relation_label(lint, use->user);
	const char *name = use->name == NULL ? "" : quote_identifier(use->name);

	switch (use->type)
	{
		case OBJECT_VIEW:
			return psprintf("view %s", user);
		case OBJECT_MATVIEW:
			return psprintf("materialized view %s", user);
		case OBJECT_INDEX:
			return psprintf("index %s", user);
		case OBJECT_TRIGGER:
			return psprintf("trigger %s on table %s", name, user);
		case OBJECT_RULE:
			return psprintf("rule %s on table %s", name, user);
		case OBJECT_POLICY:
			return psprintf("policy %s on table %s", name, user);
		case OBJECT_DEFAULT:
			return psprintf("default value for column %s of table %s", name, user);
		case OBJECT_TABCONSTRAINT:
			return use->name == NULL ? psprintf("a constraint of table %s", user) :
				psprintf("constraint %s on table %s", name, user);
		default:
			return psprintf("table %s", user);
	}
}

/* Whether it goes as a whole: a view, a child table, an index. */
static bool
use_is_relation(const LintUse *use)
{
	return use->type == OBJECT_VIEW || use->type == OBJECT_MATVIEW || use->type == OBJECT_TABLE ||
		use->type == OBJECT_INDEX;
}

static bool
use_has_column(const LintUse *use, const char *column)
{
	ListCell   *lc;

	foreach(lc, use->columns)
	{
		if (strcmp(lfirst(lc), column) == 0)
			return true;
	}
	return use->all_columns;
}

/* What a DROP meets, each thing once. */
typedef struct UseFound
{
	Lint	   *lint;
	List	   *uses;
	LintNames	names;			/* of the things, but for the first ones */
} UseFound;

#define USE_LISTED 16

static bool
use_is_same(const LintUse *a, const LintUse *b)
{
	return a->type == b->type && a->user == b->user &&
		(a->name == b->name || (a->name != NULL && b->name != NULL && strcmp(a->name, b->name) == 0));
}

/* Adds one, unless it or another one of the same thing is there. */
static void
use_collect(UseFound *found, LintUse *use)
{
	int			n = list_length(found->uses);
	char	   *thing = NULL;

	if (n >= USE_LISTED)
	{
		thing = psprintf("%d %p %s", (int) use->type, (void *) use->user, use->name == NULL ? "" : use->name);
		if (!lint_names_may_have(&found->names, thing))
			n = USE_LISTED;
	}
	for (int i = 0; i < n; i++)
	{
		if (use_is_same(list_nth(found->uses, i), use))
			return;
	}
	if (thing != NULL)
		lint_names_add(found->lint, &found->names, thing);
	found->uses = lappend(found->uses, use);
}

/* Adds what uses one of these relations, or this column of it, and is none of them. */
static void
use_collect_of(UseFound *found, List *relations, LintRelation *rel, const char *column)
{
	ListCell   *lc;

	foreach(lc, rel->uses)
	{
		LintUse    *use = lfirst(lc);

		if (use->used != rel || use->gone || use->user->gone ||
			(column == NULL ? list_member_ptr(relations, use->user) : !use_has_column(use, column)))
			continue;
		use_collect(found, use);
	}
}

/* Adds what calls a function that is dropped. */
static void
use_collect_of_function(Lint *lint, UseFound *found, ObjectType type, ObjectWithArgs *named)
{
	const char *name = strVal(llast(named->objname));
	List	   *uses = lint_function_uses(lint, name);
	const char *schema;
	int			n;
	ListCell   *lc;

	if (uses == NIL || !lint_function_find(lint, type, named, &schema, &n))
		return;
	foreach(lc, uses)
	{
		LintUse    *use = lfirst(lc);

		if (!use->gone && !use->user->gone && use->n_arguments == n && strcmp(use->function, name) == 0 &&
			(use->schema == NULL ? lint_path_has(lint, schema) : strcmp(use->schema, schema) == 0))
			use_collect(found, use);
	}
}

/* Whether a child has a column from its parent alone. */
bool
lint_column_is_inherited(Oid child, const char *column)
{
	HeapTuple	tuple = SearchSysCacheAttName(child, column);
	bool		inherited;

	if (!HeapTupleIsValid(tuple))
		return false;
	inherited = !((Form_pg_attribute) GETSTRUCT(tuple))->attislocal &&
		((Form_pg_attribute) GETSTRUCT(tuple))->attinhcount == 1;
	ReleaseSysCache(tuple);
	return inherited;
}

/*
 * What the script has made and depends on what a statement drops, in the current
 * context: all that goes with it where deep. more: relations that go besides.
 */
List *
lint_uses_of_dropped(LintCheck *c, List *more, bool deep)
{
	DropStmt   *stmt = (DropStmt *) c->node;
	List	   *relations = list_copy(more);
	UseFound	found = {0};
	ListCell   *lc;

	found.lint = c->lint;
	if (c->cmd != NULL)
	{
		if (c->cmd->subtype == AT_DropColumn && lint_column(c->lint, c->rel, c->cmd->name) != NULL)
			use_collect_of(&found, NIL, c->rel, c->cmd->name);
		/* From the children it goes too, where they have it from nowhere else. */
		foreach(lc, c->cmd->subtype == AT_DropColumn && c->lint->inherit ? lint_children(c->lint, c->rel) : NIL)
		{
			LintRelation *child = lint_relation_by_oid(c->lint, lfirst_oid(lc));

			if (child != NULL && child->uses != NIL && lint_column_is_inherited(child->oid, c->cmd->name))
				use_collect_of(&found, NIL, child, c->cmd->name);
		}
	}
	else
	{
		foreach(lc, stmt->objects)
		{
			LintRelation *rel;

			switch (stmt->removeType)
			{
				case OBJECT_TABLE:
				case OBJECT_VIEW:
				case OBJECT_MATVIEW:
				case OBJECT_SEQUENCE:
				case OBJECT_FOREIGN_TABLE:
					rel = lint_relation_named(c->lint, lfirst(lc));
					if (rel != NULL)
						relations = list_append_unique_ptr(relations, rel);
					break;
				case OBJECT_FUNCTION:
				case OBJECT_PROCEDURE:
				case OBJECT_ROUTINE:
				case OBJECT_AGGREGATE:
					use_collect_of_function(c->lint, &found, stmt->removeType, lfirst(lc));
					break;
				default:
					break;
			}
		}
	}
	foreach(lc, relations)
		use_collect_of(&found, relations, lfirst(lc), NULL);
	for (int i = 0; deep && i < list_length(found.uses); i++)
	{
		LintUse    *use = list_nth(found.uses, i);

		CHECK_FOR_INTERRUPTS();
		if (use_is_relation(use))
			use_collect_of(&found, relations, use->user, NULL);
	}
	return found.uses;
}

/* What the script has made and depends on a column, in the current context. */
List *
lint_uses_of_column(Lint *lint, LintRelation *rel, const char *column)
{
	UseFound	found = {0};

	found.lint = lint;
	use_collect_of(&found, NIL, rel, column);
	return found.uses;
}

/* The view that it is, or NULL. */
LintRelation *
lint_use_relation(const LintUse *use)
{
	return use_is_relation(use) ? use->user : NULL;
}

bool
lint_use_is_trigger(const LintUse *use)
{
	return use->type == OBJECT_TRIGGER;
}

LintRelation *
lint_use_table(const LintUse *use)
{
	return use->user;
}

/* It goes by CASCADE. */
void
lint_use_drop(Lint *lint, LintUse *use)
{
	if (use->type == OBJECT_INDEX)
		lint_index_drop(lint, use->user);
	else
		lint_hold(lint, use->user, AccessExclusiveLock);
	if (use_is_relation(use) && !use->user->gone)
		lint_relation_drop(lint, use->user);
	use_forget(use->type, use->user, use->name);
}
