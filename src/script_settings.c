/*
 * script_settings.c
 *		The settings of the scanner, as a script changes them on its way; pure.
 *
 * What a string's backslashes mean depends on standard_conforming_strings and
 * backslash_quote. A statement that changes them is not run yet when the next one
 * is read, so its tree is asked.
 */
#include "postgres.h"

#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "script_internal.h"

/* Whether the node is a text that the script has written out. */
static bool
settings_const_string(Node *node, const char **value)
{
	A_Const    *constant = (A_Const *) node;

	if (node == NULL || !IsA(node, A_Const) || constant->isnull ||
		!IsA(&constant->val.node, String))
		return false;
	*value = constant->val.sval.sval;
	return true;
}

/* SET LOCAL and its like hold until the script's own COMMIT. */
void
script_settings_commit(ScriptScannerSettings *settings)
{
	if (!settings->has_local)
		return;
	settings->has_local = false;
	settings->extra->standard_conforming_strings = settings->then_conforming_strings;
	settings->extra->backslash_quote = settings->then_backslash_quote;
}

/*
 * Follows one assignment of a setting that the scanner obeys. Another than a
 * local one holds behind the COMMIT, too.
 */
static void
settings_assign(ScriptScannerSettings *settings, const char *name, const char *value, bool local)
{
	bool		on;

	if (local && !settings->has_local)
	{
		settings->then_conforming_strings = settings->extra->standard_conforming_strings;
		settings->then_backslash_quote = settings->extra->backslash_quote;
		settings->has_local = true;
	}
	if (pg_strcasecmp(name, "standard_conforming_strings") == 0)
	{
		if (value == NULL)
			value = GetConfigOptionResetString("standard_conforming_strings");
		if (parse_bool(value, &on))
			settings->extra->standard_conforming_strings = on;
		if (!local)
			settings->then_conforming_strings = settings->extra->standard_conforming_strings;
	}
	else if (pg_strcasecmp(name, "backslash_quote") == 0)
	{
		if (value == NULL)
			value = GetConfigOptionResetString("backslash_quote");
		if (pg_strcasecmp(value, "safe_encoding") == 0)
			settings->extra->backslash_quote = BACKSLASH_QUOTE_SAFE_ENCODING;
		else if (parse_bool(value, &on))
			settings->extra->backslash_quote = on ? BACKSLASH_QUOTE_ON : BACKSLASH_QUOTE_OFF;
		if (!local)
			settings->then_backslash_quote = settings->extra->backslash_quote;
	}
}

/* RESET ALL, DISCARD ALL. */
void
script_settings_reset(ScriptScannerSettings *settings)
{
	settings_assign(settings, "standard_conforming_strings", NULL, false);
	settings_assign(settings, "backslash_quote", NULL, false);
}

/* Whether it is written as true, or as a text that says so. */
static bool
settings_is_true(Node *node)
{
	const char *text;
	bool		value = false;

	if (IsA(node, A_Const) && IsA(&((A_Const *) node)->val.node, Boolean))
		return ((A_Const *) node)->val.boolval.boolval;
	return settings_const_string(node, &text) && parse_bool(text, &value) && value;
}

/*
 * A SET, RESET or SELECT set_config() of a scanner setting holds from the next
 * statement on, since by then it will have been run.
 */
void
script_settings_follow(ScriptScannerSettings *settings, Node *node)
{
	if (IsA(node, VariableSetStmt))
	{
		VariableSetStmt *set = (VariableSetStmt *) node;
		const char *value = NULL;

		if (set->kind == VAR_RESET_ALL)
			script_settings_reset(settings);
		else if (set->kind == VAR_SET_DEFAULT || set->kind == VAR_RESET)
			settings_assign(settings, set->name, NULL, set->is_local);
		else if (set->kind == VAR_SET_VALUE && list_length(set->args) == 1)
		{
			A_Const    *constant = (A_Const *) linitial(set->args);

			/* SET ... = 0 */
			if (IsA(constant, A_Const) && IsA(&constant->val.node, Integer))
				settings_assign(settings, set->name, constant->val.ival.ival != 0 ? "on" : "off",
								set->is_local);
			else if (settings_const_string((Node *) constant, &value))
				settings_assign(settings, set->name, value, set->is_local);
		}
	}
	else if (IsA(node, SelectStmt))
	{
		ListCell   *lc;

		foreach(lc, ((SelectStmt *) node)->targetList)
		{
			FuncCall   *call = (FuncCall *) lfirst_node(ResTarget, lc)->val;
			const char *name;
			const char *value;

			if (call != NULL && IsA(call, FuncCall) && list_length(call->args) == 3 &&
				strcmp(strVal(llast(call->funcname)), "set_config") == 0 &&
				settings_const_string(linitial(call->args), &name) &&
				settings_const_string(lsecond(call->args), &value))
				settings_assign(settings, name, value, settings_is_true(lthird(call->args)));
		}
	}
}
