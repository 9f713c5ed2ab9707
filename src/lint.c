/*
 * lint.c
 *		Reads a script for hazards against this database's catalogs; runs nothing.
 *
 * The engine: it gets statement after statement from the room `shape`, asks the
 * rules that watch that kind of statement, lets the state of the script
 * follow, and collects findings. A rule is a row of a table in one of the
 * files lint_rules_*.c.
 *
 * Never in the way: catalogs are read through the syscache, relations only under
 * an ACCESS SHARE lock that was free, given back at once. Whatever may raise an
 * error runs in a subtransaction, which is always rolled back: an error in it (a
 * type that isn't there yet, a division by zero) means that nothing more is known
 * of this statement. Only a cancel and its kin go through. Since a subtransaction
 * costs as much as parsing does, a few statements are looked at together, and
 * share one until an error ends it.
 */
#include "postgres.h"

#include <limits.h>

#include "catalog/pg_class.h"
#include "commands/tablecmds.h"
#include "miscadmin.h"
#include "parser/parser.h"
#include "storage/proc.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "errors.h"
#include "lint_internal.h"

static const LintRule *const lint_rule_tables[] = {
	lint_rules_index,
	lint_rules_constraint,
	lint_rules_column,
	lint_rules_type,
	lint_rules_table,
	lint_rules_drop,
	lint_rules_object,
	lint_rules_script,
};

/* The rules about the directive allow itself; nothing else watches for them. */
#define LINT_UNUSED_IGNORE "unused-ignore"

/* ---- rules */

/* A rule under one of the nodes that it watches. */
typedef struct LintWatch
{
	int			node;
	int			subtype;
	int			order;			/* of the tables */
	const LintRule *rule;
} LintWatch;

/* All of them, by node and subtype; made once a process. */
static LintWatch *lint_watches = NULL;
static int	lint_n_watches;

/* Where those of each node begin; more places than there are nodes. */
#define LINT_NODES 1024
static int	lint_node_watches[LINT_NODES];

static int
lint_compare_watches(const void *a, const void *b)
{
	const LintWatch *x = a;
	const LintWatch *y = b;

	return x->node != y->node ? (x->node < y->node ? -1 : 1) :
		x->subtype != y->subtype ? x->subtype - y->subtype : x->order - y->order;
}

/* The place of a node in lint_node_watches; nodes that no rule watches may share one. */
static int
lint_node_place(int node)
{
	const int	first = (int) LINT_BEFORE_STATEMENT;

	return node < first ? Min(node, LINT_NODES - 6) : LINT_NODES - 5 + node - first;
}

static void
lint_make_watches(void)
{
	LintWatch  *watches;
	int			n = 0;
	int			max = 0;

	for (int t = 0; t < (int) lengthof(lint_rule_tables); t++)
	{
		for (const LintRule *rule = lint_rule_tables[t]; rule->id != NULL; rule++)
			max += lengthof(rule->on);
	}
	watches = MemoryContextAlloc(TopMemoryContext, max * sizeof(LintWatch));
	for (int t = 0; t < (int) lengthof(lint_rule_tables); t++)
	{
		for (const LintRule *rule = lint_rule_tables[t]; rule->id != NULL; rule++)
		{
			for (int i = 0; i < (int) lengthof(rule->on) && rule->on[i].node != T_Invalid; i++)
			{
				watches[n].node = rule->on[i].node;
				watches[n].subtype = rule->on[i].subtype;
				watches[n].order = n;
				watches[n].rule = rule;
				n++;
			}
		}
	}
	qsort(watches, n, sizeof(LintWatch), lint_compare_watches);
	for (int i = 0, place = 0; place < LINT_NODES; place++)
	{
		while (i < n && lint_node_place(watches[i].node) < place)
			i++;
		lint_node_watches[place] = i;
	}
	lint_n_watches = n;
	lint_watches = watches;
}

/*
 * The first watch of a node and subtype, or of what follows, or the end. What was asked
 * for lately is kept: large scripts ask the same again and again.
 */
static int
lint_first_watch(int node, int subtype)
{
	static LintWatch kept[64];
	LintWatch  *known = &kept[(unsigned int) (node * 7 + subtype) % lengthof(kept)];
	int			place = lint_node_place(node);
	int			low = lint_node_watches[place];
	int			high = lint_node_watches[place + 1];

	if (known->node == node && known->subtype == subtype)
		return known->order;
	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (lint_watches[middle].node < node ||
			(lint_watches[middle].node == node && lint_watches[middle].subtype < subtype))
			low = middle + 1;
		else
			high = middle;
	}
	*known = (LintWatch) {node, subtype, low, NULL};
	return low;
}

/* What the rules are asked; kept over an error of one of them. */
typedef struct LintQuestion
{
	LintCheck  *check;
	int			node;
	int			subtype;
	int			next;			/* of the watches of this subtype ... */
	int			next_of_any;	/* ... and of those of all */
} LintQuestion;

static const LintWatch *
lint_watch(int i, int node, int subtype)
{
	const LintWatch *watch = &lint_watches[i];

	return i < lint_n_watches && watch->node == node && watch->subtype == subtype ? watch : NULL;
}

/* The rule to be asked next, in the order of the tables; NULL: all were. */
static const LintRule *
lint_next_rule(LintQuestion *question)
{
	const LintWatch *own = question->subtype == LINT_ANY ? NULL :
		lint_watch(question->next, question->node, question->subtype);
	const LintWatch *any = lint_watch(question->next_of_any, question->node, LINT_ANY);

	if (own != NULL && (any == NULL || own->order < any->order))
	{
		question->next++;
		return own->rule;
	}
	if (any == NULL)
		return NULL;
	question->next_of_any++;
	return any->rule;
}

static void
lint_ask_rules(void *arg)
{
	LintQuestion *question = arg;
	LintCheck  *c = question->check;
	bool		inherit = c->lint->inherit;

	while ((c->rule = lint_next_rule(question)) != NULL)
	{
		c->rule->check(c);
		c->lint->inherit = inherit; /* a rule may see it otherwise for itself */
	}
}

/* Asks the rules that watch a kind of statement, or of what it holds. */
static void
lint_ask(Lint *lint, int node, int subtype, LintCheck *c)
{
	LintQuestion question = {c, node, subtype, subtype == LINT_ANY ? 0 : lint_first_watch(node, subtype),
	lint_first_watch(node, LINT_ANY)};
	bool		inherit = lint->inherit;

	/* An error ends a rule, the next one is asked nevertheless. */
	do
	{
		lint_guarded(lint, lint_ask_rules, &question);
		lint->inherit = inherit;
	} while (c->rule != NULL);
}

static void
lint_ask_besides(Lint *lint, int node)
{
	LintCheck	c;

	memset(&c, 0, sizeof(c));
	c.lint = lint;
	lint_ask(lint, node, LINT_ANY, &c);
}

/* The relation that a statement is about, where it has a single one. */
static RangeVar *
lint_target(Node *node)
{
	switch (nodeTag(node))
	{
		case T_AlterTableStmt:
			return ((AlterTableStmt *) node)->relation;
		case T_IndexStmt:
			return ((IndexStmt *) node)->relation;
		case T_CreateTrigStmt:
			return ((CreateTrigStmt *) node)->relation;
		case T_RuleStmt:
			return ((RuleStmt *) node)->relation;
		case T_CreatePolicyStmt:
			return ((CreatePolicyStmt *) node)->table;
		case T_AlterPolicyStmt:
			return ((AlterPolicyStmt *) node)->table;
		case T_RenameStmt:
			return ((RenameStmt *) node)->relation;
		case T_AlterObjectSchemaStmt:
			return ((AlterObjectSchemaStmt *) node)->relation;
		case T_ReindexStmt:
			return ((ReindexStmt *) node)->relation;
		case T_ClusterStmt:
			return ((ClusterStmt *) node)->relation;
		case T_RefreshMatViewStmt:
			return ((RefreshMatViewStmt *) node)->relation;
		case T_UpdateStmt:
			return ((UpdateStmt *) node)->relation;
		case T_DeleteStmt:
			return ((DeleteStmt *) node)->relation;
		default:
			return NULL;
	}
}

static void
lint_command(void *arg)
{
	LintCheck  *c = arg;

	lint_follow_command(c->lint, c->rel, c->cmd);
}

static void
lint_after(void *arg)
{
	LintCheck  *c = arg;

	lint_follow(c->lint, c->node);
}

/* Whether a part of ALTER TABLE does the same to the children. */
static bool
lint_is_inherited(AlterTableCmd *cmd)
{
	switch (cmd->subtype)
	{
		case AT_AddColumn:
		case AT_DropColumn:
		case AT_AlterColumnType:
		case AT_SetNotNull:
		case AT_DropNotNull:
		case AT_ColumnDefault:
		case AT_DropConstraint:
		case AT_ValidateConstraint:
			return true;
		case AT_AddConstraint:
			return (((Constraint *) cmd->def)->contype == CONSTR_CHECK ||
					((Constraint *) cmd->def)->contype == CONSTR_NOTNULL) &&
				!((Constraint *) cmd->def)->is_no_inherit;
		default:
			return false;
	}
}

/* When the server comes to a part of ALTER TABLE, whatever the order is: its AT_PASS_... */
static int
lint_pass(const AlterTableCmd *cmd)
{
	switch (cmd->subtype)
	{
		case AT_DropColumn:
		case AT_DropConstraint:
			return 0;
		case AT_AlterColumnType:
			return 1;
		case AT_AddColumn:
			return 2;
		default:
			return 3;
	}
}

/* The parts of an ALTER TABLE. */
static void
lint_look_at_parts(Lint *lint, AlterTableStmt *stmt, LintCheck *c)
{
	lint->alter_lock = AlterTableGetLockLevel(stmt->cmds);
	for (int pass = 0; pass <= 3 && c->rel != NULL; pass++)
	{
		ListCell   *lc;

		foreach(lc, stmt->cmds)
		{
			c->cmd = lfirst_node(AlterTableCmd, lc);
			c->known = NULL;
			if (lint_pass(c->cmd) != pass)
				continue;
			lint->inherit = stmt->relation->inh && lint_is_inherited(c->cmd);
			lint_ask(lint, T_AlterTableStmt, c->cmd->subtype, c);
			lint_guarded(lint, lint_command, c);
		}
	}
	c->cmd = NULL;
}

static void
lint_find_typed(void *arg)
{
	LintCheck  *c = arg;

	c->typed = lint_typed_tables(c->lint, c->rel);
}

static bool
lint_cascades(AlterTableStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->cmds)
	{
		if (lfirst_node(AlterTableCmd, lc)->behavior == DROP_CASCADE)
			return true;
	}
	return false;
}

/*
 * The parts of an ALTER TYPE with CASCADE: they are done to the tables of the type
 * (CREATE TABLE ... OF) as ALTER TABLE would.
 */
static void
lint_look_at_typed_tables(Lint *lint, AlterTableStmt *stmt, LintCheck *c)
{
	ListCell   *lc;
	ListCell   *part;

	if (!lint_is_old(c->rel) || c->rel->relkind != RELKIND_COMPOSITE_TYPE || !lint_cascades(stmt))
		return;
	lint_guarded(lint, lint_find_typed, c);
	lint->only = NULL;
	foreach(lc, c->typed)
	{
		c->rel = lfirst(lc);
		lint->inherit = true;
		lint_ask(lint, T_AlterTableStmt, -3, c);
		foreach(part, stmt->cmds)
		{
			c->cmd = lfirst_node(AlterTableCmd, part);
			c->known = NULL;
			if (c->cmd->behavior != DROP_CASCADE)
				continue;
			lint->inherit = lint_is_inherited(c->cmd);
			lint_ask(lint, T_AlterTableStmt, c->cmd->subtype, c);
			lint_guarded(lint, lint_command, c);
			lint_hold(lint, c->rel, lint->alter_lock);
		}
		c->cmd = NULL;
	}
}

/* A transaction ends between statements: locks are gone, names are settled. */
static void
lint_cut(Lint *lint)
{
	lint->inherit = false;
	lint->only = NULL;
	lint_ask_besides(lint, LINT_END_OF_STEP);
	lint->renames = NIL;
	lint->column_renames = NIL;
	lint->held = NIL;
	lint_relations_commit(lint);
	lint_session_end_of_step(lint);
	lint->step++;
}

/* Asks the rules about a statement, then lets the state follow. */
static void
lint_look(Lint *lint, Node *node)
{
	RangeVar   *target = lint_target(node);
	LintCheck	c;

	lint->target = target;
	lint->target_known = false;

	if (lint->create_schema != NULL)
	{
		/* An error has ended the one before. */
		lint->create_schema = NULL;
		lint_path_reset(lint);
	}
	if (lint->stale)
		lint_end_analysis(lint);
	memset(&c, 0, sizeof(c));
	c.lint = lint;
	c.node = node;
	c.rel = lint_relation(lint, target);
	lint->cuts = false;
	if (lint->labels != NIL)
		lint_ask(lint, LINT_BEFORE_STATEMENT, LINT_ANY, &c);
	if (lint->cuts)
	{
		lint_cut(lint);
		c.rel = lint_relation(lint, target);
	}
	lint->only = target != NULL && !target->inh ? c.rel : NULL;
	lint->inherit = target != NULL && target->inh &&
		(IsA(node, AlterTableStmt) || IsA(node, UpdateStmt) || IsA(node, DeleteStmt));
	if (IsA(node, AlterTableStmt))
	{
		/* Rules that watch the statement as a whole have the subtype -3. */
		lint_ask(lint, T_AlterTableStmt, -3, &c);
		lint_look_at_parts(lint, (AlterTableStmt *) node, &c);
		if (((AlterTableStmt *) node)->objtype == OBJECT_TYPE)
			lint_look_at_typed_tables(lint, (AlterTableStmt *) node, &c);
	}
	else
		lint_ask(lint, nodeTag(node), IsA(node, DropStmt) ? (int) ((DropStmt *) node)->removeType :
				 IsA(node, RenameStmt) ? (int) ((RenameStmt *) node)->renameType : LINT_ANY, &c);
	if (lint->slow || (lint->in_block && lint->shape->kind == SHAPE_STEPWISE))
		lint_ask(lint, LINT_AFTER_STATEMENT, LINT_ANY, &c);
	lint_guarded(lint, lint_after, &c);
	lint->target = NULL;
}

static bool
lint_is_definer(CreateFunctionStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->options)
	{
		if (strcmp(lfirst_node(DefElem, lc)->defname, "security") == 0)
			return true;
	}
	return false;
}

/* Statements of which no rule wants to know anything; large scripts hold many. */
static bool
lint_is_idle(Lint *lint, Node *node)
{
	switch (nodeTag(node))
	{
		case T_CommentStmt:
		case T_GrantStmt:
		case T_SecLabelStmt:
		case T_VariableShowStmt:
		case T_AlterDefaultPrivilegesStmt:
			return true;
		case T_CreateFunctionStmt:
			return !((CreateFunctionStmt *) node)->replace &&
				!lint_is_definer((CreateFunctionStmt *) node);
		default:
			return false;
	}
}

/*
 * Whether an INSERT goes where the statement before it went, and so tells
 * nothing new. Scripts with data are long rows of these.
 */
static bool
lint_is_repeated(Lint *lint, InsertStmt *stmt)
{
	RangeVar   *into = stmt->relation;

	if (lint->labels != NIL || lint->last_insert == NULL ||
		strcmp(lint->last_insert, into->relname) != 0)
		return false;
	return into->schemaname == NULL ? lint->last_insert_schema == NULL :
		lint->last_insert_schema != NULL && strcmp(lint->last_insert_schema, into->schemaname) == 0;
}

/* Whether a statement tells nothing, so that the state need not follow it. */
static bool
lint_is_nothing(Lint *lint, Node *node)
{
	return lint_is_idle(lint, node) ||
		(IsA(node, InsertStmt) && lint_is_repeated(lint, (InsertStmt *) node));
}

/* What is kept of every statement: what stands between BEGIN and COMMIT, functions. */
static void
lint_note(Lint *lint, int index, Node *node)
{
	if (IsA(node, CreateFunctionStmt))
		lint_function_make(lint, index, (CreateFunctionStmt *) node);
	if (lint->in_block && !IsA(node, TransactionStmt) &&
		!(IsA(node, VariableSetStmt) && !((VariableSetStmt *) node)->is_local))
		lint->block_runs++;
}

static void
lint_look_at(Lint *lint, const LintPending *pending)
{
	Node	   *node = pending->node;
	bool		alone = pending->shape->kind == SHAPE_STEPWISE && !IsA(node, TransactionStmt);

	lint_note(lint, pending->index, node);
	if (lint_is_nothing(lint, node))
		return;
	CHECK_FOR_INTERRUPTS();
	lint->statement = pending->index;
	lint->shape = pending->shape;
	lint->slow = false;
	lint->last_insert = NULL;

	if (IsA(node, TransactionStmt))
	{
		TransactionStmtKind kind = ((TransactionStmt *) node)->kind;

		lint_look(lint, node);
		if (kind == TRANS_STMT_BEGIN || kind == TRANS_STMT_START ||
			kind == TRANS_STMT_COMMIT || kind == TRANS_STMT_ROLLBACK)
		{
			lint_cut(lint);
			lint->in_block = kind == TRANS_STMT_BEGIN || kind == TRANS_STMT_START ||
				((TransactionStmt *) node)->chain;
			lint->block_runs = 0;
		}
	}
	else
	{
		if (alone)
			lint_cut(lint);
		lint_look(lint, node);
		if (alone)
			lint_cut(lint);
	}
	if (IsA(node, InsertStmt))
	{
		lint->last_insert = lint_strdup(lint, ((InsertStmt *) node)->relation->relname);
		lint->last_insert_schema = ((InsertStmt *) node)->relation->schemaname == NULL ? NULL :
			lint_strdup(lint, ((InsertStmt *) node)->relation->schemaname);
	}
	MemoryContextReset(lint->scratch);
}

static void
lint_look_at_pending(Lint *lint)
{
	MemoryContext old = MemoryContextSwitchTo(lint->scratch);

	PG_TRY();
	{
		for (int i = 0; i < lint->n_pending; i++)
			lint_look_at(lint, &lint->pending[i]);
	}
	PG_CATCH();
	{
		ReThrowError(lint_take_error(lint));
	}
	PG_END_TRY();
	lint_end_analysis(lint);
	MemoryContextSwitchTo(old);
	lint->n_pending = 0;
	lint->pending_bytes = 0;
}

/*
 * Takes one statement, NULL: there is none left. A visitor of shape_read_each():
 * true once the trees that it was given are not needed any more. The findings are
 * lint_end()'s.
 */
bool
lint_statement(void *arg, int index, Node *node, const ShapeStatement *shape)
{
	Lint	   *lint = arg;

	if (node != NULL)
	{
		const ScriptStatement *text = &lint->script->statements[index];
		LintPending *pending = &lint->pending[lint->n_pending];

		/* Long rows of these are parsed in the same memory. */
		if (lint->n_pending == 0 && lint_is_nothing(lint, node))
		{
			lint_note(lint, index, node);
			return true;
		}
		pending->index = index;
		pending->node = node;
		pending->shape = shape;
		lint->n_pending++;
		lint->pending_bytes += text->end - text->start;
		if (lint->n_pending < LINT_BATCH && lint->pending_bytes < LINT_BATCH_BYTES)
			return false;
	}
	lint_look_at_pending(lint);
	return true;
}

/* ---- a script */

/*
 * Begins to lint a script. Findings and state live in the current memory
 * context; settings may be gone afterwards. memory: NULL, or where the state is
 * to live, which lint_end() resets.
 */
Lint *
lint_begin(Script *script, const Settings *settings, MemoryContext memory)
{
	Lint	   *lint = palloc0(sizeof(Lint));

	if (lint_watches == NULL)
		lint_make_watches();
	lint->script = script;
	lint->memory = memory;
	lint->context = AllocSetContextCreate(memory != NULL ? memory : CurrentMemoryContext,
										  "tapmig lint state", ALLOCSET_DEFAULT_SIZES);
	lint_room_begin(&lint->state, memory != NULL ? memory : lint->context, memory != NULL);
	lint_room_begin(&lint->kept, CurrentMemoryContext, false);
	lint->scratch = AllocSetContextCreate(CurrentMemoryContext, "tapmig lint",
										  ALLOCSET_DEFAULT_SIZES);
	lint->lint_rows = settings->lint_rows;
	lint->allow = script->directives.allow;
	lint->no_timeout = INT_MAX;
	if (script->directives.lock_timeout_ms == 0 ||
		(script->directives.lock_timeout_ms < 0 && settings->lock_timeout_ms == 0 && LockTimeout == 0))
		lint->no_timeout = -1;
	lint->reset_timeout = script->directives.lock_timeout_ms > 0 ||
		(script->directives.lock_timeout_ms < 0 && settings->lock_timeout_ms > 0);
	lint_session_begin(lint);
	return lint;
}

static bool
lint_rule_exists(const char *id)
{
	if (strcmp(id, LINT_UNUSED_IGNORE) == 0)
		return true;
	for (int t = 0; t < (int) lengthof(lint_rule_tables); t++)
	{
		for (const LintRule *rule = lint_rule_tables[t]; rule->id != NULL; rule++)
		{
			if (strcmp(rule->id, id) == 0)
				return true;
		}
	}
	return false;
}

/* The items of allow that silenced nothing, or name no rule. */
static void
lint_judge_allow(Lint *lint)
{
	ListCell   *lc;

	foreach(lc, lint->allow)
	{
		const char *id = lfirst(lc);
		bool		used = strcmp(id, LINT_UNUSED_IGNORE) == 0;
		ListCell   *found;

		foreach(found, lint->allowed)
			used = used || strcmp(lfirst(found), id) == 0;
		if (used)
			continue;
		if (lint_rule_exists(id))
			lint_add(lint, LINT_UNUSED_IGNORE, -1, lint->script->directives.allow_line,
					 LINT_NOTICE, NULL, NULL,
					 psprintf("allow=%s silences nothing in this script", id),
					 "Take it out: it would hide what a later edit brings.");
		else
			lint_add(lint, LINT_UNUSED_IGNORE, -1, lint->script->directives.allow_line,
					 LINT_WARNING, NULL, NULL,
					 psprintf("allow=%s: there is no rule of that name", id),
					 "Take the name from the finding that is to be silenced.");
	}
}

/*
 * Ends it: the findings in the order of the statements, the gravest of a
 * statement first.
 */
const LintFindings *
lint_end(Lint *lint)
{
	MemoryContext old = MemoryContextSwitchTo(lint->scratch);

	if (lint->script->n_statements > 0)
	{
		PG_TRY();
		{
			lint_cut(lint);
			lint_ask_besides(lint, LINT_END_OF_SCRIPT);
		}
		PG_CATCH();
		{
			ReThrowError(lint_take_error(lint));
		}
		PG_END_TRY();
		lint_end_analysis(lint);
	}
	lint_judge_allow(lint);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(lint->scratch);
	if (lint->memory == NULL)
		MemoryContextDelete(lint->context);
	else
		MemoryContextReset(lint->memory);
	lint->context = lint->scratch = NULL;
	lint_sort_findings(lint);
	return &lint->findings;
}

/* Parses and looks at every statement. */
static void
lint_statements(Lint *lint, Script *script, const Shape *shape)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "tapmig lint parse",
												  ALLOCSET_DEFAULT_SIZES);

	for (int i = 0; i < script->n_statements; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		List	   *parsed;

		script_obey_scanner_settings(&script->statements[i]);
		parsed = raw_parser(script_statement_text(script, i), RAW_PARSE_DEFAULT);
		MemoryContextSwitchTo(old);
		if (lint_statement(lint, i, linitial_node(RawStmt, parsed)->stmt, &shape->statements[i]))
			MemoryContextReset(context);
	}
	(void) lint_statement(lint, script->n_statements, NULL, NULL);
	MemoryContextDelete(context);
}

/*
 * Lints a script whose shape is known, which means parsing it again; see
 * shape_read_each() for both at once. The findings live in the current memory
 * context.
 */
const LintFindings *
lint_script(Script *script, const Shape *shape, const Settings *settings)
{
	Lint	   *lint = lint_begin(script, settings, NULL);
	int			nest = NewGUCNestLevel();
	ScriptSilence silence;

	script_silence_scanner(&silence);
	PG_TRY();
	{
		lint_statements(lint, script, shape);
	}
	PG_FINALLY();
	{
		script_end_silence(&silence);
	}
	PG_END_TRY();
	AtEOXact_GUC(false, nest);
	return lint_end(lint);
}
