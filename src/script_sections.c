/*
 * script_sections.c
 *		The comments by which other tools divide a file into an up and a down part.
 *
 * Pure. A marker is a comment that stands alone on its line, where the scanner
 * is between two tokens: in a string, a dollar quote or a block comment it is
 * text like any other. Behind the beginning of a down part the tools read line
 * by line, and so does this: that part need not even be SQL.
 */
#include "postgres.h"

#include "errors.h"
#include "script_internal.h"

/* A blank in a marker stands for any number of blanks. */
typedef struct SectionTool
{
	const char *up;				/* NULL: everything above the down part */
	const char *down;
	const char *end_statement;	/* ends a statement without a semicolon; or NULL */
	bool		up_again;		/* an up part may follow a down part */
} SectionTool;

static const SectionTool section_tools[] = {
	{"migrate:up", "migrate:down", NULL, false},	/* dbmate */
	{"+goose Up", "+goose Down", "+goose StatementEnd", false},
	{"+migrate Up", "+migrate Down", "+migrate StatementEnd", true},	/* sql-migrate */
	{"Up Migration", "Down Migration", NULL, false},	/* node-pg-migrate */
	{NULL, "@UNDO", NULL, false}
};

StaticAssertDecl(lengthof(section_tools) == SCRIPT_SECTION_TOOLS,
				 "ScriptSections.up has an element for each tool");

/* node-pg-migrate's are words that a sentence may begin with. */
#define SECTION_PLAIN_WORDS 3

/* MyBatis writes //@UNDO. */
#define SECTION_BEHIND_SLASHES 4

static bool
section_is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\f' || c == '\v';
}

/* What follows the marker in [p, end), or NULL where it is another comment. */
static const char *
section_match(const char *p, const char *end, const char *marker)
{
	if (marker == NULL)
		return NULL;
	for (; *marker != '\0'; marker++)
	{
		if (*marker == ' ')
		{
			if (p >= end || !section_is_blank(*p))
				return NULL;
			while (p < end && section_is_blank(*p))
				p++;
			continue;
		}
		if (p >= end || pg_tolower((unsigned char) *p) != pg_tolower((unsigned char) *marker))
			return NULL;
		p++;
	}
	if (p < end && !section_is_blank(*p) && *p != ':')
		return NULL;
	while (p < end && (section_is_blank(*p) || *p == ':' || *p == '-'))
		p++;
	return p;
}

/* The end of the line that pos is in: its line end, or len. */
size_t
script_line_end(const char *text, size_t pos, size_t len)
{
	while (pos < len && text[pos] != '\n' && text[pos] != '\r')
		pos++;
	return pos;
}

/*
 * What the comment at pos, two hyphens, says; tool is set for all but
 * SCRIPT_MARKER_NONE.
 */
ScriptMarker
script_marker(const char *text, size_t pos, size_t len, int *tool)
{
	const char *end = text + script_line_end(text, pos, len);
	const char *p = text + pos;
	bool		slashes;

	for (size_t before = pos; before > 0 && text[before - 1] != '\n' && text[before - 1] != '\r'; before--)
	{
		if (!section_is_blank(text[before - 1]))
			return SCRIPT_MARKER_NONE;
	}
	while (p < end && (section_is_blank(*p) || *p == '-'))
		p++;
	slashes = end - p >= 2 && p[0] == '/' && p[1] == '/';
	if (slashes)
		p += 2;
	while (p < end && section_is_blank(*p))
		p++;
	for (*tool = 0; *tool < (int) lengthof(section_tools); (*tool)++)
	{
		const SectionTool *t = &section_tools[*tool];
		const char *rest = section_match(p, end, t->up);

		if (slashes != (*tool == SECTION_BEHIND_SLASHES))
			continue;
		if (rest != NULL && (*tool != SECTION_PLAIN_WORDS || rest == end))
			return SCRIPT_MARKER_UP;
		if (section_match(p, end, t->down) != NULL)
			return SCRIPT_MARKER_DOWN;
		if (section_match(p, end, t->end_statement) != NULL)
			return SCRIPT_MARKER_END_STATEMENT;
	}
	return SCRIPT_MARKER_NONE;
}

/*
 * Where the down part that begins on the line of pos ends: at the line of the
 * tool's next up marker, or at len.
 */
size_t
script_down_part_end(const char *text, size_t pos, size_t len, int tool)
{
	for (pos = script_line_end(text, pos, len); pos < len; pos = script_line_end(text, pos, len))
	{
		size_t		line = ++pos;
		int			other;

		while (pos < len && section_is_blank(text[pos]))
			pos++;
		if (pos + 1 < len && text[pos] == '-' && text[pos + 1] == '-' &&
			script_marker(text, pos, len, &other) == SCRIPT_MARKER_UP && other == tool)
			return line;
	}
	return len;
}

/* Whether [pos, end) holds anything but white space and comments. */
static bool
section_holds_sql(const char *text, size_t pos, size_t end)
{
	while (pos < end)
	{
		if (section_is_blank(text[pos]) || text[pos] == '\n' || text[pos] == '\r')
			pos++;
		else if (text[pos] == '-' && pos + 1 < end && text[pos + 1] == '-')
			pos = script_line_end(text, pos, end);
		else if (text[pos] == '/' && pos + 1 < end && text[pos + 1] == '*')
			pos = script_skip_block_comment(text, pos, end);
		else
			return true;
	}
	return false;
}

/*
 * Notes the up marker at pos. Errors: TM009 where SQL stands above it and no
 * marker above that: the tool would not run that SQL, or not the file.
 */
void
script_sections_up(ScriptSections *sections, const Script *script, int tool, size_t pos)
{
	if (script->n_statements > 0 && !sections->divided)
		ereport(ERROR,
				(errcode(TAPMIG_ERRCODE_NOT_UNDERSTOOD),
				 errmsg("SQL stands before the line \"-- %s\", line %d",
						section_tools[tool].up, script_line_at(script, pos, NULL)),
				 errdetail("With that line begins what another tool's file runs; nothing says whether the SQL above it is to be run."),
				 errhint("Move the line \"-- %s\" to the beginning of the file.",
						 section_tools[tool].up)));
	sections->divided = true;
	sections->up[tool] = true;
}

/*
 * Notes the down part [pos, end). Errors: TM009 where a second up part follows
 * it, and the tool would not run that.
 */
void
script_sections_down(ScriptSections *sections, const Script *script, int tool,
					 size_t pos, size_t end)
{
	const SectionTool *t = &section_tools[tool];

	if (end < script->len && sections->up[tool] && !t->up_again)
		ereport(ERROR,
				(errcode(TAPMIG_ERRCODE_NOT_UNDERSTOOD),
				 errmsg("a second \"-- %s\" follows the line \"-- %s\", line %d",
						t->up, t->down, script_line_at(script, pos, NULL)),
				 errdetail("What stands behind it may be meant to run, or to take the migration back."),
				 errhint("Let the file have one part of each kind.")));
	sections->divided = true;
	if (t->up != NULL && !sections->orphan && !sections->up[tool] &&
		section_holds_sql(script->text, script_line_end(script->text, pos, end), end))
	{
		sections->orphan = true;
		sections->orphan_pos = pos;
		sections->orphan_tool = tool;
	}
}

/*
 * The whole script was read. Errors: TM009 where a down part holds SQL and the
 * file has no up part: left out, or run, it could be the wrong thing.
 */
void
script_sections_check(const ScriptSections *sections, const Script *script)
{
	const SectionTool *t = &section_tools[sections->orphan_tool];

	if (sections->orphan && !sections->up[sections->orphan_tool])
		ereport(ERROR,
				(errcode(TAPMIG_ERRCODE_NOT_UNDERSTOOD),
				 errmsg("line %d begins the part of another tool's file that takes the migration back",
						script_line_at(script, sections->orphan_pos, NULL)),
				 errdetail("It says \"%s\", and no line says \"-- %s\": nothing tells what is to be run.",
						   t->down, t->up),
				 errhint("Write \"-- %s\" alone on the line above what is to be run, or take that part out of the file.",
						 t->up)));
}
