/*
 * script.c
 *		Cuts a script into statements with the server's own scanner.
 *
 * One scan serves the whole script: scanner_init() copies the text, so that
 * starting it anew behind each COPY block would be quadratic. What is not SQL
 * (psql's commands, inline COPY data) is blanked in the scanner's buffer
 * before the scanner gets there. flex holds back the one byte that follows a
 * token, so blanking begins one byte later; see splitter_blank_command().
 *
 * Nothing is run and no table is read. The only parse trees made here are of
 * COPY, SET, RESET and SELECT statements that name a setting of the scanner,
 * since what follows them is read differently: COPY data, and strings under
 * another standard_conforming_strings.
 */
#include "postgres.h"

#include "common/keywords.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "parser/scansup.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "errors.h"
#include "script_internal.h"

/* CREATE OR REPLACE FUNCTION: words of a statement's beginning, and their length */
#define SPLITTER_WORDS		4
#define SPLITTER_WORD_MAX	16

typedef struct Splitter
{
	Script	   *script;
	MemoryContext token_context;	/* reset after each token */
	ScriptFingerprint fingerprint;
	core_yy_extra_type extra;
	core_yyscan_t scanner;
	core_YYSTYPE value;
	int			location;		/* of the last token, in bytes */

	/* The statement that is being read. */
	bool		in_statement;
	ScriptStatement current;
	int			n_tokens;
	char		words[SPLITTER_WORDS][SPLITTER_WORD_MAX];	/* its first keywords, "" for other tokens */
	int			parens;
	int			atomic;			/* depth of BEGIN ATOMIC, 0: outside */
	int			n_body_tokens;	/* likewise of a statement in such a body */
	char		body_words[SPLITTER_WORDS][SPLITTER_WORD_MAX];
	bool		after_begin;	/* the last token was the keyword BEGIN */
	bool		after_name_mark;	/* the last token was a dot or AS */

	size_t		gap_start;		/* end of the last statement or its data */
	size_t		skip_until;		/* tokens before it are remains of a command */
	int			echo_line;		/* line of the last \echo, 0: none */
	size_t		counted;		/* newlines before it are in `line` */
	int			line;
	int			allocated;
	ScriptScannerSettings settings;
	bool		ended;			/* the end of `current` is known */
	size_t		data_end;		/* end of the last inline data with their end marker */
	ScriptSections sections;
} Splitter;

/* The keyword tokens for scanner_init(): all the same, gram.h stays out. */
const uint16 *
script_keyword_tokens(void)
{
	static uint16 *tokens = NULL;

	if (tokens == NULL)
	{
		uint16	   *made = MemoryContextAlloc(TopMemoryContext,
											  sizeof(uint16) * ScanKeywords.num_keywords);

		for (int i = 0; i < ScanKeywords.num_keywords; i++)
			made[i] = SCRIPT_KEYWORD;
		tokens = made;
	}
	return tokens;
}

/* The newlines of [from, to). */
static int
splitter_newlines(const Splitter *sp, size_t from, size_t to)
{
	const char *p = sp->script->text + from;
	const char *end = sp->script->text + to;
	int			n = 0;

	while (p < end && (p = memchr(p, '\n', end - p)) != NULL)
	{
		n++;
		p++;
	}
	return n;
}

/* The line of an offset; offsets come in ascending order, more or less. */
static int
splitter_line(Splitter *sp, size_t offset)
{
	if (offset < sp->counted)
		return sp->line - splitter_newlines(sp, offset, sp->counted);
	sp->line += splitter_newlines(sp, sp->counted, offset);
	sp->counted = offset;
	return sp->line;
}

static void
splitter_errcontext(void *arg)
{
	Splitter   *sp = arg;
	Script	   *script = sp->script;
	size_t		from = sp->in_statement ? sp->current.token : (size_t) sp->location;
	size_t		at = sp->location;
	size_t		to = Min(script->len, from + 8 * SCRIPT_EXCERPT_CHARS);
	int			column = 0;
	int			line;
	StringInfoData where;

	if (sp->scanner == NULL)
	{
		/* A directive. */
		if (script->label != NULL)
			errcontext("migration %s, line %d", script->label, script->error_line);
		else
			errcontext("line %d", script->error_line);
		return;
	}
	if (geterrposition() > 0)
	{
		/* The scanner's position is sp->location; a parser's is its text's. */
		if (sp->ended)
		{
			const char *p = script->work + sp->current.start;

			for (int i = geterrposition(); i > 1 && *p != '\0'; i--)
				p += pg_mblen(p);
			at = p - script->work;
		}
		errposition(0);
	}
	if (sp->ended)
		to = Min(to, sp->current.end);
	line = script_line_at(script, at, &column);
	script->error_line = line;
	to = from + pg_mbcliplen(script->text + from, (int) (to - from), (int) (to - from));

	initStringInfo(&where);
	if (script->label != NULL)
		appendStringInfo(&where, "migration %s, ", script->label);
	errcontext("%sstatement %d, line %d, column %d: %s", where.data,
			   script->n_statements + 1, line, column,
			   script_excerpt(script->text + from, script->text + to));
}

/* A NOTICE for a directive that stands too late. */
static void
splitter_check_comment(Splitter *sp, size_t pos, size_t end)
{
	const char *work = sp->script->work;

	pos += 2;
	while (pos < end && work[pos] == ' ')
		pos++;
	if (sp->script->n_statements > 0 && pg_strncasecmp(work + pos, "tapmig:", 7) == 0)
		sp->script->notices = lappend(sp->script->notices,
									  psprintf("the directive on line %d has no effect: it stands behind the first statement",
											   splitter_line(sp, pos)));
}

/*
 * Where a statement's text begins: at a block comment before it, as psql has
 * it.
 */
static size_t
splitter_statement_start(Splitter *sp, size_t token)
{
	const char *work = sp->script->work;
	size_t		pos = sp->gap_start;
	size_t		start = token;

	while (pos < token)
	{
		if (work[pos] == '/' && work[pos + 1] == '*')
		{
			start = Min(start, pos);
			pos = script_skip_block_comment(work, pos, token);
		}
		else if (work[pos] == '-' && work[pos + 1] == '-')
		{
			size_t		comment = pos;

			while (pos < token && work[pos] != '\n' && work[pos] != '\r')
				pos++;
			splitter_check_comment(sp, comment, pos);
		}
		else
			pos++;
	}
	return start;
}

static void
splitter_begin_statement(Splitter *sp)
{
	ScriptStatement *s = &sp->current;

	sp->in_statement = true;
	sp->n_tokens = 0;
	sp->parens = 0;
	sp->atomic = 0;
	sp->after_begin = false;
	sp->after_name_mark = false;
	memset(s, 0, sizeof(*s));
	sp->n_body_tokens = 0;
	memset(sp->words, 0, sizeof(sp->words));
	memset(sp->body_words, 0, sizeof(sp->body_words));
	s->token = sp->location;
	s->start = splitter_statement_start(sp, sp->location);
	s->line = splitter_line(sp, sp->location);
	s->conforming_strings = sp->extra.standard_conforming_strings;
	s->backslash_quote = sp->extra.backslash_quote;
}

static void
splitter_append(Splitter *sp, const ScriptStatement *statement)
{
	Script	   *script = sp->script;

	if (script->n_statements >= sp->allocated)
	{
		Size		size;

		sp->allocated = sp->allocated == 0 ? 64 : sp->allocated * 2;
		size = sp->allocated * sizeof(ScriptStatement);
		script->statements = script->statements == NULL ?
			MemoryContextAllocHuge(CurrentMemoryContext, size) :
			repalloc_huge(script->statements, size);
	}
	script->statements[script->n_statements++] = *statement;
}

/*
 * The inline data that begin on the line after `after`: sets them in s and
 * blanks them with their end marker. Errors: 22P04 where the end is missing,
 * TM009 where something else stands on the rest of the line.
 */
static void
splitter_take_data(Splitter *sp, ScriptStatement *s, size_t after)
{
	Script	   *script = sp->script;
	const char *text = script->text;
	const char *end = text + script->len;
	const char *p = text + after;
	const char *line;

	while (p < end && *p != '\n')
	{
		/* To the scanner a lone CR ends a comment, too. */
		if (p[0] == '-' && p + 1 < end && p[1] == '-')
			p = text + script_line_end(text, p - text, script->len);
		else if (scanner_isspace(*p))
			p++;
		else
			break;
	}
	if (p < end && *p != '\n')
		ereport(ERROR,
				(errcode(TAPMIG_ERRCODE_NOT_UNDERSTOOD),
				 errmsg("something stands between COPY and its data on line %d",
						script_line_at(script, p - text, NULL)),
				 errdetail("The data begin on the line after the one with the semicolon."),
				 errhint("End the line after the semicolon.")));
	p = memchr(p, '\n', end - p);
	line = p ? p + 1 : end;
	s->copy_start = line - text;
	s->copy_line = s->line;
	for (const char *q = text + s->token; (q = memchr(q, '\n', line - q)) != NULL; q++)
		s->copy_line++;

	for (;;)
	{
		const char *newline = line < end ? memchr(line, '\n', end - line) : NULL;
		const char *line_end = newline ? newline : end;
		size_t		len = line_end - line;

		if (len > 0 && line[len - 1] == '\r')
			len--;
		if (len == 2 && line[0] == '\\' && line[1] == '.')
		{
			s->copy_end = line - text;
			sp->data_end = line_end - text;
			memset(script->work + s->copy_start, ' ', line_end - text - s->copy_start);
			break;
		}
		if (newline == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_BAD_COPY_FILE_FORMAT),
					 errmsg("COPY data that begin on line %d have no end", s->copy_line),
					 errdetail("The script ends before a line that holds \\. alone."),
					 errhint("The file may have been cut short; nothing of it was run.")));
		line = newline + 1;
	}
	script_fingerprint_data(&sp->fingerprint, text + s->copy_start,
							s->copy_end - s->copy_start);
}

/* Whether [start, end) holds a word, in any case. */
static bool
splitter_mentions(const char *start, const char *end, const char *word)
{
	size_t		len = strlen(word);

	for (; start + len <= end; start++)
	{
		if (pg_strncasecmp(start, word, len) == 0)
			return true;
	}
	return false;
}

static bool
splitter_may_set(const Splitter *sp, const ScriptStatement *s)
{
	const char *start = sp->script->work + s->token;
	const char *end = sp->script->work + s->end;

	if (strcmp(sp->words[0], "set") != 0 && strcmp(sp->words[0], "reset") != 0 &&
		strcmp(sp->words[0], "select") != 0)
		return false;
	return splitter_mentions(start, end, "standard_conforming_strings") ||
		splitter_mentions(start, end, "backslash_quote") ||
		strcmp(sp->words[0], "reset") == 0;
}

/*
 * The statement ends at `end`. Its COPY data, if it has any, are taken, and
 * what it changes for the scanner is followed.
 */
static void
splitter_end_statement(Splitter *sp, size_t end)
{
	ScriptStatement *s = &sp->current;
	bool		is_copy = strcmp(sp->words[0], "copy") == 0;

	s->end = end;
	sp->ended = true;
	script_fingerprint_end_statement(&sp->fingerprint);
	if (is_copy || splitter_may_set(sp, s))
	{
		MemoryContext old = MemoryContextSwitchTo(sp->token_context);
		List	   *parsed;
		Node	   *node;

		script_obey_scanner_settings(s);
		parsed = raw_parser(pnstrdup(sp->script->work + s->start, end - s->start),
							RAW_PARSE_DEFAULT);
		node = parsed == NIL ? NULL : linitial_node(RawStmt, parsed)->stmt;
		MemoryContextSwitchTo(old);
		if (node != NULL && IsA(node, CopyStmt))
		{
			CopyStmt   *copy = (CopyStmt *) node;

			if (copy->is_from && copy->filename == NULL && !copy->is_program)
				splitter_take_data(sp, s, end);
		}
		else if (node != NULL)
			script_settings_follow(&sp->settings, node);
		MemoryContextReset(sp->token_context);
	}
	else if (strcmp(sp->words[0], "commit") == 0 || strcmp(sp->words[0], "end") == 0)
		script_settings_commit(&sp->settings);
	else if (strcmp(sp->words[0], "discard") == 0 && strcmp(sp->words[1], "all") == 0)
		script_settings_reset(&sp->settings);
	splitter_append(sp, s);
	sp->in_statement = false;
	sp->ended = false;
	sp->gap_start = s->copy_line > 0 ? s->copy_end : end;
}

/* Hashes the tokens of a rewritten \copy as if they stood in the script. */
static void
splitter_hash_copy(Splitter *sp, const char *copy)
{
	core_yy_extra_type extra;
	core_yyscan_t scanner = scanner_init(copy, &extra, &ScanKeywords,
										 script_keyword_tokens());
	core_YYSTYPE value;
	int			location;
	int			token;

	while ((token = core_yylex(&value, &location, scanner)) != 0)
		script_fingerprint_token(&sp->fingerprint, token, &value,
								 extra.scanbuf + location);
	script_fingerprint_end_statement(&sp->fingerprint);
	scanner_finish(scanner);
}

/*
 * A line by which another tool divides the file stands at pos: ends the
 * statement under way, as that tool would, and blanks a down part. Returns
 * where reading goes on.
 */
static size_t
splitter_obey_marker(Splitter *sp, size_t pos, ScriptMarker marker, int tool)
{
	Script	   *script = sp->script;
	size_t		begin = script_line_end(script->text, pos, script->len);
	size_t		end = begin;

	if (sp->in_statement)
		splitter_end_statement(sp, sp->current.end);
	if (sp->data_end > pos)
		return sp->data_end;	/* it was a COPY, and this is data */
	sp->location = (int) pos;	/* of an error's context */
	if (marker == SCRIPT_MARKER_UP)
		script_sections_up(&sp->sections, script, tool, pos);
	else if (marker == SCRIPT_MARKER_DOWN)
	{
		end = script_down_part_end(script->text, pos, script->len, tool);
		script_sections_down(&sp->sections, script, tool, pos, end);
		memset(script->work + begin, ' ', end - begin);
		sp->gap_start = end;
	}
	return end;
}

/*
 * Looks for such lines from pos, the end of a token, to the next one: once the
 * scanner has read on, the begin of a down part can't be taken back from it.
 * The byte at pos, which flex holds back, is never part of one.
 */
static void
splitter_look_ahead(Splitter *sp, size_t pos)
{
	const char *text = sp->script->text;
	size_t		len = sp->script->len;
	int			tool;

	if (sp->in_statement && (sp->parens > 0 || sp->atomic > 0))
		return;
	while (pos < len)
	{
		if (scanner_isspace(text[pos]))
			pos++;
		else if (text[pos] == '/' && text[pos + 1] == '*')
			pos = script_skip_block_comment(text, pos, len);
		else if (text[pos] == '-' && text[pos + 1] == '-')
		{
			ScriptMarker marker = script_marker(text, pos, len, &tool);

			pos = marker == SCRIPT_MARKER_NONE ? script_line_end(text, pos, len) :
				splitter_obey_marker(sp, pos, marker, tool);
		}
		else
			break;
	}
}

/*
 * A psql command begins at the last token, a backslash. Its text is blanked up
 * to command.end, but for the byte that flex holds back (the first letter of
 * the name): that comes as a token of its own and is dropped and blanked then.
 */
static void
splitter_blank_command(Splitter *sp)
{
	Script	   *script = sp->script;
	size_t		pos = sp->location;
	ScriptPsqlCommand command;
	int			line = splitter_line(sp, pos);

	script_psql_read(script, pos, line, sp->in_statement, sp->echo_line == line, &command);
	if (pg_strncasecmp(script->text + pos, "\\echo", 5) == 0 ||
		pg_strncasecmp(script->text + pos, "\\qecho", 6) == 0 ||
		pg_strncasecmp(script->text + pos, "\\warn", 5) == 0)
		sp->echo_line = line;

	script->work[pos] = ' ';
	if (command.end > pos + 2)
		memset(script->work + pos + 2, ' ', command.end - pos - 2);
	sp->skip_until = command.end;

	if (command.kind == SCRIPT_PSQL_COPY)
	{
		ScriptStatement s;

		memset(&s, 0, sizeof(s));
		s.start = s.token = pos;
		s.end = command.end;
		s.line = line;
		s.rewritten = command.copy;
		s.conforming_strings = sp->extra.standard_conforming_strings;
		s.backslash_quote = sp->extra.backslash_quote;
		splitter_hash_copy(sp, command.copy);
		splitter_take_data(sp, &s, command.end);
		splitter_append(sp, &s);
		sp->gap_start = s.copy_end;
		sp->skip_until = sp->data_end;
	}
	splitter_look_ahead(sp, sp->skip_until);
}

/* Whether a statement begins with CREATE [OR REPLACE] FUNCTION or PROCEDURE. */
static bool
splitter_creates_routine(char words[SPLITTER_WORDS][SPLITTER_WORD_MAX])
{
	const char *what = words[1];

	if (strcmp(words[0], "create") != 0)
		return false;
	if (strcmp(words[1], "or") == 0 && strcmp(words[2], "replace") == 0)
		what = words[3];
	return strcmp(what, "function") == 0 || strcmp(what, "procedure") == 0;
}

/* Notes one of the first tokens of a statement, *n so far. */
static void
splitter_note_word(char words[SPLITTER_WORDS][SPLITTER_WORD_MAX], int *n, const char *word)
{
	if (*n < SPLITTER_WORDS)
		strlcpy(words[*n], word, sizeof(words[*n]));
	(*n)++;
}

/*
 * Follows parentheses and routine bodies: the semicolons in them end nothing.
 * A body is BEGIN ATOMIC ... END of a CREATE FUNCTION or PROCEDURE, which may
 * stand in another's body. A semicolon ends each of its statements, so that its
 * END is where a statement would begin; any other END is a label or a CASE's.
 */
static void
splitter_nest(Splitter *sp, int token)
{
	const char *word = token == SCRIPT_KEYWORD ? sp->value.keyword : "";

	if (sp->atomic == 0)
		splitter_note_word(sp->words, &sp->n_tokens, word);
	if (token == '(')
		sp->parens++;
	else if (token == ')' && sp->parens > 0)
		sp->parens--;
	else if (sp->parens > 0)
		 /* nothing in them begins or ends a body */ ;
	else if (sp->atomic > 0 && token == ';')
	{
		sp->n_body_tokens = 0;
		memset(sp->body_words, 0, sizeof(sp->body_words));
		sp->after_begin = false;
		return;
	}
	else if (sp->atomic > 0 && sp->n_body_tokens == 0 && strcmp(word, "end") == 0)
		sp->atomic--;
	else if (sp->after_begin && strcmp(word, "atomic") == 0 &&
			 splitter_creates_routine(sp->atomic > 0 ? sp->body_words : sp->words))
	{
		sp->atomic++;
		sp->n_body_tokens = 0;
		memset(sp->body_words, 0, sizeof(sp->body_words));
		sp->after_begin = false;
		return;
	}
	if (sp->atomic > 0)
		splitter_note_word(sp->body_words, &sp->n_body_tokens, word);
	sp->after_begin = strcmp(word, "begin") == 0 && !sp->after_name_mark;
	sp->after_name_mark = token == '.' || strcmp(word, "as") == 0;
}

static void
splitter_token(Splitter *sp, int token)
{
	Script	   *script = sp->script;

	if (token == '\\')
	{
		splitter_blank_command(sp);
		return;
	}
	if (token == ';' && (!sp->in_statement || (sp->parens == 0 && sp->atomic == 0)))
	{
		size_t		end = sp->location + 1;

		if (sp->in_statement)
			splitter_end_statement(sp, end);
		else
			sp->gap_start = end;
		splitter_look_ahead(sp, Max(end, sp->data_end));
		return;
	}
	if (!sp->in_statement)
		splitter_begin_statement(sp);
	sp->current.end = sp->location + strlen(script->work + sp->location);
	splitter_nest(sp, token);
	script_fingerprint_token(&sp->fingerprint, token, &sp->value,
							 script->work + sp->location);
	splitter_look_ahead(sp, sp->current.end);
}

static void
splitter_run(Splitter *sp)
{
	Script	   *script = sp->script;
	uint64		n = 0;
	char	   *copy;

	copy = MemoryContextAllocHuge(script->context, script->len + 1);
	memcpy(copy, script->source, script->len);
	copy[script->len] = '\0';
	script->text = copy;
	script_head_read(script);

	sp->scanner = scanner_init(script->text, &sp->extra, &ScanKeywords,
							   script_keyword_tokens());
	sp->extra.escape_string_warning = false;
	sp->settings.extra = &sp->extra;
	script->work = sp->extra.scanbuf;
	splitter_look_ahead(sp, 0);

	for (;;)
	{
		MemoryContext old = MemoryContextSwitchTo(sp->token_context);
		int			token = core_yylex(&sp->value, &sp->location, sp->scanner);

		MemoryContextSwitchTo(old);
		if (token == 0)
			break;
		if ((size_t) sp->location < sp->skip_until)
		{
			/* The held-back letter of a psql command's name. */
			script->work[sp->location] = ' ';
		}
		else
			splitter_token(sp, token);
		MemoryContextReset(sp->token_context);
		if ((++n & 1023) == 0)
			CHECK_FOR_INTERRUPTS();
	}
	sp->location = (int) script->len;
	if (sp->in_statement)
		splitter_end_statement(sp, sp->current.end);
	(void) splitter_statement_start(sp, script->len);	/* the last comments */
	if (sp->sections.orphan)
		sp->location = (int) sp->sections.orphan_pos;
	script_sections_check(&sp->sections, script);
}

/*
 * Gives back the copies of the text that were needed to read it: a script may be
 * large. What was blanked in remains.
 */
static void
splitter_give_back(Splitter *sp)
{
	Script	   *script = sp->script;
	bool		blanked = memcmp(script->work, script->text, script->len) != 0;

	pfree(unconstify(char *, script->text));
	script->text = script->source;
	if (blanked)
		sp->extra.scanbuflen = 0;	/* scanner_finish() leaves the buffer */
	else
		script->work = unconstify(char *, script->text);
	scanner_finish(sp->scanner);
}

/*
 * Keeps the scanner's NOTICEs and WARNINGs back ("identifier will be
 * truncated"): only the pass that executes may emit them. The caller calls
 * script_end_silence() on every way out. The variables themselves, since
 * settings that are made and undone would be most of the cost of a small script.
 */
void
script_silence_scanner(ScriptSilence *silence)
{
	silence->client = client_min_messages;
	silence->log = log_min_messages;
	client_min_messages = Max(client_min_messages, ERROR);
	log_min_messages = Max(log_min_messages, ERROR);
}

void
script_end_silence(const ScriptSilence *silence)
{
	client_min_messages = silence->client;
	log_min_messages = silence->log;
}

/*
 * Sets what the parser reads the statement under, until the caller's GUC nest
 * level ends.
 */
void
script_obey_scanner_settings(const ScriptStatement *statement)
{
	if (statement->conforming_strings != standard_conforming_strings)
		(void) set_config_option("standard_conforming_strings",
								 statement->conforming_strings ? "on" : "off",
								 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
								 true, 0, false);
	if (statement->backslash_quote != backslash_quote)
		(void) set_config_option("backslash_quote",
								 statement->backslash_quote == BACKSLASH_QUOTE_OFF ? "off" :
								 statement->backslash_quote == BACKSLASH_QUOTE_ON ? "on" : "safe_encoding",
								 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
								 true, 0, false);
}

/*
 * A script that is yet to be read. text is in the database's encoding, len in
 * bytes, and outlives the script; label is what errors call it, or NULL.
 */
Script *
script_new(const char *text, size_t len, const char *label)
{
	Script	   *script = palloc0(sizeof(Script));

	text = script_bom_skip(text, &len);
	script->context = CurrentMemoryContext;
	script->label = label ? pstrdup(label) : NULL;
	script->source = text;
	script->len = len;
	return script;
}

/*
 * Reads a script: directives, statements, fingerprint.
 *
 * Errors, all with the script's line: 42601 and what else the scanner finds,
 * 22P04 for COPY data without an end, TM009 for a directive or a psql command
 * that is not understood.
 */
void
script_read(Script *script)
{
	MemoryContext old = MemoryContextSwitchTo(script->context);
	Splitter   *sp = palloc0(sizeof(Splitter));
	ErrorContextCallback callback;
	int			nest = NewGUCNestLevel();
	ScriptSilence silence;

	sp->script = script;
	sp->line = 1;
	sp->token_context = AllocSetContextCreate(script->context, "tapmig token",
											  ALLOCSET_DEFAULT_SIZES);
	if (!script->without_fingerprint)
		script_fingerprint_begin(&sp->fingerprint);

	callback.callback = splitter_errcontext;
	callback.arg = sp;
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	script_silence_scanner(&silence);
	PG_TRY();
	{
		splitter_run(sp);
	}
	PG_CATCH();
	{
		ErrorData  *edata;

		script_end_silence(&silence);
		MemoryContextSwitchTo(script->context);
		edata = CopyErrorData();
		FlushErrorState();
		script_fingerprint_abandon(&sp->fingerprint);
		script_clip_message(edata);
		AtEOXact_GUC(false, nest);
		ReThrowError(edata);
	}
	PG_END_TRY();
	script_end_silence(&silence);

	error_context_stack = callback.previous;
	AtEOXact_GUC(false, nest);
	if (!script->without_fingerprint)
		script_fingerprint_finish(&sp->fingerprint, script->fingerprint);
	script->complete = true;
	splitter_give_back(sp);
	MemoryContextDelete(sp->token_context);
	pfree(sp);
	MemoryContextSwitchTo(old);
}
