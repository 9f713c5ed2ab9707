/*
 * script_fingerprint.c
 *		Checksum and fingerprint of a script; pure.
 *
 * The fingerprint is a SHA-256 over the scanner's tokens. Each is written as
 * its class letter, its length and its text, so that neither a token number
 * nor the keyword list of a major version gets into it: a keyword of one
 * version is a plain identifier of another, and both are class I, folded.
 * Text is hashed in UTF-8, so that databases of any encoding agree.
 */
#include "postgres.h"

#include "common/keywords.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "script_internal.h"

/* How much to gather before the digest is fed. */
#define FINGERPRINT_PENDING_MAX 65536

static pg_cryptohash_ctx *
sha256_begin(void)
{
	pg_cryptohash_ctx *hash = pg_cryptohash_create(PG_SHA256);

	if (pg_cryptohash_init(hash) < 0)
		elog(ERROR, "could not initialize SHA-256: %s", pg_cryptohash_error(hash));
	return hash;
}

static void
sha256_add(pg_cryptohash_ctx *hash, const char *data, size_t len)
{
	if (pg_cryptohash_update(hash, (const uint8 *) data, len) < 0)
		elog(ERROR, "could not update SHA-256: %s", pg_cryptohash_error(hash));
}

static void
sha256_finish(pg_cryptohash_ctx *hash, uint8 *digest)
{
	if (pg_cryptohash_final(hash, digest, PG_SHA256_DIGEST_LENGTH) < 0)
		elog(ERROR, "could not finalize SHA-256: %s", pg_cryptohash_error(hash));
	pg_cryptohash_free(hash);
}

/*
 * SHA-256 of len bytes of data, as they are, into digest
 * (PG_SHA256_DIGEST_LENGTH bytes).
 */
void
script_sha256(const char *data, size_t len, uint8 *digest)
{
	pg_cryptohash_ctx *hash = sha256_begin();

	sha256_add(hash, data, len);
	sha256_finish(hash, digest);
}

/*
 * Text in UTF-8: text itself where it is that already, else palloc'd. The bytes
 * of a database without an encoding (SQL_ASCII) are taken as they are.
 */
static const char *
script_to_utf8(const char *text, size_t *len)
{
	char	   *utf8;

	if (GetDatabaseEncoding() == PG_SQL_ASCII)
		return text;
	utf8 = pg_server_to_any(text, (int) *len, PG_UTF8);
	if (utf8 != text)
		*len = strlen(utf8);
	return utf8;
}

/*
 * The checksum of a script: SHA-256 of its text in UTF-8. text is in the
 * database's encoding, len in bytes; what it was sent as, byte order mark
 * included.
 */
void
script_checksum(const char *text, size_t len, uint8 *checksum)
{
	const char *utf8 = script_to_utf8(text, &len);

	script_sha256(utf8, len, checksum);
	if (utf8 != text)
		pfree(unconstify(char *, utf8));
}

void
script_fingerprint_begin(ScriptFingerprint *f)
{
	f->hash = sha256_begin();
	initStringInfo(&f->pending);
	f->in_statement = false;
}

static void
fingerprint_flush(ScriptFingerprint *f)
{
	sha256_add(f->hash, f->pending.data, f->pending.len);
	resetStringInfo(&f->pending);
}

static void
fingerprint_add(ScriptFingerprint *f, char class, const char *text, size_t len)
{
	const char *utf8 = script_to_utf8(text, &len);
	char		number[32];
	int			number_len;

	number[0] = class;
	number_len = 1 + pg_lltoa((int64) len, number + 1);
	number[number_len++] = ':';
	appendBinaryStringInfo(&f->pending, number, number_len);
	if (len > FINGERPRINT_PENDING_MAX)
	{
		fingerprint_flush(f);
		sha256_add(f->hash, utf8, len);
	}
	else
		appendBinaryStringInfo(&f->pending, utf8, (int) len);
	if (utf8 != text)
		pfree(unconstify(char *, utf8));
	if (f->pending.len > FINGERPRINT_PENDING_MAX)
		fingerprint_flush(f);
}

/*
 * Adds one token: its number and value as core_yylex() gave them, and its
 * spelling, which ends with a NUL byte (flex puts one there until the next
 * token is asked for). One that was not begun, as zeros, stays so.
 */
void
script_fingerprint_token(ScriptFingerprint *f, int token,
						 const core_YYSTYPE *value, const char *source)
{
	if (f->hash == NULL)
		return;
	f->in_statement = true;
	switch (token)
	{
		case SCRIPT_KEYWORD:
			fingerprint_add(f, 'I', value->keyword, strlen(value->keyword));
			break;
		case COMPAT_TOKEN_IDENT:
			fingerprint_add(f, source[0] == '"' ? 'Q' : 'I',
							value->str, strlen(value->str));
			break;
		case COMPAT_TOKEN_UIDENT:
			fingerprint_add(f, 'U', value->str, strlen(value->str));
			break;
		case COMPAT_TOKEN_SCONST:
			fingerprint_add(f, 'S', value->str, strlen(value->str));
			break;
		case COMPAT_TOKEN_USCONST:
			fingerprint_add(f, 'V', value->str, strlen(value->str));
			break;
		case COMPAT_TOKEN_BCONST:
			fingerprint_add(f, 'B', value->str, strlen(value->str));
			break;
		case COMPAT_TOKEN_XCONST:
			fingerprint_add(f, 'X', value->str, strlen(value->str));
			break;
		case COMPAT_TOKEN_FCONST:
		case COMPAT_TOKEN_ICONST:
			fingerprint_add(f, 'N', source, strlen(source));
			break;
		case COMPAT_TOKEN_PARAM:
			fingerprint_add(f, 'P', source, strlen(source));
			break;
		default:
			fingerprint_add(f, 'O', source, strlen(source));
			break;
	}
}

/*
 * Ends a statement. Semicolons themselves are not hashed: a missing last one,
 * or two in a row, is layout.
 */
void
script_fingerprint_end_statement(ScriptFingerprint *f)
{
	if (f->in_statement)
		fingerprint_add(f, 'E', "", 0);
	f->in_statement = false;
}

/* Adds the data of an inline COPY, byte for byte. */
void
script_fingerprint_data(ScriptFingerprint *f, const char *data, size_t len)
{
	if (f->hash == NULL)
		return;
	fingerprint_add(f, 'D', data, len);
}

void
script_fingerprint_finish(ScriptFingerprint *f, uint8 *digest)
{
	script_fingerprint_end_statement(f);
	fingerprint_flush(f);
	sha256_finish(f->hash, digest);
	pfree(f->pending.data);
}

/*
 * Gives a fingerprint up, after an error: the transaction may go on, and the
 * hash is owned by its resource owner.
 */
void
script_fingerprint_abandon(ScriptFingerprint *f)
{
	pg_cryptohash_free(f->hash);
	f->hash = NULL;
}

/*
 * The fingerprint of the statements from .. to - 1 with their data, into digest
 * (PG_SHA256_DIGEST_LENGTH bytes).
 */
void
script_range_fingerprint(const Script *script, int from, int to, uint8 *digest)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "tapmig fingerprint",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	ScriptFingerprint fingerprint;

	script_fingerprint_begin(&fingerprint);
	for (int i = from; i < to; i++)
	{
		const ScriptStatement *s = &script->statements[i];
		core_yy_extra_type extra;
		core_yyscan_t scanner = scanner_init(script_statement_text(script, i), &extra,
											 &ScanKeywords, script_keyword_tokens());
		core_YYSTYPE value;
		int			location;
		int			token;

		extra.standard_conforming_strings = s->conforming_strings;
		extra.backslash_quote = s->backslash_quote;
		extra.escape_string_warning = false;
		while ((token = core_yylex(&value, &location, scanner)) != 0)
		{
			if (token != ';')
				script_fingerprint_token(&fingerprint, token, &value,
										 extra.scanbuf + location);
		}
		script_fingerprint_end_statement(&fingerprint);
		scanner_finish(scanner);
		if (s->copy_line > 0)
			script_fingerprint_data(&fingerprint, script->text + s->copy_start,
									s->copy_end - s->copy_start);
	}
	script_fingerprint_finish(&fingerprint, digest);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}
