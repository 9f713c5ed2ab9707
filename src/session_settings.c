/*
 * session_settings.c
 *		What a stepwise script SET, kept for the steps that resume it.
 *
 * A script may set search_path or the role in its first step and rely on it in
 * its last. In one worker the settings are simply the session's; an attempt
 * that is resumed gets them from the ledger, where each step leaves what differs
 * from the settings that the worker began with. SET LOCAL ends with its step, so
 * a setting whose value is local to the transaction keeps what was known of it.
 *
 * Restoring begins a transaction of nobody's: the caller has one. The user
 * comes first and the role last, since either decides what may be set.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/guc_tables.h"

#include "compat.h"
#include "session_settings.h"

typedef struct SessionSetting
{
	char	   *name;
	char	   *value;
	bool		local;			/* for this transaction only */
} SessionSetting;

/* Set by the worker itself, or without meaning in another session. */
static bool
session_settings_skips(const struct config_generic *var)
{
	return var->context == PGC_POSTMASTER || var->context == PGC_INTERNAL ||
		strcmp(var->name, "client_encoding") == 0 ||
		strcmp(var->name, "transaction_isolation") == 0 ||
		strcmp(var->name, "transaction_read_only") == 0 ||
		strcmp(var->name, "transaction_deferrable") == 0 ||
		strcmp(var->name, "seed") == 0;
}

/*
 * The settings that are not the server's or the role's defaults, a list in the
 * current memory context.
 */
List *
session_settings_capture(void)
{
	List	   *result = NIL;
	int			n;
	struct config_generic **vars = compat_guc_variables(&n);

	for (int i = 0; i < n; i++)
	{
		SessionSetting *setting;
		bool		identity = strcmp(vars[i]->name, "role") == 0 ||
			strcmp(vars[i]->name, "session_authorization") == 0;

		if (!identity && (vars[i]->source != PGC_S_SESSION || session_settings_skips(vars[i])))
			continue;
		setting = palloc(sizeof(SessionSetting));
		setting->name = pstrdup(vars[i]->name);
		setting->value = GetConfigOptionByName(vars[i]->name, NULL, false);
		setting->local = vars[i]->stack != NULL &&
			(vars[i]->stack->state == GUC_LOCAL || vars[i]->stack->state == GUC_SET_LOCAL);
		result = lappend(result, setting);
	}
	return result;
}

static const SessionSetting *
session_settings_find(List *settings, const char *name)
{
	ListCell   *lc;

	foreach(lc, settings)
	{
		const SessionSetting *setting = lfirst(lc);

		if (strcmp(setting->name, name) == 0)
			return setting;
	}
	return NULL;
}

/* The value that `before` has for a name, NULL for none. */
static char *
session_settings_lookup(Jsonb *before, const char *name)
{
	JsonbValue	value;

	if (before == NULL ||
		getKeyJsonValueFromContainer(&before->root, name, strlen(name), &value) == NULL)
		return NULL;
	return pnstrdup(value.val.string.val, value.val.string.len);
}

static void
session_settings_add(JsonbParseState **state, const char *name, const char *value)
{
	JsonbValue	jv;

	jv.type = jbvString;
	jv.val.string.val = unconstify(char *, name);
	jv.val.string.len = strlen(name);
	pushJsonbValue(state, WJB_KEY, &jv);
	jv.val.string.val = unconstify(char *, value);
	jv.val.string.len = strlen(value);
	pushJsonbValue(state, WJB_VALUE, &jv);
}

/*
 * What differs now from the baseline, as {"name": "value"}; NULL for nothing.
 * before: the same at the last step's end, or NULL. A setting that was RESET to
 * its default since the baseline has its default's value.
 */
Jsonb *
session_settings_changes(List *baseline, Jsonb *before)
{
	List	   *now = session_settings_capture();
	JsonbParseState *state = NULL;
	JsonbValue *object;
	bool		any = false;
	ListCell   *lc;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	foreach(lc, now)
	{
		const SessionSetting *setting = lfirst(lc);
		const SessionSetting *old = session_settings_find(baseline, setting->name);
		const char *value = setting->value;

		if (setting->local)
			value = session_settings_lookup(before, setting->name);
		if (value == NULL || (old != NULL && strcmp(old->value, value) == 0))
			continue;
		session_settings_add(&state, setting->name, value);
		any = true;
	}
	foreach(lc, baseline)
	{
		const SessionSetting *old = lfirst(lc);

		if (session_settings_find(now, old->name) == NULL)
		{
			session_settings_add(&state, old->name,
								 GetConfigOptionByName(old->name, NULL, false));
			any = true;
		}
	}
	object = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	return any ? JsonbValueToJsonb(object) : NULL;
}

static void
session_settings_set(const char *name, const char *value)
{
	(void) set_config_option(name, value, superuser() ? PGC_SUSET : PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SET, true, 0, false);
}

/* Sets what session_settings_changes() found; in the caller's transaction. */
void
session_settings_restore(Jsonb *settings)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	jv;
	char	   *name = NULL;
	char	   *value;

	if (settings == NULL)
		return;
	value = session_settings_lookup(settings, "session_authorization");
	if (value != NULL)
		session_settings_set("session_authorization", value);

	it = JsonbIteratorInit(&settings->root);
	while ((token = JsonbIteratorNext(&it, &jv, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			name = pnstrdup(jv.val.string.val, jv.val.string.len);
		else if (token == WJB_VALUE && name != NULL &&
				 strcmp(name, "role") != 0 && strcmp(name, "session_authorization") != 0)
			session_settings_set(name, pnstrdup(jv.val.string.val, jv.val.string.len));
	}

	value = session_settings_lookup(settings, "role");
	if (value != NULL)
		session_settings_set("role", value);
}

/*
 * What RESET would give each setting that the session has SET: its role's, its
 * database's or its client's default, which RestoreGUCState() doesn't carry.
 * Pairs of name and value, each with its NUL; an empty name ends them.
 */
void
session_settings_resets(StringInfo resets)
{
	int			n;
	struct config_generic **vars = compat_guc_variables(&n);

	initStringInfo(resets);
	for (int i = 0; i < n; i++)
	{
		const char *value;

		if (vars[i]->source != PGC_S_SESSION || vars[i]->reset_source <= PGC_S_DEFAULT ||
			session_settings_skips(vars[i]) ||
			strcmp(vars[i]->name, "role") == 0 ||
			strcmp(vars[i]->name, "session_authorization") == 0)
			continue;
		value = GetConfigOptionResetString(vars[i]->name);
		if (value == NULL)
			continue;
		appendBinaryStringInfo(resets, vars[i]->name, strlen(vars[i]->name) + 1);
		appendBinaryStringInfo(resets, value, strlen(value) + 1);
	}
	appendStringInfoChar(resets, '\0');
}

/*
 * Takes over what session_settings_resets() found, behind RestoreGUCState(): a
 * source below the session's leaves the value and becomes the default.
 */
void
session_settings_adopt_resets(const char *resets)
{
	while (*resets != '\0')
	{
		const char *value = resets + strlen(resets) + 1;

		(void) set_config_option(resets, value, PGC_SUSET, PGC_S_CLIENT,
								 GUC_ACTION_SET, true, 0, false);
		resets = value + strlen(value) + 1;
	}
}
