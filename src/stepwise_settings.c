/*
 * stepwise_settings.c
 *		The settings that a resumed script goes on with.
 *
 * Those that the finished steps say that they SET, in this session: for the first
 * one they may have been nothing new. And those that the attempt kept, which a
 * function or a block may have SET, whoever's it was in the session of the first:
 * who is not trusted with the rights of this one has no say in them.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/guc.h"

#include "session_settings.h"
#include "stepwise_internal.h"
#include "trial.h"

typedef struct StepwiseReplay
{
	Stepwise   *s;
	int			index;
} StepwiseReplay;

static void
stepwise_replay(void *arg)
{
	StepwiseReplay *replay = arg;

	session_settings_replay(stepwise_parse(replay->s, replay->index)->stmt);
}

static bool
stepwise_may_say(const ShapeStatement *statement)
{
	static const char *const commands[] = {"SET", "RESET", "DISCARD ALL", "SELECT"};

	for (int i = 0; statement->role == SHAPE_RUN && i < (int) lengthof(commands); i++)
	{
		if (strcmp(statement->command, commands[i]) == 0)
			return true;
	}
	return false;
}

/*
 * Whether this session's user has something to fear from another one: who may
 * become that user needs no script for it. The authenticated user counts, whom a
 * script can go back to.
 */
static bool
stepwise_is_stranger(const char *user)
{
	Oid			role = get_role_oid(user, true);

	return !OidIsValid(role) || !is_member_of_role(role, GetAuthenticatedUserId());
}

/*
 * Makes s->progress.settings, those that an attempt by that user kept, what the
 * script goes on with. To be called before the new attempt has a row: from then on
 * they are its own. Errors: 42501.
 */
void
stepwise_resume_settings(Stepwise *s, const char *user)
{
	StringInfoData differing;
	List	   *baseline;
	Jsonb	   *said;
	int			nest = NewGUCNestLevel();

	initStringInfo(&differing);
	if (s->options.lock_timeout_ms > 0)
		session_settings_fix("lock_timeout", psprintf("%d", s->options.lock_timeout_ms));
	baseline = session_settings_capture();
	for (int i = 0; i < s->request->script->n_statements &&
		 s->shape->statements[i].step <= s->progress.steps_done; i++)
	{
		StepwiseReplay replay = {s, i};

		/* A SET that is refused now says nothing. */
		if (stepwise_may_say(&s->shape->statements[i]))
			(void) trial_run(stepwise_replay, &replay, true);
	}
	said = session_settings_changes(baseline);
	AtEOXact_GUC(false, nest);
	s->progress.settings = session_settings_merge(said, s->progress.settings, &differing);
	if (differing.len > 0 && stepwise_is_stranger(user))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("migration %s cannot go on with what role \"%s\" has set",
						s->request->version.text, user),
				 errdetail("The script itself does not set it so: %s.", differing.data),
				 errhint("As role \"%s\" it can go on; SELECT tapmig.abandon('%s', why) to begin at step 1 again.",
						 user, s->request->version.text)));
}
