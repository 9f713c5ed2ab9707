/*
 * fuzz_check.c
 *		What holds for every script, tried on one.
 *
 * An error is a proper answer to most inputs; a crash, an internal error, an
 * error that quotes half a character or most of the script, and a broken
 * promise are not. A broken promise ends in abort(), and libFuzzer keeps the
 * input. Works in a transaction of the caller's, in subtransactions that are
 * rolled back.
 */
#include "postgres.h"

#include <time.h>

#include "access/xact.h"
#include "common/keywords.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/nodes.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "parser/scanner.h"
#include "parser/scansup.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "compat.h"
#include "errors.h"
#include "fuzz.h"
#include "lint.h"
#include "script.h"
#include "script_internal.h"
#include "settings.h"
#include "shape.h"
#include "version.h"

/* Seconds of processor time that any input may take. */
#define FUZZ_SLOW			0.5

/* An input repeated up to this many bytes may take FUZZ_SLOW, too. */
#define FUZZ_LARGE			(96 * 1024)

/* No message has a reason to be longer. */
#define FUZZ_MESSAGE_MAX	1500
#define FUZZ_CONTEXT_MAX	4000

typedef enum FuzzHow
{
	FUZZ_SCRIPT,				/* script_read() */
	FUZZ_SHAPE,					/* shape_read() too */
	FUZZ_LINT,					/* the same with lint looking on */
	FUZZ_WHOLE,					/* text is parsed as one, no script is read */
	FUZZ_EACH,					/* each statement of `script` is parsed */
	FUZZ_SCAN					/* the server's scanner goes through text */
} FuzzHow;

typedef struct FuzzReading
{
	FuzzHow		how;
	const char *text;
	size_t		len;
	Script	   *script;
	List	   *trees;			/* of FUZZ_WHOLE and FUZZ_EACH */
	ErrorData  *error;			/* NULL: it was read */
} FuzzReading;

typedef struct FuzzToken
{
	int			token;
	int			start;
	int			end;
	int			string;			/* kind of a string: another may continue it */
} FuzzToken;

static struct
{
	uint64		inputs;
	uint64		read;			/* script_read() accepts it */
	uint64		parsed;			/* so does shape_read() */
	uint64		whole;			/* compared with the parse of the whole */
	uint64		layouts;		/* ... with itself in another layout */
	uint64		changes;		/* ... with one token changed */
	uint64		data;			/* ... with other inline data */
	uint64		psql;			/* ... with psql's splitter */
	uint64		linted;
	uint64		large;
	double		slowest;
}			counters;

const char *
fuzz_counters(void)
{
	static char buf[500];

	snprintf(buf, sizeof(buf),
			 "inputs " UINT64_FORMAT ", read " UINT64_FORMAT ", parsed " UINT64_FORMAT
			 ", against the whole " UINT64_FORMAT ", other layouts " UINT64_FORMAT
			 ", changed tokens " UINT64_FORMAT ", other data " UINT64_FORMAT ", against psql " UINT64_FORMAT
			 ", linted " UINT64_FORMAT ", large " UINT64_FORMAT ", slowest %.3f s",
			 counters.inputs, counters.read, counters.parsed, counters.whole,
			 counters.layouts, counters.changes, counters.data, counters.psql,
			 counters.linted, counters.large, counters.slowest);
	return buf;
}

static void
fuzz_fail(const char *fmt,...) pg_attribute_printf(1, 2);

static void
fuzz_fail(const char *fmt,...)
{
	va_list		args;
	char		buf[4000];

	va_start(args, fmt);
	vsnprintf(buf, sizeof(buf), fmt, args);
	va_end(args);
	fprintf(stderr, "\nFUZZ: broken: %s\nFUZZ: %s\n", buf, fuzz_counters());
	fflush(stderr);
	abort();
}

static double
fuzz_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

static void
fuzz_check_text(const char *what, const char *text, size_t max)
{
	if (text == NULL)
		return;
	if (strlen(text) > max)
		fuzz_fail("%s of %zu bytes: %.200s", what, strlen(text), text);
	if (!pg_verify_mbstr(GetDatabaseEncoding(), text, (int) strlen(text), true))
		fuzz_fail("%s in a broken encoding: %s", what, text);
}

/* server: the error is the server's own; place: it must say where it is. */
static void
fuzz_check_error(const ErrorData *error, bool server, bool place)
{
	if (error->sqlerrcode == ERRCODE_INTERNAL_ERROR)
		fuzz_fail("internal error: %s", error->message);
	if (server)
		return;
	fuzz_check_text("message", error->message, FUZZ_MESSAGE_MAX);
	fuzz_check_text("detail", error->detail, FUZZ_MESSAGE_MAX);
	fuzz_check_text("hint", error->hint, FUZZ_MESSAGE_MAX);
	fuzz_check_text("context", error->context, FUZZ_CONTEXT_MAX);
	if (place && (error->context == NULL || strstr(error->context, "line ") == NULL))
		fuzz_fail("an error without a line: %s", error->message);
}

/* The tokens of a text. */
static FuzzToken *
fuzz_tokens(const char *text, int *n)
{
	core_yy_extra_type extra;
	core_yyscan_t scanner = scanner_init(text, &extra, &ScanKeywords, script_keyword_tokens());
	core_YYSTYPE value;
	int			location;
	int			token;
	int			allocated = 64;
	FuzzToken  *tokens = palloc(allocated * sizeof(FuzzToken));

	extra.escape_string_warning = false;
	*n = 0;
	while ((token = core_yylex(&value, &location, scanner)) != 0)
	{
		FuzzToken  *t;

		if (*n >= allocated)
			tokens = repalloc(tokens, (allocated *= 2) * sizeof(FuzzToken));
		t = &tokens[(*n)++];
		t->token = token;
		t->start = location;
		t->end = location + (int) strlen(extra.scanbuf + location);
		t->string = token == COMPAT_TOKEN_SCONST || token == COMPAT_TOKEN_USCONST ||
			token == COMPAT_TOKEN_BCONST || token == COMPAT_TOKEN_XCONST;
	}
	scanner_finish(scanner);
	return tokens;
}

static void
fuzz_read_now(FuzzReading *reading)
{
	int			nest;

	if (reading->how == FUZZ_WHOLE)
	{
		reading->trees = raw_parser(reading->text, RAW_PARSE_DEFAULT);
		return;
	}
	if (reading->how == FUZZ_SCAN)
	{
		(void) fuzz_tokens(reading->text, &nest);
		return;
	}
	if (reading->how == FUZZ_EACH)
	{
		nest = NewGUCNestLevel();
		for (int i = 0; i < reading->script->n_statements; i++)
		{
			script_obey_scanner_settings(&reading->script->statements[i]);
			reading->trees = list_concat(reading->trees,
										 raw_parser(script_statement_text(reading->script, i),
													RAW_PARSE_DEFAULT));
		}
		AtEOXact_GUC(false, nest);
		return;
	}
	reading->script = script_new(reading->text, reading->len, "1_fuzz");
	script_read(reading->script);
	if (reading->how == FUZZ_SHAPE)
		(void) shape_read(reading->script);
	else if (reading->how == FUZZ_LINT)
	{
		Settings	settings;
		Lint	   *lint;

		settings_read(&settings, NULL);
		lint = lint_begin(reading->script, &settings, NULL);
		shape_read_each(reading->script, lint_statement, lint);
		(void) lint_end(lint);
	}
}

/* Reads; fills error where that is the answer. What it made stays in the current context. */
static void
fuzz_read(FuzzReading *reading)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	double		begun = fuzz_clock();

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		fuzz_read_now(reading);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		reading->error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;

	begun = fuzz_clock() - begun;
	if (reading->how < FUZZ_WHOLE && begun > FUZZ_SLOW)
	{
		FuzzReading whole = {FUZZ_WHOLE, reading->text, reading->len};
		FuzzReading scan = {FUZZ_SCAN, reading->text, reading->len};
		double		servers = fuzz_clock();

		/* The server itself is slow at some things, such as a run of slashes and stars. */
		fuzz_read(&whole);
		fuzz_read(&scan);
		servers = fuzz_clock() - servers;
		if (begun > FUZZ_SLOW + 4 * servers)
			fuzz_fail("%zu bytes took %.1f s, the server %.1f s", reading->len, begun, servers);
	}
	else if (reading->how < FUZZ_WHOLE)
		counters.slowest = Max(counters.slowest, begun);
	if (reading->error != NULL)
		fuzz_check_error(reading->error, reading->how >= FUZZ_WHOLE, true);
}

/* Whether a piece of a script holds no token but semicolons. */
static bool
fuzz_is_layout(const char *start, const char *end, bool semicolons)
{
	int			n;
	FuzzToken  *tokens = fuzz_tokens(pnstrdup(start, end - start), &n);

	for (int i = 0; i < n; i++)
	{
		if (tokens[i].token != ';' || !semicolons)
			return false;
	}
	return true;
}

static bool
fuzz_mentions(const char *text, const char *word)
{
	for (size_t len = strlen(word); *text != '\0'; text++)
	{
		if (pg_strncasecmp(text, word, len) == 0)
			return true;
	}
	return false;
}

/* Whether another tool's marker may stand in it. */
static bool
fuzz_has_markers(const char *text)
{
	return fuzz_mentions(text, "migrate:") || fuzz_mentions(text, "+goose") ||
		fuzz_mentions(text, "+migrate") || fuzz_mentions(text, "migration") ||
		fuzz_mentions(text, "@undo");
}

/* Whether each statement is read under the session's settings. */
static bool
fuzz_is_uniform(const Script *script)
{
	for (int i = 0; i < script->n_statements; i++)
	{
		if (script->statements[i].conforming_strings != standard_conforming_strings ||
			script->statements[i].backslash_quote != backslash_quote)
			return false;
	}
	return true;
}

/* The statements and what is between them are the script, in its order. */
static void
fuzz_check_places(const Script *script)
{
	size_t		at = 0;
	int			line = 1;
	size_t		counted = 0;
	size_t		pos = 0;
	bool		markers = fuzz_has_markers(script->text);
	bool		uniform = fuzz_is_uniform(script);

	for (int i = 0; i < script->n_statements; i++)
	{
		const ScriptStatement *s = &script->statements[i];

		if (s->start < at || s->token < s->start || s->end <= s->token || s->end > script->len)
			fuzz_fail("statement %d is from %zu (%zu) to %zu, the one before ends at %zu of %zu",
					  i, s->start, s->token, s->end, at, script->len);
		for (; counted < s->token; counted++)
			line += script->text[counted] == '\n';
		if (s->line != line)
			fuzz_fail("statement %d is on line %d, not %d", i, line, s->line);
		if (s->rewritten == NULL && uniform)
		{
			if (!fuzz_is_layout(script->work + at, script->work + s->start, true))
				fuzz_fail("there is SQL before statement %d", i);
			if (!fuzz_is_layout(script->work + s->start, script->work + s->token, false))
				fuzz_fail("there is SQL before the first token of statement %d", i);
		}
		at = s->end;

		/* Bytes are hidden from the scanner only where they are no SQL. */
		while (!markers && pos < s->end)
		{
			if (script->text[pos] != script->work[pos])
			{
				if (script->text[pos] != '\\')
					fuzz_fail("byte %zu was hidden", pos);
				while (pos < script->len && script->text[pos] != '\n')
					pos++;
			}
			else
				pos++;
		}
		if (s->copy_line > 0)
		{
			if (s->copy_start < s->end || s->copy_end < s->copy_start || s->copy_end + 2 > script->len ||
				strncmp(script->text + s->copy_end, "\\.", 2) != 0)
				fuzz_fail("the data of statement %d are from %zu to %zu", i, s->copy_start, s->copy_end);
			for (size_t p = s->copy_start; p < s->copy_end + 2; p++)
			{
				if (script->work[p] != ' ')
					fuzz_fail("the data of statement %d are SQL", i);
			}
			at = pos = s->copy_end + 2 + (script->text[s->copy_end + 2] == '\r');
		}
	}
	if (uniform && !fuzz_is_layout(script->work + at, script->work + script->len, true))
		fuzz_fail("there is SQL behind the last statement");
}

/*
 * Whether a string that a psql command follows goes on behind that line. psql and
 * tapmig read two, and what they make of them the server reads as one.
 */
static bool
fuzz_string_goes_on(const Script *script)
{
	int			n;
	FuzzToken  *tokens = fuzz_tokens(script->work, &n);

	for (int i = 0; i < n; i++)
	{
		if (tokens[i].string &&
			memcmp(script->work + tokens[i].start, script->text + tokens[i].start, tokens[i].end - tokens[i].start) != 0)
			return true;
	}
	return false;
}

/* Each statement by itself is what it is in the whole. */
static void
fuzz_check_whole(const FuzzReading *reading)
{
	const Script *script = reading->script;
	FuzzReading whole = {FUZZ_WHOLE, script->work, script->len};
	int			i = 0;
	ListCell   *a;
	ListCell   *b;

	for (i = 0; i < script->n_statements; i++)
	{
		const ScriptStatement *s = &script->statements[i];

		/* What psql or another tool ends without a semicolon */
		if (s->rewritten != NULL ||
			(i < script->n_statements - 1 && script->work[s->end - 1] != ';'))
			return;
	}
	fuzz_read(&whole);
	if (whole.error != NULL && whole.error->sqlerrcode == ERRCODE_STATEMENT_TOO_COMPLEX)
		return;
	if (whole.error == NULL && fuzz_string_goes_on(script))
		return;
	counters.whole++;
	if (whole.error != NULL && reading->error == NULL)
		fuzz_fail("the whole is refused, its statements are not: %s", whole.error->message);
	if (whole.error == NULL && reading->error != NULL)
		fuzz_fail("a statement is refused, the whole is not: %s", reading->error->message);
	if (whole.error != NULL || reading->error != NULL)
		return;
	if (list_length(whole.trees) != list_length(reading->trees) ||
		list_length(whole.trees) != script->n_statements)
		fuzz_fail("%d statements, the whole has %d", script->n_statements, list_length(whole.trees));
	i = 0;
	forboth(a, whole.trees, b, reading->trees)
	{
		if (!equal(lfirst_node(RawStmt, a)->stmt, lfirst_node(RawStmt, b)->stmt))
			fuzz_fail("statement %d is another one in the whole", i);
		i++;
	}
}

/*
 * Whether the script is nothing but SQL, so that its layout is free. A second
 * byte order mark would become a first one.
 */
static bool
fuzz_is_plain(const Script *script)
{
	size_t		len = script->len;

	return script_bom_skip(script->text, &len) == script->text && memcmp(script->text, script->work, script->len) == 0 &&
		!fuzz_has_markers(script->text) && fuzz_is_uniform(script);
}

/* Another layout for the place between two tokens; a space is first. */
static void
fuzz_add_layout(StringInfo to, FuzzRandom *random, bool newline)
{
	static const char *const kinds[] = {
		" ", "  ", "\t", " /* ; */ ", " /* ' */", " /* /* $$ */ \" */", " /*--*/",
		"\n", " \r\n", " -- ; ' $$ /*\n", " --\n\n", " --\\.\n", "\f\n", " /*\n*/ ",
		" /* /* */\n-- +goose Down\n*/ "
	};

	appendStringInfoString(to, kinds[fuzz_random(random, newline ? lengthof(kinds) : 7)]);
}

/* The fingerprint is of the tokens, and of nothing else. */
static void
fuzz_check_fingerprint(const Script *script, bool parsed, FuzzRandom *random)
{
	int			n;
	FuzzToken  *tokens = fuzz_tokens(script->text, &n);
	FuzzReading reading = {FUZZ_SCRIPT};
	StringInfoData text;
	int			changed = n == 0 ? 0 : (int) fuzz_random(random, n);
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	const char *source;
	FuzzToken  *t;

	initStringInfo(&text);
	for (int i = 0; i <= n; i++)
	{
		int			end = i == 0 ? 0 : tokens[i - 1].end;
		int			next = i == n ? (int) script->len : tokens[i].start;
		/* A string that goes on, or the N of N'...' */
		bool		quote = i < n && script->text[next] == '\'' &&
			(end == next || (i > 0 && tokens[i - 1].string));

		if (quote || (end == next && fuzz_random(random, 2) == 0))
			appendBinaryStringInfo(&text, script->text + end, next - end);
		else
			fuzz_add_layout(&text, random, true);
		if (i == n)
			break;
		for (int p = tokens[i].start; p < tokens[i].end; p++)
		{
			char		c = script->text[p];
			bool		folds = tokens[i].token == SCRIPT_KEYWORD ||
			(tokens[i].token == COMPAT_TOKEN_IDENT && script->text[tokens[i].start] != '"');

			if (folds && isalpha((unsigned char) c) && !IS_HIGHBIT_SET(c) && fuzz_random(random, 4) == 0)
				c ^= 0x20;
			appendStringInfoChar(&text, c);
		}
		if (parsed && tokens[i].token == ';' && fuzz_random(random, 4) == 0 && i == n - 1)
			appendStringInfoString(&text, " ; ;");
	}
	reading.text = text.data;
	reading.len = text.len;
	fuzz_read(&reading);
	counters.layouts++;
	if (reading.error != NULL)
		fuzz_fail("refused in another layout: %s\n%s", reading.error->message, text.data);
	if (reading.script->n_statements != script->n_statements ||
		memcmp(reading.script->fingerprint, script->fingerprint, PG_SHA256_DIGEST_LENGTH) != 0)
		fuzz_fail("another fingerprint in another layout:\n%s", text.data);

	script_range_fingerprint(script, 0, 0, digest);
	if ((memcmp(digest, script->fingerprint, PG_SHA256_DIGEST_LENGTH) == 0) != (script->n_statements == 0))
		fuzz_fail("the fingerprint of %d statements is that of none, or not", script->n_statements);
	if (n == 0)
		return;

	/* One token changed */
	t = &tokens[changed];
	source = script->text + t->start;
	resetStringInfo(&text);
	appendBinaryStringInfo(&text, script->text, t->start);
	switch (t->token)
	{
		case SCRIPT_KEYWORD:
		case COMPAT_TOKEN_IDENT:
			if (t->end - t->start == 4 && pg_strncasecmp(source, "zq7x", 4) == 0)
				return;
			appendStringInfoString(&text, source[0] == '"' ? "\"zq7x\"" : "zq7x");
			if (source[0] == '"' && strncmp(source, "\"zq7x\"", 6) == 0)
				return;
			/* Or the same name in quotes */
			if (source[0] != '"' && fuzz_random(random, 2) == 0)
			{
				text.len = t->start;
				appendStringInfo(&text, "\"%s\"", downcase_truncate_identifier(source, t->end - t->start, false));
			}
			break;
		case COMPAT_TOKEN_SCONST:
			if (t->end - t->start == 6 && strncmp(source, "'zq7x'", 6) == 0)
				return;
			if (source[0] != '\'' || memchr(source, '\n', t->end - t->start) != NULL)
				return;
			/* One character more in it */
			appendBinaryStringInfo(&text, source, t->end - t->start - 1);
			appendStringInfoString(&text, "z'");
			break;
		case COMPAT_TOKEN_ICONST:
		case COMPAT_TOKEN_FCONST:
			/* One digit more, but not to a name before it, which may be cut off there. */
			appendStringInfo(&text, " 7%.*s", t->end - t->start, source);
			break;
		case ';':
			appendStringInfoChar(&text, ' ');
			break;
		default:
			if (t->token == '(' || t->token == ')' || t->token == '\\' || t->string)
				return;
			/* It is left out */
			appendStringInfoChar(&text, ' ');
			break;
	}
	appendStringInfoString(&text, script->text + t->end);
	memset(&reading, 0, sizeof(reading));		/* FUZZ_SCRIPT */
	reading.text = text.data;
	reading.len = text.len;
	fuzz_read(&reading);
	if (reading.error != NULL)
		return;
	/* A semicolon that ends nothing, or stands in a body, is another matter. */
	if (t->token == ';' && reading.script->n_statements == script->n_statements)
		return;
	counters.changes++;
	if (memcmp(reading.script->fingerprint, script->fingerprint, PG_SHA256_DIGEST_LENGTH) == 0)
		fuzz_fail("the same fingerprint with token %d changed:\n%s", changed, text.data);
}

/*
 * Whether another tool's mark of its down part may be among the data of a COPY, which
 * it ended: changing it makes another script of all.
 */
static bool
fuzz_data_may_have_mark(const Script *script, const ScriptStatement *s)
{
	return memmem(script->text + s->copy_start, s->copy_end - s->copy_start, "--", 2) != NULL;
}

/* Inline data count byte for byte, but for the end of the line behind them. */
static void
fuzz_check_data(const Script *script, FuzzRandom *random)
{
	const ScriptStatement *s = NULL;
	size_t		len = script->len;

	/* A second byte order mark would become a first one. */
	if (script_bom_skip(script->text, &len) != script->text)
		return;
	for (int i = 0, n = 0; i < script->n_statements; i++)
	{
		if (script->statements[i].copy_line > 0 &&
			!fuzz_data_may_have_mark(script, &script->statements[i]) && fuzz_random(random, ++n) == 0)
			s = &script->statements[i];
	}
	for (int what = 0; s != NULL && what < 3; what++)
	{
		FuzzReading reading = {FUZZ_SCRIPT};
		size_t		at = s->copy_end + (what == 2 ? 2 : 0);
		StringInfoData text;

		initStringInfo(&text);
		appendBinaryStringInfo(&text, script->text, at);
		if (what == 0)
			appendStringInfoString(&text, "\r\n");
		else if (what == 1 && at > s->copy_start + 1 && !IS_HIGHBIT_SET(text.data[at - 2]) &&
				 isalnum((unsigned char) text.data[at - 2]))
			text.data[at - 2]--;
		else if (what == 2 && script->text[at] != '\r')
			appendStringInfoChar(&text, '\r');
		else
			continue;
		appendBinaryStringInfo(&text, script->text + at, script->len - at);
		reading.text = text.data;
		reading.len = text.len;
		fuzz_read(&reading);
		counters.data++;
		if (reading.error != NULL || reading.script->n_statements != script->n_statements)
			fuzz_fail("other data are not read:\n%s", text.data);
		if ((memcmp(reading.script->fingerprint, script->fingerprint, PG_SHA256_DIGEST_LENGTH) == 0) != (what == 2))
			fuzz_fail("%s", what == 2 ? "the end of the data's last line counts" : "the same fingerprint with other data");
	}
}

/* A statement's lines but the empty ones, which psql drops. */
static char *
fuzz_lines(const char *text)
{
	StringInfoData lines;

	initStringInfo(&lines);
	while (*text != '\0')
	{
		const char *end = strchrnul(text, '\n');

		if (end - text != (ssize_t) strspn(text, " \t\r\f\v") || strspn(text, " \t\r\f\v") > (size_t) (end - text))
		{
			appendBinaryStringInfo(&lines, text, end - text);
			appendStringInfoChar(&lines, '\n');
		}
		text = *end == '\0' ? end : end + 1;
	}
	return lines.data;
}

/* Where psql reads the script without an error, it sends the same statements. */
static void
fuzz_check_psql(const Script *script)
{
	bool		understood;
	List	   *queries = fuzz_psql_split(script->text, script->len, standard_conforming_strings,
										  &understood);
	List	   *sent = NIL;
	ListCell   *lc;
	int			i = 0;

	if (!understood)
		return;
	foreach(lc, queries)
	{
		FuzzReading query = {FUZZ_WHOLE, lfirst(lc), strlen(lfirst(lc))};

		fuzz_read(&query);

		/* In a routine that is called BEGIN psql misses a statement's end. */
		if (query.error != NULL || list_length(query.trees) > 1)
			return;
		if (query.trees != NIL)
			sent = lappend(sent, lfirst(lc));
	}
	counters.psql++;
	if (list_length(sent) != script->n_statements)
		fuzz_fail("%d statements, psql has %d", script->n_statements, list_length(sent));
	foreach(lc, sent)
	{
		char	   *ours = fuzz_lines(script_statement_text(script, i++));
		char	   *psqls = fuzz_lines(lfirst(lc));
		size_t		len = strlen(ours) - 1;

		/*
		 * psql sends the comments behind a last statement without a semicolon,
		 * too; and empty statements where it misses a statement's end, see above.
		 */
		if (strncmp(ours, psqls, len) == 0 && fuzz_is_layout(psqls + len, psqls + strlen(psqls), true))
			continue;
		if (strcmp(ours, psqls) != 0)
			fuzz_fail("statement %d is to psql:\n%s\nand to tapmig:\n%s", i, psqls, ours);
	}
}

/* Directives stand before the first statement. */
static void
fuzz_check_head(const Script *script)
{
	FuzzReading head = {FUZZ_SCRIPT, script->text, script->n_statements == 0 ? script->len : script->statements[0].token};
	const ScriptDirectives *a = &script->directives;
	const ScriptDirectives *b;

	if (fuzz_has_markers(script->text))
		return;
	fuzz_read(&head);
	if (head.error != NULL)
		fuzz_fail("the head alone is refused: %s", head.error->message);
	b = &head.script->directives;
	if ((a->why == NULL) != (b->why == NULL) || (a->why != NULL && strcmp(a->why, b->why) != 0))
		fuzz_fail("a statement changes the Why:");
	if ((a->all == NULL) != (b->all == NULL) ||
		(a->all != NULL && (VARSIZE(a->all) != VARSIZE(b->all) || memcmp(a->all, b->all, VARSIZE(a->all)) != 0)))
		fuzz_fail("a statement changes the directives");
}

static void
fuzz_check_statements(const FuzzReading *reading)
{
	const Script *script = reading->script;
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	ListCell   *lc;

	fuzz_check_text("why", script->directives.why, script->len);
	foreach(lc, script->notices)
		fuzz_check_text("notice", lfirst(lc), FUZZ_MESSAGE_MAX);
	for (int i = 0; i < script->n_statements; i++)
	{
		char	   *head = script_statement_head(script, i);

		fuzz_check_text("head", head, 80 * MAX_MULTIBYTE_CHAR_LEN);
		if (strchr(head, '\n') != NULL)
			fuzz_fail("a head of two lines: %s", head);

		/* Of a script that parses: a text that doesn't may not even be scanned again. */
		if (reading->error == NULL)
			script_range_fingerprint(script, i, i + 1, digest);
	}
}

static void
fuzz_check_large(const char *text, size_t len)
{
	FuzzReading reading = {FUZZ_SHAPE};
	StringInfoData large;

	initStringInfo(&large);
	while (large.len < FUZZ_LARGE)
		appendBinaryStringInfo(&large, text, (int) len);
	reading.text = large.data;
	reading.len = large.len;
	fuzz_read(&reading);
	counters.large++;
}

static void
fuzz_check_version(const char *text, size_t len)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *error = NULL;
	Version		version;

	len = pg_mbcliplen(text, (int) len, (int) Min(len, 220));
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		version_parse(pnstrdup(text, len), &version);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	if (error != NULL)
		fuzz_check_error(error, false, false);
	else
		fuzz_check_text("key", version.key, 2000);
}

/* All but lint, which fills the server's caches. */
static void
fuzz_check_reading(const char *text, size_t len, FuzzRandom *random)
{
	FuzzReading reading = {FUZZ_SHAPE, text, len};
	FuzzReading each = {FUZZ_EACH, text, len};

	fuzz_check_version(text, len);
	fuzz_read(&reading);
	if (reading.script == NULL || !reading.script->complete)
		return;
	counters.read++;
	each.script = reading.script;
	fuzz_read(&each);
	if (reading.error == NULL)
		counters.parsed++;
	if (reading.error == NULL && each.error != NULL)
		fuzz_fail("a script with a syntax error has a shape");
	fuzz_check_statements(&reading);
	fuzz_check_head(reading.script);
	fuzz_check_places(reading.script);
	fuzz_check_data(reading.script, random);
	if (fuzz_is_uniform(reading.script))
		fuzz_check_whole(&each);
	if (fuzz_is_plain(reading.script))
	{
		fuzz_check_fingerprint(reading.script, each.error == NULL, random);
		if (each.error == NULL)
			fuzz_check_psql(reading.script);
	}
}

static void
fuzz_check_lint(const char *text, size_t len)
{
	FuzzReading parsed = {FUZZ_SHAPE, text, len};
	FuzzReading linted = {FUZZ_LINT, text, len};

	fuzz_read(&parsed);
	fuzz_read(&linted);
	counters.linted++;
	if (parsed.error == NULL && linted.error != NULL &&
		linted.error->sqlerrcode != ERRCODE_STATEMENT_TOO_COMPLEX)
		fuzz_fail("lint refuses: %s", linted.error->message);
}

/* text is valid in the database's encoding, without NUL but for one at its end. */
void
fuzz_check_script(const char *text, size_t len)
{
	static MemoryContext context = NULL;
	MemoryContext old = CurrentMemoryContext;
	Size		before;
	Size		after = 0;
	FuzzRandom	random;
	uint64		seed = len;

	if (context == NULL)
		context = AllocSetContextCreate(TopMemoryContext, "fuzz", ALLOCSET_DEFAULT_SIZES);
	for (size_t i = 0; i < len; i++)
		seed = (seed ^ (unsigned char) text[i]) * UINT64CONST(0x100000001B3);
	counters.inputs++;

	MemoryContextSwitchTo(context);

	/* What a first time leaves in the server's caches a third does not. */
	for (int i = 0; i < 3; i++)
	{
		before = MemoryContextMemAllocated(TopMemoryContext, true);
		fuzz_random_seed(&random, seed);
		fuzz_check_reading(text, len, &random);
		MemoryContextReset(context);
		after = MemoryContextMemAllocated(TopMemoryContext, true);
		if (after <= before)
			break;
		if (i == 2)
			fuzz_fail("%zu bytes are left in memory contexts", after - before);
	}
	if (seed % 8 == 0)
		fuzz_check_lint(text, len);
	if (seed % 128 == 1 && len > 0)
		fuzz_check_large(text, len);

	MemoryContextSwitchTo(old);
	MemoryContextReset(context);
}
