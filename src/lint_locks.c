/*
 * lint_locks.c
 *		The locks that a script has taken so far in its step.
 *
 * They are noted where a statement takes them: on what it names, and on what
 * goes along (the tables of a foreign key, a default partition). What goes down
 * to children is noted on their parent; a child asks its parents.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "miscadmin.h"

#include "lint_internal.h"

/* What its parents have been locked with is its own lock too. */
static void
locks_take_over(Lint *lint, LintRelation *rel)
{
	ListCell   *lc;

	check_stack_depth();
	if (rel->held_age == lint->held_age || lint->held_below_step != lint->step + 1 || rel->is_new)
		return;
	rel->held_age = lint->held_age;
	foreach(lc, lint_parents(lint, rel))
	{
		LintRelation *parent = lfirst(lc);

		locks_take_over(lint, parent);
		if (parent->held_below_step != lint->step + 1)
			continue;
		if (rel->held_below_step != lint->step + 1 || rel->held_below < parent->held_below)
		{
			rel->held_below = parent->held_below;
			rel->held_below_step = parent->held_below_step;
			rel->held_below_since = parent->held_below_since;
		}
		if (rel->held_step == lint->step && rel->held >= parent->held_below)
			continue;
		rel->held = parent->held_below;
		rel->held_step = lint->step;
		rel->held_since = parent->held_below_since;
	}
}

/* Notes that the statement takes a lock, which is held to the end of the step. */
void
lint_hold(Lint *lint, LintRelation *rel, LOCKMODE lock)
{
	if (rel == NULL)
		return;
	locks_take_over(lint, rel);
	if (rel->held_step != lint->step || rel->held == NoLock)
	{
		rel->held = NoLock;
		rel->held_step = lint->step;
		if (lint_is_old(rel))
			lint->held = lint_append(lint, lint->held, rel);
	}
	if (lock > rel->held)
	{
		rel->held = lock;
		rel->held_since = lint->statement;
	}
}

/* The same, and on all that inherits from it. */
void
lint_hold_all(Lint *lint, LintRelation *rel, LOCKMODE lock)
{
	lint_hold(lint, rel, lock);
	if (rel == NULL || !OidIsValid(rel->oid) ||
		(rel->relkind != RELKIND_PARTITIONED_TABLE && !rel->has_children))
		return;
	if (rel->held_below_step == lint->step + 1 && rel->held_below >= lock)
		return;
	rel->held_below = lock;
	rel->held_below_step = lint->held_below_step = lint->step + 1;
	rel->held_below_since = lint->statement;
	lint->held_age++;
}

/* Whether an earlier statement of the step has taken that lock or a stronger one. */
bool
lint_held_before(Lint *lint, LintRelation *rel, LOCKMODE lock)
{
	if (rel != NULL)
		locks_take_over(lint, rel);
	return rel != NULL && rel->held_step == lint->step && rel->held >= lock &&
		rel->held_since < lint->statement;
}

/* Whether a part of ALTER TABLE locks the children too. */
static bool
locks_go_down(Lint *lint, LintRelation *rel, AlterTableCmd *cmd)
{
	LintColumn *column;
	LintConstraint *constraint;

	switch (cmd->subtype)
	{
		case AT_AddColumn:
			return !cmd->missing_ok || lint_column(lint, rel, ((ColumnDef *) cmd->def)->colname) == NULL;
		case AT_SetNotNull:
			column = lint_column(lint, rel, cmd->name);
			return column != NULL && !column->not_null;
		case AT_DropColumn:
		case AT_ColumnDefault:
		case AT_DropNotNull:
		case AT_DropExpression:
		case AT_SetStorage:
		case AT_AlterColumnType:
			return lint_column(lint, rel, cmd->name) != NULL;
		case AT_DropConstraint:
			constraint = lint_constraint(lint, rel, cmd->name);
			/* Partitions are locked though it is not there. */
			return rel->relkind == RELKIND_PARTITIONED_TABLE ||
				(constraint != NULL && constraint->type == CONSTRAINT_CHECK);
		case AT_AddConstraint:
			return rel->relkind == RELKIND_PARTITIONED_TABLE ||
				((Constraint *) cmd->def)->contype == CONSTR_PRIMARY ||
				(((Constraint *) cmd->def)->contype == CONSTR_CHECK && !((Constraint *) cmd->def)->is_no_inherit);
		default:
			return false;
	}
}

/* A part of ALTER TABLE locks the children, with the lock of the whole statement. */
void
lint_hold_children(Lint *lint, LintRelation *rel, AlterTableCmd *cmd)
{
	if ((rel->relkind == RELKIND_PARTITIONED_TABLE || rel->has_children) && !rel->is_new && lint->only != rel &&
		locks_go_down(lint, rel, cmd))
		lint_hold_all(lint, rel, lint->alter_lock);
}
