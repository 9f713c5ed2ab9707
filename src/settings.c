/*
 * settings.c
 *		The tapmig.* settings, read once at entry.
 *
 * A call reads them into a Settings struct before it does anything else, and
 * works with that: what a script sets while it runs has no effect on itself.
 * Until the library is loaded the settings are placeholders, whose values the
 * server checks when the library defines them: a wrong one falls back to the
 * default, with a WARNING.  Not so tapmig.track, where that would migrate the
 * wrong track: a wrong one is kept, and every call that uses it fails.
 */
#include "postgres.h"

#include <limits.h>

#include "access/parallel.h"
#include "mb/pg_wchar.h"
#include "utils/guc.h"

#include "settings.h"

/* A track is as long as an identifier: a module's or a schema's name fits. */
#define SETTINGS_TRACK_MAX_BYTES (NAMEDATALEN - 1)

static const struct config_enum_entry settings_policies[] = {
	{"allow", SETTINGS_ALLOW, false},
	{"warn", SETTINGS_WARN, false},
	{"error", SETTINGS_ERROR, false},
	{NULL, 0, false}
};

static const struct config_enum_entry settings_lint_policies[] = {
	{"off", SETTINGS_ALLOW, false},
	{"warn", SETTINGS_WARN, false},
	{"error", SETTINGS_ERROR, false},
	{NULL, 0, false}
};

static bool settings_defined = false;

static char *settings_track = NULL;
static int	settings_wait_timeout;
static int	settings_lock_timeout;
static int	settings_lock_retries;
static int	settings_retry_work;
static int	settings_rehearse_limit;
static int	settings_out_of_order;
static int	settings_lint;
static int	settings_lint_rows;
static int	settings_data_loss;
static bool settings_store_sql;
static bool settings_discard;

/*
 * What is wrong with a track's name, as a sentence, or NULL.  A blank at an
 * end or a control character is a slip that would start a second sequence of
 * versions beside the one meant.
 */
static const char *
settings_track_problem(const char *track)
{
	size_t		len = strlen(track);

	if (len == 0)
		return "A track's name must not be empty.";
	if (len > SETTINGS_TRACK_MAX_BYTES)
		return psprintf("A track's name must not be longer than %d bytes.",
						SETTINGS_TRACK_MAX_BYTES);
	if (track[0] == ' ' || track[len - 1] == ' ')
		return "A track's name must not begin or end with a blank.";
	for (const char *p = track; *p != '\0'; p++)
	{
		if ((unsigned char) *p < 0x20 || *p == 0x7f)
			return "A track's name must not contain control characters.";
	}
	return NULL;
}

static bool
settings_check_track(char **newval, void **extra, GucSource source)
{
	const char *problem = settings_track_problem(*newval);

	/* A placeholder's value, and a parallel worker's copy of it: as it is. */
	if (!settings_defined || InitializingParallelWorker)
		return true;

	if (problem != NULL)
	{
		GUC_check_errdetail("%s", problem);
		return false;
	}
	return true;
}

/*
 * Define the settings and reserve their prefix; called once, when the library
 * is loaded.
 */
void
settings_define(void)
{
	DefineCustomStringVariable("tapmig.track",
							   "Sequence of versions that is used where a call names none.",
							   "From 1 to 63 bytes, without control characters and without blanks at its ends.",
							   &settings_track,
							   "main",
							   PGC_USERSET,
							   0,
							   settings_check_track, NULL, NULL);

	DefineCustomIntVariable("tapmig.wait_timeout",
							"Longest wait for the migration lock or a worker slot.",
							"0 doesn't wait, -1 waits without end.",
							&settings_wait_timeout,
							5 * 60 * 1000, -1, INT_MAX,
							PGC_USERSET,
							GUC_UNIT_MS,
							NULL, NULL, NULL);

	DefineCustomIntVariable("tapmig.lock_timeout",
							"The lock_timeout that scripts run with.",
							"0 leaves lock_timeout as the session has it.",
							&settings_lock_timeout,
							5 * 1000, 0, INT_MAX,
							PGC_USERSET,
							GUC_UNIT_MS,
							NULL, NULL, NULL);

	DefineCustomIntVariable("tapmig.lock_retries",
							"Tries of a script after the first, when a lock's wait expires.",
							"A deadlock counts like an expiry. 0 tries once.",
							&settings_lock_retries,
							10, 0, INT_MAX - 1,
							PGC_USERSET,
							0,
							NULL, NULL, NULL);

	DefineCustomIntVariable("tapmig.retry_work",
							"No further try once a try has worked for longer than this.",
							"What it waited for locks does not count.",
							&settings_retry_work,
							30 * 1000, 0, INT_MAX,
							PGC_USERSET,
							GUC_UNIT_MS,
							NULL, NULL, NULL);

	DefineCustomIntVariable("tapmig.rehearse_limit",
							"Longest time that a rehearsal holds a lock that blocks writers.",
							"0 sets no limit.",
							&settings_rehearse_limit,
							2 * 1000, 0, INT_MAX,
							PGC_USERSET,
							GUC_UNIT_MS,
							NULL, NULL, NULL);

	DefineCustomEnumVariable("tapmig.out_of_order",
							 "What happens to a version below the highest applied one.",
							 NULL,
							 &settings_out_of_order,
							 SETTINGS_WARN,
							 settings_policies,
							 PGC_USERSET,
							 0,
							 NULL, NULL, NULL);

	DefineCustomEnumVariable("tapmig.lint",
							 "What happens to a script in which lint finds a hazard.",
							 NULL,
							 &settings_lint,
							 SETTINGS_WARN,
							 settings_lint_policies,
							 PGC_USERSET,
							 0,
							 NULL, NULL, NULL);

	DefineCustomIntVariable("tapmig.lint_rows",
							"Rows of a table above which a hazard is an error.",
							NULL,
							&settings_lint_rows,
							10000, 0, INT_MAX,
							PGC_USERSET,
							0,
							NULL, NULL, NULL);

	DefineCustomEnumVariable("tapmig.data_loss",
							 "What happens to a script that loses data which it does not list.",
							 "A script that lists any with \"loses\" is refused unless this is \"allow\".",
							 &settings_data_loss,
							 SETTINGS_WARN,
							 settings_policies,
							 PGC_USERSET,
							 0,
							 NULL, NULL, NULL);

	DefineCustomBoolVariable("tapmig.store_sql",
							 "Keep the text of the scripts that ran.",
							 NULL,
							 &settings_store_sql,
							 true,
							 PGC_USERSET,
							 0,
							 NULL, NULL, NULL);

	DefineCustomBoolVariable("tapmig.discard",
							 "At top level, run begins by discarding what the session has left.",
							 "Temporary tables, cursors, prepared statements, LISTEN, advisory locks and what is kept of sequences.",
							 &settings_discard,
							 false,
							 PGC_USERSET,
							 0,
							 NULL, NULL, NULL);

	MarkGUCPrefixReserved("tapmig");
	settings_defined = true;
}

/*
 * Read the settings.
 *
 * settings is filled in, its strings in the current memory context; track is
 * the call's argument, NULL for the setting.  Errors: 22023 where it is no
 * track's name, 22021 where the setting isn't valid in the server's encoding
 * (it may come from a connection's options).
 */
void
settings_read(Settings *settings, const char *track)
{
	bool		is_setting = (track == NULL);
	const char *problem;

	if (is_setting)
	{
		track = settings_track;
		pg_verifymbstr(track, strlen(track), false);
	}

	problem = settings_track_problem(track);
	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 is_setting ?
				 errmsg("invalid value for parameter \"tapmig.track\"") :
				 errmsg("invalid name of a track"),
				 errdetail("%s", problem),
				 is_setting ?
				 errhint("Correct the setting tapmig.track.") :
				 errhint("Omit the argument to use the setting tapmig.track.")));

	settings->track = pstrdup(track);
	settings->wait_timeout_ms = settings_wait_timeout;
	settings->lock_timeout_ms = settings_lock_timeout;
	settings->lock_retries = settings_lock_retries;
	settings->retry_work_ms = settings_retry_work;
	settings->rehearse_limit_ms = settings_rehearse_limit;
	settings->out_of_order = (SettingsPolicy) settings_out_of_order;
	settings->lint = (SettingsPolicy) settings_lint;
	settings->lint_rows = settings_lint_rows;
	settings->data_loss = (SettingsPolicy) settings_data_loss;
	settings->store_sql = settings_store_sql;
	settings->discard = settings_discard;
}
