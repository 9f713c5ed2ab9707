/*
 * session_settings.c
 *		What a stepwise script SET, kept for the steps that resume it.
 *
 * A script may set search_path or the role in its first step and rely on it in
 * its last. In one worker the settings are simply the session's; an attempt
 * that is resumed gets them from the ledger, where each step leaves what differs
 * from the settings that the worker began with. That is written in the step's
 * own transaction, so of a setting the value counts that it will have behind the
 * commit: what SET LOCAL hides is found on the setting's stack. A setting that went
 * back to its default is kept as that, since whoever resumes may have another.
 *
 * Restoring begins a transaction of nobody's: the caller has one. The user
 * comes first and the role last, since either decides what may be set.
 */
#include "postgres.h"

#include "common/shortest_dec.h"
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

/* The user's settings count whatever their source is. */
static bool
session_settings_is_identity(const struct config_generic *var)
{
	return strcmp(var->name, "role") == 0 ||
		strcmp(var->name, "session_authorization") == 0;
}

/* The value that a setting has now, as its stack would keep it. */
static config_var_value
session_settings_current(struct config_generic *var)
{
	config_var_value value = {0};

	switch (var->vartype)
	{
		case PGC_BOOL:
			value.val.boolval = *((struct config_bool *) var)->variable;
			break;
		case PGC_INT:
			value.val.intval = *((struct config_int *) var)->variable;
			break;
		case PGC_REAL:
			value.val.realval = *((struct config_real *) var)->variable;
			break;
		case PGC_STRING:
			value.val.stringval = *((struct config_string *) var)->variable;
			break;
		case PGC_ENUM:
			value.val.enumval = *((struct config_enum *) var)->variable;
			break;
	}
	return value;
}

/* A setting's value as set_config_option() takes it: exact, without a unit. */
static char *
session_settings_text(struct config_generic *var, const config_var_value *value)
{
	switch (var->vartype)
	{
		case PGC_BOOL:
			return pstrdup(value->val.boolval ? "on" : "off");
		case PGC_INT:
			return psprintf("%d", value->val.intval);
		case PGC_REAL:
			return double_to_shortest_decimal(value->val.realval);
		case PGC_STRING:
			return pstrdup(value->val.stringval != NULL ? value->val.stringval : "");
		case PGC_ENUM:
			return pstrdup(config_enum_lookup_by_value((struct config_enum *) var,
													   value->val.enumval));
	}
	return NULL;				/* not reached */
}

/*
 * The value that a setting will have once the transaction has committed, and
 * its source then; what AtEOXact_GUC() will do with the setting's stack.
 */
static char *
session_settings_lasting(struct config_generic *var, GucSource *source)
{
	config_var_value value = session_settings_current(var);

	*source = var->source;
	for (const GucStack *stack = var->stack; stack != NULL; stack = stack->prev)
	{
		if (stack->state == GUC_SET)
			break;
		if (stack->state == GUC_SET_LOCAL)
		{
			value = stack->masked;
			*source = PGC_S_SESSION;
			break;
		}
		value = stack->prior;
		*source = stack->source;
	}

	/* Minor versions before 15.9 leave the text when SET SESSION AUTHORIZATION ends the role. */
	if (var->stack == NULL && strcmp(var->name, "role") == 0)
		return GetConfigOptionByName("role", NULL, false);
	return session_settings_text(var, &value);
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
		GucSource	source;
		char	   *value;

		if (session_settings_skips(vars[i]) ||
			(vars[i]->source != PGC_S_SESSION && vars[i]->stack == NULL &&
			 !session_settings_is_identity(vars[i])))
			continue;
		value = session_settings_lasting(vars[i], &source);
		if (source != PGC_S_SESSION && !session_settings_is_identity(vars[i]))
			continue;
		setting = palloc(sizeof(SessionSetting));
		setting->name = pstrdup(vars[i]->name);
		setting->value = value;
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

/* Whether settings has a name; *value is set to its value, NULL for the default's. */
static bool
session_settings_lookup(Jsonb *settings, const char *name, char **value)
{
	JsonbValue	jv;

	if (settings == NULL ||
		getKeyJsonValueFromContainer(&settings->root, name, strlen(name), &jv) == NULL)
		return false;
	*value = jv.type == jbvString ? pnstrdup(jv.val.string.val, jv.val.string.len) : NULL;
	return true;
}

static void
session_settings_add(JsonbParseState **state, const char *name, const char *value)
{
	JsonbValue	jv;

	jv.type = jbvString;
	jv.val.string.val = unconstify(char *, name);
	jv.val.string.len = strlen(name);
	pushJsonbValue(state, WJB_KEY, &jv);
	if (value == NULL)
		jv.type = jbvNull;
	else
	{
		jv.val.string.val = unconstify(char *, value);
		jv.val.string.len = strlen(value);
	}
	pushJsonbValue(state, WJB_VALUE, &jv);
}

/*
 * What will differ from the baseline once the transaction has committed, as
 * {"name": "value"}; NULL for nothing. A setting that was RESET to its default
 * since the baseline has null.
 */
Jsonb *
session_settings_changes(List *baseline)
{
	JsonbParseState *state = NULL;
	JsonbValue *object;
	bool		any = false;
	int			n;
	struct config_generic **vars = compat_guc_variables(&n);

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < n; i++)
	{
		const SessionSetting *old;
		GucSource	source;
		char	   *value;

		if (session_settings_skips(vars[i]))
			continue;
		old = session_settings_find(baseline, vars[i]->name);
		if (old == NULL && vars[i]->source != PGC_S_SESSION && vars[i]->stack == NULL)
			continue;
		value = session_settings_lasting(vars[i], &source);
		if (old == NULL ? source != PGC_S_SESSION : strcmp(old->value, value) == 0)
			continue;
		if (source != PGC_S_SESSION && !session_settings_is_identity(vars[i]))
			value = NULL;
		session_settings_add(&state, vars[i]->name, value);
		any = true;
	}
	object = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	return any ? JsonbValueToJsonb(object) : NULL;
}

/* Whether a setting has that value now, or its default where that is NULL. */
static bool
session_settings_is_now(const char *name, const char *value)
{
	int			n;
	struct config_generic **vars = compat_guc_variables(&n);

	for (int i = 0; i < n; i++)
	{
		config_var_value now;

		if (strcmp(vars[i]->name, name) != 0)
			continue;
		if (value == NULL)
			return vars[i]->source != PGC_S_SESSION;
		now = session_settings_current(vars[i]);
		return strcmp(session_settings_text(vars[i], &now), value) == 0;
	}
	return false;
}

/*
 * What two found, either of which may be NULL: what a script says that it SETs, and
 * what was kept of an attempt, which counts where both have a name. The names whose
 * value was kept and is neither said nor the session's are appended to differing.
 */
Jsonb *
session_settings_merge(Jsonb *said, Jsonb *kept, StringInfo differing)
{
	JsonbParseState *state = NULL;
	JsonbValue *object;
	bool		any = false;
	Jsonb	   *sources[2] = {said, kept};

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < 2; i++)
	{
		JsonbIterator *it;
		JsonbIteratorToken token;
		JsonbValue	jv;

		if (sources[i] == NULL)
			continue;
		it = JsonbIteratorInit(&sources[i]->root);
		while ((token = JsonbIteratorNext(&it, &jv, true)) != WJB_DONE)
		{
			char	   *name;
			char	   *value = NULL;
			char	   *other;
			bool		same;

			if (token != WJB_KEY)
				continue;
			name = pnstrdup(jv.val.string.val, jv.val.string.len);
			(void) session_settings_lookup(sources[i], name, &value);
			session_settings_add(&state, name, value);
			any = true;
			if (i == 0)
				continue;
			if (session_settings_lookup(said, name, &other))
				same = value == NULL || other == NULL ? value == other : strcmp(other, value) == 0;
			else
				same = session_settings_is_now(name, value);
			if (!same)
				appendStringInfo(differing, "%s%s", differing->len > 0 ? ", " : "", name);
		}
	}
	object = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	return any ? JsonbValueToJsonb(object) : NULL;
}

/* NULL: as RESET does. */
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
	char	   *value;

	if (settings == NULL)
		return;
	if (session_settings_lookup(settings, "session_authorization", &value))
		session_settings_set("session_authorization", value);

	it = JsonbIteratorInit(&settings->root);
	while ((token = JsonbIteratorNext(&it, &jv, true)) != WJB_DONE)
	{
		char	   *name;

		if (token != WJB_KEY)
			continue;
		name = pnstrdup(jv.val.string.val, jv.val.string.len);
		if (strcmp(name, "role") != 0 && strcmp(name, "session_authorization") != 0 &&
			session_settings_lookup(settings, name, &value))
			session_settings_set(name, value);
	}

	if (session_settings_lookup(settings, "role", &value))
		session_settings_set("role", value);
}

/*
 * Sets a setting for the session, and as what RESET goes back to; in a
 * transaction. A source below the session's becomes the default, and one above
 * the role's and the client's stays it.
 */
void
session_settings_fix(const char *name, const char *value)
{
	SetConfigOption(name, value, PGC_USERSET, PGC_S_OVERRIDE);
	SetConfigOption(name, value, PGC_USERSET, PGC_S_SESSION);
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
