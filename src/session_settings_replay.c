/*
 * session_settings_replay.c
 *		What a statement says that it SETs, without the statement.
 *
 * A plain SET, RESET or DISCARD ALL says it, and a SELECT of nothing but
 * set_config() with constants, as pg_dump writes it. What a function or a block
 * sets its text does not tell.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "compat.h"
#include "session_settings.h"

/* A constant's text, whatever it is cast to; NULL: it is no text. */
static const char *
replay_text(Node *node)
{
	if (IsA(node, TypeCast))
		node = ((TypeCast *) node)->arg;
	return IsA(node, A_Const) && !((A_Const *) node)->isnull &&
		IsA(&((A_Const *) node)->val, String) ? strVal(&((A_Const *) node)->val) : NULL;
}

static bool
replay_is_false(Node *node)
{
	bool		value = true;

	if (IsA(node, TypeCast))
		node = ((TypeCast *) node)->arg;
	if (IsA(node, A_Const) && !((A_Const *) node)->isnull && IsA(&((A_Const *) node)->val, Boolean))
		return !boolVal(&((A_Const *) node)->val);
	return replay_text(node) != NULL && parse_bool(replay_text(node), &value) && !value;
}

/* set_config() that lasts, with constants. */
static void
replay_call(Node *node)
{
	FuncCall   *call = (FuncCall *) node;
	const char *name;
	const char *value;

	if (!IsA(node, FuncCall) || list_length(call->args) != 3 ||
		strcmp(strVal(llast(call->funcname)), "set_config") != 0 ||
		(list_length(call->funcname) == 2 &&
		 strcmp(strVal(linitial(call->funcname)), "pg_catalog") != 0))
		return;
	name = replay_text(linitial(call->args));
	value = replay_text(lsecond(call->args));
	if (name != NULL && value != NULL && replay_is_false(lthird(call->args)))
		(void) set_config_option(name, value, superuser() ? PGC_SUSET : PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SET, true, 0, false);
}

static void
replay_select(const SelectStmt *statement)
{
	ListCell   *lc;

	if (statement->fromClause != NIL || statement->whereClause != NULL ||
		statement->op != SETOP_NONE || statement->withClause != NULL)
		return;
	foreach(lc, statement->targetList)
		replay_call(lfirst_node(ResTarget, lc)->val);
}

/*
 * Sets what a raw statement says that it SETs for the session, in the caller's
 * transaction; nothing for any other statement. Errors: those of SET.
 */
void
session_settings_replay(Node *statement)
{
	VariableSetStmt *set = (VariableSetStmt *) statement;

	switch (nodeTag(statement))
	{
		case T_VariableSetStmt:
			if (!set->is_local && !(set->kind == VAR_SET_MULTI &&
									strncmp(set->name, "TRANSACTION", strlen("TRANSACTION")) == 0))
				ExecSetVariableStmt(set, false);
			break;
		case T_DiscardStmt:
			if (((DiscardStmt *) statement)->target != DISCARD_ALL)
				break;
			SetPGVariable("session_authorization", NIL, false);
			ResetAllOptions();
			break;
		case T_SelectStmt:
			replay_select((SelectStmt *) statement);
			break;
		default:
			break;
	}
}
