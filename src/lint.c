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
 * error runs in a subtransaction, one for a statement that needs it, which is
 * always rolled back: an error in it (a type that isn't there yet, a division by
 * zero) means that nothing more is known of this statement. Only a cancel and
 * its kin go through.
 */
#include "postgres.h"

#include <limits.h>

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/tablecmds.h"
#include "miscadmin.h"
#include "parser/parser.h"
#include "storage/proc.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

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

/* ---- memory */

void *
lint_alloc(Lint *lint, Size size)
{
	return MemoryContextAllocZero(lint->context, size);
}

char *
lint_strdup(Lint *lint, const char *text)
{
	return MemoryContextStrdup(lint->context, text);
}

List *
lint_append(Lint *lint, List *list, void *element)
{
	MemoryContext old = MemoryContextSwitchTo(lint->context);

	list = lappend(list, element);
	MemoryContextSwitchTo(old);
	return list;
}

List *
lint_append_int(Lint *lint, List *list, int element)
{
	MemoryContext old = MemoryContextSwitchTo(lint->context);

	list = lappend_int(list, element);
	MemoryContextSwitchTo(old);
	return list;
}

/* ---- the subtransaction */

/* For the subtransaction only; a value that the server refuses has no effect. */
static void
lint_set(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL,
							 true, DEBUG5, false);
}

/*
 * From here to the end of the statement's look, errors are allowed. To be
 * called before anything that may raise one: once is enough, more is free.
 */
void
lint_analysis(Lint *lint)
{
	MemoryContext old = CurrentMemoryContext;

	if (lint->analyzing)
		return;
	lint->owner = CurrentResourceOwner;
	BeginInternalSubTransaction(NULL);
	lint->analyzing = true;
	MemoryContextSwitchTo(old);

	/*
	 * Functions that planning runs may want a snapshot. Not the transaction's,
	 * which run takes later, and which the script's own options come before.
	 */
	if (!ActiveSnapshotSet())
		PushActiveSnapshot(GetCatalogSnapshot(InvalidOid));
	lint_set("client_min_messages", "error");
	if (lint->role != GetUserId())
		lint_set("search_path", lint_path_text(lint));	/* "$user" is another one */
	else if (strcmp(lint->path_setting, namespace_search_path) != 0)
		lint_set("search_path", lint->path_setting);
	if (lint->timezone != NULL)
		lint_set("timezone", lint->timezone);
}

static void
lint_end_analysis(Lint *lint)
{
	MemoryContext old = lint->scratch;

	if (!lint->analyzing)
		return;
	lint->analyzing = false;
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(old);
	CurrentResourceOwner = lint->owner;
}

/* ---- findings */

const char *
lint_level_name(LintLevel level)
{
	return level == LINT_ERROR ? "error" : level == LINT_WARNING ? "warning" : "notice";
}

const char *
lint_lock_name(LOCKMODE lock)
{
	static const char *const names[] = {NULL, "ACCESS SHARE", "ROW SHARE",
		"ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE", "SHARE", "SHARE ROW EXCLUSIVE",
	"EXCLUSIVE", "ACCESS EXCLUSIVE"};

	return lock >= 0 && lock < (int) lengthof(names) ? names[lock] : NULL;
}

/* Whether a relation has more rows than tapmig.lint_rows. */
bool
lint_is_large(Lint *lint, LintRelation *rel)
{
	return lint_has_rows(lint, rel) && lint_size(lint, rel)->rows > lint->lint_rows;
}

/* Whether the statement means a partitioned table ONLY, which has no rows of its own. */
bool
lint_is_bare_parent(Lint *lint, LintRelation *rel)
{
	return rel != NULL && rel == lint->only && rel->relkind == RELKIND_PARTITIONED_TABLE;
}

static bool
lint_is_allowed(Lint *lint, const char *rule)
{
	ListCell   *lc;

	foreach(lc, lint->allow)
	{
		if (strcmp(lfirst(lc), rule) == 0)
		{
			lint->allowed = lint_append(lint, lint->allowed, unconstify(char *, rule));
			return true;
		}
	}
	return false;
}

static void
lint_add(Lint *lint, const char *rule, int statement, int line, LintLevel level,
		 const char *relation, const char *lock_mode, const char *message,
		 const char *advice)
{
	LintFinding *finding;

	if (lint_is_allowed(lint, rule))
		return;
	finding = lint_alloc(lint, sizeof(LintFinding));
	finding->rule = rule;
	finding->statement = statement;
	finding->line = line;
	finding->level = level;
	finding->relation = relation == NULL ? NULL : lint_strdup(lint, relation);
	finding->lock_mode = lock_mode;
	finding->message = lint_strdup(lint, message);
	finding->advice = advice;
	lint->findings = lint_append(lint, lint->findings, finding);
}

/*
 * Adds a finding about a statement at a given level. With a lock its message
 * is "LOCK on relation (size) rule's message; detail", else
 * "detail: rule's message".
 */
void
lint_find_at(LintCheck *c, int statement, LintLevel level, LintRelation *rel,
			 LOCKMODE lock, const char *detail)
{
	Lint	   *lint = c->lint;
	const char *name = rel == NULL ? NULL : lint_relation_label(lint, rel);
	char	   *message;

	/* Of an ALTER TABLE's parts the strongest lock is taken, for all of them. */
	if (lock != NoLock && c->cmd != NULL && rel == c->rel && lock < lint->alter_lock)
	{
		lock = lint->alter_lock;
		detail = psprintf("%s%s%s", detail == NULL ? "" : detail, detail == NULL ? "" : "; ",
						  lock == AccessExclusiveLock ?
						  "another part of the statement wants this lock, so that reads wait too" :
						  "another part of the statement wants this lock");
	}
	if (lock != NoLock && rel != NULL)
		message = psprintf("%s on %s%s %s%s%s", lint_lock_name(lock), name,
						   lint_has_rows(lint, rel) ?
						   psprintf(" (%s)", lint_size_text(lint, rel)) : "",
						   c->rule->message, detail == NULL ? "" : "; ",
						   detail == NULL ? "" : detail);
	else
		message = psprintf("%s%s%s", detail == NULL ? "" : detail,
						   detail == NULL ? "" : ": ", c->rule->message);
	lint_add(lint, c->rule->id, statement, lint->script->statements[statement].line,
			 level, name, lint_lock_name(lock), message, c->rule->advice);
}

/*
 * Adds a finding about the statement under way, at the level of the rule's
 * scale and the relation's size. None about what is new or empty, where the
 * scale depends on size.
 */
void
lint_find(LintCheck *c, LintRelation *rel, LOCKMODE lock, const char *detail)
{
	LintLevel	level = LINT_ERROR;

	switch (c->rule->scale)
	{
		case LINT_SCAN:
			if (!lint_has_rows(c->lint, rel) || lint_is_bare_parent(c->lint, rel))
				return;
			level = lint_is_large(c->lint, rel) ? LINT_ERROR : LINT_WARNING;
			c->lint->slow = true;
			break;
		case LINT_HOLD:
			if (!lint_has_rows(c->lint, rel))
				return;
			level = lint_is_large(c->lint, rel) ? LINT_WARNING : LINT_NOTICE;
			break;
		case LINT_ALWAYS_NOTICE:
			level = LINT_NOTICE;
			break;
		case LINT_ALWAYS_WARNING:
			level = LINT_WARNING;
			break;
		case LINT_ALWAYS_ERROR:
			level = LINT_ERROR;
			break;
	}
	lint_find_at(c, c->lint->statement, level, rel, lock, detail);
}

/* Errors that are no matter of the statement's. */
static bool
lint_is_urgent(int sqlerrcode)
{
	return ERRCODE_TO_CATEGORY(sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION ||
		sqlerrcode == ERRCODE_OUT_OF_MEMORY;
}

/* Runs a part of the look at a statement: an error in its analysis ends it. */
static void
lint_guarded(Lint *lint, void (*part) (void *arg), void *arg)
{
	MemoryContext old = MemoryContextSwitchTo(lint->scratch);

	PG_TRY();
	{
		part(arg);
	}
	PG_CATCH();
	{
		ErrorData  *edata;

		if (!lint->analyzing)
			PG_RE_THROW();
		MemoryContextSwitchTo(lint->scratch);
		edata = CopyErrorData();
		FlushErrorState();
		/* Always, or the session would be left in a failed subtransaction. */
		lint_end_analysis(lint);
		if (lint_is_urgent(edata->sqlerrcode))
			ReThrowError(edata);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
}

/* ---- rules */

static void
lint_check(void *arg)
{
	LintCheck  *c = arg;

	c->rule->check(c);
}

/* A rule under one of the nodes that it watches. */
typedef struct LintWatch
{
	int			node;
	int			subtype;
	int			order;			/* of the tables */
	const LintRule *rule;
} LintWatch;

/* All of them, by node; made once a process. */
static LintWatch *lint_watches = NULL;
static int	lint_n_watches;

static int
lint_compare_watches(const void *a, const void *b)
{
	const LintWatch *x = a;
	const LintWatch *y = b;

	return x->node != y->node ? (x->node < y->node ? -1 : 1) : x->order - y->order;
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
	lint_n_watches = n;
	lint_watches = watches;
}

/* The first watch of a node, or the end. */
static int
lint_first_watch(int node)
{
	int			low = 0;
	int			high = lint_n_watches;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (lint_watches[middle].node < node)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Asks the rules that watch a kind of statement, or of what it holds. */
static void
lint_ask(Lint *lint, int node, int subtype, LintCheck *c)
{
	bool		inherit = lint->inherit;

	for (int i = lint_first_watch(node); i < lint_n_watches && lint_watches[i].node == node; i++)
	{
		if (lint_watches[i].subtype != LINT_ANY && lint_watches[i].subtype != subtype)
			continue;
		c->rule = lint_watches[i].rule;
		lint_guarded(lint, lint_check, c);
		lint->inherit = inherit;	/* a rule may see it otherwise for itself */
	}
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
			return ((Constraint *) cmd->def)->contype == CONSTR_CHECK ||
				((Constraint *) cmd->def)->contype == CONSTR_NOTNULL;
		default:
			return false;
	}
}

/* The parts of an ALTER TABLE: the server drops first, whatever the order is. */
static void
lint_look_at_parts(Lint *lint, AlterTableStmt *stmt, LintCheck *c)
{
	lint->alter_lock = AlterTableGetLockLevel(stmt->cmds);
	for (int pass = 0; pass < 2 && c->rel != NULL; pass++)
	{
		ListCell   *lc;

		foreach(lc, stmt->cmds)
		{
			c->cmd = lfirst_node(AlterTableCmd, lc);
			if ((pass == 0) != (c->cmd->subtype == AT_DropColumn || c->cmd->subtype == AT_DropConstraint))
				continue;
			lint->inherit = stmt->relation->inh && lint_is_inherited(c->cmd);
			lint_ask(lint, T_AlterTableStmt, c->cmd->subtype, c);
			lint_guarded(lint, lint_command, c);
		}
	}
	c->cmd = NULL;
}

/* Asks the rules about a statement, then lets the state follow. */
static void
lint_look(Lint *lint, Node *node)
{
	RangeVar   *target = lint_target(node);
	LintCheck	c;

	memset(&c, 0, sizeof(c));
	c.lint = lint;
	c.node = node;
	c.rel = lint_relation(lint, target);
	lint->only = target != NULL && !target->inh ? c.rel : NULL;
	lint->inherit = target != NULL && target->inh &&
		(IsA(node, AlterTableStmt) || IsA(node, UpdateStmt) || IsA(node, DeleteStmt));
	if (IsA(node, AlterTableStmt))
	{
		/* Rules that watch the statement as a whole have the subtype -3. */
		lint_ask(lint, T_AlterTableStmt, -3, &c);
		lint_look_at_parts(lint, (AlterTableStmt *) node, &c);
	}
	else
		lint_ask(lint, nodeTag(node), IsA(node, DropStmt) ? (int) ((DropStmt *) node)->removeType :
				 IsA(node, RenameStmt) ? (int) ((RenameStmt *) node)->renameType : LINT_ANY, &c);
	if (lint->slow || lint->types != NIL || (lint->in_block && lint->shape->kind == SHAPE_STEPWISE))
		lint_ask(lint, LINT_AFTER_STATEMENT, LINT_ANY, &c);
	lint_guarded(lint, lint_after, &c);
	lint_end_analysis(lint);
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
			return lint->definers == NIL && !lint_is_definer((CreateFunctionStmt *) node);
		default:
			return false;
	}
}

/* A transaction ends between statements: locks are gone, names are settled. */
static void
lint_cut(Lint *lint)
{
	lint->inherit = false;
	lint->only = NULL;
	lint_ask_besides(lint, LINT_END_OF_STEP);
	lint_end_analysis(lint);
	lint->renames = NIL;
	lint->held = NIL;
	lint_session_end_of_step(lint);
	lint->step++;
}

/*
 * Whether an INSERT goes where the statement before it went, and so tells
 * nothing new. Scripts with data are long rows of these.
 */
static bool
lint_is_repeated(Lint *lint, InsertStmt *stmt)
{
	RangeVar   *into = stmt->relation;

	if (lint->types != NIL || lint->last_insert == NULL ||
		strcmp(lint->last_insert, into->relname) != 0)
		return false;
	return into->schemaname == NULL ? lint->last_insert_schema == NULL :
		lint->last_insert_schema != NULL && strcmp(lint->last_insert_schema, into->schemaname) == 0;
}

/*
 * Looks at one statement: a visitor of shape_read_each(). The findings are
 * lint_end()'s.
 */
void
lint_statement(void *arg, int index, Node *node, const ShapeStatement *shape)
{
	Lint	   *lint = arg;
	MemoryContext old;
	bool		alone = shape->kind == SHAPE_STEPWISE && !IsA(node, TransactionStmt);

	if (lint_is_idle(lint, node) || (IsA(node, InsertStmt) && lint_is_repeated(lint, (InsertStmt *) node)))
		return;
	CHECK_FOR_INTERRUPTS();
	old = MemoryContextSwitchTo(lint->scratch);
	lint->statement = index;
	lint->shape = shape;
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
	MemoryContextSwitchTo(old);
	MemoryContextReset(lint->scratch);
}

/* ---- a script */

/*
 * Begins to lint a script. Findings and state live in the current memory
 * context; settings may be gone afterwards.
 */
Lint *
lint_begin(Script *script, const Settings *settings)
{
	Lint	   *lint = palloc0(sizeof(Lint));

	if (lint_watches == NULL)
		lint_make_watches();
	lint->script = script;
	lint->context = CurrentMemoryContext;
	lint->scratch = AllocSetContextCreate(CurrentMemoryContext, "tapmig lint",
										  ALLOCSET_DEFAULT_SIZES);
	lint->lint_rows = settings->lint_rows;
	lint->allow = script->directives.allow;
	lint->no_timeout = INT_MAX;
	if (script->directives.lock_timeout_ms == 0 ||
		(script->directives.lock_timeout_ms < 0 && settings->lock_timeout_ms == 0 && LockTimeout == 0))
		lint->no_timeout = -1;
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

static int
lint_compare(const ListCell *a, const ListCell *b)
{
	const LintFinding *x = lfirst(a);
	const LintFinding *y = lfirst(b);

	return x->statement != y->statement ? x->statement - y->statement :
		(int) y->level - (int) x->level;
}

/*
 * Ends it: a list of LintFinding in the order of the statements, the gravest
 * of a statement first.
 */
List *
lint_end(Lint *lint)
{
	MemoryContext old = MemoryContextSwitchTo(lint->scratch);

	if (lint->script->n_statements > 0)
	{
		lint_cut(lint);
		lint_ask_besides(lint, LINT_END_OF_SCRIPT);
		lint_end_analysis(lint);
	}
	lint_judge_allow(lint);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(lint->scratch);
	list_sort(lint->findings, lint_compare);
	return lint->findings;
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
		lint_statement(lint, i, linitial_node(RawStmt, parsed)->stmt, &shape->statements[i]);
		MemoryContextReset(context);
	}
	MemoryContextDelete(context);
}

/*
 * Lints a script whose shape is known, which means parsing it again; see
 * shape_read_each() for both at once. The findings live in the current memory
 * context.
 */
List *
lint_script(Script *script, const Shape *shape, const Settings *settings)
{
	Lint	   *lint = lint_begin(script, settings);
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

/* A finding in one line; level: "error: ", or nothing where all are of one. */
static void
lint_append_finding(StringInfo buf, const LintFinding *finding, const char *level)
{
	if (buf->len > 0)
		appendStringInfoChar(buf, '\n');
	if (finding->statement >= 0)
		appendStringInfo(buf, "statement %d, ", finding->statement + 1);
	appendStringInfo(buf, "line %d: %s%s: %s", finding->line, level, finding->rule,
					 finding->message);
}

/*
 * Does with findings what tapmig.lint says: nothing; a WARNING for each (not
 * for notices), unless they have been warned of; or TM007 where one is an error.
 */
void
lint_report(Script *script, List *findings, const Settings *settings, bool warned)
{
	StringInfoData errors;
	int			n_errors = 0;
	const char *advice = NULL;
	const char *rule = NULL;
	ListCell   *lc;

	if (settings->lint == SETTINGS_ALLOW)
		return;

	initStringInfo(&errors);
	foreach(lc, findings)
	{
		const LintFinding *finding = lfirst(lc);

		if (finding->level == LINT_ERROR && settings->lint == SETTINGS_ERROR)
		{
			n_errors++;
			lint_append_finding(&errors, finding, "");
			if (advice == NULL)
			{
				advice = finding->advice;
				rule = finding->rule;
			}
		}
		else if (finding->level != LINT_NOTICE && !warned)
		{
			StringInfoData line;

			initStringInfo(&line);
			lint_append_finding(&line, finding,
								finding->level == LINT_ERROR ? "error: " : "warning: ");
			ereport(WARNING,
					(errcode(TAPMIG_ERRCODE_LINT),
					 errmsg("%s", line.data),
					 errhint("%s", finding->advice)));
			pfree(line.data);
		}
	}
	if (n_errors > 0)
		ereport(ERROR,
				(errcode(TAPMIG_ERRCODE_LINT),
				 script->label == NULL ?
				 errmsg("lint refuses the script") :
				 errmsg("lint refuses migration %s", script->label),
				 errdetail("%s", errors.data),
				 errhint("%s Or write \"-- tapmig: allow=%s\" at the head of the script.",
						 advice, rule)));
	pfree(errors.data);
}
