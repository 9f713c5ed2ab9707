/*
 * lint_session.c
 *		What a script SETs, as far as its other statements depend on it:
 *		search_path, TimeZone, lock_timeout, the role.
 *
 * Nothing is set in the session: what the script would have is kept in its
 * state. What the server would refuse leaves the state as it is.
 */
#include "postgres.h"

#include <limits.h>

#include "catalog/namespace.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/guc.h"

#include "lint_internal.h"

/* What the session has when the script begins. */
void
lint_session_begin(Lint *lint)
{
	lint->path_setting = lint_strdup(lint, namespace_search_path);
	lint->login = GetSessionUserId();
	lint->role = GetUserId();
}

/* The transaction ends: what was SET LOCAL ends with it. */
void
lint_session_end_of_step(Lint *lint)
{
	if (lint->timezone_local)
		lint->timezone = lint->timezone_outside;
	if (lint->timeout_local)
		lint->no_timeout = lint->no_timeout_outside;
	lint->timezone_local = lint->timeout_local = false;
	if (lint->path_outside == NULL && !OidIsValid(lint->role_outside))
		return;
	if (lint->path_outside != NULL)
		lint->path_setting = lint->path_outside;
	if (OidIsValid(lint->role_outside))
		lint->role = lint->role_outside;
	lint->path_outside = NULL;
	lint->role_outside = InvalidOid;
	lint_path_reset(lint);
}

/* value NULL: as a new session has it. */
static void
session_set_path(Lint *lint, const char *value, bool local)
{
	if (!local)
		lint->path_outside = NULL;
	else if (lint->path_outside == NULL)
		lint->path_outside = lint->path_setting;
	if (value == NULL)
		value = GetConfigOptionResetString("search_path");
	if (value == NULL)
		value = "";
	if (strcmp(lint->path_setting, value) == 0)
		return;
	lint->path_setting = lint_strdup(lint, value);
	lint_path_reset(lint);
}

static void
session_set_timezone(Lint *lint, const char *value, bool local)
{
	if (local && !lint->timezone_local)
		lint->timezone_outside = lint->timezone;
	lint->timezone_local = local;
	if (value == NULL)
		value = GetConfigOptionResetString("timezone");
	lint->timezone = value == NULL ? NULL : lint_strdup(lint, value);
	lint->stale = true;
}

static void
session_set_role(Lint *lint, Oid role, bool local)
{
	if (!OidIsValid(role))
		return;
	if (!local)
		lint->role_outside = InvalidOid;
	else if (!OidIsValid(lint->role_outside))
		lint->role_outside = lint->role;
	lint->role = role;
	lint_path_reset(lint);
}

/* SET ROLE, SET SESSION AUTHORIZATION; name NULL: RESET or DEFAULT. */
static void
session_follow_role(Lint *lint, bool login, const char *name, bool local)
{
	Oid			role;

	if (name == NULL || (!login && strcmp(name, "none") == 0))
		role = login ? GetAuthenticatedUserId() : lint->login;
	else
		role = get_role_oid(name, true);
	if (login && !local && OidIsValid(role))
		lint->login = role;
	session_set_role(lint, role, local);
}

/* value NULL: RESET or DEFAULT. What the server would refuse changes nothing. */
static void
session_set_lock_timeout(Lint *lint, const char *value, bool local)
{
	int			ms;

	if (value == NULL)
		value = lint->reset_timeout ? "1" : GetConfigOptionResetString("lock_timeout");
	if (value == NULL || !parse_int(value, &ms, GUC_UNIT_MS, NULL) || ms < 0)
		return;
	if (local && !lint->timeout_local)
		lint->no_timeout_outside = lint->no_timeout;
	lint->timeout_local = local;
	lint->no_timeout = ms == 0 ? lint->statement : INT_MAX;
}

/* Common in scripts: it does without the analysis. */
static void
session_follow_lock_timeout(Lint *lint, VariableSetStmt *stmt)
{
	A_Const    *given;

	if (stmt->kind != VAR_SET_VALUE)
	{
		session_set_lock_timeout(lint, NULL, stmt->is_local);
		return;
	}
	given = linitial(stmt->args);
	if (!IsA(given, A_Const) || given->isnull)
		return;
	if (IsA(&given->val, Integer))
		session_set_lock_timeout(lint, psprintf("%d", intVal(&given->val)), stmt->is_local);
	else if (IsA(&given->val, String))
		session_set_lock_timeout(lint, strVal(&given->val), stmt->is_local);
}

/* RESET ALL; all: DISCARD ALL. */
void
lint_follow_reset(Lint *lint, bool all)
{
	session_set_path(lint, NULL, false);
	session_set_timezone(lint, NULL, false);
	session_set_lock_timeout(lint, NULL, false);
	if (!all)
		return;
	lint->login = GetAuthenticatedUserId();
	session_set_role(lint, lint->login, false);
}

/* Whether a value is written in a way that the server takes without an error. */
static bool
session_is_plain(VariableSetStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->args)
	{
		A_Const    *value = lfirst(lc);

		if (!IsA(value, A_Const) || value->isnull || !IsA(&value->val, String))
			return false;
	}
	return pg_strcasecmp(stmt->name, "search_path") == 0;
}

/* SET and RESET. */
void
lint_follow_set(Lint *lint, VariableSetStmt *stmt)
{
	const char *name = stmt->name;
	const char *value = NULL;

	if (stmt->kind == VAR_RESET_ALL)
	{
		lint_follow_reset(lint, false);
		return;
	}
	if (pg_strcasecmp(name, "lock_timeout") == 0)
	{
		session_follow_lock_timeout(lint, stmt);
		return;
	}
	if (pg_strcasecmp(name, "search_path") != 0 && pg_strcasecmp(name, "timezone") != 0 &&
		pg_strcasecmp(name, "role") != 0 && pg_strcasecmp(name, "session_authorization") != 0)
		return;
	if (stmt->kind == VAR_SET_VALUE)
	{
		if (!session_is_plain(stmt))
			lint_analysis(lint);
		value = ExtractSetVariableArgs(stmt);
		if (value == NULL)
			return;
	}
	if (pg_strcasecmp(name, "search_path") == 0)
		session_set_path(lint, value, stmt->is_local);
	else if (pg_strcasecmp(name, "timezone") == 0)
		session_set_timezone(lint, value, stmt->is_local);
	else
		session_follow_role(lint, pg_strcasecmp(name, "role") != 0, value, stmt->is_local);
}

/* pg_dump's way: SELECT pg_catalog.set_config('search_path', '', false) */
void
lint_follow_set_config(Lint *lint, SelectStmt *stmt)
{
	FuncCall   *call;
	const char *text[2];
	A_Const    *last;
	bool		local;

	if (list_length(stmt->targetList) != 1 || stmt->fromClause != NIL)
		return;
	call = (FuncCall *) ((ResTarget *) linitial(stmt->targetList))->val;
	if (!IsA(call, FuncCall) || strcmp(strVal(llast(call->funcname)), "set_config") != 0 ||
		(list_length(call->funcname) > 1 && strcmp(strVal(linitial(call->funcname)), "pg_catalog") != 0) ||
		list_length(call->args) != 3)
		return;
	for (int i = 0; i < 2; i++)
	{
		A_Const    *value = list_nth(call->args, i);

		if (!IsA(value, A_Const) || value->isnull || !IsA(&value->val, String))
			return;
		text[i] = strVal(&value->val);
	}
	last = lthird(call->args);
	local = IsA(last, A_Const) && !last->isnull && IsA(&last->val, Boolean) && boolVal(&last->val);
	if (pg_strcasecmp(text[0], "search_path") == 0)
		session_set_path(lint, text[1], local);
	else if (pg_strcasecmp(text[0], "timezone") == 0)
		session_set_timezone(lint, text[1], local);
	else if (pg_strcasecmp(text[0], "lock_timeout") == 0)
		session_set_lock_timeout(lint, text[1], local);
	else if (pg_strcasecmp(text[0], "role") == 0)
		session_follow_role(lint, false, text[1], local);
}
