/*
 * stepwise_steps.c
 *		The steps of a script: their texts, the cuts, and what an earlier attempt
 *		has done of them.
 *
 * Runs nothing. What it makes lives in the memory context that outlives the
 * script's transactions.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "errors.h"
#include "shape.h"
#include "stepwise_internal.h"

/* Statements that are read again in search of a finished step's end. */
#define STEPWISE_MENDED_MAX 1000000

/* The statements of a step: from .. to - 1. */
void
stepwise_range(const Stepwise *s, int step, int *from, int *to)
{
	const Script *script = s->request->script;

	*from = script->n_statements;
	*to = 0;
	for (int i = 0; i < script->n_statements; i++)
	{
		if (s->shape->statements[i].step != step)
			continue;
		*from = Min(*from, i);
		*to = i + 1;
	}
}

/* The statement of a step that runs outside of a transaction, or -1. */
int
stepwise_alone(const Stepwise *s, int from, int to)
{
	for (int i = from; i < to; i++)
	{
		if (s->shape->statements[i].role == SHAPE_RUN &&
			s->shape->statements[i].kind == SHAPE_STEPWISE)
			return i;
	}
	return -1;
}

/* Whether a statement may have committed more than once before it fails. */
bool
stepwise_is_block(const Stepwise *s, int index)
{
	const char *command = s->shape->statements[index].command;

	return strcmp(command, "DO") == 0 || strcmp(command, "CALL") == 0;
}

/* The fingerprint of the statements from .. to - 1. */
static bytea *
stepwise_range_fingerprint(const Stepwise *s, int from, int to)
{
	bytea	   *result = palloc(VARHDRSZ + PG_SHA256_DIGEST_LENGTH);

	SET_VARSIZE(result, VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	script_range_fingerprint(s->request->script, from, to, (uint8 *) VARDATA(result));
	return result;
}

static bytea *
stepwise_fingerprint(const Stepwise *s, int step)
{
	int			from;
	int			to;

	stepwise_range(s, step, &from, &to);
	return stepwise_range_fingerprint(s, from, to);
}

/* Makes room in s->progress for that many steps, and for one more cut. */
static void
stepwise_make_room(Stepwise *s, int steps)
{
	LedgerProgress *p = &s->progress;

	if (steps > s->room)
	{
		s->room = Max(steps + 1, 2 * s->room);
		p->fingerprints = p->fingerprints == NULL ?
			palloc(sizeof(bytea *) * s->room) :
			repalloc(p->fingerprints, sizeof(bytea *) * s->room);
	}
	if (p->n_cuts >= s->room_cuts)
	{
		s->room_cuts = Max(16, 2 * p->n_cuts);
		p->cuts = p->cuts == NULL ? palloc(sizeof(int) * s->room_cuts) :
			repalloc(p->cuts, sizeof(int) * s->room_cuts);
	}
}

/* What the ledger is to know of the steps; of one that is cut, see stepwise_cut(). */
bytea *
stepwise_known_fingerprint(Stepwise *s, int step)
{
	LedgerProgress *p = &s->progress;

	if (p->fingerprints[step - 1] == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(s->context);

		p->fingerprints[step - 1] = stepwise_fingerprint(s, step);
		p->kept_steps = Min(p->kept_steps, step - 1);
		p->described = false;
		MemoryContextSwitchTo(old);
	}
	return p->fingerprints[step - 1];
}

/* After the script was read. */
void
stepwise_describe_steps(Stepwise *s)
{
	stepwise_make_room(s, s->shape->steps);
	s->progress.steps = s->shape->steps;
	s->progress.described = false;
	for (int step = 1; step <= s->shape->steps; step++)
	{
		CHECK_FOR_INTERRUPTS();
		s->progress.fingerprints[step - 1] = stepwise_fingerprint(s, step);
	}
}

/*
 * Cuts the script at a statement, from 1, negative where it runs alone. Of what
 * stands behind the cut it is not known yet whether it will be one step.
 */
void
stepwise_cut(Stepwise *s, int cut)
{
	LedgerProgress *p = &s->progress;
	int			steps = s->shape->steps;
	int			step = s->shape->statements[abs(cut) - 1].step;
	int			more;

	shape_cut(s->request->script, s->shape, abs(cut) - 1, cut < 0);
	more = s->shape->steps - steps;
	stepwise_make_room(s, s->shape->steps);
	memmove(&p->fingerprints[step + more], &p->fingerprints[step],
			sizeof(bytea *) * (steps - step));
	memset(&p->fingerprints[step - 1], 0, sizeof(bytea *) * (more + 1));

	/* A COMMIT at the end of what was cut may begin the step behind it now. */
	if (step + more < s->shape->steps)
		p->fingerprints[step + more] = NULL;
	p->cuts[p->n_cuts++] = cut;
	p->steps = s->shape->steps;
	p->kept_steps = Min(p->kept_steps, step - 1);
	p->described = false;
}

/*
 * Whether a step that an earlier attempt left running is the one that has that
 * number now, so that its effect speaks for it. What another text is to drop or
 * detach need never have been there; an index is what its definition says.
 */
static bool
stepwise_is_same_step(Stepwise *s, const LedgerProgress *earlier, int step)
{
	int			from;
	int			to;
	int			alone;

	if (step > s->shape->steps || step > earlier->steps)
		return false;
	stepwise_range(s, step, &from, &to);
	alone = stepwise_alone(s, from, to);
	return (alone >= 0 && strcmp(s->shape->statements[alone].command, "CREATE INDEX") == 0) ||
		request_same_bytes(stepwise_known_fingerprint(s, step),
						   earlier->fingerprints[step - 1]);
}

/*
 * Whether the text of a finished step is still what it was. Where the statement
 * behind it ran alone and has been mended into one that need not, they would be
 * one step now: cuts between them.
 */
static bool
stepwise_is_unchanged(Stepwise *s, int step, bytea *fingerprint)
{
	int			looks = STEPWISE_MENDED_MAX;
	int			from;
	int			to;

	if (step > s->shape->steps)
		return false;
	if (request_same_bytes(stepwise_known_fingerprint(s, step), fingerprint))
		return true;
	stepwise_range(s, step, &from, &to);
	for (int end = to - 1; end > from && looks > 0; end--)
	{
		looks -= end - from;
		CHECK_FOR_INTERRUPTS();
		if (request_same_bytes(stepwise_range_fingerprint(s, from, end), fingerprint))
		{
			stepwise_cut(s, end + 1);
			(void) stepwise_known_fingerprint(s, step);
			return true;
		}
	}
	return false;
}

/*
 * Cuts the script where an earlier attempt was cut. Behind the finished steps the
 * text may be another one now: what had to run alone there does so again only
 * where it is the same.
 */
static void
stepwise_cut_again(Stepwise *s, const LedgerProgress *earlier, int cut)
{
	int			at = abs(cut) - 1;
	int			step;
	int			from;
	int			to;

	if (at >= s->request->script->n_statements)
		return;

	/* The step that the statement will be in, with the cut. */
	step = s->shape->statements[at].step;
	stepwise_range(s, step, &from, &to);
	while (from < at && s->shape->statements[from].role != SHAPE_RUN)
		from++;
	if (from < at)
		step++;
	if (step > earlier->steps_done + 1)
		return;
	if (step > earlier->steps_done && cut < 0 &&
		!(step <= earlier->steps &&
		  request_same_bytes(stepwise_range_fingerprint(s, at, at + 1),
							 earlier->fingerprints[step - 1])))
		cut = at + 1;
	stepwise_cut(s, cut);
}

/*
 * Takes over what an earlier attempt has done. Errors: TM001 where a finished
 * step's text is another one now.
 */
void
stepwise_resume(Stepwise *s, const LedgerProgress *earlier)
{
	const Script *script = s->request->script;

	if (earlier == NULL)
		return;

	for (int i = 0; i < earlier->n_cuts; i++)
		stepwise_cut_again(s, earlier, earlier->cuts[i]);
	for (int step = 1; step <= earlier->steps_done; step++)
	{
		if (!stepwise_is_unchanged(s, step, earlier->fingerprints[step - 1]))
		{
			int			from;
			int			to;

			stepwise_range(s, step, &from, &to);
			ereport(ERROR,
					(errcode(TAPMIG_ERRCODE_CHANGED),
					 errmsg("step %d of migration %s has another text than when it was done",
							step, s->request->version.label),
					 from < to ?
					 errdetail("%d of its steps are done; this one begins on line %d now.",
							   earlier->steps_done, script->statements[from].line) :
					 errdetail("%d of its steps are done; it is not in the script any more.",
							   earlier->steps_done),
					 errhint("Put the text of the finished steps back and change only what follows them, or SELECT tapmig.abandon('%s', why) to begin at step 1 again.",
							 s->request->version.text)));
		}
	}
	s->progress.steps_done = s->resumed = earlier->steps_done;
	s->progress.settings = earlier->settings;
	if (earlier->steps_done > 0)
		stepwise_resume_settings(s, earlier->by_user);
	if (earlier->step_running == earlier->steps_done + 1 &&
		stepwise_is_same_step(s, earlier, earlier->step_running))
		s->progress.step_running = earlier->step_running;

	/* What it meets may be an earlier try's, and nothing of a human's to record. */
	if (earlier->step_running > 0)
		s->options.register_hint = NULL;
	if (earlier->steps_done > 0 && earlier->steps_done >= s->shape->steps)
		ereport(NOTICE,
				(errmsg("migration %s has no step left to run", s->request->version.label)));
	else if (earlier->steps_done > 0 || earlier->step_running > 0)
		ereport(NOTICE,
				(errmsg("migration %s goes on with step %d of %d",
						s->request->version.label, earlier->steps_done + 1, s->shape->steps)));
}
