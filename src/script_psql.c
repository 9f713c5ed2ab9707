/*
 * script_psql.c
 *		The lines of a script that are psql's own commands; pure.
 *
 * A command that only changes what psql prints has no effect here. Every other
 * one would change what is run, so it is refused, with the way out.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "parser/scansup.h"
#include "utils/builtins.h"

#include "errors.h"
#include "script_internal.h"

typedef enum PsqlRule
{
	PSQL_DISPLAY,				/* without effect */
	PSQL_ECHO,					/* the same; \quit may follow on its line */
	PSQL_WHOLE_LINE,			/* without effect, to the line's end */
	PSQL_SET,
	PSQL_UNSET,
	PSQL_ENCODING,
	PSQL_COPY,
	PSQL_QUIT,
	PSQL_REFUSED
} PsqlRule;

typedef struct PsqlCommandRule
{
	const char *name;
	PsqlRule	rule;
	const char *reason;			/* of PSQL_REFUSED, as a sentence */
	const char *way_out;
} PsqlCommandRule;

#define REASON_FILE "The server reads this script alone, no other file."
#define WAY_FILE "Put the SQL of that file in the place of this line."
#define REASON_CONDITION "The same script would run differently from one call to the next."
#define WAY_CONDITION "Write the condition in SQL, such as DO $$ BEGIN IF ... END $$."
#define REASON_RESULT "It sends results back to psql, and a migration's results are discarded."
#define WAY_RESULT "Write it in SQL, such as DO $$ ... EXECUTE format(...) ... $$."
#define REASON_OUTPUT "It writes to a file of the client."
#define WAY_OUTPUT "Take the line out."
#define REASON_CONNECT "A script runs in the database, and as the user, that it was sent to."
#define WAY_CONNECT "Take the line out, or send what follows it to the other database."

static const PsqlCommandRule psql_rules[] = {
	{"a", PSQL_DISPLAY, NULL, NULL},
	{"echo", PSQL_ECHO, NULL, NULL},
	{"pset", PSQL_DISPLAY, NULL, NULL},
	{"qecho", PSQL_ECHO, NULL, NULL},
	{"restrict", PSQL_WHOLE_LINE, NULL, NULL},
	{"t", PSQL_DISPLAY, NULL, NULL},
	{"timing", PSQL_DISPLAY, NULL, NULL},
	{"unrestrict", PSQL_WHOLE_LINE, NULL, NULL},
	{"warn", PSQL_ECHO, NULL, NULL},
	{"x", PSQL_DISPLAY, NULL, NULL},
	{"set", PSQL_SET, NULL, NULL},
	{"unset", PSQL_UNSET, NULL, NULL},
	{"encoding", PSQL_ENCODING, NULL, NULL},
	{"copy", PSQL_COPY, NULL, NULL},
	{"q", PSQL_QUIT, NULL, NULL},
	{"quit", PSQL_QUIT, NULL, NULL},
	{"i", PSQL_REFUSED, REASON_FILE, WAY_FILE},
	{"ir", PSQL_REFUSED, REASON_FILE, WAY_FILE},
	{"include", PSQL_REFUSED, REASON_FILE, WAY_FILE},
	{"include_relative", PSQL_REFUSED, REASON_FILE, WAY_FILE},
	{"if", PSQL_REFUSED, REASON_CONDITION, WAY_CONDITION},
	{"elif", PSQL_REFUSED, REASON_CONDITION, WAY_CONDITION},
	{"else", PSQL_REFUSED, REASON_CONDITION, WAY_CONDITION},
	{"endif", PSQL_REFUSED, REASON_CONDITION, WAY_CONDITION},
	{"g", PSQL_REFUSED, REASON_RESULT, "End the statement with a semicolon."},
	{"gx", PSQL_REFUSED, REASON_RESULT, "End the statement with a semicolon."},
	{"gexec", PSQL_REFUSED, REASON_RESULT, WAY_RESULT},
	{"gset", PSQL_REFUSED, REASON_RESULT, WAY_RESULT},
	{"gdesc", PSQL_REFUSED, REASON_RESULT, "Take the line out."},
	{"crosstabview", PSQL_REFUSED, REASON_RESULT, "End the statement with a semicolon."},
	{"watch", PSQL_REFUSED, REASON_RESULT, "End the statement with a semicolon."},
	{"o", PSQL_REFUSED, REASON_OUTPUT, WAY_OUTPUT},
	{"out", PSQL_REFUSED, REASON_OUTPUT, WAY_OUTPUT},
	{"w", PSQL_REFUSED, REASON_OUTPUT, WAY_OUTPUT},
	{"write", PSQL_REFUSED, REASON_OUTPUT, WAY_OUTPUT},
	{"c", PSQL_REFUSED, REASON_CONNECT, WAY_CONNECT},
	{"connect", PSQL_REFUSED, REASON_CONNECT, WAY_CONNECT},
};

static const PsqlCommandRule psql_other =
{"", PSQL_REFUSED, "It is a command of psql, which the server does not have.",
"Take the line out, or write it in SQL."};

/* White space within a line, as psql's slash commands see it. */
static bool
psql_is_space(char c)
{
	return c != '\n' && scanner_isspace(c);
}

static COMPAT_NORETURN void psql_refuse(int line, const char *command, const char *reason,
						const char *way_out);

static void
psql_refuse(int line, const char *command, const char *reason, const char *way_out)
{
	ereport(ERROR,
			(errcode(TAPMIG_ERRCODE_NOT_UNDERSTOOD),
			 errmsg("psql command \"\\%s\" on line %d cannot be used in a migration",
					script_excerpt(command, command + strlen(command)), line),
			 errdetail("%s", reason),
			 errhint("%s", way_out)));
}

/*
 * Where the arguments of a command end: at the line's end or at a backslash
 * outside of quotes, as psqlscanslash.l has it.
 */
static size_t
psql_arguments_end(const char *text, size_t pos, size_t line_end)
{
	char		quote = '\0';

	for (; pos < line_end; pos++)
	{
		char		c = text[pos];

		if (quote != '\0')
		{
			if (c == '\\' && quote == '\'' && pos + 1 < line_end)
				pos++;
			else if (c == quote)
				quote = '\0';
		}
		else if (c == '\'' || c == '"' || c == '`')
			quote = c;
		else if (c == '\\')
			break;
	}
	return pos;
}

/* The next argument in [*pos, end), quotes taken off, or NULL. */
static char *
psql_argument(const char *text, size_t *pos, size_t end)
{
	size_t		start;
	char	   *result;

	while (*pos < end && psql_is_space(text[*pos]))
		(*pos)++;
	if (*pos >= end)
		return NULL;
	start = *pos;
	while (*pos < end && !psql_is_space(text[*pos]))
		(*pos)++;
	result = pnstrdup(text + start, *pos - start);
	if (strlen(result) >= 2 && result[0] == '\'' && result[strlen(result) - 1] == '\'')
	{
		result[strlen(result) - 1] = '\0';
		result++;
	}
	return result;
}


/* \set NAME VALUE and \unset NAME: ON_ERROR_STOP, and nothing else. */
static void
psql_set(Script *script, size_t pos, size_t end, bool unset, int line)
{
	const char *text = script->text;
	const char *command = unset ? "unset" : "set";
	char	   *name = psql_argument(text, &pos, end);
	char	   *value = psql_argument(text, &pos, end);
	bool		on = false;

	if (name == NULL || strcmp(name, "ON_ERROR_STOP") != 0)
		psql_refuse(line, name ? psprintf("%s %s", command, name) : command,
					"The server does not expand psql's variables.",
					"Write the values into the statements, or take the line out.");
	if (!unset && value != NULL && !parse_bool(value, &on))
		psql_refuse(line, "set ON_ERROR_STOP", "Its value is neither on nor off.",
					"Write \\set ON_ERROR_STOP on, or take the line out.");
	if (unset || (value != NULL && !on))
		script->notices = lappend(script->notices,
								  psprintf("ON_ERROR_STOP on line %d has no effect: an error still stops the script",
										   line));
}

/*
 * The word behind FROM or TO in the arguments of a \copy, "" where there is
 * none: parentheses and quotes hold no such word.
 */
static char *
psql_copy_target(const char *arguments)
{
	int			parens = 0;
	bool		next = false;

	for (const char *p = arguments; *p != '\0';)
	{
		const char *start = p;

		if (psql_is_space(*p))
		{
			p++;
			continue;
		}
		if (*p == '(' || *p == ')')
		{
			parens += *p == '(' ? 1 : -1;
			p++;
			continue;
		}
		if (*p == '\'' || *p == '"')
		{
			char		quote = *p++;

			while (*p != '\0' && *p != quote)
				p++;
			if (*p != '\0')
				p++;
		}
		else
		{
			while (*p != '\0' && !psql_is_space(*p) && strchr("()'\"", *p) == NULL)
				p++;
		}
		if (parens > 0)
			continue;
		if (next)
			return pnstrdup(start, p - start);
		next = (p - start == 4 && pg_strncasecmp(start, "from", 4) == 0) ||
			(p - start == 2 && pg_strncasecmp(start, "to", 2) == 0);
	}
	return pstrdup("");
}

/*
 * \copy t from stdin: the COPY that it stands for. Files and programs of the
 * client are out of the server's reach.
 */
static char *
psql_copy(const char *text, size_t pos, size_t line_end, int line)
{
	char	   *arguments = pnstrdup(text + pos, line_end - pos);
	size_t		len = strlen(arguments);
	char	   *statement;
	char	   *target;
	List	   *parsed;
	CopyStmt   *copy;

	while (len > 0 && (psql_is_space(arguments[len - 1]) || arguments[len - 1] == ';'))
		arguments[--len] = '\0';
	while (psql_is_space(*arguments))
		arguments++;
	statement = psprintf("COPY %s", arguments);

	/* psql takes a file's name without quotes, which the parser does not. */
	target = psql_copy_target(arguments);
	if (pg_strcasecmp(target, "pstdin") == 0 || pg_strcasecmp(target, "pstdout") == 0)
		psql_refuse(line, "copy", "The server cannot read what psql's own input holds.",
					"Put the data below the line, and end them with a line \\.");
	if (target[0] != '\0' && pg_strcasecmp(target, "stdin") != 0)
		psql_refuse(line, "copy", "Only \\copy ... from stdin, with its data below it, can be sent.",
					"Put the data into the script, or use COPY with a file of the server.");

	parsed = raw_parser(statement, RAW_PARSE_DEFAULT);
	copy = (CopyStmt *) linitial_node(RawStmt, parsed)->stmt;
	if (list_length(parsed) != 1 || !IsA(copy, CopyStmt) ||
		!copy->is_from || copy->filename != NULL || copy->is_program)
		psql_refuse(line, "copy", "Only \\copy ... from stdin, with its data below it, can be sent.",
					"Put the data into the script, or use COPY with a file of the server.");
	return statement;
}

/*
 * Reads the psql command whose backslash stands at pos, on line. in_statement: a
 * statement has begun and has not ended; after_echo: an \echo stands before it
 * on its line. Errors: TM009, with line, command, reason and way out.
 */
void
script_psql_read(Script *script, size_t pos, int line, bool in_statement,
				 bool after_echo, ScriptPsqlCommand *command)
{
	const char *text = script->text;
	const char *newline = memchr(text + pos, '\n', script->len - pos);
	size_t		line_end = newline ? (size_t) (newline - text) : script->len;
	size_t		name_end = pos + 1;
	const PsqlCommandRule *rule = &psql_other;
	char	   *name;

	/* A name is all up to white space or the next backslash. */
	while (name_end < line_end && !psql_is_space(text[name_end]) && text[name_end] != '\\')
		name_end++;
	name = pnstrdup(text + pos + 1, name_end - pos - 1);

	for (int i = 0; i < (int) lengthof(psql_rules); i++)
	{
		if (strcmp(psql_rules[i].name, name) == 0)
			rule = &psql_rules[i];
	}

	command->kind = SCRIPT_PSQL_DISPLAY;
	command->copy = NULL;
	command->end = psql_arguments_end(text, name_end, line_end);

	switch (rule->rule)
	{
		case PSQL_DISPLAY:
		case PSQL_ECHO:
			break;
		case PSQL_WHOLE_LINE:
			command->end = line_end;
			break;
		case PSQL_SET:
			psql_set(script, name_end, command->end, false, line);
			break;
		case PSQL_UNSET:
			psql_set(script, name_end, command->end, true, line);
			break;
		case PSQL_ENCODING:
			{
				size_t		at = name_end;
				char	   *encoding = psql_argument(text, &at, command->end);

				if (encoding != NULL && pg_char_to_encoding(encoding) != PG_UTF8)
					psql_refuse(line, "encoding",
								"A script has been converted when the server reads it.",
								"Save the file in UTF-8 and take the line out.");
				break;
			}
		case PSQL_COPY:
			if (in_statement)
				psql_refuse(line, "copy", "It stands inside of a statement.",
							"End the statement before it with a semicolon.");
			command->kind = SCRIPT_PSQL_COPY;
			command->end = line_end;
			command->copy = psql_copy(text, name_end, line_end, line);
			break;
		case PSQL_QUIT:

			/*
			 * Install scripts of extensions begin with \echo ... \quit, which
			 * CREATE EXTENSION passes over as well.
			 */
			if (!after_echo)
				psql_refuse(line, name, "What follows it would never run.",
							"Take out the line and what follows it.");
			break;
		case PSQL_REFUSED:
			if (name[0] == '.')
				psql_refuse(line, ".", "There are no COPY data before it to be ended.",
							"Take the line out, or put COPY ... FROM stdin; before the data.");
			psql_refuse(line, name, rule->reason, rule->way_out);
	}

	/* "\\" ends the arguments, and SQL may follow it on the same line. */
	if (command->end + 1 < line_end && text[command->end] == '\\' &&
		text[command->end + 1] == '\\')
		command->end += 2;
}
