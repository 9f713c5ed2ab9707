/*
 * fuzz_mutate.c
 *		Mutations of scripts that know what a script is made of.
 *
 * A script is cut roughly into words, strings, comments, white space and single
 * characters; pieces are taken out, doubled, exchanged, replaced and put
 * between quotes or comments. libFuzzer's own mutations of bytes have their
 * share.
 */
#include "postgres.h"

#include "fuzz.h"

extern size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
extern size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);
extern size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size,
										uint8_t *out, size_t max_size, unsigned int seed);

#define MUTATE_PIECES	2000

typedef struct MutatePiece
{
	size_t		start;
	size_t		end;
} MutatePiece;

static const char *const mutate_words[] = {
	";", ";;", "'", "''", "\"", "\"\"", "$$", "$a$", "$_1$", "$1", "E'", "E'\\'", "U&'", "U&\"", "B'1", "X'a",
	"UESCAPE '!'", "\\", "\\\\", "\\.\n", "\n\\.\n", "\\.", "(", ")", "[", "]", ",", ".", "..", ":", "::", ":=", ":x", ":'x'",
	"--", "-- ", "--\n", "/*", "*/", "/**/", "/*/", "/* /* */ */", "/* ; */", "\n", "\r\n", "\r", "\t", "\f", "\v", " ",
	"BEGIN", "BEGIN;", "BEGIN ATOMIC", "END", "END;", "CASE", "CASE WHEN true THEN 1 END", "AS end", "AS \"end\"", ".end", "atomic",
	"COMMIT;", "ROLLBACK;", "COMMIT AND CHAIN;", "SAVEPOINT s;", "PREPARE TRANSACTION 'x';", "START TRANSACTION;", "ABORT;",
	"SET TRANSACTION ISOLATION LEVEL SERIALIZABLE;", "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY;",
	"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END;",
	"CREATE OR REPLACE PROCEDURE p() LANGUAGE sql BEGIN ATOMIC SELECT CASE 1 WHEN 1 THEN 2 END; END;",
	"CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$;",
	"CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2);", "DO $$ BEGIN COMMIT; END $$;", "CALL p();",
	"COPY t FROM stdin;\n1\ta\n\\.\n", "COPY t (a, b) FROM STDIN WITH (FORMAT csv);\n1,a\n\\.\n", "copy t from stdin", "COPY t TO stdout;",
	"\\copy t from stdin\n1\n\\.\n", "\\copy t (a) from 'stdin'", "\\copy (select 1) to stdout", "\\copy",
	"\\echo x\n", "\\echo x \\quit\n", "\\echo 'a\\b' `c` \\\\", "\\set ON_ERROR_STOP on\n", "\\set ON_ERROR_STOP 0\n", "\\set x 1\n",
	"\\unset ON_ERROR_STOP\n", "\\encoding UTF8\n", "\\encoding LATIN1\n", "\\i f\n", "\\gexec\n", "\\if\n", "\\g\n", "\\;", "\\:",
	"\\restrict a\\b\n", "\\unrestrict ab\n", "\\pset format 'x\n", "\\x\n", "\\q\n", "\\connect x\n", "\\x\\t\\a",
	"SET standard_conforming_strings = off;", "SET standard_conforming_strings TO on;", "RESET standard_conforming_strings;",
	"SET LOCAL standard_conforming_strings = 0;", "RESET ALL;", "DISCARD ALL;", "SET backslash_quote = off;", "SET backslash_quote = safe_encoding;",
	"SELECT pg_catalog.set_config('standard_conforming_strings', 'off', false);", "SET client_encoding = LATIN1;",
	"SET standard_conforming_strings = DEFAULT;", "SET \"standard_conforming_strings\" = 'off';",
	"-- Why: because\n", "-- tapmig: requires=034\n", "-- tapmig: replaces=001..120, 007\n", "-- tapmig: compensates=036\n",
	"-- tapmig: lock_timeout=2s\n", "-- tapmig: allow=rule,rule\n", "-- tapmig: loses=agents.note, approved-by=\"N. N., ticket 4711\"\n",
	"-- tapmig: loses=\"A b\".\"c\"\"d\".e, approved-by=x\n", "-- tapmig: store=off\n", "-- tapmig:", "-- tapmig: x=1\n", "requires=", "loses=", "=", "\"a\"\"b\"",
	"-- migrate:up\n", "-- migrate:down\n", "-- migrate:up transaction:false\n", "-- +goose Up\n", "-- +goose Down\n", "-- +goose StatementBegin\n",
	"-- +goose StatementEnd\n", "-- +migrate Up\n", "-- +migrate Down\n", "-- +migrate StatementEnd\n", "-- Up Migration\n", "-- Down Migration\n",
	"-- //@UNDO\n", "--//@UNDO\n",
	"CREATE TABLE t (a int, b text);", "ALTER TABLE t ADD COLUMN c int NOT NULL DEFAULT 1;", "CREATE INDEX CONCURRENTLY i ON t (a);",
	"DROP INDEX CONCURRENTLY i;", "VACUUM t;", "REINDEX TABLE CONCURRENTLY t;", "CREATE DATABASE d;", "ALTER SYSTEM SET work_mem = 1;",
	"ALTER TABLE p DETACH PARTITION q CONCURRENTLY;", "CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p;", "CLUSTER;",
	"INSERT INTO t VALUES (1, 'x;y');", "UPDATE t SET b = $$a;b$$ WHERE a = 1;", "DELETE FROM t;", "TRUNCATE t;", "DROP TABLE t CASCADE;",
	"ALTER TYPE e ADD VALUE 'x';", "DROP EXTENSION tapmig;", "SELECT 1", "SELECT", "t", "a", "int", "text", "1", "0.5e10", "1.", "0x1F", "1_000", "NULL",
	"<", ">", "<>", "->>", "@-", "+-", "*", "?", "%", "~!@#", "||", "=>", "!=",
	"\xEF\xBB\xBF", "\xC3\xA4", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "\xC2\xA0", "\xE2\x80\xA8", "\xC3", "\xFF", "\xC0\xAF", "\xED\xA0\x80", "\x95\x5C", "\x83\x5C", "\x81\x27", "\x8E\xA1", "\x01", "\x7F",
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
};

static bool
mutate_is_word(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80;
}

static bool
mutate_is_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

static int
mutate_cut(const uint8_t *data, size_t size, MutatePiece *pieces)
{
	int			n = 0;
	size_t		pos = 0;

	while (pos < size && n < MUTATE_PIECES)
	{
		size_t		start = pos;
		uint8_t		c = data[pos++];

		if (mutate_is_word(c))
		{
			while (pos < size && mutate_is_word(data[pos]))
				pos++;
		}
		else if (mutate_is_space(c))
		{
			while (pos < size && mutate_is_space(data[pos]))
				pos++;
		}
		else if (c == '-' && pos < size && data[pos] == '-')
		{
			while (pos < size && data[pos] != '\n')
				pos++;
		}
		else if (c == '/' && pos < size && data[pos] == '*')
		{
			while (pos + 1 < size && !(data[pos] == '*' && data[pos + 1] == '/'))
				pos++;
			pos = Min(pos + 2, size);
		}
		else if (c == '\'' || c == '"')
		{
			while (pos < size && data[pos] != c && pos - start < 200)
				pos++;
			pos = Min(pos + 1, size);
		}
		pieces[n].start = start;
		pieces[n++].end = pos;
	}
	return n;
}

/* [0, from) of data, then `with`, then [to, size), into data; the new size. */
static size_t
mutate_replace(uint8_t *data, size_t size, size_t max_size, size_t from, size_t to, const uint8_t *with, size_t len)
{
	if (from + len + (size - to) > max_size)
		return size;
	memmove(data + from + len, data + to, size - to);
	memcpy(data + from, with, len);
	return from + len + (size - to);
}

static size_t
mutate_once(uint8_t *data, size_t size, size_t max_size, FuzzRandom *random)
{
	static MutatePiece pieces[MUTATE_PIECES];
	static uint8_t copy[1024 * 1024];
	int			n = mutate_cut(data, size, pieces);
	MutatePiece a = {0, 0};
	MutatePiece b = {0, 0};
	const char *word = mutate_words[fuzz_random(random, lengthof(mutate_words))];
	static const char *const around[][2] = {
		{"'", "'"}, {"\"", "\""}, {"$$", "$$"}, {"$q$", "$q$"}, {"/*", "*/"}, {"(", ")"}, {"E'", "'"}, {"--", "\n"},
		{"BEGIN ATOMIC ", "; END"}, {"BEGIN;", "COMMIT;"}, {"COPY t FROM stdin;\n", "\n\\.\n"}, {"DO $$", "$$;"},
		{"\n\\echo ", "\n"}, {"U&'", "'"}, {"-- +goose Up\n", "\n-- +goose Down\n"}, {"CASE WHEN ", " THEN 1 END"},
		{"-- tapmig: ", "\n"}, {"SET standard_conforming_strings = off; ", " SET standard_conforming_strings = on;"}
	};
	int			i;
	size_t		len;

	if (n > 0)
	{
		a = pieces[fuzz_random(random, n)];
		b = pieces[fuzz_random(random, n)];
		if (b.start < a.start)
		{
			MutatePiece swap = a;

			a = b;
			b = swap;
		}
	}
	if (size > sizeof(copy))
		return size;
	memcpy(copy, data, size);

	switch (fuzz_random(random, 12))
	{
		case 0:					/* leave a piece out */
			return mutate_replace(data, size, max_size, a.start, a.end, NULL, 0);
		case 1:					/* leave a stretch out */
			return b.end - a.start > size / 2 ? size :
				mutate_replace(data, size, max_size, a.start, b.end, NULL, 0);
		case 2:					/* a piece a second time, elsewhere */
			return mutate_replace(data, size, max_size, a.start, a.start, copy + b.start, b.end - b.start);
		case 3:					/* exchange two */
			if (a.end > b.start)
				return size;
			size = mutate_replace(data, size, max_size, b.start, b.end, copy + a.start, a.end - a.start);
			return mutate_replace(data, size, max_size, a.start, a.end, copy + b.start, b.end - b.start);
		case 4:					/* one in the place of another */
			return mutate_replace(data, size, max_size, a.start, a.end, copy + b.start, b.end - b.start);
		case 5:
		case 6:					/* a word put in */
			return mutate_replace(data, size, max_size, a.start, a.start, (const uint8_t *) word, strlen(word));
		case 7:					/* a word in the place of a piece */
			return mutate_replace(data, size, max_size, a.start, a.end, (const uint8_t *) word, strlen(word));
		case 8:					/* something around a stretch */
			i = fuzz_random(random, lengthof(around));
			if (fuzz_random(random, 2) == 0)
				b = a;
			size = mutate_replace(data, size, max_size, b.end, b.end, (const uint8_t *) around[i][1], strlen(around[i][1]));
			return mutate_replace(data, size, max_size, a.start, a.start, (const uint8_t *) around[i][0], strlen(around[i][0]));
		case 9:					/* other line ends, all or one */
			i = fuzz_random(random, 2);
			len = 0;
			for (size_t pos = 0; pos < size && len + 2 < max_size; pos++)
			{
				bool		here = i == 0 || (pos >= a.start && pos <= b.start);

				if (here && copy[pos] == '\r' && pos + 1 < size && copy[pos + 1] == '\n')
					continue;
				if (here && copy[pos] == '\n' && (pos == 0 || copy[pos - 1] != '\r'))
					data[len++] = '\r';
				data[len++] = copy[pos];
			}
			return len;
		case 10:				/* cut off */
			return fuzz_random(random, 4) == 0 ? a.end : size;
		default:				/* the case of a letter, another digit */
			for (size_t pos = a.start; pos < a.end; pos++)
			{
				if ((data[pos] | 0x20) >= 'a' && (data[pos] | 0x20) <= 'z')
					data[pos] ^= 0x20;
				else if (data[pos] >= '0' && data[pos] <= '9')
					data[pos] = '0' + fuzz_random(random, 10);
			}
			return size;
	}
}

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	FuzzRandom	random;

	fuzz_random_seed(&random, seed);
	if (fuzz_random(&random, 4) == 0)
		return LLVMFuzzerMutate(data, size, max_size);
	for (int n = 1 + fuzz_random(&random, 4); n > 0; n--)
		size = mutate_once(data, size, max_size, &random);
	return size;
}

/* The beginning of one script, up to one of its pieces, and the end of another. */
size_t
LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size,
						  uint8_t *out, size_t max_size, unsigned int seed)
{
	static MutatePiece pieces[MUTATE_PIECES];
	FuzzRandom	random;
	size_t		to = 0;
	size_t		from = 0;
	size_t		len;
	int			n;

	fuzz_random_seed(&random, seed);
	n = mutate_cut(a, a_size, pieces);
	if (n > 0)
		to = Min(pieces[fuzz_random(&random, n)].end, max_size);
	n = mutate_cut(b, b_size, pieces);
	if (n > 0)
		from = pieces[fuzz_random(&random, n)].start;
	len = Min(b_size - from, max_size - to);
	memcpy(out, a, to);
	memcpy(out + to, b + from, len);
	return to + len;
}
